//! The parameters that expressions replaced: `Expected`, `AttributeUpdates`, `KeyConditions`, `QueryFilter`,
//! `ScanFilter`, `ConditionalOperator` and `AttributesToGet`, turned into the same bound forms as expressions.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use partita_model::{AttributeType, AttributeValue};

use crate::condition::{Condition, Operand, Step};
use crate::error::Error;
use crate::key::{KeyConditions, KeyTest, OneCondition, SortRange};
use crate::path::Path;
use crate::projection::Projection;
use crate::token::Comparator;
use crate::update::{Action as UpdateAction, Expression, Operand as UpdateOperand, Update};

/// A legacy comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ComparisonOperator {
    /// Equal.
    Eq,
    /// Not equal, or absent.
    Ne,
    /// Less than or equal to.
    Le,
    /// Less than.
    Lt,
    /// Greater than or equal to.
    Ge,
    /// Greater than.
    Gt,
    /// Present.
    NotNull,
    /// Absent.
    Null,
    /// Has this part, as `contains`.
    Contains,
    /// Present, and does not have this part.
    NotContains,
    /// Begins with this prefix.
    BeginsWith,
    /// Equal to one of these.
    In,
    /// From the first to the second, both included.
    Between,
}

impl ComparisonOperator {
    const ALL: [Self; 13] = [
        Self::Eq,
        Self::Ne,
        Self::Le,
        Self::Lt,
        Self::Ge,
        Self::Gt,
        Self::NotNull,
        Self::Null,
        Self::Contains,
        Self::NotContains,
        Self::BeginsWith,
        Self::In,
        Self::Between,
    ];

    /// The operator's name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eq => "EQ",
            Self::Ne => "NE",
            Self::Le => "LE",
            Self::Lt => "LT",
            Self::Ge => "GE",
            Self::Gt => "GT",
            Self::NotNull => "NOT_NULL",
            Self::Null => "NULL",
            Self::Contains => "CONTAINS",
            Self::NotContains => "NOT_CONTAINS",
            Self::BeginsWith => "BEGINS_WITH",
            Self::In => "IN",
            Self::Between => "BETWEEN",
        }
    }

    /// The operator of this name on the wire, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.name() == name)
    }

    const fn takes_count(self, count: usize) -> bool {
        match self {
            Self::NotNull | Self::Null => count == 0,
            Self::In => count >= 1,
            Self::Between => count == 2,
            _ => count == 1,
        }
    }

    const fn takes_type(self, of: AttributeType) -> bool {
        use AttributeType as Type;
        match self {
            Self::Eq | Self::Ne | Self::NotNull | Self::Null => true,
            Self::Contains | Self::NotContains => {
                matches!(of, Type::S | Type::N | Type::B | Type::Bool | Type::Null)
            }
            Self::BeginsWith => matches!(of, Type::S | Type::B),
            Self::Le | Self::Lt | Self::Ge | Self::Gt | Self::In | Self::Between => {
                matches!(of, Type::S | Type::N | Type::B)
            }
        }
    }

    /// Checks the values that are compared with.
    fn check(self, values: &[AttributeValue]) -> Result<(), Error> {
        if !self.takes_count(values.len()) {
            return Err(Error::ArgumentCount(self));
        }
        let mut types = values.iter().map(AttributeValue::attribute_type);
        let Some(of) = types.next() else { return Ok(()) };
        if types.any(|other| other != of) {
            return Err(Error::ArgumentTypes);
        }
        if !self.takes_type(of) {
            return Err(Error::ArgumentType(self, of));
        }
        match (self, values) {
            (Self::Between, [low, high]) if low.compare(high).is_some_and(std::cmp::Ordering::is_gt) => {
                Err(Error::BetweenBounds)
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ComparisonOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How several legacy conditions combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionalOperator {
    /// All must hold.
    And,
    /// One must hold.
    Or,
}

/// A condition of `KeyConditions`, `QueryFilter` or `ScanFilter`.
#[derive(Clone, Debug, PartialEq)]
pub struct LegacyCondition {
    /// `ComparisonOperator`
    pub operator: ComparisonOperator,
    /// `AttributeValueList`; an absent list is an empty one.
    pub values: Vec<AttributeValue>,
}

/// A condition of `Expected`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// `Value`
    pub value: Option<AttributeValue>,
    /// `Exists`
    pub exists: Option<bool>,
    /// `ComparisonOperator`
    pub operator: Option<ComparisonOperator>,
    /// `AttributeValueList`
    pub values: Option<Vec<AttributeValue>>,
}

/// What an attribute update does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Puts the value in place of the old one.
    Put,
    /// Adds to a number, or elements to a set or list.
    Add,
    /// Takes the attribute, or elements of a set, away.
    Delete,
}

/// An update of `AttributeUpdates`.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeUpdate {
    /// `Action`; absent means PUT.
    pub action: Option<Action>,
    /// `Value`
    pub value: Option<AttributeValue>,
}

/// The two legacy filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// `QueryFilter`
    Query,
    /// `ScanFilter`
    Scan,
}

impl Filter {
    const fn label(self) -> &'static str {
        match self {
            Self::Query => "QueryFilter",
            Self::Scan => "ScanFilter",
        }
    }
}

/// The condition that `Expected` and `ConditionalOperator` are; `None` when they ask for nothing.
///
/// # Errors
/// When the members of an attribute's condition do not fit together, or its values do not fit its operator.
pub fn expected(
    expected: Vec<(String, Expected)>,
    operator: Option<ConditionalOperator>,
) -> Result<Option<Condition>, Error> {
    let conditions = expected
        .into_iter()
        .map(|(name, expected)| plain(&name, expected).map(|condition| (name, condition)))
        .collect::<Result<Vec<_>, Error>>()?;
    combine(conditions, operator, "Expected")
}

/// The condition that `QueryFilter` or `ScanFilter` and `ConditionalOperator` are; `None` when they ask for nothing.
///
/// # Errors
/// When values do not fit their operator.
pub fn filter(
    filter: Filter,
    conditions: Vec<(String, LegacyCondition)>,
    operator: Option<ConditionalOperator>,
) -> Result<Option<Condition>, Error> {
    combine(conditions, operator, filter.label())
}

/// The key conditions that `KeyConditions` is.
///
/// # Errors
/// When values do not fit their operator. The rules of keys are checked by `KeyConditions::against`.
pub fn key_conditions(conditions: Vec<(String, LegacyCondition)>) -> Result<KeyConditions, Error> {
    let conditions = conditions.into_iter().map(|(name, condition)| {
        check_name(&name)?;
        condition.operator.check(&condition.values)?;
        Ok(OneCondition { name, test: key_test(condition) })
    });
    conditions.collect::<Result<_, _>>().map(KeyConditions::of_legacy)
}

fn key_test(condition: LegacyCondition) -> KeyTest {
    use ComparisonOperator as Operator;
    let mut values = condition.values.into_iter();
    match (condition.operator, values.next(), values.next()) {
        (Operator::Eq, Some(value), _) => KeyTest::Equal(value),
        (Operator::Le, Some(value), _) => KeyTest::Range(SortRange::Le(value)),
        (Operator::Lt, Some(value), _) => KeyTest::Range(SortRange::Lt(value)),
        (Operator::Ge, Some(value), _) => KeyTest::Range(SortRange::Ge(value)),
        (Operator::Gt, Some(value), _) => KeyTest::Range(SortRange::Gt(value)),
        (Operator::BeginsWith, Some(value), _) => KeyTest::Range(SortRange::BeginsWith(value)),
        (Operator::Between, Some(low), Some(high)) => KeyTest::Range(SortRange::Between(low, high)),
        (Operator::Null | Operator::NotNull, ..) => KeyTest::WithoutValue,
        _ => KeyTest::NotIndexable,
    }
}

/// The update that `AttributeUpdates` is.
///
/// # Errors
/// When an action lacks a value, or does not take values of its type.
pub fn attribute_updates(updates: Vec<(String, AttributeUpdate)>) -> Result<Update, Error> {
    let mut actions = Vec::with_capacity(updates.len());
    let mut targets = Vec::with_capacity(updates.len());
    let mut values = Vec::with_capacity(updates.len());
    for (name, update) in updates {
        check_name(&name)?;
        let at = values.len();
        let of = update.value.as_ref().map(AttributeValue::attribute_type);
        actions.push(match (update.action.unwrap_or(Action::Put), of) {
            (Action::Delete, None) => UpdateAction::Remove,
            (_, None) => return Err(Error::UpdateWithoutValue),
            (Action::Put, Some(_)) => UpdateAction::Set(Expression::Operand(UpdateOperand::Value(at))),
            (Action::Add, Some(of)) if of.is_set() || matches!(of, AttributeType::N | AttributeType::L) => {
                UpdateAction::Add(at)
            }
            (Action::Add, Some(of)) => return Err(Error::AddType(of)),
            (Action::Delete, Some(of)) if of.is_set() => UpdateAction::Delete(at),
            (Action::Delete, Some(of)) => return Err(Error::DeleteType(of)),
        });
        targets.push(Path::top_level(&name));
        values.extend(update.value);
    }
    Ok(Update::of_legacy(actions, targets, values))
}

/// The projection that `AttributesToGet` is: top-level attributes by name.
///
/// # Errors
/// When the list is empty, or a name is empty or comes twice.
pub fn attributes_to_get(names: &[String]) -> Result<Projection, Error> {
    if names.is_empty() {
        return Err(Error::NoAttributesToGet);
    }
    let mut seen = HashSet::new();
    for name in names {
        check_name(name)?;
        if !seen.insert(name) {
            return Err(Error::AttributeToGetTwice);
        }
    }
    Ok(Projection::of(names.iter().map(|name| Path::top_level(name)).collect()))
}

/// Refuses a request that has both legacy parameters and expressions, each given by name in the order of messages.
///
/// # Errors
/// When neither list is empty.
pub fn check_not_mixed(legacy: &[&'static str], expressions: &[&'static str]) -> Result<(), Error> {
    if legacy.is_empty() || expressions.is_empty() {
        return Ok(());
    }
    Err(Error::Mixed { legacy: legacy.to_vec(), expressions: expressions.to_vec() })
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() { Err(Error::EmptyAttributeName) } else { Ok(()) }
}

/// The plain condition that one attribute's `Expected` is.
fn plain(name: &str, expected: Expected) -> Result<LegacyCondition, Error> {
    check_name(name)?;
    let Expected { value, exists, operator, values } = expected;
    let name = || name.to_owned();
    if value.is_some() && values.is_some() {
        return Err(Error::ValueAndList(name()));
    }
    let Some(operator) = operator else {
        if values.is_some() {
            return Err(Error::ListWithoutOperator(name()));
        }
        return match (exists, value) {
            (None | Some(true), Some(value)) => {
                Ok(LegacyCondition { operator: ComparisonOperator::Eq, values: vec![value] })
            }
            (None | Some(true), None) => Err(Error::ExistsWithoutValue { name: name(), exists }),
            (Some(false), Some(_)) => Err(Error::ValueOfAbsent(name())),
            (Some(false), None) => Ok(LegacyCondition { operator: ComparisonOperator::Null, values: Vec::new() }),
        };
    };
    if exists.is_some() {
        return Err(Error::ExistsAndOperator(name()));
    }
    let needs_none = matches!(operator, ComparisonOperator::Null | ComparisonOperator::NotNull);
    match values.or_else(|| value.map(|value| vec![value])) {
        None if !needs_none => Err(Error::OperatorWithoutValue(operator, name())),
        values => Ok(LegacyCondition { operator, values: values.unwrap_or_default() }),
    }
}

fn combine(
    conditions: Vec<(String, LegacyCondition)>,
    operator: Option<ConditionalOperator>,
    label: &'static str,
) -> Result<Option<Condition>, Error> {
    if conditions.is_empty() {
        return operator.map_or(Ok(None), |_| Err(Error::ConditionalOperatorAlone));
    }
    for (name, condition) in &conditions {
        check_name(name)?;
        condition.operator.check(&condition.values)?;
    }
    if conditions.len() == 1 && operator.is_some() {
        return Err(Error::ConditionalOperatorOfOne);
    }
    let when = operator == Some(ConditionalOperator::Or);
    let last = conditions.len() - 1;
    let mut steps = Vec::with_capacity(2 * conditions.len());
    let mut operands = Vec::new();
    let mut values = Vec::new();
    let mut paths = Vec::with_capacity(conditions.len());
    for (at, (name, condition)) in conditions.into_iter().enumerate() {
        paths.push(Path::top_level(&name));
        steps.push(step(at, condition.operator, values.len(), condition.values.len(), &mut operands));
        values.extend(condition.values);
        if at < last {
            // Tests and jumps alternate, and the last step is a test.
            steps.push(Step::Jump { when, start: 0, target: 2 * last + 1 });
        }
    }
    Ok(Some(Condition { steps, operands, paths: paths.into(), values: Arc::new(values), label }))
}

/// The test of the path at place `path` with the `count` values from place `value` on.
fn step(path: usize, operator: ComparisonOperator, value: usize, count: usize, operands: &mut Vec<Operand>) -> Step {
    use ComparisonOperator as Operator;
    let attribute = Operand::Path(path);
    let first = Operand::Value(value);
    let comparator = match operator {
        Operator::Eq => Comparator::Equal,
        Operator::Ne => Comparator::NotEqual,
        Operator::Le => Comparator::LessOrEqual,
        Operator::Lt => Comparator::Less,
        Operator::Ge => Comparator::GreaterOrEqual,
        Operator::Gt => Comparator::Greater,
        Operator::NotNull => return Step::Exists(attribute),
        Operator::Null => return Step::NotExists(attribute),
        Operator::Contains => return Step::Contains(attribute, first),
        Operator::NotContains => return Step::Lacks(attribute, first),
        Operator::BeginsWith => return Step::BeginsWith(attribute, first),
        Operator::Between => return Step::Between(attribute, first, Operand::Value(value + 1)),
        Operator::In => {
            let start = operands.len();
            operands.extend((value..value + count).map(Operand::Value));
            return Step::In { operand: attribute, first: start, count };
        }
    };
    Step::Compare(comparator, attribute, first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyShape;
    use crate::sample::{item, l, m, map, message, n, s, ss};

    fn of(operator: &str, values: &[AttributeValue]) -> LegacyCondition {
        LegacyCondition { operator: ComparisonOperator::from_name(operator).unwrap(), values: values.to_vec() }
    }

    fn scan(
        conditions: &[(&str, LegacyCondition)],
        operator: Option<ConditionalOperator>,
    ) -> Result<Option<Condition>, Error> {
        filter(
            Filter::Scan,
            conditions.iter().map(|(name, condition)| ((*name).to_owned(), condition.clone())).collect(),
            operator,
        )
    }

    #[test]
    fn operators_judge_as_the_service_does() {
        for (name, condition, holds) in [
            ("n", of("EQ", &[n(7)]), true),
            ("x", of("EQ", &[n(7)]), false),
            ("n", of("NE", &[n(7)]), false),
            ("n", of("NE", &[s("a")]), true),
            ("x", of("NE", &[n(7)]), true),
            ("n", of("LE", &[n(7)]), true),
            ("n", of("LT", &[n(7)]), false),
            ("n", of("GE", &[s("a")]), false),
            ("n", of("GT", &[n(5)]), true),
            ("x", of("NULL", &[]), true),
            ("z", of("NULL", &[]), false),
            ("z", of("NOT_NULL", &[]), true),
            ("s", of("CONTAINS", &[s("t")]), true),
            ("ss", of("CONTAINS", &[s("a")]), true),
            ("l", of("CONTAINS", &[n(1)]), true),
            ("ss", of("NOT_CONTAINS", &[s("a")]), false),
            ("n", of("NOT_CONTAINS", &[n(7)]), true),
            ("x", of("NOT_CONTAINS", &[n(7)]), false),
            ("s", of("BEGINS_WITH", &[s("st")]), true),
            ("n", of("IN", &[n(5), n(7)]), true),
            ("n", of("BETWEEN", &[n(5), n(7)]), true),
            ("x", of("BETWEEN", &[n(5), n(7)]), false),
            ("ss", of("EQ", &[ss(&["c", "a"])]), true),
        ] {
            let text = format!("{name} {condition:?}");
            assert_eq!(scan(&[(name, condition)], None).unwrap().unwrap().matches(&item()), holds, "{text}");
        }
    }

    #[test]
    fn values_must_fit_their_operator() {
        let invalid = "One or more parameter values were invalid: ";
        for (condition, expected) in [
            (of("EQ", &[]), format!("{invalid}Invalid number of argument(s) for the EQ ComparisonOperator")),
            (of("NULL", &[n(1)]), format!("{invalid}Invalid number of argument(s) for the NULL ComparisonOperator")),
            (of("IN", &[]), format!("{invalid}Invalid number of argument(s) for the IN ComparisonOperator")),
            (
                of("BETWEEN", &[n(1)]),
                format!("{invalid}Invalid number of argument(s) for the BETWEEN ComparisonOperator"),
            ),
            (
                of("IN", &[n(1), s("a")]),
                format!("{invalid}AttributeValues inside AttributeValueList must be of same type"),
            ),
            (
                of("BEGINS_WITH", &[n(1)]),
                format!("{invalid}ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type"),
            ),
            (of("LT", &[l(&[])]), format!("{invalid}ComparisonOperator LT is not valid for L AttributeValue type")),
            (
                of("CONTAINS", &[ss(&["a"])]),
                format!("{invalid}ComparisonOperator CONTAINS is not valid for SS AttributeValue type"),
            ),
            (of("CONTAINS", &[AttributeValue::Null]), "ok".to_owned()),
            (of("EQ", &[m(&[])]), "ok".to_owned()),
            (
                of("BETWEEN", &[n(7), n(5)]),
                "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
                    .to_owned(),
            ),
        ] {
            assert_eq!(message(scan(&[("n", condition.clone())], None)), expected, "{condition:?}");
        }
    }

    #[test]
    fn conditional_operator_combines_two_or_more() {
        let (good, bad) = (of("EQ", &[n(7)]), of("EQ", &[n(5)]));
        for (conditions, operator, holds) in [
            (vec![("n", &good), ("x", &bad)], None, false),
            (vec![("n", &good), ("x", &bad)], Some(ConditionalOperator::Or), true),
            (vec![("x", &bad), ("n", &bad), ("n", &good)], Some(ConditionalOperator::Or), true),
            (vec![("n", &good), ("n", &good), ("n", &bad)], Some(ConditionalOperator::And), false),
            (vec![("n", &bad), ("x", &bad)], Some(ConditionalOperator::Or), false),
        ] {
            let conditions: Vec<_> =
                conditions.into_iter().map(|(name, condition)| (name, condition.clone())).collect();
            assert_eq!(scan(&conditions, operator).unwrap().unwrap().matches(&item()), holds, "{conditions:?}");
        }
        assert!(scan(&[], None).unwrap().is_none());
        let alone = "ConditionalOperator cannot be used without Filter or Expected";
        assert_eq!(message(scan(&[], Some(ConditionalOperator::Or))), alone);
        let of_one = "ConditionalOperator can only be used when Filter or Expected has two or more elements";
        assert_eq!(message(scan(&[("n", good)], Some(ConditionalOperator::And))), of_one);
    }

    #[test]
    fn expected_is_a_condition() {
        let judge = |name: &str, condition: Expected| {
            expected(vec![(name.to_owned(), condition)], None).map(|condition| condition.unwrap().matches(&item()))
        };
        let operator = |name: &str| ComparisonOperator::from_name(name);
        assert_eq!(judge("n", Expected { value: Some(n(7)), ..Expected::default() }), Ok(true));
        assert_eq!(judge("n", Expected { value: Some(n(5)), exists: Some(true), ..Expected::default() }), Ok(false));
        assert_eq!(judge("x", Expected { exists: Some(false), ..Expected::default() }), Ok(true));
        assert_eq!(judge("n", Expected { exists: Some(false), ..Expected::default() }), Ok(false));
        assert_eq!(
            judge("n", Expected { value: Some(n(7)), operator: operator("GE"), ..Expected::default() }),
            Ok(true)
        );
        assert_eq!(judge("x", Expected { operator: operator("NULL"), ..Expected::default() }), Ok(true));
        let invalid = "One or more parameter values were invalid: ";
        for (condition, expected) in [
            (Expected::default(), "Value must be provided when Exists is null for Attribute: n"),
            (
                Expected { exists: Some(true), ..Expected::default() },
                "Value must be provided when Exists is true for Attribute: n",
            ),
            (
                Expected { exists: Some(false), value: Some(n(1)), ..Expected::default() },
                "Value cannot be used when Exists is false for Attribute: n",
            ),
            (
                Expected { operator: operator("EQ"), ..Expected::default() },
                "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: n",
            ),
            (
                Expected { values: Some(vec![n(1)]), ..Expected::default() },
                "AttributeValueList can only be used with a ComparisonOperator for Attribute: n",
            ),
            (
                Expected { values: Some(vec![n(1)]), value: Some(n(1)), ..Expected::default() },
                "Value and AttributeValueList cannot be used together for Attribute: n",
            ),
            (
                Expected { operator: operator("NULL"), exists: Some(true), ..Expected::default() },
                "Exists and ComparisonOperator cannot be used together for Attribute: n",
            ),
            (
                Expected { operator: operator("NULL"), value: Some(n(1)), ..Expected::default() },
                "Invalid number of argument(s) for the NULL ComparisonOperator",
            ),
        ] {
            assert_eq!(message(judge("n", condition)), format!("{invalid}{expected}"));
        }
    }

    #[test]
    fn attribute_updates_are_an_update() {
        let run = |name: &str, action: Option<Action>, value: Option<AttributeValue>| {
            let update = attribute_updates(vec![(name.to_owned(), AttributeUpdate { action, value })])?;
            update.apply(&item()).map(|updated| updated.item.get(name).cloned())
        };
        assert_eq!(run("n", None, Some(n(5))), Ok(Some(n(5))));
        assert_eq!(run("n", Some(Action::Delete), None), Ok(None));
        assert_eq!(run("n", Some(Action::Add), Some(n(5))), Ok(Some(n(12))));
        assert_eq!(run("x", Some(Action::Add), Some(l(&[n(5)]))), Ok(Some(l(&[n(5)]))));
        assert_eq!(run("ss", Some(Action::Delete), Some(ss(&["a"]))), Ok(Some(ss(&["c"]))));
        assert_eq!(run("ss", Some(Action::Delete), Some(ss(&["a", "c"]))), Ok(None));
        let lists = attribute_updates(vec![(
            "l".to_owned(),
            AttributeUpdate { action: Some(Action::Add), value: Some(l(&[n(2)])) },
        )]);
        assert_eq!(lists.unwrap().apply(&map(&[("l", l(&[n(1)]))])).unwrap().item, map(&[("l", l(&[n(1), n(2)]))]));
        let invalid = "One or more parameter values were invalid: ";
        for (name, action, value, expected) in [
            (
                "n",
                Action::Put,
                None,
                format!("{invalid}Only DELETE action is allowed when no attribute value is specified"),
            ),
            ("n", Action::Add, Some(s("a")), format!("{invalid}ADD action is not supported for the type STRING")),
            (
                "n",
                Action::Delete,
                Some(n(1)),
                format!("{invalid}DELETE action with value is not supported for the type NUMBER"),
            ),
            ("n", Action::Add, Some(ss(&["a"])), "Type mismatch for attribute to update".to_owned()),
            ("n", Action::Delete, Some(ss(&["a"])), "Type mismatch for attribute to update".to_owned()),
        ] {
            assert_eq!(message(run(name, Some(action), value)), expected);
        }
    }

    #[test]
    fn key_conditions_are_held_against_the_key() {
        let shape = KeyShape { index: None, partition: &[("pk", AttributeType::S)], sort: &[("sk", AttributeType::N)] };
        let run = |conditions: &[(&str, LegacyCondition)]| {
            let conditions = conditions.iter().map(|(name, condition)| ((*name).to_owned(), condition.clone()));
            key_conditions(conditions.collect())?.against(&shape)
        };
        let pk = ("pk", of("EQ", &[s("a")]));
        let fitted = run(&[("sk", of("BETWEEN", &[n(1), n(2)])), pk.clone()]).unwrap();
        assert_eq!(fitted.range, Some(("sk".to_owned(), SortRange::Between(n(1), n(2)))));
        for (conditions, expected) in [
            (vec![], "Conditions can be of length 1 or 2 only"),
            (vec![("pk", of("GT", &[s("a")]))], "Query key condition not supported"),
            (vec![("pk", of("IN", &[s("a")]))], "Query key condition not supported"),
            (vec![("pk", of("NULL", &[]))], "Only scalar types can be used as Hash Key values"),
            (
                vec![pk.clone(), ("sk", of("IN", &[n(1)]))],
                "Attempted conditional constraint is not an indexable operation",
            ),
            (vec![pk.clone(), ("x", of("EQ", &[n(1)]))], "Query condition missed key schema element: sk"),
            (
                vec![pk.clone(), ("sk", of("EQ", &[s("a")]))],
                "One or more parameter values were invalid: Condition parameter type does not match schema type",
            ),
        ] {
            assert_eq!(message(run(&conditions)), expected, "{conditions:?}");
        }
    }

    #[test]
    fn attributes_to_get_is_a_projection_of_whole_attributes() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let projection = attributes_to_get(&names(&["n", "m.k", "name"])).unwrap();
        assert_eq!(projection.apply(&item()), map(&[("n", n(7))]));
        assert_eq!(message(attributes_to_get(&[])), "AttributesToGet cannot be empty");
        assert_eq!(message(attributes_to_get(&names(&["n", "n"]))), "Cannot have two attributes with the same name");
        assert_eq!(message(attributes_to_get(&names(&[""]))), "Empty attribute name");
    }

    #[test]
    fn legacy_parameters_and_expressions_do_not_mix() {
        let error = check_not_mixed(&["Expected", "ConditionalOperator"], &["ConditionExpression"]);
        let expected = "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {Expected, ConditionalOperator} Expression parameters: {ConditionExpression}";
        assert_eq!(message(error), expected);
        check_not_mixed(&["Expected"], &[]).unwrap();
        check_not_mixed(&[], &["ConditionExpression"]).unwrap();
    }
}
