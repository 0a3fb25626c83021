//! Storage: an ordered key–value store with snapshot reads and conditional atomic commits, and the engines that keep it.
//!
//! Nothing here knows what a table or an item is. The contract is `contract.rs`, what the rest of the project holds is
//! `Store` in `store.rs`, the embedded engine is under `rocks/`, the one of many machines under `fdb/` (feature `fdb`), and
//! `suite` (feature `suite`) judges any engine.

mod check;
mod contract;
#[cfg(feature = "fdb")]
mod fdb;
mod open;
mod rocks;
mod store;
#[cfg(feature = "suite")]
pub mod suite;

pub use contract::{
    CatalogToken, Commit, CommitError, Committed, Direction, Engine, EngineError, EngineSnapshot, Freshness,
    InvalidCommit, Key, KeyRange, MAX_COMMIT_BYTES, MAX_DELETE_RANGE_KEYS, MAX_KEY_BYTES, Page, Position,
    RESERVED_PREFIX, Read, Reason, ScanLimit, Value, Version, Write,
};
pub use open::{Cluster, Durability, Location, OpenError, OpenOptions};
pub use store::{Snapshot, Store, disconnect};
