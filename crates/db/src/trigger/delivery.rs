//! What the one node that delivers reads and writes: triggers, the shards whose turn it is, places to read from, and
//! checkpoints. Every checkpoint reads the lease and the trigger's definition, so a node that was taken for dead, or a
//! trigger that was deleted, leaves nothing behind.

use std::collections::HashMap;

use partita_engine::{Commit, CommitError, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Write};
use partita_model::ErrorCode;
use tokio::sync::Mutex;

use super::definition::{from_json, to_json, triggers_in};
use super::progress::{Progress, Tally};
use super::{StartingPosition, Trigger};
use crate::Database;
use crate::catalog::back_off;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::jobs::Lease;
use crate::keyspace;
use crate::limits::MAX_ATTEMPTS;
use crate::stream::{IteratorStart, ShardDescription, StreamPage};

/// The job's name.
const JOB: &str = "triggers";
/// Shards asked for at a time.
const SHARDS_AT_ONCE: usize = 1000;

/// The right to deliver triggers, which one node has at a time.
pub struct Deliveries {
    database: Database,
    lease: Mutex<Lease>,
}

/// A shard whose records a trigger may deliver now: all that came before them is dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerShard {
    /// The shard's id.
    pub id: String,
    /// How far the trigger has come in it.
    pub progress: Progress,
}

/// Where to go on in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// With what this iterator gives.
    At(String),
    /// With what this iterator gives, though records before it were trimmed before they were delivered.
    AfterLoss(String),
    /// Nowhere: the shard or its stream is gone, after 24 hours.
    Gone,
}

impl Deliveries {
    /// Deliveries by this node, which does not have the lease yet.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, lease: Mutex::new(Lease::new(JOB)) }
    }

    /// The database.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Takes or keeps the lease, and says whether this node has it. To be called every few seconds.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn take(&self) -> Result<bool> {
        self.lease.lock().await.take(&self.database).await
    }

    /// The triggers of all accounts and regions that are to deliver.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn enabled(&self) -> Result<Vec<Trigger>> {
        let snapshot = self.database.snapshot(Freshness::Latest).await?;
        let mut triggers = triggers_in(&snapshot, KeyRange::prefix(keyspace::triggers())).await?;
        triggers.retain(|trigger| trigger.enabled);
        Ok(triggers)
    }

    /// The shards of a trigger whose turn it is: not done, and continuing none that is not done. What is known of shards
    /// that are no more is forgotten.
    ///
    /// # Errors
    /// `Contention` when another node has the lease, or an engine failure. A stream that is gone has no shards.
    pub async fn shards(&self, trigger: &Trigger) -> Result<Vec<TriggerShard>> {
        let shards = self.database.shards_of(trigger).await?;
        let snapshot = self.database.snapshot(Freshness::Latest).await?;
        let mut progress = progress_of(&snapshot, trigger).await?;
        let is_done = |id: &str| progress.get(id).is_some_and(|progress| progress.done);
        let due: Vec<String> = shards
            .iter()
            .filter(|shard| !is_done(&shard.id))
            .filter(|shard| {
                let waits_for = shard.parent.as_ref().filter(|parent| shards.iter().any(|other| other.id == **parent));
                waits_for.is_none_or(|parent| is_done(parent))
            })
            .map(|shard| shard.id.clone())
            .collect();
        let stale = progress.keys().filter(|id| !shards.iter().any(|shard| shard.id == **id));
        let deletes: Vec<Write> = stale.map(|id| Write::Delete { key: progress_key(trigger, id) }).collect();
        if !deletes.is_empty() {
            self.commit(trigger, deletes).await?;
        }
        let shard = |id: String| TriggerShard { progress: progress.remove(&id).unwrap_or_default(), id };
        Ok(due.into_iter().map(shard).collect())
    }

    /// Where a trigger goes on in a shard.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn place(&self, trigger: &Trigger, shard: &str, progress: &Progress) -> Result<Place> {
        self.database.place_of(trigger, shard, progress).await
    }

    /// Keeps how far a trigger has come in a shard, and counts what became of records. Says whether the trigger is still
    /// there.
    ///
    /// # Errors
    /// `Contention` when another node has the lease, or an engine failure.
    pub async fn save(&self, trigger: &Trigger, shard: &str, progress: &Progress, tally: Tally) -> Result<bool> {
        let mut writes = vec![Write::Put { key: progress_key(trigger, shard), value: to_json(progress)? }];
        for (kind, count) in tally.counts().into_iter().filter(|(_, count)| *count > 0) {
            writes.push(Write::Add { key: tally_key(trigger, kind), delta: i64::try_from(count).unwrap_or(i64::MAX) });
        }
        self.commit(trigger, writes).await
    }

    /// Commits writes if this node has the lease and the trigger is still there; says whether it is.
    async fn commit(&self, trigger: &Trigger, writes: Vec<Write>) -> Result<bool> {
        let key = trigger.key();
        for attempt in 0..MAX_ATTEMPTS {
            let (snapshot, lease) = {
                let mut lease = self.lease.lock().await;
                lease.keep(&self.database).await?;
                let snapshot = self.database.snapshot(Freshness::Latest).await?;
                lease.check(&snapshot).await?;
                (snapshot, lease.key())
            };
            match snapshot.get(&key).await?.map(|value| from_json::<Trigger>(&value)).transpose()? {
                Some(current) if current.id == trigger.id => {}
                _ => return Ok(false),
            }
            let reads = vec![Read::Key(lease), Read::Key(key.clone())];
            let commit =
                Commit { read_version: snapshot.version(), reads, writes: writes.clone(), catalog_changed: false };
            match self.database.store().commit(commit).await {
                Ok(_) => return Ok(true),
                // The lease was renewed, or the trigger changed.
                Err(CommitError::Conflict | CommitError::TooOld) => back_off(attempt).await,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Contention)
    }
}

impl Database {
    /// All shards of a trigger's stream, oldest first; none when the stream is gone.
    pub(super) async fn shards_of(&self, trigger: &Trigger) -> Result<Vec<ShardDescription>> {
        let mut shards = Vec::new();
        let mut after = None;
        loop {
            let page = StreamPage { after, children_of: None, limit: SHARDS_AT_ONCE };
            match self.describe_stream(&trigger.stream_arn, &page).await {
                Ok(described) => {
                    shards.extend(described.shards);
                    after = described.last;
                    if after.is_none() {
                        return Ok(shards);
                    }
                }
                Err(error) if is(&error, ErrorCode::ResourceNotFoundException) => return Ok(shards),
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) async fn place_of(&self, trigger: &Trigger, shard: &str, progress: &Progress) -> Result<Place> {
        let start = match (&progress.after, trigger.start) {
            (Some(after), _) => IteratorStart::After(after.clone()),
            (None, StartingPosition::TrimHorizon) => IteratorStart::TrimHorizon,
            // Clocks may have been set back since.
            (None, StartingPosition::Latest) => IteratorStart::AtTime(trigger.created_ms.min(self.now_ms())),
        };
        match self.shard_iterator(&trigger.stream_arn, shard, &start).await {
            Ok(iterator) => Ok(Place::At(iterator)),
            Err(error) if is(&error, ErrorCode::ResourceNotFoundException) => Ok(Place::Gone),
            Err(error) if is(&error, ErrorCode::TrimmedDataAccessException) => {
                let oldest = self.shard_iterator(&trigger.stream_arn, shard, &IteratorStart::TrimHorizon).await?;
                Ok(Place::AfterLoss(oldest))
            }
            Err(error) => Err(error),
        }
    }
}

/// How far a trigger has come in each of the shards it has begun.
pub(super) async fn progress_of(snapshot: &Snapshot, trigger: &Trigger) -> Result<HashMap<String, Progress>> {
    let prefix = keyspace::trigger_progress(&trigger.id);
    let mut range = KeyRange::prefix(prefix.clone());
    let mut progress = HashMap::new();
    loop {
        let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
        for (key, value) in &page.rows {
            let shard = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
            progress.insert(shard, from_json(value)?);
        }
        match page.rows.last() {
            Some((last, _)) if page.more => range = range.after(last),
            _ => return Ok(progress),
        }
    }
}

/// What became of a trigger's records since it was made.
pub(super) async fn tally_of(snapshot: &Snapshot, trigger: &Trigger) -> Result<Tally> {
    let mut counts = [0; 3];
    for (kind, count) in (0u8..).zip(&mut counts) {
        let value = snapshot.get(&tally_key(trigger, kind)).await?;
        let value = value.and_then(|value| Some(i64::from_le_bytes(value.as_ref().try_into().ok()?)));
        *count = value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
    }
    let [delivered, dead_lettered, discarded] = counts;
    Ok(Tally { delivered, dead_lettered, discarded })
}

impl Tally {
    /// What is counted, by the byte that ends each counter's key.
    const fn counts(self) -> [(u8, u64); 3] {
        [(0, self.delivered), (1, self.dead_lettered), (2, self.discarded)]
    }
}

fn progress_key(trigger: &Trigger, shard: &str) -> Key {
    let mut key = keyspace::trigger_progress(&trigger.id);
    key.extend_from_slice(shard.as_bytes());
    key.into()
}

fn tally_key(trigger: &Trigger, kind: u8) -> Key {
    let mut key = keyspace::trigger_tally(&trigger.id);
    key.push(kind);
    key.into()
}

fn is(error: &Error, code: ErrorCode) -> bool {
    matches!(error, Error::Refused(refusal) if refusal.code == code)
}
