//! WHERE clauses as conditions: lowered onto the parsed form that expressions of the JSON API have, so that both mean
//! the same and break the same rules.

use std::sync::Arc;

use partita_model::{AttributeType, AttributeValue};

use super::error::Error;
use super::literal::Values;
use super::paths;
use super::tree::{Id, Node};
use super::words::Operator;
use crate::bindings::Bindings;
use crate::condition::Condition;
use crate::error::{Kind, Problem};
use crate::parse::{Function, MAX_OPERATORS, Node as Lowered, ParsedCondition};
use crate::path::PathTemplate;
use crate::token::Comparator;

/// What stands around a condition, which decides what a missing truth value is called.
#[derive(Clone, Copy)]
enum Around {
    Clause,
    Junction(Operator),
    Not,
}

/// Lowers a WHERE clause.
///
/// `unless_absent` names an attribute without which the condition holds in any case.
///
/// # Errors
/// When the clause is no condition, or breaks a rule of conditions.
pub(super) fn condition(values: Values<'_>, id: Id, unless_absent: Option<&str>) -> Result<Condition, Error> {
    let mut lowering =
        Lowering { values, nodes: Vec::new(), paths: Vec::new(), bound: Vec::new(), steps: 0, operators: 0 };
    match unless_absent {
        None => lowering.condition(id, Around::Clause)?,
        Some(name) => {
            let start = lowering.steps;
            lowering.add_path(PathTemplate { root: crate::path::TemplateName::Literal(name.into()), rest: Vec::new() });
            lowering.test(Lowered::Call(Function::AttributeNotExists, 1));
            lowering.junction(true, start, |lowering| lowering.condition(id, Around::Clause))?;
        }
    }
    if lowering.operators > MAX_OPERATORS {
        return Err(Error::of_problem(Problem::Operators(MAX_OPERATORS + 1)));
    }
    lowering.bind()
}

struct Lowering<'v> {
    values: Values<'v>,
    nodes: Vec<Lowered>,
    paths: Vec<PathTemplate>,
    bound: Vec<AttributeValue>,
    /// How many steps evaluation has so far.
    steps: usize,
    operators: usize,
}

impl Lowering<'_> {
    fn bind(self) -> Result<Condition, Error> {
        let (names, mut bindings) = bindings(self.bound)?;
        let literal_paths = self.paths.iter().map(PathTemplate::literal).collect();
        let parsed = ParsedCondition {
            kind: Kind::Condition,
            nodes: self.nodes,
            paths: self.paths,
            values: names,
            literal_paths,
        };
        Ok(Condition::bind(&Arc::new(parsed), &mut bindings)?)
    }

    fn test(&mut self, node: Lowered) {
        self.nodes.push(node);
        self.steps += 1;
    }

    /// Joins what has been lowered from step `start` on with what `right` lowers.
    fn junction(
        &mut self,
        when: bool,
        start: usize,
        right: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let jump = self.nodes.len();
        self.test(Lowered::Jump { when, start, target: 0 });
        right(self)?;
        if let Some(Lowered::Jump { target, .. }) = self.nodes.get_mut(jump) {
            *target = self.steps;
        }
        Ok(())
    }

    /// Lowers a truth value. Chains of AND and OR lean to the left and are as long as the text allows, so the left
    /// sides are walked down first, without recursion.
    fn condition(&mut self, id: Id, around: Around) -> Result<(), Error> {
        let mut chain = Vec::new();
        let mut leftmost = id;
        while let Node::Binary(operator @ (Operator::And | Operator::Or), left, right) = self.values.tree.node(leftmost)
        {
            chain.push((*operator, *right));
            leftmost = *left;
        }
        self.operators += chain.len();
        let start = self.steps;
        self.simple(leftmost, chain.last().map_or(around, |(operator, _)| Around::Junction(*operator)))?;
        while let Some((operator, right)) = chain.pop() {
            let around = Around::Junction(operator);
            self.junction(operator == Operator::Or, start, |lowering| lowering.condition(right, around))?;
        }
        Ok(())
    }

    fn simple(&mut self, id: Id, around: Around) -> Result<(), Error> {
        let tree = self.values.tree;
        self.operators += 1;
        match tree.node(id) {
            Node::Unary(Operator::Not, operand) => {
                let start = self.steps;
                self.condition(*operand, Around::Not)?;
                self.test(Lowered::Not { start });
            }
            Node::Is(operand, type_name) => self.is(*operand, type_name, id)?,
            Node::Between(operand, low, high) => {
                for operand in [operand, low, high] {
                    self.operand(*operand)?;
                }
                self.test(Lowered::Between);
            }
            Node::Binary(Operator::In, left, right) => self.membership(*left, *right)?,
            Node::Binary(operator, left, right) => match comparator(*operator) {
                Some(comparator) => self.comparison(comparator, *left, *right)?,
                None => return Err(unsupported_operator(*operator)),
            },
            Node::Unary(operator, _) => return Err(unsupported_operator(*operator)),
            Node::Call(name, operands) => match function(name) {
                Some(Function::Size) => return Err(self.size_as_condition(around)),
                Some(function) => {
                    self.operands(operands)?;
                    self.test(Lowered::Call(function, operands.len()));
                }
                None => return Err(self.unknown_function(name, id)),
            },
            Node::Case | Node::Cast | Node::Select(_) => return Err(self.unsupported_token(id)),
            _ => {
                return Err(Error::unsupported(match around {
                    Around::Clause => "WHERE clause must contain an expression that resolves to a boolean",
                    Around::Junction(_) => "The arguments to AND/OR must be Expressions",
                    Around::Not => "The argument to NOT must be a Type or Expression",
                }));
            }
        }
        Ok(())
    }

    fn size_as_condition(&self, around: Around) -> Error {
        match around {
            Around::Clause => Error::unsupported("WHERE clause must contain an expression that resolves to a boolean"),
            Around::Junction(Operator::Or) => Error::of_problem(Problem::OperandType("OR", AttributeType::N)),
            Around::Junction(_) => Error::of_problem(Problem::OperandType("AND", AttributeType::N)),
            Around::Not => Error::of_problem(Problem::OperandType("NOT", AttributeType::N)),
        }
    }

    /// Lowers a comparison; a condition may be compared with TRUE and FALSE.
    fn comparison(&mut self, comparator: Comparator, left: Id, right: Id) -> Result<(), Error> {
        if let Comparator::Equal | Comparator::NotEqual = comparator {
            for (condition, other) in [(left, right), (right, left)] {
                if let (true, Node::Bool(truth)) = (self.is_condition(condition), self.values.tree.node(other)) {
                    let start = self.steps;
                    self.condition(condition, Around::Not)?;
                    if *truth != (comparator == Comparator::Equal) {
                        self.test(Lowered::Not { start });
                    }
                    return Ok(());
                }
            }
        }
        self.operand(left)?;
        self.operand(right)?;
        self.test(Lowered::Compare(comparator));
        Ok(())
    }

    fn is_condition(&self, id: Id) -> bool {
        match self.values.tree.node(id) {
            Node::Unary(operator, _) => *operator == Operator::Not,
            Node::Binary(Operator::And | Operator::Or | Operator::In, ..) | Node::Between(..) | Node::Is(..) => true,
            Node::Binary(operator, ..) => comparator(*operator).is_some(),
            Node::Call(name, _) => function(name).is_some_and(|function| function != Function::Size),
            _ => false,
        }
    }

    fn membership(&mut self, left: Id, right: Id) -> Result<(), Error> {
        let tree = self.values.tree;
        let is_operand = matches!(tree.node(left), Node::Name(_) | Node::Path(..) | Node::Call(..));
        let (Node::List(elements) | Node::Bag(elements), true) = (tree.node(right), is_operand) else {
            return Err(no_membership());
        };
        if elements.is_empty() {
            return Err(no_membership());
        }
        self.operand(left)?;
        self.operands(elements)?;
        self.test(Lowered::In(elements.len()));
        Ok(())
    }

    fn is(&mut self, operand: Id, type_name: &str, id: Id) -> Result<(), Error> {
        let wanted = match type_name {
            "missing" => {
                self.operand(operand)?;
                self.test(Lowered::Call(Function::AttributeNotExists, 1));
                return Ok(());
            }
            "null" => AttributeType::Null,
            "boolean" => AttributeType::Bool,
            "blob" => AttributeType::B,
            "string" => AttributeType::S,
            "numeric" => AttributeType::N,
            "struct" | "tuple" => AttributeType::M,
            "list" => AttributeType::L,
            other => {
                let message = format!(
                    "Unsupported data type for IS operator: {}. Supported data types are [MISSING, NULL, BOOLEAN, BLOB, \
                     STRING, NUMERIC, STRUCT, TUPLE, LIST]",
                    other.to_ascii_uppercase()
                );
                return Err(Error::unsupported_at(message, self.values.tree.span(id)));
            }
        };
        self.operand(operand)?;
        self.add_value(AttributeValue::S(wanted.name().to_owned()));
        self.test(Lowered::Call(Function::AttributeType, 2));
        Ok(())
    }

    fn operands(&mut self, operands: &[Id]) -> Result<(), Error> {
        operands.iter().try_for_each(|operand| self.operand(*operand))
    }

    fn operand(&mut self, id: Id) -> Result<(), Error> {
        let tree = self.values.tree;
        if let Some(path) = paths::path(tree, id)? {
            self.add_path(path);
            return Ok(());
        }
        if self.values.is_value(id) {
            let value = self.values.value(id)?;
            self.add_value(value);
            return Ok(());
        }
        match tree.node(id) {
            Node::Call(name, operands) => match function(name) {
                Some(Function::Size) => {
                    self.operators += 1;
                    if let [only] = operands.as_slice()
                        && matches!(tree.node(*only), Node::Call(name, _) if function(name) == Some(Function::Size))
                    {
                        return Err(Error::of_problem(Problem::OperandType("size", AttributeType::N)));
                    }
                    self.operands(operands)?;
                    self.nodes.push(Lowered::Call(Function::Size, operands.len()));
                    Ok(())
                }
                Some(function) => Err(Error::of_problem(Problem::MisusedFunction(function.name()))),
                None => Err(self.unknown_function(name, id)),
            },
            Node::Missing => Err(Error::unsupported("MISSING must be compared using IS operator")),
            Node::Unary(operator, _) | Node::Binary(operator, ..) => Err(unsupported_operator(*operator)),
            Node::Between(..) => Err(unsupported_operator(Operator::Between)),
            Node::Is(..) => Err(unsupported_operator(Operator::Is)),
            Node::Aggregate(name) => Err(self.unknown_function(name, id)),
            _ => Err(self.unsupported_token(id)),
        }
    }

    fn add_path(&mut self, path: PathTemplate) {
        self.paths.push(path);
        self.nodes.push(Lowered::Path(self.paths.len() - 1));
    }

    fn add_value(&mut self, value: AttributeValue) {
        self.bound.push(value);
        self.nodes.push(Lowered::Value(self.bound.len() - 1));
    }

    fn unknown_function(&self, name: &str, id: Id) -> Error {
        Error::unsupported_at(format!("Unrecognized function: {name}"), self.values.tree.span(id))
    }

    fn unsupported_token(&self, id: Id) -> Error {
        let what = match self.values.tree.node(id) {
            Node::Cast => "cast",
            Node::Case => "CASE",
            Node::Select(_) => "SELECT",
            other => super::literal::node_name(other),
        };
        Error::unsupported_at(format!("Unsupported token in expression: {what}"), self.values.tree.span(id))
    }
}

fn no_membership() -> Error {
    Error::unsupported(
        "IN operator must have a left hand argument of type Variable Reference and right hand argument of type Seq with \
         at least one member",
    )
}

fn unsupported_operator(operator: Operator) -> Error {
    Error::unsupported(format!("Unsupported operator in Condition Expression. Operator: {}", operator.text()))
}

/// The comparison that an operator is.
pub(super) const fn comparator(operator: Operator) -> Option<Comparator> {
    Some(match operator {
        Operator::Equal => Comparator::Equal,
        Operator::NotEqual => Comparator::NotEqual,
        Operator::Less => Comparator::Less,
        Operator::LessOrEqual => Comparator::LessOrEqual,
        Operator::Greater => Comparator::Greater,
        Operator::GreaterOrEqual => Comparator::GreaterOrEqual,
        _ => return None,
    })
}

/// The function of conditions that has this name, which is in lower case.
fn function(name: &str) -> Option<Function> {
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

/// Bindings of values to placeholders made for them, and the placeholders in the order of the values.
pub(super) fn bindings(values: Vec<AttributeValue>) -> Result<(Vec<Box<str>>, Bindings), Error> {
    let names: Vec<Box<str>> = (0..values.len()).map(|at| format!(":{at}").into()).collect();
    let values: Vec<_> = names.iter().map(|name| name.to_string()).zip(values).collect();
    let bindings = if values.is_empty() { Bindings::none() } else { Bindings::new(None, Some(values))? };
    Ok((names, bindings))
}
