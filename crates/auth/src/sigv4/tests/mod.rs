//! Requests of tests, signed and not.

mod properties;
mod refusals;
mod suite;

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, Request};

use super::*;

const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 20150830T123600Z.
const NOW: u64 = 1_440_938_160;

fn signer() -> Signer {
    Signer {
        access_key: ACCESS_KEY.to_owned(),
        secret: SecretKey::new(SECRET),
        session_token: None,
        region: "us-east-1".to_owned(),
        service: "dynamodb".to_owned(),
    }
}

fn request(body: &str) -> Request<Bytes> {
    Request::post("http://localhost:8000/")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "DynamoDB_20120810.GetItem")
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap()
}

fn signed(body: &str) -> Request<Bytes> {
    let mut request = request(body);
    signer().sign(&mut request, NOW).unwrap();
    request
}

/// Reads and verifies a request to DynamoDB with the secret of the tests.
fn judge(request: &Request<Bytes>, now: u64) -> Result<(), SignatureError> {
    judge_with(request, now, &SecretKey::new(SECRET), &SigningKeys::default())
}

fn judge_with(
    request: &Request<Bytes>,
    now: u64,
    secret: &SecretKey,
    keys: &SigningKeys,
) -> Result<(), SignatureError> {
    let message = Message::new(request.method(), request.uri(), request.headers());
    let claim = Claim::read(message, &["dynamodb"], now)?;
    claim.verify(message, Payload::Bytes(request.body()), secret, keys)
}

fn refusal(request: &Request<Bytes>) -> String {
    judge(request, NOW).unwrap_err().to_string()
}
