//! What infrastructure tools ask while they read a table of features this version does not have, answered as the service
//! answers for a table that does not use them.

use partita_db::tables::Described;
use partita_model::{ErrorCode, Refusal};

use super::Context;
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::enums::ContributorInsightsStatus;
use crate::generated::inputs::{
    DescribeContributorInsightsInput, DescribeKinesisStreamingDestinationInput, ListContributorInsightsInput,
    ListGlobalTablesInput,
};
use crate::generated::outputs::{
    DescribeContributorInsightsOutput, DescribeKinesisStreamingDestinationOutput, ListContributorInsightsOutput,
    ListGlobalTablesOutput,
};
use crate::json;
use crate::request::Decoded;

pub(crate) async fn describe_kinesis_streaming_destination(
    context: &Context<'_>,
    body: Body<'_>,
) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DescribeKinesisStreamingDestinationInput>(body).await?;
    let described = described(context, input.table_name).await?;
    Ok(json::to_vec(&DescribeKinesisStreamingDestinationOutput {
        table_name: Some(described.record.name),
        kinesis_data_stream_destinations: Some(Vec::new()),
    }))
}

pub(crate) async fn describe_contributor_insights(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DescribeContributorInsightsInput>(body).await?;
    let record = described(context, input.table_name).await?.record;
    if let Some(index) = &input.index_name
        && !record.global_indexes.iter().any(|global| global.name == *index)
    {
        return Err(Refusal::new(
            ErrorCode::ResourceNotFoundException,
            format!("Requested resource not found: Index: {index} not found for table: {}", record.name),
        )
        .into());
    }
    Ok(json::to_vec(&DescribeContributorInsightsOutput {
        table_name: Some(record.name),
        index_name: input.index_name,
        contributor_insights_status: Some(ContributorInsightsStatus::Disabled),
        ..DescribeContributorInsightsOutput::default()
    }))
}

pub(crate) async fn list_contributor_insights(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<ListContributorInsightsInput>(body).await?;
    if input.table_name.is_some() {
        described(context, input.table_name).await?;
    }
    let none = ListContributorInsightsOutput { contributor_insights_summaries: Some(Vec::new()), next_token: None };
    Ok(json::to_vec(&none))
}

pub(crate) async fn list_global_tables(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { .. } = context.read::<ListGlobalTablesInput>(body).await?;
    Ok(json::to_vec(&ListGlobalTablesOutput { global_tables: Some(Vec::new()), ..ListGlobalTablesOutput::default() }))
}

async fn described(context: &Context<'_>, name_or_arn: Option<String>) -> Result<Described, Failure> {
    Ok(context.database.describe_table(&context.caller.scope, &name_or_arn.unwrap_or_default()).await?)
}
