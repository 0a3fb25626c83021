//! DescribeLimits and DescribeEndpoints.

use http::header::HOST;
use partita_db::tables::{MAX_ACCOUNT_UNITS, MAX_TABLE_UNITS};

use super::Context;
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::inputs::{DescribeEndpointsRequest, DescribeLimitsInput};
use crate::generated::outputs::{DescribeEndpointsResponse, DescribeLimitsOutput, Endpoint};
use crate::json;
use crate::request::Decoded;

/// How long a client may keep an endpoint ("DescribeEndpoints": the service says a day).
const ENDPOINT_MINUTES: i64 = 1440;

pub(crate) async fn describe_limits(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { .. } = context.read::<DescribeLimitsInput>(body).await?;
    Ok(json::to_vec(&DescribeLimitsOutput {
        account_max_read_capacity_units: Some(MAX_ACCOUNT_UNITS),
        account_max_write_capacity_units: Some(MAX_ACCOUNT_UNITS),
        table_max_read_capacity_units: Some(MAX_TABLE_UNITS),
        table_max_write_capacity_units: Some(MAX_TABLE_UNITS),
    }))
}

/// The endpoint is whatever the client reached this server by.
pub(crate) async fn describe_endpoints(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { .. } = context.read::<DescribeEndpointsRequest>(body).await?;
    let address = context
        .header(HOST)
        .map_or_else(|| format!("dynamodb.{}.amazonaws.com", context.caller.scope.region), str::to_owned);
    let endpoint = Endpoint { address: Some(address), cache_period_in_minutes: Some(ENDPOINT_MINUTES) };
    Ok(json::to_vec(&DescribeEndpointsResponse { endpoints: Some(vec![endpoint]) }))
}
