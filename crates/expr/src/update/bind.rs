//! Binding of updates: placeholders are replaced, and operands held against the rules of their operators and sections.

use std::sync::Arc;

use partita_model::{AttributeType, AttributeValue};

use super::{Action, Expression, Operand, Update};
use crate::bindings::Bindings;
use crate::error::Problem;
use crate::parse::{Function, Node, ParsedAction, ParsedUpdate};
use crate::path::{Path, bind_disjoint};
use crate::token::Section;

pub(super) fn bind(parsed: &ParsedUpdate, bindings: &mut Bindings) -> Result<Update, Problem> {
    let targets = match &parsed.literal_targets {
        Some(targets) => Arc::clone(targets),
        None => bind_disjoint(&parsed.targets(), bindings)?.into(),
    };
    let mut binder = Binder { parsed, bindings, operands: Vec::new(), sources: Vec::new(), stack: Vec::new() };
    let mut actions = Vec::with_capacity(parsed.actions.len());
    // From the last action to the first, as DynamoDB does: that decides which error is named.
    for (at, action) in parsed.actions.iter().enumerate().rev() {
        let start =
            at.checked_sub(1).and_then(|before| parsed.actions.get(before)).map_or(0, |before| before.nodes_end);
        actions.push(binder.action(action, parsed.nodes.get(start..action.nodes_end).unwrap_or_default())?);
    }
    actions.reverse();
    let values = Arc::clone(binder.bindings.values());
    let (operands, sources) = (binder.operands, binder.sources);
    Ok(Update { actions, targets, operands, sources, values, is_legacy: false })
}

struct Binder<'b> {
    parsed: &'b ParsedUpdate,
    bindings: &'b mut Bindings,
    operands: Vec<Operand>,
    sources: Vec<Path>,
    stack: Vec<Operand>,
}

impl Binder<'_> {
    fn action(&mut self, action: &ParsedAction, nodes: &[Node]) -> Result<Action, Problem> {
        let name = action.section.text();
        match action.section {
            Section::Remove => Ok(Action::Remove),
            Section::Set => self.expression(nodes).map(Action::Set),
            Section::Add => {
                let value = self.section_value(nodes, name, |of| of == AttributeType::N || of.is_set())?;
                Ok(Action::Add(value))
            }
            Section::Delete => self.section_value(nodes, name, AttributeType::is_set).map(Action::Delete),
        }
    }

    /// The value of an ADD or DELETE.
    fn section_value(
        &mut self,
        nodes: &[Node],
        name: &'static str,
        is_allowed: impl Fn(AttributeType) -> bool,
    ) -> Result<usize, Problem> {
        let at = match nodes {
            [Node::Value(at)] => self.value(*at)?,
            _ => 0,
        };
        match self.bindings.values().get(at).map(AttributeValue::attribute_type) {
            Some(of) if !is_allowed(of) => Err(Problem::SectionOperandType(name, of)),
            _ => Ok(at),
        }
    }

    fn value(&mut self, at: usize) -> Result<usize, Problem> {
        self.bindings.value(self.parsed.values.get(at).map_or("", AsRef::as_ref))
    }

    fn expression(&mut self, nodes: &[Node]) -> Result<Expression, Problem> {
        self.stack.clear();
        let mut whole = None;
        for node in nodes {
            match *node {
                Node::Path(at) => {
                    if let Some(template) = self.parsed.paths.get(at) {
                        let path = template.bind(self.bindings)?;
                        self.sources.push(path);
                        self.stack.push(Operand::Source(self.sources.len() - 1));
                    }
                }
                Node::Value(at) => {
                    let value = self.value(at)?;
                    self.stack.push(Operand::Value(value));
                }
                Node::Call(function, count) => {
                    if count != function.operands() {
                        return Err(Problem::OperandCount(function.name(), count));
                    }
                    let Some((first, second)) = self.pop_two() else { continue };
                    match function {
                        Function::ListAppend => {
                            self.check_types(function.name(), [first, second], AttributeType::L)?;
                            whole = Some(Expression::Append(first, second));
                        }
                        _ => {
                            let operand = self.if_not_exists(first, second)?;
                            self.stack.push(operand);
                        }
                    }
                }
                Node::Plus | Node::Minus => {
                    let Some((left, right)) = self.pop_two() else { continue };
                    let is_plus = *node == Node::Plus;
                    self.check_types(if is_plus { "+" } else { "-" }, [left, right], AttributeType::N)?;
                    whole = Some(if is_plus { Expression::Plus(left, right) } else { Expression::Minus(left, right) });
                }
                _ => {}
            }
        }
        // A parsed right-hand side always leaves something.
        let operand = self.stack.last().copied().map(Expression::Operand);
        Ok(whole.or(operand).unwrap_or(Expression::Operand(Operand::Value(usize::MAX))))
    }

    fn pop_two(&mut self) -> Option<(Operand, Operand)> {
        let second = self.stack.pop()?;
        Some((self.stack.pop()?, second))
    }

    fn if_not_exists(&mut self, first: Operand, second: Operand) -> Result<Operand, Problem> {
        let name = Function::IfNotExists.name();
        let Operand::Source(source) = first else { return Err(Problem::PathRequired(name)) };
        if let (Some(path), Some(other)) = (self.sources.get(source), self.source(second))
            && path == other
        {
            return Err(Problem::NotDistinct(name, path.clone()));
        }
        self.operands.push(second);
        Ok(Operand::IfNotExists { source, otherwise: self.operands.len() - 1 })
    }

    fn source(&self, operand: Operand) -> Option<&Path> {
        match operand {
            Operand::Source(at) => self.sources.get(at),
            _ => None,
        }
    }

    fn check_types(&self, name: &'static str, operands: [Operand; 2], wanted: AttributeType) -> Result<(), Problem> {
        for operand in operands {
            let Operand::Value(at) = operand else { continue };
            match self.bindings.values().get(at).map(AttributeValue::attribute_type) {
                Some(of) if of != wanted => return Err(Problem::OperandType(name, of)),
                _ => {}
            }
        }
        Ok(())
    }
}
