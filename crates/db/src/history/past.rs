//! The past: a table's items, read page by page as they were at one position of the store, while writers go on.
//!
//! Pages are read from the table as it is now. For each item that has changed since the position, the earliest previous
//! image after it is what the item was: those are gathered from the history, under the reader's own keys, and take the
//! place of what the page shows. Before a page counts, the history up to the page's own snapshot has been gathered, so
//! pages may be read at different times and still belong to one moment. Nothing of it is held in memory, and after a
//! crash the gathering goes on where it stood.

use std::collections::HashSet;

use bytes::Bytes;
use partita_engine::{Direction, Freshness, Key, KeyRange, Position, ScanLimit, Write};
use partita_model::StoredItem;

use super::log::{decode, decode_image};
use crate::Database;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::jobs::Lease;
use crate::keyspace::{self, JobId};
use crate::table::unseal;

/// The most entries of the history gathered in one commit. Tests have commits of few.
pub(super) const GATHERED_AT_ONCE: ScanLimit = ScanLimit { rows: if cfg!(test) { 9 } else { 5000 }, bytes: 4 << 20 };

/// A table as it was at a position.
#[derive(Debug)]
pub(crate) struct Past {
    /// What the keys of the table's items begin with.
    items: Key,
    changes: Option<Changes>,
}

/// The changes since the position.
#[derive(Debug)]
struct Changes {
    table: u32,
    /// What the keys of the history begin with.
    log: Key,
    /// The position to read the table at.
    at: Position,
    /// Whose reading it is; its gathered images lie under it.
    job: JobId,
    /// Up to where images are gathered, when that has been looked up.
    gathered: Option<Position>,
}

/// A page of the past.
#[derive(Debug, Default)]
pub(crate) struct PastPage {
    /// Items by their keys without the table's prefix, in the order of the keys.
    pub items: Vec<(Key, StoredItem)>,
    /// Where the next page begins: after this key; `None` when this was the last page.
    pub next: Option<Key>,
}

impl Past {
    /// A table as it was at a position, read by a job. The table's history must reach back to the position, and be held
    /// until the job has ended.
    pub(crate) fn at(table: u32, generation: u32, at: Position, job: JobId) -> Self {
        let log = keyspace::history(table, generation).into();
        Self {
            items: keyspace::table_prefix(keyspace::SPACE_ITEM, table).into(),
            changes: Some(Changes { table, log, at, job, gathered: None }),
        }
    }

    /// A table that nobody writes any more.
    pub(crate) fn unchanging(table: u32) -> Self {
        Self { items: keyspace::table_prefix(keyspace::SPACE_ITEM, table).into(), changes: None }
    }

    /// The page after a key without the table's prefix, or the first one. A page may be empty and not the last.
    ///
    /// # Errors
    /// `Contention` when another node has the job's lease, or an engine failure.
    pub(crate) async fn page(
        &mut self,
        database: &Database,
        lease: &mut Lease,
        after: Option<&[u8]>,
        limit: ScanLimit,
    ) -> Result<PastPage> {
        let snapshot = database.snapshot(Freshness::Latest).await?;
        let mut gathered = None;
        if let Some(changes) = &mut self.changes {
            changes.gather(database, lease, &snapshot).await?;
            if changes.gathered != Some(changes.at) {
                gathered = Some(keyspace::gathered_images(changes.table, changes.job));
            }
        }
        let from = |prefix: &[u8]| {
            let range = KeyRange::prefix(Key::copy_from_slice(prefix));
            match after {
                Some(after) => range.after(&[prefix, after].concat()),
                None => range,
            }
        };
        let now = snapshot.scan(&from(&self.items), Direction::Forward, limit).await?;
        let before = match &gathered {
            // Written by this job alone, so a later snapshot shows the same and what was gathered just now.
            Some(prefix) => {
                let latest = database.snapshot(Freshness::Latest).await?;
                latest.scan(&from(prefix), Direction::Forward, limit).await?
            }
            None => partita_engine::Page::default(),
        };
        let end = |page: &partita_engine::Page, prefix: usize| {
            page.rows.last().filter(|_| page.more).map(|(key, _)| key.slice(prefix..))
        };
        let images = gathered.as_ref().map_or(0, Vec::len);
        let ends = [end(&now, self.items.len()), end(&before, images)];
        let next = ends.into_iter().flatten().min();
        merge(strip(now, self.items.len()), strip(before, images), next)
    }
}

impl Past {
    /// What the items of these keys, without the table's prefix, were; in their order.
    ///
    /// # Errors
    /// `Contention` when another node has the job's lease, or an engine failure.
    pub(crate) async fn states(
        &mut self,
        database: &Database,
        lease: &mut Lease,
        keys: &[Key],
    ) -> Result<Vec<Option<StoredItem>>> {
        let snapshot = database.snapshot(Freshness::Latest).await?;
        let under = |prefix: &[u8]| keys.iter().map(|key| [prefix, key].concat().into()).collect::<Vec<Key>>();
        let mut before = vec![None; keys.len()];
        if let Some(changes) = &mut self.changes {
            changes.gather(database, lease, &snapshot).await?;
            // Written by this job alone, so a later snapshot shows the same and what was gathered just now.
            let latest = database.snapshot(Freshness::Latest).await?;
            before = latest.get_many(&under(&keyspace::gathered_images(changes.table, changes.job))).await?;
        }
        let now = snapshot.get_many(&under(&self.items)).await?;
        let each = before.into_iter().zip(now).map(|(before, now)| match (before, now) {
            (Some(image), _) => decode_image(&image),
            (None, Some(value)) => unseal(&value).map(Some),
            (None, None) => Ok(None),
        });
        each.collect()
    }
}

type Rows = Vec<(Key, Bytes)>;

fn strip(page: partita_engine::Page, prefix: usize) -> Rows {
    page.rows.into_iter().map(|(key, value)| (key.slice(prefix..), value)).collect()
}

/// The items up to `next`: gathered images in place of what is there now.
fn merge(now: Rows, before: Rows, next: Option<Key>) -> Result<PastPage> {
    let within = |key: &Key| next.as_ref().is_none_or(|next| key <= next);
    let mut items = Vec::with_capacity(now.len());
    let mut now = now.into_iter().filter(|(key, _)| within(key)).peekable();
    for (key, image) in before.into_iter().filter(|(key, _)| within(key)) {
        while let Some((earlier, value)) = now.next_if(|(other, _)| *other < key) {
            items.push((earlier, unseal(&value)?));
        }
        let _replaced = now.next_if(|(other, _)| *other == key);
        if let Some(item) = decode_image(&image)? {
            items.push((key, item));
        }
    }
    for (key, value) in now {
        items.push((key, unseal(&value)?));
    }
    Ok(PastPage { items, next })
}

impl Changes {
    /// Gathers the earliest images after the position from the history as a snapshot shows it.
    async fn gather(&mut self, database: &Database, lease: &mut Lease, snapshot: &Snapshot) -> Result<()> {
        let progress = keyspace::gathering_progress(self.job);
        let mut done = match self.gathered {
            Some(done) => done,
            None => match snapshot.get(&progress).await? {
                Some(value) => Position::from_slice(&value)
                    .ok_or_else(|| Error::Internal("the progress of a job can not be read".to_owned()))?,
                None => self.at,
            },
        };
        let whole = KeyRange::prefix(self.log.clone());
        loop {
            let range = whole.after(&[self.log.as_ref(), &done.to_bytes()].concat());
            let page = snapshot.scan(&range, Direction::Forward, GATHERED_AT_ONCE).await?;
            let Some((last, _)) = page.rows.last() else { break };
            done = last
                .get(self.log.len()..)
                .and_then(Position::from_slice)
                .ok_or_else(|| Error::Internal("a key of a table's history can not be read".to_owned()))?;
            let mut writes = self.earliest(database, &page.rows).await?;
            writes.push(Write::Put { key: progress.clone(), value: done.to_bytes().to_vec().into() });
            database.commit_as(lease, writes).await?;
            if !page.more {
                break;
            }
        }
        self.gathered = Some(done);
        Ok(())
    }

    /// The images of those items that none is gathered of yet.
    async fn earliest(&self, database: &Database, rows: &[(Key, Bytes)]) -> Result<Vec<Write>> {
        let prefix = keyspace::gathered_images(self.table, self.job);
        let mut seen = HashSet::new();
        let mut first = Vec::with_capacity(rows.len());
        for (_, value) in rows {
            let entry = decode(value)?;
            if seen.insert(entry.suffix.clone()) {
                first.push((Key::from([prefix.as_slice(), &entry.suffix].concat()), entry.image));
            }
        }
        let keys: Vec<Key> = first.iter().map(|(key, _)| key.clone()).collect();
        let there = database.snapshot(Freshness::Latest).await?.get_many(&keys).await?;
        let missing = first.into_iter().zip(there).filter(|(_, there)| there.is_none());
        Ok(missing.map(|((key, value), _)| Write::Put { key, value }).collect())
    }
}
