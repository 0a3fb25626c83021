//! Planning a decided write: the changes of the store that keep an item, its index entries and the counters in step,
//! and what they consume.

use partita_engine::Write;
use partita_model::StoredItem;

use crate::capacity::{Consumed, write_units};
use crate::keyspace::{self, Counter};
use crate::stream::Cause;
use crate::table::{ItemKey, KeySecret, Table, seal};
use crate::{Database, expiry, stream};

/// What planning needs of the database.
#[derive(Clone, Copy)]
pub(crate) struct Planning<'d> {
    secret: KeySecret<'d>,
    /// When the change happens, in milliseconds since the epoch.
    now_ms: u64,
}

impl Database {
    /// What planning a write needs now.
    pub(crate) fn planning(&self) -> Planning<'_> {
        Planning { secret: self.key_secret(), now_ms: self.inner.clock.change_ms() }
    }
}

/// Appends the changes that turn `old` into `new`, and returns what they consume.
///
/// The item's own change is left out when `skip_item`: of several writes of one item in one commit only the last counts.
pub(super) fn plan(
    planning: &Planning<'_>,
    table: &Table,
    key: &ItemKey,
    (old, new): (Option<&StoredItem>, Option<&StoredItem>),
    skip_item: bool,
    writes: &mut Vec<Write>,
) -> Consumed {
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
) -> Consumed {
    let size = |item: Option<&StoredItem>| item.map_or(0, StoredItem::size);
    let mut consumed = Consumed::default();
    consumed.table.add_write(write_units(size(old).max(size(new))));
    if old == new {
        return consumed;
    }
    if !caused.skip_item {
        writes.push(put_or_delete(key.stored.clone(), new));
    }
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
        let units = match (&before, &after) {
            (Some(before), Some(after)) if before.key == after.key => {
                write_units(before.item.size().max(after.item.size()))
            }
            _ => [&before, &after].into_iter().flatten().map(|entry| write_units(entry.item.size())).sum(),
        };
        consumed.index(at).add_write(units);
        if let Some(before) = before
            && after.as_ref().is_none_or(|after| after.key != before.key)
        {
            writes.push(Write::Delete { key: before.key });
        }
        if let Some(after) = after {
            writes.push(Write::Put { key: after.key, value: seal(&after.item) });
        }
    }
    consumed
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
    let size = |item: Option<&StoredItem>| i64::try_from(item.map_or(0, StoredItem::size)).unwrap_or(0);
    let bytes = size(new) - size(old);
    for (counter, delta) in [(Counter::Items, items), (Counter::Bytes, bytes)] {
        if delta != 0 {
            writes.push(Write::Add { key: keyspace::counter(table.record.id, index, counter, &key.hash), delta });
        }
    }
}
