//! Who keeps the root keys: the seam between the database, which knows data keys, and what wraps them (a keyring file, a
//! key management service).

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use super::value::DataKey;
use crate::scope::Scope;

/// What is authenticated with a wrapped key, by name: a key wrapped for one table is of no use for another.
pub type KeyContext = BTreeMap<String, String>;

/// What a key service did, or why not.
pub type KeyResult<T> = Result<T, KeyError>;

/// The answer of a key service.
pub type KeyAnswer<'a, T> = Pin<Box<dyn Future<Output = KeyResult<T>> + Send + 'a>>;

/// Why a key service did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key can not be used: disabled, deleted, unknown, denied. Its code and message are those of AWS KMS.
    #[error("{code}: {message}")]
    Refused {
        /// `NotFoundException`, `DisabledException`, `KMSInvalidStateException`, `AccessDeniedException`,
        /// `InvalidCiphertextException` and the like.
        code: String,
        /// What the service says. It names keys, never their material.
        message: String,
    },
    /// The service can not be reached or fails: trying again may help.
    #[error("the key service can not be reached: {0}")]
    Unreachable(String),
    /// The service is not set up: for the operator.
    #[error("{0}")]
    Setup(String),
}

impl KeyError {
    /// A refusal.
    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Refused { code: code.into(), message: message.into() }
    }
}

/// A data key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The root key it is wrapped under, as the service names it.
    pub root: String,
    /// The wrapped key.
    pub bytes: Vec<u8>,
}

/// Keeps root keys, which never leave it, and wraps data keys under them.
pub trait KeyService: Send + Sync + 'static {
    /// What kind of service this is; data wrapped by one kind is not given to another.
    fn kind(&self) -> &'static str;

    /// Makes the service ready. `new`: nothing was ever wrapped for this data, so root keys may be made; otherwise they
    /// must be there.
    fn prepare(&self, new: bool) -> KeyAnswer<'_, ()>;

    /// Whether there are root keys already, as far as that can be told without asking: then data that is neither new nor
    /// encrypted is a surprise.
    fn has_keys(&self) -> bool {
        true
    }

    /// The root key that a table's `KMSMasterKeyId` names, as [`WrappedKey::root`] and requests name it from then on.
    fn resolve<'a>(&'a self, key_id: &'a str) -> KeyAnswer<'a, String>;

    /// The ARN that tables of a scope show for a root key; `None` for the service's own.
    fn arn(&self, root: Option<&str>, scope: &Scope) -> String;

    /// A new data key, wrapped under a root key; `None` for the service's own.
    fn generate<'a>(&'a self, root: Option<&'a str>, context: &'a KeyContext) -> KeyAnswer<'a, (DataKey, WrappedKey)>;

    /// A data key from its wrapped form.
    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a KeyContext) -> KeyAnswer<'a, DataKey>;

    /// The same data key under a root key, in that key's newest version.
    fn rewrap<'a>(
        &'a self,
        wrapped: &'a WrappedKey,
        root: Option<&'a str>,
        context: &'a KeyContext,
    ) -> KeyAnswer<'a, WrappedKey>;

    /// Whether a data key is wrapped under a root key in its newest version.
    fn is_newest(&self, wrapped: &WrappedKey, root: Option<&str>) -> bool;

    /// Looks whether the service's keys have changed since the last look, so that data keys should be checked at once.
    fn has_changed(&self) -> bool;
}
