//! CreateBackup, DescribeBackup, ListBackups and DeleteBackup.

use partita_engine::{Commit, CommitError, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Write};
use partita_model::ErrorCode;

use super::job::{BackupPlace, JobRecord, Source, Work, from_json, to_json};
use super::record::{BackupKind, BackupRecord, BackupStatus, is_id, new_id};
use crate::Database;
use crate::catalog::{Becomes, RecordChange, back_off, catalog_key_of};
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::history::no_table;
use crate::keyspace;
use crate::limits::MAX_ATTEMPTS;
use crate::record::{Logs, TableRecord, TableStatus};
use crate::scope::{Scope, TableArn};
use crate::stream::next_ordinal;
use crate::tables::Count;

/// The most backups and restores under way at once ("Quotas": 500 simultaneous table operations).
pub(super) const MAX_JOBS: usize = 500;
/// How long a system backup is kept ("Backup and restore": 35 days).
const SYSTEM_BACKUP_MS: u64 = 35 * 24 * 60 * 60 * 1000;

/// Which backups ListBackups is to list.
#[derive(Clone, Debug, Default)]
pub struct BackupFilter {
    /// Those of this table, by name or ARN.
    pub table: Option<String>,
    /// Those made at or after this time, in milliseconds since the epoch.
    pub from_ms: Option<u64>,
    /// Those made before this time, in milliseconds since the epoch.
    pub before_ms: Option<u64>,
    /// Those that one of these asked for.
    pub kinds: Vec<BackupKind>,
    /// Those behind the one with this ARN.
    pub after: Option<String>,
    /// The most to list.
    pub limit: usize,
}

/// A page of backups, oldest first.
#[derive(Clone, Debug, Default)]
pub struct BackupPage {
    /// The backups.
    pub backups: Vec<BackupRecord>,
    /// Whether there are more.
    pub more: bool,
}

/// The refusal when there is no such backup.
pub(super) fn no_backup(arn: &str) -> Error {
    Error::refused(ErrorCode::BackupNotFoundException, format!("Backup not found: {arn}"))
}

pub(super) fn in_use(what: &str) -> Error {
    Error::refused(ErrorCode::BackupInUseException, what.to_owned())
}

/// Where the record of the backup with this ARN lies.
pub(super) fn place_of(arn: &str) -> Result<BackupPlace> {
    let parse = || {
        let parsed = TableArn::parse(arn)?;
        let id = parsed.rest?.strip_prefix("backup/").filter(|id| is_id(id))?;
        Some(BackupPlace { account: parsed.account.to_owned(), region: parsed.region.to_owned(), id: id.to_owned() })
    };
    parse().ok_or_else(|| no_backup(arn))
}

/// A backup that is to be made of a table as it is now.
fn new_backup(table: &TableRecord, name: String, kind: BackupKind, count: Count, now_ms: u64) -> BackupRecord {
    let mut table = table.clone();
    table.logs = Logs::default();
    table.tags.clear();
    (table.recovery, table.restored, table.status) = (None, None, TableStatus::Active);
    BackupRecord {
        id: new_id(now_ms),
        name,
        kind,
        status: BackupStatus::Creating,
        created_ms: now_ms,
        expires_ms: (kind == BackupKind::System).then(|| now_ms.saturating_add(SYSTEM_BACKUP_MS)),
        bytes: count.bytes,
        items: count.items,
        key: None,
        table,
    }
}

impl BackupRecord {
    pub(super) fn place(&self) -> BackupPlace {
        BackupPlace { account: self.table.account.clone(), region: self.table.region.clone(), id: self.id.clone() }
    }

    pub(super) fn write(&self) -> Result<Write> {
        Ok(Write::Put { key: self.place().key(), value: to_json(self)? })
    }
}

/// The writes that have the items of a table that is being deleted backed up: its items must stay until that is done.
pub(crate) fn system_backup(table: &TableRecord, count: Count, now_ms: u64) -> Result<Vec<Write>> {
    let name = format!("{}$DeletedTableBackup", table.name);
    let backup = new_backup(table, name, BackupKind::System, count, now_ms);
    let (_, job) = JobRecord::new(Work::Backup(backup.place()));
    Ok(vec![backup.write()?, job.write()?])
}

impl Database {
    /// Begins a backup of a table as it is at this moment (CreateBackup).
    ///
    /// # Errors
    /// `TableNotFoundException`, `ContinuousBackupsUnavailableException` while the table is made,
    /// `LimitExceededException` when 500 backups and restores are under way.
    pub async fn create_backup(&self, scope: &Scope, name_or_arn: &str, name: &str) -> Result<BackupRecord> {
        self.check_backups()?;
        let key = catalog_key_of(scope, name_or_arn);
        let snapshot = self.snapshot(Freshness::Latest).await?;
        self.check_job_limit(&snapshot).await?;
        let count = self.described_at(&snapshot, &key).await?.map(|described| described.counts.table());
        let backup = self
            .change_record(&key, |record| {
                let mut record = record.ok_or_else(|| no_table(name_or_arn))?;
                if record.status == TableStatus::Creating {
                    return Err(Error::refused(
                        ErrorCode::ContinuousBackupsUnavailableException,
                        format!("Backups are being enabled for the table: {}. Please retry later", record.name),
                    ));
                }
                let count = count.unwrap_or_default();
                let backup = new_backup(&record, name.to_owned(), BackupKind::User, count, self.now_ms());
                let (id, job) = JobRecord::new(Work::Backup(backup.place()));
                let mut writes = vec![backup.write()?, job.write()?];
                writes.push(Write::PutAtPosition {
                    prefix: keyspace::job_position(id).into(),
                    suffix: Key::new(),
                    ordinal: next_ordinal(&writes),
                    value: Key::new(),
                });
                record.logs.holds.insert(job.id);
                Ok((RecordChange { record: Becomes::Record(Box::new(record)), writes }, backup))
            })
            .await?;
        self.wake_recovery();
        Ok(backup)
    }

    pub(super) async fn check_job_limit(&self, snapshot: &Snapshot) -> Result<()> {
        if self.backup_jobs(snapshot).await?.len() < MAX_JOBS {
            return Ok(());
        }
        let message = format!("Subscriber limit exceeded: Only {MAX_JOBS} backups and restores can run simultaneously");
        Err(Error::refused(ErrorCode::LimitExceededException, message))
    }

    /// A backup (DescribeBackup).
    ///
    /// # Errors
    /// `BackupNotFoundException` when there is none.
    pub async fn describe_backup(&self, arn: &str) -> Result<BackupRecord> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        self.backup_at(&snapshot, &place_of(arn)?)
            .await?
            .filter(|backup| backup.status != BackupStatus::Deleting && backup.arn() == arn)
            .ok_or_else(|| no_backup(arn))
    }

    pub(super) async fn backup_at(&self, snapshot: &Snapshot, place: &BackupPlace) -> Result<Option<BackupRecord>> {
        snapshot.get(&place.key()).await?.map(|value| from_json(&value)).transpose()
    }

    /// A page of an account's backups in a region (ListBackups).
    ///
    /// # Errors
    /// An engine failure.
    pub async fn list_backups(&self, scope: &Scope, filter: &BackupFilter) -> Result<BackupPage> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let mut range = KeyRange::prefix(keyspace::backups_of(&scope.account, &scope.region));
        if let Some(after) = &filter.after {
            range = range.after(&place_of(after)?.key());
        }
        let mut listed = BackupPage::default();
        loop {
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (_, value) in &page.rows {
                let backup: BackupRecord = from_json(value)?;
                if !filter.admits(&backup) {
                    continue;
                }
                if listed.backups.len() == filter.limit {
                    listed.more = true;
                    return Ok(listed);
                }
                listed.backups.push(backup);
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok(listed),
            }
        }
    }

    /// Deletes a backup (DeleteBackup), and returns it as it was.
    ///
    /// # Errors
    /// `BackupNotFoundException` when there is none, `BackupInUseException` while it is made or a table is restored from
    /// it, `ValidationException` when it is a system backup.
    pub async fn delete_backup(&self, arn: &str) -> Result<BackupRecord> {
        for attempt in 0..MAX_ATTEMPTS {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let place = place_of(arn)?;
            let backup = self.backup_at(&snapshot, &place).await?.filter(|backup| backup.arn() == arn);
            let backup = match backup {
                Some(backup) if backup.status == BackupStatus::Available => backup,
                Some(backup) if backup.status == BackupStatus::Creating => {
                    return Err(in_use("Backup is being created"));
                }
                _ => return Err(no_backup(arn)),
            };
            if backup.kind == BackupKind::System {
                return Err(Error::validation(format!("System backups can not be deleted: {arn}")));
            }
            let jobs = self.backup_jobs(&snapshot).await?;
            if jobs
                .iter()
                .any(|job| matches!(&job.work, Work::Restore { source: Source::Backup(of), .. } if *of == place))
            {
                return Err(in_use("Backup is being used to restore another table"));
            }
            match self.commit_deleting(&snapshot, &backup).await {
                Ok(()) => {
                    if let Err(error) = self.remove_backup(&place).await {
                        tracing::warn!(%error, backup = arn, "a deleted backup is still in its store; it is tried again");
                    }
                    return Ok(backup);
                }
                Err(Error::Contention) => back_off(attempt).await,
                Err(other) => return Err(other),
            }
        }
        Err(Error::Contention)
    }

    /// From here on nobody is told of the backup, and no restore from it begins.
    pub(super) async fn commit_deleting(&self, snapshot: &Snapshot, backup: &BackupRecord) -> Result<()> {
        let deleting = BackupRecord { status: BackupStatus::Deleting, ..backup.clone() };
        let reads = vec![Read::Key(backup.place().key()), Read::Range(KeyRange::prefix(keyspace::backup_jobs()))];
        let writes = vec![deleting.write()?];
        let commit = Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false };
        match self.store().commit(commit).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict | CommitError::TooOld) => Err(Error::Contention),
            Err(other) => Err(other.into()),
        }
    }
}

impl BackupFilter {
    fn admits(&self, backup: &BackupRecord) -> bool {
        let of_table = |table: &String| {
            let name = TableArn::parse(table).map_or(table.as_str(), |arn| arn.table);
            backup.table.name == name
        };
        backup.status != BackupStatus::Deleting
            && self.kinds.contains(&backup.kind)
            && self.table.as_ref().is_none_or(of_table)
            && self.from_ms.is_none_or(|from| backup.created_ms >= from)
            && self.before_ms.is_none_or(|before| backup.created_ms < before)
    }
}
