//! The decoding of attribute values into trees.
//!
//! A value of a wrong JSON type ends the decoding; a value that breaks a rule of values (an empty set, a number that
//! is none) does not: the first is noted in the decoder and a placeholder stands in the tree.

use std::borrow::Cow;
use std::mem;

use bytes::Bytes;
use partita_model::value::{MAX_NESTING_DEPTH, Set};
use partita_model::{AttributeMap, AttributeValue, Number};

use crate::json::decoder::{Decode, Decoder, Place, Serialization, Token, shape_name};
use crate::json::types::text;
use crate::wording;

/// What stands in the tree for a value that was refused.
const PLACEHOLDER: AttributeValue = AttributeValue::Null;

impl Decode for AttributeValue {
    fn java(out: &mut String) {
        shape_name(out, "AttributeValue");
    }

    fn decode(decoder: &mut Decoder<'_>, place: Place) -> Result<Self, Serialization> {
        if decoder.token()? == Token::Null {
            decoder.literal("null")?;
            decoder.refuse(|_| wording::VALUE_IS_EMPTY.to_owned());
            return Ok(PLACEHOLDER);
        }
        if decoder.depth >= MAX_NESTING_DEPTH {
            decoder.refuse(|_| wording::NESTED_TOO_DEEP.to_owned());
            decoder.skip()?;
            return Ok(PLACEHOLDER);
        }
        decoder.begin_structure::<Self>(place)?;
        let mut value: Option<Self> = None;
        let mut several = false;
        while let Some(name) = decoder.member()? {
            let next = match &*name {
                "S" => decoder.field()?.map(Self::S),
                "N" => number_member(decoder)?,
                "B" => decoder.field()?.map(Self::B),
                "BOOL" => decoder.field()?.map(Self::Bool),
                "NULL" => null_member(decoder)?,
                "SS" => string_set(decoder)?,
                "NS" => number_set(decoder)?,
                "BS" => binary_set(decoder)?,
                "L" => nested(decoder)?.map(Self::L),
                "M" => nested(decoder)?.map(Self::M),
                _ => {
                    decoder.skip()?;
                    None
                }
            };
            if let Some(next) = next {
                several |= value.as_ref().is_some_and(|known| known.attribute_type() != next.attribute_type());
                value = Some(next);
            }
        }
        if several {
            decoder.refuse(|_| wording::VALUE_HAS_SEVERAL_TYPES.to_owned());
        } else if value.is_none() {
            decoder.refuse(|_| wording::VALUE_IS_EMPTY.to_owned());
        }
        Ok(value.unwrap_or(PLACEHOLDER))
    }
}

fn nested<T: Decode>(decoder: &mut Decoder<'_>) -> Result<Option<T>, Serialization> {
    decoder.depth += 1;
    let value = decoder.field()?;
    decoder.depth -= 1;
    Ok(value)
}

/// A string member that need not be owned; `None` for `null`.
fn text_member<'a>(decoder: &mut Decoder<'a>) -> Result<Option<Cow<'a, str>>, Serialization> {
    if decoder.token()? == Token::Null {
        decoder.literal("null")?;
        return Ok(None);
    }
    text(decoder).map(Some)
}

fn number_member(decoder: &mut Decoder<'_>) -> Result<Option<AttributeValue>, Serialization> {
    let Some(text) = text_member(decoder)? else { return Ok(None) };
    Ok(Some(AttributeValue::N(number(decoder, &text))))
}

fn number(decoder: &mut Decoder<'_>, text: &str) -> Number {
    Number::parse(text).unwrap_or_else(|error| {
        decoder.refuse(|layer| wording::number(layer, &error));
        Number::ZERO
    })
}

fn null_member(decoder: &mut Decoder<'_>) -> Result<Option<AttributeValue>, Serialization> {
    Ok(decoder.field::<bool>()?.map(|is_null| {
        if !is_null {
            decoder.refuse(|_| wording::NULL_IS_FALSE.to_owned());
        }
        AttributeValue::Null
    }))
}

fn string_set(decoder: &mut Decoder<'_>) -> Result<Option<AttributeValue>, Serialization> {
    let Some(elements) = decoder.field::<Vec<String>>()? else { return Ok(None) };
    if elements.is_empty() {
        decoder.refuse(|_| wording::STRING_SET_IS_EMPTY.to_owned());
    } else if has_duplicates(&elements) {
        decoder.refuse(|layer| wording::duplicate_strings(layer, &elements));
    }
    Ok(Some(Set::new(elements).map_or(AttributeValue::Ss(placeholder_set(String::new())), AttributeValue::Ss)))
}

fn number_set(decoder: &mut Decoder<'_>) -> Result<Option<AttributeValue>, Serialization> {
    if decoder.token()? == Token::Null {
        decoder.literal("null")?;
        return Ok(None);
    }
    decoder.begin_list(Place::Field)?;
    let mut elements = Vec::new();
    while decoder.element()? {
        let text = text(decoder)?;
        elements.push(number(decoder, &text));
    }
    if elements.is_empty() {
        decoder.refuse(|_| wording::NUMBER_SET_IS_EMPTY.to_owned());
    } else if has_duplicates(&elements) {
        decoder.refuse(wording::duplicate_numbers);
    }
    Ok(Some(Set::new(elements).map_or(AttributeValue::Ns(placeholder_set(Number::ZERO)), AttributeValue::Ns)))
}

fn binary_set(decoder: &mut Decoder<'_>) -> Result<Option<AttributeValue>, Serialization> {
    let Some(elements) = decoder.field::<Vec<Bytes>>()? else { return Ok(None) };
    if elements.is_empty() {
        decoder.refuse(|_| wording::BINARY_SET_IS_EMPTY.to_owned());
    } else if has_duplicates(&elements) {
        decoder.refuse(|layer| wording::duplicate_binaries(layer, &elements));
    }
    Ok(Some(Set::new(elements).map_or(AttributeValue::Bs(placeholder_set(Bytes::new())), AttributeValue::Bs)))
}

fn has_duplicates<T: Ord>(elements: &[T]) -> bool {
    if elements.is_sorted_by(|a, b| a < b) {
        return false;
    }
    let mut sorted: Vec<&T> = elements.iter().collect();
    sorted.sort_unstable();
    !sorted.is_sorted_by(|a, b| a < b)
}

/// What stands for a set that was refused. It has one element, because a set is never empty.
fn placeholder_set<T: Ord>(element: T) -> Set<T> {
    match Set::new(vec![element]) {
        Ok(set) => set,
        Err(_) => unreachable!("one element makes a set"),
    }
}

/// The longest attribute name in bytes ("Quotas": 64 KB).
const MAX_NAME_BYTES: usize = 65_535;

impl Decode for AttributeMap {
    fn java(out: &mut String) {
        out.push_str("java.util.Map<java.lang.String, ");
        AttributeValue::java(out);
        out.push('>');
    }

    fn decode(decoder: &mut Decoder<'_>, place: Place) -> Result<Self, Serialization> {
        decoder.begin_map::<Self>(place)?;
        let was_refused = decoder.is_refused();
        let mut pairs = Vec::new();
        while let Some(name) = decoder.member()? {
            if name.is_empty() {
                // An attribute of the item without a name is worse than anything wrong with the item's values.
                if decoder.depth == 0 && !was_refused {
                    decoder.forget_refusal();
                }
                decoder.refuse(|_| wording::NAME_IS_EMPTY.to_owned());
            }
            if name.len() > MAX_NAME_BYTES {
                decoder.refuse(|_| wording::NAME_IS_TOO_LONG.to_owned());
            }
            pairs.push((name.into_owned(), AttributeValue::decode(decoder, Place::Inside)?));
        }
        into_map(pairs)
    }
}

impl Decoder<'_> {
    /// The `ExpressionAttributeValues` of a request: the same as any map of values, but some errors name the value.
    pub(crate) fn expression_values(&mut self) -> Result<Option<AttributeMap>, Serialization> {
        if self.token()? == Token::Null {
            self.literal("null")?;
            return Ok(None);
        }
        self.begin_map::<AttributeMap>(Place::Field)?;
        let mut pairs = Vec::new();
        while let Some(name) = self.member()? {
            let value = self.named_value(name.clone(), |decoder| AttributeValue::decode(decoder, Place::Inside))?;
            pairs.push((name.into_owned(), value));
        }
        into_map(pairs).map(Some)
    }
}

/// A map of these pairs; of two with the same name the later counts.
fn into_map(mut pairs: Vec<(String, AttributeValue)>) -> Result<AttributeMap, Serialization> {
    if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                mem::swap(&mut later.1, &mut kept.1);
            }
            same
        });
    }
    AttributeMap::from_pairs(pairs).map_err(|_| Serialization::BROKEN)
}

#[cfg(test)]
mod tests {
    use partita_model::StoredItem;
    use proptest::prelude::*;

    use super::*;
    use crate::json::to_vec;
    use crate::wording::Layer;

    fn decode<T: Decode>(json: &str, layer: Layer) -> (T, Option<String>) {
        let mut decoder = Decoder::new(json.as_bytes(), layer).unwrap();
        let value = T::decode(&mut decoder, Place::Field).unwrap_or_else(|error| panic!("{json}: {error}"));
        (value, decoder.end().unwrap().map(|refusal| refusal.message.into_owned()))
    }

    fn refused(json: &str) -> String {
        decode::<AttributeValue>(json, Layer::Current).1.unwrap_or_else(|| "nothing".to_owned())
    }

    #[test]
    fn values_of_all_ten_types_are_read() {
        let item = r#"{"s":{"S":""},"n":{"N":"-1.50e3"},"b":{"B":"YQ=="},"t":{"BOOL":true},"z":{"NULL":true},
            "m":{"M":{"x":{"L":[]}}},"l":{"L":[{"S":"a"},{"N":"1"}]},"ss":{"SS":["b","a",""]},"ns":{"NS":["2","1"]},
            "bs":{"BS":["Yg==",""]}}"#;
        let (item, refusal) = decode::<AttributeMap>(item, Layer::Current);
        assert_eq!(refusal, None);
        let written = String::from_utf8(to_vec(&item)).unwrap();
        assert_eq!(
            written,
            concat!(
                r#"{"b":{"B":"YQ=="},"bs":{"BS":["","Yg=="]},"l":{"L":[{"S":"a"},{"N":"1"}]},"m":{"M":{"x":{"L":[]}}},"#,
                r#""n":{"N":"-1500"},"ns":{"NS":["1","2"]},"s":{"S":""},"ss":{"SS":["","a","b"]},"t":{"BOOL":true},"#,
                r#""z":{"NULL":true}}"#
            )
        );
        assert_eq!(String::from_utf8(to_vec(&StoredItem::from_item(&item))).unwrap(), written);
    }

    #[test]
    fn bad_values_are_worded_as_the_service_does() {
        let empty = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";
        let several = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes";
        let invalid = "One or more parameter values were invalid: ";
        for (json, message) in [
            ("{}", empty.to_owned()),
            (r#"{"a":""}"#, empty.to_owned()),
            (r#"{"S":null}"#, empty.to_owned()),
            (r#"{"M":{"a":{}}}"#, empty.to_owned()),
            (r#"{"M":{"a":null}}"#, empty.to_owned()),
            (r#"{"L":[{"a":{}}]}"#, empty.to_owned()),
            (r#"{"S":"a","N":"1"}"#, several.to_owned()),
            (r#"{"S":"a","S":"b"}"#, "nothing".to_owned()),
            (r#"{"NULL":"no"}"#, format!("{invalid}Null attribute value types must have the value of true")),
            (r#"{"SS":[]}"#, format!("{invalid}An string set  may not be empty")),
            (r#"{"NS":[]}"#, format!("{invalid}An number set  may not be empty")),
            (r#"{"BS":[]}"#, format!("{invalid}Binary sets should not be empty")),
            (r#"{"SS":["b","a","b"]}"#, format!(r#"{invalid}Input collection ["a", "b", "b"] contains duplicates."#)),
            (
                r#"{"SS":["c","a","c","b"]}"#,
                format!(r#"{invalid}Input collection ["a", "c", "c", "b"] contains duplicates."#),
            ),
            (
                r#"{"BS":["/w==","AA==","AA=="]}"#,
                format!(r#"{invalid}Input collection ["AA==","/w==","AA=="]of type BS contains duplicates."#),
            ),
            (r#"{"NS":["2","1","2.0"]}"#, format!("{invalid}Input collection contains duplicates.")),
            (r#"{"N":"b"}"#, "The parameter cannot be converted to a numeric value: b".to_owned()),
            (r#"{"N":""}"#, "The parameter cannot be converted to a numeric value: ".to_owned()),
            (r#"{"S":"a","N":"b"}"#, "The parameter cannot be converted to a numeric value: b".to_owned()),
            (r#"{"NS":["1","b"]}"#, "The parameter cannot be converted to a numeric value: b".to_owned()),
            (
                r#"{"N":"123456789012345678901234567890123456789"}"#,
                "Attempting to store more than 38 significant digits in a Number".to_owned(),
            ),
            (
                r#"{"N":"1e126"}"#,
                "Number overflow. Attempting to store a number with magnitude larger than supported range".to_owned(),
            ),
            (
                r#"{"N":"1e-131"}"#,
                "Number underflow. Attempting to store a number with magnitude smaller than supported range".to_owned(),
            ),
        ] {
            assert_eq!(refused(json), message, "{json}");
        }
    }

    #[test]
    fn the_older_layer_words_sets_and_numbers_its_own_way() {
        for (json, message) in [
            (r#"{"N":""}"#, "The parameter cannot be converted to a numeric value"),
            (r#"{"NS":["2","1","2"]}"#, "Input collection contains duplicates"),
            (
                r#"{"SS":["b","a","b"]}"#,
                "One or more parameter values were invalid: Input collection [b, a, b] contains duplicates.",
            ),
            (
                r#"{"BS":["/w==","AA==","AA=="]}"#,
                "One or more parameter values were invalid: Input collection [/w==, AA==, AA==]of type BS contains duplicates.",
            ),
        ] {
            assert_eq!(decode::<AttributeValue>(json, Layer::Older).1.as_deref(), Some(message));
        }
        let mut decoder = Decoder::new(br#"{":a":{"N":"1"},":b":{"L":[{"N":"x"}]}}"#, Layer::Older).unwrap();
        assert!(decoder.expression_values().unwrap().is_some());
        assert_eq!(
            decoder.end().unwrap().unwrap().message,
            "ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: x for key :b"
        );
    }

    #[test]
    fn the_first_bad_value_is_reported_and_the_rest_is_still_decoded() {
        let (map, refusal) = decode::<AttributeMap>(r#"{"b":{"N":"x"},"a":{},"c":{"S":"c"}}"#, Layer::Enveloped);
        assert_eq!(
            refusal.as_deref(),
            Some("1 validation error detected: The parameter cannot be converted to a numeric value: x")
        );
        assert_eq!(map.get("c"), Some(&AttributeValue::S("c".to_owned())));
        let mut decoder = Decoder::new(br#"{"b":{"N":"x"},"a":{"S":3}}"#, Layer::Current).unwrap();
        let error = AttributeMap::decode(&mut decoder, Place::Field).unwrap_err();
        assert_eq!(error.message.unwrap(), "NUMBER_VALUE cannot be converted to String");
    }

    #[test]
    fn the_later_of_two_attributes_with_one_name_counts() {
        let (map, refusal) =
            decode::<AttributeMap>(r#"{"b":{"S":"1"},"a":{"S":"2"},"b":{"S":"3"},"b":{"S":"4"}}"#, Layer::Current);
        assert_eq!(refusal, None);
        assert_eq!(to_vec(&map), br#"{"a":{"S":"2"},"b":{"S":"4"}}"#);
    }

    #[test]
    fn an_attribute_without_a_name_is_refused_first() {
        let of = |json: &str| decode::<AttributeMap>(json, Layer::Current).1.unwrap_or_default();
        assert_eq!(of(r#"{"a":{"N":"x"},"":{"S":"x"}}"#), "Empty attribute name");
        assert_eq!(of(r#"{"":{"S":"x"},"a":{"N":"x"}}"#), "Empty attribute name");
        assert_eq!(of(r#"{"m":{"M":{"":{"S":"x"}}},"a":{"N":"x"}}"#), "Empty attribute name");
        assert_eq!(
            of(r#"{"a":{"N":"x"},"m":{"M":{"":{"S":"x"}}}}"#),
            "The parameter cannot be converted to a numeric value: x"
        );
    }

    #[test]
    fn nesting_of_31_wrappers_passes_and_of_32_fails() {
        for (open, close) in [(r#"{"M":{"n":"#, "}}"), (r#"{"L":["#, "]}")] {
            let nested = |depth: usize| format!(r#"{}{{"S":"leaf"}}{}"#, open.repeat(depth), close.repeat(depth));
            assert_eq!(refused(&nested(31)), "nothing");
            for depth in [32, 33, 400] {
                assert_eq!(
                    refused(&nested(depth)),
                    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
                );
            }
        }
        let endless = r#"{"L":["#.repeat(100_000);
        let mut decoder = Decoder::new(endless.as_bytes(), Layer::Current).unwrap();
        assert!(AttributeValue::decode(&mut decoder, Place::Field).is_err());
    }

    #[test]
    fn wrong_json_types_are_worded_by_their_place() {
        let error = |json: &str| {
            let mut decoder = Decoder::new(json.as_bytes(), Layer::Current).unwrap();
            AttributeMap::decode(&mut decoder, Place::Field).unwrap_err().message.unwrap_or_default().into_owned()
        };
        for (json, message) in [
            (r#"{"a":3}"#, "Unexpected value type in payload"),
            (r#"{"a":[]}"#, "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue"),
            (r#"{"a":{"S":3}}"#, "NUMBER_VALUE cannot be converted to String"),
            (r#"{"a":{"N":1.5}}"#, "DECIMAL_VALUE cannot be converted to String"),
            (r#"{"a":{"NS":[true]}}"#, "TRUE_VALUE cannot be converted to String"),
            (r#"{"a":{"NS":"1"}}"#, "Unexpected field type"),
            (r#"{"a":{"SS":{}}}"#, "Start of structure or map found where not expected"),
            (r#"{"a":{"L":3}}"#, "Unexpected field type"),
            (r#"{"a":{"L":["a"]}}"#, "Unexpected value type in payload"),
            (r#"{"a":{"M":"a"}}"#, "Unexpected field type"),
            (
                r#"{"a":{"M":[]}}"#,
                "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>",
            ),
        ] {
            assert_eq!(error(json), message, "{json}");
        }
    }

    #[test]
    fn megabytes_take_no_quadratic_time() {
        let started = std::time::Instant::now();
        let escapes = format!(r#"{{"S":"{}"}}"#, r"\n".repeat(1 << 20));
        decode::<AttributeValue>(&escapes, Layer::Current);
        let names: String = (0..300_000).rev().map(|n| format!(r#""{n}":{{"SS":["{n}"]}},"#)).collect();
        decode::<AttributeMap>(&format!(r#"{{{names}"0":{{"N":"1"}}}}"#), Layer::Current);
        let digits = format!(r#"{{"N":"{}"}}"#, "1".repeat(4 << 20));
        decode::<AttributeValue>(&digits, Layer::Current);
        let elements: String = (0..500_000).rev().map(|n| format!(r#""{n}","#)).collect();
        decode::<AttributeValue>(&format!(r#"{{"SS":[{elements}"x"]}}"#), Layer::Current);
        assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
    }

    fn any_value() -> impl Strategy<Value = AttributeValue> {
        let number = (any::<i64>(), -60i32..60)
            .prop_map(|(digits, exponent)| Number::parse(&format!("{digits}e{exponent}")).unwrap_or(Number::ZERO));
        let text = prop_oneof!["\\PC{0,12}", any::<String>()];
        let leaf = prop_oneof![
            text.clone().prop_map(AttributeValue::S),
            number.clone().prop_map(AttributeValue::N),
            any::<Vec<u8>>().prop_map(|bytes| AttributeValue::B(bytes.into())),
            any::<bool>().prop_map(AttributeValue::Bool),
            Just(AttributeValue::Null),
            prop::collection::btree_set(text.clone(), 1..4)
                .prop_map(|set| AttributeValue::Ss(Set::new(set.into_iter().collect()).unwrap())),
            prop::collection::btree_set(number, 1..4)
                .prop_map(|set| AttributeValue::Ns(Set::new(set.into_iter().collect()).unwrap())),
            prop::collection::btree_set(any::<Vec<u8>>(), 1..4)
                .prop_map(|set| { AttributeValue::Bs(Set::new(set.into_iter().map(Bytes::from).collect()).unwrap()) }),
        ];
        leaf.prop_recursive(6, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(AttributeValue::L),
                prop::collection::btree_map("\\PC{1,8}", inner, 0..5)
                    .prop_map(|map| AttributeValue::M(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_survive_json_and_the_stored_form(values in prop::collection::vec(any_value(), 0..4)) {
            let item: AttributeMap = values.into_iter().enumerate().map(|(n, value)| (format!("a{n}\"\n"), value)).collect();
            let json = to_vec(&item);
            let (read, refusal) = decode::<AttributeMap>(std::str::from_utf8(&json).unwrap(), Layer::Current);
            prop_assert_eq!(refusal, None);
            prop_assert_eq!(&read, &item);
            prop_assert_eq!(to_vec(&StoredItem::from_item(&read)), json);
        }
    }
}
