//! The decoding of plain types: strings, numbers, Booleans, blobs, timestamps, lists and maps.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::json::decoder::{Decode, Decoder, Place, Serialization, Token};

/// A map of the API in the order of the request. Keys are unique: of two members with the same name the later counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries<T>(pub Vec<(String, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Entries<T> {
    /// The value under `key`, found by looking at each.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&T> {
        self.iter().find(|(candidate, _)| *candidate == key).map(|(_, value)| value)
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &T)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> IntoIterator for Entries<T> {
    type Item = (String, T);
    type IntoIter = std::vec::IntoIter<(String, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T> FromIterator<(String, T)> for Entries<T> {
    /// Collects pairs whose keys the caller knows to be distinct.
    fn from_iter<I: IntoIterator<Item = (String, T)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// A point in time: seconds since 1970, with up to three decimals.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Timestamp(pub f64);

impl Decode for String {
    fn java(out: &mut String) {
        out.push_str("java.lang.String");
    }

    fn decode(decoder: &mut Decoder<'_>, _: Place) -> Result<Self, Serialization> {
        text(decoder).map(Cow::into_owned)
    }
}

/// A string that need not be owned.
pub(crate) fn text<'a>(decoder: &mut Decoder<'a>) -> Result<Cow<'a, str>, Serialization> {
    match decoder.token()? {
        Token::Text => decoder.string(),
        other => Err(decoder.not_a_scalar(other, "String")),
    }
}

impl Decode for bool {
    fn java(out: &mut String) {
        out.push_str("java.lang.Boolean");
    }

    fn decode(decoder: &mut Decoder<'_>, _: Place) -> Result<Self, Serialization> {
        match decoder.token()? {
            Token::True => decoder.literal("true").map(|()| true),
            Token::False => decoder.literal("false").map(|()| false),
            Token::Text => {
                let text = decoder.string()?;
                let is_one_of = |names: [&str; 3]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
                if is_one_of(["true", "1", "yes"]) {
                    Ok(true)
                } else if is_one_of(["false", "0", "no"]) {
                    Ok(false)
                } else {
                    Err(Serialization::new("Unexpected token received from parser"))
                }
            }
            other => Err(decoder.not_a_scalar(other, "Boolean")),
        }
    }
}

/// A whole number; decimals are cut off.
fn whole(decoder: &mut Decoder<'_>, name: &'static str) -> Result<i64, Serialization> {
    match decoder.token()? {
        Token::Number => {
            let text = decoder.number()?;
            let too_large = || Serialization::new(format!("NUMBER_VALUE cannot be converted to {name}"));
            if let Ok(value) = text.parse() {
                return Ok(value);
            }
            let value = text.parse::<f64>().map_err(|_| too_large())?.trunc();
            // Doubles up to 2^53 are exact; what is beyond has no use with decimals or an exponent.
            if value.abs() > 9_007_199_254_740_992.0 {
                return Err(too_large());
            }
            format!("{value:.0}").parse().map_err(|_| too_large())
        }
        other => Err(decoder.not_a_scalar(other, name)),
    }
}

impl Decode for i64 {
    fn java(out: &mut String) {
        out.push_str("java.lang.Long");
    }

    fn decode(decoder: &mut Decoder<'_>, _: Place) -> Result<Self, Serialization> {
        whole(decoder, "Long")
    }
}

impl Decode for i32 {
    fn java(out: &mut String) {
        out.push_str("java.lang.Integer");
    }

    fn decode(decoder: &mut Decoder<'_>, _: Place) -> Result<Self, Serialization> {
        let value = whole(decoder, "Integer")?;
        Self::try_from(value).map_err(|_| Serialization::new("NUMBER_VALUE cannot be converted to Integer"))
    }
}

impl Decode for f64 {
    fn java(out: &mut String) {
        out.push_str("java.lang.Double");
    }

    fn decode(decoder: &mut Decoder<'_>, _: Place) -> Result<Self, Serialization> {
        match decoder.token()? {
            Token::Number => match decoder.number()?.parse::<Self>() {
                Ok(value) if value.is_finite() => Ok(value),
                _ => Err(Serialization::new("NUMBER_VALUE cannot be converted to Double")),
            },
            other => Err(decoder.not_a_scalar(other, "Double")),
        }
    }
}

impl Decode for Timestamp {
    fn java(out: &mut String) {
        out.push_str("java.util.Date");
    }

    fn decode(decoder: &mut Decoder<'_>, place: Place) -> Result<Self, Serialization> {
        f64::decode(decoder, place).map(Self)
    }
}

impl Decode for Bytes {
    fn java(out: &mut String) {
        out.push_str("java.nio.ByteBuffer");
    }

    fn decode(decoder: &mut Decoder<'_>, _: Place) -> Result<Self, Serialization> {
        let text = match decoder.token()? {
            Token::Text => decoder.string()?,
            Token::Object => return Err(Serialization::new("Start of structure or map found where not expected")),
            Token::Array => {
                return Err(Serialization::new("Unrecognized collection type class java.nio.ByteBuffer"));
            }
            _ => return Err(Serialization::new("only base-64-encoded strings are convertible to bytes")),
        };
        if text.len() % 4 != 0 {
            return Err(Serialization::new(format!(
                "Base64 encoded length is expected a multiple of 4 bytes but found: {}",
                text.len()
            )));
        }
        // The service's own spelling.
        let decoded = STANDARD
            .decode(text.as_bytes())
            .map_err(|_| Serialization::new("Invalid last non-pad Base64 character dectected"))?;
        Ok(decoded.into())
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn java(out: &mut String) {
        out.push_str("java.util.List<");
        T::java(out);
        out.push('>');
    }

    fn decode(decoder: &mut Decoder<'_>, place: Place) -> Result<Self, Serialization> {
        decoder.begin_list(place)?;
        let mut elements = Self::new();
        while decoder.element()? {
            elements.push(T::decode(decoder, Place::Inside)?);
        }
        Ok(elements)
    }
}

impl<T: Decode> Decode for Entries<T> {
    fn java(out: &mut String) {
        out.push_str("java.util.Map<java.lang.String, ");
        T::java(out);
        out.push('>');
    }

    fn decode(decoder: &mut Decoder<'_>, place: Place) -> Result<Self, Serialization> {
        decoder.begin_map::<Self>(place)?;
        let mut pairs = Vec::new();
        while let Some(name) = decoder.member()? {
            pairs.push((name.into_owned(), T::decode(decoder, Place::Inside)?));
        }
        Ok(Self(latest_of_each(pairs)))
    }
}

/// Keeps the last of the pairs that have the same key, in time proportional to n log n.
fn latest_of_each<T>(pairs: Vec<(String, T)>) -> Vec<(String, T)> {
    let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    if keys.is_sorted_by(|a, b| a < b) {
        return pairs;
    }
    let mut seen = std::collections::HashSet::with_capacity(pairs.len());
    let mut kept: Vec<_> = pairs.into_iter().rev().filter(|(key, _)| seen.insert(key.clone())).collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::Layer;

    fn decode<T: Decode>(json: &str) -> Result<T, String> {
        let mut decoder = Decoder::new(json.as_bytes(), Layer::Current).unwrap();
        let value =
            T::decode(&mut decoder, Place::Field).map_err(|error| error.message.unwrap_or_default().into_owned())?;
        decoder.end().map_err(|_| "more follows".to_owned())?;
        Ok(value)
    }

    #[test]
    fn wrong_types_are_worded_as_the_service_does() {
        let refused = |result: Result<String, String>, expected: &str| assert_eq!(result, Err(expected.to_owned()));
        refused(decode("true"), "TRUE_VALUE cannot be converted to String");
        refused(decode("false"), "FALSE_VALUE cannot be converted to String");
        refused(decode("23"), "NUMBER_VALUE cannot be converted to String");
        refused(decode("-2147483648"), "NUMBER_VALUE cannot be converted to String");
        refused(decode("34.56"), "DECIMAL_VALUE cannot be converted to String");
        refused(decode("[]"), "Unrecognized collection type class java.lang.String");
        refused(decode("{}"), "Start of structure or map found where not expected");
        let refused = |result: Result<bool, String>, expected: &str| assert_eq!(result, Err(expected.to_owned()));
        refused(decode(r#""23""#), "Unexpected token received from parser");
        refused(decode("23"), "NUMBER_VALUE cannot be converted to Boolean");
        refused(decode("34.56"), "DECIMAL_VALUE cannot be converted to Boolean");
        refused(decode("[]"), "Unrecognized collection type class java.lang.Boolean");
        refused(decode("{}"), "Start of structure or map found where not expected");
        let refused = |result: Result<i64, String>, expected: &str| assert_eq!(result, Err(expected.to_owned()));
        refused(decode(r#""23""#), "STRING_VALUE cannot be converted to Long");
        refused(decode("true"), "TRUE_VALUE cannot be converted to Long");
        refused(decode("[]"), "Unrecognized collection type class java.lang.Long");
        refused(decode("{}"), "Start of structure or map found where not expected");
        refused(decode("99999999999999999999999"), "NUMBER_VALUE cannot be converted to Long");
        refused(decode("1e300"), "NUMBER_VALUE cannot be converted to Long");
        assert_eq!(decode::<i32>("99999999999").unwrap_err(), "NUMBER_VALUE cannot be converted to Integer");
        let refused =
            |result: Result<Vec<String>, String>, expected: &str| assert_eq!(result, Err(expected.to_owned()));
        refused(decode("3"), "Unexpected field type");
        refused(decode(r#""a""#), "Unexpected field type");
        refused(decode("{}"), "Start of structure or map found where not expected");
        refused(decode("[null]"), "Unexpected token received from parser");
        let refused =
            |result: Result<Entries<String>, String>, expected: &str| assert_eq!(result, Err(expected.to_owned()));
        refused(decode("true"), "Unexpected field type");
        refused(decode("[]"), "Unrecognized collection type java.util.Map<java.lang.String, java.lang.String>");
        let nested = decode::<Entries<Vec<Entries<String>>>>(r#"{"a":3}"#).unwrap_err();
        assert!(nested.contains("ParameterizedTypeImpl"), "{nested}");
    }

    #[test]
    fn blobs_are_strict_base64() {
        let refused =
            |json: &str, expected: &str| assert_eq!(decode::<Bytes>(json), Err(expected.to_owned()), "{json}");
        refused("true", "only base-64-encoded strings are convertible to bytes");
        refused("34.56", "only base-64-encoded strings are convertible to bytes");
        refused("[]", "Unrecognized collection type class java.nio.ByteBuffer");
        refused("{}", "Start of structure or map found where not expected");
        refused(r#""23456""#, "Base64 encoded length is expected a multiple of 4 bytes but found: 5");
        refused(r#""=+/=""#, "Invalid last non-pad Base64 character dectected");
        refused(r#""+/+=""#, "Invalid last non-pad Base64 character dectected");
        assert_eq!(decode::<Bytes>(r#""YWI=""#).unwrap(), "ab");
        assert_eq!(decode::<Bytes>(r#""""#).unwrap(), "");
    }

    #[test]
    fn strings_that_mean_booleans_are_taken() {
        for (json, value) in
            [("\"TRUE\"", true), ("\"1\"", true), ("\"Yes\"", true), ("\"no\"", false), ("\"0\"", false)]
        {
            assert_eq!(decode::<bool>(json), Ok(value));
        }
    }

    #[test]
    fn decimals_of_whole_numbers_are_cut_off() {
        for (json, value) in [("1.9", 1), ("-1.9", -1), ("1e2", 100), ("0", 0), ("-0", 0)] {
            assert_eq!(decode::<i64>(json), Ok(value), "{json}");
        }
        assert_eq!(decode::<i64>("9223372036854775807"), Ok(i64::MAX));
    }

    #[test]
    fn the_later_of_two_members_with_one_name_counts() {
        let entries = decode::<Entries<String>>(r#"{"a":"1","b":"2","a":"3"}"#).unwrap();
        assert_eq!(entries.0, [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "3".to_owned())]);
    }
}
