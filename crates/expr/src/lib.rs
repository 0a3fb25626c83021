//! DynamoDB's expressions: condition, filter, key-condition, projection and update, and the legacy parameters that
//! they replaced.
//!
//! A text is parsed once (`Parsed…`, shared through `ParseCache`), bound to a request's names and values (`Bindings`),
//! and then evaluated against items or their stored form. Everything is pure, and no input makes it recurse further
//! than the 32 steps of a path. Reading and writing items is the business of the `db` crate.

mod bindings;
mod cache;
mod condition;
mod error;
mod key;
pub mod legacy;
mod parse;
pub mod partiql;
mod path;
mod projection;
mod reserved;
#[cfg(test)]
mod sample;
mod token;
mod update;
mod visit;

pub use bindings::{Bindings, MAX_PLACEHOLDER_BYTES, MAX_PLACEHOLDERS_BYTES};
pub use cache::ParseCache;
pub use condition::Condition;
pub use error::{Bound, Error, Kind, Placeholders, Problem};
pub use key::{KeyCondition, KeyConditions, KeyNames, KeyShape, SortRange};
pub use parse::{
    MAX_EXPRESSION_BYTES, MAX_IN_OPERANDS, MAX_OPERATORS, ParsedCondition, ParsedProjection, ParsedUpdate,
};
pub use path::{Element, MAX_PATH_ELEMENTS, Path};
pub use projection::Projection;
pub use update::{Update, Updated};
