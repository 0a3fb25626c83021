//! Removing expired items: entries whose time has come are taken from the queue in the order of time, each item is
//! judged again in the commit that removes it, and the removal goes to indexes and streams like any other.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use partita_engine::{CatalogToken, Commit, CommitError, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Write};
use partita_model::StoredItem;

use super::queue::{SLOTS, expires_at, is_ignored, parts_of_entry, slot};
use crate::Database;
use crate::catalog::{back_off, decode_record};
use crate::error::Result;
use crate::jobs::Lease;
use crate::keyspace;
use crate::record::{ExpiryQueue, TableRecord};
use crate::stream::Cause;
use crate::table::Table;
use crate::write::{Caused, plan_caused};

/// The most items removed in one commit.
const MAX_BATCH: usize = 100;
/// The most bytes of items removed in one commit, except that one item always is.
const MAX_BATCH_BYTES: usize = 2 << 20;
/// How often in a row a commit may meet writers of its items before it is left for the next look.
const ATTEMPTS: u32 = 8;
/// How far behind the last look the next begins, for nodes whose clocks are behind.
const SLACK_SECONDS: u64 = 60;
/// How often a queue is looked through from its beginning, whatever was taken before.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// What the job remembers between looks.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    /// The catalog that `tables` was read from.
    token: Option<CatalogToken>,
    tables: Vec<Watched>,
    looked: HashMap<(u32, u32), Looked>,
}

/// What a look for expired items leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing that is due.
    Nothing,
    /// Queues that were just filled and not yet looked through.
    Filled,
    /// Items that are due, past the limit.
    Items,
}

/// A table with time to live.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub catalog_key: Key,
    pub table: u32,
    pub queue: ExpiryQueue,
}

/// Up to which second a queue was emptied, and when it was last looked through from its beginning.
#[derive(Clone, Copy, Debug)]
struct Looked {
    until: u64,
    swept: Instant,
}

impl Watched {
    fn of(catalog_key: &Key, record: &TableRecord) -> Option<Self> {
        Some(Self { catalog_key: catalog_key.clone(), table: record.id, queue: record.logs.expiry? })
    }

    /// Whether it is this queue.
    pub(super) const fn is(&self, queue: &ExpiryQueue) -> bool {
        self.queue.generation == queue.generation
    }

    /// Whether the record is of this table, with this queue.
    pub(super) fn is_of(&self, record: &TableRecord) -> bool {
        record.id == self.table && record.logs.expiry.as_ref().is_some_and(|queue| self.is(queue))
    }
}

impl Database {
    /// Removes items whose time has come, up to `limit` of them, fills queues that are to be filled, and says what is left.
    ///
    /// # Errors
    /// `Contention` when another node has the lease, or an engine failure.
    pub(crate) async fn expire_items(&self, lease: &mut Lease, expiry: &mut Expiry, limit: usize) -> Result<Left> {
        self.find_queues(expiry).await?;
        let now = self.now_ms() / 1000;
        let mut left = limit;
        let mut nothing_left = Left::Nothing;
        for watched in &expiry.tables {
            if watched.queue.building {
                self.fill_queue(lease, watched).await?;
                nothing_left = Left::Filled;
                continue;
            }
            let id = (watched.table, watched.queue.generation);
            let looked = expiry.looked.get(&id).filter(|looked| looked.swept.elapsed() < SWEEP_INTERVAL).copied();
            let from = looked.map_or(0, |looked| looked.until.saturating_sub(SLACK_SECONDS));
            let mut emptied = true;
            for slot in 0..SLOTS {
                emptied &= self.expire_slot(lease, (watched, slot), (from, now), &mut left).await?;
            }
            if left == 0 {
                return Ok(Left::Items);
            }
            if !emptied {
                continue;
            }
            let swept = looked.map_or_else(Instant::now, |looked| looked.swept);
            expiry.looked.insert(id, Looked { until: now, swept });
        }
        Ok(nothing_left)
    }

    /// Finds the tables with time to live, when the catalog has changed.
    async fn find_queues(&self, expiry: &mut Expiry) -> Result<()> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let token = snapshot.catalog_token();
        if expiry.token == Some(token) {
            return Ok(());
        }
        let mut range = KeyRange::prefix(keyspace::catalog());
        let mut tables = Vec::new();
        loop {
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (key, value) in &page.rows {
                tables.extend(Watched::of(key, &decode_record(value)?));
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => break,
            }
        }
        expiry.looked.retain(|id, _| tables.iter().any(|watched| (watched.table, watched.queue.generation) == *id));
        expiry.tables = tables;
        expiry.token = Some(token);
        Ok(())
    }

    /// Empties a slot of a queue of the entries from one second to another, both included, and says whether none is left.
    async fn expire_slot(
        &self,
        lease: &mut Lease,
        (watched, slot_number): (&Watched, u8),
        (from, now): (u64, u64),
        left: &mut usize,
    ) -> Result<bool> {
        let prefix = slot(watched.table, watched.queue, slot_number);
        let at = |second: u64| {
            let mut key = prefix.clone();
            key.extend_from_slice(&second.to_be_bytes());
            key
        };
        let due = KeyRange::new(at(from), at(now.saturating_add(1)));
        let mut range = due.clone();
        let mut rows = MAX_BATCH;
        let mut attempt = 0;
        let mut emptied = true;
        while *left > 0 {
            lease.keep(self).await?;
            let snapshot = self.snapshot(Freshness::Latest).await?;
            lease.check(&snapshot).await?;
            let Some(table) = self.table_at(&snapshot, &watched.catalog_key).await? else { return Ok(true) };
            if !watched.is_of(&table.record) {
                return Ok(true);
            }
            let limit = ScanLimit { rows: rows.min(*left), bytes: 1 << 20 };
            let entries: Vec<Key> =
                snapshot.scan(&range, Direction::Forward, limit).await?.rows.into_iter().map(|(key, _)| key).collect();
            let batch = self.batch(&snapshot, &table, entries, now).await?;
            let Some(last) = batch.entries.last() else { return Ok(emptied) };
            let mut reads = vec![Read::Key(lease.key()), Read::Key(table.catalog_key.clone())];
            reads.extend(batch.items.into_iter().map(Read::Key));
            let commit =
                Commit { read_version: snapshot.version(), reads, writes: batch.writes, catalog_changed: false };
            match self.store().commit(commit).await {
                Ok(_) => {
                    table.series().expired.add(batch.expired);
                    *left -= batch.entries.len();
                    range = due.after(last);
                    (rows, attempt) = ((rows * 2).min(MAX_BATCH), 0);
                }
                Err(CommitError::Conflict | CommitError::TooOld) => {
                    rows = (rows / 2).max(1);
                    back_off(attempt).await;
                    attempt += 1;
                    if attempt > ATTEMPTS {
                        // Its writers go first. The others behind it need not wait for that.
                        range = due.after(last);
                        (attempt, emptied) = (0, false);
                    }
                }
                Err(other) => return Err(other.into()),
            }
        }
        Ok(false)
    }

    /// The changes that take entries from the queue, as many as a commit should hold, and remove the items of those
    /// whose time has come.
    async fn batch(
        &self,
        snapshot: &crate::crypt::Snapshot,
        table: &Table,
        entries: Vec<Key>,
        now: u64,
    ) -> Result<Batch> {
        let mut batch = Batch::default();
        let Some(time_to_live) = &table.record.time_to_live else { return Ok(batch) };
        let item_key = |entry: &Key| {
            let mut key = table.item_prefix().to_vec();
            key.extend_from_slice(parts_of_entry(entry).map_or(&[], |(_, suffix)| suffix));
            Key::from(key)
        };
        let items: Vec<Key> = entries.iter().map(item_key).collect();
        let found = self.read_items(snapshot, &items).await?;
        let mut bytes = 0;
        for ((entry, key), item) in entries.into_iter().zip(items).zip(found) {
            let expired = |item: &StoredItem| {
                expires_at(item, &time_to_live.attribute).is_some_and(|time| time <= now && !is_ignored(time, now))
            };
            if let Some(item) = item.filter(expired) {
                bytes += item.size();
                if bytes > MAX_BATCH_BYTES && !batch.entries.is_empty() {
                    break;
                }
                let base = table.key_of_item(&self.key_secret(), &item.to_item())?;
                let caused = Caused { by: Cause::Expiry, skip_item: false };
                plan_caused(&self.planning(), table, &base, (Some(&item), None), caused, &mut batch.writes);
                batch.expired += 1;
            }
            batch.writes.push(Write::Delete { key: entry.clone() });
            batch.entries.push(entry);
            batch.items.push(key);
        }
        Ok(batch)
    }
}

/// Entries that are taken from the queue in one commit.
#[derive(Debug, Default)]
struct Batch {
    entries: Vec<Key>,
    /// The items they are about, which the commit reads.
    items: Vec<Key>,
    /// How many of them are removed.
    expired: u64,
    writes: Vec<Write>,
}
