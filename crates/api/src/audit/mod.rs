//! The audit log: one JSON object for each call of the control plane and, if asked for, of the data plane, in the shape
//! of CloudTrail's records.
//!
//! It tells who, what, from where and with what outcome, and never values: of a request, only members on a list of names
//! and settings are told (`told`), of a data call only tables, indexes and streams, of errors only messages that are made
//! of names. Where the lines go is the binary's business.

mod limit;
mod told;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::header::{AUTHORIZATION, HOST, HeaderName, USER_AGENT};
use partita_auth::{Principal, PrincipalKind};
use serde_json::{Map, Value, json};

use self::limit::{Allowance, Limit};
use crate::caller::Caller;
use crate::http::{Call, Request, Response};
use crate::scaling;

/// The version of the records' form.
const EVENT_VERSION: &str = "1.11";
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// The most characters of what a client sent that are told in one place.
const MOST_CHARACTERS: usize = 1024;
/// Operations on items, which CloudTrail counts to the data plane.
const DATA: [&str; 15] = [
    "BatchExecuteStatement",
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "ExecuteStatement",
    "ExecuteTransaction",
    "GetItem",
    "GetRecords",
    "GetShardIterator",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
];
/// How the names of operations begin that change nothing.
const READING: [&str; 9] =
    ["BatchGet", "Describe", "Get", "List", "Query", "Scan", "Simulate", "TransactGet", "DecodeAuthorization"];
/// Codes, as they begin, whose messages are made of names alone.
const NAMING: [&str; 17] = [
    "AccessDenied",
    "BackupNotFound",
    "ConditionalCheckFailed",
    "DeleteConflict",
    "EntityAlreadyExists",
    "ExpiredToken",
    "ImportNotFound",
    "ExportNotFound",
    "InvalidClientTokenId",
    "LimitExceeded",
    "MissingAuthenticationToken",
    "NoSuchEntity",
    "PointInTimeRecoveryUnavailable",
    "ResourceInUse",
    "ResourceNotFound",
    "TableNotFound",
    "UnrecognizedClient",
];

/// Refused calls of callers who are not known: so many are told at once, and so many a second after that. Anyone who
/// reaches the port can make them, and the log must not grow as fast as they like.
const STRANGERS: Allowance = Allowance { at_once: 500, each_second: 50 };

/// Where calls are told.
pub struct Audit {
    sink: Box<dyn Fn(Vec<u8>) + Send + Sync>,
    data_events: bool,
    strangers: Limit,
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("data_events", &self.data_events).finish_non_exhaustive()
    }
}

/// What a request asks for.
struct Asked<'a> {
    source: &'static str,
    name: &'a str,
    is_data: bool,
}

impl Audit {
    /// Hands one line for each call to `sink`, which must return at once. With `data_events`, also for calls on items.
    pub fn new(data_events: bool, sink: impl Fn(Vec<u8>) + Send + Sync + 'static) -> Self {
        Self { sink: Box::new(sink), data_events, strangers: Limit::new(STRANGERS) }
    }

    /// Whether calls on items are told too.
    pub(crate) const fn tells_data(&self) -> bool {
        self.data_events
    }

    /// Tells of a call. `caller` is who made it, if that is known; `region` is for when it is not.
    pub(crate) fn record(&self, request: &Request, caller: Option<&Caller>, region: &str, response: &Response) {
        let form = told::form(request);
        let Some(asked) = asked(request, &form) else { return };
        if asked.is_data && !self.data_events {
            return;
        }
        let mut untold = 0;
        if caller.is_none() && response.status >= 400 {
            match self.strangers.take(Instant::now()) {
                Some(before) => untold = before,
                None => return,
            }
        }
        let mut event = event(&asked, request, &form, (caller, region), response);
        if untold > 0 {
            event.insert("additionalEventData".to_owned(), json!({ "untoldRefusalsOfUnknownCallers": untold }));
        }
        let mut line = Value::Object(event).to_string().into_bytes();
        line.push(b'\n');
        (self.sink)(line);
    }
}

/// The operation, if the request names one.
fn asked<'a>(request: &'a Request, form: &'a told::Form) -> Option<Asked<'a>> {
    if let Some(target) = request.headers.get(TARGET).and_then(|value| value.to_str().ok()) {
        if let Some(operation) = scaling::operation_of(target) {
            return Some(Asked { source: scaling::SOURCE, name: operation?.name(), is_data: false });
        }
        let name = Call::from_target(target)?.name();
        return Some(Asked { source: "dynamodb.amazonaws.com", name, is_data: DATA.contains(&name) });
    }
    let name = form.action()?;
    let source = if form.is_sts() { "sts.amazonaws.com" } else { "iam.amazonaws.com" };
    Some(Asked { source, name, is_data: false })
}

/// The action that a request of the query APIs names, if it looks like one.
pub(crate) fn action(request: &Request) -> Option<String> {
    told::form(request).action().map(str::to_owned)
}

fn event(
    asked: &Asked<'_>,
    request: &Request,
    form: &told::Form,
    (caller, region): (Option<&Caller>, &str),
    response: &Response,
) -> Map<String, Value> {
    let header = |name: HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
    let account = caller.map(|caller| &*caller.scope.account);
    let region = caller.map_or(region, |caller| &caller.scope.region);
    let parameters = if asked.source == scaling::SOURCE {
        told::control(&request.body)
    } else if asked.source == "dynamodb.amazonaws.com" {
        if asked.is_data { told::data(&request.body) } else { told::control(&request.body) }
    } else {
        form.parameters()
    };
    let resources = resources(&parameters, account.unwrap_or_default(), region);
    let mut event = Map::new();
    let mut tell = |name: &str, value: Value| event.insert(name.to_owned(), value);
    tell("eventVersion", EVENT_VERSION.into());
    tell("userIdentity", identity(caller, claimed_key(request)));
    tell("eventTime", time(SystemTime::now()).into());
    tell("eventSource", asked.source.into());
    tell("eventName", asked.name.into());
    tell("awsRegion", region.into());
    let source = caller.and_then(|caller| caller.source).or(request.peer.map(|peer| peer.ip()));
    tell("sourceIPAddress", source.map_or(Value::Null, |source| source.to_canonical().to_string().into()));
    tell("userAgent", header(USER_AGENT).map(short).into());
    if response.status >= 400 {
        let (code, message) = failure(&response.body);
        if let Some(message) = message.filter(|_| NAMING.iter().any(|prefix| code.starts_with(prefix))) {
            tell("errorMessage", short(&message).into());
        }
        tell("errorCode", code.into());
    }
    tell("requestParameters", parameters);
    tell("responseElements", Value::Null);
    tell("requestID", request.request_id.as_str().into());
    tell("eventID", random_id().into());
    tell("readOnly", READING.iter().any(|prefix| asked.name.starts_with(prefix)).into());
    if !resources.is_empty() {
        tell("resources", resources.into());
    }
    tell("eventType", "AwsApiCall".into());
    tell("apiVersion", if asked.source == "dynamodb.amazonaws.com" { "2012-08-10".into() } else { Value::Null });
    tell("managementEvent", (!asked.is_data).into());
    tell("recipientAccountId", account.into());
    tell("eventCategory", if asked.is_data { "Data" } else { "Management" }.into());
    if let Some(secured) = request.secured {
        let host = header(HOST).map(short);
        let details = json!({
            "tlsVersion": secured.version, "cipherSuite": secured.cipher_suite, "clientProvidedHostHeader": host,
        });
        tell("tlsDetails", details);
    }
    event
}

/// Who it was. `claimed` is the access key that the request names, which nobody may have checked.
fn identity(caller: Option<&Caller>, claimed: Option<&str>) -> Value {
    let key = caller.and_then(|caller| caller.access_key.as_deref()).or(claimed);
    let Some((caller, principal)) = caller.and_then(|caller| Some((caller, caller.principal.as_deref()?))) else {
        let account = caller.map(|caller| &*caller.scope.account);
        return json!({ "type": "Unknown", "accountId": account, "accessKeyId": key });
    };
    let mut members = Map::new();
    let mut tell = |name: &str, value: Value| members.insert(name.to_owned(), value);
    tell("principalId", (&*principal.user_id).into());
    tell("arn", principal.arn().into());
    tell("accountId", (&*caller.scope.account).into());
    tell("accessKeyId", key.into());
    match &principal.kind {
        PrincipalKind::Root => {
            tell("type", "Root".into());
        }
        PrincipalKind::User { name, .. } => {
            tell("type", "IAMUser".into());
            tell("userName", (&**name).into());
            if principal.token_issued.is_some() {
                tell("sessionContext", json!({ "attributes": attributes(principal) }));
            }
        }
        PrincipalKind::AssumedRole { role, .. } => {
            tell("type", "AssumedRole".into());
            let issuer = principal.user_id.split(':').next().unwrap_or_default();
            let context = json!({
                "sessionIssuer": {
                    "type": "Role",
                    "principalId": issuer,
                    "arn": principal.identity_arn(),
                    "accountId": &*principal.account,
                    "userName": &**role,
                },
                "attributes": attributes(principal),
            });
            tell("sessionContext", context);
        }
    }
    members.into()
}

fn attributes(principal: &Principal) -> Value {
    let issued = principal.token_issued.map(|seconds| time(UNIX_EPOCH + Duration::from_secs(seconds)));
    json!({ "creationDate": issued, "mfaAuthenticated": "false" })
}

/// The access key that a request names, if it looks like one.
fn claimed_key(request: &Request) -> Option<&str> {
    let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (_, rest) = match header {
        Some(header) => header.split_once("Credential=")?,
        None => request.uri.query()?.split_once("X-Amz-Credential=")?,
    };
    let end = rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '_')?;
    rest.get(..end).filter(|key| (3..=128).contains(&key.len()))
}

/// The tables and streams that parameters name, by ARN.
fn resources(parameters: &Value, account: &str, region: &str) -> Vec<Value> {
    let mut named = Vec::new();
    for member in
        ["tableName", "tableNames", "resourceArn", "streamArn", "sourceTableName", "targetTableName", "sourceTableArn"]
    {
        match parameters.get(member) {
            Some(Value::String(name)) => named.push(name.as_str()),
            Some(Value::Array(names)) => named.extend(names.iter().filter_map(Value::as_str)),
            _ => {}
        }
    }
    let arn = |name: &str| match name.starts_with("arn:") {
        true => name.to_owned(),
        false => format!("arn:aws:dynamodb:{region}:{account}:table/{name}"),
    };
    let kind = |arn: &str| match arn.contains("/stream/") {
        true => "AWS::DynamoDB::Stream",
        false => "AWS::DynamoDB::Table",
    };
    let told = |arn: String| json!({ "accountId": account, "type": kind(&arn), "ARN": arn });
    named.into_iter().map(arn).map(told).collect()
}

/// The code and message of an error, in JSON or in XML.
fn failure(body: &[u8]) -> (String, Option<String>) {
    if let Ok(error) = serde_json::from_slice::<Value>(body) {
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let code = text("__type").unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default().to_owned();
        return (code, text("message").or(text("Message")).map(str::to_owned));
    }
    let text = String::from_utf8_lossy(body);
    let between = |open: &str, close: &str| Some(text.split_once(open)?.1.split_once(close)?.0.to_owned());
    (between("<Code>", "</Code>").unwrap_or_default(), between("<Message>", "</Message>"))
}

/// A text as far as it is told.
fn short(text: &str) -> String {
    text.chars().take(MOST_CHARACTERS).collect()
}

/// A time as CloudTrail writes it, in whole seconds.
fn time(time: SystemTime) -> String {
    const DAY: u64 = 86_400;
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, of_day) = (seconds / DAY, seconds % DAY);
    // Howard Hinnant's civil_from_days, for days since 1970.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A random UUID.
fn random_id() -> String {
    let source = RandomState::new();
    let (high, low) = (source.hash_one(0), source.hash_one(1));
    let (version, variant) = (high & 0xfff | 0x4000, low >> 48 & 0x3fff | 0x8000);
    format!(
        "{:08x}-{:04x}-{version:04x}-{variant:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(time(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn ids_are_random_uuids() {
        let id = random_id();
        assert_eq!(id.len(), 36, "{id}");
        assert!(id.get(14..15) == Some("4") && id != random_id(), "{id}");
    }

    #[test]
    fn only_messages_made_of_names_are_told() {
        assert!(!NAMING.iter().any(|prefix| "ValidationException".starts_with(prefix)));
        let xml = b"<ErrorResponse><Error><Code>NoSuchEntity</Code><Message>x</Message></Error></ErrorResponse>";
        assert_eq!(failure(xml), ("NoSuchEntity".to_owned(), Some("x".to_owned())));
        assert_eq!(failure(br#"{"__type":"a#B","Message":"m"}"#), ("B".to_owned(), Some("m".to_owned())));
        assert_eq!(failure(b"\xff"), (String::new(), None));
    }
}
