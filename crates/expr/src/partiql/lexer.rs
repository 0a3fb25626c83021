//! From a statement's text to its tokens. White space and comments (`--` to the end of the line, `/* */`) vanish here,
//! and words that make one token together are joined.

use std::fmt;

use super::error::Error;
use super::words::{self, Operator};

/// Where a token stands, as messages show it: line and column counted from 1, and its length, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    line: u32,
    column: u32,
    length: u32,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.line, self.column, self.length)
    }
}

/// A token and its place.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    OpenParenthesis,
    CloseParenthesis,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
    OpenAngles,
    CloseAngles,
    Dot,
    Star,
    Comma,
    Colon,
    Semicolon,
    /// `?`
    Parameter,
    Identifier(Box<str>),
    QuotedIdentifier(Box<str>),
    Operator(Operator),
    /// A keyword in lower case, aliases resolved.
    Keyword(&'static str),
    As,
    At,
    By,
    For,
    Ascending,
    Descending,
    Null,
    Missing,
    True,
    False,
    String(Box<str>),
    /// A number as written, without a sign.
    Number(Box<str>),
    /// What stands between backticks.
    Ion(Box<str>),
    End,
}

impl TokenKind {
    /// The token as part of a compound: its word in lower case.
    fn word(&self) -> Option<&str> {
        match self {
            Self::Operator(operator) => Some(operator.text()),
            Self::Keyword(keyword) => Some(keyword),
            _ => None,
        }
    }
}

/// The tokens of a statement; the last is always `End`.
///
/// # Errors
/// `Error::Unreadable` for a character that begins no token, a quotation or comment without end, or a number whose
/// exponent or scale needs more than 32 bits.
pub(super) fn tokenize(text: &str) -> Result<Vec<Token>, Error> {
    let mut lexer = Lexer { rest: text, line: 1, column: 1, after_return: false };
    let mut tokens: Vec<Token> = Vec::new();
    while lexer.skip_space()? {
        let (line, column, before) = (lexer.line, lexer.column, lexer.rest);
        let kind = lexer.token()?;
        let consumed = before.get(..before.len() - lexer.rest.len()).unwrap_or_default();
        let length = u32::try_from(consumed.chars().count()).unwrap_or(u32::MAX);
        push(&mut tokens, Token { kind, span: Span { line, column, length } });
    }
    let span = Span { line: lexer.line, column: lexer.column, length: 0 };
    tokens.push(Token { kind: TokenKind::End, span });
    Ok(tokens)
}

/// Appends a token, joined with those before it where they make one. The joined one stands where the first stood.
fn push(tokens: &mut Vec<Token>, token: Token) {
    for count in (2..=words::MAX_COMPOUND).rev() {
        let Some(first) = (tokens.len() + 1).checked_sub(count) else { continue };
        let before = tokens.get(first..).unwrap_or_default();
        let parts: Option<Vec<&str>> = before.iter().chain([&token]).map(|token| token.kind.word()).collect();
        let Some(parts) = parts else { continue };
        let joined = words::compound_operator(&parts)
            .map(TokenKind::Operator)
            .or_else(|| words::compound_keyword(&parts).map(TokenKind::Keyword));
        if let (Some(kind), Some(start)) = (joined, before.first().map(|token| token.span)) {
            tokens.truncate(first);
            tokens.push(Token { kind, span: start });
            return;
        }
    }
    tokens.push(token);
}

struct Lexer<'t> {
    rest: &'t str,
    line: u32,
    column: u32,
    /// Whether the character before was a carriage return, which a line feed belongs to.
    after_return: bool,
}

impl<'t> Lexer<'t> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn peek_second(&self) -> Option<char> {
        self.rest.chars().nth(1)
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = self.rest.get(next.len_utf8()..).unwrap_or_default();
        let ends_line = next == '\r' || next == '\n' && !self.after_return;
        if ends_line {
            self.line += 1;
            self.column = 1;
        } else if next != '\n' {
            self.column += 1;
        }
        self.after_return = next == '\r';
        Some(next)
    }

    fn take_while(&mut self, mut wanted: impl FnMut(char) -> bool) -> &'t str {
        let start = self.rest;
        while self.peek().is_some_and(&mut wanted) {
            self.take();
        }
        start.get(..start.len() - self.rest.len()).unwrap_or_default()
    }

    /// Passes over white space and comments; tells whether a token follows.
    fn skip_space(&mut self) -> Result<bool, Error> {
        loop {
            match (self.peek(), self.peek_second()) {
                (None, _) => return Ok(false),
                (Some(' ' | '\t' | '\r' | '\n' | '\u{b}' | '\u{c}'), _) => {
                    self.take();
                }
                (Some('-'), Some('-')) => {
                    self.take_while(|next| next != '\r' && next != '\n');
                }
                (Some('/'), Some('*')) => {
                    self.take();
                    self.take();
                    let mut star = false;
                    loop {
                        match self.take() {
                            None => return Err(Error::Unreadable),
                            Some('/') if star => break,
                            Some(next) => star = next == '*',
                        }
                    }
                }
                _ => return Ok(true),
            }
        }
    }

    fn token(&mut self) -> Result<TokenKind, Error> {
        let Some(first) = self.peek() else { return Ok(TokenKind::End) };
        match first {
            'a'..='z' | 'A'..='Z' | '_' | '$' => {
                let word = self.take_while(|next| next.is_ascii_alphanumeric() || next == '_' || next == '$');
                return Ok(word_token(word));
            }
            '0'..='9' => return self.number(),
            '.' if self.peek_second().is_some_and(|next| next.is_ascii_digit()) => return self.number(),
            '\'' => return Ok(TokenKind::String(self.quoted('\'')?.into())),
            '"' => return Ok(TokenKind::QuotedIdentifier(self.quoted('"')?.into())),
            '`' => return Ok(TokenKind::Ion(self.ion()?.into())),
            _ => {}
        }
        self.take();
        let second = self.peek();
        Ok(match (first, second) {
            ('<', Some('<')) => self.and(TokenKind::OpenAngles),
            ('>', Some('>')) => self.and(TokenKind::CloseAngles),
            ('<', Some('=')) => self.and(TokenKind::Operator(Operator::LessOrEqual)),
            ('>', Some('=')) => self.and(TokenKind::Operator(Operator::GreaterOrEqual)),
            ('<', Some('>')) | ('!', Some('=')) => self.and(TokenKind::Operator(Operator::NotEqual)),
            ('|', Some('|')) => self.and(TokenKind::Operator(Operator::Concatenate)),
            ('(', _) => TokenKind::OpenParenthesis,
            (')', _) => TokenKind::CloseParenthesis,
            ('[', _) => TokenKind::OpenBracket,
            (']', _) => TokenKind::CloseBracket,
            ('{', _) => TokenKind::OpenBrace,
            ('}', _) => TokenKind::CloseBrace,
            ('.', _) => TokenKind::Dot,
            ('*', _) => TokenKind::Star,
            (',', _) => TokenKind::Comma,
            (':', _) => TokenKind::Colon,
            (';', _) => TokenKind::Semicolon,
            ('?', _) => TokenKind::Parameter,
            _ => {
                let mut sign = [0; 4];
                let operator = Operator::from_text(first.encode_utf8(&mut sign));
                TokenKind::Operator(operator.ok_or(Error::Unreadable)?)
            }
        })
    }

    /// The token that ends with the next character.
    fn and(&mut self, kind: TokenKind) -> TokenKind {
        self.take();
        kind
    }

    /// Reads what stands between two quotation marks; two in a row stand for one.
    fn quoted(&mut self, mark: char) -> Result<String, Error> {
        self.take();
        let mut text = String::new();
        loop {
            match self.take() {
                None => return Err(Error::Unreadable),
                Some(next) if next != mark => text.push(next),
                Some(_) if self.peek() == Some(mark) => {
                    self.take();
                    text.push(mark);
                }
                Some(_) => return Ok(text),
            }
        }
    }

    /// Reads what stands between backticks. Inside it is Ion, which DynamoDB refuses, so only its end matters.
    fn ion(&mut self) -> Result<&'t str, Error> {
        self.take();
        let text = self.take_while(|next| next != '`');
        self.take().map(|_| text).ok_or(Error::Unreadable)
    }

    fn number(&mut self) -> Result<TokenKind, Error> {
        let start = self.rest;
        self.take_while(|next| next.is_ascii_digit());
        let mut fraction = 0;
        if self.peek() == Some('.') {
            self.take();
            fraction = self.take_while(|next| next.is_ascii_digit()).len();
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.take();
            let negative = self.peek() == Some('-');
            if matches!(self.peek(), Some('+' | '-')) {
                self.take();
            }
            let digits = self.take_while(|next| next.is_ascii_digit());
            check_scale(fraction, negative, digits).ok_or(Error::Unreadable)?;
        }
        Ok(TokenKind::Number(start.get(..start.len() - self.rest.len()).unwrap_or_default().into()))
    }
}

/// The scale is the digits after the point less the exponent; neither it nor the exponent may leave 32 bits.
fn check_scale(fraction: usize, negative: bool, exponent: &str) -> Option<()> {
    let magnitude: i64 = exponent.parse().ok()?;
    let exponent = if negative { -magnitude } else { magnitude };
    let scale = i64::try_from(fraction).ok()?.checked_sub(exponent)?;
    (i32::try_from(exponent).is_ok() && i32::try_from(scale).is_ok()).then_some(())
}

fn word_token(word: &str) -> TokenKind {
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "as" => TokenKind::As,
        "at" => TokenKind::At,
        "by" => TokenKind::By,
        "for" => TokenKind::For,
        "asc" => TokenKind::Ascending,
        "desc" => TokenKind::Descending,
        "null" => TokenKind::Null,
        "missing" => TokenKind::Missing,
        "true" => TokenKind::True,
        "false" => TokenKind::False,
        lower => match (Operator::from_text(lower), words::keyword(lower)) {
            (Some(operator), _) => TokenKind::Operator(operator),
            (None, Some(keyword)) => TokenKind::Keyword(keyword),
            (None, None) => TokenKind::Identifier(word.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        tokenize(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn words_that_make_one_token_are_joined() {
        assert_eq!(
            kinds("NOT  in Is\nNOT insert INTO all new left outer join"),
            [
                TokenKind::Operator(Operator::NotIn),
                TokenKind::Operator(Operator::IsNot),
                TokenKind::Keyword("insert_into"),
                TokenKind::Keyword("all_new"),
                TokenKind::Keyword("join"),
                TokenKind::End
            ]
        );
    }

    #[test]
    fn quotation_marks_are_doubled_inside() {
        assert_eq!(kinds("'it''s'"), [TokenKind::String("it's".into()), TokenKind::End]);
        assert_eq!(kinds("\"a\"\"b\""), [TokenKind::QuotedIdentifier("a\"b".into()), TokenKind::End]);
        assert_eq!(kinds("''"), [TokenKind::String("".into()), TokenKind::End]);
    }

    #[test]
    fn comments_are_white_space() {
        assert_eq!(kinds("-- a\n1 /* ' */ -- b"), [TokenKind::Number("1".into()), TokenKind::End]);
        assert_eq!(kinds("/**/"), [TokenKind::End]);
    }

    #[test]
    fn numbers_have_points_and_exponents() {
        for text in ["1", "0012", "1.", ".5", "1.5e-3", "7.31E+6", "1e2147483647"] {
            assert_eq!(kinds(text), [TokenKind::Number(text.into()), TokenKind::End], "{text}");
        }
        assert_eq!(kinds("1.5.5").len(), 3);
    }

    #[test]
    fn what_begins_no_token_is_unreadable() {
        let texts = ["#", "a # b", "/* note", "'a", "\"a", "`a", "!", "|", "^", "é", "1e", "1e+", "1e2147483648"];
        for text in texts.into_iter().chain(["1e99999999999", "1.5e-2147483647", "\\"]) {
            assert_eq!(tokenize(text).unwrap_err(), Error::Unreadable, "{text}");
        }
    }

    #[test]
    fn places_count_characters_from_one() {
        let spans: Vec<String> =
            tokenize("SELECT 'é',\r\n  ab").unwrap().iter().map(|token| token.span.to_string()).collect();
        assert_eq!(spans, ["1:1:6", "1:8:3", "1:11:1", "2:3:2", "2:5:0"]);
    }
}
