//! An executable model of DynamoDB's items, a plain map and a few rules, against the service: the same random
//! operations, compared answer by answer. The model shares no code with the service.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, Method};
use partita_api::Service;
use partita_api::http::Request;
use partita_db::Database;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

/// How many operations one random run has at most.
const RUN_LENGTH: usize = 60;
/// How many random runs there are.
const RUNS: u32 = 120;

type Item = Map<String, Value>;

struct Client {
    service: Service,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = runtime.block_on(Database::open(&partita_engine::OpenOptions::memory())).unwrap();
        Self { service: Service::new(database, "us-east-1"), runtime }
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
            peer: None,
            secured: None,
            sent_sha256: None,
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
}

/// Creates the table of the model: a string and a number as key, one local and two global indexes.
fn create(client: &Client, name: &str) {
    let key = |hash: &str, range: &str| json!([{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": range, "KeyType": "RANGE"}]);
    client.ok(
        "CreateTable",
        &json!({
            "TableName": name, "BillingMode": "PAY_PER_REQUEST", "KeySchema": key("p", "s"),
            "AttributeDefinitions": [
                {"AttributeName": "p", "AttributeType": "S"}, {"AttributeName": "s", "AttributeType": "N"},
                {"AttributeName": "a", "AttributeType": "N"}, {"AttributeName": "b", "AttributeType": "S"}],
            "LocalSecondaryIndexes": [{"IndexName": "local", "KeySchema": key("p", "a"), "Projection": {"ProjectionType": "ALL"}}],
            "GlobalSecondaryIndexes": [
                {"IndexName": "global", "KeySchema": key("b", "a"), "Projection": {"ProjectionType": "ALL"}},
                {"IndexName": "keys", "KeySchema": [{"AttributeName": "b", "KeyType": "HASH"}], "Projection": {"ProjectionType": "KEYS_ONLY"}}],
        }),
    );
}

/// A put of a transaction: its key, its `a`, and what must hold before.
type Member = ((u8, i8), Option<i8>, Option<Condition>);

#[derive(Clone, Debug)]
enum Step {
    Put { key: (u8, i8), a: Option<i8>, b: Option<u8>, condition: Option<Condition>, old: bool },
    Delete { key: (u8, i8), condition: Option<Condition> },
    Update { key: (u8, i8), change: Change, condition: Option<Condition> },
    Get { key: (u8, i8) },
    Batch { puts: Vec<((u8, i8), Option<i8>)>, deletes: Vec<(u8, i8)> },
    Transact { members: Vec<Member> },
    Query { p: u8, range: Range, forward: bool, limit: Option<u8> },
    QueryIndex { index: u8, partition: u8, above: Option<i8>, forward: bool, limit: Option<u8> },
    Scan { limit: Option<u8>, segments: u8, above: Option<i8> },
}

#[derive(Clone, Debug)]
enum Condition {
    Exists,
    NotExists,
    AIsAbove(i8),
    BIs(u8),
    NotAIs(i8),
}

#[derive(Clone, Debug)]
enum Change {
    AddToA(i8),
    SetB(u8),
    RemoveA,
    AddToSet(u8),
    DeleteFromSet(u8),
    AppendToList(i8),
    SetAFromOld(i8),
}

#[derive(Clone, Debug)]
enum Range {
    All,
    Above(i8),
    Between(i8, i8),
    AtMost(i8),
}

fn any_step() -> impl Strategy<Value = Step> {
    let key = || (0u8..3, -3i8..4);
    let condition = || {
        proptest::option::of(prop_oneof![
            Just(Condition::Exists),
            Just(Condition::NotExists),
            (-3i8..4).prop_map(Condition::AIsAbove),
            (0u8..3).prop_map(Condition::BIs),
            (-3i8..4).prop_map(Condition::NotAIs),
        ])
    };
    let change = prop_oneof![
        (-3i8..4).prop_map(Change::AddToA),
        (0u8..3).prop_map(Change::SetB),
        Just(Change::RemoveA),
        (0u8..3).prop_map(Change::AddToSet),
        (0u8..3).prop_map(Change::DeleteFromSet),
        (-3i8..4).prop_map(Change::AppendToList),
        (-3i8..4).prop_map(Change::SetAFromOld),
    ];
    let range = prop_oneof![
        Just(Range::All),
        (-3i8..4).prop_map(Range::Above),
        (-3i8..1, 0i8..4).prop_map(|(low, high)| Range::Between(low, high)),
        (-3i8..4).prop_map(Range::AtMost),
    ];
    let limit = || proptest::option::of(1u8..5);
    let number = || proptest::option::of(-3i8..4);
    prop_oneof![
        4 => (key(), number(), proptest::option::of(0u8..3), condition(), any::<bool>())
            .prop_map(|(key, a, b, condition, old)| Step::Put { key, a, b, condition, old }),
        2 => (key(), condition()).prop_map(|(key, condition)| Step::Delete { key, condition }),
        4 => (key(), change, condition()).prop_map(|(key, change, condition)| Step::Update { key, change, condition }),
        2 => key().prop_map(|key| Step::Get { key }),
        1 => (proptest::collection::vec((key(), number()), 0..5), proptest::collection::vec(key(), 1..3))
            .prop_map(|(puts, deletes)| Step::Batch { puts, deletes }),
        1 => proptest::collection::vec((key(), number(), condition()), 1..4).prop_map(|members| Step::Transact { members }),
        2 => (0u8..3, range, any::<bool>(), limit())
            .prop_map(|(p, range, forward, limit)| Step::Query { p, range, forward, limit }),
        2 => (0u8..3, 0u8..3, number(), any::<bool>(), limit())
            .prop_map(|(index, partition, above, forward, limit)| Step::QueryIndex { index, partition, above, forward, limit }),
        1 => (limit(), 1u8..4, number()).prop_map(|(limit, segments, above)| Step::Scan { limit, segments, above }),
    ]
}

fn n(value: i64) -> Value {
    json!({"N": value.to_string()})
}

fn s(value: u8) -> Value {
    json!({"S": format!("v{value}")})
}

fn key_of((p, sort): (u8, i8)) -> Value {
    json!({"p": s(p), "s": n(i64::from(sort))})
}

fn item_of(key: (u8, i8), a: Option<i8>, b: Option<u8>) -> Item {
    let mut item = key_of(key).as_object().unwrap().clone();
    if let Some(a) = a {
        item.insert("a".into(), n(i64::from(a)));
    }
    if let Some(b) = b {
        item.insert("b".into(), s(b));
    }
    item
}

fn number_in(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.get("N")?.as_str()?.parse().ok()
}

impl Condition {
    fn text(&self) -> (&'static str, Option<Value>) {
        match self {
            Self::Exists => ("attribute_exists(p)", None),
            Self::NotExists => ("attribute_not_exists(p)", None),
            Self::AIsAbove(value) => ("a > :c", Some(n(i64::from(*value)))),
            Self::BIs(value) => ("b = :c", Some(s(*value))),
            Self::NotAIs(value) => ("NOT a = :c", Some(n(i64::from(*value)))),
        }
    }

    fn holds(&self, item: Option<&Item>) -> bool {
        let a = item.and_then(|item| number_in(item, "a"));
        match self {
            Self::Exists => item.is_some(),
            Self::NotExists => item.is_none(),
            Self::AIsAbove(value) => a.is_some_and(|a| a > i64::from(*value)),
            Self::BIs(value) => item.and_then(|item| item.get("b")) == Some(&s(*value)),
            Self::NotAIs(value) => a != Some(i64::from(*value)),
        }
    }
}

fn with_condition(request: &mut Value, condition: Option<&Condition>) {
    if let Some((text, value)) = condition.map(Condition::text) {
        request["ConditionExpression"] = json!(text);
        if let Some(value) = value {
            if request.get("ExpressionAttributeValues").is_none() {
                request["ExpressionAttributeValues"] = json!({});
            }
            request["ExpressionAttributeValues"][":c"] = value;
        }
    }
}

impl Change {
    fn text(&self) -> (&'static str, Value) {
        match self {
            Self::AddToA(value) => ("ADD a :v", json!({":v": n(i64::from(*value))})),
            Self::SetB(value) => ("SET b = :v", json!({":v": s(*value)})),
            Self::RemoveA => ("REMOVE a", Value::Null),
            Self::AddToSet(value) => ("ADD tags :v", json!({":v": {"SS": [format!("v{value}")]}})),
            Self::DeleteFromSet(value) => ("DELETE tags :v", json!({":v": {"SS": [format!("v{value}")]}})),
            Self::AppendToList(value) => (
                "SET l = list_append(if_not_exists(l, :e), :v)",
                json!({":v": {"L": [n(i64::from(*value))]}, ":e": {"L": []}}),
            ),
            Self::SetAFromOld(value) => ("SET a = if_not_exists(a, :v) - :v", json!({":v": n(i64::from(*value))})),
        }
    }

    fn apply(&self, item: &mut Item) {
        let strings = |item: &Item| -> Vec<String> {
            let set = item.get("tags").and_then(|set| set["SS"].as_array().cloned()).unwrap_or_default();
            set.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let put = |item: &mut Item, mut set: Vec<String>| {
            set.sort();
            set.dedup();
            if set.is_empty() {
                item.remove("tags");
            } else {
                item.insert("tags".into(), json!({"SS": set}));
            }
        };
        match self {
            Self::AddToA(value) => {
                let sum = number_in(item, "a").unwrap_or(0) + i64::from(*value);
                item.insert("a".into(), n(sum));
            }
            Self::SetB(value) => {
                item.insert("b".into(), s(*value));
            }
            Self::RemoveA => {
                item.remove("a");
            }
            Self::AddToSet(value) => {
                let mut set = strings(item);
                set.push(format!("v{value}"));
                put(item, set);
            }
            Self::DeleteFromSet(value) => {
                let mut set = strings(item);
                set.retain(|text| *text != format!("v{value}"));
                put(item, set);
            }
            Self::AppendToList(value) => {
                let mut list = item.get("l").map_or_else(Vec::new, |list| list["L"].as_array().unwrap().clone());
                list.push(n(i64::from(*value)));
                item.insert("l".into(), json!({"L": list}));
            }
            Self::SetAFromOld(value) => {
                let value = i64::from(*value);
                let difference = number_in(item, "a").unwrap_or(value) - value;
                item.insert("a".into(), n(difference));
            }
        }
    }
}

/// The model: items by key, and the rules.
#[derive(Default)]
struct Model(BTreeMap<(u8, i8), Item>);

impl Model {
    fn step(&mut self, client: &Client, table: &str, step: &Step) {
        match step {
            Step::Put { key, a, b, condition, old } => {
                let item = item_of(*key, *a, *b);
                let returns = if *old { "ALL_OLD" } else { "NONE" };
                let mut request = json!({"TableName": table, "Item": item, "ReturnValues": returns});
                with_condition(&mut request, condition.as_ref());
                let before = self.0.get(key).cloned();
                if self.judged(client, "PutItem", &request, condition.as_ref(), before.as_ref(), |answer| {
                    let expected = before.as_ref().filter(|_| *old).map(|item| sorted(&json!(item)));
                    assert_eq!(answer.get("Attributes").map(sorted), expected, "{request}");
                }) {
                    self.0.insert(*key, item);
                }
            }
            Step::Delete { key, condition } => {
                let mut request = json!({"TableName": table, "Key": key_of(*key)});
                with_condition(&mut request, condition.as_ref());
                let before = self.0.get(key).cloned();
                if self.judged(client, "DeleteItem", &request, condition.as_ref(), before.as_ref(), |_| ()) {
                    self.0.remove(key);
                }
            }
            Step::Update { key, change, condition } => {
                let (text, values) = change.text();
                let mut request = json!({"TableName": table, "Key": key_of(*key), "UpdateExpression": text, "ReturnValues": "ALL_NEW"});
                if !values.is_null() {
                    request["ExpressionAttributeValues"] = values;
                }
                with_condition(&mut request, condition.as_ref());
                let before = self.0.get(key).cloned();
                let mut after = before.clone().unwrap_or_else(|| item_of(*key, None, None));
                change.apply(&mut after);
                if self.judged(client, "UpdateItem", &request, condition.as_ref(), before.as_ref(), |answer| {
                    assert_eq!(sorted(&answer["Attributes"]), sorted(&json!(after)), "{request}");
                }) {
                    self.0.insert(*key, after);
                }
            }
            Step::Get { key } => {
                let answer =
                    client.ok("GetItem", &json!({"TableName": table, "Key": key_of(*key), "ConsistentRead": true}));
                assert_eq!(answer.get("Item").map(sorted), self.0.get(key).map(|item| sorted(&json!(item))));
            }
            Step::Batch { puts, deletes } => {
                let mut writes = BTreeMap::new();
                deletes.iter().for_each(|key| drop(writes.insert(*key, None)));
                puts.iter().for_each(|(key, a)| drop(writes.insert(*key, Some(item_of(*key, *a, None)))));
                let requests: Vec<Value> = writes
                    .iter()
                    .map(|(key, item)| match item {
                        Some(item) => json!({"PutRequest": {"Item": item}}),
                        None => json!({"DeleteRequest": {"Key": key_of(*key)}}),
                    })
                    .collect();
                let answer = client.ok("BatchWriteItem", &json!({"RequestItems": {table: requests}}));
                assert_eq!(answer["UnprocessedItems"], json!({}));
                for (key, item) in writes {
                    match item {
                        Some(item) => drop(self.0.insert(key, item)),
                        None => drop(self.0.remove(&key)),
                    }
                }
            }
            Step::Transact { members } => self.transact(client, table, members),
            Step::Query { p, range, forward, limit } => {
                let (text, values, holds): (_, _, Box<dyn Fn(i8) -> bool>) = match *range {
                    Range::All => ("p = :p", json!({}), Box::new(|_| true)),
                    Range::Above(low) => {
                        ("p = :p AND s > :x", json!({":x": n(low.into())}), Box::new(move |s| s > low))
                    }
                    Range::AtMost(high) => {
                        ("p = :p AND s <= :x", json!({":x": n(high.into())}), Box::new(move |s| s <= high))
                    }
                    Range::Between(low, high) => (
                        "p = :p AND s BETWEEN :x AND :y",
                        json!({":x": n(low.into()), ":y": n(high.into())}),
                        Box::new(move |s| (low..=high).contains(&s)),
                    ),
                };
                let mut expected: Vec<&Item> =
                    self.0.iter().filter(|(key, _)| key.0 == *p && holds(key.1)).map(|(_, item)| item).collect();
                if !forward {
                    expected.reverse();
                }
                let mut request = json!({"TableName": table, "KeyConditionExpression": text, "ScanIndexForward": forward,
                    "ConsistentRead": true, "ExpressionAttributeValues": values});
                request["ExpressionAttributeValues"][":p"] = s(*p);
                let items = pages(client, "Query", request, *limit);
                assert_eq!(items, expected.iter().map(|item| sorted(&json!(item))).collect::<Vec<_>>(), "{step:?}");
            }
            Step::QueryIndex { index, partition, above, forward, limit } => {
                self.query_index(client, table, *index, *partition, *above, *forward, *limit);
            }
            Step::Scan { limit, segments, above } => {
                let mut items = Vec::new();
                for segment in 0..*segments {
                    let mut request = json!({"TableName": table, "Segment": segment, "TotalSegments": segments, "ConsistentRead": true});
                    if let Some(above) = above {
                        request["FilterExpression"] = json!("a > :x");
                        request["ExpressionAttributeValues"] = json!({":x": n((*above).into())});
                    }
                    items.extend(pages(client, "Scan", request, *limit));
                }
                let expected = self.0.values().filter(|item| {
                    above.is_none_or(|above| number_in(item, "a").is_some_and(|a| a > i64::from(above)))
                });
                let mut expected: Vec<String> = expected.map(|item| sorted(&json!(item)).to_string()).collect();
                let mut found: Vec<String> = items.iter().map(Value::to_string).collect();
                expected.sort();
                found.sort();
                assert_eq!(found, expected, "{step:?}");
            }
        }
    }

    /// Sends a write and checks that the service judges its condition as the model does.
    fn judged(
        &self,
        client: &Client,
        operation: &str,
        request: &Value,
        condition: Option<&Condition>,
        before: Option<&Item>,
        check: impl FnOnce(&Value),
    ) -> bool {
        let holds = condition.is_none_or(|condition| condition.holds(before));
        let (status, answer) = client.call(operation, request);
        assert_eq!(status == 200, holds, "{operation} {request} on {before:?} -> {answer}");
        if holds {
            check(&answer);
        } else {
            assert!(answer["__type"].as_str().unwrap().ends_with("#ConditionalCheckFailedException"), "{answer}");
        }
        holds
    }

    fn transact(&mut self, client: &Client, table: &str, members: &[Member]) {
        let distinct: BTreeMap<_, _> =
            members.iter().map(|(key, a, condition)| (*key, (*a, condition.clone()))).collect();
        let actions: Vec<Value> = distinct
            .iter()
            .map(|(key, (a, condition))| {
                let mut put = json!({"TableName": table, "Item": item_of(*key, *a, Some(1))});
                with_condition(&mut put, condition.as_ref());
                json!({"Put": put})
            })
            .collect();
        let verdicts: Vec<bool> = distinct
            .iter()
            .map(|(key, (_, condition))| condition.as_ref().is_none_or(|condition| condition.holds(self.0.get(key))))
            .collect();
        let (status, answer) = client.call("TransactWriteItems", &json!({"TransactItems": actions}));
        if verdicts.iter().all(|holds| *holds) {
            assert_eq!(status, 200, "{answer}");
            for (key, (a, _)) in distinct {
                self.0.insert(key, item_of(key, a, Some(1)));
            }
        } else {
            assert_eq!(status, 400, "{answer}");
            let codes: Vec<bool> = answer["CancellationReasons"]
                .as_array()
                .unwrap()
                .iter()
                .map(|reason| reason["Code"] == "None")
                .collect();
            assert_eq!(codes, verdicts, "{answer}");
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn query_index(
        &self,
        client: &Client,
        table: &str,
        index: u8,
        partition: u8,
        above: Option<i8>,
        forward: bool,
        limit: Option<u8>,
    ) {
        let (name, attribute) = [("local", "p"), ("global", "b"), ("keys", "b")][usize::from(index)];
        let has_sort = index < 2;
        let above = above.filter(|_| has_sort);
        let mut entries: Vec<&Item> = self
            .0
            .values()
            .filter(|item| item.get(attribute) == Some(&s(partition)))
            .filter(|item| !has_sort || number_in(item, "a").is_some())
            .filter(|item| above.is_none_or(|above| number_in(item, "a").unwrap() > i64::from(above)))
            .collect();
        if has_sort {
            entries.sort_by_key(|item| number_in(item, "a"));
            if !forward {
                entries.reverse();
            }
        }
        let text = format!("{attribute} = :p{}", if above.is_some() { " AND a > :x" } else { "" });
        let mut request = json!({"TableName": table, "IndexName": name, "KeyConditionExpression": text,
            "ScanIndexForward": forward, "ExpressionAttributeValues": {":p": s(partition)}});
        if let Some(above) = above {
            request["ExpressionAttributeValues"][":x"] = n(above.into());
        }
        let items = pages(client, "Query", request, limit);
        // Rows with equal index keys have an order of their own, so only the index keys are compared in order.
        let order = |items: &[Value]| items.iter().map(|item| item.get("a").cloned()).collect::<Vec<_>>();
        let projected = |item: &Item| {
            let mut item = item.clone();
            item.retain(|attribute, _| index < 2 || ["p", "s", "b"].contains(&attribute.as_str()));
            sorted(&json!(item))
        };
        let expected: Vec<Value> = entries.into_iter().map(projected).collect();
        assert_eq!(order(&items), order(&expected));
        let texts = |items: &[Value]| {
            let mut texts: Vec<String> = items.iter().map(Value::to_string).collect();
            texts.sort();
            texts
        };
        assert_eq!(texts(&items), texts(&expected));
    }
}

/// All items of a Query or Scan, page by page.
fn pages(client: &Client, operation: &str, mut request: Value, limit: Option<u8>) -> Vec<Value> {
    if let Some(limit) = limit {
        request["Limit"] = json!(limit);
    }
    let mut items = Vec::new();
    loop {
        let answer = client.ok(operation, &request);
        let page = answer["Items"].as_array().unwrap();
        assert_eq!(answer["Count"], json!(page.len()));
        if let Some(limit) = limit {
            assert!(answer["ScannedCount"].as_u64().unwrap() <= u64::from(limit));
        }
        items.extend(page.iter().map(sorted));
        match answer.get("LastEvaluatedKey") {
            Some(key) => request["ExclusiveStartKey"] = key.clone(),
            None => return items,
        }
    }
}

/// The value with its sets in order, because a set has none.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| {
                let mut member = sorted(member);
                if let ("SS" | "NS" | "BS", Value::Array(elements)) = (name.as_str(), &mut member) {
                    elements.sort_by_key(Value::to_string);
                }
                (name.clone(), member)
            })
            .collect(),
        Value::Array(elements) => elements.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[test]
fn random_operations_answer_as_the_model_does() {
    let client = Client::new();
    let mut runner = TestRunner::new(Config { cases: RUNS, failure_persistence: None, ..Config::default() });
    let tables = std::cell::Cell::new(0);
    let result = runner.run(&proptest::collection::vec(any_step(), 1..RUN_LENGTH), |steps| {
        tables.set(tables.get() + 1);
        let table = format!("model-{}", tables.get());
        create(&client, &table);
        let mut model = Model::default();
        for step in &steps {
            model.step(&client, &table, step);
        }
        let counts = client.ok("DescribeTable", &json!({"TableName": table}));
        assert_eq!(counts["Table"]["ItemCount"], json!(model.0.len()));
        client.ok("DeleteTable", &json!({"TableName": table}));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
