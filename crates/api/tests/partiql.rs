//! PartiQL through the service: what clients send and see.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use http::{HeaderMap, HeaderValue, Method};
use partita_api::Service;
use partita_api::http::Request;
use partita_db::Database;
use serde_json::{Value, json};

struct Client {
    service: Service,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    /// A service with the tables `one` (pk) and `two` (pk, sk; local index `lsi` on g, global indexes `gsi` on g and sk,
    /// `gkeys` on g with nothing but keys, and `multi` on g and h), filled with a few items.
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = runtime.block_on(Database::open(&partita_engine::OpenOptions::memory())).unwrap();
        let client = Self { service: Service::new(database, "us-east-1"), runtime };
        let key = |names: &[(&str, &str)]| -> Value {
            names.iter().map(|(name, role)| json!({"AttributeName": name, "KeyType": role})).collect()
        };
        let index = |name: &str, names: &[(&str, &str)], projection: &str| json!({"IndexName": name, "KeySchema": key(names), "Projection": {"ProjectionType": projection}});
        client.ok(
            "CreateTable",
            &json!({
                "TableName": "one", "BillingMode": "PAY_PER_REQUEST", "KeySchema": key(&[("pk", "HASH")]),
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            }),
        );
        client.ok(
            "CreateTable",
            &json!({
                "TableName": "two", "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": key(&[("pk", "HASH"), ("sk", "RANGE")]),
                "AttributeDefinitions": [
                    {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"},
                    {"AttributeName": "g", "AttributeType": "S"}, {"AttributeName": "h", "AttributeType": "S"},
                ],
                "LocalSecondaryIndexes": [index("lsi", &[("pk", "HASH"), ("g", "RANGE")], "KEYS_ONLY")],
                "GlobalSecondaryIndexes": [
                    index("gsi", &[("g", "HASH"), ("sk", "RANGE")], "ALL"),
                    index("gkeys", &[("g", "HASH")], "KEYS_ONLY"),
                    index("multi", &[("g", "HASH"), ("h", "HASH")], "ALL"),
                ],
            }),
        );
        for at in 0..3 {
            let item = json!({
                "pk": {"S": format!("k{at}")}, "n": {"N": at.to_string()}, "ss": {"SS": ["a"]},
                "m": {"M": {"a": {"N": "1"}, "l": {"L": [{"S": "x"}, {"S": "y"}]}}},
            });
            client.ok("PutItem", &json!({"TableName": "one", "Item": item}));
        }
        for pk in ["a", "b"] {
            for sk in 0..5 {
                let item = json!({
                    "pk": {"S": pk}, "sk": {"N": sk.to_string()}, "v": {"N": sk.to_string()},
                    "g": {"S": format!("g{}", sk % 2)},
                });
                client.ok("PutItem", &json!({"TableName": "two", "Item": item}));
            }
        }
        client
    }

    fn call(&self, operation: &str, body: &Value) -> (u16, Value) {
        let mut headers = HeaderMap::new();
        let target = HeaderValue::from_str(&format!("DynamoDB_20120810.{operation}")).unwrap();
        headers.insert("x-amz-target", target);
        headers.insert("content-type", HeaderValue::from_static("application/x-amz-json-1.0"));
        let request = Request {
            method: Method::POST,
            uri: "/".parse().unwrap(),
            headers,
            body: body.to_string().into(),
            sent_sha256: None,
            peer: None,
            secured: None,
            request_id: "test".to_owned(),
        };
        let response = self.runtime.block_on(self.service.answer(&request));
        (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null))
    }

    fn ok(&self, operation: &str, body: &Value) -> Value {
        let (status, answer) = self.call(operation, body);
        assert_eq!(status, 200, "{operation} {body} -> {answer}");
        answer
    }

    /// The error's name without its name space, and its message.
    fn error(&self, operation: &str, body: &Value) -> (String, String) {
        let (status, answer) = self.call(operation, body);
        assert_eq!(status, 400, "{operation} {body} -> {answer}");
        let name = answer["__type"].as_str().unwrap().rsplit('#').next().unwrap().to_owned();
        let message = answer.get("message").or(answer.get("Message")).and_then(Value::as_str);
        (name, message.unwrap_or_default().to_owned())
    }

    fn run(&self, statement: &str) -> Value {
        self.ok("ExecuteStatement", &json!({"Statement": statement}))["Items"].clone()
    }

    fn refused(&self, statement: &str) -> String {
        let (name, message) = self.error("ExecuteStatement", &json!({"Statement": statement}));
        format!("{name}: {message}")
    }

    fn get(&self, pk: &str) -> Value {
        self.ok("GetItem", &json!({"TableName": "one", "Key": {"pk": {"S": pk}}}))["Item"].clone()
    }
}

/// The `pk` and `sk` of items, such as `a1`.
fn keys(items: &Value) -> Vec<String> {
    let key = |item: &Value| format!("{}{}", item["pk"]["S"].as_str().unwrap(), item["sk"]["N"].as_str().unwrap());
    items.as_array().unwrap().iter().map(key).collect()
}

#[test]
fn select_queries_scans_filters_and_orders() {
    let client = Client::new();
    let select = |clause: &str| keys(&client.run(&format!("SELECT pk, sk FROM two WHERE {clause}")));
    assert_eq!(select("pk = 'a' AND sk > 2"), ["a3", "a4"]);
    assert_eq!(select("pk = 'a' ORDER BY sk DESC"), ["a4", "a3", "a2", "a1", "a0"]);
    assert_eq!(select("pk IN ['b', 'a'] AND sk IN [3, 1] ORDER BY pk DESC, sk DESC"), ["b3", "b1", "a3", "a1"]);
    assert_eq!(select("pk = 'a' AND sk BETWEEN 1 AND 3 AND v <> 2"), ["a1", "a3"]);
    assert_eq!(select("(pk = 'a' OR pk = 'b') AND sk = 2"), ["a2", "b2"]);
    assert_eq!(select("pk = 'a' AND NOT sk = 1 OR pk = 'a' AND sk = 2"), ["a0", "a2", "a3", "a4"]);
    let mut scanned = select("v = 4 OR pk = 'a' AND sk = 0");
    scanned.sort_unstable();
    assert_eq!(scanned, ["a0", "a4", "b4"]);
    assert_eq!(client.run("SELECT * FROM one WHERE pk = 'nobody'"), json!([]));
    assert_eq!(
        client.refused("SELECT * FROM two WHERE pk = 'a' AND v = 1 OR pk = 'a' AND sk = 2"),
        "ValidationException: Overlapping conditions with range keys are not supported in where clause"
    );
    assert_eq!(client.refused("SELECT * FROM nope"), "ResourceNotFoundException: Requested resource not found");
}

#[test]
fn select_returns_columns_under_their_last_names() {
    let client = Client::new();
    assert_eq!(
        client.run("SELECT m.a, m.l[1], nope FROM one WHERE pk = 'k1'"),
        json!([{"a": {"N": "1"}, "l[1]": {"S": "y"}}])
    );
    assert_eq!(client.run("SELECT nope FROM one WHERE pk = 'k1'"), json!([{}]));
}

#[test]
fn select_reads_indexes() {
    let client = Client::new();
    assert_eq!(keys(&client.run("SELECT * FROM two.gsi WHERE g = 'g1' AND sk < 3")).len(), 2);
    let whole = client.run("SELECT * FROM \"two\".\"gkeys\" WHERE g = 'g1'");
    assert!(whole.as_array().unwrap().iter().all(|item| item.as_object().unwrap().len() == 3));
    // A local index reaches the table's items, a global one does not.
    assert_eq!(client.run("SELECT v FROM two.lsi WHERE pk = 'a'").as_array().unwrap().len(), 5);
    assert_eq!(
        client.refused("SELECT w, v FROM two.gkeys WHERE g = 'g0'"),
        "ValidationException: One or more parameter values were invalid: Global secondary index gkeys does not project [w, v]"
    );
    // A filter on what the index lacks is refused where the partition is given, and finds nothing where it is not.
    assert!(client.refused("SELECT pk FROM two.gkeys WHERE g = 'g0' AND v = 1").contains("does not project"));
    assert_eq!(client.run("SELECT pk FROM two.gkeys WHERE v = 1"), json!([]));
    assert_eq!(client.run("SELECT pk FROM two.gkeys WHERE NOT v = 1").as_array().unwrap().len(), 10);
    assert_eq!(
        client.refused("SELECT * FROM two.nope"),
        "ValidationException: The table does not have the specified index"
    );
    assert_eq!(
        client.refused("SELECT COUNT(*) FROM two.multi"),
        "ValidationException: PartiQL statements cannot be executed on tables with multi-attribute HASH keys or \
         multi-attribute RANGE keys."
    );
    let consistent = json!({"Statement": "SELECT * FROM two.gsi WHERE g = 'g0'", "ConsistentRead": true});
    assert_eq!(client.error("ExecuteStatement", &consistent).0, "ValidationException");
}

#[test]
fn pages_go_on_where_they_ended() {
    let client = Client::new();
    for (statement, limit, wanted) in [
        ("SELECT pk, sk FROM two WHERE pk = 'a'", 2, 5),
        ("SELECT pk, sk FROM two WHERE pk IN ['a', 'b'] ORDER BY sk DESC", 3, 10),
        ("SELECT pk, sk FROM two", 3, 10),
        ("SELECT pk, sk FROM two.gsi WHERE g IN ['g0', 'g1']", 1, 10),
        ("SELECT pk, sk FROM two WHERE pk IN ['a', 'b'] AND sk IN [1, 2, 9]", 1, 4),
        ("SELECT pk, sk FROM two WHERE v > 2", 4, 4),
    ] {
        let mut token = Value::Null;
        let mut seen = Vec::new();
        for page in 0.. {
            assert!(page < 20, "{statement}");
            let mut request = json!({"Statement": statement, "Limit": limit});
            if !token.is_null() {
                request["NextToken"] = token.clone();
            }
            let answer = client.ok("ExecuteStatement", &request);
            let found = keys(&answer["Items"]);
            assert!(found.len() <= limit);
            seen.extend(found);
            token = answer["NextToken"].clone();
            if token.is_null() {
                assert!(answer["LastEvaluatedKey"].is_null());
                break;
            }
        }
        assert_eq!(seen.len(), wanted, "{statement}: {seen:?}");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), wanted, "{statement}: {seen:?}");
    }
}

#[test]
fn tokens_of_other_statements_are_refused() {
    let client = Client::new();
    let page = |statement: &str, token: Option<&Value>| {
        let mut request = json!({"Statement": statement, "Limit": 1});
        if let Some(token) = token {
            request["NextToken"] = token.clone();
        }
        client.call("ExecuteStatement", &request)
    };
    let (_, first) = page("SELECT * FROM two.gsi WHERE g = 'g0'", None);
    let token = &first["NextToken"];
    assert!(first["LastEvaluatedKey"]["sk"].is_object());
    assert_eq!(page("SELECT * FROM two.gsi WHERE g = 'g0'", Some(token)).0, 200);
    for other in [
        "SELECT * FROM two.gsi WHERE g = 'g1'",
        "SELECT * FROM two.gkeys WHERE g = 'g0'",
        "SELECT * FROM two",
        "SELECT * FROM one",
    ] {
        let (status, answer) = page(other, Some(token));
        assert_eq!(status, 400, "{other}: {answer}");
    }
    for forged in ["abc", "AQAAAAE=", "AAAA"] {
        let (status, answer) = page("SELECT * FROM two", Some(&json!(forged)));
        assert_eq!((status, answer["message"].as_str()), (400, Some("Invalid NextToken")), "{forged}");
    }
    // A query of one item has no second page.
    let (_, only) = page("SELECT * FROM one WHERE pk = 'k1'", None);
    let (status, end) = page("SELECT * FROM one WHERE pk = 'k1'", Some(&only["NextToken"]));
    assert_eq!((status, &end["Items"]), (200, &json!([])));
}

#[test]
fn insert_makes_new_items_only() {
    let client = Client::new();
    assert_eq!(client.run("INSERT INTO one VALUE {'pk': 'new', 'l': [1, {'x': <<2>>}]}"), json!([]));
    assert_eq!(client.get("new")["l"], json!({"L": [{"N": "1"}, {"M": {"x": {"NS": ["2"]}}}]}));
    assert_eq!(
        client.refused("INSERT INTO one VALUE {'pk': 'new'}"),
        "DuplicateItemException: Duplicate primary key exists in table"
    );
    let again = json!({"Statement": "INSERT INTO one VALUE {'pk': ?}", "Parameters": [{"S": "new"}], "ReturnValuesOnConditionCheckFailure": "ALL_OLD"});
    let (status, answer) = client.call("ExecuteStatement", &again);
    assert_eq!((status, &answer["Item"]["pk"]), (400, &json!({"S": "new"})));
}

#[test]
fn update_changes_items_that_are_there() {
    let client = Client::new();
    let changed = client.run("UPDATE one SET n = n + 1, m.a = 5 SET ss = set_add(ss, <<'b'>>) REMOVE m.l[0] WHERE pk = 'k1' AND n = 1 RETURNING MODIFIED NEW *");
    assert_eq!(
        changed,
        json!([{"n": {"N": "2"}, "ss": {"SS": ["a", "b"]}, "m": {"M": {"a": {"N": "5"}, "l": {"L": [{"S": "y"}]}}}}])
    );
    let failed = "ConditionalCheckFailedException: The conditional request failed";
    assert_eq!(client.refused("UPDATE one SET n = 1 WHERE pk = 'nobody'"), failed);
    assert_eq!(client.refused("UPDATE one SET n = 1 WHERE pk = 'k1' AND n = 1"), failed);
    assert_eq!(client.refused("UPDATE one SET n = 1 WHERE pk = 'nobody' AND attribute_not_exists(pk)"), failed);
    assert_eq!(client.get("nobody"), Value::Null);
    assert_eq!(client.run("FROM one WHERE pk = 'k2' REMOVE n RETURNING MODIFIED NEW *"), json!([]));
    assert_eq!(
        client.refused("UPDATE one SET pk = 'x' WHERE pk = 'k1'"),
        "ValidationException: One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key"
    );
    assert_eq!(
        client.refused("UPDATE one SET ss = set_add(ss, <<1>>) WHERE pk = 'k1'"),
        "ValidationException: An operand in the update expression has an incorrect data type"
    );
    assert_eq!(
        client.refused("UPDATE one SET things[0] = 'x' WHERE pk = 'k1'"),
        "ValidationException: The document path provided in the update expression is invalid for update"
    );
    let request = json!({"Statement": "UPDATE one SET n = 0 WHERE pk = 'k1' AND n = 99", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"});
    assert_eq!(client.call("ExecuteStatement", &request).1["Item"]["n"], json!({"N": "2"}));
}

#[test]
fn delete_removes_what_its_condition_allows() {
    let client = Client::new();
    assert_eq!(
        client.refused("DELETE FROM one WHERE pk = 'k1' AND n = 99"),
        "ConditionalCheckFailedException: The conditional request failed"
    );
    assert_eq!(client.run("DELETE FROM one WHERE pk = 'nobody' AND n = 99"), json!([]));
    assert_eq!(client.run("DELETE FROM one WHERE pk = 'nobody' RETURNING ALL OLD *"), json!([]));
    assert_eq!(client.run("DELETE FROM one WHERE pk = 'k1' AND n = 1 RETURNING ALL OLD *")[0]["n"], json!({"N": "1"}));
    assert_eq!(client.get("k1"), Value::Null);
}

#[test]
fn parameters_are_checked() {
    let client = Client::new();
    let run = |parameters: Value| {
        client
            .error(
                "ExecuteStatement",
                &json!({"Statement": "SELECT * FROM one WHERE pk = ? AND n = ?", "Parameters": parameters}),
            )
            .1
    };
    assert_eq!(run(json!([{"S": "a"}])), "Number of parameters in request and statement don't match.");
    assert_eq!(run(json!([{"S": "a"}, {"N": "abc"}])), "The parameter cannot be converted to a numeric value: abc");
    assert_eq!(run(json!([{"S": "a"}, {"N": ""}])), "The parameter cannot be converted to a numeric value");
    // A statement that can not be read goes first, a table that is not there last.
    let bad = json!([{"N": "abc"}]);
    let of = |statement: &str| client.error("ExecuteStatement", &json!({"Statement": statement, "Parameters": bad})).1;
    assert_eq!(of("SELECT * FROM one WHERE"), "Statement wasn't well formed, can't be processed: Unexpected term");
    assert_eq!(of("SELECT * FROM nope WHERE pk = ?"), "The parameter cannot be converted to a numeric value: abc");
    let long = json!({"Statement": format!("SELECT * FROM one WHERE pk = '{}'", "x".repeat(8_192))});
    assert!(client.error("ExecuteStatement", &long).1.contains("8192"));
}

#[test]
fn members_of_a_batch_fail_by_themselves() {
    let client = Client::new();
    let batch = |statements: &[Value]| {
        let request = json!({"Statements": statements, "ReturnConsumedCapacity": "TOTAL"});
        client.call("BatchExecuteStatement", &request)
    };
    let statement = |text: &str| json!({"Statement": text});
    let (status, answer) = batch(&[
        statement("SELECT pk FROM one WHERE pk = 'k1'"),
        statement("SELECT pk FROM one WHERE pk = 'nobody'"),
        statement("SELECT pk FROM one WHERE n = 1"),
        statement("SLECT * FROM one"),
        statement("SELECT * FROM nope WHERE pk = 'a'"),
        statement("SELECT * FROM two.gsi WHERE g = 'g0'"),
        statement("SELECT * FROM two.multi WHERE g = 'g0'"),
        json!({"Statement": "SELECT * FROM one WHERE pk = ?", "Parameters": [{"N": "abc"}]}),
        json!({"Statement": "SELECT pk FROM one WHERE pk = ?", "Parameters": [{"S": "k2"}], "ConsistentRead": true}),
        statement("SELECT pk FROM one WHERE pk = 'k0' AND n = 0"),
    ]);
    assert_eq!(status, 200, "{answer}");
    let needs_key = "Select statements within BatchExecuteStatement must specify the primary key in the where clause.";
    let error = |code: &str, message: &str| json!({"Error": {"Code": code, "Message": message}});
    assert_eq!(
        answer["Responses"],
        json!([
            {"TableName": "one", "Item": {"pk": {"S": "k1"}}},
            {"TableName": "one"},
            error("ValidationError", needs_key),
            error("ValidationError", "Statement wasn't well formed, can't be processed: Expected data manipulation"),
            error("ResourceNotFound", "Requested resource not found"),
            error("ValidationError", needs_key),
            error("ValidationError", "PartiQL statements cannot be executed on tables with multi-attribute HASH keys or multi-attribute RANGE keys."),
            error("ValidationError", "The parameter cannot be converted to a numeric value: abc"),
            {"TableName": "one", "Item": {"pk": {"S": "k2"}}},
            error("ValidationError", needs_key),
        ])
    );
    assert_eq!(answer["ConsumedCapacity"], json!([{"TableName": "one", "CapacityUnits": 2.0}]));

    let (status, answer) = batch(&[
        statement("INSERT INTO one VALUE {'pk': 'k1'}"),
        json!({"Statement": "UPDATE one SET n = 9 WHERE pk = 'k2' AND n = 99", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}),
        statement("UPDATE one SET n = 9 WHERE pk = 'k0' RETURNING MODIFIED NEW *"),
        statement("DELETE FROM one WHERE pk = 'x' RETURNING MODIFIED OLD *"),
    ]);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["Responses"][0]["Error"]["Code"], "DuplicateItem");
    assert_eq!(answer["Responses"][1]["Error"]["Code"], "ConditionalCheckFailed");
    assert_eq!(answer["Responses"][1]["Error"]["Item"]["n"], json!({"N": "2"}));
    assert_eq!(answer["Responses"][2], json!({"TableName": "one", "Item": {"n": {"N": "9"}}}));
    assert_eq!(
        answer["Responses"][3]["Error"]["Message"],
        "Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is allowed in DELETE statements."
    );

    let refused = |statements: &[Value]| {
        let (status, answer) = batch(statements);
        (status, answer["message"].as_str().unwrap_or_default().to_owned())
    };
    let read = statement("SELECT * FROM one WHERE pk = 'k1'");
    let write = statement("DELETE FROM one WHERE pk = 'k1'");
    assert_eq!(
        refused(&[read.clone(), write]),
        (400, "Read and write requests together in the same batch is not supported.".to_owned())
    );
    assert_eq!(
        refused(&[read.clone(), read.clone()]),
        (400, "Provided list of item keys contains duplicates".to_owned())
    );
    assert_eq!(refused(&[]).0, 400);
    assert_eq!(refused(&vec![read; 26]).0, 400);
}

#[test]
fn transactions_read_or_write_all_or_nothing() {
    let client = Client::new();
    let transact = |statements: &[&str]| {
        let statements: Vec<Value> = statements.iter().map(|statement| json!({"Statement": statement})).collect();
        client.call("ExecuteTransaction", &json!({"TransactStatements": statements, "ReturnConsumedCapacity": "TOTAL"}))
    };
    let (status, answer) = transact(&["SELECT m.a FROM one WHERE pk = 'k1'", "SELECT pk FROM one WHERE pk = 'nobody'"]);
    assert_eq!((status, &answer["Responses"]), (200, &json!([{"Item": {"a": {"N": "1"}}}, {}])));
    assert_eq!(answer["ConsumedCapacity"][0]["ReadCapacityUnits"], 4.0);

    let (status, answer) = transact(&[
        "UPDATE one SET n = 7 WHERE pk = 'k1'",
        "INSERT INTO one VALUE {'pk': 'new'}",
        "EXISTS(SELECT * FROM one WHERE pk = 'k2' AND n = 2)",
    ]);
    assert_eq!((status, &answer["Responses"]), (200, &json!([])), "{answer}");
    assert_eq!(client.get("k1")["n"], json!({"N": "7"}));

    let (_, answer) = transact(&["DELETE FROM one WHERE pk = 'k0'", "INSERT INTO one VALUE {'pk': 1}"]);
    let reason = json!({"Code": "ValidationError", "Message": "Key attribute's data type should match its data type in table's schema: Key pk"});
    assert_eq!(answer["CancellationReasons"], json!([{"Code": "None"}, reason]));

    let (status, answer) = transact(&[
        "UPDATE one SET n = 8 WHERE pk = 'k1'",
        "INSERT INTO one VALUE {'pk': 'new'}",
        "EXISTS(SELECT * FROM one WHERE pk = 'k2' AND n = 99)",
        "DELETE FROM one WHERE pk = 'nobody' AND n = 1",
    ]);
    assert_eq!(status, 400);
    let codes: Vec<&str> = answer["CancellationReasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason["Code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["None", "DuplicateItem", "ConditionalCheckFailed", "None"]);
    assert_eq!(client.get("k1")["n"], json!({"N": "7"}));

    for (statements, message) in [
        (
            &["SELECT * FROM one WHERE pk = 'k1'", "DELETE FROM one WHERE pk = 'k2'"] as &[&str],
            "ExecuteTransaction API does not support both read and write operations in the same request.",
        ),
        (
            &["SELECT * FROM one WHERE pk = 'k1' AND n = 1"],
            "Validation failed in TransactStatements[0]: Select statements within ExecuteTransaction must specify the primary key in the where clause.",
        ),
        (
            &["SELECT * FROM two.gsi WHERE g = 'g0'"],
            "Validation failed in TransactStatements[0]: Reads on indices are not supported within transactions.",
        ),
        (
            &["DELETE FROM one WHERE pk = 'k1'", "UPDATE one SET n = 1 WHERE pk = 'k2' RETURNING ALL NEW *"],
            "Validation failed in TransactStatements[1]: RETURNING clause is not supported in ExecuteTransaction.",
        ),
        (
            &["EXISTS(SELECT * FROM one WHERE pk = 'k1')"],
            "Validation failed in TransactStatements[0]: EXISTS() must contain a single item read with additional condition",
        ),
        (
            &["SELECT * FROM one WHERE"],
            "Validation failed in TransactStatements[0]: Statement wasn't well formed, can't be processed: Unexpected term",
        ),
        (
            &["DELETE FROM one WHERE pk = 'k1'", "UPDATE one SET n = 1 WHERE pk = 'k1'"],
            "Transaction request cannot include multiple operations on one item",
        ),
    ] {
        let (status, answer) = transact(statements);
        assert_eq!((status, answer["message"].as_str()), (400, Some(message)), "{statements:?}");
    }
    assert_eq!(
        client.refused("EXISTS(SELECT * FROM one WHERE pk = 'k1' AND n = 7)"),
        "ValidationException: EXISTS can only be used in ExecuteTransaction write requests."
    );
}

#[test]
fn a_repeated_token_writes_once() {
    let client = Client::new();
    let request = |n: u8| {
        json!({
            "TransactStatements": [{"Statement": format!("UPDATE one SET n = n + {n} WHERE pk = 'k1'")}],
            "ClientRequestToken": "token", "ReturnConsumedCapacity": "TOTAL",
        })
    };
    let first = client.ok("ExecuteTransaction", &request(1));
    assert_eq!(first["ConsumedCapacity"][0]["WriteCapacityUnits"], 2.0);
    let second = client.ok("ExecuteTransaction", &request(1));
    assert_eq!(second["ConsumedCapacity"][0]["ReadCapacityUnits"], 2.0);
    assert_eq!(client.get("k1")["n"], json!({"N": "2"}));
    assert_eq!(client.error("ExecuteTransaction", &request(5)).0, "IdempotentParameterMismatchException");
}
