//! The contract between this crate and whoever answers requests: [`Request`], [`Response`] and [`Handler`].
//!
//! Also the request id, which every answer and every log line about a request carries. How a response becomes bytes
//! on the wire is in `answer`.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::net::SocketAddr;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use bytes::Bytes;

/// One complete request: its body has arrived whole, is decompressed and within the size limit.
#[derive(Debug)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The request target as the client sent it.
    pub uri: Uri,
    /// All headers as sent. `Content-Encoding` and `Content-Length` still describe the body as sent, not [`Self::body`].
    pub headers: HeaderMap,
    /// The body after decompression.
    pub body: Bytes,
    /// The SHA-256 of the body as it was sent, where it was compressed and the server authenticates
    /// ([`crate::Exposure::Authenticated`]): signatures are of that.
    pub sent_sha256: Option<[u8; 32]>,
    /// The other end of the connection.
    pub peer: Option<SocketAddr>,
    /// How the connection is secured; `None` in the clear.
    pub secured: Option<Secured>,
    /// The id that the answer will carry as `x-amzn-RequestId`.
    pub request_id: RequestId,
}

/// What was agreed on in a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secured {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite's name as IANA has it.
    pub cipher_suite: &'static str,
}

/// An answer. Length, checksum, compression, date and request id are added when it is written.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status code, 200 to 599. Anything else is answered as 500.
    pub status: u16,
    /// The `Content-Type` header.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, uncompressed.
    pub body: Bytes,
}

impl Response {
    /// An answer of plain text.
    pub fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", headers: Vec::new(), body: body.into() }
    }

    /// An answer in DynamoDB's JSON 1.0.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: "application/x-amz-json-1.0", headers: Vec::new(), body: body.into() }
    }
}

/// Answers requests.
///
/// A request that has been handed over is run to its end even when its client goes away meanwhile, so a handler may
/// hold work that others wait for. A panic becomes `InternalServerError` (500).
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request.
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send;

    /// Whether requests can be served in full: what `/health/ready` says.
    fn is_ready(&self) -> bool {
        true
    }
}

/// 52 characters of `0-9A-V`, random, in the form DynamoDB gives its request ids.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; Self::LENGTH]);

impl RequestId {
    /// Characters in an id.
    pub const LENGTH: usize = 52;

    /// Characters that carry one 64-bit word, at five bits each.
    const PER_WORD: usize = 13;

    /// A new id. Unpredictable enough to be unique everywhere; not a secret.
    pub fn random() -> Self {
        let source = RandomState::new();
        let mut id = [0; Self::LENGTH];
        for (characters, nonce) in id.chunks_exact_mut(Self::PER_WORD).zip(0u64..) {
            let mut word = source.hash_one(nonce);
            for character in characters {
                let [digit, ..] = (word & 31).to_le_bytes();
                *character = if digit < 10 { b'0' + digit } else { b'A' + (digit - 10) };
                word >>= 5;
            }
        }
        Self(id)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn request_ids_are_52_base32_characters_and_differ() {
        let ids: HashSet<_> = (0..10_000).map(|_| RequestId::random()).collect();
        assert_eq!(ids.len(), 10_000);
        for id in ids {
            assert_eq!(id.as_str().len(), 52);
            assert!(id.as_str().bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'V')), "{id}");
        }
    }
}
