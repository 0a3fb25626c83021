//! Rows of CSV as RFC 4180 has them: quotes around a field, doubled inside it. All values are strings, but for the columns
//! that are keys of the table or its indexes, which have the types of those.
//!
//! Source: "Amazon S3 import formats for DynamoDB: CSV", DynamoDB Developer Guide.

use std::collections::HashSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use partita_model::{AttributeMap, AttributeValue, Number};

use super::{Malformed, check_name, map};

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Strings.
    S,
    /// Numbers.
    N,
    /// Binary data in Base64.
    B,
}

/// The columns of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    delimiter: u8,
    columns: Vec<(String, ColumnType)>,
}

impl Columns {
    /// The columns of these names, left to right.
    ///
    /// # Errors
    /// When a name is empty, too long or occurs twice.
    pub fn new(
        delimiter: u8,
        names: Vec<String>,
        type_of: impl Fn(&str) -> Option<ColumnType>,
    ) -> Result<Self, Malformed> {
        let mut seen = HashSet::with_capacity(names.len());
        for name in &names {
            check_name(name)
                .map_err(|_| Malformed::new("The header has a column without a name, or with one that is too long"))?;
            if !seen.insert(name.as_str()) {
                return Err(Malformed(format!("The header has the column {name} twice")));
            }
        }
        let typed = |name: String| {
            let kind = type_of(&name).unwrap_or(ColumnType::S);
            (name, kind)
        };
        Ok(Self { delimiter, columns: names.into_iter().map(typed).collect() })
    }

    /// The columns that a file's first row names.
    ///
    /// # Errors
    /// When the row is not one of CSV, or as for `new`.
    pub fn of_header(
        delimiter: u8,
        row: &[u8],
        type_of: impl Fn(&str) -> Option<ColumnType>,
    ) -> Result<Self, Malformed> {
        let names = fields(row, delimiter)?;
        Self::new(delimiter, names, type_of)
    }

    /// Their names, left to right.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// The item of a row.
    ///
    /// # Errors
    /// When the row is not one of CSV, has more or fewer fields than there are columns, or a field is not of its
    /// column's type.
    pub fn item(&self, row: &[u8]) -> Result<AttributeMap, Malformed> {
        let fields = fields(row, self.delimiter)?;
        if fields.len() != self.columns.len() {
            return Err(Malformed(format!(
                "The row has {} values, and the header has {} columns",
                fields.len(),
                self.columns.len()
            )));
        }
        let pairs = self.columns.iter().zip(fields).map(|((name, kind), text)| {
            let value = match kind {
                ColumnType::S => AttributeValue::S(text),
                ColumnType::N => AttributeValue::N(Number::parse(&text).map_err(|error| Malformed(error.to_string()))?),
                ColumnType::B => {
                    let bytes = BASE64_STANDARD.decode(text.as_bytes());
                    let bytes = bytes.map_err(|_| Malformed(format!("The value of {name} is not Base64")))?;
                    AttributeValue::B(bytes.into())
                }
            };
            Ok((name.clone(), value))
        });
        map(pairs.collect::<Result<_, Malformed>>()?)
    }
}

/// The fields of a row, unquoted.
fn fields(row: &[u8], delimiter: u8) -> Result<Vec<String>, Malformed> {
    let row = std::str::from_utf8(row).map_err(|_| Malformed::new("The row is not UTF-8"))?;
    let row = row.strip_suffix('\r').unwrap_or(row);
    let delimiter = char::from(delimiter);
    let mut fields = Vec::new();
    let mut rest = row;
    loop {
        let field;
        (field, rest) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = rest.find(delimiter).unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                if field.contains('"') {
                    return Err(Malformed::new("A value with quotes in it is not quoted"));
                }
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match rest.strip_prefix(delimiter) {
            Some(after) => rest = after,
            None if rest.is_empty() => return Ok(fields),
            None => return Err(Malformed::new("A quoted value is followed by something else than a delimiter")),
        }
    }
}

/// A field whose opening quote is gone, and what follows the closing one.
fn unquoted(mut rest: &str) -> Result<(String, &str), Malformed> {
    let mut field = String::new();
    loop {
        let (text, after) = rest.split_once('"').ok_or_else(|| Malformed::new("A quoted value has no end"))?;
        field.push_str(text);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Ok((field, after)),
        }
    }
}
