//! How long policies take to decide: `cargo run --release -p partita-auth --example policy_speed`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use partita_auth::policy::{Access, Attached, Context, DocumentKind, Policy, PolicyError, evaluate};
use partita_auth::{Principal, PrincipalKind};

const ROUNDS: u32 = 2_000_000;

/// Three statements, as an application has them.
const TYPICAL: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Sid":"Read","Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:BatchGetItem","dynamodb:Query"],
     "Resource":["arn:aws:dynamodb:eu-west-1:111122223333:table/Music","arn:aws:dynamodb:eu-west-1:111122223333:table/Music/index/*"]},
    {"Sid":"Write","Effect":"Allow","Action":["dynamodb:PutItem","dynamodb:UpdateItem","dynamodb:DeleteItem"],
     "Resource":"arn:aws:dynamodb:*:*:table/Music*"},
    {"Sid":"Keep","Effect":"Deny","Action":"dynamodb:DeleteTable","Resource":"*"}]}"#;

/// One's own items only.
const OWN_ITEMS: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:Query"],"Resource":"arn:aws:dynamodb:*:*:table/Music",
     "Condition":{"ForAllValues:StringEquals":{"dynamodb:LeadingKeys":["${aws:username}"]}}},
    {"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}},
    {"Effect":"Deny","Action":"dynamodb:DeleteTable","Resource":"*"}]}"#;

fn main() -> Result<(), PolicyError> {
    let principal = Principal {
        account: "111122223333".into(),
        kind: PrincipalKind::User { path: "/".into(), name: "alice".into() },
        user_id: "AIDAALICE".into(),
        tags: Vec::new(),
        token_issued: None,
        federated: Vec::new(),
        transitive: Vec::new(),
    };
    let mut context = Context::default();
    context.set("aws:SecureTransport", "true");
    context.set("aws:SourceIp", "10.1.2.3");
    context.set("dynamodb:LeadingKeys", "alice");
    for (name, text) in [("three statements", TYPICAL), ("three statements, one's own items", OWN_ITEMS)] {
        let begun = Instant::now();
        for _ in 0..1_000 {
            black_box(Policy::parse(black_box(text), DocumentKind::Identity)?);
        }
        let parsing = begun.elapsed() / 1_000;
        let policy = Arc::new(Policy::parse(text, DocumentKind::Identity)?);
        let attached = Attached { identity: vec![policy], ..Attached::default() };
        let access = Access {
            principal: &principal,
            action: "dynamodb:GetItem",
            resource: "arn:aws:dynamodb:eu-west-1:111122223333:table/Music",
            resource_account: "111122223333",
            context: &context,
        };
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            black_box(evaluate(black_box(&access), &attached, None));
        }
        let decision = evaluate(&access, &attached, None);
        println!("{name}: {decision:?} in {:?}, parsed in {parsing:?}", begun.elapsed() / ROUNDS);
    }
    Ok(())
}
