//! The one form of a request that is signed, so that what proxies and libraries may change does not matter.
//!
//! Rules: "Create a canonical request" in "Create a signed AWS API request", IAM User Guide.

use http::HeaderMap;
use ring::digest::{SHA256, digest};

use super::{ALGORITHM, hex, query};

/// The parts of a request that signatures look at, besides the body.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path, as sent.
    pub path: &'a str,
    /// The query without its question mark, as sent; empty if there is none.
    pub query: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
}

impl<'a> Message<'a> {
    /// The message of an HTTP request's head.
    #[must_use]
    pub fn new(method: &'a http::Method, uri: &'a http::Uri, headers: &'a HeaderMap) -> Self {
        Self { method: method.as_str(), path: uri.path(), query: uri.query().unwrap_or_default(), headers }
    }
}

/// What is put in canonical form.
pub(super) struct Canonical<'a> {
    pub message: Message<'a>,
    /// A query parameter that is left out: a presigned request's signature.
    pub without: Option<&'static [u8]>,
    /// Names of the signed headers, in lower case, sorted, separated by semicolons.
    pub signed_headers: &'a str,
    /// The body's hash in hexadecimal, or `UNSIGNED-PAYLOAD`.
    pub payload: &'a str,
    /// Whether the path stands as it was sent, as S3 has it, whose keys may have empty segments.
    pub path_as_sent: bool,
}

impl Canonical<'_> {
    /// The canonical request.
    pub fn request(&self) -> Vec<u8> {
        let Message { method, path, query, headers } = self.message;
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(method.as_bytes());
        out.push(b'\n');
        if self.path_as_sent {
            out.extend_from_slice(path.as_bytes());
        } else {
            canonical_path(path, &mut out);
        }
        out.push(b'\n');
        query::canonical(query, self.without, &mut out);
        out.push(b'\n');
        for name in self.signed_headers.split(';') {
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            for (index, value) in headers.get_all(name).iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                canonical_value(value.as_bytes(), &mut out);
            }
            out.push(b'\n');
        }
        out.push(b'\n');
        out.extend_from_slice(self.signed_headers.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(self.payload.as_bytes());
        out
    }

    /// The string to sign for a request of this time in this scope, `20150830/us-east-1/dynamodb/aws4_request`.
    pub fn string_to_sign(&self, time: &str, scope: &str) -> String {
        let hash = hex(digest(&SHA256, &self.request()).as_ref());
        [ALGORITHM, "\n", time, "\n", scope, "\n", &hash].concat()
    }
}

/// Appends a path without `.`, `..` and empty segments, each segment percent-encoded once more than it was sent.
fn canonical_path(path: &str, out: &mut Vec<u8>) {
    if path == "/" || path.is_empty() {
        out.push(b'/');
        return;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    for segment in &segments {
        out.push(b'/');
        query::escape(segment.as_bytes(), out);
    }
    if segments.is_empty() || path.ends_with('/') {
        out.push(b'/');
    }
}

/// Appends a header's value without spaces around it, and with one space for several.
fn canonical_value(value: &[u8], out: &mut Vec<u8>) {
    let value = value.trim_ascii();
    if !value.windows(2).any(|pair| pair == b"  ") {
        out.extend_from_slice(value);
        return;
    }
    let mut after_space = false;
    for &byte in value {
        if !(after_space && byte == b' ') {
            out.push(byte);
        }
        after_space = byte == b' ';
    }
}
