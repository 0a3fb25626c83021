//! Reading backups without restoring them, for checks.

use std::collections::HashSet;
use std::sync::Arc;

use partita_engine::{Direction, Freshness, Key, KeyRange, ScanLimit};
use partita_model::StoredItem;

use super::job::from_json;
use super::record::{BackupRecord, is_id};
use super::runner::Failure;
use crate::Database;
use crate::error::{Error, Result};
use crate::keyspace::{self, JobId};

/// Why a backup is not what it should be.
#[derive(Debug)]
pub(crate) enum BackupFailure {
    /// It has no manifest.
    Missing,
    /// It can not be restored.
    Broken(String),
}

impl From<Failure> for BackupFailure {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure.to_string())
    }
}

impl Database {
    /// Reads a backup of the store whole. `count` is told of items and their bytes.
    pub(crate) async fn verify_backup(
        &self,
        id: &str,
        known: Option<&BackupRecord>,
        mut count: impl FnMut(usize, usize),
    ) -> std::result::Result<(), BackupFailure> {
        let opened = self.open_backup(id, known).await?.ok_or(BackupFailure::Missing)?;
        let (manifest, key) = (opened.manifest, opened.key.map(Arc::new));
        let (mut items, mut bytes) = (0, 0);
        for number in 0..manifest.blocks.len() {
            let block = manifest.block(self.backup_store(), key.clone(), number).await.map_err(Failure::from)?;
            let size: usize = block.iter().map(StoredItem::size).sum();
            count(block.len(), size);
            items += i64::try_from(block.len()).unwrap_or(i64::MAX);
            bytes += i64::try_from(size).unwrap_or(i64::MAX);
        }
        for said in [Some(&manifest.backup), known].into_iter().flatten() {
            if (said.items, said.bytes) != (items, bytes) {
                return Err(BackupFailure::Broken(format!(
                    "it has {items} items of {bytes} bytes, {} of {} are said to be",
                    said.items, said.bytes
                )));
            }
        }
        Ok(())
    }

    /// All backups that the catalog has and that can be read there.
    pub(crate) async fn catalogued_backups(&self) -> Result<Vec<BackupRecord>> {
        let rows = self.opened_rows(keyspace::backups()).await?;
        Ok(rows.into_iter().filter_map(|(_, value)| from_json(&value?).ok()).collect())
    }

    /// The ids of all that may be backups in the store.
    pub(crate) async fn stored_backups(&self) -> Result<Vec<String>> {
        let ids = self.backup_store().backups().await;
        let mut ids =
            ids.map_err(|error| Error::Internal(format!("the backup store can not be looked through: {error}")))?;
        ids.retain(|id| is_id(id));
        Ok(ids)
    }

    /// The backups and restores under way.
    pub(crate) async fn job_ids(&self) -> Result<HashSet<JobId>> {
        let rows = self.opened_rows(keyspace::backup_jobs()).await?;
        let id = |(key, _): (Key, _)| key.get(1..).and_then(|id| id.try_into().ok()).map(JobId::from_be_bytes);
        Ok(rows.into_iter().filter_map(id).collect())
    }

    /// The rows of a few records, with the values of those that open.
    async fn opened_rows(&self, prefix: Key) -> Result<Vec<(Key, Option<bytes::Bytes>)>> {
        let (mut range, mut all) = (KeyRange::prefix(prefix), Vec::new());
        loop {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let (rows, more) = snapshot.scan_each(&range, Direction::Forward, ScanLimit::PAGE).await?;
            all.extend(rows.into_iter().map(|(key, value)| (key, value.ok())));
            match all.last() {
                Some((last, _)) if more => range = range.after(last),
                _ => return Ok(all),
            }
        }
    }
}
