//! What holds for all documents and requests.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Attached, Context, alice, context, told};
use crate::policy::{Access, DocumentKind, Policy, evaluate};

const KINDS: [DocumentKind; 4] =
    [DocumentKind::Identity, DocumentKind::Managed, DocumentKind::Resource, DocumentKind::Trust];

/// JSON that looks like policies now and then.
fn json() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("Version"),
        Just("Statement"),
        Just("Effect"),
        Just("Action"),
        Just("NotAction"),
        Just("Resource"),
        Just("NotResource"),
        Just("Principal"),
        Just("NotPrincipal"),
        Just("Condition"),
        Just("Sid"),
        Just("Id"),
        Just("AWS"),
        Just("StringEquals"),
        Just("ForAllValues:StringLike"),
        Just("Null"),
        Just("DateLessThan"),
        Just("IpAddress"),
        Just("Allow"),
        Just("Deny"),
        Just("2012-10-17"),
        Just("*"),
        Just("dynamodb:GetItem"),
        Just("${aws:username}"),
        Just("arn:aws:dynamodb:*:*:table/${"),
        Just("::::::::"),
        Just("arn:aws:iam::111122223333:user/"),
        Just("ä😀"),
        Just(""),
        Just("${a,'"),
        Just("10.0.0.0/8"),
        Just("sts:AssumeRole"),
        Just("111122223333"),
    ];
    let leaf = prop_oneof![
        word.clone().prop_map(|word| format!("\"{word}\"")),
        Just("true".to_owned()),
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("1e9".to_owned()),
    ];
    leaf.prop_recursive(6, 64, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|members| {
                let members: Vec<String> =
                    members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// A statement that parses, with this effect.
fn statement(effect: &'static str) -> impl Strategy<Value = String> {
    let action = prop_oneof![
        Just("'Action':'*'"),
        Just("'Action':'dynamodb:Get*'"),
        Just("'NotAction':'dynamodb:Put*'"),
        Just("'Action':['dynamodb:PutItem','dynamodb:Scan']"),
    ];
    let resource = prop_oneof![
        Just("'Resource':'*'"),
        Just("'Resource':'arn:aws:dynamodb:*:*:table/a*'"),
        Just("'NotResource':'arn:aws:dynamodb:*:*:table/ab'"),
        Just("'Resource':'arn:aws:dynamodb:*:*:table/${aws:username}'"),
        Just("'NotResource':'arn:aws:dynamodb:*:*:table/${x:y}'"),
    ];
    let condition = prop_oneof![
        3 => Just(""),
        1 => Just(",'Condition':{'StringEquals':{'k':'v'}}"),
        1 => Just(",'Condition':{'ForAllValues:StringEquals':{'k':['v','w']}}"),
        1 => Just(",'Condition':{'StringNotLike':{'k':'v*'},'Bool':{'aws:SecureTransport':'true'}}"),
    ];
    (action, resource, condition).prop_map(move |(action, resource, condition)| {
        format!("{{'Effect':'{effect}',{action},{resource}{condition}}}")
    })
}

fn statements() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop_oneof![3 => statement("Allow"), 1 => statement("Deny")], 1..6)
}

fn request() -> impl Strategy<Value = (String, String, Context)> {
    let action = prop_oneof![Just("dynamodb:GetItem"), Just("dynamodb:PutItem"), Just("dynamodb:Scan")];
    let table = prop_oneof![Just("a"), Just("ab"), Just("alice"), Just("b")];
    let values = prop::collection::vec(prop_oneof![Just("v"), Just("w"), Just("x")], 0..3);
    (action, table, values, any::<Option<bool>>()).prop_map(|(action, table, values, secure)| {
        let mut keys = context(&[("k", &values)]);
        if let Some(secure) = secure {
            keys.set("aws:SecureTransport", secure.to_string());
        }
        (action.to_owned(), format!("arn:aws:dynamodb:eu-west-1:111122223333:table/{table}"), keys)
    })
}

fn decide(attached: &Attached, (action, resource, context): &(String, String, Context)) -> &'static str {
    let principal = alice();
    let access = Access { principal: &principal, action, resource, resource_account: "111122223333", context };
    told(evaluate(&access, attached, None))
}

fn attached(statements: &[String]) -> Attached {
    Attached { identity: vec![Arc::new(super::identity(&statements.join(",")))], ..Attached::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn no_text_makes_parsing_or_evaluation_panic(text in "\\PC{0,200}", json in json(), request in request()) {
        for kind in KINDS {
            let _refused = Policy::parse(&text, kind);
            if let Ok(policy) = Policy::parse(&json, kind) {
                decide(&Attached { identity: vec![Arc::new(policy)], ..Attached::default() }, &request);
            }
        }
    }

    #[test]
    fn no_condition_makes_evaluation_panic(operator in "(ForAllValues:|ForAnyValue:)?(String(Not)?(Equals|Like)|Arn(Not)?Like|Null|Bool|NumericLessThan|DateEquals|IpAddress)(IfExists)?", pattern in "[a${}*?:',@ä/.0-9-]{0,24}", value in "[a${}*?:',@ä/.0-9-]{0,24}") {
        let pattern = serde_json::Value::from(pattern);
        let text = format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{"{operator}":{{"k":{pattern}}}}}}}}}"#);
        if let Ok(policy) = Policy::parse(&text, DocumentKind::Identity) {
            let request = ("dynamodb:GetItem".to_owned(), "*".to_owned(), context(&[("k", &[&value])]));
            decide(&Attached { identity: vec![Arc::new(policy)], ..Attached::default() }, &request);
        }
    }

    #[test]
    fn a_denial_always_wins(statements in statements(), deny in statement("Deny"), request in request()) {
        let alone = decide(&attached(std::slice::from_ref(&deny)), &request);
        let mut all = statements;
        all.push(deny);
        if alone == "denied by identity" {
            prop_assert_eq!(decide(&attached(&all), &request), "denied by identity");
        }
    }

    #[test]
    fn another_allowance_takes_nothing_away(statements in statements(), allow in statement("Allow"), request in request()) {
        let before = decide(&attached(&statements), &request);
        let mut all = statements;
        all.insert(0, allow);
        let after = decide(&attached(&all), &request);
        if before == "allowed" {
            prop_assert_eq!(after, "allowed");
        }
        prop_assert_eq!(before == "denied by identity", after == "denied by identity");
    }

    #[test]
    fn statements_in_any_order_and_in_any_number_of_policies_decide_alike(statements in statements(), request in request()) {
        let together = decide(&attached(&statements), &request);
        let mut turned = statements.clone();
        turned.reverse();
        prop_assert_eq!(decide(&attached(&turned), &request), together);
        let apart = Attached { identity: statements.iter().map(|own| Arc::new(super::identity(own))).collect(), ..Attached::default() };
        prop_assert_eq!(decide(&apart, &request), together);
    }

    #[test]
    fn a_boundary_or_session_policy_only_takes_away(statements in statements(), limit in statements(), request in request()) {
        let free = decide(&attached(&statements), &request);
        let limit = Arc::new(super::identity(&limit.join(",")));
        let bounded = Attached { boundary: Some(Arc::clone(&limit)), ..attached(&statements) };
        let limited = Attached { session: vec![limit], ..attached(&statements) };
        for attached in [bounded, limited] {
            if decide(&attached, &request) == "allowed" {
                prop_assert_eq!(free, "allowed");
            }
        }
    }
}
