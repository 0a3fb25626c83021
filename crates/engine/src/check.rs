//! What of a commit can be checked without looking at any store.

use crate::contract::{
    Commit, CommitError, InvalidCommit, MAX_COMMIT_BYTES, MAX_KEY_BYTES, Position, RESERVED_PREFIX, Write,
};

/// Refuses a commit that breaks a rule of the contract or is too large.
pub(crate) fn commit(commit: &Commit) -> Result<(), CommitError> {
    let mut bytes = 0_usize;
    for write in &commit.writes {
        let (first, more, value) = match write {
            Write::Put { key, value } => (key, 0, value.len()),
            Write::Delete { key } | Write::Add { key, .. } | Write::Retire { prefix: key } => (key, 0, 0),
            Write::DeleteRange { range } if range.is_empty() => continue,
            Write::DeleteRange { range } => {
                if range.end.as_ref() > [RESERVED_PREFIX].as_slice() {
                    return Err(InvalidCommit::KeyReserved.into());
                }
                continue;
            }
            Write::PutAtPosition { prefix, suffix, value, .. } => {
                (prefix, Position::BYTES.saturating_add(suffix.len()), value.len())
            }
        };
        let length = first.len().saturating_add(more);
        if length > MAX_KEY_BYTES {
            return Err(InvalidCommit::KeyTooLong(length).into());
        }
        match first.first() {
            None => return Err(InvalidCommit::KeyEmpty.into()),
            Some(&RESERVED_PREFIX) => return Err(InvalidCommit::KeyReserved.into()),
            _ => {}
        }
        bytes = bytes.saturating_add(length).saturating_add(value);
    }
    if bytes > MAX_COMMIT_BYTES { Err(CommitError::TooLarge) } else { Ok(()) }
}
