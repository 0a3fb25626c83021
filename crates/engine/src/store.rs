//! The store the rest of the project holds: one concrete type over all engines, so that generics stop here.

use std::sync::Arc;

use partita_metrics::Samples;

use crate::contract::{
    CatalogToken, Commit, CommitError, Committed, Direction, Engine, EngineError, EngineSnapshot, Freshness, Key,
    KeyRange, Page, Reason, ScanLimit, Value, Version,
};
#[cfg(feature = "fdb")]
use crate::fdb::{FdbEngine, FdbSnapshot};
use crate::open::{Cluster, OpenError, OpenOptions};
use crate::rocks::{RocksEngine, RocksSnapshot};

/// An open store. Clones share it; the last one to go closes it.
#[derive(Clone, Debug)]
pub enum Store {
    /// Embedded in this process, over RocksDB.
    Embedded(Arc<RocksEngine>),
    /// In a FoundationDB cluster.
    #[cfg(feature = "fdb")]
    Clustered(Arc<FdbEngine>),
}

impl Store {
    /// Opens a store, making it if it is not there. Blocks for disk.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(options: &OpenOptions) -> Result<Self, OpenError> {
        RocksEngine::open(options).map(|engine| Self::Embedded(Arc::new(engine)))
    }

    /// Connects to a cluster, making the store in it if it is not there. Waits up to half a minute for its answer.
    ///
    /// # Errors
    /// See [`OpenError`]; [`OpenError::NoClusters`] without the feature `fdb`.
    #[cfg_attr(not(feature = "fdb"), expect(clippy::unused_async, reason = "the same with and without the feature"))]
    pub async fn connect(cluster: &Cluster) -> Result<Self, OpenError> {
        #[cfg(feature = "fdb")]
        return FdbEngine::connect(cluster).await.map(|engine| Self::Clustered(Arc::new(engine)));
        #[cfg(not(feature = "fdb"))]
        {
            let _ = cluster;
            Err(OpenError::NoClusters)
        }
    }

    /// Opens a view of one moment. On the embedded engine this is at once and always the latest.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] when the engine can not be reached.
    pub async fn snapshot(&self, freshness: Freshness) -> Result<Snapshot, EngineError> {
        match self {
            Self::Embedded(engine) => engine.snapshot(freshness).await.map(Snapshot::Embedded),
            #[cfg(feature = "fdb")]
            Self::Clustered(engine) => engine.snapshot(freshness).await.map(Snapshot::Clustered),
        }
    }

    /// Applies all of `commit.writes` atomically and durably, if nothing in `commit.reads` changed after
    /// `commit.read_version`. Dropping the future does not stop the commit.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        match self {
            Self::Embedded(engine) => engine.commit(commit).await,
            #[cfg(feature = "fdb")]
            Self::Clustered(engine) => engine.commit(commit).await,
        }
    }

    /// Resolves when `key` has changed after `since`. May resolve early, so read again.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] when the engine is closed or fails meanwhile.
    pub async fn watch(&self, key: Key, since: Version) -> Result<(), EngineError> {
        match self {
            Self::Embedded(engine) => engine.watch(key, since).await,
            #[cfg(feature = "fdb")]
            Self::Clustered(engine) => engine.watch(key, since).await,
        }
    }

    /// Adds what the engine counts: commits and their groups, memory, files, caches, work in the background.
    pub fn sample(&self, samples: &mut Samples) {
        match self {
            Self::Embedded(engine) => engine.sample(samples),
            // What a cluster does is for its own tools to say.
            #[cfg(feature = "fdb")]
            Self::Clustered(_) => {}
        }
    }

    /// Why no commit is accepted any more, if that is so.
    #[must_use]
    pub fn failure(&self) -> Option<Reason> {
        match self {
            Self::Embedded(engine) => engine.failure(),
            #[cfg(feature = "fdb")]
            Self::Clustered(engine) => engine.failure(),
        }
    }

    /// Finishes the commits that are waiting, syncs them to the disk whatever the durability, and refuses later ones.
    /// Snapshots go on reading. The data directory is free for another process when the store and its snapshots are
    /// dropped.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] when the disk failed.
    pub async fn close(&self) -> Result<(), EngineError> {
        match self {
            Self::Embedded(engine) => engine.close().await,
            #[cfg(feature = "fdb")]
            Self::Clustered(engine) => {
                engine.close();
                Ok(())
            }
        }
    }
}

/// Ends this process's connection to clusters, for good. To be called when every store is closed and before the process
/// ends; without effect where there was none.
pub fn disconnect() {
    #[cfg(feature = "fdb")]
    crate::fdb::network::stop();
}

/// A view of one moment: repeatable, whatever is committed meanwhile. Cheap to clone; dropped soon, it costs nothing,
/// kept for minutes it keeps old data on disk.
#[derive(Clone, Debug)]
pub enum Snapshot {
    /// Of the embedded engine.
    Embedded(RocksSnapshot),
    /// Of a cluster.
    #[cfg(feature = "fdb")]
    Clustered(FdbSnapshot),
}

impl Snapshot {
    /// The moment: every commit up to this version is visible, no later one.
    pub fn version(&self) -> Version {
        match self {
            Self::Embedded(snapshot) => snapshot.version(),
            #[cfg(feature = "fdb")]
            Self::Clustered(snapshot) => snapshot.version(),
        }
    }

    /// Identifies the catalog as it was at this moment.
    pub fn catalog_token(&self) -> CatalogToken {
        match self {
            Self::Embedded(snapshot) => snapshot.catalog_token(),
            #[cfg(feature = "fdb")]
            Self::Clustered(snapshot) => snapshot.catalog_token(),
        }
    }

    /// The value of a key; `None` if it is absent.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        match self {
            Self::Embedded(snapshot) => snapshot.get(key).await,
            #[cfg(feature = "fdb")]
            Self::Clustered(snapshot) => snapshot.get(key).await,
        }
    }

    /// The values of several keys, in their order.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Value>>, EngineError> {
        match self {
            Self::Embedded(snapshot) => snapshot.get_many(keys).await,
            #[cfg(feature = "fdb")]
            Self::Clustered(snapshot) => snapshot.get_many(keys).await,
        }
    }

    /// The rows at one end of a range. Resume with [`KeyRange::after`] or [`KeyRange::before`] the last row's key.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn scan(&self, range: &KeyRange, direction: Direction, limit: ScanLimit) -> Result<Page, EngineError> {
        match self {
            Self::Embedded(snapshot) => snapshot.scan(range, direction, limit).await,
            #[cfg(feature = "fdb")]
            Self::Clustered(snapshot) => snapshot.scan(range, direction, limit).await,
        }
    }
}
