//! What a store is opened with, and why opening may fail.

use std::path::PathBuf;
use std::time::Duration;

use crate::contract::Reason;

/// Where a store keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In this directory, which is made if it is not there. One process at a time.
    Directory(PathBuf),
    /// In memory: gone with the process.
    Memory,
}

/// What an acknowledged commit survives.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Everything: each group of commits is synced to the disk before any of them is acknowledged.
    #[default]
    Sync,
    /// The end of the process; the power failing too, except for the last 100 ms.
    Interval,
    /// The end of the process, but not the power failing: the operating system writes when it likes.
    None,
}

/// How to open a store. Start from [`OpenOptions::directory`] or [`OpenOptions::memory`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// Where the data is.
    pub location: Location,
    /// What an acknowledged commit survives. Without meaning in memory.
    pub durability: Durability,
    /// The most bytes of data, filters and indexes kept in memory for reading. Taken as they are needed. Reads are fast
    /// while the filters and indexes fit: about 0.5 % of the data with items of 1 KB, more with smaller ones.
    pub cache_bytes: usize,
    /// The most bytes of recent writes held in memory before they move to sorted files, of which there may be four
    /// such portions at a time. Taken as they are needed.
    pub write_buffer_bytes: usize,
    /// How long changes are remembered for finding conflicts; a commit with an older read version is too old.
    pub conflict_window: Duration,
    /// The most bytes those remembered changes take; less time is remembered when they would take more.
    pub conflict_window_bytes: usize,
    /// Positions are given out under at least this incarnation, from now on.
    pub least_incarnation: u32,
    /// Whether the engine's own counters run: cache hits, bytes of work in the background. They take about 400
    /// instructions a get.
    pub statistics: bool,
}

impl OpenOptions {
    /// The usual options for a store in this directory.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self::at(Location::Directory(path.into()))
    }

    /// The usual options for a store in memory.
    pub fn memory() -> Self {
        Self::at(Location::Memory)
    }

    fn at(location: Location) -> Self {
        Self {
            location,
            durability: Durability::default(),
            cache_bytes: 256 << 20,
            write_buffer_bytes: 32 << 20,
            conflict_window: Duration::from_secs(6),
            conflict_window_bytes: 64 << 20,
            least_incarnation: 0,
            statistics: false,
        }
    }
}

/// A FoundationDB cluster, or the part of one under a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster file; FoundationDB's usual place when `None`.
    pub file: Option<PathBuf>,
    /// What all keys begin with: several stores may share a cluster under prefixes none of which begins another. At most
    /// 32 bytes, of which the first is not 0xFF.
    pub prefix: Vec<u8>,
    /// Positions are given out under at least this incarnation, from now on.
    pub least_incarnation: u32,
}

/// Why a store did not open. Every message names the path it is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store of this process, has the directory open.
    #[error("{path}: the data directory is in use by another process", path = .0.display())]
    Locked(PathBuf),
    /// The program was built without what a cluster needs.
    #[error("this build has no FoundationDB client: build it with the feature 'fdb'")]
    NoClusters,
    /// A newer version of the program wrote the directory.
    #[error(
        "{path}: the data is in format {found}, newer than format {supported}, the newest this version reads; \
         use the version that wrote it, or a newer one", path = .path.display()
    )]
    NewerFormat {
        /// The data directory.
        path: PathBuf,
        /// The format it is in.
        found: u32,
        /// The newest format this version reads.
        supported: u32,
    },
    /// The directory holds files, but not those of a store.
    #[error("{path}: the directory is not empty and holds no data of this program", path = .0.display())]
    Foreign(PathBuf),
    /// A file or directory can not be made, read or written.
    #[error("{path}: {reason}", path = .path.display())]
    Inaccessible {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        reason: Reason,
    },
    /// The contents of a file are not what was written there.
    #[error("{path}: stored data is damaged: {reason}", path = .path.display())]
    Damaged {
        /// The file, or the data directory when the file is not known.
        path: PathBuf,
        /// What is wrong with it.
        reason: Reason,
    },
}
