//! Simulations: the same decisions, with the statements that made them.

use super::{Access, World, alice, context, told};
use crate::policy::{MatchedStatement, PolicyKind, simulate};

fn simulated(world: &World, action: &str, keys: super::Keys<'_>) -> crate::policy::Simulation {
    let context = context(keys);
    let access = Access {
        principal: &world.caller,
        action,
        resource: "arn:aws:dynamodb:eu-west-1:111122223333:table/Music",
        resource_account: world.account,
        context: &context,
    };
    simulate(&access, &world.attached, world.resource.as_ref())
}

#[test]
fn a_simulation_tells_the_statements_that_decided() {
    let world = World::of(alice())
        .identity(
            "{'Effect':'Allow','Action':'s3:*','Resource':'*'},{'Effect':'Allow','Action':'dynamodb:*','Resource':'*'}",
        )
        .identity("{'Effect':'Deny','Action':'dynamodb:DeleteTable','Resource':'*'}")
        .boundary("{'Effect':'Allow','Action':['dynamodb:GetItem','dynamodb:DeleteTable'],'Resource':'*'}");
    let statement = |kind, policy, statement| MatchedStatement { kind, policy, statement };

    let read = simulated(&world, "dynamodb:GetItem", &[]);
    assert_eq!(told(read.decision), "allowed");
    assert_eq!(read.matched, [statement(PolicyKind::Identity, 0, 1), statement(PolicyKind::Boundary, 0, 0)]);
    assert_eq!(read.allowed_by_boundary, Some(true));

    let delete = simulated(&world, "dynamodb:DeleteTable", &[]);
    assert_eq!(told(delete.decision), "denied by identity");
    assert_eq!(delete.matched, [statement(PolicyKind::Identity, 1, 0)]);

    let scan = simulated(&world, "dynamodb:Scan", &[]);
    assert_eq!(told(scan.decision), "no boundary");
    assert_eq!(scan.allowed_by_boundary, Some(false));
    assert_eq!(scan.matched, [statement(PolicyKind::Identity, 0, 1)]);
    assert_eq!(simulated(&World::of(alice()), "dynamodb:Scan", &[]).allowed_by_boundary, None);
}

#[test]
fn a_simulation_takes_the_callers_keys_from_the_context_and_tells_what_is_missing() {
    let world = World::of(alice()).identity(
        "{'Effect':'Allow','Action':'dynamodb:*','Resource':'*','Condition':{'StringEquals':{'aws:username':'bob',\
         'aws:PrincipalTag/Team':'red','dynamodb:Select':'COUNT','aws:SourceVpc':'${aws:RequestedRegion}'}}}",
    );
    let none = simulated(&world, "dynamodb:GetItem", &[]);
    assert_eq!(none.missing, ["aws:requestedregion", "aws:sourcevpc", "dynamodb:select"]);
    assert_eq!(told(none.decision), "no identity");
    let all = simulated(
        &world,
        "dynamodb:GetItem",
        &[
            ("aws:username", &["bob"]),
            ("aws:PrincipalTag/Team", &["red"]),
            ("dynamodb:Select", &["COUNT"]),
            ("aws:SourceVpc", &["v"]),
            ("aws:RequestedRegion", &["v"]),
        ],
    );
    assert_eq!((told(all.decision), all.missing), ("allowed", Vec::<String>::new()));
}
