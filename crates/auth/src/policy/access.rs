//! What is asked of policies, and what they answer.

use std::collections::HashMap;
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

/// The condition keys of a request. Names are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    values: HashMap<String, Vec<String>>,
}

impl Context {
    /// Sets a key to one value.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.values.insert(key.to_ascii_lowercase(), vec![value.into()]);
    }

    /// Sets a key to a set of values, which may be empty.
    pub fn set_all(&mut self, key: &str, values: Vec<String>) {
        self.values.insert(key.to_ascii_lowercase(), values);
    }

    /// The values of a key, named in lower case; `None` when the request does not have it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[String]> {
        self.values.get(key).map(Vec::as_slice)
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
}

/// Why an access is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// A policy of this kind denies it.
    Explicit(PolicyKind),
    /// No policy of this kind allows it, and one would have to.
    NotAllowed(PolicyKind),
}

/// What policies answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed.
    Allowed,
    /// Denied.
    Denied(DenialReason),
}
