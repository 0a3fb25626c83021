//! The embedded engine, over RocksDB: one commits, everyone reads.
//!
//! The committer (`committer.rs`) writes group after group and publishes a snapshot after each, behind an atomic
//! pointer that all readers share. `writer.rs` says which thread it works on. `changes.rs` remembers what changed lately, for finding conflicts; `keeper.rs` does
//! what can wait: timed syncs, and dropping the files of retired prefixes.

mod changes;
mod committer;
mod directory;
mod group;
mod history;
mod keeper;
mod sight;
mod snapshot;
mod tuning;
mod writer;

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use partita_metrics::Samples;
use rocksdb::DB;
use tokio::sync::oneshot;

use crate::check;
use crate::contract::{Commit, CommitError, Committed, Engine, EngineError, Freshness, Key, Reason, Version};
use crate::open::{Location, OpenError, OpenOptions};

use committer::{Committer, Request};
use directory::DataDirectory;
use history::History;
use keeper::Keeper;
use sight::Tally;
use snapshot::Moment;
pub use snapshot::RocksSnapshot;
use tuning::Tuned;
use writer::Writer;

/// RocksDB in this process, behind the storage contract.
pub struct RocksEngine {
    published: Arc<ArcSwap<Moment>>,
    writer: Writer,
    failure: Arc<OnceLock<Reason>>,
    tally: Arc<Tally>,
}

impl RocksEngine {
    /// Opens the engine, making its directory if it is not there.
    pub(crate) fn open(options: &OpenOptions) -> Result<Self, OpenError> {
        let (home, directory) = match &options.location {
            Location::Directory(path) => (path.clone(), Some(DataDirectory::prepare(path)?)),
            // The path is one of the environment in memory. On the file system it must exist, and nothing happens to it.
            Location::Memory => (std::env::temp_dir(), None),
        };
        let inaccessible = |reason: Reason| OpenError::Inaccessible { path: home.clone(), reason };
        let tuned = Tuned::new(options).map_err(|error| inaccessible(Reason::new(error)))?;
        let db = match &directory {
            Some(directory) => {
                DB::open(&tuned.options, directory.database()).map_err(|error| directory.explain(&error, &tuned))
            }
            None => DB::open(&tuned.options, &home).map_err(|error| inaccessible(Reason::new(error))),
        }?;
        let db = Arc::new(db);
        let mut history = History::load(&db, &home)?;
        history.incarnation = history.incarnation.max(options.least_incarnation);
        let published = Arc::new(ArcSwap::from_pointee(Moment::now(Arc::clone(&db), history)));
        let cannot_start = |error: io::Error| inaccessible(Reason::new(format_args!("cannot start a thread: {error}")));

        let keeper = Keeper::start(Arc::clone(&db), &tuned).map_err(cannot_start)?;
        let failure = keeper.failure_cell();
        let tally = Arc::new(Tally::new(&db, &tuned));
        let in_memory = tuned.in_memory;
        let committer = Committer::new(db, history, Arc::clone(&published), keeper, tuned, options, Arc::clone(&tally));
        let writer =
            if in_memory { Writer::askers(committer) } else { Writer::thread(committer).map_err(cannot_start)? };
        Ok(Self { published, writer, failure, tally })
    }

    /// The latest snapshot, without waiting for anything.
    pub fn latest(&self) -> RocksSnapshot {
        RocksSnapshot::new(self.published.load_full())
    }

    /// Why no commit is accepted any more, if that is so: a write has failed, and what the disk holds is not known.
    pub fn failure(&self) -> Option<Reason> {
        self.failure.get().cloned()
    }

    /// Adds what the engine counts.
    pub(crate) fn sample(&self, samples: &mut Samples) {
        self.tally.sample(samples);
    }

    /// Finishes and syncs what is waiting, then refuses later commits.
    pub(crate) async fn close(&self) -> Result<(), EngineError> {
        let (answer, answered) = oneshot::channel();
        if self.writer.ask(Request::Close { answer }).is_err() {
            return Ok(());
        }
        answered.await.unwrap_or(Ok(()))
    }
}

impl Engine for RocksEngine {
    type Snapshot = RocksSnapshot;

    async fn snapshot(&self, _: Freshness) -> Result<RocksSnapshot, EngineError> {
        Ok(self.latest())
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        check::commit(&commit)?;
        let (answer, answered) = oneshot::channel();
        self.writer
            .ask(Request::Commit { commit, answer })
            .map_err(|_| CommitError::Unavailable(Reason::new(CLOSED)))?;
        answered.await.unwrap_or_else(|_| Err(CommitError::Unavailable(Reason::new(CLOSED))))
    }

    async fn watch(&self, key: Key, since: Version) -> Result<(), EngineError> {
        let (answer, answered) = oneshot::channel();
        self.writer
            .ask(Request::Watch { key, since, answer })
            .map_err(|_| EngineError::Unavailable(Reason::new(CLOSED)))?;
        answered.await.map_err(|_| EngineError::Unavailable(Reason::new(CLOSED)))
    }
}

const CLOSED: &str = "the store is closed";

impl Drop for RocksEngine {
    fn drop(&mut self) {
        let (answer, _) = oneshot::channel();
        // An error means that the committer has ended already.
        let _ = self.writer.ask(Request::Close { answer });
        self.writer.join();
    }
}

impl fmt::Debug for RocksEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksEngine").field("published", &self.published.load()).finish_non_exhaustive()
    }
}
