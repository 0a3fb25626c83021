//! DynamoDB's data: values, numbers, items and their stored form, keys, sizes, table schemas and error codes.
//!
//! Everything here is pure: no I/O, no async, no knowledge of JSON or of a storage engine. JSON lives in the `api`
//! crate, expressions in `expr`, and storage in `engine` and `db`.

pub mod error;
pub mod item;
pub mod key;
pub mod number;
pub mod schema;
pub mod size;
pub mod stored;
pub mod value;

pub use error::{ErrorCode, Refusal};
pub use item::{AttributeMap, Document, Item};
pub use number::{Number, NumberError};
pub use stored::{StoredElements, StoredItem, StoredMap, StoredText, ValueRef};
pub use value::{AttributeType, AttributeValue};
