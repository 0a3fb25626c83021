//! What infrastructure tools ask while they read a table of features this version does not have, answered as the service
//! answers for a table that does not use them.

use partita_db::tables::Described;

use super::Context;
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::inputs::{DescribeKinesisStreamingDestinationInput, ListGlobalTablesInput};
use crate::generated::outputs::{DescribeKinesisStreamingDestinationOutput, ListGlobalTablesOutput};
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

pub(crate) async fn list_global_tables(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { .. } = context.read::<ListGlobalTablesInput>(body).await?;
    Ok(json::to_vec(&ListGlobalTablesOutput { global_tables: Some(Vec::new()), ..ListGlobalTablesOutput::default() }))
}

async fn described(context: &Context<'_>, name_or_arn: Option<String>) -> Result<Described, Failure> {
    Ok(context.database.describe_table(&context.caller.scope, &name_or_arn.unwrap_or_default()).await?)
}
