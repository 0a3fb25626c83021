//! RocksDB's settings, for items of 100 B to 10 KB, small idle memory and one writing thread.

use rocksdb::statistics::StatsLevel;
use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, DataBlockIndexType, Env, LogLevel, Options,
    WriteOptions,
};

use crate::open::{Durability, Location, OpenOptions};

/// Bytes of data a read fetches and decompresses at once. Larger blocks need less index, smaller ones less work per get.
const BLOCK_BYTES: usize = 8 << 10;
/// Keys for each slot of the small hash index that finds a key in its block without a search.
const BLOCK_HASH_RATIO: f64 = 0.75;
/// 1 % of the reads of absent keys touch a file in vain.
const FILTER_BITS_PER_KEY: f64 = 10.0;
/// Portions of recent writes in memory: one being filled, the others on their way to files.
const WRITE_BUFFERS: i32 = 4;
/// The share of such a portion that a filter over its keys takes, which spares most reads the search of it.
const MEMORY_FILTER_RATIO: f64 = 0.02;
/// Files kept open. Below the 1,024 open files many systems allow, with room for connections.
const MAX_OPEN_FILES: i32 = 512;
/// Threads that open the files there are, made even when there are none.
const FILE_OPENING_THREADS: i32 = 2;
/// Background flushes and compactions at a time.
const BACKGROUND_JOBS: i32 = 2;
/// Bytes after which file writes are handed to the disk, so that the final sync has little left to do.
const BYTES_PER_SYNC: u64 = 1 << 20;
/// Bytes of RocksDB's own log file before it starts a new one; two are kept.
const LOG_FILE_BYTES: usize = 1 << 20;
/// Bytes of one sorted file.
const FILE_BYTES: u64 = 64 << 20;

/// The settings of one open database.
pub(crate) struct Tuned {
    pub(crate) options: Options,
    pub(crate) durability: Durability,
    pub(crate) in_memory: bool,
    pub(crate) statistics: bool,
}

impl Tuned {
    pub(crate) fn new(wanted: &OpenOptions) -> Result<Self, rocksdb::Error> {
        let in_memory = wanted.location == Location::Memory;
        let mut options = Options::default();
        options.create_if_missing(true);

        let cache = Cache::new_hyper_clock_cache(wanted.cache_bytes, 0);
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&cache);
        table.set_block_size(BLOCK_BYTES);
        table.set_bloom_filter(FILTER_BITS_PER_KEY, false);
        table.set_whole_key_filtering(true);
        table.set_optimize_filters_for_memory(true);
        table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        table.set_data_block_hash_ratio(BLOCK_HASH_RATIO);
        // Whole, not in pieces: a get then takes a third less time, and takes of the cache about 0.5 % of the data it
        // covers (1 KB items).
        table.set_cache_index_and_filter_blocks(true);
        table.set_cache_index_and_filter_blocks_with_high_priority(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        options.set_block_based_table_factory(&table);

        options.set_write_buffer_size(wanted.write_buffer_bytes);
        options.set_max_write_buffer_number(WRITE_BUFFERS);
        let journal = u64::try_from(wanted.write_buffer_bytes).unwrap_or(u64::MAX);
        options.set_max_total_wal_size(journal.saturating_mul(8));
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(MEMORY_FILTER_RATIO);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_target_file_size_base(FILE_BYTES.min(journal.max(1 << 20)));
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_bytes_per_sync(BYTES_PER_SYNC);
        options.set_wal_bytes_per_sync(BYTES_PER_SYNC);
        options.set_max_background_jobs(BACKGROUND_JOBS);
        options.set_max_open_files(MAX_OPEN_FILES);
        options.set_max_file_opening_threads(FILE_OPENING_THREADS);
        options.set_avoid_unnecessary_blocking_io(true);
        // Only the committer writes: nothing to make concurrent, nobody to spin for.
        options.set_allow_concurrent_memtable_write(false);
        options.set_enable_write_thread_adaptive_yield(false);

        options.set_track_and_verify_wals_in_manifest(true);
        options.set_wal_recovery_mode(match wanted.durability {
            // What was acknowledged was synced: a record may be cut off at the very end and nowhere else. Anything else
            // means lost commits, and then opening fails.
            Durability::Sync => DBRecoveryMode::TolerateCorruptedTailRecords,
            // What was not synced may be damaged anywhere: take all commits before the first damage.
            Durability::Interval | Durability::None => DBRecoveryMode::PointInTime,
        });

        options.set_skip_stats_update_on_db_open(true);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        if wanted.statistics {
            // Counters alone: timers would cost every read more.
            options.enable_statistics();
            options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
        }
        options.set_log_level(LogLevel::Warn);
        options.set_max_log_file_size(LOG_FILE_BYTES);
        options.set_keep_log_file_num(2);
        if in_memory {
            options.set_env(&Env::mem_env()?);
        }
        Ok(Self { options, durability: wanted.durability, in_memory, statistics: wanted.statistics })
    }

    /// How the committer writes a group.
    pub(crate) fn group_writes(&self) -> WriteOptions {
        let mut options = WriteOptions::default();
        if self.in_memory {
            options.disable_wal(true);
        } else {
            options.set_sync(self.durability == Durability::Sync);
        }
        options
    }

    /// How work in the background writes.
    pub(crate) fn background_writes(&self) -> WriteOptions {
        let mut options = WriteOptions::default();
        options.disable_wal(self.in_memory);
        options.set_low_pri(true);
        options
    }

    /// Whether groups are synced by a timer.
    pub(crate) fn syncs_by_timer(&self) -> bool {
        !self.in_memory && self.durability == Durability::Interval
    }
}
