//! The tokens of expression texts, and syntax errors as DynamoDB words them.
//!
//! A character that begins no token is a token of its own, so cutting a text into tokens never fails; the parsers
//! refuse such a token like any other that does not belong where it stands.

use crate::error::Problem;

/// The kinds of token. Keywords are read in any mixture of upper and lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Name,
    NamePlaceholder,
    ValuePlaceholder,
    Index,
    Comparator(Comparator),
    Plus,
    Minus,
    Comma,
    Dot,
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    And,
    Or,
    Not,
    Between,
    In,
    Section(Section),
    Unknown,
    End,
}

/// The comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparator {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// The sections of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Set,
    Remove,
    Add,
    Delete,
}

impl Section {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Remove => "REMOVE",
            Self::Add => "ADD",
            Self::Delete => "DELETE",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Token {
    kind: TokenKind,
    start: usize,
    end: usize,
}

/// A text cut into tokens, and how far it has been read.
#[derive(Debug)]
pub(crate) struct Tokens<'t> {
    text: &'t str,
    /// At least the end token.
    tokens: Vec<Token>,
    at: usize,
}

impl<'t> Tokens<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        let mut tokens = Vec::with_capacity(text.len() / 3 + 1);
        let mut start = 0;
        while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
            match next_token(rest) {
                None => start += 1,
                Some((kind, length)) => {
                    tokens.push(Token { kind, start, end: start + length });
                    start += length;
                }
            }
        }
        Self { text, tokens, at: 0 }
    }

    /// The kind of the token that comes next.
    pub(crate) fn peek(&self) -> TokenKind {
        self.kind(self.at)
    }

    /// The kind of the token after the next.
    pub(crate) fn peek_second(&self) -> TokenKind {
        self.kind(self.at + 1)
    }

    /// Takes the next token and gives its text.
    pub(crate) fn take(&mut self) -> &'t str {
        let text = self.token_text(self.at);
        self.at += 1;
        text
    }

    /// Takes the next token if it is of this kind.
    pub(crate) fn take_if(&mut self, kind: TokenKind) -> bool {
        let is = self.peek() == kind;
        if is {
            self.at += 1;
        }
        is
    }

    /// Takes the next token, which must be of this kind.
    pub(crate) fn expect(&mut self, kind: TokenKind) -> Result<(), Problem> {
        if self.take_if(kind) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The error that the next token is not one that may stand here.
    pub(crate) fn unexpected(&self) -> Problem {
        let token = match self.peek() {
            TokenKind::End => "<EOF>",
            _ => self.token_text(self.at),
        };
        let from = self.at.checked_sub(1).and_then(|before| self.tokens.get(before)).map_or(0, |token| token.start);
        let to = self.tokens.get(self.at + 1).map_or(self.text.len(), |token| token.end);
        Problem::Syntax { token: token.to_owned(), near: self.text.get(from..to).unwrap_or_default().to_owned() }
    }

    fn kind(&self, at: usize) -> TokenKind {
        self.tokens.get(at).map_or(TokenKind::End, |token| token.kind)
    }

    fn token_text(&self, at: usize) -> &'t str {
        self.tokens.get(at).and_then(|token| self.text.get(token.start..token.end)).unwrap_or_default()
    }
}

/// The token at the beginning of `text` and its length in bytes; `None` for white space.
fn next_token(text: &str) -> Option<(TokenKind, usize)> {
    let mut characters = text.chars();
    let first = characters.next()?;
    let second = characters.next();
    Some(match (first, second) {
        (' ' | '\t' | '\r' | '\n', _) => return None,
        ('a'..='z' | 'A'..='Z', _) => {
            let length = 1 + word_length(text.get(1..)?);
            (keyword(text.get(..length)?).unwrap_or(TokenKind::Name), length)
        }
        ('#', Some(next)) if is_word(next) => (TokenKind::NamePlaceholder, 1 + word_length(text.get(1..)?)),
        (':', Some(next)) if is_word(next) => (TokenKind::ValuePlaceholder, 1 + word_length(text.get(1..)?)),
        ('0', _) => (TokenKind::Index, 1),
        ('1'..='9', _) => (TokenKind::Index, text.bytes().take_while(u8::is_ascii_digit).count()),
        ('<', Some('>')) => (TokenKind::Comparator(Comparator::NotEqual), 2),
        ('<', Some('=')) => (TokenKind::Comparator(Comparator::LessOrEqual), 2),
        ('>', Some('=')) => (TokenKind::Comparator(Comparator::GreaterOrEqual), 2),
        ('<', _) => (TokenKind::Comparator(Comparator::Less), 1),
        ('>', _) => (TokenKind::Comparator(Comparator::Greater), 1),
        ('=', _) => (TokenKind::Comparator(Comparator::Equal), 1),
        ('+', _) => (TokenKind::Plus, 1),
        ('-', _) => (TokenKind::Minus, 1),
        (',', _) => (TokenKind::Comma, 1),
        ('.', _) => (TokenKind::Dot, 1),
        ('(', _) => (TokenKind::Open, 1),
        (')', _) => (TokenKind::Close, 1),
        ('[', _) => (TokenKind::OpenBracket, 1),
        (']', _) => (TokenKind::CloseBracket, 1),
        (other, _) => (TokenKind::Unknown, other.len_utf8()),
    })
}

/// Whether a placeholder may be made of this character.
pub(crate) const fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn word_length(text: &str) -> usize {
    text.chars().take_while(|character| is_word(*character)).count()
}

fn keyword(word: &str) -> Option<TokenKind> {
    let keywords = [
        ("and", TokenKind::And),
        ("or", TokenKind::Or),
        ("not", TokenKind::Not),
        ("between", TokenKind::Between),
        ("in", TokenKind::In),
        ("set", TokenKind::Section(Section::Set)),
        ("remove", TokenKind::Section(Section::Remove)),
        ("add", TokenKind::Section(Section::Add)),
        ("delete", TokenKind::Section(Section::Delete)),
    ];
    keywords.into_iter().find(|(text, _)| word.eq_ignore_ascii_case(text)).map(|(_, kind)| kind)
}
