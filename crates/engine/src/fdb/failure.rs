//! What FoundationDB's error codes mean to the contract.

use foundationdb::FdbError;

use crate::contract::{EngineError, Reason};

const TRANSACTION_TOO_OLD: i32 = 1007;
const FUTURE_VERSION: i32 = 1009;
const NOT_COMMITTED: i32 = 1020;
const TIMED_OUT: i32 = 1031;
const TOO_MANY_WATCHES: i32 = 1032;
const TRANSACTION_TOO_LARGE: i32 = 2101;

/// How a commit failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Not applied: something that was read has changed.
    Conflict,
    /// Not applied: the read version is forgotten.
    TooOld,
    /// Not applied: larger than the cluster takes.
    TooLarge,
    /// Not applied, and may be tried again as it is.
    Again,
    /// Applied or not.
    Unknown,
    /// Not applied, and trying again does not help.
    Failed,
}

/// What a failure is called of a transaction that was not sent: what would be unknown is known then.
pub(super) fn not_sent(error: FdbError) -> FdbError {
    if outcome(error) == Outcome::Unknown { FdbError::from_code(FUTURE_VERSION) } else { error }
}

pub(super) fn outcome(error: FdbError) -> Outcome {
    match error.code() {
        NOT_COMMITTED => Outcome::Conflict,
        TRANSACTION_TOO_OLD => Outcome::TooOld,
        TRANSACTION_TOO_LARGE => Outcome::TooLarge,
        // A commit that has run out of time may be on its way.
        TIMED_OUT => Outcome::Unknown,
        FUTURE_VERSION => Outcome::Again,
        _ if error.is_maybe_committed() => Outcome::Unknown,
        _ if error.is_retryable() => Outcome::Again,
        _ => Outcome::Failed,
    }
}

/// Whether a read that failed so may be tried again on the same transaction.
pub(super) fn read_again(error: FdbError) -> bool {
    error.code() != TRANSACTION_TOO_OLD && error.is_retryable()
}

pub(super) fn too_many_watches(error: FdbError) -> bool {
    error.code() == TOO_MANY_WATCHES
}

/// Whether a transaction has lived longer than it may.
pub(super) fn timed_out(error: FdbError) -> bool {
    error.code() == TIMED_OUT
}

pub(super) fn engine(error: FdbError) -> EngineError {
    match error.code() {
        TRANSACTION_TOO_OLD => EngineError::TooOld,
        _ => EngineError::Unavailable(reason(error)),
    }
}

pub(super) fn reason(error: FdbError) -> Reason {
    Reason::new(format_args!("FoundationDB: {error} ({})", error.code()))
}
