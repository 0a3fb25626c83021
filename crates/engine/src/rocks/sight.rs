//! What the embedded engine counts, and the series by which it is seen: commits and their groups, which the committer
//! counts, and RocksDB's own counters and properties, which are read when somebody asks.

use std::sync::{Arc, Weak};
use std::time::Duration;

use partita_metrics::{Counter, Histogram, Name, Reading, Samples};
use rocksdb::statistics::Ticker;
use rocksdb::{DB, Options, properties};

use crate::contract::{CommitError, Committed};

use super::tuning::Tuned;

/// Commits of a group.
const GROUP_COMMITS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1_024, 4_096];
/// Nanoseconds that writing and syncing a group takes.
const GROUP_NANOSECONDS: [u64; 12] = [
    10_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    50_000_000,
    250_000_000,
    1_000_000_000,
];
/// Levels of sorted files.
const LEVELS: usize = 7;

const COMMITS: Name = Name::counter("partita_engine_commits_total", "Commits that were stored");
const CONFLICTS: Name = Name::counter(
    "partita_engine_commit_conflicts_total",
    "Commits refused because something they had read was changed; they are decided anew",
);
const TOO_OLD: Name = Name::counter(
    "partita_engine_commits_too_old_total",
    "Commits refused because their reads were too long ago; they are decided anew",
);
const FAILURES: Name =
    Name::counter("partita_engine_commit_failures_total", "Commits refused for size or because the store failed");
const GROUP: Name =
    Name::histogram("partita_engine_commit_group_size", "How many commits were stored by one write to the journal");
const GROUP_TIME: Name = Name::histogram(
    "partita_engine_commit_group_seconds",
    "How long it took to store a group of commits, the sync of the journal included",
);
const JOURNAL: Name = Name::counter("partita_engine_journal_bytes_total", "Bytes written to the journal");
const CACHE_HITS: Name = Name::counter("partita_engine_block_cache_hits_total", "Blocks found in the block cache");
const CACHE_MISSES: Name = Name::counter(
    "partita_engine_block_cache_misses_total",
    "Blocks not found in the block cache, and read from files",
);
const FLUSHED: Name =
    Name::counter("partita_engine_flush_write_bytes_total", "Bytes written to files from recent writes in memory");
const COMPACTION_READ: Name = Name::counter("partita_engine_compaction_read_bytes_total", "Bytes read by compaction");
const COMPACTION_WRITE: Name =
    Name::counter("partita_engine_compaction_write_bytes_total", "Bytes written by compaction");
const STALLED: Name = Name::counter(
    "partita_engine_write_stall_seconds_total",
    "How long writes waited because files could not be merged fast enough",
);
const FILES: Name = Name::gauge("partita_engine_files", "Sorted files by level");
const CACHE_CAPACITY: Name = Name::gauge("partita_engine_block_cache_capacity_bytes", "The most the block cache holds");

/// Properties that are one number each.
const PROPERTIES: [(Name, &properties::PropName); 14] = [
    (Name::gauge("partita_engine_block_cache_bytes", "Bytes in the block cache"), properties::BLOCK_CACHE_USAGE),
    (
        Name::gauge("partita_engine_memtable_bytes", "Bytes of recent writes in memory"),
        properties::CUR_SIZE_ALL_MEM_TABLES,
    ),
    (
        Name::gauge("partita_engine_memtables_waiting", "Full portions of recent writes that are not in files yet"),
        properties::NUM_IMMUTABLE_MEM_TABLE,
    ),
    (
        Name::gauge("partita_engine_table_reader_bytes", "Bytes of open files' indexes outside the block cache"),
        properties::ESTIMATE_TABLE_READERS_MEM,
    ),
    (Name::gauge("partita_engine_snapshots", "Snapshots that are open"), properties::NUM_SNAPSHOTS),
    (
        Name::gauge("partita_engine_live_file_bytes", "Bytes of the sorted files in use"),
        properties::LIVE_SST_FILES_SIZE,
    ),
    (
        Name::gauge(
            "partita_engine_file_bytes",
            "Bytes of all sorted files, those included that a snapshot still holds",
        ),
        properties::TOTAL_SST_FILES_SIZE,
    ),
    (
        Name::gauge("partita_engine_compaction_pending_bytes", "Bytes that compaction has yet to rewrite, estimated"),
        properties::ESTIMATE_PENDING_COMPACTION_BYTES,
    ),
    (Name::gauge("partita_engine_compactions_running", "Compactions under way"), properties::NUM_RUNNING_COMPACTIONS),
    (Name::gauge("partita_engine_flushes_running", "Flushes under way"), properties::NUM_RUNNING_FLUSHES),
    (
        Name::gauge("partita_engine_background_errors", "Errors of work in the background since the start"),
        properties::BACKGROUND_ERRORS,
    ),
    (
        Name::gauge("partita_engine_write_stopped", "1 while no write is taken because files can not be merged"),
        properties::IS_WRITE_STOPPED,
    ),
    (
        Name::gauge("partita_engine_delayed_write_rate_bytes", "Bytes a second to which writes are slowed; 0 when not"),
        properties::ACTUAL_DELAYED_WRITE_RATE,
    ),
    (Name::gauge("partita_engine_keys", "Keys in the store, estimated"), properties::ESTIMATE_NUM_KEYS),
];

/// What is counted.
pub(crate) struct Tally {
    /// Weak: whoever only looks does not hold the data directory.
    db: Weak<DB>,
    /// What RocksDB counts hangs on its options; `None` when it does not count.
    options: Option<Options>,
    journals: bool,
    commits: Counter,
    conflicts: Counter,
    too_old: Counter,
    failures: Counter,
    journal_bytes: Counter,
    group_commits: Histogram<11>,
    group_nanoseconds: Histogram<12>,
}

impl Tally {
    pub(crate) fn new(db: &Arc<DB>, tuned: &Tuned) -> Self {
        Self {
            db: Arc::downgrade(db),
            options: tuned.statistics.then(|| tuned.options.clone()),
            journals: !tuned.in_memory,
            commits: Counter::new(),
            conflicts: Counter::new(),
            too_old: Counter::new(),
            failures: Counter::new(),
            journal_bytes: Counter::new(),
            group_commits: Histogram::new(&GROUP_COMMITS),
            group_nanoseconds: Histogram::new(&GROUP_NANOSECONDS),
        }
    }

    /// Counts a commit that was refused. Those that were not count once they are stored.
    pub(crate) fn decided(&self, result: &Result<Committed, CommitError>) {
        match result {
            Ok(_) => {}
            Err(CommitError::Conflict) => self.conflicts.one(),
            Err(CommitError::TooOld) => self.too_old.one(),
            Err(_) => self.failures.one(),
        }
    }

    /// Counts a group that was stored, of so many bytes.
    pub(crate) fn written(&self, commits: usize, bytes: usize, took: Duration) {
        let commits = commits as u64;
        self.commits.add(commits);
        self.group_commits.record(commits);
        self.group_nanoseconds.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        if self.journals {
            self.journal_bytes.add(bytes as u64);
        }
    }

    /// Adds everything.
    pub(crate) fn sample(&self, samples: &mut Samples) {
        samples.number(COMMITS, &self.commits);
        samples.number(CONFLICTS, &self.conflicts);
        samples.number(TOO_OLD, &self.too_old);
        samples.number(FAILURES, &self.failures);
        samples.number(JOURNAL, &self.journal_bytes);
        samples.point(GROUP, Vec::new(), Reading::Distribution(self.group_commits.read(1.0)));
        samples.point(GROUP_TIME, Vec::new(), Reading::Distribution(self.group_nanoseconds.read(1e-9)));
        if let Some(options) = &self.options {
            for (name, ticker) in [
                (CACHE_HITS, Ticker::BlockCacheHit),
                (CACHE_MISSES, Ticker::BlockCacheMiss),
                (FLUSHED, Ticker::FlushWriteBytes),
                (COMPACTION_READ, Ticker::CompactReadBytes),
                (COMPACTION_WRITE, Ticker::CompactWriteBytes),
            ] {
                samples.number(name, options.get_ticker_count(ticker));
            }
            samples.number(STALLED, options.get_ticker_count(Ticker::StallMicros) as f64 / 1e6);
        }
        let Some(db) = self.db.upgrade() else { return };
        for (name, property) in PROPERTIES {
            if let Ok(Some(value)) = db.property_int_value(property) {
                samples.number(name, value);
            }
        }
        if let Ok(Some(value)) = db.property_int_value(properties::BLOCK_CACHE_CAPACITY) {
            samples.number(CACHE_CAPACITY, value);
        }
        for level in 0..LEVELS {
            let files = db.property_value(properties::num_files_at_level(level)).ok().flatten();
            if let Some(files) = files.and_then(|files| files.parse::<u64>().ok()) {
                samples.labelled(FILES, [("level", level.to_string().into())], files);
            }
        }
    }
}
