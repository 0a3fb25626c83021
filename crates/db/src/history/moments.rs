//! Moments: which position of the store a second stands for.
//!
//! While some table can be recovered, the holder of a lease commits a mark in each second in which the store has changed
//! since the last one. Marks bound where a second lies. A mark can be committed long after its second was read (a disk that
//! is slow, a process that was stopped), so it does not say that what precedes it was changed by then; the next mark does,
//! whose second is read when this one is there. Between marks a table's history says it exactly: "the table at second T" is the table before the first change, in
//! the order of positions, that was made at T or later. So the cut is between two commits, whatever clocks say, a clock
//! that is wrong errs by no more than the distance of two marks, and an idle server writes nothing.

use partita_engine::{
    Commit, CommitError, Direction, Freshness, Key, KeyRange, Position, Read, ScanLimit, Version, Write,
};

use super::log::decode;
use crate::Database;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::jobs::Lease;
use crate::keyspace;

/// How long marks are kept, in seconds: longer than the longest window (35 days).
const KEPT_SECONDS: u64 = 36 * 24 * 60 * 60;
/// How far a mark may lie from what it says, in seconds: a busy node is late, and clocks of nodes differ.
const SLACK_SECONDS: u64 = 2;

/// What the marking task remembers between two looks. All of it can be lost.
#[derive(Debug)]
pub(crate) struct Moments {
    pub(crate) lease: Lease,
    /// The version that the last mark made.
    marked: Option<Version>,
}

impl Default for Moments {
    fn default() -> Self {
        Self { lease: Lease::new("moments"), marked: None }
    }
}

impl Database {
    /// Marks the current second if that has not been done and the store has changed since the last mark.
    ///
    /// # Errors
    /// `Contention` when another node has the lease, or an engine failure.
    pub(crate) async fn mark_moment(&self, moments: &mut Moments) -> Result<()> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        if moments.marked == Some(snapshot.version()) || !any_recovers(&snapshot).await? {
            return Ok(());
        }
        moments.lease.keep(self).await?;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        moments.lease.check(&snapshot).await?;
        // Read now that every earlier mark is there, which is what `mark_before` relies on.
        let second = self.now_ms() / 1000;
        moments.marked = self.put_mark(&snapshot, second, vec![Read::Key(moments.lease.key())]).await?;
        Ok(())
    }

    /// Commits the mark of a second that was read a while ago, and says whether it is there.
    #[cfg(test)]
    pub(crate) async fn mark_late(&self, second: u64) -> bool {
        let snapshot = self.snapshot(Freshness::Latest).await.unwrap();
        self.put_mark(&snapshot, second, Vec::new()).await.unwrap().is_some()
    }

    async fn put_mark(&self, snapshot: &Snapshot, second: u64, mut reads: Vec<Read>) -> Result<Option<Version>> {
        // A clock that was set back marks nothing until it has caught up.
        let later = KeyRange::new(keyspace::moment(second), keyspace::moments_end());
        if !snapshot.scan(&later, Direction::Forward, ScanLimit { rows: 1, bytes: 1 }).await?.rows.is_empty() {
            return Ok(None);
        }
        reads.push(Read::Range(later));
        let writes = vec![Write::PutAtPosition {
            prefix: keyspace::moment(second),
            suffix: Key::new(),
            ordinal: 0,
            value: Key::new(),
        }];
        let commit = Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false };
        match self.store().commit(commit).await {
            Ok(committed) => Ok(Some(committed.version)),
            Err(CommitError::Conflict | CommitError::TooOld) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// A position before which everything was changed before a second; `None` when none is known. That of the last mark
    /// but one before it, since the second of the last one was read when that was there.
    pub(super) async fn mark_before(&self, snapshot: &Snapshot, second: u64) -> Result<Option<Position>> {
        let earlier = KeyRange::new(keyspace::moment(0), keyspace::moment(second.saturating_sub(SLACK_SECONDS)));
        let page = snapshot.scan(&earlier, Direction::Backward, ScanLimit { rows: 2, bytes: usize::MAX }).await?;
        page.rows.get(1).map(|(key, _)| marked_at(key)).transpose()
    }

    /// The position of a table at the beginning of a second: after the last change that was made before it. `start` is
    /// where the table's history begins.
    pub(crate) async fn position_at(
        &self,
        snapshot: &Snapshot,
        log: &[u8],
        start: Position,
        second: u64,
    ) -> Result<Position> {
        let later = KeyRange::new(keyspace::moment(second.saturating_add(SLACK_SECONDS)), keyspace::moments_end());
        let later = snapshot.scan(&later, Direction::Forward, ScanLimit { rows: 1, bytes: 1 }).await?;
        let until = later.rows.first().map(|(key, _)| marked_at(key)).transpose()?;
        let mut at = self.mark_before(snapshot, second).await?.unwrap_or(Position::MIN).max(start);
        let end = match until {
            Some(until) => KeyRange::single([log, &until.to_bytes()].concat()).end,
            None => KeyRange::prefix(log.to_vec()).end,
        };
        loop {
            let after = KeyRange::single([log, &at.to_bytes()].concat()).end;
            let page = snapshot.scan(&KeyRange::new(after, end.clone()), Direction::Forward, ScanLimit::PAGE).await?;
            for (key, value) in &page.rows {
                if decode(value)?.time_ms / 1000 >= second {
                    return Ok(at);
                }
                at = key
                    .get(log.len()..)
                    .and_then(Position::from_slice)
                    .ok_or_else(|| Error::Internal("a key of a table's history can not be read".to_owned()))?;
            }
            if !page.more {
                return Ok(at);
            }
        }
    }

    /// Forgets marks that no window reaches back to, but for the last two of them.
    pub(crate) async fn forget_moments(&self, lease: &mut Lease) -> Result<()> {
        let Some(before) = (self.now_ms() / 1000).checked_sub(KEPT_SECONDS) else { return Ok(()) };
        loop {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let old = KeyRange::new(keyspace::moment(0), keyspace::moment(before));
            // `mark_before` needs two, and in a store that seldom changes there may be none in the days since.
            let last = snapshot.scan(&old, Direction::Backward, ScanLimit { rows: 2, bytes: usize::MAX }).await?;
            let Some((kept, _)) = last.rows.get(1) else { return Ok(()) };
            let range = KeyRange::new(old.start, kept.clone());
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            let Some((last, _)) = page.rows.last() else { return Ok(()) };
            let range = KeyRange::new(range.start, KeyRange::single(last.clone()).end);
            self.commit_as(lease, vec![Write::DeleteRange { range }]).await?;
            if !page.more {
                return Ok(());
            }
        }
    }
}

/// Whether any table of the database can be recovered.
async fn any_recovers(snapshot: &Snapshot) -> Result<bool> {
    let count = snapshot.get(&keyspace::recovering_tables()).await?;
    let count = count.and_then(|value| value.as_ref().try_into().ok()).map_or(0, i64::from_le_bytes);
    Ok(count > 0)
}

/// The position of a mark.
fn marked_at(key: &[u8]) -> Result<Position> {
    let read = || key.get(1 + size_of::<u64>()..).and_then(Position::from_slice);
    read().ok_or_else(|| Error::Internal("a moment's key can not be read".to_owned()))
}
