//! Who does the work: a task of each node, which runs loads side by side.
//!
//! Each load has a lease of its own, so nodes share them, and whoever takes one up goes on where its last commit stands.
//! What fails for reasons that may pass is tried again with growing pauses, and given up after some.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use partita_engine::{Commit, Direction, Freshness, Key, KeyRange, ScanLimit, Write};
use partita_objects::{ObjectError, ObjectStore, ServerSideEncryption};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use super::fill::{End, Failure, Filling, own_prefix};
use super::reading::is_input;
use super::record::{LoadFailure, LoadKind, LoadPlace, LoadRecord, LoadStatus, Loaded, Progress, from_json, to_json};
use super::report::{LOG_BUCKET, Report, Reports, log_prefix, output_prefix};
use super::requests::RETENTION_MS;
use super::source::OutputEncryption;
use crate::catalog::{Becomes, RecordChange};
use crate::error::{Error, Result};
use crate::jobs::Lease;
use crate::record::{IndexStatus, TableRecord, TableStatus};
use crate::table::Table;
use crate::{Database, Inner, keyspace};

/// How often a load is tried that fails for reasons that may pass, before it is given up.
const ATTEMPTS: u32 = 6;
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How many loads a node runs at once.
const LOADS_AT_ONCE: usize = 4;
/// How often loads of other nodes are looked for that have died.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How often loads are forgotten that ended long ago.
const TIDY_INTERVAL: Duration = Duration::from_secs(3600);
/// The most objects of a load ("Quotas": 50,000).
const MAX_OBJECTS: u64 = 50_000;
/// The most lines of an import's error log.
const MAX_LOGGED: u64 = 10_000;

/// The task of an open database.
#[derive(Debug, Default)]
pub(crate) struct Loading {
    wake: Arc<Notify>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Database {
    /// Starts running loads. Without effect when it was started before.
    pub(crate) fn start_loading(&self) {
        let mut task = self.inner.loading.task.lock();
        if task.is_none() {
            let wake = Arc::clone(&self.inner.loading.wake);
            *task = Some(tokio::spawn(work(Arc::downgrade(&self.inner), wake)));
        }
    }

    pub(crate) async fn stop_loading(&self) {
        let task = self.inner.loading.task.lock().take();
        if let Some(task) = task {
            task.abort();
            // Aborted, or ended before; both are the end.
            let _ = task.await;
        }
    }

    /// Has the task look for work at once.
    pub(super) fn wake_loading(&self) {
        self.inner.loading.wake.notify_one();
    }

    /// Runs a load to its end, whatever that is.
    async fn run_load(&self, place: &LoadPlace) {
        let mut lease = Lease::new(&place.lease());
        let mut attempt = 0;
        loop {
            let failure = match self.try_load(&mut lease, place).await {
                Ok(()) => return,
                // Another node has the lease. Or writers went first, which passes.
                Err(Failure::Database(Error::Contention)) => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    if !matches!(lease.take(self).await, Ok(true)) {
                        return;
                    }
                    continue;
                }
                Err(failure) => failure,
            };
            attempt += 1;
            if attempt >= ATTEMPTS || failure.is_lasting() {
                tracing::error!(%failure, load = place.id, "a load is given up");
                match self.give_up_load(&mut lease, place, &failure).await {
                    Ok(()) => return,
                    Err(error) => tracing::error!(%error, load = place.id, "a load could not be given up"),
                }
            } else {
                tracing::warn!(%failure, load = place.id, attempt, "a load failed; it is tried again");
            }
            tokio::time::sleep(Duration::from_secs(1 << attempt.min(6)).min(LONGEST_PAUSE)).await;
        }
    }

    /// Tries a load once.
    pub(super) async fn try_load(&self, lease: &mut Lease, place: &LoadPlace) -> std::result::Result<(), Failure> {
        if !lease.take(self).await? {
            return Err(Error::Contention.into());
        }
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let Some(record) = self.load_at(&snapshot, place).await? else {
            return Ok(self.commit_as(lease, forget(place, lease)).await?);
        };
        if !record.status.is_under_way() {
            return Ok(self.commit_as(lease, forget(place, lease)).await?);
        }
        let progress = snapshot.get(&place.progress_key()).await?;
        let mut progress: Progress = progress.map_or(Ok(Progress::default()), |value| from_json(&value))?;
        let table = self.table_of(&snapshot, &record).await?;
        let reports = self.reports(&record)?;
        let source = self.bucket(&record.source.bucket, record.source.owner.as_deref())?;
        if progress.loaded.total_bytes.is_none() {
            progress.loaded.total_bytes = Some(total_bytes(&source, &record).await?);
            let progress = Write::Put { key: place.progress_key(), value: to_json(&progress)? };
            self.commit_as(lease, vec![progress]).await?;
        }
        let mut filling = Filling::new(self, lease, &record, table, reports, progress);
        let end = filling.fill(source).await?;
        filling.reports.write(&mut filling.progress.reports, true).await?;
        let progress = filling.progress;
        let reports = filling.reports;
        let errors = progress.loaded.errors > 0;
        let (status, failure) = match (record.kind, end) {
            (_, End::Cancelled) => (LoadStatus::Cancelled, Some(("Cancelled", "The bulk operation was cancelled."))),
            (LoadKind::Import, End::Done) if errors => (
                LoadStatus::Failed,
                Some((
                    "ItemValidationError",
                    "Some of the items failed validation checks and were not imported. Please check CloudWatch error \
                     logs for more details.",
                )),
            ),
            (LoadKind::Bulk, End::Done) if errors => (LoadStatus::CompletedWithErrors, None),
            (_, End::Done) => (LoadStatus::Completed, None),
        };
        let failure = failure.map(|(code, message)| LoadFailure { code: code.to_owned(), message: message.to_owned() });
        let ended =
            LoadRecord { status, failure, ended_ms: Some(self.now_ms()), loaded: progress.loaded.clone(), ..record };
        if let Some((report, manifest)) = manifest(&ended, &progress, &reports) {
            report.store.put(&format!("{}manifest-summary.json", output_prefix(&ended)), manifest.into()).await?;
        }
        self.end_load(lease, place, ended, |_| true).await
    }

    /// The table that a load fills.
    async fn table_of(
        &self,
        snapshot: &crate::crypt::Snapshot,
        record: &LoadRecord,
    ) -> std::result::Result<Arc<Table>, Failure> {
        let key: Key = keyspace::catalog_key(&record.account, &record.region, &record.table).into();
        let table = self.table_at(snapshot, &key).await?;
        let table = table.filter(|table| table.record.uuid == record.table_uuid);
        table.ok_or_else(|| {
            Failure::Lost("ResourceNotFoundException", format!("The table {} has been deleted", record.table))
        })
    }

    fn bucket(&self, name: &str, owner: Option<&str>) -> std::result::Result<ObjectStore, Failure> {
        let Some(store) = self.buckets().get(name) else {
            return Err(Failure::Store(ObjectError::NoBucket(name.to_owned())));
        };
        Ok(owner.map_or_else(|| store.clone(), |owner| store.owned_by(owner)))
    }

    fn reports(&self, record: &LoadRecord) -> std::result::Result<Reports, Failure> {
        let Some(output) = &record.output else {
            let store = self.buckets().get(LOG_BUCKET).or_else(|| self.load_logs());
            let prefix = log_prefix(record);
            let log = store.map(|store| Report { store: store.clone(), prefix, most: Some(MAX_LOGGED) });
            return Ok(Reports([log, None]));
        };
        let store = self.bucket(&output.bucket, output.owner.as_deref())?;
        let store = match &output.encryption {
            None => store,
            Some(OutputEncryption::Aes256) => store.encrypted(ServerSideEncryption::Aes256),
            Some(OutputEncryption::Kms(key)) => store.encrypted(ServerSideEncryption::Kms(key.clone())),
        };
        let under = |wanted: bool, name: &str| {
            let prefix = format!("{}{name}/", output_prefix(record));
            wanted.then(|| Report { store: store.clone(), prefix, most: None })
        };
        Ok(Reports([under(output.errors, "error"), under(output.failed_conditions, "condition-check-failure")]))
    }

    /// Ends a load that can not succeed. A table that has got nothing goes.
    pub(super) async fn give_up_load(
        &self,
        lease: &mut Lease,
        place: &LoadPlace,
        failure: &Failure,
    ) -> std::result::Result<(), Failure> {
        if !lease.take(self).await? {
            return Err(Error::Contention.into());
        }
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let Some(record) = self.load_at(&snapshot, place).await? else { return Ok(()) };
        let (code, message) = failure.told();
        let ended = LoadRecord {
            status: LoadStatus::Failed,
            failure: Some(LoadFailure { code: code.to_owned(), message }),
            ended_ms: Some(self.now_ms()),
            ..record
        };
        let kept = |loaded: &Loaded| loaded.processed > 0;
        self.end_load(lease, place, ended, kept).await
    }

    /// Commits the end of a load. What has been imported becomes usable, or goes.
    async fn end_load(
        &self,
        lease: &mut Lease,
        place: &LoadPlace,
        ended: LoadRecord,
        kept: impl Fn(&Loaded) -> bool + Send,
    ) -> std::result::Result<(), Failure> {
        let mut writes = forget(place, lease);
        writes.push(ended.write()?);
        if ended.kind == LoadKind::Bulk {
            return Ok(self.commit_as(lease, writes).await?);
        }
        let key: Key = keyspace::catalog_key(&ended.account, &ended.region, &ended.table).into();
        let kept = kept(&ended.loaded);
        let is_mine = |table: &TableRecord| table.import.as_ref() == Some(&ended.id);
        let followed = self
            .change_record(&key, |table| {
                let unchanged = RecordChange { record: Becomes::Unchanged, writes: Vec::new() };
                let Some(mut table) = table.filter(is_mine) else { return Ok((unchanged, false)) };
                let mut writes = writes.clone();
                if !kept {
                    let retire = |space| Write::Retire { prefix: keyspace::table_prefix(space, table.id).into() };
                    writes.extend(keyspace::TABLE_SPACES.map(retire));
                    return Ok((RecordChange { record: Becomes::Gone, writes }, true));
                }
                table.import = None;
                table.status = TableStatus::Active;
                table.global_indexes.iter_mut().for_each(|index| index.status = IndexStatus::Active);
                Ok((RecordChange { record: Becomes::Record(Box::new(table)), writes }, true))
            })
            .await?;
        if !followed {
            self.commit_as(lease, writes).await?;
        }
        Ok(())
    }

    /// Forgets loads that ended long ago, with their tokens.
    pub(super) async fn forget_loads(&self) -> Result<()> {
        let mut range = KeyRange::prefix(keyspace::loads());
        loop {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            let mut writes = Vec::new();
            for (key, value) in &page.rows {
                let record: LoadRecord = from_json(value)?;
                if record.ended_ms.is_some_and(|ended| ended.saturating_add(RETENTION_MS) < self.now_ms()) {
                    writes.push(Write::Delete { key: key.clone() });
                    writes.push(Write::Delete {
                        key: super::requests::token_key(&record.scope(), record.kind, &record.token),
                    });
                }
            }
            if !writes.is_empty() {
                let commit = Commit { read_version: snapshot.version(), writes, ..Commit::default() };
                self.store().commit(commit).await?;
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok(()),
            }
        }
    }
}

impl Failure {
    /// Whether trying again does not help.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Database(_) => false,
            Self::Store(error) => !error.may_pass(),
            Self::Lost(..) => true,
        }
    }

    /// `FailureCode` and `FailureMessage`.
    fn told(&self) -> (&'static str, String) {
        match self {
            // What is wrong inside is in the server's log.
            Self::Database(_) => ("InternalServerError", "The database failed.".to_owned()),
            Self::Lost(code, message) => (code, message.clone()),
            Self::Store(error) => {
                let code = match error {
                    ObjectError::NoBucket(_) => {
                        return ("S3NoSuchBucket", "The specified bucket does not exist".to_owned());
                    }
                    ObjectError::NotThere(_) => "S3NoSuchKey",
                    ObjectError::Forbidden(_) => "S3AccessDenied",
                    ObjectError::Damaged(_) => "S3ObjectChanged",
                    _ => "S3Unavailable",
                };
                (code, error.to_string())
            }
        }
    }
}

/// The bytes of all objects together.
async fn total_bytes(store: &ObjectStore, record: &LoadRecord) -> std::result::Result<u64, Failure> {
    let (mut after, mut objects, mut bytes) = (None, 0u64, 0u64);
    let (prefix, own) = (record.source.prefix.as_str(), own_prefix(record));
    loop {
        let listing = store.list(prefix, after.as_deref(), 1000).await?;
        for object in listing.objects.iter().filter(|object| is_input(object, own.as_deref())) {
            objects += 1;
            bytes = bytes.saturating_add(object.size);
        }
        if objects > MAX_OBJECTS {
            let message = format!("There are more than {MAX_OBJECTS} objects under the key prefix");
            return Err(Failure::Lost("S3TooManyObjects", message));
        }
        match listing.objects.last() {
            Some(last) if listing.more => after = Some(last.key.clone()),
            _ if objects == 0 => {
                return Err(Failure::Lost(
                    "S3NoSuchKey",
                    format!("There are no objects with the key prefix '{prefix}'"),
                ));
            }
            _ => return Ok(bytes),
        }
    }
}

/// What a bulk operation's output says of the whole, and a report that says where it goes.
fn manifest(ended: &LoadRecord, progress: &Progress, reports: &Reports) -> Option<(Report, Vec<u8>)> {
    ended.output.as_ref()?;
    let report = reports.0.iter().flatten().next()?.clone();
    let files = reports.0.iter().zip(&progress.reports).filter_map(|(report, told)| Some((report.as_ref()?, told)));
    let files: Vec<String> = files.flat_map(|(report, told)| (0..told.parts).map(|part| report.key(part))).collect();
    let loaded = &ended.loaded;
    let status = match ended.status {
        LoadStatus::Completed => "COMPLETED",
        LoadStatus::CompletedWithErrors => "COMPLETED_WITH_ERRORS",
        LoadStatus::Cancelled => "CANCELLED",
        LoadStatus::InProgress | LoadStatus::Cancelling | LoadStatus::Failed => "FAILED",
    };
    let manifest = serde_json::json!({
        "version": "2026-11-22",
        "bulkOperationArn": ended.arn(),
        "tableArn": ended.table_arn(),
        "tableId": ended.table_uuid,
        "status": status,
        "processedItemCount": loaded.processed,
        "writtenItemCount": loaded.written,
        "failedItemCount": loaded.errors,
        "conditionCheckFailureCount": loaded.failed_conditions,
        "outputFiles": files,
    });
    Some((report, manifest.to_string().into_bytes()))
}

/// The writes that leave nothing of a load but its record.
fn forget(place: &LoadPlace, lease: &Lease) -> Vec<Write> {
    [place.job_key(), place.progress_key(), lease.key()].map(|key| Write::Delete { key }).to_vec()
}

/// What runs on this node.
#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    places: HashMap<tokio::task::Id, LoadPlace>,
}

impl Running {
    /// Forgets what has ended, as it should or in a panic.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
            self.places.remove(&id);
        }
    }
}

async fn work(database: Weak<Inner>, wake: Arc<Notify>) {
    let mut running = Running::default();
    let mut tidied = Instant::now();
    loop {
        let Some(inner) = database.upgrade() else { return };
        let database = Database { inner };
        running.reap();
        match database.load_jobs().await {
            Ok(places) => {
                for place in places {
                    if running.places.len() >= LOADS_AT_ONCE {
                        break;
                    }
                    if running.places.values().any(|other| *other == place) {
                        continue;
                    }
                    let (database, of) = (database.clone(), place.clone());
                    let task = running.tasks.spawn(async move {
                        database.run_load(&of).await;
                        // The next one need not wait.
                        database.wake_loading();
                    });
                    running.places.insert(task.id(), place);
                }
            }
            Err(error) => tracing::error!(%error, "looking for loads failed; it is tried again"),
        }
        if tidied.elapsed() >= TIDY_INTERVAL {
            tidied = Instant::now();
            if let Err(error) = database.forget_loads().await {
                tracing::warn!(%error, "old loads could not be forgotten; it is tried again");
            }
        }
        drop(database);
        // Whichever comes first; a wake-up is nothing that can fail.
        let _ = tokio::time::timeout(LOOK_INTERVAL, wake.notified()).await;
    }
}
