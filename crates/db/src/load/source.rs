//! Where the items of a load come from, and where what is told of them goes.

use std::collections::HashMap;

use partita_formats::read::{ColumnType, Form};
use serde::{Deserialize, Serialize};

use crate::record::TableRecord;

/// How the items of a load are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputFormat {
    /// Lines of DynamoDB JSON.
    DynamoDbJson,
    /// Structs of Ion's text.
    Ion,
    /// Comma-separated values.
    Csv,
}

/// How objects are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// Not at all.
    None,
    /// As gzip does, in one member or several.
    Gzip,
    /// As zstd does, in one frame or several.
    Zstd,
}

/// `CsvOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvOptions {
    /// What stands between two fields; `None` means a comma.
    #[serde(default)]
    pub delimiter: Option<u8>,
    /// The columns of every object; `None` when the first row of each names them.
    #[serde(default)]
    pub headers: Option<Vec<String>>,
}

/// The objects that a load reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadSource {
    /// The bucket's name.
    pub bucket: String,
    /// The account that owns it, when the request says so.
    #[serde(default)]
    pub owner: Option<String>,
    /// What the keys of the objects begin with; empty for all.
    pub prefix: String,
    /// How their items are written.
    pub format: InputFormat,
    /// How they are packed.
    pub compression: Compression,
    /// Of CSV only.
    #[serde(default)]
    pub csv: CsvOptions,
}

impl LoadSource {
    pub(super) fn form(&self) -> Form {
        match self.format {
            InputFormat::DynamoDbJson => Form::DynamoDbJson,
            InputFormat::Ion => Form::Ion,
            InputFormat::Csv => Form::Csv(self.csv.delimiter.unwrap_or(b',')),
        }
    }
}

/// Where a bulk operation writes what it tells of items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPlace {
    /// The bucket's name.
    pub bucket: String,
    /// The account that owns it, when the request says so.
    #[serde(default)]
    pub owner: Option<String>,
    /// What the keys of the objects begin with.
    pub prefix: String,
    /// Whether it tells of items that could not be read or are none of the table.
    pub errors: bool,
    /// Whether it tells of items whose conditions were false.
    pub failed_conditions: bool,
    /// Whether the bucket's service is asked to encrypt: under keys of its own, or under those of its key management.
    #[serde(default)]
    pub encryption: Option<OutputEncryption>,
}

/// How the bucket's service is asked to encrypt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputEncryption {
    /// Under keys of its own.
    Aes256,
    /// Under a key of its key management service.
    Kms(Option<String>),
}

/// The types of the columns that are keys of a table or its indexes: all attributes that it defines.
pub(super) fn column_types(table: &TableRecord) -> HashMap<String, ColumnType> {
    let typed = table.attributes.iter().map(|(name, kind)| {
        let kind = match kind.as_str() {
            "N" => ColumnType::N,
            "B" => ColumnType::B,
            _ => ColumnType::S,
        };
        (name.clone(), kind)
    });
    typed.collect()
}
