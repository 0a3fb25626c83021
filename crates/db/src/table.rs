//! A table as reading and writing it needs it: typed keys, indexes, prefixes of stored keys. Made from its record.

use std::any::Any;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use partita_engine::{CatalogToken, Key};
use partita_model::key::{self, PartitionHash};
use partita_model::schema::{KeyAttribute, KeySchema, KeyType, Projection};
use partita_model::{AttributeMap, AttributeValue, Document, Item, StoredItem};

use crate::error::{Error, Result};
use crate::keyspace;
use crate::metering::{Metering, Meters};
use crate::record::{Collections, IndexRecord, IndexStatus, KeyElement, Projected, TableRecord};
use crate::sight::TableSeries;

/// The first byte of every stored value: how the rest is to be read.
const ENVELOPE_PLAIN: u8 = 0;

/// A table of the catalog, ready for use.
#[derive(Debug)]
pub struct Table {
    /// The record it was made from.
    pub record: TableRecord,
    /// Its key: one partition attribute, and one or no sort attribute.
    pub key: KeySchema,
    /// Its indexes: the local ones, then the global ones, each in the order of the record.
    pub indexes: Vec<Index>,
    /// The token of the catalog this was read from.
    pub(crate) token: CatalogToken,
    /// Where its record lies; every commit that relies on the table reads it.
    pub(crate) catalog_key: Key,
    item_prefix: Vec<u8>,
    arn: String,
    /// What it and its indexes have been asked for.
    pub(crate) meters: Meters,
    /// What those above make of the record and want to make once: it goes when the record changes.
    pub beside: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// Whether an index shares the table's partition key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// A local secondary index.
    Local,
    /// A global secondary index.
    Global,
}

/// An index of a table.
#[derive(Debug)]
pub struct Index {
    /// The index's name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The id that its keys carry.
    pub id: u16,
    /// Local or global.
    pub kind: IndexKind,
    /// Its key.
    pub key: KeySchema,
    /// What it carries besides the keys.
    pub projection: Projection,
    /// Its state.
    pub status: IndexStatus,
    /// Whether it is being filled from the table.
    pub backfilling: bool,
    /// The names of all attributes an entry carries; empty when it carries all.
    projected: Vec<String>,
    prefix: Vec<u8>,
}

/// The primary key of an item, checked against its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemKey {
    /// The key attributes.
    pub attributes: AttributeMap,
    pub(crate) hash: PartitionHash,
    /// Where the item lies in the store.
    pub(crate) stored: Key,
    /// Where the partition hash begins in `stored`.
    hash_at: usize,
}

impl ItemKey {
    /// Where the item lies in the store: other than any other item's, of any table that is or was.
    #[must_use]
    pub const fn stored(&self) -> &Key {
        &self.stored
    }

    /// The key of an item whose key without the table's prefix is known. It has no attributes.
    pub(crate) fn from_suffix(table: &Table, suffix: &[u8]) -> Self {
        let stored = [table.item_prefix(), suffix].concat();
        let hash = suffix.first_chunk().copied().unwrap_or_default();
        Self { attributes: AttributeMap::new(), hash, stored: stored.into(), hash_at: table.item_prefix().len() }
    }

    /// What tells the item from every other of the database.
    #[must_use]
    pub fn place(&self) -> &[u8] {
        &self.stored
    }

    /// The part of the stored key that tells items of a table apart: partition hash and sort key.
    pub(crate) fn suffix(&self) -> &[u8] {
        self.stored.get(self.hash_at..).unwrap_or_default()
    }
}

/// What a request is told whose key is not one of its table.
pub const KEY_DOES_NOT_MATCH: &str = "The provided key element does not match the schema";

/// Why a value can not be part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFault {
    Missing,
    Type,
    Empty,
    PartitionTooLong,
    SortTooLong,
}

impl Table {
    pub(crate) fn new(record: TableRecord, token: CatalogToken, catalog_key: Key, metering: &Metering) -> Result<Self> {
        let key = key_schema(&record.attributes, &record.key)?;
        let mut indexes = Vec::with_capacity(record.local_indexes.len() + record.global_indexes.len());
        for index in &record.local_indexes {
            indexes.push(Index::new(&record, &key, index, IndexKind::Local)?);
        }
        for index in record.global_indexes.iter().filter(|index| index.status != IndexStatus::Deleting) {
            indexes.push(Index::new(&record, &key, index, IndexKind::Global)?);
        }
        let item_prefix = keyspace::table_prefix(keyspace::SPACE_ITEM, record.id);
        let arn = record.arn();
        let meters = metering.of(&record, &indexes);
        Ok(Self { record, key, indexes, token, catalog_key, item_prefix, arn, meters, beside: OnceLock::new() })
    }

    /// The table's ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// What the table and its indexes have been asked for.
    #[must_use]
    pub const fn meters(&self) -> &Meters {
        &self.meters
    }

    /// The counters of its requests.
    #[must_use]
    pub fn series(&self) -> &TableSeries {
        &self.meters.series
    }

    /// The index of this name, and its place in `indexes`.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<(usize, &Index)> {
        self.indexes.iter().enumerate().find(|(_, index)| index.name == name)
    }

    /// The names of the key's attributes.
    pub(crate) fn key_attribute_names(&self) -> Vec<String> {
        self.key.attributes().map(|attribute| attribute.name.clone()).collect()
    }

    /// What the keys of the table's items begin with.
    pub(crate) fn item_prefix(&self) -> &[u8] {
        &self.item_prefix
    }

    /// Whether the item's part of its collection's size is counted.
    pub(crate) fn measures_collection_of(&self, key: &ItemKey) -> bool {
        !self.record.local_indexes.is_empty()
            && match &self.record.collections {
                Collections::NotMeasured => false,
                Collections::MeasuredTo(last) => key.suffix() <= last.as_slice(),
                Collections::Measured => true,
            }
    }

    /// The key of an item that is about to be put.
    ///
    /// # Errors
    /// `ValidationException` when a key attribute is missing, of the wrong type, empty or too long.
    pub fn key_of_item(&self, secret: &KeySecret<'_>, item: &Item) -> Result<ItemKey> {
        let fault = |attribute: &KeyAttribute, fault: KeyFault, value: Option<&AttributeValue>| match fault {
            KeyFault::Missing => {
                format!("One or more parameter values were invalid: Missing the key {} in the item", attribute.name)
            }
            KeyFault::Type => format!(
                "One or more parameter values were invalid: Type mismatch for key {} expected: {} actual: {}",
                attribute.name,
                attribute.key_type.attribute_type().name(),
                value.map_or("", |value| value.attribute_type().name())
            ),
            other => Self::key_value_fault(attribute, other),
        };
        self.key(secret, item, fault)
    }

    /// The key of an item as it is stored, without reading its other attributes.
    ///
    /// # Errors
    /// As for [`Self::key_of_item`].
    pub(crate) fn key_of_stored(&self, secret: &KeySecret<'_>, item: &StoredItem) -> Result<ItemKey> {
        let names: Vec<&str> = self.key.attributes().map(|attribute| attribute.name.as_str()).collect();
        self.key_of_item(secret, &item.project(&names).to_item())
    }

    /// The key of an item that a batch puts: as for a request's key, but among other attributes.
    ///
    /// # Errors
    /// `ValidationException` when a key attribute is missing, of the wrong type, empty or too long.
    pub fn key_of_batch_item(&self, secret: &KeySecret<'_>, item: &Item) -> Result<ItemKey> {
        self.key(secret, item, |attribute, fault, _| Self::key_value_fault(attribute, fault))
    }

    /// The key that a request names an item by.
    ///
    /// # Errors
    /// `ValidationException` when the attributes are not exactly those of the table's key, of its types.
    pub fn key_of_request(&self, secret: &KeySecret<'_>, given: &AttributeMap) -> Result<ItemKey> {
        if given.len() != self.key.len() {
            return Err(Error::validation(KEY_DOES_NOT_MATCH));
        }
        self.key(secret, given, |attribute, fault, _| Self::key_value_fault(attribute, fault))
    }

    fn key_value_fault(attribute: &KeyAttribute, fault: KeyFault) -> String {
        match fault {
            KeyFault::Empty => format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an \
                 empty {} value. Key: {}",
                empty_kind(attribute.key_type),
                attribute.name
            ),
            KeyFault::PartitionTooLong => {
                "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 \
                 bytes"
                    .to_owned()
            }
            KeyFault::SortTooLong => {
                "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size \
                 limit of 1024 bytes"
                    .to_owned()
            }
            KeyFault::Missing | KeyFault::Type => KEY_DOES_NOT_MATCH.to_owned(),
        }
    }

    fn key(
        &self,
        secret: &KeySecret<'_>,
        from: &AttributeMap,
        fault: impl Fn(&KeyAttribute, KeyFault, Option<&AttributeValue>) -> String,
    ) -> Result<ItemKey> {
        let mut stored = Vec::with_capacity(64);
        stored.extend_from_slice(&self.item_prefix);
        let hash_at = stored.len();
        let mut attributes = AttributeMap::new();
        for (attribute, partition) in self.key_roles() {
            let value = from.get(&attribute.name);
            let value = check_key_value(attribute, value, partition)
                .map_err(|found| Error::validation(fault(attribute, found, value)))?;
            if partition {
                stored.extend_from_slice(&key::partition_hash(secret.0, [value]));
            } else {
                key::put_sort_value(&mut stored, value);
            }
            attributes.insert(attribute.name.as_str(), value.clone());
        }
        let hash = stored.get(hash_at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        Ok(ItemKey { attributes, hash, stored: stored.into(), hash_at })
    }

    fn key_roles(&self) -> impl Iterator<Item = (&KeyAttribute, bool)> {
        let partition = self.key.partition.iter().map(|attribute| (attribute, true));
        partition.chain(self.key.sort.iter().map(|attribute| (attribute, false)))
    }

    /// Refuses an item whose attributes would be keys of an index but are of the wrong type, empty or too long.
    ///
    /// # Errors
    /// `ValidationException`, worded for the way in which the item came about.
    pub(crate) fn check_index_keys(&self, item: &StoredItem, origin: Origin) -> Result<()> {
        for index in self.indexes.iter().filter(|index| !index.backfilling) {
            for (attribute, partition) in index.key_roles() {
                let value = item.attribute(&attribute.name);
                let value = value.as_deref();
                match check_key_value(attribute, value, partition) {
                    Ok(_) | Err(KeyFault::Missing) => {}
                    Err(fault) => {
                        return Err(Error::validation(index_key_fault(index, attribute, fault, value, origin)));
                    }
                }
            }
        }
        Ok(())
    }
}

/// How an item came about: the service has other words for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Put whole.
    Put,
    /// Made by an update expression.
    Expression,
    /// Made by the legacy `AttributeUpdates`.
    AttributeUpdates,
}

fn index_key_fault(
    index: &Index,
    attribute: &KeyAttribute,
    fault: KeyFault,
    value: Option<&AttributeValue>,
    origin: Origin,
) -> String {
    match (fault, origin) {
        (KeyFault::Empty, Origin::Expression) => format!(
            "One or more parameter values are not valid. The update expression attempted to update a secondary index \
             key to a value that is not supported. The AttributeValue for a key attribute cannot contain an empty {} \
             value.",
            empty_kind(attribute.key_type)
        ),
        (KeyFault::Empty, _) => format!(
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. \
             The AttributeValue for a key attribute cannot contain an empty {} value. IndexName: {}, IndexKey: {}",
            empty_kind(attribute.key_type),
            index.name,
            attribute.name
        ),
        (KeyFault::PartitionTooLong | KeyFault::SortTooLong, _) => {
            "One or more parameter values were invalid: Size limit exceeded".to_owned()
        }
        (_, Origin::Expression) => {
            "The update expression attempted to update the secondary index key to unsupported type".to_owned()
        }
        (_, Origin::AttributeUpdates) => {
            "Updates on index keys must be of the same data type as the key attribute".to_owned()
        }
        (_, Origin::Put) => format!(
            "One or more parameter values were invalid: Type mismatch for Index Key {} Expected: {} Actual: {} IndexName: \
             {}",
            attribute.name,
            attribute.key_type.attribute_type().name(),
            value.map_or("", |value| value.attribute_type().name()),
            index.name
        ),
    }
}

/// The secret that keys partition hashes, lent to the functions that make keys.
#[derive(Clone, Copy)]
pub struct KeySecret<'a>(pub(crate) &'a [u8; 32]);

impl crate::Database {
    /// What making keys of items needs.
    #[must_use]
    pub fn key_secret(&self) -> KeySecret<'_> {
        KeySecret(&self.inner.hash_secret)
    }
}

/// One entry of an index: its key and what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub key: Key,
    pub item: StoredItem,
}

impl Index {
    fn new(record: &TableRecord, table_key: &KeySchema, index: &IndexRecord, kind: IndexKind) -> Result<Self> {
        let key = key_schema(&record.attributes, &index.key)?;
        let space = match kind {
            IndexKind::Local => keyspace::SPACE_LOCAL_INDEX,
            IndexKind::Global => keyspace::SPACE_GLOBAL_INDEX,
        };
        let projection = match &index.projection {
            Projected::All => Projection::All,
            Projected::KeysOnly => Projection::KeysOnly,
            Projected::Include(names) => Projection::Include(names.clone()),
        };
        let mut projected: Vec<String> = match &projection {
            Projection::All => Vec::new(),
            Projection::KeysOnly => key_names(table_key, &key).collect(),
            Projection::Include(names) => key_names(table_key, &key).chain(names.iter().cloned()).collect(),
        };
        projected.sort_unstable();
        projected.dedup();
        Ok(Self {
            name: index.name.clone(),
            arn: format!("{}/index/{}", record.arn(), index.name),
            id: index.id,
            kind,
            key,
            projection,
            status: index.status,
            backfilling: index.backfilling,
            projected,
            prefix: keyspace::index_prefix(space, record.id, index.id),
        })
    }

    /// What the keys of the index's entries begin with.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The partition that an entry's key is of.
    pub(crate) fn partition_of(&self, key: &[u8]) -> Option<PartitionHash> {
        key.strip_prefix(self.prefix.as_slice())?.first_chunk().copied()
    }

    /// Whether an entry carries the attribute, if the item has it.
    #[must_use]
    pub fn carries(&self, name: &str) -> bool {
        self.carries_all() || self.projected.iter().any(|projected| projected == name)
    }

    /// Whether entries carry every attribute of the item.
    #[must_use]
    pub fn carries_all(&self) -> bool {
        self.projection == Projection::All
    }

    fn key_roles(&self) -> impl Iterator<Item = (&KeyAttribute, bool)> {
        let partition = self.key.partition.iter().map(|attribute| (attribute, true));
        partition.chain(self.key.sort.iter().map(|attribute| (attribute, false)))
    }

    /// Where an item's entry lies, or `None` when it lacks a key attribute or has one that no key can hold.
    pub(crate) fn entry_key(&self, secret: &KeySecret<'_>, item: &impl Document, base: &ItemKey) -> Option<Key> {
        let mut values = Vec::with_capacity(self.key.len());
        for (attribute, partition) in self.key_roles() {
            let value = item.attribute(&attribute.name)?;
            check_key_value(attribute, Some(&value), partition).ok()?;
            values.push(value);
        }
        let (partition, sort) = values.split_at_checked(self.key.partition.len())?;
        let mut key = Vec::with_capacity(96);
        key.extend_from_slice(&self.prefix);
        match self.kind {
            IndexKind::Local => key.extend_from_slice(&base.hash),
            IndexKind::Global => {
                key.extend_from_slice(&key::partition_hash(secret.0, partition.iter().map(Cow::as_ref)));
            }
        }
        sort.iter().for_each(|value| key::put_sort_value(&mut key, value));
        match self.kind {
            // The partition hash stands there already.
            IndexKind::Local => key.extend_from_slice(base.suffix().get(size_of::<PartitionHash>()..)?),
            IndexKind::Global => key.extend_from_slice(base.suffix()),
        }
        Some(key.into())
    }

    /// The entry of an item, or `None` when it has none.
    pub(crate) fn entry(&self, secret: &KeySecret<'_>, item: &StoredItem, base: &ItemKey) -> Option<IndexEntry> {
        let key = self.entry_key(secret, item, base)?;
        let item = if self.carries_all() { item.clone() } else { item.project(&self.projected) };
        Some(IndexEntry { key, item })
    }
}

/// The names of the attributes of two keys.
fn key_names<'k>(table: &'k KeySchema, index: &'k KeySchema) -> impl Iterator<Item = String> + use<'k> {
    table.attributes().chain(index.attributes()).map(|attribute| attribute.name.clone())
}

/// Checks one value against the key attribute it is to be.
pub(crate) fn check_key_value<'v>(
    attribute: &KeyAttribute,
    value: Option<&'v AttributeValue>,
    partition: bool,
) -> std::result::Result<&'v AttributeValue, KeyFault> {
    let value = value.ok_or(KeyFault::Missing)?;
    if !attribute.key_type.admits(value) {
        return Err(KeyFault::Type);
    }
    let length = match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.len(),
        _ => return Ok(value),
    };
    match length {
        0 => Err(KeyFault::Empty),
        length if partition && length > key::MAX_PARTITION_KEY_BYTES => Err(KeyFault::PartitionTooLong),
        length if !partition && length > key::MAX_SORT_KEY_BYTES => Err(KeyFault::SortTooLong),
        _ => Ok(value),
    }
}

const fn empty_kind(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::B => "binary",
        _ => "string",
    }
}

fn key_schema(attributes: &[(String, String)], key: &[KeyElement]) -> Result<KeySchema> {
    let mut schema = KeySchema { partition: Vec::new(), sort: Vec::new() };
    for element in key {
        let key_type = attributes
            .iter()
            .find(|(name, _)| *name == element.name)
            .and_then(|(_, key_type)| KeyType::from_name(key_type))
            .ok_or_else(|| Error::Internal(format!("the record does not define key attribute {}", element.name)))?;
        let attribute = KeyAttribute { name: element.name.clone(), key_type };
        if element.partition {
            schema.partition.push(attribute);
        } else {
            schema.sort.push(attribute);
        }
    }
    if schema.partition.is_empty() {
        return Err(Error::Internal("the record's key has no partition attribute".to_owned()));
    }
    Ok(schema)
}

/// Puts an item's flat form into a stored value.
pub(crate) fn seal(item: &StoredItem) -> Bytes {
    let mut value = Vec::with_capacity(1 + item.as_bytes().len());
    value.push(ENVELOPE_PLAIN);
    value.extend_from_slice(item.as_bytes());
    value.into()
}

/// Takes an item's flat form out of a stored value, sharing its bytes.
///
/// # Errors
/// `Error::Internal` when the envelope is of no known kind.
pub(crate) fn unseal(value: &Bytes) -> Result<StoredItem> {
    match value.first() {
        Some(&ENVELOPE_PLAIN) => Ok(StoredItem::from_bytes(value.slice(1..))),
        other => Err(Error::Internal(format!("a stored value has the unknown envelope {other:?}"))),
    }
}
