//! What is known of a stream's shards: their ids, where they start and end, and how far they are trimmed.
//!
//! Starts and ends are keys that take the position of the commit that made them, so a shard ends exactly where its
//! children start, between the records of both.

use partita_engine::{Direction, Key, KeyRange, Position, ScanLimit, Value};
use serde::{Deserialize, Serialize};

use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::keyspace::{self, ShardFact, StreamId};

/// Digits of a position as a number: those of 2¹²⁸.
const POSITION_DIGITS: usize = 39;
/// What sequence numbers begin with, so that they have no leading zeros to lose.
const SEQUENCE_LEAD: &str = "1";

/// A place in the history of the database, as a number that can be counted on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub u128);

impl Place {
    pub(super) fn of(position: Position) -> Self {
        Self(u128::from_be_bytes(position.to_bytes()))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Position::from_slice(bytes).map(Self::of)
    }

    pub(super) const fn to_bytes(self) -> [u8; Position::BYTES] {
        self.0.to_be_bytes()
    }

    /// The next place.
    pub(super) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The sequence number: 40 digits, in the order of the places.
    pub(super) fn sequence_number(self) -> String {
        format!("{SEQUENCE_LEAD}{:0width$}", self.0, width = POSITION_DIGITS)
    }

    /// The place with this sequence number.
    pub(super) fn of_sequence_number(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(SEQUENCE_LEAD)?;
        let valid = digits.len() == POSITION_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        if valid { digits.parse().ok().map(Self) } else { None }
    }
}

/// What is kept of a shard from its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShardEntry {
    /// When it was opened, in milliseconds since the epoch.
    pub created_ms: u64,
    /// The first hash it owns.
    pub from: u64,
    /// The id of the shard it continues.
    pub parent: Option<String>,
}

/// What is kept of a shard's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShardEnd {
    /// When it ended, in milliseconds since the epoch.
    pub ended_ms: u64,
}

/// A shard of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    pub stream: StreamId,
    pub number: u32,
    pub entry: ShardEntry,
    pub start: Place,
    /// Where and when it ended; `None` while it is open.
    pub end: Option<(Place, ShardEnd)>,
    /// The place of the last record that was trimmed.
    pub trimmed: Option<Place>,
}

impl Shard {
    pub(super) fn id(&self) -> String {
        shard_id(self.stream, self.number, self.entry.created_ms)
    }

    /// The first place that may hold a record.
    pub(super) fn horizon(&self) -> Place {
        self.trimmed.map_or(self.start, Place::next)
    }

    /// The keys of its records from a place on.
    pub(super) fn log_from(&self, place: Place) -> KeyRange {
        let prefix = keyspace::stream_log(self.stream, self.number);
        let mut start = prefix.clone();
        start.extend_from_slice(&place.to_bytes());
        KeyRange::new(start, KeyRange::prefix(prefix).end)
    }

    /// The place of its last record.
    pub(super) async fn last_record(&self, snapshot: &Snapshot) -> Result<Option<Place>> {
        let limit = ScanLimit { rows: 1, bytes: 1 };
        let page = snapshot.scan(&self.log_from(self.horizon()), Direction::Backward, limit).await?;
        page.rows.first().map(|(key, _)| place_of(key)).transpose()
    }
}

/// The place in the key of a stream record.
pub(super) fn place_of(key: &Key) -> Result<Place> {
    let at = key.len().saturating_sub(Position::BYTES);
    key.get(at..)
        .and_then(Place::from_bytes)
        .ok_or_else(|| Error::Internal("the key of a stream record can not be read".to_owned()))
}

/// The id of a shard: unique in the database for ever, and in order of age within a stream.
pub(super) fn shard_id(stream: StreamId, number: u32, created_ms: u64) -> String {
    format!("shardId-{created_ms:020}-{:08x}{:08x}{number:08x}", stream.table, stream.generation)
}

/// The shard with this id.
pub(super) async fn shard_with_id(snapshot: &Snapshot, stream: StreamId, id: &str) -> Result<Option<Shard>> {
    let number = id.len().checked_sub(8).and_then(|at| id.get(at..)).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let Some(number) = number else { return Ok(None) };
    Ok(shard(snapshot, stream, number).await?.filter(|shard| shard.id() == id))
}

/// The shard with this number.
pub(super) async fn shard(snapshot: &Snapshot, stream: StreamId, number: u32) -> Result<Option<Shard>> {
    let range = KeyRange::prefix(keyspace::shard(stream, number));
    let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
    Ok(shards_of_rows(stream, &page.rows)?.pop())
}

/// All shards of a stream that are still kept, in order of age.
pub(super) async fn shards(snapshot: &Snapshot, stream: StreamId) -> Result<Vec<Shard>> {
    let mut range = KeyRange::prefix(keyspace::shards(stream));
    let mut rows = Vec::new();
    loop {
        let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
        rows.extend(page.rows);
        match rows.last() {
            Some((last, _)) if page.more => range = range.after(last),
            _ => return shards_of_rows(stream, &rows),
        }
    }
}

fn shards_of_rows(stream: StreamId, rows: &[(Key, Value)]) -> Result<Vec<Shard>> {
    let broken = || Error::Internal("what is known of a shard can not be read".to_owned());
    let mut shards: Vec<Shard> = Vec::new();
    // A shard's facts come in the order of their bytes: its end, how far it is trimmed, its start.
    let mut end = None;
    let mut trimmed = None;
    for (key, value) in rows {
        let (number, fact) =
            key.get(keyspace::SHARDS_PREFIX_BYTES..).and_then(<[u8]>::split_first_chunk).ok_or_else(broken)?;
        let number = u32::from_be_bytes(*number);
        let (fact, position) = fact.split_first().ok_or_else(broken)?;
        let position = Place::from_bytes(position);
        match *fact {
            fact if fact == ShardFact::End as u8 => {
                end = Some((position.ok_or_else(broken)?, from_json(value)?));
            }
            fact if fact == ShardFact::Trimmed as u8 => {
                trimmed = Some(Place::from_bytes(value).ok_or_else(broken)?);
            }
            _ => shards.push(Shard {
                stream,
                number,
                entry: from_json(value)?,
                start: position.ok_or_else(broken)?,
                end: end.take(),
                trimmed: trimmed.take(),
            }),
        }
    }
    Ok(shards)
}

pub(super) fn from_json<T: for<'de> Deserialize<'de>>(value: &[u8]) -> Result<T> {
    serde_json::from_slice(value)
        .map_err(|error| Error::Internal(format!("a stream's record can not be read: {error}")))
}

pub(super) fn to_json(value: &impl Serialize) -> Result<Value> {
    let bytes = serde_json::to_vec(value);
    bytes.map(Into::into).map_err(|error| Error::Internal(format!("a stream's record can not be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_have_40_digits_in_the_order_of_positions() {
        let places = [
            Position::MIN,
            Position { ordinal: 1, ..Position::MIN },
            Position { incarnation: 1, ..Position::MIN },
            Position::MAX,
        ];
        let numbers = places.map(|position| Place::of(position).sequence_number());
        assert!(numbers.is_sorted());
        for (position, number) in places.into_iter().zip(&numbers) {
            assert_eq!(number.len(), 40);
            assert_eq!(Place::of_sequence_number(number), Some(Place::of(position)));
        }
    }

    #[test]
    fn what_is_no_sequence_number_is_no_place() {
        let beyond = format!("1{}", "9".repeat(39));
        for text in [
            "",
            "1",
            "000000000000000000000",
            "100000000003498069978",
            "1+00000000000000000000000000000000000000",
            &beyond,
        ] {
            assert_eq!(Place::of_sequence_number(text), None, "{text}");
        }
    }

    #[test]
    fn shard_ids_are_unique_and_in_order_of_age() {
        let stream = StreamId { table: 1, generation: 2 };
        let ids = [shard_id(stream, 0, 5), shard_id(stream, 1, 5), shard_id(stream, 2, 1_791_501_648_275)];
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| (28..=65).contains(&id.len())));
        assert_ne!(ids[0], shard_id(StreamId { table: 1, generation: 3 }, 0, 5));
    }
}
