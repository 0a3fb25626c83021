//! For every operation: what it needs. With all of that it goes through, and without any one of it it is denied.

use serde_json::{Value, json};

use super::{ACCOUNT, OTHER, Operation, TABLE, TriggerOperation, World, allow, caller, denial, user};
use crate::caller::Caller;

const BACKUP: &str = "arn:aws:dynamodb:us-east-1:111122223333:table/Games/backup/01234567890123-abcdefgh";
const IMPORT: &str = "arn:aws:dynamodb:us-east-1:111122223333:table/Games/import/01795000000000-0badcafe";
const BULK: &str = "arn:aws:dynamodb:us-east-1:111122223333:table/Games/bulk-operation/01795000000000-0badcafe";
const STREAM: &str = "arn:aws:dynamodb:us-east-1:111122223333:table/Games/stream/2026-11-22T00:00:00.000";
const BY_TITLE: &str = "arn:aws:dynamodb:us-east-1:111122223333:table/Games/index/by-title";
const NEW: &str = "arn:aws:dynamodb:us-east-1:111122223333:table/New";
const ANY: &str = "*";

/// A request, and the actions and resources that it needs.
struct Sample {
    body: Value,
    needs: Vec<(&'static str, &'static str)>,
}

fn one(body: Value, action: &'static str, resource: &'static str) -> Vec<Sample> {
    vec![Sample { body, needs: vec![(action, resource)] }]
}

fn on_games(action: &'static str) -> Vec<Sample> {
    one(json!({"TableName": "Games"}), action, TABLE)
}

/// Requests of an operation; none of one that there is no handler for.
#[expect(clippy::too_many_lines, reason = "one arm for each operation")]
fn samples(operation: Operation) -> Vec<Sample> {
    let key = json!({"UserId": {"S": "carol"}, "GameTitle": {"S": "go"}});
    let on_key = json!({"TableName": "Games", "Key": key});
    let statement = |text: &str| json!({"Statement": text});
    let several = |body, needs: &[(&'static str, &'static str)]| vec![Sample { body, needs: needs.to_vec() }];
    match operation {
        Operation::BatchExecuteStatement => Vec::new(), // It answers for each statement by itself.
        Operation::BatchGetItem => {
            one(json!({"RequestItems": {"Games": {"Keys": [key]}}}), "dynamodb:BatchGetItem", TABLE)
        }
        Operation::BatchWriteItem => {
            let write = json!({"DeleteRequest": {"Key": key}});
            one(json!({"RequestItems": {"Games": [write]}}), "dynamodb:BatchWriteItem", TABLE)
        }
        Operation::CreateBackup => {
            one(json!({"TableName": "Games", "BackupName": "one"}), "dynamodb:CreateBackup", TABLE)
        }
        Operation::CreateTable => {
            let plain = json!({
                "TableName": "New", "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}]});
            let mut tagged = plain.clone();
            tagged["Tags"] = json!([{"Key": "a", "Value": "b"}]);
            let mut guarded = plain.clone();
            guarded["ResourcePolicy"] = json!("{}");
            vec![
                Sample { body: plain, needs: vec![("dynamodb:CreateTable", NEW)] },
                Sample { body: tagged, needs: vec![("dynamodb:CreateTable", NEW), ("dynamodb:TagResource", NEW)] },
                Sample {
                    body: guarded,
                    needs: vec![("dynamodb:CreateTable", NEW), ("dynamodb:PutResourcePolicy", NEW)],
                },
            ]
        }
        Operation::DeleteBackup => one(json!({"BackupArn": BACKUP}), "dynamodb:DeleteBackup", BACKUP),
        Operation::DeleteItem => one(on_key, "dynamodb:DeleteItem", TABLE),
        Operation::DeleteResourcePolicy => {
            let mut samples = one(json!({"ResourceArn": TABLE}), "dynamodb:DeleteResourcePolicy", TABLE);
            samples.extend(one(json!({"ResourceArn": STREAM}), "dynamodb:DeleteResourcePolicy", STREAM));
            samples
        }
        Operation::UpdateContributorInsights => {
            let body = json!({"TableName": "Games", "ContributorInsightsAction": "ENABLE"});
            let mut samples = one(body, "dynamodb:UpdateContributorInsights", TABLE);
            let body = json!({"TableName": "Games", "IndexName": "by-title", "ContributorInsightsAction": "ENABLE"});
            samples.extend(one(body, "dynamodb:UpdateContributorInsights", BY_TITLE));
            samples
        }
        Operation::DeleteTable => on_games("dynamodb:DeleteTable"),
        Operation::DescribeBackup => one(json!({"BackupArn": BACKUP}), "dynamodb:DescribeBackup", BACKUP),
        Operation::DescribeContinuousBackups => on_games("dynamodb:DescribeContinuousBackups"),
        Operation::DescribeContributorInsights => {
            let mut samples = on_games("dynamodb:DescribeContributorInsights");
            let body = json!({"TableName": "Games", "IndexName": "by-title"});
            samples.extend(one(body, "dynamodb:DescribeContributorInsights", BY_TITLE));
            samples
        }
        Operation::DescribeEndpoints => one(json!({}), "dynamodb:DescribeEndpoints", ANY),
        Operation::DescribeKinesisStreamingDestination => on_games("dynamodb:DescribeKinesisStreamingDestination"),
        Operation::DescribeLimits => one(json!({}), "dynamodb:DescribeLimits", ANY),
        Operation::DescribeTable => {
            let mut samples = on_games("dynamodb:DescribeTable");
            samples.extend(one(json!({"TableName": TABLE}), "dynamodb:DescribeTable", TABLE));
            samples
        }
        Operation::DescribeTimeToLive => on_games("dynamodb:DescribeTimeToLive"),
        Operation::ExecuteStatement => {
            let from = "WHERE UserId = 'carol' AND GameTitle = 'go'";
            let insert = statement("INSERT INTO Games VALUE {'UserId': 'carol', 'GameTitle': 'go'}");
            [
                one(statement("SELECT * FROM Games"), "dynamodb:PartiQLSelect", TABLE),
                one(statement("SELECT * FROM Games.\"by-title\""), "dynamodb:PartiQLSelect", BY_TITLE),
                one(insert, "dynamodb:PartiQLInsert", TABLE),
                one(statement(&format!("UPDATE Games SET a = 1 {from}")), "dynamodb:PartiQLUpdate", TABLE),
                one(statement(&format!("DELETE FROM Games {from}")), "dynamodb:PartiQLDelete", TABLE),
            ]
            .into_iter()
            .flatten()
            .collect()
        }
        Operation::ExecuteTransaction => {
            let from = "WHERE UserId = 'carol' AND GameTitle = 'go'";
            let exists = statement(&format!("EXISTS(SELECT * FROM Games {from} AND Wins = 1)"));
            let delete = statement("DELETE FROM Games WHERE UserId = 'carol' AND GameTitle = 'chess'");
            several(
                json!({"TransactStatements": [exists, delete]}),
                &[("dynamodb:ConditionCheckItem", TABLE), ("dynamodb:PartiQLDelete", TABLE)],
            )
        }
        Operation::ExportTableToPointInTime => {
            one(json!({"TableArn": TABLE, "S3Bucket": "b"}), "dynamodb:ExportTableToPointInTime", TABLE)
        }
        Operation::GetItem => one(on_key, "dynamodb:GetItem", TABLE),
        Operation::GetResourcePolicy => one(json!({"ResourceArn": TABLE}), "dynamodb:GetResourcePolicy", TABLE),
        Operation::ListBackups => one(json!({}), "dynamodb:ListBackups", ANY),
        Operation::ListContributorInsights => one(json!({}), "dynamodb:ListContributorInsights", ANY),
        Operation::ListExports => one(json!({}), "dynamodb:ListExports", ANY),
        Operation::ListGlobalTables => one(json!({}), "dynamodb:ListGlobalTables", ANY),
        Operation::ListImports => one(json!({}), "dynamodb:ListImports", ANY),
        Operation::ListTables => one(json!({}), "dynamodb:ListTables", ANY),
        Operation::ListTagsOfResource => one(json!({"ResourceArn": TABLE}), "dynamodb:ListTagsOfResource", TABLE),
        Operation::PutItem => one(json!({"TableName": "Games", "Item": key}), "dynamodb:PutItem", TABLE),
        Operation::PutResourcePolicy => {
            one(json!({"ResourceArn": TABLE, "Policy": "{}"}), "dynamodb:PutResourcePolicy", TABLE)
        }
        Operation::Query => {
            let query = |members: &Value| {
                let mut body = json!({"TableName": "Games", "ExpressionAttributeValues": {":v": {"S": "carol"}}});
                for (name, value) in members.as_object().into_iter().flatten() {
                    body[name] = value.clone();
                }
                body
            };
            let of_index = query(&json!({"IndexName": "by-title", "KeyConditionExpression": "GameTitle = :v"}));
            let mut samples = one(query(&json!({"KeyConditionExpression": "UserId = :v"})), "dynamodb:Query", TABLE);
            samples.extend(one(of_index, "dynamodb:Query", BY_TITLE));
            samples
        }
        Operation::RestoreTableFromBackup => {
            let mut needs = vec![("dynamodb:RestoreTableFromBackup", BACKUP), ("dynamodb:RestoreTableFromBackup", NEW)];
            needs.extend(super::super::tables::RESTORE_WRITES.map(|action| (action, NEW)));
            several(json!({"TargetTableName": "New", "BackupArn": BACKUP}), &needs)
        }
        Operation::RestoreTableToPointInTime => {
            let restore = "dynamodb:RestoreTableToPointInTime";
            let mut needs = vec![(restore, TABLE), (restore, NEW)];
            needs.extend(super::super::tables::RESTORE_WRITES.map(|action| (action, NEW)));
            several(json!({"TargetTableName": "New", "SourceTableName": "Games"}), &needs)
        }
        Operation::Scan => {
            let mut samples = on_games("dynamodb:Scan");
            samples.extend(one(json!({"TableName": "Games", "IndexName": "by-title"}), "dynamodb:Scan", BY_TITLE));
            samples
        }
        Operation::TagResource => {
            let tags = json!({"ResourceArn": TABLE, "Tags": [{"Key": "a", "Value": "b"}]});
            one(tags, "dynamodb:TagResource", TABLE)
        }
        Operation::TransactGetItems => one(json!({"TransactItems": [{"Get": on_key}]}), "dynamodb:GetItem", TABLE),
        Operation::TransactWriteItems => {
            let of = |title: &str, more: Value| {
                let key = json!({"UserId": {"S": "carol"}, "GameTitle": {"S": title}});
                let mut body = json!({"TableName": "Games", "Key": key});
                for (name, value) in more.as_object().into_iter().flatten() {
                    body[name] = value.clone();
                }
                body
            };
            let body = json!({"TransactItems": [
                {"Put": {"TableName": "Games", "Item": key}},
                {"Update": of("a", json!({"UpdateExpression": "REMOVE a"}))},
                {"Delete": of("b", json!({}))},
                {"ConditionCheck": of("c", json!({"ConditionExpression": "attribute_not_exists(a)"}))},
            ]});
            several(
                body,
                &[
                    ("dynamodb:PutItem", TABLE),
                    ("dynamodb:UpdateItem", TABLE),
                    ("dynamodb:DeleteItem", TABLE),
                    ("dynamodb:ConditionCheckItem", TABLE),
                ],
            )
        }
        Operation::UntagResource => {
            one(json!({"ResourceArn": TABLE, "TagKeys": ["a"]}), "dynamodb:UntagResource", TABLE)
        }
        Operation::UpdateContinuousBackups => {
            let on = json!({"PointInTimeRecoveryEnabled": true});
            let body = json!({"TableName": "Games", "PointInTimeRecoverySpecification": on});
            one(body, "dynamodb:UpdateContinuousBackups", TABLE)
        }
        Operation::UpdateItem => one(on_key, "dynamodb:UpdateItem", TABLE),
        Operation::UpdateTable => {
            one(json!({"TableName": "Games", "DeletionProtectionEnabled": false}), "dynamodb:UpdateTable", TABLE)
        }
        Operation::UpdateTimeToLive => {
            let specification = json!({"Enabled": true, "AttributeName": "ttl"});
            let body = json!({"TableName": "Games", "TimeToLiveSpecification": specification});
            one(body, "dynamodb:UpdateTimeToLive", TABLE)
        }
        Operation::DescribeStream => one(json!({"StreamArn": STREAM}), "dynamodb:DescribeStream", STREAM),
        Operation::GetRecords => {
            one(json!({"ShardIterator": format!("{STREAM}|1|AAAA")}), "dynamodb:GetRecords", STREAM)
        }
        Operation::GetShardIterator => {
            let shard = "shardId-00000000000000000000-00000000";
            let body = json!({"StreamArn": STREAM, "ShardId": shard, "ShardIteratorType": "LATEST"});
            one(body, "dynamodb:GetShardIterator", STREAM)
        }
        Operation::CancelBulkOperation => one(json!({"BulkOperationArn": BULK}), "dynamodb:CancelBulkOperation", BULK),
        Operation::DescribeBulkOperation => {
            one(json!({"BulkOperationArn": BULK}), "dynamodb:DescribeBulkOperation", BULK)
        }
        Operation::ListBulkOperations => one(json!({}), "dynamodb:ListBulkOperations", ANY),
        Operation::DescribeImport => one(json!({"ImportArn": IMPORT}), "dynamodb:DescribeImport", IMPORT),
        Operation::ImportTable => {
            let table = json!({
                "TableName": "New",
                "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
                "BillingMode": "PAY_PER_REQUEST",
            });
            let source = json!({"S3Bucket": "in", "S3KeyPrefix": "data/"});
            several(
                json!({"S3BucketSource": source, "InputFormat": "CSV", "TableCreationParameters": table}),
                &[
                    ("dynamodb:ImportTable", NEW),
                    ("s3:ListBucket", "arn:aws:s3:::in"),
                    ("s3:GetObject", "arn:aws:s3:::in/data/*"),
                ],
            )
        }
        Operation::StartBulkPutItems => several(
            json!({
                "TableName": "Games",
                "InputS3Configuration": {"S3Bucket": "in", "InputFormat": "ION"},
                "OutputS3Configuration": {"S3Bucket": "out", "S3KeyPrefix": "told", "OutputType": ["ERROR"]},
            }),
            &[
                ("dynamodb:StartBulkPutItems", TABLE),
                ("s3:ListBucket", "arn:aws:s3:::in"),
                ("s3:GetObject", "arn:aws:s3:::in/*"),
                ("s3:PutObject", "arn:aws:s3:::out/told*"),
            ],
        ),
        Operation::ListStreams => one(json!({}), "dynamodb:ListStreams", ANY),
        Operation::CreateGlobalTable
        | Operation::DescribeExport
        | Operation::DescribeGlobalTable
        | Operation::DescribeGlobalTableSettings
        | Operation::DescribeTableReplicaAutoScaling
        | Operation::DisableKinesisStreamingDestination
        | Operation::EnableKinesisStreamingDestination
        | Operation::SearchVectors
        | Operation::UpdateGlobalTable
        | Operation::UpdateGlobalTableSettings
        | Operation::UpdateKinesisStreamingDestination
        | Operation::UpdateTableReplicaAutoScaling => Vec::new(),
    }
}

/// A caller who may do these things and nothing else.
fn permitted<'n>(needs: impl Iterator<Item = &'n (&'static str, &'static str)>) -> Caller {
    let statements: Vec<Value> =
        needs.map(|(action, resource)| json!({"Effect": "Allow", "Action": action, "Resource": resource})).collect();
    if statements.is_empty() {
        return caller(ACCOUNT, "alice", None);
    }
    user(&json!({"Version": "2012-10-17", "Statement": statements}))
}

#[tokio::test]
async fn every_operation_needs_all_its_permissions() {
    for operation in Operation::ALL {
        let samples = samples(*operation);
        let world = World::new().await;
        if samples.is_empty() && *operation != Operation::BatchExecuteStatement {
            let answer = world.call(&caller(ACCOUNT, "alice", None), *operation, &json!({})).await.unwrap_err();
            assert!(answer.starts_with("UnknownOperationException"), "{} needs a sample: {answer}", operation.name());
        }
        for Sample { body, needs } in samples {
            let unknown = world.call(&caller(ACCOUNT, "alice", None), *operation, &body).await;
            if matches!(&unknown, Err(error) if error.starts_with("UnknownOperationException")) {
                continue;
            }
            for (at, (action, resource)) in needs.iter().enumerate() {
                let others = needs.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, need)| need);
                let denied = world.denied(&permitted(others), *operation, &body).await;
                let expected = Some(((*action).to_owned(), (*resource).to_owned()));
                assert_eq!(denied, expected, "{} {body}", operation.name());
            }
            let answer = world.call(&permitted(needs.iter()), *operation, &body).await;
            let denied = matches!(&answer, Err(error) if error.starts_with("AccessDenied"));
            assert!(!denied, "{} {body}: {answer:?}", operation.name());
        }
    }
}

#[tokio::test]
async fn every_statement_of_a_batch_needs_its_permission() {
    let world = World::new().await;
    let body = json!({"Statements": [
        {"Statement": "SELECT * FROM Games WHERE UserId = 'alice' AND GameTitle = 'go'"},
        {"Statement": "SELECT * FROM Others WHERE UserId = 'alice' AND GameTitle = 'go'"}]});
    let reader = user(&allow(&json!("dynamodb:PartiQLSelect"), &json!(TABLE), &Value::Null));
    for (caller, codes) in
        [(reader, [None, Some("AccessDenied")]), (caller(ACCOUNT, "x", None), [Some("AccessDenied"); 2])]
    {
        let answer = world.call(&caller, Operation::BatchExecuteStatement, &body).await.unwrap();
        let found = [0, 1].map(|at| answer["Responses"][at]["Error"]["Code"].as_str());
        assert_eq!(found, codes);
    }
}

#[tokio::test]
async fn a_missing_table_is_told_only_to_those_who_may_ask() {
    let world = World::new().await;
    let arn = "arn:aws:dynamodb:us-east-1:111122223333:table/Missing";
    let may = user(&allow(
        &json!(["dynamodb:GetItem", "dynamodb:DescribeTable"]),
        &json!(arn),
        &json!({"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["alice"]}}),
    ));
    for (operation, body) in [
        (Operation::GetItem, json!({"TableName": "Missing", "Key": {"k": {"S": "alice"}}})),
        (Operation::DescribeTable, json!({"TableName": "Missing"})),
    ] {
        let error = world.call(&may, operation, &body).await.unwrap_err();
        assert!(error.starts_with("ResourceNotFoundException"), "{error}");
        let may_not = caller(ACCOUNT, "bob", None);
        let error = world.call(&may_not, operation, &body).await.unwrap_err();
        assert!(error.starts_with("AccessDeniedException"), "{error}");
    }
}

#[tokio::test]
async fn denials_say_who_what_and_why() {
    let world = World::new().await;
    let body = json!({"TableName": "Games", "Key": {"UserId": {"S": "a"}, "GameTitle": {"S": "b"}}});
    let error = world.call(&caller(ACCOUNT, "alice", None), Operation::GetItem, &body).await.unwrap_err();
    assert_eq!(
        error,
        format!(
            "AccessDeniedException: User: arn:aws:iam::{ACCOUNT}:user/alice is not authorized to perform: \
             dynamodb:GetItem on resource: {TABLE} because no identity-based policy allows the dynamodb:GetItem action"
        )
    );
}

#[tokio::test]
async fn tables_of_other_accounts_are_out_of_reach_without_their_policy() {
    let world = World::new().await;
    let all = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    for name in ["", "mallory"] {
        let stranger = caller(OTHER, name, (!name.is_empty()).then_some(&all));
        for (operation, body) in [
            (Operation::Scan, json!({"TableName": TABLE})),
            (Operation::DeleteTable, json!({"TableName": TABLE})),
            (Operation::Scan, json!({"TableName": format!("{TABLE}/index/by-title")})),
            (Operation::ListTagsOfResource, json!({"ResourceArn": TABLE})),
            (Operation::ListContributorInsights, json!({"TableName": TABLE})),
            (Operation::ListBackups, json!({"TableName": TABLE})),
            (Operation::ListExports, json!({"TableArn": TABLE})),
            (Operation::ListImports, json!({"TableArn": TABLE})),
            (Operation::DescribeStream, json!({"StreamArn": STREAM})),
            (Operation::GetRecords, json!({"ShardIterator": format!("{STREAM}|1|AAAA")})),
        ] {
            let error = world.call(&stranger, operation, &body).await.unwrap_err();
            assert!(error.starts_with("AccessDeniedException"), "{} {body}: {error}", operation.name());
        }
    }
}

#[tokio::test]
async fn triggers_need_their_own_action_and_the_stream() {
    let world = World::new().await;
    let trigger = "arn:aws:partita:us-east-1:111122223333:trigger/t";
    let body = json!({"TriggerName": "t", "TableName": "Games", "Url": "http://localhost:1/"});
    let own = ("partita:CreateTrigger", trigger);
    let denied = |answer: Result<Value, String>| answer.err().and_then(denial).map(|(action, _)| action);
    let only_own = permitted([own].iter());
    let answer = world.call_own(&only_own, TriggerOperation::CreateTrigger, &body).await;
    assert_eq!(denied(answer).as_deref(), Some("dynamodb:GetRecords"));
    let stream = ("dynamodb:GetRecords", "arn:aws:dynamodb:us-east-1:111122223333:table/Games/stream/*");
    let only_stream = permitted([stream].iter());
    let answer = world.call_own(&only_stream, TriggerOperation::CreateTrigger, &body).await;
    assert_eq!(denied(answer).as_deref(), Some("partita:CreateTrigger"));
    let both = permitted([own, stream].iter());
    let mut with_dead_letters = body.clone();
    with_dead_letters["DeadLetterTableName"] = json!("Games");
    let answer = world.call_own(&both, TriggerOperation::CreateTrigger, &with_dead_letters).await;
    assert_eq!(denied(answer).as_deref(), Some("dynamodb:PutItem"));
    world.call_own(&both, TriggerOperation::CreateTrigger, &body).await.unwrap();
    for (operation, body) in [
        (TriggerOperation::ListTriggers, json!({})),
        (TriggerOperation::DescribeTrigger, json!({"TriggerName": "t"})),
        (TriggerOperation::UpdateTrigger, json!({"TriggerName": "t", "Enabled": false})),
        (TriggerOperation::DeleteTrigger, json!({"TriggerName": "t"})),
    ] {
        let answer = world.call_own(&both, operation, &body).await;
        assert_eq!(denied(answer), Some(format!("partita:{}", operation.name())));
    }
    // Whoever redirects a trigger reads its stream.
    let editor = permitted([("partita:UpdateTrigger", trigger)].iter());
    let moved = json!({"TriggerName": "t", "Url": "http://localhost:2/"});
    let answer = world.call_own(&editor, TriggerOperation::UpdateTrigger, &moved).await;
    assert_eq!(denied(answer).as_deref(), Some("dynamodb:GetRecords"));
    // So does whoever says where its dead letters go, which hold whole records; not who takes that table away.
    let kept = json!({"TriggerName": "t", "DeadLetterTableName": "Games"});
    let collector = permitted([("partita:UpdateTrigger", trigger), ("dynamodb:PutItem", TABLE)].iter());
    let answer = world.call_own(&collector, TriggerOperation::UpdateTrigger, &kept).await;
    assert_eq!(denied(answer).as_deref(), Some("dynamodb:GetRecords"));
    let gone = json!({"TriggerName": "t", "DeadLetterTableName": ""});
    world.call_own(&editor, TriggerOperation::UpdateTrigger, &gone).await.unwrap();
}
