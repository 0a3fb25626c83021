//! What authorization lets through and what not, asked of the operations themselves with callers made here.

mod attacks;
mod matrix;
mod resources;

use std::sync::Arc;

use http::HeaderMap;
use partita_auth::policy::{Attached, DocumentKind, Policy};
use partita_auth::{Principal, PrincipalKind};
use partita_db::{Database, Scope};
use partita_engine::OpenOptions;
use partita_expr::ParseCache;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::generated::operations::Operation;
use crate::operations::{Context, TriggerOperation, execute, execute_on_triggers};
use crate::sight::Observed;

const ACCOUNT: &str = "111122223333";
const OTHER: &str = "444455556666";
const TABLE: &str = "arn:aws:dynamodb:us-east-1:111122223333:table/Games";

/// A caller by account and name, with one policy; without a name it is the account's root.
fn caller(account: &str, name: &str, policy: Option<&Value>) -> Caller {
    let kind = match name {
        "" => PrincipalKind::Root,
        name => PrincipalKind::User { path: "/".into(), name: name.into() },
    };
    let principal = Principal {
        account: account.into(),
        kind,
        user_id: format!("AIDA{name}").into(),
        tags: Vec::new(),
        token_issued: None,
        federated: Vec::new(),
        transitive: Vec::new(),
    };
    let document = |policy: &Value| Arc::new(Policy::parse(&policy.to_string(), DocumentKind::Identity).unwrap());
    let attached = Attached { identity: policy.map(document).into_iter().collect(), ..Attached::default() };
    let scope = Scope { account: account.into(), region: "us-east-1".into() };
    let mut caller = Caller::unauthenticated(scope, Arc::new(attached));
    caller.principal = Some(Arc::new(principal));
    caller.source = Some([192, 0, 2, 7].into());
    caller
}

fn root() -> Caller {
    caller(ACCOUNT, "", None)
}

/// A user of the account with one policy.
fn user(policy: &Value) -> Caller {
    caller(ACCOUNT, "alice", Some(policy))
}

/// A policy of one statement that allows.
fn allow(actions: &Value, resources: &Value, condition: &Value) -> Value {
    let mut statement = json!({"Effect": "Allow", "Action": actions, "Resource": resources});
    if !condition.is_null() {
        statement["Condition"] = condition.clone();
    }
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

struct World {
    database: Database,
    expressions: ParseCache,
    headers: HeaderMap,
    observed: Observed,
}

impl World {
    /// A database with a table of two players' games, a local and two global indexes, and a stream.
    async fn new() -> Self {
        let database = Database::open(&OpenOptions::memory()).await.unwrap();
        let headers = HeaderMap::from_iter([(http::header::USER_AGENT, "suite/1".parse().unwrap())]);
        let world = Self { database, expressions: ParseCache::default(), headers, observed: Observed::default() };
        let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
        let defined = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
        world
            .ok(
                &root(),
                Operation::CreateTable,
                json!({
                    "TableName": "Games",
                    "KeySchema": [key("UserId", "HASH"), key("GameTitle", "RANGE")],
                    "AttributeDefinitions": [
                        defined("UserId"), defined("GameTitle"), defined("League"), defined("Country")],
                    "BillingMode": "PAY_PER_REQUEST",
                    "LocalSecondaryIndexes": [{
                        "IndexName": "by-league", "KeySchema": [key("UserId", "HASH"), key("League", "RANGE")],
                        "Projection": {"ProjectionType": "ALL"}}],
                    "GlobalSecondaryIndexes": [
                        {"IndexName": "by-title", "KeySchema": [key("GameTitle", "HASH")],
                         "Projection": {"ProjectionType": "ALL"}},
                        {"IndexName": "by-place", "KeySchema": [key("League", "HASH"), key("Country", "HASH")],
                         "Projection": {"ProjectionType": "ALL"}}],
                    "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
                }),
            )
            .await;
        for player in ["alice", "bob"] {
            for title in ["chess", "go"] {
                let item = json!({
                    "UserId": {"S": player}, "GameTitle": {"S": title}, "League": {"S": "first"},
                    "Country": {"S": "is"}, "Wins": {"N": "3"}, "Secret": {"M": {"deep": {"S": "s"}}},
                    "Tags": {"L": [{"S": "t"}]}});
                world.ok(&root(), Operation::PutItem, json!({"TableName": "Games", "Item": item})).await;
            }
        }
        world
    }

    async fn call(&self, caller: &Caller, operation: Operation, body: &Value) -> Result<Value, String> {
        let context = self.context(caller);
        answer(execute(&context, operation, body.to_string().as_bytes()).await)
    }

    async fn call_own(&self, caller: &Caller, operation: TriggerOperation, body: &Value) -> Result<Value, String> {
        let context = self.context(caller);
        answer(execute_on_triggers(&context, operation, body.to_string().as_bytes()).await)
    }

    fn context(&self, caller: &Caller) -> Context<'_> {
        Context {
            database: &self.database,
            expressions: &self.expressions,
            caller: caller.clone(),
            headers: &self.headers,
            observed: &self.observed,
        }
    }

    async fn ok(&self, caller: &Caller, operation: Operation, body: Value) -> Value {
        let answer = self.call(caller, operation, &body).await;
        answer.unwrap_or_else(|error| panic!("{} {body}: {error}", operation.name()))
    }

    /// The action and resource that a call is denied for; `None` when it is not denied, whatever else becomes of it.
    async fn denied(&self, caller: &Caller, operation: Operation, body: &Value) -> Option<(String, String)> {
        denial(self.call(caller, operation, body).await.err()?)
    }
}

fn answer(answer: Result<Vec<u8>, crate::Failure>) -> Result<Value, String> {
    match answer {
        Ok(answer) if answer.is_empty() => Ok(Value::Null),
        Ok(answer) => Ok(serde_json::from_slice(&answer).unwrap()),
        Err(failure) => {
            assert_eq!(failure.detail, None);
            Err(format!("{}: {}", failure.refusal.code.name(), failure.refusal.message))
        }
    }
}

/// What a message of `AccessDeniedException` says is denied.
fn denial(message: String) -> Option<(String, String)> {
    let rest = message.strip_prefix("AccessDeniedException: User: ")?;
    let (_, rest) = rest.split_once(" is not authorized to perform: ").unwrap();
    let (action, rest) = rest.split_once(" on resource: ").unwrap();
    let resource = rest.split(' ').next().unwrap();
    Some((action.to_owned(), resource.to_owned()))
}
