//! Filling a queue: the items that a table had before time to live was switched on.
//!
//! Page by page, each commit with how far it has come. From the commit that switched it on, every write keeps the queue
//! in step, so a page depends only on the items whose entries it makes; when one of them changed it is made again, half
//! as large.

use partita_engine::{Commit, CommitError, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Write};

use super::expire::Watched;
use super::queue::{entry, expires_at};
use crate::Database;
use crate::catalog::{Becomes, RecordChange, back_off};
use crate::error::Result;
use crate::jobs::Lease;
use crate::keyspace;
use crate::record::TableRecord;
use crate::table::unseal;

/// The most items looked at for one commit.
const MAX_PAGE_ROWS: usize = 1000;
/// The most bytes of items looked at for one commit.
const MAX_PAGE_BYTES: usize = 4 << 20;

impl Database {
    /// Fills the queue of a table from where it stands to the end, and then has time to live enabled.
    ///
    /// # Errors
    /// `Contention` when another node has the lease, or an engine failure.
    pub(super) async fn fill_queue(&self, lease: &mut Lease, watched: &Watched) -> Result<()> {
        let progress = keyspace::expiry_progress(watched.table, watched.queue.generation);
        let mut rows = MAX_PAGE_ROWS;
        let mut attempt = 0;
        loop {
            lease.keep(self).await?;
            let snapshot = self.snapshot(Freshness::Latest).await?;
            lease.check(&snapshot).await?;
            let Some(table) = self.table_at(&snapshot, &watched.catalog_key).await? else { return Ok(()) };
            let (Some(time_to_live), true) = (&table.record.time_to_live, watched.is_of(&table.record)) else {
                return Ok(());
            };
            let items = KeyRange::prefix(Key::copy_from_slice(table.item_prefix()));
            let range = match snapshot.get(&progress).await? {
                Some(last) => items.after(&last),
                None => items,
            };
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit { rows, bytes: MAX_PAGE_BYTES }).await?;
            let Some((last, _)) = page.rows.last() else { break };
            let now = self.now_ms() / 1000;
            let mut reads = vec![Read::Key(lease.key()), Read::Key(table.catalog_key.clone())];
            let mut writes = vec![Write::Put { key: progress.clone(), value: last.clone() }];
            for (key, value) in &page.rows {
                let suffix = key.get(table.item_prefix().len()..).unwrap_or_default();
                let time = expires_at(&unseal(value)?, &time_to_live.attribute);
                if let Some(entry) = time.and_then(|time| entry(table.record.id, watched.queue, (time, now), suffix)) {
                    reads.push(Read::Key(key.clone()));
                    writes.push(entry);
                }
            }
            let commit = Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false };
            match self.store().commit(commit).await {
                Ok(_) if page.more => (rows, attempt) = ((rows * 2).min(MAX_PAGE_ROWS), 0),
                Ok(_) => break,
                Err(CommitError::Conflict | CommitError::TooOld) => {
                    rows = (rows / 2).max(1);
                    back_off(attempt).await;
                    attempt = (attempt + 1).min(8);
                }
                Err(other) => return Err(other.into()),
            }
        }
        let filled = |mut record: TableRecord| {
            let queue = record.logs.expiry.as_mut().filter(|queue| watched.is(queue))?;
            queue.building = false;
            Some(record)
        };
        self.change_record(&watched.catalog_key, |record| {
            let record = record.filter(|record| watched.is_of(record)).and_then(filled);
            let record = record.map_or(Becomes::Unchanged, |record| Becomes::Record(Box::new(record)));
            Ok((RecordChange { record, writes: vec![Write::Delete { key: progress.clone() }] }, ()))
        })
        .await
    }
}
