//! The storage contract: an ordered key–value store with snapshot reads and conditional atomic commits.
//!
//! Everything DynamoDB means (tables, items, indexes, streams, conditions) lives above this page, in the database
//! crate; every engine lives below it. The suite in `suite.rs` judges an engine against the words written here.

use std::fmt;
use std::future::Future;

use bytes::Bytes;

/// A key: any bytes that do not start with [`RESERVED_PREFIX`], from 1 to [`MAX_KEY_BYTES`] of them.
pub type Key = Bytes;

/// A stored value, possibly empty.
pub type Value = Bytes;

/// The longest key, in bytes: FoundationDB takes 10,000, less room for a prefix of the engine's own.
pub const MAX_KEY_BYTES: usize = 9_900;

/// The most keys one [`Write::DeleteRange`] may delete.
pub const MAX_DELETE_RANGE_KEYS: usize = 1_000;

/// The largest commit, in bytes of its keys and values together: four times the largest legal request with its images
/// and history (16 MB).
pub const MAX_COMMIT_BYTES: usize = 64 << 20;

/// The first byte of the keys an engine keeps for itself. Commits may not write them and scans do not see them.
pub const RESERVED_PREFIX: u8 = 0xFF;

/// A moment in the history of the store. A commit makes a later one than any it could have known of; commits that ran
/// beside each other may share one (FoundationDB applies them in batches), and their stamps order them. Comparable within
/// one store only.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// Changes with every commit that sets [`Commit::catalog_changed`], and only then. Only equality means anything.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CatalogToken(pub u64);

/// How new a snapshot has to be.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Sees every commit that was acknowledged before the call, on any node.
    Latest,
    /// May be up to 100 ms old, but never older than what this process has committed or read. Needs no coordination.
    Recent,
}

/// The keys from `start` (inclusive) to `end` (exclusive). Empty when `start >= end`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// The first key of the range.
    pub start: Key,
    /// The first key after the range.
    pub end: Key,
}

impl KeyRange {
    /// The keys from `start` up to, and without, `end`.
    pub fn new(start: impl Into<Key>, end: impl Into<Key>) -> Self {
        Self { start: start.into(), end: end.into() }
    }

    /// Every key that starts with `prefix`, `prefix` itself included. The empty prefix means every key.
    pub fn prefix(prefix: impl Into<Key>) -> Self {
        let start = prefix.into();
        let end = after_prefix(&start);
        Self { start, end }
    }

    /// Just this key.
    pub fn single(key: impl Into<Key>) -> Self {
        let start = key.into();
        let end = just_after(&start);
        Self { start, end }
    }

    /// The part of the range that starts after `key`: where a forward scan resumes.
    #[must_use]
    pub fn after(&self, key: &[u8]) -> Self {
        let start = if key < self.start.as_ref() { self.start.clone() } else { just_after(key) };
        Self { start, end: self.end.clone() }
    }

    /// The part of the range that ends before `key`: where a backward scan resumes.
    #[must_use]
    pub fn before(&self, key: &[u8]) -> Self {
        let end = if key < self.end.as_ref() { Bytes::copy_from_slice(key) } else { self.end.clone() };
        Self { start: self.start.clone(), end }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_ref() <= key && key < self.end.as_ref()
    }

    /// Whether the range holds no key at all.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}

/// The first key after `key` in byte order.
fn just_after(key: &[u8]) -> Key {
    let mut next = Vec::with_capacity(key.len().saturating_add(1));
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// The first key after every key that starts with `prefix`; the end of the whole key space if there is none.
fn after_prefix(prefix: &[u8]) -> Key {
    let kept = prefix.iter().rposition(|byte| *byte != 0xFF);
    let mut end: Vec<u8> = prefix.iter().take(kept.map_or(0, |last| last.saturating_add(1))).copied().collect();
    match end.last_mut() {
        Some(last) => *last = last.saturating_add(1),
        None => end.push(RESERVED_PREFIX),
    }
    end.into()
}

/// Which end of a range a scan starts from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Direction {
    /// In ascending byte order.
    Forward,
    /// In descending byte order.
    Backward,
}

/// Where a scan stops: as soon as either bound is reached. At least one row is returned if there is one.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ScanLimit {
    /// The most rows of the page.
    pub rows: usize,
    /// The page ends with the row that brings its keys and values to this many bytes.
    pub bytes: usize,
}

impl ScanLimit {
    /// A page of at most 1,000 rows and about 1 MiB.
    pub const PAGE: Self = Self { rows: 1_000, bytes: 1 << 20 };
}

/// What one scan found, in the order it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys with their values.
    pub rows: Vec<(Key, Value)>,
    /// Whether the range holds rows beyond these, in the direction of the scan.
    pub more: bool,
}

/// Where in the history of the store something happened: a commit, and a place within it.
///
/// Positions grow strictly from commit to commit, over restarts and over a move to another engine (which raises the
/// incarnation). The order of [`Position::to_bytes`] is the order of the positions.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Raised when data moves between engines or is restored, so that order survives the move.
    pub incarnation: u32,
    /// The stamp of the commit.
    pub stamp: [u8; 10],
    /// The place within the commit, chosen by the writer.
    pub ordinal: u16,
}

impl Position {
    /// The length of a position in bytes.
    pub const BYTES: usize = 16;
    /// Before every position an engine gives.
    pub const MIN: Self = Self { incarnation: 0, stamp: [0; 10], ordinal: 0 };
    /// After every position an engine gives.
    pub const MAX: Self = Self { incarnation: u32::MAX, stamp: [0xFF; 10], ordinal: u16::MAX };

    /// The position as it stands in keys: incarnation, stamp, ordinal, each big-endian.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let [i0, i1, i2, i3] = self.incarnation.to_be_bytes();
        let [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9] = self.stamp;
        let [o0, o1] = self.ordinal.to_be_bytes();
        [i0, i1, i2, i3, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, o0, o1]
    }

    /// Reads what [`Position::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [i0, i1, i2, i3, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, o0, o1] = bytes;
        Self {
            incarnation: u32::from_be_bytes([i0, i1, i2, i3]),
            stamp: [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9],
            ordinal: u16::from_be_bytes([o0, o1]),
        }
    }

    /// Reads a position from a slice of exactly [`Position::BYTES`] bytes; `None` for any other length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_bytes)
    }
}

/// Something a commit depends on. What is absent counts: a key that appears in a range that was read is a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// One key, present or absent.
    Key(Key),
    /// Every key of a range, present or absent.
    Range(KeyRange),
}

/// One change. The writes of a commit apply in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets a key.
    Put {
        /// The key.
        key: Key,
        /// Its new value.
        value: Value,
    },
    /// Removes a key, if it is there.
    Delete {
        /// The key.
        key: Key,
    },
    /// Removes the keys of a range, at most [`MAX_DELETE_RANGE_KEYS`] of them.
    DeleteRange {
        /// The range.
        range: KeyRange,
    },
    /// Removes every key under a prefix: gone at once, its space reclaimed in the background. The prefix must never be
    /// written again, not even later in this commit: what is written there may vanish.
    Retire {
        /// The prefix, not empty.
        prefix: Key,
    },
    /// Sets the key `prefix`, then the commit's [`Position`] with this ordinal, then `suffix`.
    PutAtPosition {
        /// What stands before the position.
        prefix: Key,
        /// What stands after the position.
        suffix: Key,
        /// The place within the commit; each of a commit's entries under one prefix takes its own.
        ordinal: u16,
        /// The value.
        value: Value,
    },
    /// Adds to a counter, with no read and no conflict. A counter is 8 bytes, little-endian; an absent one is 0. Wraps
    /// around at the ends of `i64`.
    ///
    /// Adding to a value of another length is a mistake of the caller. An engine that sees the value refuses the commit
    /// ([`InvalidCommit::NotACounter`]); one that adds blindly, which is what keeps hot counters free of conflicts on
    /// FoundationDB, can not see it, and leaves some 8 bytes there.
    Add {
        /// The counter's key.
        key: Key,
        /// What is added.
        delta: i64,
    },
}

/// Changes that apply together or not at all, if nothing they depend on has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The version of the snapshot that the reads came from.
    pub read_version: Version,
    /// What the changes depend on. A commit that depends on nothing never conflicts.
    pub reads: Vec<Read>,
    /// The changes, in order.
    pub writes: Vec<Write>,
    /// Whether every later snapshot gets a new [`CatalogToken`].
    pub catalog_changed: bool,
}

/// A commit that is durable and visible.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The version the commit made.
    pub version: Version,
    /// The incarnation of the commit's positions.
    pub incarnation: u32,
    /// The stamp of the commit's positions.
    pub stamp: [u8; 10],
}

impl Committed {
    /// The position that [`Write::PutAtPosition`] with this ordinal put into its key.
    pub fn position(&self, ordinal: u16) -> Position {
        Position { incarnation: self.incarnation, stamp: self.stamp, ordinal }
    }
}

/// Why a commit was not applied. None of its changes is visible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Something the commit depends on changed after its read version. Read again and decide again.
    #[error("something the commit read has changed")]
    Conflict,
    /// The read version is older than the engine remembers. Read again and decide again.
    #[error("the commit's snapshot is too old")]
    TooOld,
    /// The commit is larger than [`MAX_COMMIT_BYTES`].
    #[error("the commit is larger than {MAX_COMMIT_BYTES} bytes")]
    TooLarge,
    /// The commit breaks a rule of the contract: a mistake of the caller.
    #[error("the commit breaks the storage contract: {0}")]
    Invalid(#[from] InvalidCommit),
    /// The engine can not write: its disk failed or is full, or it is closed. Reads may still work. After a failure of
    /// the disk, opening the store again may find the commits of the last group applied, each one whole.
    #[error("storage is unavailable: {0}")]
    Unavailable(Reason),
}

/// A rule of the contract that a commit broke.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommit {
    /// A key is empty.
    #[error("a key is empty")]
    KeyEmpty,
    /// A key is longer than [`MAX_KEY_BYTES`].
    #[error("a key of {0} bytes is longer than {MAX_KEY_BYTES}")]
    KeyTooLong(usize),
    /// A key starts with [`RESERVED_PREFIX`].
    #[error("a key starts with the byte reserved for the engine")]
    KeyReserved,
    /// A [`Write::DeleteRange`] holds more than [`MAX_DELETE_RANGE_KEYS`] keys.
    #[error("a deleted range holds more than {MAX_DELETE_RANGE_KEYS} keys")]
    RangeTooLarge,
    /// A [`Write::Add`] met a value that is not a counter, and the engine has seen it.
    #[error("the value added to is not a counter of 8 bytes")]
    NotACounter,
}

/// Why a read or a watch failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The snapshot is too old to be read (five seconds, at the earliest). Take a new one.
    #[error("the snapshot is too old")]
    TooOld,
    /// A file of the store is damaged.
    #[error("stored data is damaged: {0}")]
    Damaged(Reason),
    /// The engine can not be reached, or is closed.
    #[error("storage is unavailable: {0}")]
    Unavailable(Reason),
}

/// What an engine had to say about a failure: for the log, never for a client.
#[derive(Clone, PartialEq, Eq)]
pub struct Reason(std::sync::Arc<str>);

impl Reason {
    /// Wraps the engine's words.
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string().into())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An ordered key–value store: snapshot reads and conditional atomic commits.
///
/// What an engine owes: commits are all-or-nothing and durable once acknowledged; no snapshot ever sees part of one;
/// [`Freshness::Latest`] is strictly serializable; conflicts are found for keys, absent keys and ranges; positions grow
/// strictly.
pub trait Engine: Send + Sync + 'static {
    /// What this engine's reads go through.
    type Snapshot: EngineSnapshot;

    /// Opens a view of one moment.
    fn snapshot(&self, freshness: Freshness) -> impl Future<Output = Result<Self::Snapshot, EngineError>> + Send;

    /// Applies all of `commit.writes` atomically and durably, if nothing in `commit.reads` changed after
    /// `commit.read_version`. A caller that stops waiting does not stop the commit.
    fn commit(&self, commit: Commit) -> impl Future<Output = Result<Committed, CommitError>> + Send;

    /// Resolves when `key` has changed after `since`. May resolve early, so read again: in particular at once, when
    /// `since` is older than the engine remembers.
    fn watch(&self, key: Key, since: Version) -> impl Future<Output = Result<(), EngineError>> + Send;
}

/// A view of one moment: repeatable, whatever is committed meanwhile. Cheap to clone.
pub trait EngineSnapshot: Clone + Send + Sync + 'static {
    /// The moment: every commit up to this version is visible, no later one.
    fn version(&self) -> Version;

    /// Identifies the catalog as it was at this moment.
    fn catalog_token(&self) -> CatalogToken;

    /// The value of a key.
    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Value>, EngineError>> + Send;

    /// The values of several keys, in their order.
    fn get_many(&self, keys: &[Key]) -> impl Future<Output = Result<Vec<Option<Value>>, EngineError>> + Send;

    /// The rows at one end of a range.
    fn scan(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: ScanLimit,
    ) -> impl Future<Output = Result<Page, EngineError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position() -> impl Strategy<Value = Position> {
        any::<(u32, [u8; 10], u16)>().prop_map(|(incarnation, stamp, ordinal)| Position { incarnation, stamp, ordinal })
    }

    /// Short keys of few bytes, so that prefixes and neighbours occur.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![Just(0), Just(1), Just(0xFE), Just(0xFF)], 0..4)
    }

    proptest! {
        #[test]
        fn positions_survive_their_bytes_and_order_as_them(a in position(), b in position()) {
            prop_assert_eq!(Position::from_bytes(a.to_bytes()), a);
            prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
            prop_assert_eq!(Position::from_slice(&a.to_bytes()), Some(a));
            prop_assert_eq!(Position::from_slice(&a.to_bytes()[1..]), None);
        }

        #[test]
        fn a_prefix_range_holds_the_keys_with_that_prefix(prefix in key(), key in key()) {
            prop_assume!(key.first() != Some(&RESERVED_PREFIX) && prefix.first() != Some(&RESERVED_PREFIX));
            let range = KeyRange::prefix(prefix.clone());
            prop_assert_eq!(range.contains(&key), key.starts_with(&prefix));
        }

        #[test]
        fn a_single_range_holds_its_key_alone(one in key(), key in key()) {
            prop_assert_eq!(KeyRange::single(one.clone()).contains(&key), one == key);
        }

        #[test]
        fn a_range_splits_at_a_key_without_loss(start in key(), end in key(), at in key(), key in key()) {
            let range = KeyRange::new(start, end);
            let (before, after) = (range.before(&at), range.after(&at));
            prop_assert_eq!(before.contains(&key), range.contains(&key) && key < at);
            prop_assert_eq!(after.contains(&key), range.contains(&key) && key > at);
        }
    }
}
