//! Values: literals as they stand in a statement, and parameters.
//!
//! A parameter stands for a whole value; inside a list, set or map of the statement it has no place.

use partita_model::value::{MAX_NESTING_DEPTH, Set};
use partita_model::{AttributeMap, AttributeValue, Number};

use super::error::Error;
use super::tree::{Id, Node, Tree};

const NO_BAG: &str = "Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags";

/// A statement's tree and the parameters for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'v> {
    pub(super) tree: &'v Tree,
    pub(super) parameters: &'v [AttributeValue],
}

impl Values<'_> {
    /// Whether the node is a literal or a parameter.
    pub(super) fn is_value(&self, id: Id) -> bool {
        matches!(
            self.tree.node(id),
            Node::String(_)
                | Node::Number { .. }
                | Node::Bool(_)
                | Node::Null
                | Node::Ion(_)
                | Node::Parameter(_)
                | Node::List(_)
                | Node::Bag(_)
                | Node::Struct(_)
        )
    }

    /// The value that a node stands for.
    pub(super) fn value(&self, id: Id) -> Result<AttributeValue, Error> {
        match self.tree.node(id) {
            Node::Parameter(at) => self.parameters.get(*at).cloned().ok_or(Error::ParameterCount),
            _ => self.inner(id, "root", 0),
        }
    }

    fn inner(&self, id: Id, path: &str, depth: usize) -> Result<AttributeValue, Error> {
        if depth >= MAX_NESTING_DEPTH {
            return Err(Error::TooDeep);
        }
        Ok(match self.tree.node(id) {
            Node::String(text) => AttributeValue::S(text.to_string()),
            Node::Number { text, negative } => AttributeValue::N(number(text, *negative, path)?),
            Node::Bool(truth) => AttributeValue::Bool(*truth),
            Node::Null => AttributeValue::Null,
            Node::List(elements) => AttributeValue::L(
                elements
                    .iter()
                    .enumerate()
                    .map(|(at, element)| self.inner(*element, &format!("{path}[{at}]"), depth + 1))
                    .collect::<Result<_, _>>()?,
            ),
            Node::Bag(elements) => self.set(elements, path)?,
            Node::Struct(fields) => AttributeValue::M(
                self.map(fields, path, |value, name| self.inner(value, &format!("{path}.{name}"), depth + 1))?,
            ),
            Node::Ion(text) => {
                let message = format!("Ion Literals are not supported: {} under key {path}", ion_type(text));
                return Err(Error::unsupported_at(message, self.tree.span(id)));
            }
            Node::Path(..) => {
                let what = if depth == 0 { "PATH" } else { "Path" };
                return Err(Error::unsupported(format!("Unsupported data type: {what} under key {path}")));
            }
            node => {
                let what = if depth == 0 { surface_name(node) } else { node_name(node) };
                let message = format!("Unsupported data type: {what} under key {path}");
                return Err(Error::unsupported_at(message, self.tree.span(id)));
            }
        })
    }

    /// The attributes of a map literal; `value` reads the value under a name.
    pub(super) fn map(
        &self,
        fields: &[(Id, Id)],
        path: &str,
        mut value: impl FnMut(Id, &str) -> Result<AttributeValue, Error>,
    ) -> Result<AttributeMap, Error> {
        let mut map = AttributeMap::new();
        for (key, id) in fields {
            let name = match self.tree.node(*key) {
                Node::String(name) => name,
                other => {
                    let message = format!(
                        "Tuple keys must be of type String. Actual type: {} under {path}",
                        key_type_name(other)
                    );
                    return Err(Error::unsupported_at(message, self.tree.span(*key)));
                }
            };
            if map.contains(name) {
                let message = format!("Duplicate keys in tuple. Key: {name} under {path}");
                return Err(Error::unsupported_at(message, self.tree.span(*key)));
            }
            map.insert(name.as_ref(), value(*id, name)?);
        }
        Ok(map)
    }

    fn set(&self, elements: &[Id], path: &str) -> Result<AttributeValue, Error> {
        let mut strings = Vec::new();
        let mut numbers = Vec::new();
        for element in elements {
            match self.tree.node(*element) {
                Node::String(text) => strings.push(text.to_string()),
                Node::Number { text, negative } => numbers.push(number(text, *negative, path)?),
                _ => return Err(Error::unsupported_at(NO_BAG, self.tree.span(*element))),
            }
        }
        match (strings.is_empty(), numbers.is_empty()) {
            (true, true) => Err(Error::unsupported("Empty bags are not supported")),
            (false, false) => Err(Error::unsupported(NO_BAG)),
            (false, true) => {
                let listed = strings.join(", ");
                Ok(AttributeValue::Ss(Set::new(strings).map_err(|_| duplicates(&listed))?))
            }
            (true, false) => {
                let listed = numbers.iter().map(Number::to_string).collect::<Vec<_>>().join(", ");
                Ok(AttributeValue::Ns(Set::new(numbers).map_err(|_| duplicates(&listed))?))
            }
        }
    }
}

fn duplicates(listed: &str) -> Error {
    Error::unsupported(format!(
        "One or more parameter values were invalid: Input collection [{listed}] contains duplicates."
    ))
}

fn number(text: &str, negative: bool, path: &str) -> Result<Number, Error> {
    let number = Number::parse(text).map_err(|error| Error::Number(error, path.to_owned()))?;
    Ok(if negative { number.negated() } else { number })
}

/// What messages call a node that is no value, where it stands for a whole value.
fn surface_name(node: &Node) -> &str {
    match node {
        Node::Name(name) | Node::Call(name, _) | Node::Aggregate(name) => name,
        Node::Unary(operator, _) | Node::Binary(operator, ..) => operator.text(),
        Node::Between(..) => "between",
        Node::Is(..) => "is",
        Node::Missing => "MISSING",
        Node::Case => "CASE",
        Node::Cast => "cast",
        Node::Select(_) => "SELECT",
        other => node_name(other),
    }
}

/// The same inside a list or map: the kind of the node.
pub(super) fn node_name(node: &Node) -> &'static str {
    match node {
        Node::Name(_) => "VariableReference",
        Node::Unary(..) | Node::Binary(..) | Node::Between(..) | Node::Call(..) => "NAry",
        Node::Is(..) | Node::Cast => "Typed",
        Node::Missing => "LiteralMissing",
        Node::Case => "SearchedCase",
        Node::Select(_) => "Select",
        Node::Aggregate(_) => "CallAgg",
        Node::Parameter(_) => "Parameter",
        Node::Path(..) => "Path",
        Node::Dml(_) => "DataManipulation",
        Node::Other(name) => name,
        Node::String(_) | Node::Number { .. } | Node::Bool(_) | Node::Null | Node::Ion(_) => "Literal",
        Node::List(_) | Node::Bag(_) => "Seq",
        Node::Struct(_) => "Struct",
    }
}

fn key_type_name(node: &Node) -> &'static str {
    match node {
        Node::Number { text, .. } if text.contains(['.', 'e', 'E']) => "DECIMAL",
        Node::Number { .. } => "INT",
        Node::Bool(_) => "BOOL",
        Node::Null => "NULL",
        Node::Ion(text) => ion_type(text),
        other => node_name(other),
    }
}

/// The type of an Ion literal, by its first characters: enough for a message.
fn ion_type(text: &str) -> &'static str {
    let text = text.trim_start();
    let first = text.chars().next().unwrap_or_default();
    let is_number = first.is_ascii_digit() || first == '-';
    match first {
        _ if is_number && text.contains(['e', 'E']) && !text.contains(':') => "FLOAT",
        _ if is_number && (text.contains('T') || text.contains(':')) => "TIMESTAMP",
        _ if is_number && text.contains(['.', 'd', 'D']) => "DECIMAL",
        _ if is_number => "INT",
        '"' => "STRING",
        '[' => "LIST",
        '(' => "SEXP",
        '{' if text.starts_with("{{") => "BLOB",
        '{' => "STRUCT",
        _ if text.starts_with("true") || text.starts_with("false") => "BOOL",
        _ if text.starts_with("null") => "NULL",
        _ => "SYMBOL",
    }
}
