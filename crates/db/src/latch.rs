//! Queues for hot keys: on one node, writers of one item wait in line instead of conflicting.
//!
//! The first writer of a key goes ahead at once. Those that come while it is at work queue up, and when it is done a
//! task of their own decides all of them in order on one read, commits once, and answers each.
//!
//! Transactions hold the keys of all their items while they are executed. A single write that comes meanwhile, and another
//! transaction that does not only check what this one only checks, are refused, as the service does ("Transaction conflict handling in DynamoDB"); writes that are at work or
//! in line already are finished. The holds are this node's; between nodes, commits find conflicts.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;
use partita_engine::Key;
use tokio::sync::oneshot;

use crate::Database;
use crate::error::{CancellationReason, Error, Result};
use crate::table::Table;
use crate::write::{Outcome, SingleWrite};

const SHARDS: usize = 64;
/// The most writes of one key that are committed together: each has its place among a commit's stream records.
const MAX_TOGETHER: usize = 1_000;

/// The queues of all keys that are being written.
pub(crate) struct Latches {
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<Key, Line>>>,
}

/// What goes on at a key. There is no entry for a key where nothing does.
#[derive(Default)]
struct Line {
    /// Those who wait for the writer that is at work; `None` while none is.
    waiting: Option<Vec<Job>>,
    /// What transactions that are being executed do with the item.
    held: Option<Hold>,
}

/// What transactions that are being executed do with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// This many only judge conditions on it, which they may do side by side.
    Checked(u32),
    /// One writes it.
    Written,
}

impl Hold {
    /// What is done once another comes to it; `None` when the two conflict.
    fn joined(held: Option<Self>, wanted: Self) -> Option<Self> {
        match (held, wanted) {
            (None, wanted) => Some(wanted),
            (Some(Self::Checked(these)), Self::Checked(those)) => Some(Self::Checked(these.saturating_add(those))),
            _ => None,
        }
    }

    /// What is done once one leaves.
    fn left(self) -> Option<Self> {
        match self {
            Self::Checked(number) if number > 1 => Some(Self::Checked(number - 1)),
            _ => None,
        }
    }
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
    /// A transaction has the item.
    Refused,
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
    fn shard(&self, key: &Key) -> &Mutex<HashMap<Key, Line>> {
        let at = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        #[expect(clippy::indexing_slicing, reason = "a remainder of the number of shards")]
        &self.shards[at]
    }

    /// The first of those waiting for the key; when there are none the line is closed.
    fn take(&self, key: &Key) -> Vec<Job> {
        let mut shard = self.shard(key).lock();
        let Some(line) = shard.get_mut(key) else { return Vec::new() };
        match &mut line.waiting {
            Some(jobs) if !jobs.is_empty() => {
                let later = jobs.split_off(jobs.len().min(MAX_TOGETHER));
                std::mem::replace(jobs, later)
            }
            _ => {
                line.waiting = None;
                if line.held.is_none() {
                    shard.remove(key);
                }
                Vec::new()
            }
        }
    }

    /// Whether a transaction writes the item.
    fn is_written(&self, key: &Key) -> bool {
        self.shard(key).lock().get(key).is_some_and(|line| line.held == Some(Hold::Written))
    }

    /// Gives an item to a transaction, unless that conflicts with another.
    fn hold(&self, key: &Key, wanted: Hold) -> bool {
        let mut shard = self.shard(key).lock();
        let line = shard.entry(key.clone()).or_default();
        let joined = Hold::joined(line.held, wanted);
        line.held = joined.or(line.held);
        joined.is_some()
    }

    fn release(&self, key: &Key) {
        let mut shard = self.shard(key).lock();
        let Some(line) = shard.get_mut(key) else { return };
        line.held = line.held.and_then(Hold::left);
        if line.waiting.is_none() && line.held.is_none() {
            shard.remove(key);
        }
    }
}

impl Database {
    /// Takes a writer's turn at its key.
    pub(crate) fn take_turn(&self, table: &Arc<Table>, write: SingleWrite) -> Turn {
        let key = write.key.stored.clone();
        let mut shard = self.inner.latches.shard(&key).lock();
        match shard.get_mut(&key) {
            Some(Line { held: Some(_), .. }) => Turn::Refused,
            Some(Line { waiting: Some(jobs), .. }) => {
                let (answer, receiver) = oneshot::channel();
                jobs.push(Job { table: Arc::clone(table), write, answer });
                Turn::Queued(receiver)
            }
            _ => {
                shard.insert(key.clone(), Line { waiting: Some(Vec::new()), held: None });
                Turn::Now(Held { database: self.clone(), key }, Box::new(write))
            }
        }
    }

    /// Takes the items of a transaction, none of them twice.
    ///
    /// # Errors
    /// `TransactionCanceled` with `TransactionConflict` for every item that another transaction writes, or checks while this
    /// one wants to write it; then none is taken.
    pub(crate) fn hold_items(&self, keys: Vec<(Key, Hold)>) -> Result<HeldItems> {
        let mut held = HeldItems { latches: Arc::clone(&self.inner.latches), keys: Vec::with_capacity(keys.len()) };
        let mut reasons = Vec::with_capacity(keys.len());
        for (key, wanted) in keys {
            let taken = self.inner.latches.hold(&key, wanted);
            reasons.push(if taken { CancellationReason::default() } else { CancellationReason::conflict() });
            if taken {
                held.keys.push(key);
            }
        }
        if held.keys.len() == reasons.len() { Ok(held) } else { Err(Error::TransactionCanceled { reasons }) }
    }

    /// Checks that no transaction that is being executed writes any of the items.
    ///
    /// # Errors
    /// `TransactionCanceled` with `TransactionConflict` for every item that one has.
    pub(crate) fn check_not_in_transaction(&self, keys: &[Key]) -> Result<()> {
        let conflict = |key| {
            if self.inner.latches.is_written(key) {
                CancellationReason::conflict()
            } else {
                CancellationReason::default()
            }
        };
        let reasons: Vec<CancellationReason> = keys.iter().map(conflict).collect();
        if reasons.iter().all(|reason| reason.code.is_none()) {
            Ok(())
        } else {
            Err(Error::TransactionCanceled { reasons })
        }
    }
}

/// The items of a transaction that is being executed; they are free when this goes.
pub(crate) struct HeldItems {
    latches: Arc<Latches>,
    keys: Vec<Key>,
}

impl Drop for HeldItems {
    fn drop(&mut self) {
        self.keys.iter().for_each(|key| self.latches.release(key));
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
