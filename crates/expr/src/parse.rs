//! What the parsers of all expressions share: operands, paths, functions, and the checks of a text by itself.
//!
//! The parsers keep what is open on a stack of their own, so no text makes them recurse, and they write what they have
//! read as a flat list in postfix order, so nothing that they return is nested. They read a token only where some
//! expression could go on with it: that makes them name the same token in a syntax error as DynamoDB does.
//!
//! The order of checks is DynamoDB's: size, syntax and redundant parentheses, then from left to right functions, reserved
//! words and list indexes, then repeated sections, then the number of operators. Everything else needs the request's
//! names and values and is checked when the expression is bound.

mod condition;
mod projection;
mod update;

use std::sync::Arc;

use crate::error::Problem;
use crate::path::{MAX_INDEX, Path, PathTemplate, TemplateElement, TemplateName};
use crate::reserved::is_reserved;
use crate::token::{Comparator, TokenKind, Tokens};

pub use condition::ParsedCondition;
pub use projection::ParsedProjection;
pub(crate) use update::ParsedAction;
pub use update::ParsedUpdate;

/// The most bytes of an expression.
pub const MAX_EXPRESSION_BYTES: usize = 4_096;
/// The most operators and functions of an expression.
pub const MAX_OPERATORS: usize = 300;
/// The most operands on the right of IN.
pub const MAX_IN_OPERANDS: usize = 100;

/// The functions of conditions and updates. Names are case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    AttributeExists,
    AttributeNotExists,
    AttributeType,
    BeginsWith,
    Contains,
    Size,
    IfNotExists,
    ListAppend,
}

impl Function {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AttributeExists => "attribute_exists",
            Self::AttributeNotExists => "attribute_not_exists",
            Self::AttributeType => "attribute_type",
            Self::BeginsWith => "begins_with",
            Self::Contains => "contains",
            Self::Size => "size",
            Self::IfNotExists => "if_not_exists",
            Self::ListAppend => "list_append",
        }
    }

    /// How many operands the function takes.
    pub(crate) const fn operands(self) -> usize {
        match self {
            Self::AttributeExists | Self::AttributeNotExists | Self::Size => 1,
            Self::AttributeType | Self::BeginsWith | Self::Contains | Self::IfNotExists | Self::ListAppend => 2,
        }
    }

    const fn is_of_updates(self) -> bool {
        matches!(self, Self::IfNotExists | Self::ListAppend)
    }

    fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::AttributeExists,
            Self::AttributeNotExists,
            Self::AttributeType,
            Self::BeginsWith,
            Self::Contains,
            Self::Size,
            Self::IfNotExists,
            Self::ListAppend,
        ];
        all.into_iter().find(|function| function.name() == name)
    }
}

/// A parsed expression, piece by piece in postfix order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// A path, by its place among the expression's paths.
    Path(usize),
    /// A value placeholder, by its place among the expression's values.
    Value(usize),
    /// A function of this many operands.
    Call(Function, usize),
    Compare(Comparator),
    Between,
    /// IN with this many operands on its right.
    In(usize),
    /// NOT of the steps since `start`.
    Not {
        start: usize,
    },
    /// Between the two sides of AND (`when` is false) or OR (`when` is true): if the left side, which is the steps
    /// since `start`, is `when`, evaluation goes on at step `target`.
    Jump {
        when: bool,
        start: usize,
        target: usize,
    },
    Plus,
    Minus,
}

/// The place of a text that may have a name or function in it that is refused, in the order of the text.
#[derive(Debug)]
enum Mention {
    Refused(Problem),
    Call { function: Function, as_operand: bool },
}

/// An operand that has been read.
#[derive(Clone, Copy, Debug, Default)]
struct Operand {
    /// Whether it is in parentheses.
    parenthesized: bool,
    /// The mention of the function that it is a call of.
    call: Option<usize>,
}

/// What the parsers have read so far.
#[derive(Debug)]
struct Reader<'t> {
    tokens: Tokens<'t>,
    nodes: Vec<Node>,
    paths: Vec<PathTemplate>,
    values: Vec<Box<str>>,
    mentions: Vec<Mention>,
    operators: usize,
    has_redundant_parentheses: bool,
}

impl<'t> Reader<'t> {
    fn of(text: &'t str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(Problem::Empty);
        }
        if text.len() > MAX_EXPRESSION_BYTES {
            return Err(Problem::Size(text.len()));
        }
        Ok(Self {
            tokens: Tokens::of(text),
            nodes: Vec::new(),
            paths: Vec::new(),
            values: Vec::new(),
            mentions: Vec::new(),
            operators: 0,
            has_redundant_parentheses: false,
        })
    }

    /// Reads a path; gives its place among the paths.
    fn path(&mut self) -> Result<usize, Problem> {
        let root = self.path_name()?;
        let mut rest = Vec::new();
        loop {
            if self.tokens.take_if(TokenKind::Dot) {
                rest.push(TemplateElement::Name(self.path_name()?));
            } else if self.tokens.take_if(TokenKind::OpenBracket) {
                if self.tokens.peek() != TokenKind::Index {
                    return Err(self.tokens.unexpected());
                }
                let digits = self.tokens.take();
                let index = digits.parse().ok().filter(|index| *index <= MAX_INDEX);
                if index.is_none() {
                    self.mentions.push(Mention::Refused(Problem::Index(digits.to_owned())));
                }
                rest.push(TemplateElement::Index(index.unwrap_or_default()));
                self.tokens.expect(TokenKind::CloseBracket)?;
            } else {
                break;
            }
        }
        self.paths.push(PathTemplate { root, rest });
        Ok(self.paths.len() - 1)
    }

    fn path_name(&mut self) -> Result<TemplateName, Problem> {
        match self.tokens.peek() {
            TokenKind::Name => {
                let name = self.tokens.take();
                if is_reserved(name) {
                    self.mentions.push(Mention::Refused(Problem::Reserved(name.to_owned())));
                }
                Ok(TemplateName::Literal(name.into()))
            }
            TokenKind::NamePlaceholder => Ok(TemplateName::Placeholder(self.tokens.take().into())),
            _ => Err(self.tokens.unexpected()),
        }
    }

    /// Reads a value placeholder; gives its place among the values.
    fn value(&mut self) -> Result<usize, Problem> {
        if self.tokens.peek() != TokenKind::ValuePlaceholder {
            return Err(self.tokens.unexpected());
        }
        self.values.push(self.tokens.take().into());
        Ok(self.values.len() - 1)
    }

    /// Reads an operand: a path, a value or a function of operands, each also in parentheses.
    ///
    /// `as_operand` tells whether a function here is an operand for sure.
    fn operand(&mut self, as_operand: bool) -> Result<Operand, Problem> {
        enum Open {
            Parenthesis,
            Call { function: Option<Function>, mention: usize, operands: usize },
        }
        let mut open: Vec<Open> = Vec::new();
        'want: loop {
            let mut operand = Operand::default();
            match (self.tokens.peek(), self.tokens.peek_second()) {
                (TokenKind::Open, _) => {
                    self.tokens.take();
                    open.push(Open::Parenthesis);
                    continue;
                }
                (TokenKind::Name, TokenKind::Open) => {
                    let is_inner = open.iter().any(|open| matches!(open, Open::Call { .. }));
                    let (function, mention) = self.function(as_operand || is_inner);
                    open.push(Open::Call { function, mention, operands: 0 });
                    continue;
                }
                (TokenKind::ValuePlaceholder, _) => {
                    let value = self.value()?;
                    self.nodes.push(Node::Value(value));
                }
                _ => {
                    let path = self.path()?;
                    self.nodes.push(Node::Path(path));
                }
            }
            loop {
                match open.last_mut() {
                    None => return Ok(operand),
                    Some(Open::Parenthesis) => {
                        self.tokens.expect(TokenKind::Close)?;
                        operand = self.close(operand);
                        if as_operand {
                            self.check_parentheses()?;
                        }
                    }
                    Some(Open::Call { operands, .. }) if self.tokens.take_if(TokenKind::Comma) => {
                        *operands += 1;
                        continue 'want;
                    }
                    Some(Open::Call { function, mention, operands }) => {
                        self.tokens.expect(TokenKind::Close)?;
                        if let Some(function) = function {
                            self.nodes.push(Node::Call(*function, *operands + 1));
                        }
                        operand = Operand { parenthesized: false, call: Some(*mention) };
                    }
                }
                open.pop();
            }
        }
    }

    /// Reads a function's name and opening parenthesis; gives the function, if it is one, and its mention.
    fn function(&mut self, as_operand: bool) -> (Option<Function>, usize) {
        let name = self.tokens.take();
        self.tokens.take();
        self.operators += 1;
        let function = Function::from_name(name);
        self.mentions.push(match function {
            Some(function) => Mention::Call { function, as_operand },
            None => Mention::Refused(Problem::UnknownFunction(name.to_owned())),
        });
        (function, self.mentions.len() - 1)
    }

    /// The operand when its closing parenthesis has been read.
    fn close(&mut self, operand: Operand) -> Operand {
        self.has_redundant_parentheses |= operand.parenthesized;
        Operand { parenthesized: true, ..operand }
    }

    /// Refuses redundant parentheses that have been read. They go before a syntax error further on in the text, once it
    /// is sure what is in the parentheses.
    fn check_parentheses(&self) -> Result<(), Problem> {
        if self.has_redundant_parentheses { Err(Problem::RedundantParentheses) } else { Ok(()) }
    }

    /// Records that a function that was read turned out to be an operand.
    fn is_operand(&mut self, operand: Operand) {
        if let Some(Mention::Call { as_operand, .. }) = operand.call.and_then(|call| self.mentions.get_mut(call)) {
            *as_operand = true;
        }
    }

    /// The checks of the whole text when all of it has been read; `refuse` judges functions.
    fn check(
        &mut self,
        refuse: impl Fn(Function, bool) -> Option<Problem>,
        twice: Option<Problem>,
    ) -> Result<(), Problem> {
        self.check_parentheses()?;
        let refused = self.mentions.drain(..).find_map(|mention| match mention {
            Mention::Refused(problem) => Some(problem),
            Mention::Call { function, as_operand } => refuse(function, as_operand),
        });
        if let Some(problem) = refused.or(twice) {
            return Err(problem);
        }
        if self.operators > MAX_OPERATORS {
            return Err(Problem::Operators(MAX_OPERATORS + 1));
        }
        Ok(())
    }

    /// The paths of the text, if none has a placeholder and none is too long.
    fn literal_paths(&self) -> Option<Arc<[Path]>> {
        self.paths.iter().map(PathTemplate::literal).collect()
    }
}
