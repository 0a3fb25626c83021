//! Values, an item and shorthands for the tests of this crate.

use std::sync::Arc;

use partita_model::value::Set;
use partita_model::{AttributeMap, AttributeValue, Number};

use crate::{Bindings, Condition, Error, Kind, ParsedCondition};

pub(crate) fn n(number: i64) -> AttributeValue {
    AttributeValue::N(Number::from(number))
}

pub(crate) fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(crate) fn b(bytes: &'static [u8]) -> AttributeValue {
    AttributeValue::B(bytes.into())
}

pub(crate) fn l(elements: &[AttributeValue]) -> AttributeValue {
    AttributeValue::L(elements.to_vec())
}

pub(crate) fn m(entries: &[(&str, AttributeValue)]) -> AttributeValue {
    AttributeValue::M(map(entries))
}

pub(crate) fn ss(elements: &[&str]) -> AttributeValue {
    AttributeValue::Ss(Set::new(elements.iter().map(|element| (*element).to_owned()).collect()).unwrap())
}

pub(crate) fn ns(elements: &[i64]) -> AttributeValue {
    AttributeValue::Ns(Set::new(elements.iter().map(|element| Number::from(*element)).collect()).unwrap())
}

pub(crate) fn map(entries: &[(&str, AttributeValue)]) -> AttributeMap {
    entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// The item that tests evaluate against.
pub(crate) fn item() -> AttributeMap {
    map(&[
        ("pk", s("x")),
        ("n", n(7)),
        ("s", s("str")),
        ("b", b(b"abc")),
        ("l", l(&[n(1), s("two"), m(&[("q", n(1)), ("r", n(2))])])),
        ("m", m(&[("k", s("v")), ("l", l(&[s("a"), s("b"), s("c")]))])),
        ("ss", ss(&["a", "c"])),
        ("ns", ns(&[1, 9])),
        ("t", AttributeValue::Bool(true)),
        ("z", AttributeValue::Null),
        ("es", s("")),
    ])
}

/// The values that stand behind the placeholders in tests.
pub(crate) fn values() -> Vec<(String, AttributeValue)> {
    let values = [
        (":n", n(5)),
        (":m", n(1)),
        (":two", n(2)),
        (":three", n(3)),
        (":seven", n(7)),
        (":s", s("abc")),
        (":a", s("a")),
        (":st", s("st")),
        (":N", s("N")),
        (":NULL", s("NULL")),
        (":b", b(b"ab")),
        (":l", l(&[n(1)])),
        (":mm", m(&[])),
        (":mq", m(&[("r", n(2)), ("q", n(1))])),
        (":ss", ss(&["a", "b"])),
        (":ns", ns(&[1, 2])),
        (":t", AttributeValue::Bool(true)),
        (":nul", AttributeValue::Null),
    ];
    values.into_iter().map(|(placeholder, value)| (placeholder.to_owned(), value)).collect()
}

/// The names that stand behind the placeholders in tests.
pub(crate) fn names() -> Vec<(String, String)> {
    [("#n", "n"), ("#m", "m"), ("#x", "x"), ("#dotted", "x.y[0]"), ("#name", "name")]
        .map(|(placeholder, name)| (placeholder.to_owned(), name.to_owned()))
        .to_vec()
}

pub(crate) fn bindings() -> Bindings {
    Bindings::new(Some(names()), Some(values())).unwrap()
}

pub(crate) fn condition(text: &str) -> Result<Condition, Error> {
    Condition::bind(&Arc::new(ParsedCondition::parse(Kind::Condition, text)?), &mut bindings())
}

/// The message of an error without the words that all errors of one expression begin with.
pub(crate) fn message<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            let message = error.to_string();
            match error {
                Error::Invalid { kind, .. } => message.replacen(&format!("Invalid {kind}: "), "", 1),
                _ => message,
            }
        }
    }
}
