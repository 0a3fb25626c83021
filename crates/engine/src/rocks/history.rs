//! Where the store stands in its own history: what the next commit's version and stamp follow from.
//!
//! Kept under a reserved key that every group writes in its own batch, rather than in RocksDB's sequence number: that
//! one counts keys, not commits, and would start afresh when data moves to another engine.

use std::path::Path;

use rocksdb::{DB, WriteBatch};

use crate::contract::{CatalogToken, Committed, RESERVED_PREFIX, Reason, Version};
use crate::open::OpenError;

/// The reserved key of the history.
const KEY: [u8; 2] = [RESERVED_PREFIX, b'h'];

/// The last version, the catalog's last change, and the incarnation of the positions.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) version: u64,
    pub(crate) catalog: u64,
    pub(crate) incarnation: u32,
}

impl History {
    pub(crate) fn load(db: &DB, home: &Path) -> Result<Self, OpenError> {
        let damaged = |reason: Reason| OpenError::Damaged { path: home.to_owned(), reason };
        match db.get_pinned(KEY).map_err(|error| damaged(Reason::new(error)))? {
            None => Ok(Self::default()),
            Some(bytes) => {
                Self::decode(&bytes).ok_or_else(|| damaged(Reason::new("the record of the last commit is malformed")))
            }
        }
    }

    pub(crate) fn store(self, batch: &mut WriteBatch) {
        let mut bytes = [0; 20];
        let (version, rest) = bytes.split_at_mut(8);
        let (catalog, incarnation) = rest.split_at_mut(8);
        version.copy_from_slice(&self.version.to_be_bytes());
        catalog.copy_from_slice(&self.catalog.to_be_bytes());
        incarnation.copy_from_slice(&self.incarnation.to_be_bytes());
        batch.put(KEY, bytes);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk()?;
        let (catalog, rest) = rest.split_first_chunk()?;
        Some(Self {
            version: u64::from_be_bytes(*version),
            catalog: u64::from_be_bytes(*catalog),
            incarnation: u32::from_be_bytes(rest.try_into().ok()?),
        })
    }

    pub(crate) fn version(self) -> Version {
        Version(self.version)
    }

    pub(crate) fn catalog_token(self) -> CatalogToken {
        CatalogToken(self.catalog)
    }

    /// Steps to the next commit.
    pub(crate) fn advance(&mut self, catalog_changed: bool) -> Committed {
        // 2^64 commits take longer than anything lasts.
        self.version += 1;
        if catalog_changed {
            self.catalog = self.version;
        }
        let mut stamp = [0; 10];
        // The last two bytes tell apart commits of one version on engines that batch; here each has its own version.
        if let Some((version, _)) = stamp.split_first_chunk_mut() {
            *version = self.version.to_be_bytes();
        }
        Committed { version: self.version(), incarnation: self.incarnation, stamp }
    }
}
