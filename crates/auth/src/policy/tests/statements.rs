//! Actions, resources, their negations, variables, and the keys that the caller answers.

use super::{World, alice, federated, player, root, tagged};

const ALL: &str = "{'Effect':'Allow','Action':'*','Resource':'*'}";

#[test]
fn what_no_statement_allows_is_denied() {
    World::of(alice())
        .table("no policy", &[("GetItem", "Music", &[], "no identity"), ("ListTables", "*", &[], "no identity")]);
    World::of(alice()).identity(ALL).table("all", &[("GetItem", "Music", &[], "allowed"), ("x", "y", &[], "allowed")]);
}

#[test]
fn actions_are_compared_without_regard_to_case_and_with_wildcards() {
    let world = World::of(alice()).identity(
        "{'Effect':'Allow','Action':['dynamodb:getITEM','dynamodb:Batch*','dynamodb:*Table','dynamodb:Quer?'],'Resource':'*'}",
    );
    world.table(
        "actions",
        &[
            ("GetItem", "Music", &[], "allowed"),
            ("GETITEM", "Music", &[], "allowed"),
            ("GetItems", "Music", &[], "no identity"),
            ("PutItem", "Music", &[], "no identity"),
            ("BatchGetItem", "Music", &[], "allowed"),
            ("BatchWriteItem", "Music", &[], "allowed"),
            ("DescribeTable", "Music", &[], "allowed"),
            ("DeleteTable", "Music", &[], "allowed"),
            ("DescribeTableX", "Music", &[], "no identity"),
            ("Query", "Music", &[], "allowed"),
            ("Quer", "Music", &[], "no identity"),
            ("Scan", "Music", &[], "no identity"),
        ],
    );
    assert_eq!(world.decide("s3:GetItem", "arn:aws:s3:::b", &[]), "no identity");
    assert_eq!(
        World::of(alice()).identity("{'Effect':'Allow','Action':'*:*','Resource':'*'}").decide(
            "s3:x",
            "arn:aws:s3:::b",
            &[]
        ),
        "allowed"
    );
}

#[test]
fn not_action_is_all_but_these() {
    World::of(alice()).identity("{'Effect':'Allow','NotAction':['dynamodb:Delete*','iam:*'],'Resource':'*'}").table(
        "NotAction with Allow",
        &[
            ("GetItem", "Music", &[], "allowed"),
            ("PutItem", "Music", &[], "allowed"),
            ("DeleteItem", "Music", &[], "no identity"),
            ("DELETETABLE", "Music", &[], "no identity"),
        ],
    );
    let world = World::of(alice())
        .identity(ALL)
        .identity("{'Effect':'Deny','NotAction':['dynamodb:GetItem','dynamodb:Query'],'Resource':'*'}");
    world.table(
        "NotAction with Deny",
        &[
            ("GetItem", "Music", &[], "allowed"),
            ("Query", "Music", &[], "allowed"),
            ("Scan", "Music", &[], "denied by identity"),
        ],
    );
    assert_eq!(world.decide("iam:CreateUser", "arn:aws:iam::111122223333:user/x", &[]), "denied by identity");
}

#[test]
fn resources_with_wildcards() {
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:*','Resource':['arn:aws:dynamodb:eu-west-1:111122223333:table/Books',\
             'arn:aws:dynamodb:*:*:table/Prod-*/index/*','arn:aws:dynamodb:eu-west-?:111122223333:table/Music*']}",
        )
        .table(
            "resources",
            &[
                ("GetItem", "Books", &[], "allowed"),
                ("GetItem", "books", &[], "no identity"),
                ("GetItem", "Books2", &[], "no identity"),
                ("Query", "Books/index/ByTitle", &[], "no identity"),
                ("Query", "Prod-a/index/ByTitle", &[], "allowed"),
                ("Query", "Prod-a", &[], "no identity"),
                ("GetItem", "Music", &[], "allowed"),
                ("GetItem", "MusicCollection", &[], "allowed"),
                ("Query", "Music/index/x", &[], "allowed"),
                ("GetRecords", "Music/stream/2015-05-11T21:21:33.291", &[], "allowed"),
                ("GetItem", "Musi", &[], "no identity"),
            ],
        );
    let world = World::of(alice())
        .identity("{'Effect':'Allow','Action':'dynamodb:*','Resource':'arn:aws:dynamodb:eu-*:111122223333:*'}");
    for (resource, expected) in [
        ("arn:aws:dynamodb:eu-west-1:111122223333:table/a", "allowed"),
        ("arn:aws:dynamodb:eu-central-1:111122223333:table/a", "allowed"),
        ("arn:aws:dynamodb:us-west-1:111122223333:table/a", "no identity"),
        ("arn:aws:dynamodb:eu-west-1:444455556666:table/a", "no identity"),
        ("arn:aws-cn:dynamodb:eu-west-1:111122223333:table/a", "no identity"),
        ("*", "no identity"),
    ] {
        assert_eq!(world.decide("dynamodb:GetItem", resource, &[]), expected, "{resource}");
    }
}

#[test]
fn parts_of_an_arn_that_are_left_off_are_wildcards() {
    for (arn, expected) in [
        ("arn:aws:dynamodb:*", "allowed"),
        ("arn:aws:dynamodb", "allowed"),
        ("arn:aws:dynamodb:eu-west-1", "allowed"),
        ("arn:aws:dynamodb:us-east-1", "no identity"),
        ("arn:aws:dynamodb:eu-west-1:111122223333", "allowed"),
        ("arn:aws:dynamodb:eu-west-1:111122223334", "no identity"),
        ("arn:aws:dynamodb:eu-west-1:*", "allowed"),
        ("arn:aws:s3:*", "no identity"),
        ("arn:*:dynamodb:*:*:*", "allowed"),
        // An account that is left off is not the table.
        ("arn:aws:dynamodb:eu-west-1:table/Music", "no identity"),
    ] {
        let world = World::of(alice()).identity(&format!("{{'Effect':'Allow','Action':'*','Resource':'{arn}'}}"));
        world.table(arn, &[("GetItem", "Music", &[], expected)]);
    }
}

#[test]
fn not_resource_is_all_but_these() {
    World::of(alice())
        .identity("{'Effect':'Allow','Action':'dynamodb:*','NotResource':'arn:aws:dynamodb:*:*:table/Payroll*'}")
        .table(
            "NotResource with Allow",
            &[
                ("GetItem", "Music", &[], "allowed"),
                ("GetItem", "Payroll", &[], "no identity"),
                ("Query", "Payroll/index/x", &[], "no identity"),
            ],
        );
    World::of(alice())
        .identity(ALL)
        .identity("{'Effect':'Deny','Action':'dynamodb:Delete*','NotResource':['arn:aws:dynamodb:*:*:table/Test-*','arn:aws:dynamodb:*:*:table/Dev-*']}")
        .table("NotResource with Deny", &[
            ("DeleteTable", "Test-1", &[], "allowed"),
            ("DeleteTable", "Dev-1", &[], "allowed"),
            ("DeleteTable", "Prod-1", &[], "denied by identity"),
            ("GetItem", "Prod-1", &[], "allowed"),
        ]);
}

#[test]
fn a_variable_without_value_allows_nothing_and_denies_all_but_nothing() {
    let own = "'arn:aws:dynamodb:*:*:table/${aws:username}-*'";
    World::of(player())
        .identity(&format!("{{'Effect':'Allow','Action':'dynamodb:*','Resource':{own}}}"))
        .table("Resource", &[("GetItem", "alice-1", &[], "no identity"), ("GetItem", "-1", &[], "no identity")]);
    World::of(player()).identity(&format!("{{'Effect':'Allow','Action':'dynamodb:*','NotResource':{own}}}")).table(
        "NotResource with Allow",
        &[("GetItem", "alice-1", &[], "no identity"), ("GetItem", "x", &[], "no identity")],
    );
    World::of(player())
        .identity(ALL)
        .identity(&format!("{{'Effect':'Deny','Action':'dynamodb:*','NotResource':{own}}}"))
        .table("NotResource with Deny", &[("GetItem", "alice-1", &[], "denied by identity")]);
    World::of(alice()).identity(&format!("{{'Effect':'Allow','Action':'dynamodb:*','NotResource':{own}}}")).table(
        "NotResource with a value",
        &[("GetItem", "alice-1", &[], "no identity"), ("GetItem", "x", &[], "allowed")],
    );
}

#[test]
fn variables_in_resources() {
    World::of(alice())
        .identity("{'Effect':'Allow','Action':'dynamodb:*','Resource':'arn:aws:dynamodb:*:${aws:PrincipalAccount}:table/${aws:username}-*'}")
        .table("aws:username", &[
            ("GetItem", "alice-scores", &[], "allowed"),
            ("GetItem", "bob-scores", &[], "no identity"),
            ("GetItem", "alice", &[], "no identity"),
            ("GetItem", "x-alice-scores", &[], "no identity"),
        ]);
    World::of(tagged(alice(), &[("Team", "red*"), ("cost-center", "42")]))
        .identity("{'Effect':'Allow','Action':'dynamodb:*','Resource':['arn:aws:dynamodb:*:*:table/${aws:PrincipalTag/Team}','arn:aws:dynamodb:*:*:table/cc-${aws:principaltag/COST-CENTER}']}")
        .table("tags", &[
            ("GetItem", "red*", &[], "allowed"),
            ("GetItem", "redder", &[], "no identity"),
            ("GetItem", "cc-42", &[], "allowed"),
            ("GetItem", "cc-43", &[], "no identity"),
        ]);
}

#[test]
fn defaults_of_variables() {
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*",
        "Resource":"arn:aws:dynamodb:*:*:table/${aws:username, 'anonymous'}"}}"#;
    for (caller, rows) in [
        (alice(), [("alice", "allowed"), ("anonymous", "no identity")]),
        (player(), [("alice", "no identity"), ("anonymous", "allowed")]),
    ] {
        let mut world = World::of(caller);
        world.attached.identity.push(std::sync::Arc::new(
            crate::policy::Policy::parse(text, crate::policy::DocumentKind::Identity).unwrap(),
        ));
        for (table, expected) in rows {
            world.table("default", &[("GetItem", table, &[], expected)]);
        }
    }
}

#[test]
fn documents_of_2008_have_no_variables() {
    for version in [r#""Version":"2008-10-17","#, ""] {
        let text = format!(
            r#"{{{version}"Statement":{{"Effect":"Allow","Action":"dynamodb:*","Resource":"arn:aws:dynamodb:*:*:table/${{aws:username}}"}}}}"#
        );
        let policy = crate::policy::Policy::parse(&text, crate::policy::DocumentKind::Identity).unwrap();
        let mut world = World::of(alice());
        world.attached.identity.push(std::sync::Arc::new(policy));
        world
            .table("2008", &[("GetItem", "alice", &[], "no identity"), ("GetItem", "${aws:username}", &[], "allowed")]);
    }
}

#[test]
fn keys_that_the_caller_answers() {
    let arn_of_role = "arn:aws:iam::111122223333:role/game/Player";
    let web = federated(
        player(),
        &[
            ("accounts.example.com:sub", "p7"),
            ("aws:FederatedProvider", "accounts.example.com"),
            ("accounts.example.com:amr", "pwd"),
            ("accounts.example.com:amr", "mfa"),
        ],
    );
    let callers = [alice(), player(), root(), web];
    for (condition, expected) in [
        ("'StringEquals':{'aws:username':'alice'}", [true, false, false, false]),
        ("'StringLike':{'aws:username':'*'}", [true, false, false, false]),
        ("'StringEquals':{'AWS:USERNAME':'alice'}", [true, false, false, false]),
        ("'StringEquals':{'aws:userid':'AIDAALICE'}", [true, false, false, false]),
        ("'StringLike':{'aws:userid':'AROAPLAYER:*'}", [false, true, false, true]),
        ("'StringEquals':{'aws:userid':'111122223333'}", [false, false, true, false]),
        ("'StringEquals':{'aws:PrincipalAccount':'111122223333'}", [true, true, true, true]),
        ("'StringEquals':{'aws:PrincipalAccount':'444455556666'}", [false, false, false, false]),
        ("'StringEquals':{'aws:PrincipalType':'User'}", [true, false, false, false]),
        ("'StringEquals':{'aws:PrincipalType':'AssumedRole'}", [false, true, false, true]),
        ("'StringEquals':{'aws:PrincipalType':'Account'}", [false, false, true, false]),
        (&format!("'ArnEquals':{{'aws:PrincipalArn':'{arn_of_role}'}}"), [false, true, false, true]),
        ("'ArnLike':{'aws:PrincipalArn':'arn:aws:iam::*:role/game/*'}", [false, true, false, true]),
        ("'ArnLike':{'aws:PrincipalArn':'arn:aws:sts::*:assumed-role/*'}", [false, false, false, false]),
        ("'ArnEquals':{'aws:PrincipalArn':'arn:aws:iam::111122223333:root'}", [false, false, true, false]),
        ("'ArnNotEquals':{'aws:PrincipalArn':'arn:aws:iam::111122223333:user/alice'}", [false, true, true, true]),
        ("'DateGreaterThan':{'aws:TokenIssueTime':'2023-11-14T22:13:19Z'}", [false, true, false, true]),
        ("'DateLessThan':{'aws:TokenIssueTime':'2023-11-14T22:13:20Z'}", [false, false, false, false]),
        ("'DateEquals':{'aws:TokenIssueTime':'1700000000'}", [false, true, false, true]),
        ("'Null':{'aws:TokenIssueTime':'true'}", [true, false, true, false]),
        ("'StringEquals':{'aws:FederatedProvider':'accounts.example.com'}", [false, false, false, true]),
        ("'StringEquals':{'accounts.example.com:sub':'p7'}", [false, false, false, true]),
        ("'StringEquals':{'accounts.example.com:amr':'mfa'}", [false, false, false, false]),
        ("'ForAnyValue:StringEquals':{'accounts.example.com:amr':'mfa'}", [false, false, false, true]),
        ("'Bool':{'aws:PrincipalIsAWSService':'false'}", [true, true, true, true]),
        ("'Bool':{'aws:ViaAWSService':'true'}", [false, false, false, false]),
        ("'StringEquals':{'aws:PrincipalTag/team':'red'}", [false, false, false, false]),
        ("'Null':{'aws:PrincipalTag/team':'true'}", [true, true, true, true]),
    ] {
        for (caller, holds) in callers.iter().zip(expected) {
            let mut world = World::of(caller.clone());
            // A policy of the resource, as no other limits an account's root.
            world = world
                .resource(&format!(
                    "{{'Effect':'Deny','Principal':'*','Action':'*','Resource':'*','Condition':{{{condition}}}}}"
                ))
                .identity(ALL);
            world.table(condition, &[("GetItem", "Music", &[], if holds { "denied by resource" } else { "allowed" })]);
        }
    }
}

#[test]
fn a_request_can_not_set_the_keys_of_the_caller() {
    World::of(alice())
        .identity("{'Effect':'Allow','Action':'*','Resource':'*','Condition':{'StringEquals':{'aws:username':'bob'}}}")
        .identity("{'Effect':'Allow','Action':'*','Resource':'*','Condition':{'StringEquals':{'aws:PrincipalTag/Team':'red'}}}")
        .table("own keys", &[
            ("GetItem", "Music", &[("aws:username", &["bob"])], "no identity"),
            ("GetItem", "Music", &[("aws:PrincipalTag/Team", &["red"])], "no identity"),
        ]);
}

#[test]
fn all_conditions_of_a_statement_must_hold_and_one_value_of_each() {
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:*','Resource':'*','Condition':{'StringEquals':{'aws:RequestedRegion':\
             ['eu-west-1','eu-central-1'],'aws:ResourceTag/Team':'red'},'Bool':{'aws:SecureTransport':true}}}",
        )
        .table(
            "and, or",
            &[
                (
                    "GetItem",
                    "t",
                    &[
                        ("aws:RequestedRegion", &["eu-west-1"]),
                        ("aws:ResourceTag/Team", &["red"]),
                        ("aws:SecureTransport", &["true"]),
                    ],
                    "allowed",
                ),
                (
                    "GetItem",
                    "t",
                    &[
                        ("aws:requestedregion", &["eu-central-1"]),
                        ("aws:resourcetag/TEAM", &["red"]),
                        ("AWS:SecureTransport", &["true"]),
                    ],
                    "allowed",
                ),
                (
                    "GetItem",
                    "t",
                    &[
                        ("aws:RequestedRegion", &["us-east-1"]),
                        ("aws:ResourceTag/Team", &["red"]),
                        ("aws:SecureTransport", &["true"]),
                    ],
                    "no identity",
                ),
                (
                    "GetItem",
                    "t",
                    &[
                        ("aws:RequestedRegion", &["eu-west-1"]),
                        ("aws:ResourceTag/Team", &["Red"]),
                        ("aws:SecureTransport", &["true"]),
                    ],
                    "no identity",
                ),
                (
                    "GetItem",
                    "t",
                    &[
                        ("aws:RequestedRegion", &["eu-west-1"]),
                        ("aws:ResourceTag/Team", &["red"]),
                        ("aws:SecureTransport", &["false"]),
                    ],
                    "no identity",
                ),
                (
                    "GetItem",
                    "t",
                    &[("aws:RequestedRegion", &["eu-west-1"]), ("aws:SecureTransport", &["true"])],
                    "no identity",
                ),
                ("GetItem", "t", &[], "no identity"),
            ],
        );
}

#[test]
fn an_explicit_denial_decides_wherever_it_stands() {
    let deny = "{'Effect':'Deny','Action':'dynamodb:DeleteTable','Resource':'*'}";
    for (rule, world, expected) in [
        ("before", World::of(alice()).identity(deny).identity(ALL), "denied by identity"),
        ("behind", World::of(alice()).identity(ALL).identity(deny), "denied by identity"),
        ("beside", World::of(alice()).identity(&format!("{ALL},{deny}")), "denied by identity"),
        ("in front", World::of(alice()).identity(&format!("{deny},{ALL}")), "denied by identity"),
        ("boundary", World::of(alice()).identity(ALL).boundary(&format!("{ALL},{deny}")), "denied by boundary"),
        ("session", World::of(player()).identity(ALL).session(&format!("{ALL},{deny}")), "denied by session"),
        ("second session", World::of(player()).identity(ALL).session(ALL).session(deny), "denied by session"),
        (
            "resource",
            World::of(alice())
                .identity(ALL)
                .resource("{'Effect':'Deny','Principal':'*','Action':'dynamodb:DeleteTable','Resource':'*'}"),
            "denied by resource",
        ),
        ("identity before boundary", World::of(alice()).identity(deny).boundary(deny), "denied by identity"),
    ] {
        world.table(rule, &[("DeleteTable", "Music", &[], expected)]);
    }
}
