//! SET and REMOVE clauses as updates: lowered onto the parsed form that update expressions of the JSON API have.
//!
//! `set_add` and `set_delete` become what ADD and DELETE are there.

use std::sync::Arc;

use partita_model::{AttributeValue, Number};

use super::condition::bindings;
use super::error::Error;
use super::literal::Values;
use super::paths;
use super::tree::{Id, Node, Operation};
use super::words::Operator;
use crate::error::Problem;
use crate::parse::{Function, MAX_OPERATORS, Node as Lowered, ParsedAction, ParsedUpdate};
use crate::path::PathTemplate;
use crate::token::Section;
use crate::update::Update;

/// Lowers the changes of an UPDATE.
///
/// # Errors
/// When a change sets something to what is no value, or breaks a rule of updates.
pub(super) fn update(values: Values<'_>, operations: &[Operation]) -> Result<Update, Error> {
    let mut lowering =
        Lowering { values, actions: Vec::new(), nodes: Vec::new(), paths: Vec::new(), bound: Vec::new(), operators: 0 };
    for operation in operations {
        match operation {
            Operation::Set(assignments) => {
                for (target, value) in assignments {
                    lowering.assignment(*target, *value)?;
                }
            }
            Operation::Remove(target) => {
                let target = lowering.path(*target)?;
                lowering.action(Section::Remove, target);
            }
            Operation::InsertAll | Operation::InsertValue { .. } | Operation::Delete => {
                return Err(Error::unsupported("Unsupported operation: DataManipulation"));
            }
        }
    }
    if lowering.operators > MAX_OPERATORS {
        return Err(Error::of_problem(Problem::Operators(MAX_OPERATORS + 1)));
    }
    let (names, mut bindings) = bindings(lowering.bound)?;
    let parsed = ParsedUpdate {
        actions: lowering.actions,
        nodes: lowering.nodes,
        paths: lowering.paths,
        values: names,
        literal_targets: None,
    };
    Ok(Update::bind(&Arc::new(parsed), &mut bindings)?)
}

struct Lowering<'v> {
    values: Values<'v>,
    actions: Vec<ParsedAction>,
    nodes: Vec<Lowered>,
    paths: Vec<PathTemplate>,
    bound: Vec<AttributeValue>,
    operators: usize,
}

impl Lowering<'_> {
    fn action(&mut self, section: Section, target: usize) {
        self.actions.push(ParsedAction { section, target, nodes_end: self.nodes.len() });
    }

    fn path(&mut self, id: Id) -> Result<usize, Error> {
        let path = paths::path(self.values.tree, id)?.ok_or_else(|| paths::unexpected(self.values.tree, id))?;
        self.paths.push(path);
        Ok(self.paths.len() - 1)
    }

    fn assignment(&mut self, target: Id, value: Id) -> Result<(), Error> {
        let at = self.path(target)?;
        if let Node::Call(name, operands) = self.values.tree.node(value)
            && let Some((section, shown)) = set_function(name)
        {
            self.set_function(shown, target, value, operands)?;
            self.action(section, at);
            return Ok(());
        }
        self.expression(value)?;
        self.action(Section::Set, at);
        Ok(())
    }

    fn set_function(&mut self, shown: &str, target: Id, call: Id, operands: &[Id]) -> Result<(), Error> {
        let tree = self.values.tree;
        let [set, elements] = operands else {
            let message = format!("{shown} must have exactly two arguments");
            return Err(Error::unsupported_at(message, tree.span(call)));
        };
        let is_target = match (paths::path(tree, target)?, paths::path(tree, *set)?) {
            (Some(target), Some(set)) => target.literal() == set.literal(),
            _ => false,
        };
        if !is_target {
            let message = format!("The first argument to {shown} must equal the assignment value");
            return Err(Error::unsupported_at(message, tree.span(call)));
        }
        let no_set = || {
            let message = format!("The second argument to {shown} must be a value with type SET");
            Error::unsupported_at(message, tree.span(*set))
        };
        if !self.values.is_value(*elements) {
            return Err(no_set());
        }
        let value = self.values.value(*elements)?;
        if !value.attribute_type().is_set() {
            return Err(no_set());
        }
        self.value(value);
        Ok(())
    }

    fn value(&mut self, value: AttributeValue) {
        self.bound.push(value);
        self.nodes.push(Lowered::Value(self.bound.len() - 1));
    }

    /// Lowers a right-hand side: an operand, `list_append`, or a sum or difference.
    fn expression(&mut self, id: Id) -> Result<(), Error> {
        let tree = self.values.tree;
        match tree.node(id) {
            Node::Binary(Operator::Plus | Operator::Minus, ..) => self.sum(id),
            Node::Call(name, operands) if &**name == Function::ListAppend.name() => {
                self.operators += 1;
                operands.iter().try_for_each(|operand| self.operand(*operand))?;
                self.nodes.push(Lowered::Call(Function::ListAppend, operands.len()));
                Ok(())
            }
            _ => self.operand(id),
        }
    }

    /// Lowers a sum or difference of two operands. Of longer ones the numbers in the text are added up before.
    fn sum(&mut self, id: Id) -> Result<(), Error> {
        let tree = self.values.tree;
        let mut terms = Vec::new();
        let mut leftmost = id;
        while let Node::Binary(operator @ (Operator::Plus | Operator::Minus), left, right) = tree.node(leftmost) {
            terms.push((*operator, *right));
            leftmost = *left;
        }
        self.operators += terms.len();
        terms.push((Operator::Plus, leftmost));
        terms.reverse();
        if let [(_, left), (operator, right)] = terms.as_slice() {
            self.operand(*left)?;
            self.operand(*right)?;
            self.nodes.push(if *operator == Operator::Plus { Lowered::Plus } else { Lowered::Minus });
            return Ok(());
        }
        let mut total = Number::ZERO;
        let mut others = Vec::new();
        for (operator, term) in terms {
            if !self.values.is_value(term) {
                others.push((operator, term));
                continue;
            }
            let value = self.values.value(term)?;
            let AttributeValue::N(number) = value else {
                let problem = Problem::OperandType(operator.text(), value.attribute_type());
                return Err(Error::of_problem(problem));
            };
            let sum = if operator == Operator::Plus { total.checked_add(&number) } else { total.checked_sub(&number) };
            total = sum.map_err(|error| Error::unsupported(error.to_string()))?;
        }
        match others.as_slice() {
            [] => self.value(AttributeValue::N(total)),
            [(operator, term)] => {
                let is_plus = *operator == Operator::Plus;
                let number = AttributeValue::N(total);
                if is_plus {
                    self.operand(*term)?;
                    self.value(number);
                } else {
                    self.value(number);
                    self.operand(*term)?;
                }
                self.nodes.push(if is_plus { Lowered::Plus } else { Lowered::Minus });
            }
            [(Operator::Plus, left), (operator, right)] if total.is_zero() => {
                self.operand(*left)?;
                self.operand(*right)?;
                self.nodes.push(if *operator == Operator::Plus { Lowered::Plus } else { Lowered::Minus });
            }
            _ => return Err(unsupported_operator(Operator::Plus)),
        }
        Ok(())
    }

    fn operand(&mut self, id: Id) -> Result<(), Error> {
        let tree = self.values.tree;
        if let Node::Name(_) | Node::Path(..) = tree.node(id) {
            let path = self.path(id)?;
            self.nodes.push(Lowered::Path(path));
            return Ok(());
        }
        if self.values.is_value(id) {
            let value = self.values.value(id)?;
            self.value(value);
            return Ok(());
        }
        match tree.node(id) {
            Node::Call(name, operands) if &**name == Function::IfNotExists.name() => {
                self.operators += 1;
                operands.iter().try_for_each(|operand| self.operand(*operand))?;
                self.nodes.push(Lowered::Call(Function::IfNotExists, operands.len()));
                Ok(())
            }
            Node::Call(name, _) => Err(match function_of_conditions(name) {
                Some(function) => Error::of_problem(Problem::NotInUpdate(function.name())),
                None if &**name == Function::ListAppend.name() => {
                    Error::of_problem(Problem::MisusedFunction(Function::ListAppend.name()))
                }
                None => Error::unsupported_at(format!("Unrecognized function: {name}"), tree.span(id)),
            }),
            Node::Missing => Err(Error::unsupported("MISSING must be compared using IS operator")),
            Node::Is(..) => Err(Error::unsupported("IS operator is not supported in update expressions")),
            Node::Unary(operator @ (Operator::Minus | Operator::Plus), _) => {
                Err(Error::of_problem(Problem::OperandCount(operator.text(), 1)))
            }
            Node::Unary(operator, _) | Node::Binary(operator, ..) => Err(unsupported_operator(*operator)),
            Node::Between(..) => Err(unsupported_operator(Operator::Between)),
            Node::Cast => Err(Error::unsupported_at("Unsupported token in expression: cast", tree.span(id))),
            Node::Case => Err(Error::unsupported_at("Unsupported token in expression: CASE", tree.span(id))),
            Node::Select(_) => Err(Error::unsupported_at("Unsupported token in expression: SELECT", tree.span(id))),
            other => {
                let message = format!("Unsupported token in expression: {}", super::literal::node_name(other));
                Err(Error::unsupported_at(message, tree.span(id)))
            }
        }
    }
}

fn unsupported_operator(operator: Operator) -> Error {
    Error::unsupported(format!("Unsupported operator in Update Expression. Operator: {}", operator.text()))
}

fn set_function(name: &str) -> Option<(Section, &'static str)> {
    match name {
        "set_add" => Some((Section::Add, "SET_ADD")),
        "set_delete" => Some((Section::Delete, "SET_DELETE")),
        _ => None,
    }
}

fn function_of_conditions(name: &str) -> Option<Function> {
    [
        Function::AttributeExists,
        Function::AttributeNotExists,
        Function::AttributeType,
        Function::BeginsWith,
        Function::Contains,
        Function::Size,
    ]
    .into_iter()
    .find(|function| function.name() == name)
}
