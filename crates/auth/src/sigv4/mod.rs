//! AWS Signature Version 4: what a request claims, whether its signature proves it, and signing for our own clients.
//!
//! A request is judged in three steps: `Claim::read` finds what it says of itself and refuses what can not be right,
//! the caller of this module looks up the secret, and `Claim::verify` computes the signature. Pure: the time, the secret
//! and the request are given. Where secrets are kept, and what errors look like on the wire, is `api`'s.
//!
//! Rules: "Create a signed AWS API request" in the IAM User Guide. Order and words of refusals: as published
//! measurements of DynamoDB have them.

mod canonical;
mod claim;
mod error;
mod keys;
mod proof;
mod query;
mod secret;
mod signer;
mod timestamp;

pub use canonical::Message;
pub use claim::{Claim, Payload};
pub use error::SignatureError;
pub use keys::SigningKeys;
pub use proof::Proof;
pub use secret::SecretKey;
pub use signer::{SignError, Signer};

/// The only algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How every credential scope ends.
const TERMINATOR: &str = "aws4_request";
/// What a presigned request may say instead of the hash of its body.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

const X_AMZ_DATE: http::HeaderName = http::HeaderName::from_static("x-amz-date");
const X_AMZ_SECURITY_TOKEN: http::HeaderName = http::HeaderName::from_static("x-amz-security-token");
const X_AMZ_CONTENT_SHA256: http::HeaderName = http::HeaderName::from_static("x-amz-content-sha256");

/// Lower-case hexadecimal digits of a hash.
fn hex(digest: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
    let digits = digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.map(char::from).collect()
}

/// The hash that 64 lower-case hexadecimal digits stand for.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let value = |digit: &u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = value(high)? << 4 | value(low)?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests;
