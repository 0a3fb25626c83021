//! Every policy of the guide is one, and decides what the guide's tables say.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::sync::Arc;

use partita_auth::policy::{Access, Attached, Context, DocumentKind, Policy, evaluate, evaluate_trust};
use partita_auth::{Principal, PrincipalKind};

const GUIDE: &str = include_str!("../../../docs/policies.md");
const ACCOUNT: &str = "111122223333";

/// A policy of the guide and the rows of the table behind it.
struct Recipe {
    title: String,
    policy: String,
    rows: Vec<Vec<String>>,
}

fn recipes() -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = Vec::new();
    let (mut title, mut is_policy) = (String::new(), false);
    for line in GUIDE.lines() {
        match line {
            _ if line.starts_with("### ") => title = line.to_owned(),
            "```json" => {
                is_policy = true;
                recipes.push(Recipe { title: title.clone(), policy: String::new(), rows: Vec::new() });
            }
            "```" => is_policy = false,
            _ if is_policy => recipes.last_mut().unwrap().policy.push_str(line),
            _ if line.starts_with("| `") => {
                let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
                recipes.last_mut().unwrap().rows.push(cells.collect());
            }
            _ => {}
        }
    }
    recipes
}

/// The texts between back-ticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn keys(cell: &str) -> Context {
    let mut context = Context::default();
    for pair in cell.split(';').filter(|pair| pair.contains('`')) {
        let (key, values) = pair.split_once('=').unwrap();
        context.set_all(quoted(key)[0], quoted(values).into_iter().map(str::to_owned).collect());
    }
    context
}

fn is_allowed(policy: Policy, kind: DocumentKind, access: &Access<'_>) -> bool {
    let nothing = Attached::default();
    let decision = match kind {
        DocumentKind::Trust => evaluate_trust(access, &nothing, &policy),
        DocumentKind::Resource => evaluate(access, &nothing, Some(&policy)),
        DocumentKind::Identity | DocumentKind::Managed => {
            evaluate(access, &Attached { identity: vec![Arc::new(policy)], ..nothing }, None)
        }
    };
    decision.is_allowed()
}

#[test]
fn the_guides_policies_decide_what_it_says() {
    let recipes = recipes();
    assert_eq!(recipes.len(), 9, "policies of the guide");
    let alice = Principal {
        account: ACCOUNT.into(),
        kind: PrincipalKind::User { path: "/".into(), name: "alice".into() },
        user_id: "AIDAALICE".into(),
        tags: vec![("Team".into(), "red".into())],
        token_issued: None,
        federated: Vec::new(),
        transitive: Vec::new(),
    };
    for recipe in recipes {
        let kind = match (recipe.policy.contains("\"Principal\""), recipe.policy.contains("sts:")) {
            (true, true) => DocumentKind::Trust,
            (true, false) => DocumentKind::Resource,
            (false, _) => DocumentKind::Managed,
        };
        let policy = Policy::parse(&recipe.policy, kind).unwrap_or_else(|error| panic!("{}: {error}", recipe.title));
        assert!(recipe.rows.len() >= 3, "{} has a table", recipe.title);
        for row in recipe.rows {
            let [action, resource, with, outcome] = row.try_into().unwrap();
            let service = if kind == DocumentKind::Trust { "iam:" } else { "dynamodb:eu-west-1" };
            let resource = format!("arn:aws:{service}:{ACCOUNT}:{}", quoted(&resource)[0]);
            let context = keys(&with);
            let access = Access {
                principal: &alice,
                action: quoted(&action)[0],
                resource: &resource,
                resource_account: ACCOUNT,
                context: &context,
            };
            let expected = match outcome.as_str() {
                "allowed" => true,
                "denied" => false,
                other => panic!("{}: {other} is no outcome", recipe.title),
            };
            assert_eq!(is_allowed(policy.clone(), kind, &access), expected, "{}: {action} {with}", recipe.title);
        }
    }
}
