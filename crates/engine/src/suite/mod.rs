//! The contract suite: what every engine owes, as checks to run against a fresh one.
//!
//! [`contract_suite!`](crate::contract_suite) makes one test of each check. A check panics when the engine breaks its
//! rule. The checks are grouped by subject: `commits.rs`, `reads.rs`, `load.rs` (many tasks at once), `model.rs` (random
//! operations against a map).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a check judges by panicking"
)]

mod commits;
mod load;
mod model;
mod reads;

use bytes::Bytes;

pub use commits::*;
pub use load::*;
pub use model::*;
pub use reads::*;

use crate::contract::{
    Commit, CommitError, Committed, Direction, Engine, EngineSnapshot, Freshness, Key, KeyRange, Read, ScanLimit,
    Value, Version, Write,
};

/// Makes one test of each check of the suite. `$open` is an expression that opens a fresh engine for each, under the
/// name `$name` of the module the tests go into; `$around` lives as long as the engine (a temporary directory, say).
#[macro_export]
macro_rules! contract_suite {
    ($name:ident, $open:expr) => {
        mod $name {
            use super::*;
            $crate::contract_suite!(@each $open;
                commits_apply_their_writes_in_order,
                a_key_changed_since_it_was_read_conflicts,
                an_absent_key_that_appeared_conflicts,
                a_range_conflicts_with_what_appears_or_goes_inside_it,
                a_commit_that_read_nothing_never_conflicts,
                a_refused_commit_leaves_nothing_behind,
                write_skew_is_found,
                sums_add_up,
                sums_meet_what_is_no_counter,
                a_deleted_range_is_gone_to_its_bounds,
                a_deleted_range_is_bounded,
                a_retired_prefix_is_gone_at_once,
                a_retired_prefix_stays_in_older_snapshots,
                positions_land_in_keys_in_order,
                keys_keep_to_their_limits,
                the_catalog_token_changes_with_the_catalog_only,
                snapshots_repeat,
                scans_go_both_ways_page_by_page,
                scans_stop_at_bytes_and_rows,
                ranges_know_their_ends,
                get_many_keeps_the_order_of_its_keys,
                a_watch_wakes_for_its_key,
                a_watch_wakes_for_a_retired_prefix,
                no_snapshot_sees_part_of_a_commit,
                no_increment_is_lost,
                acknowledged_commits_are_in_the_latest_snapshot,
                positions_grow_strictly_under_load,
                queues_hand_out_each_entry_once,
                random_operations_match_a_map,
            );
        }
    };
    (@each $open:expr; $($check:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $check() {
                let (engine, _around) = $open;
                $crate::suite::$check(&engine).await;
            }
        )+
    };
}

fn bytes(text: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(text.as_ref())
}

fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Write {
    Write::Put { key: bytes(key), value: bytes(value) }
}

fn delete(key: impl AsRef<[u8]>) -> Write {
    Write::Delete { key: bytes(key) }
}

fn read(key: impl AsRef<[u8]>) -> Read {
    Read::Key(bytes(key))
}

fn read_range(start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Read {
    Read::Range(KeyRange::new(bytes(start), bytes(end)))
}

fn counter(value: &Bytes) -> i64 {
    i64::from_le_bytes(value.as_ref().try_into().unwrap())
}

async fn latest<E: Engine>(engine: &E) -> E::Snapshot {
    engine.snapshot(Freshness::Latest).await.unwrap()
}

/// Commits without a condition.
async fn write<E: Engine>(engine: &E, writes: Vec<Write>) -> Committed {
    engine.commit(Commit { writes, ..Commit::default() }).await.unwrap()
}

/// Commits under a condition.
async fn attempt<E: Engine>(
    engine: &E,
    read_version: Version,
    reads: Vec<Read>,
    writes: Vec<Write>,
) -> Result<Committed, CommitError> {
    engine.commit(Commit { read_version, reads, writes, catalog_changed: false }).await
}

async fn value<E: Engine>(engine: &E, key: impl AsRef<[u8]>) -> Option<Value> {
    latest(engine).await.get(key.as_ref()).await.unwrap()
}

/// Every row of a range, read in pages of `rows`.
async fn all_rows<S: EngineSnapshot>(
    snapshot: &S,
    range: &KeyRange,
    direction: Direction,
    rows: usize,
) -> Vec<(Key, Value)> {
    let mut found: Vec<(Key, Value)> = Vec::new();
    let mut rest = range.clone();
    loop {
        let page = snapshot.scan(&rest, direction, ScanLimit { rows, bytes: usize::MAX }).await.unwrap();
        assert!(page.rows.len() <= rows.max(1));
        found.extend(page.rows);
        if !page.more {
            return found;
        }
        let last = &found.last().unwrap().0;
        rest = match direction {
            Direction::Forward => rest.after(last),
            Direction::Backward => rest.before(last),
        };
    }
}

async fn keys_under<E: Engine>(engine: &E, prefix: &'static str) -> Vec<Key> {
    let rows = all_rows(&latest(engine).await, &KeyRange::prefix(prefix), Direction::Forward, 100).await;
    rows.into_iter().map(|(key, _)| key).collect()
}

/// A small generator of pseudo-random numbers (xorshift), so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }
}
