//! A pull decoder over the bytes of a request: tokens, members, elements, and what DynamoDB says of a wrong type.
//!
//! Nothing here recurses: junk in members that no structure has is skipped with a bounded stack of bits.

use std::borrow::Cow;

use partita_formats::first_special;
use partita_model::Refusal;

use crate::json::SHAPES;
use crate::wording::{self, Layer};

/// How deeply members that no structure has may be nested before the request is refused (the limit of the JSON
/// parser that the service uses).
pub const MAX_SKIPPED_DEPTH: usize = 1_000;

/// A body that could not be decoded: a `SerializationException`. The service gives no message for broken JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .message.as_deref().unwrap_or("the body is not JSON"))]
pub struct Serialization {
    /// DynamoDB's words, if it has any.
    pub message: Option<Cow<'static, str>>,
}

impl Serialization {
    /// The body is not JSON.
    pub(crate) const BROKEN: Self = Self { message: None };

    pub(crate) fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: Some(message.into()) }
    }
}

/// Where a value stands, because errors word a wrong type by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A member of a structure.
    Field,
    /// An element of a list or a value of a map.
    Inside,
}

/// A type that can be decoded from a request.
pub trait Decode: Sized {
    /// Appends the type's Java name, by which errors name it.
    fn java(out: &mut String);

    /// Decodes one value that is not `null`.
    ///
    /// # Errors
    /// `Serialization` when the JSON is broken or of another type.
    fn decode(decoder: &mut Decoder<'_>, place: Place) -> Result<Self, Serialization>;
}

/// What the next value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Object,
    Array,
    Text,
    Number,
    True,
    False,
    Null,
}

/// Reads a request body from front to back.
#[derive(Debug)]
pub struct Decoder<'a> {
    text: &'a str,
    at: usize,
    /// Whether nothing has been read yet of the innermost open object or array.
    fresh: bool,
    /// How many lists and maps enclose the attribute value being read.
    pub(crate) depth: usize,
    layer: Layer,
    /// The name of the expression attribute value being read.
    expression_value: Option<Cow<'a, str>>,
    refusal: Option<Refusal>,
}

impl<'a> Decoder<'a> {
    /// A decoder at the start of `body`.
    ///
    /// # Errors
    /// When the body is not UTF-8.
    pub fn new(body: &'a [u8], layer: Layer) -> Result<Self, Serialization> {
        let text = simdutf8::basic::from_utf8(body).map_err(|_| Serialization::BROKEN)?;
        Ok(Self { text, at: 0, fresh: false, depth: 0, layer, expression_value: None, refusal: None })
    }

    /// Ends the decoding: nothing but white space may follow.
    ///
    /// Returns the first attribute value that breaks a rule of values.
    ///
    /// # Errors
    /// When something follows the request.
    pub fn end(mut self) -> Result<Option<Refusal>, Serialization> {
        self.white_space();
        if self.at == self.text.len() { Ok(self.refusal) } else { Err(Serialization::BROKEN) }
    }

    /// Whether a value has been refused.
    pub(crate) fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// Makes room for a refusal that goes before the one noted.
    pub(crate) fn forget_refusal(&mut self) {
        self.refusal = None;
    }

    /// Notes that a value breaks a rule; only the first is kept. Decoding goes on, because errors of decoding and of
    /// the model's constraints come before those of values.
    pub(crate) fn refuse(&mut self, message: impl FnOnce(Layer) -> String) {
        if self.refusal.is_none() {
            let message = message(self.layer);
            self.refusal = Some(wording::bad_value(self.layer, self.expression_value.as_deref(), message));
        }
    }

    /// The value of a structure's member, `None` for `null`.
    pub(crate) fn field<T: Decode>(&mut self) -> Result<Option<T>, Serialization> {
        if self.token()? == Token::Null {
            self.literal("null")?;
            return Ok(None);
        }
        T::decode(self, Place::Field).map(Some)
    }

    /// Reads an expression attribute value, whose name some errors give.
    pub(crate) fn named_value<T>(&mut self, name: Cow<'a, str>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.expression_value = Some(name);
        let result = read(self);
        self.expression_value = None;
        result
    }

    // ---- structure -----------------------------------------------------------------------------------------------

    /// Opens the object of a structure.
    pub(crate) fn begin_structure<T: Decode>(&mut self, place: Place) -> Result<(), Serialization> {
        match self.token()? {
            Token::Object => {
                self.open();
                Ok(())
            }
            Token::Array => {
                let mut message = String::from("Unrecognized collection type class ");
                T::java(&mut message);
                Err(Serialization::new(message))
            }
            _ if place == Place::Inside => Err(Serialization::new("Unexpected value type in payload")),
            _ => Err(Serialization::new("Unexpected field type")),
        }
    }

    /// Opens the object of a map of type `T`.
    pub(crate) fn begin_map<T: Decode>(&mut self, place: Place) -> Result<(), Serialization> {
        match self.token()? {
            Token::Object => {
                self.open();
                Ok(())
            }
            Token::Array => {
                let mut message = String::from("Unrecognized collection type ");
                T::java(&mut message);
                Err(Serialization::new(message))
            }
            _ => Err(Self::not_a_collection(place)),
        }
    }

    /// Opens the array of a list.
    pub(crate) fn begin_list(&mut self, place: Place) -> Result<(), Serialization> {
        match self.token()? {
            Token::Array => {
                self.open();
                Ok(())
            }
            Token::Object => Err(Serialization::new("Start of structure or map found where not expected")),
            _ => Err(Self::not_a_collection(place)),
        }
    }

    fn not_a_collection(place: Place) -> Serialization {
        match place {
            Place::Field => Serialization::new("Unexpected field type"),
            Place::Inside => Serialization::new(wording::GENERIC_CAST),
        }
    }

    fn open(&mut self) {
        self.at += 1;
        self.fresh = true;
    }

    /// The name of the next member of the open object, or `None` at its end.
    pub(crate) fn member(&mut self) -> Result<Option<Cow<'a, str>>, Serialization> {
        self.white_space();
        match self.byte() {
            Some(b'}') => {
                self.at += 1;
                self.fresh = false;
                return Ok(None);
            }
            Some(b',') if !self.fresh => {
                self.at += 1;
                self.white_space();
            }
            Some(_) if self.fresh => {}
            _ => return Err(Serialization::BROKEN),
        }
        self.fresh = false;
        let name = self.string()?;
        self.white_space();
        self.expect(b':')?;
        Ok(Some(name))
    }

    /// Whether the open array has another element; at its end it is closed.
    pub(crate) fn element(&mut self) -> Result<bool, Serialization> {
        self.white_space();
        match self.byte() {
            Some(b']') => {
                self.at += 1;
                self.fresh = false;
                return Ok(false);
            }
            Some(b',') if !self.fresh => self.at += 1,
            Some(_) if self.fresh => {}
            _ => return Err(Serialization::BROKEN),
        }
        self.fresh = false;
        Ok(true)
    }

    /// Skips the members of the open object, known or not.
    pub(crate) fn skip_members(&mut self) -> Result<(), Serialization> {
        while self.member()?.is_some() {
            self.skip()?;
        }
        Ok(())
    }

    /// Skips one value of any type.
    pub(crate) fn skip(&mut self) -> Result<(), Serialization> {
        let mut open = Brackets::default();
        loop {
            match self.token()? {
                Token::Object => {
                    self.open();
                    open.push(true)?;
                }
                Token::Array => {
                    self.open();
                    open.push(false)?;
                }
                Token::Text => drop(self.string()?),
                Token::Number => drop(self.number()?),
                Token::True => self.literal("true")?,
                Token::False => self.literal("false")?,
                Token::Null => self.literal("null")?,
            }
            loop {
                let Some(is_object) = open.top() else { return Ok(()) };
                let more = if is_object { self.member()?.is_some() } else { self.element()? };
                if more {
                    break;
                }
                open.pop();
            }
        }
    }

    // ---- scalars -------------------------------------------------------------------------------------------------

    /// What the next value is.
    pub(crate) fn token(&mut self) -> Result<Token, Serialization> {
        self.white_space();
        Ok(match self.byte() {
            Some(b'{') => Token::Object,
            Some(b'[') => Token::Array,
            Some(b'"') => Token::Text,
            Some(b'-' | b'0'..=b'9') => Token::Number,
            Some(b't') => Token::True,
            Some(b'f') => Token::False,
            Some(b'n') => Token::Null,
            _ => return Err(Serialization::BROKEN),
        })
    }

    /// The error for a value of another type than the scalar `java.lang.{name}`.
    pub(crate) fn not_a_scalar(&mut self, token: Token, name: &str) -> Serialization {
        let found = match token {
            Token::Object => return Serialization::new("Start of structure or map found where not expected"),
            Token::Array => return Serialization::new(format!("Unrecognized collection type class java.lang.{name}")),
            Token::Null => return Serialization::new("Unexpected token received from parser"),
            Token::Text => "STRING_VALUE",
            Token::True => "TRUE_VALUE",
            Token::False => "FALSE_VALUE",
            Token::Number => match self.number() {
                Err(broken) => return broken,
                Ok(number) if number.contains(['.', 'e', 'E']) => "DECIMAL_VALUE",
                Ok(_) => "NUMBER_VALUE",
            },
        };
        Serialization::new(format!("{found} cannot be converted to {name}"))
    }

    /// Consumes a literal whose first byte has been seen.
    pub(crate) fn literal(&mut self, literal: &'static str) -> Result<(), Serialization> {
        if !self.rest().starts_with(literal.as_bytes()) {
            return Err(Serialization::BROKEN);
        }
        self.at += literal.len();
        Ok(())
    }

    /// A number's text, of JSON's grammar.
    pub(crate) fn number(&mut self) -> Result<&'a str, Serialization> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.byte() == Some(b'0');
        let digits = self.digits()?;
        if leading_zero && digits > 1 {
            return Err(Serialization::BROKEN);
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        self.text.get(start..self.at).ok_or(Serialization::BROKEN)
    }

    fn digits(&mut self) -> Result<usize, Serialization> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(Serialization::BROKEN) } else { Ok(count) }
    }

    /// A string, borrowed from the body unless it has escapes.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Serialization> {
        self.expect(b'"')?;
        let plain = self.plain_text()?;
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut out = String::from(plain);
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                Some(_) => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                None => return Err(Serialization::BROKEN),
            }
            out.push_str(self.plain_text()?);
        }
    }

    /// The text up to the next quotation mark or backslash; it may contain no control character.
    fn plain_text(&mut self) -> Result<&'a str, Serialization> {
        let length = first_special(self.rest()).ok_or(Serialization::BROKEN)?;
        let start = self.at;
        self.at += length;
        match self.byte() {
            Some(b'"' | b'\\') => self.text.get(start..self.at).ok_or(Serialization::BROKEN),
            _ => Err(Serialization::BROKEN),
        }
    }

    fn escape(&mut self) -> Result<char, Serialization> {
        let byte = self.byte().ok_or(Serialization::BROKEN)?;
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                let code = if (0xd800..0xdc00).contains(&first) {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    let second = self.hex()?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return Err(Serialization::BROKEN);
                    }
                    0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                // A surrogate without its other half is no character.
                char::from_u32(code).ok_or(Serialization::BROKEN)?
            }
            _ => return Err(Serialization::BROKEN),
        })
    }

    fn hex(&mut self) -> Result<u32, Serialization> {
        let digits = self.rest().get(..4).ok_or(Serialization::BROKEN)?;
        let mut value = 0;
        for &digit in digits {
            value = value << 4 | char::from(digit).to_digit(16).ok_or(Serialization::BROKEN)?;
        }
        self.at += 4;
        Ok(value)
    }

    // ---- bytes ---------------------------------------------------------------------------------------------------

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Serialization> {
        if self.byte() != Some(byte) {
            return Err(Serialization::BROKEN);
        }
        self.at += 1;
        Ok(())
    }

    fn white_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

/// Which brackets are open while junk is skipped: one bit each, set for an object.
#[derive(Default)]
struct Brackets {
    bits: Vec<u64>,
    depth: usize,
}

impl Brackets {
    fn push(&mut self, is_object: bool) -> Result<(), Serialization> {
        if self.depth == MAX_SKIPPED_DEPTH {
            return Err(Serialization::BROKEN);
        }
        if self.depth.is_multiple_of(64) {
            self.bits.push(0);
        }
        if let Some(word) = self.bits.last_mut() {
            *word = *word << 1 | u64::from(is_object);
        }
        self.depth += 1;
        Ok(())
    }

    fn top(&self) -> Option<bool> {
        self.bits.last().map(|word| word & 1 == 1)
    }

    fn pop(&mut self) {
        self.depth -= 1;
        if self.depth.is_multiple_of(64) {
            self.bits.pop();
        } else if let Some(word) = self.bits.last_mut() {
            *word >>= 1;
        }
    }
}

/// The Java name of a structure.
pub(crate) fn shape_name(out: &mut String, name: &str) {
    out.push_str(SHAPES);
    out.push_str(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads any JSON.
    fn skip(json: &[u8]) -> Result<(), Serialization> {
        let mut decoder = Decoder::new(json, Layer::Current)?;
        decoder.skip()?;
        decoder.end().map(drop)
    }

    fn string(json: &str) -> Result<String, Serialization> {
        let mut decoder = Decoder::new(json.as_bytes(), Layer::Current)?;
        let text = decoder.string()?.into_owned();
        decoder.end()?;
        Ok(text)
    }

    #[test]
    fn json_is_taken_as_a_whole() {
        for json in [
            "{}",
            "[]",
            " [ 1 , 2.5e-3 , -0 , 1E+2 ] ",
            r#"{"a":{"b":[{},[],"",null,true,false]},"c":""}"#,
            "\t\n\r 3 ",
            r#""😀""#,
            r#"{"a":1,"a":2}"#,
        ] {
            assert_eq!(skip(json.as_bytes()), Ok(()), "{json}");
        }
    }

    #[test]
    fn broken_json_is_refused_without_a_message() {
        for json in [
            "",
            " ",
            "{",
            "}",
            "[",
            "]",
            "{]",
            "[}",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            r#"{a:1}"#,
            "{1:1}",
            r#"{"a":1 "b":2}"#,
            "tru",
            "truex",
            "nul",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "0x1",
            "NaN",
            "Infinity",
            "'a'",
            "\"",
            "\"a",
            "\"\n\"",
            "\"\0\"",
            r#""\x""#,
            r#""\u12""#,
            r#""\u12g4""#,
            r#""\""#,
            "{} x",
            "{}{}",
            "// c\n{}",
            "\u{feff}{}",
        ] {
            assert_eq!(skip(json.as_bytes()), Err(Serialization::BROKEN), "{json}");
        }
        assert_eq!(skip(b"\"\xff\""), Err(Serialization::BROKEN));
        assert_eq!(skip(b"\"\xed\xa0\x80\""), Err(Serialization::BROKEN), "a surrogate in UTF-8");
    }

    #[test]
    fn escapes_are_undone_and_lone_surrogates_refused() {
        for (json, text) in [
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""\u0000\u00e4\uD83D\uDE00""#, "\0ä😀"),
            (r#""a\u0062c""#, "abc"),
        ] {
            assert_eq!(string(json).as_deref(), Ok(text));
        }
        for json in [r#""\ud83d""#, r#""\ud83d\u0041""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\ud83d""#] {
            assert_eq!(string(json), Err(Serialization::BROKEN), "{json}");
        }
    }

    #[test]
    fn skipped_junk_is_bounded_in_depth() {
        let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
        assert_eq!(skip(&nested(MAX_SKIPPED_DEPTH)), Ok(()));
        assert_eq!(skip(&nested(MAX_SKIPPED_DEPTH + 1)), Err(Serialization::BROKEN));
        assert_eq!(skip(&b"[".repeat(1 << 20)), Err(Serialization::BROKEN));
        let mixed = format!("{}1{}", r#"{"a":["#.repeat(400), "]}".repeat(400));
        assert_eq!(skip(mixed.as_bytes()), Ok(()));
    }
}
