//! Callers whose policies keep attributes, partition keys or indexes from them, and every way they might try.

use serde_json::{Value, json};

use super::{Operation, TABLE, World, allow, user};
use crate::caller::Caller;

const ALL_DATA: [&str; 14] = [
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PartiQLDelete",
    "dynamodb:PartiQLInsert",
    "dynamodb:PartiQLSelect",
    "dynamodb:PartiQLUpdate",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:Scan",
    "dynamodb:UpdateItem",
    "dynamodb:DescribeTable",
];

fn everything_on_games(condition: &Value) -> Caller {
    user(&allow(&json!(ALL_DATA), &json!([TABLE, format!("{TABLE}/index/*")]), condition))
}

fn key(player: &str) -> Value {
    json!({"UserId": {"S": player}, "GameTitle": {"S": "chess"}})
}

/// An item of a player with more attributes.
fn item(player: &str, more: &Value) -> Value {
    let mut item = key(player);
    for (name, value) in more.as_object().into_iter().flatten() {
        item[name] = value.clone();
    }
    item
}

/// A body on the table with more members.
fn games(members: &Value) -> Value {
    let mut body = json!({"TableName": "Games"});
    for (name, value) in members.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

/// The same on alice's item.
fn hers(members: &Value) -> Value {
    let mut body = games(members);
    body["Key"] = key("alice");
    body
}

fn statement(text: &str) -> Value {
    json!({"Statement": text})
}

async fn check(world: &World, caller: &Caller, cases: &[(bool, Operation, Value)]) {
    for (allowed, operation, body) in cases {
        let answer = world.call(caller, *operation, body).await;
        let denied = matches!(&answer, Err(error) if error.starts_with("AccessDeniedException"));
        assert_eq!(denied, !allowed, "{} {body}: {answer:?}", operation.name());
        if *allowed {
            let spoilt = matches!(&answer, Err(error)
                if !error.starts_with("ConditionalCheckFailedException") && !error.starts_with("TransactionCanceled"));
            assert!(!spoilt, "{} {body}: {answer:?}", operation.name());
        }
    }
}

#[tokio::test]
async fn an_attribute_out_of_bounds_is_reached_by_no_expression() {
    use Operation::{DeleteItem, GetItem, PutItem, Query, Scan, UpdateItem};
    let world = World::new().await;
    let caller = everything_on_games(&json!({
        "ForAllValues:StringEquals": {"dynamodb:Attributes": ["UserId", "GameTitle", "Wins", "Tags"]},
        "StringEqualsIfExists": {
            "dynamodb:Select": ["SPECIFIC_ATTRIBUTES", "COUNT"],
            "dynamodb:ReturnValues": ["NONE", "UPDATED_OLD", "UPDATED_NEW"]}}));
    let name = json!({"#n": "Secret"});
    let one = json!({":v": {"N": "1"}});
    let mine = json!({":u": {"S": "alice"}});
    let cases = [
        (true, GetItem, hers(&json!({"ProjectionExpression": "Wins, UserId"}))),
        (true, GetItem, hers(&json!({"ProjectionExpression": "#n", "ExpressionAttributeNames": {"#n": "Wins"}}))),
        (true, GetItem, hers(&json!({"AttributesToGet": ["Wins"]}))),
        (false, GetItem, hers(&json!({}))),
        (false, GetItem, hers(&json!({"ProjectionExpression": "Wins, Secret"}))),
        (false, GetItem, hers(&json!({"ProjectionExpression": "Secret.deep"}))),
        (false, GetItem, hers(&json!({"ProjectionExpression": "Wins, #n.deep", "ExpressionAttributeNames": name}))),
        (false, GetItem, hers(&json!({"AttributesToGet": ["Wins", "Secret"]}))),
        // Names are told apart by case: another case is another attribute, and not one that is allowed.
        (false, GetItem, hers(&json!({"ProjectionExpression": "wins"}))),
        (false, GetItem, json!({"TableName": TABLE, "Key": key("alice"), "ProjectionExpression": "Secret"})),
        (true, PutItem, games(&json!({"Item": item("alice", &json!({"Wins": {"N": "1"}}))}))),
        (false, PutItem, games(&json!({"Item": item("alice", &json!({"Secret": {"N": "1"}}))}))),
        (false, PutItem, games(&json!({"Item": item("alice", &json!({})), "ReturnValues": "ALL_OLD"}))),
        (
            false,
            PutItem,
            games(&json!({
            "Item": item("alice", &json!({})), "ConditionExpression": "attribute_not_exists(Secret)"})),
        ),
        (
            false,
            PutItem,
            games(&json!({
            "Item": item("alice", &json!({})), "ConditionExpression": "size(#n.deep) > :v",
            "ExpressionAttributeNames": name, "ExpressionAttributeValues": one})),
        ),
        (false, PutItem, games(&json!({"Item": item("alice", &json!({})), "Expected": {"Secret": {"Exists": false}}}))),
        (
            false,
            PutItem,
            games(&json!({
            "Item": item("alice", &json!({})), "ConditionExpression": "attribute_not_exists(UserId)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD"})),
        ),
        (
            true,
            UpdateItem,
            hers(&json!({
            "UpdateExpression": "SET Wins = Wins + :v", "ExpressionAttributeValues": one,
            "ReturnValues": "UPDATED_NEW"})),
        ),
        (
            false,
            UpdateItem,
            hers(&json!({
            "UpdateExpression": "SET Wins = :v", "ExpressionAttributeValues": one, "ReturnValues": "ALL_NEW"})),
        ),
        (
            false,
            UpdateItem,
            hers(&json!({
            "UpdateExpression": "SET Wins = :v", "ExpressionAttributeValues": one, "ReturnValues": "UPDATED_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD"})),
        ),
        (
            false,
            UpdateItem,
            hers(&json!({
            "UpdateExpression": "SET Tags[0] = Secret.deep", "ReturnValues": "UPDATED_NEW"})),
        ),
        (
            false,
            UpdateItem,
            hers(&json!({
            "UpdateExpression": "SET Wins = if_not_exists(Secret, :v)", "ExpressionAttributeValues": one})),
        ),
        (
            false,
            UpdateItem,
            hers(&json!({
            "UpdateExpression": "SET Tags = list_append(Tags, #n)", "ExpressionAttributeNames": name})),
        ),
        (false, UpdateItem, hers(&json!({"UpdateExpression": "REMOVE #n.deep", "ExpressionAttributeNames": name}))),
        (
            false,
            UpdateItem,
            hers(&json!({
            "UpdateExpression": "ADD Secret :v", "ExpressionAttributeValues": one})),
        ),
        (false, UpdateItem, hers(&json!({"AttributeUpdates": {"Secret": {"Action": "DELETE"}}}))),
        (
            false,
            UpdateItem,
            hers(&json!({
            "AttributeUpdates": {"Wins": {"Value": {"N": "1"}}}, "Expected": {"Secret": {"ComparisonOperator": "NULL"}},
            "ConditionalOperator": "AND"})),
        ),
        (true, DeleteItem, hers(&json!({}))),
        (false, DeleteItem, hers(&json!({"ConditionExpression": "NOT contains(Secret, UserId)"}))),
        (false, DeleteItem, hers(&json!({"ReturnValues": "ALL_OLD"}))),
        (
            false,
            Query,
            games(&json!({
            "KeyConditionExpression": "UserId = :u", "ExpressionAttributeValues": mine})),
        ),
        (
            true,
            Query,
            games(&json!({
            "KeyConditionExpression": "UserId = :u", "ExpressionAttributeValues": mine, "Select": "COUNT"})),
        ),
        (
            true,
            Query,
            games(&json!({
            "KeyConditionExpression": "UserId = :u", "ExpressionAttributeValues": mine,
            "ProjectionExpression": "Wins"})),
        ),
        (
            false,
            Query,
            games(&json!({
            "KeyConditionExpression": "UserId = :u", "ExpressionAttributeValues": mine,
            "ProjectionExpression": "Wins", "FilterExpression": "attribute_exists(Secret.deep)"})),
        ),
        (
            false,
            Query,
            games(&json!({
            "KeyConditionExpression": "UserId = :u", "ExpressionAttributeValues": mine, "Select": "COUNT",
            "FilterExpression": "attribute_exists(#n)", "ExpressionAttributeNames": name})),
        ),
        (
            false,
            Query,
            games(&json!({
            "KeyConditions": {"UserId": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "alice"}]}},
            "QueryFilter": {"Secret": {"ComparisonOperator": "NOT_NULL"}}, "Select": "COUNT"})),
        ),
        (
            false,
            Query,
            games(&json!({
            "IndexName": "by-title", "KeyConditionExpression": "GameTitle = :u", "ExpressionAttributeValues": mine})),
        ),
        (
            false,
            Query,
            games(&json!({
            "IndexName": "by-title", "KeyConditionExpression": "GameTitle = :u", "ExpressionAttributeValues": mine,
            "Select": "ALL_PROJECTED_ATTRIBUTES"})),
        ),
        (
            false,
            Query,
            games(&json!({
            "IndexName": "by-league", "KeyConditionExpression": "UserId = :u AND League = :u",
            "ExpressionAttributeValues": mine, "Select": "COUNT"})),
        ),
        (false, Scan, games(&json!({}))),
        (true, Scan, games(&json!({"Select": "COUNT"}))),
        (false, Scan, games(&json!({"Select": "ALL_ATTRIBUTES"}))),
        (false, Scan, games(&json!({"AttributesToGet": ["Secret"]}))),
        (
            false,
            Scan,
            games(&json!({
            "Select": "COUNT", "ScanFilter": {"Secret": {"ComparisonOperator": "NULL"}}})),
        ),
        (
            false,
            Scan,
            games(&json!({
            "ProjectionExpression": "Wins", "FilterExpression": "attribute_type(Secret, :v)",
            "ExpressionAttributeValues": {":v": {"S": "M"}}})),
        ),
    ];
    check(&world, &caller, &cases).await;
}

#[tokio::test]
async fn an_attribute_out_of_bounds_is_reached_by_no_batch_transaction_or_statement() {
    use Operation::{
        BatchGetItem, BatchWriteItem, ExecuteStatement, ExecuteTransaction, TransactGetItems, TransactWriteItems,
    };
    let world = World::new().await;
    let caller = everything_on_games(&json!({
        "ForAllValues:StringEquals": {"dynamodb:Attributes": ["UserId", "GameTitle", "Wins"]},
        "StringEqualsIfExists": {
            "dynamodb:Select": "SPECIFIC_ATTRIBUTES",
            "dynamodb:ReturnValues": ["NONE", "UPDATED_OLD", "UPDATED_NEW"]}}));
    let gets = |members: Value| json!({"RequestItems": {"Games": members}});
    let writes = |write: Value| json!({"RequestItems": {"Games": [write]}});
    let got = |members: &Value| json!({"TransactItems": [{"Get": hers(members)}]});
    let wrote = |kind: &str, body: Value| json!({"TransactItems": [{kind: body}]});
    let stated = |text: &str| json!({"TransactStatements": [{"Statement": text}]});
    let where_mine = "WHERE UserId = 'alice' AND GameTitle = 'chess'";
    let cases = [
        (true, BatchGetItem, gets(json!({"Keys": [key("alice")], "ProjectionExpression": "Wins"}))),
        (false, BatchGetItem, gets(json!({"Keys": [key("alice")]}))),
        (false, BatchGetItem, gets(json!({"Keys": [key("alice")], "AttributesToGet": ["Secret"]}))),
        (
            false,
            BatchGetItem,
            gets(json!({
            "Keys": [key("alice")], "ProjectionExpression": "#n.deep", "ExpressionAttributeNames": {"#n": "Secret"}})),
        ),
        (true, BatchWriteItem, writes(json!({"PutRequest": {"Item": item("alice", &json!({"Wins": {"N": "1"}}))}}))),
        (false, BatchWriteItem, writes(json!({"PutRequest": {"Item": item("alice", &json!({"Secret": {"N": "1"}}))}}))),
        (true, BatchWriteItem, writes(json!({"DeleteRequest": {"Key": key("alice")}}))),
        (true, TransactGetItems, got(&json!({"ProjectionExpression": "Wins"}))),
        (false, TransactGetItems, got(&json!({}))),
        (false, TransactGetItems, got(&json!({"ProjectionExpression": "Secret"}))),
        (
            true,
            TransactWriteItems,
            wrote("ConditionCheck", hers(&json!({"ConditionExpression": "attribute_exists(Wins)"}))),
        ),
        (
            false,
            TransactWriteItems,
            wrote(
                "ConditionCheck",
                hers(&json!({
            "ConditionExpression": "attribute_exists(Secret)"})),
            ),
        ),
        (
            false,
            TransactWriteItems,
            wrote(
                "ConditionCheck",
                hers(&json!({
            "ConditionExpression": "attribute_exists(Wins)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"})),
            ),
        ),
        (
            false,
            TransactWriteItems,
            wrote("Put", games(&json!({"Item": item("alice", &json!({"Secret": {"N": "1"}}))}))),
        ),
        (false, TransactWriteItems, wrote("Update", hers(&json!({"UpdateExpression": "REMOVE Secret"})))),
        (
            false,
            TransactWriteItems,
            wrote(
                "Delete",
                hers(&json!({
            "ConditionExpression": "attribute_exists(Secret.deep)"})),
            ),
        ),
        (true, ExecuteStatement, statement(&format!("SELECT Wins FROM Games {where_mine}"))),
        (false, ExecuteStatement, statement(&format!("SELECT * FROM Games {where_mine}"))),
        (false, ExecuteStatement, statement(&format!("SELECT \"Secret\".\"deep\" FROM \"Games\" {where_mine}"))),
        (false, ExecuteStatement, statement(&format!("SELECT \"Secret\"['deep'] FROM \"{TABLE}\" {where_mine}"))),
        (false, ExecuteStatement, statement(&format!("SELECT Wins FROM Games {where_mine} AND Secret IS NOT MISSING"))),
        (false, ExecuteStatement, statement("SELECT Wins FROM Games.\"by-title\" WHERE size(\"Secret\") > 0")),
        (
            true,
            ExecuteStatement,
            statement(&format!("UPDATE Games SET Wins = 1 {where_mine} RETURNING MODIFIED NEW *")),
        ),
        (false, ExecuteStatement, statement(&format!("UPDATE Games SET Wins = 1 {where_mine} RETURNING ALL OLD *"))),
        (false, ExecuteStatement, statement(&format!("UPDATE Games SET Wins = Secret.deep {where_mine}"))),
        (false, ExecuteStatement, statement(&format!("UPDATE Games REMOVE \"Secret\" {where_mine}"))),
        (
            false,
            ExecuteStatement,
            statement("INSERT INTO Games VALUE {'UserId': 'alice', 'GameTitle': 'x', 'Secret': 1}"),
        ),
        (true, ExecuteStatement, statement("INSERT INTO Games VALUE {'UserId': 'alice', 'GameTitle': 'x', 'Wins': 1}")),
        (false, ExecuteStatement, statement(&format!("DELETE FROM Games {where_mine} RETURNING ALL OLD *"))),
        (false, ExecuteStatement, statement(&format!("DELETE FROM Games {where_mine} AND Secret.deep = 's'"))),
        (true, ExecuteTransaction, stated(&format!("SELECT Wins FROM Games {where_mine}"))),
        (false, ExecuteTransaction, stated(&format!("SELECT Secret FROM Games {where_mine}"))),
        (false, ExecuteTransaction, stated(&format!("EXISTS(SELECT * FROM Games {where_mine} AND Secret.deep = 's')"))),
        (true, ExecuteTransaction, stated(&format!("EXISTS(SELECT * FROM Games {where_mine} AND Wins = 3)"))),
    ];
    check(&world, &caller, &cases).await;
}

#[tokio::test]
async fn another_partition_is_reached_by_no_path() {
    use Operation::{
        BatchGetItem, BatchWriteItem, DeleteItem, ExecuteStatement, ExecuteTransaction, GetItem, PutItem, Query,
        TransactGetItems, TransactWriteItems, UpdateItem,
    };
    let world = World::new().await;
    let caller = everything_on_games(&json!({
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${aws:username}"]},
        // Without it, what names no partition key at all would pass.
        "Null": {"dynamodb:LeadingKeys": "false"}}));
    let of = |player: &str, more: &Value| {
        let mut body = games(more);
        body["Key"] = key(player);
        body
    };
    let query = |player: &str| {
        games(&json!({
            "KeyConditionExpression": "#k = :u", "ExpressionAttributeNames": {"#k": "UserId"},
            "ExpressionAttributeValues": {":u": {"S": player}}}))
    };
    let legacy = |player: &str| {
        games(&json!({
            "KeyConditions": {"UserId": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": player}]}}}))
    };
    let by = |index: &str, condition: &str, value: &str| {
        games(&json!({
            "IndexName": index, "KeyConditionExpression": condition,
            "ExpressionAttributeValues": {":v": {"S": value}}}))
    };
    let stated =
        |texts: &[&str]| json!({"TransactStatements": texts.iter().map(|text| statement(text)).collect::<Vec<_>>()});
    let check_bob = of("bob", &json!({"ConditionExpression": "attribute_exists(Wins)"}));
    let cases = [
        (true, GetItem, of("alice", &json!({}))),
        (false, GetItem, of("bob", &json!({}))),
        (false, GetItem, json!({"TableName": TABLE, "Key": key("bob")})),
        (true, PutItem, games(&json!({"Item": item("alice", &json!({}))}))),
        (false, PutItem, games(&json!({"Item": item("bob", &json!({}))}))),
        (false, UpdateItem, of("bob", &json!({"UpdateExpression": "REMOVE Wins"}))),
        (false, DeleteItem, of("bob", &json!({}))),
        (true, Query, query("alice")),
        (false, Query, query("bob")),
        (true, Query, legacy("alice")),
        (false, Query, legacy("bob")),
        (true, Query, by("by-league", "UserId = :v", "alice")),
        (false, Query, by("by-league", "UserId = :v", "bob")),
        // The partition key of a global index is another: a value that happens to be the name does pass.
        (false, Query, by("by-title", "GameTitle = :v", "chess")),
        (true, Query, by("by-title", "GameTitle = :v", "alice")),
        (false, Operation::Scan, games(&json!({}))),
        (true, BatchGetItem, json!({"RequestItems": {"Games": {"Keys": [key("alice")]}}})),
        (false, BatchGetItem, json!({"RequestItems": {"Games": {"Keys": [key("alice"), key("bob")]}}})),
        (
            false,
            BatchWriteItem,
            json!({"RequestItems": {"Games": [
            {"PutRequest": {"Item": item("alice", &json!({}))}}, {"DeleteRequest": {"Key": key("bob")}}]}}),
        ),
        (
            false,
            TransactGetItems,
            json!({"TransactItems": [
            {"Get": of("alice", &json!({}))}, {"Get": of("bob", &json!({}))}]}),
        ),
        (
            false,
            TransactWriteItems,
            json!({"TransactItems": [
            {"Put": games(&json!({"Item": item("alice", &json!({}))}))}, {"ConditionCheck": check_bob}]}),
        ),
        (true, ExecuteStatement, statement("SELECT * FROM Games WHERE UserId = 'alice'")),
        (false, ExecuteStatement, statement("SELECT * FROM Games WHERE UserId = 'bob'")),
        (false, ExecuteStatement, statement("SELECT * FROM Games WHERE UserId IN ['alice', 'bob']")),
        (false, ExecuteStatement, statement("SELECT * FROM Games WHERE UserId = 'alice' OR Wins = 3")),
        (false, ExecuteStatement, statement("SELECT * FROM \"Games\" WHERE NOT \"UserId\" = 'alice'")),
        (false, ExecuteStatement, statement("SELECT * FROM Games")),
        (
            false,
            ExecuteStatement,
            json!({
            "Statement": "SELECT * FROM Games WHERE UserId = ?", "Parameters": [{"S": "bob"}]}),
        ),
        (false, ExecuteStatement, statement("INSERT INTO Games VALUE {'UserId': 'bob', 'GameTitle': 'x'}")),
        (false, ExecuteStatement, statement("UPDATE Games SET Wins = 9 WHERE UserId = 'bob' AND GameTitle = 'chess'")),
        (false, ExecuteStatement, statement("DELETE FROM Games WHERE GameTitle = 'chess' AND UserId = 'bob'")),
        (
            false,
            ExecuteTransaction,
            stated(&[
                "SELECT * FROM Games WHERE UserId = 'alice' AND GameTitle = 'chess'",
                "SELECT * FROM Games WHERE UserId = 'bob' AND GameTitle = 'chess'",
            ]),
        ),
    ];
    check(&world, &caller, &cases).await;
    // In a batch of statements only those fail that are denied.
    let body = json!({"Statements": [
        statement("SELECT * FROM Games WHERE UserId = 'alice' AND GameTitle = 'chess'"),
        statement("SELECT * FROM Games WHERE UserId = 'bob' AND GameTitle = 'chess'")]});
    let answer = world.ok(&caller, Operation::BatchExecuteStatement, body).await;
    assert_eq!(answer["Responses"][0]["Item"]["UserId"]["S"], "alice");
    assert_eq!(answer["Responses"][1]["Error"]["Code"], "AccessDenied");
    assert_eq!(answer["Responses"][1]["Item"], Value::Null);
}

#[tokio::test]
async fn the_values_of_an_index_key_of_several_attributes_are_judged_one_by_one() {
    let world = World::new().await;
    let caller = everything_on_games(&json!({"StringEquals": {
        "dynamodb:FirstPartitionKeyValues": "first", "dynamodb:SecondPartitionKeyValues": "is"}}));
    let by_place = |league: &str, country: &str| {
        games(&json!({
            "IndexName": "by-place", "KeyConditionExpression": "League = :l AND Country = :c",
            "ExpressionAttributeValues": {":l": {"S": league}, ":c": {"S": country}}}))
    };
    let cases = [
        (true, Operation::Query, by_place("first", "is")),
        (false, Operation::Query, by_place("first", "no")),
        (false, Operation::Query, by_place("second", "is")),
        (false, Operation::GetItem, hers(&json!({}))),
    ];
    check(&world, &caller, &cases).await;
}

#[tokio::test]
async fn an_index_and_its_table_are_told_apart() {
    use Operation::{ExecuteStatement, Query, Scan};
    let world = World::new().await;
    let by_title = |members: Value| {
        let mut body = games(&members);
        body["KeyConditionExpression"] = json!("GameTitle = :t");
        body["ExpressionAttributeValues"] = json!({":t": {"S": "chess"}});
        body
    };
    let of_table = games(&json!({
        "KeyConditionExpression": "UserId = :t", "ExpressionAttributeValues": {":t": {"S": "alice"}}}));
    let only_table = user(&allow(&json!("dynamodb:*"), &json!(TABLE), &Value::Null));
    let only_index = user(&allow(&json!("dynamodb:*"), &json!(format!("{TABLE}/index/by-title")), &Value::Null));
    for (caller, table) in [(&only_table, true), (&only_index, false)] {
        let cases = [
            (table, Query, of_table.clone()),
            (!table, Query, by_title(json!({"IndexName": "by-title"}))),
            (table, Scan, games(&json!({}))),
            (!table, Scan, games(&json!({"IndexName": "by-title"}))),
            (false, Scan, games(&json!({"IndexName": "by-league"}))),
            (table, ExecuteStatement, statement("SELECT * FROM Games")),
            (!table, ExecuteStatement, statement("SELECT * FROM \"Games\".\"by-title\"")),
            (!table, ExecuteStatement, statement(&format!("SELECT * FROM \"{TABLE}\".\"by-title\""))),
        ];
        check(&world, caller, &cases).await;
    }
}

#[tokio::test]
async fn transactions_and_full_scans_can_be_told_apart() {
    use Operation::{ExecuteStatement, ExecuteTransaction, GetItem, TransactGetItems};
    let world = World::new().await;
    let select = "SELECT * FROM Games WHERE UserId = 'alice' AND GameTitle = 'chess'";
    let only_in_transactions = everything_on_games(&json!({"ForAnyValue:StringEquals": {
        "dynamodb:EnclosingOperation": ["TransactGetItems", "TransactWriteItems", "ExecuteTransaction"]}}));
    let cases = [
        (false, GetItem, hers(&json!({}))),
        (true, TransactGetItems, json!({"TransactItems": [{"Get": hers(&json!({}))}]})),
        (false, ExecuteStatement, statement(select)),
        (true, ExecuteTransaction, json!({"TransactStatements": [statement(select)]})),
    ];
    check(&world, &only_in_transactions, &cases).await;
    let no_scans = everything_on_games(&json!({"Bool": {"dynamodb:FullTableScan": "false"}}));
    let cases = [
        (true, ExecuteStatement, statement(select)),
        (true, ExecuteStatement, statement("SELECT * FROM Games.\"by-title\" WHERE GameTitle = 'go'")),
        (false, ExecuteStatement, statement("SELECT * FROM Games WHERE Wins > 1")),
        (false, ExecuteStatement, statement("SELECT * FROM Games.\"by-title\"")),
    ];
    check(&world, &no_scans, &cases).await;
}

#[tokio::test]
async fn for_all_values_passes_what_names_nothing() {
    // AWS's own warning: a Scan names no partition key, and a read of whole items no attribute but the key.
    let world = World::new().await;
    let caller = everything_on_games(&json!({"ForAllValues:StringEquals": {
        "dynamodb:LeadingKeys": ["alice"], "dynamodb:Attributes": ["UserId", "GameTitle"]}}));
    let cases = [(true, Operation::Scan, games(&json!({}))), (true, Operation::GetItem, hers(&json!({})))];
    check(&world, &caller, &cases).await;
}

#[tokio::test]
async fn what_can_not_be_understood_is_not_executed() {
    let world = World::new().await;
    let caller = everything_on_games(&json!({"ForAllValues:StringEquals": {
        "dynamodb:LeadingKeys": ["alice"], "dynamodb:Attributes": ["UserId", "GameTitle", "Wins"]}}));
    for (operation, body) in [
        (Operation::GetItem, hers(&json!({"ProjectionExpression": "Wins,, Secret"}))),
        (Operation::GetItem, hers(&json!({"ProjectionExpression": "#undefined"}))),
        (Operation::UpdateItem, hers(&json!({"UpdateExpression": "SET Secret = :absent"}))),
        (Operation::Query, games(&json!({"KeyConditionExpression": "UserId > Secret"}))),
        (Operation::TransactGetItems, json!({"TransactItems": [{}]})),
        (Operation::TransactGetItems, json!({"TransactItems": [{"Get": null}]})),
        (Operation::TransactGetItems, json!({"TransactItems": [{"Put": {"TableName": "Games"}}]})),
        (Operation::TransactGetItems, json!({"TransactItems": []})),
        (Operation::TransactWriteItems, json!({"TransactItems": [{}]})),
        (Operation::BatchGetItem, json!({"RequestItems": {}})),
        (Operation::BatchWriteItem, json!({"RequestItems": {}})),
        (Operation::ExecuteStatement, statement("SELECT Secret FROM")),
        (Operation::ExecuteStatement, statement("INSERT INTO Games VALUE {'UserId': 1, 'GameTitle': 'x'}")),
    ] {
        let error = world.call(&caller, operation, &body).await.unwrap_err();
        assert!(error.starts_with("ValidationException"), "{body}: {error}");
    }
}
