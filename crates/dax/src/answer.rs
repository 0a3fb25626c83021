//! Answers: DynamoDB's outputs as DAX's clients read them.
//!
//! A result is an empty list of causes and then what the method gives. Items go without the names of their attributes,
//! under the id of a list of those, and without the attributes of their keys, which the client has or gets apart; where the
//! client projects, values go under the places of their paths in the projection.

use partita_model::schema::KeySchema;
use partita_model::{StoredItem, ValueRef};
use serde_json::Value;

use crate::cbor::Writer;
use crate::expression::{Path, Step};
use crate::key;
use crate::value::{attributes, to_cbor};

/// What stands in the map of an answer, by DAX's numbers.
pub mod member {
    /// `Item`.
    pub const ITEM: i64 = 0;
    /// `ConsumedCapacity`.
    pub const CAPACITY: i64 = 1;
    /// `Attributes`.
    pub const ATTRIBUTES: i64 = 2;
    /// `ItemCollectionMetrics`.
    pub const METRICS: i64 = 3;
    /// `Items`.
    pub const ITEMS: i64 = 7;
    /// `Count`.
    pub const COUNT: i64 = 8;
    /// `LastEvaluatedKey`.
    pub const LAST_KEY: i64 = 9;
    /// `ScannedCount`.
    pub const SCANNED: i64 = 10;
}

/// The beginning of every result.
#[must_use]
pub fn success(room: usize) -> Writer {
    let mut out = Writer::with_capacity(room + 16);
    out.array(0);
    out
}

/// An item without its key's attributes, under the id of its list.
#[must_use]
pub fn stream_item(item: &StoredItem, schema: &KeySchema, list: u64) -> Vec<u8> {
    let mut out = Writer::with_capacity(item.as_bytes().len() + 16);
    out.uint(list);
    for (name, value) in item.entries().iter() {
        if !schema.contains(name.as_str()) {
            to_cbor(&value, &mut out);
        }
    }
    out.into_bytes()
}

/// The values of an item at these paths, each under its path's place.
pub fn projected(item: &StoredItem, paths: &[Path], out: &mut Writer) {
    out.open_map();
    for (place, path) in (0..).zip(paths) {
        if let Some(value) = at(item, path) {
            out.int(place);
            to_cbor(&value, out);
        }
    }
    out.end();
}

/// The value at a path.
fn at<'i>(item: &'i StoredItem, path: &[Step]) -> Option<ValueRef<'i>> {
    let (first, rest) = path.split_first()?;
    let Step::Name(first) = first else { return None };
    rest.iter().try_fold(item.get(first)?, |value, step| match (value, step) {
        (ValueRef::M(map), Step::Name(name)) => map.get(name),
        (ValueRef::L(list), Step::Index(index)) => list.iter().nth(*index),
        _ => None,
    })
}

/// A JSON object of attributes as an item.
#[must_use]
pub fn item_of(json: &Value) -> StoredItem {
    StoredItem::from_item(&attributes(json))
}

/// The key of an item.
#[must_use]
pub fn key_of(item: &StoredItem, schema: &KeySchema) -> Vec<u8> {
    key::write(schema, |name| item.get(name))
}

/// A key that belongs to an index too, with its names.
#[must_use]
pub fn named_key(item: &StoredItem) -> Vec<u8> {
    let mut out = Writer::with_capacity(128);
    out.open_map();
    for (name, value) in item.entries().iter() {
        out.utf8(name.as_bytes());
        to_cbor(&value, &mut out);
    }
    out.end();
    out.into_bytes()
}

/// How much of its cost a request wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    None,
    /// The sum.
    Total,
    /// The table's and each index's.
    Indexes,
}

impl Detail {
    /// What a parameter asks for.
    #[must_use]
    pub fn of(parameter: Option<&str>) -> Self {
        match parameter {
            Some("TOTAL") => Self::Total,
            Some("INDEXES") => Self::Indexes,
            _ => Self::None,
        }
    }
}

fn units(json: &Value, out: &mut Writer) {
    out.float(json.get("CapacityUnits").and_then(Value::as_f64).unwrap_or_default());
}

/// What an operation consumed.
#[must_use]
pub fn capacity(json: &Value, detail: Detail) -> Vec<u8> {
    let mut out = Writer::with_capacity(64);
    out.text(json.get("TableName").and_then(Value::as_str).unwrap_or_default());
    units(json, &mut out);
    let shown = |name: &str| json.get(name).filter(|_| detail == Detail::Indexes);
    match shown("Table") {
        Some(table) => units(table, &mut out),
        None => out.null(),
    }
    for indexes in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        match shown(indexes).and_then(Value::as_object) {
            Some(indexes) => {
                out.map(indexes.len());
                for (name, consumed) in indexes {
                    out.text(name);
                    units(consumed, &mut out);
                }
            }
            None => out.null(),
        }
    }
    out.into_bytes()
}

/// What a transaction consumed in one table.
pub fn extended_capacity(json: &Value, out: &mut Writer) {
    const NAMES: [(&str, i64); 3] = [("CapacityUnits", 1), ("ReadCapacityUnits", 2), ("WriteCapacityUnits", 3)];
    out.open_map();
    for (name, number) in NAMES {
        if let Some(units) = json.get(name).and_then(Value::as_f64) {
            out.int(number);
            out.float(units);
        }
    }
    if let Some(name) = json.get("TableName").and_then(Value::as_str) {
        out.int(4);
        out.text(name);
    }
    if let Some(table) = json.get("Table") {
        out.int(5);
        extended_capacity(table, out);
    }
    for (name, number) in [("GlobalSecondaryIndexes", 6), ("LocalSecondaryIndexes", 7)] {
        if let Some(indexes) = json.get(name).and_then(Value::as_object) {
            out.int(number);
            out.map(indexes.len());
            for (name, consumed) in indexes {
                out.text(name);
                extended_capacity(consumed, out);
            }
        }
    }
    out.end();
}

/// The size of an item collection.
#[must_use]
pub fn collection(json: &Value) -> Vec<u8> {
    let mut out = Writer::with_capacity(64);
    let key = item_of(json.get("ItemCollectionKey").unwrap_or(&Value::Null));
    match key.entries().iter().next() {
        Some((_, value)) => to_cbor(&value, &mut out),
        None => out.null(),
    }
    for at in 0..2 {
        let range = json.get("SizeEstimateRangeGB").and_then(|range| range.get(at));
        out.float(range.and_then(Value::as_f64).unwrap_or_default());
    }
    out.into_bytes()
}

/// The elements of a JSON array; none where there is no array.
#[must_use]
pub fn elements<'j>(json: &'j Value, name: &str) -> &'j [Value] {
    json.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
