//! The parser: from tokens to the tree of one statement.
//!
//! It accepts the whole language of the open PartiQL parser that DynamoDB builds on, as far as messages can tell, and
//! names what it missed in the same words; what DynamoDB does not do is refused later, by whoever reads the tree.
//! Operators are read by precedence. Nesting is bounded by `MAX_NESTING`, so no text exhausts the stack.

mod statements;
mod unused;

use partita_model::value::MAX_NESTING_DEPTH;

use super::error::Error;
use super::lexer::{Span, Token, TokenKind, tokenize};
use super::tree::{Id, Node, Step, Tree};
use super::words::{self, Operator, precedence};

/// How deep expressions may stand in each other. DynamoDB Local takes some more and then fails with an internal error.
const MAX_NESTING: usize = 128;

const DATA_MANIPULATION: [&str; 3] = ["insert_into", "set", "remove"];

type Result<T> = std::result::Result<T, Error>;

/// A parsed text.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) tree: Tree,
    pub(super) root: Id,
    /// How many `?` there are.
    pub(super) parameters: usize,
}

/// Parses one statement, with at most one semicolon behind it.
pub(super) fn parse(text: &str) -> Result<Parsed> {
    let mut parser = Parser {
        tokens: tokenize(text)?,
        at: 0,
        tree: Tree::default(),
        parameters: 0,
        nesting: 0,
        containers: 0,
        misplaced: None,
    };
    let root = parser.expression(precedence::LOWEST)?;
    match (parser.kind(0), parser.kind(1)) {
        (TokenKind::End, _) | (TokenKind::Semicolon, TokenKind::End) => {}
        (TokenKind::Semicolon, _) => {
            return Err(Error::malformed("Unexpected token after semicolon. (Only one query is allowed.)"));
        }
        _ => return Err(Error::malformed("Unexpected token after expression")),
    }
    if let Some(keyword) = parser.misplaced {
        return Err(Error::Malformed(format!("Keyword {keyword} only expected at the top level in the query")));
    }
    Ok(Parsed { tree: parser.tree, root, parameters: parser.parameters })
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    tree: Tree,
    parameters: usize,
    /// How many expressions enclose the one being read.
    nesting: usize,
    /// How many list, set and map literals do.
    containers: usize,
    /// The keyword of the first statement that stands inside another and may not.
    misplaced: Option<&'static str>,
}

impl Parser {
    fn kind(&self, ahead: usize) -> &TokenKind {
        self.tokens.get(self.at + ahead).map_or(&TokenKind::End, |token| &token.kind)
    }

    fn span(&self) -> Span {
        self.tokens.get(self.at).or(self.tokens.last()).map_or_else(Span::default, |token| token.span)
    }

    fn advance(&mut self) {
        self.at += 1;
    }

    fn take_if(&mut self, wanted: &TokenKind) -> bool {
        let found = self.kind(0) == wanted;
        if found {
            self.advance();
        }
        found
    }

    fn keyword(&self) -> Option<&'static str> {
        match self.kind(0) {
            TokenKind::Keyword(keyword) => Some(keyword),
            _ => None,
        }
    }

    fn is_keyword(&self, wanted: &str) -> bool {
        self.keyword() == Some(wanted)
    }

    fn take_keyword(&mut self, wanted: &str) -> bool {
        let found = self.is_keyword(wanted);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, wanted: &TokenKind, name: &str) -> Result<()> {
        if self.take_if(wanted) { Ok(()) } else { Err(Error::Malformed(format!("Expected {name}"))) }
    }

    fn expect_keyword(&mut self, wanted: &str) -> Result<()> {
        if self.take_keyword(wanted) {
            Ok(())
        } else {
            Err(Error::Malformed(format!("Expected {} keyword", wanted.to_ascii_uppercase())))
        }
    }

    fn at_end_of_statement(&self) -> bool {
        matches!((self.kind(0), self.kind(1)), (TokenKind::End, _) | (TokenKind::Semicolon, TokenKind::End))
    }

    /// Goes one level deeper.
    fn nest(&mut self) -> Result<()> {
        self.nesting += 1;
        match self.nesting {
            ..=MAX_NESTING => Ok(()),
            _ if self.containers > MAX_NESTING_DEPTH => Err(Error::TooDeep),
            _ => Err(Error::malformed("Expressions are nested too deep")),
        }
    }

    // ---- expressions ---------------------------------------------------------------------------------------------

    /// Reads an expression of operators that bind tighter than `lowest`.
    fn expression(&mut self, lowest: u8) -> Result<Id> {
        self.nest()?;
        let mut left = self.unary()?;
        loop {
            let operator = match self.kind(0) {
                TokenKind::Operator(operator) => *operator,
                TokenKind::Star => Operator::Times,
                _ => break,
            };
            let Some(strength) = operator.precedence().filter(|strength| *strength > lowest) else { break };
            let span = self.span();
            left = self.infix(left, operator, strength, span)?;
        }
        self.nesting -= 1;
        Ok(left)
    }

    /// Reads an infix operator and its right side.
    fn infix(&mut self, left: Id, operator: Operator, strength: u8, span: Span) -> Result<Id> {
        let read = operator.denied().unwrap_or(operator);
        let node = match read {
            Operator::Is => {
                self.advance();
                Node::Is(left, self.data_type()?)
            }
            Operator::In if *self.kind(1) == TokenKind::OpenParenthesis && !self.is_query(2) => {
                self.advance();
                let list_span = self.span();
                self.advance();
                let elements = self.arguments()?;
                self.expect(&TokenKind::CloseParenthesis, "RIGHT_PAREN")?;
                let list = self.tree.add(Node::List(elements), list_span);
                Node::Binary(read, left, list)
            }
            _ => {
                if *self.kind(1) == TokenKind::End {
                    return Err(Error::malformed("Missing right-hand side expression of infix operator"));
                }
                self.advance();
                let right = self.expression(strength)?;
                match read {
                    Operator::Between => {
                        if !self.take_if(&TokenKind::Operator(Operator::And)) {
                            return Err(Error::malformed("Expected AND keyword"));
                        }
                        if self.at_end_of_statement() {
                            return Err(Error::malformed("Expected expression after AND"));
                        }
                        let high = self.expression(strength)?;
                        Node::Between(left, right, high)
                    }
                    Operator::Like if self.take_keyword("escape") => {
                        if self.at_end_of_statement() {
                            return Err(Error::malformed("Expected expression after ESCAPE"));
                        }
                        self.expression(strength)?;
                        Node::Binary(read, left, right)
                    }
                    _ => Node::Binary(read, left, right),
                }
            }
        };
        let node = self.tree.add(node, span);
        Ok(if operator == read { node } else { self.tree.add(Node::Unary(Operator::Not, node), span) })
    }

    fn is_query(&self, ahead: usize) -> bool {
        matches!(self.kind(ahead), TokenKind::Keyword("select" | "values"))
    }

    /// Reads signs and NOTs, and what they stand before.
    fn unary(&mut self) -> Result<Id> {
        let mut before: Vec<(Operator, Span)> = Vec::new();
        while let TokenKind::Operator(operator @ (Operator::Plus | Operator::Minus | Operator::Not)) = *self.kind(0) {
            if operator != Operator::Not && matches!(before.last(), Some((Operator::Not, _))) {
                break;
            }
            before.push((operator, self.span()));
            self.advance();
        }
        // What follows a NOT is an expression up to AND and OR, signs included; what follows a sign is a term.
        let mut operand = match before.last() {
            Some((Operator::Not, _)) => self.expression(precedence::NOT)?,
            _ => self.path_term()?,
        };
        for (operator, span) in before.into_iter().rev() {
            let folded = match (operator, self.tree.node_mut(operand)) {
                (Operator::Plus, Some(Node::Number { .. })) => true,
                (Operator::Minus, Some(Node::Number { negative, .. })) => {
                    *negative = !*negative;
                    true
                }
                _ => false,
            };
            if !folded {
                operand = self.tree.add(Node::Unary(operator, operand), span);
            }
        }
        Ok(operand)
    }

    /// Reads a term and the path that leads on from it.
    fn path_term(&mut self) -> Result<Id> {
        let span = self.span();
        let root = self.term()?;
        self.path(root, span, false)
    }

    /// Reads a path that begins with a name.
    fn simple_path(&mut self) -> Result<Id> {
        let span = self.span();
        let root = match self.kind(0) {
            TokenKind::Identifier(_) | TokenKind::QuotedIdentifier(_) => self.term_of_token()?,
            _ => return Err(Error::malformed("Expected identifier for simple path")),
        };
        self.path(root, span, true)
    }

    fn path(&mut self, root: Id, span: Span, is_simple: bool) -> Result<Id> {
        let mut steps = Vec::new();
        loop {
            match self.kind(0) {
                TokenKind::Dot => {
                    self.advance();
                    steps.push(match self.kind(0) {
                        TokenKind::Identifier(name) | TokenKind::QuotedIdentifier(name) => Step::Name(name.clone()),
                        TokenKind::Star if is_simple => {
                            return Err(Error::malformed("Invalid path dot component for simple path"));
                        }
                        TokenKind::Star => Step::Unpivot,
                        _ => return Err(Error::malformed("Invalid path dot component")),
                    });
                    self.advance();
                }
                TokenKind::OpenBracket => {
                    self.advance();
                    let step = if self.take_if(&TokenKind::Star) {
                        Step::Wildcard
                    } else {
                        Step::Bracket(self.expression(precedence::LOWEST)?)
                    };
                    self.expect(&TokenKind::CloseBracket, "RIGHT_BRACKET")?;
                    let is_plain = match &step {
                        Step::Bracket(id) => self.is_atom(*id),
                        _ => false,
                    };
                    if is_simple && !is_plain {
                        return Err(Error::malformed("Invalid path component for simple path"));
                    }
                    steps.push(step);
                }
                _ => break,
            }
        }
        Ok(if steps.is_empty() { root } else { self.tree.add(Node::Path(root, steps), span) })
    }

    fn is_atom(&self, id: Id) -> bool {
        matches!(
            self.tree.node(id),
            Node::String(_)
                | Node::Number { .. }
                | Node::Bool(_)
                | Node::Null
                | Node::Missing
                | Node::Ion(_)
                | Node::Name(_)
        )
    }

    /// Makes a node of one token: a literal or a name.
    fn term_of_token(&mut self) -> Result<Id> {
        let node = match self.kind(0) {
            TokenKind::Identifier(name) | TokenKind::QuotedIdentifier(name) => Node::Name(name.clone()),
            TokenKind::String(text) => Node::String(text.clone()),
            TokenKind::Number(text) => Node::Number { text: text.clone(), negative: false },
            TokenKind::Ion(text) => Node::Ion(text.clone()),
            TokenKind::Null => Node::Null,
            TokenKind::Missing => Node::Missing,
            TokenKind::True => Node::Bool(true),
            TokenKind::False => Node::Bool(false),
            _ => return Err(Error::malformed("Unexpected term")),
        };
        let span = self.span();
        self.advance();
        Ok(self.tree.add(node, span))
    }

    fn term(&mut self) -> Result<Id> {
        let span = self.span();
        match self.kind(0) {
            TokenKind::Operator(Operator::Lexical) => {
                self.advance();
                match self.kind(0) {
                    TokenKind::Identifier(_) | TokenKind::QuotedIdentifier(_) => self.term_of_token(),
                    _ => Err(Error::malformed("Identifier must follow @-operator")),
                }
            }
            TokenKind::Operator(_) => Err(Error::malformed("Unexpected operator")),
            TokenKind::Keyword(keyword) => {
                let keyword = *keyword;
                self.keyword_term(keyword, span)
            }
            TokenKind::OpenParenthesis => {
                self.advance();
                let elements = self.arguments()?;
                self.expect(&TokenKind::CloseParenthesis, "RIGHT_PAREN")?;
                match elements.as_slice() {
                    [only] => Ok(*only),
                    _ => Ok(self.tree.add(Node::List(elements), span)),
                }
            }
            TokenKind::OpenBracket => {
                let elements = self.sequence(&TokenKind::CloseBracket, "RIGHT_BRACKET")?;
                Ok(self.tree.add(Node::List(elements), span))
            }
            TokenKind::OpenAngles => {
                let elements = self.sequence(&TokenKind::CloseAngles, "RIGHT_DOUBLE_ANGLE_BRACKET")?;
                Ok(self.tree.add(Node::Bag(elements), span))
            }
            TokenKind::OpenBrace => self.structure(span),
            TokenKind::Parameter => {
                self.advance();
                self.parameters += 1;
                Ok(self.tree.add(Node::Parameter(self.parameters - 1), span))
            }
            TokenKind::Identifier(name) | TokenKind::QuotedIdentifier(name)
                if *self.kind(1) == TokenKind::OpenParenthesis =>
            {
                let name = name.to_ascii_lowercase();
                self.call(&name, span)
            }
            _ => self.term_of_token(),
        }
    }

    fn sequence(&mut self, close: &TokenKind, name: &str) -> Result<Vec<Id>> {
        self.advance();
        if self.take_if(close) {
            return Ok(Vec::new());
        }
        self.containers += 1;
        let elements = self.arguments()?;
        self.containers -= 1;
        self.expect(close, name)?;
        Ok(elements)
    }

    fn structure(&mut self, span: Span) -> Result<Id> {
        self.advance();
        let mut fields = Vec::new();
        if !self.take_if(&TokenKind::CloseBrace) {
            self.containers += 1;
            loop {
                let name = self.expression(precedence::LOWEST)?;
                self.expect(&TokenKind::Colon, "COLON")?;
                fields.push((name, self.expression(precedence::LOWEST)?));
                if !self.take_if(&TokenKind::Comma) {
                    break;
                }
            }
            self.containers -= 1;
            self.expect(&TokenKind::CloseBrace, "RIGHT_CURLY")?;
        }
        Ok(self.tree.add(Node::Struct(fields), span))
    }

    /// Reads expressions with commas between them.
    fn arguments(&mut self) -> Result<Vec<Id>> {
        let mut elements = vec![self.expression(precedence::LOWEST)?];
        while self.take_if(&TokenKind::Comma) {
            elements.push(self.expression(precedence::LOWEST)?);
        }
        Ok(elements)
    }

    /// Reads a call from its name on.
    fn call(&mut self, name: &str, span: Span) -> Result<Id> {
        self.advance();
        self.advance();
        let is_aggregate = words::is_aggregate(name);
        if is_aggregate && self.take_if(&TokenKind::Star) {
            if name != "count" {
                return Err(Error::Malformed(format!("{name}(*) is not allowed")));
            }
            self.expect(&TokenKind::CloseParenthesis, "RIGHT_PAREN")?;
            return Ok(self.tree.add(Node::Aggregate(name.into()), span));
        }
        if *self.kind(0) == TokenKind::Star {
            return Err(Error::Malformed(format!("{name}(*) is not allowed")));
        }
        if is_aggregate && matches!(self.keyword(), Some("distinct" | "all")) {
            self.advance();
        }
        let operands = if *self.kind(0) == TokenKind::CloseParenthesis { Vec::new() } else { self.arguments()? };
        self.expect(&TokenKind::CloseParenthesis, "RIGHT_PAREN")?;
        if is_aggregate {
            if operands.len() != 1 {
                return Err(Error::malformed("Aggregate functions are always unary"));
            }
            return Ok(self.tree.add(Node::Aggregate(name.into()), span));
        }
        Ok(self.tree.add(Node::Call(name.into(), operands), span))
    }

    /// Reads the name of a type, and its parameters.
    fn data_type(&mut self) -> Result<&'static str> {
        let word = match self.kind(0) {
            TokenKind::Missing => "missing",
            TokenKind::Null => "null",
            TokenKind::Keyword(keyword) => keyword,
            _ => "",
        };
        let (name, most) = words::data_type(word).ok_or_else(|| Error::malformed("Expected type name"))?;
        self.advance();
        if self.take_if(&TokenKind::OpenParenthesis) {
            let parameters = self.arguments()?;
            self.expect(&TokenKind::CloseParenthesis, "RIGHT_PAREN")?;
            if parameters.len() > most {
                return Err(Error::Malformed(format!("CAST for {name} must have arity of 0..{most}")));
            }
            let is_number = |id: &Id| matches!(self.tree.node(*id), Node::Number { text, negative: false } if !text.contains(['.', 'e', 'E']));
            if !parameters.iter().all(is_number) {
                return Err(Error::malformed("Type parameter must be an unsigned integer literal"));
            }
        }
        Ok(name)
    }
}
