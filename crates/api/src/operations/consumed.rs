//! `ReturnConsumedCapacity` and `ReturnItemCollectionMetrics`: what a response says of an operation's cost.

use std::sync::Arc;

use partita_db::{Capacity as Units, Consumed, Database, IndexKind, ItemCollection, ItemKey, Table};
use partita_model::{AttributeMap, StoredItem};

use crate::failure::Failure;
use crate::generated::outputs::{Capacity, ConsumedCapacity, ItemCollectionMetrics};
use crate::json::Entries;

/// A GB, as item collections are measured.
const BYTES_OF_A_GB: u64 = 1 << 30;

/// Which way units are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Read and write units as one number.
    Together,
    /// Beside that number, as reads.
    Read,
    /// Beside that number, as writes.
    Write,
}

/// How much of its cost a request wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    None,
    Total,
    Indexes,
}

impl Detail {
    pub(super) fn of(parameter: Option<&str>) -> Self {
        match parameter {
            Some("INDEXES") => Self::Indexes,
            Some("TOTAL") => Self::Total,
            _ => Self::None,
        }
    }

    /// The cost of an operation on one table, if it is wanted.
    pub(super) fn show(self, table: &Table, consumed: &Consumed, share: Share) -> Option<ConsumedCapacity> {
        if self == Self::None {
            return None;
        }
        let total = consumed.total();
        let mut shown = ConsumedCapacity {
            table_name: Some(table.record.name.clone()),
            capacity_units: Some(total.units()),
            read_capacity_units: (share == Share::Read).then(|| total.read_units()),
            write_capacity_units: (share == Share::Write).then(|| total.write_units()),
            ..ConsumedCapacity::default()
        };
        if self == Self::Indexes {
            shown.table = Some(capacity(consumed.table, share));
            shown.local_secondary_indexes = of_indexes(table, consumed, IndexKind::Local, share);
            shown.global_secondary_indexes = of_indexes(table, consumed, IndexKind::Global, share);
        }
        Some(shown)
    }
}

fn capacity(units: Units, share: Share) -> Capacity {
    Capacity {
        read_capacity_units: (share == Share::Read).then(|| units.read_units()),
        write_capacity_units: (share == Share::Write).then(|| units.write_units()),
        capacity_units: Some(units.units()),
    }
}

fn of_indexes(table: &Table, consumed: &Consumed, kind: IndexKind, share: Share) -> Option<Entries<Capacity>> {
    let named = consumed.indexes.iter().filter_map(|(at, units)| {
        let index = table.indexes.get(*at).filter(|index| index.kind == kind)?;
        Some((index.name.clone(), capacity(*units, share)))
    });
    let entries: Vec<_> = named.collect();
    (!entries.is_empty()).then_some(Entries(entries))
}

/// What members consumed, summed by table.
pub(super) fn by_table<'a>(
    members: impl Iterator<Item = (&'a Arc<Table>, &'a Consumed)>,
    detail: Detail,
    share: Share,
) -> Option<Vec<ConsumedCapacity>> {
    if detail == Detail::None {
        return None;
    }
    let mut sums: Vec<(&Arc<Table>, Consumed)> = Vec::new();
    for (table, consumed) in members {
        match sums.iter_mut().find(|(known, _)| known.record.id == table.record.id) {
            Some((_, sum)) => sum.add(consumed),
            None => sums.push((table, consumed.clone())),
        }
    }
    Some(sums.iter().filter_map(|(table, sum)| detail.show(table, sum, share)).collect())
}

/// The item collection that a write touches, if the request wants to know and the table has local indexes. To be made
/// before the write, and measured after it.
pub(super) struct TouchedCollection {
    collection: ItemCollection,
    key: AttributeMap,
}

impl TouchedCollection {
    pub(super) fn of(parameter: Option<&str>, table: &Table, key: &ItemKey) -> Option<Self> {
        if parameter != Some("SIZE") {
            return None;
        }
        let collection = ItemCollection::of(table, key)?;
        let mut partition = AttributeMap::new();
        for attribute in &table.key.partition {
            partition.insert(attribute.name.as_str(), key.attributes.get(&attribute.name)?.clone());
        }
        Some(Self { collection, key: partition })
    }

    /// What the response says of the collection: its size lies between two whole numbers of GB.
    pub(super) async fn measure(&self, database: &Database) -> Result<ItemCollectionMetrics, Failure> {
        let bytes = database.collection_bytes(&self.collection).await?;
        let whole = u32::try_from(bytes / BYTES_OF_A_GB).unwrap_or(u32::MAX);
        Ok(ItemCollectionMetrics {
            item_collection_key: Some(StoredItem::from_item(&self.key)),
            size_estimate_range_gb: Some(vec![f64::from(whole), f64::from(whole) + 1.0]),
        })
    }
}

/// What the response to one write says of its collection.
pub(super) async fn measured(
    touched: Option<TouchedCollection>,
    database: &Database,
) -> Result<Option<ItemCollectionMetrics>, Failure> {
    match touched {
        Some(touched) => Ok(Some(touched.measure(database).await?)),
        None => Ok(None),
    }
}

/// What the response to several writes says of their collections, by the names of their tables.
pub(super) async fn by_name(
    touched: Vec<(String, TouchedCollection)>,
    database: &Database,
) -> Result<Option<Entries<Vec<ItemCollectionMetrics>>>, Failure> {
    let mut tables: Vec<(String, Vec<ItemCollectionMetrics>)> = Vec::new();
    for (name, touched) in touched {
        let measured = touched.measure(database).await?;
        match tables.iter_mut().find(|(table, _)| *table == name) {
            Some((_, all)) => all.push(measured),
            None => tables.push((name, vec![measured])),
        }
    }
    Ok((!tables.is_empty()).then_some(Entries(tables)))
}
