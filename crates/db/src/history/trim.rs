//! Forgetting: a table's history goes when it is older than the table's window.
//!
//! How far it is trimmed is committed with the trimming, so the next look starts behind what is gone. Nothing goes while a
//! job reads the table's past: each holds it in the table's record, which trimming reads.

use partita_engine::{Commit, CommitError, Direction, Freshness, Key, KeyRange, Position, Read, ScanLimit, Write};

use crate::Database;
use crate::catalog::{back_off, decode_record};
use crate::error::Result;
use crate::jobs::Lease;
use crate::keyspace;

/// The most entries forgotten in one commit.
const AT_ONCE: ScanLimit = ScanLimit { rows: 1000, bytes: 4 << 20 };
const DAY_SECONDS: u64 = 24 * 60 * 60;

impl Database {
    /// Forgets what is older than the windows of the tables, and the moments that none of them reaches.
    ///
    /// # Errors
    /// `Contention` when another node has the lease, or an engine failure.
    pub(crate) async fn trim_histories(&self, lease: &mut Lease) -> Result<()> {
        let mut range = KeyRange::prefix(keyspace::catalog());
        loop {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (key, value) in &page.rows {
                if decode_record(value)?.recovery.is_some() {
                    let mut attempt = 0;
                    while self.trim_history(lease, key, attempt).await? {
                        attempt = (attempt + 1).min(8);
                    }
                }
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => break,
            }
        }
        self.forget_moments(lease).await
    }

    /// Forgets some of a table's oldest history, and says whether there may be more to forget.
    async fn trim_history(&self, lease: &mut Lease, catalog_key: &Key, attempt: u32) -> Result<bool> {
        lease.keep(self).await?;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        lease.check(&snapshot).await?;
        let Some(table) = self.table_at(&snapshot, catalog_key).await? else { return Ok(false) };
        let record = &table.record;
        let (Some(recovery), Some(log), true) = (&record.recovery, record.logs.history, record.logs.holds.is_empty())
        else {
            return Ok(false);
        };
        let window = u64::from(recovery.days) * DAY_SECONDS;
        let Some(oldest) = (self.now_ms() / 1000).checked_sub(window) else { return Ok(false) };
        let Some(until) = self.mark_before(&snapshot, oldest).await? else { return Ok(false) };
        let prefix = keyspace::history(record.id, log.generation);
        let key_of = |position: Position| Key::from([prefix.as_slice(), &position.to_bytes()].concat());
        let mark = keyspace::history_trimmed(record.id, log.generation);
        let trimmed = snapshot.get(&mark).await?.and_then(|value| Position::from_slice(&value));
        let range = KeyRange::new(key_of(trimmed.unwrap_or(Position::MIN)), key_of(until));
        let page = snapshot.scan(&range, Direction::Forward, AT_ONCE).await?;
        let Some((last, _)) = page.rows.last() else { return Ok(false) };
        let position = last.get(prefix.len()..).unwrap_or_default();
        let writes = vec![
            Write::DeleteRange { range: KeyRange::new(range.start, KeyRange::single(last.clone()).end) },
            Write::Put { key: mark, value: Key::copy_from_slice(position) },
        ];
        let reads = vec![Read::Key(lease.key()), Read::Key(table.catalog_key.clone())];
        let commit = Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false };
        match self.store().commit(commit).await {
            Ok(_) => Ok(page.more),
            Err(CommitError::Conflict | CommitError::TooOld) => {
                back_off(attempt).await;
                Ok(true)
            }
            Err(other) => Err(other.into()),
        }
    }
}
