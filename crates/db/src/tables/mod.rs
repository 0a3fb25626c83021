//! The control operations: tables made, described, listed, changed and deleted, their tags and their time to live.
//!
//! `definition.rs` is what a new table may be, `change.rs` and `index_change.rs` what may become of one; `keys.rs`,
//! `projection.rs`, `throughput.rs` and `streams.rs` hold the rules of the parts that both share. `lifecycle.rs` makes,
//! describes, lists and deletes; `online_index.rs` fills indexes that are added to tables in use.

mod change;
mod counts;
mod definition;
mod index_change;
mod keys;
mod lifecycle;
mod online_index;
mod projection;
mod restored;
mod streams;
mod tags;
mod throughput;
mod time_to_live;

use std::time::{SystemTime, UNIX_EPOCH};

use partita_model::ErrorCode;

pub use change::TableChange;
pub use counts::{Count, Counts};
pub use definition::{EncryptionDefinition, IndexDefinition, TableDefinition};
pub use index_change::{IndexChange, IndexUpdate};
pub(crate) use lifecycle::new_uuid;
pub use lifecycle::{Described, TableNames};
pub use projection::{ProjectionDefinition, ProjectionKind};
pub use restored::RestoreOverrides;
pub use streams::StreamDefinition;
pub use tags::TagDefinition;
pub use throughput::ProvisionedUnits;

pub use crate::limits::{MAX_ACCOUNT_UNITS, MAX_TABLE_UNITS};

use crate::error::Error;
use crate::record::{TableRecord, TableStatus};
use crate::scope::{Scope, TableArn};

/// The time of this machine's clock, in milliseconds since the epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Where a table lives and what it is called there, given its name or ARN.
fn place(scope: &Scope, name_or_arn: &str) -> (Scope, String) {
    match TableArn::parse(name_or_arn) {
        Some(arn) => (Scope { account: arn.account.into(), region: arn.region.into() }, arn.table.to_owned()),
        None => (scope.clone(), name_or_arn.to_owned()),
    }
}

/// The refusal of control operations when there is no such table.
pub(crate) fn no_such_table(name_or_arn: &str) -> Error {
    let name = TableArn::parse(name_or_arn).map_or(name_or_arn, |arn| arn.table);
    Error::refused(
        ErrorCode::ResourceNotFoundException,
        format!("Requested resource not found: Table: {name} not found"),
    )
}

/// Refuses to change or delete a table that is being made.
fn check_usable(record: &TableRecord) -> Result<(), Error> {
    if record.status != TableStatus::Creating {
        return Ok(());
    }
    Err(Error::refused(
        ErrorCode::ResourceInUseException,
        format!("Attempt to change a resource which is still in use: Table is being created: {}", record.name),
    ))
}

#[cfg(test)]
mod tests;
