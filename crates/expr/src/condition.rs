//! Conditions and filters with their names and values: what is evaluated against items.
//!
//! A bound condition is a list of steps. Each step but a jump sets the one truth value that evaluation carries along;
//! jumps skip the right side of an AND or OR that cannot change it any more. So evaluation neither recurses nor needs a
//! stack, and it cannot fail: an absent attribute or a value of the wrong type makes a test false (and `<>` true).

mod bind;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use partita_model::{AttributeType, AttributeValue, Document, Number};

use crate::bindings::Bindings;
use crate::error::Error;
use crate::key::KeyNames;
use crate::parse::ParsedCondition;
use crate::path::Path;
use crate::token::Comparator;

/// A condition or filter, ready to be evaluated any number of times.
#[derive(Clone, Debug)]
pub struct Condition {
    pub(crate) steps: Vec<Step>,
    /// The operands of IN.
    pub(crate) operands: Vec<Operand>,
    pub(crate) paths: Arc<[Path]>,
    pub(crate) values: Arc<Vec<AttributeValue>>,
    /// What messages about a filter call it.
    pub(crate) label: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Compare(Comparator, Operand, Operand),
    Between(Operand, Operand, Operand),
    /// IN of `count` operands from `first` on.
    In {
        operand: Operand,
        first: usize,
        count: usize,
    },
    Exists(Operand),
    NotExists(Operand),
    Type(Operand, AttributeType),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
    /// The legacy NOT_CONTAINS, which is false for an absent attribute.
    Lacks(Operand, Operand),
    Not {
        start: usize,
    },
    Jump {
        when: bool,
        start: usize,
        target: usize,
    },
}

/// What a test looks at. Paths and values are given by their places.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand {
    Path(usize),
    Value(usize),
    SizeOfPath(usize),
    SizeOfValue(usize),
}

impl Condition {
    /// Puts the request's names and values into a parsed condition or filter.
    ///
    /// # Errors
    /// When a placeholder is undefined, or operands break a rule of their operator or function.
    pub fn bind(parsed: &Arc<ParsedCondition>, bindings: &mut Bindings) -> Result<Self, Error> {
        bind::bind(parsed, bindings).map_err(|problem| problem.of(parsed.kind))
    }

    /// Whether the condition holds for an item; `None` of any document type stands for the absent item.
    #[must_use]
    pub fn matches<D: Document + ?Sized>(&self, document: &D) -> bool {
        let mut holds = true;
        let mut at = 0;
        while let Some(step) = self.steps.get(at) {
            at += 1;
            match step {
                Step::Not { .. } => holds = !holds,
                Step::Jump { when, target, .. } => {
                    if holds == *when {
                        at = *target;
                    }
                }
                test => holds = self.test(test, document),
            }
        }
        holds
    }

    /// The paths that the condition mentions, in the order of its text; a path may come more than once.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter()
    }

    /// Refuses a condition on parts of key attributes, which are scalars.
    ///
    /// # Errors
    /// For the first key that is used as a document.
    pub fn check_scalar_keys(&self, keys: &KeyNames<'_>) -> Result<(), Error> {
        keys.check_scalars(self.paths.iter())
    }

    /// Refuses a filter of a query that mentions a key attribute of the table or index that is queried.
    ///
    /// # Errors
    /// For the first key, in the order given, that is mentioned.
    pub fn check_filter_keys(&self, keys: &[&str]) -> Result<(), Error> {
        match keys.iter().find(|key| self.paths().any(|path| path.root() == **key)) {
            Some(key) => Err(Error::FilterOnKey(self.label, (*key).to_owned())),
            None => Ok(()),
        }
    }

    fn test<D: Document + ?Sized>(&self, test: &Step, document: &D) -> bool {
        match test {
            Step::Compare(comparator, left, right) => {
                let (left, right) = (self.value(*left, document), self.value(*right, document));
                let (Some(left), Some(right)) = (left, right) else { return *comparator == Comparator::NotEqual };
                match comparator {
                    Comparator::Equal => left == right,
                    Comparator::NotEqual => left != right,
                    Comparator::Less => left.compare(&right) == Some(Ordering::Less),
                    Comparator::LessOrEqual => left.compare(&right).is_some_and(Ordering::is_le),
                    Comparator::Greater => left.compare(&right) == Some(Ordering::Greater),
                    Comparator::GreaterOrEqual => left.compare(&right).is_some_and(Ordering::is_ge),
                }
            }
            Step::Between(operand, low, high) => {
                let Some(value) = self.value(*operand, document) else { return false };
                let at_least = |low: Cow<'_, AttributeValue>| value.compare(&low).is_some_and(Ordering::is_ge);
                let at_most = |high: Cow<'_, AttributeValue>| value.compare(&high).is_some_and(Ordering::is_le);
                self.value(*low, document).is_some_and(at_least) && self.value(*high, document).is_some_and(at_most)
            }
            Step::In { operand, first, count } => {
                let Some(value) = self.value(*operand, document) else { return false };
                let mut candidates = self.operands.iter().skip(*first).take(*count);
                candidates.any(|candidate| self.value(*candidate, document).is_some_and(|candidate| candidate == value))
            }
            Step::Exists(operand) => self.value(*operand, document).is_some(),
            Step::NotExists(operand) => self.value(*operand, document).is_none(),
            Step::Type(operand, wanted) => {
                self.value(*operand, document).is_some_and(|value| value.attribute_type() == *wanted)
            }
            Step::BeginsWith(operand, prefix) => {
                self.both(*operand, *prefix, document).is_some_and(|(value, prefix)| begins_with(&value, &prefix))
            }
            Step::Contains(operand, part) => {
                self.both(*operand, *part, document).is_some_and(|(value, part)| contains(&value, &part))
            }
            Step::Lacks(operand, part) => {
                self.both(*operand, *part, document).is_some_and(|(value, part)| !contains(&value, &part))
            }
            Step::Not { .. } | Step::Jump { .. } => false,
        }
    }

    fn both<'v, D: Document + ?Sized>(
        &'v self,
        left: Operand,
        right: Operand,
        document: &'v D,
    ) -> Option<(Cow<'v, AttributeValue>, Cow<'v, AttributeValue>)> {
        Some((self.value(left, document)?, self.value(right, document)?))
    }

    fn value<'v, D: Document + ?Sized>(&'v self, operand: Operand, document: &'v D) -> Option<Cow<'v, AttributeValue>> {
        match operand {
            Operand::Path(at) => self.paths.get(at)?.resolve(document),
            Operand::Value(at) => self.values.get(at).map(Cow::Borrowed),
            Operand::SizeOfPath(at) => size(self.paths.get(at)?.resolve(document)?.as_ref()),
            Operand::SizeOfValue(at) => size(self.values.get(at)?),
        }
    }
}

/// The value of `size`: UTF-16 code units of a string, bytes, or elements; nothing for types without a size.
fn size(value: &AttributeValue) -> Option<Cow<'static, AttributeValue>> {
    let size = match value {
        AttributeValue::S(text) => text.encode_utf16().count(),
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::L(list) => list.len(),
        AttributeValue::M(map) => map.len(),
        AttributeValue::Ss(set) => set.len(),
        AttributeValue::Ns(set) => set.len(),
        AttributeValue::Bs(set) => set.len(),
        AttributeValue::N(_) | AttributeValue::Bool(_) | AttributeValue::Null => return None,
    };
    Some(Cow::Owned(AttributeValue::N(Number::from(u64::try_from(size).ok()?))))
}

pub(crate) fn begins_with(value: &AttributeValue, prefix: &AttributeValue) -> bool {
    match (value, prefix) {
        (AttributeValue::S(text), AttributeValue::S(prefix)) => text.starts_with(prefix.as_str()),
        (AttributeValue::B(bytes), AttributeValue::B(prefix)) => bytes.starts_with(prefix),
        _ => false,
    }
}

fn contains(value: &AttributeValue, part: &AttributeValue) -> bool {
    match (value, part) {
        (AttributeValue::S(text), AttributeValue::S(part)) => text.contains(part.as_str()),
        (AttributeValue::B(bytes), AttributeValue::B(part)) => memchr::memmem::find(bytes, part).is_some(),
        (AttributeValue::Ss(set), AttributeValue::S(element)) => set.contains(element),
        (AttributeValue::Ns(set), AttributeValue::N(element)) => set.contains(element),
        (AttributeValue::Bs(set), AttributeValue::B(element)) => set.contains(element),
        (AttributeValue::L(list), element) => list.contains(element),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::{condition, item, map, message, n, values};

    #[test]
    fn comparisons_hold_between_values_of_one_type() {
        check(&[
            ("n = :seven", true),
            ("n = :n", false),
            ("n > :n", true),
            ("n >= :seven", true),
            ("n < :seven", false),
            ("n <= :seven", true),
            (":seven > :n", true),
            ("n = :s", false),
            ("n <> :s", true),
            ("n < s", false),
            ("n >= s", false),
            ("t = :t", true),
            ("z = :nul", true),
            (":nul <> :nul", false),
            ("l[0] = :m", true),
            ("l[2] = :mq", true),
            ("ss = :ss", false),
            ("m.l[1] > m.l[0]", true),
            ("n BETWEEN :m AND :seven", true),
            ("n BETWEEN :m AND :n", false),
            ("s BETWEEN :m AND :n", false),
            ("n IN (:n, :seven)", true),
            ("n IN (:n, :s)", false),
        ]);
    }

    #[test]
    fn absent_attributes_make_tests_false_and_unequal_true() {
        check(&[
            ("x = :n", false),
            ("x <> :n", true),
            ("x < :n", false),
            ("NOT x < :n", true),
            ("x = y", false),
            ("x <> y", true),
            ("x IN (y, :n)", false),
            ("x BETWEEN :m AND :n", false),
            ("n BETWEEN x AND :seven", false),
            ("contains(x, :n)", false),
            ("contains(s, x)", false),
            ("begins_with(x, :s)", false),
            ("attribute_type(x, :N)", false),
            ("size(x) < :n", false),
            ("size(x) <> :n", true),
        ]);
        for (text, holds) in [("attribute_not_exists(pk)", true), ("attribute_exists(pk)", false), ("pk <> :s", true)] {
            assert_eq!(condition(text).unwrap().matches(&None::<partita_model::AttributeMap>), holds, "{text}");
        }
    }

    #[test]
    fn functions_look_at_paths_and_values() {
        check(&[
            ("attribute_exists(m.k)", true),
            ("attribute_exists(m.x)", false),
            ("attribute_exists(l[9])", false),
            ("attribute_exists(n[0])", false),
            ("attribute_not_exists(l.x)", true),
            ("attribute_exists(z)", true),
            ("attribute_type(n, :N)", true),
            ("attribute_type(z, :NULL)", true),
            ("attribute_type(size(s), :N)", true),
            ("attribute_type(size(n), :N)", false),
            ("begins_with(s, :st)", true),
            ("begins_with(b, :b)", true),
            ("begins_with(n, :st)", false),
            ("begins_with(s, es)", true),
            ("contains(s, :st)", true),
            ("contains(b, :b)", true),
            ("contains(ss, :a)", true),
            ("contains(ss, :ss)", false),
            ("contains(ns, :m)", true),
            ("contains(l, :m)", true),
            ("contains(l, :mq)", true),
            ("contains(m, :a)", false),
            ("contains(n, :seven)", false),
            ("contains(:l, l[0])", true),
        ]);
    }

    #[test]
    fn size_counts_by_type() {
        check(&[
            ("size(s) = :three", true),
            ("size(b) = :three", true),
            ("size(l) = :three", true),
            ("size(m) = :two", true),
            ("size(ss) = :two", true),
            ("size(es) < :m", true),
            ("size(n) = :m", false),
            ("size(n) <> :m", true),
            ("size(t) > :m", false),
        ]);
        // A letter beyond the basic plane counts as two.
        let item = map(&[("u", crate::sample::s("\u{e9}\u{1f600}"))]);
        assert!(condition("size(u) = :three").unwrap().matches(&item));
    }

    #[test]
    fn not_binds_before_and_before_or() {
        check(&[
            ("NOT n = :n AND n = :seven", true),
            ("NOT (n = :n OR n = :seven)", false),
            ("n = :n OR n = :seven AND x = :n", false),
            ("n = :seven OR n = :n AND n = :n", true),
            ("(n = :seven OR n = :n) AND n = :n", false),
            ("NOT NOT n = :seven", true),
            ("n BETWEEN :m AND :seven AND t = :t", true),
        ]);
    }

    fn check(cases: &[(&str, bool)]) {
        for (text, holds) in cases {
            assert_eq!(condition(text).unwrap().matches(&item()), *holds, "{text}");
        }
    }

    #[test]
    fn placeholders_must_be_defined() {
        let value = "An expression attribute value used in expression is not defined; attribute value: ";
        let name = "An expression attribute name used in the document path is not defined; attribute name: ";
        for (text, expected) in [
            ("a = :u", format!("{value}:u")),
            ("#u = :u", format!("{name}#u")),
            ("a = :u AND #u = b", format!("{value}:u")),
            ("a.#u = :n", format!("{name}#u")),
            ("begins_with(:n, :u)", format!("{value}:u")),
            ("#dotted = :n AND #n = :n", "ok".to_owned()),
        ] {
            assert_eq!(message(condition(text)), expected, "{text}");
        }
    }

    #[test]
    fn first_operand_must_be_distinct() {
        let of = |operator: &str, path: &str| {
            format!(
                "The first operand must be distinct from the remaining operands for this operator or function; \
                 operator: {operator}, first operand: {path}"
            )
        };
        for (text, operator, path) in [
            ("a = a", "=", "[a]"),
            ("(a[0].b) <> (a[0].b)", "<>", "[a, [0], b]"),
            ("#x.b < x.b", "<", "[x, b]"),
            ("a IN (b, a)", "IN", "[a]"),
            ("a BETWEEN b AND a", "BETWEEN", "[a]"),
            ("contains(a, a)", "contains", "[a]"),
            ("attribute_type(a, a)", "attribute_type", "[a]"),
        ] {
            assert_eq!(message(condition(text)), of(operator, path), "{text}");
        }
        for text in [":n = :n", "size(a) = size(a)", "a IN (b, b)", "A = a", "a BETWEEN b AND b"] {
            assert_eq!(message(condition(text)), "ok", "{text}");
        }
    }

    #[test]
    fn literals_must_fit_their_operator_or_function() {
        let wrong = |name: &str, of: &str| {
            format!("Incorrect operand type for operator or function; operator or function: {name}, operand type: {of}")
        };
        for (text, name, of) in [
            ("a < :l", "<", "L"),
            (":t > a", ">", "BOOL"),
            ("a >= :ns", ">=", "NS"),
            ("a BETWEEN :nul AND :n", "BETWEEN", "NULL"),
            (":l BETWEEN :n AND :m", "BETWEEN", "L"),
            ("begins_with(a, :n)", "begins_with", "N"),
            ("begins_with(a, size(b))", "begins_with", "N"),
            ("size(:t) = :n", "size", "BOOL"),
            ("size(size(a)) = :n", "size", "N"),
            ("attribute_type(a, :n)", "attribute_type", "N"),
        ] {
            assert_eq!(message(condition(text)), wrong(name, of), "{text}");
        }
        for (text, expected) in [
            (
                "attribute_type(a, :s)",
                "Invalid attribute type name found; type: abc, valid types: {N,BS,L,B,NULL,M,S,SS,NS,BOOL}",
            ),
            (
                "attribute_exists(:n)",
                "Operator or function requires a document path; operator or function: attribute_exists",
            ),
            (
                "attribute_exists(size(a))",
                "Operator or function requires a document path; operator or function: attribute_exists",
            ),
            (
                "size(a, b) = :n",
                "Incorrect number of operands for operator or function; operator or function: size, number of operands: 2",
            ),
            (
                "begins_with(a)",
                "Incorrect number of operands for operator or function; operator or function: begins_with, number of operands: 1",
            ),
            (
                "a BETWEEN :n AND :m",
                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:5}, upper bound operand: AttributeValue: {N:1}",
            ),
            (
                "a BETWEEN :n AND :s",
                "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {N:5}, upper bound operand: AttributeValue: {S:abc}",
            ),
            ("a = :l AND a <> :mm AND a IN (:l, :t) AND contains(a, :l)", "ok"),
        ] {
            assert_eq!(message(condition(text)), expected, "{text}");
        }
    }

    #[test]
    fn in_takes_up_to_100_operands() {
        let text = |count: usize| format!("a IN ({})", vec![":n"; count].join(","));
        assert_eq!(message(condition(&text(100))), "ok");
        let expected = "The IN operator is provided with too many operands; number of operands: 101";
        assert_eq!(message(condition(&text(101))), expected);
    }

    #[test]
    fn paths_have_up_to_32_elements() {
        let text = |elements: usize| format!("a{} = :n", ".b".repeat(elements - 1));
        assert_eq!(message(condition(&text(32))), "ok");
        let expected = "The document path has too many nesting levels; nesting levels: 33";
        assert_eq!(message(condition(&text(33))), expected);
    }

    #[test]
    fn filters_must_not_mention_the_keys_that_are_queried() {
        let filter = condition("x = :n AND sk = pk").unwrap();
        let error = filter.check_filter_keys(&["pk", "sk"]).unwrap_err().to_string();
        let expected = "Filter Expression can only contain non-primary key attributes: Primary key attribute: pk";
        assert_eq!(error, expected);
        filter.check_filter_keys(&["other"]).unwrap();
        let nested = condition("x.pk = :n AND sk.a = :n").unwrap();
        let keys = KeyNames { table: &["pk"], indexes: &["sk"] };
        let expected =
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: sk";
        assert_eq!(nested.check_scalar_keys(&keys).unwrap_err().to_string(), expected);
        nested.check_scalar_keys(&KeyNames { table: &["pk", "x2"], indexes: &[] }).unwrap();
    }

    /// A condition as a tree, which is printed and judged the obvious way.
    #[derive(Clone, Debug)]
    enum Tree {
        Less(&'static str, &'static str),
        Exists(&'static str),
        In(&'static str, Vec<&'static str>),
        Not(Box<Tree>),
        And(Box<Tree>, Box<Tree>),
        Or(Box<Tree>, Box<Tree>),
    }

    impl Tree {
        /// The text, with no more parentheses than needed; `level` is 0 within OR, 1 within AND, 2 within NOT.
        fn print(&self, level: u8) -> String {
            let (own, text) = match self {
                Self::Less(left, right) => (2, format!("{left} < {right}")),
                Self::Exists(path) => (2, format!("attribute_exists({path})")),
                Self::In(operand, list) => (2, format!("{operand} IN ({})", list.join(", "))),
                Self::Not(inner) => (2, format!("NOT {}", inner.print(2))),
                Self::And(left, right) => (1, format!("{} AND {}", left.print(1), right.print(1))),
                Self::Or(left, right) => (0, format!("{} OR {}", left.print(0), right.print(0))),
            };
            if own < level { format!("({text})") } else { text }
        }

        fn judge(&self) -> bool {
            let value = |operand: &str| match operand.strip_prefix(':') {
                Some(_) => values().into_iter().find(|(placeholder, _)| placeholder == operand).map(|(_, value)| value),
                None => item().get(operand).cloned(),
            };
            match self {
                Self::Less(left, right) => match (value(left), value(right)) {
                    (Some(left), Some(right)) => left.compare(&right) == Some(Ordering::Less),
                    _ => false,
                },
                Self::Exists(path) => value(path).is_some(),
                Self::In(operand, list) => {
                    value(operand).is_some_and(|operand| list.iter().any(|other| value(other) == Some(operand.clone())))
                }
                Self::Not(inner) => !inner.judge(),
                Self::And(left, right) => left.judge() && right.judge(),
                Self::Or(left, right) => left.judge() || right.judge(),
            }
        }
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let path = || prop::sample::select(vec!["n", "s", "x", "t", "l"]);
        let value = || prop::sample::select(vec![":n", ":m", ":seven", ":s", ":st"]);
        let leaf = prop_oneof![
            (path(), value()).prop_map(|(path, value)| Tree::Less(path, value)),
            (value(), path()).prop_map(|(value, path)| Tree::Less(value, path)),
            path().prop_map(Tree::Exists),
            (path(), prop::collection::vec(value(), 1..4)).prop_map(|(path, list)| Tree::In(path, list)),
        ];
        leaf.prop_recursive(6, 40, 2, |inner| {
            prop_oneof![
                inner.clone().prop_map(|inner| Tree::Not(Box::new(inner))),
                (inner.clone(), inner.clone()).prop_map(|(left, right)| Tree::And(Box::new(left), Box::new(right))),
                (inner.clone(), inner).prop_map(|(left, right)| Tree::Or(Box::new(left), Box::new(right))),
            ]
        })
    }

    proptest! {
        #[test]
        fn printed_conditions_mean_what_was_printed(tree in tree()) {
            let text = tree.print(0);
            prop_assert_eq!(condition(&text).unwrap().matches(&item()), tree.judge(), "{}", text);
        }

        #[test]
        fn numbers_compare_by_value(left in -50i64..50, right in -50i64..50) {
            let item = map(&[("a", n(left)), ("b", n(right))]);
            for (text, holds) in [
                ("a = b", left == right), ("a <> b", left != right), ("a < b", left < right),
                ("a <= b", left <= right), ("a > b", left > right), ("a >= b", left >= right),
            ] {
                prop_assert_eq!(condition(text).unwrap().matches(&item), holds, "{}", text);
            }
        }
    }
}
