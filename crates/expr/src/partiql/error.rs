//! Why a statement is refused, in DynamoDB's words. Every error is a `ValidationException`.
//!
//! Wordings were measured against DynamoDB Local and, where both are known, against the service by the conformance
//! suite "dynamodb-conformance" (October 2026), which wins.

use partita_model::{NumberError, Refusal};

use super::lexer::Span;
use crate::error::{Error as ExpressionError, Problem};

/// Why a statement, or a statement with its parameters, is refused; its `Display` is the whole message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text has something that is no token. The service says no more.
    #[error("Statement wasn't well formed, can't be processed: ")]
    Unreadable,
    /// The text is no statement; with what the parser wanted.
    #[error("Statement wasn't well formed, can't be processed: {0}")]
    Malformed(String),
    /// A value has more than 32 levels of lists and maps.
    #[error(
        "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
    )]
    TooDeep,
    /// The statement is one, but DynamoDB does not do what it says.
    #[error("{0}")]
    Unsupported(String),
    /// The same, with the place in the text: line, column and length.
    #[error("{0} at {1}")]
    UnsupportedAt(String, Place),
    /// The statement has more `?` than there are parameters.
    #[error("Number of parameters in request and statement don't match.")]
    ParameterCount,
    /// The WHERE clause of a write does not name one item.
    #[error("Where clause does not contain a mandatory equality on all key attributes")]
    KeyNotFixed,
    /// A key attribute is compared with, or set to, a value of another type.
    #[error("Key attribute's data type should match its data type in table's schema: Key {0}")]
    KeyType(String),
    /// An inserted item lacks a key attribute.
    #[error("Key attribute should be present in the item: Key {0}")]
    KeyMissing(String),
    /// A key attribute is compared with an empty string or binary.
    #[error(
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty {1} value. Key: {0}"
    )]
    KeyEmpty(String, &'static str),
    /// A number that is none of DynamoDB's, with the path to it inside its value.
    #[error("{0} under {1}")]
    Number(NumberError, String),
    /// A condition, update or projection breaks a rule that all expressions share.
    #[error("{0}")]
    Expression(ExpressionError),
}

/// A place in a statement's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(Span);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Error {
    pub(super) fn malformed(wanted: &str) -> Self {
        Self::Malformed(wanted.to_owned())
    }

    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self::Unsupported(message.into())
    }

    pub(super) fn unsupported_at(message: impl Into<String>, span: Span) -> Self {
        Self::UnsupportedAt(message.into(), Place(span))
    }

    /// The rule of expressions that was broken. PartiQL does not name the expression that it is in, and names two paths
    /// that clash the other way round.
    pub(super) fn of_problem(problem: Problem) -> Self {
        Self::Unsupported(match problem {
            Problem::Overlap(one, two) => Problem::Overlap(two, one).to_string(),
            Problem::Conflict(one, two) => Problem::Conflict(two, one).to_string(),
            other => other.to_string(),
        })
    }
}

impl From<ExpressionError> for Error {
    fn from(error: ExpressionError) -> Self {
        match error {
            ExpressionError::Invalid { problem, .. } => Self::of_problem(problem),
            other => Self::Expression(other),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::validation(error.to_string())
    }
}
