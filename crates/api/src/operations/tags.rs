//! TagResource, UntagResource, ListTagsOfResource.
//!
//! Their errors are not those of the model's constraints: the service has words of its own for tags.

use partita_model::Refusal;

use super::Context;
use super::tables::requests::tag;
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::inputs::{ListTagsOfResourceInput, TagResourceInput, UntagResourceInput};
use crate::generated::outputs::ListTagsOfResourceOutput;
use crate::generated::structures::Tag;
use crate::json;
use crate::request::Decoded;

pub(crate) async fn tag_resource(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.decode::<TagResourceInput>(body).await?;
    let arn = arn_given(input.resource_arn)?;
    let tags: Vec<_> = required(input.tags, "tags")?.into_iter().map(tag).collect();
    context.database.tag(&context.caller.scope, &arn, &tags).await?;
    Ok(json::to_vec(&()))
}

pub(crate) async fn untag_resource(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.decode::<UntagResourceInput>(body).await?;
    let arn = arn_given(input.resource_arn)?;
    let keys = required(input.tag_keys, "tagKeys")?;
    context.database.untag(&context.caller.scope, &arn, &keys).await?;
    Ok(json::to_vec(&()))
}

/// A table's tags all fit on one page, so there is never a token for the next.
pub(crate) async fn list_tags_of_resource(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.decode::<ListTagsOfResourceInput>(body).await?;
    let arn = arn_given(input.resource_arn)?;
    if input.next_token.is_some() {
        return Err(Refusal::validation("Invalid NextToken").into());
    }
    let tags = context.database.tags(&context.caller.scope, &arn).await?;
    let tags = tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
    Ok(json::to_vec(&ListTagsOfResourceOutput { tags: Some(tags), next_token: None }))
}

fn arn_given(arn: Option<String>) -> Result<String, Refusal> {
    arn.ok_or_else(|| Refusal::validation("Invalid TableArn"))
}

fn required<T>(value: Option<T>, member: &str) -> Result<T, Refusal> {
    value.ok_or_else(|| {
        Refusal::validation(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    })
}
