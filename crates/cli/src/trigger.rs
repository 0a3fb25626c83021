//! `partita trigger`: makes, shows and changes the triggers of a running server, through its own API.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use partita_auth::sigv4::{SecretKey, SignError, Signer};
use partita_client::{Bounds, Client, ClientError, TrustError};
use serde_json::{Map, Value, json};
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::options::{file, region, trust};

/// How long the server may take to answer, and the most of an answer that is read.
const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(5), total: Duration::from_secs(60), max_response_bytes: 16 << 20 };
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// What stands for "without limit" on the command line, and in requests.
const UNLIMITED: (&str, i64) = ("unlimited", -1);

#[derive(Debug, Args)]
pub struct TriggerOptions {
    /// Where the server listens
    #[arg(
        long,
        global = true,
        env = "AWS_ENDPOINT_URL_DYNAMODB",
        value_name = "URL",
        default_value = "http://localhost:8000"
    )]
    endpoint: String,

    /// Region of the triggers and their tables
    #[arg(
        long,
        global = true,
        env = "AWS_REGION",
        value_name = "REGION",
        default_value = "us-east-1",
        value_parser = region
    )]
    region: String,

    /// Access key, whose secret is in AWS_SECRET_ACCESS_KEY (and token in AWS_SESSION_TOKEN)
    ///
    /// Where the server does not authenticate, no secret is needed, and a key of twelve digits names the account.
    #[arg(
        long,
        global = true,
        env = "AWS_ACCESS_KEY_ID",
        value_name = "KEY",
        default_value = "local",
        hide_env_values = true
    )]
    access_key: String,

    /// PEM file of certificates to trust beside the system's
    ///
    /// For an endpoint of https whose certificate is self-signed or from an authority of your own.
    #[arg(long, global = true, env = "PARTITA_CA_FILE", value_name = "FILE", value_parser = file)]
    ca_file: Option<PathBuf>,

    /// Print the server's answer as JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Deliver a table's changes to a URL from now on
    Create(Create),
    /// Show all triggers and how far each is behind
    List,
    /// Show a trigger, how far it is behind, and what it is stuck on
    Show(Name),
    /// Change a trigger; what is not named stays
    Update(Update),
    /// Delete a trigger
    Delete(Name),
    /// Stop delivering; the trigger keeps its place, and records wait for up to 24 hours
    Pause(Name),
    /// Go on delivering
    Resume(Name),
}

#[derive(Debug, Args)]
struct Name {
    /// The trigger's name
    name: String,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true))]
struct Create {
    /// The trigger's name: up to 64 letters, digits, dots, dashes and underscores
    name: String,

    /// Table whose changes are delivered; its stream must be enabled
    #[arg(long, value_name = "TABLE", group = "source")]
    table: Option<String>,

    /// ARN of the stream to deliver, instead of a table
    #[arg(long, value_name = "ARN", group = "source")]
    stream: Option<String>,

    /// Where batches are posted to: an http or https URL
    #[arg(long, value_name = "URL")]
    url: String,

    /// Where in the stream to begin
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = From::Latest)]
    from: From,

    /// Do not deliver before `partita trigger resume`
    #[arg(long)]
    paused: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct Update {
    /// The trigger's name
    name: String,

    /// Where batches are posted to: an http or https URL
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Give records up without writing them to a table
    #[arg(long, conflicts_with = "dead_letter")]
    no_dead_letter: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct Settings {
    /// The most records of a batch, 1 to 10,000 (100 for a new trigger)
    #[arg(long, value_name = "RECORDS")]
    batch_size: Option<u32>,

    /// How long to wait for a batch to fill, 0 to 300 seconds (0 for a new trigger)
    #[arg(long, value_name = "SECONDS")]
    window: Option<u32>,

    /// How often a batch that the receiver fails on is tried again, or `unlimited` (so for a new trigger)
    #[arg(long, value_name = "TIMES", value_parser = limit)]
    retries: Option<i64>,

    /// How old a record may be when it is delivered, in seconds, or `unlimited` (so for a new trigger)
    #[arg(long, value_name = "SECONDS", value_parser = limit)]
    max_age: Option<i64>,

    /// Whether to halve a batch that the receiver fails on, to find the record at fault (false for a new trigger)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    bisect: Option<bool>,

    /// Table that receives the records that are given up; its key must be of strings
    #[arg(long, value_name = "TABLE")]
    dead_letter: Option<String>,

    /// How long the receiver may take to answer, 1 to 900 seconds (30 for a new trigger)
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    /// With the oldest record there is, up to 24 hours old
    TrimHorizon,
    /// With what changes from now on
    Latest,
}

/// Why it did not work. The text is for the operator.
#[derive(Debug, Error)]
enum Failure {
    #[error("the endpoint is no URL: {0}")]
    Endpoint(String),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("the server at {endpoint} does not answer: {error}")]
    Unreachable { endpoint: String, error: ClientError },
    #[error("{0}")]
    Refused(String),
    #[error("the server at {0} does not answer as Partita does")]
    Stranger(String),
    #[error(transparent)]
    Signing(#[from] SignError),
    #[error("the system does not give what a client needs: {0}")]
    System(#[from] std::io::Error),
}

/// Runs one command.
pub fn run(options: TriggerOptions) -> ExitCode {
    let json = options.json;
    let answer = Runtime::new().map_err(Failure::from).and_then(|runtime| runtime.block_on(ask(options)));
    match answer {
        Ok(answer) if json => println!("{answer:#}"),
        Ok(answer) => print!("{}", words(&answer)),
        Err(failure) => {
            eprintln!("partita: {failure}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn ask(options: TriggerOptions) -> Result<Value, Failure> {
    let TriggerOptions { endpoint, region, access_key, ca_file, action, .. } = options;
    let (operation, body) = request(action);
    let url =
        partita_api::delivery_url(&endpoint).map_err(|refusal| Failure::Endpoint(refusal.message.into_owned()))?;
    let target = HeaderValue::try_from(format!("Partita_20261122.{operation}"))
        .map_err(|_| Failure::Stranger(endpoint.clone()))?;
    let mut request = Request::post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(TARGET, target)
        .body(body.to_string().into())
        .map_err(|error| Failure::Endpoint(error.to_string()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    signer(access_key, region).sign(&mut request, now)?;
    let answer = Client::new(trust(&ca_file)?)
        .send(request, BOUNDS)
        .await
        .map_err(|error| Failure::Unreachable { endpoint: endpoint.clone(), error })?;
    let body: Value = serde_json::from_slice(answer.body()).map_err(|_| Failure::Stranger(endpoint.clone()))?;
    if answer.status() == StatusCode::OK {
        return Ok(body);
    }
    let code = body.get("__type").and_then(Value::as_str).unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    let message = ["message", "Message"].iter().find_map(|name| body.get(name)?.as_str());
    Err(Failure::Refused(match message {
        Some(message) => format!("{message} ({code})"),
        None => format!("the server answered {} {code}", answer.status().as_u16()),
    }))
}

/// Signs with the secret in the environment. Without one, a server that does not authenticate still reads region and
/// account from the signature, and any other refuses it.
fn signer(access_key: String, region: String) -> Signer {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let secret = variable("AWS_SECRET_ACCESS_KEY");
    Signer {
        access_key,
        session_token: secret.as_ref().and_then(|_| variable("AWS_SESSION_TOKEN")),
        secret: SecretKey::new(secret.as_deref().unwrap_or("local")),
        region,
        service: "dynamodb".to_owned(),
    }
}

/// The operation that an action asks for, and its request.
fn request(action: Action) -> (&'static str, Value) {
    let named = |name: String| json!({ "TriggerName": name });
    match action {
        Action::Create(create) => {
            let mut body = create.settings.members();
            body.insert("TriggerName".to_owned(), create.name.into());
            body.insert("Url".to_owned(), create.url.into());
            body.insert("Enabled".to_owned(), (!create.paused).into());
            let from = match create.from {
                From::TrimHorizon => "TRIM_HORIZON",
                From::Latest => "LATEST",
            };
            body.insert("StartingPosition".to_owned(), from.into());
            for (member, source) in [("TableName", create.table), ("StreamArn", create.stream)] {
                if let Some(source) = source {
                    body.insert(member.to_owned(), source.into());
                }
            }
            ("CreateTrigger", body.into())
        }
        Action::List => ("ListTriggers", json!({})),
        Action::Show(Name { name }) => ("DescribeTrigger", named(name)),
        Action::Update(update) => {
            let mut body = update.settings.members();
            body.insert("TriggerName".to_owned(), update.name.into());
            if let Some(url) = update.url {
                body.insert("Url".to_owned(), url.into());
            }
            if update.no_dead_letter {
                body.insert("DeadLetterTableName".to_owned(), "".into());
            }
            ("UpdateTrigger", body.into())
        }
        Action::Delete(Name { name }) => ("DeleteTrigger", named(name)),
        Action::Pause(Name { name }) => ("UpdateTrigger", json!({ "TriggerName": name, "Enabled": false })),
        Action::Resume(Name { name }) => ("UpdateTrigger", json!({ "TriggerName": name, "Enabled": true })),
    }
}

impl Settings {
    fn members(self) -> Map<String, Value> {
        let members = [
            ("BatchSize", self.batch_size.map(Value::from)),
            ("MaximumBatchingWindowInSeconds", self.window.map(Value::from)),
            ("MaximumRetryAttempts", self.retries.map(Value::from)),
            ("MaximumRecordAgeInSeconds", self.max_age.map(Value::from)),
            ("BisectBatchOnFunctionError", self.bisect.map(Value::from)),
            ("DeadLetterTableName", self.dead_letter.map(Value::from)),
            ("TimeoutInSeconds", self.timeout.map(Value::from)),
        ];
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// An answer in words: a table of triggers, or one of them line by line.
fn words(answer: &Value) -> String {
    if let Some(triggers) = answer.get("Triggers").and_then(Value::as_array) {
        let head = ["NAME", "STATE", "BEHIND", "OLDEST", "DELIVERED", "GIVEN UP", "FAILING", "URL"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(triggers.iter().map(row));
        return aligned(&rows);
    }
    let Some(trigger) = answer.get("Trigger").and_then(Value::as_object) else { return format!("{answer:#}\n") };
    let status = trigger.get("Status").and_then(Value::as_object);
    let mut rows = Vec::new();
    for (name, value) in trigger.iter().filter(|(name, _)| *name != "Status").chain(status.into_iter().flatten()) {
        match value {
            Value::Array(failing) => {
                for shard in failing {
                    let text = |name: &str| shard.get(name).map(plain).unwrap_or_default();
                    let error = format!("{} ({} failures)", text("LastError"), text("Failures"));
                    rows.push([format!("Failing {}", text("ShardId")), error]);
                }
            }
            value => rows.push([name.clone(), plain(value)]),
        }
    }
    aligned(&rows)
}

/// A line of the table of triggers.
fn row(trigger: &Value) -> [String; 8] {
    let of = |value: Option<&Value>| value.map(plain).unwrap_or_default();
    let status = |name: &str| trigger.get("Status").and_then(|status| status.get(name));
    let more = status("RecordsBehindIsLowerBound") == Some(&Value::Bool(true));
    let oldest = status("OldestUndeliveredAgeInSeconds").and_then(Value::as_f64);
    let given_up = ["DeadLetteredRecords", "DiscardedRecords"].map(|name| status(name).and_then(Value::as_u64));
    [
        of(trigger.get("TriggerName")),
        of(trigger.get("State")),
        format!("{}{}", of(status("RecordsBehind")), if more { "+" } else { "" }),
        oldest.map_or_else(|| "-".to_owned(), |age| format!("{age:.0} s")),
        of(status("DeliveredRecords")),
        given_up.iter().flatten().sum::<u64>().to_string(),
        status("Failing").and_then(Value::as_array).map_or(0, Vec::len).to_string(),
        of(trigger.get("Url")),
    ]
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Rows with their columns aligned.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn limit(text: &str) -> Result<i64, String> {
    if text == UNLIMITED.0 {
        return Ok(UNLIMITED.1);
    }
    text.parse::<u32>().map(i64::from).map_err(|_| format!("neither a number nor `{}`", UNLIMITED.0))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::options::{Command, Options};

    fn asked(arguments: &[&str]) -> Result<(&'static str, Value), clap::Error> {
        let all = ["partita", "trigger"].iter().chain(arguments);
        Options::try_parse_from(all).map(|options| match options.command {
            Command::Trigger(options) => request(options.action),
            _ => panic!("not a trigger"),
        })
    }

    #[test]
    fn only_what_is_named_is_asked_for() {
        let (operation, body) = asked(&["create", "a", "--table", "T", "--url", "http://localhost/"]).unwrap();
        assert_eq!(operation, "CreateTrigger");
        assert_eq!(
            body,
            json!({"TriggerName": "a", "TableName": "T", "Url": "http://localhost/", "Enabled": true, "StartingPosition": "LATEST"})
        );
        let (operation, body) =
            asked(&["update", "a", "--retries", "unlimited", "--bisect", "--no-dead-letter", "--window", "3"]).unwrap();
        assert_eq!(operation, "UpdateTrigger");
        assert_eq!(
            body,
            json!({
                "TriggerName": "a",
                "MaximumRetryAttempts": -1,
                "BisectBatchOnFunctionError": true,
                "DeadLetterTableName": "",
                "MaximumBatchingWindowInSeconds": 3,
            })
        );
        assert_eq!(asked(&["update", "a", "--bisect", "false"]).unwrap().1["BisectBatchOnFunctionError"], json!(false));
        assert_eq!(asked(&["pause", "a"]).unwrap().1, json!({"TriggerName": "a", "Enabled": false}));
        assert_eq!(asked(&["resume", "a"]).unwrap().1, json!({"TriggerName": "a", "Enabled": true}));
    }

    #[test]
    fn wrong_commands_are_refused() {
        for wrong in [
            &["create", "a", "--url", "http://localhost/"][..],
            &["create", "a", "--table", "T"],
            &["create", "a", "--table", "T", "--stream", "S", "--url", "http://localhost/"],
            &["update", "a", "--dead-letter", "T", "--no-dead-letter"],
            &["update", "a", "--retries", "some"],
            &["show"],
            &[],
        ] {
            assert!(asked(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn triggers_are_shown_with_their_lag() {
        let answer = json!({"Triggers": [{
            "TriggerName": "a", "State": "ENABLED", "Url": "http://localhost/",
            "Status": {
                "RecordsBehind": 10000, "RecordsBehindIsLowerBound": true, "OldestUndeliveredAgeInSeconds": 61.7,
                "DeliveredRecords": 5, "DeadLetteredRecords": 1, "DiscardedRecords": 2, "Failing": [{}],
            },
        }]});
        assert_eq!(
            words(&answer),
            "NAME  STATE    BEHIND  OLDEST  DELIVERED  GIVEN UP  FAILING  URL\n\
             a     ENABLED  10000+  62 s    5          3         1        http://localhost/\n"
        );
    }
}
