//! RestoreTableFromBackup and RestoreTableToPointInTime: checked here, and begun as jobs.
//!
//! The new table's record and the job are made in one commit. Then what the job reads is held: a table's history by the
//! job's name in that table's record, a backup by the job itself, which DeleteBackup looks for.

use partita_engine::{Freshness, Key, Position, Write};
use partita_model::ErrorCode;

use super::job::{JobRecord, Source, TablePlace, Work};
use super::record::{BackupRecord, BackupStatus};
use super::requests::{in_use, no_backup, place_of};
use crate::Database;
use crate::catalog::{Becomes, RecordChange, catalog_key_of};
use crate::error::{Error, Result};
use crate::history::{RecoveryWindow, no_table};
use crate::keyspace;
use crate::limits::MAX_TABLES;
use crate::record::{IndexStatus, Restored, TableRecord, TableStatus};
use crate::scope::Scope;
use crate::stream::next_ordinal;
use crate::tables::{Described, RestoreOverrides};

/// Which state of a table is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestorePoint {
    /// As it is now.
    Latest,
    /// As it was at this second since the epoch.
    At(u64),
}

impl Database {
    /// Begins to restore a backup into a new table (RestoreTableFromBackup), and returns that: being created.
    ///
    /// # Errors
    /// `BackupNotFoundException`, `BackupInUseException` while the backup is made, `TableAlreadyExistsException`,
    /// `TableInUseException` while a table of the name is made, `ValidationException` when the overrides do not fit,
    /// `LimitExceededException` past a quota.
    pub async fn restore_from_backup(
        &self,
        scope: &Scope,
        arn: &str,
        target: &str,
        overrides: &RestoreOverrides,
    ) -> Result<Described> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let place = place_of(arn)?;
        let backup = self.backup_at(&snapshot, &place).await?.filter(|backup| backup.arn() == arn);
        let backup = backup.filter(|backup| backup.status != BackupStatus::Deleting).ok_or_else(|| no_backup(arn))?;
        if backup.status == BackupStatus::Creating {
            return Err(in_use("Backup is being created"));
        }
        let source = Source::Backup(place.clone());
        let restored = Restored {
            table_arn: backup.table.arn(),
            backup_arn: Some(arn.to_owned()),
            at_ms: backup.created_ms,
            job: None,
        };
        let new = New { scope, name: target, of: &backup.table, overrides, restored, source };
        let (job, described) = self.begin_restore(new).await?;
        let available = |backup: BackupRecord| backup.status == BackupStatus::Available;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        if !self.backup_at(&snapshot, &place).await?.is_some_and(available) {
            // It was deleted at the same time, and first.
            self.abandon_restore(&job).await?;
            return Err(no_backup(arn));
        }
        self.wake_recovery();
        Ok(described)
    }

    /// Begins to restore a table as it was into a new table (RestoreTableToPointInTime), and returns that: being created.
    ///
    /// # Errors
    /// `TableNotFoundException`, `PointInTimeRecoveryUnavailableException` when recovery is off,
    /// `InvalidRestoreTimeException` outside the window, `TableAlreadyExistsException`, `TableInUseException` while a
    /// table of the name is made, `ValidationException` when the overrides do not fit, `LimitExceededException` past a
    /// quota.
    pub async fn restore_to_point(
        &self,
        scope: &Scope,
        source: &str,
        point: RestorePoint,
        target: &str,
        overrides: &RestoreOverrides,
    ) -> Result<Described> {
        let key = catalog_key_of(scope, source);
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let table = self.table_at(&snapshot, &key).await?.ok_or_else(|| no_table(source))?;
        let record = &table.record;
        let (Some(recovery), Some(history)) = (&record.recovery, record.logs.history) else {
            return Err(Error::refused(
                ErrorCode::PointInTimeRecoveryUnavailableException,
                format!("Point in time recovery is not enabled for table '{}'", record.name),
            ));
        };
        let now_ms = self.now_ms();
        let (at, at_ms) = match point {
            RestorePoint::Latest => (None, now_ms),
            RestorePoint::At(second) => {
                let window = RecoveryWindow::of(recovery, now_ms);
                if !(window.earliest..=window.latest).contains(&second) {
                    return Err(invalid_time());
                }
                let start = self.recovery_start(&snapshot, record.id).await?.unwrap_or(Position::MIN);
                let log = keyspace::history(record.id, history.generation);
                let at = self.position_at(&snapshot, &log, start, second).await?;
                (Some(at), second.saturating_mul(1000))
            }
        };
        let source = Source::Table {
            table: TablePlace {
                account: record.account.clone(),
                region: record.region.clone(),
                name: record.name.clone(),
            },
            id: record.id,
            generation: history.generation,
            at: at.map(Source::position),
        };
        let restored = Restored { table_arn: record.arn(), backup_arn: None, at_ms, job: None };
        let new = New { scope, name: target, of: record, overrides, restored, source };
        let (job, described) = self.begin_restore(new).await?;
        if !self.hold_source(&job).await? {
            // Recovery was switched off, or the table deleted, or that time forgotten, at the same moment and first.
            self.abandon_restore(&job).await?;
            return Err(invalid_time());
        }
        self.wake_recovery();
        Ok(described)
    }

    async fn begin_restore(&self, new: New<'_>) -> Result<(JobRecord, Described)> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        self.check_job_limit(&snapshot).await?;
        let New { scope, name, of, overrides, restored, source } = new;
        let now_ms = self.now_ms();
        let mut record = overrides.restored(of, name, scope, now_ms)?;
        record.uuid = crate::tables::new_uuid()?;
        if let Some(key_id) = overrides.encryption.as_ref().and_then(|encryption| encryption.key_id.as_deref()) {
            record.root_key = Some(self.store().root_key(key_id, scope).await?);
        }
        record.status = TableStatus::Creating;
        record.global_indexes.iter_mut().for_each(|index| index.status = IndexStatus::Creating);
        let target =
            TablePlace { account: record.account.clone(), region: record.region.clone(), name: name.to_owned() };
        let key = target.key();
        let (id, job) = JobRecord::new(Work::Restore { target, source });
        record.restored = Some(Restored { job: Some(job.id.clone()), ..restored });
        let full = self.table_names(scope, None, MAX_TABLES).await?.names.len() >= MAX_TABLES;
        self.change_record(&key, |existing| {
            check_free(existing.as_ref(), name)?;
            if full {
                return Err(Error::refused(
                    ErrorCode::LimitExceededException,
                    format!("Subscriber limit exceeded: There is a limit of {MAX_TABLES} tables per subscriber"),
                ));
            }
            let mut writes = vec![job.write()?];
            writes.push(Write::PutAtPosition {
                prefix: keyspace::job_position(id).into(),
                suffix: Key::new(),
                ordinal: next_ordinal(&writes),
                value: Key::new(),
            });
            Ok((RecordChange { record: Becomes::Record(Box::new(record.clone())), writes }, ()))
        })
        .await?;
        let key = self.store().key_state(&record);
        let described = Described { record, counts: crate::tables::Counts::default(), at_ms: now_ms, key };
        Ok((job, described))
    }

    /// Has a table's history kept for a job that reads it. Says `false` when what the job reads is gone.
    pub(super) async fn hold_source(&self, job: &JobRecord) -> Result<bool> {
        let Work::Restore { source: Source::Table { table, id, generation, at }, .. } = &job.work else {
            return Ok(true);
        };
        let held = self
            .change_record(&table.key(), |record| {
                let unchanged = RecordChange { record: Becomes::Unchanged, writes: Vec::new() };
                let reaches_back = |record: &TableRecord| {
                    record.id == *id && record.logs.history.is_some_and(|history| history.generation == *generation)
                };
                let Some(mut record) = record.filter(reaches_back) else { return Ok((unchanged, false)) };
                if !record.logs.holds.insert(job.id.clone()) {
                    return Ok((unchanged, true));
                }
                Ok((RecordChange { record: Becomes::Record(Box::new(record)), writes: Vec::new() }, true))
            })
            .await?;
        // Nothing is trimmed any more; was it before?
        let Some(at) = at.as_deref().filter(|_| held) else { return Ok(held) };
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let trimmed = snapshot.get(&keyspace::history_trimmed(*id, *generation)).await?;
        let trimmed = trimmed.and_then(|value| Position::from_slice(&value)).unwrap_or(Position::MIN);
        Ok(Source::parse_position(at)? >= trimmed)
    }
}

/// A table that is to be restored.
struct New<'a> {
    scope: &'a Scope,
    name: &'a str,
    /// What it is restored from, as that was.
    of: &'a TableRecord,
    overrides: &'a RestoreOverrides,
    restored: Restored,
    source: Source,
}

fn check_free(existing: Option<&TableRecord>, name: &str) -> Result<()> {
    match existing {
        None => Ok(()),
        Some(table) if table.status == TableStatus::Creating => {
            Err(Error::refused(ErrorCode::TableInUseException, format!("Table is being created: {name}")))
        }
        Some(_) => Err(Error::refused(ErrorCode::TableAlreadyExistsException, format!("Table already exists: {name}"))),
    }
}

fn invalid_time() -> Error {
    Error::refused(
        ErrorCode::InvalidRestoreTimeException,
        "The restore time is not between EarliestRestorableDateTime and LatestRestorableDateTime",
    )
}
