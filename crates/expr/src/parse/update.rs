//! The parser of update expressions.

use std::sync::Arc;

use super::{Function, Node, Operand, Reader};
use crate::bindings::Bindings;
use crate::error::{Error, Kind, Problem};
use crate::path::{Path, PathTemplate, bind_disjoint};
use crate::token::{Comparator, Section, TokenKind};

/// A parsed update: free of any request's names and values, so that it can be shared.
#[derive(Debug)]
pub struct ParsedUpdate {
    pub(crate) actions: Vec<ParsedAction>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) paths: Vec<PathTemplate>,
    pub(crate) values: Vec<Box<str>>,
    /// The paths that are written, one per action, when they have no placeholders and do not clash.
    pub(crate) literal_targets: Option<Arc<[Path]>>,
}

/// One change of one path.
#[derive(Debug)]
pub(crate) struct ParsedAction {
    pub(crate) section: Section,
    /// The path that is written, by its place among the paths.
    pub(crate) target: usize,
    /// The nodes of the right-hand side, from the end of those of the action before to this place.
    pub(crate) nodes_end: usize,
}

impl ParsedUpdate {
    /// Parses the text of an `UpdateExpression`.
    ///
    /// # Errors
    /// When the text breaks a rule that needs no names or values to be seen.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|problem| problem.of(Kind::Update))
    }

    /// The paths that are written, one per action.
    pub(crate) fn targets(&self) -> Vec<&PathTemplate> {
        targets(&self.actions, &self.paths)
    }

    /// About how many bytes the parsed form keeps.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>()
            + self.actions.len() * size_of::<ParsedAction>()
            + self.nodes.len() * size_of::<Node>()
            + self.paths.len() * 192
            + self.values.len() * 32
    }
}

fn targets<'p>(actions: &[ParsedAction], paths: &'p [PathTemplate]) -> Vec<&'p PathTemplate> {
    actions.iter().filter_map(|action| paths.get(action.target)).collect()
}

fn parse(text: &str) -> Result<ParsedUpdate, Problem> {
    let mut reader = Reader::of(text)?;
    let mut actions = Vec::new();
    let mut seen = Vec::new();
    let mut twice = None;
    loop {
        let TokenKind::Section(section) = reader.tokens.peek() else { return Err(reader.tokens.unexpected()) };
        reader.tokens.take();
        if seen.contains(&section) {
            twice.get_or_insert(Problem::SectionTwice(section.text()));
        } else {
            seen.push(section);
        }
        loop {
            let target = reader.path()?;
            match section {
                Section::Set => {
                    reader.tokens.expect(TokenKind::Comparator(Comparator::Equal))?;
                    right_hand_side(&mut reader)?;
                }
                Section::Remove => {}
                Section::Add | Section::Delete => {
                    let value = reader.value()?;
                    reader.nodes.push(Node::Value(value));
                }
            }
            actions.push(ParsedAction { section, target, nodes_end: reader.nodes.len() });
            if !reader.tokens.take_if(TokenKind::Comma) {
                break;
            }
        }
        if reader.tokens.take_if(TokenKind::End) {
            break;
        }
    }
    reader.check(
        |function, as_operand| match function {
            Function::IfNotExists => None,
            Function::ListAppend if as_operand => Some(Problem::MisusedFunction(function.name())),
            Function::ListAppend => None,
            _ => Some(Problem::NotInUpdate(function.name())),
        },
        twice,
    )?;
    let targets = targets(&actions, &reader.paths);
    let literal_targets = if targets.iter().all(|path| path.literal().is_some()) {
        Some(bind_disjoint(&targets, &mut Bindings::none())?.into())
    } else {
        None
    };
    Ok(ParsedUpdate { actions, nodes: reader.nodes, paths: reader.paths, values: reader.values, literal_targets })
}

/// Reads what SET sets a path to: an operand, or a sum or difference of two, each also in parentheses.
fn right_hand_side(reader: &mut Reader<'_>) -> Result<(), Problem> {
    let mut open = 0usize;
    while reader.tokens.take_if(TokenKind::Open) {
        open += 1;
    }
    let mut operand = reader.operand(false)?;
    let mut is_sum = false;
    loop {
        if open == 0 {
            reader.check_parentheses()?;
        }
        match reader.tokens.peek() {
            TokenKind::Close if open > 0 => {
                reader.tokens.take();
                open -= 1;
                operand = reader.close(operand);
            }
            kind @ (TokenKind::Plus | TokenKind::Minus) if !is_sum => {
                reader.check_parentheses()?;
                reader.is_operand(operand);
                reader.tokens.take();
                reader.operators += 1;
                reader.operand(true)?;
                reader.nodes.push(if kind == TokenKind::Plus { Node::Plus } else { Node::Minus });
                operand = Operand::default();
                is_sum = true;
            }
            _ if open > 0 => return Err(reader.tokens.unexpected()),
            _ => return Ok(()),
        }
    }
}
