//! Finding tables: the catalog cache, and the one way in which the catalog changes.
//!
//! The cache belongs to one catalog token. A snapshot with another token empties it, and tables are read again as they
//! are asked for; so no request goes by a schema older than its snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use partita_engine::{CatalogToken, Commit, CommitError, Freshness, Key, Read, Value, Write};

use crate::crypt::{Snapshot, Vault};
use crate::error::{Error, Result};
use crate::record::{TableRecord, TableStatus};
use crate::scope::{Scope, TableArn};
use crate::sight::RETRIES;
use crate::table::Table;
use crate::{Database, expiry, history, keyspace, limits, stream};

#[derive(Default)]
pub(crate) struct CatalogCache(ArcSwap<CachedTables>);

#[derive(Default)]
struct CachedTables {
    token: CatalogToken,
    tables: HashMap<Key, Arc<Table>>,
}

impl CatalogCache {
    fn get(&self, token: CatalogToken, key: &[u8]) -> Option<Arc<Table>> {
        let cached = self.0.load();
        if cached.token == token { cached.tables.get(key).cloned() } else { None }
    }

    fn insert(&self, table: &Arc<Table>) {
        self.0.rcu(|cached| {
            let mut tables = if cached.token == table.token { cached.tables.clone() } else { HashMap::new() };
            tables.insert(table.catalog_key.clone(), Arc::clone(table));
            CachedTables { token: table.token, tables }
        });
    }
}

impl Database {
    /// The table of this name, or with this ARN, as it is now, for reading and writing its items.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is none.
    pub async fn table(&self, scope: &Scope, name_or_arn: &str) -> Result<Arc<Table>> {
        let snapshot = self.snapshot(Freshness::Recent).await?;
        let table = self.table_at(&snapshot, &catalog_key_of(scope, name_or_arn)).await?;
        // A table that is being restored can not be used yet.
        table.filter(|table| table.record.status != TableStatus::Creating).ok_or_else(Error::table_not_found)
    }

    /// The table whose record lies at this key, as the snapshot sees it.
    pub(crate) async fn table_at(&self, snapshot: &Snapshot, catalog_key: &[u8]) -> Result<Option<Arc<Table>>> {
        let token = snapshot.catalog_token();
        if let Some(table) = self.inner.catalog.get(token, catalog_key) {
            return Ok(Some(table));
        }
        let Some(value) = snapshot.get(catalog_key).await? else { return Ok(None) };
        let table = Table::new(decode_record(&value)?, token, Key::copy_from_slice(catalog_key), &self.inner.metering)?;
        let table = Arc::new(table);
        self.store().ready(&table.record).await;
        self.inner.catalog.insert(&table);
        Ok(Some(table))
    }

    /// The same table as the snapshot sees it: itself when the catalog has not changed since.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when it is gone, or another of its name has taken its place; a refusal while its key
    /// can not be used.
    pub(crate) async fn table_as_of(&self, snapshot: &Snapshot, table: &Arc<Table>) -> Result<Arc<Table>> {
        self.store().check(table.record.id)?;
        if snapshot.catalog_token() == table.token {
            return Ok(Arc::clone(table));
        }
        match self.table_at(snapshot, &table.catalog_key).await? {
            Some(found) if found.record.id == table.record.id => Ok(found),
            _ => Err(Error::table_not_found()),
        }
    }

    /// Changes the catalog: `decide` sees a snapshot's record of the table at `key` (`None` when there is none) and
    /// returns what becomes of it, with further reads and writes of the same commit. Decides again on conflict.
    ///
    /// # Errors
    /// What `decide` returns, `Contention` after many conflicts, or an engine failure.
    pub(crate) async fn change_record<T>(
        &self,
        key: &Key,
        mut decide: impl FnMut(Option<TableRecord>) -> Result<(RecordChange, T)> + Send,
    ) -> Result<T> {
        self.change_record_with(key, None, |record, _| decide(record)).await
    }

    /// As [`Self::change_record`], for decisions that depend on another key's value too.
    pub(crate) async fn change_record_with<T>(
        &self,
        key: &Key,
        other: Option<&Key>,
        mut decide: impl FnMut(Option<TableRecord>, Option<Value>) -> Result<(RecordChange, T)> + Send,
    ) -> Result<T> {
        for attempt in 0..limits::MAX_ATTEMPTS {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let current = snapshot.get(key).await?.map(|value| decode_record(&value)).transpose()?;
            let before = current.clone();
            let mut reads = vec![Read::Key(key.clone())];
            let mut value = None;
            if let Some(other) = other {
                value = snapshot.get(other).await?;
                reads.push(Read::Key(other.clone()));
            }
            let (change, answer) = decide(current, value)?;
            let mut writes = change.writes;
            let mut gone = None;
            match change.record {
                Becomes::Unchanged => return Ok(answer),
                Becomes::Gone => {
                    stream::follow(&snapshot, before.as_ref(), None, self.now_ms(), &mut writes).await?;
                    history::follow(before.as_ref(), None, &mut writes);
                    gone = before.as_ref().map(|record| record.id);
                    writes.push(Write::Delete { key: key.clone() });
                }
                Becomes::Record(mut record) => {
                    if record.id == 0 {
                        // A new table: its id comes out of the same commit.
                        let next = keyspace::next_table_id();
                        record.id = snapshot.get(&next).await?.map_or(Ok(1), |value| decode_id(&value))?;
                        let after = record
                            .id
                            .checked_add(1)
                            .ok_or_else(|| Error::Internal("no table id is left".to_owned()))?;
                        writes.push(Write::Put { key: next.clone(), value: after.to_be_bytes().to_vec().into() });
                        reads.push(Read::Key(next));
                    }
                    writes.extend(self.store().follow(before.as_ref(), &record).await?);
                    stream::follow(&snapshot, before.as_ref(), Some(&mut record), self.now_ms(), &mut writes).await?;
                    expiry::follow(before.as_ref(), &mut record, &mut writes);
                    history::follow(before.as_ref(), Some(&mut record), &mut writes);
                    writes.push(Write::Put { key: key.clone(), value: encode_record(&record)? });
                }
            }
            let commit = Commit { read_version: snapshot.version(), reads, writes, catalog_changed: true };
            match self.store().commit(commit).await {
                Ok(_) => {
                    if let Some(gone) = gone {
                        self.inner.metering.forget(gone);
                    }
                    return Ok(answer);
                }
                Err(CommitError::Conflict | CommitError::TooOld) => back_off(attempt).await,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Contention)
    }
}

/// What a decision makes of a table's record.
pub(crate) struct RecordChange {
    pub record: Becomes,
    pub writes: Vec<Write>,
}

/// What becomes of a record.
pub(crate) enum Becomes {
    Unchanged,
    Gone,
    /// A record with id 0 is a new table and gets its id with the commit.
    Record(Box<TableRecord>),
}

/// Waits before deciding again: not at all at first, then at random up to a few milliseconds.
pub(crate) async fn back_off(attempt: u32) {
    RETRIES.one();
    if attempt > 2 {
        let most = 50u64 << attempt.min(7);
        tokio::time::sleep(std::time::Duration::from_micros(fastrand::u64(0..most))).await;
    } else {
        tokio::task::yield_now().await;
    }
}

/// The catalog key of a table given by name, or by ARN in whatever account and region that names.
pub(crate) fn catalog_key_of(scope: &Scope, name_or_arn: &str) -> Key {
    match TableArn::parse(name_or_arn) {
        Some(arn) => keyspace::catalog_key(arn.account, arn.region, arn.table),
        None => keyspace::catalog_key(&scope.account, &scope.region, name_or_arn),
    }
    .into()
}

pub(crate) fn decode_record(value: &[u8]) -> Result<TableRecord> {
    serde_json::from_slice(value).map_err(|error| Error::Internal(format!("a table's record can not be read: {error}")))
}

/// The id that the next table gets, as it is stored.
pub(crate) fn next_id(value: &[u8]) -> Option<u32> {
    decode_id(value).ok()
}

pub(crate) fn encode_record(record: &TableRecord) -> Result<bytes::Bytes> {
    let bytes = serde_json::to_vec(record);
    bytes.map(Into::into).map_err(|error| Error::Internal(format!("a table's record can not be written: {error}")))
}

fn decode_id(value: &[u8]) -> Result<u32> {
    let bytes = value.try_into().map_err(|_| Error::Internal("the next table id can not be read".to_owned()))?;
    Ok(u32::from_be_bytes(bytes))
}

/// The secret that keys partition hashes, made when the database is new.
pub(crate) async fn load_or_make_secret(store: &Vault) -> Result<[u8; 32]> {
    let key = keyspace::hash_secret();
    let snapshot = store.snapshot(Freshness::Latest).await?;
    if let Some(value) = snapshot.get(&key).await? {
        return value.as_ref().try_into().map_err(|_| Error::Internal("the hash secret can not be read".to_owned()));
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| Error::Internal(format!("no random bytes: {error}")))?;
    let commit = Commit {
        read_version: snapshot.version(),
        reads: vec![Read::Key(key.clone())],
        writes: vec![Write::Put { key, value: secret.to_vec().into() }],
        catalog_changed: false,
    };
    store.commit(commit).await?;
    Ok(secret)
}
