//! What an operation answers when it fails: a refusal and, for some codes, further members of the error.

use std::fmt::Write as _;

use partita_model::{ErrorCode, Refusal, StoredItem};

use crate::generated::outputs::{CancellationReason, ThrottlingReason};
use crate::json::{Encode, to_vec};

/// A failed operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub struct Failure {
    /// The code and message.
    pub refusal: Refusal,
    /// Further members of the error, each with its JSON.
    pub members: Vec<(&'static str, Vec<u8>)>,
    /// What went wrong inside, for the log; clients never see it.
    pub detail: Option<String>,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, members: Vec::new(), detail: None }
    }
}

impl Failure {
    /// The same with one more member.
    #[must_use]
    pub fn with(mut self, member: &'static str, value: &impl Encode) -> Self {
        self.members.push((member, to_vec(value)));
        self
    }

    /// `InternalServerError`: something failed inside. The detail is logged with the request's id.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        let refusal = Refusal::new(ErrorCode::InternalServerError, "Internal server error");
        Self { refusal, members: Vec::new(), detail: Some(detail.into()) }
    }

    /// `ConditionalCheckFailedException` with the item that the condition was decided on, if the request wants it.
    #[must_use]
    pub fn condition_failed(item: Option<&StoredItem>) -> Self {
        let failure =
            Self::from(Refusal::new(ErrorCode::ConditionalCheckFailedException, "The conditional request failed"));
        match item {
            Some(item) => failure.with("Item", item),
            None => failure,
        }
    }

    /// `TransactionCanceledException` with one reason for each action; the code of an action without fault is `None`.
    #[must_use]
    pub fn canceled(reasons: &[CancellationReason]) -> Self {
        let mut message = "Transaction cancelled, please refer cancellation reasons for specific reasons [".to_owned();
        for (index, reason) in reasons.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            let written = write!(message, "{separator}{}", reason.code.as_deref().unwrap_or("None"));
            debug_assert!(written.is_ok());
        }
        message.push(']');
        let mut list = Vec::new();
        encode_list(reasons, &mut list);
        Self {
            refusal: Refusal::new(ErrorCode::TransactionCanceledException, message),
            members: vec![("CancellationReasons", list)],
            detail: None,
        }
    }

    /// A throttled request with the reasons for it.
    #[must_use]
    pub fn throttled(refusal: Refusal, reasons: &[ThrottlingReason]) -> Self {
        let mut list = Vec::new();
        encode_list(reasons, &mut list);
        let member = match refusal.code {
            ErrorCode::ThrottlingException => "throttlingReasons",
            _ => "ThrottlingReasons",
        };
        Self { refusal, members: vec![(member, list)], detail: None }
    }
}

fn encode_list(elements: &[impl Encode], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        element.encode(out);
    }
    out.push(b']');
}
