//! The manifest of a backup: what it is of and which blocks it has. Written last, so a backup with a manifest is whole.
//!
//! One line of JSON, then its BLAKE3 in hexadecimal.

use partita_model::StoredItem;
use serde::{Deserialize, Serialize};

use super::block;
use super::record::BackupRecord;
use super::store::{BackupStore, StoreError};
use crate::crypt::BackupKey;

/// The manifest's name in the store.
pub(super) const MANIFEST: &str = "manifest";
const FORMAT: u32 = 1;

/// What a backup is of and which blocks it has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    /// The backup as the catalog keeps it.
    pub backup: BackupRecord,
    /// The blocks in their order.
    pub blocks: Vec<BlockEntry>,
}

/// A block as the manifest names it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BlockEntry {
    /// How many items it holds.
    pub items: u32,
    /// The BLAKE3 of its bytes in hexadecimal, which ties it to its place in this backup.
    pub hash: String,
}

impl BlockEntry {
    /// The entry of a block with these bytes.
    pub(super) fn of(items: u32, block: &[u8]) -> Self {
        Self { items, hash: blake3::hash(block).to_hex().to_string() }
    }
}

/// The name of a block in the store.
pub(super) fn block_name(number: usize) -> String {
    format!("block-{number:08}")
}

/// What a sealed block is bound to: its backup and its place there.
pub(super) fn sealed_name(backup: &str, number: usize) -> String {
    format!("{backup}/{}", block_name(number))
}

impl Manifest {
    pub(super) const fn new(backup: BackupRecord, blocks: Vec<BlockEntry>) -> Self {
        Self { format: FORMAT, backup, blocks }
    }

    /// Writes the manifest, which makes the backup whole.
    pub(super) fn write(&self, store: &BackupStore) -> Result<(), StoreError> {
        let mut bytes = serde_json::to_vec(self)
            .map_err(|error| StoreError::Unavailable(format!("a manifest can not be written: {error}")))?;
        let hash = blake3::hash(&bytes);
        bytes.push(b'\n');
        bytes.extend_from_slice(hash.to_hex().as_bytes());
        bytes.push(b'\n');
        store.put(&self.backup.id, MANIFEST, bytes.into())
    }

    /// Reads the manifest of a backup; `None` when there is none.
    ///
    /// # Errors
    /// `Damaged` when it is not what was written, or is of another backup or a newer version.
    pub(super) fn read(store: &BackupStore, backup: &str) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = store.get(backup, MANIFEST)? else { return Ok(None) };
        let damaged = |what: &str| StoreError::Damaged(format!("{what} of backup {backup}"));
        let manifest: Self = checked(&bytes).ok_or_else(|| damaged("the manifest"))?;
        if manifest.format != FORMAT {
            return Err(damaged("the format, which this version does not read,"));
        }
        if manifest.backup.id == backup {
            Ok(Some(manifest))
        } else {
            Err(damaged("the manifest, which is another's,"))
        }
    }

    /// Reads one of the backup's blocks, sealed under `key` if there is one.
    ///
    /// # Errors
    /// `Damaged` when it is missing or not what was written.
    pub(super) fn block(
        &self,
        store: &BackupStore,
        key: Option<&BackupKey>,
        number: usize,
    ) -> Result<Vec<StoredItem>, StoreError> {
        let id = &self.backup.id;
        let damaged = || StoreError::Damaged(format!("block {number} of backup {id}"));
        let entry = self.blocks.get(number).ok_or_else(damaged)?;
        let mut block = store.get(id, &block_name(number))?.ok_or_else(damaged)?;
        if blake3::hash(&block).to_hex().as_str() != entry.hash {
            return Err(damaged());
        }
        if let Some(key) = key {
            block = key.open(&sealed_name(id, number), block).ok_or_else(damaged)?;
        }
        block::decode(&block)
    }
}

fn checked(bytes: &[u8]) -> Option<Manifest> {
    let line = bytes.iter().position(|byte| *byte == b'\n')?;
    let (content, hash) = bytes.split_at_checked(line)?;
    if hash != format!("\n{}\n", blake3::hash(content).to_hex()).as_bytes() {
        return None;
    }
    serde_json::from_slice(content).ok()
}
