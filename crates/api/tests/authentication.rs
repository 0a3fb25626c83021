//! Authentication as a client meets it: who is let in, as whom, and what is refused in which order.
#![expect(clippy::unwrap_used, reason = "all of this is test code, also outside the test functions")]

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Uri};
use partita_api::Service;
use partita_api::http::Request;
use partita_api::identities::{Identities, SecretKey};
use partita_auth::sigv4::Signer;
use partita_db::Database;
use partita_engine::OpenOptions;

const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

async fn service() -> Service {
    let database = Database::open(&OpenOptions::memory()).await.unwrap();
    Service::new(database, "us-east-1").authenticated(Identities::new().with_root(ACCESS_KEY, SecretKey::new(SECRET)))
}

fn signer() -> Signer {
    Signer {
        access_key: ACCESS_KEY.to_owned(),
        secret: SecretKey::new(SECRET),
        session_token: None,
        region: "eu-west-1".to_owned(),
        service: "dynamodb".to_owned(),
    }
}

fn post(operation: &str, body: &'static str) -> Request {
    let mut request = Request::new(Method::POST, Uri::from_static("/"));
    request.headers.insert("host", "localhost:8000".parse().unwrap());
    request.headers.insert("content-type", "application/x-amz-json-1.0".parse().unwrap());
    request.headers.insert("x-amz-target", format!("DynamoDB_20120810.{operation}").parse().unwrap());
    request.body = Bytes::from_static(body.as_bytes());
    request
}

fn signed(signer: &Signer, mut request: Request) -> Request {
    let mut plain = http::Request::new(request.body.clone());
    *plain.method_mut() = request.method.clone();
    *plain.uri_mut() = request.uri.clone();
    *plain.headers_mut() = request.headers.clone();
    signer.sign(&mut plain, SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    request.headers = plain.headers().clone();
    request
}

async fn told(service: &Service, request: &Request) -> (u16, String) {
    let response = service.answer(request).await;
    (response.status, String::from_utf8(response.body.to_vec()).unwrap())
}

fn error(code: &str, message: &str) -> (u16, String) {
    let message = if message.is_empty() { String::new() } else { format!(r#","message":"{message}""#) };
    (400, format!(r#"{{"__type":"com.amazon.coral.service#{code}"{message}}}"#))
}

#[tokio::test]
async fn the_account_is_the_keys_owners_and_the_region_the_scopes() {
    let service = service().await;
    let create = r#"{"TableName":"Things","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}"#;
    let (status, body) = told(&service, &signed(&signer(), post("CreateTable", create))).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("arn:aws:dynamodb:eu-west-1:000000000000:table/Things"), "{body}");
    let elsewhere = Signer { region: "us-west-2".to_owned(), ..signer() };
    assert_eq!(
        told(&service, &signed(&elsewhere, post("ListTables", "{}"))).await,
        (200, r#"{"TableNames":[]}"#.to_owned())
    );
}

#[tokio::test]
async fn strangers_are_refused_in_dynamodbs_order() {
    let service = service().await;
    let missing = error("MissingAuthenticationTokenException", "Request is missing Authentication Token");
    let serialization = error("SerializationException", "");
    assert_eq!(told(&service, &post("ListTables", "{}")).await, missing);
    assert_eq!(told(&service, &post("ListTables", "{")).await, serialization);
    assert_eq!(told(&service, &post("ListTables", "")).await, missing);
    assert_eq!(told(&service, &post("NoSuch", "{}")).await, error("UnknownOperationException", ""));
    assert_eq!(told(&service, &signed(&signer(), post("ListTables", ""))).await, serialization);
    assert_eq!(told(&service, &signed(&signer(), post("ListTables", "{"))).await, serialization);
    let mut put = post("ListTables", "{}");
    put.method = Method::PUT;
    assert_eq!(told(&service, &put).await.0, 404);
    let mut trigger = post("", "{}");
    trigger.headers.insert("x-amz-target", "Partita_20261122.ListTriggers".parse().unwrap());
    assert_eq!(told(&service, &trigger).await, missing);
    assert_eq!(told(&service, &signed(&signer(), trigger)).await.0, 200);
}

#[tokio::test]
async fn unknown_keys_and_wrong_secrets_are_told_apart_as_dynamodb_does() {
    let service = service().await;
    let unknown = error("UnrecognizedClientException", "The security token included in the request is invalid.");
    let stranger = Signer { access_key: "AKIASTRANGER".to_owned(), ..signer() };
    assert_eq!(told(&service, &signed(&stranger, post("ListTables", "{}"))).await, unknown);
    let token = Signer { session_token: Some("made-up".to_owned()), ..signer() };
    assert_eq!(told(&service, &signed(&token, post("ListTables", "{}"))).await, unknown);
    let wrong = Signer { secret: SecretKey::new("wrong"), ..signer() };
    let (status, body) = told(&service, &signed(&wrong, post("ListTables", "{}"))).await;
    assert_eq!(status, 400);
    assert!(body.contains("#InvalidSignatureException") && body.contains("does not match the signature"), "{body}");
    assert!(!body.contains(SECRET));
    let other = Signer { service: "s3".to_owned(), ..signer() };
    let (_, body) = told(&service, &signed(&other, post("ListTables", "{}"))).await;
    assert!(body.contains("Credential should be scoped to correct service: 'dynamodb'."), "{body}");
}

#[tokio::test]
async fn a_compressed_body_is_judged_by_what_was_sent() {
    let service = service().await;
    let sent = "what gzip made of {}";
    let mut request = signed(&signer(), post("ListTables", sent));
    request.body = Bytes::from_static(b"{}");
    assert_eq!(told(&service, &request).await.0, 400);
    request.sent_sha256 = sha256(sent);
    assert_eq!(told(&service, &request).await.0, 200);
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref().try_into().ok()
}
