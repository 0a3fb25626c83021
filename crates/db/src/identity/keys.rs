//! Access keys: of users, and of an account's root. When each was last used is noted apart from everything else, seldom,
//! and without making any cache follow.

use partita_engine::{Commit, Direction, Freshness, Key, KeyRange, ScanLimit, Write};
use serde::{Deserialize, Serialize};

use super::entities::{entity_key, existing};
use super::entity::{User, UserPart};
use super::fault::{Fault, Outcome};
use super::ids;
use super::limits::MAX_ACCESS_KEYS;
use crate::error::{Error, Result};
use crate::{Database, keyspace};

/// Whose access keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// The account's root.
    Root,
    /// A user, by name.
    User(String),
}

/// An access key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id: `AKIA…`.
    pub id: String,
    /// The account it belongs to.
    pub account: String,
    /// Whose it is.
    pub owner: KeyOwner,
    /// Whether requests may be signed with it.
    pub active: bool,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
}

/// A new access key. This is the only time that its secret is told.
pub struct NewAccessKey {
    /// The key.
    pub key: AccessKey,
    /// Its secret.
    pub secret: String,
}

/// When, where and for what an access key was last used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUse {
    /// In milliseconds since the epoch.
    pub at_ms: u64,
    /// The region that the request named.
    pub region: String,
    /// The service that the request named.
    pub service: String,
}

/// An access key as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeyRecord {
    pub(super) id: String,
    pub(super) account: String,
    /// The user's name; `None` for the root.
    #[serde(default)]
    pub(super) user: Option<String>,
    pub(super) active: bool,
    pub(super) created_ms: u64,
    pub(super) secret: String,
}

/// What is kept of an account's root.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct RootRecord {
    keys: Vec<String>,
}

impl KeyRecord {
    fn shown(&self) -> AccessKey {
        AccessKey {
            id: self.id.clone(),
            account: self.account.clone(),
            owner: self.user.clone().map_or(KeyOwner::Root, KeyOwner::User),
            active: self.active,
            created_ms: self.created_ms,
        }
    }
}

fn root_key(account: &str) -> Key {
    keyspace::identity(account, b'a', "root")
}

fn no_such_key(id: &str) -> Fault {
    Fault::missing(format!("The Access Key with id {id} cannot be found."))
}

impl Database {
    /// Makes an access key.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`.
    pub async fn create_access_key(&self, account: &str, owner: &KeyOwner) -> Outcome<NewAccessKey> {
        let record = KeyRecord {
            id: ids::new_access_key_id(false)?,
            account: account.to_owned(),
            user: match owner {
                KeyOwner::Root => None,
                KeyOwner::User(name) => Some(name.clone()),
            },
            active: true,
            created_ms: self.now_ms(),
            secret: ids::new_secret()?,
        };
        let key = keyspace::access_key(&record.id);
        self.change_keys_of(account, owner, std::slice::from_ref(&key), |keys, records| {
            if keys.len() >= MAX_ACCESS_KEYS {
                return Err(Fault::quota("AccessKeysPerUser", MAX_ACCESS_KEYS));
            }
            keys.push(record.id.clone());
            Ok(records.put(&key, &record)?)
        })
        .await?;
        Ok(NewAccessKey { key: record.shown(), secret: record.secret })
    }

    /// Whether there is any access key at all.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn has_access_keys(&self) -> Result<bool> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let range = KeyRange::prefix(keyspace::access_key(""));
        Ok(!snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?.rows.is_empty())
    }

    /// Whose access key this is; `None` when there is none.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn find_access_key(&self, id: &str) -> Result<Option<AccessKey>> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let found: Option<KeyRecord> = self.identity_at(&snapshot, &keyspace::access_key(id)).await?;
        Ok(found.map(|record| record.shown()))
    }

    /// The access keys of a user or of the root, oldest first.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn access_keys(&self, account: &str, owner: &KeyOwner) -> Outcome<Vec<AccessKey>> {
        let ids = match owner {
            KeyOwner::User(name) => self.entity::<UserPart>(account, name).await?.own.keys,
            KeyOwner::Root => {
                let snapshot = self.snapshot(Freshness::Latest).await?;
                self.identity_at::<RootRecord>(&snapshot, &root_key(account)).await?.unwrap_or_default().keys
            }
        };
        let mut keys = Vec::new();
        for id in ids {
            keys.extend(self.find_access_key(&id).await?);
        }
        Ok(keys)
    }

    /// Activates or deactivates an access key.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn update_access_key(&self, account: &str, owner: &KeyOwner, id: &str, active: bool) -> Outcome<()> {
        let key = keyspace::access_key(id);
        self.change_keys_of(account, owner, std::slice::from_ref(&key), |keys, records| {
            if !keys.iter().any(|existing| existing == id) {
                return Err(no_such_key(id));
            }
            let mut record: KeyRecord = records.get(&key)?.ok_or_else(|| no_such_key(id))?;
            record.active = active;
            Ok(records.put(&key, &record)?)
        })
        .await
    }

    /// Deletes an access key. Its id is never given out again.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn delete_access_key(&self, account: &str, owner: &KeyOwner, id: &str) -> Outcome<()> {
        let (key, use_key) = (keyspace::access_key(id), keyspace::access_key_use(id));
        self.change_keys_of(account, owner, &[key.clone(), use_key.clone()], |keys, records| {
            let before = keys.len();
            keys.retain(|existing| existing != id);
            if keys.len() == before {
                return Err(no_such_key(id));
            }
            records.delete(&key);
            records.delete(&use_key);
            Ok(())
        })
        .await
    }

    async fn change_keys_of(
        &self,
        account: &str,
        owner: &KeyOwner,
        others: &[Key],
        mut change: impl FnMut(&mut Vec<String>, &mut super::change::Records) -> Outcome<()> + Send,
    ) -> Outcome<()> {
        let owner_key = match owner {
            KeyOwner::Root => root_key(account),
            KeyOwner::User(name) => entity_key::<UserPart>(account, name),
        };
        let keys: Vec<Key> = others.iter().cloned().chain([owner_key.clone()]).collect();
        self.change_identities(&keys, |records| match owner {
            KeyOwner::Root => {
                let mut root: RootRecord = records.get(&owner_key)?.unwrap_or_default();
                change(&mut root.keys, records)?;
                Ok(records.put(&owner_key, &root)?)
            }
            KeyOwner::User(name) => {
                let mut user: User = existing(records, &owner_key, name)?;
                change(&mut user.own.keys, records)?;
                Ok(records.put(&owner_key, &user)?)
            }
        })
        .await
    }

    /// When an access key was last used; may be some minutes behind.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn last_use(&self, id: &str) -> Result<Option<LastUse>> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        self.identity_at(&snapshot, &keyspace::access_key_use(id)).await
    }

    /// Notes that an access key was used. Changes no cache; the caller sees to it that this is seldom
    /// ([`LAST_USE_GRAIN_MS`](super::LAST_USE_GRAIN_MS)).
    ///
    /// # Errors
    /// An engine failure.
    pub async fn note_use(&self, id: &str, last_use: &LastUse) -> Result<()> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        // A key that is being deleted must not leave a note behind.
        let key = keyspace::access_key(id);
        if snapshot.get(&key).await?.is_none() {
            return Ok(());
        }
        let use_key = keyspace::access_key_use(id);
        let value = super::change::to_json(last_use)?;
        let commit = Commit {
            read_version: snapshot.version(),
            reads: vec![partita_engine::Read::Key(key)],
            writes: vec![Write::Put { key: use_key, value }],
            catalog_changed: false,
        };
        match self.store().commit(commit).await {
            Ok(_) | Err(partita_engine::CommitError::Conflict | partita_engine::CommitError::TooOld) => Ok(()),
            Err(other) => Err(Error::from(other)),
        }
    }
}
