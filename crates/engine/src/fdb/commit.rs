//! One conditional commit: staging what is too large, the transaction, and what became of it.
//!
//! Each try writes a key that no other will ever write, and depends on its absence. When the cluster can not say whether
//! a try was applied, whoever asked writes that key itself: either it is there already, and then the commit was applied,
//! or the late commit will meet it and be refused. So an unknown outcome never leaves this file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use foundationdb::options::{ConflictRangeType, MutationType, StreamingMode, TransactionOption};
use foundationdb::{FdbError, KeySelector, RangeOption, Transaction};

use crate::contract::{
    Commit, CommitError, Committed, InvalidCommit, KeyRange, MAX_DELETE_RANGE_KEYS, Read, Reason, Value, Write,
};

use super::Shared;
use super::failure::{self, Outcome};
use super::keys::{self, Id, MAX_INLINE_BYTES, PIECE_BYTES};

/// The bytes of a transaction above which values are staged: FoundationDB takes 10 MB, and does well with far less.
const TRANSACTION_BYTES: usize = 4 << 20;
/// The shortest value that is staged to make a transaction smaller.
const MIN_STAGED_BYTES: usize = 512;
/// What a write takes in a transaction besides its key and value, roughly: its conflict range names the key twice.
const WRITE_BYTES: usize = 64;
/// The most bytes of blobs in one transaction.
const STAGE_BYTES: usize = 2 << 20;
/// How long the cluster may take for one try, in milliseconds.
const TRY_TIMEOUT_MS: i32 = 10_000;
/// How often a commit is tried that was not applied for reasons of the cluster's own.
const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// What someone who asked for an outcome writes where the commit would have left its stamp.
const REFUSED: &[u8] = &[0];
/// How long an outcome is asked for: far shorter than stamps are kept. Nobody waits for an answer that long.
const ASKING: Duration = Duration::from_secs(600);

/// Where the value of one write went.
struct Staged {
    /// Which of the writes.
    write: usize,
    id: Id,
    bytes: u32,
}

/// Why a try went no further than it did.
enum Failure {
    /// What the contract says to the caller.
    Refused(CommitError),
    /// What the cluster said before the try was sent: nothing was applied.
    Cluster(FdbError),
}

impl From<FdbError> for Failure {
    fn from(error: FdbError) -> Self {
        Self::Cluster(error)
    }
}

/// Commits. Runs to its end even when nobody waits for it any more.
pub(super) async fn run(shared: Arc<Shared>, commit: Commit) -> Result<Committed, CommitError> {
    let incarnation = shared.incarnation().await?;
    let mut staged = stage(&shared, &commit).await?;
    let mut tries = 0;
    loop {
        let error = match attempt(&shared, &commit, &staged, incarnation).await? {
            Tried::Applied(committed) => return Ok(committed),
            // Whoever sweeps took the blobs of a commit that is very slow.
            Tried::Swept => {
                staged = stage(&shared, &commit).await?;
                None
            }
            Tried::NotApplied(error) => Some(error),
        };
        if let Some(error) = error {
            match failure::outcome(error) {
                Outcome::Conflict if !commit.reads.is_empty() => return Err(CommitError::Conflict),
                Outcome::TooOld if !commit.reads.is_empty() => return Err(CommitError::TooOld),
                Outcome::TooLarge => return Err(CommitError::TooLarge),
                Outcome::Failed => return Err(unavailable(error)),
                // Without reads of its own a commit meets only what the cluster has forgotten.
                Outcome::Conflict | Outcome::TooOld | Outcome::Again | Outcome::Unknown => {}
            }
            if tries >= TRIES {
                return Err(unavailable(error));
            }
        } else if tries >= TRIES {
            return Err(CommitError::Unavailable(Reason::new("the blobs of a commit were swept again and again")));
        }
        pause(tries).await;
        tries = tries.saturating_add(1);
    }
}

/// What became of one try.
enum Tried {
    Applied(Committed),
    NotApplied(FdbError),
    /// Not applied: a blob that it refers to is no longer there.
    Swept,
}

/// One try, whose outcome is known when this returns.
async fn attempt(shared: &Shared, commit: &Commit, staged: &[Staged], incarnation: u32) -> Result<Tried, CommitError> {
    let transaction = shared.database.create_trx().map_err(unavailable)?;
    let own = match fill(shared, &transaction, commit, staged, incarnation).await {
        Ok(Some(own)) => own,
        Ok(None) => return Ok(Tried::Swept),
        Err(Failure::Refused(error)) => return Err(error),
        Err(Failure::Cluster(error)) => return Ok(Tried::NotApplied(failure::not_sent(error))),
    };
    let finished = shared.finished.take();
    for key in &finished {
        transaction.clear(key);
    }
    let stamp = transaction.get_versionstamp();
    let error = match transaction.commit().await {
        Ok(_) => {
            let stamp = match stamp.await {
                Ok(stamp) => Some(stamp.to_vec()),
                // It is also where the commit has left it.
                Err(_) => learn(shared, &own).await?,
            };
            let stamp = stamp.ok_or_else(|| CommitError::Unavailable(Reason::new("a commit has left no stamp")))?;
            return Ok(Tried::Applied(shared.committed(own, incarnation, &stamp)));
        }
        Err(error) => FdbError::from(error),
    };
    shared.finished.give_back(finished);
    if failure::outcome(error) == Outcome::Unknown {
        if let Some(stamp) = learn(shared, &own).await? {
            return Ok(Tried::Applied(shared.committed(own, incarnation, &stamp)));
        }
        shared.finished.add(own);
    }
    Ok(Tried::NotApplied(error))
}

/// Puts a commit into a transaction, and says where it will leave its stamp; `None` when a blob has been swept.
async fn fill(
    shared: &Shared,
    transaction: &Transaction,
    commit: &Commit,
    staged: &[Staged],
    incarnation: u32,
) -> Result<Option<Vec<u8>>, Failure> {
    let space = &shared.space;
    transaction.set_option(TransactionOption::Timeout(TRY_TIMEOUT_MS))?;
    let version = if commit.reads.is_empty() {
        transaction.get_read_version().await?
    } else {
        let version = commit.read_version.0.cast_signed();
        transaction.set_read_version(version);
        version
    };
    for read in &commit.reads {
        let (begin, end) = match read {
            Read::Key(key) => {
                conflict_with(transaction, &space.key(key))?;
                continue;
            }
            Read::Range(range) => space.range(range),
        };
        if begin < end {
            transaction.add_conflict_range(&begin, &end, ConflictRangeType::Read)?;
        }
    }
    let mut blobs = staged.iter().peekable();
    for (number, write) in commit.writes.iter().enumerate() {
        let blob = blobs.next_if(|staged| staged.write == number);
        let stored = |value: &Value| match blob {
            Some(staged) => keys::reference(&staged.id, staged.bytes),
            None => keys::inline(value).into_owned(),
        };
        match write {
            Write::Put { key, value } => {
                let full = space.key(key);
                transaction.set(&full, &stored(value));
                if let Some(staged) = blob {
                    transaction.set(&space.owner(&staged.id), &full);
                }
            }
            Write::Delete { key } => transaction.clear(&space.key(key)),
            Write::DeleteRange { range } => {
                let (begin, end) = space.range(range);
                if begin < end {
                    bounded(shared, version, &begin, &end).await?;
                    transaction.clear_range(&begin, &end);
                }
            }
            Write::Retire { prefix } => {
                let (begin, end) = space.range(&KeyRange::prefix(prefix.clone()));
                transaction.clear_range(&begin, &end);
            }
            Write::PutAtPosition { prefix, suffix, ordinal, value } => {
                let (key, offset) = keys::positioned(&space.key(prefix), incarnation, *ordinal, suffix);
                if let Some(staged) = blob {
                    let owner = keys::with_stamp_at(key.clone(), offset);
                    let operation = MutationType::SetVersionstampedValue;
                    transaction.atomic_op(&space.owner(&staged.id), &owner, operation);
                }
                let key = keys::with_stamp_at(key, offset);
                transaction.atomic_op(&key, &stored(value), MutationType::SetVersionstampedKey);
            }
            Write::Add { key, delta } => {
                transaction.atomic_op(&space.key(key), &delta.to_le_bytes(), MutationType::Add);
            }
        }
    }
    for staged in staged {
        let mark = space.staged(&staged.id);
        if commit.reads.is_empty() {
            // The version is newer than the blob: the mark is there, or the blob was swept.
            if transaction.get(&mark, false).await?.is_none() {
                return Ok(None);
            }
        } else {
            // The version is older than the blob, so whoever sweeps it does so later, and this commit fails.
            conflict_with(transaction, &space.claim(&staged.id))?;
        }
        transaction.clear(&mark);
    }
    if commit.catalog_changed {
        transaction.update_metadata_version();
    }
    let own = space.commit(&super::random(), version.cast_unsigned());
    conflict_with(transaction, &own)?;
    transaction.atomic_op(&own, &keys::with_stamp_at(vec![0; 10], 0), MutationType::SetVersionstampedValue);
    Ok(Some(own))
}

fn conflict_with(transaction: &Transaction, key: &[u8]) -> Result<(), FdbError> {
    let mut after = key.to_vec();
    after.push(0);
    transaction.add_conflict_range(key, &after, ConflictRangeType::Read)
}

/// Refuses a range of more keys than may be deleted at once. What the commit itself puts there does not count: the keys of
/// positions are not known yet.
async fn bounded(shared: &Shared, version: i64, begin: &[u8], end: &[u8]) -> Result<(), Failure> {
    let transaction = shared.database.create_trx()?;
    transaction.set_option(TransactionOption::Timeout(TRY_TIMEOUT_MS))?;
    transaction.set_read_version(version);
    let option = RangeOption {
        limit: Some(MAX_DELETE_RANGE_KEYS.saturating_add(1)),
        mode: StreamingMode::WantAll,
        ..RangeOption::from((KeySelector::first_greater_or_equal(begin), KeySelector::first_greater_or_equal(end)))
    };
    let mut found = 0_usize;
    let mut left = Some(option);
    while let Some(option) = left {
        let answer = transaction.get_range(&option, 1, true).await?;
        found = found.saturating_add(answer.len());
        left = option.next_range(&answer);
    }
    if found > MAX_DELETE_RANGE_KEYS { Err(Failure::Refused(InvalidCommit::RangeTooLarge.into())) } else { Ok(()) }
}

/// What became of a commit that would have left its stamp at this key: the stamp, or `None` when it was not applied and
/// never will be. Asks until the cluster says, but not for so long that the stamp may have been swept.
pub(super) async fn learn(shared: &Shared, own: &[u8]) -> Result<Option<Vec<u8>>, CommitError> {
    let began = Instant::now();
    let mut tries = 0;
    loop {
        match ask(shared, own).await {
            Ok(known) => return Ok(known),
            Err(error) if shared.is_closed() || began.elapsed() > ASKING => return Err(unavailable(error)),
            Err(_) => pause(tries).await,
        }
        tries = tries.saturating_add(1);
    }
}

async fn ask(shared: &Shared, own: &[u8]) -> Result<Option<Vec<u8>>, FdbError> {
    let transaction = shared.database.create_trx()?;
    transaction.set_option(TransactionOption::Timeout(TRY_TIMEOUT_MS))?;
    match transaction.get(own, false).await? {
        Some(left) if *left == *REFUSED => Ok(None),
        Some(left) => Ok(Some(left.to_vec())),
        None => {
            transaction.set(own, REFUSED);
            transaction.commit().await?;
            Ok(None)
        }
    }
}

/// Writes the values that are too large for the cluster, and more of the largest until the rest is a transaction of good
/// size. They belong to nobody until the commit takes them.
async fn stage(shared: &Shared, commit: &Commit) -> Result<Vec<Staged>, CommitError> {
    let mut values: Vec<(usize, &Bytes)> = Vec::new();
    let mut total = 0_usize;
    for (number, write) in commit.writes.iter().enumerate() {
        let (key, value) = match write {
            Write::Put { key, value } => (key.len(), Some(value)),
            Write::PutAtPosition { prefix, suffix, value, .. } => {
                (prefix.len().saturating_add(suffix.len()), Some(value))
            }
            Write::Delete { key } | Write::Add { key, .. } | Write::Retire { prefix: key } => (key.len(), None),
            Write::DeleteRange { range } => (range.start.len(), None),
        };
        total = total.saturating_add(key.saturating_mul(3)).saturating_add(WRITE_BYTES);
        if let Some(value) = value {
            total = total.saturating_add(value.len());
            values.push((number, value));
        }
    }
    if total <= TRANSACTION_BYTES && values.iter().all(|(_, value)| value.len() <= MAX_INLINE_BYTES) {
        return Ok(Vec::new());
    }
    values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    let mut staged = Vec::new();
    let mut stage = Stage::new(shared);
    for (write, value) in values {
        let must = value.len() > MAX_INLINE_BYTES;
        if !must && (total <= TRANSACTION_BYTES || value.len() < MIN_STAGED_BYTES) {
            break;
        }
        let id = super::random();
        stage.add(&id, value).await?;
        total = total.saturating_sub(value.len()).saturating_add(4 * WRITE_BYTES);
        staged.push(Staged { write, id, bytes: u32::try_from(value.len()).map_err(|_| CommitError::TooLarge)? });
    }
    stage.write().await?;
    staged.sort_by_key(|staged| staged.write);
    Ok(staged)
}

/// Pieces of blobs on their way to the cluster.
struct Stage<'a> {
    shared: &'a Shared,
    waiting: Vec<(Vec<u8>, Bytes)>,
    bytes: usize,
}

impl<'a> Stage<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self { shared, waiting: Vec::new(), bytes: 0 }
    }

    async fn add(&mut self, id: &Id, value: &Bytes) -> Result<(), CommitError> {
        self.waiting.push((self.shared.space.staged(id), Bytes::new()));
        for (number, start) in (0_u32..).zip((0..value.len()).step_by(PIECE_BYTES)) {
            let piece = value.slice(start..value.len().min(start.saturating_add(PIECE_BYTES)));
            self.bytes = self.bytes.saturating_add(piece.len()).saturating_add(WRITE_BYTES);
            self.waiting.push((self.shared.space.piece(id, number), piece));
            if self.bytes >= STAGE_BYTES {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// Writes what waits. Nothing else writes these keys, so that it can be done again at will.
    async fn write(&mut self) -> Result<(), CommitError> {
        let mut tries = 0;
        while !self.waiting.is_empty() {
            let transaction = self.shared.database.create_trx().map_err(unavailable)?;
            transaction.set_option(TransactionOption::Timeout(TRY_TIMEOUT_MS)).map_err(unavailable)?;
            for (key, value) in &self.waiting {
                if value.is_empty() {
                    // The mark of a blob: when it was written, in the cluster's time.
                    let stamp = keys::with_stamp_at(vec![0; 10], 0);
                    transaction.atomic_op(key, &stamp, MutationType::SetVersionstampedValue);
                } else {
                    transaction.set(key, value);
                }
            }
            match transaction.commit().await.map_err(FdbError::from) {
                Ok(_) => self.waiting.clear(),
                Err(error) if failure::outcome(error) != Outcome::Failed && tries < TRIES => pause(tries).await,
                Err(error) => return Err(unavailable(error)),
            }
            tries = tries.saturating_add(1);
        }
        self.bytes = 0;
        Ok(())
    }
}

async fn pause(tries: u32) {
    let longest = FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE);
    tokio::time::sleep(longest.mul_f64(0.5 + f64::from(super::random()[0]) / 512.0)).await;
}

fn unavailable(error: FdbError) -> CommitError {
    CommitError::Unavailable(failure::reason(error))
}
