//! The manifest of a backup: what it is of and which blocks it has. Written last, so a backup with a manifest is whole.
//!
//! Of a plain database: one line of JSON. Of an encrypted one: a line of JSON that names the backup and has its wrapped
//! key, then a line with the manifest sealed under that key and bound to the line before it. As the manifest names every
//! block by its hash, nobody without the root keys can make a backup, or change what one holds. Both end in the BLAKE3 of
//! all before in hexadecimal, which tells damage from forgery.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use partita_model::StoredItem;
use serde::{Deserialize, Serialize};

use super::block;
use super::copy::blocking;
use super::record::BackupRecord;
use super::runner::Failure;
use super::store::{BackupStore, StoreError};
use crate::Database;
use crate::crypt::{BackupKey, KeyError};

/// The manifest's name in the store.
pub(super) const MANIFEST: &str = "manifest";
/// The form of a manifest's content, and of a plain manifest.
const FORMAT: u32 = 1;
/// The form of a sealed manifest.
const SEALED_FORMAT: u32 = 2;

/// What a backup is of and which blocks it has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    /// The backup as the catalog keeps it.
    pub backup: BackupRecord,
    /// The blocks in their order.
    pub blocks: Vec<BlockEntry>,
}

/// The first line of a sealed manifest: what opening it needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    /// The backup's id.
    backup: String,
    /// Its wrapped key.
    key: String,
}

/// A backup whose manifest was found to be what this database's keys say.
pub(super) struct Opened {
    /// The manifest.
    pub manifest: Manifest,
    /// The key of its blocks, when they are sealed.
    pub key: Option<BackupKey>,
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

/// What a sealed manifest is bound to: its backup and the line before it.
fn sealed_manifest_name(backup: &str, header: &str) -> String {
    format!("{backup}/{MANIFEST}/{header}")
}

impl Manifest {
    pub(super) const fn new(backup: BackupRecord, blocks: Vec<BlockEntry>) -> Self {
        Self { format: FORMAT, backup, blocks }
    }

    /// Writes the manifest, which makes the backup whole: sealed under the key of its blocks, when there is one.
    ///
    /// # Errors
    /// When the store fails, or the manifest can not be sealed.
    pub(super) async fn write(&self, store: &BackupStore, key: Option<&BackupKey>) -> Result<(), StoreError> {
        let unwritable = |what: String| StoreError::Unavailable(format!("a manifest can not be written: {what}"));
        let mut bytes = serde_json::to_vec(self).map_err(|error| unwritable(error.to_string()))?;
        if let Some(key) = key {
            let header = Header {
                format: SEALED_FORMAT,
                backup: self.backup.id.clone(),
                key: self.backup.key.clone().unwrap_or_default(),
            };
            let header = serde_json::to_string(&header).map_err(|error| unwritable(error.to_string()))?;
            let sealed = key.seal(&sealed_manifest_name(&self.backup.id, &header), &bytes);
            let sealed = sealed.map_err(|error| unwritable(error.to_string()))?;
            bytes = format!("{header}\n{}", STANDARD.encode(sealed)).into_bytes();
        }
        let hash = blake3::hash(&bytes);
        bytes.push(b'\n');
        bytes.extend_from_slice(hash.to_hex().as_bytes());
        bytes.push(b'\n');
        store.put(&self.backup.id, MANIFEST, bytes.into()).await
    }

    /// Reads one of the backup's blocks, sealed under `key` if there is one.
    ///
    /// # Errors
    /// `Damaged` when it is missing or not what was written.
    pub(super) async fn block(
        &self,
        store: &BackupStore,
        key: Option<Arc<BackupKey>>,
        number: usize,
    ) -> Result<Vec<StoredItem>, StoreError> {
        let id = &self.backup.id;
        let name = sealed_name(id, number);
        let damage = format!("block {number} of backup {id}");
        let damaged = move || StoreError::Damaged(damage.clone());
        let entry = self.blocks.get(number).ok_or_else(&damaged)?.clone();
        let mut block = store.get(id, &block_name(number)).await?.ok_or_else(&damaged)?;
        blocking(move || {
            if blake3::hash(&block).to_hex().as_str() != entry.hash {
                return Err(damaged());
            }
            if let Some(key) = key {
                block = key.open(&name, block).ok_or_else(&damaged)?;
            }
            let items = block::decode(&block)?;
            if u32::try_from(items.len()) == Ok(entry.items) { Ok(items) } else { Err(damaged()) }
        })
        .await
    }

    /// How many items all blocks together hold.
    fn items(&self) -> i64 {
        self.blocks.iter().map(|block| i64::from(block.items)).sum()
    }
}

/// A manifest as it lies in the store, taken apart as far as that needs no key.
#[derive(Debug)]
enum Stored {
    Plain(Box<Manifest>),
    Sealed { line: String, key: String, sealed: Bytes },
}

impl Stored {
    /// Reads the manifest of a backup; `None` when there is none.
    async fn read(store: &BackupStore, backup: &str) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = store.get(backup, MANIFEST).await? else { return Ok(None) };
        let damaged = |what: &str| StoreError::Damaged(format!("{what} of backup {backup}"));
        let content = checked(&bytes).ok_or_else(|| damaged("the manifest"))?;
        let stored = Self::parse(content).ok_or_else(|| damaged("the manifest, or its format is newer,"))?;
        let of = match &stored {
            Self::Plain(manifest) => manifest.backup.id.clone(),
            Self::Sealed { line, .. } => {
                serde_json::from_str(line).map(|header: Header| header.backup).unwrap_or_default()
            }
        };
        if of == backup { Ok(Some(stored)) } else { Err(damaged("the manifest, which is another's,")) }
    }

    fn parse(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok()?;
        let Some((line, sealed)) = text.split_once('\n') else {
            let manifest: Manifest = serde_json::from_str(text).ok()?;
            return (manifest.format == FORMAT).then(|| Self::Plain(Box::new(manifest)));
        };
        let header: Header = serde_json::from_str(line).ok()?;
        let sealed = STANDARD.decode(sealed).ok()?.into();
        (header.format == SEALED_FORMAT).then(|| Self::Sealed { line: line.to_owned(), key: header.key, sealed })
    }
}

/// Reads what may be anything as a manifest: for tests that make such bytes up.
pub(super) fn read_hostile(bytes: &[u8]) {
    let _refused = checked(bytes).and_then(Stored::parse);
}

/// What a manifest holds before its checksum, if that fits.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (rest, end) = bytes.split_at_checked(bytes.len().checked_sub(1)?)?;
    let line = rest.iter().rposition(|byte| *byte == b'\n')?;
    let (content, hash) = (rest.get(..line)?, rest.get(line + 1..)?);
    (end == b"\n" && hash == blake3::hash(content).to_hex().as_bytes()).then_some(content)
}

impl Database {
    /// The manifest of a backup in the store, which this database trusts; `None` when there is none. `known` is what the
    /// catalog has of the backup, if it has it.
    ///
    /// An encrypted database takes a plain manifest only where it can tell from its own catalog that nothing is missing:
    /// of a backup whose blocks are sealed under the key that the catalog has (as they were before manifests were
    /// sealed), or of one made before the database was encrypted.
    ///
    /// # Errors
    /// `Damaged` when it is not what was written, `Lost` when this database has no keys, and what the key service says.
    pub(super) async fn open_backup(&self, id: &str, known: Option<&BackupRecord>) -> Result<Option<Opened>, Failure> {
        let Some(stored) = Stored::read(self.backup_store(), id).await? else { return Ok(None) };
        let damaged = |what: &str| Failure::from(StoreError::Damaged(format!("{what} of backup {id}")));
        let opened = match stored {
            Stored::Sealed { line, key: wrapped, sealed } => {
                let key = self.unwrapped_backup_key(id, &wrapped).await?;
                let opened = key.open(&sealed_manifest_name(id, &line), sealed);
                let manifest = opened.and_then(|opened| serde_json::from_slice::<Manifest>(&opened).ok());
                let genuine = |manifest: &Manifest| {
                    manifest.format == FORMAT
                        && manifest.backup.id == id
                        && manifest.backup.key.as_ref() == Some(&wrapped)
                };
                let manifest = manifest.filter(genuine).ok_or_else(|| damaged("the seal of the manifest"))?;
                Opened { manifest, key: Some(key) }
            }
            Stored::Plain(manifest) => {
                let key = match &manifest.backup.key {
                    Some(wrapped) => Some(self.unwrapped_backup_key(id, wrapped).await?),
                    None => None,
                };
                let trusted = match known {
                    _ if !self.is_encrypted() => true,
                    Some(known) if key.is_some() => manifest.items() == known.items,
                    Some(_) => self.store().began_plain(),
                    None => false,
                };
                if !trusted {
                    return Err(damaged("a plain manifest, which an encrypted database does not trust,"));
                }
                Opened { manifest: *manifest, key }
            }
        };
        match known {
            Some(known) if known.key != opened.manifest.backup.key => Err(damaged("the key")),
            _ => Ok(Some(opened)),
        }
    }

    async fn unwrapped_backup_key(&self, id: &str, wrapped: &String) -> Result<BackupKey, Failure> {
        match self.store().backup_key(wrapped).await {
            Ok(Some(key)) => Ok(key),
            Ok(None) => Err(Failure::Lost("the backup is encrypted, and this database has no keys".to_owned())),
            Err(KeyError::Refused { code, .. }) if code == "InvalidCiphertextException" => {
                Err(StoreError::Damaged(format!("the key of backup {id}")).into())
            }
            Err(other) => Err(other.told().into()),
        }
    }
}
