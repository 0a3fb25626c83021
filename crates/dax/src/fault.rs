//! Errors as DAX's clients read them: a path of numbers through a tree of causes, a message, and what DynamoDB says.
//!
//! Clients choose their exceptions by the path where they know it, and by DynamoDB's code where they do not.

use partita_api::Failure;
use partita_model::{ErrorCode, Refusal, StoredItem};
use serde_json::Value;

use crate::cbor::{Malformed, Writer};
use crate::value;

/// Why a request is not answered with a result.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An operation has failed, or the caller may not ask for it.
    Failed(Box<Failure>),
    /// The client has to say who it is, again or at all. It does so at once, and asks again.
    WhoAreYou,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl From<partita_db::Error> for Fault {
    fn from(error: partita_db::Error) -> Self {
        Failure::from(error).into()
    }
}

impl From<Malformed> for Fault {
    fn from(Malformed(reason): Malformed) -> Self {
        Failure::from(Refusal::validation(reason)).into()
    }
}

/// What stands before the causes that DynamoDB names.
const DYNAMODB: [i64; 4] = [4, 37, 38, 39];
/// What stands before the causes of a connection that may not ask.
const AUTHENTICATION: [i64; 3] = [4, 23, 31];

/// The path of a code.
fn path(code: ErrorCode) -> Vec<i64> {
    use ErrorCode as Code;
    let last = match code {
        Code::ProvisionedThroughputExceededException => 40,
        Code::ResourceNotFoundException => 41,
        Code::AccessDeniedException => return vec![4, 37, 38, 42],
        Code::ConditionalCheckFailedException => 43,
        Code::ResourceInUseException => 45,
        Code::ValidationException | Code::SerializationException => 46,
        Code::InternalServerError => 47,
        Code::ItemCollectionSizeLimitExceededException => 48,
        Code::LimitExceededException => 49,
        Code::ThrottlingException => 50,
        Code::TransactionCanceledException => 58,
        Code::RequestLimitExceeded => 61,
        Code::UnrecognizedClientException
        | Code::MissingAuthenticationTokenException
        | Code::IncompleteSignatureException
        | Code::InvalidSignatureException
        | Code::ExpiredTokenException => return [&AUTHENTICATION[..], &[32]].concat(),
        _ => return [&DYNAMODB[..3], &[0]].concat(),
    };
    [&DYNAMODB[..], &[last]].concat()
}

/// Writes the answer that a request has failed. `items` makes what clients read of the items of a transaction's reasons,
/// by the places of its members.
pub fn write(fault: &Fault, request_id: &str, mut item: impl FnMut(usize, &StoredItem) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut out = Writer::with_capacity(256);
    let causes = |causes: &[i64], out: &mut Writer| {
        out.array(causes.len());
        causes.iter().for_each(|cause| out.int(*cause));
    };
    let Fault::Failed(failure) = fault else {
        causes(&[&AUTHENTICATION[..], &[33]].concat(), &mut out);
        out.text("The connection is not authenticated");
        out.array(3);
        out.text(request_id);
        out.text("MissingAuthenticationTokenException");
        out.int(400);
        return out.into_bytes();
    };
    let code = failure.refusal.code;
    causes(&path(code), &mut out);
    out.text(&failure.refusal.message);
    let reasons = reasons(failure);
    out.array(if reasons.is_some() { 4 } else { 3 });
    out.text(request_id);
    out.text(code.name());
    out.int(if code == ErrorCode::InternalServerError { 500 } else { 400 });
    if let Some(reasons) = reasons {
        out.array(3 * reasons.len());
        for (at, reason) in reasons.iter().enumerate() {
            let text = |name: &str, out: &mut Writer| match reason.get(name).and_then(Value::as_str) {
                Some(text) => out.text(text),
                None => out.null(),
            };
            text("Code", &mut out);
            text("Message", &mut out);
            let found = reason.get("Item").map(|json| StoredItem::from_item(&value::attributes(json)));
            match found.and_then(|found| item(at, &found)) {
                Some(bytes) => out.bytes(&bytes),
                None => out.null(),
            }
        }
    }
    out.into_bytes()
}

/// The reasons of a transaction that was canceled.
pub fn reasons(failure: &Failure) -> Option<Vec<Value>> {
    let (_, json) = failure.members.iter().find(|(member, _)| *member == "CancellationReasons")?;
    serde_json::from_slice(json).ok()
}
