//! A request's `ExpressionAttributeNames` and `ExpressionAttributeValues`, and which of them its expressions use.

use std::sync::Arc;

use partita_model::AttributeValue;
use partita_model::size::value_size;

use crate::error::{Error, Placeholders, Problem};
use crate::token::is_word;

/// The most bytes of a placeholder with its `#` or `:`.
pub const MAX_PLACEHOLDER_BYTES: usize = 255;
/// The most bytes of an attribute name.
const MAX_NAME_BYTES: usize = 65_535;
/// The most bytes that all names or all values of a request may have with their placeholders.
pub const MAX_PLACEHOLDERS_BYTES: usize = 2 * 1024 * 1024;
/// Up to this many placeholders are searched one by one.
const FEW: usize = 12;

/// The names and values that stand for the placeholders in a request's expressions.
///
/// Binding an expression marks what it uses; `finish` reports what no expression used. Values are held behind one
/// shared pointer, which bound expressions keep instead of copies of the values.
#[derive(Debug, Default)]
pub struct Bindings {
    names: Table,
    replacements: Vec<Arc<str>>,
    values: Table,
    table: Arc<Vec<AttributeValue>>,
}

impl Bindings {
    /// Bindings for a request with neither names nor values.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Bindings of the request's names and values; `None` where the request has no such member.
    ///
    /// The values must be valid attribute values; what is wrong with one is reported by the decoder.
    ///
    /// # Errors
    /// When a map is empty or over 2 MB, a placeholder is malformed or over 255 bytes, or a name is empty or over
    /// 65,535 bytes.
    pub fn new(
        names: Option<Vec<(String, String)>>,
        values: Option<Vec<(String, AttributeValue)>>,
    ) -> Result<Self, Error> {
        let mut bindings = Self::default();
        if let Some(names) = names {
            check_keys(Placeholders::Names, '#', names.iter().map(|(key, _)| key.as_str()))?;
            let mut bytes = 0;
            for (key, name) in &names {
                if name.is_empty() {
                    return Err(Error::EmptyName(key.clone()));
                }
                if name.len() > MAX_NAME_BYTES {
                    return Err(Error::LongName(key.clone()));
                }
                bytes += key.len() + name.len();
            }
            if bytes > MAX_PLACEHOLDERS_BYTES {
                return Err(Error::LargePlaceholders(Placeholders::Names));
            }
            let (keys, replacements) = names.into_iter().map(|(key, name)| (key, Arc::from(name))).unzip();
            bindings.names = Table::of(keys);
            bindings.replacements = replacements;
        }
        if let Some(values) = values {
            check_keys(Placeholders::Values, ':', values.iter().map(|(key, _)| key.as_str()))?;
            let bytes: usize = values.iter().map(|(key, value)| key.len() + value_size(value)).sum();
            if bytes > MAX_PLACEHOLDERS_BYTES {
                return Err(Error::LargePlaceholders(Placeholders::Values));
            }
            let (keys, table): (_, Vec<_>) = values.into_iter().unzip();
            bindings.values = Table::of(keys);
            bindings.table = Arc::new(table);
        }
        Ok(bindings)
    }

    /// Refuses names and values that no bound expression used; to be asked when all expressions are bound.
    ///
    /// # Errors
    /// When a name or, failing that, a value is unused.
    pub fn finish(&self) -> Result<(), Error> {
        for (placeholders, table) in [(Placeholders::Names, &self.names), (Placeholders::Values, &self.values)] {
            let unused = table.unused();
            if !unused.is_empty() {
                return Err(Error::Unused(placeholders, unused));
            }
        }
        Ok(())
    }

    /// Refuses names and values in a request without expressions that could use them.
    ///
    /// `value_expressions` are the parameters of the operation in which values may stand.
    ///
    /// # Errors
    /// When there are names but no expression, or values but none of `value_expressions`.
    pub fn check_needed(
        has_names: bool,
        has_values: bool,
        any_expression: bool,
        any_value_expression: bool,
        value_expressions: &[&'static str],
    ) -> Result<(), Error> {
        if has_names && !any_expression {
            return Err(Error::NamesWithoutExpression);
        }
        if has_values && !any_value_expression {
            return Err(Error::ValuesWithoutExpression(value_expressions.to_vec()));
        }
        Ok(())
    }

    /// The name behind a placeholder, which becomes used.
    pub(crate) fn name(&mut self, placeholder: &str) -> Result<Arc<str>, Problem> {
        let found = self.names.find(placeholder).and_then(|at| self.replacements.get(at));
        found.cloned().ok_or_else(|| Problem::UndefinedName(placeholder.to_owned()))
    }

    /// The place of the value behind a placeholder, which becomes used.
    pub(crate) fn value(&mut self, placeholder: &str) -> Result<usize, Problem> {
        self.values.find(placeholder).ok_or_else(|| Problem::UndefinedValue(placeholder.to_owned()))
    }

    /// The values by their places.
    pub(crate) const fn values(&self) -> &Arc<Vec<AttributeValue>> {
        &self.table
    }
}

fn check_keys<'k>(
    placeholders: Placeholders,
    sign: char,
    keys: impl ExactSizeIterator<Item = &'k str>,
) -> Result<(), Error> {
    if keys.len() == 0 {
        return Err(Error::NoPlaceholders(placeholders));
    }
    for key in keys {
        if key.is_empty() {
            return Err(Error::EmptyPlaceholder(placeholders));
        }
        if key.len() > MAX_PLACEHOLDER_BYTES {
            return Err(Error::LongPlaceholder(placeholders, key.len()));
        }
        let word = key.strip_prefix(sign).unwrap_or_default();
        if word.is_empty() || !word.chars().all(is_word) {
            return Err(Error::PlaceholderSyntax(placeholders, key.to_owned()));
        }
    }
    Ok(())
}

/// Placeholders in the order of the request, with a mark on those that are used.
#[derive(Debug, Default)]
struct Table {
    keys: Vec<String>,
    used: Vec<bool>,
    /// The places of the keys in the keys' order, when there are more than a few.
    sorted: Vec<usize>,
}

impl Table {
    fn of(keys: Vec<String>) -> Self {
        let mut sorted = Vec::new();
        if keys.len() > FEW {
            sorted = (0..keys.len()).collect();
            sorted.sort_by_key(|at| keys.get(*at));
        }
        Self { used: vec![false; keys.len()], keys, sorted }
    }

    fn find(&mut self, key: &str) -> Option<usize> {
        let at = if self.sorted.is_empty() {
            self.keys.iter().position(|candidate| candidate == key)?
        } else {
            let found =
                self.sorted.binary_search_by(|at| self.keys.get(*at).map(String::as_str).cmp(&Some(key))).ok()?;
            *self.sorted.get(found)?
        };
        if let Some(used) = self.used.get_mut(at) {
            *used = true;
        }
        Some(at)
    }

    fn unused(&self) -> Vec<String> {
        self.keys.iter().zip(&self.used).filter(|(_, used)| !**used).map(|(key, _)| key.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{condition, message, n, s};
    use crate::{Condition, Kind, ParsedCondition};

    fn names(entries: &[(&str, &str)]) -> Result<Bindings, Error> {
        Bindings::new(Some(entries.iter().map(|(key, name)| ((*key).to_owned(), (*name).to_owned())).collect()), None)
    }

    fn values(keys: &[&str]) -> Result<Bindings, Error> {
        Bindings::new(None, Some(keys.iter().map(|key| ((*key).to_owned(), n(1))).collect()))
    }

    #[test]
    fn malformed_placeholders_are_refused() {
        let key = |map: &str, key: &str| format!("{map} contains invalid key: Syntax error; key: \"{key}\"");
        for bad in ["a", "#", "#a-b", "##a", "#\u{e9}", "# a", ":a"] {
            assert_eq!(message(names(&[(bad, "b")])), key("ExpressionAttributeNames", bad));
        }
        for bad in ["a", ":", ":a-b", "#a"] {
            assert_eq!(message(values(&[bad])), key("ExpressionAttributeValues", bad));
        }
        let long = format!("#{}", "a".repeat(255));
        for (result, expected) in [
            (names(&[]), "ExpressionAttributeNames must not be empty"),
            (values(&[]), "ExpressionAttributeValues must not be empty"),
            (
                names(&[("", "b")]),
                "ExpressionAttributeNames contains invalid key: The expression attribute map contains an empty key;",
            ),
            (
                names(&[(&long, "b")]),
                "ExpressionAttributeNames contains invalid key: The expression attribute map contains a key that is too long; size of key: 256",
            ),
            (names(&[("#a", "")]), "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a"),
            (
                names(&[("#a", &"b".repeat(65_536))]),
                "ExpressionAttributeNames contains invalid value: Attribute name is too large, must be less than 65536 bytes for key #a",
            ),
            (names(&[("#a", &"b".repeat(65_535))]), "ok"),
        ] {
            assert_eq!(message(result), expected);
        }
    }

    #[test]
    fn maps_are_limited_to_2_mb() {
        let large = |count: usize| -> Vec<(String, AttributeValue)> {
            (0..count).map(|number| (format!(":{number}"), s(&"a".repeat(400_000)))).collect()
        };
        assert_eq!(message(Bindings::new(None, Some(large(5)))), "ok");
        let expected = "ExpressionAttributeValues exceeds max size";
        assert_eq!(message(Bindings::new(None, Some(large(6)))), expected);
    }

    #[test]
    fn unused_placeholders_are_reported() {
        let bind = |mut bindings: Bindings, text: &str| {
            Condition::bind(&Arc::new(ParsedCondition::parse(Kind::Condition, text)?), &mut bindings)?;
            bindings.finish()
        };
        let expected = "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #c}";
        assert_eq!(message(bind(names(&[("#a", "a"), ("#b", "b"), ("#c", "c")]).unwrap(), "#b = b2")), expected);
        let expected = "Value provided in ExpressionAttributeValues unused in expressions: keys: {:a}";
        assert_eq!(message(bind(values(&[":a", ":b"]).unwrap(), "b = :b")), expected);
        assert_eq!(message(bind(values(&[":a", ":b"]).unwrap(), "b = :b OR a = :a")), "ok");
    }

    #[test]
    fn many_placeholders_are_found() {
        let keys: Vec<String> = (0..40).map(|number| format!(":v{}", number * 7 % 40)).collect();
        let mut bindings = values(&keys.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(bindings.value(key), Ok(at));
        }
        assert!(bindings.finish().is_ok());
        assert!(bindings.value(":v40").is_err());
    }

    #[test]
    fn placeholders_need_expressions() {
        let needed = |names, values, any, any_value| {
            message(Bindings::check_needed(names, values, any, any_value, &["UpdateExpression", "ConditionExpression"]))
        };
        assert_eq!(
            needed(true, true, false, false),
            "ExpressionAttributeNames can only be specified when using expressions"
        );
        let expected = "ExpressionAttributeValues can only be specified when using expressions: UpdateExpression and ConditionExpression are null";
        assert_eq!(needed(false, true, true, false), expected);
        assert_eq!(needed(true, true, true, true), "ok");
    }

    #[test]
    fn names_are_whole_even_with_dots() {
        let item = crate::sample::map(&[("x.y[0]", n(5))]);
        assert!(condition("#dotted = :n").unwrap().matches(&item));
    }
}
