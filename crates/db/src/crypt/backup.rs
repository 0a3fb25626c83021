//! Keys of backups: each backup of an encrypted database has a data key of its own, wrapped by the table's root key. The
//! wrapped key goes with the backup, so that any database with the same root keys can restore it.

use bytes::Bytes;

use super::keys::{DataKeys, new_keys, open_with, seal_with, unwrap_all};
use super::record::{KeyRecord, table_context};
use super::value::{Sealed, Target};
use super::{KeyError, KeyResult, Vault};
use crate::error::{Error, Result};
use crate::record::TableRecord;

/// The key that the blocks and the manifest of one backup are sealed under.
pub(crate) struct BackupKey(DataKeys);

/// A backup's key as it goes with the backup: wrapped, as JSON.
pub(crate) type WrappedBackupKey = String;

impl Vault {
    /// A new key for a backup of a table; `None` while nothing is encrypted.
    ///
    /// # Errors
    /// When the table's root key can not be used.
    pub(crate) async fn new_backup_key(&self, table: &TableRecord) -> Result<Option<(BackupKey, WrappedBackupKey)>> {
        let Some(cipher) = self.cipher() else { return Ok(None) };
        let keys = new_keys(&*cipher.service, table.root_key.clone(), table_context(table, &cipher.database)).await;
        let keys = keys.map_err(KeyError::told)?;
        let wrapped = serde_json::to_string(&keys)
            .map_err(|error| Error::Internal(format!("a backup's key can not be written: {error}")))?;
        let unwrapped = unwrap_all(&*cipher.service, &keys).await.map_err(KeyError::told)?;
        Ok(Some((BackupKey(unwrapped), wrapped)))
    }

    /// The key of a backup; `None` when this database has no keys at all.
    ///
    /// # Errors
    /// When the root key that wraps it is not there or can not be used.
    pub(crate) async fn backup_key(&self, wrapped: &WrappedBackupKey) -> KeyResult<Option<BackupKey>> {
        let Some(cipher) = self.cipher() else { return Ok(None) };
        let unreadable = |_| KeyError::refused("InvalidCiphertextException", "a backup's key can not be read");
        let keys: KeyRecord = serde_json::from_str(wrapped).map_err(unreadable)?;
        Ok(Some(BackupKey(unwrap_all(&*cipher.service, &keys).await?)))
    }
}

impl BackupKey {
    /// Seals an object of a backup; it opens under the same name only.
    pub(crate) fn seal(&self, name: &str, plain: &[u8]) -> Result<Bytes> {
        seal_with(&self.0, Target::Key(name.as_bytes()), plain)
    }

    /// What was sealed under this name; `None` when it is not what was.
    pub(crate) fn open(&self, name: &str, stored: Bytes) -> Option<Bytes> {
        let sealed = Sealed::read(&stored)?;
        open_with(&self.0, &sealed, name.as_bytes(), stored).ok()
    }
}
