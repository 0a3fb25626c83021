//! Whose request it is: the region and account that its credential scope names.
//!
//! Nothing is verified here: signatures are for authentication. Without it, requests without any credentials, or with
//! dummy ones, must work and see the same tables.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::AUTHORIZATION;

use crate::http::Request;

/// The account of every access key that is not an account's number itself.
pub const DEFAULT_ACCOUNT: &str = "000000000000";

/// The longest region name that is taken from a request, in bytes.
const MAX_REGION: usize = 64;

/// The name space that a request works in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The region.
    pub region: Arc<str>,
    /// The account: 12 digits.
    pub account: Arc<str>,
}

impl Identity {
    /// The identity that a request names in its `Authorization` header or its presigned query; `default_region` where
    /// it names none.
    #[must_use]
    pub fn of(request: &Request, default_region: &str) -> Self {
        let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let scope = header
            .and_then(credential_of_header)
            .map(Cow::Borrowed)
            .or_else(|| request.uri.query().and_then(credential_of_query));
        // Bytes, because a split of text at a character takes ten times as long.
        let mut parts = scope.as_deref().unwrap_or_default().as_bytes().rsplit(|&byte| byte == b'/');
        // An access key may contain slashes; the four parts after it may not.
        let (region, key) = match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(_terminator), Some(_service), Some(region), Some(_date), Some(key)) => (Some(region), Some(key)),
            // Signatures for several regions leave the region out.
            (Some(_terminator), Some(_service), Some(_date), Some(key), None) => (None, Some(key)),
            _ => (None, None),
        };
        Self::of_parts(region, key, default_region)
    }

    /// The identity that a client names which does not speak HTTP: a region and an access key.
    pub(crate) fn named(region: Option<&str>, access_key: Option<&str>, default_region: &str) -> Self {
        Self::of_parts(region.map(str::as_bytes), access_key.map(str::as_bytes), default_region)
    }

    fn of_parts(region: Option<&[u8]>, key: Option<&[u8]>, default_region: &str) -> Self {
        let region = region.and_then(region_name).unwrap_or(default_region);
        let account = key.and_then(account_number).unwrap_or(DEFAULT_ACCOUNT);
        Self { region: region.into(), account: account.into() }
    }
}

/// The value of `Credential=` in a header such as `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
fn credential_of_header(header: &str) -> Option<&str> {
    let parameters = header.trim_ascii().strip_prefix("AWS4-")?.split_once(' ')?.1;
    let credential = match parameters.strip_prefix("Credential=") {
        // Nearly always it is the first parameter.
        Some(credential) => credential,
        None => parameters.split([',', ' ']).find_map(|parameter| parameter.strip_prefix("Credential="))?,
    };
    let end = memchr::memchr2(b',', b' ', credential.as_bytes()).unwrap_or(credential.len());
    credential.get(..end)
}

/// The value of `X-Amz-Credential` in a presigned query.
fn credential_of_query(query: &str) -> Option<Cow<'_, str>> {
    let value = query.split('&').find_map(|parameter| parameter.strip_prefix("X-Amz-Credential="))?;
    Some(unescaped(value))
}

/// A query value with its percent escapes undone; escapes that are none stay as they are.
fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('%') {
        return Cow::Borrowed(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match after {
            [high, low, ..] if byte == b'%' => nibble(*high).zip(nibble(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn region_name(region: &[u8]) -> Option<&str> {
    let may_be = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let is_region = (1..=MAX_REGION).contains(&region.len()) && region.iter().all(may_be);
    if is_region { std::str::from_utf8(region).ok() } else { None }
}

fn account_number(key: &[u8]) -> Option<&str> {
    let is_account = key.len() == DEFAULT_ACCOUNT.len() && key.iter().all(u8::is_ascii_digit);
    if is_account { std::str::from_utf8(key).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, authorization: Option<&str>) -> (String, String) {
        let mut request = Request::new(http::Method::POST, path.parse().unwrap());
        if let Some(value) = authorization {
            request.headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        let identity = Identity::of(&request, "us-east-1");
        (identity.region.to_string(), identity.account.to_string())
    }

    #[test]
    fn the_credential_scope_names_region_and_account() {
        let signed = |credential: &str| {
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature=00")
        };
        let cases = [
            (signed("AKIAIOSFODNN7EXAMPLE/20260101/eu-west-2/dynamodb/aws4_request"), "eu-west-2", DEFAULT_ACCOUNT),
            (signed("123456789012/20260101/local/dynamodb/aws4_request"), "local", "123456789012"),
            (signed("12345678901/20260101/us-west-2/dynamodb/aws4_request"), "us-west-2", DEFAULT_ACCOUNT),
            (signed("a/b/20260101/us-west-2/dynamodb/aws4_request"), "us-west-2", DEFAULT_ACCOUNT),
            (signed("123456789012/20260101/dynamodb/aws4_request"), "us-east-1", "123456789012"),
            (signed("123456789012/20260101/NO SUCH/dynamodb/aws4_request"), "us-east-1", DEFAULT_ACCOUNT),
            (signed("nonsense"), "us-east-1", DEFAULT_ACCOUNT),
            ("AWS4-HMAC-SHA256 SignedHeaders=a,Credential=k/1/eu-west-1/s/t".to_owned(), "eu-west-1", DEFAULT_ACCOUNT),
            ("Bearer x".to_owned(), "us-east-1", DEFAULT_ACCOUNT),
            ("AWS4-".to_owned(), "us-east-1", DEFAULT_ACCOUNT),
        ];
        for (header, region, account) in cases {
            assert_eq!(of("/", Some(&header)), (region.to_owned(), account.to_owned()), "{header}");
        }
    }

    #[test]
    fn a_presigned_query_names_them_too() {
        let credential = "123456789012%2F20260101%2Feu-central-1%2Fdynamodb%2Faws4_request";
        let path = format!("/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date=a");
        assert_eq!(of(&path, None), ("eu-central-1".to_owned(), "123456789012".to_owned()));
        assert_eq!(of("/?X-Amz-Credential=%2%zz", None), ("us-east-1".to_owned(), DEFAULT_ACCOUNT.to_owned()));
    }

    #[test]
    fn a_request_without_credentials_is_the_default_account_in_the_default_region() {
        assert_eq!(of("/", None), ("us-east-1".to_owned(), DEFAULT_ACCOUNT.to_owned()));
    }
}
