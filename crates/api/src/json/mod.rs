//! JSON as DynamoDB reads and writes it: requests are decoded from their bytes in one pass, responses are written in
//! one pass; neither goes through a tree of JSON values.
//!
//! `decoder` has the tokens and the errors of wrong types, `types` the decoding of plain types, `value` that of
//! attribute values, `encoder` the writing. Values are written by `partita-formats`. What a request must contain is in `constraints`, not here.

mod decoder;
mod encoder;
mod types;
mod value;

pub use decoder::{Decode, Decoder, Place, Serialization};
pub use encoder::{Encode, Object, to_vec};
pub use types::{Entries, Timestamp};

/// The Java package that errors name structures by.
pub const SHAPES: &str = "com.amazonaws.dynamodb.v20120810.";
