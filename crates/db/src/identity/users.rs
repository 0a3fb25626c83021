//! What only users do: change name or path, be in groups, be deleted.

use partita_engine::Key;

use super::entities::{Listed, entity_key, existing};
use super::entity::{Group, GroupPart, User, UserPart};
use super::fault::{Fault, Outcome};
use super::keys::KeyRecord;
use super::limits::MAX_GROUPS_OF_USER;
use crate::{Database, keyspace};

impl Database {
    /// Changes a user's name, path, or both; its id, keys and policies stay.
    ///
    /// # Errors
    /// `NoSuchEntity`, `EntityAlreadyExists`.
    pub async fn update_user(
        &self,
        account: &str,
        name: &str,
        new_name: Option<&str>,
        new_path: Option<&str>,
    ) -> Outcome<()> {
        let new_name = new_name.unwrap_or(name);
        let (old_key, new_key) = (entity_key::<UserPart>(account, name), entity_key::<UserPart>(account, new_name));
        // Access keys name their user. Which ones there are is read before, and checked to be the same.
        loop {
            let access_keys = self.entity::<UserPart>(account, name).await?.own.keys;
            let mut keys: Vec<Key> = access_keys.iter().map(|id| keyspace::access_key(id)).collect();
            keys.push(old_key.clone());
            if new_key != old_key {
                keys.push(new_key.clone());
            }
            let done = self
                .change_identities(&keys, |records| {
                    let mut user: User = existing(records, &old_key, name)?;
                    if user.own.keys != access_keys {
                        return Ok(false);
                    }
                    if new_key != old_key && records.get::<User>(&new_key)?.is_some() {
                        return Err(Fault::exists(format!("User with name {new_name} already exists.")));
                    }
                    for id in &access_keys {
                        let key = keyspace::access_key(id);
                        if let Some(mut record) = records.get::<KeyRecord>(&key)? {
                            record.user = Some(new_name.to_owned());
                            records.put(&key, &record)?;
                        }
                    }
                    user.name = new_name.to_owned();
                    if let Some(path) = new_path {
                        user.path = path.to_owned();
                    }
                    records.delete(&old_key);
                    records.put(&new_key, &user)?;
                    Ok(true)
                })
                .await?;
            if done {
                return Ok(());
            }
        }
    }

    /// Deletes a user that has no access keys, policies and groups any more.
    ///
    /// # Errors
    /// `NoSuchEntity`, `DeleteConflict`.
    pub async fn delete_user(&self, account: &str, name: &str) -> Outcome<()> {
        self.delete_entity(account, name, |own: &UserPart| {
            if !own.keys.is_empty() {
                return Err(Fault::conflict("Cannot delete entity, must delete access keys first."));
            }
            if !own.groups.is_empty() {
                return Err(Fault::conflict("Cannot delete entity, must remove users from group first."));
            }
            Ok(())
        })
        .await
    }

    /// Adds a user to a group; nothing happens when it is in it already.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`.
    pub async fn add_user_to_group(&self, account: &str, group: &str, user: &str) -> Outcome<()> {
        self.change_membership(account, group, user, |found, members| {
            if found.own.groups.iter().any(|name| name == group) {
                return Ok(());
            }
            if found.own.groups.len() >= MAX_GROUPS_OF_USER {
                return Err(Fault::quota("GroupsPerUser", MAX_GROUPS_OF_USER));
            }
            found.own.groups.push(group.to_owned());
            members.own.members = members.own.members.saturating_add(1);
            Ok(())
        })
        .await
    }

    /// Removes a user from a group; nothing happens when it is not in it.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn remove_user_from_group(&self, account: &str, group: &str, user: &str) -> Outcome<()> {
        self.change_membership(account, group, user, |found, members| {
            let before = found.own.groups.len();
            found.own.groups.retain(|name| name != group);
            if found.own.groups.len() < before {
                members.own.members = members.own.members.saturating_sub(1);
            }
            Ok(())
        })
        .await
    }

    async fn change_membership(
        &self,
        account: &str,
        group: &str,
        user: &str,
        change: impl Fn(&mut User, &mut Group) -> Outcome<()> + Send + Sync,
    ) -> Outcome<()> {
        let (group_key, user_key) = (entity_key::<GroupPart>(account, group), entity_key::<UserPart>(account, user));
        self.change_identities(&[group_key.clone(), user_key.clone()], |records| {
            let mut members: Group = existing(records, &group_key, group)?;
            let mut found: User = existing(records, &user_key, user)?;
            change(&mut found, &mut members)?;
            records.put(&group_key, &members)?;
            Ok(records.put(&user_key, &found)?)
        })
        .await
    }

    /// The users in a group, in the order of their names, after the name `after`.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn users_in_group(
        &self,
        account: &str,
        group: &str,
        after: Option<&str>,
        most: usize,
    ) -> crate::Result<Listed<User>> {
        self.select_entities(account, after, most, |user: &User| user.own.groups.iter().any(|name| name == group)).await
    }
}
