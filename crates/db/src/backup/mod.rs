//! Backups and restores.
//!
//! A backup is a table as it was at one moment, written block by block into a store of its own and whole as soon as its
//! manifest is there. `record` is what the catalog keeps of one, `requests` makes, describes, lists and deletes them,
//! `restore` begins restores from backups and from a table's history, `copy` and `fill` do the work, `job` is what is
//! kept of it and `runner` who does it. `store`, `block` and `manifest` are the form of a backup outside the database.

mod block;
mod copy;
mod fill;
#[cfg(test)]
mod forgery_tests;
pub(crate) mod hostile;
mod job;
mod manifest;
#[cfg(test)]
mod oracle_tests;
mod record;
mod requests;
mod restore;
mod runner;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod verify;

pub(crate) use copy::READ_AT_ONCE;
pub(crate) use job::{JobRecord, Source, TablePlace, Work, forget, from_json, to_json};
pub use record::{BackupKind, BackupRecord, BackupStatus};
pub(crate) use requests::system_backup;
pub use requests::{BackupFilter, BackupPage};
pub use restore::RestorePoint;
pub(crate) use runner::{Failure, Recovering, lease_of};
pub use store::{BackupStore, StoreError};
pub(crate) use verify::BackupFailure;
