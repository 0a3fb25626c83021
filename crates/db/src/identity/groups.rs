//! What only groups do: be deleted.

use super::entity::GroupPart;
use super::fault::{Fault, Outcome};
use crate::Database;

impl Database {
    /// Deletes a group that has no members and policies any more.
    ///
    /// # Errors
    /// `NoSuchEntity`, `DeleteConflict`.
    pub async fn delete_group(&self, account: &str, name: &str) -> Outcome<()> {
        self.delete_entity(account, name, |own: &GroupPart| {
            if own.members > 0 {
                return Err(Fault::conflict("Cannot delete entity, must remove users from group first."));
            }
            Ok(())
        })
        .await
    }
}
