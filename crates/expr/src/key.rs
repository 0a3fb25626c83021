//! Key conditions: which part of a table or index a query reads.
//!
//! The rules that need the table's schema are checked in `KeyConditions::against`. Where several are broken, the one
//! that DynamoDB names first wins: it walks the condition from the outermost operator in.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use partita_model::key::{MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES};
use partita_model::{AttributeType, AttributeValue};

use crate::bindings::Bindings;
use crate::condition::{Condition, Operand, Step};
use crate::error::Error;
use crate::parse::ParsedCondition;
use crate::path::Path;
use crate::token::Comparator;

/// The key conditions of a query with their names and values, not yet held against a schema.
#[derive(Clone, Debug)]
pub struct KeyConditions {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Expression(Condition),
    Legacy(Vec<OneCondition>),
}

/// A condition on one attribute.
#[derive(Clone, Debug)]
pub(crate) struct OneCondition {
    pub(crate) name: String,
    pub(crate) test: KeyTest,
}

/// A test of a key attribute.
#[derive(Clone, Debug)]
pub(crate) enum KeyTest {
    Equal(AttributeValue),
    Range(SortRange),
    /// A legacy operator that no key knows.
    NotIndexable,
    /// The legacy NULL or NOT_NULL.
    WithoutValue,
}

/// The names of all key attributes of a table: expressions must not treat them as documents.
#[derive(Clone, Copy, Debug)]
pub struct KeyNames<'s> {
    /// The table's key attributes.
    pub table: &'s [&'s str],
    /// The key attributes of all its secondary indexes.
    pub indexes: &'s [&'s str],
}

impl KeyNames<'_> {
    pub(crate) fn check_scalars<'p>(&self, paths: impl Iterator<Item = &'p Path> + Clone) -> Result<(), Error> {
        let is_nested = |key: &&&str| paths.clone().any(|path| !path.is_top_level() && path.root() == **key);
        if let Some(key) = self.table.iter().find(is_nested) {
            return Err(Error::KeyNotScalar((*key).to_owned()));
        }
        match self.indexes.iter().find(is_nested) {
            Some(key) => Err(Error::IndexKeyNotScalar((*key).to_owned())),
            None => Ok(()),
        }
    }
}

/// The key attributes of the table or index that is queried.
#[derive(Clone, Copy, Debug)]
pub struct KeyShape<'s> {
    /// The name of the secondary index whose key it is; `None` for a table's.
    pub index: Option<&'s str>,
    /// The partition attributes with their types; at least one, up to four in a global secondary index.
    pub partition: &'s [(&'s str, AttributeType)],
    /// The sort attributes with their types, from left to right; up to four in a global secondary index.
    pub sort: &'s [(&'s str, AttributeType)],
}

/// A query's key condition in the form that storage can scan for.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyCondition {
    /// The value of every partition attribute, in the order of the schema.
    pub partition: Vec<(String, AttributeValue)>,
    /// The values of the first sort attributes.
    pub sort: Vec<(String, AttributeValue)>,
    /// A range of the sort attribute after those.
    pub range: Option<(String, SortRange)>,
}

/// A range of a sort attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum SortRange {
    /// Less than.
    Lt(AttributeValue),
    /// Less than or equal to.
    Le(AttributeValue),
    /// Greater than.
    Gt(AttributeValue),
    /// Greater than or equal to.
    Ge(AttributeValue),
    /// From the first to the second, both included.
    Between(AttributeValue, AttributeValue),
    /// A prefix of a string or binary.
    BeginsWith(AttributeValue),
}

impl SortRange {
    fn values(&self) -> impl Iterator<Item = &AttributeValue> {
        let (first, second) = match self {
            Self::Lt(value) | Self::Le(value) | Self::Gt(value) | Self::Ge(value) | Self::BeginsWith(value) => {
                (value, None)
            }
            Self::Between(low, high) => (low, Some(high)),
        };
        std::iter::once(first).chain(second)
    }
}

impl KeyConditions {
    /// Puts the request's names and values into a parsed key condition.
    ///
    /// # Errors
    /// When a placeholder is undefined, or operands break a rule of their operator or function.
    pub fn bind(parsed: &Arc<ParsedCondition>, bindings: &mut Bindings) -> Result<Self, Error> {
        Condition::bind(parsed, bindings).map(|condition| Self { source: Source::Expression(condition) })
    }

    pub(crate) const fn of_legacy(conditions: Vec<OneCondition>) -> Self {
        Self { source: Source::Legacy(conditions) }
    }

    /// The paths that the conditions mention.
    #[must_use]
    pub fn paths(&self) -> Vec<Path> {
        match &self.source {
            Source::Expression(condition) => condition.paths().cloned().collect(),
            Source::Legacy(conditions) => conditions.iter().map(|condition| Path::top_level(&condition.name)).collect(),
        }
    }

    /// Refuses conditions on parts of key attributes, which are scalars.
    ///
    /// # Errors
    /// For the first key that is used as a document.
    pub fn check_scalar_keys(&self, keys: &KeyNames<'_>) -> Result<(), Error> {
        match &self.source {
            Source::Expression(condition) => condition.check_scalar_keys(keys),
            Source::Legacy(_) => Ok(()),
        }
    }

    /// Holds the conditions against a key: equalities on all partition attributes, then on sort attributes from left
    /// to right, the last of which may have a range instead.
    ///
    /// # Errors
    /// When the conditions have another form, are on other attributes or compare with values of other types.
    pub fn against(&self, shape: &KeyShape<'_>) -> Result<KeyCondition, Error> {
        let conditions = match &self.source {
            Source::Expression(condition) => one_by_one(condition)?,
            Source::Legacy(conditions) => conditions.clone(),
        };
        fit(conditions, shape)
    }
}

/// The conditions on single attributes that a condition consists of.
fn one_by_one(condition: &Condition) -> Result<Vec<OneCondition>, Error> {
    let mut conditions = Vec::new();
    let mut names = HashSet::new();
    // The operators and functions that are refused, with where in the text they begin and end, in steps.
    let mut refused: Vec<(usize, Reverse<usize>, Error)> = Vec::new();
    for (at, step) in condition.steps.iter().enumerate() {
        match step {
            Step::Not { start } => refused.push((*start, Reverse(at), Error::KeyOperator("NOT"))),
            Step::Jump { when: true, start, target } => {
                refused.push((*start, Reverse(target.saturating_sub(1)), Error::KeyOperator("OR")));
            }
            Step::Jump { when: false, .. } => {}
            test => match one(condition, test) {
                Ok(one) if names.insert(one.name.clone()) => conditions.push(one),
                Ok(_) => refused.push((at, Reverse(at), Error::KeyTwice)),
                Err(error) => refused.push((at, Reverse(at), error)),
            },
        }
    }
    match refused.into_iter().min_by_key(|(start, end, _)| (*start, *end)) {
        Some((_, _, error)) => Err(error),
        None => Ok(conditions),
    }
}

/// The condition on one attribute that a test is.
fn one(condition: &Condition, test: &Step) -> Result<OneCondition, Error> {
    let value = |operand: Operand| match operand {
        Operand::Value(at) => condition.values.get(at).cloned().ok_or(Error::KeyNoAttribute),
        _ => Err(Error::KeyTwoAttributes),
    };
    let is_path = |operand: &Operand| matches!(operand, Operand::Path(_));
    match *test {
        Step::Compare(Comparator::NotEqual, ..) => Err(Error::KeyOperator("<>")),
        Step::In { .. } => Err(Error::KeyOperator("IN")),
        Step::Exists(_) => Err(Error::KeyOperator("attribute_exists")),
        Step::NotExists(_) => Err(Error::KeyOperator("attribute_not_exists")),
        Step::Type(..) => Err(Error::KeyOperator("attribute_type")),
        Step::Contains(..) | Step::Lacks(..) => Err(Error::KeyOperator("contains")),
        Step::Compare(comparator, left, right) => {
            let name = only_attribute(condition, &[left, right])?;
            let (comparator, value) =
                if is_path(&left) { (comparator, value(right)?) } else { (mirrored(comparator), value(left)?) };
            let test = match comparator {
                Comparator::Equal | Comparator::NotEqual => KeyTest::Equal(value),
                Comparator::Less => KeyTest::Range(SortRange::Lt(value)),
                Comparator::LessOrEqual => KeyTest::Range(SortRange::Le(value)),
                Comparator::Greater => KeyTest::Range(SortRange::Gt(value)),
                Comparator::GreaterOrEqual => KeyTest::Range(SortRange::Ge(value)),
            };
            Ok(OneCondition { name, test })
        }
        Step::Between(operand, low, high) => {
            if let Operand::Value(_) = operand {
                return Err(Error::KeyOperandOrder("BETWEEN"));
            }
            let name = only_attribute(condition, &[operand, low, high])?;
            Ok(OneCondition { name, test: KeyTest::Range(SortRange::Between(value(low)?, value(high)?)) })
        }
        Step::BeginsWith(operand, prefix) => {
            if let Operand::Value(_) = operand {
                return Err(Error::KeyOperandOrder("begins_with"));
            }
            let name = only_attribute(condition, &[operand, prefix])?;
            Ok(OneCondition { name, test: KeyTest::Range(SortRange::BeginsWith(value(prefix)?)) })
        }
        Step::Not { .. } | Step::Jump { .. } => Err(Error::KeyNotSupported),
    }
}

/// The name of the one top-level attribute among operands.
fn only_attribute(condition: &Condition, operands: &[Operand]) -> Result<String, Error> {
    let mut name = None;
    for operand in operands {
        match operand {
            Operand::SizeOfPath(_) | Operand::SizeOfValue(_) => return Err(Error::KeyNestedOperation),
            Operand::Value(_) => {}
            Operand::Path(_) if name.is_some() => return Err(Error::KeyTwoAttributes),
            Operand::Path(at) => {
                let path = condition.paths.get(*at).ok_or(Error::KeyNoAttribute)?;
                if !path.is_top_level() {
                    return Err(Error::KeyNestedAttribute);
                }
                name = Some(path.root().to_owned());
            }
        }
    }
    name.ok_or(Error::KeyNoAttribute)
}

const fn mirrored(comparator: Comparator) -> Comparator {
    match comparator {
        Comparator::Less => Comparator::Greater,
        Comparator::LessOrEqual => Comparator::GreaterOrEqual,
        Comparator::Greater => Comparator::Less,
        Comparator::GreaterOrEqual => Comparator::LessOrEqual,
        Comparator::Equal | Comparator::NotEqual => comparator,
    }
}

/// Distributes conditions over the attributes of a key.
fn fit(mut conditions: Vec<OneCondition>, shape: &KeyShape<'_>) -> Result<KeyCondition, Error> {
    let is_plain = shape.partition.len() == 1 && shape.sort.len() <= 1;
    if conditions.is_empty() || (is_plain && conditions.len() > 2) {
        return Err(Error::KeyConditionCount);
    }
    if is_plain && shape.sort.is_empty() && conditions.len() > 1 {
        return Err(Error::KeyNotSupported);
    }
    let mut take = |name: &str| {
        let at = conditions.iter().position(|condition| condition.name == name)?;
        Some(conditions.swap_remove(at).test)
    };
    let mut fitted = KeyCondition { partition: Vec::new(), sort: Vec::new(), range: None };
    for (name, key_type) in shape.partition {
        let test = take(name).ok_or_else(|| Error::KeyMissing((*name).to_owned()))?;
        check(name, &test, *key_type, shape.index)?;
        check_length(&test, MAX_PARTITION_KEY_BYTES, || Error::PartitionKeyTooLong)?;
        match test {
            KeyTest::Equal(value) => fitted.partition.push(((*name).to_owned(), value)),
            KeyTest::WithoutValue => return Err(Error::KeyWithoutValue("Hash")),
            KeyTest::Range(_) | KeyTest::NotIndexable => return Err(Error::KeyNotSupported),
        }
    }
    let mut missing: Vec<String> = Vec::new();
    for (name, key_type) in shape.sort {
        let Some(test) = take(name) else {
            missing.push((*name).to_owned());
            continue;
        };
        check(name, &test, *key_type, shape.index)?;
        check_length(&test, MAX_SORT_KEY_BYTES, || Error::SortKeyTooLong)?;
        missing.extend(fitted.range.iter().map(|(name, _)| name.clone()));
        if !missing.is_empty() {
            return Err(Error::KeyGap { before: missing, at: (*name).to_owned() });
        }
        match test {
            KeyTest::Equal(value) => fitted.sort.push(((*name).to_owned(), value)),
            KeyTest::Range(range) => fitted.range = Some(((*name).to_owned(), range)),
            KeyTest::NotIndexable => return Err(Error::KeyNotIndexable),
            KeyTest::WithoutValue => return Err(Error::KeyWithoutValue("Range")),
        }
    }
    match (conditions.is_empty(), missing.into_iter().next()) {
        (true, _) => Ok(fitted),
        (false, Some(name)) => Err(Error::KeyMissing(name)),
        (false, None) => Err(Error::KeyNotSupported),
    }
}

/// Refuses a value that is longer than any of the key attribute can be.
fn check_length(test: &KeyTest, most: usize, too_long: impl Fn() -> Error) -> Result<(), Error> {
    let check_one = |value: &AttributeValue| match value {
        AttributeValue::S(text) if text.len() > most => Err(too_long()),
        AttributeValue::B(bytes) if bytes.len() > most => Err(too_long()),
        _ => Ok(()),
    };
    match test {
        KeyTest::Equal(value) => check_one(value),
        KeyTest::Range(range) => range.values().try_for_each(check_one),
        KeyTest::NotIndexable | KeyTest::WithoutValue => Ok(()),
    }
}

/// The checks of the values that a key attribute is compared with.
fn check(name: &str, test: &KeyTest, key_type: AttributeType, index: Option<&str>) -> Result<(), Error> {
    let empty = |what| match index {
        None => Error::KeyEmpty { key: name.to_owned(), what },
        Some(index) => Error::IndexKeyEmpty { key: name.to_owned(), index: index.to_owned(), what },
    };
    let check_one = |value: &AttributeValue| {
        if value.attribute_type() != key_type {
            return Err(Error::KeyType);
        }
        match value {
            AttributeValue::S(text) if text.is_empty() => Err(empty("string")),
            AttributeValue::B(bytes) if bytes.is_empty() => Err(empty("binary")),
            _ => Ok(()),
        }
    };
    match test {
        KeyTest::Equal(value) => check_one(value),
        KeyTest::Range(range) => range.values().try_for_each(check_one),
        KeyTest::NotIndexable | KeyTest::WithoutValue => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use AttributeType::{N, S};

    use super::*;
    use crate::error::Kind;
    use crate::sample::{bindings, message, n, s};

    const TABLE: KeyShape<'_> = KeyShape { index: None, partition: &[("pk", S)], sort: &[("sk", N)] };

    fn fit(text: &str, shape: &KeyShape<'_>) -> Result<KeyCondition, Error> {
        let parsed = Arc::new(ParsedCondition::parse(Kind::KeyCondition, text)?);
        let conditions = KeyConditions::bind(&parsed, &mut bindings())?;
        conditions.check_scalar_keys(&KeyNames { table: &["pk", "sk"], indexes: &["g"] })?;
        conditions.against(shape)
    }

    #[test]
    fn conditions_on_a_plain_key_are_lowered() {
        let partition = vec![("pk".to_owned(), s("abc"))];
        for (text, sort, range) in [
            ("pk = :s", None, None),
            ("(:s = pk)", None, None),
            ("sk = :n AND pk = :s", Some(n(5)), None),
            ("pk = :s AND sk < :n", None, Some(SortRange::Lt(n(5)))),
            ("pk = :s AND :n < sk", None, Some(SortRange::Gt(n(5)))),
            ("pk = :s AND :n >= sk", None, Some(SortRange::Le(n(5)))),
            ("(pk = :s) AND (sk >= :n)", None, Some(SortRange::Ge(n(5)))),
            ("pk = :s AND sk BETWEEN :m AND :n", None, Some(SortRange::Between(n(1), n(5)))),
        ] {
            let sort = sort.map(|value| ("sk".to_owned(), value)).into_iter().collect();
            let range = range.map(|range| ("sk".to_owned(), range));
            assert_eq!(fit(text, &TABLE), Ok(KeyCondition { partition: partition.clone(), sort, range }), "{text}");
        }
        let strings = KeyShape { sort: &[("sk", S)], ..TABLE };
        let range = Some(("sk".to_owned(), SortRange::BeginsWith(s("st"))));
        assert_eq!(
            fit("pk = :s AND begins_with(sk, :st)", &strings),
            Ok(KeyCondition { partition, sort: vec![], range })
        );
    }

    #[test]
    fn other_conditions_are_refused_in_the_words_of_the_service() {
        let operator = |operator: &str| format!("Invalid operator used in KeyConditionExpression: {operator}");
        let invalid = |rest: &str| format!("Invalid condition in KeyConditionExpression: {rest}");
        let order =
            |operator: &str| invalid(&format!("{operator} operator must have the key attribute as its first operand"));
        let scalar = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: ";
        let nested = "KeyConditionExpressions cannot contain nested operations";
        for (text, expected) in [
            ("sk = :n", "Query condition missed key schema element: pk".to_owned()),
            ("pk = :s AND x = :n", "Query condition missed key schema element: sk".to_owned()),
            ("pk > :s", "Query key condition not supported".to_owned()),
            ("begins_with(pk, :s)", "Query key condition not supported".to_owned()),
            ("pk = :s AND sk = :n AND x = :m", "Conditions can be of length 1 or 2 only".to_owned()),
            (
                "pk = :s AND sk > :m AND sk < :n",
                "KeyConditionExpressions must only contain one condition per key".to_owned(),
            ),
            (
                "pk = :n",
                "One or more parameter values were invalid: Condition parameter type does not match schema type"
                    .to_owned(),
            ),
            ("pk = :s OR sk = :n", operator("OR")),
            ("pk IN (:s) OR sk = :n", operator("OR")),
            ("pk IN (:s) AND (sk = :s OR a = :s)", operator("IN")),
            ("NOT (pk = :s OR sk = :n)", operator("NOT")),
            ("pk = :s AND (NOT sk = :n OR a = :n)", operator("OR")),
            ("pk <> :s", operator("<>")),
            ("attribute_not_exists(pk)", operator("attribute_not_exists")),
            ("pk = :s AND contains(sk, :n)", operator("contains")),
            ("pk = :s AND size(sk) = :n", nested.to_owned()),
            ("pk = :s AND size(sk) BETWEEN :m AND :n", nested.to_owned()),
            ("pk = sk", invalid("Multiple attribute names used in one condition")),
            (":s = :s", invalid("No key attribute specified")),
            ("pk = :s AND begins_with(:s, sk)", order("begins_with")),
            ("pk = :s AND :n BETWEEN sk AND sk", order("BETWEEN")),
            ("pk = :s AND x.y = :n", "KeyConditionExpressions cannot have conditions on nested attributes".to_owned()),
            ("pk = :s AND NOT sk.y = :n", format!("{scalar}Key: sk")),
            ("pk = :s AND g[0] = :n", format!("{scalar}IndexKey: g")),
        ] {
            assert_eq!(message(fit(text, &TABLE)), expected, "{text}");
        }
        let hash_only = KeyShape { sort: &[], ..TABLE };
        assert_eq!(message(fit("pk = :s AND x = :n", &hash_only)), "Query key condition not supported");
    }

    #[test]
    fn keys_are_not_compared_with_empty_values() {
        let empty = || {
            let parsed = Arc::new(ParsedCondition::parse(Kind::KeyCondition, "pk = :e").unwrap());
            let mut bindings = Bindings::new(None, Some(vec![(":e".to_owned(), s(""))])).unwrap();
            KeyConditions::bind(&parsed, &mut bindings).unwrap()
        };
        let of_table = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk";
        assert_eq!(message(empty().against(&TABLE)), of_table);
        let of_index = "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty string value. IndexName: index, IndexKey: pk";
        assert_eq!(message(empty().against(&KeyShape { index: Some("index"), ..TABLE })), of_index);
    }

    #[test]
    fn keys_of_several_attributes_are_fitted_from_left_to_right() {
        let shape = KeyShape {
            index: Some("index"),
            partition: &[("p1", S), ("p2", N)],
            sort: &[("s1", N), ("s2", N), ("s3", S)],
        };
        let fitted = fit("s2 > :n AND p2 = :m AND s1 = :seven AND p1 = :s", &shape).unwrap();
        assert_eq!(fitted.partition, [("p1".to_owned(), s("abc")), ("p2".to_owned(), n(1))]);
        assert_eq!(fitted.sort, [("s1".to_owned(), n(7))]);
        assert_eq!(fitted.range, Some(("s2".to_owned(), SortRange::Gt(n(5)))));
        let all = "p1 = :s AND p2 = :m AND s1 = :n AND s2 = :n AND s3 = :s";
        assert_eq!(fit(all, &shape).unwrap().sort.len(), 3);
        for (text, expected) in [
            ("p1 = :s AND s1 = :n", "Query condition missed key schema element: p2"),
            ("p1 = :s AND p2 > :m", "Query key condition not supported"),
            (
                "p1 = :s AND p2 = :m AND s2 = :n",
                "RANGE key attributes s1 must have equality conditions specified in the query because a condition is \
                 present on key attribute s2",
            ),
            (
                "p1 = :s AND p2 = :m AND s1 > :n AND s2 = :n",
                "RANGE key attributes s1 must have equality conditions specified in the query because a condition is \
                 present on key attribute s2",
            ),
            ("p1 = :s AND p2 = :m AND extra = :n", "Query condition missed key schema element: s1"),
            (&format!("{all} AND extra = :n"), "Query key condition not supported"),
        ] {
            assert_eq!(message(fit(text, &shape)), expected, "{text}");
        }
    }
}
