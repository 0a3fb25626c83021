//! Whole requests through the whole stack but for the sockets: nothing that is sent may make the service fail inside.

use std::cell::RefCell;

use http::{HeaderValue, Method, Uri};
use partita_api::http::{Request, Response};
use partita_api::{Operation, Service};
use partita_db::Database;
use partita_engine::OpenOptions;
use serde_json::json;
use tokio::runtime::Runtime;

use super::choice;

/// Requests after which a new, empty database takes over, so that what a fuzzer finds can be found again.
const REQUESTS_PER_DATABASE: u32 = 2_000;

struct Stack {
    service: Service,
    runtime: Runtime,
    requests: u32,
}

impl Stack {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let database = runtime.block_on(Database::open(&OpenOptions::memory())).unwrap();
        let stack = Self { service: Service::new(database, "us-east-1"), runtime, requests: 0 };
        let key = |hash: &str, range: &str| json!([{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": range, "KeyType": "RANGE"}]);
        let table = json!({
            "TableName": "Users", "BillingMode": "PAY_PER_REQUEST", "KeySchema": key("pk", "sk"),
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"},
                {"AttributeName": "a", "AttributeType": "N"}, {"AttributeName": "b", "AttributeType": "B"}],
            "LocalSecondaryIndexes": [{"IndexName": "local", "KeySchema": key("pk", "a"), "Projection": {"ProjectionType": "ALL"}}],
            "GlobalSecondaryIndexes": [{"IndexName": "global", "KeySchema": key("b", "a"), "Projection": {"ProjectionType": "KEYS_ONLY"}}],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        });
        let put = json!({"TableName": "Users", "Item": {"pk": {"S": "x"}, "sk": {"N": "1"}, "a": {"N": "7"}, "b": {"B": "YWJj"},
            "l": {"L": [{"N": "1"}, {"M": {"k": {"S": "v"}}}]}, "ss": {"SS": ["a", "c"]}}});
        for (operation, body) in [("CreateTable", table), ("PutItem", put)] {
            let response =
                stack.answer(&target(&format!("DynamoDB_20120810.{operation}"), body.to_string().into_bytes()));
            assert_eq!(response.status, 200, "{operation}: {:?}", response.body);
        }
        stack
    }

    fn answer(&self, request: &Request) -> Response {
        self.runtime.block_on(self.service.answer(request))
    }
}

thread_local! {
    static STACK: RefCell<Option<Stack>> = const { RefCell::new(None) };
}

/// Answers a request; a failure inside is a finding.
fn judge(request: &Request) {
    STACK.with_borrow_mut(|held| {
        let stack = held.get_or_insert_with(Stack::new);
        let response = stack.answer(request);
        assert!(response.status < 500, "{}: {}", response.status, String::from_utf8_lossy(&response.body));
        stack.requests += 1;
        if stack.requests >= REQUESTS_PER_DATABASE {
            *held = None;
        }
    });
}

fn target(name: &str, body: Vec<u8>) -> Request {
    let mut request = Request::new(Method::POST, Uri::from_static("/"));
    request.headers.insert("x-amz-target", HeaderValue::from_str(name).unwrap());
    request.headers.insert("content-type", HeaderValue::from_static("application/x-amz-json-1.0"));
    request.body = body.into();
    request
}

/// The JSON protocol: a byte for the operation, then the body.
pub(super) fn json(bytes: &[u8]) {
    let Some((which, body)) = choice(bytes) else { return };
    let operation = Operation::ALL[which % Operation::ALL.len()];
    // A backup's job goes on after its request: it would make one input's fate another's.
    let service = if ["GetRecords", "GetShardIterator", "DescribeStream", "ListStreams"].contains(&operation.name()) {
        "DynamoDBStreams_20120810"
    } else {
        "DynamoDB_20120810"
    };
    judge(&target(&format!("{service}.{}", operation.name()), body.to_vec()));
}

/// A PartiQL statement, with parameters enough for most.
pub(super) fn statement(text: &str) {
    let some = [json!({"S": "x"}), json!({"N": "1"}), json!({"L": [{"NULL": true}]})];
    let parameters: Vec<_> = text.matches('?').take(20).zip(some.iter().cycle()).map(|(_, value)| value).collect();
    let mut body = json!({"Statement": text});
    if !parameters.is_empty() {
        body["Parameters"] = json!(parameters);
    }
    judge(&target("DynamoDB_20120810.ExecuteStatement", body.to_string().into_bytes()));
}

/// The query protocol of IAM and STS: the body of a form.
pub(super) fn query(bytes: &[u8]) {
    let mut request = Request::new(Method::POST, Uri::from_static("/"));
    request
        .headers
        .insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"));
    request.body = bytes.to_vec().into();
    judge(&request);
}
