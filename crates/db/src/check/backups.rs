//! Backups: each is read whole, as a restore would.

use super::{Check, Damage};
use crate::backup::{BackupFailure, BackupStatus};
use crate::error::Result;

impl Check<'_> {
    pub(super) async fn backups(&mut self) -> Result<()> {
        let known = self.database.catalogued_backups().await?;
        let mut unknown = self.database.stored_backups().await?;
        for backup in known.iter().filter(|backup| backup.status == BackupStatus::Available) {
            unknown.retain(|id| *id != backup.id);
            self.backup(&backup.id, Some(backup)).await;
        }
        for id in unknown {
            if known.iter().all(|backup| backup.id != id) {
                self.backup(&id, None).await;
            }
        }
        Ok(())
    }

    async fn backup(&mut self, id: &str, known: Option<&crate::BackupRecord>) {
        let place = match known {
            Some(backup) => format!("backup {id} of table {} ({})", backup.table.name, backup.name),
            None => format!("backup {id}, which the catalog has not"),
        };
        self.progress.begin(place.clone());
        let progress = self.progress.clone();
        let count = |items: usize, bytes: usize| progress.add(items, bytes);
        match self.database.verify_backup(id, known, count).await {
            Ok(()) => {}
            Err(BackupFailure::Missing) if known.is_some() => {
                self.find(&place, Damage::MissingBackup, "it is not in the backup store".to_owned());
            }
            // One that was never finished.
            Err(BackupFailure::Missing) => {}
            Err(BackupFailure::Broken(what)) => self.find(&place, Damage::BrokenBackup, what),
        }
    }
}
