//! How data keys are stored: wrapped, with their versions, as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::service::{KeyContext, WrappedKey};
use crate::error::{Error, Result};
use crate::record::TableRecord;

/// The data keys of a table, or the database's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyRecord {
    /// What the keys are wrapped for.
    pub context: KeyContext,
    /// The root key asked for; `None` for the service's own.
    #[serde(default)]
    pub root: Option<String>,
    /// The version that new values are sealed under.
    pub current: u16,
    /// All versions that stored values may be sealed under.
    pub versions: Vec<KeyVersion>,
}

/// One data key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyVersion {
    /// Its number, from 1.
    pub version: u16,
    /// The root key it is wrapped under.
    pub root: String,
    /// The wrapped key, in base64.
    pub wrapped: String,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
}

/// How the database's own records are sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VaultRecord {
    /// The form of this record.
    pub format: u32,
    /// The kind of service that wraps the keys.
    pub service: String,
    /// The database's data key.
    pub keys: KeyRecord,
}

/// The name under which the context of the database's own key has the database's id.
const DATABASE: &str = "partita:database";
/// The name under which it says how the database began.
const BEGAN: &str = "partita:began";

impl VaultRecord {
    /// The form this version writes, and the newest it reads.
    pub const FORMAT: u32 = 1;

    /// What the database's own key is wrapped for. Whether values were stored before that are not sealed is part of it:
    /// the record is not sealed, but its key does not open under another context.
    pub fn context(id: String, began_plain: bool) -> KeyContext {
        let began = if began_plain { "plain" } else { "sealed" };
        KeyContext::from([(DATABASE.to_owned(), id), (BEGAN.to_owned(), began.to_owned())])
    }

    /// The database's id and whether it began plain; `None` for the key of something else. True once the key is open.
    pub fn origin(&self) -> Option<(String, bool)> {
        let id = self.keys.context.get(DATABASE)?;
        [false, true]
            .into_iter()
            .find(|plain| self.keys.context == Self::context(id.clone(), *plain))
            .map(|plain| (id.clone(), plain))
    }
}

impl KeyVersion {
    pub(super) fn new(version: u16, wrapped: &WrappedKey) -> Self {
        Self {
            version,
            root: wrapped.root.clone(),
            wrapped: STANDARD.encode(&wrapped.bytes),
            created_ms: crate::tables::now_ms(),
        }
    }

    pub(super) fn wrapped(&self) -> Result<WrappedKey> {
        let bytes =
            STANDARD.decode(&self.wrapped).map_err(|_| Error::Internal("a wrapped key is no base64".to_owned()))?;
        Ok(WrappedKey { root: self.root.clone(), bytes })
    }
}

/// The name under which a table's context has the table's id.
const TABLE: &str = "partita:table";

/// What a table's keys are wrapped for, by the names DynamoDB gives to KMS ("DynamoDB encryption context"), and by ids
/// of ours, so that the key of another table or database is none of this one.
pub(super) fn table_context(record: &TableRecord, database: &str) -> KeyContext {
    KeyContext::from([
        (DATABASE.to_owned(), database.to_owned()),
        (TABLE.to_owned(), record.id.to_string()),
        ("aws:dynamodb:tableName".to_owned(), record.name.clone()),
        ("aws:dynamodb:subscriberId".to_owned(), record.account.clone()),
    ])
}

/// Whether a context is the one of a table of a database.
pub(super) fn is_of_table(context: &KeyContext, table: u32, database: &str) -> bool {
    context.get(TABLE).is_some_and(|id| *id == table.to_string())
        && context.get(DATABASE).is_some_and(|id| id == database)
}

pub(super) fn from_json<T: for<'de> Deserialize<'de>>(value: &[u8]) -> Result<T> {
    serde_json::from_slice(value).map_err(|error| Error::Internal(format!("a record of keys can not be read: {error}")))
}

pub(super) fn to_json(value: &impl Serialize) -> Result<partita_engine::Value> {
    let bytes = serde_json::to_vec(value);
    bytes.map(Into::into).map_err(|error| Error::Internal(format!("a record of keys can not be written: {error}")))
}
