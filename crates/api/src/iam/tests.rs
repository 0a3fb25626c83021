//! The query APIs as a whole: which requests are answered, and for whom.

use std::sync::Arc;

use http::{Method, Uri};
use partita_auth::policy::Attached;
use partita_auth::{Principal, PrincipalKind};
use partita_db::{Database, Scope};
use partita_engine::OpenOptions;

use super::xml::percent_encoded;
use super::{Issuers, Rooms, answer};
use crate::caller::Caller;
use crate::http::Request;
use crate::identities::{Identities, SOURCE_IDENTITY};

const ACCOUNT: &str = "111122223333";

fn anonymous() -> Caller {
    let scope = Scope { account: ACCOUNT.into(), region: "us-east-1".into() };
    Caller::unauthenticated(scope, Arc::new(Attached::default()))
}

fn signed(kind: PrincipalKind, token_issued: Option<u64>) -> Caller {
    let principal = Principal {
        account: ACCOUNT.into(),
        kind,
        user_id: ACCOUNT.into(),
        tags: Vec::new(),
        token_issued,
        federated: Vec::new(),
        transitive: Vec::new(),
    };
    Caller { principal: Some(Arc::new(principal)), ..anonymous() }
}

fn session() -> Caller {
    signed(PrincipalKind::Root, Some(1))
}

/// The status and text that a query is answered when it comes from this caller.
async fn ask(database: &Database, method: Method, query: &str, caller: Caller) -> (u16, String) {
    let uri = if method == Method::GET { format!("/?{query}") } else { "/".to_owned() };
    let mut request = Request::new(method, uri.parse::<Uri>().unwrap());
    request.body = query.to_owned().into();
    let rooms = Rooms { database, issuers: &Issuers::default() };
    let answer = answer(rooms, &request, |_| async { Ok(caller) }, anonymous()).await;
    (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_query_in_a_url_is_answered_only_to_those_who_signed_it() {
    let database = Database::open(&OpenOptions::memory()).await.unwrap();
    let create = "Action=CreateUser&UserName=eve";
    for query in [create, "Action=GetCallerIdentity", "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"] {
        let (status, text) = ask(&database, Method::GET, query, anonymous()).await;
        assert_eq!(status, 405, "{query}");
        assert!(text.contains("<Code>MethodNotAllowed</Code>"), "{text}");
    }
    let root = || signed(PrincipalKind::Root, None);
    assert_eq!(ask(&database, Method::GET, "Action=GetUser&UserName=eve", root()).await.0, 404);
    assert_eq!(ask(&database, Method::GET, create, root()).await.0, 200);
    assert_eq!(ask(&database, Method::POST, "Action=GetUser&UserName=eve", anonymous()).await.0, 200);
}

#[tokio::test]
async fn sessions_of_users_and_the_root_reach_nothing_that_outlasts_them() {
    let database = Database::open(&OpenOptions::memory()).await.unwrap();
    for query in [
        "Action=CreateAccessKey",
        "Action=ListUsers",
        "Action=GetSessionToken",
        "Action=GetAccessKeyInfo&AccessKeyId=AKIAIOSFODNN7EXAMPLE",
    ] {
        let (status, text) = ask(&database, Method::POST, query, session()).await;
        assert!(status == 403 && text.contains("<Code>AccessDenied</Code>"), "{query}: {text}");
    }
    assert_eq!(ask(&database, Method::POST, "Action=GetCallerIdentity", session()).await.0, 200);
    let (_, text) =
        ask(&database, Method::POST, "Action=AssumeRole&RoleArn=arn:aws:iam::111122223333:role/r", session()).await;
    assert!(text.contains("roleSessionName"), "{text}");
    // Those of roles may do what the role may; those that last, all.
    let role = PrincipalKind::AssumedRole { path: "/".into(), role: "r".into(), session: "s".into() };
    let (_, text) = ask(&database, Method::POST, "Action=ListUsers", signed(role, Some(1))).await;
    assert!(text.contains("not authorized to perform: iam:ListUsers"), "{text}");
    assert_eq!(ask(&database, Method::POST, "Action=ListUsers", signed(PrincipalKind::Root, None)).await.0, 200);
}

#[tokio::test]
async fn a_simulation_has_at_most_a_thousand_pairs() {
    let database = Database::open(&OpenOptions::memory()).await.unwrap();
    assert_eq!(ask(&database, Method::POST, "Action=CreateUser&UserName=u", anonymous()).await.0, 200);
    let list = |name: &str, count: usize| {
        (1..=count).map(|number| format!("&{name}.member.{number}=dynamodb:{number:03}")).collect::<String>()
    };
    let query = |actions: usize, resources: usize| {
        let (actions, resources) = (list("ActionNames", actions), list("ResourceArns", resources));
        let source = format!("arn:aws:iam::{ACCOUNT}:user/u");
        format!("Action=SimulatePrincipalPolicy&PolicySourceArn={source}&MaxItems=7{actions}{resources}")
    };
    let (status, text) = ask(&database, Method::POST, &query(100, 10), anonymous()).await;
    assert_eq!((status, text.matches("<EvalDecision>").count()), (200, 7));
    assert!(text.contains("<Marker>"), "{text}");
    let (status, text) = ask(&database, Method::POST, &query(91, 11), anonymous()).await;
    assert!(status == 400 && text.contains("<Code>InvalidInput</Code>"), "{text}");
}

/// Makes a role that everyone may do this with.
async fn role(database: &Database, name: &str, actions: &str) {
    let trust = format!(
        r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"*"}},"Action":{actions}}},"Version":"2012-10-17"}}"#
    );
    let query = format!("Action=CreateRole&RoleName={name}&AssumeRolePolicyDocument={}", percent_encoded(&trust));
    let (status, text) = ask(database, Method::POST, &query, anonymous()).await;
    assert_eq!(status, 200, "{text}");
}

/// Whoever has the credentials in an answer.
async fn whoever(database: &Database, text: &str) -> Caller {
    let of = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{text}"));
        rest.split('<').next().unwrap().to_owned()
    };
    let found = Identities::new().find(database, &of("AccessKeyId"), Some(&of("SessionToken"))).await;
    let credential = found.ok().flatten().unwrap();
    Caller { principal: Some(credential.principal), attached: credential.attached, ..anonymous() }
}

#[tokio::test]
async fn who_is_behind_a_session_and_its_transitive_tags_pass_on_to_the_next_role() {
    let database = Database::open(&OpenOptions::memory()).await.unwrap();
    let all = r#"["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]"#;
    role(&database, "one", all).await;
    role(&database, "two", all).await;
    role(&database, "plain", r#""sts:AssumeRole""#).await;
    let assume = |name: &str, more: &str| {
        format!("Action=AssumeRole&RoleSessionName=s1&RoleArn=arn:aws:iam::{ACCOUNT}:role/{name}{more}")
    };
    let tags = "&Tags.member.1.Key=Team&Tags.member.1.Value=blue&Tags.member.2.Key=Desk&Tags.member.2.Value=7";
    let marks = format!("{tags}&TransitiveTagKeys.member.1=team&SourceIdentity=alice");
    let (_, text) = ask(&database, Method::POST, &assume("one", &marks), anonymous()).await;
    let mut first = whoever(&database, &text).await;
    for role in ["two", "one"] {
        let (status, text) = ask(&database, Method::POST, &assume(role, ""), first).await;
        assert!(status == 200 && text.contains("<SourceIdentity>alice</SourceIdentity>"), "{text}");
        first = whoever(&database, &text).await;
        let principal = first.principal.as_ref().unwrap();
        assert_eq!(principal.tags, [("Team".into(), "blue".into())]);
        assert_eq!(principal.federated, [(SOURCE_IDENTITY.into(), "alice".into())]);
    }
    let one_tag = "&Tags.member.1.Key=TEAM&Tags.member.1.Value=red";
    for (name, more, status, said) in [
        ("two", "&SourceIdentity=bobby", 403, "SourceIdentity"),
        ("two", one_tag, 400, "conflicts with a transitive tag key"),
        ("two", "&TransitiveTagKeys.member.1=Other", 400, "must be included"),
        ("plain", "", 403, "is not authorized to perform: sts:TagSession"),
    ] {
        let (answered, text) = ask(&database, Method::POST, &assume(name, more), first.clone()).await;
        assert!(answered == status && text.contains(said), "{name}{more}: {text}");
    }
}
