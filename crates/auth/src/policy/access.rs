//! What is asked of policies, and what they answer.

use std::sync::Arc;

use super::Policy;
use crate::Principal;

/// One question to the policies: may this principal do this to that?
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The action, such as `dynamodb:GetItem`.
    pub action: &'a str,
    /// The ARN of what it is done to.
    pub resource: &'a str,
    /// The account that the resource belongs to: twelve digits.
    pub resource_account: &'a str,
    /// The condition keys that the request has.
    pub context: &'a Context,
}

/// The condition keys of a request. Names are compared without regard to case. The keys that come from the caller
/// (`aws:PrincipalArn`, `aws:PrincipalTag/…`, `aws:username` …) are answered from [`Access::principal`], whatever is set here.
///
/// [`Policy::keys`] tells which keys a decision can depend on, so that others need not be found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// A request has few keys: looking through them is faster than hashing.
    values: Vec<(Box<str>, Vec<String>)>,
}

impl Context {
    /// Sets a key to one value.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.set_all(key, vec![value.into()]);
    }

    /// Sets a key to a set of values. An empty set is as good as none: a request that names no attribute has no
    /// `dynamodb:Attributes`.
    pub fn set_all(&mut self, key: &str, values: Vec<String>) {
        match self.values.iter_mut().find(|(own, _)| own.eq_ignore_ascii_case(key)) {
            Some((_, own)) => *own = values,
            None => self.values.push((key.to_ascii_lowercase().into_boxed_str(), values)),
        }
    }

    /// The values of a key, named in lower case; `None` when the request does not have it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[String]> {
        self.values.iter().find(|(own, _)| **own == *key).map(|(_, values)| values.as_slice())
    }
}

/// The policies that hold for a caller, wherever the resource is.
#[derive(Clone, Debug, Default)]
pub struct Attached {
    /// Inline and attached policies of the user and its groups, or of the role.
    pub identity: Vec<Arc<Policy>>,
    /// The permissions boundary.
    pub boundary: Option<Arc<Policy>>,
    /// Policies given when the session was made. All that there are limit the session together as one set.
    pub session: Vec<Arc<Policy>>,
}

/// Which policy denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Identity-based.
    Identity,
    /// The permissions boundary.
    Boundary,
    /// A session policy.
    Session,
    /// Resource-based.
    Resource,
    /// A role's trust policy.
    Trust,
}

/// Why an access is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// A policy of this kind denies it.
    Explicit(PolicyKind),
    /// No policy of this kind allows it, and one would have to.
    NotAllowed(PolicyKind),
}

impl DenialReason {
    /// The words of `AccessDeniedException`, of `AccessDenied` in IAM's and STS's answers. `caller` is the caller's ARN.
    ///
    /// Source: "Troubleshoot access denied error messages" of the IAM User Guide.
    #[must_use]
    pub fn message(self, caller: &str, action: &str, resource: &str) -> String {
        let why = match self {
            Self::Explicit(kind) => match kind {
                PolicyKind::Identity => "with an explicit deny in an identity-based policy".to_owned(),
                PolicyKind::Boundary => "with an explicit deny in a permissions boundary".to_owned(),
                PolicyKind::Session => "with an explicit deny in a session policy".to_owned(),
                PolicyKind::Resource => "with an explicit deny in a resource-based policy".to_owned(),
                PolicyKind::Trust => "with an explicit deny in the role trust policy".to_owned(),
            },
            Self::NotAllowed(kind) => {
                let kind = match kind {
                    PolicyKind::Identity => "identity-based policy",
                    PolicyKind::Boundary => "permissions boundary",
                    PolicyKind::Session => "session policy",
                    PolicyKind::Resource => "resource-based policy",
                    PolicyKind::Trust => "role trust policy",
                };
                format!("because no {kind} allows the {action} action")
            }
        };
        match self {
            Self::Explicit(PolicyKind::Trust) | Self::NotAllowed(PolicyKind::Trust) => {
                format!("User: {caller} is not authorized to perform: {action} {why}")
            }
            _ => format!("User: {caller} is not authorized to perform: {action} on resource: {resource} {why}"),
        }
    }
}

/// What policies answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed.
    Allowed,
    /// Denied.
    Denied(DenialReason),
}

impl Decision {
    /// Whether it is [`Self::Allowed`].
    #[must_use]
    pub fn is_allowed(self) -> bool {
        self == Self::Allowed
    }
}
