//! Why an operation of the database did not happen.

use partita_engine::{CommitError, EngineError};
use partita_model::{ErrorCode, Refusal, StoredItem};

use crate::throttle::Throttled;

/// What a request is told that meets a transaction ("TransactionCanceledException", `TransactionConflict`).
const TRANSACTION_IS_ONGOING: &str = "Transaction is ongoing for the item";

/// What the database's operations return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The request breaks a rule; the client is told which.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The condition of a single write was false.
    #[error("the conditional request failed")]
    ConditionFailed {
        /// The item as it is, when the request asks for it and it exists.
        item: Option<StoredItem>,
    },
    /// A transaction did not happen.
    #[error("the transaction was canceled")]
    TransactionCanceled {
        /// One for each member, in order.
        reasons: Vec<CancellationReason>,
    },
    /// The table or an index of it has no throughput left for the request.
    #[error("throttled: {}", .0.refusal().message)]
    Throttled(Box<Throttled>),
    /// The same keys are written too often at once; the client may try again.
    #[error("too many conflicting writes")]
    Contention,
    /// Something failed inside. Logged, never shown.
    #[error("{0}")]
    Internal(String),
}

/// Why one member of a transaction stood against it; without a code when it did not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CancellationReason {
    /// `None` for a member that had nothing against the transaction, otherwise `ConditionalCheckFailed`,
    /// `ItemCollectionSizeLimitExceeded`, `TransactionConflict`, `ProvisionedThroughputExceeded`, `ThrottlingError`,
    /// `ValidationError` or `DuplicateItem`.
    pub code: Option<&'static str>,
    /// What went wrong.
    pub message: Option<String>,
    /// The item as it is, when the member asks for it.
    pub item: Option<StoredItem>,
}

impl CancellationReason {
    /// That another transaction has the item.
    pub(crate) fn conflict() -> Self {
        Self { code: Some("TransactionConflict"), message: Some(TRANSACTION_IS_ONGOING.to_owned()), item: None }
    }
}

impl Error {
    /// The refusal of a single write whose item a transaction has.
    pub(crate) fn transaction_conflict() -> Self {
        Self::refused(ErrorCode::TransactionConflictException, TRANSACTION_IS_ONGOING)
    }

    /// A `ValidationException` with this message.
    pub fn validation(message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::Refused(Refusal::validation(message))
    }

    /// A refusal with this code.
    pub fn refused(code: ErrorCode, message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::Refused(Refusal::new(code, message))
    }

    /// The refusal of data operations when there is no such table.
    #[must_use]
    pub fn table_not_found() -> Self {
        Self::refused(ErrorCode::ResourceNotFoundException, "Requested resource not found")
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict | CommitError::TooOld => Self::Contention,
            CommitError::TooLarge | CommitError::Invalid(_) | CommitError::Unavailable(_) => {
                Self::Internal(error.to_string())
            }
        }
    }
}

impl From<partita_expr::Error> for Error {
    fn from(error: partita_expr::Error) -> Self {
        Self::Refused(error.into())
    }
}
