//! Control operations as a client sends and reads them, on a database in memory.

use std::sync::Arc;

use http::header::HOST;
use http::{HeaderMap, HeaderValue};
use partita_db::{Database, Scope};
use partita_engine::OpenOptions;
use partita_expr::ParseCache;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::generated::operations::Operation;
use crate::operations::{Context, execute};
use crate::sight::Observed;

struct Server {
    database: Database,
    expressions: ParseCache,
    headers: HeaderMap,
    observed: Observed,
}

impl Server {
    async fn new() -> Self {
        let database = Database::open(&OpenOptions::memory()).await.unwrap();
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("localhost:8000"))]);
        Self { database, expressions: ParseCache::default(), headers, observed: Observed::default() }
    }

    async fn call(&self, operation: Operation, body: &Value) -> Result<Value, String> {
        let context = Context {
            database: &self.database,
            expressions: &self.expressions,
            caller: Caller::unauthenticated(
                Scope { account: "000000000000".into(), region: "us-east-1".into() },
                Arc::default(),
            ),
            headers: &self.headers,
            observed: &self.observed,
        };
        match execute(&context, operation, body.to_string().as_bytes()).await {
            Ok(answer) if answer.is_empty() => Ok(Value::Null),
            Ok(answer) => Ok(serde_json::from_slice(&answer).unwrap()),
            Err(failure) => Err(format!("{}: {}", failure.refusal.code.name(), failure.refusal.message)),
        }
    }

    async fn ok(&self, operation: Operation, body: Value) -> Value {
        self.call(operation, &body).await.unwrap()
    }

    async fn refusal(&self, operation: Operation, body: Value) -> String {
        self.call(operation, &body).await.unwrap_err()
    }
}

fn users() -> Value {
    json!({
        "TableName": "Users",
        "KeySchema": [{"AttributeName": "UserID", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "UserID", "AttributeType": "S"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    })
}

/// `users` with members changed; null takes one away.
fn users_with(members: Value) -> Value {
    let mut request = users();
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            request.as_object_mut().unwrap().remove(name);
        } else {
            request[name] = value.clone();
        }
    }
    request
}

fn on_demand(members: Value) -> Value {
    let mut request = users_with(members);
    request.as_object_mut().unwrap().remove("ProvisionedThroughput");
    request["BillingMode"] = json!("PAY_PER_REQUEST");
    request
}

#[tokio::test]
async fn a_provisioned_table_is_described_with_the_services_members() {
    let server = Server::new().await;
    let created = server.ok(Operation::CreateTable, users()).await["TableDescription"].clone();
    let mut expected = json!({
        "AttributeDefinitions": [{"AttributeName": "UserID", "AttributeType": "S"}],
        "TableName": "Users",
        "KeySchema": [{"AttributeName": "UserID", "KeyType": "HASH"}],
        "TableStatus": "CREATING",
        "CreationDateTime": created["CreationDateTime"],
        "ProvisionedThroughput": {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
        "TableSizeBytes": 0,
        "ItemCount": 0,
        "TableArn": "arn:aws:dynamodb:us-east-1:000000000000:table/Users",
        "TableId": created["TableId"],
        "DeletionProtectionEnabled": false,
    });
    assert_eq!(created, expected);
    expected["TableStatus"] = json!("ACTIVE");
    expected["WarmThroughput"] = json!({"ReadUnitsPerSecond": 5, "WriteUnitsPerSecond": 5, "Status": "ACTIVE"});
    assert_eq!(server.ok(Operation::DescribeTable, json!({"TableName": "Users"})).await, json!({"Table": expected}));

    let deleted = server.ok(Operation::DeleteTable, json!({"TableName": "Users"})).await["TableDescription"].clone();
    assert_eq!(deleted["TableStatus"], "DELETING");
    assert_eq!(deleted.get("KeySchema"), None);
    assert_eq!(
        server.refusal(Operation::DescribeTable, json!({"TableName": "Users"})).await,
        "ResourceNotFoundException: Requested resource not found: Table: Users not found"
    );
}

#[tokio::test]
async fn an_on_demand_table_with_everything_is_described() {
    let server = Server::new().await;
    let attribute = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    let hash = |name: &str| json!({"AttributeName": name, "KeyType": "HASH"});
    let range = |name: &str| json!({"AttributeName": name, "KeyType": "RANGE"});
    let request = on_demand(json!({
        "AttributeDefinitions": (["sk", "a", "UserID", "b"].map(attribute)),
        "KeySchema": [hash("UserID"), range("sk")],
        "LocalSecondaryIndexes": [
            {"IndexName": "by-a", "KeySchema": [hash("UserID"), range("a")], "Projection": {"ProjectionType": "KEYS_ONLY"}},
        ],
        "GlobalSecondaryIndexes": [{
            "IndexName": "by-both",
            "KeySchema": [hash("a"), hash("b"), range("sk")],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["y", "x"]},
            "OnDemandThroughput": {"MaxReadRequestUnits": 10},
        }],
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"},
        "SSESpecification": {"Enabled": true},
        "TableClass": "STANDARD_INFREQUENT_ACCESS",
        "DeletionProtectionEnabled": true,
        "OnDemandThroughput": {"MaxWriteRequestUnits": 20},
        "WarmThroughput": {"ReadUnitsPerSecond": 13000},
        "Tags": [{"Key": "team", "Value": "a"}],
    }));
    let created = server.ok(Operation::CreateTable, request).await["TableDescription"].clone();
    assert_eq!(created["BillingModeSummary"], json!({"BillingMode": "PAY_PER_REQUEST"}));
    assert_eq!(created["GlobalSecondaryIndexes"][0]["IndexStatus"], "CREATING");
    let table = server.ok(Operation::DescribeTable, json!({"TableName": "Users"})).await["Table"].clone();
    let none = json!({"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0});
    let label = &table["LatestStreamLabel"];
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/Users";
    let expected = json!({
        "AttributeDefinitions": (["UserID", "a", "b", "sk"].map(attribute)),
        "TableName": "Users",
        "KeySchema": [hash("UserID"), range("sk")],
        "TableStatus": "ACTIVE",
        "CreationDateTime": created["CreationDateTime"],
        "ProvisionedThroughput": none,
        "TableSizeBytes": 0,
        "ItemCount": 0,
        "TableArn": arn,
        "TableId": created["TableId"],
        "BillingModeSummary": {
            "BillingMode": "PAY_PER_REQUEST",
            "LastUpdateToPayPerRequestDateTime": created["CreationDateTime"],
        },
        "LocalSecondaryIndexes": [{
            "IndexName": "by-a",
            "KeySchema": [hash("UserID"), range("a")],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
            "IndexSizeBytes": 0,
            "ItemCount": 0,
            "IndexArn": format!("{arn}/index/by-a"),
        }],
        "GlobalSecondaryIndexes": [{
            "IndexName": "by-both",
            "KeySchema": [hash("a"), hash("b"), range("sk")],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x", "y"]},
            "IndexStatus": "ACTIVE",
            "ProvisionedThroughput": none,
            "IndexSizeBytes": 0,
            "ItemCount": 0,
            "IndexArn": format!("{arn}/index/by-both"),
            "OnDemandThroughput": {"MaxReadRequestUnits": 10},
            "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"},
        }],
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"},
        "LatestStreamLabel": label,
        "LatestStreamArn": format!("{arn}/stream/{}", label.as_str().unwrap()),
        "SSEDescription": {
            "Status": "ENABLED",
            "SSEType": "KMS",
            "KMSMasterKeyArn": "arn:aws:kms:us-east-1:000000000000:alias/aws/dynamodb",
        },
        "TableClassSummary": {"TableClass": "STANDARD_INFREQUENT_ACCESS"},
        "DeletionProtectionEnabled": true,
        "OnDemandThroughput": {"MaxWriteRequestUnits": 20},
        "WarmThroughput": {"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"},
    });
    assert_eq!(table, expected);
}

#[tokio::test]
async fn requests_are_refused_in_the_services_words() {
    let server = Server::new().await;
    let null = "failed to satisfy constraint: Member must not be null";
    for (request, expected) in [
        (users_with(json!({"TableName": null})), "The parameter 'TableName' is required but was not present in the request".to_owned()),
        (users_with(json!({"KeySchema": null})), format!("1 validation error detected: Value null at 'keySchema' {null}")),
        (users_with(json!({"KeySchema": null, "AttributeDefinitions": null})),
            format!("2 validation errors detected: Value null at 'attributeDefinitions' {null}; Value null at 'keySchema' {null}")),
        (users_with(json!({"TableName": "ab"})),
            "1 validation error detected: Value 'ab' at 'tableName' failed to satisfy constraint: Member must have length \
             greater than or equal to 3".to_owned()),
        (users_with(json!({"TableClass": "X"})),
            "Invalid table-class parameter provided. Please try again with a valid table-class value: [STANDARD, \
             STANDARD_INFREQUENT_ACCESS].".to_owned()),
        (users_with(json!({"Tags": [{"Key": "", "Value": "a"}]})), "The Tag Key provided is invalid, Key: ".to_owned()),
        (users_with(json!({"Tags": [{"Key": "a"}]})), "The Tag Value provided is invalid, Value: null".to_owned()),
        (users_with(json!({"SSESpecification": {"Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": "alias/mine"}})),
            "KMS validation error: com.amazonaws.services.kms.model.NotFoundException: Key \
             'arn:aws:kms:us-east-1:000000000000:key/alias/mine' does not exist".to_owned()),
        (on_demand(json!({"GlobalSecondaryIndexes": []})),
            "One or more parameter values were invalid: List of GlobalSecondaryIndexes is empty".to_owned()),
        (users_with(json!({"ProvisionedThroughput": null})),
            "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified \
             when BillingMode is PROVISIONED".to_owned()),
    ] {
        let refusal = server.refusal(Operation::CreateTable, request).await;
        assert_eq!(refusal.strip_prefix("ValidationException: "), Some(expected.as_str()));
    }
    server.ok(Operation::CreateTable, users()).await;
    assert_eq!(
        server.refusal(Operation::CreateTable, users()).await,
        "ResourceInUseException: Table already exists: Users"
    );
    for (change, expected) in [
        (
            json!({"ReplicaUpdates": [{"Create": {"RegionName": "eu-west-1"}}]}),
            "ValidationException: One or more parameter values were invalid: ReplicaUpdates is not supported",
        ),
        (
            json!({"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "ghost"}}]}),
            "ResourceNotFoundException: Requested resource not found: Index ghost for table Users",
        ),
        (
            json!({"DeletionProtectionEnabled": true, "TableClass": "STANDARD"}),
            "ValidationException: One or more parameter values were invalid: TableClass modification must be the only \
             operation in the request",
        ),
    ] {
        let mut request = change;
        request["TableName"] = json!("Users");
        assert_eq!(server.refusal(Operation::UpdateTable, request).await, expected);
    }
}

#[tokio::test]
async fn updates_answer_updating_and_are_done() {
    let server = Server::new().await;
    server.ok(Operation::CreateTable, users()).await;
    let change = json!({
        "TableName": "arn:aws:dynamodb:us-east-1:000000000000:table/Users",
        "BillingMode": "PAY_PER_REQUEST",
        "OnDemandThroughput": {"MaxReadRequestUnits": 7},
    });
    let answer = server.ok(Operation::UpdateTable, change).await["TableDescription"].clone();
    assert_eq!(answer["TableStatus"], "UPDATING");
    assert_eq!(answer["BillingModeSummary"], json!({"BillingMode": "PAY_PER_REQUEST"}));
    let table = server.ok(Operation::DescribeTable, json!({"TableName": "Users"})).await["Table"].clone();
    assert_eq!(table["TableStatus"], "ACTIVE");
    assert_eq!(table["OnDemandThroughput"], json!({"MaxReadRequestUnits": 7}));
    assert!(table["BillingModeSummary"]["LastUpdateToPayPerRequestDateTime"].is_number());
    let add = json!({
        "TableName": "Users",
        "AttributeDefinitions": [{"AttributeName": "Email", "AttributeType": "S"}],
        "GlobalSecondaryIndexUpdates": [{"Create": {
            "IndexName": "by-email",
            "KeySchema": [{"AttributeName": "Email", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }}],
    });
    let added = server.ok(Operation::UpdateTable, add).await["TableDescription"]["GlobalSecondaryIndexes"][0].clone();
    assert_eq!((&added["IndexStatus"], &added["Backfilling"]), (&json!("CREATING"), &json!(false)));
    let table = server.ok(Operation::DescribeTable, json!({"TableName": "Users"})).await["Table"].clone();
    let index = &table["GlobalSecondaryIndexes"][0];
    // A job of the background, which this server does not run, fills it.
    assert_eq!((&index["IndexStatus"], index.get("Backfilling")), (&json!("CREATING"), Some(&json!(true))));
}

#[tokio::test]
async fn names_are_listed_page_by_page() {
    let server = Server::new().await;
    for name in ["one", "two", "six"] {
        server.ok(Operation::CreateTable, users_with(json!({"TableName": name}))).await;
    }
    let list = async |request| server.ok(Operation::ListTables, request).await;
    assert_eq!(list(json!({})).await, json!({"TableNames": ["one", "six", "two"]}));
    assert_eq!(list(json!({"Limit": 2})).await, json!({"TableNames": ["one", "six"], "LastEvaluatedTableName": "six"}));
    assert_eq!(list(json!({"Limit": 2, "ExclusiveStartTableName": "six"})).await, json!({"TableNames": ["two"]}));
}

#[tokio::test]
async fn tags_are_put_removed_and_listed() {
    let server = Server::new().await;
    server.ok(Operation::CreateTable, users()).await;
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/Users";
    let tags = json!([{"Key": "b", "Value": ""}, {"Key": "a", "Value": "1"}]);
    assert_eq!(server.ok(Operation::TagResource, json!({"ResourceArn": arn, "Tags": tags})).await, Value::Null);
    server.ok(Operation::UntagResource, json!({"ResourceArn": arn, "TagKeys": ["b"]})).await;
    let listed = server.ok(Operation::ListTagsOfResource, json!({"ResourceArn": arn})).await;
    assert_eq!(listed, json!({"Tags": [{"Key": "a", "Value": "1"}]}));
    for (operation, request, expected) in [
        (Operation::ListTagsOfResource, json!({}), "Invalid TableArn"),
        (
            Operation::TagResource,
            json!({"ResourceArn": arn}),
            "1 validation error detected: Value null at 'tags' failed to satisfy constraint: Member must not be null",
        ),
        (
            Operation::TagResource,
            json!({"ResourceArn": arn, "Tags": []}),
            "Atleast one Tag needs to be provided as Input.",
        ),
        (
            Operation::UntagResource,
            json!({"ResourceArn": arn, "TagKeys": []}),
            "Atleast one Tag Key needs to be provided as Input.",
        ),
        (
            Operation::ListTagsOfResource,
            json!({"ResourceArn": "Users"}),
            "One or more parameter values were invalid: ARNs must start with 'arn:': Users",
        ),
    ] {
        assert_eq!(server.refusal(operation, request).await, format!("ValidationException: {expected}"));
    }
}

#[tokio::test]
async fn probes_answer_for_a_table_that_uses_none_of_it() {
    let server = Server::new().await;
    server.ok(Operation::CreateTable, users()).await;
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/Users";
    let table = json!({"TableName": "Users"});
    let ghost = json!({"TableName": "Ghost"});
    let not_found = "ResourceNotFoundException: Requested resource not found: Table: Ghost not found";
    for (operation, expected, refusal) in [
        (Operation::DescribeTimeToLive, json!({"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}), not_found),
        (
            Operation::DescribeContinuousBackups,
            json!({"ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
            }}),
            "TableNotFoundException: Table not found: Ghost",
        ),
        (
            Operation::DescribeKinesisStreamingDestination,
            json!({"TableName": "Users", "KinesisDataStreamDestinations": []}),
            not_found,
        ),
        (
            Operation::DescribeContributorInsights,
            json!({"TableName": "Users", "ContributorInsightsStatus": "DISABLED"}),
            not_found,
        ),
    ] {
        assert_eq!(server.ok(operation, table.clone()).await, expected);
        assert_eq!(server.refusal(operation, ghost.clone()).await, refusal);
    }
    assert_eq!(server.ok(Operation::ListGlobalTables, json!({})).await, json!({"GlobalTables": []}));
    assert_eq!(
        server.refusal(Operation::GetResourcePolicy, json!({"ResourceArn": arn})).await,
        format!("PolicyNotFoundException: Resource-based policy not found for the provided ResourceArn: {arn}")
    );
    assert_eq!(
        server.ok(Operation::DescribeLimits, json!({})).await,
        json!({
            "AccountMaxReadCapacityUnits": 80000, "AccountMaxWriteCapacityUnits": 80000,
            "TableMaxReadCapacityUnits": 40000, "TableMaxWriteCapacityUnits": 40000,
        })
    );
    assert_eq!(
        server.ok(Operation::DescribeEndpoints, json!({})).await,
        json!({"Endpoints": [{"Address": "localhost:8000", "CachePeriodInMinutes": 1440}]})
    );
}

#[tokio::test]
async fn time_to_live_is_switched_and_described() {
    let server = Server::new().await;
    server.ok(Operation::CreateTable, users()).await;
    let on = json!({
        "TableName": "Users",
        "TimeToLiveSpecification": {"Enabled": true, "AttributeName": "expires"},
    });
    let answer = server.ok(Operation::UpdateTimeToLive, on.clone()).await;
    assert_eq!(answer, json!({"TimeToLiveSpecification": {"Enabled": true, "AttributeName": "expires"}}));
    // ENABLING until the items that were there before are queued.
    let described = server.ok(Operation::DescribeTimeToLive, json!({"TableName": "Users"})).await;
    let description = &described["TimeToLiveDescription"];
    assert_eq!(description["AttributeName"], "expires");
    assert!(["ENABLING", "ENABLED"].contains(&description["TimeToLiveStatus"].as_str().unwrap()));
    assert_eq!(
        server.refusal(Operation::UpdateTimeToLive, on).await,
        "ValidationException: TimeToLive is already enabled"
    );
}
