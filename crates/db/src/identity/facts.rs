//! What a request's access key stands for, as one snapshot sees it: whose it is, and all documents that hold for them.

use partita_engine::{CatalogToken, Freshness};

use super::builtin::builtin_policy;
use super::entities::entity_key;
use super::entity::{Group, GroupPart, Held, Role, RolePart, User, UserPart};
use super::keys::{KeyRecord, LastUse};
use crate::crypt::Snapshot;
use crate::error::Result;
use crate::{Database, keyspace};

/// What a lasting access key stands for.
pub struct KeyFacts {
    /// The account it belongs to.
    pub account: String,
    /// Its secret.
    pub secret: String,
    /// Whether requests may be signed with it.
    pub active: bool,
    /// Whose it is; `None` for the account's root.
    pub user: Option<CallerFacts<UserPart>>,
    /// When it was last used, in milliseconds since the epoch; 0 for never.
    pub last_used_ms: u64,
}

/// A user or role with the documents of all policies that hold for it.
#[derive(Clone, Debug)]
pub struct CallerFacts<P> {
    /// The user or role.
    pub entity: super::Entity<P>,
    /// The documents of its own and its groups' inline and attached policies.
    pub documents: Vec<String>,
    /// The document of its permissions boundary. An empty one when the boundary's policy is gone: nothing is allowed.
    pub boundary: Option<String>,
}

impl Database {
    /// Identifies identities and tables as they are now: while it stays the same, so does everything that is known of
    /// them.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn catalog_token(&self) -> Result<CatalogToken> {
        Ok(self.snapshot(Freshness::Recent).await?.catalog_token())
    }

    /// What a lasting access key stands for, and the token under which that may be cached; `None` when there is none.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn key_facts(&self, id: &str) -> Result<(CatalogToken, Option<KeyFacts>)> {
        let snapshot = self.snapshot(Freshness::Recent).await?;
        let token = snapshot.catalog_token();
        let Some(record) = self.identity_at::<KeyRecord>(&snapshot, &keyspace::access_key(id)).await? else {
            return Ok((token, None));
        };
        let user = match &record.user {
            None => None,
            Some(name) => match self.user_facts_at(&snapshot, &record.account, name).await? {
                Some(facts) => Some(facts),
                // A key whose user is gone is none.
                None => return Ok((token, None)),
            },
        };
        let last_use: Option<LastUse> = self.identity_at(&snapshot, &keyspace::access_key_use(id)).await?;
        let facts = KeyFacts {
            account: record.account,
            secret: record.secret,
            active: record.active,
            user,
            last_used_ms: last_use.map_or(0, |last_use| last_use.at_ms),
        };
        Ok((token, Some(facts)))
    }

    /// A user's policies, and the token under which they may be cached.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn user_facts(&self, account: &str, name: &str) -> Result<(CatalogToken, Option<CallerFacts<UserPart>>)> {
        let snapshot = self.snapshot(Freshness::Recent).await?;
        Ok((snapshot.catalog_token(), self.user_facts_at(&snapshot, account, name).await?))
    }

    /// A role's policies, and the token under which they may be cached.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn role_facts(&self, account: &str, name: &str) -> Result<(CatalogToken, Option<CallerFacts<RolePart>>)> {
        let snapshot = self.snapshot(Freshness::Recent).await?;
        let token = snapshot.catalog_token();
        let role: Option<Role> = self.identity_at(&snapshot, &entity_key::<RolePart>(account, name)).await?;
        let Some(entity) = role.filter(|role| role.name == name) else { return Ok((token, None)) };
        let documents = self.documents(&snapshot, account, &entity.held).await?;
        let boundary = self.boundary(&snapshot, account, &entity.held).await?;
        Ok((token, Some(CallerFacts { entity, documents, boundary })))
    }

    /// The documents of managed policies, in the order of their ARNs; `None` for one that does not exist.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn policy_documents(&self, account: &str, arns: &[String]) -> Result<Vec<Option<String>>> {
        let snapshot = self.snapshot(Freshness::Recent).await?;
        let mut documents = Vec::new();
        for arn in arns {
            documents.push(self.document(&snapshot, account, arn).await?);
        }
        Ok(documents)
    }

    async fn user_facts_at(
        &self,
        snapshot: &Snapshot,
        account: &str,
        name: &str,
    ) -> Result<Option<CallerFacts<UserPart>>> {
        let user: Option<User> = self.identity_at(snapshot, &entity_key::<UserPart>(account, name)).await?;
        let Some(entity) = user.filter(|user| user.name == name) else { return Ok(None) };
        let mut documents = self.documents(snapshot, account, &entity.held).await?;
        for group in &entity.own.groups {
            let group: Option<Group> = self.identity_at(snapshot, &entity_key::<GroupPart>(account, group)).await?;
            if let Some(group) = group {
                documents.extend(self.documents(snapshot, account, &group.held).await?);
            }
        }
        let boundary = self.boundary(snapshot, account, &entity.held).await?;
        Ok(Some(CallerFacts { entity, documents, boundary }))
    }

    async fn documents(&self, snapshot: &Snapshot, account: &str, held: &Held) -> Result<Vec<String>> {
        let mut documents: Vec<String> = held.inline.values().cloned().collect();
        for arn in &held.attached {
            documents.extend(self.document(snapshot, account, arn).await?);
        }
        Ok(documents)
    }

    async fn boundary(&self, snapshot: &Snapshot, account: &str, held: &Held) -> Result<Option<String>> {
        match &held.boundary {
            None => Ok(None),
            Some(arn) => Ok(Some(self.document(snapshot, account, arn).await?.unwrap_or_default())),
        }
    }

    async fn document(&self, snapshot: &Snapshot, account: &str, arn: &str) -> Result<Option<String>> {
        if let Some(builtin) = builtin_policy(arn) {
            return Ok(Some(builtin.document.to_owned()));
        }
        Ok(self.policy_at(snapshot, account, arn).await?.map(|policy| policy.document().to_owned()))
    }

    /// A key that only this database has, for one purpose: what is sealed with it can be opened on every node of it. It
    /// becomes another one when encryption begins, because the secret lay in the clear until then.
    #[must_use]
    pub fn purpose_key(&self, purpose: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(purpose);
        hasher.update(&self.inner.hash_secret);
        self.inner.store.derive(&mut hasher);
        *hasher.finalize().as_bytes()
    }
}
