//! Records of Amazon Ion's text. Types that DynamoDB has not (timestamps, symbols, floats, clobs, S-expressions, typed
//! nulls) are errors of their record; so are annotations other than those of sets.
//!
//! Source: "Amazon Ion: Specification" and "Amazon S3 import formats for DynamoDB: Amazon Ion", DynamoDB Developer Guide.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use partita_model::value::{MAX_NESTING_DEPTH, Set};
use partita_model::{AttributeMap, AttributeValue, Number};

use super::json::set_fault;
use super::{Malformed, Members, Record, check_name, map};

/// The binary form of Ion begins with this.
const BINARY_MARK: &[u8] = &[0xE0, 0x01, 0x00, 0xEA];
/// How deeply values may be nested that become nothing.
const MAX_IGNORED_DEPTH: usize = 64;

type Result<T> = std::result::Result<T, Malformed>;

/// Reads a record; `None` when there is none in the text.
pub fn record(bytes: &[u8]) -> Result<Option<Record>> {
    if bytes.starts_with(BINARY_MARK) {
        return Err(Malformed::new("The binary form of Ion can not be read; its text form can"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::new("The record is not UTF-8"))?;
    let mut reader = Reader { text, at: 0 };
    loop {
        reader.space()?;
        match reader.peek() {
            None => return Ok(None),
            Some(b'{') => break,
            Some(_) => {
                let word = reader.symbol()?.ok_or_else(|| Malformed::new("The record is not a struct"))?;
                reader.space()?;
                if reader.take("::") {
                    return Err(Malformed(format!("The annotation {word} of a record is not supported")));
                }
                if word != "$ion_1_0" {
                    return Err(Malformed::new("The record is not a struct"));
                }
            }
        }
    }
    let mut members = Members::default();
    reader.fields(|reader, name| {
        match name.as_str() {
            "Item" => members.item = Some(reader.attributes(0)?),
            "ConditionExpression" => members.expression = Some(reader.string_value()?),
            "ExpressionAttributeNames" => {
                let mut names = Vec::new();
                reader.fields(|reader, name| {
                    let of = reader.string_value()?;
                    names.push((name, of));
                    Ok(())
                })?;
                members.names = Some(names);
            }
            "ExpressionAttributeValues" => members.values = Some(reader.attributes(0)?),
            _ => reader.ignore(0)?,
        }
        Ok(())
    })?;
    reader.space()?;
    if reader.peek().is_some() {
        return Err(Malformed::new("Something follows the record"));
    }
    members.record().map(Some)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes past `token` if it is next.
    fn take(&mut self, token: &str) -> bool {
        let there = self.rest().starts_with(token);
        if there {
            self.at += token.len();
        }
        there
    }

    fn expect(&mut self, token: &str, what: &str) -> Result<()> {
        if self.take(token) { Ok(()) } else { Err(Malformed(format!("{what} is expected in the Ion text"))) }
    }

    /// Goes past white space and comments.
    fn space(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            let spaces = rest.bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C));
            self.at += spaces.count();
            if self.take("//") {
                self.at += self.rest().find(['\n', '\r']).unwrap_or(self.rest().len());
            } else if self.take("/*") {
                let end = self.rest().find("*/").ok_or_else(|| Malformed::new("A comment has no end"))?;
                self.at += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    /// An identifier or quoted symbol, if one is next.
    fn symbol(&mut self) -> Result<Option<String>> {
        if self.rest().starts_with("'''") {
            return Ok(None);
        }
        if self.take("'") {
            return self.quoted('\'').map(Some);
        }
        let rest = self.rest();
        let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
        let length = rest.bytes().take_while(part).count();
        if length == 0 || rest.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            return Ok(None);
        }
        let word = rest.get(..length).unwrap_or_default();
        if word.strip_prefix('$').is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(Malformed(format!("The symbol {word} has no text: symbol tables are not supported")));
        }
        self.at += length;
        Ok(Some(word.to_owned()))
    }

    /// A struct, each of whose fields is read by `read`, which is given its name.
    fn fields(&mut self, mut read: impl FnMut(&mut Self, String) -> Result<()>) -> Result<()> {
        self.space()?;
        if self.rest().starts_with("{{") {
            return Err(Malformed::new("A struct is expected in the Ion text"));
        }
        self.expect("{", "A struct")?;
        loop {
            self.space()?;
            if self.take("}") {
                return Ok(());
            }
            let name = match self.strings()? {
                Some(name) => name,
                None => self.symbol()?.ok_or_else(|| Malformed::new("A struct has a field without a name"))?,
            };
            self.space()?;
            if self.rest().starts_with("::") {
                return Err(Malformed::new("A field's name has an annotation"));
            }
            self.expect(":", "A colon")?;
            self.space()?;
            read(self, name)?;
            self.space()?;
            if !self.take(",") {
                return self.expect("}", "The end of a struct");
            }
        }
    }

    /// A list, each of whose elements is read by `read`.
    fn elements(&mut self, mut read: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.space()?;
        self.expect("[", "A list")?;
        loop {
            self.space()?;
            if self.take("]") {
                return Ok(());
            }
            read(self)?;
            self.space()?;
            if !self.take(",") {
                return self.expect("]", "The end of a list");
            }
        }
    }

    /// A struct as attributes, under so many lists and structs.
    fn attributes(&mut self, depth: usize) -> Result<AttributeMap> {
        let mut pairs = Vec::new();
        self.fields(|reader, name| {
            check_name(&name)?;
            pairs.push((name, reader.value(depth)?));
            Ok(())
        })?;
        map(pairs)
    }

    fn value(&mut self, depth: usize) -> Result<AttributeValue> {
        if depth >= MAX_NESTING_DEPTH {
            return Err(Malformed::new(
                "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond \
                 supported limit",
            ));
        }
        if let Some(text) = self.strings()? {
            return Ok(AttributeValue::S(text));
        }
        match self.peek() {
            Some(b'{') if self.rest().starts_with("{{") => Ok(AttributeValue::B(self.blob()?)),
            Some(b'{') => Ok(AttributeValue::M(self.attributes(depth + 1)?)),
            Some(b'[') => {
                let mut values = Vec::new();
                self.elements(|reader| {
                    values.push(reader.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(AttributeValue::L(values))
            }
            Some(b'(') => Err(unsupported("an S-expression")),
            Some(b'0'..=b'9' | b'-' | b'+') => Ok(AttributeValue::N(self.number()?)),
            Some(_) => {
                let quoted = self.peek() == Some(b'\'');
                let word = self.symbol()?.ok_or_else(|| Malformed::new("A value is expected in the Ion text"))?;
                let after = self.at;
                self.space()?;
                if self.take("::") {
                    return self.annotated(&word);
                }
                self.at = after;
                match word.as_str() {
                    "true" | "false" if !quoted => Ok(AttributeValue::Bool(word == "true")),
                    "null" if !quoted => self.null(),
                    "nan" if !quoted => Err(unsupported("a float")),
                    _ => Err(unsupported("a symbol")),
                }
            }
            None => Err(Malformed::new("A value is expected in the Ion text")),
        }
    }

    fn null(&mut self) -> Result<AttributeValue> {
        if self.take(".") {
            let kind = self.symbol()?.unwrap_or_default();
            if kind != "null" {
                return Err(unsupported(&format!("null.{kind}")));
            }
        }
        Ok(AttributeValue::Null)
    }

    /// A value behind an annotation: a set.
    fn annotated(&mut self, annotation: &str) -> Result<AttributeValue> {
        fn faulty(kind: &str) -> impl Fn(partita_model::value::SetError) -> Malformed + '_ {
            move |error| Malformed(set_fault(&error, kind))
        }
        match annotation {
            "$dynamodb_SS" => {
                let mut elements = Vec::new();
                self.elements(|reader| {
                    elements.push(reader.string_value()?);
                    Ok(())
                })?;
                Set::new(elements).map(AttributeValue::Ss).map_err(faulty("string"))
            }
            "$dynamodb_NS" => {
                let mut elements = Vec::new();
                self.elements(|reader| {
                    elements.push(reader.number()?);
                    Ok(())
                })?;
                Set::new(elements).map(AttributeValue::Ns).map_err(faulty("number"))
            }
            "$dynamodb_BS" => {
                let mut elements = Vec::new();
                self.elements(|reader| {
                    elements.push(reader.blob()?);
                    Ok(())
                })?;
                Set::new(elements).map(AttributeValue::Bs).map_err(faulty("binary"))
            }
            other => Err(Malformed(format!("The annotation {other} is not supported"))),
        }
    }

    fn string_value(&mut self) -> Result<String> {
        self.space()?;
        self.strings()?.ok_or_else(|| Malformed::new("A string is expected in the Ion text"))
    }

    /// A string, or long strings one after the other, which are one; `None` when none is next.
    fn strings(&mut self) -> Result<Option<String>> {
        if self.take("\"") {
            return self.quoted('"').map(Some);
        }
        if !self.rest().starts_with("'''") {
            return Ok(None);
        }
        let mut whole = String::new();
        loop {
            let after = self.at;
            self.space()?;
            if !self.take("'''") {
                self.at = after;
                return Ok(Some(whole));
            }
            self.long(&mut whole)?;
        }
    }

    /// What stands before the quote that ends a string or symbol.
    fn quoted(&mut self, quote: char) -> Result<String> {
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let end = rest.find([quote, '\\', '\n', '\r']).ok_or_else(no_end)?;
            out.push_str(rest.get(..end).unwrap_or_default());
            self.at += end;
            if self.take("\\") {
                self.escape(&mut out)?;
            } else if self.peek().map(char::from) == Some(quote) {
                self.at += 1;
                return Ok(out);
            } else {
                return Err(Malformed::new("A line ends inside a string"));
            }
        }
    }

    /// What stands before `'''`.
    fn long(&mut self, out: &mut String) -> Result<()> {
        loop {
            let rest = self.rest();
            let end = rest.find(['\'', '\\', '\r']).ok_or_else(no_end)?;
            out.push_str(rest.get(..end).unwrap_or_default());
            self.at += end;
            if self.take("'''") {
                return Ok(());
            }
            if self.take("\\") {
                self.escape(out)?;
            } else if self.take("\r\n") || self.take("\r") {
                out.push('\n');
            } else if self.take("'") {
                out.push('\'');
            }
        }
    }

    /// What an escape stands for whose backslash is gone.
    fn escape(&mut self, out: &mut String) -> Result<()> {
        if self.take("\r\n") {
            return Ok(());
        }
        let kind = self.peek().ok_or_else(no_end)?;
        if !kind.is_ascii() {
            return Err(bad_escape());
        }
        self.at += 1;
        out.push(match kind {
            b'0' => '\0',
            b'a' => '\u{7}',
            b'b' => '\u{8}',
            b't' => '\t',
            b'n' => '\n',
            b'f' => '\u{c}',
            b'r' => '\r',
            b'v' => '\u{b}',
            b'"' | b'\'' | b'?' | b'\\' | b'/' => char::from(kind),
            b'\n' | b'\r' => return Ok(()),
            b'x' => char::from_u32(self.hex(2)?).ok_or_else(bad_escape)?,
            b'U' => char::from_u32(self.hex(8)?).ok_or_else(bad_escape)?,
            b'u' => {
                let unit = self.hex(4)?;
                if (0xD800..0xDC00).contains(&unit) && self.take("\\u") {
                    let low = self.hex(4)?;
                    let low = low.checked_sub(0xDC00).filter(|low| *low < 0x400).ok_or_else(bad_escape)?;
                    char::from_u32(0x10000 + ((unit - 0xD800) << 10) + low).ok_or_else(bad_escape)?
                } else {
                    char::from_u32(unit).ok_or_else(bad_escape)?
                }
            }
            _ => return Err(bad_escape()),
        });
        Ok(())
    }

    fn hex(&mut self, digits: usize) -> Result<u32> {
        let text = self.rest().get(..digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let number = text.and_then(|text| u32::from_str_radix(text, 16).ok()).ok_or_else(bad_escape)?;
        self.at += digits;
        Ok(number)
    }

    /// The bytes of a blob.
    fn blob(&mut self) -> Result<Bytes> {
        self.space()?;
        self.expect("{{", "A blob")?;
        let rest = self.rest();
        if rest.trim_start().starts_with(['"', '\'']) {
            return Err(unsupported("a clob"));
        }
        let end = rest.find("}}").ok_or_else(no_end)?;
        let text: Vec<u8> =
            rest.bytes().take(end).filter(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C)).collect();
        self.at += end + 2;
        BASE64_STANDARD.decode(text).map(Bytes::from).map_err(|_| Malformed::new("A blob is not Base64"))
    }

    /// An integer or decimal.
    fn number(&mut self) -> Result<Number> {
        self.space()?;
        let rest = self.rest();
        let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-' | b'.' | b':');
        let token = rest.get(..rest.bytes().take_while(part).count()).unwrap_or_default();
        self.at += token.len();
        let bad = || Malformed(format!("{token} is not a number of Ion"));
        let unsigned = token.strip_prefix('-').unwrap_or(token);
        let sign = if unsigned.len() < token.len() { "-" } else { "" };
        for (prefixes, radix) in [(["0x", "0X"], 16), (["0b", "0B"], 2)] {
            if let Some(digits) = prefixes.iter().find_map(|prefix| unsigned.strip_prefix(prefix)) {
                let digits = without_underscores(digits).ok_or_else(bad)?;
                if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return Err(bad());
                }
                let number = u128::from_str_radix(&digits, radix).map_err(|_| bad())?;
                return parse(&format!("{sign}{number}"));
            }
        }
        let whole = unsigned.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'_').count();
        let (whole, tail) = unsigned.split_at(whole);
        if whole.is_empty() {
            return Err(if matches!(token, "+inf" | "-inf") { unsupported("a float") } else { bad() });
        }
        // A year: four digits before a hyphen or T.
        if whole.len() == 4 && tail.starts_with(['-', 'T']) {
            return Err(unsupported("a timestamp"));
        }
        if whole.len() > 1 && whole.starts_with('0') {
            return Err(bad());
        }
        let whole = without_underscores(whole).ok_or_else(bad)?;
        let (fraction, exponent) = match tail.find(['d', 'D', 'e', 'E']) {
            Some(at) => tail.split_at(at),
            None => (tail, ""),
        };
        let fraction = match fraction.strip_prefix('.') {
            Some("") => String::new(),
            Some(digits) => without_underscores(digits).ok_or_else(bad)?,
            None if fraction.is_empty() => String::new(),
            None => return Err(bad()),
        };
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        let exponent = match exponent.as_bytes().first() {
            None => "0",
            Some(b'd' | b'D') => exponent.get(1..).filter(|digits| !digits.is_empty()).ok_or_else(bad)?,
            Some(_) => return Err(unsupported("a float")),
        };
        parse(&format!("{sign}{whole}.{fraction}0e{exponent}"))
    }

    /// Goes past a value that nothing is made of.
    fn ignore(&mut self, depth: usize) -> Result<()> {
        if depth >= MAX_IGNORED_DEPTH {
            return Err(Malformed::new("A field that a record does not have is nested too deep"));
        }
        self.space()?;
        if self.strings()?.is_some() {
            return Ok(());
        }
        match self.peek() {
            Some(b'{') if self.rest().starts_with("{{") => self.blob().map(|_| ()),
            Some(b'{') => self.fields(|reader, _| reader.ignore(depth + 1)),
            Some(b'[') => self.elements(|reader| reader.ignore(depth + 1)),
            Some(b'(') => Err(unsupported("an S-expression")),
            Some(_) => {
                if self.symbol()?.is_some() {
                    let after = self.at;
                    self.space()?;
                    if self.take("::") {
                        return self.ignore(depth + 1);
                    }
                    self.at = after;
                }
                let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-' | b'.' | b':');
                self.at += self.rest().bytes().take_while(part).count();
                Ok(())
            }
            None => Err(Malformed::new("A value is expected in the Ion text")),
        }
    }
}

fn parse(text: &str) -> Result<Number> {
    Number::parse(text).map_err(|error| Malformed(error.to_string()))
}

/// Digits without the underscores between them; `None` when one is elsewhere, or there are no digits.
fn without_underscores(digits: &str) -> Option<String> {
    let well_placed =
        !digits.is_empty() && !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
    well_placed.then(|| digits.replace('_', ""))
}

fn unsupported(what: &str) -> Malformed {
    Malformed(format!("DynamoDB has no type for {what} of Ion"))
}

fn no_end() -> Malformed {
    Malformed::new("A value has no end")
}

fn bad_escape() -> Malformed {
    Malformed::new("A string has an escape that is none")
}
