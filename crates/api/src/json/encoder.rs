//! The writing of responses: appended to one buffer, member by member, items straight from their stored form.

use std::io::Write as _;

use bytes::Bytes;
use partita_formats::json;
use partita_model::{AttributeMap, AttributeValue, StoredItem, StoredMap, ValueRef};

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
    json::array(elements, out, |element, out| element.encode(out));
}

impl Encode for str {
    fn encode(&self, out: &mut Vec<u8>) {
        json::string(self.as_bytes(), out);
    }
}

impl Encode for [u8] {
    /// As a string of base64.
    fn encode(&self, out: &mut Vec<u8>) {
        json::binary(self, out);
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
        json::map(self.entries(), out);
    }
}

impl Encode for StoredMap<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        json::map(*self, out);
    }
}

impl Encode for ValueRef<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        json::value(self, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &impl Encode) -> String {
        String::from_utf8(to_vec(value)).unwrap()
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(written(&"a\"b\\c\n\u{1}\u{1f}ä😀\u{7f}/".to_owned()), "\"a\\\"b\\\\c\\n\\u0001\\u001fä😀\u{7f}/\"");
        assert_eq!(written(&String::new()), r#""""#);
    }

    #[test]
    fn numbers_have_dynamodbs_form() {
        assert_eq!(written(&1.0), "1.0");
        assert_eq!(written(&0.5), "0.5");
        assert_eq!(written(&0.0), "0.0");
        assert_eq!(written(&Timestamp(1_795_351_772.355_4)), "1795351772.355");
        assert_eq!(written(&Timestamp(1_795_351_772.0)), "1795351772.0");
        assert_eq!(written(&i64::MIN), "-9223372036854775808");
        assert_eq!(written(&f64::NAN), "0.0");
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
        assert_eq!(written(&Entries::<bool>::default()), "{}");
        assert_eq!(written(&Vec::<bool>::new()), "[]");
        assert_eq!(written(&Bytes::from_static(b"\xff")), r#""/w==""#);
    }
}
