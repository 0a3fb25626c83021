//! Splitting and replacing shards. A shard that takes more than one consumer can be expected to follow is split in two,
//! and one that has been open for hours is replaced, so that its end can be reached.
//!
//! Both are changes of the table's record; `follow` ends the parent and starts the children in the same commit. How busy
//! a shard is, the job sees from what was added to its log since it last looked.

use std::collections::HashMap;

use partita_engine::{Direction, Freshness, Key, KeyRange, ScanLimit};

use super::record::Change;
use super::shards::{Place, Shard, place_of, shard_id, shards};
use crate::Database;
use crate::catalog::{Becomes, RecordChange};
use crate::crypt::Snapshot;
use crate::error::Result;
use crate::keyspace::{self, StreamId};
use crate::record::{OpenShard, TableRecord};

/// How many records a second a shard takes before it is split: as many as a partition of the service takes writes.
const BUSY_RECORDS_PER_SECOND: u64 = 1000;
/// How many bytes of records a second a shard takes before it is split.
const BUSY_BYTES_PER_SECOND: u64 = 1 << 20;
/// A shard is split only if each half would take at least this share of it (one in so many): a single hot item can not
/// be shared out.
const LEAST_SHARE: u64 = 8;
/// The most open shards of a stream.
const MAX_OPEN_SHARDS: usize = 256;
/// After this long a shard with records is replaced by one of the same range (the service does so after about as long).
const ROTATION_MS: u64 = 4 * 60 * 60 * 1000;
/// The most records looked at in one shard.
const MAX_ROWS: u64 = 20_000;
/// The most bytes of records looked at in one shard.
const MAX_BYTES: u64 = 32 << 20;

/// What the job remembers between looks.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    looked_ms: Option<u64>,
    seen: HashMap<(StreamId, u32), Place>,
}

/// What was added to a shard since the last look.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    records: u64,
    bytes: u64,
    /// Records of the upper half of the shard's range.
    upper: u64,
    /// Over how long they came, in milliseconds.
    span_ms: u64,
}

/// What is to become of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// Two shards: the second begins at this hash.
    At(u64),
    /// One shard of the same range.
    Not,
}

impl Database {
    /// Splits the shards of all streams that were busy since the last look, and replaces old ones.
    ///
    /// # Errors
    /// An engine failure.
    pub(crate) async fn balance_streams(&self, balance: &mut Balance) -> Result<()> {
        let now_ms = self.now_ms();
        let looked_ms = balance.looked_ms.replace(now_ms).unwrap_or(now_ms);
        let elapsed_ms = now_ms.saturating_sub(looked_ms);
        let mut seen = HashMap::new();
        for (_, entry) in self.stream_entries().await?.into_iter().filter(|(_, entry)| entry.closed_ms.is_none()) {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let open: Vec<Shard> =
                shards(&snapshot, entry.id()).await?.into_iter().filter(|shard| shard.end.is_none()).collect();
            let mut ends: Vec<u64> = open.iter().map(|shard| shard.entry.from).collect();
            ends.sort_unstable();
            for shard in &open {
                let last = shard.last_record(&snapshot).await?;
                // Everything in a shard that was opened since is new.
                let opened = (shard.entry.created_ms > looked_ms).then_some(shard.start);
                let from = balance.seen.get(&(shard.stream, shard.number)).copied().or(opened);
                if let Some(last) = last {
                    seen.insert((shard.stream, shard.number), last);
                }
                let end = ends.iter().find(|from| **from > shard.entry.from);
                let middle = middle_of(shard.entry.from, end.copied());
                let split = match (from, last) {
                    (Some(from), Some(last)) if last > from => {
                        let load = load(&snapshot, shard, from.next(), (middle, elapsed_ms)).await?;
                        (load.is_busy() && load.splits() && open.len() < MAX_OPEN_SHARDS).then_some(Split::At(middle))
                    }
                    _ => None,
                };
                let aged = last.is_some() && shard.entry.created_ms.saturating_add(ROTATION_MS) < now_ms;
                if let Some(split) = split.or_else(|| aged.then_some(Split::Not)) {
                    self.replace_shard(shard.stream, shard.number, split).await?;
                }
            }
        }
        balance.seen = seen;
        Ok(())
    }

    /// Ends a shard and starts those that continue it, if it is still open.
    pub(super) async fn replace_shard(&self, stream: StreamId, number: u32, split: Split) -> Result<()> {
        let Some(catalog_key) = self.catalog_key_of_stream(stream).await? else { return Ok(()) };
        let now_ms = self.now_ms();
        self.change_record(&catalog_key, |record| {
            let replaced = record.and_then(|record| with_shard_replaced(record, stream, number, split, now_ms));
            let record = replaced.map_or(Becomes::Unchanged, |record| Becomes::Record(Box::new(record)));
            Ok((RecordChange { record, writes: Vec::new() }, ()))
        })
        .await
    }

    /// Where the record of an open stream's table lies.
    async fn catalog_key_of_stream(&self, stream: StreamId) -> Result<Option<Key>> {
        let entries = self.stream_entries().await?;
        let entry = entries.into_iter().find(|(_, entry)| entry.id() == stream);
        Ok(entry.and_then(|(key, _)| keyspace::catalog_key_of_stream(&key)))
    }
}

fn with_shard_replaced(
    mut record: TableRecord,
    stream: StreamId,
    number: u32,
    split: Split,
    now_ms: u64,
) -> Option<TableRecord> {
    if record.id != stream.table {
        return None;
    }
    let open = record.logs.stream.as_mut().filter(|open| open.generation == stream.generation)?;
    let at = open.shards.iter().position(|shard| shard.number == number)?;
    let newest_ms = open.shards.iter().map(|shard| shard.created_ms).max().unwrap_or(0);
    let old = open.shards.remove(at);
    let parent = shard_id(stream, old.number, old.created_ms);
    let starts = match split {
        Split::At(middle) => vec![old.from, middle],
        Split::Not => vec![old.from],
    };
    for (from, at) in starts.into_iter().zip(at..) {
        let number = open.next_shard;
        open.next_shard = number.checked_add(1)?;
        let child = OpenShard { number, from, created_ms: now_ms.max(newest_ms), parent: Some(parent.clone()) };
        open.shards.insert(at, child);
    }
    Some(record)
}

/// The hash in the middle of a shard's range; `end` is the first hash of the next shard.
fn middle_of(from: u64, end: Option<u64>) -> u64 {
    let last = end.map_or(u64::MAX, |end| end.saturating_sub(1));
    from + (last - from) / 2 + (last - from) % 2
}

/// What was added to a shard from a place on, in the time since; of much, only what came first is looked at.
async fn load(snapshot: &Snapshot, shard: &Shard, from: Place, (middle, elapsed_ms): (u64, u64)) -> Result<Load> {
    let mut load = Load { span_ms: elapsed_ms, ..Load::default() };
    let mut first_ms = None;
    let mut range: KeyRange = shard.log_from(from);
    loop {
        let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
        let mut last_ms = 0;
        for (key, value) in &page.rows {
            let change = Change::decode(value)?;
            load.records += 1;
            load.bytes += u64::try_from(key.len() + value.len()).unwrap_or(0);
            load.upper += u64::from(change.hash >= middle);
            first_ms.get_or_insert(change.time_ms);
            last_ms = change.time_ms;
        }
        let Some((last, _)) = page.rows.last().filter(|_| page.more) else { return Ok(load) };
        if load.records >= MAX_ROWS || load.bytes >= MAX_BYTES {
            load.span_ms = last_ms.saturating_sub(first_ms.unwrap_or(last_ms));
            return Ok(load);
        }
        range = shard.log_from(place_of(last)?.next());
    }
}

impl Load {
    fn is_busy(self) -> bool {
        let per_second = |amount: u64| amount.saturating_mul(1000) / self.span_ms.max(1);
        per_second(self.records) > BUSY_RECORDS_PER_SECOND || per_second(self.bytes) > BUSY_BYTES_PER_SECOND
    }

    /// Whether a split would share it out.
    const fn splits(self) -> bool {
        let least = self.records / LEAST_SHARE;
        self.upper > least && self.records - self.upper > least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_halves_a_range() {
        assert_eq!(middle_of(0, None), 1 << 63);
        assert_eq!(middle_of(1 << 63, None), 3 << 62);
        assert_eq!(middle_of(0, Some(1 << 63)), 1 << 62);
    }

    #[test]
    fn a_single_hot_item_is_not_split() {
        let load = |records, upper| Load { records, bytes: 0, upper, span_ms: 5_000 };
        assert!(load(20_000, 9_000).splits());
        assert!(!load(20_000, 0).splits());
        assert!(!load(20_000, 19_999).splits());
        assert!(load(5_005, 0).is_busy() && !load(5_000, 0).is_busy());
    }
}
