//! What a WHERE clause says of the key: which partitions a SELECT has to read, and which item a write is about.
//!
//! A SELECT is a query when every alternative of its WHERE clause gives the partition key by `=` or IN, and a scan
//! otherwise ("PartiQL select statements for DynamoDB"). Alternatives of one partition are read together, so that no
//! item comes twice; what the key does not decide is left to the filter.

use std::cmp::Ordering;

use partita_model::schema::{KeyAttribute, KeySchema};
use partita_model::{AttributeMap, AttributeValue};

use super::condition::comparator;
use super::error::Error;
use super::literal::Values;
use super::tree::{Id, Node};
use super::words::Operator;
use crate::key::{KeyCondition, SortRange};
use crate::token::Comparator;

/// The most queries of single sort keys; beyond, one query reads all of a partition that is between them.
const MAX_POINTS: usize = 100;

/// How a SELECT reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Every item of the table or index.
    Scan,
    /// The items of these queries, one after the other. None comes twice.
    Queries(Vec<KeyCondition>),
}

/// A plan and what is known about it.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// Whether one condition on the partition key stands for the whole clause, beside other conditions.
    pub(super) keyed: bool,
    /// Whether the queries give exactly what the clause selects.
    pub(super) exact: bool,
}

/// The order that a SELECT asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Direction {
    pub(super) partitions_descend: bool,
    pub(super) sort_descends: bool,
}

/// Plans a SELECT with this WHERE clause on a table or index with this key.
pub(super) fn plan(values: Values<'_>, clause: Id, schema: &KeySchema, direction: Direction) -> Result<Planned, Error> {
    let scan = Planned { plan: Plan::Scan, keyed: false, exact: false };
    let [partition] = schema.partition.as_slice() else { return Ok(scan) };
    let planner = Planner { values, partition, sort: schema.sort.first() };
    planner.check_types(clause)?;
    let Some(branches) = planner.branches(clause)? else { return Ok(scan) };
    let alternatives = flatten(values, clause, Operator::Or);
    let keyed = alternatives.len() == 1 && planner.is_keyed(clause)?;
    let mut exact = keyed && branches.iter().all(|branch| branch.is_exact);
    let mut queries = planner.queries(branches, &mut exact)?;
    queries.sort_by(|a, b| {
        let partitions = by_value(partition_of(a), partition_of(b));
        let sorts = by_value(sort_of(a), sort_of(b));
        let turned = |order: Ordering, descends: bool| if descends { order.reverse() } else { order };
        turned(partitions, direction.partitions_descend).then(turned(sorts, direction.sort_descends))
    });
    Ok(Planned { plan: Plan::Queries(queries), keyed, exact })
}

/// The key that a write's WHERE clause gives, and whether the clause says more than that.
///
/// # Errors
/// When a key attribute has no equality, or two different ones.
pub(super) fn fixed_key(
    values: Values<'_>,
    clause: Option<Id>,
    schema: &KeySchema,
) -> Result<(AttributeMap, bool), Error> {
    let clause = clause.ok_or(Error::KeyNotFixed)?;
    let mut key = AttributeMap::new();
    let conditions = flatten(values, clause, Operator::And);
    let mut says_more = false;
    for condition in conditions {
        let found = schema.attributes().find_map(|attribute| {
            let (name, Test::Equal(id)) = test(values, condition)? else { return None };
            (name == attribute.name).then_some((attribute, id))
        });
        let Some((attribute, id)) = found else {
            says_more = true;
            continue;
        };
        let value = key_value(values, attribute, id)?;
        match key.get(&attribute.name) {
            Some(known) if *known != value => {
                return Err(Error::unsupported(format!(
                    "Multiple conditions on same key {}. Only single item Update/Insert/Delete are supported",
                    attribute.name
                )));
            }
            _ => {
                key.insert(attribute.name.as_str(), value);
            }
        }
    }
    if key.len() == schema.attributes().count() { Ok((key, says_more)) } else { Err(Error::KeyNotFixed) }
}

/// The sides of a chain of one operator, from left to right.
fn flatten(values: Values<'_>, id: Id, wanted: Operator) -> Vec<Id> {
    let mut sides = Vec::new();
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        match values.tree.node(id) {
            Node::Binary(operator, left, right) if *operator == wanted => open.extend([*right, *left]),
            _ => sides.push(id),
        }
    }
    sides
}

/// A test of a top-level attribute against values.
enum Test {
    Equal(Id),
    In(Vec<Id>),
    Less(Id),
    LessOrEqual(Id),
    Greater(Id),
    GreaterOrEqual(Id),
    Between(Id, Id),
    BeginsWith(Id),
    NotEqual(Id),
}

/// The attribute that a condition tests against nothing but values, and how.
fn test(values: Values<'_>, id: Id) -> Option<(&str, Test)> {
    let tree = values.tree;
    let name = |id: Id| match tree.node(id) {
        Node::Name(name) => Some(&**name),
        _ => None,
    };
    match tree.node(id) {
        Node::Binary(Operator::In, left, right) => {
            let (Node::List(elements) | Node::Bag(elements)) = tree.node(*right) else { return None };
            let is_plain = !elements.is_empty() && elements.iter().all(|element| values.is_value(*element));
            is_plain.then(|| Some((name(*left)?, Test::In(elements.clone())))).flatten()
        }
        Node::Binary(operator, left, right) => {
            let mut comparator = comparator(*operator)?;
            let (name, value) = match name(*left) {
                Some(name) => (name, *right),
                None => {
                    comparator = turned(comparator);
                    (name(*right)?, *left)
                }
            };
            let test = match comparator {
                Comparator::Equal => Test::Equal(value),
                Comparator::NotEqual => Test::NotEqual(value),
                Comparator::Less => Test::Less(value),
                Comparator::LessOrEqual => Test::LessOrEqual(value),
                Comparator::Greater => Test::Greater(value),
                Comparator::GreaterOrEqual => Test::GreaterOrEqual(value),
            };
            values.is_value(value).then_some((name, test))
        }
        Node::Between(operand, low, high) => {
            let is_plain = values.is_value(*low) && values.is_value(*high);
            is_plain.then(|| Some((name(*operand)?, Test::Between(*low, *high)))).flatten()
        }
        Node::Call(function, operands) if &**function == "begins_with" => {
            let [operand, prefix] = operands.as_slice() else { return None };
            values.is_value(*prefix).then(|| Some((name(*operand)?, Test::BeginsWith(*prefix)))).flatten()
        }
        _ => None,
    }
}

/// The comparison with its sides exchanged.
const fn turned(comparator: Comparator) -> Comparator {
    match comparator {
        Comparator::Less => Comparator::Greater,
        Comparator::LessOrEqual => Comparator::GreaterOrEqual,
        Comparator::Greater => Comparator::Less,
        Comparator::GreaterOrEqual => Comparator::LessOrEqual,
        same => same,
    }
}

/// A value that a key attribute is compared with.
fn key_value(values: Values<'_>, attribute: &KeyAttribute, id: Id) -> Result<AttributeValue, Error> {
    let value = values.value(id)?;
    check_key_value(attribute, &value)?;
    Ok(value)
}

/// Refuses a value that is none of a key attribute.
pub(super) fn check_key_value(attribute: &KeyAttribute, value: &AttributeValue) -> Result<(), Error> {
    if !attribute.key_type.admits(value) {
        return Err(Error::KeyType(attribute.name.clone()));
    }
    match value {
        AttributeValue::S(text) if text.is_empty() => Err(Error::KeyEmpty(attribute.name.clone(), "string")),
        AttributeValue::B(bytes) if bytes.is_empty() => Err(Error::KeyEmpty(attribute.name.clone(), "binary")),
        _ => Ok(()),
    }
}

/// One alternative of a WHERE clause, in one partition.
#[derive(Clone, Debug)]
struct Branch {
    partition: AttributeValue,
    sort: Sort,
    /// Whether the sort key is denied something, which DynamoDB lets overlap with other alternatives.
    is_negated: bool,
    /// Whether the partition and the sort say all that the alternative says.
    is_exact: bool,
}

/// What an alternative says of the sort key.
#[derive(Clone, Debug, PartialEq)]
enum Sort {
    Any,
    Points(Vec<AttributeValue>),
    Range(SortRange),
}

struct Planner<'v> {
    values: Values<'v>,
    partition: &'v KeyAttribute,
    sort: Option<&'v KeyAttribute>,
}

impl Planner<'_> {
    /// Refuses tests of key attributes against values of other types. What a query would be made of is refused in other
    /// words than what would be filtered by.
    fn check_types(&self, clause: Id) -> Result<(), Error> {
        let conditions = flatten(self.values, clause, Operator::And);
        let of_key = |condition: Id, attribute: &KeyAttribute| {
            test(self.values, condition).filter(|(name, test)| *name == attribute.name && !matches!(test, Test::In(_)))
        };
        if conditions.iter().any(|condition| matches!(of_key(*condition, self.partition), Some((_, Test::Equal(_))))) {
            for attribute in [Some(self.partition), self.sort].into_iter().flatten() {
                for condition in &conditions {
                    let Some((_, test)) = of_key(*condition, attribute) else { continue };
                    if !self.admits(attribute, &test)? {
                        return Err(Error::KeyType(attribute.name.clone()));
                    }
                }
            }
        }
        self.check_inner_types(clause)
    }

    fn check_inner_types(&self, clause: Id) -> Result<(), Error> {
        let mut open = vec![clause];
        while let Some(condition) = open.pop() {
            match self.values.tree.node(condition) {
                Node::Binary(Operator::And | Operator::Or, left, right) => open.extend([*right, *left]),
                Node::Unary(Operator::Not, operand) => open.push(*operand),
                _ => {
                    let Some((name, test)) = test(self.values, condition) else { continue };
                    for attribute in [Some(self.partition), self.sort].into_iter().flatten() {
                        if attribute.name == name && !self.admits(attribute, &test)? {
                            return Err(Error::Expression(crate::error::Error::KeyType));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn admits(&self, attribute: &KeyAttribute, test: &Test) -> Result<bool, Error> {
        let ids = match test {
            Test::Equal(id)
            | Test::NotEqual(id)
            | Test::Less(id)
            | Test::LessOrEqual(id)
            | Test::Greater(id)
            | Test::GreaterOrEqual(id)
            | Test::BeginsWith(id) => vec![*id],
            Test::Between(low, high) => vec![*low, *high],
            Test::In(ids) => ids.clone(),
        };
        for id in ids {
            if !attribute.key_type.admits(&self.values.value(id)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether one of the conditions that must all hold gives the partition key.
    fn is_keyed(&self, clause: Id) -> Result<bool, Error> {
        let conditions = flatten(self.values, clause, Operator::And);
        for condition in conditions {
            if self.partitions(condition)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The partition keys that a simple condition gives.
    fn partitions(&self, condition: Id) -> Result<Option<Vec<AttributeValue>>, Error> {
        let ids = match test(self.values, condition) {
            Some((name, Test::Equal(id))) if name == self.partition.name => vec![id],
            Some((name, Test::In(ids))) if name == self.partition.name => ids,
            _ => return Ok(None),
        };
        let mut partitions: Vec<AttributeValue> = Vec::with_capacity(ids.len());
        for id in ids {
            let value = key_value(self.values, self.partition, id)?;
            if !partitions.contains(&value) {
                partitions.push(value);
            }
        }
        Ok(Some(partitions))
    }

    /// The alternatives of a clause; `None` when one of them does not give the partition key.
    fn branches(&self, clause: Id) -> Result<Option<Vec<Branch>>, Error> {
        let mut branches = Vec::new();
        for alternative in flatten(self.values, clause, Operator::Or) {
            match self.alternative(alternative)? {
                Some(found) => branches.extend(found),
                None => return Ok(None),
            }
        }
        Ok(Some(branches))
    }

    fn alternative(&self, alternative: Id) -> Result<Option<Vec<Branch>>, Error> {
        let mut found: Option<Vec<Branch>> = None;
        let mut sort = Sort::Any;
        let mut is_negated = false;
        let mut is_exact = true;
        for condition in flatten(self.values, alternative, Operator::And) {
            let nested = match self.partitions(condition)? {
                Some(partitions) => Some(
                    partitions
                        .into_iter()
                        .map(|partition| Branch { partition, sort: Sort::Any, is_negated: false, is_exact: true })
                        .collect(),
                ),
                // A side of AND that is a chain of OR in parentheses, or the other way round.
                None if matches!(self.values.tree.node(condition), Node::Binary(Operator::Or, ..)) => {
                    is_exact = false;
                    self.branches(condition)?
                }
                None => None,
            };
            match (nested, found.as_mut()) {
                (Some(nested), None) => found = Some(nested),
                (Some(nested), Some(found)) => {
                    is_exact = false;
                    found.retain(|branch| nested.iter().any(|other| other.partition == branch.partition));
                }
                (None, _) => match self.sort_test(condition)? {
                    Some(narrower) if sort == Sort::Any => sort = narrower,
                    Some(narrower) => {
                        is_exact = false;
                        sort = narrowed(sort, narrower);
                    }
                    None => {
                        is_exact = false;
                        is_negated |= self.denies_sort_key(condition);
                    }
                },
            }
        }
        Ok(found.map(|branches| {
            let narrow = |branch: Branch| Branch {
                sort: if branch.sort == Sort::Any { sort.clone() } else { branch.sort },
                is_negated: branch.is_negated || is_negated,
                is_exact: branch.is_exact && is_exact,
                partition: branch.partition,
            };
            branches.into_iter().map(narrow).collect()
        }))
    }

    /// What a condition says of the sort key.
    fn sort_test(&self, condition: Id) -> Result<Option<Sort>, Error> {
        let Some(attribute) = self.sort else { return Ok(None) };
        let Some((name, test)) = test(self.values, condition) else { return Ok(None) };
        if name != attribute.name {
            return Ok(None);
        }
        let value = |id: Id| key_value(self.values, attribute, id);
        Ok(Some(match test {
            Test::NotEqual(_) => return Ok(None),
            Test::Equal(id) => Sort::Points(vec![value(id)?]),
            Test::In(ids) => {
                let mut points = ids.into_iter().map(value).collect::<Result<Vec<_>, _>>()?;
                points.sort_by(by_value);
                points.dedup();
                Sort::Points(points)
            }
            Test::Less(id) => Sort::Range(SortRange::Lt(value(id)?)),
            Test::LessOrEqual(id) => Sort::Range(SortRange::Le(value(id)?)),
            Test::Greater(id) => Sort::Range(SortRange::Gt(value(id)?)),
            Test::GreaterOrEqual(id) => Sort::Range(SortRange::Ge(value(id)?)),
            Test::Between(low, high) => Sort::Range(SortRange::Between(value(low)?, value(high)?)),
            Test::BeginsWith(id) => {
                let prefix = self.values.value(id)?;
                if !attribute.key_type.admits(&prefix) {
                    return Err(Error::KeyType(attribute.name.clone()));
                }
                Sort::Range(SortRange::BeginsWith(prefix))
            }
        }))
    }

    /// Whether a condition is a negation of something about the sort key.
    fn denies_sort_key(&self, condition: Id) -> bool {
        let Some(attribute) = self.sort else { return false };
        let tree = self.values.tree;
        match tree.node(condition) {
            Node::Unary(Operator::Not, operand) => {
                flatten(self.values, *operand, Operator::And).into_iter().any(|id| match tree.node(id) {
                    Node::Binary(_, left, right) => [left, right]
                        .iter()
                        .any(|id| matches!(tree.node(**id), Node::Name(name) if **name == *attribute.name)),
                    Node::Between(operand, ..) | Node::Is(operand, _) => {
                        matches!(tree.node(*operand), Node::Name(name) if **name == *attribute.name)
                    }
                    Node::Call(_, operands) => operands
                        .iter()
                        .any(|id| matches!(tree.node(*id), Node::Name(name) if **name == *attribute.name)),
                    _ => false,
                })
            }
            _ => matches!(test(self.values, condition), Some((name, Test::NotEqual(_))) if name == attribute.name),
        }
    }

    /// The queries that read all alternatives; `exact` becomes false when they read more than that.
    fn queries(&self, branches: Vec<Branch>, exact: &mut bool) -> Result<Vec<KeyCondition>, Error> {
        let mut partitions: Vec<Vec<Branch>> = Vec::new();
        for branch in branches {
            match partitions
                .iter_mut()
                .find(|known| known.first().is_some_and(|first| first.partition == branch.partition))
            {
                Some(known) => known.push(branch),
                None => partitions.push(vec![branch]),
            }
        }
        let number = partitions.len();
        let mut queries = Vec::new();
        for branches in partitions {
            check_overlap(&branches)?;
            let Some(partition) = branches.first().map(|branch| branch.partition.clone()) else { continue };
            let sort = together(branches.into_iter().map(|branch| branch.sort));
            match sort {
                Sort::Any => queries.push(self.query(partition, None)),
                Sort::Range(range) => queries.push(self.query(partition, Some(range))),
                Sort::Points(points) if points.len() * number <= MAX_POINTS => {
                    queries.extend(points.into_iter().map(|point| self.point(partition.clone(), point)));
                }
                Sort::Points(points) => {
                    *exact = false;
                    let bounds = points.first().cloned().zip(points.last().cloned());
                    queries.push(self.query(partition, bounds.map(|(low, high)| SortRange::Between(low, high))));
                }
            }
        }
        Ok(queries)
    }

    fn query(&self, partition: AttributeValue, range: Option<SortRange>) -> KeyCondition {
        let range = self.sort.zip(range).map(|(attribute, range)| (attribute.name.clone(), range));
        KeyCondition { partition: vec![(self.partition.name.clone(), partition)], sort: Vec::new(), range }
    }

    fn point(&self, partition: AttributeValue, point: AttributeValue) -> KeyCondition {
        let sort = self.sort.map(|attribute| (attribute.name.clone(), point)).into_iter().collect();
        KeyCondition { partition: vec![(self.partition.name.clone(), partition)], sort, range: None }
    }
}

/// What is left of two conditions on the sort key: no less than both allow together.
fn narrowed(a: Sort, b: Sort) -> Sort {
    match (a, b) {
        (points @ Sort::Points(_), _) | (_, points @ Sort::Points(_)) => points,
        (Sort::Range(a), Sort::Range(b)) => Sort::Range(between(&a, &b).or_else(|| between(&b, &a)).unwrap_or(a)),
        (Sort::Any, other) | (other, Sort::Any) => other,
    }
}

/// The range between a lower and an upper bound; the filter sees to bounds that are not included.
fn between(lower: &SortRange, upper: &SortRange) -> Option<SortRange> {
    let (SortRange::Gt(low) | SortRange::Ge(low)) = lower else { return None };
    let (SortRange::Lt(high) | SortRange::Le(high)) = upper else { return None };
    (low.compare(high)? != Ordering::Greater).then(|| SortRange::Between(low.clone(), high.clone()))
}

/// Refuses alternatives of one partition that select the same sort keys.
fn check_overlap(branches: &[Branch]) -> Result<(), Error> {
    for (at, branch) in branches.iter().enumerate() {
        for other in branches.iter().skip(at + 1) {
            if !branch.is_negated && !other.is_negated && overlap(&branch.sort, &other.sort) {
                return Err(Error::unsupported(
                    "Overlapping conditions with range keys are not supported in where clause",
                ));
            }
        }
    }
    Ok(())
}

fn overlap(a: &Sort, b: &Sort) -> bool {
    if a == b {
        // The same twice is read once.
        return false;
    }
    let (low_a, high_a) = bounds(a);
    let (low_b, high_b) = bounds(b);
    match (a, b) {
        (Sort::Points(a), Sort::Points(b)) => a.iter().any(|point| b.contains(point)),
        _ => !ends_before(&high_a, &low_b) && !ends_before(&high_b, &low_a),
    }
}

/// An end of a range: a value, and whether it is part of it. No value stands for no end.
type End = Option<(AttributeValue, bool)>;

fn bounds(sort: &Sort) -> (End, End) {
    let end = |value: &AttributeValue, included| Some((value.clone(), included));
    match sort {
        Sort::Any => (None, None),
        Sort::Points(points) => {
            (points.first().and_then(|low| end(low, true)), points.last().and_then(|high| end(high, true)))
        }
        Sort::Range(SortRange::Lt(high)) => (None, end(high, false)),
        Sort::Range(SortRange::Le(high)) => (None, end(high, true)),
        Sort::Range(SortRange::Gt(low)) => (end(low, false), None),
        Sort::Range(SortRange::Ge(low)) => (end(low, true), None),
        Sort::Range(SortRange::Between(low, high)) => (end(low, true), end(high, true)),
        Sort::Range(SortRange::BeginsWith(prefix)) => (end(prefix, true), prefix_end(prefix)),
    }
}

/// The smallest value above all that begin with a prefix.
fn prefix_end(prefix: &AttributeValue) -> End {
    match prefix {
        AttributeValue::S(text) => {
            let last = text.chars().last()?;
            let next = char::from_u32(u32::from(last) + 1).unwrap_or(char::MAX);
            let kept = text.get(..text.len() - last.len_utf8()).unwrap_or_default();
            Some((AttributeValue::S(format!("{kept}{next}")), false))
        }
        AttributeValue::B(bytes) => Some((AttributeValue::B(partita_model::key::prefix_end(bytes)?.into()), false)),
        _ => None,
    }
}

/// Whether a range that ends here ends before one that starts there.
fn ends_before(high: &End, low: &End) -> bool {
    let (Some((high, high_included)), Some((low, low_included))) = (high, low) else { return false };
    match high.compare(low) {
        Some(Ordering::Less) => true,
        Some(Ordering::Equal) => !(*high_included && *low_included),
        _ => false,
    }
}

/// What alternatives of one partition select together: points if all are points, what they have in common if they are
/// the same, otherwise anything, for the filter to choose from.
fn together(sorts: impl Iterator<Item = Sort>) -> Sort {
    let mut whole: Option<Sort> = None;
    for sort in sorts {
        whole = Some(match (whole, sort) {
            (None, sort) => sort,
            (Some(whole), sort) if whole == sort => whole,
            (Some(Sort::Points(mut points)), Sort::Points(more)) => {
                points.extend(more);
                points.sort_by(by_value);
                points.dedup();
                Sort::Points(points)
            }
            _ => return Sort::Any,
        });
    }
    whole.unwrap_or(Sort::Any)
}

fn partition_of(query: &KeyCondition) -> &AttributeValue {
    query.partition.first().map_or(&AttributeValue::Null, |(_, value)| value)
}

fn sort_of(query: &KeyCondition) -> &AttributeValue {
    query.sort.first().map_or(&AttributeValue::Null, |(_, value)| value)
}

/// Key values in their order; those of different types, which no key has, are as good as equal.
fn by_value(a: &AttributeValue, b: &AttributeValue) -> Ordering {
    a.compare(b).unwrap_or(Ordering::Equal)
}
