//! What the catalog keeps of a backup.

use serde::{Deserialize, Serialize};

use crate::record::TableRecord;

/// A backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupRecord {
    /// Ends its ARN: the milliseconds of its time, a hyphen and eight hexadecimal digits.
    pub id: String,
    /// `BackupName`.
    pub name: String,
    /// Who asked for it.
    pub kind: BackupKind,
    /// Its state.
    pub status: BackupStatus,
    /// The moment it is of, in milliseconds since the epoch.
    pub created_ms: u64,
    /// When it is deleted by itself, in milliseconds since the epoch.
    #[serde(default)]
    pub expires_ms: Option<u64>,
    /// The sizes of its items together, in bytes as DynamoDB counts them; an estimate while it is being made.
    pub bytes: i64,
    /// How many items it has; an estimate while it is being made.
    pub items: i64,
    /// The wrapped key that its blocks are sealed under; `None` when they are not.
    #[serde(default)]
    pub(crate) key: Option<String>,
    /// The table as it was.
    pub table: TableRecord,
}

/// Who asked for a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupKind {
    /// A user.
    User,
    /// The service, because a table that could be recovered was deleted.
    System,
}

/// A backup's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupStatus {
    /// Being made.
    Creating,
    /// Whole.
    Available,
    /// Being deleted; nobody is told of it any more.
    Deleting,
}

impl BackupRecord {
    /// The backup's ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("{}/backup/{}", self.table.arn(), self.id)
    }
}

/// The id of a backup that is made now.
pub(super) fn new_id(now_ms: u64) -> String {
    format!("{now_ms:014}-{:08x}", fastrand::u32(..))
}

/// Whether a text has the form of an id. Ids become names of directories.
pub(super) fn is_id(text: &str) -> bool {
    let digits = |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split_once('-').is_some_and(|(time, random)| digits(time, 14) && digits(random, 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_time_and_random_digits() {
        assert!(is_id(&new_id(1_795_000_000_000)));
        for bad in
            ["", "01678793340962", "01678793340962-cc4bfb8", "../01678793340962-cc4bfb86", "0167879334096/-cc4bfb86"]
        {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
