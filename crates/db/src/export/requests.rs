//! ExportTableToPointInTime, DescribeExport and ListExports.

use partita_engine::{Direction, Freshness, Key, KeyRange, Position, ScanLimit, Write};
use partita_model::ErrorCode;

use super::record::{
    ExportFormat, ExportPlace, ExportRecord, ExportRequest, ExportSpan, ExportState, TokenRecord, new_id,
};
use crate::Database;
use crate::backup::{JobRecord, Source, Work, from_json, to_json};
use crate::catalog::{Becomes, RecordChange, catalog_key_of};
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::history::{RecoveryWindow, no_table};
use crate::jobs::Lease;
use crate::keyspace;
use crate::scope::{Scope, TableArn};
use crate::stream::next_ordinal;

/// The most exports under way at once ("Quotas": 300).
const MAX_EXPORTS: usize = 300;
/// How long a client token is remembered ("ExportTableToPointInTime": 8 hours).
const TOKEN_MS: u64 = 8 * 60 * 60 * 1000;
/// How long an export is remembered after its end ("ListExports": 90 days).
const REMEMBERED_MS: u64 = 90 * 24 * 60 * 60 * 1000;
/// The shortest and the longest time whose changes are exported ("Exporting a DynamoDB table": 15 minutes, 24 hours).
const CHANGES_SECONDS: (u64, u64) = (15 * 60, 24 * 60 * 60);
/// How much of a table goes into a file, in bytes as DynamoDB counts them.
const FILE_BYTES: u64 = if cfg!(test) { 400 } else { 64 << 20 };
/// The most files of an export.
const MAX_FILES: u64 = 500;

/// A page of exports, the last by ARN first.
#[derive(Clone, Debug, Default)]
pub struct ExportPage {
    /// The exports.
    pub exports: Vec<ExportRecord>,
    /// Whether there are more.
    pub more: bool,
}

fn no_export(arn: &str) -> Error {
    Error::refused(ErrorCode::ExportNotFoundException, format!("Export not found: {arn}"))
}

fn invalid_time(message: &str) -> Error {
    Error::refused(ErrorCode::InvalidExportTimeException, message.to_owned())
}

impl ExportRequest {
    /// What only tells requests apart under one client token, as text.
    fn hash(&self, table: &str) -> Result<String> {
        let text = to_json(self)?;
        Ok(blake3::Hasher::new().update(table.as_bytes()).update(b"\0").update(&text).finalize().to_hex().to_string())
    }
}

impl Database {
    /// Begins to export a table (ExportTableToPointInTime). The same token with the same request gives the export that
    /// it began, for eight hours.
    ///
    /// # Errors
    /// `TableNotFoundException`, `PointInTimeRecoveryUnavailableException` when recovery is off,
    /// `InvalidExportTimeException` outside the window, `ExportConflictException` when the token came with another
    /// request, `LimitExceededException` when 300 exports are under way, `ValidationException` when keys would be none,
    /// or the filter does not fit the table.
    pub async fn export_table(&self, scope: &Scope, table_arn: &str, request: &ExportRequest) -> Result<ExportRecord> {
        let key = catalog_key_of(scope, table_arn);
        let hash = request.hash(table_arn)?;
        let token = request.token.as_ref().map(|token| {
            let named = format!("{}\0{}\0{token}", scope.account, scope.region);
            keyspace::export_token(blake3::hash(named.as_bytes()).as_bytes())
        });
        let snapshot = self.snapshot(Freshness::Latest).await?;
        if let Some(key) = &token
            && let Some(value) = snapshot.get(key).await?
            && let Some(known) = self.known_export(&snapshot, &from_json(&value)?, &hash).await?
        {
            return Ok(known);
        }
        let begun = self.planned_export(&snapshot, (&key, table_arn), request).await?;
        let jobs = self.backup_jobs(&snapshot).await?;
        if jobs.iter().filter(|job| matches!(job.work, Work::Export(_))).count() >= MAX_EXPORTS {
            let message = format!("Subscriber limit exceeded: Only {MAX_EXPORTS} exports can run simultaneously");
            return Err(Error::refused(ErrorCode::LimitExceededException, message));
        }
        let (id, job) = JobRecord::new(Work::Export(begun.place.clone()));
        let now_ms = self.now_ms();
        let raced = self
            .change_record_with(&key, token.as_ref(), |record, known| {
                let unchanged = RecordChange { record: Becomes::Unchanged, writes: Vec::new() };
                let known: Option<TokenRecord> = known.map(|value| from_json(&value)).transpose()?;
                if known.is_some_and(|known| known.used_ms.saturating_add(TOKEN_MS) > now_ms) {
                    return Ok((unchanged, true));
                }
                let mut record = record.filter(|record| record.id == begun.table).ok_or_else(|| no_table(table_arn))?;
                let reaches_back = |log: crate::record::HistoryLog| log.generation == begun.generation;
                if record.recovery.is_none() || !record.logs.history.is_some_and(reaches_back) {
                    return Err(unavailable(&record.name));
                }
                let mut writes = vec![begun.write()?, job.write()?];
                if let Some(key) = &token {
                    let used = TokenRecord { request: hash.clone(), place: begun.place.clone(), used_ms: now_ms };
                    writes.push(Write::Put { key: key.clone(), value: to_json(&used)? });
                }
                writes.push(Write::PutAtPosition {
                    prefix: keyspace::job_position(id).into(),
                    suffix: Key::new(),
                    ordinal: next_ordinal(&writes),
                    value: Key::new(),
                });
                record.logs.holds.insert(job.id.clone());
                Ok((RecordChange { record: Becomes::Record(Box::new(record)), writes }, false))
            })
            .await?;
        if raced {
            // Another request with the same token was first.
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let value = match &token {
                Some(key) => snapshot.get(key).await?,
                None => None,
            };
            let value = value.ok_or(Error::Contention)?;
            return self.known_export(&snapshot, &from_json(&value)?, &hash).await?.ok_or(Error::Contention);
        }
        self.check_still_there(&begun, &job).await?;
        self.wake_recovery();
        Ok(begun)
    }

    /// The export that a token stands for, while the token is remembered.
    async fn known_export(&self, snapshot: &Snapshot, known: &TokenRecord, hash: &str) -> Result<Option<ExportRecord>> {
        if known.used_ms.saturating_add(TOKEN_MS) <= self.now_ms() {
            return Ok(None);
        }
        if known.request != hash {
            let message = "Export with the same client token but different parameters already exists";
            return Err(Error::refused(ErrorCode::ExportConflictException, message));
        }
        snapshot.get(&known.place.key()).await?.map(|value| ExportRecord::read(&value)).transpose()
    }

    /// The record of an export that is to begin, with the positions that its times stand for.
    async fn planned_export(
        &self,
        snapshot: &Snapshot,
        (key, table_arn): (&Key, &str),
        request: &ExportRequest,
    ) -> Result<ExportRecord> {
        let table = self.table_at(snapshot, key).await?.ok_or_else(|| no_table(table_arn))?;
        let record = &table.record;
        let (Some(recovery), Some(history)) = (&record.recovery, record.logs.history) else {
            return Err(unavailable(&record.name));
        };
        if let Some(filter) = &request.filter {
            filter.bind()?.check(&table)?;
        }
        let now_ms = self.now_ms();
        let window = RecoveryWindow::of(recovery, now_ms);
        let (from, to) = match request.span {
            ExportSpan::Full(at) => (None, at),
            ExportSpan::Changes { from, to, .. } => (Some(from), to),
        };
        if [from, to].into_iter().flatten().any(|second| !(window.earliest..=window.latest).contains(&second)) {
            return Err(invalid_time("The specified export time is outside of the point in time recovery window"));
        }
        if let Some(from) = from {
            let seconds = to.unwrap_or(window.latest).checked_sub(from);
            if !seconds.is_some_and(|seconds| (CHANGES_SECONDS.0..=CHANGES_SECONDS.1).contains(&seconds)) {
                return Err(invalid_time(
                    "The time between ExportFromTime and ExportToTime has to be between 15 minutes and 24 hours",
                ));
            }
        }
        let start = self.recovery_start(snapshot, record.id).await?.unwrap_or(Position::MIN);
        let log = keyspace::history(record.id, history.generation);
        let mut positions = [None, None];
        for (second, position) in [from, to].into_iter().zip(&mut positions) {
            if let Some(second) = second {
                *position = Some(Source::position(self.position_at(snapshot, &log, start, second).await?));
            }
        }
        let [from, at] = positions;
        let bytes = self.described_at(snapshot, key).await?.map_or(0, |described| described.counts.table().bytes);
        let has_key = request.filter.as_ref().is_some_and(|filter| filter.key_condition.is_some());
        let files = u64::try_from(bytes).unwrap_or(0) / FILE_BYTES + 1;
        let place = ExportPlace {
            account: record.account.clone(),
            region: record.region.clone(),
            table: record.name.clone(),
            id: new_id(now_ms),
        };
        let planned = ExportRecord {
            place,
            table_uuid: record.uuid.clone(),
            table: record.id,
            generation: history.generation,
            request: request.clone(),
            state: ExportState::InProgress,
            began_ms: now_ms,
            ended_ms: None,
            at_ms: to.map_or(now_ms, |to| to.saturating_mul(1000)),
            from,
            at,
            files: if has_key { 1 } else { u32::try_from(files.min(MAX_FILES)).unwrap_or(1) },
            items: 0,
            bytes: 0,
        };
        for key in [planned.manifest(), planned.data_key(0)] {
            partita_objects::check_key(&key)
                .map_err(|error| Error::validation(format!("One or more parameter values were invalid: {error}")))?;
        }
        Ok(planned)
    }

    /// Whether what an export reads was not forgotten before it was held.
    async fn check_still_there(&self, export: &ExportRecord, job: &JobRecord) -> Result<()> {
        let Some(earliest) = export.from.as_ref().or(export.at.as_ref()) else { return Ok(()) };
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let trimmed = snapshot.get(&keyspace::history_trimmed(export.table, export.generation)).await?;
        let trimmed = trimmed.and_then(|value| Position::from_slice(&value)).unwrap_or(Position::MIN);
        if Source::parse_position(earliest)? >= trimmed {
            return Ok(());
        }
        let mut lease = crate::backup::lease_of(job);
        if lease.take(self).await? {
            let lost = crate::backup::Failure::Lost("the time to export is out of the window".to_owned());
            if let Err(error) = self.fail_export(&mut lease, job, &export.place, &lost).await {
                tracing::warn!(%error, "an export of what is forgotten could not be given up");
            }
        }
        Err(invalid_time("The specified export time is outside of the point in time recovery window"))
    }

    /// An export (DescribeExport).
    ///
    /// # Errors
    /// `ExportNotFoundException` when there is none.
    pub async fn describe_export(&self, arn: &str) -> Result<ExportRecord> {
        let place = ExportPlace::parse(arn).ok_or_else(|| no_export(arn))?;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let value = snapshot.get(&place.key()).await?.ok_or_else(|| no_export(arn))?;
        Some(ExportRecord::read(&value)?).filter(|export| export.arn() == arn).ok_or_else(|| no_export(arn))
    }

    /// A page of an account's exports in a region, or of those of a table, the last by ARN first, behind the one with the
    /// ARN `after` (ListExports).
    ///
    /// # Errors
    /// `ValidationException` when `after` is no export's ARN, or an engine failure.
    pub async fn list_exports(
        &self,
        scope: &Scope,
        table: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ExportPage> {
        let prefix = match table.map(|table| (table, TableArn::parse(table))) {
            Some((_, Some(arn))) => keyspace::exports_of(arn.account, arn.region, arn.table),
            Some((name, None)) => keyspace::exports_of(&scope.account, &scope.region, name),
            None => keyspace::exports_in(&scope.account, &scope.region),
        };
        let mut range = KeyRange::prefix(prefix);
        if let Some(after) = after {
            let last = ExportPlace::parse(after).ok_or_else(|| Error::validation("Invalid NextToken"))?.key();
            if last < range.start || last >= range.end {
                return Err(Error::validation("Invalid NextToken"));
            }
            range = KeyRange::new(range.start, last);
        }
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let wanted = ScanLimit { rows: limit.saturating_add(1), bytes: usize::MAX };
        let page = snapshot.scan(&range, Direction::Backward, wanted).await?;
        let mut exports: Vec<ExportRecord> =
            page.rows.iter().map(|(_, value)| ExportRecord::read(value)).collect::<Result<_>>()?;
        let more = exports.len() > limit;
        exports.truncate(limit);
        Ok(ExportPage { exports, more })
    }

    /// Forgets exports that ended long ago, and client tokens.
    pub(crate) async fn forget_exports(&self, lease: &mut Lease) -> Result<()> {
        let now_ms = self.now_ms();
        let is_old = |value: &[u8]| {
            let ended = ExportRecord::read(value)?.ended_ms;
            Ok(ended.is_some_and(|ended| ended.saturating_add(REMEMBERED_MS) <= now_ms))
        };
        self.forget_rows(lease, keyspace::exports(), is_old).await?;
        let is_over = |value: &[u8]| {
            let used = from_json::<TokenRecord>(value)?.used_ms;
            Ok(used.saturating_add(TOKEN_MS) <= now_ms)
        };
        self.forget_rows(lease, keyspace::export_tokens(), is_over).await
    }

    async fn forget_rows(&self, lease: &mut Lease, prefix: Key, is_old: impl Fn(&[u8]) -> Result<bool>) -> Result<()> {
        let mut range = KeyRange::prefix(prefix);
        loop {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            let mut writes = Vec::new();
            for (key, value) in &page.rows {
                if is_old(value)? {
                    writes.push(Write::Delete { key: key.clone() });
                }
            }
            if !writes.is_empty() {
                self.commit_as(lease, writes).await?;
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok(()),
            }
        }
    }
}

fn unavailable(table: &str) -> Error {
    Error::refused(
        ErrorCode::PointInTimeRecoveryUnavailableException,
        format!("Point in time recovery is not enabled for table '{table}'"),
    )
}

impl ExportFormat {
    /// The format's name in requests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "DYNAMODB_JSON",
            Self::Ion => "ION",
        }
    }
}
