//! DynamoDB's JSON: values with their types, as requests, responses and exports have them.
//!
//! Everything is appended to one buffer, straight from the stored form of items.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use partita_model::{StoredItem, StoredMap, StoredText, ValueRef};

use crate::Change;
use crate::scan::{first_special, is_plain};

/// Appends a line of a full export: an item under `Item`.
pub fn item_line(item: &StoredItem, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"Item\":");
    map(item.entries(), out);
    out.extend_from_slice(b"}\n");
}

/// Appends a line of an incremental export.
pub fn change_line(change: &Change<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"Metadata\":{\"WriteTimestampMicros\":{\"N\":\"");
    out.extend_from_slice(change.written_us.to_string().as_bytes());
    out.extend_from_slice(b"\"}},\"Keys\":");
    map(change.keys.entries(), out);
    for (label, image) in [("\"OldImage\":", change.old), ("\"NewImage\":", change.new)] {
        if let Some(image) = image {
            out.push(b',');
            out.extend_from_slice(label.as_bytes());
            map(image.entries(), out);
        }
    }
    out.extend_from_slice(b"}\n");
}

/// Appends attributes as an object of values with their types.
pub fn map(map: StoredMap<'_>, out: &mut Vec<u8>) {
    let mut separator = b'{';
    for (name, member) in map.iter() {
        out.push(separator);
        string(name.as_bytes(), out);
        out.push(b':');
        value(&member, out);
        separator = b',';
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

/// `{"<type>":`, then the value, then `}`.
macro_rules! tagged {
    ($out:ident, $tag:literal, $write:expr) => {{
        $out.extend_from_slice(concat!("{\"", $tag, "\":").as_bytes());
        $write;
        $out.push(b'}');
    }};
}

/// Appends a value with its type.
pub fn value(value: &ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::S(text) => tagged!(out, "S", string(text.as_bytes(), out)),
        ValueRef::N(text) => tagged!(out, "N", number_text(*text, out)),
        ValueRef::B(bytes) => tagged!(out, "B", binary(bytes, out)),
        ValueRef::Bool(true) => out.extend_from_slice(b"{\"BOOL\":true}"),
        ValueRef::Bool(false) => out.extend_from_slice(b"{\"BOOL\":false}"),
        ValueRef::Null => out.extend_from_slice(b"{\"NULL\":true}"),
        ValueRef::M(members) => tagged!(out, "M", map(*members, out)),
        ValueRef::L(list) => tagged!(out, "L", array(list.iter(), out, |element, out| self::value(&element, out))),
        ValueRef::Ss(set) => tagged!(out, "SS", array(set.iter(), out, string)),
        ValueRef::Ns(set) => tagged!(out, "NS", array(set.texts(), out, number_text)),
        ValueRef::Bs(set) => tagged!(out, "BS", array(set.iter(), out, binary)),
    }
}

/// Appends an array.
pub fn array<T>(elements: impl Iterator<Item = T>, out: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    let mut separator = b'[';
    for element in elements {
        out.push(separator);
        write(element, out);
        separator = b',';
    }
    if separator == b'[' {
        out.push(b'[');
    }
    out.push(b']');
}

/// Appends text, which is UTF-8, as a JSON string.
pub fn string(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        escaped(text, out);
    }
    out.push(b'"');
}

/// Appends text in which something is special.
#[cold]
fn escaped(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = first_special(text) {
        let (plain, special) = text.split_at(at);
        out.extend_from_slice(plain);
        if let Some((&byte, after)) = special.split_first() {
            escape(byte, out);
            text = after;
        }
    }
    out.extend_from_slice(text);
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x8 => b'b',
        0xc => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            return hexadecimal(byte, out);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends a byte in two digits.
pub(crate) fn hexadecimal(byte: u8, out: &mut Vec<u8>) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
    out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
}

/// A number's text in quotation marks; it has nothing to escape.
fn number_text(text: StoredText<'_>, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Appends bytes as a string of base64.
pub fn binary(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    base64(bytes, out);
    out.push(b'"');
}

/// Appends the base64 of bytes.
pub(crate) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    if let Some(target) = out.get_mut(start..) {
        let written = STANDARD.encode_slice(bytes, target);
        debug_assert_eq!(written.ok(), Some(target.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        let mut out = Vec::new();
        string("a\"b\\c\n\u{1}\u{1f}ä😀\u{7f}/".as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\c\\n\\u0001\\u001fä😀\u{7f}/\"");
    }

    #[test]
    fn bytes_are_base64_with_padding() {
        for (bytes, expected) in [(&b""[..], "\"\""), (b"\xff", "\"/w==\""), (b"abc", "\"YWJj\"")] {
            let mut out = Vec::new();
            binary(bytes, &mut out);
            assert_eq!(out, expected.as_bytes());
        }
    }
}
