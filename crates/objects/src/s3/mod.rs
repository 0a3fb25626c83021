//! A bucket of a service that speaks S3's API, addressed by path.
//!
//! `ask` sends signed requests and tries again what may pass, `multipart` writes objects of unknown length, `xml` reads
//! the few answers that are XML, `credentials` says who asks. Source: "Amazon S3 API Reference".

mod ask;
mod credentials;
mod multipart;
mod xml;

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_RANGE, ETAG, RANGE};
use http::{HeaderName, Method, Response, StatusCode};
use partita_client::Client;
use ring::digest::{SHA256, digest};

use self::ask::{Ask, Refusal};
pub(crate) use self::credentials::{AccessKey, Credentials};
pub(crate) use self::multipart::Multipart;
use crate::error::{ObjectError, Result};
use crate::key;
use crate::store::{Head, Listed, Listing, ServerSideEncryption, Stored, too_large};

const CHECKSUM_SHA256: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");
const CHECKSUM_CRC32: HeaderName = HeaderName::from_static("x-amz-checksum-crc32");
const CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");
/// The most of an answer that holds no object.
const ANSWER_BYTES: usize = 4 << 20;

/// A bucket, or what lies behind a prefix in it. Clones share connections and credentials.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    place: Arc<Place>,
    encryption: Option<Arc<ServerSideEncryption>>,
    owner: Option<Arc<str>>,
}

/// Where a bucket is.
#[derive(Debug)]
pub(crate) struct Place {
    pub client: Client,
    /// Scheme, host and port.
    pub endpoint: String,
    pub bucket: String,
    /// What all keys begin with there: nothing, or something that ends in a slash.
    pub prefix: String,
    pub region: String,
    pub credentials: Credentials,
}

impl Bucket {
    pub(crate) fn new(place: Place) -> Self {
        Self { place: Arc::new(place), encryption: None, owner: None }
    }

    pub(crate) fn encrypted(mut self, encryption: ServerSideEncryption) -> Self {
        self.encryption = Some(Arc::new(encryption));
        self
    }

    pub(crate) fn owned_by(mut self, account: &str) -> Self {
        self.owner = Some(account.into());
        self
    }

    pub(crate) fn shown(&self) -> String {
        let Place { endpoint, bucket, prefix, .. } = &*self.place;
        format!("{endpoint}/{bucket}/{prefix}")
    }

    pub(crate) async fn put(&self, key: &str, value: Bytes) -> Result<Stored> {
        let mut ask = Ask::new(Method::PUT, Some(key));
        let hash = STANDARD.encode(digest(&SHA256, &value));
        ask.headers.push((CHECKSUM_SHA256, hash));
        self.ask_for_encryption(&mut ask);
        ask.body = value;
        let response = self.ask(&ask, accept).await.map_err(|refusal| self.explain(refusal, key))?;
        Ok(Stored { etag: etag(&response) })
    }

    pub(crate) async fn get(&self, key: &str, most: u64) -> Result<Bytes> {
        let mut ask = Ask::new(Method::GET, Some(key));
        ask.headers.push((CHECKSUM_MODE, "ENABLED".to_owned()));
        ask.most = usize::try_from(most).unwrap_or(usize::MAX);
        match self.ask(&ask, has_its_checksum).await {
            Ok(response) => Ok(response.into_body()),
            Err(Refusal::TooLarge) => Err(too_large(key, most)),
            Err(refusal) => Err(self.explain(refusal, key)),
        }
    }

    pub(crate) async fn get_range(&self, key: &str, start: u64, length: u64) -> Result<Bytes> {
        let mut ask = Ask::new(Method::GET, Some(key));
        let last = start.saturating_add(length - 1);
        ask.headers.push((RANGE, format!("bytes={start}-{last}")));
        ask.most = usize::try_from(length).unwrap_or(usize::MAX);
        match self.ask(&ask, has_its_range).await {
            Ok(response) => Ok(response.into_body()),
            Err(Refusal::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }) => Ok(Bytes::new()),
            Err(Refusal::TooLarge) => Err(ObjectError::Unavailable(format!("{} knows no ranges", self.shown()))),
            Err(refusal) => Err(self.explain(refusal, key)),
        }
    }

    pub(crate) async fn head(&self, key: &str) -> Result<Head> {
        let ask = Ask::new(Method::HEAD, Some(key));
        let response = self.ask(&ask, accept).await.map_err(|refusal| self.explain(refusal, key))?;
        let size = response.headers().get(http::header::CONTENT_LENGTH);
        let size = size.and_then(|size| size.to_str().ok()?.parse().ok());
        let unknown = || ObjectError::Unavailable(format!("{} does not tell how long {key} is", self.shown()));
        Ok(Head { size: size.ok_or_else(unknown)? })
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<()> {
        match self.ask(&Ask::new(Method::DELETE, Some(key)), accept).await {
            Ok(_) => Ok(()),
            Err(refusal) => match self.explain(refusal, key) {
                ObjectError::NotThere(_) => Ok(()),
                error => Err(error),
            },
        }
    }

    pub(crate) async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Listing> {
        let base = &self.place.prefix;
        let mut after = after.map(|after| format!("{base}{after}"));
        loop {
            let mut ask = Ask::new(Method::GET, None);
            ask.query.push(("encoding-type", "url".to_owned()));
            ask.query.push(("list-type", "2".to_owned()));
            ask.query.push(("max-keys", most.to_string()));
            ask.query.push(("prefix", format!("{base}{prefix}")));
            if let Some(after) = &after {
                ask.query.push(("start-after", after.clone()));
            }
            let response = self.ask(&ask, accept).await.map_err(|refusal| self.explain(refusal, prefix))?;
            let page = xml::listing(response.body());
            let malformed = || ObjectError::Unavailable(format!("{} sends no listing", self.shown()));
            let (found, more) = page.ok_or_else(malformed)?;
            let last = found.last().map(|(key, _)| key.clone());
            let named = |(key, size): (String, u64)| {
                let key = key.strip_prefix(base.as_str())?;
                key::check(key).is_ok().then(|| Listed { key: key.to_owned(), size })
            };
            let objects: Vec<Listed> = found.into_iter().filter_map(named).collect();
            // A page on which there is nothing of use must not look like the end.
            match last {
                Some(last) if more && objects.is_empty() && after.as_ref().is_none_or(|after| *after < last) => {
                    after = Some(last);
                }
                _ => return Ok(Listing { more: more && !objects.is_empty(), objects }),
            }
        }
    }

    /// Has an object be encrypted by the service, where that is asked for.
    fn ask_for_encryption(&self, ask: &mut Ask<'_>) {
        const ALGORITHM: HeaderName = HeaderName::from_static("x-amz-server-side-encryption");
        const KEY: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id");
        match self.encryption.as_deref() {
            None => {}
            Some(ServerSideEncryption::Aes256) => ask.headers.push((ALGORITHM, "AES256".to_owned())),
            Some(ServerSideEncryption::Kms(key)) => {
                ask.headers.push((ALGORITHM, "aws:kms".to_owned()));
                ask.headers.extend(key.clone().map(|key| (KEY, key)));
            }
        }
    }

    /// What a refusal means for a caller who named `key`.
    fn explain(&self, refusal: Refusal, key: &str) -> ObjectError {
        let place = self.shown();
        match refusal {
            Refusal::Unanswered(why) => ObjectError::Unavailable(format!("{place}: {why}")),
            Refusal::Wrong(what) => ObjectError::Damaged(format!("{place}{key}: {what}")),
            Refusal::TooLarge => ObjectError::Unavailable(format!("{place}: an answer is too long")),
            Refusal::Status { status, code, message } => {
                let mut told = format!("{place}: status {}", status.as_u16());
                for part in [&code, &message].into_iter().filter(|part| !part.is_empty()) {
                    // Writing to memory can not fail.
                    let _ = write!(told, ", {part}");
                }
                match (status, code.as_str()) {
                    (_, "NoSuchBucket") => ObjectError::NoBucket(self.place.bucket.clone()),
                    (StatusCode::NOT_FOUND, _) => ObjectError::NotThere(key.to_owned()),
                    (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED, _)
                    | (_, "ExpiredToken" | "InvalidAccessKeyId" | "AuthorizationHeaderMalformed" | "InvalidToken") => {
                        ObjectError::Forbidden(told)
                    }
                    _ => ObjectError::Unavailable(told),
                }
            }
        }
    }
}

/// The entity tag of an answer, without quotation marks.
fn etag(response: &Response<Bytes>) -> String {
    let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default();
    etag.trim_matches('"').to_owned()
}

const fn accept(_: &Response<Bytes>) -> std::result::Result<(), &'static str> {
    Ok(())
}

/// Whether a whole object has the checksum that the service keeps with it. Those of objects that were written in parts
/// are of the parts.
fn has_its_checksum(response: &Response<Bytes>) -> std::result::Result<(), &'static str> {
    let expected = |name| {
        let text = response.headers().get(name)?.to_str().ok()?;
        (!text.contains('-')).then_some(text)
    };
    let body = response.body();
    let wrong = expected(CHECKSUM_SHA256).is_some_and(|hash| hash != STANDARD.encode(digest(&SHA256, body)))
        || expected(CHECKSUM_CRC32).is_some_and(|sum| sum != STANDARD.encode(crc32fast::hash(body).to_be_bytes()));
    if wrong { Err("it does not have its checksum") } else { Ok(()) }
}

/// Whether a part of an object is as long as the answer says.
fn has_its_range(response: &Response<Bytes>) -> std::result::Result<(), &'static str> {
    let Some(range) = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()) else {
        return if response.status() == StatusCode::PARTIAL_CONTENT { Err("no range is told") } else { Ok(()) };
    };
    let read = || {
        let (first, last) = range.strip_prefix("bytes ")?.split_once('/')?.0.split_once('-')?;
        last.parse::<u64>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1)
    };
    if read() == Some(response.body().len() as u64) { Ok(()) } else { Err("it is not as long as told") }
}
