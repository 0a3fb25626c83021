//! Attribute lists on the way of every request: ids and names that have been looked up are kept, and new lists are bounded
//! in size and in how many come.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use partita_db::Database;
use partita_model::schema::KeySchema;
use partita_model::{ErrorCode, Refusal, StoredItem};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::fault::Fault;

/// The id of the list without names, which clients never ask for.
pub const EMPTY: u64 = 1;
/// The most bytes of names in one list: those of the largest item.
const MAX_BYTES: usize = 409_600;
/// The bytes of lists that are kept, each way.
const KEPT_BYTES: u64 = 8 << 20;
/// How many lists are expected among them.
const EXPECTED: usize = 10_000;
/// New lists that may come at once, and those that may come each second after.
const BURST: u64 = 50_000;
const EACH_SECOND: u64 = 200;

type Names = Arc<[String]>;

#[derive(Clone)]
struct Weight;

impl Weighter<Bytes, u64> for Weight {
    fn weight(&self, names: &Bytes, _id: &u64) -> u64 {
        64 + names.len() as u64
    }
}

impl Weighter<u64, Names> for Weight {
    fn weight(&self, _id: &u64, names: &Names) -> u64 {
        64 + names.iter().map(|name| 24 + name.len() as u64).sum::<u64>()
    }
}

/// Lists that are known.
pub struct Lists {
    database: Database,
    /// Ids by names, each with a zero behind it.
    ids: Cache<Bytes, u64, Weight>,
    names: Cache<u64, Names, Weight>,
    /// New lists left, and the second that was counted.
    left: Mutex<(u64, u64)>,
}

impl Lists {
    /// No list yet.
    pub fn new(database: Database) -> Self {
        Self {
            database,
            ids: Cache::with_weighter(EXPECTED, KEPT_BYTES, Weight),
            names: Cache::with_weighter(EXPECTED, KEPT_BYTES, Weight),
            left: Mutex::new((BURST, 0)),
        }
    }

    /// The id of names, made if there is none. `names` are those that an item has or is to have.
    ///
    /// # Errors
    /// `ThrottlingException` when too many new lists come; when the store fails.
    pub async fn id(&self, names: Vec<String>) -> Result<u64, Fault> {
        if names.is_empty() {
            return Ok(EMPTY);
        }
        let mut joined = Vec::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in &names {
            joined.extend_from_slice(name.as_bytes());
            // No UTF-8 has it.
            joined.push(0xFF);
        }
        let joined = Bytes::from(joined);
        if let Some(id) = self.ids.get(&joined) {
            return Ok(id);
        }
        if joined.len() > MAX_BYTES {
            return Err(Fault::from(partita_api::Failure::from(Refusal::validation(
                "Item size has exceeded the maximum allowed size",
            ))));
        }
        self.take_one()?;
        let id = self.database.attribute_list_id(&names).await?;
        self.ids.insert(joined, id);
        self.names.insert(id, names.into());
        Ok(id)
    }

    /// The id of the names of an item without its key's.
    ///
    /// # Errors
    /// As for [`Self::id`].
    pub async fn id_of(&self, item: &StoredItem, schema: &KeySchema) -> Result<u64, Fault> {
        self.id(names_beside(item, schema)).await
    }

    /// The names of a list.
    ///
    /// # Errors
    /// `ValidationException` for an id that was never told; when the store fails.
    pub async fn names(&self, id: u64) -> Result<Names, Fault> {
        if id == EMPTY {
            return Ok(Arc::from([]));
        }
        if let Some(names) = self.names.get(&id) {
            return Ok(names);
        }
        let names = self.database.attribute_list(id).await?;
        let unknown = || partita_api::Failure::from(Refusal::validation(format!("Invalid attribute list id: {id}")));
        let names: Names = names.ok_or_else(unknown)?.into();
        self.names.insert(id, Arc::clone(&names));
        Ok(names)
    }

    fn take_one(&self) -> Result<(), Fault> {
        let now = self.database.now_ms() / 1000;
        let mut left = self.left.lock();
        if left.1 == 0 {
            left.1 = now;
        }
        let since = now.saturating_sub(left.1);
        *left = (left.0.saturating_add(since.saturating_mul(EACH_SECOND)).min(BURST), now.max(left.1));
        left.0 = left.0.checked_sub(1).ok_or_else(|| {
            let refusal = Refusal::new(ErrorCode::ThrottlingException, "Too many new attribute lists. Try again.");
            partita_api::Failure::from(refusal)
        })?;
        Ok(())
    }
}

/// The names of an item's attributes that are not its key's, in the item's order.
pub fn names_beside(item: &StoredItem, schema: &KeySchema) -> Vec<String> {
    let names = item.entries().iter().map(|(name, _)| name.as_str().to_owned());
    names.filter(|name| !schema.contains(name)).collect()
}
