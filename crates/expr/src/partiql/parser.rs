//! The parser: from tokens to the tree of one statement.
//!
//! It accepts the whole language of the open PartiQL parser that DynamoDB builds on, as far as messages can tell, and
//! names what it missed in the same words; what DynamoDB does not do is refused later, by whoever reads the tree.
//! Operators are read by precedence. Nesting is bounded by `MAX_NESTING`, so no text exhausts the stack.

use super::error::Error;
use super::lexer::{Span, Token, TokenKind, tokenize};
use super::tree::{
    Dml, From, Id, Item, Node, Operation, ProjectionNode, ReturningElement, SelectNode, Sort, Step, Tree,
};
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
    let mut parser =
        Parser { tokens: tokenize(text)?, at: 0, tree: Tree::default(), parameters: 0, nesting: 0, misplaced: None };
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
    nesting: usize,
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

    // ---- expressions ---------------------------------------------------------------------------------------------

    /// Reads an expression of operators that bind tighter than `lowest`.
    fn expression(&mut self, lowest: u8) -> Result<Id> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(Error::malformed("Expressions are nested too deep"));
        }
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
        let elements = self.arguments()?;
        self.expect(close, name)?;
        Ok(elements)
    }

    fn structure(&mut self, span: Span) -> Result<Id> {
        self.advance();
        let mut fields = Vec::new();
        if !self.take_if(&TokenKind::CloseBrace) {
            loop {
                let name = self.expression(precedence::LOWEST)?;
                self.expect(&TokenKind::Colon, "COLON")?;
                fields.push((name, self.expression(precedence::LOWEST)?));
                if !self.take_if(&TokenKind::Comma) {
                    break;
                }
            }
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

    // ---- statements ----------------------------------------------------------------------------------------------

    fn keyword_term(&mut self, keyword: &'static str, span: Span) -> Result<Id> {
        let is_inside = self.at > 0;
        let mut at_top_only = |name: &'static str| {
            if is_inside {
                self.misplaced.get_or_insert(name);
            }
        };
        let node = match keyword {
            "insert_into" | "set" | "remove" => {
                at_top_only(keyword);
                let operation = self.operation()?;
                Node::Dml(Box::new(Dml {
                    operations: vec![operation],
                    from: From::None,
                    condition: None,
                    returning: None,
                }))
            }
            "update" => {
                at_top_only("null");
                self.advance();
                self.update()?
            }
            "delete" => {
                at_top_only("delete");
                self.advance();
                self.delete()?
            }
            "from" => {
                at_top_only("null");
                self.advance();
                self.update_from_first()?
            }
            "select" => {
                self.advance();
                self.select()?
            }
            "pivot" => {
                self.advance();
                self.expression(precedence::LOWEST)?;
                if !self.take_if(&TokenKind::At) {
                    return Err(Error::malformed("Expected AT keyword"));
                }
                self.expression(precedence::LOWEST)?;
                self.after_projection(false, ProjectionNode::Value)?
            }
            "values" => self.table_values()?,
            "case" => self.case()?,
            "cast" => self.cast()?,
            "create" | "drop" => {
                at_top_only(keyword);
                self.definition(keyword == "create")?
            }
            "exec" => {
                at_top_only("exec");
                self.execution()?
            }
            function if words::is_function(function) && *self.kind(1) == TokenKind::OpenParenthesis => {
                return self.call(function, span);
            }
            _ => return Err(Error::malformed("Unexpected keyword")),
        };
        Ok(self.tree.add(node, span))
    }

    fn select(&mut self) -> Result<Node> {
        let distinct = self.take_keyword("distinct");
        if !distinct {
            self.take_keyword("all");
        }
        let projection = if self.take_keyword("value") {
            self.expression(precedence::LOWEST)?;
            ProjectionNode::Value
        } else {
            self.select_list()?
        };
        self.after_projection(distinct, projection)
    }

    fn select_list(&mut self) -> Result<ProjectionNode> {
        let mut items = Vec::new();
        let mut stars = 0;
        loop {
            if self.take_if(&TokenKind::Star) {
                stars += 1;
            } else {
                let node = self.expression(precedence::LOWEST)?;
                let is_all = self.ends_in_star(node)?;
                let aliased = self.alias()?;
                items.push(if is_all { Item::AllOf } else { Item::Expression { node, aliased } });
            }
            if !self.take_if(&TokenKind::Comma) {
                break;
            }
        }
        match (stars, items.len()) {
            (0, _) => Ok(ProjectionNode::List(items)),
            (1, 0) => Ok(ProjectionNode::All),
            _ => Err(Error::malformed(
                "Other expressions may not be present in the select list when '*' is used without dot notation.",
            )),
        }
    }

    /// Whether a path of a select list ends in `.*`; elsewhere a star has no place in it.
    fn ends_in_star(&self, node: Id) -> Result<bool> {
        let Node::Path(_, steps) = self.tree.node(node) else { return Ok(false) };
        let is_star = |step: &Step| *step == Step::Unpivot;
        let inner = steps.split_last().map_or(&[] as &[Step], |(_, inner)| inner);
        if steps.contains(&Step::Wildcard) || inner.iter().any(is_star) {
            return Err(Error::malformed("Invalid use of * in select list"));
        }
        if !steps.last().is_some_and(is_star) {
            return Ok(false);
        }
        if inner.iter().any(|step| matches!(step, Step::Bracket(_))) {
            return Err(Error::malformed("Cannot use [] and * together in SELECT list expression"));
        }
        Ok(true)
    }

    /// Reads `AS name` or a bare name; tells whether there was one.
    fn alias(&mut self) -> Result<bool> {
        let is_explicit = self.take_if(&TokenKind::As);
        match self.kind(0) {
            TokenKind::Identifier(_) | TokenKind::QuotedIdentifier(_) => {
                self.advance();
                Ok(true)
            }
            _ if is_explicit => Err(Error::malformed("Expected identifier for AS-alias")),
            _ => Ok(false),
        }
    }

    /// Reads the aliases that a source may have; tells whether there was one.
    fn source_aliases(&mut self) -> Result<bool> {
        let mut aliased = self.alias()?;
        for (token, name) in [(TokenKind::At, "AT"), (TokenKind::By, "BY")] {
            if !self.take_if(&token) {
                continue;
            }
            if !matches!(self.kind(0), TokenKind::Identifier(_) | TokenKind::QuotedIdentifier(_)) {
                return Err(Error::Malformed(format!("Expected identifier for {name}-alias")));
            }
            self.advance();
            aliased = true;
        }
        Ok(aliased)
    }

    fn after_projection(&mut self, distinct: bool, projection: ProjectionNode) -> Result<Node> {
        if !self.take_keyword("from") {
            return Err(Error::malformed("Expected FROM after SELECT list"));
        }
        let from = self.sources(precedence::SELECT)?;
        if self.take_keyword("let") {
            loop {
                self.expression(precedence::LOWEST)?;
                if *self.kind(0) != TokenKind::As {
                    return Err(Error::malformed("Expected AS following LET expr"));
                }
                self.alias()?;
                if !self.take_if(&TokenKind::Comma) {
                    break;
                }
            }
        }
        let condition = match self.take_keyword("where") {
            true => Some(self.expression(precedence::SELECT)?),
            false => None,
        };
        let order = self.order()?;
        let group = self.take_keyword("group");
        if group {
            self.take_keyword("partial");
            self.expect(&TokenKind::By, "BY")?;
            loop {
                self.expression(precedence::SELECT)?;
                self.alias()?;
                if !self.take_if(&TokenKind::Comma) {
                    break;
                }
            }
            if self.take_keyword("group") {
                if *self.kind(0) != TokenKind::As {
                    return Err(Error::malformed("Expected AS keyword"));
                }
                self.alias()?;
            }
        }
        let having = self.clause("having")?;
        let limit = self.clause("limit")?;
        Ok(Node::Select(Box::new(SelectNode { distinct, projection, from, condition, order, group, having, limit })))
    }

    /// Reads a clause of one expression; gives the place of the expression.
    fn clause(&mut self, keyword: &str) -> Result<Option<Span>> {
        if !self.take_keyword(keyword) {
            return Ok(None);
        }
        let node = self.expression(precedence::SELECT)?;
        Ok(Some(self.tree.span(node)))
    }

    fn order(&mut self) -> Result<Option<Vec<Sort>>> {
        if !self.take_keyword("order") {
            return Ok(None);
        }
        self.expect(&TokenKind::By, "BY")?;
        let mut order = Vec::new();
        loop {
            let node = self.expression(precedence::LOWEST)?;
            let descending = self.take_if(&TokenKind::Descending);
            if !descending {
                self.take_if(&TokenKind::Ascending);
            }
            order.push(Sort { node, descending });
            if !self.take_if(&TokenKind::Comma) {
                return Ok(Some(order));
            }
        }
    }

    fn sources(&mut self, lowest: u8) -> Result<From> {
        let mut from = self.source(lowest)?;
        loop {
            let needs_condition = match self.kind(0) {
                TokenKind::Comma | TokenKind::Keyword("cross_join") => false,
                TokenKind::Keyword("join") => true,
                _ => return Ok(from),
            };
            self.advance();
            self.source(lowest)?;
            if needs_condition {
                if !self.take_keyword("on") {
                    return Err(Error::malformed("Expected 'ON'"));
                }
                self.expression(lowest)?;
            }
            from = From::Join;
        }
    }

    fn source(&mut self, lowest: u8) -> Result<From> {
        let is_unpivot = self.take_keyword("unpivot");
        let is_join = *self.kind(0) == TokenKind::OpenParenthesis
            && !matches!(
                self.kind(1),
                TokenKind::Keyword("select")
                    | TokenKind::String(_)
                    | TokenKind::Number(_)
                    | TokenKind::True
                    | TokenKind::False
            );
        let from = if !is_unpivot && is_join {
            self.nesting += 1;
            if self.nesting > MAX_NESTING {
                return Err(Error::malformed("Expressions are nested too deep"));
            }
            self.advance();
            let from = self.sources(lowest)?;
            self.expect(&TokenKind::CloseParenthesis, "RIGHT_PAREN")?;
            self.nesting -= 1;
            from
        } else {
            let node = self.expression(lowest)?;
            if is_unpivot { From::Unpivot } else { From::Source { node, aliased: false } }
        };
        let aliased = self.source_aliases()?;
        Ok(match from {
            From::Source { node, aliased: before } => From::Source { node, aliased: before || aliased },
            other => other,
        })
    }

    fn update_from_first(&mut self) -> Result<Node> {
        let from = self.sources(precedence::LOWEST)?;
        let condition = self.optional_condition()?;
        let operations = self.operations()?;
        let returning = self.returning()?;
        Ok(Node::Dml(Box::new(Dml { operations, from, condition, returning })))
    }

    fn update(&mut self) -> Result<Node> {
        let node = self.simple_path()?;
        let aliased = self.source_aliases()?;
        let operations = self.operations()?;
        let condition = self.optional_condition()?;
        let returning = self.returning()?;
        Ok(Node::Dml(Box::new(Dml { operations, from: From::Source { node, aliased }, condition, returning })))
    }

    fn delete(&mut self) -> Result<Node> {
        if !self.take_keyword("from") {
            return Err(Error::malformed("Expected FROM after DELETE"));
        }
        let node = self.simple_path()?;
        let aliased = self.source_aliases()?;
        let condition = self.optional_condition()?;
        let returning = self.returning()?;
        let from = From::Source { node, aliased };
        Ok(Node::Dml(Box::new(Dml { operations: vec![Operation::Delete], from, condition, returning })))
    }

    fn optional_condition(&mut self) -> Result<Option<Id>> {
        match self.take_keyword("where") {
            true => Ok(Some(self.expression(precedence::LOWEST)?)),
            false => Ok(None),
        }
    }

    fn operations(&mut self) -> Result<Vec<Operation>> {
        let mut operations = Vec::new();
        while self.keyword().is_some_and(|keyword| DATA_MANIPULATION.contains(&keyword)) {
            operations.push(self.operation()?);
        }
        if operations.is_empty() {
            return Err(Error::malformed("Expected data manipulation"));
        }
        Ok(operations)
    }

    fn operation(&mut self) -> Result<Operation> {
        let keyword = self.keyword();
        self.advance();
        match keyword {
            Some("insert_into") => self.insert(),
            Some("set") => {
                let mut assignments = Vec::new();
                loop {
                    let target = self.simple_path()?;
                    if !self.take_if(&TokenKind::Operator(Operator::Equal)) {
                        return Err(Error::malformed("Expected '='"));
                    }
                    assignments.push((target, self.expression(precedence::LOWEST)?));
                    if !self.take_if(&TokenKind::Comma) {
                        return Ok(Operation::Set(assignments));
                    }
                }
            }
            _ => Ok(Operation::Remove(self.simple_path()?)),
        }
    }

    fn insert(&mut self) -> Result<Operation> {
        let target = self.simple_path()?;
        if !self.take_keyword("value") {
            self.expression(precedence::LOWEST)?;
            return Ok(Operation::InsertAll);
        }
        let value = self.expression(precedence::LOWEST)?;
        let at = self.take_if(&TokenKind::At);
        if at {
            self.expression(precedence::LOWEST)?;
        }
        let on_conflict = self.take_keyword("on_conflict");
        if on_conflict {
            let invalid = || Error::malformed("invalid ON CONFLICT syntax");
            if !self.take_keyword("where") {
                return Err(invalid());
            }
            self.expression(precedence::LOWEST)?;
            if !self.take_keyword("do_nothing") {
                return Err(invalid());
            }
        }
        let returning = self.returning()?.is_some();
        Ok(Operation::InsertValue { target, value, at, on_conflict, returning })
    }

    fn returning(&mut self) -> Result<Option<Vec<ReturningElement>>> {
        if !self.take_keyword("returning") {
            return Ok(None);
        }
        let mut elements = Vec::new();
        loop {
            let Some(mapping @ ("modified_old" | "modified_new" | "all_old" | "all_new")) = self.keyword() else {
                return Err(Error::malformed("Expected ( MODIFIED | ALL ) ( NEW | OLD ) in each returning element."));
            };
            self.advance();
            let all = self.take_if(&TokenKind::Star);
            if !all {
                let node = self.expression(precedence::LOWEST)?;
                match self.tree.node(node) {
                    Node::Path(_, steps) if steps.len() > 1 => {
                        return Err(Error::malformed("More than two paths in RETURNING columns."));
                    }
                    Node::Path(..) => {}
                    _ if self.is_atom(node) => {}
                    _ => return Err(Error::malformed("Unsupported syntax in RETURNING columns.")),
                }
            }
            elements.push(ReturningElement { mapping, all });
            if !self.take_if(&TokenKind::Comma) {
                return Ok(Some(elements));
            }
        }
    }

    // ---- what DynamoDB reads and never does ----------------------------------------------------------------------

    fn table_values(&mut self) -> Result<Node> {
        self.advance();
        let mut rows = Vec::new();
        loop {
            let span = self.span();
            if !self.take_if(&TokenKind::OpenParenthesis) {
                return Err(Error::malformed("Expected LEFT_PAREN for row value constructor"));
            }
            let row = self.arguments()?;
            self.expect(&TokenKind::CloseParenthesis, "RIGHT_PAREN")?;
            rows.push(self.tree.add(Node::List(row), span));
            if !self.take_if(&TokenKind::Comma) {
                return Ok(Node::Bag(rows));
            }
        }
    }

    fn case(&mut self) -> Result<Node> {
        self.advance();
        if !self.is_keyword("when") {
            self.expression(precedence::LOWEST)?;
        }
        if !self.is_keyword("when") {
            return Err(Error::malformed("Expected a WHEN clause in CASE"));
        }
        while self.take_keyword("when") {
            self.expression(precedence::LOWEST)?;
            self.expect_keyword("then")?;
            self.expression(precedence::LOWEST)?;
        }
        if self.take_keyword("else") {
            self.expression(precedence::LOWEST)?;
        }
        self.expect_keyword("end")?;
        Ok(Node::Case)
    }

    fn cast(&mut self) -> Result<Node> {
        self.advance();
        if !self.take_if(&TokenKind::OpenParenthesis) {
            return Err(Error::malformed("Missing left parenthesis after CAST"));
        }
        self.expression(precedence::LOWEST)?;
        self.expect(&TokenKind::As, "AS")?;
        self.data_type()?;
        self.expect(&TokenKind::CloseParenthesis, "RIGHT_PAREN")?;
        Ok(Node::Cast)
    }

    fn definition(&mut self, is_create: bool) -> Result<Node> {
        self.advance();
        let what = if is_create { "CREATE" } else { "DROP" };
        let is_table = self.take_keyword("table");
        if !is_table && !self.take_keyword("index") {
            return Err(Error::Malformed(format!("Unexpected token following {what}")));
        }
        let node = if is_table {
            self.identifier("Expected identifier!")?;
            Node::Other(if is_create { "CreateTable" } else { "DropTable" })
        } else {
            if !is_create {
                self.identifier("Expected identifier!")?;
            }
            if !self.take_keyword("on") {
                return Err(Error::malformed("Expected ON"));
            }
            if is_create {
                self.identifier("Index target must be an identifier")?;
                if !self.take_if(&TokenKind::OpenParenthesis) {
                    return Err(Error::malformed("Expected parenthesis for keys"));
                }
                self.simple_path()?;
                while self.take_if(&TokenKind::Comma) {
                    self.simple_path()?;
                }
                self.expect(&TokenKind::CloseParenthesis, "RIGHT_PAREN")?;
            } else {
                self.identifier("Table target must be an identifier")?;
            }
            Node::Other(if is_create { "CreateIndex" } else { "DropIndex" })
        };
        if self.at_end_of_statement() {
            Ok(node)
        } else {
            Err(Error::Malformed(format!("Unexpected tokens after {what} statement!")))
        }
    }

    fn identifier(&mut self, otherwise: &str) -> Result<()> {
        if !matches!(self.kind(0), TokenKind::Identifier(_) | TokenKind::QuotedIdentifier(_)) {
            return Err(Error::malformed(otherwise));
        }
        self.advance();
        Ok(())
    }

    fn execution(&mut self) -> Result<Node> {
        self.advance();
        if *self.kind(0) == TokenKind::End {
            return Err(Error::malformed("No stored procedure provided"));
        }
        self.advance();
        match self.kind(0) {
            TokenKind::End => {}
            TokenKind::OpenParenthesis => {
                return Err(Error::malformed("Unexpected LEFT_PAREN found following stored procedure call"));
            }
            _ => {
                self.arguments()?;
            }
        }
        Ok(Node::Other("Exec"))
    }
}
