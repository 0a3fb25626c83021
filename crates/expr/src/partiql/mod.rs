//! PartiQL, the SQL that DynamoDB speaks: parsed here, and lowered onto the same conditions, updates and key conditions
//! as the JSON API's expressions, so that what they mean is written once.
//!
//! `Statement::parse` needs nothing but the text and tells which table the statement is about. The rest of its rules
//! needs the table's key and the request's parameters, and so comes with `select`, `insert`, `update`, `delete` and
//! `exists`, which give what the database works with. Reading and writing are not here but in the `db` crate.

mod attributes;
mod condition;
mod error;
mod keys;
mod lexer;
mod literal;
mod parser;
mod paths;
#[cfg(test)]
mod print;
#[cfg(test)]
mod properties;
mod selection;
mod statement;
#[cfg(test)]
mod tests;
mod tree;
mod update;
mod words;

pub use error::{Error, Place};
pub use keys::Plan;
pub use selection::Selection;
pub use statement::{
    BoundDelete, BoundExists, BoundSelect, BoundUpdate, Keys, MAX_STATEMENT_CHARACTERS, Returning, Statement,
    StatementKind,
};
