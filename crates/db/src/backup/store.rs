//! Where backups are kept: an object store, with the objects of a backup under the backup's id.

use bytes::Bytes;
use partita_objects::{ObjectError, ObjectStore};

/// The most bytes of an object of a backup: above those of any block, and of the manifest of a backup of terabytes.
const OBJECT_BYTES: u64 = 512 << 20;

/// Where backups are kept. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct BackupStore(ObjectStore);

/// Why a backup could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store can not be reached, is full or refuses. Trying again may help.
    #[error("the backup store failed: {0}")]
    Unavailable(String),
    /// What is in the store is not what was written. Trying again does not help.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
}

impl From<ObjectError> for StoreError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Damaged(_) | ObjectError::TooLarge { .. } => Self::Damaged(error.to_string()),
            // What is missing for now, or refused for now, may be there again when the operator has seen to it.
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<ObjectStore> for BackupStore {
    fn from(store: ObjectStore) -> Self {
        Self(store)
    }
}

impl BackupStore {
    /// Backups in a directory, which is made when it is first needed; a directory of its own for each backup.
    #[must_use]
    pub fn directory(path: impl Into<std::path::PathBuf>) -> Self {
        Self(ObjectStore::directory(path))
    }

    /// Backups in memory, gone with the process.
    #[must_use]
    pub fn memory() -> Self {
        Self(ObjectStore::memory())
    }

    /// Writes an object of a backup. When this returns it is there, whole and lasting; otherwise it is not there.
    pub(crate) async fn put(&self, backup: &str, name: &str, value: Bytes) -> Result<(), StoreError> {
        self.0.put(&format!("{backup}/{name}"), value).await?;
        Ok(())
    }

    /// An object of a backup; `None` when it is not there.
    pub(crate) async fn get(&self, backup: &str, name: &str) -> Result<Option<Bytes>, StoreError> {
        match self.0.get(&format!("{backup}/{name}"), OBJECT_BYTES).await {
            Ok(value) => Ok(Some(value)),
            Err(ObjectError::NotThere(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The names under which there are objects: backups, and what is left of unfinished ones.
    pub(crate) async fn backups(&self) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        let mut after: Option<String> = None;
        loop {
            // One object of each is enough.
            let page = self.0.list("", after.as_deref(), 1).await?;
            let Some(first) = page.objects.first() else { return Ok(names) };
            match first.key.split_once('/') {
                Some((name, _)) => {
                    names.push(name.to_owned());
                    after = Some(format!("{name}/{}", char::MAX));
                }
                None => after = Some(first.key.clone()),
            }
        }
    }

    /// Removes all objects of a backup, the one of this name first.
    pub(crate) async fn remove(&self, backup: &str, first: &str) -> Result<(), StoreError> {
        self.0.delete(&format!("{backup}/{first}")).await?;
        Ok(self.0.delete_under(backup).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn objects_are_written_read_listed_and_removed() {
        let directory = tempfile::TempDir::new().unwrap();
        for store in [BackupStore::memory(), BackupStore::directory(directory.path().join("new"))] {
            assert_eq!(store.backups().await.unwrap(), Vec::<String>::new());
            assert_eq!(store.get("one", "a").await.unwrap(), None);
            for (backup, name, value) in
                [("one", "a", "1"), ("one", "b", "2"), ("two", "a", "3"), ("two", "a", "4"), ("ünf", "a", "5")]
            {
                store.put(backup, name, Bytes::copy_from_slice(value.as_bytes())).await.unwrap();
            }
            assert_eq!(store.get("two", "a").await.unwrap().unwrap(), b"4".as_slice());
            store.remove("one", "a").await.unwrap();
            store.remove("one", "a").await.unwrap();
            assert_eq!(store.get("one", "b").await.unwrap(), None);
            assert_eq!(store.backups().await.unwrap(), ["two", "ünf"]);
        }
    }
}
