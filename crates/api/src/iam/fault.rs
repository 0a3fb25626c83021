//! What the query APIs answer when they fail: a status, a code and a message, in XML.

use std::borrow::Cow;

use partita_db::identity as stored;
use partita_model::{ErrorCode, Refusal};

use crate::failure::Failure;

/// A failed operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The HTTP status.
    pub(super) status: u16,
    /// The code.
    pub(super) code: &'static str,
    /// What is told.
    pub(super) message: Cow<'static, str>,
    /// What went wrong inside, for the log.
    pub(super) detail: Option<String>,
}

impl Fault {
    /// A refusal.
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), detail: None }
    }

    /// `ValidationError`.
    pub(super) fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    /// `InvalidInput`.
    pub(super) fn input(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "InvalidInput", message)
    }

    /// `NoSuchEntity`.
    pub(super) fn missing(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(404, "NoSuchEntity", message)
    }

    /// `MalformedPolicyDocument`.
    pub(super) fn malformed_policy(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "MalformedPolicyDocument", message)
    }

    /// `AccessDenied`.
    pub(super) fn denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    /// `ServiceFailure`: something failed inside. The detail is logged with the request's id.
    pub(super) fn internal(detail: impl Into<String>) -> Self {
        let message = "The request processing has failed because of an unknown error, exception or failure.";
        Self { detail: Some(detail.into()), ..Self::new(500, "ServiceFailure", message) }
    }

    /// Whether the client is at fault.
    pub(super) const fn is_senders(&self) -> bool {
        self.status < 500
    }
}

impl From<stored::Fault> for Fault {
    fn from(fault: stored::Fault) -> Self {
        use stored::FaultCode;
        match fault {
            stored::Fault::Refused { code, message } => {
                let status = match code {
                    FaultCode::EntityAlreadyExists | FaultCode::DeleteConflict | FaultCode::LimitExceeded => 409,
                    FaultCode::NoSuchEntity => 404,
                    FaultCode::InvalidInput | FaultCode::ValidationError => 400,
                };
                Self::new(status, code.name(), message)
            }
            stored::Fault::Failed(error) => error.into(),
        }
    }
}

impl From<partita_db::Error> for Fault {
    fn from(error: partita_db::Error) -> Self {
        match error {
            partita_db::Error::Contention => {
                let message = "The request was rejected because multiple requests to change this object were submitted \
                               simultaneously. Wait a few minutes and submit your request again.";
                Self::new(409, "ConcurrentModification", message)
            }
            other => Self::internal(other.to_string()),
        }
    }
}

impl From<Failure> for Fault {
    /// The refusals of authentication, which the query APIs give codes and statuses of their own.
    fn from(failure: Failure) -> Self {
        let Failure { refusal: Refusal { code, message }, detail, .. } = failure;
        let (status, code) = match code {
            ErrorCode::MissingAuthenticationTokenException => (403, "MissingAuthenticationToken"),
            ErrorCode::IncompleteSignatureException => (400, "IncompleteSignature"),
            ErrorCode::InvalidSignatureException => (403, "SignatureDoesNotMatch"),
            ErrorCode::UnrecognizedClientException => (403, "InvalidClientTokenId"),
            ErrorCode::ExpiredTokenException => (403, "ExpiredToken"),
            ErrorCode::AccessDeniedException => (403, "AccessDenied"),
            other => return Self::internal(detail.unwrap_or_else(|| format!("{}: {message}", other.name()))),
        };
        Self::new(status, code, message)
    }
}
