//! One endpoint: signed calls, tried again with growing pauses while that may help.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, Request, Uri};
use partita_auth::sigv4::{SecretKey, Signer};
use partita_client::{Bounds, Client};
use serde_json::Value;

use crate::credentials::Credentials;

/// A page is at most 1 MB of items, and a batch 16 MB; in JSON they may be several times as long.
const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(10), total: Duration::from_secs(60), max_response_bytes: 96 << 20 };
/// How often a call is tried: the pauses add up to about two minutes.
const ATTEMPTS: u32 = 14;
/// The first pause; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// The operations of the API of streams.
const STREAM_OPERATIONS: [&str; 4] = ["ListStreams", "DescribeStream", "GetShardIterator", "GetRecords"];
/// What may succeed later ("Error handling with DynamoDB").
const PASSING: [&str; 8] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "LimitExceededException",
    "InternalServerError",
    "ServiceUnavailable",
    "InternalFailure",
    "TransactionConflictException",
];
/// What endpoints on this machine are told who need credentials, whichever.
const STRANGER: &str = "partita";

/// Why there is no such endpoint.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address is none.
    #[error("{0} is no http:// or https:// address of an endpoint")]
    Address(String),
    /// No credentials were found.
    #[error("there are no credentials for {0}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile")]
    NoCredentials(String),
}

/// Why a call was not answered as it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The endpoint refuses.
    #[error("{operation}: {code}: {message}")]
    Refused {
        /// What was asked for.
        operation: String,
        /// The code, without its name space.
        code: String,
        /// In words.
        message: String,
    },
    /// There was no answer, again and again.
    #[error("{operation}: {what}")]
    Unanswered {
        /// What was asked for.
        operation: String,
        /// What went wrong the last time.
        what: String,
    },
    /// The answer is not that of a DynamoDB endpoint.
    #[error("{operation}: the answer lacks {what}")]
    Strange {
        /// What was asked for.
        operation: String,
        /// What is missing.
        what: &'static str,
    },
}

impl CallError {
    /// Whether the endpoint refused with this code.
    #[must_use]
    pub fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }

    /// An answer without what it has to have.
    #[must_use]
    pub fn strange(operation: &str, what: &'static str) -> Self {
        Self::Strange { operation: operation.to_owned(), what }
    }
}

/// A DynamoDB endpoint and who calls it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Endpoint {
    client: Client,
    signer: Signer,
    /// Its address, without a slash at the end.
    url: String,
    /// Where its streams are read.
    streams_url: String,
}

impl Endpoint {
    /// The endpoint at an address. Without a region it is that in the name of an AWS endpoint, or `us-east-1`. Without
    /// credentials an endpoint of this machine is told some that are made up, which it may accept.
    ///
    /// # Errors
    /// When the address is none, or credentials are needed.
    pub fn new(
        client: Client,
        url: &str,
        region: Option<&str>,
        credentials: Option<Credentials>,
    ) -> Result<Self, EndpointError> {
        let url = url.trim_end_matches('/').to_owned();
        let bad = || EndpointError::Address(url.clone());
        let parsed: Uri = url.parse().map_err(|_| bad())?;
        let host = parsed.host().ok_or_else(bad)?;
        let authority = parsed.authority().map(|authority| authority.as_str()).unwrap_or_default();
        if !matches!(parsed.scheme_str(), Some("http" | "https")) || authority.contains('@') || parsed.path() != "/" {
            return Err(bad());
        }
        let of_name = region_of(host);
        let streams_url =
            if of_name.is_some() { url.replacen("//dynamodb.", "//streams.dynamodb.", 1) } else { url.clone() };
        let credentials = match credentials {
            Some(credentials) => credentials,
            None if is_here(host) => {
                Credentials { access_key: STRANGER.to_owned(), secret: SecretKey::new(STRANGER), session_token: None }
            }
            None => return Err(EndpointError::NoCredentials(url)),
        };
        let signer = Signer {
            access_key: credentials.access_key,
            secret: credentials.secret,
            session_token: credentials.session_token,
            region: region.or(of_name).unwrap_or("us-east-1").to_owned(),
            service: "dynamodb".to_owned(),
        };
        Ok(Self { client, signer, url, streams_url })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.signer.region
    }

    /// What tells it and its caller from others: address, region and access key.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{} {} {}", self.url, self.signer.region, self.signer.access_key)
    }

    /// What stays the same of that from run to run. Access keys of AWS may be temporary; those of other endpoints may be
    /// name spaces.
    #[must_use]
    pub fn place(&self) -> String {
        if self.streams_url == self.url { self.identity() } else { format!("{} {}", self.url, self.signer.region) }
    }

    /// Calls an operation, again and again while that may help.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(&self, operation: &str, input: &Value) -> Result<Value, CallError> {
        let body = Bytes::from(input.to_string());
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.call_once(operation, body.clone()).await {
                Err((error, true)) if attempt < ATTEMPTS => {
                    tracing::debug!(%error, attempt, "a call is tried again");
                    tokio::time::sleep(pause(attempt)).await;
                }
                outcome => return outcome.map_err(|(error, _)| error),
            }
        }
    }

    /// Calls once; an error says whether it may pass.
    async fn call_once(&self, operation: &str, body: Bytes) -> Result<Value, (CallError, bool)> {
        let unanswered = |what: String| CallError::Unanswered { operation: operation.to_owned(), what };
        let of_streams = STREAM_OPERATIONS.contains(&operation);
        let (url, api) =
            if of_streams { (&self.streams_url, "DynamoDBStreams_20120810") } else { (&self.url, "DynamoDB_20120810") };
        let request = Request::post(format!("{url}/"))
            .header(CONTENT_TYPE, "application/x-amz-json-1.0")
            .header(TARGET, format!("{api}.{operation}"))
            .body(body);
        let mut request = request.map_err(|error| (unanswered(error.to_string()), false))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        self.signer.sign(&mut request, now).map_err(|error| (unanswered(error.to_string()), false))?;
        let response =
            self.client.send(request, BOUNDS).await.map_err(|error| (unanswered(error.to_string()), true))?;
        let status = response.status();
        let answer = serde_json::from_slice::<Value>(response.body());
        if status.is_success() {
            return answer.map_err(|error| (unanswered(format!("the answer is no JSON: {error}")), false));
        }
        let answer = answer.unwrap_or_default();
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let code = text("__type").or_else(|| text("code")).unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default().to_owned();
        let message = text("message").or_else(|| text("Message")).unwrap_or_default().to_owned();
        let passing = status.is_server_error() || PASSING.contains(&code.as_str());
        if code.is_empty() {
            return Err((unanswered(format!("the answer is {status}")), passing));
        }
        Err((CallError::Refused { operation: operation.to_owned(), code, message }, passing))
    }
}

/// The pause after so many attempts, with some chance in it so that many do not come back at once.
pub(crate) fn pause(attempt: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << attempt.min(12)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// The region in the name of an AWS endpoint.
fn region_of(host: &str) -> Option<&str> {
    let rest = host.strip_prefix("dynamodb.")?;
    let region = rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn"))?;
    (!region.is_empty() && !region.contains('.')).then_some(region)
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use partita_client::Trust;

    use super::*;

    fn endpoint(url: &str, region: Option<&str>) -> Result<Endpoint, EndpointError> {
        let credentials = (!url.contains("localhost")).then(|| Credentials {
            access_key: "k".to_owned(),
            secret: SecretKey::new("s"),
            session_token: None,
        });
        Endpoint::new(Client::new(Trust::system()), url, region, credentials)
    }

    #[test]
    fn the_region_and_the_address_of_streams_follow_from_the_name_of_an_aws_endpoint() {
        let aws = endpoint("https://dynamodb.eu-west-1.amazonaws.com/", None).unwrap();
        assert_eq!(aws.region(), "eu-west-1");
        assert_eq!(aws.streams_url, "https://streams.dynamodb.eu-west-1.amazonaws.com");
        let here = endpoint("http://localhost:8000", Some("eu-west-2")).unwrap();
        assert_eq!((here.region(), here.streams_url.as_str()), ("eu-west-2", "http://localhost:8000"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in ["", "localhost:8000", "ftp://localhost", "http://", "http://user:secret@host", "http://host/path"] {
            assert!(matches!(endpoint(bad, None), Err(EndpointError::Address(_))), "{bad}");
        }
        let client = Client::new(Trust::system());
        let elsewhere = Endpoint::new(client, "https://dynamodb.eu-west-1.amazonaws.com", None, None);
        assert!(matches!(elsewhere, Err(EndpointError::NoCredentials(_))));
    }
}
