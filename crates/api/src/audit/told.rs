//! What of a request is told in the audit log: members on a list, each bounded. Whatever is not listed is left out, so a
//! new member of a request is silent until someone has looked at it.

use std::collections::BTreeMap;

use http::Method;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::short;
use crate::http::Request;

/// The largest request of the control plane whose parameters are told, in bytes.
const MOST_BYTES: usize = 256 << 10;
/// The most members of a list that are told.
const MOST_MEMBERS: usize = 100;
/// How deep parameters are told.
const MOST_DEPTH: usize = 8;

/// Members that hold names and settings. Not among them: keys and items, values of tags, policies, tokens, secrets, URLs
/// (they may hold a secret in their path), and the statements of PartiQL.
const MEMBERS: &[&str] = &[
    "AccessKeyId",
    "AttributeDefinitions",
    "AttributeName",
    "AttributeType",
    "BackupArn",
    "BackupName",
    "BatchSize",
    "BillingMode",
    "BisectBatchOnFunctionError",
    "BulkOperationArn",
    "Create",
    "CreationDateTime",
    "Csv",
    "DeadLetterTableName",
    "Delete",
    "DeletionProtectionEnabled",
    "Delimiter",
    "DurationSeconds",
    "Enabled",
    "ExclusiveStartTableName",
    "ExpectedRevisionId",
    "ExportArn",
    "ExportFormat",
    "ExportFromTime",
    "ExportTime",
    "ExportToTime",
    "ExportType",
    "ExportViewType",
    "GlobalSecondaryIndexUpdates",
    "GlobalSecondaryIndexes",
    "GroupName",
    "HeaderList",
    "ImportArn",
    "IncrementalExportSpecification",
    "IndexName",
    "InputCompressionType",
    "InputFormat",
    "InputFormatOptions",
    "InputS3Configuration",
    "KMSMasterKeyId",
    "Key",
    "KeySchema",
    "KeyType",
    "Limit",
    "LocalSecondaryIndexes",
    "MaxItems",
    "MaxReadRequestUnits",
    "MaxResults",
    "MaxWriteRequestUnits",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "NewGroupName",
    "NewPath",
    "NewUserName",
    "NonKeyAttributes",
    "OnDemandThroughput",
    "OpenIDConnectProviderArn",
    "OutputS3Configuration",
    "OutputType",
    "Path",
    "PathPrefix",
    "PerformanceTier",
    "PermissionsBoundary",
    "PointInTimeRecoveryEnabled",
    "PointInTimeRecoverySpecification",
    "PolicyArn",
    "PolicyName",
    "Projection",
    "ProjectionType",
    "ProvisionedThroughput",
    "ReadCapacityUnits",
    "RecoveryPeriodInDays",
    "ResourceArn",
    "RestoreDateTime",
    "RoleArn",
    "RoleName",
    "RoleSessionName",
    "S3Bucket",
    "S3BucketOwner",
    "S3BucketSource",
    "S3KeyPrefix",
    "S3Prefix",
    "S3SseAlgorithm",
    "S3SseKmsKeyId",
    "SSEEnabled",
    "SSESpecification",
    "SSESpecificationOverride",
    "SSEType",
    "ShardId",
    "SourceTableArn",
    "SourceTableName",
    "StartingPosition",
    "Status",
    "StreamArn",
    "StreamEnabled",
    "StreamSpecification",
    "StreamViewType",
    "TableArn",
    "TableClass",
    "TableCreationParameters",
    "TableName",
    "TagKeys",
    "Tags",
    "TargetTableName",
    "TimeToLiveSpecification",
    "TimeoutInSeconds",
    "TriggerName",
    "Update",
    "UseLatestRestorableTime",
    "UserName",
    "VersionId",
    "WriteCapacityUnits",
];

fn is_told(member: &str) -> bool {
    MEMBERS.binary_search(&member).is_ok()
}

/// A member's name as CloudTrail writes it: with a small first letter.
fn renamed(member: &str) -> String {
    let mut rest = member.chars();
    rest.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(rest).collect()
}

/// The parameters of a call of the control plane.
pub(super) fn control(body: &[u8]) -> Value {
    if body.len() > MOST_BYTES {
        return Value::Null;
    }
    serde_json::from_slice(body).map_or(Value::Null, |parsed| told(parsed, MOST_DEPTH))
}

fn told(value: Value, depth: usize) -> Value {
    match value {
        Value::Object(members) if depth > 0 => {
            let some = members.into_iter().filter(|(name, _)| is_told(name)).take(MOST_MEMBERS);
            some.map(|(name, value)| (renamed(&name), told(value, depth - 1))).collect::<Map<_, _>>().into()
        }
        Value::Array(members) if depth > 0 => {
            members.into_iter().take(MOST_MEMBERS).map(|member| told(member, depth - 1)).collect()
        }
        Value::Object(_) | Value::Array(_) => Value::Null,
        Value::String(text) => short(&text).into(),
        other => other,
    }
}

/// What a call on items names.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    table_name: Option<String>,
    index_name: Option<String>,
    stream_arn: Option<String>,
    request_items: Option<BTreeMap<String, IgnoredAny>>,
    transact_items: Option<Vec<BTreeMap<String, OfTable>>>,
    statement: Option<IgnoredAny>,
    statements: Option<IgnoredAny>,
    transact_statements: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfTable {
    table_name: Option<String>,
}

/// The tables, indexes and streams that a call on items names.
pub(super) fn data(body: &[u8]) -> Value {
    let Ok(named) = serde_json::from_slice::<Named>(body) else { return Value::Null };
    let mut told = Map::new();
    for (member, name) in
        [("tableName", named.table_name), ("indexName", named.index_name), ("streamArn", named.stream_arn)]
    {
        if let Some(name) = name {
            told.insert(member.to_owned(), short(&name).into());
        }
    }
    let of_transaction = named.transact_items.into_iter().flatten().flat_map(BTreeMap::into_values);
    let tables = named.request_items.into_iter().flat_map(BTreeMap::into_keys);
    let mut tables: Vec<String> = tables.chain(of_transaction.filter_map(|action| action.table_name)).collect();
    tables.sort_unstable();
    tables.dedup();
    if !tables.is_empty() {
        let some = tables.iter().take(MOST_MEMBERS).map(|table| Value::from(short(table)));
        told.insert("tableNames".to_owned(), some.collect());
    }
    if named.statement.is_some() || named.statements.is_some() || named.transact_statements.is_some() {
        // As CloudTrail does: a statement may hold values.
        told.insert("statement".to_owned(), "HIDDEN_DUE_TO_SECURITY_REASONS".into());
    }
    told.into()
}

/// The members of a form: of a request of IAM or STS. Empty for any other request.
pub(super) struct Form(BTreeMap<String, String>);

/// Reads the form of a request.
pub(super) fn form(request: &Request) -> Form {
    let media_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let text = if request.method == Method::GET {
        request.uri.query().unwrap_or_default().as_bytes()
    } else if media_type.starts_with("application/x-www-form-urlencoded") {
        &request.body
    } else {
        return Form(BTreeMap::new());
    };
    if text.len() > MOST_BYTES {
        return Form(BTreeMap::new());
    }
    let pairs = text.split(|&byte| byte == b'&').filter_map(|pair| {
        let at = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = pair.split_at(at);
        let name = std::str::from_utf8(name).ok()?;
        (is_told(name) || matches!(name, "Action" | "Version"))
            .then(|| (name.to_owned(), short(&decoded(value.get(1..).unwrap_or_default()))))
    });
    Form(pairs.collect())
}

impl Form {
    /// The operation, if it looks like one.
    pub(super) fn action(&self) -> Option<&str> {
        let is_name =
            |name: &&str| (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        self.0.get("Action").map(String::as_str).filter(is_name)
    }

    /// Whether it is one of STS.
    pub(super) fn is_sts(&self) -> bool {
        self.0.get("Version").map(String::as_str) == Some("2011-06-15")
    }

    /// The parameters.
    pub(super) fn parameters(&self) -> Value {
        let told = self.0.iter().filter(|(name, _)| is_told(name));
        told.map(|(name, value)| (renamed(name), Value::from(value.as_str()))).collect::<Map<_, _>>().into()
    }
}

/// A value of a form without its escapes.
fn decoded(escaped: &[u8]) -> String {
    let hex = |byte: Option<&u8>| {
        byte.and_then(|&byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
    };
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut at = 0;
    while let Some(&byte) = escaped.get(at) {
        at += 1;
        match (byte, hex(escaped.get(at)), hex(escaped.get(at + 1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high << 4 | low);
                at += 2;
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use http::Uri;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(MEMBERS.is_sorted());
    }

    #[test]
    fn only_listed_members_are_told() {
        let body = json!({
            "TableName": "Things",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "Tags": [{"Key": "team", "Value": "SECRET"}],
            "ResourcePolicy": "SECRET",
            "Url": "https://example.com/SECRET",
            "Item": {"pk": {"S": "SECRET"}},
            "StreamSpecification": {"StreamEnabled": true, "Other": "SECRET"},
        });
        let told = control(body.to_string().as_bytes());
        assert_eq!(
            told,
            json!({
                "tableName": "Things",
                "keySchema": [{"attributeName": "pk", "keyType": "HASH"}],
                "tags": [{"key": "team"}],
                "streamSpecification": {"streamEnabled": true},
            })
        );
        assert_eq!(control(b"nonsense"), Value::Null);
    }

    #[test]
    fn calls_on_items_are_told_by_their_tables() {
        for (body, expected) in [
            (
                json!({"TableName": "T", "IndexName": "I", "Key": {"pk": {"S": "SECRET"}}}),
                json!({"tableName": "T", "indexName": "I"}),
            ),
            (json!({"RequestItems": {"B": {"Keys": ["SECRET"]}, "A": []}}), json!({"tableNames": ["A", "B"]})),
            (
                json!({"TransactItems": [{"Put": {"TableName": "B", "Item": "SECRET"}}, {"Get": {"TableName": "A"}}, {"Put": {"TableName": "B"}}]}),
                json!({"tableNames": ["A", "B"]}),
            ),
            (json!({"Statement": "SELECT SECRET"}), json!({"statement": "HIDDEN_DUE_TO_SECURITY_REASONS"})),
            (json!({"TableName": 7}), Value::Null),
        ] {
            assert_eq!(data(body.to_string().as_bytes()), expected);
        }
    }

    #[test]
    fn forms_are_told_without_secrets() {
        let mut request = Request::new(
            Method::GET,
            Uri::from_static(
                "/?Action=CreateUser&Version=2010-05-08&UserName=a%20b%2Bc+d%zz&PolicyDocument=SECRET&X-Amz-Signature=SECRET",
            ),
        );
        let read = form(&request);
        assert_eq!((read.action(), read.is_sts()), (Some("CreateUser"), false));
        assert_eq!(read.parameters(), json!({"userName": "a b+c d%zz"}));
        request.method = Method::POST;
        assert_eq!(form(&request).action(), None);
    }
}
