//! Who owns an access key: its secret, the principal behind it, and the policies that hold for it.

use std::fmt;
use std::sync::Arc;

use partita_auth::policy::Attached;
pub use partita_auth::sigv4::SecretKey;
use partita_auth::{Principal, PrincipalKind};
use partita_db::Database;

use crate::failure::Failure;
use crate::identity::DEFAULT_ACCOUNT;

/// What an access key stands for.
#[derive(Clone)]
pub struct Credential {
    /// What its requests are signed with.
    pub secret: SecretKey,
    /// Who signs with it.
    pub principal: Arc<Principal>,
    /// The policies that hold for its requests.
    pub attached: Arc<Attached>,
    /// Whether it may be used at present.
    pub active: bool,
    /// For temporary credentials, when they end, in seconds since the epoch.
    pub expires: Option<u64>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("principal", &self.principal.arn()).finish_non_exhaustive()
    }
}

/// All access keys that a server knows.
#[derive(Debug, Default)]
pub struct Identities {
    root: Option<(String, Credential)>,
}

impl Identities {
    /// No access keys but those in the store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one access key of the default account's root, which is in no store.
    #[must_use]
    pub fn with_root(mut self, access_key_id: impl Into<String>, secret: SecretKey) -> Self {
        let principal = Arc::new(Principal {
            account: DEFAULT_ACCOUNT.into(),
            kind: PrincipalKind::Root,
            user_id: DEFAULT_ACCOUNT.into(),
            tags: Vec::new(),
            token_issued: None,
            federated: Vec::new(),
        });
        let credential = Credential { secret, principal, attached: Arc::default(), active: true, expires: None };
        self.root = Some((access_key_id.into(), credential));
        self
    }

    /// What an access key stands for; `None` if there is no such key, or it does not go with the session token.
    ///
    /// # Errors
    /// `InternalServerError` if the store can not be read.
    #[expect(clippy::unused_async, reason = "keys in the store are looked up here")]
    pub async fn find(
        &self,
        _database: &Database,
        access_key_id: &str,
        session_token: Option<&str>,
    ) -> Result<Option<Credential>, Failure> {
        let root = self.root.as_ref().filter(|(id, _)| id == access_key_id && session_token.is_none());
        Ok(root.map(|(_, credential)| credential.clone()))
    }

    /// Whether anyone could sign a request at all.
    ///
    /// # Errors
    /// `InternalServerError` if the store can not be read.
    #[expect(clippy::unused_async, reason = "keys in the store are looked up here")]
    pub async fn any(&self, _database: &Database) -> Result<bool, Failure> {
        Ok(self.root.is_some())
    }
}
