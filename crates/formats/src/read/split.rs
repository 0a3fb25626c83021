//! Where one record of a file ends and the next begins, found in a buffer that grows.
//!
//! Nothing is looked at twice: what has been scanned of an unfinished record is remembered between two calls, so a
//! record that comes byte by byte takes no more time than one that comes at once.

use memchr::{memchr, memchr2, memchr3};

use super::Form;

/// What was found in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A record: the bytes from `start` to `end` of the buffer. What follows begins at `next`.
    Record {
        /// Where the record begins.
        start: usize,
        /// Where it ends.
        end: usize,
        /// How many bytes of the buffer are done with.
        next: usize,
    },
    /// No record, but bytes of the buffer that are done with: empty lines.
    Nothing {
        /// How many.
        next: usize,
    },
    /// Nothing whole: the buffer must grow at its end.
    More,
    /// Nothing more.
    End,
    /// The file ends inside a record: nothing of the rest can be read.
    Broken(&'static str),
}

/// Finds records one after the other.
#[derive(Clone, Debug)]
pub struct Splitter {
    form: Form,
    /// How much of the buffer has been scanned.
    at: usize,
    state: State,
    /// How many brackets of Ion are open.
    depth: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between tokens; in CSV at the start of a field.
    Plain,
    /// In an unquoted field of CSV.
    Field,
    /// In a quoted field of CSV.
    Quoted,
    /// In `"…"` of Ion; inside `{{ }}` or not.
    Text { lob: bool },
    /// In `'''…'''` of Ion.
    LongText { lob: bool },
    /// In `'…'` of Ion.
    Symbol,
    /// In `//…`.
    LineComment,
    /// In `/*…*/`.
    BlockComment,
    /// In `{{ }}`.
    Lob,
}

impl Splitter {
    /// One at the start of a file, or at the start of a record.
    #[must_use]
    pub const fn new(form: Form) -> Self {
        Self { form, at: 0, state: State::Plain, depth: 0 }
    }

    /// The next record of `buffer`, whose first byte is the first that no earlier step was done with. `last` says that
    /// the file ends with the buffer.
    pub fn next(&mut self, buffer: &[u8], last: bool) -> Step {
        match self.form {
            Form::DynamoDbJson => self.line(buffer, last),
            Form::Csv(delimiter) => self.row(buffer, last, delimiter),
            Form::Ion => self.ion(buffer, last),
        }
    }

    fn found(&mut self, start: usize, end: usize, next: usize) -> Step {
        (self.at, self.state, self.depth) = (0, State::Plain, 0);
        Step::Record { start, end, next }
    }

    fn nothing(&mut self, next: usize) -> Step {
        (self.at, self.state, self.depth) = (0, State::Plain, 0);
        Step::Nothing { next }
    }

    /// Lines, without empty ones.
    fn line(&mut self, buffer: &[u8], last: bool) -> Step {
        if buffer.is_empty() && last {
            return Step::End;
        }
        let (end, next) = match memchr(b'\n', buffer.get(self.at..).unwrap_or_default()) {
            Some(found) => (self.at + found, self.at + found + 1),
            None if last => (buffer.len(), buffer.len()),
            None => {
                self.at = buffer.len();
                return Step::More;
            }
        };
        if buffer.get(..end).unwrap_or_default().trim_ascii().is_empty() {
            return self.nothing(next);
        }
        self.found(0, end, next)
    }

    /// Rows of CSV, without empty lines. Quotes inside unquoted fields are no quotes here; reading the row refuses them.
    fn row(&mut self, buffer: &[u8], last: bool, delimiter: u8) -> Step {
        if buffer.is_empty() && last {
            return Step::End;
        }
        loop {
            let at = self.at;
            let rest = buffer.get(at..).unwrap_or_default();
            match self.state {
                State::Quoted => match memchr(b'"', rest) {
                    Some(found) => match buffer.get(at + found + 1) {
                        Some(b'"') => self.at = at + found + 2,
                        Some(_) => (self.at, self.state) = (at + found + 1, State::Field),
                        None if last => (self.at, self.state) = (buffer.len(), State::Field),
                        None => {
                            self.at = at + found;
                            return Step::More;
                        }
                    },
                    None if last => return Step::Broken("The file ends inside a quoted value"),
                    None => {
                        self.at = buffer.len();
                        return Step::More;
                    }
                },
                State::Plain if rest.first() == Some(&b'"') => (self.at, self.state) = (at + 1, State::Quoted),
                _ => match memchr2(delimiter, b'\n', rest) {
                    Some(found) if rest.get(found) == Some(&b'\n') => {
                        let (end, next) = (at + found, at + found + 1);
                        return if is_empty_line(buffer, end) { self.nothing(next) } else { self.found(0, end, next) };
                    }
                    Some(found) => (self.at, self.state) = (at + found + 1, State::Plain),
                    None if !last => {
                        // A field that has begun is not looked at again; one that has not may still be quoted.
                        if !rest.is_empty() {
                            (self.at, self.state) = (buffer.len(), State::Field);
                        }
                        return Step::More;
                    }
                    None if is_empty_line(buffer, buffer.len()) => return self.nothing(buffer.len()),
                    None => return self.found(0, buffer.len(), buffer.len()),
                },
            }
        }
    }

    /// Values of Ion: all up to the bracket that closes the first one.
    fn ion(&mut self, buffer: &[u8], last: bool) -> Step {
        loop {
            let at = self.at;
            let rest = buffer.get(at..).unwrap_or_default();
            let second = rest.get(1).copied();
            // Where two or three bytes together mean something, they must be there.
            let short = |bytes: usize| rest.len() < bytes && !last;
            let Some(&first) = rest.first() else { return self.ion_end(buffer, last) };
            match (self.state, first) {
                (State::Plain, b'"') => self.go(1, State::Text { lob: false }),
                (State::Plain | State::Lob, b'\'') => {
                    let lob = self.state == State::Lob;
                    if short(3) {
                        return Step::More;
                    }
                    if rest.starts_with(b"'''") {
                        self.go(3, State::LongText { lob });
                    } else if lob {
                        self.go(1, State::Lob);
                    } else {
                        self.go(1, State::Symbol);
                    }
                }
                (State::Plain, b'/') => {
                    if short(2) {
                        return Step::More;
                    }
                    match second {
                        Some(b'/') => self.go(2, State::LineComment),
                        Some(b'*') => self.go(2, State::BlockComment),
                        _ => self.go(1, State::Plain),
                    }
                }
                (State::Plain, b'{') => {
                    if short(2) {
                        return Step::More;
                    }
                    if second == Some(b'{') {
                        self.go(2, State::Lob);
                    } else {
                        self.depth += 1;
                        self.go(1, State::Plain);
                    }
                }
                (State::Plain, b'[' | b'(') => {
                    self.depth += 1;
                    self.go(1, State::Plain);
                }
                (State::Plain, b'}' | b']' | b')') => {
                    self.depth = self.depth.saturating_sub(1);
                    self.go(1, State::Plain);
                    if self.depth == 0 {
                        let end = self.at;
                        return self.found(0, end, end);
                    }
                }
                (State::Plain, _) => {
                    let word =
                        |byte: &u8| !matches!(byte, b'"' | b'\'' | b'/' | b'{' | b'}' | b'[' | b']' | b'(' | b')');
                    let length = rest.iter().take_while(|byte| word(byte)).count();
                    self.go(length, State::Plain);
                }
                (State::Lob, b'"') => self.go(1, State::Text { lob: true }),
                (State::Lob, b'}') => {
                    if short(2) {
                        return Step::More;
                    }
                    if second == Some(b'}') { self.go(2, State::Plain) } else { self.go(1, State::Lob) }
                }
                (State::Lob, _) => match memchr3(b'}', b'"', b'\'', rest) {
                    Some(found) => self.go(found, State::Lob),
                    None => self.go(rest.len(), State::Lob),
                },
                (State::Text { lob }, _) => match memchr2(b'"', b'\\', rest) {
                    Some(found) if rest.get(found) == Some(&b'"') => self.go(found + 1, after_text(lob)),
                    Some(found) if rest.len() > found + 1 => self.go(found + 2, self.state),
                    Some(found) => {
                        self.go(found, self.state);
                        return self.unfinished(last);
                    }
                    None => self.go(rest.len(), self.state),
                },
                (State::Symbol, _) => match memchr2(b'\'', b'\\', rest) {
                    Some(found) if rest.get(found) == Some(&b'\'') => self.go(found + 1, State::Plain),
                    Some(found) if rest.len() > found + 1 => self.go(found + 2, State::Symbol),
                    Some(found) => {
                        self.go(found, State::Symbol);
                        return self.unfinished(last);
                    }
                    None => self.go(rest.len(), State::Symbol),
                },
                (State::LongText { lob }, _) => match memchr2(b'\'', b'\\', rest) {
                    Some(found) if rest.get(found) == Some(&b'\\') => {
                        if rest.len() > found + 1 {
                            self.go(found + 2, self.state);
                        } else {
                            self.go(found, self.state);
                            return self.unfinished(last);
                        }
                    }
                    Some(found) if rest.len() < found + 3 => {
                        self.go(found, self.state);
                        return self.unfinished(last);
                    }
                    Some(found) if rest.get(found..found + 3) == Some(b"'''") => self.go(found + 3, after_text(lob)),
                    Some(found) => self.go(found + 1, self.state),
                    None => self.go(rest.len(), self.state),
                },
                (State::LineComment, _) => match memchr(b'\n', rest) {
                    Some(found) => self.go(found + 1, State::Plain),
                    None => self.go(rest.len(), State::LineComment),
                },
                (State::BlockComment, b'*') => {
                    if short(2) {
                        return Step::More;
                    }
                    if second == Some(b'/') { self.go(2, State::Plain) } else { self.go(1, State::BlockComment) }
                }
                (State::BlockComment, _) => match memchr(b'*', rest) {
                    Some(found) => self.go(found, State::BlockComment),
                    None => self.go(rest.len(), State::BlockComment),
                },
                // States of CSV.
                (State::Field | State::Quoted, _) => self.state = State::Plain,
            }
        }
    }

    const fn go(&mut self, bytes: usize, state: State) {
        self.at += bytes;
        self.state = state;
    }

    const fn unfinished(&self, last: bool) -> Step {
        if last { Step::Broken("The file ends inside a value") } else { Step::More }
    }

    /// Everything has been scanned, and nothing was whole.
    fn ion_end(&mut self, buffer: &[u8], last: bool) -> Step {
        if !last {
            return Step::More;
        }
        if self.depth > 0 || !matches!(self.state, State::Plain | State::LineComment) {
            return Step::Broken("The file ends inside a value");
        }
        if buffer.is_empty() { Step::End } else { self.found(0, buffer.len(), buffer.len()) }
    }
}

const fn after_text(lob: bool) -> State {
    if lob { State::Lob } else { State::Plain }
}

fn is_empty_line(buffer: &[u8], end: usize) -> bool {
    matches!(buffer.get(..end), None | Some(b"" | b"\r"))
}
