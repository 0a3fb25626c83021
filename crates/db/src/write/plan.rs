//! Planning a decided write: the changes of the store that keep an item, its index entries and the counters in step,
//! and what they consume.

use partita_engine::Write;
use partita_model::StoredItem;

use super::collection::{Growth, ItemCollection};
use crate::capacity::{Consumed, write_units};
use crate::keyspace::{self, Counter};
use crate::stream::Cause;
use crate::table::{IndexKind, ItemKey, KeySecret, Table, seal};
use crate::throttle::IndexPartition;
use crate::{Database, expiry, history, stream};

/// What planning needs of the database.
#[derive(Clone, Copy)]
pub(crate) struct Planning<'d> {
    secret: KeySecret<'d>,
    /// When the change happens, in milliseconds since the epoch.
    now_ms: u64,
    /// Whether to tell which partitions of indexes are touched.
    partitions: bool,
}

impl Database {
    /// What planning a write needs now.
    pub(crate) fn planning(&self) -> Planning<'_> {
        Planning {
            secret: self.key_secret(),
            now_ms: self.inner.clock.change_ms(),
            partitions: self.tells_partitions(),
        }
    }
}

/// What the changes of one write come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planned {
    pub consumed: Consumed,
    /// What is consumed of partitions of global indexes, if that is to be told.
    pub partitions: Vec<IndexPartition>,
    /// What is added to the item's collection, if that is measured and its size changes.
    pub(super) growth: Option<Growth>,
}

/// Appends the changes that turn `old` into `new`, and returns what they come to.
///
/// The item's own change is left out when `skip_item`: of several writes of one item in one commit only the last counts.
pub(super) fn plan(
    planning: &Planning<'_>,
    table: &Table,
    key: &ItemKey,
    (old, new): (Option<&StoredItem>, Option<&StoredItem>),
    skip_item: bool,
    writes: &mut Vec<Write>,
) -> Planned {
    plan_caused(planning, table, key, (old, new), Caused { by: Cause::Request, skip_item }, writes)
}

/// Why an item changes, and whether its own change is left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caused {
    pub by: Cause,
    pub skip_item: bool,
}

/// `plan` for a change that need not be a client's.
pub(crate) fn plan_caused(
    planning: &Planning<'_>,
    table: &Table,
    key: &ItemKey,
    (old, new): (Option<&StoredItem>, Option<&StoredItem>),
    caused: Caused,
    writes: &mut Vec<Write>,
) -> Planned {
    let size = |item: Option<&StoredItem>| item.map_or(0, StoredItem::size);
    let mut consumed = Consumed::default();
    consumed.table.add_write(write_units(size(old).max(size(new))));
    if old == new {
        return Planned { consumed, ..Planned::default() };
    }
    let mut collection_bytes = difference(old, new);
    let mut partitions = Vec::new();
    if !caused.skip_item {
        writes.push(put_or_delete(key.stored.clone(), new));
    }
    history::append(table, key, old, planning.now_ms, writes);
    stream::append(table, key, (old, new), (caused.by, planning.now_ms), writes);
    expiry::enqueue(table, key, (old, new), planning.now_ms, writes);
    count(table, keyspace::TABLE_ITSELF, key, (old, new), writes);
    for (at, index) in table.indexes.iter().enumerate() {
        let entry = |item: Option<&StoredItem>| item.and_then(|item| index.entry(&planning.secret, item, key));
        let (before, after) = (entry(old), entry(new));
        if before == after {
            continue;
        }
        let items = (before.as_ref().map(|entry| &entry.item), after.as_ref().map(|entry| &entry.item));
        count(table, index.id, key, items, writes);
        if index.kind == IndexKind::Local {
            collection_bytes = collection_bytes.saturating_add(difference(items.0, items.1));
        }
        let units = match (&before, &after) {
            (Some(before), Some(after)) if before.key == after.key => {
                write_units(before.item.size().max(after.item.size()))
            }
            _ => [&before, &after].into_iter().flatten().map(|entry| write_units(entry.item.size())).sum(),
        };
        consumed.index(at).add_write(units);
        if planning.partitions && index.kind == IndexKind::Global {
            let one = if before.is_some() && after.is_some() { units.div_ceil(2) } else { units };
            for entry in [&before, &after].into_iter().flatten() {
                partitions.extend(index.partition_of(&entry.key).map(|hash| (at, hash, one)));
            }
        }
        if let Some(before) = before
            && after.as_ref().is_none_or(|after| after.key != before.key)
        {
            writes.push(Write::Delete { key: before.key });
        }
        if let Some(after) = after {
            writes.push(Write::Put { key: after.key, value: seal(&after.item) });
        }
    }
    let measured = collection_bytes != 0 && table.measures_collection_of(key);
    let collection = if measured { ItemCollection::of(table, key) } else { None };
    let growth = collection.map(|collection| Growth { collection, bytes: collection_bytes });
    if let Some(Growth { collection, bytes }) = &growth {
        writes.push(Write::Add { key: collection.counter(), delta: *bytes });
    }
    Planned { consumed, partitions, growth }
}

/// How many bytes an item or entry has gained.
fn difference(old: Option<&StoredItem>, new: Option<&StoredItem>) -> i64 {
    let size = |item: Option<&StoredItem>| i64::try_from(item.map_or(0, StoredItem::size)).unwrap_or(0);
    size(new) - size(old)
}

/// The change of an item itself.
pub(super) fn put_or_delete(key: partita_engine::Key, item: Option<&StoredItem>) -> Write {
    match item {
        Some(item) => Write::Put { key, value: seal(item) },
        None => Write::Delete { key },
    }
}

fn count(
    table: &Table,
    index: u16,
    key: &ItemKey,
    (old, new): (Option<&StoredItem>, Option<&StoredItem>),
    writes: &mut Vec<Write>,
) {
    let items = i64::from(new.is_some()) - i64::from(old.is_some());
    let bytes = difference(old, new);
    for (counter, delta) in [(Counter::Items, items), (Counter::Bytes, bytes)] {
        if delta != 0 {
            writes.push(Write::Add { key: keyspace::counter(table.record.id, index, counter, &key.hash), delta });
        }
    }
}
