//! What policies would decide, and by which statements: for IAM's `SimulatePrincipalPolicy` and `SimulateCustomPolicy`.

use super::document::Effect;
use super::evaluate::{Asked, decide};
use super::keys::{Question, Subject};
use super::{Access, Attached, Decision, Policy, PolicyKind};

/// The outcome of one action on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// `allowed`; or `explicitDeny` or `implicitDeny`, as the reason tells.
    pub decision: Decision,
    /// The statements that decided: those that deny when any does, those that allow otherwise.
    pub matched: Vec<MatchedStatement>,
    /// Condition keys that the policies read and the context does not have, in lower case and in order.
    pub missing: Vec<String>,
    /// Whether the permissions boundary allows it, when there is one.
    pub allowed_by_boundary: Option<bool>,
}

/// A statement that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchedStatement {
    /// What its policy is.
    pub kind: PolicyKind,
    /// Which of [`Attached::identity`] or [`Attached::session`] it stands in, from zero.
    pub policy: usize,
    /// Which statement of the document it is, from zero.
    pub statement: usize,
}

/// Decides as [`super::evaluate`] does, except that keys of the caller, such as `aws:username`, are taken from the context
/// when it has them.
#[must_use]
pub fn simulate(access: &Access<'_>, attached: &Attached, resource: Option<&Policy>) -> Simulation {
    let subject = Subject::Simulated(access.principal);
    let question = Question { subject, bounded: attached.boundary.is_some(), ..Question::of(access) };
    let decision = decide(&question, access, attached, resource, Asked::Resource);

    let identity = attached.identity.iter().enumerate().map(|(at, policy)| (PolicyKind::Identity, at, &**policy));
    let boundary = attached.boundary.iter().map(|policy| (PolicyKind::Boundary, 0, &**policy));
    let session = attached.session.iter().enumerate().map(|(at, policy)| (PolicyKind::Session, at, &**policy));
    let resource = resource.iter().map(|policy| (PolicyKind::Resource, 0, *policy));
    let policies: Vec<(PolicyKind, usize, &Policy)> = identity.chain(boundary).chain(session).chain(resource).collect();

    let applying = |effect: Effect| {
        let mut matched = Vec::new();
        for (kind, at, policy) in &policies {
            for (statement, own) in policy.statements.iter().enumerate() {
                if own.effect == effect && own.applies(&question).is_some() {
                    matched.push(MatchedStatement { kind: *kind, policy: *at, statement });
                }
            }
        }
        matched
    };
    let denying = applying(Effect::Deny);
    let matched = if denying.is_empty() { applying(Effect::Allow) } else { denying };

    let mut missing: Vec<String> = policies
        .iter()
        .flat_map(|(_, _, policy)| policy.keys())
        .filter(|key| access.context.get(key).is_none())
        .map(str::to_owned)
        .collect();
    missing.sort_unstable();
    missing.dedup();
    let allowed_by_boundary = attached.boundary.as_ref().map(|policy| {
        let verdict = policy.judge(&question);
        !verdict.denied && verdict.allowed.is_some()
    });
    Simulation { decision, matched, missing, allowed_by_boundary }
}
