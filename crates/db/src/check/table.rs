//! A table's items against everything that is made of them, and that against the items.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use partita_engine::{Direction, Freshness, Key, KeyRange, ScanLimit};
use partita_model::StoredItem;
use partita_model::key::PartitionHash;

use super::{Check, Damage, Pages, counter, place};
use crate::error::Result;
use crate::expiry;
use crate::keyspace::{self, Counter, TABLE_ITSELF};
use crate::record::Collections;
use crate::table::{Index, IndexKind, ItemKey, Table, seal, unseal};

/// The most items remembered that have no expiry entry at their own time: those whose time had come when they were
/// written have one at a later.
const MAX_LATE: usize = 100_000;

/// Items and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    items: i64,
    bytes: i64,
}

impl Sum {
    fn add(&mut self, item: &StoredItem) {
        self.items += 1;
        self.bytes += size(item);
    }
}

fn size(item: &StoredItem) -> i64 {
    i64::try_from(item.size()).unwrap_or(i64::MAX)
}

/// What an item's key reads as in a finding.
fn named(key: &ItemKey) -> String {
    let text = format!("{:?}", key.attributes);
    text.chars().take(200).collect()
}

/// What is gathered while the items are read.
struct Gathering {
    place: String,
    sums: HashMap<u16, Sum>,
    /// Whether some items could not be read, so that sums say nothing.
    incomplete: bool,
    /// The collection that is being summed up, and those that are done in this page.
    collection: Option<(PartitionHash, i64)>,
    collections: Vec<(PartitionHash, i64)>,
    measured: bool,
    /// Items without an expiry entry at their own time, by what tells them apart.
    late: HashSet<u128>,
    too_many_late: bool,
}

/// An index entry that an item should have.
struct Expected<'t> {
    index: &'t Index,
    key: Key,
    value: Bytes,
    item: String,
}

impl Check<'_> {
    pub(super) async fn table(&mut self, table: &Arc<Table>) -> Result<()> {
        let place = place(&table.record);
        self.progress.begin(place.clone());
        let mut gathering = Gathering {
            place: place.clone(),
            sums: HashMap::new(),
            incomplete: false,
            collection: None,
            collections: Vec::new(),
            measured: !table.record.local_indexes.is_empty() && table.record.collections == Collections::Measured,
            late: HashSet::new(),
            too_many_late: false,
        };
        let mut pages = Pages::of(KeyRange::prefix(Key::copy_from_slice(table.item_prefix())));
        while let Some(rows) = pages.next(self).await? {
            self.items(table, rows, &mut gathering).await?;
        }
        gathering.collections.extend(gathering.collection.take());
        self.collections(table, &mut gathering).await?;
        for index in &table.indexes {
            self.entries(table, index, &place).await?;
        }
        self.expiry(table, &mut gathering).await?;
        self.counters(table, &gathering).await
    }

    async fn items(&mut self, table: &Table, rows: Vec<super::Opened>, gathering: &mut Gathering) -> Result<()> {
        let place = gathering.place.clone();
        let database = self.database;
        let secret = database.key_secret();
        let (mut expected, mut queued) = (Vec::new(), Vec::new());
        for (stored, value) in rows {
            let item = match value.and_then(|value| unseal(&value)) {
                Ok(item) => item,
                Err(error) => {
                    gathering.incomplete = true;
                    self.find(&place, Damage::Unreadable, format!("an item: {error}"));
                    continue;
                }
            };
            let key = match table.key_of_stored(&secret, &item) {
                Ok(key) if key.stored == stored => key,
                _ => {
                    gathering.incomplete = true;
                    self.find(
                        &place,
                        Damage::MisplacedItem,
                        format!("an item lies where its key does not: {stored:x}"),
                    );
                    continue;
                }
            };
            gathering.sums.entry(TABLE_ITSELF).or_default().add(&item);
            let mut collection_bytes = size(&item);
            for index in &table.indexes {
                let Some(entry) = index.entry(&secret, &item, &key) else { continue };
                gathering.sums.entry(index.id).or_default().add(&entry.item);
                if index.kind == IndexKind::Local {
                    collection_bytes = collection_bytes.saturating_add(size(&entry.item));
                }
                let value = seal(&entry.item);
                expected.push(Expected { index, key: entry.key, value, item: named(&key) });
            }
            if gathering.measured {
                gathering.collect(key.hash, collection_bytes);
            }
            if let Some(entry) = expiry::expected_entry(table, &item, key.suffix(), database.now_ms()) {
                queued.push((entry, key.suffix().to_vec(), named(&key)));
            }
        }
        let keys: Vec<Key> = expected.iter().map(|expected| expected.key.clone()).collect();
        for (expected, found) in expected.into_iter().zip(self.values(&keys).await?) {
            let Expected { index, value, item, .. } = expected;
            match found {
                Ok(Some(found)) if found == value => {}
                Ok(Some(_)) => self.find(&place, Damage::WrongEntry, format!("index {}: {item}", index.name)),
                // Not all are there yet.
                Ok(None) if index.backfilling => {}
                Ok(None) => self.find(&place, Damage::MissingEntry, format!("index {}: {item}", index.name)),
                // Told when the index is read.
                Err(_) => {}
            }
        }
        let keys: Vec<Key> = queued.iter().map(|(key, ..)| key.clone()).collect();
        for ((_, suffix, _), found) in queued.into_iter().zip(self.values(&keys).await?) {
            if matches!(found, Ok(None)) {
                if gathering.late.len() < MAX_LATE {
                    gathering.late.insert(fingerprint(&suffix));
                } else {
                    gathering.too_many_late = true;
                }
            }
        }
        self.collections(table, gathering).await
    }

    /// Compares the collections that are summed up with their counters.
    async fn collections(&mut self, table: &Table, gathering: &mut Gathering) -> Result<()> {
        let done = std::mem::take(&mut gathering.collections);
        if gathering.incomplete {
            return Ok(());
        }
        let keys: Vec<Key> = done.iter().map(|(hash, _)| keyspace::collection(table.record.id, hash)).collect();
        for ((_, bytes), found) in done.iter().zip(self.values(&keys).await?) {
            let counted = match found {
                Ok(value) => value.as_deref().map_or(Ok(0), counter),
                Err(error) => Err(error),
            };
            match counted {
                Ok(counted) if counted == *bytes => {}
                Ok(counted) => {
                    let what = format!("a collection of {bytes} bytes is said to have {counted}");
                    self.find(&gathering.place, Damage::WrongCollection, what);
                }
                Err(error) => self.find(&gathering.place, Damage::Unreadable, format!("a collection's size: {error}")),
            }
        }
        Ok(())
    }

    /// Compares the entries of an index with their items.
    async fn entries(&mut self, table: &Table, index: &Index, place: &str) -> Result<()> {
        let database = self.database;
        let secret = database.key_secret();
        let name = &index.name;
        let mut pages = Pages::of(KeyRange::prefix(Key::copy_from_slice(index.prefix())));
        while let Some(rows) = pages.next(self).await? {
            let mut entries = Vec::with_capacity(rows.len());
            for (stored, value) in rows {
                let entry = match value.and_then(|value| unseal(&value)) {
                    Ok(entry) => entry,
                    Err(error) => {
                        self.find(place, Damage::Unreadable, format!("an entry of index {name}: {error}"));
                        continue;
                    }
                };
                match table.key_of_stored(&secret, &entry) {
                    Ok(key) => entries.push((stored, key)),
                    Err(_) => {
                        let what = format!("index {name}: an entry that names no item");
                        self.find(place, Damage::OrphanEntry, what);
                    }
                }
            }
            let keys: Vec<Key> = entries.iter().map(|(_, key)| key.stored.clone()).collect();
            for ((stored, key), found) in entries.into_iter().zip(self.values(&keys).await?) {
                let belongs = match found.map(|found| found.map(|found| unseal(&found))) {
                    Ok(Some(Ok(item))) => index.entry_key(&secret, &item, &key) == Some(stored),
                    Ok(None) => false,
                    // Told when the items are read.
                    Ok(Some(Err(_))) | Err(_) => true,
                };
                if !belongs {
                    self.find(place, Damage::OrphanEntry, format!("index {name}: {}", named(&key)));
                }
            }
        }
        Ok(())
    }

    /// Reads the queue of expiry times, and looks there for items that have no entry at their own time.
    async fn expiry(&mut self, table: &Table, gathering: &mut Gathering) -> Result<()> {
        let Some(queue) = table.record.logs.expiry else { return Ok(()) };
        let prefix = keyspace::expiry_queue(table.record.id, queue.generation);
        let mut pages = Pages::of(KeyRange::prefix(prefix));
        while let Some(rows) = pages.next(self).await? {
            for (key, value) in rows {
                match (expiry::suffix_of_entry(&key), value) {
                    (Some(suffix), Ok(value)) if value.is_empty() => {
                        gathering.late.remove(&fingerprint(suffix));
                    }
                    (_, Err(error)) => {
                        self.find(&gathering.place, Damage::Unreadable, format!("an expiry time: {error}"));
                    }
                    _ => {
                        let what = "an entry of the queue names no item".to_owned();
                        self.find(&gathering.place, Damage::BrokenExpiry, what);
                    }
                }
            }
        }
        if !queue.building {
            for _ in &gathering.late {
                let what = "an item with an expiry time is in no queue".to_owned();
                self.findings.add(&gathering.place, Damage::MissingExpiry, what);
            }
            if gathering.too_many_late {
                let what = format!("more than {MAX_LATE} items are queued at other times than their own");
                self.find(&gathering.place, Damage::MissingExpiry, what);
            }
        }
        Ok(())
    }

    /// Compares the counters with what was counted.
    async fn counters(&mut self, table: &Table, gathering: &Gathering) -> Result<()> {
        let id = table.record.id;
        let mut said: BTreeMap<u16, Sum> = BTreeMap::new();
        let mut pages = Pages::of(KeyRange::prefix(keyspace::table_prefix(keyspace::SPACE_COUNTER, id)));
        let place = &gathering.place;
        let mut measured_hashes = Vec::new();
        while let Some(rows) = pages.next(self).await? {
            for (key, value) in rows {
                let value = match value.and_then(|value| counter(&value)) {
                    Ok(value) => value,
                    Err(error) => {
                        self.find(place, Damage::Unreadable, format!("a counter: {error}"));
                        continue;
                    }
                };
                match keyspace::counted(&key) {
                    Some((index, Counter::Items)) => said.entry(index).or_default().items += value,
                    Some((index, Counter::Bytes)) => said.entry(index).or_default().bytes += value,
                    None if value == 0 => {}
                    None => measured_hashes.extend(keyspace::collection_hash(&key)),
                }
            }
            for hash in std::mem::take(&mut measured_hashes) {
                self.collection_exists(table, &hash, gathering).await?;
            }
        }
        if gathering.incomplete {
            return Ok(());
        }
        let mut compare = |id: u16, name: String| {
            let (counted, said) = (gathering.sums.get(&id).copied(), said.get(&id).copied());
            let (counted, said) = (counted.unwrap_or_default(), said.unwrap_or_default());
            if counted != said {
                let what = format!(
                    "{name}: {} items of {} bytes are there, {} of {} are said to be",
                    counted.items, counted.bytes, said.items, said.bytes
                );
                self.findings.add(place, Damage::WrongCount, what);
            }
        };
        compare(TABLE_ITSELF, "the table".to_owned());
        for index in table.indexes.iter().filter(|index| !index.backfilling) {
            compare(index.id, format!("index {}", index.name));
        }
        Ok(())
    }

    /// Says of a collection that has a size whether it has an item.
    async fn collection_exists(&mut self, table: &Table, hash: &PartitionHash, of: &Gathering) -> Result<()> {
        if !of.measured || of.incomplete {
            return Ok(());
        }
        let range = KeyRange::prefix([table.item_prefix(), hash].concat());
        let snapshot = self.database.snapshot(Freshness::Latest).await?;
        let one = ScanLimit { rows: 1, bytes: 1 };
        if snapshot.scan_each(&range, Direction::Forward, one).await?.0.is_empty() {
            let what = "a collection without items has a size".to_owned();
            self.find(&of.place, Damage::WrongCollection, what);
        }
        Ok(())
    }
}

impl Gathering {
    /// Adds an item to its collection. Items come in the order of their hashes.
    fn collect(&mut self, hash: PartitionHash, bytes: i64) {
        match &mut self.collection {
            Some((current, sum)) if *current == hash => *sum = sum.saturating_add(bytes),
            current => self.collections.extend(current.replace((hash, bytes))),
        }
    }
}

/// What tells an item from all others of its table, in sixteen bytes.
fn fingerprint(suffix: &[u8]) -> u128 {
    let hash = blake3::hash(suffix);
    hash.as_bytes().first_chunk().map_or(0, |head| u128::from_be_bytes(*head))
}
