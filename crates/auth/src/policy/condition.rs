//! Conditions of statements: operators, their prefixes and suffix, and what a missing key means to each.
//!
//! Sources: "IAM JSON policy elements: Condition operators" and "Set operators for multivalued context keys" of the IAM
//! User Guide. That an operator without set prefix does not match a key with several values: session IAM431 of AWS
//! re:Inforce 2025, as cloud-copilot/iam-simulate tells.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::instant;
use super::keys::{Key, Question};
use super::pattern::{Case, Pattern, Reading, Wildcards};

/// One operator on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    key: Key,
    test: Test,
    negated: bool,
    over: Over,
    if_exists: bool,
}

/// How the values of a key count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Single,
    All,
    Any,
}

/// What is asked of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Text(Box<[Pattern]>),
    Number(Box<[(Order, Number)]>),
    Date(Box<[(Order, i128)]>),
    Address(Box<[Network]>),
    /// Whether the key is missing.
    Null(Box<[Pattern]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds(self, ordering: Option<Ordering>) -> bool {
        match self {
            Self::Equal => ordering == Some(Ordering::Equal),
            Self::Less => ordering == Some(Ordering::Less),
            Self::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => ordering == Some(Ordering::Greater),
            Self::GreaterOrEqual => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

/// Why a condition can not be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no such operator.
    Operator,
    /// A value is none of the operator's type.
    Value,
}

/// An operator, read from its name.
#[derive(Clone, Copy)]
pub(super) struct Operator {
    kind: Kind,
    negated: bool,
    over: Over,
    if_exists: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Text(Wildcards, Case),
    Number(Order),
    Date(Order),
    Address,
    Null,
}

impl Operator {
    /// Reads a name such as `ForAllValues:StringNotLikeIfExists`. Names are case-sensitive.
    pub(super) fn parse(name: &str) -> Result<Self, Fault> {
        let (over, name) = match name.split_once(':') {
            None => (Over::Single, name),
            Some(("ForAllValues", name)) => (Over::All, name),
            Some(("ForAnyValue", name)) => (Over::Any, name),
            Some(_) => return Err(Fault::Operator),
        };
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let (kind, negated) = match name {
            "StringEquals" | "BinaryEquals" => (Kind::Text(Wildcards::None, Case::Exact), false),
            "StringNotEquals" => (Kind::Text(Wildcards::None, Case::Exact), true),
            "StringEqualsIgnoreCase" | "Bool" => (Kind::Text(Wildcards::None, Case::Ignored), false),
            "StringNotEqualsIgnoreCase" => (Kind::Text(Wildcards::None, Case::Ignored), true),
            "StringLike" => (Kind::Text(Wildcards::Text, Case::Exact), false),
            "StringNotLike" => (Kind::Text(Wildcards::Text, Case::Exact), true),
            "ArnEquals" | "ArnLike" => (Kind::Text(Wildcards::Arn, Case::Exact), false),
            "ArnNotEquals" | "ArnNotLike" => (Kind::Text(Wildcards::Arn, Case::Exact), true),
            "NumericEquals" => (Kind::Number(Order::Equal), false),
            "NumericNotEquals" => (Kind::Number(Order::Equal), true),
            "NumericLessThan" => (Kind::Number(Order::Less), false),
            "NumericLessThanEquals" => (Kind::Number(Order::LessOrEqual), false),
            "NumericGreaterThan" => (Kind::Number(Order::Greater), false),
            "NumericGreaterThanEquals" => (Kind::Number(Order::GreaterOrEqual), false),
            "DateEquals" => (Kind::Date(Order::Equal), false),
            "DateNotEquals" => (Kind::Date(Order::Equal), true),
            "DateLessThan" => (Kind::Date(Order::Less), false),
            "DateLessThanEquals" => (Kind::Date(Order::LessOrEqual), false),
            "DateGreaterThan" => (Kind::Date(Order::Greater), false),
            "DateGreaterThanEquals" => (Kind::Date(Order::GreaterOrEqual), false),
            "IpAddress" => (Kind::Address, false),
            "NotIpAddress" => (Kind::Address, true),
            "Null" if !if_exists => (Kind::Null, false),
            _ => return Err(Fault::Operator),
        };
        Ok(Self { kind, negated, over, if_exists })
    }
}

impl Condition {
    /// An operator on a key, with the values of the policy. `variables`: whether the document has any.
    pub(super) fn new(operator: Operator, key: &str, values: &[&str], variables: bool) -> Result<Self, Fault> {
        let texts = |wildcards, case| -> Box<[Pattern]> {
            let reading = Reading { variables, wildcards, case };
            values.iter().map(|value| Pattern::parse(value, reading)).collect()
        };
        let test = match operator.kind {
            Kind::Text(wildcards, case) => Test::Text(texts(wildcards, case)),
            Kind::Null => Test::Null(texts(Wildcards::None, Case::Ignored)),
            Kind::Number(order) => {
                let read = |value: &&str| Number::parse(value).map(|number| (order, number)).ok_or(Fault::Value);
                Test::Number(values.iter().map(read).collect::<Result<_, _>>()?)
            }
            Kind::Date(order) => {
                let read = |value: &&str| instant::parse(value).map(|instant| (order, instant)).ok_or(Fault::Value);
                Test::Date(values.iter().map(read).collect::<Result<_, _>>()?)
            }
            Kind::Address => {
                let read = |value: &&str| Network::parse(value).ok_or(Fault::Value);
                Test::Address(values.iter().map(read).collect::<Result<_, _>>()?)
            }
        };
        Ok(Self {
            key: Key::parse(key),
            test,
            negated: operator.negated,
            over: operator.over,
            if_exists: operator.if_exists,
        })
    }

    /// Whether the request fulfils it.
    pub(super) fn holds(&self, question: &Question<'_>) -> bool {
        let values = question.values(&self.key);
        if let Test::Null(wanted) = &self.test {
            let missing = if values.count() == 0 { "true" } else { "false" };
            return wanted.iter().any(|pattern| pattern.matches(missing, question));
        }
        let fulfils = |value: &str| self.test.accepts(value, question) != self.negated;
        match (values.count(), self.over) {
            (0, Over::Single) => self.if_exists || self.negated,
            (0, Over::All) => true,
            (0, Over::Any) => self.if_exists,
            (1, _) => values.any(fulfils),
            (_, Over::Single) => false,
            (_, Over::All) => values.all(fulfils),
            (_, Over::Any) => values.any(fulfils),
        }
    }

    /// The keys that it looks at.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        let patterns: &[Pattern] = match &self.test {
            Test::Text(patterns) | Test::Null(patterns) => patterns,
            Test::Number(_) | Test::Date(_) | Test::Address(_) => &[],
        };
        std::iter::once(&self.key).chain(patterns.iter().flat_map(Pattern::keys))
    }

    /// Whether it holds only for requests of which one of these keys (in lower case) has one of some fixed values.
    pub(super) fn pins(&self, keys: &[&str]) -> bool {
        let name = match &self.key {
            Key::PrincipalArn => "aws:principalarn",
            Key::PrincipalAccount => "aws:principalaccount",
            Key::UserId => "aws:userid",
            Key::Request(name) => name,
            Key::PrincipalType | Key::PrincipalTag(_) | Key::UserName | Key::TokenIssueTime => return false,
        };
        let is_fixed = |pattern: &Pattern| match pattern.literal() {
            Some("true") => true,
            Some(text) => name != "aws:principalisawsservice" && !text.contains(['*', '?']),
            None => false,
        };
        let is_demand = !self.negated && !self.if_exists && self.over != Over::All;
        match &self.test {
            Test::Text(patterns) if is_demand && keys.contains(&name) => {
                !patterns.is_empty() && patterns.iter().all(is_fixed)
            }
            _ => false,
        }
    }
}

impl Test {
    fn accepts(&self, value: &str, question: &Question<'_>) -> bool {
        match self {
            Self::Text(patterns) => patterns.iter().any(|pattern| pattern.matches(value, question)),
            Self::Number(wanted) => Number::parse(value)
                .is_some_and(|value| wanted.iter().any(|(order, own)| order.holds(value.compare(*own)))),
            Self::Date(wanted) => instant::parse(value)
                .is_some_and(|value| wanted.iter().any(|(order, own)| order.holds(Some(value.cmp(own))))),
            Self::Address(networks) => value
                .parse::<IpAddr>()
                .is_ok_and(|address| networks.iter().any(|network| network.contains(address.to_canonical()))),
            Self::Null(_) => false,
        }
    }
}

/// A number of a policy or a request: exact where it is an integer.
#[derive(Clone, Copy, Debug)]
enum Number {
    Integer(i64),
    Other(f64),
}

/// Numbers of policies are finite.
impl Eq for Number {}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.compare(*other) == Some(Ordering::Equal)
    }
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(integer) = text.parse() {
            return Some(Self::Integer(integer));
        }
        text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Self::Other)
    }

    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(own), Self::Integer(other)) => Some(own.cmp(&other)),
            (own, other) => own.float().partial_cmp(&other.float()),
        }
    }

    fn float(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "beside a fraction, the nearest float is what is compared")]
            Self::Integer(integer) => integer as f64,
            Self::Other(number) => number,
        }
    }
}

/// An address with the number of its bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address = address.parse::<IpAddr>().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= width)?,
        };
        Some(Self { address, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.bits,
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.bits,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Condition, Fault, Operator};
    use crate::policy::Context;
    use crate::policy::keys::Question;

    fn holds(operator: &str, values: &[&str], request: Option<&[&str]>) -> bool {
        let mut context = Context::default();
        if let Some(request) = request {
            context.set_all("x:key", request.iter().map(|value| (*value).to_owned()).collect());
        }
        let condition = Condition::new(Operator::parse(operator).unwrap(), "X:Key", values, true).unwrap();
        condition.holds(&Question::of_context(&context))
    }

    #[test]
    fn every_operator_on_one_value() {
        for (operator, policy, request, expected) in [
            ("StringEquals", "a", "a", true),
            ("StringEquals", "a", "A", false),
            ("StringEquals", "a*", "ab", false),
            ("StringEquals", "${*}", "*", true),
            ("StringNotEquals", "a", "a", false),
            ("StringNotEquals", "a", "b", true),
            ("StringEqualsIgnoreCase", "aÄ", "Aä", true),
            ("StringEqualsIgnoreCase", "a", "b", false),
            ("StringNotEqualsIgnoreCase", "a", "A", false),
            ("StringNotEqualsIgnoreCase", "a", "b", true),
            ("StringLike", "a*c?", "abcd", true),
            ("StringLike", "a*c?", "abc", false),
            ("StringLike", "a${*}", "ab", false),
            ("StringNotLike", "a*", "b", true),
            ("StringNotLike", "a*", "ab", false),
            ("NumericEquals", "10", "10.0", true),
            ("NumericEquals", "10", "x", false),
            ("NumericEquals", "9007199254740993", "9007199254740992", false),
            ("NumericNotEquals", "10", "11", true),
            ("NumericNotEquals", "10", "10", false),
            ("NumericNotEquals", "10", "x", true),
            ("NumericLessThan", "10", "9.5", true),
            ("NumericLessThan", "10", "10", false),
            ("NumericLessThan", "10", "-11", true),
            ("NumericLessThanEquals", "10", "10", true),
            ("NumericLessThanEquals", "10", "11", false),
            ("NumericGreaterThan", "10", "11", true),
            ("NumericGreaterThan", "10", "10", false),
            ("NumericGreaterThan", "10", "9", false),
            ("NumericGreaterThanEquals", "10", "10", true),
            ("NumericGreaterThanEquals", "10", "9", false),
            ("NumericGreaterThanEquals", "10", "NaN", false),
            ("DateEquals", "2020-01-01T00:00:00Z", "1577836800", true),
            ("DateEquals", "2020-01-01T00:00:00Z", "1577836801", false),
            ("DateNotEquals", "2020-01-01T00:00:00Z", "1577836801", true),
            ("DateNotEquals", "2020-01-01T00:00:00Z", "2020-01-01", false),
            ("DateLessThan", "2020-01-01", "2019-12-31T23:59:59Z", true),
            ("DateLessThan", "2020-01-01", "2020-01-01T00:00:00Z", false),
            ("DateLessThanEquals", "2020-01-01", "2020-01-01T00:00:00Z", true),
            ("DateLessThanEquals", "2020-01-01", "2020-01-01T00:00:01Z", false),
            ("DateGreaterThan", "2020-01-01", "2020-01-01T00:00:01Z", true),
            ("DateGreaterThan", "2020-01-01", "2020-01-01", false),
            ("DateGreaterThanEquals", "2020-01-01", "2020-01-01", true),
            ("DateGreaterThanEquals", "2020-01-01", "2019-12-31", false),
            ("DateGreaterThanEquals", "2020-01-01", "tomorrow", false),
            ("Bool", "true", "true", true),
            ("Bool", "TRUE", "true", true),
            ("Bool", "true", "false", false),
            ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", true),
            ("BinaryEquals", "QmluYXJ5", "qmluYXJ5", false),
            ("IpAddress", "203.0.113.0/24", "203.0.113.255", true),
            ("IpAddress", "203.0.113.0/24", "203.0.114.0", false),
            ("IpAddress", "203.0.113.7", "203.0.113.7", true),
            ("IpAddress", "203.0.113.7", "203.0.113.8", false),
            ("IpAddress", "0.0.0.0/0", "8.8.8.8", true),
            ("IpAddress", "0.0.0.0/0", "::1", false),
            ("IpAddress", "2001:db8::/32", "2001:db8:1::1", true),
            ("IpAddress", "2001:db8::/32", "2001:db9::1", false),
            ("IpAddress", "::/0", "2001:db9::1", true),
            ("IpAddress", "10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("IpAddress", "10.0.0.0/8", "nonsense", false),
            ("NotIpAddress", "10.0.0.0/8", "11.0.0.1", true),
            ("NotIpAddress", "10.0.0.0/8", "10.0.0.1", false),
            ("ArnEquals", "arn:aws:iam::1:role/*", "arn:aws:iam::1:role/a/b", true),
            ("ArnEquals", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b", false),
            ("ArnLike", "arn:aws:iam::*:role/*", "arn:aws:iam::1:role/a", true),
            ("ArnLike", "arn:aws:iam:*", "arn:aws:iam::1:role/a", false),
            ("ArnNotEquals", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b", true),
            ("ArnNotLike", "arn:aws:iam::*:role/*", "arn:aws:iam::1:role/a", false),
            ("ArnLike", "arn:aws:iam::1:role/a", "no ARN", false),
            ("Null", "true", "a", false),
            ("Null", "false", "a", true),
        ] {
            assert_eq!(holds(operator, &[policy], Some(&[request])), expected, "{operator} {policy} of {request}");
        }
    }

    #[test]
    fn several_values_of_the_policy_are_alternatives_and_of_a_negation_exceptions() {
        assert!(holds("StringEquals", &["a", "b"], Some(&["b"])));
        assert!(!holds("StringEquals", &["a", "b"], Some(&["c"])));
        assert!(!holds("StringNotEquals", &["a", "b"], Some(&["b"])));
        assert!(holds("StringNotEquals", &["a", "b"], Some(&["c"])));
        assert!(!holds("NotIpAddress", &["10.0.0.0/8", "11.0.0.0/8"], Some(&["11.0.0.1"])));
        assert!(holds("NumericLessThan", &["1", "5"], Some(&["3"])));
        assert!(!holds("StringEquals", &[], Some(&["a"])));
        assert!(holds("StringNotEquals", &[], Some(&["a"])));
        assert!(holds("Null", &["true", "false"], None));
    }

    #[test]
    fn a_missing_key() {
        for (operator, expected) in [
            ("StringEquals", false),
            ("StringLike", false),
            ("StringEqualsIfExists", true),
            ("StringLikeIfExists", true),
            ("StringNotEquals", true),
            ("StringNotLike", true),
            ("StringNotEqualsIgnoreCase", true),
            ("StringNotEqualsIfExists", true),
            ("ArnLike", false),
            ("ArnNotLike", true),
            ("ArnNotEquals", true),
            ("Bool", false),
            ("BoolIfExists", true),
            ("ForAllValues:StringEquals", true),
            ("ForAllValues:StringNotEquals", true),
            ("ForAllValues:StringEqualsIfExists", true),
            ("ForAnyValue:StringEquals", false),
            ("ForAnyValue:StringNotEquals", false),
            ("ForAnyValue:StringEqualsIfExists", true),
            ("BinaryEquals", false),
        ] {
            let value = if operator.contains("Arn") { "arn:aws:iam::1:role/a" } else { "a" };
            assert_eq!(holds(operator, &[value], None), expected, "{operator}, missing");
            assert_eq!(holds(operator, &[value], Some(&[])), expected, "{operator}, empty");
        }
        for (operator, value, expected) in [
            ("NumericEquals", "1", false),
            ("NumericNotEquals", "1", true),
            ("NumericLessThan", "1", false),
            ("NumericLessThanIfExists", "1", true),
            ("DateEquals", "2020", false),
            ("DateNotEquals", "2020", true),
            ("DateGreaterThan", "2020", false),
            ("DateLessThanIfExists", "2020", true),
            ("IpAddress", "10.0.0.0/8", false),
            ("NotIpAddress", "10.0.0.0/8", true),
            ("IpAddressIfExists", "10.0.0.0/8", true),
            ("Null", "true", true),
            ("Null", "false", false),
            ("ForAllValues:Null", "false", false),
        ] {
            assert_eq!(holds(operator, &[value], None), expected, "{operator}, missing");
        }
    }

    #[test]
    fn sets_of_values() {
        let (ab, ac, cd): (&[&str], &[&str], &[&str]) = (&["a", "b"], &["a", "c"], &["c", "d"]);
        for (operator, request, expected) in [
            ("ForAllValues:StringEquals", ab, true),
            ("ForAllValues:StringEquals", ac, false),
            ("ForAllValues:StringEquals", &["a"] as &[&str], true),
            ("ForAllValues:StringNotEquals", cd, true),
            ("ForAllValues:StringNotEquals", ac, false),
            ("ForAnyValue:StringEquals", ac, true),
            ("ForAnyValue:StringEquals", cd, false),
            ("ForAnyValue:StringNotEquals", ac, true),
            ("ForAnyValue:StringNotEquals", ab, false),
            // Without a set operator, a key with several values matches nothing.
            ("StringEquals", ab, false),
            ("StringNotEquals", cd, false),
            ("StringEqualsIfExists", ab, false),
        ] {
            assert_eq!(holds(operator, &["a", "b"], Some(request)), expected, "{operator} of {request:?}");
        }
    }

    #[test]
    fn a_variable_without_value_equals_nothing() {
        assert!(!holds("StringEquals", &["${aws:username}"], Some(&["${aws:username}"])));
        assert!(holds("StringNotEquals", &["${aws:username}"], Some(&["x"])));
        assert!(holds("StringEquals", &["${aws:username}", "x"], Some(&["x"])));
    }

    #[test]
    fn what_is_no_operator_or_no_value() {
        for name in [
            "",
            "x",
            "stringEquals",
            "StringEqual",
            "ForAllValues",
            "ForAnyValue::StringEquals",
            "ForAll:StringEquals",
            "StringEqualsIfExistsIfExists",
            "NullIfExists",
            "IfExists",
            "ForAllValues:",
            "StringEquals ",
        ] {
            assert!(Operator::parse(name).is_err(), "{name}");
        }
        for (name, value) in [
            ("NumericEquals", "x"),
            ("NumericEquals", "inf"),
            ("DateEquals", "sdf"),
            ("IpAddress", "10.0.0.0/33"),
            ("IpAddress", "10.0.0"),
            ("IpAddress", "::/129"),
            ("IpAddress", "10.0.0.0/-1"),
        ] {
            let operator = Operator::parse(name).unwrap();
            assert_eq!(Condition::new(operator, "x", &[value], true).unwrap_err(), Fault::Value, "{name} {value}");
        }
    }
}
