//! The writing of Ion text: a version marker and one struct a line, straight from the stored form of items.

use partita_model::{StoredElements, StoredItem, StoredMap, StoredText, ValueRef};

use super::{BINARY_SET, NUMBER_SET, STRING_SET};
use crate::Change;
use crate::json::{array, base64, hexadecimal};
use crate::scan::first_special;

/// What each line begins with.
const VERSION: &[u8] = b"$ion_1_0 ";
/// The most zeros after a decimal's point before an exponent takes their place.
const LEADING_ZEROS: usize = 6;

/// Appends a line of a full export: an item under `Item`.
pub fn item_line(item: &StoredItem, out: &mut Vec<u8>) {
    out.extend_from_slice(VERSION);
    out.extend_from_slice(b"{Item:");
    structure(item.entries(), out);
    out.extend_from_slice(b"}\n");
}

/// Appends a line of an incremental export.
pub fn change_line(change: &Change<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(VERSION);
    out.extend_from_slice(b"{Record:{Keys:");
    structure(change.keys.entries(), out);
    out.extend_from_slice(b",Metadata:{WriteTimestampMicros:");
    out.extend_from_slice(change.written_us.to_string().as_bytes());
    out.extend_from_slice(b".}");
    for (label, image) in [(",OldImage:", change.old), (",NewImage:", change.new)] {
        if let Some(image) = image {
            out.extend_from_slice(label.as_bytes());
            structure(image.entries(), out);
        }
    }
    out.extend_from_slice(b"}}\n");
}

fn structure(map: StoredMap<'_>, out: &mut Vec<u8>) {
    let mut separator = b'{';
    for (name, member) in map.iter() {
        out.push(separator);
        symbol(name, out);
        out.push(b':');
        value(&member, out);
        separator = b',';
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

fn value(value: &ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::S(text) => string(text.as_bytes(), out),
        ValueRef::N(text) => decimal(*text, out),
        ValueRef::B(bytes) => blob(bytes, out),
        ValueRef::Bool(true) => out.extend_from_slice(b"true"),
        ValueRef::Bool(false) => out.extend_from_slice(b"false"),
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::M(map) => structure(*map, out),
        ValueRef::L(list) => array(list.iter(), out, |element, out| self::value(&element, out)),
        ValueRef::Ss(set) => annotated(STRING_SET, set, out, |set, out| array(set.iter(), out, string)),
        ValueRef::Ns(set) => annotated(NUMBER_SET, set, out, |set, out| array(set.texts(), out, decimal)),
        ValueRef::Bs(set) => annotated(BINARY_SET, set, out, |set, out| array(set.iter(), out, blob)),
    }
}

fn annotated(
    annotation: &str,
    set: &StoredElements<'_>,
    out: &mut Vec<u8>,
    write: impl Fn(&StoredElements<'_>, &mut Vec<u8>),
) {
    out.extend_from_slice(annotation.as_bytes());
    out.extend_from_slice(b"::");
    write(set, out);
}

fn blob(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{{");
    base64(bytes, out);
    out.extend_from_slice(b"}}");
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = first_special(rest) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        if let Some((&byte, after)) = special.split_first() {
            escape(byte, out);
            rest = after;
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' | b'\'' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\x");
            return hexadecimal(byte, out);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// A field's name: bare where it reads as an identifier, in quotation marks elsewhere.
fn symbol(name: StoredText<'_>, out: &mut Vec<u8>) {
    let text = name.as_bytes();
    if is_identifier(text) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'\'');
    for &byte in text {
        match byte {
            b'\'' | b'\\' | 0..0x20 => escape(byte, out),
            _ => out.push(byte),
        }
    }
    out.push(b'\'');
}

fn is_identifier(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
    let begins_well = match text {
        // A dollar sign and digits are the number of a symbol, a dollar sign alone is left to operators.
        [b'$', rest @ ..] => !rest.iter().all(u8::is_ascii_digit),
        [first, ..] => !first.is_ascii_digit(),
        [] => false,
    };
    begins_well && text.iter().all(is_part) && !matches!(text, b"null" | b"true" | b"false" | b"nan")
}

/// A number's text, which is plain digits, as a decimal: with a point or an exponent, as integers have neither.
fn decimal(text: StoredText<'_>, out: &mut Vec<u8>) {
    let (sign, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if sign {
        out.push(b'-');
    }
    if let [b'0', b'.', fraction @ ..] = digits {
        let zeros = fraction.iter().take_while(|digit| **digit == b'0').count();
        if zeros > LEADING_ZEROS {
            out.extend_from_slice(fraction.get(zeros..).unwrap_or_default());
            out.extend_from_slice(format!("d-{}", fraction.len()).as_bytes());
        } else {
            out.extend_from_slice(digits);
        }
        return;
    }
    if digits.contains(&b'.') {
        out.extend_from_slice(digits);
        return;
    }
    match digits.iter().rposition(|digit| *digit != b'0') {
        Some(last) if last + 1 < digits.len() => {
            let (coefficient, zeros) = digits.split_at(last + 1);
            out.extend_from_slice(coefficient);
            out.extend_from_slice(format!("d{}", zeros.len()).as_bytes());
        }
        _ => {
            out.extend_from_slice(digits);
            out.push(b'.');
        }
    }
}

#[cfg(test)]
mod tests {
    use partita_model::{AttributeMap, AttributeValue, Number};

    use super::*;

    fn line(name: &str, value: AttributeValue) -> String {
        let mut item = AttributeMap::new();
        item.insert(name, value);
        let mut out = Vec::new();
        structure(StoredItem::from_item(&item).entries(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_decimals() {
        for (number, expected) in [
            ("0", "0."),
            ("103", "103."),
            ("-7", "-7."),
            ("600", "6d2"),
            ("-2000", "-2d3"),
            ("12.50", "12.5"),
            ("0.001", "0.001"),
            ("-0.0000001", "-0.0000001"),
            ("0.00000001", "1d-8"),
            ("-1.23E-130", "-123d-132"),
            ("9.9999999999999999999999999999999999999E125", "99999999999999999999999999999999999999d88"),
        ] {
            let Ok(parsed) = Number::parse(number) else {
                assert_eq!(number, "-1.23E-130", "too small for DynamoDB");
                continue;
            };
            assert_eq!(line("n", AttributeValue::N(parsed)), format!("{{n:{expected}}}"), "{number}");
        }
    }

    #[test]
    fn names_are_bare_where_that_is_unambiguous() {
        for (name, expected) in [
            ("a_1$", "a_1$"),
            ("_", "_"),
            ("$a1", "$a1"),
            ("$1", "'$1'"),
            ("$", "'$'"),
            ("1a", "'1a'"),
            ("true", "'true'"),
            ("nan", "'nan'"),
            ("", "''"),
            ("a-b", "'a-b'"),
            ("ä", "'ä'"),
            ("it's\\\n\u{1}", "'it\\'s\\\\\\n\\x01'"),
        ] {
            assert_eq!(line(name, AttributeValue::Null), format!("{{{expected}:null}}"));
        }
    }

    #[test]
    fn strings_and_blobs_stay_on_their_line() {
        let text = AttributeValue::S("a\"\\\r\n\t\u{0}ä'".to_owned());
        assert_eq!(line("s", text), "{s:\"a\\\"\\\\\\r\\n\\t\\x00ä'\"}");
        assert_eq!(line("b", AttributeValue::B(bytes::Bytes::new())), "{b:{{}}}");
    }
}
