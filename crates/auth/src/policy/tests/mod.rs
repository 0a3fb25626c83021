//! What policies decide, rule by rule. A table's rows are requests to one world: a caller, its policies, a resource's policy.

mod accounts;
mod documents;
mod fine_grained;
mod properties;
mod simulate;
mod statements;
mod trust;

use std::sync::Arc;

use super::{Access, Attached, Context, Decision, DenialReason, DocumentKind, Policy, PolicyKind, evaluate};
use crate::{Principal, PrincipalKind};

const ACCOUNT: &str = "111122223333";
const OTHER_ACCOUNT: &str = "444455556666";

/// A caller, its policies, and the policy of what it reaches for.
struct World {
    caller: Principal,
    attached: Attached,
    resource: Option<Policy>,
    /// The account of all resources.
    account: &'static str,
}

/// The condition keys of a request.
type Keys<'a> = &'a [(&'a str, &'a [&'a str])];

impl World {
    fn of(caller: Principal) -> Self {
        Self { caller, attached: Attached::default(), resource: None, account: ACCOUNT }
    }

    fn identity(mut self, statements: &str) -> Self {
        self.attached.identity.push(Arc::new(identity(statements)));
        self
    }

    fn boundary(mut self, statements: &str) -> Self {
        self.attached.boundary = Some(Arc::new(identity(statements)));
        self
    }

    fn session(mut self, statements: &str) -> Self {
        self.attached.session.push(Arc::new(identity(statements)));
        self
    }

    fn resource(mut self, statements: &str) -> Self {
        self.resource = Some(parse(statements, DocumentKind::Resource));
        self
    }

    fn decide(&self, action: &str, resource: &str, keys: Keys<'_>) -> &'static str {
        let context = context(keys);
        let access =
            Access { principal: &self.caller, action, resource, resource_account: self.account, context: &context };
        told(evaluate(&access, &self.attached, self.resource.as_ref()))
    }

    /// Asks one question after another: action, table or what comes behind `table/`, keys, what is decided.
    fn table(&self, rule: &str, rows: &[(&str, &str, Keys<'_>, &str)]) {
        for (action, table, keys, expected) in rows {
            let resource = format!("arn:aws:dynamodb:eu-west-1:{}:table/{table}", self.account);
            let decided = self.decide(&format!("dynamodb:{action}"), &resource, keys);
            assert_eq!(decided, *expected, "{rule}: {action} on {table} with {keys:?}");
        }
    }
}

/// What is decided, in short: who denies explicitly, or who would have had to allow.
fn told(decision: Decision) -> &'static str {
    match decision {
        Decision::Allowed => "allowed",
        Decision::Denied(DenialReason::Explicit(kind)) => match kind {
            PolicyKind::Identity => "denied by identity",
            PolicyKind::Boundary => "denied by boundary",
            PolicyKind::Session => "denied by session",
            PolicyKind::Resource => "denied by resource",
            PolicyKind::Trust => "denied by trust",
        },
        Decision::Denied(DenialReason::NotAllowed(kind)) => match kind {
            PolicyKind::Identity => "no identity",
            PolicyKind::Boundary => "no boundary",
            PolicyKind::Session => "no session",
            PolicyKind::Resource => "no resource",
            PolicyKind::Trust => "no trust",
        },
    }
}

fn context(keys: Keys<'_>) -> Context {
    let mut context = Context::default();
    for (key, values) in keys {
        context.set_all(key, values.iter().map(|value| (*value).to_owned()).collect());
    }
    context
}

/// A document of these statements, each written with single quotes.
fn parse(statements: &str, kind: DocumentKind) -> Policy {
    let text = format!("{{'Version':'2012-10-17','Statement':[{statements}]}}").replace('\'', "\"");
    match Policy::parse(&text, kind) {
        Ok(policy) => policy,
        Err(error) => panic!("{error}: {text}"),
    }
}

fn identity(statements: &str) -> Policy {
    parse(statements, DocumentKind::Identity)
}

fn principal(kind: PrincipalKind, user_id: &str) -> Principal {
    Principal {
        account: ACCOUNT.into(),
        kind,
        user_id: user_id.into(),
        tags: Vec::new(),
        token_issued: None,
        federated: Vec::new(),
        transitive: Vec::new(),
    }
}

fn root() -> Principal {
    principal(PrincipalKind::Root, ACCOUNT)
}

fn alice() -> Principal {
    principal(PrincipalKind::User { path: "/".into(), name: "alice".into() }, "AIDAALICE")
}

/// A session of the role `Player` under the path `/game/`.
fn player() -> Principal {
    let kind = PrincipalKind::AssumedRole { path: "/game/".into(), role: "Player".into(), session: "s1".into() };
    Principal { token_issued: Some(1_700_000_000), ..principal(kind, "AROAPLAYER:s1") }
}

fn tagged(principal: Principal, tags: &[(&str, &str)]) -> Principal {
    Principal { tags: tags.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(), ..principal }
}

fn federated(principal: Principal, keys: &[(&str, &str)]) -> Principal {
    Principal { federated: keys.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(), ..principal }
}
