//! Policies of tables and streams, and the condition keys of requests and tags.

use std::sync::Arc;

use http::HeaderMap;
use partita_db::{Database, Encryption, KeyService as _, Keyring, Keys, Settings};
use partita_engine::OpenOptions;
use partita_expr::ParseCache;
use serde_json::{Value, json};

use super::{ACCOUNT, OTHER, Operation, TABLE, World, allow, caller, root, user};
use crate::sight::Observed;

fn get() -> Value {
    json!({"TableName": TABLE, "Key": {"UserId": {"S": "alice"}, "GameTitle": {"S": "go"}}})
}

fn policy(effect: &str, principal: &str, actions: &Value, resource: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{
        "Effect": effect, "Principal": {"AWS": principal}, "Action": actions, "Resource": resource}]})
}

async fn put(world: &World, arn: &str, policy: &Value) -> Value {
    let body = json!({"ResourceArn": arn, "Policy": policy.to_string()});
    world.ok(&root(), Operation::PutResourcePolicy, body).await
}

async fn stream_of(world: &World) -> String {
    let described = world.ok(&root(), Operation::DescribeTable, json!({"TableName": "Games"})).await;
    described["Table"]["LatestStreamArn"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_policy_of_a_table_lets_others_in_and_keeps_its_own_out() {
    let world = World::new().await;
    let bob = caller(ACCOUNT, "bob", None);
    assert!(world.denied(&bob, Operation::GetItem, &get()).await.is_some());
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/bob");
    put(&world, TABLE, &policy("Allow", &arn, &json!("dynamodb:GetItem"), TABLE)).await;
    assert_eq!(world.denied(&bob, Operation::GetItem, &get()).await, None);
    assert!(world.denied(&bob, Operation::Scan, &json!({"TableName": "Games"})).await.is_some());
    // Across accounts both sides have to allow.
    put(&world, TABLE, &policy("Allow", OTHER, &json!("dynamodb:GetItem"), TABLE)).await;
    assert!(world.denied(&caller(OTHER, "eve", None), Operation::GetItem, &get()).await.is_some());
    let allowed = allow(&json!("dynamodb:GetItem"), &json!(TABLE), &Value::Null);
    let eve = caller(OTHER, "eve", Some(&allowed));
    assert_eq!(world.ok(&eve, Operation::GetItem, get()).await["Item"]["Wins"]["N"], "3");
    assert_eq!(world.denied(&caller(OTHER, "", None), Operation::GetItem, &get()).await, None);
    // A denial holds for whoever is named, the account's root as well.
    put(&world, TABLE, &policy("Deny", &format!("arn:aws:iam::{ACCOUNT}:root"), &json!("dynamodb:GetItem"), TABLE))
        .await;
    assert!(world.denied(&root(), Operation::GetItem, &get()).await.is_some());
    world.ok(&root(), Operation::DeleteResourcePolicy, json!({"ResourceArn": TABLE})).await;
    assert_eq!(world.denied(&root(), Operation::GetItem, &get()).await, None);
}

#[tokio::test]
async fn a_policy_of_a_stream_is_its_own() {
    let world = World::new().await;
    let stream = stream_of(&world).await;
    let bob = caller(ACCOUNT, "bob", None);
    let body = json!({"StreamArn": stream});
    assert!(world.denied(&bob, Operation::DescribeStream, &body).await.is_some());
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/bob");
    let actions = json!(["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"]);
    put(&world, TABLE, &policy("Allow", &arn, &actions, &stream)).await;
    assert!(world.denied(&bob, Operation::DescribeStream, &body).await.is_some());
    put(&world, &stream, &policy("Allow", &arn, &actions, &stream)).await;
    let described = world.ok(&bob, Operation::DescribeStream, body).await;
    let shard = described["StreamDescription"]["Shards"][0]["ShardId"].clone();
    let body = json!({"StreamArn": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
    let iterator = world.ok(&bob, Operation::GetShardIterator, body).await["ShardIterator"].clone();
    let records = world.ok(&bob, Operation::GetRecords, json!({"ShardIterator": iterator})).await;
    assert_eq!(records["Records"].as_array().unwrap().len(), 4);
    let other = caller(ACCOUNT, "carol", None);
    assert!(world.denied(&other, Operation::GetRecords, &json!({"ShardIterator": iterator})).await.is_some());
    let kept = world.ok(&root(), Operation::GetResourcePolicy, json!({"ResourceArn": stream})).await;
    assert!(kept["Policy"].as_str().unwrap().contains("user/bob"));
}

#[tokio::test]
async fn revisions_guard_policies() {
    let world = World::new().await;
    let of =
        |name: &str| policy("Allow", &format!("arn:aws:iam::{ACCOUNT}:user/{name}"), &json!("dynamodb:Scan"), TABLE);
    let put = async |policy: &Value, expected: Option<&str>| {
        let mut body = json!({"ResourceArn": TABLE, "Policy": policy.to_string()});
        if let Some(expected) = expected {
            body["ExpectedRevisionId"] = json!(expected);
        }
        let answer = world.call(&root(), Operation::PutResourcePolicy, &body).await;
        answer.map(|answer| answer["RevisionId"].as_str().unwrap().to_owned())
    };
    let get = async || world.call(&root(), Operation::GetResourcePolicy, &json!({"ResourceArn": TABLE})).await;
    let missing = |answer: Result<_, String>| {
        assert!(answer.is_err_and(|error: String| error.starts_with("PolicyNotFoundException")));
    };
    missing(get().await.map(|_| String::new()));
    missing(put(&of("a"), Some("1")).await);
    let first = put(&of("a"), Some("NO_POLICY")).await.unwrap();
    missing(put(&of("b"), Some("NO_POLICY")).await);
    assert_eq!(put(&of("a"), None).await.unwrap(), first);
    let second = put(&of("b"), Some(&first)).await.unwrap();
    assert_ne!(second, first);
    assert_eq!(get().await.unwrap()["RevisionId"], json!(second));
    let delete = async |expected: &str| {
        let body = json!({"ResourceArn": TABLE, "ExpectedRevisionId": expected});
        world.call(&root(), Operation::DeleteResourcePolicy, &body).await
    };
    missing(delete(&first).await.map(|_| String::new()));
    assert_eq!(delete(&second).await.unwrap()["RevisionId"], json!(second));
    let again = world.ok(&root(), Operation::DeleteResourcePolicy, json!({"ResourceArn": TABLE})).await;
    assert_eq!(again, json!({}));
    missing(get().await.map(|_| String::new()));
}

#[tokio::test]
async fn a_policy_is_answered_in_the_services_form_and_another_spelling_keeps_its_revision() {
    let world = World::new().await;
    let short = json!({"Statement": {"Resource": ["*"], "Action": ["dynamodb:Scan"], "Effect": "allow",
        "Principal": {"AWS": [OTHER]}}});
    let first = put(&world, TABLE, &short).await;
    let spelt = format!(
        "{{\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":{{\"AWS\":\"arn:aws:iam::{OTHER}:root\"}},\
         \"Action\":\"dynamodb:Scan\",\"Resource\":\"*\"}}]}}"
    );
    let body = json!({"ResourceArn": TABLE, "Policy": spelt});
    assert_eq!(world.ok(&root(), Operation::PutResourcePolicy, body).await, first);
    let kept = world.ok(&root(), Operation::GetResourcePolicy, json!({"ResourceArn": TABLE})).await;
    let answered = spelt.replacen('{', "{\"Version\":\"2008-10-17\",", 1);
    assert_eq!(kept["Policy"], json!(answered));
    // What is longer in that form is still read.
    let accounts: Vec<String> = (0..1_300).map(|number| format!("{number:012}")).collect();
    let many = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": accounts}, "Action": "dynamodb:GetItem", "Resource": "*"}]});
    put(&world, TABLE, &many).await;
    let allowed = allow(&json!("dynamodb:GetItem"), &json!(TABLE), &Value::Null);
    let stranger = caller("000000001299", "x", Some(&allowed));
    assert_eq!(world.denied(&stranger, Operation::GetItem, &get()).await, None);
}

#[tokio::test]
async fn documents_that_are_no_policies_are_refused() {
    let world = World::new().await;
    let bob = format!("arn:aws:iam::{ACCOUNT}:user/bob");
    let large = format!("{}{}", " ".repeat(20_480), policy("Allow", &bob, &json!("dynamodb:GetItem"), TABLE));
    let listing = policy("Allow", &bob, &json!(["dynamodb:GetItem", "dynamodb:ListStreams"]), TABLE).to_string();
    for (document, part) in [
        ("{", "Invalid policy document"),
        ("{}", "Invalid policy document"),
        (large.as_str(), "20480"),
        (listing.as_str(), "The following action names are invalid: \"dynamodb:ListStreams\""),
    ] {
        for (operation, body) in [
            (Operation::PutResourcePolicy, json!({"ResourceArn": TABLE, "Policy": document})),
            (
                Operation::CreateTable,
                json!({
                "TableName": "New", "BillingMode": "PAY_PER_REQUEST", "ResourcePolicy": document,
                "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}]}),
            ),
        ] {
            let error = world.call(&root(), operation, &body).await.unwrap_err();
            assert!(error.starts_with("ValidationException"), "{error}");
            assert!(error.contains(part), "{error}");
        }
    }
    for (arn, part) in [
        ("Games", "ARNs must start with 'arn:'"),
        ("arn:aws:s3:::x", "not a DynamoDB resource arn"),
        (&format!("{TABLE}/index/by-title"), "only table or stream"),
    ] {
        let error = world.call(&root(), Operation::GetResourcePolicy, &json!({"ResourceArn": arn})).await.unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    for arn in [format!("{TABLE}2"), format!("{TABLE}/stream/2026-11-22T00:00:00.000")] {
        let error = world.call(&root(), Operation::GetResourcePolicy, &json!({"ResourceArn": arn})).await.unwrap_err();
        assert!(error.starts_with("ResourceNotFoundException"), "{error}");
    }
}

#[tokio::test]
async fn nobody_locks_themselves_out_unasked() {
    let world = World::new().await;
    let lock = policy("Deny", &format!("arn:aws:iam::{ACCOUNT}:root"), &json!("dynamodb:PutResourcePolicy"), TABLE);
    let mut body = json!({"ResourceArn": TABLE, "Policy": lock.to_string()});
    let error = world.call(&root(), Operation::PutResourcePolicy, &body).await.unwrap_err();
    assert!(error.contains("ConfirmRemoveSelfResourceAccess"), "{error}");
    body["ConfirmRemoveSelfResourceAccess"] = json!(true);
    world.ok(&root(), Operation::PutResourcePolicy, body.clone()).await;
    assert!(world.denied(&root(), Operation::PutResourcePolicy, &body).await.is_some());
    world.ok(&root(), Operation::DeleteResourcePolicy, json!({"ResourceArn": TABLE})).await;
}

#[tokio::test]
async fn a_new_table_has_the_policy_it_was_made_with_and_no_other() {
    let world = World::new().await;
    let arn = "arn:aws:dynamodb:us-east-1:111122223333:table/New";
    let bob = format!("arn:aws:iam::{ACCOUNT}:user/bob");
    let mut body = json!({
        "TableName": "New", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "ResourcePolicy": policy("Allow", &bob, &json!("dynamodb:Scan"), arn).to_string()});
    world.ok(&root(), Operation::CreateTable, body.clone()).await;
    let scan = json!({"TableName": "New"});
    assert_eq!(world.denied(&caller(ACCOUNT, "bob", None), Operation::Scan, &scan).await, None);
    world.ok(&root(), Operation::DeleteTable, scan.clone()).await;
    body.as_object_mut().unwrap().remove("ResourcePolicy");
    world.ok(&root(), Operation::CreateTable, body).await;
    assert!(world.denied(&caller(ACCOUNT, "bob", None), Operation::Scan, &scan).await.is_some());
}

#[tokio::test]
async fn keys_of_request_and_tags_are_answered() {
    let world = World::new().await;
    let tag = json!({"ResourceArn": TABLE, "Tags": [{"Key": "Stage", "Value": "test"}]});
    world.ok(&root(), Operation::TagResource, tag.clone()).await;
    let scan = json!({"TableName": "Games"});
    let cases = [
        (json!({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}), true),
        (json!({"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}), false),
        (json!({"Bool": {"aws:SecureTransport": "true"}}), false),
        (json!({"Bool": {"aws:SecureTransport": "false"}}), true),
        (json!({"StringEquals": {"aws:RequestedRegion": "us-east-1"}}), true),
        (json!({"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}), false),
        (json!({"StringEquals": {"aws:ResourceAccount": ACCOUNT}}), true),
        (json!({"StringEquals": {"aws:ResourceAccount": OTHER}}), false),
        (json!({"StringLike": {"aws:UserAgent": "suite/*"}}), true),
        (json!({"StringLike": {"aws:Referer": "*"}}), false),
        (json!({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}), true),
        (json!({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}), false),
        (json!({"NumericGreaterThan": {"aws:EpochTime": "1577836800"}}), true),
        (json!({"StringEquals": {"aws:ResourceTag/Stage": "test"}}), true),
        (json!({"StringEquals": {"aws:resourcetag/stage": "test"}}), true),
        (json!({"StringEquals": {"aws:ResourceTag/Stage": "live"}}), false),
        (json!({"StringEquals": {"aws:ResourceTag/Other": "test"}}), false),
        (json!({"StringEquals": {"dynamodb:ReturnConsumedCapacity": "NONE"}}), true),
        (json!({"StringEquals": {"dynamodb:ReturnConsumedCapacity": "TOTAL"}}), false),
    ];
    for (condition, allowed) in cases {
        let caller = user(&allow(&json!("dynamodb:Scan"), &json!(TABLE), &condition));
        let denied = world.denied(&caller, Operation::Scan, &scan).await;
        assert_eq!(denied.is_none(), allowed, "{condition}");
    }
    // An ARN may name a table of another region than the request is signed for: that one counts.
    for (region, allowed) in [("us-east-1", false), ("eu-west-1", true)] {
        let condition = json!({"StringEquals": {"aws:RequestedRegion": region}});
        let elsewhere = "arn:aws:dynamodb:eu-west-1:111122223333:table/Games";
        let caller = user(&allow(&json!("dynamodb:Scan"), &json!("*"), &condition));
        let denied = world.denied(&caller, Operation::Scan, &json!({"TableName": elsewhere})).await;
        assert_eq!(denied.is_none(), allowed, "{region}");
    }
    let tagging = [
        (json!({"StringEquals": {"aws:RequestTag/Stage": "test"}}), true),
        (json!({"StringEquals": {"aws:RequestTag/Stage": "live"}}), false),
        (json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["Stage", "Owner"]}}), true),
        (json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["Owner"]}}), false),
    ];
    for (condition, allowed) in tagging {
        let caller = user(&allow(&json!("dynamodb:TagResource"), &json!(TABLE), &condition));
        let denied = world.denied(&caller, Operation::TagResource, &tag).await;
        assert_eq!(denied.is_none(), allowed, "{condition}");
    }
}

#[tokio::test]
async fn a_root_key_is_lent_by_those_who_may_use_it() {
    let directory = tempfile::tempdir().unwrap();
    let keyring = Arc::new(Keyring::at(directory.path().join("keyring")));
    let keys = Keys { service: Arc::clone(&keyring) as _, trusted_for: Keys::TRUSTED_FOR };
    let options = OpenOptions::memory();
    let database = Database::open_with(&options, Settings::default(), Encryption::On(keys)).await.unwrap();
    let world = World {
        database,
        expressions: ParseCache::default(),
        headers: HeaderMap::new(),
        observed: Observed::default(),
    };
    let key = keyring.add("app").unwrap();
    keyring.has_changed();
    let arn = format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/{}", key.id);

    let table = |name: &str, key_id: &str| {
        json!({"TableName": name, "BillingMode": "PAY_PER_REQUEST",
            "SSESpecification": {"Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": key_id},
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}]})
    };
    let may = |kms: &[&str], key: &str| {
        let mut policy = allow(&json!("dynamodb:*"), &json!("*"), &Value::Null);
        let statement = json!({"Effect": "Allow", "Action": kms, "Resource": key});
        policy["Statement"].as_array_mut().unwrap().extend((!kms.is_empty()).then_some(statement));
        user(&policy)
    };
    let needed = ["kms:DescribeKey", "kms:CreateGrant"];
    for (index, key_id) in [key.id.as_str(), "alias/app", arn.as_str()].into_iter().enumerate() {
        let name = format!("Table{index}");
        for lacking in [&[][..], &needed[..1], &needed[1..]] {
            let denied = world.denied(&may(lacking, &arn), Operation::CreateTable, &table(&name, key_id)).await;
            assert!(denied.is_some_and(|(_, resource)| resource == arn), "{key_id} {lacking:?}");
        }
        let elsewhere = may(&needed, &format!("{arn}x"));
        assert!(world.denied(&elsewhere, Operation::CreateTable, &table(&name, key_id)).await.is_some(), "{key_id}");
        world.ok(&may(&needed, &arn), Operation::CreateTable, table(&name, key_id)).await;
    }

    let change = json!({"TableName": "Table0", "SSESpecification": table("", "alias/app")["SSESpecification"]});
    assert!(world.denied(&may(&[], &arn), Operation::UpdateTable, &change).await.is_some());
    assert_eq!(world.denied(&may(&needed, &arn), Operation::UpdateTable, &change).await, None);
    // Whoever may not use a key is not told whether it is there.
    for unknown in ["alias/none", "00000000-0000-0000-0000-000000000000"] {
        assert!(world.denied(&may(&[], &arn), Operation::CreateTable, &table("New", unknown)).await.is_some());
    }
    for (operation, body) in [
        (
            Operation::RestoreTableToPointInTime,
            json!({"SourceTableName": "Table0", "TargetTableName": "Restored",
            "SSESpecificationOverride": table("", "alias/app")["SSESpecification"]}),
        ),
        (
            Operation::RestoreTableFromBackup,
            json!({"TargetTableName": "Restored",
            "BackupArn": format!("arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/Table0/backup/01234567890123-abcdefgh"),
            "SSESpecificationOverride": table("", "alias/app")["SSESpecification"]}),
        ),
    ] {
        assert!(world.denied(&may(&[], &arn), operation, &body).await.is_some_and(|(_, resource)| resource == arn));
        assert_eq!(world.denied(&may(&needed, &arn), operation, &body).await, None);
    }
}
