//! DescribeLimits and DescribeEndpoints.

use partita_db::tables::{MAX_ACCOUNT_UNITS, MAX_TABLE_UNITS};

use super::Context;
use crate::failure::Failure;
use crate::generated::inputs::{DescribeEndpointsRequest, DescribeLimitsInput};
use crate::generated::outputs::{DescribeEndpointsResponse, DescribeLimitsOutput, Endpoint};
use crate::json;
use crate::request::{self, Decoded};

/// How long a client may keep an endpoint ("DescribeEndpoints": the service says a day).
const ENDPOINT_MINUTES: i64 = 1440;

pub(crate) async fn describe_limits(_: &Context<'_>, body: &[u8]) -> Result<Vec<u8>, Failure> {
    let Decoded { .. } = request::read::<DescribeLimitsInput>(body)?;
    Ok(json::to_vec(&DescribeLimitsOutput {
        account_max_read_capacity_units: Some(MAX_ACCOUNT_UNITS),
        account_max_write_capacity_units: Some(MAX_ACCOUNT_UNITS),
        table_max_read_capacity_units: Some(MAX_TABLE_UNITS),
        table_max_write_capacity_units: Some(MAX_TABLE_UNITS),
    }))
}

/// The endpoint is whatever the client reached this server by.
pub(crate) async fn describe_endpoints(context: &Context<'_>, body: &[u8]) -> Result<Vec<u8>, Failure> {
    let Decoded { .. } = request::read::<DescribeEndpointsRequest>(body)?;
    let address =
        context.host.clone().unwrap_or_else(|| format!("dynamodb.{}.amazonaws.com", context.caller.scope.region));
    let endpoint = Endpoint { address: Some(address), cache_period_in_minutes: Some(ENDPOINT_MINUTES) };
    Ok(json::to_vec(&DescribeEndpointsResponse { endpoints: Some(vec![endpoint]) }))
}
