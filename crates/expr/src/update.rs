//! Updates with their names and values, and what they make of an item.
//!
//! Every right-hand side is computed from the item as it was before the update, and every list index means the list as
//! it was before. An update either applies as a whole or fails without a trace.

mod bind;

use std::borrow::Cow;
use std::sync::Arc;

use partita_model::value::MAX_NESTING_DEPTH;
use partita_model::{AttributeMap, AttributeValue, Item};

use crate::bindings::Bindings;
use crate::error::{Error, Kind};
use crate::key::KeyNames;
use crate::parse::ParsedUpdate;
use crate::path::{Element, Path};
use crate::projection::Projection;
use crate::visit;

/// An update, ready to be applied to any number of items.
#[derive(Clone, Debug)]
pub struct Update {
    pub(crate) actions: Vec<Action>,
    /// What each action writes, in the order of the actions.
    pub(crate) targets: Arc<[Path]>,
    /// The operands of right-hand sides that refer to each other.
    operands: Vec<Operand>,
    /// The paths that right-hand sides read.
    sources: Vec<Path>,
    pub(crate) values: Arc<Vec<AttributeValue>>,
    /// Whether the update came as the legacy `AttributeUpdates`.
    pub(crate) is_legacy: bool,
}

/// What is done to one target. Operands and values are given by their places.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Set(Expression),
    Remove,
    Add(usize),
    Delete(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Expression {
    Operand(Operand),
    Append(Operand, Operand),
    Plus(Operand, Operand),
    Minus(Operand, Operand),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand {
    Source(usize),
    Value(usize),
    /// The value of a source or, if it has none, that of another operand.
    IfNotExists {
        source: usize,
        otherwise: usize,
    },
}

/// The outcome of an update.
#[derive(Clone, Debug, PartialEq)]
pub struct Updated {
    /// The item after the update.
    pub item: Item,
}

impl Update {
    /// Puts the request's names and values into a parsed update.
    ///
    /// # Errors
    /// When a placeholder is undefined, two written paths clash, or an operand breaks a rule of its operator, function
    /// or section.
    pub fn bind(parsed: &Arc<ParsedUpdate>, bindings: &mut Bindings) -> Result<Self, Error> {
        bind::bind(parsed, bindings).map_err(|problem| problem.of(Kind::Update))
    }

    pub(crate) fn of_legacy(actions: Vec<Action>, targets: Vec<Path>, values: Vec<AttributeValue>) -> Self {
        let (targets, values) = (targets.into(), Arc::new(values));
        Self { actions, targets, operands: Vec::new(), sources: Vec::new(), values, is_legacy: true }
    }

    /// Whether the update came as the legacy `AttributeUpdates`.
    #[must_use]
    pub const fn is_legacy(&self) -> bool {
        self.is_legacy
    }

    /// The paths that are written, in the order of the text.
    pub fn paths_written(&self) -> impl Iterator<Item = &Path> {
        self.targets.iter()
    }

    /// The paths that right-hand sides read.
    pub fn paths_read(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter()
    }

    /// The names of the top-level attributes that are written whole or in part; a name may come more than once.
    pub fn top_level_written(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().map(Path::root)
    }

    /// Refuses an update that writes a key attribute.
    ///
    /// # Errors
    /// For the first key, in the order given, that is written whole or in part.
    pub fn check_keys(&self, keys: &[&str]) -> Result<(), Error> {
        match keys.iter().find(|key| self.top_level_written().any(|name| name == **key)) {
            Some(key) => Err(Error::UpdatesKey((*key).to_owned())),
            None => Ok(()),
        }
    }

    /// Refuses an update that reads or writes parts of key attributes, which are scalars. `check_keys` goes first.
    ///
    /// # Errors
    /// For the first key that is used as a document.
    pub fn check_scalar_keys(&self, keys: &KeyNames<'_>) -> Result<(), Error> {
        keys.check_scalars(self.targets.iter().chain(&self.sources))
    }

    /// Applies the update to an item; one that does not exist yet is given by its key alone.
    ///
    /// # Errors
    /// When a path leads through something that is not there or has no such parts, a right-hand side reads an absent
    /// attribute, an operand has the wrong type, a number leaves its range, or the result is nested too deep.
    pub fn apply(&self, item: &Item) -> Result<Updated, Error> {
        let actions = self.actions.iter().zip(self.targets.iter());
        let changes = actions.map(|(action, target)| self.change(*action, target, item));
        let changes: Vec<Change> = match changes.collect() {
            Ok(changes) => changes,
            Err(error) => return Err(self.named_error(item).unwrap_or(error)),
        };
        let mut item = item.clone();
        let mut late = Late::default();
        for (change, target) in changes.into_iter().zip(self.targets.iter()) {
            write(&mut item, target, change, &mut late)?;
        }
        late.finish(&mut item)?;
        let is_too_deep = |name| item.get(name).is_some_and(|value| value.depth() >= MAX_NESTING_DEPTH);
        if self.top_level_written().any(is_too_deep) {
            return Err(Error::Nesting);
        }
        Ok(Updated { item })
    }

    /// The parts of an item that the update writes, as they are in this version of it: what `UPDATED_OLD` and
    /// `UPDATED_NEW` return. `None` when the item has none of them.
    #[must_use]
    pub fn written_of(&self, item: &Item) -> Option<AttributeMap> {
        let written = Projection::of(Arc::clone(&self.targets)).apply(item);
        (!written.is_empty()).then_some(written)
    }

    /// The error that DynamoDB names when several actions fail.
    fn named_error(&self, item: &Item) -> Option<Error> {
        let last_first: Vec<(Action, &Path)> = self.actions.iter().copied().zip(self.targets.iter()).rev().collect();
        let targets: Vec<&Path> = last_first.iter().map(|(_, target)| *target).collect();
        let mut visited = visit::order(&targets).into_iter().filter_map(|at| last_first.get(at));
        visited.find_map(|(action, target)| self.change(*action, target, item).err())
    }

    fn change(&self, action: Action, target: &Path, old: &Item) -> Result<Change, Error> {
        check_parent(target, old)?;
        let mismatch = || if self.is_legacy { Error::UpdateMismatch } else { Error::OperandType };
        Ok(match action {
            Action::Remove => Change::Remove,
            Action::Set(expression) => Change::Put(self.evaluate(expression, old)?),
            Action::Add(value) => {
                let value = self.values.get(value).ok_or(Error::MissingOperand)?;
                Change::Put(match target.resolve(old) {
                    None => value.clone(),
                    Some(existing) => match (existing.into_owned(), value.clone()) {
                        (AttributeValue::N(a), AttributeValue::N(b)) => {
                            AttributeValue::N(a.checked_add(&b).map_err(Error::Arithmetic)?)
                        }
                        (AttributeValue::Ss(a), AttributeValue::Ss(b)) => AttributeValue::Ss(a.union(b)),
                        (AttributeValue::Ns(a), AttributeValue::Ns(b)) => AttributeValue::Ns(a.union(b)),
                        (AttributeValue::Bs(a), AttributeValue::Bs(b)) => AttributeValue::Bs(a.union(b)),
                        (AttributeValue::L(mut a), AttributeValue::L(b)) if self.is_legacy => {
                            a.extend(b);
                            AttributeValue::L(a)
                        }
                        _ => return Err(mismatch()),
                    },
                })
            }
            Action::Delete(value) => {
                let value = self.values.get(value).ok_or(Error::MissingOperand)?;
                let Some(existing) = target.resolve(old) else { return Ok(Change::Remove) };
                let rest = match (existing.into_owned(), value) {
                    (AttributeValue::Ss(a), AttributeValue::Ss(b)) => a.difference(b).map(AttributeValue::Ss),
                    (AttributeValue::Ns(a), AttributeValue::Ns(b)) => a.difference(b).map(AttributeValue::Ns),
                    (AttributeValue::Bs(a), AttributeValue::Bs(b)) => a.difference(b).map(AttributeValue::Bs),
                    _ => return Err(mismatch()),
                };
                rest.map_or(Change::Remove, Change::Put)
            }
        })
    }

    fn evaluate(&self, expression: Expression, old: &Item) -> Result<AttributeValue, Error> {
        match expression {
            Expression::Operand(operand) => self.operand(operand, old).map(Cow::into_owned),
            Expression::Append(first, second) => {
                let AttributeValue::L(mut list) = self.operand(first, old)?.into_owned() else {
                    return Err(Error::OperandType);
                };
                let AttributeValue::L(more) = self.operand(second, old)?.into_owned() else {
                    return Err(Error::OperandType);
                };
                list.extend(more);
                Ok(AttributeValue::L(list))
            }
            Expression::Plus(left, right) | Expression::Minus(left, right) => {
                let left = self.operand(left, old)?;
                let AttributeValue::N(left) = left.as_ref() else { return Err(Error::OperandType) };
                let right = self.operand(right, old)?;
                let AttributeValue::N(right) = right.as_ref() else { return Err(Error::OperandType) };
                let result = match expression {
                    Expression::Minus(..) => left.checked_sub(right),
                    _ => left.checked_add(right),
                };
                result.map(AttributeValue::N).map_err(Error::Arithmetic)
            }
        }
    }

    /// The value of an operand. All operands of `if_not_exists` have to have one, also those that are not chosen
    /// (measured against DynamoDB Local).
    fn operand<'v>(&'v self, mut operand: Operand, old: &'v Item) -> Result<Cow<'v, AttributeValue>, Error> {
        let mut chosen = None;
        loop {
            let value = match operand {
                Operand::Source(at) => self.sources.get(at).and_then(|path| path.resolve(old)),
                Operand::Value(at) => self.values.get(at).map(Cow::Borrowed),
                Operand::IfNotExists { source, otherwise } => {
                    if chosen.is_none() {
                        chosen = self.sources.get(source).and_then(|path| path.resolve(old));
                    }
                    operand = *self.operands.get(otherwise).ok_or(Error::MissingOperand)?;
                    continue;
                }
            };
            return value.map(|value| chosen.unwrap_or(value)).ok_or(Error::MissingOperand);
        }
    }
}

/// What becomes of a target.
enum Change {
    Put(AttributeValue),
    Remove,
}

/// The changes of lists that move other elements: they wait until all other changes are done.
#[derive(Default)]
struct Late<'u> {
    /// Elements to append, in the order of the indexes they were given.
    appended: Vec<(&'u Path, u32, AttributeValue)>,
    removed: Vec<(&'u Path, u32)>,
}

impl Late<'_> {
    fn finish(mut self, item: &mut Item) -> Result<(), Error> {
        self.appended.sort_by_key(|(_, index, _)| *index);
        for (path, _, value) in self.appended {
            parent_list(item, path)?.push(value);
        }
        // Inner lists first, since removing from an outer one moves them; in one list from the end.
        self.removed.sort_by_key(|(path, index)| (std::cmp::Reverse(path.rest().len()), std::cmp::Reverse(*index)));
        for (path, index) in self.removed {
            let list = parent_list(item, path)?;
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            if index < list.len() {
                list.remove(index);
            }
        }
        Ok(())
    }
}

/// Refuses a path whose last step does not start from a map or list as it wants.
fn check_parent(path: &Path, item: &Item) -> Result<(), Error> {
    let Some((last, before)) = path.rest().split_last() else { return Ok(()) };
    let mut value = item.get(path.root());
    for element in before {
        value = match (value, element) {
            (Some(AttributeValue::M(map)), Element::Name(name)) => map.get(name),
            (Some(AttributeValue::L(list)), Element::Index(index)) => {
                usize::try_from(*index).ok().and_then(|index| list.get(index))
            }
            _ => None,
        };
    }
    match (value, last) {
        (Some(AttributeValue::M(_)), Element::Name(_)) | (Some(AttributeValue::L(_)), Element::Index(_)) => Ok(()),
        _ => Err(Error::UpdatePath),
    }
}

/// The value that a path's last step starts from.
fn parent<'i>(item: &'i mut Item, path: &Path) -> Result<&'i mut AttributeValue, Error> {
    let mut value = item.get_mut(path.root()).ok_or(Error::UpdatePath)?;
    let (_, before) = path.rest().split_last().ok_or(Error::UpdatePath)?;
    for element in before {
        let next = match (value, element) {
            (AttributeValue::M(map), Element::Name(name)) => map.get_mut(name),
            (AttributeValue::L(list), Element::Index(index)) => {
                usize::try_from(*index).ok().and_then(|index| list.get_mut(index))
            }
            _ => None,
        };
        value = next.ok_or(Error::UpdatePath)?;
    }
    Ok(value)
}

fn parent_list<'i>(item: &'i mut Item, path: &Path) -> Result<&'i mut Vec<AttributeValue>, Error> {
    match parent(item, path)? {
        AttributeValue::L(list) => Ok(list),
        _ => Err(Error::UpdatePath),
    }
}

fn write<'u>(item: &mut Item, target: &'u Path, change: Change, late: &mut Late<'u>) -> Result<(), Error> {
    let Some(last) = target.rest().last() else {
        match change {
            Change::Put(value) => item.insert(target.root(), value),
            Change::Remove => item.remove(target.root()),
        };
        return Ok(());
    };
    match (parent(item, target)?, last, change) {
        (AttributeValue::M(map), Element::Name(name), Change::Put(value)) => {
            map.insert(&**name, value);
        }
        (AttributeValue::M(map), Element::Name(name), Change::Remove) => {
            map.remove(name);
        }
        (AttributeValue::L(list), Element::Index(index), Change::Put(value)) => {
            match usize::try_from(*index).ok().and_then(|index| list.get_mut(index)) {
                Some(element) => *element = value,
                None => late.appended.push((target, *index, value)),
            }
        }
        (AttributeValue::L(_), Element::Index(index), Change::Remove) => late.removed.push((target, *index)),
        _ => return Err(Error::UpdatePath),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{bindings, item, l, m, map, message, n, ns, s, ss};

    fn update(text: &str) -> Result<Update, Error> {
        Update::bind(&Arc::new(ParsedUpdate::parse(text)?), &mut bindings())
    }

    fn apply(text: &str) -> Result<Item, Error> {
        update(text)?.apply(&item()).map(|updated| updated.item)
    }

    /// An attribute after an update; `None` when it is gone.
    type After<'t> = (&'t str, Option<AttributeValue>);

    fn check(cases: &[(&str, &[After<'_>])]) {
        for (text, attributes) in cases {
            let after = apply(text).unwrap();
            for (name, value) in *attributes {
                assert_eq!(after.get(name), value.as_ref(), "{text}: {name}");
            }
        }
    }

    #[test]
    fn set_computes_from_the_old_item() {
        check(&[
            ("SET a = :n", &[("a", Some(n(5)))]),
            ("set n = n + :m, s = n", &[("n", Some(n(8))), ("s", Some(n(7)))]),
            ("SET n = n - :seven", &[("n", Some(n(0)))]),
            ("SET n = (n + :m)", &[("n", Some(n(8)))]),
            ("SET n = (n) + (n)", &[("n", Some(n(14)))]),
            ("SET n = if_not_exists(n, :m) + :m", &[("n", Some(n(8)))]),
            ("SET a = if_not_exists(a, :m) + :m", &[("a", Some(n(2)))]),
            ("SET a = if_not_exists(a, if_not_exists(n.x, :n))", &[("a", Some(n(5)))]),
            ("SET l = list_append(:l, :l)", &[("l", Some(l(&[n(1), n(1)])))]),
            ("SET a = list_append(if_not_exists(a, :l), m.l)", &[("a", Some(l(&[n(1), s("a"), s("b"), s("c")])))]),
            (
                "SET m.k = l[1], m.#x = m.k",
                &[("m", Some(m(&[("k", s("two")), ("x", s("v")), ("l", l(&[s("a"), s("b"), s("c")]))])))],
            ),
        ]);
    }

    #[test]
    fn list_indexes_mean_the_list_as_it_was() {
        let list = |elements: &[AttributeValue]| [("m", Some(m(&[("k", s("v")), ("l", l(elements))])))];
        let (a, b, c) = (s("a"), s("b"), s("c"));
        for (text, elements) in [
            ("SET m.l[1] = :n", vec![a.clone(), n(5), c.clone()]),
            ("SET m.l[9] = :n, m.l[5] = :m", vec![a.clone(), b.clone(), c.clone(), n(1), n(5)]),
            ("REMOVE m.l[0], m.l[2]", vec![b.clone()]),
            ("REMOVE m.l[9]", vec![a.clone(), b.clone(), c.clone()]),
            ("SET m.l[7] = :n REMOVE m.l[0]", vec![b.clone(), c.clone(), n(5)]),
            ("REMOVE m.l[1] SET m.l[2] = :n", vec![a.clone(), n(5)]),
            ("ADD m.l[3] :n DELETE m.l[4] :ss", vec![a.clone(), b.clone(), c.clone(), n(5)]),
        ] {
            check(&[(text, &list(&elements))]);
        }
        check(&[("REMOVE l[2].q, l[0]", &[("l", Some(l(&[s("two"), m(&[("r", n(2))])])))])]);
    }

    #[test]
    fn inner_lists_are_shortened_before_outer_ones_move_them() {
        let item = map(&[("l", l(&[n(0), l(&[n(1), n(2)])]))]);
        let after = update("REMOVE l[0], l[1][0]").unwrap().apply(&item).unwrap().item;
        assert_eq!(after, map(&[("l", l(&[l(&[n(2)])]))]));
    }

    #[test]
    fn add_and_delete_work_on_numbers_and_sets() {
        check(&[
            ("ADD n :m, a :n", &[("n", Some(n(8))), ("a", Some(n(5)))]),
            ("ADD ss :ss, a :ns", &[("ss", Some(ss(&["a", "b", "c"]))), ("a", Some(ns(&[1, 2])))]),
            ("ADD m.a :n", &[("m", Some(m(&[("a", n(5)), ("k", s("v")), ("l", l(&[s("a"), s("b"), s("c")]))])))]),
            ("DELETE ss :ss, ns :ns, a :ss", &[("ss", Some(ss(&["c"]))), ("ns", Some(ns(&[9]))), ("a", None)]),
            ("REMOVE n, a, m.absent", &[("n", None), ("a", None)]),
        ]);
        let one = map(&[("ss", ss(&["a"]))]);
        assert_eq!(update("DELETE ss :ss").unwrap().apply(&one).unwrap().item, map(&[]), "an emptied set goes");
    }

    #[test]
    fn run_time_errors_are_those_of_the_service() {
        let path = "The document path provided in the update expression is invalid for update";
        let missing = "The provided expression refers to an attribute that does not exist in the item";
        let operand = "An operand in the update expression has an incorrect data type";
        for (text, expected) in [
            ("SET x.y = :n", path),
            ("SET n.y = :n", path),
            ("SET n[0] = :n", path),
            ("SET l[9].x = :n", path),
            ("SET m.q.z = :n", path),
            ("REMOVE m[0]", path),
            ("REMOVE l.x", path),
            ("ADD x.y :n", path),
            ("DELETE x.y :ss", path),
            ("SET x.y = z2", path),
            ("SET a = x", missing),
            ("SET a = n.x", missing),
            ("SET a = if_not_exists(x, y)", missing),
            ("SET a = if_not_exists(n, y)", missing),
            ("SET n = n + x", missing),
            ("SET l = list_append(x, l)", missing),
            ("SET n = n - s", operand),
            ("SET n = s + x", operand),
            ("SET l = list_append(n, l)", operand),
            ("SET n = if_not_exists(x, :s) + :n", operand),
            ("ADD ns :ss", operand),
            ("ADD n :ns", operand),
            ("ADD l :m", operand),
            ("DELETE n :ss", operand),
            ("DELETE ns :ss", operand),
            // Of several errors the service names the one that its hash maps give first.
            ("ADD s :n SET x.y = :n", path),
            ("ADD s :n SET b.y = :n", operand),
        ] {
            assert_eq!(message(apply(text)), expected, "{text}");
        }
        let large = || AttributeValue::N(partita_model::Number::parse("9e125").unwrap());
        let sum = update("SET n = n + n").unwrap().apply(&map(&[("n", large())]));
        let expected = "Number overflow. Attempting to store a number with magnitude larger than supported range";
        assert_eq!(message(sum), expected);
    }

    #[test]
    fn errors_of_the_text_are_those_of_the_service() {
        let syntax = |token: &str, near: &str| format!("Syntax error; token: \"{token}\", near: \"{near}\"");
        let overlap = |one: &str, two: &str| {
            format!(
                "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: {one}, path two: {two}"
            )
        };
        let operand = |name: &str, of: &str| {
            format!("Incorrect operand type for operator or function; operator or function: {name}, operand type: {of}")
        };
        let section = |name: &str, of: &str| {
            format!(
                "Incorrect operand type for operator or function; operator: {name}, operand type: {of}, typeSet: ALLOWED_FOR_{name}_OPERAND"
            )
        };
        let misused = "The function is not allowed to be used this way in an expression; function: list_append";
        let undefined = |placeholder: &str| {
            format!("An expression attribute value used in expression is not defined; attribute value: {placeholder}")
        };
        for (text, expected) in [
            ("", "The expression can not be empty;".to_owned()),
            ("a", syntax("a", "a")),
            ("SET", syntax("<EOF>", "SET")),
            ("SET a b", syntax("b", "a b")),
            ("SET a = :n b = :m", syntax("b", ":n b =")),
            ("SET a = :n, SET b = :m", syntax("SET", ", SET b")),
            ("SET a = b + c + d", syntax("+", "c + d")),
            ("SET a = (b + c) + d", syntax("+", ") + d")),
            ("SET a = b + (c + d)", syntax("+", "c + d")),
            ("SET (a) = :n", syntax("(", "SET (a")),
            ("SET a = (:n", syntax("<EOF>", ":n")),
            ("SET a = f()", syntax(")", "()")),
            ("ADD a b", syntax("b", "a b")),
            ("ADD a (:n)", syntax("(", "a (:n")),
            ("REMOVE a = b", syntax("=", "a = b")),
            ("SET a = ((b + c))", "The expression has redundant parentheses;".to_owned()),
            ("SET a = ((b)) c", "The expression has redundant parentheses;".to_owned()),
            ("SET a = foo(b) SET c = :n", "Invalid function name; function: foo".to_owned()),
            ("SET a = size(b)", "The function is not allowed in an update expression; function: size".to_owned()),
            ("SET a = list_append(list_append(a, b), c)", misused.to_owned()),
            ("SET a = list_append(a, b) + :n", misused.to_owned()),
            ("SET a = :n SET name = :n", "Attribute name is a reserved keyword; reserved keyword: name".to_owned()),
            ("SET a = :u SET b = :m", "The \"SET\" section can only be used once in an update expression;".to_owned()),
            ("SET a = :u, a = :u", overlap("[a]", "[a]")),
            ("SET a = :n, a.b = :m", overlap("[a]", "[a, b]")),
            ("REMOVE a ADD a :n", overlap("[a]", "[a]")),
            ("SET a = :u, b = :v", undefined(":v")),
            ("SET a = :u + :v", undefined(":u")),
            ("SET a = n + :s", operand("+", "S")),
            ("SET a = :mm - :n", operand("-", "M")),
            ("SET a = list_append(:n, l)", operand("list_append", "N")),
            ("ADD a :s", section("ADD", "STRING")),
            ("ADD b :s DELETE c :n", section("DELETE", "NUMBER")),
            ("SET a = if_not_exists(:m, :m)", "Operator or function requires a document path; operator or function: if_not_exists".to_owned()),
            ("SET a = if_not_exists(b)", "Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1".to_owned()),
            ("SET a = if_not_exists(a, a)", "The first operand must be distinct from the remaining operands for this operator or function; operator: if_not_exists, first operand: [a]".to_owned()),
        ] {
            assert_eq!(message(update(text)), expected, "{text}");
        }
    }

    #[test]
    fn written_parts_are_returned_alone() {
        let changed = update("SET m.l[1] = :n, m.l[7] = :m, n = :m REMOVE s, m.k").unwrap();
        let after = changed.apply(&item()).unwrap().item;
        let old = map(&[("m", m(&[("k", s("v")), ("l", l(&[s("b")]))])), ("n", n(7)), ("s", s("str"))]);
        assert_eq!(changed.written_of(&item()), Some(old));
        assert_eq!(changed.written_of(&after), Some(map(&[("m", m(&[("l", l(&[n(5)]))])), ("n", n(1))])));
        assert_eq!(update("REMOVE absent").unwrap().written_of(&item()), None);
    }

    #[test]
    fn keys_cannot_be_written() {
        let expected =
            "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key";
        for text in ["SET a = :n, pk = :s", "REMOVE pk", "SET pk.x = :s", "SET sk = :n REMOVE pk"] {
            assert_eq!(message(update(text).unwrap().check_keys(&["pk", "sk"])), expected, "{text}");
        }
        update("SET a = pk").unwrap().check_keys(&["pk", "sk"]).unwrap();
        let keys = KeyNames { table: &["pk"], indexes: &["g"] };
        let expected =
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk";
        assert_eq!(message(update("SET a = pk.x").unwrap().check_scalar_keys(&keys)), expected);
    }

    #[test]
    fn results_have_up_to_31_levels() {
        let wrapped = |levels: usize| map(&[("d", (1..levels).fold(m(&[]), |value, _| m(&[("a", value)])))]);
        let apply = |levels: usize, value: &str| {
            let text = format!("SET d{}.b = {value}", ".a".repeat(levels - 1));
            message(update(&text).unwrap().apply(&wrapped(levels)))
        };
        let too_deep = "Nesting Levels have exceeded supported limits";
        assert_eq!(apply(31, ":n"), "ok");
        assert_eq!(apply(31, ":mm"), too_deep);
        assert_eq!(apply(30, ":mm"), "ok");
        assert_eq!(apply(30, ":mq"), "ok");
        assert_eq!(apply(31, ":mq"), too_deep);
    }
}
