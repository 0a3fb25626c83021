//! Encryption at rest: everything the database stores goes through the vault, which seals values on their way into the
//! store and opens them on their way out. Nothing else in this crate holds a `partita_engine::Store`.

mod vault;

pub(crate) use vault::{Snapshot, Vault};
