//! Telling somebody of every change of an item that this node commits, whichever way it came: what a cache of items needs
//! in order to be right. Without anybody to tell, it costs nothing.

use std::sync::Arc;

use bytes::Bytes;
use partita_engine::{Commit, CommitError, Committed, Reason, Write};
use partita_model::StoredItem;

use crate::Database;
use crate::crypt::Vault;
use crate::keyspace::SPACE_ITEM;
use crate::table::unseal;

/// An item that a commit has changed.
#[derive(Clone, Debug)]
pub struct ItemChange {
    /// Where it lies, as [`ItemKey::stored`](crate::ItemKey::stored) has it.
    pub place: Bytes,
    /// What it is now; `None` when it is not there any more.
    pub item: Option<StoredItem>,
}

/// Somebody who is told of changes.
pub trait ItemObserver: Send + Sync + 'static {
    /// A commit has changed these items. Reads that begin now see it, and its writer has not been answered yet. Later
    /// commits have higher versions, but may be told of earlier.
    fn changed(&self, version: u64, changes: Vec<ItemChange>);

    /// What lies at these places is not known: a commit has failed, perhaps not wholly.
    fn unknown(&self, places: Vec<Bytes>);
}

impl Database {
    /// Tells `observer` of every change from now on. False if somebody else is told already.
    #[must_use]
    pub fn observe_items(&self, observer: Arc<dyn ItemObserver>) -> bool {
        self.store().observe(observer)
    }
}

/// Commits and tells. A task of its own does it, so that a client that hangs up does not leave a commit untold.
pub(crate) async fn told(
    observer: Arc<dyn ItemObserver>,
    vault: Vault,
    commit: Commit,
) -> Result<Committed, CommitError> {
    let written: Vec<(Bytes, Option<Bytes>)> = commit.writes.iter().filter_map(of_item).collect();
    if written.is_empty() {
        return vault.seal_and_commit(commit).await;
    }
    let task = tokio::spawn(async move {
        let outcome = vault.seal_and_commit(commit).await;
        match &outcome {
            Ok(committed) => {
                let change = |(place, value): (Bytes, Option<Bytes>)| {
                    let item = value.as_ref().and_then(|value| unseal(value).ok());
                    debug_assert_eq!(item.is_some(), value.is_some());
                    ItemChange { place, item }
                };
                observer.changed(committed.version.0, written.into_iter().map(change).collect());
            }
            Err(CommitError::Conflict | CommitError::TooOld | CommitError::TooLarge) => {}
            Err(_) => observer.unknown(written.into_iter().map(|(place, _)| place).collect()),
        }
        outcome
    });
    // The runtime ends, and nobody reads any more.
    task.await.unwrap_or_else(|error| Err(CommitError::Unavailable(Reason::new(error))))
}

/// The item that a write is of.
fn of_item(write: &Write) -> Option<(Bytes, Option<Bytes>)> {
    match write {
        Write::Put { key, value } if key.first() == Some(&SPACE_ITEM) => Some((key.clone(), Some(value.clone()))),
        Write::Delete { key } if key.first() == Some(&SPACE_ITEM) => Some((key.clone(), None)),
        // Ranges of items are given up with their tables, whose ids never come back.
        _ => None,
    }
}
