//! Writing batches: each commit has items, their index entries, and how far the load has come with them.
//!
//! Nobody else writes to a table that is being imported, so those commits name no items among what they have read. Bulk
//! operations write between other writers: a commit that loses against one is planned again, with fewer items.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use partita_engine::{Commit, CommitError, Freshness, Key, Read, Write};
use partita_objects::{ObjectError, ObjectStore};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::reading::{BATCH_RECORDS, Batch, Entry, Reading, Sent};
use super::record::{LoadKind, LoadPlace, LoadRecord, LoadStatus, Mark, Progress, from_json, to_json};
use super::report::{CONDITIONS, ItemPlace, LOG_BUCKET, Reports, log_prefix, output_prefix};
use crate::Database;
use crate::capacity::{Consumed, write_units};
use crate::catalog::back_off;
use crate::crypt::Snapshot;
use crate::error::Error;
use crate::jobs::Lease;
use crate::limits::MAX_ATTEMPTS;
use crate::table::{IndexKind, Table};
use crate::write::{Put, PutOutcome};

/// A commit takes no more items once its items, each with all its index entries, have this many bytes.
const COMMIT_BYTES: usize = 4 << 20;

/// Why a load did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] Error),
    /// A bucket failed.
    #[error(transparent)]
    Store(#[from] ObjectError),
    /// It can not succeed: code and message.
    #[error("{1}")]
    Lost(&'static str, String),
}

impl From<partita_engine::EngineError> for Failure {
    fn from(error: partita_engine::EngineError) -> Self {
        Self::Database(error.into())
    }
}

/// How the filling of a table ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Everything has been read.
    Done,
    /// It was cancelled.
    Cancelled,
}

/// A load under way on this node.
pub(super) struct Filling<'l> {
    pub database: &'l Database,
    pub lease: &'l mut Lease,
    pub record: &'l LoadRecord,
    pub place: LoadPlace,
    pub table: Arc<Table>,
    pub reports: Reports,
    pub progress: Progress,
    /// The most records of the next commit: fewer after a conflict.
    most: usize,
}

impl<'l> Filling<'l> {
    pub fn new(
        database: &'l Database,
        lease: &'l mut Lease,
        record: &'l LoadRecord,
        table: Arc<Table>,
        reports: Reports,
        progress: Progress,
    ) -> Self {
        let place = record.place();
        Self { database, lease, record, place, table, reports, progress, most: BATCH_RECORDS }
    }

    /// Reads and writes everything that is left.
    pub async fn fill(&mut self, store: ObjectStore) -> Result<End, Failure> {
        let reading = Reading {
            database: self.database.clone(),
            table: Arc::clone(&self.table),
            source: self.record.source.clone(),
            store,
            own: own_prefix(self.record),
            conditions: self.is_bulk(),
            runtime: Handle::current(),
        };
        let (out, mut batches) = mpsc::channel(1);
        let from = self.progress.mark.clone();
        let reader = tokio::task::spawn_blocking(move || reading.run(from, &out));
        let end = loop {
            match batches.recv().await {
                Some(Sent::Batch(batch)) => {
                    if self.write(batch).await? == End::Cancelled {
                        break End::Cancelled;
                    }
                }
                Some(Sent::End) => break End::Done,
                Some(Sent::Failed(error)) => return Err(error.into()),
                None => return Err(Error::Internal("the reader of a load has stopped".to_owned()).into()),
            }
        };
        drop(batches);
        // It has nothing more to say, and whether it ended well is known.
        let _ = reader.await;
        Ok(end)
    }

    fn is_bulk(&self) -> bool {
        self.record.kind == LoadKind::Bulk
    }

    async fn write(&mut self, batch: Batch) -> Result<End, Failure> {
        let mut rest = batch.entries.as_slice();
        let mut attempt = 0;
        while !rest.is_empty() {
            let chunk = self.chunk(rest);
            let behind = rest.get(chunk.len()..).unwrap_or_default();
            let mark = match chunk.last() {
                Some(last) if !behind.is_empty() => {
                    Mark { whole: false, offset: last.offset, records: last.index + 1, ..batch.end.clone() }
                }
                _ => batch.end.clone(),
            };
            let begun = Instant::now();
            match self.commit(&batch, chunk, mark).await? {
                Committed::Yes(units) => {
                    (rest, attempt) = (behind, 0);
                    self.most = (self.most * 2).min(BATCH_RECORDS);
                    self.pause(units, begun.elapsed()).await;
                }
                Committed::Fewer if attempt >= MAX_ATTEMPTS => return Err(Error::Contention.into()),
                Committed::Fewer => {
                    self.most = (chunk.len() / 2).max(1);
                    back_off(attempt).await;
                    attempt += 1;
                }
                Committed::Cancelled => return Ok(End::Cancelled),
            }
        }
        self.progress.pass(batch.end);
        Ok(End::Done)
    }

    /// As many of the next records as one commit takes. In bulk operations no key is written twice in one.
    fn chunk<'e>(&self, rest: &'e [Entry]) -> &'e [Entry] {
        let copies = 1 + self.table.indexes.len();
        let most_units =
            self.record.max_units.map_or(usize::MAX, |units| usize::try_from(units / 4).unwrap_or(usize::MAX));
        let (mut bytes, mut units) = (0, 0);
        let mut keys = HashSet::new();
        let mut taken = 0;
        for entry in rest.iter().take(self.most) {
            if let Ok(put) = &entry.found {
                let size = put.item.as_bytes().len() * copies;
                let put_units =
                    usize::try_from(write_units(put.item.size())).unwrap_or(usize::MAX).saturating_mul(copies);
                let over = bytes + size > COMMIT_BYTES || units + put_units > most_units;
                if taken > 0 && (over || (self.is_bulk() && keys.contains(put.key.place()))) {
                    break;
                }
                (bytes, units) = (bytes + size, units + put_units);
                if self.is_bulk() {
                    keys.insert(put.key.place());
                }
            }
            taken += 1;
        }
        rest.get(..taken).unwrap_or(rest)
    }

    async fn commit(&mut self, batch: &Batch, chunk: &[Entry], mark: Mark) -> Result<Committed, Failure> {
        self.lease.keep(self.database).await?;
        let snapshot = self.database.snapshot(Freshness::Latest).await?;
        self.lease.check(&snapshot).await?;
        self.table = self.database.table_as_of(&snapshot, &self.table).await.map_err(gone)?;
        if self.is_bulk() && self.is_cancelled(&snapshot).await? {
            return Ok(Committed::Cancelled);
        }
        let puts = self.puts(chunk);
        let mut writes = Vec::with_capacity(puts.len() * 2 + 8);
        let outcomes = self.database.plan_puts(&snapshot, &self.table, &puts, &mut writes).await?;
        if outcomes.len() < puts.len() {
            return Ok(Committed::Fewer);
        }
        let mut progress = self.progress.clone();
        let units = self.tally(&mut progress, batch, chunk, &puts, outcomes);
        progress.pass(mark);
        self.reports.write(&mut progress.reports, false).await?;
        writes.push(Write::Put { key: self.place.progress_key(), value: to_json(&progress)? });
        let mut reads = vec![Read::Key(self.lease.key()), Read::Key(self.table.catalog_key.clone())];
        if self.is_bulk() {
            reads.push(Read::Key(self.place.key()));
            reads.extend(puts.iter().map(|put| Read::Key(Key::copy_from_slice(put.key.place()))));
        }
        let commit = Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false };
        match self.database.store().commit(commit).await {
            Ok(_) => {
                self.progress = progress;
                Ok(Committed::Yes(units))
            }
            Err(CommitError::Conflict | CommitError::TooOld) => Ok(Committed::Fewer),
            Err(CommitError::TooLarge) if chunk.len() > 1 => Ok(Committed::Fewer),
            Err(other) => Err(Error::from(other).into()),
        }
    }

    async fn is_cancelled(&self, snapshot: &Snapshot) -> Result<bool, Failure> {
        let record = snapshot.get(&self.place.key()).await?;
        let record: Option<LoadRecord> = record.map(|value| from_json(&value)).transpose()?;
        Ok(record.is_none_or(|record| record.status != LoadStatus::InProgress))
    }

    /// The puts of a chunk, each key once: of an import the last counts.
    fn puts<'e>(&self, chunk: &'e [Entry]) -> Vec<&'e Put> {
        let found = || chunk.iter().filter_map(|entry| entry.found.as_ref().ok());
        let last: HashMap<&[u8], usize> = found().enumerate().map(|(at, put)| (put.key.place(), at)).collect();
        let is_last = |(at, put): &(usize, &Put)| last.get(put.key.place()) == Some(at);
        found().enumerate().filter(is_last).map(|(_, put)| put).collect()
    }

    /// Counts what became of a chunk, and returns the write units that it took.
    fn tally(
        &self,
        progress: &mut Progress,
        batch: &Batch,
        chunk: &[Entry],
        puts: &[&Put],
        outcomes: Vec<PutOutcome>,
    ) -> u64 {
        let place =
            |entry: &Entry| ItemPlace { bucket: &self.record.source.bucket, object: &batch.object, index: entry.index };
        let name = match self.record.kind {
            LoadKind::Import => "importArn",
            LoadKind::Bulk => "bulkOperationArn",
        };
        let arn = self.record.arn();
        let mut planned = puts.iter().zip(outcomes).peekable();
        let mut sum = Consumed::default();
        let loaded = &mut progress.loaded;
        for entry in chunk {
            loaded.processed += 1;
            let refused = match &entry.found {
                Err(why) => Some(why.clone()),
                // One that a later one of the same key has taken the place of was written, too.
                Ok(put) => match planned.next_if(|(next, _)| std::ptr::eq(**next, put)) {
                    None => {
                        loaded.written += 1;
                        None
                    }
                    Some((_, PutOutcome::Planned(consumed))) => {
                        sum.add(&consumed);
                        loaded.written += 1;
                        None
                    }
                    Some((_, PutOutcome::ConditionFailed(existing))) => {
                        loaded.failed_conditions += 1;
                        if self.reports.wants(CONDITIONS) {
                            self.reports.condition(&mut progress.reports, place(entry), &put.item, existing.as_ref());
                        }
                        None
                    }
                    Some((_, PutOutcome::Refused(why))) => Some(why),
                },
            };
            if let Some(why) = refused {
                loaded.errors += 1;
                self.reports.error(&mut progress.reports, place(entry), (name, &arn), &why);
            }
        }
        let mut units = whole(sum.table.write_units());
        loaded.table_units += units;
        for (at, capacity) in &sum.indexes {
            let Some(index) = self.table.indexes.get(*at) else { continue };
            let of_index = whole(capacity.write_units());
            units += of_index;
            match loaded.index_units.iter_mut().find(|(name, ..)| *name == index.name) {
                Some((.., sum)) => *sum += of_index,
                None => loaded.index_units.push((index.name.clone(), index.kind == IndexKind::Local, of_index)),
            }
        }
        units
    }

    /// Keeps to the rate that was asked for. Otherwise, in the standard tier, leaves others as much time as it took.
    async fn pause(&self, units: u64, took: Duration) {
        let pause = match self.record.max_units {
            Some(rate) => Duration::from_micros(units.saturating_mul(1_000_000) / rate.max(1)).saturating_sub(took),
            None if self.is_bulk() && !self.record.accelerated => took.min(Duration::from_millis(500)),
            None => return,
        };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

impl Progress {
    /// Goes on to a mark. Bytes only ever grow: a reader that has to unpack an object again begins at its start.
    fn pass(&mut self, mark: Mark) {
        let Self { loaded, .. } = self;
        loaded.stored_bytes = loaded.stored_bytes.max(mark.stored_before.saturating_add(mark.stored));
        loaded.text_bytes = loaded.text_bytes.max(mark.text_before.saturating_add(mark.offset));
        self.mark = mark;
    }
}

/// What became of a commit.
enum Committed {
    /// It is done, and took so many write units.
    Yes(u64),
    /// It lost against others, or was too large, or what it replaces is: it is to be tried with fewer items.
    Fewer,
    /// The load was cancelled.
    Cancelled,
}

/// What the keys of objects begin with that a load writes to the bucket that it reads.
pub(super) fn own_prefix(record: &LoadRecord) -> Option<String> {
    match &record.output {
        Some(output) => (output.bucket == record.source.bucket).then(|| output_prefix(record)),
        None => (record.source.bucket == LOG_BUCKET).then(|| log_prefix(record)),
    }
}

fn gone(error: Error) -> Failure {
    match error {
        Error::Refused(refusal) => Failure::Lost("ResourceNotFoundException", refusal.message.into_owned()),
        other => other.into(),
    }
}

fn whole(units: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "units of one commit, never negative")]
    let whole = units.round() as u64;
    whole
}
