//! Amazon Ion's text, in the mapping that exports and imports of DynamoDB have: numbers are decimals, sets are lists
//! with an annotation, binary values are blobs.
//!
//! Source: "DynamoDB to ion datatype conversion", Developer Guide, and the specification of Ion 1.0's text.

mod write;

pub use write::{change_line, item_line};

/// What annotates a set of strings.
pub const STRING_SET: &str = "$dynamodb_SS";
/// What annotates a set of numbers.
pub const NUMBER_SET: &str = "$dynamodb_NS";
/// What annotates a set of binary values.
pub const BINARY_SET: &str = "$dynamodb_BS";
