//! The examples of "Using IAM policy conditions for fine-grained access control" of the DynamoDB developer guide and of the
//! IAM User Guide's examples for DynamoDB, and what requests make of them.

use super::{World, alice, federated, player, tagged};

const OWN: &[&str] = &["amzn1.u1"];
const FOREIGN: &[&str] = &["amzn1.u2"];

fn web_player() -> World {
    World::of(federated(
        player(),
        &[
            ("www.amazon.com:user_id", "amzn1.u1"),
            ("graph.facebook.com:id", "fb9"),
            ("cognito-identity.amazonaws.com:sub", "eu-west-1:7f"),
        ],
    ))
}

#[test]
fn items_whose_partition_key_is_the_users_id() {
    web_player()
        .identity(
            "{'Sid':'FullAccessToUserItems','Effect':'Allow','Action':['dynamodb:GetItem','dynamodb:BatchGetItem',\
             'dynamodb:Query','dynamodb:PutItem','dynamodb:UpdateItem','dynamodb:DeleteItem','dynamodb:BatchWriteItem'],\
             'Resource':['arn:aws:dynamodb:eu-west-1:111122223333:table/GameScores'],\
             'Condition':{'ForAllValues:StringEquals':{'dynamodb:LeadingKeys':['${www.amazon.com:user_id}']}}}",
        )
        .table("LeadingKeys", &[
            ("GetItem", "GameScores", &[("dynamodb:LeadingKeys", OWN)], "allowed"),
            ("PutItem", "GameScores", &[("dynamodb:LeadingKeys", OWN)], "allowed"),
            ("UpdateItem", "GameScores", &[("dynamodb:LeadingKeys", OWN)], "allowed"),
            ("DeleteItem", "GameScores", &[("dynamodb:LeadingKeys", OWN)], "allowed"),
            ("Query", "GameScores", &[("dynamodb:LeadingKeys", OWN)], "allowed"),
            ("GetItem", "GameScores", &[("dynamodb:LeadingKeys", FOREIGN)], "no identity"),
            ("DeleteItem", "GameScores", &[("dynamodb:LeadingKeys", FOREIGN)], "no identity"),
            ("Query", "GameScores", &[("dynamodb:LeadingKeys", FOREIGN)], "no identity"),
            ("BatchGetItem", "GameScores", &[("dynamodb:LeadingKeys", &["amzn1.u1", "amzn1.u1"])], "allowed"),
            ("BatchGetItem", "GameScores", &[("dynamodb:LeadingKeys", &["amzn1.u1", "amzn1.u2"])], "no identity"),
            ("BatchWriteItem", "GameScores", &[("dynamodb:LeadingKeys", &["amzn1.u2", "amzn1.u1"])], "no identity"),
            // The action is not in the list: a Scan names no key.
            ("Scan", "GameScores", &[], "no identity"),
            ("Query", "GameScores/index/ByTop", &[("dynamodb:LeadingKeys", OWN)], "no identity"),
            ("GetItem", "Other", &[("dynamodb:LeadingKeys", OWN)], "no identity"),
        ]);
    // Were Scan in the list, ForAllValues would pass it: the key is absent. The guide warns of it.
    web_player()
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:Scan','Resource':'*','Condition':{'ForAllValues:StringEquals':\
             {'dynamodb:LeadingKeys':['${www.amazon.com:user_id}']}}}",
        )
        .table("LeadingKeys and Scan", &[("Scan", "GameScores", &[], "allowed")]);
}

#[test]
fn other_providers_and_prefixes_of_keys() {
    web_player()
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:*Item','Resource':'*','Condition':{'ForAllValues:StringEquals':\
             {'dynamodb:LeadingKeys':['${graph.facebook.com:id}','${cognito-identity.amazonaws.com:sub}','${accounts.google.com:sub}']}}}",
        )
        .table("providers", &[
            ("GetItem", "t", &[("dynamodb:LeadingKeys", &["fb9"])], "allowed"),
            ("GetItem", "t", &[("dynamodb:LeadingKeys", &["eu-west-1:7f"])], "allowed"),
            ("GetItem", "t", &[("dynamodb:LeadingKeys", &["fb8"])], "no identity"),
            ("GetItem", "t", &[("dynamodb:LeadingKeys", &[""])], "no identity"),
            ("GetItem", "t", &[("dynamodb:LeadingKeys", &["${accounts.google.com:sub}"])], "no identity"),
        ]);
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:*Item','Resource':'*','Condition':{'ForAllValues:StringLike':\
             {'dynamodb:LeadingKeys':['user#${aws:username}','user#${aws:username}#*']}}}",
        )
        .table(
            "prefixes",
            &[
                ("GetItem", "t", &[("dynamodb:LeadingKeys", &["user#alice"])], "allowed"),
                ("GetItem", "t", &[("dynamodb:LeadingKeys", &["user#alice#orders"])], "allowed"),
                ("GetItem", "t", &[("dynamodb:LeadingKeys", &["user#alicex"])], "no identity"),
                ("GetItem", "t", &[("dynamodb:LeadingKeys", &["user#bob"])], "no identity"),
                ("BatchGetItem", "t", &[("dynamodb:LeadingKeys", &["user#alice", "user#bob"])], "no identity"),
            ],
        );
    World::of(player())
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:*Item','Resource':'*','Condition':{'ForAllValues:StringEquals':\
             {'dynamodb:LeadingKeys':['${aws:PrincipalArn}','${aws:userid}']}}}",
        )
        .table(
            "the role and the session",
            &[
                (
                    "GetItem",
                    "t",
                    &[("dynamodb:LeadingKeys", &["arn:aws:iam::111122223333:role/game/Player"])],
                    "allowed",
                ),
                ("GetItem", "t", &[("dynamodb:LeadingKeys", &["AROAPLAYER:s1"])], "allowed"),
                ("GetItem", "t", &[("dynamodb:LeadingKeys", &["AROAPLAYER:s2"])], "no identity"),
            ],
        );
}

#[test]
fn an_operator_without_set_prefix_takes_one_key_only() {
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:*','Resource':'*','Condition':{'StringEquals':\
             {'dynamodb:LeadingKeys':'${aws:username}'}}}",
        )
        .table(
            "StringEquals",
            &[
                ("GetItem", "t", &[("dynamodb:LeadingKeys", &["alice"])], "allowed"),
                ("BatchGetItem", "t", &[("dynamodb:LeadingKeys", &["alice", "alice"])], "no identity"),
                ("Scan", "t", &[], "no identity"),
            ],
        );
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:*','Resource':'*','Condition':{'ForAnyValue:StringEquals':\
             {'dynamodb:LeadingKeys':'${aws:username}'}}}",
        )
        .table(
            "ForAnyValue",
            &[
                ("BatchGetItem", "t", &[("dynamodb:LeadingKeys", &["alice", "bob"])], "allowed"),
                ("BatchGetItem", "t", &[("dynamodb:LeadingKeys", &["bob", "carl"])], "no identity"),
                ("Scan", "t", &[], "no identity"),
            ],
        );
}

#[test]
fn numbered_parts_of_partition_keys() {
    World::of(tagged(alice(), &[("Tenant", "acme")]))
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:Query','Resource':'*','Condition':{'ForAllValues:StringEquals':\
             {'dynamodb:FirstPartitionKeyValues':['${aws:PrincipalTag/Tenant}'],'dynamodb:SecondPartitionKeyValues':['eu','us']}}}",
        )
        .table("multi-part keys", &[
            ("Query", "t", &[("dynamodb:FirstPartitionKeyValues", &["acme"]), ("dynamodb:SecondPartitionKeyValues", &["eu"])], "allowed"),
            ("Query", "t", &[("dynamodb:FirstPartitionKeyValues", &["acme"]), ("dynamodb:SecondPartitionKeyValues", &["ap"])], "no identity"),
            ("Query", "t", &[("dynamodb:FirstPartitionKeyValues", &["other"]), ("dynamodb:SecondPartitionKeyValues", &["eu"])], "no identity"),
        ]);
}

#[test]
fn attributes_with_select() {
    let limited = "{'Effect':'Allow','Action':['dynamodb:GetItem','dynamodb:Query','dynamodb:Scan'],\
                   'Resource':'arn:aws:dynamodb:eu-west-1:111122223333:table/GameScores','Condition':\
                   {'ForAllValues:StringEquals':{'dynamodb:Attributes':['UserId','TopScore']},\
                   'StringEqualsIfExists':{'dynamodb:Select':'SPECIFIC_ATTRIBUTES'}}}";
    World::of(alice()).identity(limited).table(
        "Attributes",
        &[
            ("GetItem", "GameScores", &[("dynamodb:Attributes", &["UserId", "TopScore"])], "allowed"),
            ("GetItem", "GameScores", &[("dynamodb:Attributes", &["UserId"])], "allowed"),
            ("GetItem", "GameScores", &[("dynamodb:Attributes", &["UserId", "Wins"])], "no identity"),
            ("GetItem", "GameScores", &[("dynamodb:Attributes", &["userid"])], "no identity"),
            (
                "Query",
                "GameScores",
                &[("dynamodb:Attributes", &["UserId"]), ("dynamodb:Select", &["SPECIFIC_ATTRIBUTES"])],
                "allowed",
            ),
            (
                "Query",
                "GameScores",
                &[("dynamodb:Attributes", &["UserId"]), ("dynamodb:Select", &["ALL_ATTRIBUTES"])],
                "no identity",
            ),
            (
                "Query",
                "GameScores",
                &[("dynamodb:Attributes", &["UserId"]), ("dynamodb:Select", &["COUNT"])],
                "no identity",
            ),
            ("Scan", "GameScores", &[("dynamodb:Select", &["ALL_ATTRIBUTES"])], "no identity"),
            (
                "Scan",
                "GameScores",
                &[("dynamodb:Select", &["SPECIFIC_ATTRIBUTES"]), ("dynamodb:Attributes", &["TopScore"])],
                "allowed",
            ),
            // A GetItem that names no attribute: ForAllValues passes. What it names is found by who makes the context.
            ("GetItem", "GameScores", &[], "allowed"),
        ],
    );
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:*','Resource':'*','Condition':{'StringEquals':{'dynamodb:Select':'SPECIFIC_ATTRIBUTES'},\
             'ForAllValues:StringEquals':{'dynamodb:Attributes':['UserId']},'Null':{'dynamodb:Attributes':'false'}}}",
        )
        .table("Null closes the gap", &[
            ("Query", "t", &[("dynamodb:Select", &["SPECIFIC_ATTRIBUTES"]), ("dynamodb:Attributes", &["UserId"])], "allowed"),
            ("Query", "t", &[("dynamodb:Select", &["SPECIFIC_ATTRIBUTES"])], "no identity"),
            ("Query", "t", &[("dynamodb:Select", &["SPECIFIC_ATTRIBUTES"]), ("dynamodb:Attributes", &[])], "no identity"),
        ]);
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':'*','Resource':'*'},{'Effect':'Deny','Action':'dynamodb:*','Resource':'*',\
             'Condition':{'ForAnyValue:StringEquals':{'dynamodb:Attributes':['Salary']}}}",
        )
        .table(
            "a denied attribute",
            &[
                ("GetItem", "t", &[("dynamodb:Attributes", &["Name"])], "allowed"),
                ("GetItem", "t", &[("dynamodb:Attributes", &["Name", "Salary"])], "denied by identity"),
                ("UpdateItem", "t", &[("dynamodb:Attributes", &["Salary"])], "denied by identity"),
                ("Scan", "t", &[], "allowed"),
            ],
        );
}

#[test]
fn writes_that_return_nothing_but_what_is_written() {
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':['dynamodb:UpdateItem','dynamodb:GetItem'],\
             'Resource':'arn:aws:dynamodb:eu-west-1:111122223333:table/GameScores','Condition':\
             {'ForAllValues:StringEquals':{'dynamodb:Attributes':['UserId','GameTitle','Wins']},\
             'StringEqualsIfExists':{'dynamodb:Select':'SPECIFIC_ATTRIBUTES','dynamodb:ReturnValues':['NONE','UPDATED_OLD','UPDATED_NEW']}}}",
        )
        .table("ReturnValues", &[
            ("UpdateItem", "GameScores", &[("dynamodb:Attributes", &["UserId", "Wins"])], "allowed"),
            ("UpdateItem", "GameScores", &[("dynamodb:Attributes", &["UserId", "Wins"]), ("dynamodb:ReturnValues", &["NONE"])], "allowed"),
            ("UpdateItem", "GameScores", &[("dynamodb:Attributes", &["UserId", "Wins"]), ("dynamodb:ReturnValues", &["UPDATED_NEW"])], "allowed"),
            ("UpdateItem", "GameScores", &[("dynamodb:Attributes", &["UserId", "Wins"]), ("dynamodb:ReturnValues", &["UPDATED_OLD"])], "allowed"),
            ("UpdateItem", "GameScores", &[("dynamodb:Attributes", &["UserId", "Wins"]), ("dynamodb:ReturnValues", &["ALL_OLD"])], "no identity"),
            ("UpdateItem", "GameScores", &[("dynamodb:Attributes", &["UserId", "Wins"]), ("dynamodb:ReturnValues", &["ALL_NEW"])], "no identity"),
            ("UpdateItem", "GameScores", &[("dynamodb:Attributes", &["UserId", "TopScore"]), ("dynamodb:ReturnValues", &["NONE"])], "no identity"),
            ("PutItem", "GameScores", &[("dynamodb:Attributes", &["UserId"])], "no identity"),
        ]);
}

#[test]
fn only_an_index_and_only_what_it_projects() {
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:Query','Resource':'arn:aws:dynamodb:eu-west-1:111122223333:table/GameScores/index/TopScoreDateTimeIndex',\
             'Condition':{'ForAllValues:StringEquals':{'dynamodb:Attributes':['TopScoreDateTime','GameTitle','Wins','Losses','Attempts']},\
             'StringEquals':{'dynamodb:Select':'SPECIFIC_ATTRIBUTES'}}}",
        )
        .table("index", &[
            ("Query", "GameScores/index/TopScoreDateTimeIndex", &[("dynamodb:Select", &["SPECIFIC_ATTRIBUTES"]), ("dynamodb:Attributes", &["Wins"])], "allowed"),
            ("Query", "GameScores/index/TopScoreDateTimeIndex", &[("dynamodb:Select", &["ALL_PROJECTED_ATTRIBUTES"])], "no identity"),
            ("Query", "GameScores/index/TopScoreDateTimeIndex", &[("dynamodb:Select", &["SPECIFIC_ATTRIBUTES"]), ("dynamodb:Attributes", &["Email"])], "no identity"),
            ("Query", "GameScores/index/TopScoreDateTimeIndex", &[("dynamodb:Attributes", &["Wins"])], "no identity"),
            ("Query", "GameScores", &[("dynamodb:Select", &["SPECIFIC_ATTRIBUTES"]), ("dynamodb:Attributes", &["Wins"])], "no identity"),
            ("Query", "GameScores/index/Other", &[("dynamodb:Select", &["SPECIFIC_ATTRIBUTES"]), ("dynamodb:Attributes", &["Wins"])], "no identity"),
            ("Scan", "GameScores/index/TopScoreDateTimeIndex", &[("dynamodb:Select", &["SPECIFIC_ATTRIBUTES"])], "no identity"),
        ]);
    World::of(alice())
        .identity("{'Effect':'Allow','Action':['dynamodb:Query','dynamodb:Scan'],'Resource':'arn:aws:dynamodb:*:*:table/GameScores/index/*'}")
        .table("all indexes", &[
            ("Query", "GameScores/index/A", &[], "allowed"),
            ("Scan", "GameScores/index/B", &[], "allowed"),
            ("Query", "GameScores", &[], "no identity"),
        ]);
}

#[test]
fn what_a_request_wants_back() {
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:*','Resource':'*','Condition':{'StringEqualsIfExists':{'dynamodb:ReturnConsumedCapacity':'NONE'}}},\
             {'Effect':'Deny','Action':['dynamodb:PartiQLSelect','dynamodb:Scan'],'Resource':'*','Condition':{'Bool':{'dynamodb:FullTableScan':['true']}}},\
             {'Effect':'Deny','Action':'dynamodb:PutItem','Resource':'*','Condition':{'StringNotEqualsIfExists':{'dynamodb:EnclosingOperation':'TransactWriteItems'}}}",
        )
        .table("keys of DynamoDB", &[
            ("GetItem", "t", &[], "allowed"),
            ("GetItem", "t", &[("dynamodb:ReturnConsumedCapacity", &["NONE"])], "allowed"),
            ("GetItem", "t", &[("dynamodb:ReturnConsumedCapacity", &["TOTAL"])], "no identity"),
            ("PartiQLSelect", "t", &[("dynamodb:FullTableScan", &["true"])], "denied by identity"),
            ("PartiQLSelect", "t", &[("dynamodb:FullTableScan", &["false"])], "allowed"),
            ("PartiQLSelect", "t", &[], "allowed"),
            ("PutItem", "t", &[("dynamodb:EnclosingOperation", &["TransactWriteItems"])], "allowed"),
            ("PutItem", "t", &[("dynamodb:EnclosingOperation", &["BatchWriteItem"])], "denied by identity"),
            ("PutItem", "t", &[], "denied by identity"),
        ]);
}

#[test]
fn from_where_and_when() {
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:*','Resource':'*','Condition':{'IpAddress':{'aws:SourceIp':['203.0.113.0/24','2001:db8::/32']}}},\
             {'Effect':'Deny','Action':'*','Resource':'*','Condition':{'NotIpAddress':{'aws:SourceIp':['203.0.113.0/24','2001:db8::/32','198.51.100.0/24']}}}",
        )
        .table("aws:SourceIp", &[
            ("GetItem", "t", &[("aws:SourceIp", &["203.0.113.9"])], "allowed"),
            ("GetItem", "t", &[("aws:SourceIp", &["2001:db8::9"])], "allowed"),
            ("GetItem", "t", &[("aws:SourceIp", &["198.51.100.9"])], "no identity"),
            ("GetItem", "t", &[("aws:SourceIp", &["192.0.2.9"])], "denied by identity"),
            ("GetItem", "t", &[("aws:SourceIp", &["2001:db9::9"])], "denied by identity"),
            // Without an address the negation holds.
            ("GetItem", "t", &[], "denied by identity"),
        ]);
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':'dynamodb:*','Resource':'*','Condition':{'DateGreaterThan':{'aws:CurrentTime':'2020-04-01T00:00:00Z'},\
             'DateLessThan':{'aws:CurrentTime':'2020-06-30T23:59:59Z'}}},\
             {'Effect':'Allow','Action':'dynamodb:Scan','Resource':'*','Condition':{'NumericGreaterThanEquals':{'aws:EpochTime':'1600000000'}}}",
        )
        .table("time", &[
            ("GetItem", "t", &[("aws:CurrentTime", &["2020-04-01T00:00:01Z"])], "allowed"),
            ("GetItem", "t", &[("aws:CurrentTime", &["2020-06-30T23:59:58Z"])], "allowed"),
            ("GetItem", "t", &[("aws:CurrentTime", &["2020-04-01T00:00:00Z"])], "no identity"),
            ("GetItem", "t", &[("aws:CurrentTime", &["2020-07-01T00:00:00Z"])], "no identity"),
            ("GetItem", "t", &[], "no identity"),
            ("Scan", "t", &[("aws:EpochTime", &["1600000000"])], "allowed"),
            ("Scan", "t", &[("aws:EpochTime", &["1599999999"])], "no identity"),
        ]);
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':'*','Resource':'*'},{'Effect':'Deny','Action':'*','Resource':'*','Condition':{'Bool':{'aws:SecureTransport':'false'}}},\
             {'Effect':'Deny','Action':'dynamodb:DeleteTable','Resource':'*','Condition':{'BoolIfExists':{'aws:MultiFactorAuthPresent':'false'}}}",
        )
        .table("transport and second factor", &[
            ("GetItem", "t", &[("aws:SecureTransport", &["true"])], "allowed"),
            ("GetItem", "t", &[("aws:SecureTransport", &["false"])], "denied by identity"),
            ("DeleteTable", "t", &[("aws:SecureTransport", &["true"])], "denied by identity"),
            ("DeleteTable", "t", &[("aws:SecureTransport", &["true"]), ("aws:MultiFactorAuthPresent", &["true"])], "allowed"),
        ]);
}

#[test]
fn tags_of_callers_tables_and_requests() {
    let by_tag = "{'Effect':'Allow','Action':'dynamodb:*','Resource':'*','Condition':{'StringEquals':{'aws:ResourceTag/Project':'${aws:PrincipalTag/Project}'}}}";
    World::of(tagged(alice(), &[("Project", "Blue")])).identity(by_tag).table(
        "tags that agree",
        &[
            ("GetItem", "t", &[("aws:ResourceTag/Project", &["Blue"])], "allowed"),
            ("GetItem", "t", &[("aws:ResourceTag/Project", &["Green"])], "no identity"),
            ("GetItem", "t", &[("aws:ResourceTag/project", &["Blue"])], "allowed"),
            ("GetItem", "t", &[("aws:ResourceTag/Other", &["Blue"])], "no identity"),
            ("GetItem", "t", &[], "no identity"),
        ],
    );
    World::of(alice()).identity(by_tag).table(
        "a caller without tag",
        &[
            ("GetItem", "t", &[("aws:ResourceTag/Project", &["Blue"])], "no identity"),
            ("GetItem", "t", &[("aws:ResourceTag/Project", &[""])], "no identity"),
            ("GetItem", "t", &[], "no identity"),
        ],
    );
    World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':['dynamodb:CreateTable','dynamodb:TagResource'],'Resource':'*','Condition':{'StringEquals':{'aws:RequestTag/Env':['dev','test']},\
             'ForAllValues:StringEquals':{'aws:TagKeys':['Env','Owner']}}}",
        )
        .table("tags of a request", &[
            ("CreateTable", "t", &[("aws:RequestTag/Env", &["dev"]), ("aws:TagKeys", &["Env"])], "allowed"),
            ("CreateTable", "t", &[("aws:RequestTag/Env", &["test"]), ("aws:TagKeys", &["Env", "Owner"])], "allowed"),
            ("CreateTable", "t", &[("aws:RequestTag/Env", &["prod"]), ("aws:TagKeys", &["Env"])], "no identity"),
            ("CreateTable", "t", &[("aws:RequestTag/Env", &["dev"]), ("aws:TagKeys", &["Env", "Cost"])], "no identity"),
            ("CreateTable", "t", &[], "no identity"),
        ]);
}
