//! Document paths in statements: a name and what follows it after dots and in brackets.

use std::sync::Arc;

use super::error::Error;
use super::tree::{Id, Node, Step, Tree};
use crate::path::{MAX_INDEX, PathTemplate, TemplateElement, TemplateName};

/// The path that a node is; `None` when it is none at all.
pub(super) fn path(tree: &Tree, id: Id) -> Result<Option<PathTemplate>, Error> {
    match tree.node(id) {
        Node::Name(name) => Ok(Some(PathTemplate { root: literal(name)?, rest: Vec::new() })),
        Node::Path(root, steps) => {
            let Node::Name(name) = tree.node(*root) else {
                return Err(unexpected(tree, *root));
            };
            let rest = steps.iter().map(|step| element(tree, step)).collect::<Result<_, _>>()?;
            Ok(Some(PathTemplate { root: literal(name)?, rest }))
        }
        _ => Ok(None),
    }
}

/// The refusal of a node where a path belongs.
pub(super) fn unexpected(tree: &Tree, id: Id) -> Error {
    Error::unsupported_at("Unexpected path component", tree.span(id))
}

fn element(tree: &Tree, step: &Step) -> Result<TemplateElement, Error> {
    let id = match step {
        Step::Name(name) => return Ok(TemplateElement::Name(literal(name)?)),
        Step::Unpivot | Step::Wildcard => {
            return Err(Error::unsupported("Changing item's hierarchy while reading isn't supported"));
        }
        Step::Bracket(id) => *id,
    };
    match tree.node(id) {
        Node::String(name) | Node::Name(name) => Ok(TemplateElement::Name(literal(name)?)),
        Node::Number { text, negative } if !text.contains(['.', 'e', 'E']) => {
            let sign = if *negative { "-" } else { "" };
            let index = text.parse().ok().filter(|index| *index <= MAX_INDEX && (!*negative || *index == 0));
            index.map(TemplateElement::Index).ok_or_else(|| {
                let message = format!("List index is not within the allowable range; index: [{sign}{text}]");
                Error::unsupported_at(message, tree.span(id))
            })
        }
        _ => Err(unexpected(tree, id)),
    }
}

fn literal(name: &str) -> Result<TemplateName, Error> {
    if name.is_empty() {
        return Err(Error::unsupported("Path component cannot be an empty string"));
    }
    Ok(TemplateName::Literal(Arc::from(name)))
}

/// The name under which a SELECT returns what the path leads to: its last name, with the indexes that follow.
pub(super) fn returned_name(path: &PathTemplate) -> String {
    let name = |name: &TemplateName| match name {
        TemplateName::Literal(name) => name.to_string(),
        TemplateName::Placeholder(placeholder) => placeholder.to_string(),
    };
    let mut returned = name(&path.root);
    for element in &path.rest {
        match element {
            TemplateElement::Name(next) => returned = name(next),
            TemplateElement::Index(index) => returned.push_str(&format!("[{index}]")),
        }
    }
    returned
}
