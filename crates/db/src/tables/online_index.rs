//! Filling an index that was added to a table in use, while the table goes on being written.
//!
//! From the commit that adds the index on, every write keeps the index's entries in step, so only items that were there
//! before need entries made. They are made page by page; a page depends on its items staying as they were read, and is
//! read again when one changed. Each says how far it has come, so that a crash at any point loses nothing and repeats at
//! most the counting at the end. The index becomes readable with the commit that ends the filling.

use std::time::{Duration, Instant};

use partita_engine::{Commit, CommitError, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Write};
use partita_model::key::PartitionHash;

use super::counts::Count;
use crate::Database;
use crate::catalog::{Becomes, RecordChange, back_off};
use crate::crypt::Snapshot;
use crate::error::Result;
use crate::jobs::{Lease, Slice};
use crate::keyspace::{self, Counter};
use crate::record::{IndexStatus, TableRecord};
use crate::table::{Index, Table, seal, unseal};

/// How long UpdateTable waits for a new index to be filled before it answers: small tables are filled within it.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often it looks meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(3);
/// The most items whose entries one commit makes.
const MAX_PAGE_ROWS: usize = 512;
/// The most bytes of items read for one commit.
const MAX_PAGE_BYTES: usize = 1 << 20;

impl Database {
    /// Waits until an index is filled, but not for long. The background work fills it.
    pub(super) async fn await_filling(&self, catalog_key: &Key, index: u16) {
        if !self.is_background_running() {
            return;
        }
        self.wake_background();
        let filled = async {
            // What can not be read is told by the next request.
            while let Ok(snapshot) = self.snapshot(Freshness::Latest).await
                && let Ok(Some(table)) = self.table_at(&snapshot, catalog_key).await
                && table.indexes.iter().any(|found| found.id == index && found.backfilling)
            {
                drop(snapshot);
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, filled).await;
    }

    /// Makes the entries of a table's items from where that stands, until a moment, and at the end has the index readable.
    /// Ends early when table or index are deleted.
    ///
    /// # Errors
    /// `Contention` when another node has the lease, or an engine failure.
    pub(crate) async fn fill_index(
        &self,
        lease: &mut Lease,
        catalog_key: &Key,
        index: u16,
        until: Instant,
    ) -> Result<Slice> {
        let mut rows = MAX_PAGE_ROWS;
        let mut attempt = 0;
        while Instant::now() < until {
            lease.keep(self).await?;
            let snapshot = self.snapshot(Freshness::Latest).await?;
            lease.check(&snapshot).await?;
            let Some(table) = self.table_at(&snapshot, catalog_key).await? else { return Ok(Slice::Done) };
            let Some(unfilled) = table.indexes.iter().find(|found| found.id == index && found.backfilling) else {
                return Ok(Slice::Done);
            };
            let progress = keyspace::index_progress(table.record.id, index);
            let items = KeyRange::prefix(Key::copy_from_slice(table.item_prefix()));
            let range = match snapshot.get(&progress).await? {
                Some(last) => items.after(&last),
                None => items,
            };
            let limit = ScanLimit { rows, bytes: MAX_PAGE_BYTES };
            let page = snapshot.scan(&range, Direction::Forward, limit).await?;
            let Some((last, _)) = page.rows.last() else {
                self.finish_filling(catalog_key, index).await?;
                return Ok(Slice::Done);
            };
            let mut commit = self.entries_of(&snapshot, &table, unfilled, &page.rows)?;
            commit.reads.push(Read::Key(lease.key()));
            commit.writes.push(Write::Put { key: progress, value: last.clone() });
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

    /// The commit that makes the entries of a page of items. Counters are put right at the end.
    fn entries_of(
        &self,
        snapshot: &Snapshot,
        table: &Table,
        index: &Index,
        rows: &[(Key, partita_engine::Value)],
    ) -> Result<Commit> {
        let secret = self.key_secret();
        let mut reads = vec![Read::Key(table.catalog_key.clone())];
        let mut writes = Vec::with_capacity(rows.len());
        for (key, value) in rows {
            let item = unseal(value)?;
            let base = table.key_of_item(&secret, &item.to_item())?;
            if let Some(entry) = index.entry(&secret, &item, &base) {
                reads.push(Read::Key(key.clone()));
                writes.push(Write::Put { key: entry.key, value: seal(&entry.item) });
            }
        }
        Ok(Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false })
    }

    /// Puts the index's counters right and makes it readable.
    async fn finish_filling(&self, catalog_key: &Key, index: u16) -> Result<()> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let Some(table) = self.table_at(&snapshot, catalog_key).await? else { return Ok(()) };
        let Some(filled) = table.indexes.iter().find(|found| found.id == index) else { return Ok(()) };
        // All entries are there by now, so writers count right; what they counted wrong before is the difference
        // between the entries and the counters of this snapshot.
        let counted = self.counts(&snapshot, &table).await?.counted(index);
        let entries = entries_in(&snapshot, filled).await?;
        let corrections = [
            (Counter::Items, entries.items.saturating_sub(counted.items)),
            (Counter::Bytes, entries.bytes.saturating_sub(counted.bytes)),
        ];
        let correct = |(counter, delta)| {
            let key = keyspace::counter(table.record.id, index, counter, &PartitionHash::default());
            Write::Add { key, delta }
        };
        let mut writes: Vec<Write> = corrections.into_iter().filter(|(_, delta)| *delta != 0).map(correct).collect();
        writes.push(Write::Delete { key: keyspace::index_progress(table.record.id, index) });
        self.change_record(catalog_key, |record| {
            let Some(record) = record.and_then(|record| now_readable(record, &table, index)) else {
                return Ok((RecordChange { record: Becomes::Unchanged, writes: Vec::new() }, ()));
            };
            Ok((RecordChange { record: Becomes::Record(Box::new(record)), writes: writes.clone() }, ()))
        })
        .await
    }
}

/// The record with the index readable, if it is still the same table and index.
fn now_readable(mut record: TableRecord, table: &Table, index: u16) -> Option<TableRecord> {
    if record.id != table.record.id {
        return None;
    }
    let index = record.global_indexes.iter_mut().find(|found| found.id == index && found.backfilling)?;
    index.status = IndexStatus::Active;
    index.backfilling = false;
    Some(record)
}

/// How many entries an index has at the moment of the snapshot.
async fn entries_in(snapshot: &Snapshot, index: &Index) -> Result<Count> {
    let mut range = KeyRange::prefix(Key::copy_from_slice(index.prefix()));
    let mut count = Count::default();
    loop {
        let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
        for (_, value) in &page.rows {
            count.items += 1;
            count.bytes += i64::try_from(unseal(value)?.size()).unwrap_or(0);
        }
        match page.rows.last() {
            Some((last, _)) if page.more => range = range.after(last),
            _ => return Ok(count),
        }
    }
}
