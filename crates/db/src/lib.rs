//! The database: everything DynamoDB means, above a storage contract of five operations. It knows nothing of HTTP,
//! JSON or credentials.
//!
//! One module per capability. `catalog` finds tables, `table` is what reading and writing them needs, `keyspace` says
//! where everything lies in the store, `write` and `read` are the data operations, `tables` the control operations,
//! `stream` the log of changes, `trigger` who is told of them, `expiry` time to live, `history` what items were before,
//! `backup` backups and restores, `identity` users, roles, keys and policies, `jobs` what else runs in the background,
//! `check` finds damage, `crypt` the seals through which everything is stored, `metering` what tables are asked for, `throttle` what they are
//! given, `scaling` how that follows what they are asked for, `sight` what is seen of them from outside, `transfer` a whole
//! database's move to another store.

mod attribute_list;
mod backup;
mod capacity;
mod catalog;
mod check;
mod crypt;
mod error;
mod expiry;
mod export;
mod history;
#[doc(hidden)]
pub mod hostile;
pub mod identity;
mod jobs;
mod keyspace;
mod latch;
mod limits;
mod load;
pub mod metering;
mod observe;
mod read;
mod record;
mod resource_policy;
pub mod scaling;
mod scope;
mod settings;
pub mod sight;
mod stream;
mod table;
pub mod tables;
mod throttle;
pub mod transfer;
pub mod trigger;
mod write;

use std::sync::Arc;

use partita_engine::{Cluster, Freshness, Location, OpenOptions, Store};

pub use backup::{
    BackupFilter, BackupKind, BackupPage, BackupRecord, BackupStatus, BackupStore, RestorePoint, StoreError,
};
pub use capacity::{Capacity, Consumed, ReadUnits};
pub use check::{CheckProgress, Damage, Finding, Findings};
pub use error::{CancellationReason, Error, Result};
pub use expiry::TimeToLiveState;
pub use export::{
    ExportEncryption, ExportFailure, ExportFilter, ExportFormat, ExportPage, ExportRecord, ExportRequest, ExportSpan,
    ExportState, ExportView,
};
pub use history::{RecoveryState, RecoveryWindow};
pub use jobs::JobOptions;
pub use load::{
    BulkRequest, Compression, CsvOptions, ImportRequest, InputFormat, LoadFailure, LoadKind, LoadPage, LoadRecord,
    LoadSource, LoadStatus, Loaded, OutputEncryption, OutputPlace,
};
pub use observe::{ItemChange, ItemObserver};
pub use partita_engine::CatalogToken;
pub use read::{BatchGet, BatchGetTable, BatchGot, Got, Page, QueryRequest, ScanRequest, Segment, Select};
pub use record::{
    BillingMode, Collections, IndexRecord, IndexStatus, KeyElement, OnDemandThroughput, Projected, Restored,
    StreamRecord, StreamView, TableClass, TableRecord, TableStatus, Throughput, TimeToLive, WarmThroughput,
};
pub use resource_policy::{NO_POLICY, ResourcePolicy};
pub use scope::{Scope, TableArn};
pub use settings::Settings;
pub use stream::{
    ChangeKind, ChangeRecord, IteratorStart, Records, ShardDescription, StreamDescription, StreamPage, StreamSummary,
    Streams,
};

pub use table::{Index, IndexKind, ItemKey, KEY_DOES_NOT_MATCH, KeySecret, Table};
pub use throttle::{Direction, LimitKind, Throttled, ThrottlingReason};
pub use write::{
    BatchWritten, ClientToken, ItemCollection, Mutation, Outcome, ReturnValues, SingleWrite, TransactMember, Transacted,
};

use partita_objects::{Buckets, ObjectStore};

use crate::backup::Recovering;
use crate::catalog::CatalogCache;
pub use crypt::{
    DataKey, Encryption, KeyAnswer, KeyContext, KeyError, KeyResult, KeyService, Keyring, Keys, RootKey, TableKeyState,
    WrappedKey,
};

use crate::crypt::{Snapshot, Vault};
use crate::jobs::{Background, Clock};
use crate::latch::Latches;
use crate::load::Loading;
use crate::metering::Metering;
use crate::sight::Seen;
use crate::write::RunningTokens;

/// The directory of imports' error logs inside the data directory.
const LOAD_LOGS: &str = "import-logs";
/// The directory of backups inside the data directory, where none else is named.
const BACKUPS: &str = "backups";

/// An open database. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    store: Vault,
    catalog: CatalogCache,
    latches: Arc<Latches>,
    running_tokens: RunningTokens,
    /// Keys the hashes of partition keys, so that they can be neither read nor aimed at.
    hash_secret: [u8; 32],
    settings: Settings,
    clock: Clock,
    metering: Metering,
    background: Background,
    backups: BackupStore,
    /// Whether that is a place that every node reaches.
    keeps_backups: bool,
    buckets: Buckets,
    recovering: Recovering,
    seen: Seen,
    loading: Loading,
    /// Where is told of items that imports could not write, unless there is a bucket for that.
    load_logs: Option<ObjectStore>,
}

/// What a database uses outside of its store.
#[derive(Clone, Debug, Default)]
pub struct Stores {
    /// Where backups are kept; `None` where there is no place for them.
    pub backups: Option<BackupStore>,
    /// The buckets that exports go to and imports come from.
    pub buckets: Buckets,
}

impl Database {
    /// Opens the database of a store, making what a new one needs. Blocks for disk.
    ///
    /// # Errors
    /// When the store does not open, or its first read or write fails.
    pub async fn open(options: &OpenOptions) -> std::result::Result<Self, OpenError> {
        Self::open_with(options, Settings::default(), Encryption::Off).await
    }

    /// Opens the database of a store that may be encrypted, with other settings than the usual ones.
    ///
    /// # Errors
    /// As for `open`; also when the keys can not be had.
    pub async fn open_with(
        options: &OpenOptions,
        settings: Settings,
        encryption: Encryption,
    ) -> std::result::Result<Self, OpenError> {
        let backups = match &options.location {
            Location::Directory(path) => BackupStore::directory(path.join(BACKUPS)),
            Location::Memory => BackupStore::memory(),
        };
        Self::open_with_backups(options, settings, encryption, backups).await
    }

    /// Opens the database of a store with its backups in another place than in the data directory.
    ///
    /// # Errors
    /// As for `open_with`.
    pub async fn open_with_backups(
        options: &OpenOptions,
        settings: Settings,
        encryption: Encryption,
        backups: BackupStore,
    ) -> std::result::Result<Self, OpenError> {
        Self::open_with_stores(
            options,
            settings,
            encryption,
            Stores { backups: Some(backups), buckets: Buckets::default() },
        )
        .await
    }

    /// Opens the database of a store with places outside of it: for its backups, and for exports and imports.
    ///
    /// # Errors
    /// As for `open_with`.
    pub async fn open_with_stores(
        options: &OpenOptions,
        settings: Settings,
        encryption: Encryption,
        stores: Stores,
    ) -> std::result::Result<Self, OpenError> {
        let load_logs = match &options.location {
            Location::Directory(path) => ObjectStore::directory(path.join(LOAD_LOGS)),
            Location::Memory => ObjectStore::memory(),
        };
        Self::over(Store::open(options)?, settings, encryption, stores, Some(load_logs)).await
    }

    /// Opens the database of a FoundationDB cluster, of which other nodes may be there at the same time. Every node must
    /// reach the same backups; without any, none are made.
    ///
    /// # Errors
    /// As for `open_with`.
    pub async fn open_cluster(
        cluster: &Cluster,
        settings: Settings,
        encryption: Encryption,
        stores: Stores,
    ) -> std::result::Result<Self, OpenError> {
        Self::over(Store::connect(cluster).await?, settings, encryption, stores, None).await
    }

    async fn over(
        store: Store,
        settings: Settings,
        encryption: Encryption,
        stores: Stores,
        load_logs: Option<ObjectStore>,
    ) -> std::result::Result<Self, OpenError> {
        if transfer::is_unfinished(&store).await? {
            return Err(OpenError::TransferUnfinished);
        }
        let Stores { backups, buckets } = stores;
        let (store, hash_secret) = first_records(store, encryption).await?;
        let inner = Inner {
            store,
            catalog: CatalogCache::default(),
            latches: Arc::default(),
            running_tokens: RunningTokens::default(),
            hash_secret,
            settings,
            clock: Clock::default(),
            metering: Metering::new(settings),
            background: Background::default(),
            keeps_backups: backups.is_some(),
            backups: backups.unwrap_or_else(BackupStore::memory),
            buckets,
            recovering: Recovering::default(),
            seen: Seen::default(),
            loading: Loading::default(),
            load_logs,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether writes can be stored. Not any more after one has failed, for want of space on the disk for example: what the
    /// disk holds is known again only when the database is opened again.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.inner.store.is_writable()
    }

    /// Ends the background work, finishes waiting commits and syncs them; later writes are refused.
    ///
    /// # Errors
    /// When the disk failed.
    pub async fn close(&self) -> std::result::Result<(), partita_engine::EngineError> {
        self.stop_background().await;
        self.stop_recovering().await;
        self.stop_loading().await;
        self.inner.store.close().await
    }

    /// Whether what is stored is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.inner.store.is_encrypted()
    }

    /// The ARN of the root key that a request names by id, alias or ARN; `None` when there is none or it can not be used.
    pub async fn root_key_arn(&self, key_id: &str, scope: &Scope) -> Option<String> {
        self.inner.store.root_key_arn(key_id, scope).await
    }

    pub(crate) fn load_logs(&self) -> Option<&ObjectStore> {
        self.inner.load_logs.as_ref()
    }

    /// Where backups are kept.
    pub(crate) fn backup_store(&self) -> &BackupStore {
        &self.inner.backups
    }

    /// The buckets that exports go to and imports come from.
    #[must_use]
    pub fn buckets(&self) -> &Buckets {
        &self.inner.buckets
    }

    /// Refuses backups where there is no place for them.
    ///
    /// # Errors
    /// `ValidationException`.
    pub(crate) fn check_backups(&self) -> Result<()> {
        if self.inner.keeps_backups {
            return Ok(());
        }
        Err(Error::validation(
            "Backups are switched off: the nodes of this cluster were started without --backup-store",
        ))
    }

    pub(crate) fn store(&self) -> &Vault {
        &self.inner.store
    }

    pub(crate) async fn snapshot(&self, freshness: Freshness) -> Result<Snapshot> {
        self.inner.store.snapshot(freshness).await
    }
}

/// What every node of a database needs first, made by whichever comes first when the database is new.
async fn first_records(store: Store, encryption: Encryption) -> std::result::Result<(Vault, [u8; 32]), OpenError> {
    for attempt in 0.. {
        let records = async {
            let vault = Vault::open(store.clone(), encryption.clone()).await?;
            let secret = catalog::load_or_make_secret(&vault).await?;
            Ok((vault, secret))
        };
        match records.await {
            // Another node is making them right now.
            Err(OpenError::Records(Error::Contention)) if attempt < 10 => catalog::back_off(attempt).await,
            done => return done,
        }
    }
    Err(OpenError::Records(Error::Contention))
}

/// Why a database did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store did not open.
    #[error(transparent)]
    Store(#[from] partita_engine::OpenError),
    /// The data is encrypted, and encryption is off.
    #[error("the data is encrypted: it can not be opened with encryption switched off")]
    Encrypted,
    /// The keys of encrypted data can not be had.
    #[error("encrypted data can not be opened: {0}")]
    Keys(KeyError),
    /// Data was being copied into the store, and the copying was not ended.
    #[error("data was being copied here by `partita migrate`, and it did not finish: run it again to its end first")]
    TransferUnfinished,
    /// The first read or write failed.
    #[error("the database's own records can not be read or written: {0}")]
    Records(#[from] Error),
}
