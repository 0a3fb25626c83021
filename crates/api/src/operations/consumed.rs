//! `ReturnConsumedCapacity` and `ReturnItemCollectionMetrics`: what a response says of an operation's cost.

use std::sync::Arc;

use partita_db::{Capacity as Units, Consumed, IndexKind, ItemKey, Table};
use partita_model::{AttributeMap, StoredItem};

use crate::generated::outputs::{Capacity, ConsumedCapacity, ItemCollectionMetrics};
use crate::json::Entries;

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

/// The item collection a write touched, if the request wants to know and the table has local indexes.
///
/// The size is an estimate that promises no more than its range: collections are not measured yet, so the lowest range
/// is given.
pub(super) fn item_collection(parameter: Option<&str>, table: &Table, key: &ItemKey) -> Option<ItemCollectionMetrics> {
    if parameter != Some("SIZE") || table.record.local_indexes.is_empty() {
        return None;
    }
    let mut collection = AttributeMap::new();
    for attribute in &table.key.partition {
        collection.insert(attribute.name.as_str(), key.attributes.get(&attribute.name)?.clone());
    }
    Some(ItemCollectionMetrics {
        item_collection_key: Some(StoredItem::from_item(&collection)),
        size_estimate_range_gb: Some(vec![0.0, 1.0]),
    })
}
