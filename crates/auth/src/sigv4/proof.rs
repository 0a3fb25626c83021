//! Signatures of connections: clients of DAX sign once for a connection that carries many requests, and send the text that
//! they signed with it.
//!
//! The text is that of a request without a body to an address that is always the same. So everything in it is known but
//! its time and region, and what else a client may have signed proves nothing here.

use ring::digest::{SHA256, digest};

use super::keys::Scope;
use super::timestamp::Timestamp;
use super::{ALGORITHM, SecretKey, SignatureError, SigningKeys, TERMINATOR, hex, unhex};

/// The service that connections are signed for.
const SERVICE: &str = "dax";
/// The host that they are signed for, whatever the server's name is.
const HOST: &str = "dax.amazonaws.com";
/// How far the time of a signature may be from now, in seconds.
const TOLERANCE: u64 = 15 * 60;
/// The longest text that is looked at, in bytes.
const MAX_TEXT: usize = 1_024;

/// What a client signed for a connection.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    text: &'a str,
    /// `YYYYMMDD/region/dax/aws4_request`.
    credential_scope: &'a str,
    date: &'a str,
    region: &'a str,
}

impl<'a> Proof<'a> {
    /// Reads the text that was signed, at `now` in seconds since the epoch. `session_token` is that of temporary
    /// credentials, which may be among what was signed.
    ///
    /// # Errors
    /// `IncompleteSignatureException` when it is no such text; `InvalidSignatureException` for another time, service or
    /// request.
    pub fn read(text: &'a [u8], session_token: Option<&str>, now: u64) -> Result<Self, SignatureError> {
        let malformed = || SignatureError::incomplete("The text that was signed is not that of a connection.");
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= MAX_TEXT).ok_or_else(malformed)?;
        let mut lines = text.split('\n');
        let (algorithm, time, credential_scope, hash) = (lines.next(), lines.next(), lines.next(), lines.next());
        let (Some(ALGORITHM), Some(time), Some(credential_scope), Some(hash), None) =
            (algorithm, time, credential_scope, hash, lines.next())
        else {
            return Err(malformed());
        };
        let signed_at = Timestamp::basic(time).ok_or_else(malformed)?;
        let now = Timestamp::new(now);
        if signed_at < now.earlier(TOLERANCE) || signed_at > now.later(TOLERANCE) {
            let word = if signed_at > now { "not yet current" } else { "expired" };
            return Err(SignatureError::invalid(format!("Signature {word}: {time} is too far from {now}")));
        }
        let mut parts = credential_scope.split('/');
        let (date, region, service) = (parts.next(), parts.next(), parts.next());
        let (Some(date), Some(region), Some(service), Some(TERMINATOR), None) =
            (date, region, service, parts.next(), parts.next())
        else {
            return Err(malformed());
        };
        if service != SERVICE || time.get(..8) != Some(date) || region.is_empty() {
            return Err(SignatureError::invalid(
                "Credential should be scoped to the service 'dax' and the signature's day.",
            ));
        }
        let is_known = [None, session_token].iter().any(|token| hash == request_hash(time, *token));
        if !is_known {
            return Err(SignatureError::invalid("The text that was signed is not that of a connection."));
        }
        Ok(Self { text, credential_scope, date, region })
    }

    /// The region that a text names, whether or not it proves anything.
    #[must_use]
    pub fn named_region(text: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(text).ok()?.split('\n').nth(2)?.split('/').nth(1)
    }

    /// The region that it is signed for.
    #[must_use]
    pub const fn region(&self) -> &'a str {
        self.region
    }

    /// Proves that it was signed with `secret`, which is that of `access_key`. The signature is in hexadecimal.
    ///
    /// # Errors
    /// `InvalidSignatureException`.
    pub fn verify(
        &self,
        access_key: &str,
        signature: &str,
        secret: &SecretKey,
        keys: &SigningKeys,
    ) -> Result<(), SignatureError> {
        let scope = Scope { date: self.date, region: self.region, service: SERVICE };
        let credential = format!("{access_key}/{}", self.credential_scope);
        let key = keys.key(&credential, &scope, secret);
        let signature = unhex(signature).ok_or_else(SignatureError::mismatch)?;
        if !key.verifies(self.text, &signature) {
            return Err(SignatureError::mismatch());
        }
        keys.keep(&credential, key);
        Ok(())
    }
}

/// The hash of the request that a connection stands for.
fn request_hash(time: &str, session_token: Option<&str>) -> String {
    let (header, name) = match session_token {
        Some(token) => (format!("x-amz-security-token:{token}\n"), ";x-amz-security-token"),
        None => (String::new(), ""),
    };
    let body = hex(digest(&SHA256, b"").as_ref());
    let request = format!("POST\n/\n\nhost:{HOST}\nx-amz-date:{time}\n{header}\nhost;x-amz-date{name}\n{body}");
    hex(digest(&SHA256, request.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::super::keys::derive;
    use super::*;

    const TIME: &str = "20261122T120000Z";
    const NOW: u64 = 1_795_348_800;

    fn text(time: &str, service: &str, token: Option<&str>) -> String {
        format!("{ALGORITHM}\n{time}\n20261122/eu-west-1/{service}/aws4_request\n{}", request_hash(time, token))
    }

    fn sign(text: &str, secret: &SecretKey) -> String {
        let key = derive(secret, &Scope { date: "20261122", region: "eu-west-1", service: SERVICE });
        hex(ring::hmac::sign(&key, text.as_bytes()).as_ref())
    }

    #[test]
    fn a_connection_is_proved_by_the_secret_alone() {
        let (secret, keys) = (SecretKey::new("secret"), SigningKeys::default());
        for token in [None, Some("token")] {
            let text = text(TIME, "dax", token);
            let proof = Proof::read(text.as_bytes(), Some("token"), NOW).unwrap();
            assert_eq!(proof.region(), "eu-west-1");
            assert_eq!(proof.verify("AKIA", &sign(&text, &secret), &secret, &keys), Ok(()));
            assert_eq!(proof.verify("AKIA", &sign(&text, &secret), &secret, &keys), Ok(()));
            let other = SecretKey::new("Secret");
            assert!(proof.verify("AKIA", &sign(&text, &secret), &other, &keys).is_err());
            assert!(proof.verify("AKIA", "no signature", &secret, &keys).is_err());
        }
    }

    #[test]
    fn what_was_signed_for_anything_else_proves_nothing() {
        let good = text(TIME, "dax", None);
        assert!(Proof::read(good.as_bytes(), None, NOW + TOLERANCE).is_ok());
        assert!(Proof::read(good.as_bytes(), None, NOW + TOLERANCE + 1).is_err());
        assert!(Proof::read(good.as_bytes(), None, NOW - TOLERANCE - 1).is_err());
        let another_request = format!("{}{}", &good[..good.len() - 64], hex(digest(&SHA256, b"another").as_ref()));
        for wrong in [
            text(TIME, "dynamodb", None),
            text(TIME, "dax", Some("token")),
            text("20261123T000000Z", "dax", None),
            another_request,
            good.replace("aws4_request", "aws5_request"),
            format!("{good}\n"),
            String::new(),
            "\n".repeat(3),
            "x".repeat(5_000),
        ] {
            assert!(Proof::read(wrong.as_bytes(), None, NOW).is_err(), "{wrong}");
        }
        assert!(Proof::read(&[0xFF, 0xFE], None, NOW).is_err());
    }
}
