//! What has changed between two positions: each item that was written in between, as it was at the first and at the
//! second, while writers go on.
//!
//! The history between the positions is gathered under the reader's own keys: of each item the earliest image, which is
//! what it was at the first position, and the time of the latest change. What it was at the second is what `past` finds.

use std::collections::HashMap;

use bytes::Bytes;
use partita_engine::{Direction, Freshness, Key, KeyRange, Position, ScanLimit, Write};
use partita_model::StoredItem;

use super::Past;
use super::log::{decode, decode_image};
use super::past::GATHERED_AT_ONCE;
use crate::Database;
use crate::error::{Error, Result};
use crate::jobs::Lease;
use crate::keyspace::{self, JobId};

/// A span of a table's history, with what is needed to read it.
#[derive(Debug)]
pub(crate) struct Window {
    table: u32,
    /// What the keys of the history begin with.
    log: Key,
    from: Position,
    to: Position,
    job: JobId,
    gathered: bool,
    at_end: Past,
}

/// An item that was written between two positions.
#[derive(Debug)]
pub(crate) struct WindowItem {
    /// Its key without the table's prefix.
    pub suffix: Key,
    /// When it was last written in between, in milliseconds since the epoch.
    pub written_ms: u64,
    /// What it was at the first position.
    pub old: Option<StoredItem>,
    /// What it was at the second.
    pub new: Option<StoredItem>,
}

/// A page of what has changed.
#[derive(Debug, Default)]
pub(crate) struct WindowPage {
    /// Items in the order of their keys.
    pub items: Vec<WindowItem>,
    /// Where the next page begins: after this key; `None` when this was the last page.
    pub next: Option<Key>,
}

impl Window {
    /// What was changed after `from` and not after `to`, read by a job. The table's history must reach back to `from`, and
    /// be held until the job has ended.
    pub(crate) fn new((table, generation): (u32, u32), (from, to): (Position, Position), job: JobId) -> Self {
        let log = keyspace::history(table, generation).into();
        let at_end = Past::at(table, generation, to, at_end(job));
        Self { table, log, from, to, job, gathered: false, at_end }
    }

    /// The writes that leave nothing of what a job has gathered.
    pub(crate) fn forget(table: u32, job: JobId) -> Vec<Write> {
        vec![
            Write::DeleteRange { range: KeyRange::prefix(keyspace::job_state(at_end(job))) },
            Write::Retire { prefix: keyspace::gathered_images(table, job).into() },
            Write::Retire { prefix: keyspace::gathered_images(table, at_end(job)).into() },
        ]
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
    ) -> Result<WindowPage> {
        if !self.gathered {
            self.gather(database, lease).await?;
            self.gathered = true;
        }
        let prefix = keyspace::gathered_images(self.table, self.job);
        let range = KeyRange::prefix(Key::from(prefix.clone()));
        let range = match after {
            Some(after) => range.after(&[prefix.as_slice(), after].concat()),
            None => range,
        };
        let snapshot = database.snapshot(Freshness::Latest).await?;
        let page = snapshot.scan(&range, Direction::Forward, limit).await?;
        let keys: Vec<Key> = page.rows.iter().map(|(key, _)| key.slice(prefix.len()..)).collect();
        let now = self.at_end.states(database, lease, &keys).await?;
        let next = page.more.then(|| keys.last().cloned()).flatten();
        let mut items = Vec::with_capacity(keys.len());
        for ((suffix, (_, value)), new) in keys.into_iter().zip(&page.rows).zip(now) {
            let (written_ms, image) = read_gathered(value)?;
            let old = decode_image(&image)?;
            // What came and went in between is nothing that has changed.
            if old.is_some() || new.is_some() {
                items.push(WindowItem { suffix, written_ms, old, new });
            }
        }
        Ok(WindowPage { items, next })
    }

    /// Gathers the history between the positions.
    async fn gather(&self, database: &Database, lease: &mut Lease) -> Result<()> {
        let unreadable = |what: &str| Error::Internal(format!("{what} can not be read"));
        let progress = keyspace::gathering_progress(self.job);
        let snapshot = database.snapshot(Freshness::Latest).await?;
        let mut done = match snapshot.get(&progress).await? {
            Some(value) => Position::from_slice(&value).ok_or_else(|| unreadable("the progress of a job"))?,
            None => self.from,
        };
        let place = |position: Position| [self.log.as_ref(), &position.to_bytes()].concat();
        let end = KeyRange::single(place(self.to)).end;
        while done < self.to {
            let snapshot = database.snapshot(Freshness::Latest).await?;
            let range = KeyRange::new(KeyRange::single(place(done)).end, end.clone());
            let page = snapshot.scan(&range, Direction::Forward, GATHERED_AT_ONCE).await?;
            let last = page.rows.last().filter(|_| page.more);
            done = match last {
                Some((last, _)) => last
                    .get(self.log.len()..)
                    .and_then(Position::from_slice)
                    .ok_or_else(|| unreadable("a key of a table's history"))?,
                None => self.to,
            };
            let mut writes = self.merged(database, &page.rows).await?;
            writes.push(Write::Put { key: progress.clone(), value: done.to_bytes().to_vec().into() });
            database.commit_as(lease, writes).await?;
        }
        Ok(())
    }

    /// The first image and the last time of each item of a page, together with what is gathered of it.
    async fn merged(&self, database: &Database, rows: &[(Key, Bytes)]) -> Result<Vec<Write>> {
        let prefix = keyspace::gathered_images(self.table, self.job);
        let mut places: HashMap<Key, usize> = HashMap::new();
        let mut items: Vec<(Key, u64, Bytes)> = Vec::new();
        for (_, value) in rows {
            let entry = decode(value)?;
            match places.get(&entry.suffix).and_then(|at| items.get_mut(*at)) {
                Some((_, time_ms, _)) => *time_ms = entry.time_ms.max(*time_ms),
                None => {
                    let key = Key::from([prefix.as_slice(), &entry.suffix].concat());
                    places.insert(entry.suffix, items.len());
                    items.push((key, entry.time_ms, entry.image));
                }
            }
        }
        let keys: Vec<Key> = items.iter().map(|(key, ..)| key.clone()).collect();
        let there = database.snapshot(Freshness::Latest).await?.get_many(&keys).await?;
        let mut writes = Vec::with_capacity(items.len());
        for ((key, time_ms, image), there) in items.into_iter().zip(there) {
            let image = match there {
                Some(there) => read_gathered(&there)?.1,
                None => image,
            };
            writes.push(Write::Put { key, value: [time_ms.to_be_bytes().as_slice(), &image].concat().into() });
        }
        Ok(writes)
    }
}

/// Under which id the state at the second position is read. Ids of jobs are random numbers of 128 bits.
const fn at_end(job: JobId) -> JobId {
    job ^ 1
}

/// Time and image of what is gathered of an item.
fn read_gathered(value: &Bytes) -> Result<(u64, Bytes)> {
    let time = value.first_chunk().copied();
    let time = time.ok_or_else(|| Error::Internal("a gathered image can not be read".to_owned()))?;
    Ok((u64::from_be_bytes(time), value.slice(size_of::<u64>()..)))
}
