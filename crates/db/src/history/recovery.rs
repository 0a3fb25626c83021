//! Point-in-time recovery as a client switches and sees it: UpdateContinuousBackups and DescribeContinuousBackups.
//!
//! The latest restorable time is the current second: what is acknowledged is in the history. (The service's is five
//! minutes back.)

use partita_engine::{Direction, Freshness, KeyRange, Position, ScanLimit};
use partita_model::ErrorCode;

use crate::Database;
use crate::catalog::{Becomes, RecordChange, catalog_key_of};
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::keyspace;
use crate::record::{Recovery, TableRecord, TableStatus};
use crate::scope::{Scope, TableArn};

/// The window of recovery when a request names none ("PointInTimeRecoverySpecification": 35 days).
const DEFAULT_DAYS: u32 = 35;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Whether and how far back a table can be recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryState {
    /// Point-in-time recovery is off.
    Disabled,
    /// It is on.
    Enabled(RecoveryWindow),
}

/// The seconds a table can be recovered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryWindow {
    /// How many days back it reaches at most: 1 to 35.
    pub days: u32,
    /// The earliest restorable time, in seconds since the epoch.
    pub earliest: u64,
    /// The latest restorable time, in seconds since the epoch.
    pub latest: u64,
}

impl RecoveryState {
    fn of(record: &TableRecord, now_ms: u64) -> Self {
        record.recovery.map_or(Self::Disabled, |recovery| Self::Enabled(RecoveryWindow::of(&recovery, now_ms)))
    }
}

impl RecoveryWindow {
    pub(crate) fn of(recovery: &Recovery, now_ms: u64) -> Self {
        let window_begins = now_ms.saturating_sub(u64::from(recovery.days) * DAY_MS);
        let (earliest, latest) = (recovery.enabled_ms.max(window_begins) / 1000, now_ms / 1000);
        Self { days: recovery.days, earliest, latest: latest.max(earliest) }
    }
}

/// The refusal of backups and restores when there is no such table.
pub(crate) fn no_table(name_or_arn: &str) -> Error {
    let name = TableArn::parse(name_or_arn).map_or(name_or_arn, |arn| arn.table);
    Error::refused(ErrorCode::TableNotFoundException, format!("Table not found: {name}"))
}

impl Database {
    /// Whether and how far back a table can be recovered (DescribeContinuousBackups).
    ///
    /// # Errors
    /// `TableNotFoundException` when there is no such table.
    pub async fn describe_recovery(&self, scope: &Scope, name_or_arn: &str) -> Result<RecoveryState> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let key = catalog_key_of(scope, name_or_arn);
        let table = self.table_at(&snapshot, &key).await?.ok_or_else(|| no_table(name_or_arn))?;
        Ok(RecoveryState::of(&table.record, self.now_ms()))
    }

    /// Switches point-in-time recovery, or changes its window of 1 to 35 days (UpdateContinuousBackups). Switching on what
    /// is on keeps what can be recovered already; switching off forgets it.
    ///
    /// # Errors
    /// `TableNotFoundException` when there is no such table, `ContinuousBackupsUnavailableException` while it is made.
    pub async fn update_recovery(
        &self,
        scope: &Scope,
        name_or_arn: &str,
        enabled: bool,
        days: Option<u32>,
    ) -> Result<RecoveryState> {
        let key = catalog_key_of(scope, name_or_arn);
        let state = self
            .change_record(&key, |record| {
                let mut record = record.ok_or_else(|| no_table(name_or_arn))?;
                if record.status == TableStatus::Creating {
                    return Err(Error::refused(
                        ErrorCode::ContinuousBackupsUnavailableException,
                        format!("Backups are being enabled for the table: {}. Please retry later", record.name),
                    ));
                }
                let now_ms = self.now_ms();
                let before = record.recovery;
                record.recovery = enabled.then(|| Recovery {
                    enabled_ms: before.map_or(now_ms, |before| before.enabled_ms),
                    days: days.or(before.map(|before| before.days)).unwrap_or(DEFAULT_DAYS),
                });
                let state = RecoveryState::of(&record, now_ms);
                let record =
                    if record.recovery == before { Becomes::Unchanged } else { Becomes::Record(Box::new(record)) };
                Ok((RecordChange { record, writes: Vec::new() }, state))
            })
            .await?;
        self.wake_recovery();
        Ok(state)
    }

    /// Where recovery of a table was last switched on; `None` when it never was.
    pub(crate) async fn recovery_start(&self, snapshot: &Snapshot, table: u32) -> Result<Option<Position>> {
        let prefix = keyspace::recovery_starts(table);
        let range = KeyRange::prefix(prefix.clone());
        let page = snapshot.scan(&range, Direction::Backward, ScanLimit { rows: 1, bytes: 1 }).await?;
        Ok(page.rows.first().and_then(|(key, _)| Position::from_slice(key.get(prefix.len()..)?)))
    }
}
