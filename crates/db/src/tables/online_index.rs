//! Filling an index that was added to a table in use, while the table goes on being written.
//!
//! From the commit that adds the index on, every write keeps the index's entries in step, so only items that were there
//! before need entries made. They are made page by page; a page depends on its items staying as they were read, and is
//! read again when one changed. The index becomes readable with the commit that ends the filling.

use std::time::Duration;

use partita_engine::{Commit, CommitError, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Write};
use partita_model::key::PartitionHash;

use super::counts::Count;
use crate::Database;
use crate::catalog::{Becomes, RecordChange, back_off, decode_record};
use crate::crypt::Snapshot;
use crate::error::Result;
use crate::keyspace::{self, Counter};
use crate::record::{IndexStatus, TableRecord};
use crate::table::{Index, Table, seal, unseal};

/// How long UpdateTable waits for a new index to be filled before it answers: small tables are filled within it.
const PATIENCE: Duration = Duration::from_millis(250);
/// The most items whose entries one commit makes.
const MAX_PAGE_ROWS: usize = 512;
/// The most bytes of items read for one commit.
const MAX_PAGE_BYTES: usize = 1 << 20;

impl Database {
    /// Fills an index in the background. Returns when that is done, or soon.
    pub(super) async fn start_filling(&self, catalog_key: Key, index: u16) {
        let database = self.clone();
        let filling = tokio::spawn(async move {
            if let Err(error) = database.fill_index(&catalog_key, index).await {
                tracing::error!(%error, index, "an index could not be filled; the next start goes on with it");
            }
        });
        let _ = tokio::time::timeout(PATIENCE, filling).await;
    }

    /// Goes on filling the indexes that were being filled when the database was last open.
    ///
    /// # Errors
    /// When the catalog can not be read.
    pub async fn resume_filling(&self) -> Result<()> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let mut range = KeyRange::prefix(keyspace::catalog());
        loop {
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (key, value) in &page.rows {
                let record = decode_record(value)?;
                for index in record.global_indexes.iter().filter(|index| index.backfilling) {
                    let (database, key, index) = (self.clone(), key.clone(), index.id);
                    tokio::spawn(async move { database.start_filling(key, index).await });
                }
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok(()),
            }
        }
    }

    /// Makes the entries of all items and then the index readable. Ends early when table or index are deleted.
    async fn fill_index(&self, catalog_key: &Key, index: u16) -> Result<()> {
        let mut done: Option<Key> = None;
        let mut rows = MAX_PAGE_ROWS;
        let mut attempt = 0;
        loop {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let Some(table) = self.table_at(&snapshot, catalog_key).await? else { return Ok(()) };
            let Some(unfilled) = table.indexes.iter().find(|found| found.id == index && found.backfilling) else {
                return Ok(());
            };
            let items = KeyRange::prefix(Key::copy_from_slice(table.item_prefix()));
            let range = done.as_ref().map_or_else(|| items.clone(), |last| items.after(last));
            let limit = ScanLimit { rows, bytes: MAX_PAGE_BYTES };
            let page = snapshot.scan(&range, Direction::Forward, limit).await?;
            let Some((last, _)) = page.rows.last() else { break };
            let commit = self.entries_of(&snapshot, &table, unfilled, &page.rows)?;
            match self.store().commit(commit).await {
                Ok(_) => {
                    done = Some(last.clone());
                    (rows, attempt) = ((rows * 2).min(MAX_PAGE_ROWS), 0);
                    if !page.more {
                        break;
                    }
                }
                // The writers of these items go first: try a smaller page.
                Err(CommitError::Conflict | CommitError::TooOld) => {
                    rows = (rows / 2).max(1);
                    back_off(attempt).await;
                    attempt = (attempt + 1).min(8);
                }
                Err(other) => return Err(other.into()),
            }
        }
        self.finish_filling(catalog_key, index).await
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
        let writes: Vec<Write> = corrections.into_iter().filter(|(_, delta)| *delta != 0).map(correct).collect();
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
