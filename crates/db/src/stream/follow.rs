//! Opening and closing streams and shards: whatever a commit makes of a table's record, its streams follow in it.
//!
//! The record says which stream is on; from the difference to the record before come the stream's own entry, which
//! outlives table and stream for 24 hours, and the starts and ends of shards.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use partita_engine::{Key, Value, Write};
use serde::{Deserialize, Serialize};

use super::append::next_ordinal;
use super::describe::StreamArn;
use super::shards::{ShardEnd, ShardEntry, from_json, to_json};
use crate::crypt::Snapshot;
use crate::error::Result;
use crate::keyspace::{self, ShardFact, StreamId};
use crate::record::{KeyElement, OpenShard, OpenStream, StreamView, TableRecord};
use crate::resource_policy::ResourcePolicy;

/// How many shards a stream starts with. One: shards set how many consumers read side by side, not how fast a table is
/// written, and busy ones split.
const FIRST_SHARDS: u32 = 1;

/// A stream's own record in the catalog.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StreamEntry {
    /// The table's id.
    pub table: u32,
    /// Which of the table's streams it is.
    pub generation: u32,
    /// What its records carry.
    pub view: StreamView,
    /// The table's key.
    pub key: Vec<KeyElement>,
    /// When it was enabled, in milliseconds since the epoch.
    pub created_ms: u64,
    /// When it was disabled.
    pub closed_ms: Option<u64>,
    /// The stream's own policy.
    #[serde(default)]
    pub policy: Option<ResourcePolicy>,
}

impl StreamEntry {
    /// Where the entry of the stream with this ARN lies; `None` when the text is no stream's ARN.
    pub(crate) fn key_of(arn: &str) -> Option<Key> {
        StreamArn::parse(arn).map(|arn| arn.key())
    }

    /// # Errors
    /// When the value is none.
    pub(crate) fn read(value: &[u8]) -> Result<Self> {
        from_json(value)
    }

    /// # Errors
    /// When the entry can not be written.
    pub(crate) fn written(&self) -> Result<Value> {
        to_json(self)
    }

    pub(super) const fn id(&self) -> StreamId {
        StreamId { table: self.table, generation: self.generation }
    }
}

/// Puts the streams in step with what becomes of a table's record; `after` is `None` when the table goes. `now_ms` is in
/// milliseconds since the epoch.
///
/// # Errors
/// When the entry of a stream that closes can not be read.
pub(crate) async fn follow(
    snapshot: &Snapshot,
    before: Option<&TableRecord>,
    after: Option<&mut TableRecord>,
    now_ms: u64,
    writes: &mut Vec<Write>,
) -> Result<()> {
    let open_before = before.and_then(|before| Some((before, before.logs.stream.as_ref()?)));
    let Some(after) = after else {
        return match open_before {
            Some((table, open)) => close(snapshot, (table, open), now_ms, writes).await,
            None => Ok(()),
        };
    };
    let wanted = after.stream.clone().filter(|stream| stream.enabled);
    let goes_on =
        after.logs.stream.as_ref().zip(wanted.as_ref()).is_some_and(|(open, wanted)| open.label == wanted.label);
    if goes_on {
        if let Some((table, open_before)) = open_before
            && let Some(open) = &after.logs.stream
        {
            end_shards(stream_id(table, open_before), (&open_before.shards, &open.shards), now_ms, writes)?;
            start_shards(stream_id(table, open), &open_before.shards, &open.shards, writes)?;
        }
        return Ok(());
    }
    if let Some((table, open)) = open_before {
        close(snapshot, (table, open), now_ms, writes).await?;
    }
    after.logs.stream = None;
    if let Some(wanted) = wanted {
        after.logs.streams += 1;
        let created_ms = time_of_label(&wanted.label).unwrap_or(now_ms);
        let open = first_shards(wanted.label.clone(), after.logs.streams, created_ms);
        let entry = StreamEntry {
            table: after.id,
            generation: open.generation,
            view: wanted.view,
            key: after.key.clone(),
            created_ms,
            closed_ms: None,
            policy: None,
        };
        writes.push(Write::Put { key: entry_key(after, &open.label), value: to_json(&entry)? });
        start_shards(entry.id(), &[], &open.shards, writes)?;
        after.logs.stream = Some(open);
    }
    Ok(())
}

fn first_shards(label: String, generation: u32, created_ms: u64) -> OpenStream {
    let width = u64::MAX / u64::from(FIRST_SHARDS);
    let shard = |number: u32| OpenShard { number, from: width * u64::from(number), created_ms, parent: None };
    OpenStream { label, generation, next_shard: FIRST_SHARDS, shards: (0..FIRST_SHARDS).map(shard).collect() }
}

async fn close(
    snapshot: &Snapshot,
    (table, open): (&TableRecord, &OpenStream),
    now_ms: u64,
    writes: &mut Vec<Write>,
) -> Result<()> {
    end_shards(stream_id(table, open), (&open.shards, &[]), now_ms, writes)?;
    let key = entry_key(table, &open.label);
    if let Some(value) = snapshot.get(&key).await? {
        let entry = StreamEntry { closed_ms: Some(now_ms), ..from_json(&value)? };
        writes.push(Write::Put { key, value: to_json(&entry)? });
    }
    Ok(())
}

/// Ends the shards that are open no more.
fn end_shards(
    id: StreamId,
    (before, after): (&[OpenShard], &[OpenShard]),
    now_ms: u64,
    writes: &mut Vec<Write>,
) -> Result<()> {
    for shard in only_in(before, after) {
        writes.push(Write::PutAtPosition {
            prefix: keyspace::shard_fact(id, shard.number, ShardFact::End),
            suffix: Key::new(),
            ordinal: next_ordinal(writes),
            value: to_json(&ShardEnd { ended_ms: now_ms })?,
        });
    }
    Ok(())
}

/// Starts the shards that were not open before.
fn start_shards(id: StreamId, before: &[OpenShard], after: &[OpenShard], writes: &mut Vec<Write>) -> Result<()> {
    for shard in only_in(after, before) {
        let entry = ShardEntry { created_ms: shard.created_ms, from: shard.from, parent: shard.parent.clone() };
        writes.push(Write::PutAtPosition {
            prefix: keyspace::shard_fact(id, shard.number, ShardFact::Start),
            suffix: Key::new(),
            ordinal: next_ordinal(writes),
            value: to_json(&entry)?,
        });
    }
    Ok(())
}

fn only_in<'a>(these: &'a [OpenShard], those: &'a [OpenShard]) -> impl Iterator<Item = &'a OpenShard> {
    these.iter().filter(|shard| !those.iter().any(|other| other.number == shard.number))
}

const fn stream_id(table: &TableRecord, open: &OpenStream) -> StreamId {
    StreamId { table: table.id, generation: open.generation }
}

fn entry_key(table: &TableRecord, label: &str) -> Key {
    keyspace::stream_catalog_key(&table.account, &table.region, &table.name, label)
}

/// The time that a label says, in milliseconds since the epoch.
fn time_of_label(label: &str) -> Option<u64> {
    let time: DateTime = label.parse().ok()?;
    let milliseconds = TimeZone::UTC.to_timestamp(time).ok()?.as_millisecond();
    u64::try_from(milliseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_was_created_when_its_label_says() {
        assert_eq!(time_of_label("2026-10-08T23:20:48.275"), Some(1_791_501_648_275));
        assert_eq!(time_of_label("soon"), None);
    }
}
