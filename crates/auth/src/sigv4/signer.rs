//! Signs requests of our own clients.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, InvalidHeaderValue};
use http::uri::{InvalidUri, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Uri};
use ring::digest::{SHA256, digest};
use ring::hmac;

use super::canonical::{Canonical, Message};
use super::keys::{Scope, derive};
use super::timestamp::Timestamp;
use super::{ALGORITHM, SecretKey, TERMINATOR, X_AMZ_CONTENT_SHA256, X_AMZ_DATE, X_AMZ_SECURITY_TOKEN, hex, query};

/// Why a request can not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The access key, the session token or the region has characters that no header can carry.
    #[error("the credentials have characters that can not be sent")]
    Unsendable(#[from] InvalidHeaderValue),
    /// The request's address names no host.
    #[error("the request's address names no host")]
    NoHost,
    /// The presigned address is none.
    #[error("the presigned address is not valid: {0}")]
    Address(#[from] InvalidUri),
}

/// Credentials and what they are used for.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The access key's id.
    pub access_key: String,
    /// Its secret.
    pub secret: SecretKey,
    /// The token of temporary credentials.
    pub session_token: Option<String>,
    /// The region that requests are for.
    pub region: String,
    /// The service that requests are for, by its signing name: `dynamodb`, `kms`, `sts`.
    pub service: String,
}

impl Signer {
    /// Signs a request at `now`, in seconds since the epoch: sets its `Host` from its address if it has none,
    /// `X-Amz-Date`, `X-Amz-Security-Token`, for S3 `X-Amz-Content-Sha256`, and `Authorization`. Nothing of it that is signed may be changed afterwards:
    /// the method, the address, the body, the content type and encoding, and `x-amz-…` headers.
    ///
    /// # Errors
    /// No host is known, or the credentials can not be sent.
    pub fn sign(&self, request: &mut Request<Bytes>, now: u64) -> Result<(), SignError> {
        let time = Timestamp::new(now).to_string();
        let scope = self.scope(&time);
        let payload = hex(digest(&SHA256, request.body()).as_ref());
        let host = host(request)?;
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(X_AMZ_DATE, HeaderValue::from_str(&time)?);
        if let Some(token) = &self.session_token {
            let mut token = HeaderValue::from_str(token)?;
            token.set_sensitive(true);
            headers.insert(X_AMZ_SECURITY_TOKEN, token);
        }
        if self.is_s3() {
            headers.insert(X_AMZ_CONTENT_SHA256, HeaderValue::from_str(&payload)?);
        }
        let signed_headers = signed_headers(headers);
        let message = Message::new(request.method(), request.uri(), request.headers());
        let canonical = Canonical {
            message,
            without: None,
            signed_headers: &signed_headers,
            payload: &payload,
            path_as_sent: self.is_s3(),
        };
        let signature = self.signature(&canonical, &time, &scope);
        let key = &self.access_key;
        let mut authorization = HeaderValue::from_str(&format!(
            "{ALGORITHM} Credential={key}/{scope}, SignedHeaders={signed_headers}, Signature={signature}"
        ))?;
        authorization.set_sensitive(true);
        request.headers_mut().insert(http::header::AUTHORIZATION, authorization);
        Ok(())
    }

    /// The address that stands for this request for `validity` from `now` on, for whoever has it. Whoever uses it sends
    /// the same method, body, and the headers that it has now.
    ///
    /// # Errors
    /// No host is known, or the address would not be valid.
    pub fn presign(&self, request: &Request<Bytes>, validity: Duration, now: u64) -> Result<Uri, SignError> {
        let time = Timestamp::new(now).to_string();
        let scope = self.scope(&time);
        let payload = hex(digest(&SHA256, request.body()).as_ref());
        let mut headers = request.headers().clone();
        headers.insert(HOST, host(request)?);
        let signed_headers = signed_headers(&headers);
        let mut query = request.uri().query().unwrap_or_default().as_bytes().to_vec();
        let credential = format!("{}/{scope}", self.access_key);
        let validity = validity.as_secs().to_string();
        let parameters = [
            ("X-Amz-Algorithm", Some(ALGORITHM)),
            ("X-Amz-Credential", Some(credential.as_str())),
            ("X-Amz-Date", Some(time.as_str())),
            ("X-Amz-Expires", Some(validity.as_str())),
            ("X-Amz-Security-Token", self.session_token.as_deref()),
            ("X-Amz-SignedHeaders", Some(signed_headers.as_str())),
        ];
        for (name, value) in parameters.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
            if !query.is_empty() {
                query.push(b'&');
            }
            query.extend_from_slice(name.as_bytes());
            query.push(b'=');
            query::escape(value.as_bytes(), &mut query);
        }
        let mut query = String::from_utf8_lossy(&query).into_owned();
        let path = request.uri().path();
        let message = Message { method: request.method().as_str(), path, query: &query, headers: &headers };
        let canonical = Canonical {
            message,
            without: None,
            signed_headers: &signed_headers,
            payload: &payload,
            path_as_sent: self.is_s3(),
        };
        let signature = self.signature(&canonical, &time, &scope);
        query.push_str("&X-Amz-Signature=");
        query.push_str(&signature);
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(format!("{path}?{query}"))?);
        Uri::from_parts(parts).map_err(|_| SignError::NoHost)
    }

    /// S3 has rules of its own: the path stands as it is sent, and the body's hash is sent too.
    fn is_s3(&self) -> bool {
        self.service == "s3"
    }

    fn scope(&self, time: &str) -> String {
        let date = time.get(..8).unwrap_or_default();
        format!("{date}/{}/{}/{TERMINATOR}", self.region, self.service)
    }

    fn signature(&self, canonical: &Canonical<'_>, time: &str, scope: &str) -> String {
        let date = time.get(..8).unwrap_or_default();
        let key = derive(&self.secret, &Scope { date, region: &self.region, service: &self.service });
        hex(hmac::sign(&key, canonical.string_to_sign(time, scope).as_bytes()).as_ref())
    }
}

fn host(request: &Request<Bytes>) -> Result<HeaderValue, SignError> {
    if let Some(host) = request.headers().get(HOST) {
        return Ok(host.clone());
    }
    let authority = request.uri().authority().ok_or(SignError::NoHost)?;
    // Clients leave out the port that the scheme implies.
    let implied = match request.uri().scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    let host = match authority.port_u16().filter(|port| Some(*port) != implied) {
        Some(port) => format!("{}:{port}", authority.host()),
        None => authority.host().to_owned(),
    };
    Ok(HeaderValue::from_str(&host)?)
}

/// What is signed of the headers: what the meaning of a request can depend on.
fn signed_headers(headers: &HeaderMap) -> String {
    let is_signed = |name: &str| {
        name.starts_with("x-amz-") || [HOST, CONTENT_TYPE, CONTENT_ENCODING].iter().any(|signed| name == signed)
    };
    let mut names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).filter(|name| is_signed(name)).collect();
    names.sort_unstable();
    names.join(";")
}
