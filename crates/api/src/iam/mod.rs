//! The query APIs of IAM and STS, as far as Partita has identities: form-urlencoded requests, XML answers.
//!
//! `query` reads a request, `parameters` checks it against the model, `call` is who asks and what they may, `xml` writes
//! answers, `fault` refusals. One file for each family of operations: `entities` for what users, groups and roles share,
//! `users`, `groups`, `roles`, `held` for the policies they hold, `policies`, `keys`, `providers`, `account`, `sts`.
//! `session` is what temporary credentials are, `issuers` whose tokens stand for people. What is kept, and IAM's rules on
//! it, are in `partita_db::identity`.

mod account;
mod call;
mod entities;
mod fault;
mod groups;
mod held;
mod issuers;
mod keys;
mod parameters;
mod policies;
mod providers;
mod query;
mod roles;
pub(crate) mod session;
mod sts;
#[cfg(test)]
mod tests;
mod users;
mod xml;

use std::pin::Pin;

use http::Method;
use partita_auth::{Principal, PrincipalKind};
use partita_db::Database;
use partita_db::identity::{GroupPart, RolePart, UserPart};

use self::call::Call;
use self::fault::Fault;
pub use self::issuers::{Fetch, Issuers, JwksError};
use self::parameters::Parameters;
use self::query::Query;
use self::xml::Xml;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::http::{Request, Response};

/// The media type of requests.
const FORM: &str = "application/x-www-form-urlencoded";
/// The media type of answers.
const XML: &str = "text/xml";

/// One of the two query APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Iam,
    Sts,
}

impl Api {
    const fn version(self) -> &'static str {
        match self {
            Self::Iam => "2010-05-08",
            Self::Sts => "2011-06-15",
        }
    }

    /// The services that its requests are signed for.
    const fn services(self) -> &'static [&'static str] {
        match self {
            Self::Iam => &["iam"],
            Self::Sts => &["sts"],
        }
    }

    const fn namespace(self) -> &'static str {
        match self {
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }
}

/// Whether a request is one of the query APIs.
pub(crate) fn is_query(request: &Request) -> bool {
    if request.method == Method::POST {
        let media_type = request.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        media_type.is_some_and(|value| value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM))
    } else {
        request.method == Method::GET && request.uri.query().is_some_and(|query| query.contains("Action="))
    }
}

/// What the query APIs work with.
#[derive(Clone, Copy)]
pub(crate) struct Rooms<'a> {
    pub(crate) database: &'a Database,
    pub(crate) issuers: &'a Issuers,
}

/// Answers a request of the query APIs. `authenticate` tells who signed it for one of some services; `anonymous` is the
/// caller of an operation that needs no signature.
pub(crate) async fn answer<F>(
    rooms: Rooms<'_>,
    request: &Request,
    authenticate: impl FnOnce(&'static [&'static str]) -> F + Send,
    anonymous: Caller,
) -> Response
where
    F: Future<Output = Result<Caller, Failure>> + Send,
{
    let parsed = match request.method {
        Method::GET => Query::parse(request.uri.query().unwrap_or_default().as_bytes()),
        _ => Query::parse(&request.body),
    };
    let (api, outcome) = match parsed {
        Err(fault) => (Api::Iam, Err(fault)),
        Ok(query) => {
            let api = api_of(&query);
            let action = query.get("Action").unwrap_or_default().to_owned();
            let by_url = request.method == Method::GET;
            let outcome = execute(rooms, api, query, by_url, authenticate, anonymous).await;
            (api, outcome.map(|result| (action, result)))
        }
    };
    match outcome {
        Ok((action, result)) => success(api, &action, result, &request.request_id),
        Err(fault) => failure(api, fault, &request.request_id),
    }
}

/// The API that a request is for: by its version, else by its operation.
fn api_of(query: &Query) -> Api {
    match query.get("Version") {
        Some(version) if version == Api::Sts.version() => Api::Sts,
        Some(_) => Api::Iam,
        None if sts::is_operation(query.get("Action").unwrap_or_default()) => Api::Sts,
        None => Api::Iam,
    }
}

async fn execute<F>(
    rooms: Rooms<'_>,
    api: Api,
    query: Query,
    by_url: bool,
    authenticate: impl FnOnce(&'static [&'static str]) -> F + Send,
    anonymous: Caller,
) -> Result<Option<Xml>, Fault>
where
    F: Future<Output = Result<Caller, Failure>> + Send,
{
    let action = query.get("Action").unwrap_or_default().to_owned();
    let unsigned = api == Api::Sts && action == sts::UNSIGNED;
    let caller = if unsigned { anonymous } else { authenticate(api.services()).await? };
    match &caller.principal {
        // Any page can have a browser get any URL; only a signature says that somebody means it.
        None if by_url => {
            let message = "A request in the query of a URL has to be signed. Others are sent with POST.";
            return Err(Fault::new(405, "MethodNotAllowed", message));
        }
        Some(principal) if !may_ask(principal, api, &action) => {
            return Err(Fault::denied(format!("Cannot call {action:.64} with session credentials")));
        }
        _ => {}
    }
    if action.is_empty() {
        return Err(Fault::new(400, "MissingAction", "The request is missing an action or a required parameter"));
    }
    let version = query.get("Version").unwrap_or_else(|| api.version()).to_owned();
    let call = Call::new(rooms, caller);
    let mut parameters = Parameters::new(query);
    let executing = if version == api.version() { operation(api, &action, &call, &mut parameters) } else { None };
    match executing {
        Some(executing) => executing.await,
        None => {
            let message = format!("Could not find operation {action:.64} for version {version:.32}");
            Err(Fault::new(400, "InvalidAction", message))
        }
    }
}

/// Whether an operation can be asked for by such a caller at all. Sessions of users and of the root, which nothing but
/// `GetSessionToken` gives out, can not ask for what would outlast them: nothing of IAM, as there is no multi-factor
/// authentication, and of STS only these.
fn may_ask(principal: &Principal, api: Api, action: &str) -> bool {
    let of_session_token =
        principal.token_issued.is_some() && !matches!(principal.kind, PrincipalKind::AssumedRole { .. });
    !of_session_token || api == Api::Sts && matches!(action, "AssumeRole" | "GetCallerIdentity")
}

/// An operation that is being executed. `None` is the answer of operations that tell nothing.
type Executing<'a> = Pin<Box<dyn Future<Output = Result<Option<Xml>, Fault>> + Send + 'a>>;

/// The operation of a name.
fn operation<'a>(api: Api, action: &str, call: &'a Call<'_>, with: &'a mut Parameters) -> Option<Executing<'a>> {
    match api {
        Api::Sts => sts::operation(action, call, with),
        Api::Iam => iam_operation(action, call, with),
    }
}

fn iam_operation<'a>(action: &str, call: &'a Call<'_>, with: &'a mut Parameters) -> Option<Executing<'a>> {
    Some(match action {
        "CreateUser" => Box::pin(users::create(call, with)),
        "GetUser" => Box::pin(users::get(call, with)),
        "ListUsers" => Box::pin(users::list(call, with)),
        "UpdateUser" => Box::pin(users::update(call, with)),
        "DeleteUser" => Box::pin(users::delete(call, with)),
        "ListGroupsForUser" => Box::pin(users::list_groups(call, with)),
        "CreateAccessKey" => Box::pin(keys::create(call, with)),
        "ListAccessKeys" => Box::pin(keys::list(call, with)),
        "UpdateAccessKey" => Box::pin(keys::update(call, with)),
        "DeleteAccessKey" => Box::pin(keys::delete(call, with)),
        "GetAccessKeyLastUsed" => Box::pin(keys::last_used(call, with)),
        "CreateGroup" => Box::pin(groups::create(call, with)),
        "GetGroup" => Box::pin(groups::get(call, with)),
        "ListGroups" => Box::pin(groups::list(call, with)),
        "DeleteGroup" => Box::pin(groups::delete(call, with)),
        "AddUserToGroup" => Box::pin(groups::add_user(call, with)),
        "RemoveUserFromGroup" => Box::pin(groups::remove_user(call, with)),
        "CreateRole" => Box::pin(roles::create(call, with)),
        "GetRole" => Box::pin(roles::get(call, with)),
        "ListRoles" => Box::pin(roles::list(call, with)),
        "UpdateRole" => Box::pin(roles::update(call, with)),
        "UpdateRoleDescription" => Box::pin(roles::update_description(call, with)),
        "UpdateAssumeRolePolicy" => Box::pin(roles::update_trust(call, with)),
        "DeleteRole" => Box::pin(roles::delete(call, with)),
        "PutUserPolicy" => Box::pin(held::put_inline::<UserPart>(call, with)),
        "PutGroupPolicy" => Box::pin(held::put_inline::<GroupPart>(call, with)),
        "PutRolePolicy" => Box::pin(held::put_inline::<RolePart>(call, with)),
        "GetUserPolicy" => Box::pin(held::get_inline::<UserPart>(call, with)),
        "GetGroupPolicy" => Box::pin(held::get_inline::<GroupPart>(call, with)),
        "GetRolePolicy" => Box::pin(held::get_inline::<RolePart>(call, with)),
        "DeleteUserPolicy" => Box::pin(held::delete_inline::<UserPart>(call, with)),
        "DeleteGroupPolicy" => Box::pin(held::delete_inline::<GroupPart>(call, with)),
        "DeleteRolePolicy" => Box::pin(held::delete_inline::<RolePart>(call, with)),
        "ListUserPolicies" => Box::pin(held::list_inline::<UserPart>(call, with)),
        "ListGroupPolicies" => Box::pin(held::list_inline::<GroupPart>(call, with)),
        "ListRolePolicies" => Box::pin(held::list_inline::<RolePart>(call, with)),
        "AttachUserPolicy" => Box::pin(held::attach::<UserPart>(call, with)),
        "AttachGroupPolicy" => Box::pin(held::attach::<GroupPart>(call, with)),
        "AttachRolePolicy" => Box::pin(held::attach::<RolePart>(call, with)),
        "DetachUserPolicy" => Box::pin(held::detach::<UserPart>(call, with)),
        "DetachGroupPolicy" => Box::pin(held::detach::<GroupPart>(call, with)),
        "DetachRolePolicy" => Box::pin(held::detach::<RolePart>(call, with)),
        "ListAttachedUserPolicies" => Box::pin(held::list_attached::<UserPart>(call, with)),
        "ListAttachedGroupPolicies" => Box::pin(held::list_attached::<GroupPart>(call, with)),
        "ListAttachedRolePolicies" => Box::pin(held::list_attached::<RolePart>(call, with)),
        "PutUserPermissionsBoundary" => Box::pin(held::put_boundary::<UserPart>(call, with)),
        "PutRolePermissionsBoundary" => Box::pin(held::put_boundary::<RolePart>(call, with)),
        "DeleteUserPermissionsBoundary" => Box::pin(held::delete_boundary::<UserPart>(call, with)),
        "DeleteRolePermissionsBoundary" => Box::pin(held::delete_boundary::<RolePart>(call, with)),
        "TagUser" => Box::pin(entities::tag::<UserPart>(call, with)),
        "TagRole" => Box::pin(entities::tag::<RolePart>(call, with)),
        "UntagUser" => Box::pin(entities::untag::<UserPart>(call, with)),
        "UntagRole" => Box::pin(entities::untag::<RolePart>(call, with)),
        "ListUserTags" => Box::pin(entities::list_tags::<UserPart>(call, with)),
        "ListRoleTags" => Box::pin(entities::list_tags::<RolePart>(call, with)),
        "CreatePolicy" => Box::pin(policies::create(call, with)),
        "GetPolicy" => Box::pin(policies::get(call, with)),
        "ListPolicies" => Box::pin(policies::list(call, with)),
        "DeletePolicy" => Box::pin(policies::delete(call, with)),
        "CreatePolicyVersion" => Box::pin(policies::create_version(call, with)),
        "GetPolicyVersion" => Box::pin(policies::get_version(call, with)),
        "ListPolicyVersions" => Box::pin(policies::list_versions(call, with)),
        "DeletePolicyVersion" => Box::pin(policies::delete_version(call, with)),
        "SetDefaultPolicyVersion" => Box::pin(policies::set_default_version(call, with)),
        "ListEntitiesForPolicy" => Box::pin(policies::list_entities(call, with)),
        "ListPolicyTags" => Box::pin(policies::list_tags(call, with)),
        "CreateOpenIDConnectProvider" => Box::pin(providers::create(call, with)),
        "GetOpenIDConnectProvider" => Box::pin(providers::get(call, with)),
        "ListOpenIDConnectProviders" => Box::pin(providers::list(call, with)),
        "DeleteOpenIDConnectProvider" => Box::pin(providers::delete(call, with)),
        "GetAccountSummary" => Box::pin(account::summary(call, with)),
        "ListAccountAliases" => Box::pin(account::list_aliases(call, with)),
        "ListInstanceProfilesForRole" => Box::pin(account::list_instance_profiles(call, with)),
        "SimulatePrincipalPolicy" => Box::pin(account::simulate(call, with)),
        _ => return None,
    })
}

fn success(api: Api, action: &str, result: Option<Xml>, request_id: &str) -> Response {
    let mut xml = Xml::default();
    if let Some(result) = result {
        xml.element(&format!("{action}Result"), |xml| xml.append(result));
    }
    xml.element("ResponseMetadata", |xml| xml.text("RequestId", request_id));
    Response::new(200, XML, xml.rooted(&format!("{action}Response"), api.namespace()))
}

fn failure(api: Api, fault: Fault, request_id: &str) -> Response {
    if let Some(detail) = &fault.detail {
        tracing::error!(request_id, detail, "failed inside");
    }
    let mut xml = Xml::default();
    xml.element("Error", |xml| {
        xml.text("Type", if fault.is_senders() { "Sender" } else { "Receiver" });
        xml.text("Code", fault.code);
        xml.text("Message", &fault.message);
    });
    xml.text("RequestId", request_id);
    Response::new(fault.status, XML, xml.rooted("ErrorResponse", api.namespace()))
}
