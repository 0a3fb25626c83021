//! Attribute values in their three forms: DAX's CBOR, DynamoDB's JSON, and flat items.
//!
//! A request's values are written straight as JSON, so that what a value may be is said in one place, where JSON is
//! decoded. What goes back to clients is written from flat items.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use partita_model::stored::{StoredElements, ValueRef};
use partita_model::value::Set;
use partita_model::{AttributeMap, AttributeValue, Number};
use serde_json::Value;

use crate::cbor::{Malformed, Reader, Writer, major};
use crate::number;

/// The tags of sets.
const TAG_STRING_SET: u64 = 3321;
const TAG_NUMBER_SET: u64 = 3322;
const TAG_BINARY_SET: u64 = 3323;
/// The deepest nesting of a value that is read. DynamoDB refuses less than that, in its own words.
const MAX_DEPTH: usize = 64;

/// The longest text of a value in bytes, as JSON can take six times as much. No item has more than 400 KB.
const MAX_TEXT: usize = 1 << 20;
/// What a request's JSON may have reached before another value is written, in bytes.
const MAX_JSON: usize = 32 << 20;

const TOO_LARGE: Malformed = Malformed("Item size has exceeded the maximum allowed size");

/// Writes text as a JSON string.
pub fn json_text(text: &str, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(out, text);
    debug_assert!(written.is_ok());
}

/// Writes a list's elements between brackets, with commas.
fn json_list(
    out: &mut Vec<u8>,
    brackets: [u8; 2],
    mut next: impl FnMut(&mut Vec<u8>) -> Result<bool, Malformed>,
) -> Result<(), Malformed> {
    out.push(brackets[0]);
    let start = out.len();
    loop {
        let before = out.len();
        if before > start {
            out.push(b',');
        }
        if !next(out)? {
            out.truncate(before);
            break;
        }
    }
    out.push(brackets[1]);
    Ok(())
}

fn json_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Writes the next value as DynamoDB's JSON.
///
/// # Errors
/// When it is no attribute value.
pub fn to_json(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    nested_to_json(reader, out, 0)
}

fn nested_to_json(reader: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed("a value is nested too deep"));
    }
    if out.len() > MAX_JSON {
        return Err(TOO_LARGE);
    }
    match reader.major()? {
        major::TEXT => {
            let text = reader.text()?;
            if text.len() > MAX_TEXT {
                return Err(TOO_LARGE);
            }
            out.extend_from_slice(br#"{"S":"#);
            json_text(&text, out);
        }
        major::BYTES => {
            out.extend_from_slice(br#"{"B":"#);
            json_base64(&reader.bytes()?, out);
        }
        major::ARRAY => {
            out.extend_from_slice(br#"{"L":"#);
            let mut count = reader.array()?;
            json_list(out, *b"[]", |out| {
                let more = reader.more(&mut count)?;
                if more {
                    nested_to_json(reader, out, depth + 1)?;
                }
                Ok(more)
            })?;
        }
        major::MAP => {
            out.extend_from_slice(br#"{"M":"#);
            let mut count = reader.map()?;
            json_list(out, *b"{}", |out| {
                let more = reader.more(&mut count)?;
                if more {
                    json_text(&reader.text()?, out);
                    out.push(b':');
                    nested_to_json(reader, out, depth + 1)?;
                }
                Ok(more)
            })?;
        }
        _ => return scalar_to_json(reader, out),
    }
    out.push(b'}');
    Ok(())
}

/// Writes the next element of a set as JSON.
type WriteElement = fn(&mut Reader<'_>, &mut Vec<u8>) -> Result<(), Malformed>;

fn scalar_to_json(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    if reader.null()? {
        out.extend_from_slice(br#"{"NULL":true}"#);
    } else if let Some(value) = reader.boolean()? {
        out.extend_from_slice(if value { br#"{"BOOL":true}"# } else { br#"{"BOOL":false}"# });
    } else if let Some(text) = number::read(reader)? {
        out.extend_from_slice(br#"{"N":"#);
        json_text(&text, out);
        out.push(b'}');
    } else {
        let (label, element): (&[u8], WriteElement) = match reader.tag()? {
            TAG_STRING_SET => (br#"{"SS":"#, |reader, out| {
                json_text(&reader.text()?, out);
                Ok(())
            }),
            TAG_NUMBER_SET => (br#"{"NS":"#, |reader, out| {
                json_text(&number::read(reader)?.ok_or(Malformed("a number is expected"))?, out);
                Ok(())
            }),
            TAG_BINARY_SET => (br#"{"BS":"#, |reader, out| {
                json_base64(&reader.bytes()?, out);
                Ok(())
            }),
            _ => return Err(Malformed("a tag that no attribute value has")),
        };
        out.extend_from_slice(label);
        let mut count = reader.array()?;
        json_list(out, *b"[]", |out| {
            let more = reader.more(&mut count)?;
            if more {
                element(reader, out)?;
            }
            Ok(more)
        })?;
        out.push(b'}');
    }
    Ok(())
}

/// Writes a value as DAX's CBOR.
pub fn to_cbor(value: &ValueRef<'_>, out: &mut Writer) {
    let each = |tag, set: &StoredElements<'_>, out: &mut Writer, write: fn(&[u8], &mut Writer)| {
        out.tag(tag);
        out.array(set.iter().count());
        set.iter().for_each(|element| write(element, out));
    };
    match value {
        ValueRef::S(text) => out.utf8(text.as_bytes()),
        ValueRef::N(text) => number::write(text.as_bytes(), out),
        ValueRef::B(bytes) => out.bytes(bytes),
        ValueRef::Bool(value) => out.boolean(*value),
        ValueRef::Null => out.null(),
        ValueRef::M(map) => {
            out.map(map.len());
            for (name, value) in map.iter() {
                out.utf8(name.as_bytes());
                to_cbor(&value, out);
            }
        }
        ValueRef::L(list) => {
            out.array(list.len());
            list.iter().for_each(|value| to_cbor(&value, out));
        }
        ValueRef::Ss(set) => each(TAG_STRING_SET, set, out, |element, out| out.utf8(element)),
        ValueRef::Ns(set) => each(TAG_NUMBER_SET, set, out, number::write),
        ValueRef::Bs(set) => each(TAG_BINARY_SET, set, out, |element, out| out.bytes(element)),
    }
}

/// The attributes of a response's item. What our own encoder never writes is left out.
#[must_use]
pub fn attributes(json: &Value) -> AttributeMap {
    let mut attributes = AttributeMap::new();
    for (name, value) in json.as_object().into_iter().flatten() {
        if let Some(value) = attribute(value) {
            attributes.insert(name.as_str(), value);
        }
    }
    attributes
}

fn attribute(json: &Value) -> Option<AttributeValue> {
    let (kind, value) = json.as_object()?.iter().next()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let number = |value: &Value| Number::parse(value.as_str()?).ok();
    let binary = |value: &Value| STANDARD.decode(value.as_str()?).ok().map(Bytes::from);
    Some(match kind.as_str() {
        "S" => AttributeValue::S(text(value)?),
        "N" => AttributeValue::N(number(value)?),
        "B" => AttributeValue::B(binary(value)?),
        "BOOL" => AttributeValue::Bool(value.as_bool()?),
        "NULL" => AttributeValue::Null,
        "M" => AttributeValue::M(attributes(value)),
        "L" => AttributeValue::L(value.as_array()?.iter().filter_map(attribute).collect()),
        "SS" => AttributeValue::Ss(Set::new(value.as_array()?.iter().filter_map(text).collect()).ok()?),
        "NS" => AttributeValue::Ns(Set::new(value.as_array()?.iter().filter_map(number).collect()).ok()?),
        "BS" => AttributeValue::Bs(Set::new(value.as_array()?.iter().filter_map(binary).collect()).ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use partita_model::StoredItem;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_of_all_types_come_back() {
        let json = serde_json::json!({
            "s": {"S": "ä\"\\\n"}, "n": {"N": "-12.5"}, "big": {"N": "1".repeat(38)}, "b": {"B": "AAEC"}, "t": {"BOOL": true},
            "f": {"BOOL": false}, "nothing": {"NULL": true}, "m": {"M": {"x": {"L": [{"S": ""}, {"M": {}}]}}}, "l": {"L": []},
            "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2.5"]}, "bs": {"BS": ["AA==", "AQ=="]},
        });
        let item = StoredItem::from_item(&attributes(&json));
        let mut writer = Writer::default();
        item.entries().iter().for_each(|(_, value)| to_cbor(&value, &mut writer));
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        for (name, _) in item.entries().iter() {
            let mut out = Vec::new();
            to_json(&mut reader, &mut out).unwrap();
            let back: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(attribute(&back), attribute(&json[name.as_str()]), "{}", name.as_str());
        }
        assert!(reader.is_at_end());
    }

    #[test]
    fn a_value_nested_beyond_the_bound_is_refused() {
        assert!(to_json(&mut Reader::new(&[0x81; 1000]), &mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_in_json_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Vec::new();
            if to_json(&mut Reader::new(&bytes), &mut out).is_ok() {
                prop_assert!(serde_json::from_slice::<Value>(&out).is_ok());
            }
        }
    }
}
