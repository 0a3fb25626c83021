//! Keys of items as DAX's clients write them: without names, in the order of the table's key. A partition key alone is
//! its bare bytes; before a sort key, which is bare then, it is a value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use partita_model::schema::{KeySchema, KeyType};
use partita_model::{AttributeMap, AttributeValue, Number, ValueRef};

use crate::cbor::{Malformed, Reader, Writer};
use crate::number;
use crate::value::json_text;

/// One attribute of a key, as the client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    S(String),
    N(String),
    B(Vec<u8>),
}

/// A key of a request, in the order of the table's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(Vec<Part>);

impl Key {
    /// Reads a key of a table.
    ///
    /// # Errors
    /// When it is none of this schema.
    pub fn read(bytes: &[u8], schema: &KeySchema) -> Result<Self, Malformed> {
        let types: Vec<KeyType> = schema.attributes().map(|attribute| attribute.key_type).collect();
        match types.as_slice() {
            [KeyType::N] => {
                let mut reader = Reader::new(bytes);
                let part = partition(&mut reader, KeyType::N)?;
                if reader.is_at_end() { Ok(Self(vec![part])) } else { Err(MISMATCH) }
            }
            [only] => Ok(Self(vec![bare(bytes, *only)?])),
            [first, second] => {
                let mut reader = Reader::new(bytes);
                let first = partition(&mut reader, *first)?;
                Ok(Self(vec![first, bare(reader.rest(), *second)?]))
            }
            _ => Err(MISMATCH),
        }
    }

    /// Adds the key's attributes to a JSON object's members, with a comma before each but the first.
    pub fn write_members(&self, schema: &KeySchema, out: &mut Vec<u8>) {
        for (at, (part, attribute)) in self.0.iter().zip(schema.attributes()).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            json_text(&attribute.name, out);
            match part {
                Part::S(text) => {
                    out.extend_from_slice(br#":{"S":"#);
                    json_text(text, out);
                }
                Part::N(text) => {
                    out.extend_from_slice(br#":{"N":"#);
                    json_text(text, out);
                }
                Part::B(bytes) => {
                    out.extend_from_slice(br#":{"B":"#);
                    json_text(&STANDARD.encode(bytes), out);
                }
            }
            out.push(b'}');
        }
    }

    /// Writes the key as a JSON object.
    pub fn write_json(&self, schema: &KeySchema, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_members(schema, out);
        out.push(b'}');
    }

    /// The key's attributes; `None` if a number is none that DynamoDB takes.
    #[must_use]
    pub fn attributes(&self, schema: &KeySchema) -> Option<AttributeMap> {
        let mut attributes = AttributeMap::new();
        for (part, attribute) in self.0.iter().zip(schema.attributes()) {
            let value = match part {
                Part::S(text) => AttributeValue::S(text.clone()),
                Part::N(text) => AttributeValue::N(Number::parse(text).ok()?),
                Part::B(bytes) => AttributeValue::B(Bytes::copy_from_slice(bytes)),
            };
            attributes.insert(attribute.name.as_str(), value);
        }
        Some(attributes)
    }
}

/// The words for a key that is not the table's.
const MISMATCH: Malformed = Malformed("The provided key element does not match the schema");

fn partition(reader: &mut Reader<'_>, key_type: KeyType) -> Result<Part, Malformed> {
    match key_type {
        KeyType::S => reader.text().map(|text| Part::S(text.into_owned())).map_err(|_| MISMATCH),
        KeyType::N => number::read(reader)?.map(Part::N).ok_or(MISMATCH),
        KeyType::B => reader.bytes().map(|bytes| Part::B(bytes.into_owned())).map_err(|_| MISMATCH),
    }
}

fn bare(bytes: &[u8], key_type: KeyType) -> Result<Part, Malformed> {
    match key_type {
        KeyType::S => std::str::from_utf8(bytes).map(|text| Part::S(text.to_owned())).map_err(|_| MISMATCH),
        KeyType::N => number::of_key(bytes).map(Part::N).map_err(|_| MISMATCH),
        KeyType::B => Ok(Part::B(bytes.to_vec())),
    }
}

/// The key of an item, as clients read it. `value` finds its attributes; one that is not there is left out.
pub fn write<'v>(schema: &KeySchema, value: impl Fn(&str) -> Option<ValueRef<'v>>) -> Vec<u8> {
    let mut out = Writer::with_capacity(64);
    let has_sort = schema.len() > 1;
    for (at, attribute) in schema.attributes().enumerate() {
        let is_bare = at > 0 || !has_sort;
        match value(&attribute.name) {
            Some(ValueRef::S(text)) if is_bare => out.raw(text.as_bytes()),
            Some(ValueRef::S(text)) => out.utf8(text.as_bytes()),
            Some(ValueRef::N(text)) if at > 0 => out.raw(&number::to_key(text.as_bytes())),
            Some(ValueRef::N(text)) => number::write(text.as_bytes(), &mut out),
            Some(ValueRef::B(bytes)) if is_bare => out.raw(bytes),
            Some(ValueRef::B(bytes)) => out.bytes(bytes),
            _ => {}
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use partita_model::StoredItem;
    use partita_model::schema::KeyAttribute;
    use proptest::prelude::*;

    use super::*;

    fn schema(partition: KeyType, sort: Option<KeyType>) -> KeySchema {
        let attribute = |name: &str, key_type| KeyAttribute { name: name.to_owned(), key_type };
        KeySchema {
            partition: vec![attribute("p", partition)],
            sort: sort.map(|sort| attribute("s", sort)).into_iter().collect(),
        }
    }

    fn a_value(key_type: KeyType) -> AttributeValue {
        match key_type {
            KeyType::S => AttributeValue::S("käse".to_owned()),
            KeyType::N => AttributeValue::N(Number::parse("-12.5").unwrap()),
            KeyType::B => AttributeValue::B(Bytes::from_static(&[0, 255, 7])),
        }
    }

    #[test]
    fn keys_of_all_types_come_back() {
        let types = [KeyType::S, KeyType::N, KeyType::B];
        for partition in types {
            for sort in types.map(Some).into_iter().chain([None]) {
                let schema = schema(partition, sort);
                let mut item = AttributeMap::new();
                item.insert("p", a_value(partition));
                if let Some(sort) = sort {
                    item.insert("s", a_value(sort));
                }
                let stored = StoredItem::from_item(&item);
                let bytes = write(&schema, |name| stored.get(name));
                assert_eq!(
                    Key::read(&bytes, &schema).unwrap().attributes(&schema),
                    Some(item),
                    "{partition:?} {sort:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_key_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            for sort in [None, Some(KeyType::S), Some(KeyType::N)] {
                for partition in [KeyType::S, KeyType::N, KeyType::B] {
                    let schema = schema(partition, sort);
                    if let Ok(key) = Key::read(&bytes, &schema) {
                        let mut json = Vec::new();
                        key.write_json(&schema, &mut json);
                        prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
                    }
                }
            }
        }
    }
}
