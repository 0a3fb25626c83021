//! Forgetting: records go 24 hours after their change, shards 24 hours after they ended, and streams with the last of
//! their shards.
//!
//! How far a shard is trimmed is committed with the trimming, so readers start behind what is gone and know what they
//! missed.

use partita_engine::{Commit, CommitError, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Value, Write};

use super::follow::StreamEntry;
use super::record::Change;
use super::shards::{Place, Shard, from_json, place_of, shards};
use crate::Database;
use crate::error::Result;
use crate::jobs::Lease;
use crate::keyspace::{self, ShardFact};

/// How long records are kept ("DynamoDB Streams": 24 hours).
pub(super) const RETENTION_MS: u64 = 24 * 60 * 60 * 1000;
/// The most records forgotten in one commit.
const ROWS_AT_ONCE: usize = 1000;
/// The most bytes read to find them.
const BYTES_AT_ONCE: usize = 4 << 20;

impl Database {
    /// Forgets what is older than 24 hours, in all streams.
    ///
    /// # Errors
    /// An engine failure. What was forgotten until then stays so.
    pub(crate) async fn trim_streams(&self, lease: &mut Lease) -> Result<()> {
        let Some(before_ms) = self.now_ms().checked_sub(RETENTION_MS) else { return Ok(()) };
        for (key, entry) in self.stream_entries().await? {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let known = shards(&snapshot, entry.id()).await?;
            let mut left = known.len();
            for shard in known {
                match shard.end {
                    Some((_, end)) if end.ended_ms < before_ms => {
                        self.forget_shard(lease, &shard).await?;
                        left -= 1;
                    }
                    _ => while self.trim_shard(lease, &shard, before_ms).await? {},
                }
            }
            if left == 0 && entry.closed_ms.is_some_and(|closed_ms| closed_ms < before_ms) {
                self.commit_as(lease, vec![Write::Delete { key }]).await?;
            }
        }
        Ok(())
    }

    /// The entries of all streams.
    pub(super) async fn stream_entries(&self) -> Result<Vec<(Key, StreamEntry)>> {
        let mut range = KeyRange::prefix(keyspace::stream_catalog());
        let mut entries = Vec::new();
        loop {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (key, value) in &page.rows {
                entries.push((key.clone(), from_json(value)?));
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok(entries),
            }
        }
    }

    async fn forget_shard(&self, lease: &mut Lease, shard: &Shard) -> Result<()> {
        let log = Write::Retire { prefix: keyspace::stream_log(shard.stream, shard.number).into() };
        let facts = Write::DeleteRange { range: KeyRange::prefix(keyspace::shard(shard.stream, shard.number)) };
        self.commit_as(lease, vec![log, facts]).await
    }

    /// Forgets some of a shard's oldest records, and says whether there may be more of them.
    async fn trim_shard(&self, lease: &mut Lease, shard: &Shard, before_ms: u64) -> Result<bool> {
        lease.keep(self).await?;
        let mark = keyspace::shard_fact(shard.stream, shard.number, ShardFact::Trimmed);
        let snapshot = self.snapshot(Freshness::Latest).await?;
        lease.check(&snapshot).await?;
        let trimmed = snapshot.get(&mark).await?.and_then(|value| Place::from_bytes(&value));
        let range = shard.log_from(trimmed.map_or(shard.start, Place::next));
        let limit = ScanLimit { rows: ROWS_AT_ONCE, bytes: BYTES_AT_ONCE };
        let page = snapshot.scan(&range, Direction::Forward, limit).await?;
        let old = old_rows(&page.rows, before_ms)?;
        let Some((last, _)) = old.last() else { return Ok(false) };
        let writes = vec![
            Write::DeleteRange { range: KeyRange::new(range.start, KeyRange::single(last.clone()).end) },
            Write::Put { key: mark.clone(), value: place_of(last)?.to_bytes().to_vec().into() },
        ];
        let reads = vec![Read::Key(lease.key()), Read::Key(mark)];
        let commit = Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false };
        match self.store().commit(commit).await {
            Ok(_) => Ok(page.more && old.len() == page.rows.len()),
            Err(CommitError::Conflict | CommitError::TooOld) => Ok(true),
            Err(other) => Err(other.into()),
        }
    }
}

/// The rows before the first that is not older.
fn old_rows(rows: &[(Key, Value)], before_ms: u64) -> Result<&[(Key, Value)]> {
    for (at, (_, value)) in rows.iter().enumerate() {
        if Change::decode(value)?.time_ms >= before_ms {
            return Ok(rows.get(..at).unwrap_or_default());
        }
    }
    Ok(rows)
}
