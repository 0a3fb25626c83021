//! The data keys in use: unwrapped once, kept in memory, and checked with the key service from time to time.
//!
//! What a request needs is one look into a map behind an atomic pointer. A key that is not there is loaded by whoever
//! needs it first; checking goes on in the background (`rotate`), and a key that the service refuses is taken away.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use partita_engine::{Commit, CommitError, Freshness, Read, Store, Write};
use partita_model::ErrorCode;

use super::place::{Seal, may_be_plain, may_count, seal_of};
use super::record::{KeyRecord, KeyVersion, VaultRecord, from_json, is_of_table, table_context, to_json};
use super::service::{KeyContext, KeyError, KeyResult, KeyService};
use super::value::{DataKey, Sealed, Target, seal};
use crate::error::{Error, Result};
use crate::keyspace;
use crate::record::TableRecord;

/// How long data keys stay in use while the service does not answer at all, after they should have been checked.
pub(super) const OUTAGE_ENDURED: Duration = Duration::from_secs(3600);

/// The versions of one data key.
pub(super) struct DataKeys {
    current: u16,
    versions: Vec<(u16, DataKey)>,
}

impl DataKeys {
    fn version(&self, version: u16) -> Option<&DataKey> {
        self.versions.iter().find(|(number, _)| *number == version).map(|(_, key)| key)
    }

    pub(super) fn has_all_of(&self, record: &KeyRecord) -> bool {
        self.current == record.current && record.versions.iter().all(|known| self.version(known.version).is_some())
    }
}

/// What is known of a table's data key.
#[derive(Clone)]
pub(super) enum Known {
    /// It may be used.
    Usable { keys: Arc<DataKeys>, checked: Instant },
    /// It may not.
    Refused { why: KeyError, since_ms: u64, checked: Instant },
}

/// What seals and opens: the keys of an encrypted database.
pub(crate) struct Cipher {
    pub(super) store: Store,
    pub(super) service: Arc<dyn KeyService>,
    pub(super) trusted_for: Duration,
    /// The database's id, which the contexts of its tables' keys have.
    pub(super) database: String,
    began_plain: bool,
    own: DataKeys,
    pub(super) tables: ArcSwap<HashMap<u32, Known>>,
    /// Whether any table's key is refused: what requests look at first.
    any_refused: AtomicBool,
    /// One load at a time, so that a table that many ask for costs one request to the service.
    loading: tokio::sync::Mutex<()>,
}

impl Cipher {
    pub(super) async fn new(store: Store, keys: super::Keys, record: &VaultRecord) -> KeyResult<Self> {
        let own = unwrap_all(&*keys.service, &record.keys).await?;
        let (database, began_plain) = record.origin().ok_or_else(|| {
            KeyError::Setup("the key stored as the database's own is the key of something else".to_owned())
        })?;
        Ok(Self {
            store,
            service: keys.service,
            trusted_for: keys.trusted_for,
            database,
            began_plain,
            own,
            tables: ArcSwap::default(),
            any_refused: AtomicBool::new(false),
            loading: tokio::sync::Mutex::new(()),
        })
    }

    /// Whether there may be plain values from before.
    pub(super) const fn began_plain(&self) -> bool {
        self.began_plain
    }

    /// Seals the values of a commit.
    ///
    /// # Errors
    /// When a key can not be had, or a counter stands where sealed values do.
    pub(super) async fn seal_commit(&self, commit: &mut Commit) -> Result<()> {
        for write in &mut commit.writes {
            match write {
                Write::Put { key, value } => {
                    let sealed = self.sealed(seal_of(key), Target::Key(key), key, value).await?;
                    if let Some(sealed) = sealed {
                        *value = sealed;
                    }
                }
                Write::PutAtPosition { prefix, suffix, ordinal, value } => {
                    let target = Target::Position { prefix, ordinal: *ordinal, suffix };
                    if let Some(sealed) = self.sealed(seal_of(prefix), target, prefix, value).await? {
                        *value = sealed;
                    }
                }
                Write::Add { key, .. } if !may_count(key) => {
                    return Err(Error::Internal("a counter stands where values are sealed".to_owned()));
                }
                Write::Add { .. } | Write::Delete { .. } | Write::DeleteRange { .. } | Write::Retire { .. } => {}
            }
        }
        Ok(())
    }

    /// A value sealed for its target; `None` when it stays as it is.
    async fn sealed(&self, by: Seal, target: Target<'_>, key: &[u8], plain: &[u8]) -> Result<Option<Bytes>> {
        let sealed = match by {
            Seal::None => return Ok(None),
            _ if may_be_plain(key, plain) => return Ok(None),
            Seal::Own => seal_with(&self.own, target, plain)?,
            Seal::Table(table) => {
                if !self.tables.load().contains_key(&table) {
                    self.load(table).await?;
                }
                match self.tables.load().get(&table) {
                    Some(Known::Usable { keys, .. }) => seal_with(keys, target, plain)?,
                    Some(Known::Refused { why, .. }) => return Err(inaccessible(why)),
                    None => return Err(no_key(table)),
                }
            }
        };
        Ok(Some(sealed))
    }

    /// What was sealed for a key. A value that nobody else has a copy of is opened where it lies.
    ///
    /// # Errors
    /// `Error::Internal` for a value that is not what was stored there, a refusal when its key may not be used.
    pub(super) async fn open(&self, key: &[u8], stored: Bytes) -> Result<Bytes> {
        let by = seal_of(key);
        if by == Seal::None || may_be_plain(key, &stored) {
            return Ok(stored);
        }
        let Some(sealed) = Sealed::read(&stored) else {
            return if self.began_plain { Ok(stored) } else { Err(damaged(key)) };
        };
        let Seal::Table(table) = by else { return open_with(&self.own, &sealed, key, stored) };
        if self.lacks(table, sealed.version) {
            self.load(table).await?;
        }
        match self.tables.load().get(&table) {
            Some(Known::Usable { keys, .. }) => open_with(keys, &sealed, key, stored),
            Some(Known::Refused { why, .. }) => Err(inaccessible(why)),
            None => Err(no_key(table)),
        }
    }

    /// Whether a version of a table's key is not in memory.
    fn lacks(&self, table: u32, version: u16) -> bool {
        match self.tables.load().get(&table) {
            Some(Known::Usable { keys, .. }) => keys.version(version).is_none(),
            Some(Known::Refused { .. }) => false,
            None => true,
        }
    }

    /// Refuses what would use a table's data while its key may not be used.
    ///
    /// # Errors
    /// What DynamoDB says then.
    pub(super) fn check(&self, table: u32) -> Result<()> {
        if !self.any_refused.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.tables.load().get(&table) {
            Some(Known::Refused { why, .. }) => Err(inaccessible(why)),
            _ => Ok(()),
        }
    }

    /// Since when a table's key may not be used, in milliseconds since the epoch.
    pub(super) fn refused_since(&self, table: u32) -> Option<u64> {
        match self.tables.load().get(&table)? {
            Known::Refused { since_ms, .. } => Some(*since_ms),
            Known::Usable { .. } => None,
        }
    }

    /// Loads a table's keys from the store and has them unwrapped.
    async fn load(&self, table: u32) -> Result<()> {
        let _one = self.loading.lock().await;
        let Some(record) = self.stored_keys(table).await? else {
            return Err(no_key(table));
        };
        if let Some(Known::Usable { keys, .. }) = self.tables.load().get(&table)
            && keys.has_all_of(&record)
        {
            return Ok(());
        }
        match unwrap_all(&*self.service, &record).await {
            Ok(keys) => {
                self.learn(table, Known::Usable { keys: Arc::new(keys), checked: Instant::now() });
                Ok(())
            }
            Err(why @ KeyError::Refused { .. }) => {
                tracing::warn!(table, %why, "a table's key can not be used");
                let error = inaccessible(&why);
                self.learn(table, refused(why));
                Err(error)
            }
            Err(other) => Err(Error::Internal(other.to_string())),
        }
    }

    /// Remembers what was found out about a table's key.
    pub(super) fn learn(&self, table: u32, known: Known) {
        self.tables.rcu(|tables| {
            let mut tables = HashMap::clone(tables);
            tables.insert(table, known.clone());
            tables
        });
        self.count_refused();
    }

    /// Forgets a table.
    pub(super) fn forget(&self, table: u32) {
        self.tables.rcu(|tables| {
            let mut tables = HashMap::clone(tables);
            tables.remove(&table);
            tables
        });
        self.count_refused();
    }

    fn count_refused(&self) {
        let any = self.tables.load().values().any(|known| matches!(known, Known::Refused { .. }));
        self.any_refused.store(any, Ordering::Relaxed);
    }

    pub(super) async fn stored_keys(&self, table: u32) -> Result<Option<KeyRecord>> {
        let snapshot = self.store.snapshot(Freshness::Latest).await?;
        let Some(value) = snapshot.get(&keyspace::table_keys(table)).await? else { return Ok(None) };
        let record: KeyRecord = from_json(&value)?;
        if is_of_table(&record.context, table, &self.database) {
            Ok(Some(record))
        } else {
            Err(Error::Internal(format!("stored data is damaged: the key stored for table {table} is not its own")))
        }
    }

    /// Gives a hasher what was never stored in the clear: the first version of the database's own key.
    pub(super) fn derive(&self, hasher: &mut blake3::Hasher) {
        if let Some(key) = self.own.version(1) {
            hasher.update(key.expose());
        }
    }

    /// The write that gives a new table its data key.
    ///
    /// # Errors
    /// When the root key can not be used.
    pub(super) async fn new_table_keys(&self, record: &TableRecord) -> Result<KeyRecord> {
        let context = table_context(record, &self.database);
        new_keys(&*self.service, record.root_key.clone(), context).await.map_err(|why| why.told())
    }

    /// Has a table's keys ready, making them for a table that was there before encryption.
    ///
    /// # Errors
    /// When there can be none now. A refused key is no error here: it is known from then on.
    pub(super) async fn ready(&self, record: &TableRecord) -> Result<()> {
        if self.tables.load().contains_key(&record.id) {
            return Ok(());
        }
        if self.stored_keys(record.id).await?.is_none() {
            let key = keyspace::table_keys(record.id);
            let keys = self.new_table_keys(record).await?;
            let snapshot = self.store.snapshot(Freshness::Latest).await?;
            if snapshot.get(&key).await?.is_none() {
                let commit = Commit {
                    read_version: snapshot.version(),
                    reads: vec![Read::Key(key.clone())],
                    writes: vec![Write::Put { key, value: to_json(&keys)? }],
                    catalog_changed: false,
                };
                match self.store.commit(commit).await {
                    // Another node made them meanwhile.
                    Ok(_) | Err(CommitError::Conflict | CommitError::TooOld) => {}
                    Err(other) => return Err(other.into()),
                }
            }
        }
        match self.load(record.id).await {
            Ok(()) | Err(Error::Refused(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// A table's keys wrapped under another root key.
    ///
    /// # Errors
    /// When either root key can not be used.
    pub(super) async fn under_root(&self, table: u32, root: Option<&str>) -> Result<Option<KeyRecord>> {
        let Some(mut record) = self.stored_keys(table).await? else { return Ok(None) };
        record.root = root.map(str::to_owned);
        self.rewrap(&mut record).await.map_err(|why| why.told())?;
        Ok(Some(record))
    }

    /// Wraps the keys of a record under its root key's newest version; says whether anything changed.
    pub(super) async fn rewrap(&self, record: &mut KeyRecord) -> KeyResult<bool> {
        let mut changed = false;
        for version in &mut record.versions {
            let wrapped = version.wrapped().map_err(|error| KeyError::Setup(error.to_string()))?;
            if !self.service.is_newest(&wrapped, record.root.as_deref()) {
                let wrapped = self.service.rewrap(&wrapped, record.root.as_deref(), &record.context).await?;
                let created_ms = version.created_ms;
                *version = KeyVersion { created_ms, ..KeyVersion::new(version.version, &wrapped) };
                changed = true;
            }
        }
        Ok(changed)
    }
}

/// A table's key that the service refuses from now on.
pub(super) fn refused(why: KeyError) -> Known {
    Known::Refused { why, since_ms: crate::tables::now_ms(), checked: Instant::now() }
}

/// A new data key, wrapped.
pub(super) async fn new_keys(
    service: &dyn KeyService,
    root: Option<String>,
    context: KeyContext,
) -> KeyResult<KeyRecord> {
    let (_, wrapped) = service.generate(root.as_deref(), &context).await?;
    Ok(KeyRecord { context, root, current: 1, versions: vec![KeyVersion::new(1, &wrapped)] })
}

/// All versions of a data key.
pub(super) async fn unwrap_all(service: &dyn KeyService, record: &KeyRecord) -> KeyResult<DataKeys> {
    let mut versions = Vec::with_capacity(record.versions.len());
    for version in &record.versions {
        let wrapped = version.wrapped().map_err(|error| KeyError::Setup(error.to_string()))?;
        versions.push((version.version, service.unwrap(&wrapped, &record.context).await?));
    }
    Ok(DataKeys { current: record.current, versions })
}

fn no_key(table: u32) -> Error {
    Error::Internal(format!("table {table} has no data key"))
}

pub(super) fn seal_with(keys: &DataKeys, target: Target<'_>, plain: &[u8]) -> Result<Bytes> {
    let key =
        keys.version(keys.current).ok_or_else(|| Error::Internal("a data key has no current version".to_owned()))?;
    seal(key, keys.current, target, plain)
}

pub(super) fn open_with(keys: &DataKeys, sealed: &Sealed, found_at: &[u8], stored: Bytes) -> Result<Bytes> {
    let key = keys.version(sealed.version).ok_or_else(|| damaged(found_at))?;
    sealed.open(key, found_at, stored).ok_or_else(|| damaged(found_at))
}

/// What is said of a value that is not what was stored: where it lies as far as that tells nothing of its key.
fn damaged(key: &[u8]) -> Error {
    let space = key.first().copied().unwrap_or_default();
    match seal_of(key) {
        Seal::Table(table) => Error::Internal(format!(
            "stored data is damaged: a value of space {space:#04x}, table {table}, is not what was stored there"
        )),
        _ => Error::Internal(format!(
            "stored data is damaged: a value of space {space:#04x} is not what was stored there"
        )),
    }
}

/// What a request for a table's data is told while the table's key may not be used.
fn inaccessible(why: &KeyError) -> Error {
    why.clone().told()
}

impl KeyError {
    /// The error as DynamoDB tells clients of it.
    pub(crate) fn told(self) -> Error {
        match self {
            Self::Refused { code, message } if code == "AccessDeniedException" => Error::refused(
                ErrorCode::AccessDeniedException,
                format!("KMS key access denied error: com.amazonaws.services.kms.model.AWSKMSException: {message}"),
            ),
            Self::Refused { code, message } => {
                Error::validation(format!("KMS validation error: com.amazonaws.services.kms.model.{code}: {message}"))
            }
            other => Error::Internal(other.to_string()),
        }
    }
}
