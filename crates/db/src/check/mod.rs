//! Checking what is stored, while nobody writes it: every value opens and can be read, what is kept twice says the same,
//! and nothing lies where it belongs to nobody.
//!
//! `table` compares items with their index entries, counters and expiry times; `streams` and `histories` the logs of
//! changes; `leftovers` looks for what no table has, and opens what is left; `backups` reads backups whole. Everything
//! goes page by page, so memory does not grow with the data. Nothing is repaired.

mod backups;
mod findings;
mod histories;
mod leftovers;
mod streams;
mod table;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use partita_engine::{Direction, Freshness, Key, KeyRange, ScanLimit};

pub use findings::{Damage, Finding, Findings};

use crate::Database;
use crate::catalog::decode_record;
use crate::error::{Error, Result};
use crate::keyspace;
use crate::record::TableRecord;

/// How much is read at once. Tests have pages of few rows.
const PAGE: ScanLimit = ScanLimit { rows: if cfg!(test) { 7 } else { 2000 }, bytes: 4 << 20 };

/// How far a check has come. Cheap to clone; clones share everything.
#[derive(Clone, Debug, Default)]
pub struct CheckProgress(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    rows: AtomicU64,
    bytes: AtomicU64,
    doing: Mutex<String>,
}

impl CheckProgress {
    /// Rows read so far: values of the store, and items of backups.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.0.rows.load(Ordering::Relaxed)
    }

    /// Their bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// What is being checked, in words.
    #[must_use]
    pub fn doing(&self) -> String {
        self.0.doing.lock().clone()
    }

    fn begin(&self, what: impl Into<String>) {
        *self.0.doing.lock() = what.into();
    }

    fn add(&self, rows: usize, bytes: usize) {
        self.0.rows.fetch_add(u64::try_from(rows).unwrap_or(0), Ordering::Relaxed);
        self.0.bytes.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }
}

/// A check under way.
struct Check<'d> {
    database: &'d Database,
    progress: CheckProgress,
    findings: Findings,
}

/// A value as it was found: opened, or why it does not open.
type Opened = (Key, Result<Bytes>);

impl Database {
    /// Checks all that is stored, but not backups. Nothing may write meanwhile: no server may have the data open, and
    /// this database's background work must not have been started.
    ///
    /// # Errors
    /// When the store can not be read at all.
    pub async fn check(&self, progress: CheckProgress) -> Result<Findings> {
        let mut check = Check { database: self, progress, findings: Findings::default() };
        check.run().await?;
        Ok(check.findings)
    }

    /// Reads all backups of the backup store that can be found, and compares those that the catalog has with it.
    ///
    /// # Errors
    /// When the catalog or the list of backups can not be read.
    pub async fn check_stored_backups(&self, progress: CheckProgress) -> Result<Findings> {
        let mut check = Check { database: self, progress, findings: Findings::default() };
        check.backups().await?;
        Ok(check.findings)
    }
}

impl Check<'_> {
    async fn run(&mut self) -> Result<()> {
        self.progress.begin("the catalog");
        let tables = self.tables().await?;
        for record in &tables {
            let snapshot = self.database.snapshot(Freshness::Latest).await?;
            let key = keyspace::catalog_key(&record.account, &record.region, &record.name);
            match self.database.table_at(&snapshot, &key).await {
                Ok(Some(table)) => self.table(&table).await?,
                Ok(None) => {}
                Err(error) => self.find(&place(record), Damage::Catalog, error.to_string()),
            }
            self.history(record).await?;
        }
        self.streams(&tables).await?;
        self.moments(&tables).await?;
        self.leftovers(&tables).await
    }

    /// The records of all tables that can be read.
    async fn tables(&mut self) -> Result<Vec<TableRecord>> {
        let mut tables = Vec::new();
        let mut pages = Pages::of(KeyRange::prefix(keyspace::catalog()));
        while let Some(rows) = pages.next(self).await? {
            for (key, value) in rows {
                let record = value.and_then(|value| decode_record(&value));
                match record {
                    Ok(record)
                        if keyspace::catalog_key(&record.account, &record.region, &record.name) == key.as_ref() =>
                    {
                        tables.push(record);
                    }
                    Ok(record) => {
                        let what = "the table's record lies under another name".to_owned();
                        self.find(&place(&record), Damage::Catalog, what);
                    }
                    Err(error) => self.find(EVERYWHERE, Damage::Unreadable, format!("a table's record: {error}")),
                }
            }
        }
        Ok(tables)
    }

    fn find(&mut self, place: &str, damage: Damage, what: String) {
        self.findings.add(place, damage, what);
    }

    /// The values of several keys: each opened, absent, or why it does not open.
    async fn values(&mut self, keys: &[Key]) -> Result<Vec<Result<Option<Bytes>>>> {
        let snapshot = self.database.snapshot(Freshness::Latest).await?;
        let values = match snapshot.get_each(keys).await {
            Ok(values) => values,
            Err(error) => {
                let what = format!("a part of the store can not be read: {error}");
                self.find(EVERYWHERE, Damage::Unreadable, what.clone());
                return Ok(keys.iter().map(|_| Err(Error::Internal(what.clone()))).collect());
            }
        };
        let bytes = values.iter().flatten().flatten().map(Bytes::len).sum();
        self.progress.add(values.len(), bytes);
        Ok(values)
    }
}

/// The place of what belongs to no table.
const EVERYWHERE: &str = "the database";

/// How findings name a table.
fn place(record: &TableRecord) -> String {
    format!("table {} ({} {})", record.name, record.account, record.region)
}

/// The rows of a range, page by page.
struct Pages {
    range: KeyRange,
    more: bool,
}

impl Pages {
    const fn of(range: KeyRange) -> Self {
        Self { range, more: true }
    }

    /// The next page; `None` behind the last. A part of the store that can not be read is a finding, and the end.
    async fn next(&mut self, check: &mut Check<'_>) -> Result<Option<Vec<Opened>>> {
        if !std::mem::take(&mut self.more) {
            return Ok(None);
        }
        let snapshot = check.database.snapshot(Freshness::Latest).await?;
        let (rows, more) = match snapshot.scan_each(&self.range, Direction::Forward, PAGE).await {
            Ok(page) => page,
            Err(error) => {
                check.find(EVERYWHERE, Damage::Unreadable, format!("a part of the store can not be read: {error}"));
                return Ok(None);
            }
        };
        let bytes = |(key, value): &Opened| key.len() + value.as_ref().map_or(0, Bytes::len);
        check.progress.add(rows.len(), rows.iter().map(bytes).sum());
        if let Some((last, _)) = rows.last().filter(|_| more) {
            self.range = self.range.after(last);
            self.more = true;
        }
        Ok(Some(rows))
    }
}

/// A counter as the engine keeps it.
fn counter(value: &[u8]) -> Result<i64> {
    let bytes = value.try_into().map_err(|_| Error::Internal("a counter is not of eight bytes".to_owned()))?;
    Ok(i64::from_le_bytes(bytes))
}
