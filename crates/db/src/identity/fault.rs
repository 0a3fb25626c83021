//! Why something was not done to an identity, by IAM's codes.

use crate::Error;

/// What operations on identities return.
pub type Outcome<T> = std::result::Result<T, Fault>;

/// Why an operation on identities did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// The request breaks a rule; the client is told which.
    #[error("{}: {message}", code.name())]
    Refused {
        /// IAM's code.
        code: FaultCode,
        /// What is told.
        message: String,
    },
    /// The store failed, or too many changes came at once.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// IAM's codes of refusals that depend on what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultCode {
    /// There is one already.
    EntityAlreadyExists,
    /// There is none.
    NoSuchEntity,
    /// Something still hangs on it.
    DeleteConflict,
    /// A quota is used up.
    LimitExceeded,
    /// A value makes no sense here.
    InvalidInput,
    /// A parameter breaks the service's rules.
    ValidationError,
}

impl FaultCode {
    /// The code as clients see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EntityAlreadyExists => "EntityAlreadyExists",
            Self::NoSuchEntity => "NoSuchEntity",
            Self::DeleteConflict => "DeleteConflict",
            Self::LimitExceeded => "LimitExceeded",
            Self::InvalidInput => "InvalidInput",
            Self::ValidationError => "ValidationError",
        }
    }
}

impl Fault {
    /// A refusal.
    pub fn new(code: FaultCode, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }

    /// `NoSuchEntity`.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(FaultCode::NoSuchEntity, message)
    }

    /// `EntityAlreadyExists`.
    pub fn exists(message: impl Into<String>) -> Self {
        Self::new(FaultCode::EntityAlreadyExists, message)
    }

    /// `DeleteConflict`.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(FaultCode::DeleteConflict, message)
    }

    /// `LimitExceeded` for a quota of this name.
    #[must_use]
    pub fn quota(name: &str, most: usize) -> Self {
        Self::new(FaultCode::LimitExceeded, format!("Cannot exceed quota for {name}: {most}"))
    }
}
