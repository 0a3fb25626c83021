//! Exclusive start keys: where a page goes on. A key is never looked up: forged or stale ones are places like any other.

use partita_engine::Key;
use partita_model::{AttributeMap, StoredItem};

use crate::error::{Error, Result};
use crate::table::{Index, KeySecret, Table, check_key_value};

const INVALID: &str = "The provided starting key is invalid";

/// The stored key of the row that an exclusive start key names.
///
/// # Errors
/// `ValidationException` when its attributes are not exactly those of the table's and the index's key.
pub(super) fn start_row(
    secret: &KeySecret<'_>,
    table: &Table,
    index: Option<&Index>,
    start: &AttributeMap,
) -> Result<Key> {
    let Some(index) = index else {
        return match table.key_of_request(secret, start) {
            Ok(key) => Ok(key.stored),
            Err(Error::Refused(refusal)) => Err(Error::validation(format!("{INVALID}: {}", refusal.message))),
            Err(other) => Err(other),
        };
    };
    let mut keys = AttributeMap::new();
    for attribute in &table.key_attribute_names() {
        let value = start.get(attribute).ok_or_else(|| Error::validation(INVALID))?;
        keys.insert(attribute.as_str(), value.clone());
    }
    let mut expected = table.key_attribute_names();
    for attribute in index.key.attributes() {
        let partition = index.key.partition.contains(attribute);
        check_key_value(attribute, start.get(&attribute.name), partition).map_err(|_| Error::validation(INVALID))?;
        if !expected.contains(&attribute.name) {
            expected.push(attribute.name.clone());
        }
    }
    if start.len() != expected.len() {
        return Err(Error::validation(INVALID));
    }
    let base = table.key_of_request(secret, &keys).map_err(|_| Error::validation(INVALID))?;
    index.entry_key(secret, start, &base).ok_or_else(|| Error::validation(INVALID))
}

/// The key to go on from after this row: the key attributes of the table and of the index.
pub(super) fn last_evaluated(table: &Table, index: Option<&Index>, row: &StoredItem) -> StoredItem {
    let mut names = table.key_attribute_names();
    if let Some(index) = index {
        names.extend(index.key.attributes().map(|attribute| attribute.name.clone()));
    }
    row.project(&names)
}
