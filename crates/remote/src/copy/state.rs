//! How far a copy has come, in a file, so that a copy that was interrupted goes on. Whatever is done twice because the
//! file is a little behind has the same outcome.
//!
//! The file holds keys of items (where scans stand), so it is readable for its owner only. It holds no credentials.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The form that this version writes and reads.
const FORMAT: u32 = 1;
/// How often progress within a phase is written.
const INTERVAL: Duration = Duration::from_millis(500);

/// Why a state can not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file can not be read or written.
    #[error("the state file {path}: {error}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It is not a state that this version reads.
    #[error("{0} is not the state of a copy, or of another version")]
    Unknown(PathBuf),
    /// It is the state of another copy.
    #[error("{path} is the state of a copy from {from} to {to}; name another file with --state", path = .path.display())]
    Another {
        /// The file.
        path: PathBuf,
        /// The other copy's source.
        from: String,
        /// The other copy's target.
        to: String,
    },
    /// A copy with it is running.
    #[error("another copy is running with the state file {0}")]
    InUse(PathBuf),
}

/// How far a copy has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    format: u32,
    from: String,
    to: String,
    /// By the names of the source's tables.
    pub tables: BTreeMap<String, TableState>,
}

/// How far a table has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct TableState {
    pub phase: Phase,
    /// When its copy began, in seconds since the epoch.
    pub begun: u64,
    pub segments: Vec<SegmentState>,
    #[serde(default)]
    pub stream: Option<StreamState>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Nothing is done.
    #[default]
    New,
    /// The target's table may have been created.
    Creating,
    /// Items are copied.
    Items,
    /// All items are copied; changes are followed, if they are to be.
    Changes,
    /// All changes are followed to the end that was asked for.
    Followed,
    /// Verified, with its time to live.
    Done,
}

/// How far one segment of the scan has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct SegmentState {
    /// The last key that is copied.
    #[serde(default)]
    pub after: Option<Value>,
    pub done: bool,
}

/// How far the stream is followed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct StreamState {
    pub arn: String,
    /// Whether the copy switched it on, and is to switch it off.
    #[serde(default)]
    pub switched_on: bool,
    pub shards: BTreeMap<String, ShardState>,
}

/// How far a shard is followed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct ShardState {
    /// The sequence number of the last record that is applied.
    #[serde(default)]
    pub after: Option<String>,
    pub done: bool,
}

/// A state and its file.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    inner: Mutex<(State, Option<Instant>)>,
    /// Locked as long as the copy runs.
    _lock: File,
}

impl StateFile {
    /// The state of a copy between two endpoints: what the file says, or a new one.
    pub(super) fn open(path: &Path, from: &str, to: &str) -> Result<Self, StateError> {
        let failed = |error| StateError::File { path: path.to_owned(), error };
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let lock = private(OpenOptions::new().create(true).truncate(false)).open(PathBuf::from(beside));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(StateError::InUse(path.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        let state = match fs::read(path) {
            Ok(bytes) => {
                let state: Option<State> = serde_json::from_slice(&bytes).ok();
                let state = state.filter(|state| state.format == FORMAT);
                let state = state.ok_or_else(|| StateError::Unknown(path.to_owned()))?;
                if (state.from.as_str(), state.to.as_str()) != (from, to) {
                    return Err(StateError::Another { path: path.to_owned(), from: state.from, to: state.to });
                }
                state
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                State { format: FORMAT, from: from.to_owned(), to: to.to_owned(), tables: BTreeMap::new() }
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { path: path.to_owned(), inner: Mutex::new((state, None)), _lock: lock })
    }

    fn inner(&self) -> MutexGuard<'_, (State, Option<Instant>)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A table's state.
    pub(super) fn table(&self, name: &str) -> TableState {
        self.inner().0.tables.get(name).cloned().unwrap_or_default()
    }

    /// Changes a table's state, and writes it if the last time is long ago.
    pub(super) fn progress(&self, table: &str, change: impl FnOnce(&mut TableState)) -> Result<(), StateError> {
        let mut inner = self.inner();
        change(inner.0.tables.entry(table.to_owned()).or_default());
        if inner.1.is_some_and(|written| written.elapsed() < INTERVAL) {
            return Ok(());
        }
        self.write(&mut inner)
    }

    /// Changes a table's state and writes it before anything else happens.
    pub(super) fn save(&self, table: &str, change: impl FnOnce(&mut TableState)) -> Result<(), StateError> {
        let mut inner = self.inner();
        change(inner.0.tables.entry(table.to_owned()).or_default());
        self.write(&mut inner)
    }

    fn write(&self, inner: &mut (State, Option<Instant>)) -> Result<(), StateError> {
        let failed = |error| StateError::File { path: self.path.clone(), error };
        let bytes = serde_json::to_vec(&inner.0).map_err(|error| failed(error.into()))?;
        let mut partial = self.path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let mut file = private(OpenOptions::new().create(true).truncate(true)).open(&partial).map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&partial, &self.path).map_err(failed)?;
        inner.1 = Some(Instant::now());
        Ok(())
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_back_by_the_same_copy_alone() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("state.json");
        let state = StateFile::open(&path, "a", "b").unwrap();
        assert!(matches!(StateFile::open(&path, "a", "b"), Err(StateError::InUse(_))));
        state.save("T", |table| table.phase = Phase::Items).unwrap();
        state.progress("T", |table| table.begun = 7).unwrap();
        drop(state);
        let read = StateFile::open(&path, "a", "b").unwrap().table("T");
        assert_eq!(read.phase, Phase::Items);
        assert!(matches!(StateFile::open(&path, "a", "c"), Err(StateError::Another { .. })));
        fs::write(&path, "{}").unwrap();
        assert!(matches!(StateFile::open(&path, "a", "b"), Err(StateError::Unknown(_))));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let state = StateFile::open(&directory.path().join("other"), "a", "b").unwrap();
            state.save("T", |_| {}).unwrap();
            let mode = fs::metadata(directory.path().join("other")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
