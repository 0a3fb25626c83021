//! Turns a [`Response`] into what goes over the wire: compression, checksum and DynamoDB's standing headers.

use std::io::Write;

use ::http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, SERVER, VARY};
use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;

use crate::http::{RequestId, Response};

/// Bodies longer than this are compressed for clients that accept it.
const COMPRESSED_FROM: usize = 4096;

/// Bodies longer than this are compressed on a thread of their own, so that other requests need not wait.
const COMPRESSED_ASIDE_FROM: usize = 64 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const CRC32: HeaderName = HeaderName::from_static("x-amz-crc32");

/// What DynamoDB calls itself, which some clients look for.
const SERVER_NAME: HeaderValue = HeaderValue::from_static("Server");

/// What the writing of an answer depends on besides the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) request_id: RequestId,
    /// The client accepts gzip.
    pub(crate) gzip: bool,
    /// The connection ends with this answer.
    pub(crate) close: bool,
}

/// The answer as it is sent. `Content-Length` and `Date` are added by hyper.
pub(crate) async fn write(response: Response, manner: Manner) -> ::http::Response<Full<Bytes>> {
    let Response { status, content_type, headers, mut body } = response;
    let compressed = if manner.gzip && body.len() > COMPRESSED_FROM { compress(&body).await } else { None };
    let is_compressed = compressed.is_some();
    if let Some(compressed) = compressed {
        body = compressed;
    }
    let crc = crc32fast::hash(&body);
    let mut answer = ::http::Response::new(Full::new(body));
    *answer.status_mut() = StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let map = answer.headers_mut();
    map.insert(SERVER, SERVER_NAME);
    map.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(id) = HeaderValue::from_str(manner.request_id.as_str()) {
        map.insert(REQUEST_ID, id);
    }
    map.insert(CRC32, HeaderValue::from(crc));
    if is_compressed {
        map.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        map.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if manner.close {
        map.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    for (name, value) in headers {
        map.append(name, value);
    }
    answer
}

async fn compress(body: &Bytes) -> Option<Bytes> {
    let compressed = if body.len() > COMPRESSED_ASIDE_FROM {
        let body = body.clone();
        tokio::task::spawn_blocking(move || gzip(&body)).await.ok()?
    } else {
        gzip(body)
    };
    compressed.filter(|compressed| compressed.len() < body.len())
}

fn gzip(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// Whether `Accept-Encoding` names gzip without forbidding it.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().any(|value| {
        value.as_bytes().split(|&byte| byte == b',').any(|choice| {
            let mut parts = choice.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(b"gzip"));
            let is_forbidden = parts.any(|parameter| {
                let weight = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="));
                weight.is_some_and(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
            });
            is_gzip && !is_forbidden
        })
    })
}

/// A whole answer as bytes, for a connection on which HTTP itself has failed and which ends with it.
pub(crate) fn last_words(response: &Response, request_id: RequestId) -> Vec<u8> {
    let Response { status, content_type, body, .. } = response;
    let reason = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nserver: Server\r\ncontent-type: {content_type}\r\nx-amzn-requestid: {request_id}\r\n\
         x-amz-crc32: {crc}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n",
        crc = crc32fast::hash(body),
        length = body.len(),
    );
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_accepted_when_named_and_not_forbidden() {
        for (value, expected) in [
            ("gzip", true),
            ("GZIP", true),
            ("deflate, gzip;q=0.5", true),
            ("br;q=1.0, gzip; q=0.8", true),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("", false),
            ("xgzip", false),
        ] {
            let headers = [(ACCEPT_ENCODING, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
