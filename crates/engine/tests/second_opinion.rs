//! A second opinion: the storage contract once more, over redb, in as few lines as it takes. The contract suite judges it
//! like any engine, and random streams of commits and reads must get the same answers from it as from RocksDB.
//!
//! For tests alone: one lock, everything ever changed is remembered, nothing is made fast.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test judges by panicking")]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use partita_engine::{
    CatalogToken, Commit, CommitError, Committed, Direction, Engine, EngineError, EngineSnapshot, Freshness,
    InvalidCommit, Key, KeyRange, MAX_COMMIT_BYTES, MAX_DELETE_RANGE_KEYS, MAX_KEY_BYTES, OpenOptions, Page, Position,
    RESERVED_PREFIX, Read, ScanLimit, Store, Value, Version, Write, contract_suite,
};
use redb::backends::InMemoryBackend;
use redb::{AccessGuard, Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use tokio::sync::watch;

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// A key and its value, as redb lends them.
type Row<'a> = Result<(AccessGuard<'a, &'static [u8]>, AccessGuard<'a, &'static [u8]>), StorageError>;

struct RedbEngine {
    database: Database,
    past: Mutex<Past>,
    /// The last version, for those who wait.
    version: watch::Sender<Version>,
}

/// Everything that was changed.
#[derive(Default)]
struct Past {
    version: u64,
    catalog: u64,
    keys: BTreeMap<Key, Version>,
    ranges: Vec<(KeyRange, Version)>,
}

impl Past {
    fn changed_after(&self, range: &KeyRange, since: Version) -> bool {
        if range.is_empty() {
            return false;
        }
        let bounds = (Bound::Included(range.start.clone()), Bound::Excluded(range.end.clone()));
        self.keys.range(bounds).any(|(_, at)| *at > since)
            || self.ranges.iter().any(|(own, at)| *at > since && own.start < range.end && range.start < own.end)
    }
}

impl RedbEngine {
    fn new() -> Self {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let begin = database.begin_write().unwrap();
        drop(begin.open_table(ROWS).unwrap());
        begin.commit().unwrap();
        Self { database, past: Mutex::default(), version: watch::Sender::new(Version(0)) }
    }
}

#[derive(Clone)]
struct RedbSnapshot {
    read: Arc<ReadTransaction>,
    version: Version,
    token: CatalogToken,
}

/// The contract's limits.
fn check(commit: &Commit) -> Result<(), CommitError> {
    let mut bytes = 0;
    for write in &commit.writes {
        let (key, value) = match write {
            Write::Put { key, value } => (key.to_vec(), value.len()),
            Write::Delete { key } | Write::Add { key, .. } | Write::Retire { prefix: key } => (key.to_vec(), 0),
            Write::PutAtPosition { prefix, suffix, value, .. } => {
                ([prefix.as_ref(), &[0; Position::BYTES], suffix].concat(), value.len())
            }
            Write::DeleteRange { range } if !range.is_empty() && range.end.as_ref() > [RESERVED_PREFIX].as_slice() => {
                return Err(InvalidCommit::KeyReserved.into());
            }
            Write::DeleteRange { .. } => continue,
        };
        if key.len() > MAX_KEY_BYTES {
            return Err(InvalidCommit::KeyTooLong(key.len()).into());
        }
        // What stands before a position is never empty.
        let empty = matches!(write, Write::PutAtPosition { prefix, .. } if prefix.is_empty());
        match key.first() {
            None => return Err(InvalidCommit::KeyEmpty.into()),
            _ if empty => return Err(InvalidCommit::KeyEmpty.into()),
            Some(&RESERVED_PREFIX) => return Err(InvalidCommit::KeyReserved.into()),
            _ => {}
        }
        bytes += key.len() + value;
    }
    if bytes > MAX_COMMIT_BYTES { Err(CommitError::TooLarge) } else { Ok(()) }
}

impl Engine for RedbEngine {
    type Snapshot = RedbSnapshot;

    async fn snapshot(&self, _: Freshness) -> Result<RedbSnapshot, EngineError> {
        let past = self.past.lock().unwrap();
        let read = Arc::new(self.database.begin_read().unwrap());
        Ok(RedbSnapshot { read, version: Version(past.version), token: CatalogToken(past.catalog) })
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        check(&commit)?;
        let mut past = self.past.lock().unwrap();
        for read in &commit.reads {
            let range = match read {
                Read::Key(key) => KeyRange::single(key.clone()),
                Read::Range(range) => range.clone(),
            };
            if past.changed_after(&range, commit.read_version) {
                return Err(CommitError::Conflict);
            }
        }
        let version = Version(past.version + 1);
        let mut stamp = [0; 10];
        stamp[2..].copy_from_slice(&version.0.to_be_bytes());
        let committed = Committed { version, incarnation: 1, stamp };
        let transaction = self.database.begin_write().unwrap();
        let mut keys = Vec::new();
        let mut ranges = Vec::new();
        {
            let mut rows = transaction.open_table(ROWS).unwrap();
            for write in commit.writes {
                match write {
                    Write::Put { key, value } => {
                        rows.insert(key.as_ref(), value.as_ref()).unwrap();
                        keys.push(key);
                    }
                    Write::Delete { key } => {
                        rows.remove(key.as_ref()).unwrap();
                        keys.push(key);
                    }
                    Write::PutAtPosition { prefix, suffix, ordinal, value } => {
                        let position = committed.position(ordinal).to_bytes();
                        let key = [prefix.as_ref(), &position, &suffix].concat();
                        rows.insert(key.as_slice(), value.as_ref()).unwrap();
                        keys.push(key.into());
                    }
                    Write::Add { key, delta } => {
                        let old = match rows.get(key.as_ref()).unwrap() {
                            None => 0,
                            Some(value) => {
                                i64::from_le_bytes(value.value().try_into().map_err(|_| InvalidCommit::NotACounter)?)
                            }
                        };
                        rows.insert(key.as_ref(), old.wrapping_add(delta).to_le_bytes().as_slice()).unwrap();
                        keys.push(key);
                    }
                    Write::DeleteRange { range } if range.is_empty() => {}
                    Write::DeleteRange { range } => {
                        let held = rows.range::<&[u8]>(range.start.as_ref()..range.end.as_ref()).unwrap().count();
                        if held > MAX_DELETE_RANGE_KEYS {
                            return Err(InvalidCommit::RangeTooLarge.into());
                        }
                        rows.retain_in::<&[u8], _>(range.start.as_ref()..range.end.as_ref(), |_, _| false).unwrap();
                        ranges.push(range);
                    }
                    Write::Retire { prefix } => {
                        let range = KeyRange::prefix(prefix);
                        rows.retain_in::<&[u8], _>(range.start.as_ref()..range.end.as_ref(), |_, _| false).unwrap();
                        ranges.push(range);
                    }
                }
            }
        }
        transaction.commit().unwrap();
        past.version = version.0;
        past.catalog += u64::from(commit.catalog_changed);
        past.keys.extend(keys.into_iter().map(|key| (key, version)));
        past.ranges.extend(ranges.into_iter().map(|range| (range, version)));
        drop(past);
        self.version.send_replace(version);
        Ok(committed)
    }

    async fn watch(&self, key: Key, since: Version) -> Result<(), EngineError> {
        let range = KeyRange::single(key);
        let mut versions = self.version.subscribe();
        while !self.past.lock().unwrap().changed_after(&range, since) {
            versions.changed().await.unwrap();
        }
        Ok(())
    }
}

impl EngineSnapshot for RedbSnapshot {
    fn version(&self) -> Version {
        self.version
    }

    fn catalog_token(&self) -> CatalogToken {
        self.token
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        let rows = self.read.open_table(ROWS).unwrap();
        Ok(rows.get(key).unwrap().map(|value| Bytes::copy_from_slice(value.value())))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Value>>, EngineError> {
        let rows = self.read.open_table(ROWS).unwrap();
        let get = |key: &Key| rows.get(key.as_ref()).unwrap().map(|value| Bytes::copy_from_slice(value.value()));
        Ok(keys.iter().map(get).collect())
    }

    async fn scan(&self, range: &KeyRange, direction: Direction, limit: ScanLimit) -> Result<Page, EngineError> {
        let mut page = Page::default();
        if range.is_empty() {
            return Ok(page);
        }
        let rows = self.read.open_table(ROWS).unwrap();
        let found = rows.range::<&[u8]>(range.start.as_ref()..range.end.as_ref()).unwrap();
        let mut bytes = 0;
        let mut take = |row: Row<'_>| {
            let (key, value) = row.unwrap();
            if !page.rows.is_empty() && (page.rows.len() >= limit.rows || bytes >= limit.bytes) {
                page.more = true;
                return false;
            }
            bytes += key.value().len() + value.value().len();
            page.rows.push((Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value.value())));
            true
        };
        match direction {
            Direction::Forward => found.into_iter().all(&mut take),
            Direction::Backward => found.rev().all(&mut take),
        };
        Ok(page)
    }
}

contract_suite!(over_redb, (RedbEngine::new(), ()));

/// How many commits and reads one stream has.
const STEPS: usize = 3_000;
/// How many streams there are.
const STREAMS: u64 = 6;
/// Prefixes under which keys have positions, which differ between engines but for their order.
const LOGS: [&str; 2] = ["log/a/", "log/b/"];

/// Both engines, and snapshots of one moment of both.
struct Pair {
    rocks: Store,
    redb: RedbEngine,
    random: fastrand::Rng,
    kept: Vec<(partita_engine::Snapshot, RedbSnapshot)>,
    /// Prefixes that were retired, and are never written again.
    retired: u32,
}

impl Pair {
    fn key(&mut self) -> Key {
        match self.random.u8(0..10) {
            0 => "counter".into(),
            1 => format!("p{}/x", self.retired).into(),
            _ => format!("k{:02}", self.random.u8(0..40)).into(),
        }
    }

    fn range(&mut self) -> KeyRange {
        match self.random.u8(0..6) {
            0 => KeyRange::prefix(""),
            1 => KeyRange::prefix("k1"),
            2 => KeyRange::prefix(LOGS[self.random.usize(0..2)]),
            _ => KeyRange::new(self.key(), self.key()),
        }
    }

    fn write(&mut self) -> Write {
        let value: Bytes = vec![self.random.u8(..); self.random.usize(0..200)].into();
        match self.random.u8(0..20) {
            0..9 => match self.key() {
                key if key == "counter" => Write::Add { key, delta: self.random.i64(-5..6) },
                key => Write::Put { key, value },
            },
            9..12 => Write::Delete { key: self.key() },
            12..15 => Write::Add { key: "counter".into(), delta: self.random.i64(-5..6) },
            15..17 => {
                let prefix = LOGS[self.random.usize(0..2)].into();
                Write::PutAtPosition { prefix, suffix: "s".into(), ordinal: self.random.u16(..), value }
            }
            17 => Write::DeleteRange { range: self.range() },
            18 => {
                self.retired += 1;
                Write::Retire { prefix: format!("p{}/", self.retired - 1).into() }
            }
            // Adding to what is no counter, an empty key, the engine's own key: refused by both.
            _ => match self.random.u8(0..12) {
                0 => Write::Add { key: "k01".into(), delta: 1 },
                1 => Write::Put { key: Bytes::new(), value },
                2 => Write::Put { key: vec![RESERVED_PREFIX].into(), value },
                _ => Write::Delete { key: self.key() },
            },
        }
    }

    async fn commit(&mut self) {
        let writes: Vec<Write> = (0..self.random.usize(1..6)).map(|_| self.write()).collect();
        let reads = (0..self.random.usize(0..3))
            .map(|_| if self.random.bool() { Read::Key(self.key()) } else { Read::Range(self.range()) });
        let reads: Vec<Read> = reads.collect::<Vec<_>>();
        let of = self.random.usize(0..self.kept.len());
        let (rocks, redb) = &self.kept[of];
        let catalog_changed = self.random.u8(..) < 20;
        let commit = |read_version, reads| Commit { read_version, reads, writes: writes.clone(), catalog_changed };
        let first = self.rocks.commit(commit(rocks.version(), reads.clone())).await;
        let second = self.redb.commit(commit(redb.version(), reads.clone())).await;
        match (&first, &second) {
            (Ok(_), Ok(_)) => {}
            // Both refuse; of two reasons an engine may name either.
            (Err(CommitError::Conflict), Err(CommitError::Invalid(InvalidCommit::NotACounter)))
            | (Err(CommitError::Invalid(InvalidCommit::NotACounter)), Err(CommitError::Conflict)) => {}
            (Err(first), Err(second)) => assert_eq!(first, second, "{writes:?} {reads:?}"),
            // Whether naming a key without changing what it holds is a change, an engine may decide. Both then commit.
            (Ok(_), Err(CommitError::Conflict)) => drop(self.redb.commit(commit(Version(0), vec![])).await.unwrap()),
            (Err(CommitError::Conflict), Ok(_)) => drop(self.rocks.commit(commit(Version(0), vec![])).await.unwrap()),
            _ => panic!("RocksDB says {first:?} and redb {second:?} to {writes:?} {reads:?}"),
        }
    }

    async fn read(&mut self) {
        let of = self.random.usize(0..self.kept.len());
        let keys: Vec<Key> = (0..5).map(|_| self.key()).collect();
        let range = self.range();
        let direction = if self.random.bool() { Direction::Forward } else { Direction::Backward };
        let limit = ScanLimit { rows: self.random.usize(1..30), bytes: self.random.usize(1..3_000) };
        let (rocks, redb) = &self.kept[of];
        assert_eq!(rocks.get(&keys[0]).await, redb.get(&keys[0]).await);
        assert_eq!(rocks.get_many(&keys).await, redb.get_many(&keys).await);
        let (first, second) =
            (rocks.scan(&range, direction, limit).await.unwrap(), redb.scan(&range, direction, limit).await.unwrap());
        assert_eq!(first.more, second.more, "{range:?} {direction:?} {limit:?}");
        assert_eq!(without_positions(first.rows), without_positions(second.rows));
    }

    async fn keep(&mut self) {
        let pair = (
            self.rocks.snapshot(Freshness::Latest).await.unwrap(),
            self.redb.snapshot(Freshness::Latest).await.unwrap(),
        );
        if self.kept.len() < 8 {
            self.kept.push(pair);
        } else {
            let at = self.random.usize(0..self.kept.len());
            self.kept[at] = pair;
        }
    }
}

/// Rows with the positions in their keys left out.
fn without_positions(rows: Vec<(Key, Value)>) -> Vec<(Key, Value)> {
    let plain = |key: Key| match LOGS.iter().find(|log| key.starts_with(log.as_bytes())) {
        Some(log) => [log.as_bytes(), &key[log.len() + Position::BYTES..]].concat().into(),
        None => key,
    };
    rows.into_iter().map(|(key, value)| (plain(key), value)).collect()
}

#[tokio::test]
async fn rocksdb_and_redb_answer_random_streams_alike() {
    for seed in 0..STREAMS {
        let (_directory, options) = match seed % 2 {
            0 => (None, OpenOptions::memory()),
            _ => {
                let directory = tempfile::tempdir().unwrap();
                let mut options = OpenOptions::directory(directory.path().join("data"));
                options.durability = partita_engine::Durability::None;
                options.write_buffer_bytes = 64 << 10;
                options.cache_bytes = 64 << 10;
                (Some(directory), options)
            }
        };
        let mut pair = Pair {
            rocks: Store::open(&options).unwrap(),
            redb: RedbEngine::new(),
            random: fastrand::Rng::with_seed(seed),
            kept: Vec::new(),
            retired: 0,
        };
        pair.keep().await;
        for _ in 0..STEPS {
            match pair.random.u8(0..10) {
                0..5 => pair.commit().await,
                5..9 => pair.read().await,
                _ => pair.keep().await,
            }
        }
    }
}
