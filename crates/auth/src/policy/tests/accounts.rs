//! Whose policies have to allow what: identities, resources, boundaries and sessions, within one account and across.

use super::{ACCOUNT, OTHER_ACCOUNT, World, alice, identity, player, root};

const ALL: &str = "{'Effect':'Allow','Action':'*','Resource':'*'}";
const READ: &str = "{'Effect':'Allow','Action':['dynamodb:GetItem','dynamodb:Query'],'Resource':'*'}";
const NOTHING: &str = "{'Effect':'Allow','Action':'s3:*','Resource':'*'}";

/// A resource's policy that lets somebody get items.
fn lets(principal: &str) -> String {
    format!("{{'Effect':'Allow','Principal':{principal},'Action':'dynamodb:GetItem','Resource':'*'}}")
}

fn denies(element: &str) -> String {
    format!("{{'Effect':'Deny',{element},'Action':'dynamodb:GetItem','Resource':'*'}}")
}

const ALICE: &str = "{'AWS':'arn:aws:iam::111122223333:user/alice'}";
const ROLE: &str = "{'AWS':'arn:aws:iam::111122223333:role/game/Player'}";
const SESSION: &str = "{'AWS':'arn:aws:sts::111122223333:assumed-role/Player/s1'}";

/// Decides a GetItem, which is what all of these are about.
fn decides(rule: &str, world: &World, expected: &str) {
    world.table(rule, &[("GetItem", "Music", &[], expected)]);
}

#[test]
fn within_an_account_either_side_may_allow() {
    for (rule, world, expected) in [
        ("identity only", World::of(alice()).identity(READ), "allowed"),
        ("user named only", World::of(alice()).resource(&lets(ALICE)), "allowed"),
        ("both", World::of(alice()).identity(READ).resource(&lets(ALICE)), "allowed"),
        (
            "identity, another user named",
            World::of(alice()).identity(READ).resource(&lets("{'AWS':'arn:aws:iam::111122223333:user/bob'}")),
            "allowed",
        ),
        (
            "another user named",
            World::of(alice()).resource(&lets("{'AWS':'arn:aws:iam::111122223333:user/bob'}")),
            "no identity",
        ),
        (
            "path differs",
            World::of(alice()).resource(&lets("{'AWS':'arn:aws:iam::111122223333:user/x/alice'}")),
            "no identity",
        ),
        (
            "account differs",
            World::of(alice()).resource(&lets("{'AWS':'arn:aws:iam::444455556666:user/alice'}")),
            "no identity",
        ),
        ("unique id", World::of(alice()).resource(&lets("{'AWS':'AIDAALICE'}")), "allowed"),
        ("foreign unique id", World::of(alice()).resource(&lets("{'AWS':'AIDABOB'}")), "no identity"),
        ("role named, a user asks", World::of(alice()).resource(&lets(ROLE)), "no identity"),
        ("role named", World::of(player()).resource(&lets(ROLE)), "allowed"),
        (
            "role's path differs",
            World::of(player()).resource(&lets("{'AWS':'arn:aws:iam::111122223333:role/Player'}")),
            "no identity",
        ),
        ("role's unique id", World::of(player()).resource(&lets("{'AWS':'AROAPLAYER'}")), "allowed"),
        ("session named", World::of(player()).resource(&lets(SESSION)), "allowed"),
        (
            "another session named",
            World::of(player()).resource(&lets("{'AWS':'arn:aws:sts::111122223333:assumed-role/Player/s2'}")),
            "no identity",
        ),
        ("a service named", World::of(alice()).resource(&lets("{'Service':'lambda.amazonaws.com'}")), "no identity"),
        ("a canonical user named", World::of(alice()).resource(&lets("{'CanonicalUser':'79a5'}")), "no identity"),
        ("a provider named", World::of(player()).resource(&lets("{'Federated':'accounts.google.com'}")), "no identity"),
        (
            "one of several",
            World::of(alice()).resource(&lets(
                "{'AWS':['arn:aws:iam::111122223333:user/bob','arn:aws:iam::111122223333:user/alice']}",
            )),
            "allowed",
        ),
    ] {
        decides(rule, &world, expected);
    }
}

#[test]
fn an_account_that_is_named_leaves_the_decision_to_its_policies() {
    for account in ["{'AWS':'111122223333'}", "{'AWS':'arn:aws:iam::111122223333:root'}"] {
        decides("no policy", &World::of(alice()).resource(&lets(account)), "no identity");
        decides("own policy", &World::of(alice()).identity(READ).resource(&lets(account)), "allowed");
        decides("session", &World::of(player()).resource(&lets(account)), "no identity");
        decides("root", &World::of(root()).resource(&lets(account)), "allowed");
        let both = format!("{},{}", lets(account), lets(ALICE));
        decides("account and user", &World::of(alice()).resource(&both), "allowed");
    }
}

#[test]
fn everyone_with_a_fixed_condition() {
    let everyone = "{'Effect':'Allow','Principal':'*','Action':'dynamodb:GetItem','Resource':'*','Condition':{'ArnEquals':\
                    {'aws:PrincipalArn':'arn:aws:iam::111122223333:role/game/Player'}}}";
    decides("role by condition", &World::of(player()).resource(everyone), "allowed");
    decides("not limited by a boundary", &World::of(player()).boundary(NOTHING).resource(everyone), "allowed");
    decides("nor by a session policy", &World::of(player()).session(NOTHING).resource(everyone), "allowed");
    decides("others", &World::of(alice()).resource(everyone), "no identity");
    let account = "{'Effect':'Allow','Principal':{'AWS':'*'},'Action':'dynamodb:GetItem','Resource':'*','Condition':{'StringEquals':\
                   {'aws:PrincipalAccount':'111122223333'}}}";
    decides("account by condition", &World::of(alice()).resource(account), "allowed");
}

#[test]
fn a_boundary_limits_what_identities_and_roles_are_allowed() {
    for (rule, world, expected) in [
        ("both allow", World::of(alice()).identity(READ).boundary(ALL), "allowed"),
        ("boundary alone", World::of(alice()).boundary(ALL), "no identity"),
        ("boundary does not", World::of(alice()).identity(READ).boundary(NOTHING), "no boundary"),
        ("neither", World::of(alice()).boundary(NOTHING), "no identity"),
        (
            "boundary denies",
            World::of(alice())
                .identity(READ)
                .boundary(&format!("{ALL},{{'Effect':'Deny','Action':'dynamodb:Get*','Resource':'*'}}")),
            "denied by boundary",
        ),
        ("user named", World::of(alice()).boundary(NOTHING).resource(&lets(ALICE)), "allowed"),
        (
            "user named, boundary denies",
            World::of(alice()).boundary("{'Effect':'Deny','Action':'*','Resource':'*'}").resource(&lets(ALICE)),
            "denied by boundary",
        ),
        (
            "account named",
            World::of(alice()).identity(READ).boundary(NOTHING).resource(&lets("{'AWS':'111122223333'}")),
            "no boundary",
        ),
        ("role named", World::of(player()).boundary(NOTHING).resource(&lets(ROLE)), "no boundary"),
        ("role named and in the boundary", World::of(player()).boundary(READ).resource(&lets(ROLE)), "allowed"),
        ("session named", World::of(player()).boundary(NOTHING).resource(&lets(SESSION)), "allowed"),
        ("root has none", World::of(root()).boundary(NOTHING), "allowed"),
    ] {
        decides(rule, &world, expected);
    }
}

#[test]
fn session_policies_limit_what_the_role_is_allowed() {
    for (rule, world, expected) in [
        ("both allow", World::of(player()).identity(READ).session(READ), "allowed"),
        ("session alone", World::of(player()).session(ALL), "no identity"),
        ("session does not", World::of(player()).identity(READ).session(NOTHING), "no session"),
        ("one of several does", World::of(player()).identity(READ).session(NOTHING).session(READ), "allowed"),
        (
            "one of several denies",
            World::of(player()).identity(READ).session(READ).session("{'Effect':'Deny','Action':'*','Resource':'*'}"),
            "denied by session",
        ),
        ("role named", World::of(player()).session(NOTHING).resource(&lets(ROLE)), "no session"),
        ("role named and in the session", World::of(player()).session(READ).resource(&lets(ROLE)), "allowed"),
        ("session named", World::of(player()).session(NOTHING).resource(&lets(SESSION)), "allowed"),
        (
            "session named, session denies",
            World::of(player()).session("{'Effect':'Deny','Action':'*','Resource':'*'}").resource(&lets(SESSION)),
            "denied by session",
        ),
        ("boundary, session and role", World::of(player()).identity(READ).boundary(READ).session(READ), "allowed"),
        ("boundary does not", World::of(player()).identity(READ).boundary(NOTHING).session(READ), "no boundary"),
        ("neither", World::of(player()).identity(READ).boundary(NOTHING).session(NOTHING), "no boundary"),
        ("session of a user", World::of(alice()).identity(READ).session(NOTHING), "no session"),
    ] {
        decides(rule, &world, expected);
    }
}

#[test]
fn across_accounts_both_sides_must_allow() {
    let foreign = |world: World| World { account: OTHER_ACCOUNT, ..world };
    let account = "{'AWS':'111122223333'}";
    for (rule, world, expected) in [
        ("identity only", World::of(alice()).identity(READ), "no resource"),
        ("resource only", World::of(alice()).resource(&lets(ALICE)), "no identity"),
        ("both, user", World::of(alice()).identity(READ).resource(&lets(ALICE)), "allowed"),
        ("both, account", World::of(alice()).identity(READ).resource(&lets(account)), "allowed"),
        (
            "both, account's root",
            World::of(alice()).identity(READ).resource(&lets("{'AWS':'arn:aws:iam::111122223333:root'}")),
            "allowed",
        ),
        ("another account", World::of(alice()).identity(READ).resource(&lets("{'AWS':'444455556666'}")), "no resource"),
        ("neither", World::of(alice()), "no identity"),
        ("role", World::of(player()).identity(READ).resource(&lets(ROLE)), "allowed"),
        ("session", World::of(player()).identity(READ).resource(&lets(SESSION)), "allowed"),
        ("session, but not the role's policy", World::of(player()).resource(&lets(SESSION)), "no identity"),
        (
            "user and boundary",
            World::of(alice()).identity(READ).boundary(NOTHING).resource(&lets(ALICE)),
            "no boundary",
        ),
        (
            "session and session policy",
            World::of(player()).identity(READ).session(NOTHING).resource(&lets(SESSION)),
            "no session",
        ),
        ("root named", World::of(root()).resource(&lets(account)), "allowed"),
        ("root not named", World::of(root()), "no resource"),
        (
            "resource denies",
            World::of(alice()).identity(READ).resource(&denies("'Principal':{'AWS':'111122223333'}")),
            "denied by resource",
        ),
        (
            "another action",
            World::of(alice()).identity(READ).resource(
                "{'Effect':'Allow','Principal':{'AWS':'111122223333'},'Action':'dynamodb:Scan','Resource':'*'}",
            ),
            "no resource",
        ),
        (
            "identity denies",
            World::of(alice())
                .identity(&format!(
                    "{READ},{{'Effect':'Deny','Action':'*','Resource':'arn:aws:dynamodb:*:444455556666:*'}}"
                ))
                .resource(&lets(account)),
            "denied by identity",
        ),
    ] {
        decides(rule, &foreign(world), expected);
    }
}

#[test]
fn denials_of_a_resource_reach_everyone_they_name() {
    for (rule, world, expected) in [
        ("everyone", World::of(alice()).identity(ALL).resource(&denies("'Principal':'*'")), "denied by resource"),
        (
            "the account",
            World::of(alice()).identity(ALL).resource(&denies("'Principal':{'AWS':'111122223333'}")),
            "denied by resource",
        ),
        (
            "the account, root asks",
            World::of(root()).resource(&denies("'Principal':{'AWS':'111122223333'}")),
            "denied by resource",
        ),
        ("everyone, root asks", World::of(root()).resource(&denies("'Principal':'*'")), "denied by resource"),
        (
            "the user",
            World::of(alice())
                .identity(ALL)
                .resource(&denies("'Principal':{'AWS':'arn:aws:iam::111122223333:user/alice'}")),
            "denied by resource",
        ),
        (
            "another user",
            World::of(alice())
                .identity(ALL)
                .resource(&denies("'Principal':{'AWS':'arn:aws:iam::111122223333:user/bob'}")),
            "allowed",
        ),
        (
            "the role",
            World::of(player())
                .identity(ALL)
                .resource(&denies("'Principal':{'AWS':'arn:aws:iam::111122223333:role/game/Player'}")),
            "denied by resource",
        ),
        (
            "the session",
            World::of(player())
                .identity(ALL)
                .resource(&denies("'Principal':{'AWS':'arn:aws:sts::111122223333:assumed-role/Player/s1'}")),
            "denied by resource",
        ),
        (
            "another session",
            World::of(player())
                .identity(ALL)
                .resource(&denies("'Principal':{'AWS':'arn:aws:sts::111122223333:assumed-role/Player/s2'}")),
            "allowed",
        ),
        (
            "beside an allowance",
            World::of(alice()).resource(&format!("{},{}", lets(ALICE), denies("'Principal':'*'"))),
            "denied by resource",
        ),
    ] {
        decides(rule, &world, expected);
    }
}

#[test]
fn not_principal_spares_whom_it_names_with_account_and_role() {
    let all_but = |arns: &str| denies(&format!("'NotPrincipal':{{'AWS':[{arns}]}}"));
    let (user, account) = ("'arn:aws:iam::111122223333:user/alice'", "'111122223333'");
    let (role, session) =
        ("'arn:aws:iam::111122223333:role/game/Player'", "'arn:aws:sts::111122223333:assumed-role/Player/s1'");
    for (rule, world, expected) in [
        (
            "user and account",
            World::of(alice()).identity(ALL).resource(&all_but(&format!("{user},{account}"))),
            "allowed",
        ),
        ("user without account", World::of(alice()).identity(ALL).resource(&all_but(user)), "denied by resource"),
        ("account without user", World::of(alice()).identity(ALL).resource(&all_but(account)), "denied by resource"),
        (
            "others",
            World::of(player()).identity(ALL).resource(&all_but(&format!("{user},{account}"))),
            "denied by resource",
        ),
        (
            "session, role and account",
            World::of(player()).identity(ALL).resource(&all_but(&format!("{session},{role},{account}"))),
            "allowed",
        ),
        (
            "role and account",
            World::of(player()).identity(ALL).resource(&all_but(&format!("{role},{account}"))),
            "denied by resource",
        ),
        (
            "session and account",
            World::of(player()).identity(ALL).resource(&all_but(&format!("{session},{account}"))),
            "denied by resource",
        ),
        ("root", World::of(root()).resource(&all_but(account)), "allowed"),
        ("root of another account", World::of(root()).resource(&all_but("'444455556666'")), "denied by resource"),
        (
            "with a boundary nobody",
            World::of(alice()).identity(ALL).boundary(ALL).resource(&all_but(&format!("{user},{account}"))),
            "denied by resource",
        ),
        ("everyone is spared", World::of(alice()).identity(ALL).resource(&all_but("'*'")), "allowed"),
    ] {
        decides(rule, &world, expected);
    }
}

#[test]
fn the_root_of_an_account_needs_no_policy_in_it() {
    decides("root", &World::of(root()), "allowed");
    decides(
        "identity policies do not reach it",
        &World::of(root()).identity("{'Effect':'Deny','Action':'*','Resource':'*'}"),
        "allowed",
    );
    decides("session policies do", &World::of(root()).session(NOTHING), "no session");
    decides("elsewhere it does", &World { account: OTHER_ACCOUNT, ..World::of(root()) }, "no resource");
    assert_eq!(World::of(root()).account, ACCOUNT);
}

#[test]
fn which_keys_a_policy_reads_is_known_before_it_is_asked() {
    let policy = identity(
        "{'Effect':'Allow','Action':'*','Resource':'arn:aws:dynamodb:*:*:table/${www.amazon.com:user_id}','Condition':\
         {'ForAllValues:StringEquals':{'dynamodb:LeadingKeys':['${aws:username}','${accounts.google.com:sub}']},\
         'Null':{'dynamodb:Select':'true'}}},\
         {'Effect':'Deny','Action':'*','Resource':'*','Condition':{'Bool':{'aws:SecureTransport':'false'},\
         'StringEquals':{'DYNAMODB:select':'COUNT'},'ArnLike':{'aws:PrincipalArn':'arn:aws:iam::*:user/x'}}}",
    );
    let keys: Vec<&str> = policy.keys().collect();
    assert_eq!(
        keys,
        [
            "accounts.google.com:sub",
            "aws:securetransport",
            "dynamodb:leadingkeys",
            "dynamodb:select",
            "www.amazon.com:user_id"
        ]
    );
}
