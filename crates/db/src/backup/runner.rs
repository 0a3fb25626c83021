//! Who does the work: one task of each node, which marks the seconds and runs backups and restores side by side.
//!
//! Each job has a lease of its own, so nodes share them. A job that fails is tried again with growing pauses; one that
//! can not succeed is given up, and nothing of it is left that could be taken for a whole table or backup.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use partita_engine::{Commit, Direction, Freshness, KeyRange, Read, ScanLimit};
use partita_objects::ObjectError;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use super::job::{BackupPlace, JobRecord, Work, from_json};
use super::record::{BackupKind, BackupRecord, BackupStatus, is_id};
use super::store::StoreError;
use crate::error::{Error, Result};
use crate::history::Moments;
use crate::jobs::Lease;
use crate::{Database, Inner, keyspace};

/// How often a job is tried that fails for reasons that may pass, before it is given up.
const ATTEMPTS: u32 = 6;
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often old history and expired backups are looked for.
const TRIM_INTERVAL: Duration = Duration::from_secs(60);
/// How many jobs a node runs at once.
const JOBS_AT_ONCE: usize = 4;
/// How much else it does beside them at once.
const BESIDE: usize = 2;

/// Why a job did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] Error),
    /// The backup store failed, or what it holds is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A bucket failed, or does not exist.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// What the job reads is gone.
    #[error("{0}")]
    Lost(String),
}

impl From<partita_engine::EngineError> for Failure {
    fn from(error: partita_engine::EngineError) -> Self {
        Self::Database(error.into())
    }
}

/// The task of an open database.
#[derive(Debug, Default)]
pub(crate) struct Recovering {
    /// Wakes the task before its second is over.
    wake: Arc<Notify>,
    task: Mutex<Option<JoinHandle<()>>>,
}

pub(crate) fn lease_of(record: &JobRecord) -> Lease {
    Lease::new(&format!("backup/{}", record.id))
}

impl Database {
    /// Starts marking seconds and running backups and restores. Without effect when it was started before.
    pub(crate) fn start_recovering(&self) {
        let mut task = self.inner.recovering.task.lock();
        if task.is_none() {
            let wake = Arc::clone(&self.inner.recovering.wake);
            *task = Some(tokio::spawn(work(Arc::downgrade(&self.inner), wake)));
        }
    }

    pub(crate) async fn stop_recovering(&self) {
        let task = self.inner.recovering.task.lock().take();
        if let Some(task) = task {
            task.abort();
            // Aborted, or ended before; both are the end.
            let _ = task.await;
        }
    }

    /// Has the task look for work at once.
    pub(crate) fn wake_recovery(&self) {
        self.inner.recovering.wake.notify_one();
    }

    /// Runs a job to its end, whatever that is.
    pub(crate) async fn run_job(&self, record: &JobRecord) {
        let mut lease = lease_of(record);
        let mut attempt = 0;
        loop {
            let failure = match self.try_job(&mut lease, record).await {
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
            if self.is_hopeless(record, &failure, attempt).await {
                tracing::error!(%failure, job = record.id, "a backup, restore or export is given up");
                match self.give_up(&mut lease, record, &failure).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::error!(%error, job = record.id, "a backup, restore or export could not be given up")
                    }
                }
            } else {
                tracing::warn!(%failure, job = record.id, attempt, "a backup, restore or export failed; it is tried again");
            }
            tokio::time::sleep(Duration::from_secs(1 << attempt.min(6)).min(LONGEST_PAUSE)).await;
        }
    }

    /// Tries a job once.
    pub(super) async fn try_job(&self, lease: &mut Lease, record: &JobRecord) -> std::result::Result<(), Failure> {
        if !lease.take(self).await? {
            return Err(Error::Contention.into());
        }
        match &record.work {
            Work::Backup(place) => self.write_backup(lease, record, place).await,
            Work::Restore { .. } => self.fill_restored(lease, record).await,
            Work::Export(place) => self.write_export(lease, record, place).await,
        }
    }

    /// A damaged source stays damaged. The last copy of a deleted table is never given up.
    async fn is_hopeless(&self, record: &JobRecord, failure: &Failure, attempt: u32) -> bool {
        match (&record.work, failure) {
            (Work::Backup(place), _) => {
                let system = match self.snapshot(Freshness::Latest).await {
                    Ok(snapshot) => self.backup_at(&snapshot, place).await,
                    Err(error) => Err(error),
                };
                let is_system = !matches!(system, Ok(Some(backup)) if backup.kind == BackupKind::User);
                attempt >= ATTEMPTS && !is_system
            }
            (Work::Restore { .. }, Failure::Lost(_) | Failure::Store(StoreError::Damaged(_))) => true,
            (Work::Restore { .. }, _) => attempt >= ATTEMPTS,
            (Work::Export(_), failure) => attempt >= ATTEMPTS || crate::export::is_hopeless(failure),
        }
    }

    async fn give_up(
        &self,
        lease: &mut Lease,
        record: &JobRecord,
        failure: &Failure,
    ) -> std::result::Result<(), Failure> {
        match &record.work {
            Work::Backup(place) => {
                let snapshot = self.snapshot(Freshness::Latest).await?;
                if let Some(backup) = self.backup_at(&snapshot, place).await? {
                    let deleting = BackupRecord { status: BackupStatus::Deleting, ..backup };
                    self.finish_backup(lease, record, vec![deleting.write()?]).await?;
                    self.remove_backup(place).await?;
                }
                Ok(())
            }
            Work::Restore { .. } => Ok(self.abandon_restore(record).await?),
            Work::Export(place) => self.fail_export(lease, record, place, failure).await,
        }
    }

    /// Deletes system backups whose time has come, and goes on deleting what was being deleted.
    pub(super) async fn sweep_backups(&self) -> std::result::Result<(), Failure> {
        let mut range = KeyRange::prefix(keyspace::backups());
        loop {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (_, value) in &page.rows {
                let backup: BackupRecord = from_json(value)?;
                let expired = backup.expires_ms.is_some_and(|expires| expires <= self.now_ms());
                if expired && backup.status == BackupStatus::Available {
                    let jobs = self.backup_jobs(&snapshot).await?;
                    if jobs.iter().all(|job| !job.reads(&backup.place())) {
                        self.commit_deleting(&snapshot, &backup).await?;
                        self.remove_backup(&backup.place()).await?;
                    }
                }
                if backup.status == BackupStatus::Deleting {
                    self.remove_backup(&backup.place()).await?;
                }
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok(()),
            }
        }
    }

    /// Puts whole backups of the store into the catalog that are not in it: after a move to a new data directory. Says
    /// whether some could not be looked at that may later, when their keys can be had.
    pub(super) async fn adopt_backups(&self) -> std::result::Result<bool, Failure> {
        let (mut left, known) = (false, self.known_backups().await?);
        let store = self.backup_store().clone();
        for id in store.backups().await?.into_iter().filter(|id| is_id(id) && !known.contains(id)) {
            let manifest = match self.open_backup(&id, None).await {
                Ok(Some(opened)) => opened.manifest,
                Ok(None) => continue,
                Err(failure) => {
                    tracing::warn!(%failure, backup = id, "a backup of the store is not taken over");
                    left |= matches!(failure, Failure::Database(_) | Failure::Store(StoreError::Unavailable(_)));
                    continue;
                }
            };
            let key = manifest.backup.place().key();
            let snapshot = self.snapshot(Freshness::Latest).await?;
            if snapshot.get(&key).await?.is_none() {
                let writes = vec![manifest.backup.write()?];
                let reads = vec![Read::Key(key)];
                let commit = Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false };
                self.store().commit(commit).await.map_err(Error::from)?;
            }
        }
        Ok(left)
    }

    /// The ids of all backups that the catalog has.
    async fn known_backups(&self) -> Result<HashSet<String>> {
        let (mut range, mut known) = (KeyRange::prefix(keyspace::backups()), HashSet::new());
        loop {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (_, value) in &page.rows {
                known.insert(from_json::<BackupRecord>(value)?.id);
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok(known),
            }
        }
    }
}

impl JobRecord {
    pub(super) fn reads(&self, backup: &BackupPlace) -> bool {
        matches!(&self.work, Work::Restore { source: super::job::Source::Backup(place), .. } if place == backup)
    }
}

/// The name under which looking for what is too old runs beside the jobs.
const TIDYING: &str = "tidying";
/// The name under which the store of backups is looked through.
const ADOPTING: &str = "adopting";

/// What runs on this node, by name.
#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    names: HashMap<tokio::task::Id, String>,
}

impl Running {
    /// Forgets what has ended, as it should or in a panic.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
            self.names.remove(&id);
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.values().any(|running| running == name)
    }

    fn start(&mut self, name: String, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }
}

async fn work(database: Weak<Inner>, wake: Arc<Notify>) {
    let mut moments = Moments::default();
    let mut running = Running::default();
    let mut tidied: Option<Instant> = None;
    let unseen = Arc::new(AtomicBool::new(true));
    let mut looked: Option<Instant> = None;
    loop {
        let Some(inner) = database.upgrade() else { return };
        let database = Database { inner };
        running.reap();
        // A store that is far away or does not answer must not keep seconds from being marked.
        if unseen.load(Ordering::Relaxed)
            && looked.is_none_or(|looked| looked.elapsed() >= TRIM_INTERVAL)
            && !running.has(ADOPTING)
        {
            looked = Some(Instant::now());
            let (database, unseen) = (database.clone(), Arc::clone(&unseen));
            running.start(ADOPTING.to_owned(), async move {
                match database.adopt_backups().await {
                    Ok(left) => unseen.store(left, Ordering::Relaxed),
                    Err(error) => {
                        tracing::warn!(%error, "the backup store can not be looked through; it is tried again");
                    }
                }
            });
        }
        if let Err(error) = look(&database, &mut moments, &mut running).await {
            tracing::error!(%error, "looking for backups and restores failed; it is tried again");
        }
        if tidied.is_none_or(|tidied| tidied.elapsed() >= TRIM_INTERVAL) && !running.has(TIDYING) {
            tidied = Some(Instant::now());
            running.start(TIDYING.to_owned(), tidy(database.clone()));
        }
        let until_next_second = Duration::from_millis(1000 - database.now_ms() % 1000);
        drop(database);
        // Whichever comes first; a wake-up is nothing that can fail.
        let _ = tokio::time::timeout(until_next_second, wake.notified()).await;
    }
}

/// Marks the second and begins jobs that nobody on this node runs.
async fn look(database: &Database, moments: &mut Moments, running: &mut Running) -> Result<()> {
    match database.mark_moment(moments).await {
        Ok(()) | Err(Error::Contention) => {}
        Err(error) => return Err(error),
    }
    let snapshot = database.snapshot(Freshness::Latest).await?;
    for record in database.backup_jobs(&snapshot).await? {
        if running.names.len() >= JOBS_AT_ONCE + BESIDE {
            break;
        }
        if !running.has(&record.id) {
            let database = database.clone();
            running.start(record.id.clone(), async move {
                database.run_job(&record).await;
                // The next one need not wait for the next second.
                database.wake_recovery();
            });
        }
    }
    Ok(())
}

/// Forgets what is too old.
async fn tidy(database: Database) {
    let mut lease = Lease::new("history");
    match lease.take(&database).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => return tracing::error!(%error, "old history can not be looked for"),
    }
    if let Err(error) = database.trim_histories(&mut lease).await {
        tracing::error!(%error, "old history could not be forgotten; it is tried again");
    }
    if let Err(error) = database.forget_exports(&mut lease).await {
        tracing::error!(%error, "old exports could not be forgotten; it is tried again");
    }
    if let Err(error) = database.sweep_backups().await {
        tracing::warn!(%error, "backups could not be deleted; it is tried again");
    }
}
