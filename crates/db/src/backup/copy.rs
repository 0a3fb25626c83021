//! Writing a backup: the table as it was at the job's moment, block by block, and the manifest last.
//!
//! A job that was interrupted begins its blocks anew: what it read stays readable, because it holds the table's history.

use std::sync::Arc;

use bytes::Bytes;
use partita_engine::{Freshness, ScanLimit, Write};
use tokio::task::JoinHandle;

use super::block::Block;
use super::job::{BackupPlace, JobRecord, forget};
use super::manifest::{BlockEntry, MANIFEST, Manifest, block_name, sealed_name};
use super::record::{BackupKind, BackupRecord, BackupStatus};
use super::runner::Failure;
use super::store::{BackupStore, StoreError};
use crate::Database;
use crate::catalog::{Becomes, RecordChange};
use crate::crypt::BackupKey;
use crate::error::{Error, Result};
use crate::history::Past;
use crate::jobs::Lease;
use crate::keyspace::{self, JobId};

/// How much of a table is read at once. Tests have pages of few items.
pub(crate) const READ_AT_ONCE: ScanLimit = ScanLimit { rows: if cfg!(test) { 7 } else { 4000 }, bytes: 2 << 20 };

impl Database {
    /// Writes a backup and makes it available.
    pub(super) async fn write_backup(
        &self,
        lease: &mut Lease,
        record: &JobRecord,
        place: &BackupPlace,
    ) -> std::result::Result<(), Failure> {
        let job = record.job()?;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let Some(backup) = self.backup_at(&snapshot, place).await? else {
            return Ok(self.commit_as(lease, forget(job, lease, None)).await?);
        };
        if backup.status == BackupStatus::Creating {
            let mut past = self.past_of(job, &backup).await?;
            let store = self.backup_store().clone();
            // What an interrupted attempt has left.
            store.remove(&backup.id, MANIFEST).await?;
            let (manifest, key) = self.write_blocks(lease, &mut past, backup).await?;
            let backup = manifest.backup.clone();
            manifest.write(&store, key.as_deref()).await?;
            self.finish_backup(lease, record, vec![backup.write()?]).await?;
        } else {
            self.finish_backup(lease, record, Vec::new()).await?;
        }
        Ok(())
    }

    /// The table as the backup is to show it.
    async fn past_of(&self, job: JobId, backup: &BackupRecord) -> Result<Past> {
        if backup.kind == BackupKind::System {
            return Ok(Past::unchanging(backup.table.id));
        }
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let key = keyspace::catalog_key(&backup.table.account, &backup.table.region, &backup.table.name);
        let table = self.table_at(&snapshot, &key).await?.filter(|table| table.record.id == backup.table.id);
        let history = table.and_then(|table| table.record.logs.history);
        let history = history.ok_or_else(|| Error::Internal("the history that a backup needs is gone".to_owned()))?;
        Ok(Past::at(backup.table.id, history.generation, self.job_position(job).await?, job))
    }

    async fn write_blocks(
        &self,
        lease: &mut Lease,
        past: &mut Past,
        mut backup: BackupRecord,
    ) -> std::result::Result<(Manifest, Option<Arc<BackupKey>>), Failure> {
        (backup.items, backup.bytes) = (0, 0);
        let (key, wrapped) = self.store().new_backup_key(&backup.table).await?.unzip();
        backup.key = wrapped;
        let key = key.map(Arc::new);
        let mut writer = Writer::new(self.backup_store().clone(), backup.id.clone(), key.clone());
        let mut block = Block::default();
        let mut after = None;
        loop {
            let page = past.page(self, lease, after.as_deref(), READ_AT_ONCE).await?;
            for (_, item) in &page.items {
                block.add(item);
                backup.items += 1;
                backup.bytes += i64::try_from(item.size()).unwrap_or(0);
                if block.is_full() {
                    writer.write(std::mem::take(&mut block)).await?;
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        if !block.is_empty() {
            writer.write(block).await?;
        }
        backup.status = BackupStatus::Available;
        Ok((Manifest::new(backup, writer.finish().await?), key))
    }

    /// Lets go of the table, or of what was left of it, and leaves nothing of the job but `outcome`.
    pub(super) async fn finish_backup(&self, lease: &mut Lease, record: &JobRecord, outcome: Vec<Write>) -> Result<()> {
        let job = record.job()?;
        let super::job::Work::Backup(place) = &record.work else { return Ok(()) };
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let gathered = snapshot.get(&keyspace::gathering_progress(job)).await?.is_some();
        let Some(backup) = self.backup_at(&snapshot, place).await? else {
            return self.commit_as(lease, forget(job, lease, None)).await;
        };
        let gathered = gathered.then_some(backup.table.id);
        let mut writes = outcome;
        writes.extend(forget(job, lease, gathered));
        if backup.kind == BackupKind::System {
            let items = keyspace::table_prefix(keyspace::SPACE_ITEM, backup.table.id);
            writes.push(Write::Retire { prefix: items.into() });
            return self.commit_as(lease, writes).await;
        }
        let key = keyspace::catalog_key(&backup.table.account, &backup.table.region, &backup.table.name).into();
        let released = self.release(&key, backup.table.id, &record.id, &writes).await?;
        if released { Ok(()) } else { self.commit_as(lease, writes).await }
    }

    /// Takes a job's hold off a table, with further writes in the same commit. Says `false`, and writes nothing, when the
    /// table is gone or not held.
    pub(crate) async fn release(
        &self,
        key: &partita_engine::Key,
        table: u32,
        job: &str,
        writes: &[Write],
    ) -> Result<bool> {
        self.change_record(key, |record| {
            let unchanged = RecordChange { record: Becomes::Unchanged, writes: Vec::new() };
            let Some(mut record) = record.filter(|record| record.id == table) else { return Ok((unchanged, false)) };
            if !record.logs.holds.remove(job) {
                return Ok((unchanged, false));
            }
            Ok((RecordChange { record: Becomes::Record(Box::new(record)), writes: writes.to_vec() }, true))
        })
        .await
    }

    /// Removes a backup that is being deleted from its store, and then its record.
    pub(super) async fn remove_backup(&self, place: &BackupPlace) -> std::result::Result<(), Failure> {
        self.backup_store().remove(&place.id, MANIFEST).await?;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let commit = partita_engine::Commit {
            read_version: snapshot.version(),
            reads: Vec::new(),
            writes: vec![Write::Delete { key: place.key() }],
            catalog_changed: false,
        };
        self.store().commit(commit).await.map_err(Error::from)?;
        Ok(())
    }
}

/// Writes blocks one after the other, each while the next is read.
struct Writer {
    store: BackupStore,
    id: String,
    key: Option<Arc<BackupKey>>,
    written: Vec<BlockEntry>,
    under_way: Option<JoinHandle<std::result::Result<BlockEntry, StoreError>>>,
}

impl Writer {
    fn new(store: BackupStore, id: String, key: Option<Arc<BackupKey>>) -> Self {
        Self { store, id, key, written: Vec::new(), under_way: None }
    }

    async fn write(&mut self, block: Block) -> std::result::Result<(), Failure> {
        self.wait().await?;
        let (store, id, number) = (self.store.clone(), self.id.clone(), self.written.len());
        let key = self.key.clone();
        self.under_way = Some(tokio::spawn(async move {
            let name = sealed_name(&id, number);
            let (bytes, entry) = blocking(move || {
                let mut bytes: Bytes = block.encode();
                if let Some(key) = key {
                    let sealed = key.seal(&name, &bytes);
                    bytes = sealed.map_err(|error| StoreError::Unavailable(error.to_string()))?;
                }
                let entry = BlockEntry::of(block.items(), &bytes);
                Ok((bytes, entry))
            })
            .await?;
            store.put(&id, &block_name(number), bytes).await?;
            Ok(entry)
        }));
        Ok(())
    }

    async fn wait(&mut self) -> std::result::Result<(), Failure> {
        if let Some(under_way) = self.under_way.take() {
            self.written.push(joined(under_way.await)?);
        }
        Ok(())
    }

    async fn finish(mut self) -> std::result::Result<Vec<BlockEntry>, Failure> {
        self.wait().await?;
        Ok(self.written)
    }
}

fn joined<T>(
    result: std::result::Result<std::result::Result<T, StoreError>, tokio::task::JoinError>,
) -> std::result::Result<T, StoreError> {
    result.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
}

/// Runs what takes long where it keeps nobody else from running.
pub(super) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> std::result::Result<T, StoreError> + Send + 'static,
) -> std::result::Result<T, StoreError> {
    joined(tokio::task::spawn_blocking(call).await)
}
