//! Records of DynamoDB JSON, read in one pass without a tree of JSON values. `serde_json` has the syntax and bounds the
//! depth; what stands here is the meaning.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use partita_model::value::{MAX_NESTING_DEPTH, Set, SetError};
use partita_model::{AttributeMap, AttributeValue, Number};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Malformed, Members, Record, check_name, map};

const EMPTY: &str = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";
const SEVERAL: &str =
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes";
const TOO_DEEP: &str =
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit";

/// Reads a record.
pub fn record(bytes: &[u8]) -> Result<Record, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::new("The record is not UTF-8"))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let members = RecordSeed.deserialize(&mut json).and_then(|members| json.end().map(|()| members));
    members.map_err(worded)?.record()
}

/// What breaks a rule of values is told in DynamoDB's words; where it stands is told of broken JSON only.
fn worded(error: serde_json::Error) -> Malformed {
    let text = error.to_string();
    if error.is_data() {
        let end = text.rfind(" at line ").unwrap_or(text.len());
        return Malformed::new(text.get(..end).unwrap_or(&text));
    }
    Malformed(format!("The record is not JSON: {text}"))
}

fn custom<E: de::Error>(error: Malformed) -> E {
    E::custom(error)
}

struct RecordSeed;

impl<'de> DeserializeSeed<'de> for RecordSeed {
    type Value = Members;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Members, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed {
    type Value = Members;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a record with an Item")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members, A::Error> {
        let mut members = Members::default();
        while let Some(name) = object.next_key_seed(Text)? {
            match &*name {
                "Item" => members.item = Some(object.next_value_seed(MapSeed { depth: 0 })?),
                "ConditionExpression" => members.expression = Some(object.next_value_seed(Text)?.into_owned()),
                "ExpressionAttributeNames" => members.names = Some(object.next_value_seed(NamesSeed)?),
                "ExpressionAttributeValues" => {
                    members.values = Some(object.next_value_seed(MapSeed { depth: 0 })?);
                }
                _ => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(members)
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Clone, Copy)]
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// `ExpressionAttributeNames`.
struct NamesSeed;

impl<'de> DeserializeSeed<'de> for NamesSeed {
    type Value = Vec<(String, String)>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for NamesSeed {
    type Value = Vec<(String, String)>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a map of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = object.next_key_seed(Text)? {
            names.push((name.into_owned(), object.next_value_seed(Text)?.into_owned()));
        }
        Ok(names)
    }
}

/// A map of attributes, under so many lists and maps.
struct MapSeed {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for MapSeed {
    type Value = AttributeMap;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<AttributeMap, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MapSeed {
    type Value = AttributeMap;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a map of attribute values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<AttributeMap, A::Error> {
        let mut pairs = Vec::new();
        while let Some(name) = object.next_key_seed(Text)? {
            check_name(&name).map_err(custom)?;
            pairs.push((name.into_owned(), object.next_value_seed(ValueSeed { depth: self.depth })?));
        }
        map(pairs).map_err(custom)
    }
}

/// An attribute value, under so many lists and maps.
#[derive(Clone, Copy)]
struct ValueSeed {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = AttributeValue;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<AttributeValue, D::Error> {
        if self.depth >= MAX_NESTING_DEPTH {
            return Err(de::Error::custom(TOO_DEEP));
        }
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = AttributeValue;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an attribute value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<AttributeValue, A::Error> {
        let Some(kind) = object.next_key_seed(Text)? else { return Err(de::Error::custom(EMPTY)) };
        let value = match &*kind {
            "S" => AttributeValue::S(object.next_value_seed(Text)?.into_owned()),
            "N" => AttributeValue::N(number(&object.next_value_seed(Text)?)?),
            "B" => AttributeValue::B(binary(&object.next_value_seed(Text)?)?),
            "BOOL" => AttributeValue::Bool(object.next_value()?),
            "NULL" => {
                if !object.next_value::<bool>()? {
                    return Err(de::Error::custom(
                        "One or more parameter values were invalid: Null attribute value types must have the value of true",
                    ));
                }
                AttributeValue::Null
            }
            "SS" => {
                let elements =
                    object.next_value_seed(ListSeed(|text: Cow<'_, str>| Ok::<_, A::Error>(text.into_owned())))?;
                AttributeValue::Ss(set(elements, "string")?)
            }
            "NS" => {
                let elements = object.next_value_seed(ListSeed(|text: Cow<'_, str>| number::<A::Error>(&text)))?;
                AttributeValue::Ns(set(elements, "number")?)
            }
            "BS" => {
                let elements = object.next_value_seed(ListSeed(|text: Cow<'_, str>| binary::<A::Error>(&text)))?;
                AttributeValue::Bs(set(elements, "binary")?)
            }
            "L" => AttributeValue::L(object.next_value_seed(ValuesSeed { depth: self.depth + 1 })?),
            "M" => AttributeValue::M(object.next_value_seed(MapSeed { depth: self.depth + 1 })?),
            _ => return Err(de::Error::custom(EMPTY)),
        };
        if object.next_key_seed(Text)?.is_some() {
            return Err(de::Error::custom(SEVERAL));
        }
        Ok(value)
    }
}

fn number<E: de::Error>(text: &str) -> Result<Number, E> {
    Number::parse(text).map_err(E::custom)
}

fn binary<E: de::Error>(text: &str) -> Result<Bytes, E> {
    BASE64_STANDARD.decode(text).map(Bytes::from).map_err(|_| E::custom("A binary value is not Base64"))
}

fn set<T: Ord, E: de::Error>(elements: Vec<T>, kind: &str) -> Result<Set<T>, E> {
    Set::new(elements).map_err(|error| E::custom(set_fault(&error, kind)))
}

/// What is wrong with a set.
pub fn set_fault(error: &SetError, kind: &str) -> String {
    let why = match error {
        SetError::Empty => format!("An {kind} set  may not be empty"),
        SetError::Duplicate => "Input collection contains duplicates.".to_owned(),
    };
    format!("One or more parameter values were invalid: {why}")
}

/// A list of strings, each of which becomes something else.
struct ListSeed<F>(F);

impl<'de, F, T, E: fmt::Display> DeserializeSeed<'de> for ListSeed<F>
where
    F: Fn(Cow<'de, str>) -> Result<T, E>,
{
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Vec<T>, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, F, T, E: fmt::Display> Visitor<'de> for ListSeed<F>
where
    F: Fn(Cow<'de, str>) -> Result<T, E>,
{
    type Value = Vec<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut elements = Vec::new();
        while let Some(text) = list.next_element_seed(Text)? {
            elements.push((self.0)(text).map_err(de::Error::custom)?);
        }
        Ok(elements)
    }
}

/// A list of attribute values, under so many lists and maps.
struct ValuesSeed {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for ValuesSeed {
    type Value = Vec<AttributeValue>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ValuesSeed {
    type Value = Vec<AttributeValue>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list of attribute values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(ValueSeed { depth: self.depth })? {
            values.push(value);
        }
        Ok(values)
    }
}
