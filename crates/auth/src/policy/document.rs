//! Policy documents, parsed once, and what one of them says to a question.

use super::condition::Condition;
use super::keys::Question;
use super::named::{Named, Naming, is_excepted};
use super::pattern::Pattern;

/// Bytes of a document that are read at all. Source: the IAM API's `policyDocumentType`.
pub const MAX_DOCUMENT: usize = 131_072;
/// Bytes of a resource-based policy as it is sent, white space included. Source: "Resource-based policy considerations" of the DynamoDB
/// developer guide.
pub const MAX_RESOURCE: usize = 20_480;

/// What a document is for, which decides what may and must stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// An inline policy of a user, group or role, or a session policy: without principals.
    Identity,
    /// A managed policy, also as permissions boundary: as [`Self::Identity`], but of version 2012-10-17 only.
    Managed,
    /// A policy of a table or stream: with principals and resources.
    Resource,
    /// Who may assume a role: with principals, without resources.
    Trust,
}

/// Why a document is no policy: the text that IAM gives with `MalformedPolicyDocument`, and DynamoDB, for resource-based
/// policies, with `ValidationException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(pub String);

/// A parsed policy document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(super) statements: Box<[Statement]>,
    /// The keys of requests that conditions and variables look at: in lower case, sorted.
    pub(super) keys: Box<[Box<str>]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) sid: Option<Box<str>>,
    pub(super) effect: Effect,
    /// `None` in policies of identities, which are about whom they are attached to.
    pub(super) principals: Option<Principals>,
    pub(super) actions: Selection,
    /// `None` in trust policies, which are about their role.
    pub(super) resources: Option<Selection>,
    pub(super) conditions: Box<[Condition]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Principals {
    Only(Box<[Named]>),
    AllBut(Box<[Named]>),
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    Only(Box<[Pattern]>),
    AllBut(Box<[Pattern]>),
}

/// What a document, or several, say to a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) denied: bool,
    /// How directly the caller is named by a statement that allows, at best.
    pub(super) allowed: Option<Naming>,
}

impl Verdict {
    pub(super) fn and(self, other: Self) -> Self {
        Self { denied: self.denied || other.denied, allowed: self.allowed.max(other.allowed) }
    }
}

impl Policy {
    /// What it says to a question. Statements that deny end the search.
    pub(super) fn judge(&self, question: &Question<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for statement in &self.statements {
            let settled = statement.effect == Effect::Allow && verdict.allowed == Some(Naming::Direct);
            if settled {
                continue;
            }
            let Some(naming) = statement.applies(question) else { continue };
            match statement.effect {
                Effect::Deny => return Verdict { denied: true, allowed: None },
                Effect::Allow => verdict.allowed = verdict.allowed.max(Some(naming)),
            }
        }
        verdict
    }

    /// The keys of the request that its conditions and variables look at, in lower case. Keys that the caller answers
    /// itself, such as `aws:PrincipalArn`, are not among them.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(AsRef::as_ref)
    }

    /// The actions that it names without wildcards, other than in `NotAction`, and that are none of `known`.
    pub fn actions_outside(&self, known: &[&str]) -> Vec<&str> {
        let context = super::Context::default();
        let nobody = Question {
            subject: super::keys::Subject::Federated(""),
            action: "",
            resource: "",
            context: &context,
            bounded: false,
        };
        let mut outside = Vec::new();
        for statement in &self.statements {
            if let Selection::Only(patterns) = &statement.actions {
                let unknown =
                    patterns.iter().filter(|pattern| !known.iter().any(|action| pattern.matches(action, &nobody)));
                outside.extend(unknown.filter_map(Pattern::literal));
            }
        }
        outside
    }
}

impl Statement {
    /// How it names the caller, when it is about the question; statements without principals name it directly.
    pub(super) fn applies(&self, question: &Question<'_>) -> Option<Naming> {
        if !self.actions.selects(question.action, question) {
            return None;
        }
        if let Some(resources) = &self.resources {
            if !resources.selects(question.resource, question) {
                return None;
            }
            if self.effect == Effect::Allow && !resources.is_certain(question) {
                return None;
            }
        }
        let naming = match &self.principals {
            None => Naming::Direct,
            Some(Principals::Only(named)) => named.iter().filter_map(|named| named.names(question)).max()?,
            Some(Principals::AllBut(named)) => {
                if is_excepted(named, question) {
                    return None;
                }
                Naming::Direct
            }
        };
        self.conditions.iter().all(|condition| condition.holds(question)).then_some(naming)
    }
}

impl Selection {
    fn selects(&self, text: &str, question: &Question<'_>) -> bool {
        match self {
            Self::Only(patterns) => patterns.iter().any(|pattern| pattern.matches(text, question)),
            Self::AllBut(patterns) => !patterns.iter().any(|pattern| pattern.matches(text, question)),
        }
    }

    /// Whether it is known what is left out: nothing is allowed with `NotResource` whose variables have no values.
    fn is_certain(&self, question: &Question<'_>) -> bool {
        match self {
            Self::Only(_) => true,
            Self::AllBut(patterns) => patterns.iter().all(|pattern| pattern.resolves(question)),
        }
    }

    pub(super) fn patterns(&self) -> &[Pattern] {
        match self {
            Self::Only(patterns) | Self::AllBut(patterns) => patterns,
        }
    }
}
