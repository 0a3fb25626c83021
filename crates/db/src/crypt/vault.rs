//! The vault: the store as the database sees it. Same operations, same keys; the values of commits are sealed and those
//! of reads opened in between, so no caller can forget to.

use partita_engine::{
    CatalogToken, Commit, CommitError, Committed, Direction, EngineError, Freshness, Key, KeyRange, Page, ScanLimit,
    Store, Value, Version,
};

use crate::error::Result;

/// The store, behind its seals. Cheap to clone; clones share everything.
#[derive(Clone)]
pub(crate) struct Vault {
    store: Store,
}

impl Vault {
    pub(crate) const fn new(store: Store) -> Self {
        Self { store }
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
        Ok(Snapshot { stored: self.store.snapshot(freshness).await? })
    }

    /// Applies a commit, its values sealed.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub(crate) async fn commit(&self, commit: Commit) -> std::result::Result<Committed, CommitError> {
        self.store.commit(commit).await
    }

    /// Finishes waiting commits and refuses later ones.
    ///
    /// # Errors
    /// When the disk failed.
    pub(crate) async fn close(&self) -> std::result::Result<(), EngineError> {
        self.store.close().await
    }
}

/// A view of one moment, its values opened as they are read.
#[derive(Clone)]
pub(crate) struct Snapshot {
    stored: partita_engine::Snapshot,
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
    /// An engine failure.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.stored.get(key).await?)
    }

    /// The values of several keys, in their order.
    ///
    /// # Errors
    /// As for `get`.
    pub(crate) async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Value>>> {
        Ok(self.stored.get_many(keys).await?)
    }

    /// The rows at one end of a range. The limit counts the bytes as they are stored.
    ///
    /// # Errors
    /// As for `get`.
    pub(crate) async fn scan(&self, range: &KeyRange, direction: Direction, limit: ScanLimit) -> Result<Page> {
        Ok(self.stored.scan(range, direction, limit).await?)
    }
}
