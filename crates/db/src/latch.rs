//! Queues for hot keys: on one node, writers of one item wait in line instead of conflicting.
//!
//! The first writer of a key goes ahead at once. Those that come while it is at work queue up, and when it is done a
//! task of their own decides all of them in order on one read, commits once, and answers each.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;
use partita_engine::Key;
use tokio::sync::oneshot;

use crate::Database;
use crate::error::Result;
use crate::table::Table;
use crate::write::{Outcome, SingleWrite};

const SHARDS: usize = 64;
/// The most writes of one key that are committed together: each has its place among a commit's stream records.
const MAX_TOGETHER: usize = 1_000;

/// The queues of all keys that are being written.
pub(crate) struct Latches {
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<Key, Vec<Job>>>>,
}

/// A write that waits in line.
pub(crate) struct Job {
    pub table: Arc<Table>,
    pub write: SingleWrite,
    pub answer: oneshot::Sender<Result<Outcome>>,
}

/// What a writer finds at a key.
pub(crate) enum Turn {
    /// Nobody is at work: go ahead, and hold this meanwhile.
    Now(Held, Box<SingleWrite>),
    /// In line; the answer comes here.
    Queued(oneshot::Receiver<Result<Outcome>>),
}

/// Keeps a key's line closed to others. When it goes, those who came meanwhile are served.
pub(crate) struct Held {
    database: Database,
    key: Key,
}

impl Default for Latches {
    fn default() -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { hasher: RandomState::new(), shards }
    }
}

impl Latches {
    fn shard(&self, key: &Key) -> &Mutex<HashMap<Key, Vec<Job>>> {
        let at = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        #[expect(clippy::indexing_slicing, reason = "a remainder of the number of shards")]
        &self.shards[at]
    }

    /// The first of those waiting for the key; when there are none the line is closed.
    fn take(&self, key: &Key) -> Vec<Job> {
        let mut shard = self.shard(key).lock();
        match shard.get_mut(key) {
            Some(jobs) if !jobs.is_empty() => {
                let later = jobs.split_off(jobs.len().min(MAX_TOGETHER));
                std::mem::replace(jobs, later)
            }
            _ => {
                shard.remove(key);
                Vec::new()
            }
        }
    }
}

impl Database {
    /// Takes a writer's turn at its key.
    pub(crate) fn take_turn(&self, table: &Arc<Table>, write: SingleWrite) -> Turn {
        let key = write.key.stored.clone();
        let mut shard = self.inner.latches.shard(&key).lock();
        match shard.get_mut(&key) {
            Some(jobs) => {
                let (answer, receiver) = oneshot::channel();
                jobs.push(Job { table: Arc::clone(table), write, answer });
                Turn::Queued(receiver)
            }
            None => {
                shard.insert(key.clone(), Vec::new());
                Turn::Now(Held { database: self.clone(), key }, Box::new(write))
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let jobs = self.database.inner.latches.take(&self.key);
        if jobs.is_empty() {
            return;
        }
        let (database, key) = (self.database.clone(), self.key.clone());
        // A task of its own, so that no client that hangs up can stop what others wait for.
        tokio::spawn(async move {
            let mut jobs = jobs;
            while !jobs.is_empty() {
                database.serve(jobs).await;
                jobs = database.inner.latches.take(&key);
            }
        });
    }
}
