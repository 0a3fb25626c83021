//! The clustered engine, over FoundationDB: any number of processes, none of which holds anything that another needs.
//!
//! `snapshot.rs` reads, `commit.rs` writes and learns what became of it, `keys.rs` says where things lie and how values
//! look, `sweep.rs` removes what nobody needs, `failure.rs` reads error codes, `network.rs` starts the client.

mod commit;
mod failure;
mod keys;
pub(crate) mod network;
mod snapshot;
mod sweep;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foundationdb::options::TransactionOption;
use foundationdb::{Database, FdbError};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, watch};

use crate::check;
use crate::contract::{
    CatalogToken, Commit, CommitError, Committed, Engine, EngineError, Freshness, Key, Reason, Version,
};
use crate::open::{Cluster, OpenError};

use keys::{Id, MAX_PREFIX_BYTES, Space};
pub use snapshot::FdbSnapshot;

/// The layout of keys and values that this version writes.
const FORMAT: u32 = 1;
/// How old the moment of a `Recent` snapshot may be; the contract allows 100 ms.
const RECENT: Duration = Duration::from_millis(50);
/// How long opening waits for the cluster.
const OPENING: Duration = Duration::from_secs(30);
/// How often the cluster is asked whether it is there.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// How long a question may take.
const ANSWER: Duration = Duration::from_secs(5);
/// From when on a cluster that does not answer counts as gone.
const SILENT: Duration = Duration::from_secs(8);
/// How many marks of finished commits one commit clears. More than one, so that the rest shrinks.
const CLEARED: usize = 2;
/// How many marks wait at most; those beyond are left to the sweep.
const WAITING_MARKS: usize = 100_000;
/// How long a watch sleeps that the cluster has no room for.
const CROWDED_WATCH: Duration = Duration::from_millis(50);

/// FoundationDB, behind the storage contract.
pub struct FdbEngine {
    shared: Arc<Shared>,
}

/// What commits, snapshots and the sweep share.
struct Shared {
    database: Database,
    space: Space,
    incarnation: OnceCell<u32>,
    least_incarnation: u32,
    recent: Mutex<Option<Recent>>,
    /// The newest version that this process has committed or read.
    seen: AtomicU64,
    finished: Finished,
    /// When the cluster last answered.
    answered: Mutex<Instant>,
    closed: watch::Sender<bool>,
}

/// A moment that `Recent` snapshots may share.
#[derive(Clone, Copy)]
struct Recent {
    version: i64,
    token: CatalogToken,
    taken: Instant,
}

impl FdbEngine {
    /// Connects to a cluster, and waits until it answers.
    pub(crate) async fn connect(cluster: &Cluster) -> Result<Self, OpenError> {
        let name = cluster
            .file
            .as_deref()
            .map_or_else(|| foundationdb::default_config_path().into(), std::borrow::ToOwned::to_owned);
        let inaccessible = |reason: Reason| OpenError::Inaccessible { path: name.clone(), reason };
        if cluster.prefix.len() > MAX_PREFIX_BYTES || cluster.prefix.first() == Some(&0xFF) {
            return Err(inaccessible(Reason::new(format_args!(
                "a prefix has at most {MAX_PREFIX_BYTES} bytes and does not begin with 0xFF"
            ))));
        }
        if !name.is_file() {
            return Err(inaccessible(Reason::new("there is no cluster file")));
        }
        network::start();
        let database = Database::from_path(&name.to_string_lossy()).map_err(|e| inaccessible(failure::reason(e)))?;
        let shared = Arc::new(Shared {
            database,
            space: Space::new(&cluster.prefix),
            incarnation: OnceCell::new(),
            least_incarnation: cluster.least_incarnation,
            recent: Mutex::new(None),
            seen: AtomicU64::new(0),
            finished: Finished::default(),
            answered: Mutex::new(Instant::now()),
            closed: watch::Sender::new(false),
        });
        match tokio::time::timeout(OPENING, shared.incarnation()).await {
            Ok(Ok(_)) => {}
            Ok(Err(CommitError::Unavailable(reason))) => return Err(inaccessible(reason)),
            Ok(Err(error)) => return Err(inaccessible(Reason::new(error))),
            Err(_) => return Err(inaccessible(Reason::new("the cluster does not answer"))),
        }
        tokio::spawn(sweep::run(Arc::clone(&shared)));
        tokio::spawn(ask(Arc::clone(&shared)));
        Ok(Self { shared })
    }

    /// Why nothing can be written now: the cluster has not answered for some seconds.
    pub(crate) fn failure(&self) -> Option<Reason> {
        let silent = self.shared.answered.lock().elapsed();
        (silent > SILENT).then(|| {
            Reason::new(format_args!("the FoundationDB cluster has not answered for {} seconds", silent.as_secs()))
        })
    }

    /// Refuses later commits. Those under way go on to their end.
    pub(crate) fn close(&self) {
        self.shared.closed.send_replace(true);
    }
}

impl Drop for FdbEngine {
    fn drop(&mut self) {
        self.close();
    }
}

impl Engine for FdbEngine {
    type Snapshot = FdbSnapshot;

    async fn snapshot(&self, freshness: Freshness) -> Result<FdbSnapshot, EngineError> {
        let shared = &self.shared;
        let known = match freshness {
            Freshness::Latest => None,
            Freshness::Recent => shared.recent(),
        };
        let snapshot = FdbSnapshot::at(&shared.database, &shared.space, known).await.map_err(failure::engine)?;
        if known.is_none() {
            shared.took(snapshot.moment());
        }
        Ok(snapshot)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        check::commit(&commit)?;
        if self.shared.is_closed() {
            return Err(CommitError::Unavailable(Reason::new("the store is closed")));
        }
        // A task of its own, so that it ends even when nobody waits for it.
        let task = tokio::spawn(commit::run(Arc::clone(&self.shared), commit));
        task.await.unwrap_or_else(|error| Err(CommitError::Unavailable(Reason::new(error))))
    }

    async fn watch(&self, key: Key, since: Version) -> Result<(), EngineError> {
        let shared = &self.shared;
        let transaction = shared.database.create_trx().map_err(failure::engine)?;
        // The watch compares with the value of that version. If it is forgotten by now, the caller reads again.
        transaction.set_read_version(since.0.cast_signed());
        let watch = transaction.watch(&shared.space.key(&key));
        let watched = match transaction.commit().await {
            Ok(_) => watch,
            Err(_) => return Ok(()),
        };
        tokio::select! {
            changed = watched => match changed {
                Err(error) if failure::too_many_watches(error) => tokio::time::sleep(CROWDED_WATCH).await,
                // Any failure of a watch only means that the caller has to look.
                Ok(()) | Err(_) => {}
            },
            () = shared.closing() => return Err(EngineError::Unavailable(Reason::new("the store is closed"))),
        }
        Ok(())
    }
}

/// Asks the cluster whether it is there, until the store closes: a version is only given by a cluster that can commit.
async fn ask(shared: Arc<Shared>) {
    while !shared.is_closed() {
        let asked = async { shared.database.create_trx()?.get_read_version().await };
        if let Ok(Ok(_)) = tokio::time::timeout(ANSWER, asked).await {
            *shared.answered.lock() = Instant::now();
        }
        tokio::select! {
            () = tokio::time::sleep(ASKED_EVERY) => {}
            () = shared.closing() => return,
        }
    }
}

impl Shared {
    /// The moment that a `Recent` snapshot may show now.
    fn recent(&self) -> Option<(i64, CatalogToken)> {
        let recent = (*self.recent.lock())?;
        let young = recent.taken.elapsed() < RECENT;
        let seen = self.seen.load(Ordering::Acquire);
        (young && recent.version.cast_unsigned() >= seen).then_some((recent.version, recent.token))
    }

    /// Remembers a moment that the cluster has just told.
    fn took(&self, (version, token): (i64, CatalogToken)) {
        self.seen.fetch_max(version.cast_unsigned(), Ordering::AcqRel);
        let mut recent = self.recent.lock();
        if recent.is_none_or(|recent| recent.version <= version) {
            *recent = Some(Recent { version, token, taken: Instant::now() });
        }
    }

    /// Notes a commit that was applied with this stamp and left its mark at `own`.
    fn committed(&self, own: Vec<u8>, incarnation: u32, stamp: &[u8]) -> Committed {
        let stamp = stamp.first_chunk::<10>().copied().unwrap_or_default();
        let version = Version(stamp.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes)));
        self.seen.fetch_max(version.0, Ordering::AcqRel);
        self.finished.add(own);
        Committed { version, incarnation, stamp }
    }

    /// The incarnation of positions; made when the store is new. Fails on a store in a newer format.
    async fn incarnation(&self) -> Result<u32, CommitError> {
        let known = self.incarnation.get_or_try_init(async || self.load().await).await?;
        Ok(*known)
    }

    async fn load(&self) -> Result<u32, CommitError> {
        let unavailable = |error: FdbError| CommitError::Unavailable(failure::reason(error));
        loop {
            let transaction = self.database.create_trx().map_err(unavailable)?;
            transaction.set_option(TransactionOption::Timeout(10_000)).map_err(unavailable)?;
            let loaded = async {
                let key = self.space.meta();
                let stored = transaction.get(&key, false).await?.map(|stored| stored.to_vec());
                let incarnation = stored.as_deref().map_or(Some(0), incarnation_of);
                let Some(incarnation) = incarnation else { return Ok(stored.unwrap_or_default()) };
                let raised = record(incarnation.max(self.least_incarnation));
                if stored.as_ref() != Some(&raised) {
                    transaction.set(&key, &raised);
                    transaction.commit().await?;
                }
                Ok(raised)
            };
            let stored = match loaded.await {
                Ok(stored) => stored,
                // To make it twice does no harm.
                Err(error) if FdbError::is_retryable(error) => {
                    tokio::time::sleep(RECENT).await;
                    continue;
                }
                Err(error) => return Err(unavailable(error)),
            };
            return incarnation_of(&stored).ok_or_else(|| {
                CommitError::Unavailable(Reason::new(
                    "the cluster holds data in a format that this version does not read",
                ))
            });
        }
    }

    fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Resolves when the store closes.
    fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closed = self.closed.subscribe();
        async move {
            // An error means that the store is gone.
            let _ = closed.wait_for(|closed| *closed).await;
        }
    }
}

/// Marks of commits whose outcome is known, for later commits to clear.
#[derive(Default)]
struct Finished(Mutex<VecDeque<Vec<u8>>>);

impl Finished {
    fn add(&self, mark: Vec<u8>) {
        let mut marks = self.0.lock();
        if marks.len() < WAITING_MARKS {
            marks.push_back(mark);
        }
    }

    fn take(&self) -> Vec<Vec<u8>> {
        let mut marks = self.0.lock();
        let count = marks.len().min(CLEARED);
        marks.drain(..count).collect()
    }

    fn give_back(&self, taken: Vec<Vec<u8>>) {
        self.0.lock().extend(taken);
    }
}

#[cfg(test)]
mod tests;

/// The record of the format and the incarnation.
fn record(incarnation: u32) -> Vec<u8> {
    [FORMAT.to_be_bytes(), incarnation.to_be_bytes()].concat()
}

/// The incarnation in such a record; `None` in one of another format.
fn incarnation_of(record: &[u8]) -> Option<u32> {
    let (format, incarnation) = record.split_first_chunk::<4>()?;
    (u32::from_be_bytes(*format) == FORMAT).then(|| incarnation.try_into().ok().map(u32::from_be_bytes))?
}

/// Random bytes: names of blobs and commits, which never meet.
fn random() -> Id {
    let mut id = Id::default();
    // The system's source does not fail once it has started; zeros would merely conflict with each other.
    let _ = getrandom::fill(&mut id);
    id
}

impl fmt::Debug for FdbEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FdbEngine").field("seen", &self.shared.seen).finish_non_exhaustive()
    }
}
