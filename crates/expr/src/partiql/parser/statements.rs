//! The parser of statements: SELECT, INSERT, UPDATE, DELETE and their clauses.

use super::{DATA_MANIPULATION, Parser, Result};
use crate::partiql::error::Error;
use crate::partiql::lexer::{Span, TokenKind};
use crate::partiql::tree::{
    Dml, From, Id, Item, Node, Operation, ProjectionNode, ReturningElement, SelectNode, Sort, Step,
};
use crate::partiql::words::{self, Operator, precedence};

impl Parser {
    pub(super) fn keyword_term(&mut self, keyword: &'static str, span: Span) -> Result<Id> {
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
            "cast" => return self.cast(),
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
            self.nest()?;
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
}
