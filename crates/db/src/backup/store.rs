//! Where backups are kept: a directory, or memory for servers that keep everything there.
//!
//! A store holds objects of bytes, each written whole. Nothing here knows what is in them; all calls block.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Where backups are kept. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct BackupStore(Arc<Place>);

#[derive(Debug)]
enum Place {
    Directory(PathBuf),
    Memory(Mutex<BTreeMap<(String, String), Bytes>>),
}

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

/// What a file's name ends in while it is written.
const PARTIAL: &str = ".partial";

impl BackupStore {
    /// Backups in a directory, which is made when it is first needed; a directory of its own for each backup.
    #[must_use]
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Place::Directory(path.into())))
    }

    /// Backups in memory, gone with the process.
    #[must_use]
    pub fn memory() -> Self {
        Self(Arc::new(Place::Memory(Mutex::default())))
    }

    /// Writes an object of a backup. When this returns it is there, whole and synced; otherwise it is not there.
    pub(crate) fn put(&self, backup: &str, name: &str, value: Bytes) -> Result<(), StoreError> {
        match &*self.0 {
            Place::Directory(root) => put_file(&root.join(backup), name, &value).map_err(unavailable(root)),
            Place::Memory(objects) => {
                objects.lock().insert((backup.to_owned(), name.to_owned()), value);
                Ok(())
            }
        }
    }

    /// An object of a backup; `None` when it is not there.
    pub(crate) fn get(&self, backup: &str, name: &str) -> Result<Option<Bytes>, StoreError> {
        match &*self.0 {
            Place::Directory(root) => match fs::read(root.join(backup).join(name)) {
                Ok(bytes) => Ok(Some(bytes.into())),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(unavailable(root)(error)),
            },
            Place::Memory(objects) => Ok(objects.lock().get(&(backup.to_owned(), name.to_owned())).cloned()),
        }
    }

    /// The names under which there are objects: backups, and what is left of unfinished ones.
    pub(crate) fn backups(&self) -> Result<Vec<String>, StoreError> {
        match &*self.0 {
            Place::Directory(root) => {
                let entries = match fs::read_dir(root) {
                    Ok(entries) => entries,
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                    Err(error) => return Err(unavailable(root)(error)),
                };
                let mut names = Vec::new();
                for entry in entries {
                    let entry = entry.map_err(unavailable(root))?;
                    names.extend(entry.file_name().into_string().ok());
                }
                Ok(names)
            }
            Place::Memory(objects) => {
                let mut names: Vec<String> = objects.lock().keys().map(|(backup, _)| backup.clone()).collect();
                names.dedup();
                Ok(names)
            }
        }
    }

    /// Removes all objects of a backup, the one of this name first.
    pub(crate) fn remove(&self, backup: &str, first: &str) -> Result<(), StoreError> {
        let there = |result: io::Result<()>| match result {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        };
        match &*self.0 {
            Place::Directory(root) => {
                let directory = root.join(backup);
                there(fs::remove_file(directory.join(first))).map_err(unavailable(root))?;
                if directory.exists() {
                    sync_directory(&directory).map_err(unavailable(root))?;
                }
                there(fs::remove_dir_all(&directory)).map_err(unavailable(root))
            }
            Place::Memory(objects) => {
                objects.lock().retain(|(of, _), _| of != backup);
                Ok(())
            }
        }
    }
}

fn put_file(directory: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let partial = directory.join(format!("{name}{PARTIAL}"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(value)?;
    file.sync_all()?;
    fs::rename(&partial, directory.join(name))?;
    sync_directory(directory)
}

/// Makes what was done to the names in a directory last.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn unavailable(root: &Path) -> impl Fn(io::Error) -> StoreError {
    move |error| StoreError::Unavailable(format!("{}: {error}", root.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_written_read_listed_and_removed() {
        let directory = std::env::temp_dir().join(format!("partita-store-{:x}", fastrand::u64(..)));
        for store in [BackupStore::memory(), BackupStore::directory(&directory)] {
            assert_eq!(store.backups().unwrap(), Vec::<String>::new());
            assert_eq!(store.get("one", "a").unwrap(), None);
            store.put("one", "a", Bytes::from_static(b"1")).unwrap();
            store.put("one", "b", Bytes::from_static(b"2")).unwrap();
            store.put("two", "a", Bytes::from_static(b"3")).unwrap();
            store.put("two", "a", Bytes::from_static(b"4")).unwrap();
            assert_eq!(store.get("two", "a").unwrap().unwrap(), b"4".as_slice());
            store.remove("one", "a").unwrap();
            store.remove("one", "a").unwrap();
            assert_eq!(store.get("one", "b").unwrap(), None);
            assert_eq!(store.backups().unwrap(), ["two"]);
        }
        use std::os::unix::fs::PermissionsExt as _;
        let file = directory.join("two").join("a");
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_dir_all(directory).unwrap();
    }
}
