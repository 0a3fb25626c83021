//! Who a statement of a resource-based or trust policy is about.
//!
//! Source: "AWS JSON policy elements: Principal" and "NotPrincipal" of the IAM User Guide.

use super::keys::{Question, Subject};
use crate::{Principal, PrincipalKind};

/// One principal of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Everyone,
    /// An account: those whom it lets.
    Account(Box<str>),
    /// A user, by path and name.
    User {
        account: Box<str>,
        name: Box<str>,
    },
    /// A role, by path and name.
    Role {
        account: Box<str>,
        name: Box<str>,
    },
    /// One session of a role.
    Session {
        account: Box<str>,
        role: Box<str>,
        session: Box<str>,
    },
    /// The unique id that a user or role has: `AIDA…`, `AROA…`.
    Unique(Box<str>),
    /// An identity provider.
    Federated(Box<str>),
    /// A service or something else that never calls here.
    Other(Box<str>),
}

/// How directly a statement names a caller. What is granted to an account only lets the account's own policies grant it;
/// what is granted to a role is limited by boundary and session policies; what is granted directly is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Naming {
    Account,
    Role,
    Direct,
}

impl Named {
    /// Reads a principal of the type `AWS`; `None` when it names nobody that there could be.
    pub(super) fn aws(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everyone);
        }
        if is_account(text) {
            return Some(Self::Account(text.into()));
        }
        if ["AIDA", "AROA"].iter().any(|kind| text.starts_with(kind))
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Some(Self::Unique(text.into()));
        }
        if text.contains(['*', '?']) {
            return None;
        }
        let mut parts = text.splitn(6, ':');
        let (arn, _partition, service, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (account, resource) = (parts.next()?, parts.next()?);
        if arn != "arn" || !region.is_empty() || !is_account(account) {
            return None;
        }
        let account = account.into();
        let after = |kind: &str| {
            let name = resource.strip_prefix(kind)?;
            (name.starts_with('/') && name.len() > 1 && !name.ends_with('/')).then(|| name.into())
        };
        match service {
            "iam" if resource == "root" => Some(Self::Account(account)),
            "iam" => after("user")
                .map(|name| Self::User { account: account.clone(), name })
                .or_else(|| after("role").map(|name| Self::Role { account, name })),
            "sts" => match resource.strip_prefix("assumed-role/") {
                Some(rest) => {
                    let (role, session) = rest.split_once('/')?;
                    let valid = !role.is_empty() && !session.is_empty() && !session.contains('/');
                    valid.then(|| Self::Session { account, role: role.into(), session: session.into() })
                }
                None => resource.starts_with("federated-user/").then(|| Self::Other(text.into())),
            },
            _ => None,
        }
    }

    /// How it names whoever asks; `None` when it does not.
    pub(super) fn names(&self, question: &Question<'_>) -> Option<Naming> {
        match (self, question.subject) {
            (Self::Everyone, _) => Some(Naming::Direct),
            (Self::Federated(own), Subject::Federated(provider)) => (**own == *provider).then_some(Naming::Direct),
            (_, Subject::Federated(_)) => None,
            (own, Subject::Caller(caller) | Subject::Simulated(caller)) => own.names_caller(caller),
        }
    }

    fn names_caller(&self, caller: &Principal) -> Option<Naming> {
        let own = |account: &str| *caller.account == *account;
        match (self, &caller.kind) {
            (Self::Account(account), PrincipalKind::Root) if own(account) => Some(Naming::Direct),
            (Self::Account(account), _) if own(account) => Some(Naming::Account),
            (Self::User { account, name }, PrincipalKind::User { path, name: of_caller }) if own(account) => {
                (name.strip_prefix(&**path) == Some(of_caller)).then_some(Naming::Direct)
            }
            (Self::Role { account, name }, PrincipalKind::AssumedRole { path, role, .. }) if own(account) => {
                (name.strip_prefix(&**path) == Some(role)).then_some(Naming::Role)
            }
            (Self::Session { account, role, session }, PrincipalKind::AssumedRole { role: r, session: s, .. })
                if own(account) =>
            {
                (**role == **r && **session == **s).then_some(Naming::Direct)
            }
            (Self::Unique(id), PrincipalKind::User { .. }) => (**id == *caller.user_id).then_some(Naming::Direct),
            (Self::Unique(id), PrincipalKind::AssumedRole { .. }) => {
                caller.user_id.split_once(':').is_some_and(|(role, _)| *role == **id).then_some(Naming::Role)
            }
            _ => None,
        }
    }
}

/// Whether `NotPrincipal` leaves the caller out: when all that the caller is stands in it, that is its account, for a
/// session its role too, and itself. A caller with a permissions boundary is never left out.
pub(super) fn is_excepted(named: &[Named], question: &Question<'_>) -> bool {
    if question.bounded {
        return false;
    }
    let has = |naming: Naming| named.iter().any(|own| own.names(question) == Some(naming));
    let everyone = named.contains(&Named::Everyone);
    match question.principal().map(|principal| &principal.kind) {
        None | Some(PrincipalKind::Root) => has(Naming::Direct),
        Some(PrincipalKind::User { .. }) => everyone || (has(Naming::Account) && has(Naming::Direct)),
        Some(PrincipalKind::AssumedRole { .. }) => {
            everyone || (has(Naming::Account) && has(Naming::Role) && has(Naming::Direct))
        }
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
