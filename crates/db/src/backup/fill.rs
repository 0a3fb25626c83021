//! Filling a restored table: the items of a backup, or of another table's past, with their index entries and counters.
//!
//! Each commit carries how far it has come, so whoever goes on after a crash adds nothing twice. While one is sealed and
//! synced, the next is read and planned, and no more than one is under way. The table can be used from the commit on that
//! says it is active.

use std::collections::HashMap;
use std::sync::Arc;

use partita_engine::{Commit, CommitError, Committed, Freshness, Key, Position, Read, ScanLimit, Value, Write};
use partita_model::StoredItem;
use tokio::task::JoinHandle;

use super::job::{BackupPlace, JobRecord, Source, Work, forget};
use super::manifest::Opened;
use super::runner::Failure;
use super::store::StoreError;
use crate::Database;
use crate::catalog::{Becomes, RecordChange};
use crate::error::{Error, Result};
use crate::history::Past;
use crate::jobs::Lease;
use crate::keyspace;
use crate::record::{IndexStatus, TableStatus};
use crate::stream::Cause;
use crate::table::{ItemKey, Table};
use crate::write::{Caused, plan_caused};

/// A commit takes no more items once its items, each with all its index entries, have this many bytes.
const COMMIT_BYTES: usize = 8 << 20;
/// The most items of one commit. Tests have commits of few.
const COMMIT_ITEMS: usize = if cfg!(test) { 5 } else { 10_000 };
/// How much of a table's past is read at once: about a commit.
const READ_FOR_COMMIT: ScanLimit = ScanLimit { rows: if cfg!(test) { 7 } else { 8000 }, bytes: 4 << 20 };

impl Database {
    /// Fills a restored table and makes it active.
    pub(super) async fn fill_restored(
        &self,
        lease: &mut Lease,
        record: &JobRecord,
    ) -> std::result::Result<(), Failure> {
        let Work::Restore { target, source } = &record.work else { return Ok(()) };
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let table = self.table_at(&snapshot, &target.key()).await?;
        let mine = |table: &Arc<Table>| {
            table.record.restored.as_ref().is_some_and(|restored| restored.job.as_ref() == Some(&record.id))
        };
        if let Some(table) = table.filter(mine) {
            match source {
                Source::Backup(place) => self.fill_from_backup(lease, record, &table, place).await?,
                Source::Table { id, generation, at, .. } => {
                    if !self.hold_source(record).await? {
                        return Err(Failure::Lost("the history that a restore reads is gone".to_owned()));
                    }
                    let job = record.job()?;
                    let at: Position = match at {
                        Some(at) => Source::parse_position(at)?,
                        None => self.job_position(job).await?,
                    };
                    self.fill_from_past(lease, record, &table, Past::at(*id, *generation, at, job)).await?;
                }
            }
            self.activate(&target.key(), record).await?;
        }
        Ok(self.end_restore(lease, record).await?)
    }

    async fn fill_from_past(
        &self,
        lease: &mut Lease,
        record: &JobRecord,
        table: &Arc<Table>,
        mut past: Past,
    ) -> Result<()> {
        let progress = keyspace::job_progress(record.job()?);
        let after = self.snapshot(Freshness::Latest).await?.get(&progress).await?;
        let mut portion = Portion::new(self, table, progress);
        let filled = self.fill_pages(lease, &mut past, after, &mut portion).await;
        // Nothing may be under way any more when somebody looks how far it has come.
        let settled = portion.settle().await;
        filled.and(settled)
    }

    async fn fill_pages(
        &self,
        lease: &mut Lease,
        past: &mut Past,
        mut after: Option<Value>,
        portion: &mut Portion<'_>,
    ) -> Result<()> {
        loop {
            let page = past.page(self, lease, after.as_deref(), READ_FOR_COMMIT).await?;
            for (suffix, item) in page.items {
                let key = ItemKey::from_suffix(portion.table, &suffix);
                if portion.add(key, &item) {
                    portion.commit(lease, suffix).await?;
                }
            }
            let Some(next) = page.next else { return portion.commit(lease, behind_all_keys()).await };
            portion.commit(lease, next.clone()).await?;
            after = Some(next);
        }
    }

    async fn fill_from_backup(
        &self,
        lease: &mut Lease,
        record: &JobRecord,
        table: &Arc<Table>,
        place: &BackupPlace,
    ) -> std::result::Result<(), Failure> {
        let progress = keyspace::job_progress(record.job()?);
        let done = self.snapshot(Freshness::Latest).await?.get(&progress).await?;
        let from = done.map_or(Ok((0, 0)), |done| parse_progress(&done))?;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let known = self.backup_at(&snapshot, place).await?;
        let known = known.ok_or_else(|| Failure::Lost("the backup that a restore reads is gone".to_owned()))?;
        let missing = || StoreError::Damaged(format!("the manifest of backup {} is missing", place.id));
        let opened = self.open_backup(&place.id, Some(&known)).await?.ok_or_else(missing)?;
        let mut portion = Portion::new(self, table, progress);
        let filled = self.fill_blocks(lease, opened, from, &mut portion).await;
        // Nothing may be under way any more when somebody looks how far it has come.
        let settled = portion.settle().await;
        filled.and(settled.map_err(Failure::from))
    }

    async fn fill_blocks(
        &self,
        lease: &mut Lease,
        opened: Opened,
        (mut number, mut skip): (usize, usize),
        portion: &mut Portion<'_>,
    ) -> std::result::Result<(), Failure> {
        let (manifest, key) = (Arc::new(opened.manifest), opened.key.map(Arc::new));
        let read = |number: usize| {
            let (store, manifest, key) = (self.backup_store().clone(), Arc::clone(&manifest), key.clone());
            tokio::spawn(async move { manifest.block(&store, key, number).await })
        };
        let mut next = (number < manifest.blocks.len()).then(|| read(number));
        while let Some(reading) = next.take() {
            let items = reading.await.map_err(|error| StoreError::Unavailable(error.to_string()))??;
            // The next block is read while this one is written.
            next = (number + 1 < manifest.blocks.len()).then(|| read(number + 1));
            for (at, item) in items.iter().enumerate().skip(skip) {
                let key = portion.table.key_of_stored(&self.key_secret(), item)?;
                if portion.add(key, item) {
                    portion.commit(lease, progress_value(number, at + 1)).await?;
                }
            }
            portion.commit(lease, progress_value(number + 1, 0)).await?;
            (number, skip) = (number + 1, 0);
        }
        Ok(())
    }

    /// Makes a filled table usable.
    async fn activate(&self, key: &Key, job: &JobRecord) -> Result<()> {
        self.change_record(key, |record| {
            let unchanged = RecordChange { record: Becomes::Unchanged, writes: Vec::new() };
            let Some(mut record) = record else { return Ok((unchanged, ())) };
            match &mut record.restored {
                Some(restored) if restored.job.as_ref() == Some(&job.id) => restored.job = None,
                _ => return Ok((unchanged, ())),
            }
            record.status = TableStatus::Active;
            record.global_indexes.iter_mut().for_each(|index| index.status = IndexStatus::Active);
            Ok((RecordChange { record: Becomes::Record(Box::new(record)), writes: Vec::new() }, ()))
        })
        .await
    }

    /// Lets go of what the job has read and leaves nothing of it.
    async fn end_restore(&self, lease: &mut Lease, record: &JobRecord) -> Result<()> {
        let job = record.job()?;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let gathered = snapshot.get(&keyspace::gathering_progress(job)).await?.is_some();
        let Work::Restore { source: Source::Table { table, id, .. }, .. } = &record.work else {
            return self.commit_as(lease, forget(job, lease, None)).await;
        };
        let writes = forget(job, lease, gathered.then_some(*id));
        if self.release(&table.key(), *id, &record.id, &writes).await? {
            return Ok(());
        }
        self.commit_as(lease, writes).await
    }

    /// Gives a restore up: its table goes, with all that it has got.
    pub(super) async fn abandon_restore(&self, record: &JobRecord) -> Result<()> {
        if let Work::Restore { target, .. } = &record.work {
            self.change_record(&target.key(), |table| {
                let mine = |restored: &crate::record::Restored| restored.job.as_ref() == Some(&record.id);
                let Some(table) = table.filter(|table| table.restored.as_ref().is_some_and(mine)) else {
                    return Ok((RecordChange { record: Becomes::Unchanged, writes: Vec::new() }, ()));
                };
                let retire = |space| Write::Retire { prefix: keyspace::table_prefix(space, table.id).into() };
                let writes = keyspace::TABLE_SPACES.map(retire).to_vec();
                Ok((RecordChange { record: Becomes::Gone, writes }, ()))
            })
            .await?;
        }
        self.end_restore(&mut super::runner::lease_of(record), record).await
    }
}

/// How far a restore from a backup has come: whole blocks, and items of the next.
fn progress_value(blocks: usize, items: usize) -> Value {
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes();
    [number(blocks), number(items)].concat().into()
}

fn parse_progress(value: &[u8]) -> Result<(usize, usize)> {
    let read = || {
        let (blocks, items) = value.split_first_chunk()?;
        let number = |bytes: &[u8; 8]| usize::try_from(u64::from_be_bytes(*bytes)).ok();
        Some((number(blocks)?, number(items.first_chunk()?)?))
    };
    read().ok_or_else(|| Error::Internal("the progress of a restore can not be read".to_owned()))
}

/// The progress of a restore from a table that has copied everything: longer than partition hash and sort key can be.
fn behind_all_keys() -> Value {
    vec![0xFF; 4096].into()
}

/// Items on their way into a table in one commit.
struct Portion<'a> {
    database: &'a Database,
    table: &'a Table,
    /// Where it is kept how far the filling has come.
    progress: Key,
    /// The commit before, until it is known how it ended.
    under_way: Option<JoinHandle<std::result::Result<Committed, CommitError>>>,
    writes: Vec<Write>,
    /// What is added to each counter: one write for all items.
    counts: HashMap<Key, i64>,
    items: usize,
    bytes: usize,
}

impl<'a> Portion<'a> {
    fn new(database: &'a Database, table: &'a Table, progress: Key) -> Self {
        let (writes, counts) = (Vec::new(), HashMap::new());
        Self { database, table, progress, under_way: None, writes, counts, items: 0, bytes: 0 }
    }

    /// Adds an item that the table does not have, and says whether it is time to commit.
    fn add(&mut self, key: ItemKey, item: &StoredItem) -> bool {
        let caused = Caused { by: Cause::Request, skip_item: false };
        let mut planned = Vec::with_capacity(4);
        plan_caused(&self.database.planning(), self.table, &key, (None, Some(item)), caused, &mut planned);
        for write in planned {
            match write {
                Write::Add { key, delta } => *self.counts.entry(key).or_default() += delta,
                other => self.writes.push(other),
            }
        }
        self.items += 1;
        self.bytes += item.as_bytes().len() * (1 + self.table.indexes.len());
        self.items >= COMMIT_ITEMS || self.bytes >= COMMIT_BYTES
    }

    /// Waits for the commit before, and begins that of what was added, with how far that is.
    async fn commit(&mut self, lease: &mut Lease, value: Value) -> Result<()> {
        self.settle().await?;
        let mut writes = std::mem::take(&mut self.writes);
        writes.push(Write::Put { key: self.progress.clone(), value });
        writes.extend(self.counts.drain().map(|(key, delta)| Write::Add { key, delta }));
        (self.items, self.bytes) = (0, 0);
        lease.keep(self.database).await?;
        let snapshot = self.database.snapshot(Freshness::Latest).await?;
        lease.check(&snapshot).await?;
        let reads = vec![Read::Key(lease.key()), Read::Key(self.table.catalog_key.clone())];
        let commit = Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false };
        let store = self.database.store().clone();
        self.under_way = Some(tokio::spawn(async move { store.commit(commit).await }));
        Ok(())
    }

    /// Waits for the commit that is under way.
    async fn settle(&mut self) -> Result<()> {
        let Some(under_way) = self.under_way.take() else { return Ok(()) };
        match under_way.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(CommitError::Conflict | CommitError::TooOld)) => Err(Error::Contention),
            Ok(Err(other)) => Err(other.into()),
            Err(error) => Err(Error::Internal(format!("a commit of a restore broke: {error}"))),
        }
    }
}
