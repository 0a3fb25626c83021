//! Leases: which node does a job that only one may do at a time.
//!
//! A holder writes a new beat every few seconds. Another node takes the lease when it has seen the same beat for long
//! enough by its own monotonic clock, so clocks of the day need not agree. Every commit of the job reads the lease's key:
//! a holder that was taken for dead commits nothing more.

use std::time::{Duration, Instant};

use partita_engine::{Commit, CommitError, Freshness, Key, Read, Value, Write};

use crate::Database;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::keyspace;

/// How often a holder writes a beat.
const BEAT_INTERVAL: Duration = Duration::from_secs(3);
/// How long the same beat means that its holder is gone.
const GONE_AFTER: Duration = Duration::from_secs(12);

/// A lease, as one node sees it.
#[derive(Debug)]
pub(crate) struct Lease {
    key: Key,
    holder: u128,
    beat: u64,
    /// When this node last wrote a beat; `None` while it does not hold the lease.
    beaten: Option<Instant>,
    /// What another holder wrote, and when this node first saw it.
    seen: Option<(Value, Instant)>,
}

impl Lease {
    pub(crate) fn new(job: &str) -> Self {
        Self { key: keyspace::lease(job), holder: fastrand::u128(..), beat: 0, beaten: None, seen: None }
    }

    /// What commits of the job read.
    pub(crate) fn key(&self) -> Key {
        self.key.clone()
    }

    /// Takes or keeps the lease, and says whether this node has it.
    ///
    /// # Errors
    /// An engine failure.
    pub(crate) async fn take(&mut self, database: &Database) -> Result<bool> {
        // An embedded store has no other node to prove life to: once taken, the lease stays, and an idle server writes
        // nothing.
        let is_alone = database.store().is_embedded();
        if self.beaten.is_some_and(|beaten| is_alone || beaten.elapsed() < BEAT_INTERVAL) {
            return Ok(true);
        }
        let snapshot = database.snapshot(Freshness::Latest).await?;
        let current = snapshot.get(&self.key).await?;
        let free = match &current {
            None => true,
            Some(value) if self.wrote(value) => true,
            // An embedded store is open in one process only, so whoever wrote this is gone.
            Some(_) if is_alone => true,
            Some(value) => match &self.seen {
                Some((seen, since)) if seen == value => since.elapsed() >= GONE_AFTER,
                _ => {
                    self.seen = Some((value.clone(), Instant::now()));
                    false
                }
            },
        };
        self.beaten = None;
        if !free {
            return Ok(false);
        }
        self.beat += 1;
        let commit = Commit {
            read_version: snapshot.version(),
            reads: vec![Read::Key(self.key.clone())],
            writes: vec![Write::Put { key: self.key.clone(), value: self.value() }],
            catalog_changed: false,
        };
        match database.store().commit(commit).await {
            Ok(_) => {
                self.beaten = Some(Instant::now());
                self.seen = None;
                Ok(true)
            }
            Err(CommitError::Conflict | CommitError::TooOld) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    /// Keeps the lease through long work.
    ///
    /// # Errors
    /// `Contention` when another node has taken it, or an engine failure.
    pub(crate) async fn keep(&mut self, database: &Database) -> Result<()> {
        if cfg!(test) {
            // In memory nothing waits; this is where tests stop a job as a crash would.
            tokio::task::yield_now().await;
        }
        if self.take(database).await? { Ok(()) } else { Err(Error::Contention) }
    }

    /// Checks that the lease is this node's at the moment of a snapshot, before a commit that reads its key.
    ///
    /// # Errors
    /// `Contention` when it is not, or an engine failure.
    pub(crate) async fn check(&self, snapshot: &Snapshot) -> Result<()> {
        match snapshot.get(&self.key).await? {
            Some(value) if value == self.value() => Ok(()),
            _ => Err(Error::Contention),
        }
    }

    fn value(&self) -> Value {
        let mut value = self.holder.to_be_bytes().to_vec();
        value.extend_from_slice(&self.beat.to_be_bytes());
        value.into()
    }

    fn wrote(&self, value: &[u8]) -> bool {
        value.starts_with(&self.holder.to_be_bytes())
    }
}

impl Database {
    /// Commits a job's writes that depend on nothing but the lease.
    ///
    /// # Errors
    /// `Contention` when another node has the lease, or an engine failure.
    pub(crate) async fn commit_as(&self, lease: &mut Lease, writes: Vec<Write>) -> Result<()> {
        lease.keep(self).await?;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        lease.check(&snapshot).await?;
        let reads = vec![Read::Key(lease.key())];
        self.store().commit(Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false }).await?;
        Ok(())
    }
}
