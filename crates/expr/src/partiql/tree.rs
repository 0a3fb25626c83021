//! The tree of a parsed statement: nodes in one vector that refer to each other by place, so that dropping and copying
//! a deep tree does not recurse.

use super::lexer::Span;
use super::words::Operator;

/// The place of a node in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(usize);

/// The nodes of a statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<(Node, Span)>,
}

impl Tree {
    pub(super) fn add(&mut self, node: Node, span: Span) -> Id {
        self.nodes.push((node, span));
        Id(self.nodes.len() - 1)
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        self.nodes.get(id.0).map_or(&Node::Missing, |(node, _)| node)
    }

    pub(super) fn node_mut(&mut self, id: Id) -> Option<&mut Node> {
        self.nodes.get_mut(id.0).map(|(node, _)| node)
    }

    /// The place of the token that stands for the node: an operator, a function's name, a literal.
    pub(super) fn span(&self, id: Id) -> Span {
        self.nodes.get(id.0).map_or_else(Span::default, |(_, span)| *span)
    }
}

/// A piece of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    String(Box<str>),
    Number {
        text: Box<str>,
        negative: bool,
    },
    Bool(bool),
    Null,
    Missing,
    /// An Ion literal.
    Ion(Box<str>),
    /// The parameter with this number, from 0.
    Parameter(usize),
    Name(Box<str>),
    Path(Id, Vec<Step>),
    /// NOT, or a sign before something that is no number.
    Unary(Operator, Id),
    Binary(Operator, Id, Id),
    Between(Id, Id, Id),
    /// IS with the name of a type.
    Is(Id, &'static str),
    /// A call of a function, its name in lower case.
    Call(Box<str>, Vec<Id>),
    /// A call of a function of rows.
    Aggregate(Box<str>),
    List(Vec<Id>),
    Bag(Vec<Id>),
    Struct(Vec<(Id, Id)>),
    Select(Box<SelectNode>),
    Dml(Box<Dml>),
    Case,
    Cast,
    /// Another statement, by the name that messages give it.
    Other(&'static str),
}

/// A step of a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Name(Box<str>),
    /// Something in brackets.
    Bracket(Id),
    /// `.*`
    Unpivot,
    /// `[*]`
    Wildcard,
}

/// A SELECT.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SelectNode {
    pub(super) distinct: bool,
    pub(super) projection: ProjectionNode,
    pub(super) from: From,
    pub(super) condition: Option<Id>,
    pub(super) order: Option<Vec<Sort>>,
    pub(super) group: bool,
    pub(super) having: Option<Span>,
    pub(super) limit: Option<Span>,
}

/// What a SELECT returns.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ProjectionNode {
    /// `*`
    All,
    List(Vec<Item>),
    /// SELECT VALUE or PIVOT.
    Value,
}

/// An element of a select list.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Expression {
        node: Id,
        aliased: bool,
    },
    /// `path.*`
    AllOf,
}

/// An element of ORDER BY.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sort {
    pub(super) node: Id,
    pub(super) descending: bool,
}

/// Where a statement looks.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum From {
    Source {
        node: Id,
        aliased: bool,
    },
    Join,
    Unpivot,
    /// An operation that stands alone names no source.
    None,
}

/// A statement that changes data.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dml {
    pub(super) operations: Vec<Operation>,
    pub(super) from: From,
    pub(super) condition: Option<Id>,
    pub(super) returning: Option<Vec<ReturningElement>>,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operation {
    /// INSERT INTO without VALUE.
    InsertAll,
    InsertValue {
        target: Id,
        value: Id,
        at: bool,
        on_conflict: bool,
        returning: bool,
    },
    Set(Vec<(Id, Id)>),
    Remove(Id),
    Delete,
}

/// An element of RETURNING.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ReturningElement {
    /// `modified_old`, `modified_new`, `all_old` or `all_new`.
    pub(super) mapping: &'static str,
    /// Whether `*` follows.
    pub(super) all: bool,
}
