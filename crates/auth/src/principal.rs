//! Who a request comes from, once its signature is verified.

use std::sync::Arc;

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The account it belongs to: twelve digits.
    pub account: Arc<str>,
    /// What it is within the account.
    pub kind: PrincipalKind,
    /// `aws:userid`: the account's number for its root, `AIDA…` for a user, `AROA…:session` for a role's session.
    pub user_id: Arc<str>,
    /// The tags of the user or role, and above them those of the session: `aws:PrincipalTag/…`.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
    /// For temporary credentials, when they were given out, in seconds since the epoch: `aws:TokenIssueTime`.
    pub token_issued: Option<u64>,
    /// Further keys of a role's session: `aws:SourceIdentity`; for web identities the provider's, such as
    /// `accounts.example.com:sub`.
    pub federated: Vec<(Arc<str>, Arc<str>)>,
    /// The keys of those tags of a role's session that pass on to the next role.
    pub transitive: Vec<Arc<str>>,
}

/// What a caller is within its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// The account itself. Policies of identities do not limit it; resource-based denials do.
    Root,
    /// A user.
    User {
        /// Its path, such as `/` or `/players/`.
        path: Arc<str>,
        /// Its name: `aws:username`.
        name: Arc<str>,
    },
    /// A session of a role.
    AssumedRole {
        /// The role's path.
        path: Arc<str>,
        /// The role's name.
        role: Arc<str>,
        /// The session's name.
        session: Arc<str>,
    },
}

impl Principal {
    /// The caller's ARN: `aws:PrincipalArn` for all but sessions of roles, for which that is [`Self::identity_arn`].
    #[must_use]
    pub fn arn(&self) -> String {
        let account = &self.account;
        match &self.kind {
            PrincipalKind::Root => format!("arn:aws:iam::{account}:root"),
            PrincipalKind::User { path, name } => format!("arn:aws:iam::{account}:user{path}{name}"),
            PrincipalKind::AssumedRole { role, session, .. } => {
                format!("arn:aws:sts::{account}:assumed-role/{role}/{session}")
            }
        }
    }

    /// The ARN of the identity behind the caller: the role's for a session of a role, the caller's own otherwise.
    #[must_use]
    pub fn identity_arn(&self) -> String {
        match &self.kind {
            PrincipalKind::AssumedRole { path, role, .. } => {
                format!("arn:aws:iam::{}:role{path}{role}", self.account)
            }
            _ => self.arn(),
        }
    }
}
