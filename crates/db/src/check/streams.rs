//! Streams: the shards against the table's record and against each other, and each record in its shard.

use std::collections::HashSet;

use partita_engine::KeyRange;

use super::{Check, Damage, EVERYWHERE, Pages, place};
use crate::error::Result;
use crate::keyspace::{self, StreamId};
use crate::record::TableRecord;
use crate::stream::{KnownShard, StreamEntry, known_shards, read_record};

impl Check<'_> {
    /// All streams, those of deleted tables too.
    pub(super) async fn streams(&mut self, tables: &[TableRecord]) -> Result<()> {
        let mut pages = Pages::of(KeyRange::prefix(keyspace::stream_catalog()));
        let mut known = HashSet::new();
        while let Some(rows) = pages.next(self).await? {
            for (_, value) in rows {
                let entry = match value.and_then(|value| StreamEntry::read(&value)) {
                    Ok(entry) => entry,
                    Err(error) => {
                        self.find(EVERYWHERE, Damage::Unreadable, format!("a stream's record: {error}"));
                        continue;
                    }
                };
                let id = StreamId { table: entry.table, generation: entry.generation };
                known.insert(id);
                let table = tables.iter().find(|table| table.id == entry.table);
                self.stream(id, table).await?;
            }
        }
        for number in self.first_numbers(&[keyspace::SPACE_STREAM], 8).await? {
            let half = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default();
            let id = StreamId { table: half(number >> 32), generation: half(number) };
            if !known.contains(&id) {
                let what = format!("records of stream {} of table {}, which is not there", id.generation, id.table);
                self.find(EVERYWHERE, Damage::Leftover, what);
            }
        }
        for record in tables {
            if let Some(open) = &record.logs.stream
                && !known.contains(&StreamId { table: record.id, generation: open.generation })
            {
                self.find(&place(record), Damage::BrokenShards, "the stream's own record is missing".to_owned());
            }
        }
        Ok(())
    }

    async fn stream(&mut self, id: StreamId, table: Option<&TableRecord>) -> Result<()> {
        let place = table.map_or_else(|| format!("a stream of the deleted table {}", id.table), place);
        self.progress.begin(format!("the stream of {place}"));
        let snapshot = self.database.snapshot(partita_engine::Freshness::Latest).await?;
        let mut shards = match known_shards(&snapshot, id).await {
            Ok(shards) => shards,
            Err(error) => {
                self.find(&place, Damage::BrokenShards, error.to_string());
                return Ok(());
            }
        };
        let open = table.and_then(|table| table.logs.stream.as_ref()).filter(|open| open.generation == id.generation);
        for (at, shard) in open.iter().flat_map(|open| open.shards.iter().enumerate()) {
            let next = open.and_then(|open| open.shards.get(at + 1)).map(|next| next.from);
            if let Some(known) = shards.iter_mut().find(|known| known.number == shard.number) {
                known.until = next;
            }
        }
        for what in broken_shards(&shards, open) {
            self.find(&place, Damage::BrokenShards, what);
        }
        let prefix = keyspace::stream(id);
        let mut pages = Pages::of(KeyRange::prefix(prefix.clone()));
        while let Some(rows) = pages.next(self).await? {
            for (key, value) in rows {
                let number = key.get(prefix.len()..).and_then(|rest| rest.first_chunk());
                let number = number.map(|number| u32::from_be_bytes(*number));
                let Some(shard) = shards.iter().find(|shard| Some(shard.number) == number) else {
                    self.find(&place, Damage::MisplacedRecord, "a record in a shard that is not there".to_owned());
                    continue;
                };
                match value.and_then(|value| read_record(&value)) {
                    Ok(hash) if hash < shard.from || shard.until.is_some_and(|until| hash >= until) => {
                        let what = format!("a record of another shard's items in {}", shard.id);
                        self.find(&place, Damage::MisplacedRecord, what);
                    }
                    Ok(_) => {}
                    Err(error) => self.find(&place, Damage::Unreadable, format!("a stream record: {error}")),
                }
                if !shard.may_hold(&key) {
                    let what = format!("a record before the start or behind the end of {}", shard.id);
                    self.find(&place, Damage::MisplacedRecord, what);
                }
            }
        }
        Ok(())
    }
}

/// What does not fit of a stream's shards.
fn broken_shards(shards: &[KnownShard], open: Option<&crate::record::OpenStream>) -> Vec<String> {
    let mut broken = Vec::new();
    for shard in shards {
        if shard.ends_before_it_starts() {
            broken.push(format!("{} ends before it starts", shard.id));
        }
        let parent = shard.parent.as_ref().and_then(|parent| shards.iter().find(|other| other.id == *parent));
        if let Some(parent) = parent
            && !shard.continues(parent)
        {
            broken.push(format!("{} does not begin where its parent ends", shard.id));
        }
        let is_open = open.is_some_and(|open| open.shards.iter().any(|open| open.number == shard.number));
        match (is_open, shard.is_open()) {
            (true, false) => broken.push(format!("{} has ended and is still written", shard.id)),
            (false, true) => broken.push(format!("{} has not ended and is written no more", shard.id)),
            _ => {}
        }
    }
    let Some(open) = open else { return broken };
    if open.shards.first().is_none_or(|shard| shard.from != 0) {
        broken.push("no shard owns the first hashes".to_owned());
    }
    if !open.shards.is_sorted_by(|one, other| one.from < other.from) {
        broken.push("the open shards are out of order".to_owned());
    }
    for shard in &open.shards {
        match shards.iter().find(|known| known.number == shard.number) {
            None => broken.push(format!("the open shard {} was never started", shard.number)),
            Some(known) if known.from != shard.from || known.parent != shard.parent => {
                broken.push(format!("{} is another than the table's record says", known.id));
            }
            Some(_) => {}
        }
    }
    broken
}
