//! The parser of what DynamoDB reads and never does: table values, CASE, CAST, and statements about tables, indexes and
//! procedures. It is here so that they are refused for what they are.

use super::{Parser, Result};
use crate::partiql::error::Error;
use crate::partiql::lexer::TokenKind;
use crate::partiql::tree::{Id, Node};
use crate::partiql::words::precedence;

impl Parser {
    pub(super) fn table_values(&mut self) -> Result<Node> {
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

    pub(super) fn case(&mut self) -> Result<Node> {
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

    pub(super) fn cast(&mut self) -> Result<Id> {
        self.advance();
        let span = self.span();
        if !self.take_if(&TokenKind::OpenParenthesis) {
            return Err(Error::malformed("Missing left parenthesis after CAST"));
        }
        self.expression(precedence::LOWEST)?;
        self.expect(&TokenKind::As, "AS")?;
        self.data_type()?;
        self.expect(&TokenKind::CloseParenthesis, "RIGHT_PAREN")?;
        Ok(self.tree.add(Node::Cast, span))
    }

    pub(super) fn definition(&mut self, is_create: bool) -> Result<Node> {
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

    pub(super) fn execution(&mut self) -> Result<Node> {
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
