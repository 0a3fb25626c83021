//! Signed requests: how they are formed, how their refusals are read, and what is tried again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode};
use partita_auth::sigv4::Signer;
use partita_client::{Bounds, ClientError};

use super::{ANSWER_BYTES, Bucket, xml};

/// How long an answer may take. A request is at most a part of an upload.
const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(5), total: Duration::from_secs(120), max_response_bytes: ANSWER_BYTES };
/// How often a request is tried.
const ATTEMPTS: u32 = 7;
/// The pause before the second attempt, doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The most of a service's message that is passed on, in characters.
const TOLD: usize = 300;
const BUCKET_OWNER: HeaderName = HeaderName::from_static("x-amz-expected-bucket-owner");
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// A request.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub method: Method,
    /// The object, or the bucket itself.
    pub key: Option<&'a str>,
    pub query: Vec<(&'static str, String)>,
    pub headers: Vec<(HeaderName, String)>,
    pub body: Bytes,
    /// The most bytes of the answer's body.
    pub most: usize,
}

/// Why there is no answer of use.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The service answered that it will not or can not.
    Status { status: StatusCode, code: String, message: String },
    /// The service did not answer, or the request could not be formed.
    Unanswered(String),
    /// The answer is not what it says it is.
    Wrong(&'static str),
    /// The answer is longer than wanted.
    TooLarge,
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: Method, key: Option<&'a str>) -> Self {
        Self { method, key, query: Vec::new(), headers: Vec::new(), body: Bytes::new(), most: ANSWER_BYTES }
    }
}

impl Refusal {
    /// Whether the same request may succeed a little later.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unanswered(_) | Self::Wrong(_) => true,
            Self::TooLarge => false,
            Self::Status { status, code, .. } => {
                status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED
                    || *status == StatusCode::TOO_MANY_REQUESTS
                    || matches!(
                        code.as_str(),
                        "SlowDown"
                            | "InternalError"
                            | "ServiceUnavailable"
                            | "Throttling"
                            | "ThrottlingException"
                            | "RequestTimeout"
                            | "RequestLimitExceeded"
                            | "OperationAborted"
                    )
            }
        }
    }
}

impl Bucket {
    /// Asks until there is an answer of success that `check` accepts, or it is clear that there is none.
    pub(super) async fn ask(
        &self,
        ask: &Ask<'_>,
        check: impl Fn(&Response<Bytes>) -> Result<(), &'static str>,
    ) -> Result<Response<Bytes>, Refusal> {
        let mut attempt = 1;
        loop {
            let outcome = match self.ask_once(ask).await {
                Ok(response) => check(&response).map(|()| response).map_err(Refusal::Wrong),
                Err(refusal) => Err(refusal),
            };
            match outcome {
                Err(refusal) if refusal.may_pass() && attempt < ATTEMPTS => {
                    tracing::debug!(?refusal, attempt, "an object store failed; it is asked again");
                    let pause = (FIRST_PAUSE * (1 << (attempt - 1).min(6))).min(LONGEST_PAUSE);
                    // Half to all of it, so that many who were slowed down do not come back together.
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    pub(super) async fn ask_once(&self, ask: &Ask<'_>) -> Result<Response<Bytes>, Refusal> {
        let request = self.request(ask).await?;
        let bounds = Bounds { max_response_bytes: ask.most.max(ANSWER_BYTES), ..BOUNDS };
        let response = self.place.client.send(request, bounds).await.map_err(|error| match error {
            ClientError::TooLarge { .. } => Refusal::TooLarge,
            other => Refusal::Unanswered(other.to_string()),
        })?;
        let status = response.status();
        if status.is_success() {
            // `CompleteMultipartUpload` says late that it has failed, when the status has been sent.
            let late = (ask.method == Method::POST).then(|| xml::error(response.body())).flatten();
            return match late {
                Some((code, message)) => {
                    Err(Refusal::Status { status: StatusCode::INTERNAL_SERVER_ERROR, code, message })
                }
                None if response.body().len() > ask.most => Err(Refusal::TooLarge),
                None => Ok(response),
            };
        }
        let (code, message) = xml::error(response.body()).unwrap_or_default();
        let mut message: String = message.chars().take(TOLD).collect();
        let region = response.headers().get(BUCKET_REGION).and_then(|region| region.to_str().ok());
        if let Some(region) = region.filter(|region| status.is_redirection() && *region != self.place.region) {
            message = format!("the bucket is in region {region}");
        }
        Err(Refusal::Status { status, code, message })
    }

    async fn request(&self, ask: &Ask<'_>) -> Result<Request<Bytes>, Refusal> {
        let unformed = |error: &dyn std::fmt::Display| Refusal::Unanswered(error.to_string());
        let place = &*self.place;
        let mut url = format!("{}/{}", place.endpoint, place.bucket);
        if let Some(key) = ask.key {
            url.push('/');
            escape(&place.prefix, true, &mut url);
            escape(key, true, &mut url);
        }
        for (index, (name, value)) in ask.query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            escape(value, false, &mut url);
        }
        let mut request = Request::builder().method(&ask.method).uri(url);
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if let Some(owner) = &self.owner {
            request = request.header(BUCKET_OWNER, &**owner);
        }
        let mut request = request.body(ask.body.clone()).map_err(|error| unformed(&error))?;
        let keys = place.credentials.current().await.map_err(Refusal::Unanswered)?;
        let signer = Signer {
            access_key: keys.access_key,
            secret: keys.secret,
            session_token: keys.session_token,
            region: place.region.clone(),
            service: "s3".to_owned(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        signer.sign(&mut request, now).map_err(|error| unformed(&error))?;
        Ok(request)
    }
}

/// Appends text with everything escaped that S3 wants escaped in a signed address.
pub(super) fn escape(text: &str, keep_slashes: bool, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().map_or('0', char::from);
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slashes && byte == b'/') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(digit(byte >> 4));
            out.push(digit(byte & 15));
        }
    }
}
