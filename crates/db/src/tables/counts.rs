//! How many items a table and its indexes have, and how many bytes: the sums of their counters.

use std::collections::HashMap;

use partita_engine::{Direction, KeyRange, ScanLimit};

use crate::Database;
use crate::crypt::Snapshot;
use crate::error::Result;
use crate::keyspace::{self, TABLE_ITSELF};
use crate::table::Table;

/// The counts of a table and of its indexes by their ids.
#[derive(Clone, Debug, Default)]
pub struct Counts(HashMap<u16, Count>);

/// How many items a table has, or entries an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Items or entries.
    pub items: i64,
    /// Their bytes, as DynamoDB counts an item's size.
    pub bytes: i64,
}

impl Counts {
    /// The table's items.
    #[must_use]
    pub fn table(&self) -> Count {
        self.index(TABLE_ITSELF)
    }

    /// An index's entries. None are said to be there when an index that is being filled counts below zero.
    #[must_use]
    pub fn index(&self, id: u16) -> Count {
        let Count { items, bytes } = self.counted(id);
        Count { items: items.max(0), bytes: bytes.max(0) }
    }

    /// What the counters of an index say.
    pub(super) fn counted(&self, id: u16) -> Count {
        self.0.get(&id).copied().unwrap_or_default()
    }
}

impl Database {
    /// The counts of a table and its indexes at the moment of the snapshot.
    pub(crate) async fn counts(&self, snapshot: &Snapshot, table: &Table) -> Result<Counts> {
        let id = table.record.id;
        let mut range = KeyRange::new(
            keyspace::counters(id, TABLE_ITSELF),
            keyspace::counters(id, table.record.next_index_id.saturating_add(1)),
        );
        let mut counts = Counts::default();
        loop {
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (key, value) in &page.rows {
                counts.add(key, value);
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok(counts),
            }
        }
    }
}

impl Counts {
    /// Adds one counter: its key ends in index, kind and slot.
    fn add(&mut self, key: &[u8], value: &[u8]) {
        let (Some(&[index_high, index_low, kind, _slot]), Ok(value)) = (key.last_chunk(), value.try_into()) else {
            return;
        };
        let count = self.0.entry(u16::from_be_bytes([index_high, index_low])).or_default();
        let sum = if kind == keyspace::Counter::Items as u8 { &mut count.items } else { &mut count.bytes };
        *sum = sum.saturating_add(i64::from_le_bytes(value));
    }
}
