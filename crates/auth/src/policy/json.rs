//! JSON as policy documents need it: bounded in depth, and without repeated names, which two readers could understand
//! differently.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Nesting that a document may have. A condition's values are at depth 6; nothing of the language is deeper.
const MAX_DEPTH: usize = 12;

/// A JSON value. Numbers are kept as text, as conditions compare them.
#[derive(Debug)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a whole document; `None` when it is no JSON, nested too deeply, or repeats a name within an object.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = Value { depth: MAX_DEPTH }.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(value)
    }

    /// A member of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(own, _)| own == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// A string, or a list of strings.
    pub(super) fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => Some(vec![text]),
            Self::List(values) => values
                .iter()
                .map(|value| match value {
                    Self::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
            _ => None,
        }
    }

    /// Strings, numbers and booleans, or a list of them, as text.
    pub(super) fn scalars(&self) -> Option<Vec<&str>> {
        match self {
            Self::List(values) => values.iter().map(Self::scalar).collect(),
            value => Some(vec![value.scalar()?]),
        }
    }

    fn scalar(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Null | Self::List(_) | Self::Object(_) => None,
        }
    }
}

/// A value that may be nested this much further.
#[derive(Clone, Copy)]
struct Value {
    depth: usize,
}

impl Value {
    fn within<E: Error>(self) -> Result<Self, E> {
        self.depth.checked_sub(1).map(|depth| Self { depth }).ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let inner = self.within()?;
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let inner = self.within()?;
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            members.push((name, map.next_value_seed(inner)?));
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| matches!(pair, [first, second] if first == second)) {
            return Err(A::Error::custom("a name is repeated"));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn a_repeated_name_is_no_document() {
        assert!(Json::parse(r#"{"a":1,"b":{"c":1,"c":2}}"#).is_none());
        assert!(Json::parse(r#"{"a":1,"A":2}"#).is_some());
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(Json::parse(&format!("{}{}", "[".repeat(12), "]".repeat(12))).is_some());
        assert!(Json::parse(&format!("{}{}", "[".repeat(13), "]".repeat(13))).is_none());
        assert!(Json::parse(&"[".repeat(100_000)).is_none());
    }

    #[test]
    fn text_after_the_document_is_refused() {
        assert!(Json::parse("{} {}").is_none());
        assert!(Json::parse(" {} ").is_some());
        assert!(Json::parse("").is_none());
    }
}
