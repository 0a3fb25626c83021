//! The writing of responses: appended to one buffer, member by member, items straight from their stored form.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use partita_model::{AttributeMap, AttributeValue, StoredItem, StoredMap, StoredText, ValueRef};

use crate::json::scan;
use crate::json::types::{Entries, Timestamp};

/// A type that can be written into a response.
pub trait Encode {
    /// Appends the value's JSON.
    fn encode(&self, out: &mut Vec<u8>);
}

/// The first allocation of a response, in bytes: enough for an item of 1 KB.
const FIRST_ALLOCATION: usize = 2048;

/// The JSON of a response.
#[must_use]
pub fn to_vec(value: &impl Encode) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIRST_ALLOCATION);
    value.encode(&mut out);
    out
}

/// An object that is being written. Members without a value are left out.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    separator: u8,
}

impl<'a> Object<'a> {
    /// Opens the object.
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        Self { out, separator: b'{' }
    }

    /// Writes a member unless it is absent; `label` is its name in quotation marks, with a colon.
    pub fn member<T: Encode>(&mut self, label: &str, value: &Option<T>) {
        if let Some(value) = value {
            self.separate();
            self.out.extend_from_slice(label.as_bytes());
            value.encode(self.out);
        }
    }

    fn entry(&mut self, key: &(impl Encode + ?Sized), value: &impl Encode) {
        self.separate();
        key.encode(self.out);
        self.out.push(b':');
        value.encode(self.out);
    }

    fn separate(&mut self) {
        self.out.push(self.separator);
        self.separator = b',';
    }

    /// Closes the object.
    pub fn end(self) {
        if self.separator == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }
}

/// Writes an array.
fn array<T: Encode>(out: &mut Vec<u8>, elements: impl Iterator<Item = T>) {
    let mut separator = b'[';
    for element in elements {
        out.push(separator);
        element.encode(out);
        separator = b',';
    }
    if separator == b'[' {
        out.push(b'[');
    }
    out.push(b']');
}

/// Appends text as a JSON string.
fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = scan::first_special(rest) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        if let Some((&byte, after)) = special.split_first() {
            escape(out, byte);
            rest = after;
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

impl Encode for str {
    fn encode(&self, out: &mut Vec<u8>) {
        string(out, self.as_bytes());
    }
}

impl Encode for StoredText<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        string(out, self.as_bytes());
    }
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x8 => b'b',
        0xc => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0xf)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// A number's text in quotation marks; it has nothing to escape.
fn number_text(out: &mut Vec<u8>, text: StoredText<'_>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

impl Encode for [u8] {
    /// As a string of base64.
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        let start = out.len();
        out.resize(start + self.len().div_ceil(3) * 4, 0);
        if let Some(target) = out.get_mut(start..) {
            let written = STANDARD.encode_slice(self, target);
            debug_assert_eq!(written.ok(), Some(target.len()));
        }
        out.push(b'"');
    }
}

impl Encode for Bytes {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

impl Encode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_str().encode(out);
    }
}

impl Encode for () {
    /// An empty body.
    fn encode(&self, _: &mut Vec<u8>) {}
}

impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

/// Appends a value's text; writing to memory cannot fail.
fn print(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok());
}

impl Encode for i64 {
    fn encode(&self, out: &mut Vec<u8>) {
        print(out, format_args!("{self}"));
    }
}

impl Encode for i32 {
    fn encode(&self, out: &mut Vec<u8>) {
        print(out, format_args!("{self}"));
    }
}

impl Encode for f64 {
    /// With at least one decimal, as in `1.0`. What is not finite has no JSON and becomes `0.0`.
    fn encode(&self, out: &mut Vec<u8>) {
        print(out, format_args!("{:?}", if self.is_finite() { *self } else { 0.0 }));
    }
}

impl Encode for Timestamp {
    fn encode(&self, out: &mut Vec<u8>) {
        ((self.0 * 1000.0).round() / 1000.0).encode(out);
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        array(out, self.iter());
    }
}

impl<T: Encode> Encode for Entries<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        for (key, value) in self.iter() {
            object.entry(key, value);
        }
        object.end();
    }
}

/// `{"<type>":`, then the value, then `}`.
macro_rules! tagged {
    ($out:ident, $tag:literal, $write:expr) => {{
        $out.extend_from_slice(concat!("{\"", $tag, "\":").as_bytes());
        $write;
        $out.push(b'}');
    }};
}

impl Encode for AttributeValue {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::S(text) => tagged!(out, "S", text.encode(out)),
            Self::N(number) => tagged!(out, "N", print(out, format_args!("\"{number}\""))),
            Self::B(bytes) => tagged!(out, "B", bytes.encode(out)),
            Self::Bool(value) => tagged!(out, "BOOL", value.encode(out)),
            Self::Null => tagged!(out, "NULL", true.encode(out)),
            Self::M(map) => tagged!(out, "M", map.encode(out)),
            Self::L(list) => tagged!(out, "L", list.encode(out)),
            Self::Ss(set) => tagged!(out, "SS", array(out, set.iter())),
            Self::Ns(set) => tagged!(out, "NS", array(out, set.iter().map(ToString::to_string))),
            Self::Bs(set) => tagged!(out, "BS", array(out, set.iter())),
        }
    }
}

impl Encode for AttributeMap {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        for (name, value) in self.iter() {
            object.entry(name, value);
        }
        object.end();
    }
}

impl Encode for StoredItem {
    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.as_bytes().len() * 5 / 4);
        self.entries().encode(out);
    }
}

impl Encode for StoredMap<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        for (name, value) in self.iter() {
            object.entry(&name, &value);
        }
        object.end();
    }
}

impl Encode for ValueRef<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::S(text) => tagged!(out, "S", text.encode(out)),
            Self::N(text) => tagged!(out, "N", number_text(out, *text)),
            Self::B(bytes) => tagged!(out, "B", bytes.encode(out)),
            Self::Bool(value) => tagged!(out, "BOOL", value.encode(out)),
            Self::Null => tagged!(out, "NULL", true.encode(out)),
            Self::M(map) => tagged!(out, "M", map.encode(out)),
            Self::L(list) => tagged!(out, "L", array(out, list.iter())),
            Self::Ss(set) => tagged!(out, "SS", array(out, set.texts())),
            Self::Ns(set) => tagged!(out, "NS", array(out, set.texts())),
            Self::Bs(set) => tagged!(out, "BS", array(out, set.iter())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: &impl Encode) -> String {
        String::from_utf8(to_vec(value)).unwrap()
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(json(&"a\"b\\c\n\u{1}\u{1f}ä😀\u{7f}/".to_owned()), "\"a\\\"b\\\\c\\n\\u0001\\u001fä😀\u{7f}/\"");
        assert_eq!(json(&String::new()), r#""""#);
    }

    #[test]
    fn numbers_have_dynamodbs_form() {
        assert_eq!(json(&1.0), "1.0");
        assert_eq!(json(&0.5), "0.5");
        assert_eq!(json(&0.0), "0.0");
        assert_eq!(json(&Timestamp(1_795_351_772.355_4)), "1795351772.355");
        assert_eq!(json(&Timestamp(1_795_351_772.0)), "1795351772.0");
        assert_eq!(json(&i64::MIN), "-9223372036854775808");
        assert_eq!(json(&f64::NAN), "0.0");
    }

    #[test]
    fn objects_leave_out_what_is_absent() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.member("\"A\":", &None::<bool>);
        object.member("\"B\":", &Some(true));
        object.member("\"C\":", &Some(vec![1, 2]));
        object.end();
        assert_eq!(out, br#"{"B":true,"C":[1,2]}"#);
        assert_eq!(json(&Entries::<bool>::default()), "{}");
        assert_eq!(json(&Vec::<bool>::new()), "[]");
        assert_eq!(json(&Bytes::from_static(b"\xff")), r#""/w==""#);
    }
}
