//! Binding of conditions: placeholders are replaced, and operands held against the rules of their operators.
//!
//! Errors come in the order in which the nodes stand in postfix order, which is DynamoDB's.

use std::cmp::Ordering;
use std::sync::Arc;

use partita_model::{AttributeType, AttributeValue};

use super::{Condition, Operand, Step};
use crate::bindings::Bindings;
use crate::error::{Bound, Problem};
use crate::parse::{Function, MAX_IN_OPERANDS, Node, ParsedCondition};
use crate::path::Path;
use crate::token::Comparator;

pub(super) fn bind(parsed: &ParsedCondition, bindings: &mut Bindings) -> Result<Condition, Problem> {
    let literal_paths = parsed.literal_paths.clone();
    let steps = Vec::with_capacity(parsed.nodes.len() / 2);
    let mut binder =
        Binder { bindings, paths: Vec::new(), literal_paths, stack: Vec::new(), steps, operands: Vec::new() };
    for node in &parsed.nodes {
        match *node {
            Node::Path(at) => {
                if binder.literal_paths.is_none()
                    && let Some(template) = parsed.paths.get(at)
                {
                    binder.paths.push(template.bind(binder.bindings)?);
                }
                binder.stack.push(Operand::Path(at));
            }
            Node::Value(at) => {
                let placeholder = parsed.values.get(at).map_or("", AsRef::as_ref);
                let value = binder.bindings.value(placeholder)?;
                binder.stack.push(Operand::Value(value));
            }
            Node::Call(function, count) => binder.call(function, count)?,
            Node::Compare(comparator) => binder.comparison(comparator)?,
            Node::Between => binder.between()?,
            Node::In(count) => binder.membership(count)?,
            Node::Not { start } => binder.steps.push(Step::Not { start }),
            Node::Jump { when, start, target } => binder.steps.push(Step::Jump { when, start, target }),
            Node::Plus | Node::Minus => {}
        }
    }
    let values = Arc::clone(binder.bindings.values());
    Ok(Condition {
        steps: binder.steps,
        operands: binder.operands,
        paths: binder.literal_paths.unwrap_or_else(|| binder.paths.into()),
        values,
        label: "Filter Expression",
    })
}

struct Binder<'b> {
    bindings: &'b mut Bindings,
    /// The paths of the condition; all of them from the start when the text has no `#` placeholder.
    paths: Vec<Path>,
    literal_paths: Option<Arc<[Path]>>,
    /// The operands that no step has taken yet.
    stack: Vec<Operand>,
    steps: Vec<Step>,
    operands: Vec<Operand>,
}

impl Binder<'_> {
    fn call(&mut self, function: Function, count: usize) -> Result<(), Problem> {
        let name = function.name();
        if count != function.operands() {
            return Err(Problem::OperandCount(name, count));
        }
        let second = if count == 2 { self.stack.pop() } else { None };
        let Some(first) = self.stack.pop() else { return Ok(()) };
        if let Some(second) = second {
            self.check_distinct(name, first, &[second])?;
        }
        let step = match (function, second) {
            (Function::Size, _) => {
                self.check_types(name, &[first], |of| {
                    !matches!(of, AttributeType::N | AttributeType::Bool | AttributeType::Null)
                })?;
                match first {
                    Operand::Path(at) => self.stack.push(Operand::SizeOfPath(at)),
                    Operand::Value(at) => self.stack.push(Operand::SizeOfValue(at)),
                    Operand::SizeOfPath(_) | Operand::SizeOfValue(_) => {}
                }
                return Ok(());
            }
            (Function::AttributeExists | Function::AttributeNotExists, _) if !matches!(first, Operand::Path(_)) => {
                return Err(Problem::PathRequired(name));
            }
            (Function::AttributeExists, _) => Step::Exists(first),
            (Function::AttributeNotExists, _) => Step::NotExists(first),
            (Function::AttributeType, Some(second)) => Step::Type(first, self.type_name(second)?),
            (Function::BeginsWith, Some(second)) => {
                self.check_types(name, &[first, second], |of| matches!(of, AttributeType::S | AttributeType::B))?;
                Step::BeginsWith(first, second)
            }
            (Function::Contains, Some(second)) => Step::Contains(first, second),
            _ => return Ok(()),
        };
        self.steps.push(step);
        Ok(())
    }

    fn type_name(&self, operand: Operand) -> Result<AttributeType, Problem> {
        match self.literal(operand) {
            Some(AttributeValue::S(name)) => {
                AttributeType::from_name(name).ok_or_else(|| Problem::TypeName(name.clone()))
            }
            _ => Err(match self.operand_type(operand) {
                Some(of) => Problem::OperandType(Function::AttributeType.name(), of),
                None => Problem::TypeNameIsPath,
            }),
        }
    }

    fn comparison(&mut self, comparator: Comparator) -> Result<(), Problem> {
        let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) else { return Ok(()) };
        self.check_distinct(comparator.text(), left, &[right])?;
        if !matches!(comparator, Comparator::Equal | Comparator::NotEqual) {
            self.check_types(comparator.text(), &[left, right], is_ordered)?;
        }
        self.steps.push(Step::Compare(comparator, left, right));
        Ok(())
    }

    fn between(&mut self) -> Result<(), Problem> {
        let (Some(high), Some(low), Some(operand)) = (self.stack.pop(), self.stack.pop(), self.stack.pop()) else {
            return Ok(());
        };
        self.check_distinct("BETWEEN", operand, &[low, high])?;
        self.check_types("BETWEEN", &[operand, low, high], is_ordered)?;
        if let (Some(low), Some(high)) = (self.literal(low), self.literal(high)) {
            let bounds = || (Bound::of(low), Bound::of(high));
            match low.compare(high) {
                None => {
                    let (low, high) = bounds();
                    return Err(Problem::BoundTypes(low, high));
                }
                Some(Ordering::Greater) => {
                    let (low, high) = bounds();
                    return Err(Problem::BoundOrder(low, high));
                }
                Some(_) => {}
            }
        }
        self.steps.push(Step::Between(operand, low, high));
        Ok(())
    }

    fn membership(&mut self, count: usize) -> Result<(), Problem> {
        if count > MAX_IN_OPERANDS {
            return Err(Problem::InOperands(count));
        }
        let candidates = self.stack.split_off(self.stack.len().saturating_sub(count));
        let Some(operand) = self.stack.pop() else { return Ok(()) };
        self.check_distinct("IN", operand, &candidates)?;
        let first = self.operands.len();
        self.operands.extend(candidates);
        self.steps.push(Step::In { operand, first, count });
        Ok(())
    }

    fn check_distinct(&self, name: &'static str, first: Operand, rest: &[Operand]) -> Result<(), Problem> {
        let Some(path) = self.path(first) else { return Ok(()) };
        if rest.iter().any(|operand| self.path(*operand) == Some(path)) {
            return Err(Problem::NotDistinct(name, path.clone()));
        }
        Ok(())
    }

    fn check_types(
        &self,
        name: &'static str,
        operands: &[Operand],
        is_allowed: impl Fn(AttributeType) -> bool,
    ) -> Result<(), Problem> {
        let refused = operands.iter().filter_map(|operand| self.operand_type(*operand)).find(|of| !is_allowed(*of));
        refused.map_or(Ok(()), |of| Err(Problem::OperandType(name, of)))
    }

    fn path(&self, operand: Operand) -> Option<&Path> {
        match operand {
            Operand::Path(at) => match &self.literal_paths {
                Some(paths) => paths.get(at),
                None => self.paths.get(at),
            },
            _ => None,
        }
    }

    fn literal(&self, operand: Operand) -> Option<&AttributeValue> {
        match operand {
            Operand::Value(at) => self.bindings.values().get(at),
            _ => None,
        }
    }

    /// The type of an operand as far as it is known without an item.
    fn operand_type(&self, operand: Operand) -> Option<AttributeType> {
        match operand {
            Operand::Path(_) => None,
            Operand::Value(_) => self.literal(operand).map(AttributeValue::attribute_type),
            Operand::SizeOfPath(_) | Operand::SizeOfValue(_) => Some(AttributeType::N),
        }
    }
}

const fn is_ordered(of: AttributeType) -> bool {
    matches!(of, AttributeType::S | AttributeType::N | AttributeType::B)
}
