//! Who may assume a role, and how refusals are worded.

use std::sync::Arc;

use super::{ACCOUNT, Attached, OTHER_ACCOUNT, alice, context, identity, parse, player, told};
use crate::Principal;
use crate::policy::{
    Access, Context, DenialReason, DocumentKind, Policy, PolicyKind, evaluate_federated_trust, evaluate_trust,
};

fn trust(principal: &str, rest: &str) -> Policy {
    parse(&format!("{{'Effect':'Allow','Principal':{principal},'Action':'sts:AssumeRole'{rest}}}"), DocumentKind::Trust)
}

fn assume(caller: &Principal, own: Option<&str>, account: &str, trust: &Policy, context: &Context) -> &'static str {
    let attached = Attached { identity: own.map(identity).map(Arc::new).into_iter().collect(), ..Attached::default() };
    let role = format!("arn:aws:iam::{account}:role/Admin");
    let access =
        Access { principal: caller, action: "sts:AssumeRole", resource: &role, resource_account: account, context };
    told(evaluate_trust(&access, &attached, trust))
}

const MAY: &str = "{'Effect':'Allow','Action':'sts:AssumeRole','Resource':'arn:aws:iam::*:role/Admin'}";
const MAY_ANOTHER: &str = "{'Effect':'Allow','Action':'sts:AssumeRole','Resource':'arn:aws:iam::*:role/Other'}";

#[test]
fn the_trust_policy_must_allow_and_across_accounts_the_callers_too() {
    let user = "{'AWS':'arn:aws:iam::111122223333:user/alice'}";
    let role = "{'AWS':'arn:aws:iam::111122223333:role/game/Player'}";
    let account = "{'AWS':'111122223333'}";
    let everyone = "{'AWS':'*'}";
    for (rule, caller, principal, own, of_role, expected) in [
        ("user named", alice(), user, None, ACCOUNT, "allowed"),
        ("user named, and allowed", alice(), user, Some(MAY), ACCOUNT, "allowed"),
        ("user named, across accounts", alice(), user, None, OTHER_ACCOUNT, "no identity"),
        ("user named and allowed, across accounts", alice(), user, Some(MAY), OTHER_ACCOUNT, "allowed"),
        ("user named, another role allowed", alice(), user, Some(MAY_ANOTHER), OTHER_ACCOUNT, "no identity"),
        ("account named", alice(), account, None, ACCOUNT, "no identity"),
        ("account named, and allowed", alice(), account, Some(MAY), ACCOUNT, "allowed"),
        ("account named and allowed, across accounts", alice(), account, Some(MAY), OTHER_ACCOUNT, "allowed"),
        ("role named", player(), role, None, ACCOUNT, "allowed"),
        ("role named, a user asks", alice(), role, Some(MAY), ACCOUNT, "no trust"),
        ("allowed only by its own policy", alice(), "{'AWS':'444455556666'}", Some(MAY), ACCOUNT, "no trust"),
        (
            "allowed only by its own policy, across accounts",
            alice(),
            "{'AWS':'444455556666'}",
            Some(MAY),
            OTHER_ACCOUNT,
            "no trust",
        ),
        ("everyone", alice(), everyone, None, ACCOUNT, "allowed"),
        ("everyone, across accounts", alice(), everyone, None, OTHER_ACCOUNT, "no identity"),
        (
            "denied by its own policy",
            alice(),
            user,
            Some("{'Effect':'Deny','Action':'sts:*','Resource':'*'}"),
            ACCOUNT,
            "denied by identity",
        ),
        ("a service", alice(), "{'Service':'ec2.amazonaws.com'}", Some(MAY), ACCOUNT, "no trust"),
    ] {
        let decided = assume(&caller, own, of_role, &trust(principal, ""), &Context::default());
        assert_eq!(decided, expected, "{rule}");
    }
}

#[test]
fn conditions_of_trust_policies() {
    let external = ",'Condition':{'StringEquals':{'sts:ExternalId':'12345'}}";
    let policy = trust("{'AWS':'111122223333'}", external);
    for (keys, expected) in [
        (&[("sts:ExternalId", &["12345"] as &[&str])] as super::Keys<'_>, "allowed"),
        (&[("sts:ExternalId", &["12346"])], "no trust"),
        (&[], "no trust"),
    ] {
        assert_eq!(assume(&alice(), Some(MAY), OTHER_ACCOUNT, &policy, &context(keys)), expected, "{keys:?}");
    }
    let named =
        trust("{'AWS':'111122223333'}", ",'Condition':{'StringLike':{'sts:RoleSessionName':'${aws:username}'}}");
    assert_eq!(
        assume(&alice(), Some(MAY), ACCOUNT, &named, &context(&[("sts:RoleSessionName", &["alice"])])),
        "allowed"
    );
    assert_eq!(
        assume(&alice(), Some(MAY), ACCOUNT, &named, &context(&[("sts:RoleSessionName", &["bob"])])),
        "no trust"
    );
    let denied = parse(
        "{'Effect':'Allow','Principal':{'AWS':'*'},'Action':'sts:AssumeRole'},{'Effect':'Deny','Principal':{'AWS':'*'},'Action':'sts:AssumeRole',\
         'Condition':{'Bool':{'aws:SecureTransport':'false'}}}",
        DocumentKind::Trust,
    );
    let plain = context(&[("aws:SecureTransport", &["false"])]);
    assert_eq!(assume(&alice(), Some(MAY), ACCOUNT, &denied, &plain), "denied by trust");
    assert_eq!(
        assume(&alice(), Some(MAY), ACCOUNT, &denied, &context(&[("aws:SecureTransport", &["true"])])),
        "allowed"
    );
}

#[test]
fn identity_providers_are_trusted_by_name_and_by_the_keys_of_their_tokens() {
    let provider = "arn:aws:iam::111122223333:oidc-provider/accounts.example.com";
    let action = "sts:AssumeRoleWithWebIdentity";
    let policy = parse(
        &format!(
            "{{'Effect':'Allow','Principal':{{'Federated':'{provider}'}},'Action':'{action}','Condition':{{'StringEquals':{{'accounts.example.com:aud':'app','accounts.example.com:sub':['u1','u2']}}}}}}"
        ),
        DocumentKind::Trust,
    );
    let token = |sub: &str| context(&[("accounts.example.com:aud", &["app"]), ("accounts.example.com:sub", &[sub])]);
    for (rule, provider, action, context, expected) in [
        ("a user that is named", provider, action, token("u1"), "allowed"),
        ("another", provider, action, token("u3"), "no trust"),
        (
            "another provider",
            "arn:aws:iam::111122223333:oidc-provider/evil.example.com",
            action,
            token("u1"),
            "no trust",
        ),
        ("another action", provider, "sts:AssumeRole", token("u1"), "no trust"),
        ("no keys", provider, action, Context::default(), "no trust"),
    ] {
        assert_eq!(told(evaluate_federated_trust(provider, action, &context, &policy)), expected, "{rule}");
    }
    let everyone = parse("{'Effect':'Allow','Principal':{'AWS':'111122223333'},'Action':'sts:*'}", DocumentKind::Trust);
    assert_eq!(told(evaluate_federated_trust(provider, action, &token("u1"), &everyone)), "no trust");
    let denied = parse(
        &format!(
            "{{'Effect':'Allow','Principal':{{'Federated':'{provider}'}},'Action':'{action}'}},{{'Effect':'Deny','Principal':{{'Federated':'{provider}'}},'Action':'{action}','Condition':{{'StringNotEquals':{{'accounts.example.com:aud':'app'}}}}}}"
        ),
        DocumentKind::Trust,
    );
    assert_eq!(told(evaluate_federated_trust(provider, action, &token("u9"), &denied)), "allowed");
    assert_eq!(told(evaluate_federated_trust(provider, action, &Context::default(), &denied)), "denied by trust");
}

#[test]
fn refusals_in_the_services_words() {
    let (caller, action) = ("arn:aws:iam::111122223333:user/alice", "dynamodb:GetItem");
    let resource = "arn:aws:dynamodb:eu-west-1:111122223333:table/Music";
    let told = |reason: DenialReason| reason.message(caller, action, resource);
    let begin = format!("User: {caller} is not authorized to perform: {action} on resource: {resource}");
    for (reason, end) in [
        (
            DenialReason::NotAllowed(PolicyKind::Identity),
            "because no identity-based policy allows the dynamodb:GetItem action",
        ),
        (
            DenialReason::NotAllowed(PolicyKind::Boundary),
            "because no permissions boundary allows the dynamodb:GetItem action",
        ),
        (DenialReason::NotAllowed(PolicyKind::Session), "because no session policy allows the dynamodb:GetItem action"),
        (
            DenialReason::NotAllowed(PolicyKind::Resource),
            "because no resource-based policy allows the dynamodb:GetItem action",
        ),
        (DenialReason::Explicit(PolicyKind::Identity), "with an explicit deny in an identity-based policy"),
        (DenialReason::Explicit(PolicyKind::Boundary), "with an explicit deny in a permissions boundary"),
        (DenialReason::Explicit(PolicyKind::Session), "with an explicit deny in a session policy"),
        (DenialReason::Explicit(PolicyKind::Resource), "with an explicit deny in a resource-based policy"),
    ] {
        assert_eq!(told(reason), format!("{begin} {end}"));
    }
    let role = "arn:aws:iam::111122223333:role/Admin";
    assert_eq!(
        DenialReason::NotAllowed(PolicyKind::Trust).message(caller, "sts:AssumeRole", role),
        format!(
            "User: {caller} is not authorized to perform: sts:AssumeRole because no role trust policy allows the sts:AssumeRole action"
        )
    );
    assert_eq!(
        DenialReason::Explicit(PolicyKind::Trust).message(caller, "sts:AssumeRole", role),
        format!(
            "User: {caller} is not authorized to perform: sts:AssumeRole with an explicit deny in the role trust policy"
        )
    );
}
