//! STS: who the caller is, and temporary credentials.

use std::collections::BTreeMap;
use std::iter;

use partita_auth::policy::{
    Access, Attached, Context, Decision, DocumentKind, Policy, evaluate_federated_trust, evaluate_trust,
};
use partita_auth::web_identity::{TokenError, Unverified};
use partita_auth::{Principal, PrincipalKind};
use partita_db::identity::{MAX_TAGS, Role, provider_arn};

use super::call::{Call, set_request_tags, set_resource_tags};
use super::fault::Fault;
use super::parameters::{ARN, CLIENT_TOKEN, EXTERNAL_ID, Parameters, SESSION_NAME, SESSION_POLICY, TAG_KEY};
use super::session::{Issued, Session, SessionOf, issue};
use super::xml::{Xml, timestamp};
use super::{Executing, roles};
use crate::identities::SOURCE_IDENTITY;

/// The shortest session, in seconds.
const LEAST_SECONDS: u32 = 900;
/// The length of a role's session when the request does not say, in seconds.
const USUAL_ROLE_SECONDS: u32 = 3600;
/// The longest session of a role that a role's session asks for, in seconds ("role chaining").
const MOST_CHAINED_SECONDS: u32 = 3600;
/// The length of a user's session when the request does not say, in seconds.
const USUAL_USER_SECONDS: u32 = 43_200;
/// The longest session of a user, in seconds.
const MOST_USER_SECONDS: u32 = 129_600;
/// The length and the longest of a session of an account's root, in seconds.
const ROOT_SECONDS: u32 = 3600;
/// The most managed policies that limit a session.
const MAX_POLICY_ARNS: usize = 10;

const OPERATIONS: [&str; 5] = ["GetCallerIdentity", "GetSessionToken", "AssumeRole", UNSIGNED, "GetAccessKeyInfo"];
/// The operation that needs no signature.
pub(super) const UNSIGNED: &str = "AssumeRoleWithWebIdentity";

/// Whether an operation is one of STS.
pub(super) fn is_operation(action: &str) -> bool {
    OPERATIONS.contains(&action)
}

/// The operation of a name.
pub(super) fn operation<'a>(action: &str, call: &'a Call<'_>, with: &'a mut Parameters) -> Option<Executing<'a>> {
    Some(match action {
        "GetCallerIdentity" => Box::pin(get_caller_identity(call)),
        "GetSessionToken" => Box::pin(get_session_token(call, with)),
        "AssumeRole" => Box::pin(assume_role(call, with)),
        UNSIGNED => Box::pin(assume_role_with_web_identity(call, with)),
        "GetAccessKeyInfo" => Box::pin(get_access_key_info(call, with)),
        _ => return None,
    })
}

/// `GetCallerIdentity`: allowed to everyone.
async fn get_caller_identity(call: &Call<'_>) -> Result<Option<Xml>, Fault> {
    let principal = call.principal();
    let mut xml = Xml::default();
    xml.text("Arn", &principal.arn());
    xml.text("UserId", &principal.user_id);
    xml.text("Account", &principal.account);
    Ok(Some(xml))
}

/// `GetAccessKeyInfo`: the account of an access key.
async fn get_access_key_info(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let id = with.required("AccessKeyId", super::parameters::KEY_ID);
    with.checked()?;
    call.allow("sts:GetAccessKeyInfo", "*", &[])?;
    let found = call.database.find_access_key(&id).await?;
    let key = found.ok_or_else(|| Fault::validation(format!("Access key {id} does not exist")))?;
    let mut xml = Xml::default();
    xml.text("Account", &key.account);
    Ok(Some(xml))
}

/// `GetSessionToken`: needs no permission.
async fn get_session_token(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let seconds = with.number("DurationSeconds", LEAST_SECONDS, MOST_USER_SECONDS);
    with.checked()?;
    let principal = call.principal();
    if principal.token_issued.is_some() {
        return Err(Fault::denied("Cannot call GetSessionToken with session credentials"));
    }
    let (of, seconds) = match &principal.kind {
        PrincipalKind::User { name, .. } => {
            let of = SessionOf::User { id: principal.user_id.to_string(), name: name.to_string() };
            (of, seconds.unwrap_or(USUAL_USER_SECONDS))
        }
        PrincipalKind::Root => (SessionOf::Root, seconds.unwrap_or(ROOT_SECONDS).min(ROOT_SECONDS)),
        PrincipalKind::AssumedRole { .. } => {
            return Err(Fault::denied("Cannot call GetSessionToken with session credentials"));
        }
    };
    let issued = issue(call.database, session(call, &principal.account, of, seconds, Limits::default()))?;
    let mut xml = Xml::default();
    write_credentials(&mut xml, &issued);
    Ok(Some(xml))
}

/// What limits and marks a session.
#[derive(Default)]
struct Limits {
    policies: Vec<String>,
    policy_arns: Vec<String>,
    tags: Vec<(String, String)>,
    transitive: Vec<String>,
    source_identity: Option<String>,
    federated: Vec<(String, String)>,
}

fn session(call: &Call<'_>, account: &str, of: SessionOf, seconds: u32, limits: Limits) -> Session {
    let Limits { policies, policy_arns, tags, transitive, source_identity, federated } = limits;
    Session {
        secret: String::new(),
        account: account.to_owned(),
        of,
        issued: call.now,
        expires: call.now.saturating_add(u64::from(seconds)),
        policies,
        policy_arns,
        tags,
        transitive,
        source_identity,
        federated,
    }
}

/// What both ways of assuming a role have in common.
struct Assuming {
    arn: String,
    session: String,
    policy: Option<String>,
    policy_arns: Vec<String>,
    seconds: Option<u32>,
}

impl Assuming {
    fn read(with: &mut Parameters) -> Self {
        Self {
            arn: with.required("RoleArn", ARN),
            session: with.required("RoleSessionName", SESSION_NAME),
            policy: with.optional("Policy", SESSION_POLICY),
            policy_arns: with.list_of("PolicyArns", "arn", MAX_POLICY_ARNS, ARN),
            seconds: with.number("DurationSeconds", LEAST_SECONDS, roles::MOST_SESSION),
        }
    }

    /// The account and the name in the role's ARN.
    fn role(&self) -> Result<(&str, &str), Fault> {
        let wrong = || Fault::validation(format!("{} is invalid", self.arn));
        let rest = self.arn.strip_prefix("arn:aws:iam::").ok_or_else(wrong)?;
        let (account, path) = rest.split_once(":role/").ok_or_else(wrong)?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let name = path.rsplit('/').next().unwrap_or_default();
        if is_account && !name.is_empty() { Ok((account, name)) } else { Err(wrong()) }
    }

    /// The role, if there is one with this very ARN.
    async fn find(&self, call: &Call<'_>) -> Result<Option<Role>, Fault> {
        let (account, name) = self.role()?;
        let found: Option<Role> = call.database.find_entity(account, name).await?;
        Ok(found.filter(|role| role.arn(account) == self.arn))
    }

    /// The session's length.
    fn seconds(&self, role: &Role, chained: bool) -> Result<u32, Fault> {
        let seconds = self.seconds.unwrap_or(USUAL_ROLE_SECONDS);
        if seconds > role.own.max_session_seconds {
            let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
            return Err(Fault::validation(message));
        }
        if chained && seconds > MOST_CHAINED_SECONDS {
            let message =
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
            return Err(Fault::validation(message));
        }
        Ok(seconds)
    }

    /// Checks the session policies.
    async fn check_policies(&self, call: &Call<'_>, account: &str) -> Result<(), Fault> {
        if let Some(document) = &self.policy {
            Policy::parse(document, DocumentKind::Identity).map_err(|error| Fault::malformed_policy(error.0))?;
        }
        let documents = call.database.policy_documents(account, &self.policy_arns).await?;
        for (arn, document) in self.policy_arns.iter().zip(documents) {
            if document.is_none() {
                return Err(Fault::malformed_policy(format!("PolicyArn {arn} does not exist")));
            }
        }
        Ok(())
    }

    /// Gives out the credentials and writes them.
    fn issue(self, call: &Call<'_>, role: &Role, limits: Limits, chained: bool) -> Result<(Xml, Issued), Fault> {
        let seconds = self.seconds(role, chained)?;
        let (account, _) = self.role()?;
        let account = account.to_owned();
        let limits = Limits { policies: self.policy.into_iter().collect(), policy_arns: self.policy_arns, ..limits };
        let of = SessionOf::Role { id: role.id.clone(), name: role.name.clone(), session: self.session.clone() };
        let issued = issue(call.database, session(call, &account, of, seconds, limits))?;
        let mut xml = Xml::default();
        write_credentials(&mut xml, &issued);
        xml.element("AssumedRoleUser", |xml| {
            xml.text("AssumedRoleId", &format!("{}:{}", role.id, self.session));
            xml.text("Arn", &format!("arn:aws:sts::{account}:assumed-role/{}/{}", role.name, self.session));
        });
        xml.plain("PackedPolicySize", issued.packed);
        Ok((xml, issued))
    }
}

/// What marks a session that is asked for: tags, and who is behind it. Both pass on from session to session.
struct Marks {
    tags: BTreeMap<String, String>,
    transitive: Vec<String>,
    source_identity: Option<String>,
}

impl Marks {
    fn read(with: &mut Parameters) -> Self {
        Self {
            source_identity: with.optional("SourceIdentity", SESSION_NAME),
            tags: with.tags(),
            transitive: with.list("TransitiveTagKeys", MAX_TAGS, TAG_KEY),
        }
    }

    /// The same with what passes on from the caller's own session, which a request can not change.
    fn after(mut self, caller: &Principal) -> Result<Self, Fault> {
        let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
        if self.transitive.iter().any(|key| !self.tags.keys().any(|tag| same(tag, key))) {
            let message = "The specified transitive tag key must be included in the requested tags.";
            return Err(Fault::validation(message));
        }
        for key in &caller.transitive {
            if self.tags.keys().any(|tag| same(tag, key)) {
                let message = "One of the specified transitive tag keys can't be set because it conflicts with a \
                               transitive tag key from the calling session.";
                return Err(Fault::validation(message));
            }
            if let Some((key, value)) = caller.tags.iter().find(|(tag, _)| same(tag, key)) {
                self.tags.insert(key.to_string(), value.to_string());
                self.transitive.push(key.to_string());
            }
        }
        if self.tags.len() > MAX_TAGS {
            return Err(Fault::validation(format!("A session has at most {MAX_TAGS} tags")));
        }
        let inherited = caller.federated.iter().find(|(key, _)| &**key == SOURCE_IDENTITY);
        if let Some((_, inherited)) = inherited {
            if self.source_identity.as_deref().is_some_and(|given| *given != **inherited) {
                return Err(Fault::denied("The SourceIdentity of a session can not be changed by the next role"));
            }
            self.source_identity = Some(inherited.to_string());
        }
        Ok(self)
    }

    /// The actions that setting them is, beside assuming the role.
    fn actions(&self) -> impl Iterator<Item = &'static str> {
        let tags = (!self.tags.is_empty()).then_some("sts:TagSession");
        tags.into_iter().chain(self.source_identity.is_some().then_some("sts:SetSourceIdentity"))
    }

    /// Puts the keys of a request with these into its context.
    fn tell(&self, context: &mut Context) {
        if let Some(identity) = &self.source_identity {
            context.set("sts:SourceIdentity", identity.as_str());
        }
        if !self.transitive.is_empty() {
            context.set_all("sts:TransitiveTagKeys", self.transitive.clone());
        }
        set_request_tags(context, self.tags.iter());
    }

    fn limits(self) -> Limits {
        let Self { tags, transitive, source_identity } = self;
        Limits { tags: tags.into_iter().collect(), transitive, source_identity, ..Limits::default() }
    }
}

/// `AssumeRole`.
async fn assume_role(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let assuming = Assuming::read(with);
    let external_id = with.optional("ExternalId", EXTERNAL_ID);
    let marks = Marks::read(with);
    with.checked()?;
    let (account, _) = assuming.role()?;
    let role = assuming.find(call).await?;
    let principal = call.principal();
    let marks = marks.after(&principal)?;
    let role = match (role, &call.caller.principal) {
        (Some(role), None) => role,
        (None, None) => return Err(Fault::missing(format!("Role {} cannot be found.", assuming.arn))),
        (role, Some(principal)) => {
            if principal.kind == PrincipalKind::Root {
                return Err(Fault::denied("Roles may not be assumed by root accounts."));
            }
            let mut context = call.context();
            context.set("sts:RoleSessionName", assuming.session.as_str());
            if let Some(id) = &external_id {
                context.set("sts:ExternalId", id.as_str());
            }
            marks.tell(&mut context);
            // Tags and source identities are permissions of their own, also those that pass on.
            let asked = Asked { principal, attached: &call.caller.attached, account, arn: &assuming.arn };
            for action in iter::once("sts:AssumeRole").chain(marks.actions()) {
                asked.allow(action, &mut context, role.as_ref())?;
            }
            // Without a role nothing was allowed.
            role.ok_or_else(|| asked.denied("sts:AssumeRole"))?
        }
    };
    assuming.check_policies(call, account).await?;
    let chained = matches!(principal.kind, PrincipalKind::AssumedRole { .. });
    let source_identity = marks.source_identity.clone();
    let (mut xml, _) = assuming.issue(call, &role, marks.limits(), chained)?;
    xml.text_if("SourceIdentity", source_identity.as_deref());
    Ok(Some(xml))
}

/// Who asks for which role.
struct Asked<'a> {
    principal: &'a Principal,
    attached: &'a Attached,
    account: &'a str,
    arn: &'a str,
}

impl Asked<'_> {
    /// Checks that the caller's policies and the role's trust policy allow this.
    fn allow(&self, action: &str, context: &mut Context, role: Option<&Role>) -> Result<(), Fault> {
        let Some(role) = role else { return Err(self.denied(action)) };
        set_resource_tags(context, &role.tags);
        let trust = parse_trust(role)?;
        let access =
            Access { principal: self.principal, action, resource: self.arn, resource_account: self.account, context };
        match evaluate_trust(&access, self.attached, &trust) {
            Decision::Allowed => Ok(()),
            // Why is not told: nor is it when there is no such role.
            Decision::Denied(_) => Err(self.denied(action)),
        }
    }

    fn denied(&self, action: &str) -> Fault {
        let caller = self.principal.arn();
        Fault::denied(format!("User: {caller} is not authorized to perform: {action} on resource: {}", self.arn))
    }
}

fn parse_trust(role: &Role) -> Result<Policy, Fault> {
    Policy::parse(&role.own.trust, DocumentKind::Trust)
        .map_err(|error| Fault::internal(format!("a stored trust policy can not be read: {error}")))
}

/// `AssumeRoleWithWebIdentity`: unsigned; the token is the proof.
async fn assume_role_with_web_identity(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let assuming = Assuming::read(with);
    let token = with.required("WebIdentityToken", CLIENT_TOKEN);
    with.checked()?;
    let (account, _) = assuming.role()?;
    let unverified = Unverified::parse(&token).map_err(|error| invalid_token(&error, call.now))?;
    let issuer = unverified.issuer();
    let provider_arn = provider_arn(account, issuer);
    let found =
        if provider_arn.len() > 2048 { None } else { call.database.provider(account, &provider_arn).await.ok() };
    let provider = found.filter(|provider| provider.url == issuer).ok_or_else(|| {
        let message = format!("No OpenIDConnect provider found in your account for {issuer:.255}");
        Fault::new(400, "InvalidIdentityToken", message)
    })?;
    let mut verified = Err(TokenError::UnknownKey);
    for newer in [false, true] {
        let keys = call.issuers.keys(issuer, newer).await.map_err(|error| {
            tracing::warn!(issuer, error, "the keys of an OpenID Connect issuer can not be had");
            Fault::new(400, "IDPCommunicationError", "Couldn't retrieve verification key from your identity provider")
        })?;
        verified = unverified.verify(&keys, &provider.url, &provider.client_ids, call.now);
        // The issuer may have new keys since it was asked.
        if verified != Err(TokenError::UnknownKey) {
            break;
        }
    }
    let claims = verified.map_err(|error| invalid_token(&error, call.now))?;

    let denied = || Fault::denied("Not authorized to perform sts:AssumeRoleWithWebIdentity");
    let role = assuming.find(call).await?.ok_or_else(denied)?;
    let name = provider.url.split_once("://").map_or(provider.url.as_str(), |(_, name)| name);
    let mut context = call.context();
    let federated =
        vec![(format!("{name}:sub"), claims.subject.clone()), (format!("{name}:aud"), claims.audience.clone())];
    for (key, value) in &federated {
        context.set(key, value.as_str());
    }
    if !claims.methods.is_empty() {
        context.set_all(&format!("{name}:amr"), claims.methods.clone());
    }
    context.set("aws:FederatedProvider", provider_arn.as_str());
    context.set("sts:RoleSessionName", assuming.session.as_str());
    let trust = parse_trust(&role)?;
    if !evaluate_federated_trust(&provider_arn, "sts:AssumeRoleWithWebIdentity", &context, &trust).is_allowed() {
        return Err(denied());
    }
    assuming.check_policies(call, account).await?;
    let federated =
        [(("aws:FederatedProvider").to_owned(), provider_arn.clone())].into_iter().chain(federated).collect();
    let (mut xml, _) = assuming.issue(call, &role, Limits { federated, ..Limits::default() }, false)?;
    xml.text("SubjectFromWebIdentityToken", &claims.subject);
    xml.text("Provider", &provider_arn);
    xml.text("Audience", &claims.audience);
    Ok(Some(xml))
}

fn invalid_token(error: &TokenError, now: u64) -> Fault {
    match error {
        TokenError::Expired(expired) => {
            let (now, expired) = (timestamp(now), timestamp(*expired));
            let message =
                format!("Token expired: current date/time {now} must be before the expiration date/time {expired}");
            Fault::new(400, "ExpiredTokenException", message)
        }
        other => Fault::new(400, "InvalidIdentityToken", other.to_string()),
    }
}

fn write_credentials(xml: &mut Xml, issued: &Issued) {
    xml.element("Credentials", |xml| {
        xml.text("AccessKeyId", &issued.access_key_id);
        xml.text("SecretAccessKey", &issued.secret);
        xml.text("SessionToken", &issued.token);
        xml.text("Expiration", &timestamp(issued.expires));
    });
}
