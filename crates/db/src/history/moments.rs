//! Moments: which position of the store a second stands for.
//!
//! While some table can be recovered, the holder of a lease commits a mark at the beginning of each second in which the
//! store has changed since the last one. "The table at second T" is the table at the position of the last mark that is
//! not later than T; so no node's clock decides where a change belongs, and an idle server writes nothing.

use partita_engine::{
    Commit, CommitError, Direction, Freshness, Key, KeyRange, Position, Read, ScanLimit, Version, Write,
};

use crate::Database;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::jobs::Lease;
use crate::keyspace;

/// How long marks are kept, in seconds: longer than the longest window (35 days).
const KEPT_SECONDS: u64 = 36 * 24 * 60 * 60;

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

/// A mark as its key says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Seconds since the epoch.
    pub second: u64,
    /// The position of the mark's commit.
    pub position: Position,
}

impl Database {
    /// Marks the current second if that has not been done and the store has changed since the last mark.
    ///
    /// # Errors
    /// `Contention` when another node has the lease, or an engine failure.
    pub(crate) async fn mark_moment(&self, moments: &mut Moments) -> Result<()> {
        let second = self.now_ms() / 1000;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        if moments.marked == Some(snapshot.version()) || !any_recovers(&snapshot).await? {
            self.inner.recovering.looked_at(second);
            return Ok(());
        }
        moments.lease.keep(self).await?;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        moments.lease.check(&snapshot).await?;
        moments.marked = self.put_mark(&snapshot, second, vec![Read::Key(moments.lease.key())]).await?;
        self.inner.recovering.looked_at(second);
        Ok(())
    }

    /// Marks the current second if this node has not looked yet whether it is to be marked.
    ///
    /// # Errors
    /// An engine failure.
    pub(crate) async fn mark_if_late(&self) -> Result<()> {
        let second = self.now_ms() / 1000;
        if self.inner.recovering.last_look() < second {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            self.put_mark(&snapshot, second, Vec::new()).await?;
        }
        Ok(())
    }

    /// Marks the second after the last mark when a store is opened: the changes that came after that mark, before the
    /// end of the process, belong to it and not to whenever the process came back.
    pub(crate) async fn mark_end_of_last_run(&self) -> Result<()> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let last = self.moment_at(&snapshot, self.now_ms() / 1000).await?;
        if let Some(last) = last
            && last.second + 1 < self.now_ms() / 1000
            && any_recovers(&snapshot).await?
        {
            self.put_mark(&snapshot, last.second + 1, Vec::new()).await?;
        }
        Ok(())
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

    /// The last mark that is not later than a second; `None` when there is none.
    pub(crate) async fn moment_at(&self, snapshot: &Snapshot, second: u64) -> Result<Option<Moment>> {
        let range = KeyRange::new(keyspace::moment(0), keyspace::moment(second.saturating_add(1)));
        let page = snapshot.scan(&range, Direction::Backward, ScanLimit { rows: 1, bytes: 1 }).await?;
        page.rows.first().map(|(key, _)| moment_of(key)).transpose()
    }

    /// Forgets marks that no window reaches back to.
    pub(crate) async fn forget_moments(&self, lease: &mut Lease) -> Result<()> {
        let Some(before) = (self.now_ms() / 1000).checked_sub(KEPT_SECONDS) else { return Ok(()) };
        loop {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let range = KeyRange::new(keyspace::moment(0), keyspace::moment(before));
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

fn moment_of(key: &[u8]) -> Result<Moment> {
    let read = || {
        let (second, position) = key.get(1..)?.split_first_chunk()?;
        Some(Moment { second: u64::from_be_bytes(*second), position: Position::from_slice(position)? })
    };
    read().ok_or_else(|| Error::Internal("a moment's key can not be read".to_owned()))
}
