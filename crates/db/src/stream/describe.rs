//! Listing and describing streams: those that are enabled, and those of the last 24 hours whose tables may be gone.

use partita_engine::{Direction, Freshness, Key, KeyRange, ScanLimit};
use partita_model::ErrorCode;

use super::follow::StreamEntry;
use super::shards::{Shard, from_json, shards};
use crate::Database;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::keyspace;
use crate::record::{KeyElement, StreamView};
use crate::scope::{Scope, TableArn};

/// A stream in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    /// The stream's ARN.
    pub arn: String,
    /// The table's name.
    pub table: String,
    /// The stream's label.
    pub label: String,
}

/// A page of streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// In the order of their tables' names and their labels.
    pub streams: Vec<StreamSummary>,
    /// Whether there are more.
    pub more: bool,
}

/// Which of a stream's shards to describe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamPage {
    /// Only those behind the shard with this id.
    pub after: Option<String>,
    /// Only those that continue the shard with this id.
    pub children_of: Option<String>,
    /// The most shards.
    pub limit: usize,
}

/// A stream and some of its shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDescription {
    /// The stream's ARN.
    pub arn: String,
    /// The stream's label.
    pub label: String,
    /// The table's name.
    pub table: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// What its records carry.
    pub view: StreamView,
    /// The table's key.
    pub key: Vec<KeyElement>,
    /// When it was enabled, in milliseconds since the epoch.
    pub created_ms: u64,
    /// The shards, oldest first.
    pub shards: Vec<ShardDescription>,
    /// The last of them, when there are more.
    pub last: Option<String>,
}

/// A shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardDescription {
    /// Its id.
    pub id: String,
    /// The id of the shard it continues, which may be gone.
    pub parent: Option<String>,
    /// The sequence number at which it starts.
    pub start: String,
    /// The sequence number at which it ended; `None` while it is open.
    pub end: Option<String>,
}

/// The parts of a stream's ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamArn<'a> {
    pub table: TableArn<'a>,
    pub label: &'a str,
}

impl<'a> StreamArn<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let table = TableArn::parse(text)?;
        let label = table.rest?.strip_prefix("stream/")?;
        Some(Self { table, label })
    }

    pub(super) fn key(&self) -> Key {
        keyspace::stream_catalog_key(self.table.account, self.table.region, self.table.table, self.label)
    }
}

/// The entry of the stream with this ARN.
///
/// # Errors
/// `ResourceNotFoundException` when there is none.
pub(super) async fn entry_of<'a>(snapshot: &Snapshot, arn: &'a str) -> Result<(StreamArn<'a>, StreamEntry)> {
    let no_such_stream = || {
        let message = format!("Requested resource not found: Stream: {arn} not found");
        Error::refused(ErrorCode::ResourceNotFoundException, message)
    };
    let parsed = StreamArn::parse(arn).ok_or_else(no_such_stream)?;
    let value = snapshot.get(&parsed.key()).await?.ok_or_else(no_such_stream)?;
    Ok((parsed, from_json(&value)?))
}

impl Database {
    /// Up to `limit` streams of a scope, or of one of its tables: those behind the stream with the ARN `after`
    /// (ListStreams).
    ///
    /// # Errors
    /// An engine failure.
    pub async fn list_streams(
        &self,
        scope: &Scope,
        table: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Streams> {
        let prefix = keyspace::stream_catalog_prefix(&scope.account, &scope.region);
        let mut range = KeyRange::prefix(match table {
            Some(table) => keyspace::stream_catalog_table(&scope.account, &scope.region, table),
            None => prefix.clone(),
        });
        if let Some(after) = after {
            // What names no stream has none behind it.
            let Some(arn) = StreamArn::parse(after) else { return Ok(Streams::default()) };
            let key = keyspace::stream_catalog_key(&scope.account, &scope.region, arn.table.table, arn.label);
            range = range.after(&key);
        }
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let page = snapshot.scan(&range, Direction::Forward, ScanLimit { rows: limit, ..ScanLimit::PAGE }).await?;
        let summary = |key: &Key| {
            let (table, label) = std::str::from_utf8(key.get(prefix.len()..)?).ok()?.split_once('\0')?;
            let arn = format!("{}/stream/{label}", scope.table_arn(table));
            Some(StreamSummary { arn, table: table.to_owned(), label: label.to_owned() })
        };
        Ok(Streams { streams: page.rows.iter().filter_map(|(key, _)| summary(key)).collect(), more: page.more })
    }

    /// A stream and its shards (DescribeStream).
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is no such stream.
    pub async fn describe_stream(&self, arn: &str, page: &StreamPage) -> Result<StreamDescription> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let (parsed, entry) = entry_of(&snapshot, arn).await?;
        let wanted = |shard: &ShardDescription| {
            page.after.as_ref().is_none_or(|after| shard.id > *after)
                && page.children_of.as_ref().is_none_or(|parent| shard.parent.as_ref() == Some(parent))
        };
        let all = shards(&snapshot, entry.id()).await?;
        let mut found: Vec<ShardDescription> = all.iter().map(described).filter(wanted).collect();
        let more = found.len() > page.limit;
        found.truncate(page.limit);
        let last = found.last().filter(|_| more).map(|shard| shard.id.clone());
        Ok(StreamDescription {
            arn: arn.to_owned(),
            label: parsed.label.to_owned(),
            table: parsed.table.table.to_owned(),
            enabled: entry.closed_ms.is_none(),
            view: entry.view,
            key: entry.key,
            created_ms: entry.created_ms,
            shards: found,
            last,
        })
    }
}

fn described(shard: &Shard) -> ShardDescription {
    ShardDescription {
        id: shard.id(),
        parent: shard.entry.parent.clone(),
        start: shard.start.sequence_number(),
        end: shard.end.map(|(place, _)| place.sequence_number()),
    }
}
