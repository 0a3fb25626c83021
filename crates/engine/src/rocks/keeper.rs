//! What can wait: syncing the journal by a timer, and giving the space of retired prefixes back.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rocksdb::{DB, WriteBatch, WriteOptions};

use crate::contract::{KeyRange, Reason};

use super::tuning::Tuned;

/// The most that a power failure takes under `Durability::Interval`.
const SYNC_INTERVAL: Duration = Duration::from_millis(100);
/// How often to look whether the readers of a retired prefix are gone.
const RECLAIM_INTERVAL: Duration = Duration::from_secs(1);
/// A key of a retired prefix that sorts after the keys in use: files that reach beyond it stay.
const LAST_OF_PREFIX: [u8; 32] = [0xFF; 32];

/// Work for the keeper.
enum Task {
    /// Something was written without a sync.
    SyncSoon,
    /// A prefix was retired by the write that ended at this sequence number.
    Reclaim(Retired),
}

struct Retired {
    range: KeyRange,
    sequence: u64,
}

/// The thread for what can wait. Ends, after a last sync, when dropped.
pub(crate) struct Keeper {
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
    failure: Arc<OnceLock<Reason>>,
    syncs: bool,
}

impl Keeper {
    pub(crate) fn start(db: Arc<DB>, tuned: &Tuned) -> io::Result<Self> {
        let (tasks, queue) = mpsc::channel();
        let failure = Arc::new(OnceLock::new());
        let work = Work { db, writes: tuned.background_writes(), failure: Arc::clone(&failure), retired: Vec::new() };
        let thread = thread::Builder::new().name("partita-keeper".to_owned()).spawn(move || work.run(&queue))?;
        Ok(Self { tasks: Some(tasks), thread: Some(thread), failure, syncs: tuned.syncs_by_timer() })
    }

    /// Where it stands why nothing can be written any more, once that is so.
    pub(crate) fn failure_cell(&self) -> Arc<OnceLock<Reason>> {
        Arc::clone(&self.failure)
    }

    /// Notes that the database can not be written any more.
    pub(crate) fn failed(&self, reason: Reason) {
        // The first reason stands.
        let _ = self.failure.set(reason);
    }

    /// Notes that something was written; under `Durability::Interval` it is synced in time.
    pub(crate) fn written(&self) {
        if self.syncs {
            self.send(Task::SyncSoon);
        }
    }

    /// Notes that a prefix was retired by the write that ended at `sequence`.
    pub(crate) fn reclaim(&self, range: KeyRange, sequence: u64) {
        self.send(Task::Reclaim(Retired { range, sequence }));
    }

    /// Why the journal can not be synced, or nothing be written, any more, if that is so.
    pub(crate) fn failure(&self) -> Option<Reason> {
        self.failure.get().cloned()
    }

    fn send(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // The thread outlives the sender, so this does not fail.
            let _ = tasks.send(task);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    db: Arc<DB>,
    writes: WriteOptions,
    failure: Arc<OnceLock<Reason>>,
    retired: Vec<Retired>,
}

impl Work {
    fn run(mut self, queue: &Receiver<Task>) {
        let mut sync_at: Option<Instant> = None;
        loop {
            let reclaim_in = if self.retired.is_empty() { Duration::MAX } else { RECLAIM_INTERVAL };
            let sync_in = sync_at.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            match receive(queue, reclaim_in.min(sync_in)) {
                Ok(Task::SyncSoon) => {
                    sync_at.get_or_insert_with(|| Instant::now() + SYNC_INTERVAL);
                }
                Ok(Task::Reclaim(retired)) => self.retired.push(retired),
                Err(RecvTimeoutError::Timeout) => self.reclaim(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if sync_at.is_some_and(|at| at <= Instant::now()) {
                sync_at = None;
                self.sync();
            }
        }
        if sync_at.is_some() {
            self.sync();
        }
    }

    fn sync(&self) {
        if let Err(error) = self.db.flush_wal(true) {
            let _ = self.failure.set(Reason::new(error));
        }
    }

    /// Drops the files that hold nothing but retired prefixes, once no snapshot can see what is in them.
    fn reclaim(&mut self) {
        let Ok(oldest) = self.db.property_int_value(c"rocksdb.oldest-snapshot-sequence") else { return };
        let oldest = oldest.filter(|sequence| *sequence > 0).unwrap_or(u64::MAX);
        let Self { db, writes, retired, .. } = self;
        retired.retain(|retired| {
            if retired.sequence > oldest {
                return true;
            }
            // Dropping a file may drop the very tombstone that hides older keys in a file that stays. A fresh one is in
            // memory or in level 0, where files are never dropped. Failing, the space comes back by compaction instead.
            let mut batch = WriteBatch::default();
            batch.delete_range(retired.range.start.as_ref(), retired.range.end.as_ref());
            if db.write_opt(batch, writes).is_ok() {
                let start = retired.range.start.as_ref();
                let last = [start, LAST_OF_PREFIX.as_slice()].concat();
                let _ = db.delete_file_in_range(start, last.as_slice());
            }
            false
        });
    }
}

fn receive(queue: &Receiver<Task>, within: Duration) -> Result<Task, RecvTimeoutError> {
    if within == Duration::MAX {
        queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
    } else {
        queue.recv_timeout(within)
    }
}
