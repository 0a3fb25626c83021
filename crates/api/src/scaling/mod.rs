//! Application Auto Scaling's JSON API, as far as it is about DynamoDB, on the same endpoint: which operation a request is
//! for, who may ask for it, and the form of answers and errors.
//!
//! `asked` is what requests say, `handlers` what is done. Shapes and constraints are those of the service's public model,
//! of 2016-02-06; they are few, so they are written by hand.

mod asked;
mod handlers;

use http::{HeaderName, Method};
use partita_db::scaling::Fault;
use partita_model::ErrorCode;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::http::{Request, Response};
use crate::operations::Context;

/// The content type of JSON 1.1.
const JSON: &str = "application/x-amz-json-1.1";
/// What the targets of the service begin with.
const TARGET: &str = "AnyScaleFrontendService";
const TARGET_HEADER: HeaderName = HeaderName::from_static("x-amz-target");
/// The service that requests are signed for.
pub(crate) const SERVICES: &[&str] = &["application-autoscaling"];
/// Where its calls come from in the audit log.
pub(crate) const SOURCE: &str = "application-autoscaling.amazonaws.com";

macro_rules! operations {
    ($($name:ident)*) => {
        /// An operation of the service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum ScalingOperation { $($name,)* }

        impl ScalingOperation {
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// The operation's name.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The action that policies judge.
            const fn action(self) -> &'static str {
                match self { $(Self::$name => concat!("application-autoscaling:", stringify!($name)),)* }
            }
        }
    };
}

operations! {
    RegisterScalableTarget
    DeregisterScalableTarget
    DescribeScalableTargets
    PutScalingPolicy
    DeleteScalingPolicy
    DescribeScalingPolicies
    PutScheduledAction
    DeleteScheduledAction
    DescribeScheduledActions
    DescribeScalingActivities
    TagResource
    UntagResource
    ListTagsForResource
}

/// Whether a request is the service's, and then its operation, if there is one of the name.
pub(crate) fn operation(request: &Request) -> Option<Option<ScalingOperation>> {
    if request.method != Method::POST {
        return None;
    }
    operation_of(request.headers.get(TARGET_HEADER)?.to_str().ok()?)
}

/// The same of an `X-Amz-Target` header.
pub(crate) fn operation_of(target: &str) -> Option<Option<ScalingOperation>> {
    let (TARGET, name) = target.split_once('.')? else { return None };
    Some(ScalingOperation::ALL.iter().copied().find(|operation| operation.name() == name))
}

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum Refused {
    /// In the service's own codes.
    Fault(Fault),
    /// As elsewhere: who asks, and what they may.
    Failure(Failure),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<partita_db::Error> for Refused {
    fn from(error: partita_db::Error) -> Self {
        Self::Fault(Fault::Failed(error))
    }
}

/// Answers a request of the service from somebody who is known.
pub(crate) async fn answer(context: &Context<'_>, operation: Option<ScalingOperation>, request: &Request) -> Response {
    let done = match operation {
        Some(operation) => handlers::execute(context, operation, &request.body).await,
        None => {
            let fault = Fault::Refused("UnknownOperationException", String::new());
            Err(Refused::Fault(fault))
        }
    };
    match done {
        Ok(answer) => Response::new(200, JSON, answer.to_string()),
        Err(refused) => error(refused, request),
    }
}

/// The response that tells a client why nothing was done.
pub(crate) fn error(refused: Refused, request: &Request) -> Response {
    let (status, code, message) = match refused {
        Refused::Fault(Fault::Refused(code, message)) => (400, code, message),
        Refused::Fault(Fault::Failed(partita_db::Error::Refused(refusal))) => {
            (400, "ValidationException", refusal.message.into_owned())
        }
        Refused::Fault(Fault::Failed(partita_db::Error::Contention)) => {
            let message = "Another update of the same scalable target is under way. Try again.";
            (400, "ConcurrentUpdateException", message.to_owned())
        }
        Refused::Fault(Fault::Failed(error)) => internal(&error.to_string(), request),
        Refused::Failure(failure) if failure.refusal.code == ErrorCode::InternalServerError => {
            internal(failure.detail.as_deref().unwrap_or_default(), request)
        }
        Refused::Failure(Failure { refusal, .. }) => {
            (refusal.code.status(), refusal.code.name(), refusal.message.into_owned())
        }
    };
    let body: Value = json!({ "__type": code, "Message": message });
    Response::new(status, JSON, body.to_string())
}

fn internal(detail: &str, request: &Request) -> (u16, &'static str, String) {
    tracing::error!(request_id = request.request_id, detail, "failed inside");
    (500, "InternalServiceException", format!("Internal service error, request {}", request.request_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_the_service_name_operations() {
        assert_eq!(
            operation_of("AnyScaleFrontendService.PutScalingPolicy"),
            Some(Some(ScalingOperation::PutScalingPolicy))
        );
        assert_eq!(operation_of("AnyScaleFrontendService.GetPredictiveScalingForecast"), Some(None));
        assert_eq!(operation_of("DynamoDB_20120810.PutItem"), None);
        assert_eq!(ScalingOperation::TagResource.action(), "application-autoscaling:TagResource");
    }
}
