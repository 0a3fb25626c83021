//! Encryption at rest: everything the database stores goes through the vault, which seals values on their way into the
//! store and opens them on their way out. Nothing else in this crate holds a `partita_engine::Store`.
//!
//! `value` seals one value, `place` says which key seals what, `keys` holds the data keys in use, `record` is how they are
//! stored, `service` the seam to whoever keeps the root keys, `keyring` the one of ours: a file. `rotate` wraps data keys
//! anew, `backup` makes those of backups.

mod backup;
mod keyring;
mod keys;
mod nonce;
mod place;
mod record;
mod rotate;
mod service;
#[cfg(test)]
mod tests;
mod value;
mod vault;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use backup::BackupKey;
pub use keyring::{Keyring, RootKey};
pub use service::{KeyAnswer, KeyContext, KeyError, KeyResult, KeyService, WrappedKey};
pub use value::DataKey;
pub(crate) use vault::{Snapshot, Vault};

/// Whether what is stored is encrypted.
#[derive(Clone, Default)]
pub enum Encryption {
    /// No. Data that is encrypted does not open.
    #[default]
    Off,
    /// Yes; data that was stored plain before stays readable, and is encrypted as it is written again.
    On(Keys),
    /// When the data is new or encrypted already; data that was stored plain stays so.
    WhenNew(Keys),
}

/// Where data keys come from, and for how long they are trusted.
#[derive(Clone)]
pub struct Keys {
    /// Who keeps the root keys.
    pub service: Arc<dyn KeyService>,
    /// How long a data key is used before the service is asked whether it still may be.
    pub trusted_for: Duration,
}

impl Keys {
    /// For how long DynamoDB uses a table's key without asking ("DynamoDB encryption at rest: How it works").
    pub const TRUSTED_FOR: Duration = Duration::from_secs(300);
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::On(_) => "On",
            Self::WhenNew(_) => "WhenNew",
        })
    }
}

/// Whether a table's key can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableKeyState {
    /// The ARN of the root key; `None` while nothing is encrypted.
    pub arn: Option<String>,
    /// Since when it can not be used, in milliseconds since the epoch.
    pub inaccessible_since_ms: Option<u64>,
    /// Whether it is being changed, for the answer to the request that does.
    pub updating: bool,
}
