//! Condition keys and their values: those that the caller itself answers, and all others, which the request's context has.
//!
//! Source: "AWS global condition context keys" and "Information available for policy variables" of the IAM User Guide.

use std::borrow::Cow;

use super::{Access, Context};
use crate::{Principal, PrincipalKind};

/// A condition key, named in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    PrincipalArn,
    PrincipalAccount,
    PrincipalType,
    /// A tag, whose key is compared without regard to case, too.
    PrincipalTag(Box<str>),
    UserId,
    UserName,
    TokenIssueTime,
    /// A key of the request, in lower case.
    Request(Box<str>),
}

impl Key {
    pub(super) fn parse(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "aws:principalarn" => Self::PrincipalArn,
            "aws:principalaccount" => Self::PrincipalAccount,
            "aws:principaltype" => Self::PrincipalType,
            "aws:userid" => Self::UserId,
            "aws:username" => Self::UserName,
            "aws:tokenissuetime" => Self::TokenIssueTime,
            _ => match name.strip_prefix("aws:principaltag/") {
                Some(tag) => Self::PrincipalTag(tag.into()),
                None => Self::Request(name.into_boxed_str()),
            },
        }
    }

    /// Its name in lower case, when the request's context has to answer it.
    pub(super) fn of_request(&self) -> Option<&str> {
        match self {
            Self::Request(name) => Some(name),
            _ => None,
        }
    }
}

/// What is asked of a policy, with all that its statements look at.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) subject: Subject<'a>,
    pub(super) action: &'a str,
    pub(super) resource: &'a str,
    pub(super) context: &'a Context,
    /// Whether the caller has a permissions boundary.
    pub(super) bounded: bool,
}

/// Who asks.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    Caller(&'a Principal),
    /// Somebody known to an identity provider only, by its ARN or its name.
    Federated(&'a str),
    /// A simulated caller, whose own keys the context may have.
    Simulated(&'a Principal),
}

impl<'a> Question<'a> {
    pub(super) fn of(access: &Access<'a>) -> Self {
        Self {
            subject: Subject::Caller(access.principal),
            action: access.action,
            resource: access.resource,
            context: access.context,
            bounded: false,
        }
    }

    #[cfg(test)]
    pub(super) fn of_context(context: &'a Context) -> Self {
        Self { subject: Subject::Federated("test"), action: "", resource: "", context, bounded: false }
    }

    pub(super) fn principal(&self) -> Option<&'a Principal> {
        match self.subject {
            Subject::Caller(principal) | Subject::Simulated(principal) => Some(principal),
            Subject::Federated(_) => None,
        }
    }

    /// The values of a key.
    pub(super) fn values<'q>(&'q self, key: &'q Key) -> Values<'q> {
        if let Subject::Simulated(_) = self.subject
            && let Some(values) = self.simulated(key)
        {
            return Values::Many(values);
        }
        match (key, self.principal()) {
            (Key::Request(name), principal) => self.of_request(name, principal),
            (_, None) => Values::Missing,
            (key, Some(principal)) => of_principal(key, principal).map_or(Values::Missing, Values::One),
        }
    }

    /// The value of a key that has exactly one; variables need that.
    pub(super) fn single<'q>(&'q self, key: &'q Key) -> Option<Cow<'q, str>> {
        match self.values(key) {
            Values::One(value) => Some(value),
            Values::Many([value]) => Some(Cow::Borrowed(value)),
            Values::Missing | Values::Many(_) | Values::Listed(_) => None,
        }
    }

    fn of_request<'q>(&'q self, name: &'q str, principal: Option<&'q Principal>) -> Values<'q> {
        if let Some(values) = self.context.get(name) {
            return Values::Many(values);
        }
        let Some(principal) = principal else { return Values::Missing };
        // Callers are never services of AWS, nor do services call on their behalf.
        if matches!(name, "aws:principalisawsservice" | "aws:viaawsservice") {
            return Values::One(Cow::Borrowed("false"));
        }
        let mut own = principal.federated.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        match (own.next(), own.next()) {
            (None, _) => Values::Missing,
            (Some((_, value)), None) => Values::One(Cow::Borrowed(value)),
            (Some((_, first)), Some((_, second))) => {
                let rest = own.map(|(_, value)| &**value);
                Values::Listed([&**first, &**second].into_iter().chain(rest).collect())
            }
        }
    }

    /// What a simulation's context says of a key of the caller.
    fn simulated(&self, key: &Key) -> Option<&'a [String]> {
        match key {
            Key::PrincipalArn => self.context.get("aws:principalarn"),
            Key::PrincipalAccount => self.context.get("aws:principalaccount"),
            Key::PrincipalType => self.context.get("aws:principaltype"),
            Key::UserId => self.context.get("aws:userid"),
            Key::UserName => self.context.get("aws:username"),
            Key::TokenIssueTime => self.context.get("aws:tokenissuetime"),
            Key::PrincipalTag(tag) => self.context.get(&format!("aws:principaltag/{tag}")),
            Key::Request(_) => None,
        }
    }
}

fn of_principal<'a>(key: &Key, principal: &'a Principal) -> Option<Cow<'a, str>> {
    match key {
        Key::PrincipalArn => Some(Cow::Owned(principal.identity_arn())),
        Key::PrincipalAccount => Some(Cow::Borrowed(&principal.account)),
        Key::PrincipalType => Some(Cow::Borrowed(match principal.kind {
            PrincipalKind::Root => "Account",
            PrincipalKind::User { .. } => "User",
            PrincipalKind::AssumedRole { .. } => "AssumedRole",
        })),
        Key::PrincipalTag(tag) => {
            let found = principal.tags.iter().find(|(own, _)| own.eq_ignore_ascii_case(tag));
            found.map(|(_, value)| Cow::Borrowed(&**value))
        }
        Key::UserId => Some(Cow::Borrowed(&principal.user_id)),
        Key::UserName => match &principal.kind {
            PrincipalKind::User { name, .. } => Some(Cow::Borrowed(name)),
            PrincipalKind::Root | PrincipalKind::AssumedRole { .. } => None,
        },
        Key::TokenIssueTime => principal.token_issued.map(|seconds| Cow::Owned(super::instant::iso(seconds))),
        Key::Request(_) => None,
    }
}

/// The values of a key. A key with an empty set of values is missing to all operators.
pub(super) enum Values<'a> {
    Missing,
    One(Cow<'a, str>),
    Many(&'a [String]),
    Listed(Vec<&'a str>),
}

impl Values<'_> {
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Missing => 0,
            Self::One(_) => 1,
            Self::Many(values) => values.len(),
            Self::Listed(values) => values.len(),
        }
    }

    pub(super) fn any(&self, mut test: impl FnMut(&str) -> bool) -> bool {
        match self {
            Self::Missing => false,
            Self::One(value) => test(value),
            Self::Many(values) => values.iter().any(|value| test(value)),
            Self::Listed(values) => values.iter().any(|value| test(value)),
        }
    }

    pub(super) fn all(&self, mut test: impl FnMut(&str) -> bool) -> bool {
        !self.any(|value| !test(value))
    }
}
