//! Who owns an access key: its secret, the principal behind it, and the policies that hold for it.
//!
//! What was found is kept with the catalog token, which every change of an identity or a policy moves on: so such a
//! change holds from the next request on, and requests between two changes read nothing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use partita_auth::policy::{Attached, DocumentKind, Policy};
pub use partita_auth::sigv4::SecretKey;
use partita_auth::{Principal, PrincipalKind};
use partita_db::identity::{
    CallerFacts, KeyFacts, LAST_USE_GRAIN_MS, LastUse, RolePart, TEMPORARY_KEY_PREFIX, UserPart,
};
use partita_db::{CatalogToken, Database};
use quick_cache::sync::Cache;

use crate::failure::Failure;
use crate::iam::session::{self, Session, SessionOf};
use crate::identity::DEFAULT_ACCOUNT;

/// The longest id of an access key that is looked for, in bytes (IAM's `accessKeyIdType`).
const MAX_KEY_ID: usize = 128;
/// How many access keys are kept at most.
const MAX_KEPT_KEYS: usize = 4_096;
/// How many parsed policies are kept at most.
const MAX_KEPT_POLICIES: usize = 4_096;
/// What holds where a policy should limit that is gone.
const NOTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;

/// The key of who is behind a session.
pub(crate) const SOURCE_IDENTITY: &str = "aws:SourceIdentity";

/// What an access key stands for.
#[derive(Clone)]
pub struct Credential {
    /// What its requests are signed with.
    pub secret: SecretKey,
    /// Who signs with it.
    pub principal: Arc<Principal>,
    /// The policies that hold for its requests.
    pub attached: Arc<Attached>,
    /// Whether it may be used at present.
    pub active: bool,
    /// For temporary credentials, when they end, in seconds since the epoch.
    pub expires: Option<u64>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("principal", &self.principal.arn()).finish_non_exhaustive()
    }
}

/// All access keys that a server knows.
#[derive(Debug)]
pub struct Identities {
    root: Option<(String, Credential)>,
    /// Access keys by their ids, with what they stood for when they were read.
    keys: Cache<Box<str>, Arc<Key>>,
    /// Policies by their documents: most are shared by many.
    policies: Cache<Box<str>, Arc<Policy>>,
}

impl Default for Identities {
    fn default() -> Self {
        Self { root: None, keys: Cache::new(MAX_KEPT_KEYS), policies: Cache::new(MAX_KEPT_POLICIES) }
    }
}

#[derive(Debug)]
struct Key {
    /// The catalog's token when it was read. It holds as long as that is the token.
    token: CatalogToken,
    credential: Credential,
    /// The session token that it came with.
    session_token: Option<Box<str>>,
    /// When its use was last noted, in milliseconds since the epoch.
    noted_ms: AtomicU64,
}

impl Identities {
    /// No access keys but those in the store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one access key of the default account's root, which is in no store.
    #[must_use]
    pub fn with_root(mut self, access_key_id: impl Into<String>, secret: SecretKey) -> Self {
        let principal = Arc::new(root(DEFAULT_ACCOUNT, None));
        let credential = Credential { secret, principal, attached: Arc::default(), active: true, expires: None };
        self.root = Some((access_key_id.into(), credential));
        self
    }

    /// What an access key stands for; `None` if there is no such key, or it does not go with the session token.
    ///
    /// # Errors
    /// `InternalServerError` if the store can not be read.
    pub async fn find(
        &self,
        database: &Database,
        access_key_id: &str,
        session_token: Option<&str>,
    ) -> Result<Option<Credential>, Failure> {
        if let Some((_, credential)) = self.root.as_ref().filter(|(id, _)| id == access_key_id) {
            return Ok(session_token.is_none().then(|| credential.clone()));
        }
        if access_key_id.len() > MAX_KEY_ID {
            return Ok(None);
        }
        let token = database.catalog_token().await?;
        if let Some(key) = self.keys.get(access_key_id)
            && key.token == token
            && key.session_token.as_deref() == session_token
        {
            return Ok(Some(key.credential.clone()));
        }
        let read = match session_token {
            Some(session_token) => self.read_session(database, access_key_id, session_token).await?,
            // Ids of temporary credentials are in no store.
            None if access_key_id.starts_with(TEMPORARY_KEY_PREFIX) => None,
            None => self.read_key(database, access_key_id).await?,
        };
        let Some(key) = read else { return Ok(None) };
        let credential = key.credential.clone();
        self.keys.insert(access_key_id.into(), Arc::new(key));
        Ok(Some(credential))
    }

    /// Whether anyone could sign a request at all.
    ///
    /// # Errors
    /// `InternalServerError` if the store can not be read.
    pub async fn any(&self, database: &Database) -> Result<bool, Failure> {
        Ok(self.root.is_some() || database.has_access_keys().await?)
    }

    /// Notes that a lasting access key was used, a few minutes after the last note at the earliest. Never waits.
    pub fn note_use(&self, database: &Database, access_key_id: &str, region: &str, service: &str) {
        let Some(key) = self.keys.get(access_key_id).filter(|key| key.session_token.is_none()) else { return };
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let now_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
        let noted_ms = key.noted_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(noted_ms) < LAST_USE_GRAIN_MS {
            return;
        }
        // Whoever moves the time on writes it.
        if key.noted_ms.compare_exchange(noted_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let (database, id) = (database.clone(), access_key_id.to_owned());
        let last_use = LastUse { at_ms: now_ms, region: region.to_owned(), service: service.to_owned() };
        tokio::spawn(async move {
            if let Err(error) = database.note_use(&id, &last_use).await {
                tracing::warn!(%error, "the use of an access key could not be noted");
            }
        });
    }

    async fn read_key(&self, database: &Database, id: &str) -> Result<Option<Key>, Failure> {
        let (token, facts) = database.key_facts(id).await?;
        let Some(KeyFacts { account, secret, active, user, last_used_ms }) = facts else { return Ok(None) };
        let (principal, attached) = match &user {
            None => (root(&account, None), Attached::default()),
            Some(facts) => (user_principal(&account, facts, None), attached(facts, |document| self.policy(document))?),
        };
        let credential = Credential {
            secret: SecretKey::new(&secret),
            principal: Arc::new(principal),
            attached: Arc::new(attached),
            active,
            expires: None,
        };
        Ok(Some(Key { token, credential, session_token: None, noted_ms: AtomicU64::new(last_used_ms) }))
    }

    async fn read_session(&self, database: &Database, id: &str, session_token: &str) -> Result<Option<Key>, Failure> {
        let Some(session) = session::open(database, id, session_token) else { return Ok(None) };
        let policy = |document: &str| self.policy(document);
        let (token, principal, mut attached) = match &session.of {
            SessionOf::Root => {
                (database.catalog_token().await?, root(&session.account, Some(&session)), Attached::default())
            }
            SessionOf::User { id, name } => {
                let (token, facts) = database.user_facts(&session.account, name).await?;
                let Some(facts) = facts.filter(|facts| facts.entity.id == *id) else { return Ok(None) };
                (token, user_principal(&session.account, &facts, Some(&session)), attached(&facts, policy)?)
            }
            SessionOf::Role { id, name, session: session_name } => {
                let (token, facts) = database.role_facts(&session.account, name).await?;
                let Some(facts) = facts.filter(|facts| facts.entity.id == *id) else { return Ok(None) };
                let principal = role_principal(&session.account, &facts, session_name, &session);
                (token, principal, attached(&facts, policy)?)
            }
        };
        let arns = database.policy_documents(&session.account, &session.policy_arns).await?;
        // A policy that is gone must not set the session free.
        let documents = arns.into_iter().map(|document| document.unwrap_or_else(|| NOTHING.to_owned()));
        for document in session.policies.iter().cloned().chain(documents) {
            attached.session.push(policy(&document)?);
        }
        let credential = Credential {
            secret: SecretKey::new(&session.secret),
            principal: Arc::new(principal),
            attached: Arc::new(attached),
            active: true,
            expires: Some(session.expires),
        };
        let session_token = Some(session_token.into());
        Ok(Some(Key { token, credential, session_token, noted_ms: AtomicU64::new(0) }))
    }

    /// How many access keys are kept.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.keys.len()
    }

    /// A policy by its document, parsed once.
    fn policy(&self, document: &str) -> Result<Arc<Policy>, Failure> {
        if let Some(policy) = self.policies.get(document) {
            return Ok(policy);
        }
        let policy = Arc::new(parse(document)?);
        self.policies.insert(document.into(), Arc::clone(&policy));
        Ok(policy)
    }
}

/// The policies that hold for a user or role, each parsed by `policy`.
fn attached<P>(
    facts: &CallerFacts<P>,
    policy: impl Fn(&str) -> Result<Arc<Policy>, Failure>,
) -> Result<Attached, Failure> {
    let mut attached = Attached::default();
    for document in &facts.documents {
        attached.identity.push(policy(document)?);
    }
    if let Some(document) = &facts.boundary {
        let document = if document.is_empty() { NOTHING } else { document };
        attached.boundary = Some(policy(document)?);
    }
    Ok(attached)
}

/// A user or role as the caller of a simulation, by its ARN.
pub(crate) async fn simulated(
    database: &Database,
    account: &str,
    arn: &str,
) -> Result<Option<(Principal, Attached)>, Failure> {
    let alone = |document: &str| parse(document).map(Arc::new);
    let Some(path) = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_prefix(account)) else {
        return Ok(None);
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let found = if path.starts_with(":user/") {
        let (_, facts) = database.user_facts(account, name).await?;
        let Some(facts) = facts.filter(|facts| facts.entity.arn(account) == arn) else { return Ok(None) };
        (user_principal(account, &facts, None), attached(&facts, alone)?)
    } else if path.starts_with(":role/") {
        let (_, facts) = database.role_facts(account, name).await?;
        let Some(facts) = facts.filter(|facts| facts.entity.arn(account) == arn) else { return Ok(None) };
        let attached = attached(&facts, alone)?;
        let kind = PrincipalKind::AssumedRole {
            path: facts.entity.path.as_str().into(),
            role: facts.entity.name.as_str().into(),
            session: "simulated".into(),
        };
        let user_id = format!("{}:simulated", facts.entity.id).into();
        (Principal { kind, user_id, ..principal(account, None) }, attached)
    } else {
        return Ok(None);
    };
    Ok(Some(found))
}

fn parse(document: &str) -> Result<Policy, Failure> {
    // What is stored was checked when it came; the kind that takes most is right for all.
    Policy::parse(document, DocumentKind::Identity)
        .map_err(|error| Failure::internal(format!("a stored policy can not be read: {error}")))
}

/// What all principals of an account have in common.
fn principal(account: &str, session: Option<&Session>) -> Principal {
    let pairs = |pairs: &[(String, String)]| {
        pairs.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
    };
    let texts = |session: &Session| session.transitive.iter().map(|key| key.as_str().into()).collect();
    let mut federated: Vec<_> = session.map(|session| pairs(&session.federated)).unwrap_or_default();
    let source = session.and_then(|session| session.source_identity.as_deref());
    federated.extend(source.map(|source| (SOURCE_IDENTITY.into(), source.into())));
    Principal {
        account: account.into(),
        kind: PrincipalKind::Root,
        user_id: account.into(),
        tags: Vec::new(),
        token_issued: session.map(|session| session.issued),
        federated,
        transitive: session.map(texts).unwrap_or_default(),
    }
}

fn root(account: &str, session: Option<&Session>) -> Principal {
    principal(account, session)
}

fn user_principal(account: &str, facts: &CallerFacts<UserPart>, session: Option<&Session>) -> Principal {
    let user = &facts.entity;
    let kind = PrincipalKind::User { path: user.path.as_str().into(), name: user.name.as_str().into() };
    let tags = user.tags.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
    Principal { kind, user_id: user.id.as_str().into(), tags, ..principal(account, session) }
}

fn role_principal(account: &str, facts: &CallerFacts<RolePart>, session_name: &str, session: &Session) -> Principal {
    let role = &facts.entity;
    let kind = PrincipalKind::AssumedRole {
        path: role.path.as_str().into(),
        role: role.name.as_str().into(),
        session: session_name.into(),
    };
    // Tags of the session stand above those of the role; keys are told apart without regard to case.
    let own = role
        .tags
        .iter()
        .filter(|(key, _)| !session.tags.iter().any(|(over, _)| over.to_lowercase() == key.to_lowercase()));
    let tags = session.tags.iter().map(|(key, value)| (key, value)).chain(own);
    let tags = tags.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
    let user_id = format!("{}:{session_name}", role.id).into();
    Principal { kind, user_id, tags, ..principal(account, Some(session)) }
}
