//! What a table holds, in a few kilobytes: how many items, and a hash of their contents that does not depend on their
//! order. Two tables with the same digest hold the same items.
//!
//! Items are spread over buckets by their keys, so that of two tables that differ only a part is looked at again.

use std::collections::BTreeMap;

use partita_model::Number;
use serde_json::{Map, Value};

/// How many buckets there are.
pub(crate) const BUCKETS: usize = 1024;

/// What a table, or a bucket of one, holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub items: u64,
    /// The sum of the items' hashes.
    sum: u128,
}

/// What a table holds, by buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digest(Vec<Held>);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(vec![Held::default(); BUCKETS])
    }

    /// Adds an item, with the names of its key's attributes.
    pub(crate) fn add(&mut self, item: &Value, key: &[String]) {
        let bucket = bucket_of(fingerprint(&key_of(item, key)));
        if let Some(held) = self.0.get_mut(bucket) {
            held.items += 1;
            held.sum = held.sum.wrapping_add(fingerprint(item));
        }
    }

    /// Adds what another holds.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (held, more) in self.0.iter_mut().zip(&other.0) {
            held.items += more.items;
            held.sum = held.sum.wrapping_add(more.sum);
        }
    }

    /// How many items there are.
    pub(crate) fn items(&self) -> u64 {
        self.0.iter().map(|held| held.items).sum()
    }

    /// The buckets in which two differ.
    pub(crate) fn differences(&self, other: &Self) -> Vec<usize> {
        let pairs = self.0.iter().zip(&other.0).enumerate();
        pairs.filter(|(_, (one, other))| one != other).map(|(bucket, _)| bucket).collect()
    }
}

/// The bucket of an item whose key has this fingerprint.
pub(crate) fn bucket_of(key: u128) -> usize {
    usize::try_from(key % (BUCKETS as u128)).unwrap_or(0)
}

/// The key of an item.
pub(crate) fn key_of(item: &Value, key: &[String]) -> Value {
    let of = |name: &String| Some((name.clone(), item.get(name)?.clone()));
    Value::Object(key.iter().filter_map(of).collect())
}

/// What tells a value from all others, whatever way it is written.
pub(crate) fn fingerprint(item: &Value) -> u128 {
    let mut hasher = blake3::Hasher::new();
    if let Value::Object(attributes) = item {
        put_map(&mut hasher, attributes);
    }
    hasher.finalize().as_bytes().first_chunk().map_or(0, |head| u128::from_be_bytes(*head))
}

fn put(hasher: &mut blake3::Hasher, kind: &str, bytes: &[u8]) {
    put_head(hasher, kind, bytes.len());
    hasher.update(bytes);
}

fn put_head(hasher: &mut blake3::Hasher, kind: &str, length: usize) {
    hasher.update(kind.as_bytes());
    hasher.update(&[0]);
    hasher.update(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
}

fn put_map(hasher: &mut blake3::Hasher, map: &Map<String, Value>) {
    let sorted: BTreeMap<&String, &Value> = map.iter().collect();
    put_head(hasher, "M", sorted.len());
    for (name, value) in sorted {
        put(hasher, "name", name.as_bytes());
        put_value(hasher, value);
    }
}

/// Adds an attribute value in DynamoDB's JSON: sets without their order, numbers by what they are worth.
fn put_value(hasher: &mut blake3::Hasher, value: &Value) {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else {
        put(hasher, "?", value.to_string().as_bytes());
        return;
    };
    match (kind.as_str(), value) {
        ("N", Value::String(text)) => put(hasher, kind, canonical_number(text).as_bytes()),
        ("M", Value::Object(map)) => put_map(hasher, map),
        ("L", Value::Array(list)) => {
            put_head(hasher, kind, list.len());
            list.iter().for_each(|value| put_value(hasher, value));
        }
        ("SS" | "NS" | "BS", Value::Array(set)) => {
            let texts = set.iter().filter_map(Value::as_str);
            let mut texts: Vec<String> =
                texts.map(|text| if kind == "NS" { canonical_number(text) } else { text.to_owned() }).collect();
            texts.sort_unstable();
            put_head(hasher, kind, texts.len());
            texts.iter().for_each(|text| put(hasher, "member", text.as_bytes()));
        }
        (_, Value::String(text)) => put(hasher, kind, text.as_bytes()),
        (_, other) => put(hasher, kind, other.to_string().as_bytes()),
    }
}

fn canonical_number(text: &str) -> String {
    Number::parse(text).map_or_else(|_| text.to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_item_written_otherwise_is_the_same() {
        let one =
            json!({"pk": {"S": "a"}, "n": {"N": "1.50"}, "s": {"NS": ["2", "1"]}, "m": {"M": {"x": {"NULL": true}}}});
        let other =
            json!({"m": {"M": {"x": {"NULL": true}}}, "s": {"NS": ["1.0", "2"]}, "n": {"N": "1.5"}, "pk": {"S": "a"}});
        assert_eq!(fingerprint(&one), fingerprint(&other));
    }

    #[test]
    fn what_differs_is_not_the_same() {
        let items = [
            json!({}),
            json!({"a": {"S": "1"}}),
            json!({"a": {"N": "1"}}),
            json!({"a": {"B": "1"}}),
            json!({"b": {"S": "1"}}),
            json!({"a": {"L": [{"S": "1"}]}}),
            json!({"a": {"L": [{"L": [{"S": "1"}]}]}}),
            json!({"a": {"L": []}}),
            json!({"a": {"M": {}}}),
            json!({"a": {"SS": ["1"]}}),
            json!({"a": {"SS": ["1", "2"]}}),
            json!({"a": {"BOOL": true}}),
            json!({"a": {"BOOL": false}}),
            json!({"a": {"S": "1"}, "b": {"S": ""}}),
        ];
        for (at, one) in items.iter().enumerate() {
            for other in &items[at + 1..] {
                assert_ne!(fingerprint(one), fingerprint(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn tables_are_compared_without_order_and_differences_found_by_bucket() {
        let key = ["pk".to_owned()];
        let item = |n: u32, v: u32| json!({"pk": {"S": n.to_string()}, "v": {"N": v.to_string()}});
        let (mut one, mut other) = (Digest::new(), Digest::new());
        (0..500).for_each(|n| one.add(&item(n, n), &key));
        (0..500).rev().for_each(|n| other.add(&item(n, n), &key));
        assert_eq!(one, other);
        one.add(&item(1000, 1), &key);
        other.add(&item(1000, 2), &key);
        let bucket = bucket_of(fingerprint(&json!({"pk": {"S": "1000"}})));
        assert_eq!(one.differences(&other), [bucket]);
        let mut sum = Digest::new();
        sum.merge(&one);
        assert_eq!((sum.items(), sum.differences(&one)), (501, Vec::new()));
    }
}
