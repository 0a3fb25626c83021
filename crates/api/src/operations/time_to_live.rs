//! UpdateTimeToLive, DescribeTimeToLive.

use partita_db::TimeToLiveState;

use super::Context;
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::enums::TimeToLiveStatus;
use crate::generated::inputs::{DescribeTimeToLiveInput, UpdateTimeToLiveInput};
use crate::generated::outputs::{DescribeTimeToLiveOutput, TimeToLiveDescription, UpdateTimeToLiveOutput};
use crate::json;
use crate::request::Decoded;

pub(crate) async fn update_time_to_live(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<UpdateTimeToLiveInput>(body).await?;
    let name = input.table_name.unwrap_or_default();
    let specification = input.time_to_live_specification.unwrap_or_default();
    let attribute = specification.attribute_name.as_deref().unwrap_or_default();
    let enabled = specification.enabled.unwrap_or_default();
    context.database.update_time_to_live(&context.caller.scope, &name, attribute, enabled).await?;
    Ok(json::to_vec(&UpdateTimeToLiveOutput { time_to_live_specification: Some(specification) }))
}

pub(crate) async fn describe_time_to_live(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DescribeTimeToLiveInput>(body).await?;
    let name = input.table_name.unwrap_or_default();
    let (status, attribute) = match context.database.describe_time_to_live(&context.caller.scope, &name).await? {
        TimeToLiveState::Disabled => (TimeToLiveStatus::Disabled, None),
        TimeToLiveState::Enabling { attribute } => (TimeToLiveStatus::Enabling, Some(attribute)),
        TimeToLiveState::Enabled { attribute } => (TimeToLiveStatus::Enabled, Some(attribute)),
    };
    let description = TimeToLiveDescription { time_to_live_status: Some(status), attribute_name: attribute };
    Ok(json::to_vec(&DescribeTimeToLiveOutput { time_to_live_description: Some(description) }))
}
