//! Measuring the item collections of a table that is older than their counters: page by page, in the order of the items.
//!
//! The table's record says up to which item is measured, and writers count what they change up to there. A page's commit
//! moves that mark on and adds the page's sizes; it reads the whole page and the record, so no change is counted twice or
//! not at all.

use std::collections::HashMap;
use std::time::Instant;

use partita_engine::{Commit, CommitError, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Value, Write};

use super::collection::ItemCollection;
use crate::Database;
use crate::catalog::{back_off, encode_record};
use crate::error::Result;
use crate::jobs::{Lease, Slice};
use crate::record::{Collections, TableRecord};
use crate::table::{IndexKind, Table, unseal};

/// The most items measured in one commit.
const MAX_PAGE_ROWS: usize = 10_000;
/// The most bytes of items read for one commit.
const MAX_PAGE_BYTES: usize = 8 << 20;

/// Whether a table's collections are still to be measured.
pub(crate) fn is_unmeasured(record: &TableRecord) -> bool {
    !record.local_indexes.is_empty() && record.collections != Collections::Measured
}

impl Database {
    /// Measures some of a table's collections, until a moment.
    ///
    /// # Errors
    /// `Contention` when another node has the lease, or an engine failure.
    pub(crate) async fn measure_collections(
        &self,
        lease: &mut Lease,
        catalog_key: &Key,
        until: Instant,
    ) -> Result<Slice> {
        let mut rows = MAX_PAGE_ROWS;
        let mut attempt = 0;
        while Instant::now() < until {
            lease.keep(self).await?;
            let snapshot = self.snapshot(Freshness::Latest).await?;
            lease.check(&snapshot).await?;
            let Some(table) = self.table_at(&snapshot, catalog_key).await? else { return Ok(Slice::Done) };
            if !is_unmeasured(&table.record) {
                return Ok(Slice::Done);
            }
            let items = KeyRange::prefix(Key::copy_from_slice(table.item_prefix()));
            let range = match &table.record.collections {
                Collections::MeasuredTo(last) => items.after(&[table.item_prefix(), last].concat()),
                Collections::NotMeasured | Collections::Measured => items,
            };
            let limit = ScanLimit { rows, bytes: MAX_PAGE_BYTES };
            let page = snapshot.scan(&range, Direction::Forward, limit).await?;
            let measured = match page.rows.last() {
                Some((last, _)) if page.more => {
                    Collections::MeasuredTo(last.get(table.item_prefix().len()..).unwrap_or_default().to_vec())
                }
                _ => Collections::Measured,
            };
            let seen = match page.rows.last() {
                Some((last, _)) if page.more => KeyRange::new(range.start, KeyRange::single(last.clone()).end),
                _ => range,
            };
            let mut writes = self.sizes_of(&table, &page.rows)?;
            let record = TableRecord { collections: measured, ..table.record.clone() };
            writes.push(Write::Put { key: catalog_key.clone(), value: encode_record(&record)? });
            let reads = vec![Read::Key(lease.key()), Read::Key(catalog_key.clone()), Read::Range(seen)];
            let commit = Commit { read_version: snapshot.version(), reads, writes, catalog_changed: true };
            match self.store().commit(commit).await {
                Ok(_) => (rows, attempt) = ((rows * 2).min(MAX_PAGE_ROWS), 0),
                // The writers of these items go first: try a smaller page.
                Err(CommitError::Conflict | CommitError::TooOld) => {
                    rows = (rows / 2).max(1);
                    back_off(attempt).await;
                    attempt = (attempt + 1).min(8);
                }
                Err(other) => return Err(other.into()),
            }
        }
        Ok(Slice::More)
    }

    /// What a page of items and their entries in local indexes adds to the counters of their collections.
    fn sizes_of(&self, table: &Table, rows: &[(Key, Value)]) -> Result<Vec<Write>> {
        let secret = self.key_secret();
        let mut sizes: HashMap<ItemCollection, usize> = HashMap::new();
        for (_, value) in rows {
            let item = unseal(value)?;
            let key = table.key_of_item(&secret, &item.to_item())?;
            let local = table.indexes.iter().filter(|index| index.kind == IndexKind::Local);
            let entries = local.filter_map(|index| index.entry(&secret, &item, &key));
            let bytes = item.size() + entries.map(|entry| entry.item.size()).sum::<usize>();
            if let Some(collection) = ItemCollection::of(table, &key) {
                *sizes.entry(collection).or_default() += bytes;
            }
        }
        let add = |(collection, bytes): (ItemCollection, usize)| Write::Add {
            key: collection.counter(),
            delta: i64::try_from(bytes).unwrap_or(i64::MAX),
        };
        Ok(sizes.into_iter().map(add).collect())
    }
}
