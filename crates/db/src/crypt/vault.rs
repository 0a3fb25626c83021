//! The vault: the store as the database sees it. Same operations, same keys; the values of commits are sealed and those
//! of reads opened in between, so no caller can forget to.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use partita_engine::{
    CatalogToken, Commit, CommitError, Committed, Direction, EngineError, Freshness, Key, KeyRange, Page, Read, Reason,
    ScanLimit, Store, Value, Version, Write,
};
use partita_metrics::Samples;
use tokio::task::JoinHandle;

use super::keys::{Cipher, new_keys};
use super::record::{VaultRecord, from_json, to_json};
use super::rotate::keep;
use super::service::KeyError;
use super::{Encryption, Keys, TableKeyState};
use crate::OpenError;
use crate::error::{Error, Result};
use crate::keyspace;
use crate::observe::{self, ItemObserver};
use crate::record::TableRecord;
use crate::scope::Scope;

/// The store, behind its seals. Cheap to clone; clones share everything.
#[derive(Clone)]
pub(crate) struct Vault {
    store: Store,
    /// `None` when nothing is encrypted.
    cipher: Option<Arc<Cipher>>,
    keeper: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// Who is told of changes of items; most often nobody.
    observer: Arc<OnceLock<Arc<dyn ItemObserver>>>,
}

impl Vault {
    /// The vault of a store: with the keys it was sealed with, or with new ones if it is new and `encryption` says so.
    ///
    /// # Errors
    /// When the keys can not be had, the data is encrypted and `encryption` is off, or the store fails.
    pub(crate) async fn open(store: Store, encryption: Encryption) -> std::result::Result<Self, OpenError> {
        let snapshot = store.snapshot(Freshness::Latest).await.map_err(Error::from)?;
        let record = snapshot.get(&keyspace::vault()).await.map_err(Error::from)?;
        let plain_secret = snapshot.get(&keyspace::hash_secret()).await.map_err(Error::from)?;
        drop(snapshot);
        let cipher = match (record, encryption) {
            (None, Encryption::Off) => None,
            (None, Encryption::WhenNew(keys)) if plain_secret.is_some() => {
                if keys.service.has_keys() {
                    return Err(OpenError::Keys(KeyError::Setup(format!(
                        "there is a {} for this data, but the data is not encrypted: either it never was, then \
                         --encryption on starts to encrypt it once and --encryption off leaves it plain, or somebody \
                         has taken away the record of its keys, then restore the directory",
                        keys.service.kind()
                    ))));
                }
                None
            }
            (None, Encryption::On(keys) | Encryption::WhenNew(keys)) => {
                Some(Self::begin(store.clone(), keys, plain_secret).await?)
            }
            (Some(_), Encryption::Off) => return Err(OpenError::Encrypted),
            (Some(record), Encryption::On(keys) | Encryption::WhenNew(keys)) => {
                let record: VaultRecord = from_json(&record)?;
                if record.format > VaultRecord::FORMAT {
                    return Err(OpenError::Keys(KeyError::Setup(
                        "the data is encrypted in a form that a newer version of Partita has made".to_owned(),
                    )));
                }
                if record.service != keys.service.kind() {
                    return Err(OpenError::Keys(KeyError::Setup(format!(
                        "the data is encrypted with keys of a {}, not of a {}",
                        record.service,
                        keys.service.kind()
                    ))));
                }
                keys.service.prepare(false).await.map_err(OpenError::Keys)?;
                Some(Cipher::new(store.clone(), keys, &record).await.map_err(OpenError::Keys)?)
            }
        };
        Ok(Self { store, cipher: cipher.map(Arc::new), keeper: Arc::default(), observer: Arc::default() })
    }

    /// Encrypts from now on, beginning with the secret that keys hashes, if there is one.
    async fn begin(store: Store, keys: Keys, plain_secret: Option<Value>) -> std::result::Result<Cipher, OpenError> {
        keys.service.prepare(true).await.map_err(OpenError::Keys)?;
        let id = super::nonce::random::<16>()?.map(|byte| format!("{byte:02x}")).concat();
        let context = VaultRecord::context(id, plain_secret.is_some());
        let record = VaultRecord {
            format: VaultRecord::FORMAT,
            service: keys.service.kind().to_owned(),
            keys: new_keys(&*keys.service, None, context).await.map_err(OpenError::Keys)?,
        };
        let cipher = Cipher::new(store.clone(), keys, &record).await.map_err(OpenError::Keys)?;
        let key = keyspace::vault();
        let snapshot = store.snapshot(Freshness::Latest).await.map_err(Error::from)?;
        let mut commit = Commit {
            read_version: snapshot.version(),
            reads: vec![Read::Key(key.clone())],
            writes: vec![Write::Put { key, value: to_json(&record)? }],
            catalog_changed: false,
        };
        commit.writes.extend(plain_secret.map(|value| Write::Put { key: keyspace::hash_secret(), value }));
        cipher.seal_commit(&mut commit).await?;
        store.commit(commit).await.map_err(Error::from)?;
        Ok(cipher)
    }

    #[cfg(test)]
    pub(crate) const fn raw(&self) -> &Store {
        &self.store
    }

    pub(super) fn cipher(&self) -> Option<Arc<Cipher>> {
        self.cipher.clone()
    }

    /// Whether what is stored is encrypted.
    pub(crate) const fn is_encrypted(&self) -> bool {
        self.cipher.is_some()
    }

    /// Whether there may be values from before the database was encrypted.
    pub(crate) fn began_plain(&self) -> bool {
        self.cipher.as_ref().is_none_or(|cipher| cipher.began_plain())
    }

    /// Gives a hasher what only this database has, and never stored in the clear; nothing when it is not encrypted.
    pub(crate) fn derive(&self, hasher: &mut blake3::Hasher) {
        if let Some(cipher) = &self.cipher {
            cipher.derive(hasher);
        }
    }

    /// Whether this process alone has the store.
    pub(crate) const fn is_embedded(&self) -> bool {
        matches!(self.store, Store::Embedded(_))
    }

    /// Opens a view of one moment.
    ///
    /// # Errors
    /// An engine failure.
    pub(crate) async fn snapshot(&self, freshness: Freshness) -> Result<Snapshot> {
        Ok(Snapshot { stored: self.store.snapshot(freshness).await?, cipher: self.cipher.clone() })
    }

    /// Applies a commit, its values sealed.
    ///
    /// # Errors
    /// See [`CommitError`]. A value that can not be sealed now is [`CommitError::Unavailable`].
    pub(crate) async fn commit(&self, commit: Commit) -> std::result::Result<Committed, CommitError> {
        let Some(observer) = self.observer.get() else { return self.seal_and_commit(commit).await };
        observe::told(Arc::clone(observer), self.clone(), commit).await
    }

    /// Tells `observer` of every change of an item from now on. False if somebody else is told already.
    pub(crate) fn observe(&self, observer: Arc<dyn ItemObserver>) -> bool {
        self.observer.set(observer).is_ok()
    }

    /// Applies a commit and tells nobody.
    pub(crate) async fn seal_and_commit(&self, mut commit: Commit) -> std::result::Result<Committed, CommitError> {
        if let Some(cipher) = &self.cipher {
            cipher.seal_commit(&mut commit).await.map_err(|error| CommitError::Unavailable(Reason::new(error)))?;
        }
        self.store.commit(commit).await
    }

    /// Adds what the engine counts.
    pub(crate) fn sample(&self, samples: &mut Samples) {
        self.store.sample(samples);
    }

    /// Whether commits are accepted.
    pub(crate) fn is_writable(&self) -> bool {
        self.store.failure().is_none()
    }

    /// Finishes waiting commits and refuses later ones.
    ///
    /// # Errors
    /// When the disk failed.
    pub(crate) async fn close(&self) -> std::result::Result<(), EngineError> {
        self.stop_keeping();
        self.store.close().await
    }

    /// Starts checking keys in the background. Needs a Tokio runtime.
    pub(crate) fn start_keeping(&self) {
        if let Some(cipher) = &self.cipher {
            let mut keeper = self.keeper.lock();
            if keeper.is_none() {
                *keeper = Some(tokio::spawn(keep(Arc::downgrade(cipher))));
            }
        }
    }

    fn stop_keeping(&self) {
        if let Some(keeper) = self.keeper.lock().take() {
            keeper.abort();
        }
    }

    /// The writes that give a table its data keys, or keep them in step with the root key that its record asks for.
    ///
    /// # Errors
    /// When a root key can not be used.
    pub(crate) async fn follow(&self, before: Option<&TableRecord>, after: &TableRecord) -> Result<Vec<Write>> {
        let Some(cipher) = &self.cipher else { return Ok(Vec::new()) };
        let keys = match before {
            None => Some(cipher.new_table_keys(after).await?),
            Some(before) if before.root_key != after.root_key => {
                cipher.under_root(after.id, after.root_key.as_deref()).await?
            }
            Some(_) => None,
        };
        let write = |keys| Ok(Write::Put { key: keyspace::table_keys(after.id), value: to_json(&keys)? });
        keys.into_iter().map(write).collect()
    }

    /// Has the keys of a table ready that may have been there before encryption was.
    pub(crate) async fn ready(&self, record: &TableRecord) {
        if let Some(cipher) = &self.cipher
            && let Err(error) = cipher.ready(record).await
        {
            tracing::warn!(table = record.id, %error, "a table's key is not ready");
        }
    }

    /// Refuses what would use a table's data while its key may not be used.
    ///
    /// # Errors
    /// What DynamoDB says then.
    pub(crate) fn check(&self, table: u32) -> Result<()> {
        self.cipher.as_ref().map_or(Ok(()), |cipher| cipher.check(table))
    }

    /// How it is with a table's key.
    pub(crate) fn key_state(&self, record: &TableRecord) -> TableKeyState {
        let Some(cipher) = &self.cipher else { return TableKeyState::default() };
        TableKeyState {
            arn: Some(cipher.service.arn(record.root_key.as_deref(), &record.scope())),
            inaccessible_since_ms: cipher.refused_since(record.id),
            updating: false,
        }
    }

    /// The root key that a request names, as records keep it.
    ///
    /// # Errors
    /// `ValidationException` for a key that is not there or can not be used, or when nothing is encrypted.
    pub(crate) async fn root_key(&self, key_id: &str, scope: &Scope) -> Result<String> {
        let Some(cipher) = &self.cipher else {
            return Err(KeyError::refused(
                "NotFoundException",
                format!("Key 'arn:aws:kms:{}:{}:key/{key_id}' does not exist", scope.region, scope.account),
            )
            .told());
        };
        cipher.service.resolve(key_id).await.map_err(KeyError::told)
    }

    /// The ARN of the root key that a request names, in a form that no alias hides; `None` for one that is not there.
    pub(crate) async fn root_key_arn(&self, key_id: &str, scope: &Scope) -> Option<String> {
        let cipher = self.cipher.as_ref()?;
        let root = cipher.service.resolve(key_id).await.ok()?;
        Some(cipher.service.arn(Some(&root), scope))
    }
}

/// A view of one moment, its values opened as they are read.
#[derive(Clone)]
pub(crate) struct Snapshot {
    stored: partita_engine::Snapshot,
    cipher: Option<Arc<Cipher>>,
}

impl Snapshot {
    pub(crate) fn version(&self) -> Version {
        self.stored.version()
    }

    pub(crate) fn catalog_token(&self) -> CatalogToken {
        self.stored.catalog_token()
    }

    /// The value of a key; `None` if it is absent.
    ///
    /// # Errors
    /// An engine failure, or a value that is not what was stored there.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        let found = self.stored.get(key).await?;
        match (&self.cipher, found) {
            (Some(cipher), Some(value)) => cipher.open(key, value).await.map(Some),
            (_, found) => Ok(found),
        }
    }

    /// The values of several keys, in their order.
    ///
    /// # Errors
    /// As for `get`.
    pub(crate) async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Value>>> {
        let mut found = self.stored.get_many(keys).await?;
        if let Some(cipher) = &self.cipher {
            for (key, found) in keys.iter().zip(&mut found) {
                if let Some(value) = found.take() {
                    *found = Some(cipher.open(key, value).await?);
                }
            }
        }
        Ok(found)
    }

    /// As `get_many`, but what does not open is told value by value.
    ///
    /// # Errors
    /// An engine failure.
    pub(crate) async fn get_each(&self, keys: &[Key]) -> Result<Vec<Result<Option<Value>>>> {
        let mut values = Vec::with_capacity(keys.len());
        for (key, found) in keys.iter().zip(self.stored.get_many(keys).await?) {
            values.push(match (&self.cipher, found) {
                (Some(cipher), Some(value)) => cipher.open(key, value).await.map(Some),
                (_, found) => Ok(found),
            });
        }
        Ok(values)
    }

    /// As `scan`, but what does not open is told row by row. Says whether there are more rows.
    ///
    /// # Errors
    /// An engine failure.
    pub(crate) async fn scan_each(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: ScanLimit,
    ) -> Result<(Vec<(Key, Result<Value>)>, bool)> {
        let page = self.stored.scan(range, direction, limit).await?;
        let mut rows = Vec::with_capacity(page.rows.len());
        for (key, value) in page.rows {
            let value = match &self.cipher {
                Some(cipher) => cipher.open(&key, value).await,
                None => Ok(value),
            };
            rows.push((key, value));
        }
        Ok((rows, page.more))
    }

    /// The rows at one end of a range. The limit counts the bytes as they are stored.
    ///
    /// # Errors
    /// As for `get`.
    pub(crate) async fn scan(&self, range: &KeyRange, direction: Direction, limit: ScanLimit) -> Result<Page> {
        let mut page = self.stored.scan(range, direction, limit).await?;
        if let Some(cipher) = &self.cipher {
            for (key, value) in &mut page.rows {
                *value = cipher.open(key, std::mem::take(value)).await?;
            }
        }
        Ok(page)
    }
}
