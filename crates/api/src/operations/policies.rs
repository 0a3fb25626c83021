//! PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy, and the policy of a new table.

use partita_auth::policy::{DocumentKind, MAX_RESOURCE, Policy, PolicyError, canonical, canonical_as_answered};
use partita_db::TableArn;
use partita_model::Refusal;

use super::Context;
use crate::authorize::{Body, RESOURCE_ACTIONS};
use crate::failure::Failure;
use crate::generated::inputs::{DeleteResourcePolicyInput, GetResourcePolicyInput, PutResourcePolicyInput};
use crate::generated::outputs::{DeleteResourcePolicyOutput, GetResourcePolicyOutput, PutResourcePolicyOutput};
use crate::json;
use crate::request::Decoded;

/// What messages about parameters begin with.
const INVALID: &str = "One or more parameter values were invalid: ";

pub(crate) async fn put_resource_policy(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<PutResourcePolicyInput>(body).await?;
    let arn = checked_arn(input.resource_arn)?;
    let document = input.policy.unwrap_or_default();
    let (policy, document) = checked_document(&document)?;
    if input.confirm_remove_self_resource_access != Some(true) && !context.keeps_control(&arn, policy) {
        return Err(Refusal::validation(format!(
            "{INVALID}The new resource-based policy would not let you change the policy of this resource any more. Set \
             ConfirmRemoveSelfResourceAccess to true to attach it all the same"
        ))
        .into());
    }
    let expected = input.expected_revision_id.as_deref();
    let revision = context.database.set_resource_policy(&arn, Some(document), expected).await?;
    Ok(json::to_vec(&PutResourcePolicyOutput { revision_id: revision }))
}

pub(crate) async fn get_resource_policy(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<GetResourcePolicyInput>(body).await?;
    let found = context.database.resource_policy(&checked_arn(input.resource_arn)?).await?;
    let document = canonical_as_answered(&found.document).unwrap_or(found.document);
    Ok(json::to_vec(&GetResourcePolicyOutput { policy: Some(document), revision_id: Some(found.revision) }))
}

pub(crate) async fn delete_resource_policy(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DeleteResourcePolicyInput>(body).await?;
    let arn = checked_arn(input.resource_arn)?;
    let expected = input.expected_revision_id.as_deref();
    let revision = context.database.set_resource_policy(&arn, None, expected).await?;
    Ok(json::to_vec(&DeleteResourcePolicyOutput { revision_id: revision }))
}

/// A document that may be a table's or stream's policy, and the form in which it is kept.
///
/// # Errors
/// `ValidationException` when it breaks a rule of such policies.
pub(super) fn checked_document(document: &str) -> Result<(Policy, String), Refusal> {
    if document.len() > MAX_RESOURCE {
        return Err(Refusal::validation(format!("{INVALID}Maximum policy size of {MAX_RESOURCE} bytes exceeded")));
    }
    let refused = |error: PolicyError| Refusal::validation(error.to_string());
    let policy = Policy::parse(document, DocumentKind::Resource).map_err(refused)?;
    let unknown = policy.actions_outside(&RESOURCE_ACTIONS);
    if unknown.is_empty() {
        return Ok((policy, canonical(document).map_err(refused)?));
    }
    let names: Vec<String> = unknown.iter().map(|name| format!("\"{name}\"")).collect();
    let names = names.join(", ");
    Err(Refusal::validation(format!(
        "{INVALID}Invalid policy document: The following action names are invalid: {names}"
    )))
}

/// The ARN of a table or stream.
fn checked_arn(arn: Option<String>) -> Result<String, Refusal> {
    let arn = arn.unwrap_or_default();
    let invalid = |detail: &str| Err(Refusal::validation(format!("{INVALID}{detail}: {arn}")));
    if !arn.starts_with("arn:") {
        return invalid("ARNs must start with 'arn:'");
    }
    match TableArn::parse(&arn) {
        None => invalid("Provided Arn is not a DynamoDB resource arn"),
        Some(TableArn { rest: Some(rest), .. }) if !rest.starts_with("stream/") => {
            invalid("Invalid resource arn provided, only table or stream is accepted. Provided resource arn")
        }
        Some(_) => Ok(arn),
    }
}
