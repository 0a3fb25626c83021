//! `partita insights`: which keys of a table are accessed and throttled most, asked of a running server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderName, Request, StatusCode};
use partita_auth::sigv4::{SecretKey, SignError, Signer};
use partita_client::{Bounds, Client, ClientError, TrustError};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::options::{file, region, trust};

/// How long the server may take to answer, and the most of an answer that is read.
const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(5), total: Duration::from_secs(60), max_response_bytes: 16 << 20 };
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

#[derive(Debug, Args)]
pub struct InsightsOptions {
    /// The table
    table: String,

    /// A global secondary index of the table, instead of the table itself
    #[arg(long, value_name = "INDEX")]
    index: Option<String>,

    /// Switch contributor insights on; a ranking needs that
    #[arg(long, conflicts_with_all = ["disable"])]
    enable: bool,

    /// Switch contributor insights off, and forget the rankings
    #[arg(long)]
    disable: bool,

    /// With --enable: rank throttled keys alone, which costs nothing while nothing is throttled
    #[arg(long, requires = "enable")]
    throttled_only: bool,

    /// How far to look back, in minutes; the server remembers an hour
    #[arg(long, value_name = "NUMBER", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,

    /// How many keys to show of each ranking
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100))]
    top: u64,

    /// Where the server listens
    #[arg(long, env = "AWS_ENDPOINT_URL_DYNAMODB", value_name = "URL", default_value = "http://localhost:8000")]
    endpoint: String,

    /// Region of the table
    #[arg(long, env = "AWS_REGION", value_name = "REGION", default_value = "us-east-1", value_parser = region)]
    region: String,

    /// Access key, whose secret is in AWS_SECRET_ACCESS_KEY (and token in AWS_SESSION_TOKEN)
    #[arg(long, env = "AWS_ACCESS_KEY_ID", value_name = "KEY", default_value = "local", hide_env_values = true)]
    access_key: String,

    /// PEM file of certificates to trust beside the system's
    #[arg(long, env = "PARTITA_CA_FILE", value_name = "FILE", value_parser = file)]
    ca_file: Option<PathBuf>,

    /// Print the server's answers as JSON
    #[arg(long)]
    json: bool,
}

/// Why there is no answer. The text is for whoever typed the command.
#[derive(Debug, Error)]
enum Failure {
    #[error("{0} is not an endpoint such as http://localhost:8000")]
    Endpoint(String),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("{endpoint} can not be reached: {error}")]
    Unreachable { endpoint: String, error: ClientError },
    #[error("what answers at {0} is no Partita server")]
    Stranger(String),
    #[error("the request can not be signed: {0}")]
    Sign(#[from] SignError),
    #[error("{0}")]
    Refused(String),
    #[error("the system does not give what a client needs: {0}")]
    System(#[from] std::io::Error),
}

/// Runs the command.
pub fn run(options: InsightsOptions) -> ExitCode {
    let answer = Runtime::new().map_err(Failure::from).and_then(|runtime| runtime.block_on(ask(options)));
    match answer {
        Ok(text) => print!("{text}"),
        Err(failure) => {
            eprintln!("partita: {failure}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn ask(options: InsightsOptions) -> Result<String, Failure> {
    let server = Server { client: Client::new(trust(&options.ca_file)?), options: &options };
    let mut named = json!({ "TableName": options.table });
    if let Some(index) = &options.index {
        insert(&mut named, "IndexName", index.as_str().into());
    }
    if options.enable || options.disable {
        let mut body = named.clone();
        let action = if options.enable { "ENABLE" } else { "DISABLE" };
        insert(&mut body, "ContributorInsightsAction", action.into());
        if options.enable {
            let mode = if options.throttled_only { "THROTTLED_KEYS" } else { "ACCESSED_AND_THROTTLED_KEYS" };
            insert(&mut body, "ContributorInsightsMode", mode.into());
        }
        server.call("DynamoDB_20120810.UpdateContributorInsights", "dynamodb", &body).await?;
    }
    let described = server.call("DynamoDB_20120810.DescribeContributorInsights", "dynamodb", &named).await?;
    let rules = described.get("ContributorInsightsRuleList").and_then(Value::as_array).cloned().unwrap_or_default();
    let now = seconds_now();
    let mut reports = Vec::with_capacity(rules.len());
    for rule in rules {
        let body = json!({
            "RuleName": rule,
            "StartTime": now.saturating_sub(options.minutes.saturating_mul(60)),
            "EndTime": now.saturating_add(60),
            "Period": 60,
            "MaxContributorCount": options.top,
        });
        let report = server.call("GraniteServiceVersion20100801.GetInsightRuleReport", "monitoring", &body).await?;
        reports.push((rule.as_str().unwrap_or_default().to_owned(), report));
    }
    if options.json {
        let reports: Vec<Value> =
            reports.into_iter().map(|(rule, report)| json!({ "RuleName": rule, "Report": report })).collect();
        return Ok(format!("{:#}\n", json!({ "Insights": described, "Reports": reports })));
    }
    Ok(words(&described, &reports))
}

struct Server<'a> {
    client: Client,
    options: &'a InsightsOptions,
}

impl Server<'_> {
    async fn call(&self, target: &str, service: &str, body: &Value) -> Result<Value, Failure> {
        let endpoint = &self.options.endpoint;
        let stranger = || Failure::Stranger(endpoint.clone());
        let url = partita_api::delivery_url(endpoint).map_err(|_| Failure::Endpoint(endpoint.clone()))?;
        let mut request = Request::post(url)
            .header(CONTENT_TYPE, "application/x-amz-json-1.0")
            .header(TARGET, target)
            .body(body.to_string().into())
            .map_err(|_| Failure::Endpoint(endpoint.clone()))?;
        self.signer(service).sign(&mut request, seconds_now())?;
        let answer = self
            .client
            .send(request, BOUNDS)
            .await
            .map_err(|error| Failure::Unreachable { endpoint: endpoint.clone(), error })?;
        let body: Value = serde_json::from_slice(answer.body()).map_err(|_| stranger())?;
        if answer.status() == StatusCode::OK {
            return Ok(body);
        }
        let code = body.get("__type").and_then(Value::as_str).unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default();
        let message = ["message", "Message"].iter().find_map(|name| body.get(name)?.as_str());
        Err(Failure::Refused(format!("{} ({code})", message.unwrap_or("the server refuses"))))
    }

    /// Signs with the secret in the environment; a server that does not authenticate takes any.
    fn signer(&self, service: &str) -> Signer {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let secret = variable("AWS_SECRET_ACCESS_KEY");
        Signer {
            access_key: self.options.access_key.clone(),
            session_token: secret.as_ref().and_then(|_| variable("AWS_SESSION_TOKEN")),
            secret: SecretKey::new(secret.as_deref().unwrap_or("local")),
            region: self.options.region.clone(),
            service: service.to_owned(),
        }
    }
}

fn insert(body: &mut Value, name: &str, value: Value) {
    if let Some(members) = body.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The rankings in words.
fn words(described: &Value, reports: &[(String, Value)]) -> String {
    let of = |name: &str| described.get(name).and_then(Value::as_str);
    let resource = match of("IndexName") {
        Some(index) => format!("{}/{index}", of("TableName").unwrap_or_default()),
        None => of("TableName").unwrap_or_default().to_owned(),
    };
    let mut text = format!("{resource}: contributor insights {}", of("ContributorInsightsStatus").unwrap_or_default());
    if let Some(mode) = of("ContributorInsightsMode") {
        text += &format!(" ({mode})");
    }
    text.push('\n');
    if reports.is_empty() {
        text += "Switch them on with --enable; rankings begin then.\n";
    }
    for (rule, report) in reports {
        let (title, unit) = match rule.split('-').nth(1) {
            Some("PKC") => ("Most accessed partition keys", "units"),
            Some("SKC") => ("Most accessed items", "units"),
            Some("PKT") => ("Most throttled partition keys", "requests"),
            _ => ("Most throttled items", "requests"),
        };
        let number = |value: Option<&Value>| value.and_then(Value::as_f64).unwrap_or_default();
        let total = number(report.get("AggregateValue"));
        text += &format!("\n{title} ({total} {unit} in all)\n");
        for contributor in report.get("Contributors").and_then(Value::as_array).into_iter().flatten() {
            let value = number(contributor.get("ApproximateAggregateValue"));
            let error = number(contributor.get("ApproximateError"));
            let share = if total > 0.0 { value / total * 100.0 } else { 0.0 };
            let keys = contributor.get("Keys").and_then(Value::as_array).into_iter().flatten();
            let keys: Vec<String> = keys.filter_map(Value::as_str).map(printable).collect();
            let about = if error > 0.0 { format!(" (or up to {error} less)") } else { String::new() };
            text += &format!("  {value:>12}  {share:>5.1} %  {}{about}\n", keys.join("  "));
        }
    }
    text
}

/// A key as a terminal may show it: control characters of strangers do nothing there.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rankings_are_shown_with_shares_and_errors() {
        let described = json!({
            "TableName": "Music", "IndexName": "by-year", "ContributorInsightsStatus": "ENABLED",
            "ContributorInsightsMode": "ACCESSED_AND_THROTTLED_KEYS",
        });
        let report = json!({
            "AggregateValue": 200.0,
            "Contributors": [
                {"Keys": ["a\u{1b}[2J", "1"], "ApproximateAggregateValue": 150.5, "ApproximateError": 0.0},
                {"Keys": ["b"], "ApproximateAggregateValue": 20.0, "ApproximateError": 3.0},
            ],
        });
        let text = words(&described, &[("DynamoDBContributorInsights-SKC-Music-1".to_owned(), report)]);
        assert_eq!(
            text,
            "Music/by-year: contributor insights ENABLED (ACCESSED_AND_THROTTLED_KEYS)\n\n\
             Most accessed items (200 units in all)\n\
             \u{20}        150.5   75.2 %  a\u{fffd}[2J  1\n\
             \u{20}           20   10.0 %  b (or up to 3 less)\n"
        );
    }
}
