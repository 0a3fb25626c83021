//! What users, groups and roles share: being made, found, listed, deleted, tagged.

use std::collections::BTreeMap;

use partita_engine::{Freshness, Key};

use super::change::Records;
use super::entity::{Entity, Held, Kind, Part, PolicyUse};
use super::fault::{Fault, Outcome};
use super::{ids, limits, policies};
use crate::error::Result;
use crate::{Database, keyspace};

/// A user, group or role that is to be made. Names and paths have been checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewEntity {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The ARN of its permissions boundary.
    pub boundary: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// What is on it, in order.
    pub items: Vec<T>,
    /// Whether there is more.
    pub more: bool,
}

/// The key of an entity's record.
pub(super) fn entity_key<P: Part>(account: &str, name: &str) -> Key {
    keyspace::identity(account, P::KIND.byte(), &name.to_lowercase())
}

/// An entity's record in a change.
///
/// # Errors
/// `NoSuchEntity`.
pub(super) fn existing<P: Part>(records: &Records, key: &Key, name: &str) -> Outcome<Entity<P>> {
    let found: Option<Entity<P>> = records.get(key)?;
    // Names differ by more than case only, but a name is found as it is written only: policies compare ARNs by case.
    found.filter(|entity| entity.name == name).ok_or_else(|| no_such(P::KIND, name))
}

/// The refusal when there is no entity of a name.
pub(super) fn no_such(kind: Kind, name: &str) -> Fault {
    Fault::missing(format!("The {} with name {name} cannot be found.", kind.word()))
}

impl Database {
    /// Makes a user, group or role.
    ///
    /// # Errors
    /// `EntityAlreadyExists`, `LimitExceeded`, or `NoSuchEntity` for its boundary.
    pub async fn create_entity<P: Part>(&self, account: &str, new: NewEntity, own: P) -> Outcome<Entity<P>> {
        let (quota, most) = P::KIND.quota();
        if self.count_identities(keyspace::identities(account, P::KIND.byte())).await? >= most {
            return Err(Fault::quota(quota, most));
        }
        if new.tags.len() > limits::MAX_TAGS {
            return Err(Fault::quota(&format!("TagsPer{}", P::KIND.title()), limits::MAX_TAGS));
        }
        let key = entity_key::<P>(account, &new.name);
        let entity = Entity {
            id: ids::new_entity_id(P::KIND.id_prefix())?,
            name: new.name,
            path: new.path,
            created_ms: self.now_ms(),
            tags: new.tags,
            held: Held { boundary: new.boundary, ..Held::default() },
            own,
        };
        let mut keys = vec![key.clone()];
        if let Some(arn) = &entity.held.boundary {
            keys.extend(policies::keys(account, arn));
        }
        self.change_identities(&keys, |records| {
            if records.get::<Entity<P>>(&key)?.is_some() {
                return Err(Fault::exists(format!("{} with name {} already exists.", P::KIND.title(), entity.name)));
            }
            if let Some(arn) = &entity.held.boundary {
                policies::check_attachable(records, account, arn)?;
                policies::count(records, account, arn, |uses| uses.boundaries = uses.boundaries.saturating_add(1))?;
            }
            records.put(&key, &entity)?;
            Ok(entity.clone())
        })
        .await
    }

    /// A user, group or role; `None` when there is none of this name.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn find_entity<P: Part>(&self, account: &str, name: &str) -> Result<Option<Entity<P>>> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let found: Option<Entity<P>> = self.identity_at(&snapshot, &entity_key::<P>(account, name)).await?;
        Ok(found.filter(|entity| entity.name == name))
    }

    /// A user, group or role.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn entity<P: Part>(&self, account: &str, name: &str) -> Outcome<Entity<P>> {
        self.find_entity(account, name).await?.ok_or_else(|| no_such(P::KIND, name))
    }

    /// Users, groups or roles whose paths begin with `path_prefix`, in the order of their names, after the name `after`.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn list_entities<P: Part>(
        &self,
        account: &str,
        path_prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<Listed<Entity<P>>> {
        self.select_entities(account, after, most, |entity: &Entity<P>| entity.path.starts_with(path_prefix)).await
    }

    /// The users, groups or roles that `wanted` picks, in the order of their names, after the name `after`.
    pub(super) async fn select_entities<P: Part>(
        &self,
        account: &str,
        after: Option<&str>,
        most: usize,
        wanted: impl Fn(&Entity<P>) -> bool + Send,
    ) -> Result<Listed<Entity<P>>> {
        let after = after.map(|name| entity_key::<P>(account, name));
        let prefix = keyspace::identities(account, P::KIND.byte());
        let (items, more) = self.identities_in(prefix, after.as_deref(), most, wanted).await?;
        Ok(Listed { items, more })
    }

    /// Deletes a user, group or role on which nothing hangs any more.
    ///
    /// # Errors
    /// `NoSuchEntity`, `DeleteConflict`.
    pub(super) async fn delete_entity<P: Part>(
        &self,
        account: &str,
        name: &str,
        check: impl Fn(&P) -> Outcome<()> + Send + Sync,
    ) -> Outcome<()> {
        // Which policy is the boundary is known only from the record: it is read before, and checked to be the same.
        loop {
            let boundary = self.entity::<P>(account, name).await?.held.boundary;
            let key = entity_key::<P>(account, name);
            let mut keys = vec![key.clone()];
            if let Some(arn) = &boundary {
                keys.extend(policies::keys(account, arn));
            }
            let gone = self
                .change_identities(&keys, |records| {
                    let entity: Entity<P> = existing(records, &key, name)?;
                    check(&entity.own)?;
                    if !entity.held.attached.is_empty() {
                        return Err(Fault::conflict("Cannot delete entity, must detach all policies first."));
                    }
                    if !entity.held.inline.is_empty() {
                        return Err(Fault::conflict("Cannot delete entity, must delete policies first."));
                    }
                    if entity.held.boundary != boundary {
                        return Ok(false);
                    }
                    if let Some(arn) = &boundary {
                        policies::count(records, account, arn, PolicyUse::one_boundary_less)?;
                    }
                    records.delete(&key);
                    Ok(true)
                })
                .await?;
            if gone {
                return Ok(());
            }
        }
    }

    /// Changes the record of a user, group or role.
    ///
    /// # Errors
    /// `NoSuchEntity`, and what `change` returns.
    pub(super) async fn change_entity<P: Part, T>(
        &self,
        account: &str,
        name: &str,
        mut change: impl FnMut(&mut Entity<P>) -> Outcome<T> + Send,
    ) -> Outcome<T> {
        let key = entity_key::<P>(account, name);
        self.change_identities(std::slice::from_ref(&key), |records| {
            let mut entity: Entity<P> = existing(records, &key, name)?;
            let answer = change(&mut entity)?;
            records.put(&key, &entity)?;
            Ok(answer)
        })
        .await
    }

    /// Adds tags to a user or role, or changes their values.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`.
    pub async fn tag_entity<P: Part>(&self, account: &str, name: &str, tags: &BTreeMap<String, String>) -> Outcome<()> {
        self.change_entity(account, name, |entity: &mut Entity<P>| {
            for (key, value) in tags {
                // Keys are told apart without regard to case; the newer spelling stays.
                entity.tags.retain(|existing, _| existing.to_lowercase() != key.to_lowercase());
                entity.tags.insert(key.clone(), value.clone());
            }
            if entity.tags.len() > limits::MAX_TAGS {
                return Err(Fault::quota(&format!("TagsPer{}", P::KIND.title()), limits::MAX_TAGS));
            }
            Ok(())
        })
        .await
    }

    /// Removes tags from a user or role; keys that it does not have do not matter.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn untag_entity<P: Part>(&self, account: &str, name: &str, keys: &[String]) -> Outcome<()> {
        self.change_entity(account, name, |entity: &mut Entity<P>| {
            entity.tags.retain(|existing, _| !keys.iter().any(|key| key.to_lowercase() == existing.to_lowercase()));
            Ok(())
        })
        .await
    }
}
