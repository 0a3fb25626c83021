//! Sizes of item collections: in a table with local indexes, all items of one partition key with their entries in those
//! indexes hold at most 10 GB ("Item collections").
//!
//! A counter for each collection is added to in the commits of its items, without being read, so writes of one collection
//! do not conflict over it; a write that grows a collection looks at the counter of its snapshot. Writes that run at the
//! same time may therefore pass the limit by their own sizes, as they may on the service.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use partita_engine::{Freshness, Key};
use partita_model::ErrorCode;

use crate::Database;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::keyspace;
use crate::table::{ItemKey, Table};

/// A collection's size, wherever a request is told about it ("TransactionCanceledException").
pub(super) const COLLECTION_SIZE_EXCEEDED: &str = "Collection size exceeded.";

/// An item collection of a table with local indexes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ItemCollection(Key);

/// How much a write adds to its collection, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    pub collection: ItemCollection,
    pub bytes: i64,
}

impl ItemCollection {
    /// The collection that an item belongs to; `None` when the table has no local indexes.
    #[must_use]
    pub fn of(table: &Table, key: &ItemKey) -> Option<Self> {
        let has_local_indexes = !table.record.local_indexes.is_empty();
        has_local_indexes.then(|| Self(keyspace::collection(table.record.id, &key.hash)))
    }

    /// The key of its counter.
    pub(super) fn counter(&self) -> Key {
        self.0.clone()
    }
}

/// The sizes of the collections that a commit writes to, as its snapshot and what was planned so far make them.
#[derive(Debug)]
pub(super) struct CollectionSizes {
    most: i64,
    bytes: HashMap<ItemCollection, i64>,
}

impl CollectionSizes {
    /// Takes a planned write into account.
    ///
    /// # Errors
    /// `ItemCollectionSizeLimitExceededException` when it makes a collection larger that is then too large.
    pub(super) fn grow(&mut self, growth: Option<&Growth>) -> Result<()> {
        let Some(Growth { collection, bytes }) = growth else { return Ok(()) };
        let Some(size) = self.bytes.get_mut(collection) else { return Ok(()) };
        let after = size.saturating_add(*bytes);
        if *bytes > 0 && after > self.most {
            return Err(Error::refused(ErrorCode::ItemCollectionSizeLimitExceededException, COLLECTION_SIZE_EXCEEDED));
        }
        *size = after;
        Ok(())
    }
}

impl Database {
    /// The sizes of collections.
    pub(super) async fn collection_sizes(
        &self,
        snapshot: &Snapshot,
        collections: Vec<ItemCollection>,
    ) -> Result<CollectionSizes> {
        let most = i64::try_from(self.inner.settings.max_collection_bytes).unwrap_or(i64::MAX);
        let mut sizes = CollectionSizes { most, bytes: HashMap::new() };
        for collection in collections {
            if let Entry::Vacant(vacant) = sizes.bytes.entry(collection) {
                let bytes = bytes_of(snapshot, vacant.key()).await?;
                vacant.insert(bytes);
            }
        }
        Ok(sizes)
    }

    /// How many bytes a collection has by now: its items and their entries in local indexes. Zero while the collections of
    /// a table from an earlier version are being measured.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn collection_bytes(&self, collection: &ItemCollection) -> Result<u64> {
        let snapshot = self.snapshot(Freshness::Recent).await?;
        Ok(u64::try_from(bytes_of(&snapshot, collection).await?).unwrap_or(0))
    }
}

async fn bytes_of(snapshot: &Snapshot, collection: &ItemCollection) -> Result<i64> {
    let value = snapshot.get(&collection.0).await?;
    Ok(value.and_then(|value| value.as_ref().try_into().ok()).map_or(0, i64::from_le_bytes))
}
