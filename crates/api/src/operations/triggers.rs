//! Partita's own operations, on triggers. DynamoDB has none like them: their targets begin with `Partita_20261122`, their
//! members are named as those of Lambda's event source mappings. Requests and answers are plain JSON.

use http::Uri;
use partita_db::TableArn;
use partita_db::trigger::{NewTrigger, StartingPosition, Trigger, TriggerSettings, TriggerStatus};
use partita_model::{ErrorCode, Refusal};
use serde::{Deserialize, Serialize};

use super::Context;
use crate::authorize::{Body, Named, Place, own_action};
use crate::failure::Failure;

/// What the targets of these operations begin with.
const TARGET: &str = "Partita_20261122";
/// What stands for "without limit" in requests and answers.
const UNLIMITED: i64 = -1;

/// An operation on triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerOperation {
    /// Makes a trigger.
    CreateTrigger,
    /// Shows the triggers of the caller's account and region.
    ListTriggers,
    /// Shows a trigger.
    DescribeTrigger,
    /// Changes, pauses or resumes a trigger.
    UpdateTrigger,
    /// Deletes a trigger.
    DeleteTrigger,
}

impl TriggerOperation {
    const ALL: [Self; 5] =
        [Self::CreateTrigger, Self::ListTriggers, Self::DescribeTrigger, Self::UpdateTrigger, Self::DeleteTrigger];

    /// The operation's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateTrigger => "CreateTrigger",
            Self::ListTriggers => "ListTriggers",
            Self::DescribeTrigger => "DescribeTrigger",
            Self::UpdateTrigger => "UpdateTrigger",
            Self::DeleteTrigger => "DeleteTrigger",
        }
    }

    /// The operation that an `X-Amz-Target` header names.
    #[must_use]
    pub fn from_target(target: &str) -> Option<Self> {
        let (TARGET, name) = target.split_once('.')? else { return None };
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

/// The URL of a receiver: `http` or `https`, with a host, without credentials.
///
/// # Errors
/// `ValidationException` for any other URL.
pub fn delivery_url(url: &str) -> Result<Uri, Refusal> {
    let refuse = |why: &str| Err(Refusal::validation(format!("Url can not be delivered to: {why}")));
    let Ok(parsed) = url.parse::<Uri>() else { return refuse("it is not a URL such as http://localhost:3000/events") };
    match parsed.scheme_str() {
        Some("http" | "https") => {}
        _ => return refuse("it must begin with http:// or https://"),
    }
    let authority = parsed.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    if authority.contains('@') {
        return refuse("it must not carry a user name or password, as everyone who lists triggers would see them");
    }
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    if parsed.host().unwrap_or_default().is_empty() || port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return refuse("it needs a host, and a port from 0 to 65535 if it names one");
    }
    Ok(parsed)
}

/// Executes an operation and returns the response's body.
pub(crate) async fn execute(
    context: &Context<'_>,
    operation: TriggerOperation,
    body: &[u8],
) -> Result<Vec<u8>, Failure> {
    let body = Body::new(body);
    let body = context.own(body);
    let action = own_action(operation);
    match operation {
        TriggerOperation::CreateTrigger => {
            let input: CreateInput = read(body)?;
            let source = input.table_name.iter().chain(&input.stream_arn).next().map_or("", String::as_str);
            let stream = stream_of(context, source).await?;
            let mut named = vec![
                Named::new(action, trigger(&input.trigger_name)),
                // Whoever says where records go to reads them.
                Named::new(READS, Place::Stream(stream.into())),
            ];
            named.extend(dead_letters(input.dead_letter_table_name.as_deref()));
            context.authorize(&named).await?;
            create(context, input).await
        }
        TriggerOperation::ListTriggers => {
            let input = read(body)?;
            context.authorize(&[Named::new(action, Place::Any)]).await?;
            list(context, input).await
        }
        TriggerOperation::DescribeTrigger => {
            let input: NameInput = read(body)?;
            context.authorize(&[Named::new(action, trigger(&input.trigger_name))]).await?;
            describe(context, input).await
        }
        TriggerOperation::UpdateTrigger => {
            let input: UpdateInput = read(body)?;
            let mut named = vec![Named::new(action, trigger(&input.trigger_name))];
            let dead_letters = dead_letters(input.dead_letter_table_name.as_deref());
            // Dead letters hold the records themselves, so whoever says where they go reads them, too.
            let redirects = input.url.is_some() || dead_letters.is_some();
            named.extend(dead_letters);
            context.authorize(&named).await?;
            if redirects && context.caller.principal.is_some() {
                let source = context.database.trigger(&context.caller.scope, &input.trigger_name).await?.stream_arn;
                context.authorize(&[Named::new(READS, Place::Stream(source.into()))]).await?;
            }
            update(context, input).await
        }
        TriggerOperation::DeleteTrigger => {
            let input: NameInput = read(body)?;
            context.authorize(&[Named::new(action, trigger(&input.trigger_name))]).await?;
            delete(context, input).await
        }
    }
}

/// What delivering a stream's records does.
const READS: &str = "dynamodb:GetRecords";

fn trigger(name: &str) -> Place<'_> {
    Place::Trigger(name.into())
}

/// What a dead-letter table is for.
fn dead_letters(table: Option<&str>) -> Option<Named<'_>> {
    let table = table.filter(|table| !table.is_empty())?;
    Some(Named::new("dynamodb:PutItem", Place::Table(table.into())))
}

/// The ARN of the stream that a source is: a stream's ARN as it stands, or the stream that a table has.
async fn stream_of(context: &Context<'_>, source: &str) -> Result<String, Failure> {
    let scope = &context.caller.scope;
    if context.caller.principal.is_none() || TableArn::parse(source).is_some_and(|arn| arn.rest.is_some()) {
        return Ok(source.to_owned());
    }
    Ok(match context.database.find_table(scope, source).await? {
        Some(table) => {
            let label = table.record.stream.as_ref().map_or("*", |stream| stream.label.as_str());
            format!("{}/stream/{label}", table.arn())
        }
        None => format!("{}/stream/*", scope.table_arn(TableArn::parse(source).map_or(source, |arn| arn.table))),
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateInput {
    trigger_name: String,
    /// A table, or the ARN of a stream.
    table_name: Option<String>,
    stream_arn: Option<String>,
    starting_position: Option<Start>,
    enabled: Option<bool>,
    url: String,
    // Flattening does not go with the refusal of unknown members.
    batch_size: Option<u32>,
    maximum_batching_window_in_seconds: Option<u32>,
    maximum_retry_attempts: Option<i64>,
    maximum_record_age_in_seconds: Option<i64>,
    bisect_batch_on_function_error: Option<bool>,
    dead_letter_table_name: Option<String>,
    timeout_in_seconds: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdateInput {
    trigger_name: String,
    enabled: Option<bool>,
    url: Option<String>,
    batch_size: Option<u32>,
    maximum_batching_window_in_seconds: Option<u32>,
    maximum_retry_attempts: Option<i64>,
    maximum_record_age_in_seconds: Option<i64>,
    bisect_batch_on_function_error: Option<bool>,
    /// An empty name takes the dead-letter table away.
    dead_letter_table_name: Option<String>,
    timeout_in_seconds: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct NameInput {
    trigger_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListInput {}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Start {
    TrimHorizon,
    Latest,
}

/// What a request says of a trigger's settings.
#[derive(Debug)]
struct Changes {
    url: Option<String>,
    batch_size: Option<u32>,
    window_seconds: Option<u32>,
    max_retries: Option<Option<u32>>,
    max_age_seconds: Option<Option<u32>>,
    bisect: Option<bool>,
    dead_letter: Option<String>,
    timeout_seconds: Option<u32>,
}

impl Changes {
    fn apply(&self, settings: &mut TriggerSettings) {
        fn set<T: Clone>(place: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                place.clone_from(value);
            }
        }
        set(&mut settings.url, self.url.as_ref());
        set(&mut settings.batch_size, self.batch_size.as_ref());
        set(&mut settings.window_seconds, self.window_seconds.as_ref());
        set(&mut settings.max_retries, self.max_retries.as_ref());
        set(&mut settings.max_age_seconds, self.max_age_seconds.as_ref());
        set(&mut settings.bisect, self.bisect.as_ref());
        set(&mut settings.timeout_seconds, self.timeout_seconds.as_ref());
        if let Some(table) = &self.dead_letter {
            settings.dead_letter = Some(table.clone()).filter(|table| !table.is_empty());
        }
    }
}

async fn create(context: &Context<'_>, input: CreateInput) -> Result<Vec<u8>, Failure> {
    let source = match (input.table_name, input.stream_arn) {
        (Some(source), None) | (None, Some(source)) => source,
        _ => return Err(Refusal::validation("Exactly one of TableName and StreamArn is needed").into()),
    };
    delivery_url(&input.url)?;
    let changes = Changes {
        url: None,
        batch_size: input.batch_size,
        window_seconds: input.maximum_batching_window_in_seconds,
        max_retries: limit("MaximumRetryAttempts", input.maximum_retry_attempts)?,
        max_age_seconds: limit("MaximumRecordAgeInSeconds", input.maximum_record_age_in_seconds)?,
        bisect: input.bisect_batch_on_function_error,
        dead_letter: input.dead_letter_table_name,
        timeout_seconds: input.timeout_in_seconds,
    };
    let mut settings = TriggerSettings::new(input.url);
    changes.apply(&mut settings);
    let new = NewTrigger {
        name: input.trigger_name,
        source,
        start: match input.starting_position {
            Some(Start::TrimHorizon) => StartingPosition::TrimHorizon,
            Some(Start::Latest) | None => StartingPosition::Latest,
        },
        enabled: input.enabled.unwrap_or(true),
        settings,
    };
    let trigger = context.database.create_trigger(&context.caller.scope, new).await?;
    Ok(one(&shown(&trigger, None)))
}

async fn list(context: &Context<'_>, ListInput {}: ListInput) -> Result<Vec<u8>, Failure> {
    let mut triggers = Vec::new();
    for trigger in context.database.triggers(&context.caller.scope).await? {
        let status = context.database.trigger_status(&trigger).await?;
        triggers.push(shown(&trigger, Some(status)));
    }
    Ok(written(&serde_json::json!({ "Triggers": triggers })))
}

async fn describe(context: &Context<'_>, input: NameInput) -> Result<Vec<u8>, Failure> {
    let trigger = context.database.trigger(&context.caller.scope, &input.trigger_name).await?;
    let status = context.database.trigger_status(&trigger).await?;
    Ok(one(&shown(&trigger, Some(status))))
}

async fn update(context: &Context<'_>, input: UpdateInput) -> Result<Vec<u8>, Failure> {
    if let Some(url) = &input.url {
        delivery_url(url)?;
    }
    let changes = Changes {
        url: input.url,
        batch_size: input.batch_size,
        window_seconds: input.maximum_batching_window_in_seconds,
        max_retries: limit("MaximumRetryAttempts", input.maximum_retry_attempts)?,
        max_age_seconds: limit("MaximumRecordAgeInSeconds", input.maximum_record_age_in_seconds)?,
        bisect: input.bisect_batch_on_function_error,
        dead_letter: input.dead_letter_table_name,
        timeout_seconds: input.timeout_in_seconds,
    };
    let change = |settings: &mut TriggerSettings, enabled: &mut bool| {
        changes.apply(settings);
        *enabled = input.enabled.unwrap_or(*enabled);
    };
    let trigger = context.database.update_trigger(&context.caller.scope, &input.trigger_name, change).await?;
    Ok(one(&shown(&trigger, None)))
}

async fn delete(context: &Context<'_>, input: NameInput) -> Result<Vec<u8>, Failure> {
    let trigger = context.database.delete_trigger(&context.caller.scope, &input.trigger_name).await?;
    Ok(one(&shown(&trigger, None)))
}

/// A limit that -1 takes away.
fn limit(name: &str, given: Option<i64>) -> Result<Option<Option<u32>>, Refusal> {
    match given {
        None => Ok(None),
        Some(UNLIMITED) => Ok(Some(None)),
        Some(given) => match u32::try_from(given) {
            Ok(given) => Ok(Some(Some(given))),
            Err(_) => Err(Refusal::validation(format!("{name} must be -1 for no limit, or a number of its range"))),
        },
    }
}

/// A trigger as answers show it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown {
    trigger_name: String,
    trigger_id: String,
    stream_arn: String,
    url: String,
    state: &'static str,
    starting_position: Start,
    batch_size: u32,
    maximum_batching_window_in_seconds: u32,
    maximum_retry_attempts: i64,
    maximum_record_age_in_seconds: i64,
    bisect_batch_on_function_error: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_table_name: Option<String>,
    timeout_in_seconds: u32,
    creation_time: f64,
    last_modified: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<ShownStatus>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownStatus {
    stream_status: &'static str,
    records_behind: usize,
    /// Whether there are more than were counted.
    records_behind_is_lower_bound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_undelivered_time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_undelivered_age_in_seconds: Option<f64>,
    delivered_records: u64,
    dead_lettered_records: u64,
    discarded_records: u64,
    failing: Vec<ShownFailing>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownFailing {
    shard_id: String,
    attempts: u32,
    failures: u32,
    last_error: String,
    last_failure_time: f64,
}

fn shown(trigger: &Trigger, status: Option<TriggerStatus>) -> Shown {
    let settings = trigger.settings.clone();
    Shown {
        trigger_name: trigger.name.clone(),
        trigger_id: trigger.id.clone(),
        stream_arn: trigger.stream_arn.clone(),
        url: settings.url,
        state: if trigger.enabled { "ENABLED" } else { "PAUSED" },
        starting_position: match trigger.start {
            StartingPosition::TrimHorizon => Start::TrimHorizon,
            StartingPosition::Latest => Start::Latest,
        },
        batch_size: settings.batch_size,
        maximum_batching_window_in_seconds: settings.window_seconds,
        maximum_retry_attempts: settings.max_retries.map_or(UNLIMITED, i64::from),
        maximum_record_age_in_seconds: settings.max_age_seconds.map_or(UNLIMITED, i64::from),
        bisect_batch_on_function_error: settings.bisect,
        dead_letter_table_name: settings.dead_letter,
        timeout_in_seconds: settings.timeout_seconds,
        creation_time: seconds(trigger.created_ms),
        last_modified: seconds(trigger.changed_ms),
        status: status.map(shown_status),
    }
}

fn shown_status(status: TriggerStatus) -> ShownStatus {
    let failing = status.failing.into_iter().filter_map(|(shard_id, progress)| {
        let failing = progress.failing?;
        Some(ShownFailing {
            shard_id,
            attempts: failing.pieces.first().map_or(0, |piece| piece.attempts),
            failures: failing.failures,
            last_error: failing.error,
            last_failure_time: seconds(failing.failed_ms),
        })
    });
    ShownStatus {
        stream_status: match status.stream_enabled {
            Some(true) => "ENABLED",
            Some(false) => "DISABLED",
            None => "GONE",
        },
        records_behind: status.behind,
        records_behind_is_lower_bound: status.more,
        oldest_undelivered_time: status.oldest_ms.map(seconds),
        oldest_undelivered_age_in_seconds: status.oldest_ms.map(|oldest| seconds(status.at_ms.saturating_sub(oldest))),
        delivered_records: status.tally.delivered,
        dead_lettered_records: status.tally.dead_lettered,
        discarded_records: status.tally.discarded,
        failing: failing.collect(),
    }
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn one(trigger: &Shown) -> Vec<u8> {
    written(&serde_json::json!({ "Trigger": trigger }))
}

fn written(answer: &serde_json::Value) -> Vec<u8> {
    answer.to_string().into_bytes()
}

/// Decodes a request: unknown members are refused, as a misspelt limit would be none.
fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Refusal::validation(error.to_string()),
        _ => Refusal::new(ErrorCode::SerializationException, ""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_and_https_urls_are_delivered_to() {
        for good in [
            "http://localhost",
            "http://127.0.0.1:3000/events?a=b",
            "http://[::1]:80/",
            "HTTP://example.com/",
            "https://example.com/",
            "https://[::1]:8443/",
        ] {
            assert!(delivery_url(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("ftp://example.com/", "http://"),
            ("localhost:3000", "http"),
            ("/events", "http://"),
            ("", "not a URL"),
            ("http://", "not a URL"),
            ("http://user:secret@example.com/", "password"),
            ("http://example.com:99999/", "port"),
            ("http://exa mple.com/", "not a URL"),
        ] {
            let refusal = delivery_url(bad).unwrap_err();
            assert!(refusal.message.contains(why), "{bad}: {refusal}");
            assert!(!refusal.message.contains("secret"));
        }
    }

    #[test]
    fn targets_name_operations() {
        for operation in TriggerOperation::ALL {
            let target = format!("{TARGET}.{}", operation.name());
            assert_eq!(TriggerOperation::from_target(&target), Some(operation));
        }
        for wrong in ["CreateTrigger", "Partita_20261122.", "Partita_20261122.createTrigger", "Partita.CreateTrigger"] {
            assert_eq!(TriggerOperation::from_target(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn misspelt_members_are_refused() {
        let body = br#"{"TriggerName":"a","TableName":"t","Url":"http://localhost/","BatchSise":5}"#;
        let refusal = read::<CreateInput>(body).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::ValidationException);
        assert!(refusal.message.contains("BatchSise"), "{refusal}");
        assert_eq!(read::<CreateInput>(b"{").unwrap_err().code, ErrorCode::SerializationException);
    }

    #[test]
    fn minus_one_takes_a_limit_away() {
        assert_eq!(limit("A", None), Ok(None));
        assert_eq!(limit("A", Some(-1)), Ok(Some(None)));
        assert_eq!(limit("A", Some(7)), Ok(Some(Some(7))));
        for wrong in [-2, i64::MAX] {
            assert!(limit("A", Some(wrong)).is_err(), "{wrong}");
        }
    }
}
