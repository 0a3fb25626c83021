//! Reading items out of files: where one record ends and the next begins (`split`), and what a record says (`json`, `ion`,
//! `csv`).
//!
//! Files are untrusted and of any size, so records are found in a buffer that the caller fills piece by piece, no longer
//! than [`MAX_RECORD_BYTES`], and each is read by itself: what is wrong with one says nothing of the next.
//!
//! Source of the forms: "Amazon S3 import formats for DynamoDB" and "Amazon S3 input formats for bulk put items",
//! DynamoDB Developer Guide.

mod csv;
mod ion;
mod json;
mod split;
#[cfg(test)]
mod tests;

pub use csv::{ColumnType, Columns};
pub use split::{Splitter, Step};

use partita_model::AttributeMap;

/// The longest record in bytes. An item of 400 KB takes 2.4 MB when every byte of it is escaped.
pub const MAX_RECORD_BYTES: usize = 8 << 20;

/// The longest attribute name in bytes ("Quotas": 64 KB).
const MAX_NAME_BYTES: usize = 65_535;

/// How the records of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines of DynamoDB JSON: `{"Item":{"pk":{"S":"a"}}}`.
    DynamoDbJson,
    /// Structs of Amazon Ion's text: `{Item:{pk:"a"}}`.
    Ion,
    /// Comma-separated values, with this delimiter.
    Csv(u8),
}

/// Why a record is none, in words for whoever wrote the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl Malformed {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// What a record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The item.
    pub item: AttributeMap,
    /// What must hold of the item that it replaces.
    pub condition: Option<ConditionText>,
}

/// A condition as a record states it: the members that PutItem has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConditionText {
    /// `ConditionExpression`.
    pub expression: String,
    /// `ExpressionAttributeNames`.
    pub names: Vec<(String, String)>,
    /// `ExpressionAttributeValues`.
    pub values: AttributeMap,
}

/// The members of a record while it is being read.
#[derive(Debug, Default)]
struct Members {
    item: Option<AttributeMap>,
    expression: Option<String>,
    names: Option<Vec<(String, String)>>,
    values: Option<AttributeMap>,
}

impl Members {
    fn record(self) -> Result<Record, Malformed> {
        let item = self.item.ok_or_else(|| Malformed::new("The record has no Item"))?;
        let Some(expression) = self.expression else {
            if self.names.is_some() {
                return Err(Malformed::new(
                    "ExpressionAttributeNames can only be specified when using expressions: ConditionExpression is null",
                ));
            }
            if self.values.is_some() {
                return Err(Malformed::new(
                    "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
                ));
            }
            return Ok(Record { item, condition: None });
        };
        let (names, values) = (self.names.unwrap_or_default(), self.values.unwrap_or_default());
        Ok(Record { item, condition: Some(ConditionText { expression, names, values }) })
    }
}

/// Reads a record of DynamoDB JSON or Ion; `None` when there is nothing in it but comments and white space.
///
/// # Errors
/// When it is not well-formed, or has values that DynamoDB has not.
pub fn record(form: Form, bytes: &[u8]) -> Result<Option<Record>, Malformed> {
    match form {
        Form::DynamoDbJson => json::record(bytes).map(Some),
        Form::Ion => ion::record(bytes),
        Form::Csv(_) => Err(Malformed::new("A row of a CSV file is read by its columns")),
    }
}

/// The map of these attributes.
fn map(pairs: Vec<(String, partita_model::AttributeValue)>) -> Result<AttributeMap, Malformed> {
    AttributeMap::from_pairs(pairs).map_err(|name| Malformed(format!("The attribute {name} occurs twice")))
}

fn check_name(name: &str) -> Result<(), Malformed> {
    if name.is_empty() {
        return Err(Malformed::new("One or more parameter values were invalid: Empty attribute name"));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(Malformed::new("One or more parameter values were invalid: Attribute name is too large"));
    }
    Ok(())
}
