//! Requests and responses as the server hands them on, which operation a request is for, and the form of errors.
//!
//! Sockets, TLS, compression, checksums, limits on bodies and the health line are the server's.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use partita_model::{ErrorCode, Refusal};

use crate::failure::Failure;
use crate::generated::operations::Operation;
use crate::json::Encode;
use crate::operations::{ADVANCE_CLOCK, REPORT_TARGET, TriggerOperation};
use crate::request;

/// The content type of a response to a client that speaks AWS's JSON 1.0.
pub const AMZ_JSON: &str = "application/x-amz-json-1.0";
/// The content type of a response to any other client.
pub const JSON: &str = "application/json";

/// The header that names the operation.
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// What DynamoDB answers, with status 404, to what is no request of its protocol.
const NO_REQUEST: &[u8] = b"<UnknownOperationException/>\n";

/// A whole request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path and query.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
    /// The SHA-256 of the body as sent, if that was compressed and requests are authenticated.
    pub sent_sha256: Option<[u8; 32]>,
    /// The client's address, if it has one.
    pub peer: Option<SocketAddr>,
    /// How it was secured on its way; `None` in the clear.
    pub secured: Option<Secured>,
    /// What the response's `x-amzn-RequestId` will be.
    pub request_id: String,
}

/// What was agreed on in a TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secured {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite's name as IANA has it.
    pub cipher_suite: &'static str,
}

impl Request {
    /// A request without headers and body.
    #[must_use]
    pub fn new(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            sent_sha256: None,
            peer: None,
            secured: None,
            request_id: String::new(),
        }
    }
}

/// A whole response, still without the headers that every response has (request id, length, checksum).
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: body.into() }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// An operation of DynamoDB or DynamoDB Streams.
    Dynamodb(Operation),
    /// An operation of Partita's own, on triggers.
    Trigger(TriggerOperation),
    /// CloudWatch's report of a rule of contributor insights.
    InsightReport,
    /// Moves the clock on, for tests.
    AdvanceClock,
}

impl Call {
    /// What an `X-Amz-Target` header names.
    #[must_use]
    pub fn from_target(target: &str) -> Option<Self> {
        let own = || TriggerOperation::from_target(target).map(Self::Trigger);
        let report = || (target == REPORT_TARGET).then_some(Self::InsightReport);
        let clock = || (target == ADVANCE_CLOCK).then_some(Self::AdvanceClock);
        Operation::from_target(target).map(Self::Dynamodb).or_else(own).or_else(report).or_else(clock)
    }

    /// The operation's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dynamodb(operation) => operation.name(),
            Self::Trigger(operation) => operation.name(),
            Self::InsightReport => "GetInsightRuleReport",
            Self::AdvanceClock => "AdvanceClock",
        }
    }
}

/// Which operation a request is for.
///
/// # Errors
/// The response to a request that is for none, in DynamoDB's order: 404 for another method or content type, then
/// `SerializationException` for a body that is not JSON, then `UnknownOperationException` for a target that is none.
pub fn route(request: &Request) -> Result<Call, Box<Response>> {
    let is_json = matches!(media_type(request), AMZ_JSON | JSON);
    if request.method != Method::POST || !(is_json || request.body.is_empty()) {
        return Err(Box::new(Response::new(404, "application/xml", NO_REQUEST)));
    }
    let refuse = |code| {
        let failure = Failure::from(Refusal::new(code, ""));
        Box::new(error_response(&failure, response_type(request)))
    };
    let target = request.headers.get(TARGET).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match Call::from_target(target) {
        Some(call) => Ok(call),
        None if request.body.is_empty() || request::is_json(&request.body) => {
            Err(refuse(ErrorCode::UnknownOperationException))
        }
        None => Err(refuse(ErrorCode::SerializationException)),
    }
}

/// The media type of a request, without parameters.
fn media_type(request: &Request) -> &str {
    let Some(value) = request.headers.get(CONTENT_TYPE) else { return "" };
    if value == AMZ_JSON {
        return AMZ_JSON;
    }
    value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// The content type that a request wants its response in.
#[must_use]
pub fn response_type(request: &Request) -> &'static str {
    if media_type(request) == AMZ_JSON { AMZ_JSON } else { JSON }
}

/// The response that tells a client of a failure.
#[must_use]
pub fn error_response(failure: &Failure, content_type: &'static str) -> Response {
    let Refusal { code, message } = &failure.refusal;
    let mut body = Vec::with_capacity(128 + message.len());
    body.extend_from_slice(b"{\"__type\":");
    code.wire_type().encode(&mut body);
    for (member, json) in &failure.members {
        body.push(b',');
        member.encode(&mut body);
        body.push(b':');
        body.extend_from_slice(json);
    }
    // Broken JSON and unknown operations have no message.
    if !message.is_empty() {
        body.push(b',');
        message_member(*code).encode(&mut body);
        body.push(b':');
        message.as_ref().encode(&mut body);
    }
    body.push(b'}');
    Response::new(code.status(), content_type, body)
}

/// The member that holds the message: most codes write it in lower case.
const fn message_member(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::AccessDeniedException
        | ErrorCode::IdempotentParameterMismatchException
        | ErrorCode::SerializationException
        | ErrorCode::TransactionCanceledException
        | ErrorCode::TransactionInProgressException => "Message",
        _ => "message",
    }
}

impl Operation {
    /// The operation that an `X-Amz-Target` header names.
    #[must_use]
    pub fn from_target(target: &str) -> Option<Self> {
        match target.split_once('.')? {
            ("DynamoDB_20120810", name) => Self::of_dynamodb(name),
            ("DynamoDBStreams_20120810", name) => Self::of_streams(name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(target: &str, content_type: &str, body: &'static str) -> Request {
        let mut request = Request::new(Method::POST, Uri::from_static("/"));
        if !target.is_empty() {
            request.headers.insert("x-amz-target", target.parse().unwrap());
        }
        if !content_type.is_empty() {
            request.headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        request.body = Bytes::from_static(body.as_bytes());
        request
    }

    fn routed(request: &Request) -> Result<Call, (u16, &'static str, String)> {
        route(request).map_err(|response| {
            (response.status, response.content_type, String::from_utf8(response.body.to_vec()).unwrap())
        })
    }

    #[test]
    fn both_target_prefixes_name_operations() {
        for (target, operation) in [
            ("DynamoDB_20120810.PutItem", Some(Operation::PutItem)),
            ("DynamoDB_20120810.DescribeEndpoints", Some(Operation::DescribeEndpoints)),
            ("DynamoDBStreams_20120810.GetRecords", Some(Operation::GetRecords)),
            ("DynamoDBStreams_20120810.PutItem", None),
            ("DynamoDB_20120810.GetRecords", None),
            ("DynamoDB_20120810.putItem", None),
            ("DynamoDB_20111205.PutItem", None),
            ("PutItem", None),
            ("", None),
        ] {
            assert_eq!(Operation::from_target(target), operation, "{target}");
        }
        assert_eq!(Operation::ALL.len(), 66);
        for operation in Operation::ALL {
            let prefix = if operation.is_streams() { "DynamoDBStreams_20120810" } else { "DynamoDB_20120810" };
            assert_eq!(Operation::from_target(&format!("{prefix}.{}", operation.name())), Some(*operation));
        }
    }

    #[test]
    fn what_is_no_request_is_refused_in_dynamodbs_order() {
        let target = "DynamoDB_20120810.ListTables";
        let not_found = Err((404, "application/xml", "<UnknownOperationException/>\n".to_owned()));
        assert_eq!(routed(&Request::new(Method::PUT, Uri::from_static("/"))), not_found);
        assert_eq!(routed(&post(target, "", "{}")), not_found);
        assert_eq!(routed(&post(target, "application/x-amz-json-1.1", "{}")), not_found);
        assert_eq!(routed(&post(target, "application/jsonasdf", "{}")), not_found);
        let serialization =
            |kind| Err((400, kind, r#"{"__type":"com.amazon.coral.service#SerializationException"}"#.to_owned()));
        assert_eq!(routed(&post("", AMZ_JSON, "hi")), serialization(AMZ_JSON));
        assert_eq!(routed(&post("", "application/json;", "hi")), serialization(JSON));
        assert_eq!(routed(&post(target, "", "")), Ok(Call::Dynamodb(Operation::ListTables)));
        let unknown =
            |kind| Err((400, kind, r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#.to_owned()));
        assert_eq!(routed(&post("", "", "")), unknown(JSON));
        assert_eq!(routed(&post("whatever", AMZ_JSON, "{}")), unknown(AMZ_JSON));
        assert_eq!(routed(&post("DynamoDB_20120810.ListTable", "application/json; charset=x", "{}")), unknown(JSON));
        assert_eq!(routed(&post(target, "  application/json ;  x", "{}")), Ok(Call::Dynamodb(Operation::ListTables)));
        let own = Ok(Call::Trigger(TriggerOperation::CreateTrigger));
        assert_eq!(routed(&post("Partita_20261122.CreateTrigger", AMZ_JSON, "{}")), own);
        assert_eq!(routed(&post("Partita_20261122.ListTables", AMZ_JSON, "{}")), unknown(AMZ_JSON));
        assert_eq!(routed(&post("DynamoDB_20120810.CreateTrigger", AMZ_JSON, "{}")), unknown(AMZ_JSON));
    }

    #[test]
    fn errors_have_type_message_and_further_members() {
        let failure =
            Failure::from(Refusal::new(ErrorCode::ResourceNotFoundException, "Requested \"resource\" not found"));
        let response = error_response(&failure, AMZ_JSON);
        assert_eq!(response.status, 400);
        assert_eq!(
            response.body,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"Requested \"resource\" not found"}"#
        );
        let failure = Failure::from(Refusal::new(ErrorCode::SerializationException, "x")).with("A", &true);
        let response = error_response(&failure, AMZ_JSON);
        assert_eq!(
            response.body,
            r#"{"__type":"com.amazon.coral.service#SerializationException","A":true,"Message":"x"}"#
        );
        let failure = Failure::from(Refusal::new(ErrorCode::InternalServerError, "x"));
        assert_eq!(error_response(&failure, JSON).status, 500);
    }
}
