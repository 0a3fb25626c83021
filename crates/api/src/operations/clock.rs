//! Partita's own operation on the clock, for tests: `AdvanceClock` moves the database's time on, where the server was
//! started with a clock for tests; elsewhere there is no such operation.

use std::time::Duration;

use partita_model::{ErrorCode, Refusal};
use serde::{Deserialize, Serialize};

use super::Context;
use crate::authorize::{Named, Place};
use crate::failure::Failure;

/// The target of the operation.
pub(crate) const TARGET: &str = "Partita_20261122.AdvanceClock";
/// The furthest that one request moves the clock: ten years, in seconds.
const MAX_SECONDS: u64 = 10 * 366 * 24 * 60 * 60;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Input {
    /// How far to move it.
    seconds: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    /// What it shows then, in seconds since the epoch.
    time: u64,
}

pub(crate) async fn advance(context: &Context<'_>, body: &[u8]) -> Result<Vec<u8>, Failure> {
    let unknown = || Failure::from(Refusal::new(ErrorCode::UnknownOperationException, ""));
    if !context.database.has_test_clock() {
        return Err(unknown());
    }
    context.authorize(&[Named::new("partita:AdvanceClock", Place::Any)]).await?;
    let Input { seconds } = serde_json::from_slice(body)
        .map_err(|error| Refusal::validation(format!("The request is not valid: {error}")))?;
    if seconds > MAX_SECONDS {
        return Err(Refusal::validation(format!("Seconds can be at most {MAX_SECONDS}")).into());
    }
    let time_ms = context.database.advance_clock(Duration::from_secs(seconds)).ok_or_else(unknown)?;
    serde_json::to_vec(&Output { time: time_ms / 1000 }).map_err(|error| Failure::internal(error.to_string()))
}
