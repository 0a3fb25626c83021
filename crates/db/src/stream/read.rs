//! Reading streams: an iterator for a place in a shard (GetShardIterator), and the records from there on (GetRecords).

use partita_engine::{Direction, Freshness, KeyRange, ScanLimit};
use partita_model::{ErrorCode, StoredItem};

use super::describe::entry_of;
use super::iterator::{IteratorStart, ShardIterator};
use super::record::{Change, ChangeKind};
use super::shards::{Place, Shard, place_of, shard, shard_with_id};
use crate::Database;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::keyspace::StreamId;
use crate::record::StreamView;

/// The most bytes of records that GetRecords answers with, except that one record always fits ("GetRecords": 1 MB).
const MAX_PAGE_BYTES: usize = 1 << 20;
/// What the event ids of records are derived under.
const EVENT_CONTEXT: &str = "partita 2026-11-22 stream event id";

/// A page of a shard's records.
#[derive(Clone, Debug, PartialEq)]
pub struct Records {
    /// The id of the table whose stream it is.
    pub table: u32,
    /// The stream's region.
    pub region: String,
    /// What the records carry.
    pub view: StreamView,
    /// The records, in the order of their commits.
    pub records: Vec<ChangeRecord>,
    /// Where to go on; `None` at the end of a shard that has ended.
    pub next: Option<String>,
}

/// One change of one item.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeRecord {
    /// Unique, and the same each time the record is read: 32 hexadecimal digits.
    pub event_id: String,
    /// What happened.
    pub kind: ChangeKind,
    /// Whether time to live removed the item.
    pub expired: bool,
    /// When, in milliseconds since the epoch, by the clock of the node that wrote it.
    pub time_ms: u64,
    /// 40 digits, increasing within the shard and for each item.
    pub sequence_number: String,
    /// The bytes of keys and images.
    pub size: usize,
    /// The item's key.
    pub keys: StoredItem,
    /// The item before, if the stream keeps it.
    pub old: Option<StoredItem>,
    /// The item after, if the stream keeps it.
    pub new: Option<StoredItem>,
}

impl Database {
    /// An iterator for a place in a shard (GetShardIterator). It is good for 15 minutes.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is no such stream or shard, `TrimmedDataAccessException` when the place is
    /// older than what is left, `ValidationException` for a sequence number that is not of the shard.
    pub async fn shard_iterator(&self, arn: &str, shard_id: &str, start: &IteratorStart) -> Result<String> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let (_, entry) = entry_of(&snapshot, arn).await?;
        let shard = shard_with_id(&snapshot, entry.id(), shard_id).await?.ok_or_else(|| {
            Error::refused(ErrorCode::ResourceNotFoundException, "Requested resource not found: Shard does not exist")
        })?;
        let next = match start {
            IteratorStart::TrimHorizon => shard.horizon(),
            IteratorStart::Latest => behind_last(&snapshot, &shard).await?,
            IteratorStart::At(number) => place_of_number(&snapshot, &shard, number).await?,
            IteratorStart::After(number) => place_of_number(&snapshot, &shard, number).await?.next(),
            IteratorStart::AtTime(time_ms) => {
                if *time_ms > self.now_ms() {
                    return Err(Error::validation("Timestamp cannot be in the future"));
                }
                first_not_older(&snapshot, &shard, *time_ms).await?
            }
        };
        check_untrimmed(&shard, next)?;
        Ok(self.iterator_text(arn.to_owned(), shard.number, next))
    }

    /// Up to `limit` records, and no more than about 1 MB of them, from an iterator on (GetRecords).
    ///
    /// # Errors
    /// `ValidationException` for what is no iterator, `ExpiredIteratorException` after 15 minutes,
    /// `TrimmedDataAccessException` when records from there on are gone, `ResourceNotFoundException` when the stream is.
    pub async fn stream_records(&self, iterator: &str, limit: usize) -> Result<Records> {
        let ShardIterator { stream: arn, shard: number, next, .. } =
            ShardIterator::read(iterator, &self.inner.hash_secret, self.now_ms())?;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let (parsed, entry) = entry_of(&snapshot, &arn).await?;
        let shard = shard(&snapshot, entry.id(), number).await?.ok_or_else(trimmed)?;
        check_untrimmed(&shard, next)?;
        let region = parsed.table.region.to_owned();
        let event_key = blake3::derive_key(EVENT_CONTEXT, &self.inner.hash_secret);
        let bound = ScanLimit { rows: limit, bytes: MAX_PAGE_BYTES };
        let page = snapshot.scan(&shard.log_from(next), Direction::Forward, bound).await?;
        let (mut next, mut more) = (next, page.more);
        let mut records = Vec::with_capacity(page.rows.len());
        let mut bytes = 0;
        for (key, value) in &page.rows {
            let (place, change) = (place_of(key)?, Change::decode(value)?);
            if !records.is_empty() && bytes + change.size() > MAX_PAGE_BYTES {
                more = true;
                break;
            }
            bytes += change.size();
            next = place.next();
            records.push(shown(change, place, event_id(&event_key, entry.id(), number, place)));
        }
        let ended = shard.end.is_some() && !more;
        let next = if ended { None } else { Some(self.iterator_text(arn, number, next)) };
        Ok(Records { table: entry.id().table, region, view: entry.view, records, next })
    }

    fn iterator_text(&self, stream: String, shard: u32, next: Place) -> String {
        ShardIterator { stream, shard, next, issued_ms: self.now_ms() }.to_text(&self.inner.hash_secret)
    }
}

fn shown(change: Change, place: Place, event_id: String) -> ChangeRecord {
    ChangeRecord {
        event_id,
        kind: change.kind,
        expired: change.expired,
        time_ms: change.time_ms,
        sequence_number: place.sequence_number(),
        size: change.size(),
        keys: change.keys,
        old: change.old,
        new: change.new,
    }
}

fn event_id(key: &[u8; 32], stream: StreamId, shard: u32, place: Place) -> String {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in [stream.table, stream.generation, shard] {
        hasher.update(&part.to_be_bytes());
    }
    let hash = hasher.update(&place.to_bytes()).finalize();
    hash.to_hex().get(..32).unwrap_or_default().to_owned()
}

/// Refuses a place before which, or at which, records are gone that a reader from there on would have seen.
fn check_untrimmed(shard: &Shard, next: Place) -> Result<()> {
    if next < shard.horizon() { Err(trimmed()) } else { Ok(()) }
}

fn trimmed() -> Error {
    Error::refused(ErrorCode::TrimmedDataAccessException, "The data you are trying to access has been trimmed")
}

/// The place behind the newest record.
async fn behind_last(snapshot: &Snapshot, shard: &Shard) -> Result<Place> {
    Ok(shard.last_record(snapshot).await?.map_or_else(|| shard.horizon(), Place::next))
}

/// The place of a sequence number that the shard may have given.
async fn place_of_number(snapshot: &Snapshot, shard: &Shard, number: &str) -> Result<Place> {
    let invalid = || Error::validation("Invalid SequenceNumber for the shard");
    let place = Place::of_sequence_number(number).ok_or_else(invalid)?;
    let end = match shard.end {
        Some((end, _)) => end,
        None => behind_last(snapshot, shard).await?,
    };
    if place < shard.start || place > end { Err(invalid()) } else { Ok(place) }
}

/// The place of the first record that is not older than a time. Times rise with places as far as clocks agree, so the
/// place is found by halving.
async fn first_not_older(snapshot: &Snapshot, shard: &Shard, time_ms: u64) -> Result<Place> {
    let (mut low, mut high) = (shard.horizon(), behind_last(snapshot, shard).await?);
    while low < high {
        let middle = Place(low.0 + (high.0 - low.0) / 2);
        match first_from(snapshot, shard.log_from(middle)).await? {
            Some((place, found_ms)) if found_ms < time_ms => low = place.next(),
            _ => high = middle,
        }
    }
    Ok(low)
}

async fn first_from(snapshot: &Snapshot, range: KeyRange) -> Result<Option<(Place, u64)>> {
    let page = snapshot.scan(&range, Direction::Forward, ScanLimit { rows: 1, bytes: 1 }).await?;
    match page.rows.first() {
        Some((key, value)) => Ok(Some((place_of(key)?, Change::decode(value)?.time_ms))),
        None => Ok(None),
    }
}
