//! Metering: what each table and global index has been asked for, counted where every read and write passes.
//!
//! `Database::charge` is the one place: reads and writes come to it with what they consumed, asked for or not, so what
//! `ReturnConsumedCapacity` shows, what metrics count and what throttling takes are the same numbers. A local index
//! draws on its table's throughput, and so it has its table's meter. Meters outlive the `Table`s of the catalog cache, which
//! are made again with every change of the catalog, and end with their table.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use partita_model::AttributeValue;
use partita_model::key::PartitionHash;

use crate::Database;
use crate::capacity::{Capacity, Consumed};
use crate::keyspace::TABLE_ITSELF;
use crate::record::TableRecord;
use crate::scope::Scope;
use crate::settings::Settings;
use crate::sight::{SeriesBook, SketchBook, TableSeries, Watched};
use crate::table::{Index, IndexKind, ItemKey, Table};
use crate::throttle::{Buckets, Direction, LimitKind, Limits};

/// How many meters are kept before those of tables that other nodes have deleted are looked for.
const MANY_METERS: usize = 65_536;

/// What one table or global index has been asked for since the process began.
#[derive(Debug)]
#[cfg_attr(test, derive(Default))]
pub struct Meter {
    /// The table's account and region.
    pub scope: Scope,
    /// The table's name.
    pub table: Arc<str>,
    /// The index's name; `None` for the table itself.
    pub index: Option<Arc<str>>,
    /// Read capacity, in halves of a unit.
    read_halves: AtomicU64,
    /// Write capacity units.
    written: AtomicU64,
    pub(crate) buckets: Buckets,
    /// Whether a limit that a user has set draws on it.
    limited: AtomicBool,
}

impl Meter {
    fn new(record: &TableRecord, index: Option<&Index>) -> Self {
        Self {
            scope: record.scope(),
            table: record.name.as_str().into(),
            index: index.map(|index| index.name.as_str().into()),
            read_halves: AtomicU64::new(0),
            written: AtomicU64::new(0),
            buckets: Buckets::default(),
            limited: AtomicBool::new(false),
        }
    }

    /// Read capacity units consumed.
    #[must_use]
    pub fn read_units(&self) -> f64 {
        self.read_halves.load(Ordering::Relaxed) as f64 / 2.0
    }

    /// Write capacity units consumed.
    #[must_use]
    pub fn write_units(&self) -> f64 {
        self.written.load(Ordering::Relaxed) as f64
    }

    /// How many requests, and members of batches, were throttled for want of this throughput.
    #[must_use]
    pub fn throttled(&self, direction: Direction, kind: LimitKind) -> u64 {
        self.buckets.throttled(direction, kind)
    }

    /// Halves of read units, and write units, consumed.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.read_halves.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed))
    }

    fn add(&self, capacity: Capacity) {
        let (read, write) = (capacity.read_halves(), capacity.written());
        if read != 0 {
            self.read_halves.fetch_add(read, Ordering::Relaxed);
        }
        if write != 0 {
            self.written.fetch_add(write, Ordering::Relaxed);
        }
    }
}

/// The meters of a table and its indexes.
#[derive(Debug)]
pub struct Meters {
    /// The table's own.
    pub table: Arc<Meter>,
    /// Those of the indexes, by their place in `Table::indexes`.
    pub indexes: Vec<Arc<Meter>>,
    /// The counters of the table's requests.
    pub(crate) series: Arc<TableSeries>,
    /// What limits requests; `None` when nothing does.
    pub(crate) limits: Option<Box<Limits>>,
    /// What is counted by key; `None` when nothing is.
    pub(crate) watched: Option<Box<Watched>>,
}

impl Meters {
    pub(crate) fn add(&self, consumed: &Consumed) {
        self.table.add(consumed.table);
        for (at, capacity) in &consumed.indexes {
            if let Some(meter) = self.indexes.get(*at) {
                meter.add(*capacity);
            }
        }
    }
}

/// Which part of a table a read or write touched.
#[derive(Clone, Copy, Debug)]
pub enum Touched<'k> {
    /// One item of the table.
    Item(&'k ItemKey),
    /// One partition of the table, or of the index at this place in `Table::indexes`, with its key.
    Partition(Option<usize>, PartitionHash, &'k [(String, AttributeValue)]),
    /// Any rows.
    Rows,
}

impl Touched<'_> {
    /// The place in `Table::indexes` of the index whose partition it is.
    pub(crate) const fn index(self) -> Option<usize> {
        match self {
            Self::Partition(index, ..) => index,
            Self::Item(_) | Self::Rows => None,
        }
    }
}

/// All meters, by table and index; the table itself is index 0. Beside them, what is counted of tables' requests.
#[derive(Debug)]
pub(crate) struct Metering {
    settings: Settings,
    meters: Mutex<HashMap<(u32, u16), Arc<Meter>>>,
    series: SeriesBook,
    sketches: SketchBook,
}

impl Metering {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, meters: Mutex::default(), series: SeriesBook::default(), sketches: SketchBook::default() }
    }

    /// The meters of a table and its indexes: those it has, and new ones.
    pub(crate) fn of(&self, record: &TableRecord, indexes: &[Index]) -> Meters {
        let limits = Limits::of(record, indexes, &self.settings);
        let mut all = self.meters.lock();
        if all.len() > MANY_METERS {
            all.retain(|_, meter| Arc::strong_count(meter) > 1);
        }
        let mut meter = |index: Option<&Index>| {
            let key = (record.id, index.map_or(TABLE_ITSELF, |index| index.id));
            Arc::clone(all.entry(key).or_insert_with(|| Arc::new(Meter::new(record, index))))
        };
        let table = meter(None);
        let meters = indexes.iter().map(|index| match index.kind {
            IndexKind::Local => Arc::clone(&table),
            IndexKind::Global => meter(Some(index)),
        });
        let meters: Vec<Arc<Meter>> = meters.collect();
        for meter in std::iter::once(&table).chain(&meters) {
            meter.limited.store(limits.is_some(), Ordering::Relaxed);
        }
        let watched = self.sketches.of(record, indexes);
        Meters { table, indexes: meters, series: self.series.of(record.id), limits, watched }
    }

    /// Forgets a table that is gone.
    pub(crate) fn forget(&self, table: u32) {
        self.meters.lock().retain(|(id, _), _| *id != table);
        self.series.forget(table);
        self.sketches.forget(table);
    }

    /// The counters of the requests of the table with this id, which may be gone.
    pub(crate) const fn series(&self) -> &SeriesBook {
        &self.series
    }

    /// What is counted by key.
    pub(crate) const fn sketches(&self) -> &SketchBook {
        &self.sketches
    }

    /// The meter of a table or index, if it was used.
    pub(crate) fn peek(&self, table: u32, index: u16) -> Option<Arc<Meter>> {
        self.meters.lock().get(&(table, index)).map(Arc::clone)
    }

    /// The meters of tables that are limited.
    pub(crate) fn limited(&self) -> HashMap<(u32, u16), Arc<Meter>> {
        let all = self.meters.lock();
        let limited = all.iter().filter(|(_, meter)| meter.limited.load(Ordering::Relaxed));
        limited.map(|(id, meter)| (*id, Arc::clone(meter))).collect()
    }

    fn all(&self) -> Vec<Arc<Meter>> {
        self.meters.lock().values().map(Arc::clone).collect()
    }
}

impl Database {
    /// The meters of every table and global index that has been used since the process began, in no order.
    #[must_use]
    pub fn meters(&self) -> Vec<Arc<Meter>> {
        self.inner.metering.all()
    }

    /// Counts what a read or write that was done consumed of a table and its indexes, whose places are those of this
    /// `Table`. Takes no lock and allocates nothing.
    pub(crate) fn charge(&self, table: &Table, touched: Touched<'_>, consumed: &Consumed) {
        table.meters.add(consumed);
        if let Some(limits) = &table.meters.limits {
            self.take(limits, table, touched, consumed);
        }
        if let Some(watched) = &table.meters.watched {
            watched.consumed(table, touched, consumed, self.now_ms() / 1000);
        }
    }
}

#[cfg(test)]
mod tests;
