//! Whether policies allow what is asked: AWS's evaluation logic, within one account and across accounts.
//!
//! Sources, of the IAM User Guide: "How AWS enforcement code logic evaluates requests to allow or deny access", "Policy
//! evaluation for requests within a single account", "Cross-account policy evaluation logic", "Permissions boundaries for
//! IAM entities".

use std::sync::Arc;

use super::document::Verdict;
use super::keys::{Question, Subject};
use super::named::Naming;
use super::{Access, Attached, Context, Decision, DenialReason, Policy, PolicyKind};
use crate::PrincipalKind;

/// Whether the caller may do this, given its own policies and the policy of the resource.
///
/// - A denial in any of them decides.
/// - An account's root needs no policy of its own within its account and no permissions boundary limits it.
/// - Within one account, the caller's policies or the resource's must allow it. A permissions boundary and session policies
///   must allow it too, except where the resource's policy names the user, the session or everyone. Where it names the
///   account, it leaves the decision to the caller's policies.
/// - Across accounts, both sides must allow it, and boundary and session policies as well.
#[must_use]
pub fn evaluate(access: &Access<'_>, attached: &Attached, resource: Option<&Policy>) -> Decision {
    let question = Question { bounded: attached.boundary.is_some(), ..Question::of(access) };
    decide(&question, access, attached, resource, Asked::Resource)
}

/// Whether the caller may assume a role: `access.resource` is the role's ARN, `access.action` `sts:AssumeRole`.
///
/// As [`evaluate`], except that within one account, too, the trust policy must allow it. When it names the caller, or the
/// caller's role, that is enough there; when it names the account, the caller's policies must allow it as well.
///
/// That an account's root can not assume roles is the caller's to say.
#[must_use]
pub fn evaluate_trust(access: &Access<'_>, attached: &Attached, trust: &Policy) -> Decision {
    let question = Question { bounded: attached.boundary.is_some(), ..Question::of(access) };
    decide(&question, access, attached, Some(trust), Asked::Trust)
}

/// Whether somebody whom only an identity provider knows may assume a role. `provider` is what the trust policy has to name
/// under `Federated`: the ARN of the provider, or its name. `action` is `sts:AssumeRoleWithWebIdentity`; the context has the
/// keys of the token, such as `accounts.example.com:sub`.
#[must_use]
pub fn evaluate_federated_trust(provider: &str, action: &str, context: &Context, trust: &Policy) -> Decision {
    let question = Question { subject: Subject::Federated(provider), action, resource: "", context, bounded: false };
    let verdict = trust.judge(&question);
    if verdict.denied {
        return Decision::Denied(DenialReason::Explicit(PolicyKind::Trust));
    }
    match verdict.allowed {
        Some(_) => Decision::Allowed,
        None => Decision::Denied(DenialReason::NotAllowed(PolicyKind::Trust)),
    }
}

/// What the policy beside the caller's own belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Resource,
    Trust,
}

impl Asked {
    fn kind(self) -> PolicyKind {
        match self {
            Self::Resource => PolicyKind::Resource,
            Self::Trust => PolicyKind::Trust,
        }
    }
}

pub(super) fn decide(
    question: &Question<'_>,
    access: &Access<'_>,
    attached: &Attached,
    other: Option<&Policy>,
    asked: Asked,
) -> Decision {
    let is_root = access.principal.kind == PrincipalKind::Root;
    let identity = judge_all(&attached.identity, question);
    let boundary = attached.boundary.as_ref().filter(|_| !is_root).map(|policy| policy.judge(question));
    let session = (!attached.session.is_empty()).then(|| judge_all(&attached.session, question));
    let resource = other.map(|policy| policy.judge(question)).unwrap_or_default();

    let denials = [
        (PolicyKind::Identity, !is_root && identity.denied),
        (PolicyKind::Boundary, boundary.is_some_and(|verdict| verdict.denied)),
        (PolicyKind::Session, session.is_some_and(|verdict| verdict.denied)),
        (asked.kind(), resource.denied),
    ];
    if let Some((kind, _)) = denials.into_iter().find(|(_, denied)| *denied) {
        return Decision::Denied(DenialReason::Explicit(kind));
    }

    let is_within_account = *access.principal.account == *access.resource_account;
    let by_identity = is_root || identity.allowed.is_some();
    if is_within_account {
        if asked == Asked::Trust && resource.allowed.is_none() {
            return Decision::Denied(DenialReason::NotAllowed(PolicyKind::Trust));
        }
        match resource.allowed {
            Some(Naming::Direct) => return Decision::Allowed,
            Some(Naming::Role) => {}
            Some(Naming::Account) | None if by_identity => {}
            Some(Naming::Account) | None => {
                return Decision::Denied(DenialReason::NotAllowed(PolicyKind::Identity));
            }
        }
    } else if !by_identity {
        return Decision::Denied(DenialReason::NotAllowed(PolicyKind::Identity));
    }
    let limits = |verdict: Option<Verdict>| verdict.is_some_and(|verdict| verdict.allowed.is_none());
    if limits(boundary) {
        return Decision::Denied(DenialReason::NotAllowed(PolicyKind::Boundary));
    }
    if limits(session) {
        return Decision::Denied(DenialReason::NotAllowed(PolicyKind::Session));
    }
    if !is_within_account && resource.allowed.is_none() {
        return Decision::Denied(DenialReason::NotAllowed(asked.kind()));
    }
    Decision::Allowed
}

fn judge_all(policies: &[Arc<Policy>], question: &Question<'_>) -> Verdict {
    policies.iter().fold(Verdict::default(), |verdict, policy| verdict.and(policy.judge(question)))
}
