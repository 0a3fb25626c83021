//! What only roles do: be trusted by others, have longest sessions.

use super::entities::NewEntity;
use super::entity::{Role, RolePart};
use super::fault::{Fault, Outcome};
use super::held::counted_characters;
use super::limits::MAX_TRUST;
use crate::Database;

/// A role that is to be made. Everything but sizes and existence has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRole {
    /// What it has in common with users and groups.
    pub entity: NewEntity,
    /// The document that says who may assume it.
    pub trust: String,
    /// Its description.
    pub description: Option<String>,
    /// The longest session that can be asked for, in seconds: 3,600 to 43,200.
    pub max_session_seconds: u32,
}

/// What is to be changed of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleChange {
    /// The document that says who may assume it.
    pub trust: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// The longest session that can be asked for, in seconds: 3,600 to 43,200.
    pub max_session_seconds: Option<u32>,
}

impl Database {
    /// Makes a role.
    ///
    /// # Errors
    /// `EntityAlreadyExists`, `LimitExceeded`, or `NoSuchEntity` for its boundary.
    pub async fn create_role(&self, account: &str, new: NewRole) -> Outcome<Role> {
        check_trust(&new.trust)?;
        let NewRole { entity, trust, description, max_session_seconds } = new;
        self.create_entity(account, entity, RolePart { trust, description, max_session_seconds }).await
    }

    /// Changes a role; what is not named stays.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`.
    pub async fn update_role(&self, account: &str, name: &str, change: RoleChange) -> Outcome<()> {
        if let Some(trust) = &change.trust {
            check_trust(trust)?;
        }
        self.change_entity(account, name, |role: &mut Role| {
            if let Some(trust) = &change.trust {
                role.own.trust.clone_from(trust);
            }
            if change.description.is_some() {
                role.own.description.clone_from(&change.description);
            }
            if let Some(seconds) = change.max_session_seconds {
                role.own.max_session_seconds = seconds;
            }
            Ok(())
        })
        .await
    }

    /// Deletes a role that holds no policies any more. Its sessions end with it.
    ///
    /// # Errors
    /// `NoSuchEntity`, `DeleteConflict`.
    pub async fn delete_role(&self, account: &str, name: &str) -> Outcome<()> {
        self.delete_entity(account, name, |_: &RolePart| Ok(())).await
    }
}

fn check_trust(document: &str) -> Outcome<()> {
    if counted_characters(document) > MAX_TRUST {
        return Err(Fault::quota("ACLSizePerRole", MAX_TRUST));
    }
    Ok(())
}
