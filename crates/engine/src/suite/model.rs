//! Random operations, judged against a map that keeps every version.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::contract::{
    Commit, CommitError, Direction, Engine, EngineError, EngineSnapshot, Key, KeyRange, Position, Read, ScanLimit,
    Value, Version, Write,
};

use super::{Dice, all_rows, bytes, counter, latest};

const STEPS: usize = 4_000;
/// When a game ends before its last step, on an engine that is far away.
const LONGEST: Duration = Duration::from_secs(15);
/// How long every snapshot can be read.
const YOUNG: Duration = Duration::from_secs(5);
/// Snapshots kept open, to be read again later.
const KEPT: usize = 6;

/// What the store should hold, and when each key last changed.
#[derive(Clone, Default)]
struct Model {
    rows: BTreeMap<Key, Value>,
    /// The last commit that named a key or a range that holds it, whether or not that changed anything.
    touched: BTreeMap<Key, Version>,
    touched_ranges: Vec<(KeyRange, Version)>,
    /// The last commit that changed what a key holds.
    changed: BTreeMap<Key, Version>,
}

impl Model {
    fn apply(&mut self, writes: &[Write], version: Version, position: impl Fn(u16) -> Position) {
        let before = self.rows.clone();
        for write in writes {
            match write {
                Write::Put { key, value } => self.set(key, Some(value.clone()), version),
                Write::Delete { key } => self.set(key, None, version),
                Write::DeleteRange { range } => self.clear(range, version),
                Write::Retire { prefix } => self.clear(&KeyRange::prefix(prefix.clone()), version),
                Write::PutAtPosition { prefix, suffix, ordinal, value } => {
                    let key = bytes([prefix, position(*ordinal).to_bytes().as_slice(), suffix].concat());
                    self.set(&key, Some(value.clone()), version);
                }
                Write::Add { key, delta } => {
                    let sum = self.rows.get(key).map_or(0, counter).wrapping_add(*delta);
                    self.set(key, Some(bytes(sum.to_le_bytes())), version);
                }
            }
        }
        for key in before.keys().chain(self.rows.keys()) {
            if before.get(key) != self.rows.get(key) {
                self.changed.insert(key.clone(), version);
            }
        }
    }

    fn set(&mut self, key: &Key, value: Option<Value>, version: Version) {
        self.touched.insert(key.clone(), version);
        match value {
            Some(value) => self.rows.insert(key.clone(), value),
            None => self.rows.remove(key),
        };
    }

    fn clear(&mut self, range: &KeyRange, version: Version) {
        self.touched_ranges.push((range.clone(), version));
        self.rows.retain(|key, _| !range.contains(key));
    }

    /// Whether a commit with these reads has to conflict, and whether it may.
    fn conflict(&self, reads: &[Read], since: Version) -> (bool, bool) {
        let ranges: Vec<KeyRange> = reads
            .iter()
            .map(|read| match read {
                Read::Key(key) => KeyRange::single(key.clone()),
                Read::Range(range) => range.clone(),
            })
            .collect();
        let read = |key: &Key| ranges.iter().any(|range| range.contains(key));
        let later = |changes: &BTreeMap<Key, Version>| changes.iter().any(|(key, at)| *at > since && read(key));
        let overlaps = |(touched, at): &(KeyRange, Version)| {
            *at > since && ranges.iter().any(|range| range.start < touched.end && touched.start < range.end)
        };
        (later(&self.changed), later(&self.touched) || self.touched_ranges.iter().any(overlaps))
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Vec<(Key, Value)> {
        let rows = self.rows.iter().filter(|(key, _)| range.contains(key));
        let mut rows: Vec<(Key, Value)> = rows.map(|(key, value)| (key.clone(), value.clone())).collect();
        if direction == Direction::Backward {
            rows.reverse();
        }
        rows
    }
}

/// Thousands of random commits, some conditional on older snapshots, leave exactly what a map would hold; snapshots kept
/// open along the way go on showing their moment.
pub async fn random_operations_match_a_map<E: Engine>(engine: &E) {
    for seed in [1, 0x1234_5678_9ABC, 0xDEAD_BEEF_0000_0007] {
        let everything = KeyRange::prefix("");
        for (key, _) in all_rows(&latest(engine).await, &everything, Direction::Forward, 100).await {
            super::write(engine, vec![Write::Delete { key }]).await;
        }
        run(engine, Game { dice: Dice(seed), seed, retired: 0 }).await;
    }
}

async fn run<E: Engine>(engine: &E, mut game: Game) {
    let mut model = Model::default();
    let mut kept = vec![(latest(engine).await, model.clone())];
    let (mut accepted, mut refused) = (0, 0);
    let began = Instant::now();
    let mut steps = 0;
    for step in 0..STEPS {
        if began.elapsed() > LONGEST {
            break;
        }
        steps += 1;
        let (snapshot, _) = &kept[game.dice.roll(kept.len())];
        let reads: Vec<Read> = (0..game.dice.roll(3)).map(|_| game.read()).collect();
        let writes: Vec<Write> = (0..game.dice.roll(5)).map(|n| game.write(u16::try_from(n).unwrap())).collect();
        let read_version = snapshot.version();
        let (must, may) = model.conflict(&reads, read_version);
        let commit = Commit {
            read_version,
            reads: reads.clone(),
            writes: writes.clone(),
            catalog_changed: game.dice.roll(50) == 0,
        };
        match engine.commit(commit).await {
            Ok(committed) => {
                assert!(!must, "step {step}: {reads:?} at {read_version:?} should conflict");
                model.apply(&writes, committed.version, |ordinal| committed.position(ordinal));
                accepted += 1;
            }
            Err(CommitError::Conflict) => {
                assert!(may, "step {step}: {reads:?} at {read_version:?} should not conflict");
                refused += 1;
            }
            // A snapshot of some seconds ago; the loop below replaces it.
            Err(CommitError::TooOld) => refused += 1,
            Err(error) => panic!("step {step}: {error}"),
        }
        if game.dice.roll(4) == 0 {
            let at = game.dice.roll(KEPT);
            let taken = (latest(engine).await, model.clone());
            if at < kept.len() {
                kept[at] = taken;
            } else {
                kept.push(taken);
            }
        }
        let at = game.dice.roll(kept.len());
        let (snapshot, then) = &kept[at];
        if !compare(snapshot, then, &mut game).await {
            assert!(began.elapsed() > YOUNG, "step {step}: a snapshot is too old at once");
            kept[at] = (latest(engine).await, model.clone());
        }
    }
    assert!(steps >= 100 && accepted > steps / 10 && refused > steps / 10, "{accepted} of {steps}, {refused} refused");
    assert!(compare(&latest(engine).await, &model, &mut game).await);
}

/// Whether the snapshot can still be read; then it shows what the model holds.
async fn compare<S: EngineSnapshot>(snapshot: &S, model: &Model, game: &mut Game) -> bool {
    let keys: Vec<Key> = (0..4).map(|_| game.key()).collect();
    let expected: Vec<_> = keys.iter().map(|key| model.rows.get(key).cloned()).collect();
    match snapshot.get_many(&keys).await {
        Err(EngineError::TooOld) => return false,
        found => assert_eq!(found.unwrap(), expected),
    }
    let range = game.range();
    let direction = if game.dice.roll(2) == 0 { Direction::Forward } else { Direction::Backward };
    let rows = game.dice.roll(6) + 1;
    let page = match snapshot.scan(&range, direction, ScanLimit { rows, bytes: usize::MAX }).await {
        Err(EngineError::TooOld) => return false,
        page => page.unwrap(),
    };
    let mut expected = model.scan(&range, direction);
    let more = expected.len() > rows;
    expected.truncate(rows);
    assert_eq!((page.rows, page.more), (expected, more), "{range:?} {direction:?}");
    true
}

/// What is rolled next.
struct Game {
    dice: Dice,
    seed: u64,
    /// How many prefixes were retired. They are never written again.
    retired: usize,
}

impl Game {
    /// One of a few keys, so that they meet. Counters, which only `Add` writes, are under `n` instead.
    fn key(&mut self) -> Key {
        let letters = b"abcd";
        let length = self.dice.roll(3) + 1;
        let name: Vec<u8> = (0..length).map(|_| letters[self.dice.roll(letters.len())]).collect();
        if self.dice.roll(3) == 0 { bytes([&self.to_retire(), name.as_slice()].concat()) } else { bytes(name) }
    }

    /// The prefix that is retired next.
    fn to_retire(&self) -> Key {
        bytes(format!("r{}/{:04}/", self.seed, self.retired))
    }

    fn range(&mut self) -> KeyRange {
        match self.dice.roll(5) {
            0 => KeyRange::prefix(self.key()),
            1 => KeyRange::single(self.key()),
            2 => KeyRange::prefix(""),
            3 => KeyRange::prefix(self.to_retire()),
            _ => KeyRange::new(self.key(), self.key()),
        }
    }

    fn read(&mut self) -> Read {
        match self.dice.roll(4) {
            0 => Read::Range(self.range()),
            1 => Read::Key(bytes(format!("n{}", self.dice.roll(4)))),
            _ => Read::Key(self.key()),
        }
    }

    fn write(&mut self, ordinal: u16) -> Write {
        let value = bytes(vec![b'v'; self.dice.roll(40)]);
        match self.dice.roll(40) {
            0..20 => Write::Put { key: self.key(), value },
            20..28 => Write::Delete { key: self.key() },
            28..30 => Write::DeleteRange { range: KeyRange::prefix(self.key()) },
            30 => {
                let prefix = self.to_retire();
                self.retired += 1;
                Write::Retire { prefix }
            }
            31..34 => Write::PutAtPosition { prefix: self.key(), suffix: self.key(), ordinal, value },
            _ => Write::Add {
                key: bytes(format!("n{}", self.dice.roll(4))),
                delta: i64::try_from(self.dice.roll(1_000)).unwrap() - 500,
            },
        }
    }
}
