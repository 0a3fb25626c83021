//! Signing keys: derived from a secret for a day, region and service, and kept for the requests that follow.

use std::fmt;
use std::sync::Arc;

use quick_cache::sync::Cache;
use ring::hmac::{self, HMAC_SHA256, Key};

use super::{SecretKey, TERMINATOR};

/// How many signing keys are kept, at about 400 bytes each. A key serves one access key in one region for a day.
const KEPT: usize = 4_096;

/// A signing key and the secret that it came from.
struct Derived {
    secret: SecretKey,
    key: Key,
}

/// Signing keys of requests that were verified, by their credential.
///
/// Only a request whose signature was right puts a key in, so strangers can not crowd others out. A key is used only
/// together with the very secret it was derived from, so it ends when the secret does.
pub struct SigningKeys(Cache<Box<str>, Arc<Derived>>);

/// A signing key to verify with, and whether it is kept already.
pub(super) struct SigningKey {
    derived: Arc<Derived>,
    kept: bool,
}

impl SigningKey {
    /// Whether this is the signature of `text`. Takes the same time wherever they differ.
    pub fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        hmac::verify(&self.derived.key, text.as_bytes(), signature).is_ok()
    }
}

impl Default for SigningKeys {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl SigningKeys {
    /// The signing key for a credential such as `AKIAIOSFODNN7EXAMPLE/20150830/us-east-1/dynamodb/aws4_request`.
    pub(super) fn key(&self, credential: &str, scope: &Scope<'_>, secret: &SecretKey) -> SigningKey {
        match self.0.get(credential) {
            Some(derived) if derived.secret == *secret => SigningKey { derived, kept: true },
            _ => {
                let derived = Derived { secret: secret.clone(), key: derive(secret, scope) };
                SigningKey { derived: Arc::new(derived), kept: false }
            }
        }
    }

    /// Keeps a key that has verified a request.
    pub(super) fn keep(&self, credential: &str, key: SigningKey) {
        if !key.kept {
            self.0.insert(credential.into(), key.derived);
        }
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} signing keys", self.0.len())
    }
}

/// What a signing key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    pub date: &'a str,
    pub region: &'a str,
    pub service: &'a str,
}

/// Derives a signing key.
pub(super) fn derive(secret: &SecretKey, scope: &Scope<'_>) -> Key {
    let first = zeroize::Zeroizing::new([b"AWS4", secret.expose()].concat());
    let mut key = Key::new(HMAC_SHA256, &first);
    for part in [scope.date, scope.region, scope.service, TERMINATOR] {
        key = Key::new(HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    key
}
