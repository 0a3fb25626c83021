//! Encodings of key attributes: sort keys as bytes whose order is DynamoDB's order, partition keys as keyed hashes.
//!
//! Every encoding is prefix-free, so components can be put one after another and a whole component is also the prefix
//! of exactly the keys that begin with it. Where the components stand in a key is the `db` crate's affair.

use crate::number::Number;
use crate::value::AttributeValue;

/// The largest partition key value in bytes.
pub const MAX_PARTITION_KEY_BYTES: usize = 2048;
/// The largest sort key value in bytes.
pub const MAX_SORT_KEY_BYTES: usize = 1024;

/// Bytes are encoded in groups of eight, each followed by a marker: at most 9/8 of their length plus nine.
const GROUP: usize = 8;
/// Marks a group that others follow. A last group carries this less the bytes of padding, of which there is at least one.
const MORE: u8 = 0xff;

const NEGATIVE: u8 = 0x40;
const ZERO: u8 = 0x80;
const POSITIVE: u8 = 0xc0;

/// The hash that stands for a partition key in stored keys.
pub type PartitionHash = [u8; 16];

/// Appends the order-preserving encoding of a key value: a string, number or binary. Other types are no key values and
/// append nothing; the schema check has refused them before.
pub fn put_sort_value(out: &mut Vec<u8>, value: &AttributeValue) {
    match value {
        AttributeValue::S(text) => put_bytes(out, text.as_bytes()),
        AttributeValue::B(bytes) => put_bytes(out, bytes),
        AttributeValue::N(number) => put_number(out, number),
        _ => debug_assert!(false, "a key value is a string, number or binary"),
    }
}

/// Appends what the encodings of all values that begin with `prefix` begin with. Encodings of smaller values may begin
/// with it too, by their padding: the values that begin with `prefix` are those from `prefix` itself up to the
/// `prefix_end` of this.
pub fn put_sort_prefix(out: &mut Vec<u8>, prefix: &[u8]) {
    let mut groups = prefix.chunks_exact(GROUP);
    for group in groups.by_ref() {
        out.extend_from_slice(group);
        out.push(MORE);
    }
    out.extend_from_slice(groups.remainder());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_sort_prefix(out, bytes);
    let padding = GROUP - bytes.len() % GROUP;
    out.extend(std::iter::repeat_n(0, padding));
    out.push(MORE - u8::try_from(padding).unwrap_or(0));
}

/// A sign, the exponent of the first digit, pairs of digits from the first on, and an end mark; all but the sign
/// complemented for negative numbers.
fn put_number(out: &mut Vec<u8>, number: &Number) {
    if number.is_zero() {
        return out.push(ZERO);
    }
    out.push(if number.is_negative() { NEGATIVE } else { POSITIVE });
    let start = out.len();
    // -130..=125 becomes 0..=255.
    out.push(u8::try_from(number.first_digit_exponent() - crate::number::MIN_EXPONENT).unwrap_or(u8::MAX));
    let coefficient = number.coefficient();
    let mut rest = coefficient * 10u128.pow(crate::number::MAX_SIGNIFICANT_DIGITS - 1 - coefficient.ilog10());
    let mut place = 10u128.pow(crate::number::MAX_SIGNIFICANT_DIGITS - 2);
    while rest > 0 && place > 0 {
        out.push(u8::try_from(rest / place).unwrap_or(0) + 1);
        rest %= place;
        place /= 100;
    }
    out.push(0);
    if number.is_negative() {
        out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
    }
}

/// The smallest byte string above all that begin with `prefix`, or `None` when there is none (all bytes are 0xff).
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end)
}

/// The keyed 128-bit BLAKE3 hash of a partition key of one or more values.
///
/// The secret is the database's own, so partition keys can be neither read from stored keys nor chosen to collide.
#[must_use]
pub fn partition_hash<'a>(secret: &[u8; 32], values: impl IntoIterator<Item = &'a AttributeValue>) -> PartitionHash {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    for value in values {
        match value {
            AttributeValue::S(text) => hash_component(&mut hasher, b'S', text.as_bytes()),
            AttributeValue::B(bytes) => hash_component(&mut hasher, b'B', bytes),
            AttributeValue::N(number) => {
                let mut bytes = Vec::with_capacity(24);
                put_number(&mut bytes, number);
                hash_component(&mut hasher, b'N', &bytes);
            }
            _ => debug_assert!(false, "a key value is a string, number or binary"),
        }
    }
    let mut hash = PartitionHash::default();
    hasher.finalize_xof().fill(&mut hash);
    hash
}

fn hash_component(hasher: &mut blake3::Hasher, kind: u8, bytes: &[u8]) {
    let mut head = [kind, 0, 0, 0, 0];
    let [_, length @ ..] = &mut head;
    *length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    hasher.update(&head).update(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn encoded(value: &AttributeValue) -> Vec<u8> {
        let mut out = Vec::new();
        put_sort_value(&mut out, value);
        out
    }

    fn number(text: &str) -> AttributeValue {
        AttributeValue::N(Number::parse(text).unwrap())
    }

    #[test]
    fn numbers_order_by_value() {
        let ascending = [
            "-9.9e125",
            "-1e125",
            "-100",
            "-99.5",
            "-99",
            "-10",
            "-9",
            "-1.5",
            "-1",
            "-0.1",
            "-1e-130",
            "0",
            "1e-130",
            "0.01",
            "0.1",
            "0.11",
            "1",
            "1.5",
            "9",
            "10",
            "99",
            "99.5",
            "100",
            "101",
            "12345678901234567890123456789012345678",
            "1e125",
            "9.9e125",
        ];
        for pair in ascending.windows(2) {
            assert!(encoded(&number(pair[0])) < encoded(&number(pair[1])), "{pair:?}");
        }
    }

    #[test]
    fn prefix_end_is_the_next_string_that_does_not_begin_with_it() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xff"), None);
        assert_eq!(prefix_end(b""), None);
    }

    #[test]
    fn hash_separates_components_and_types() {
        let secret = [7; 32];
        let text = |s: &str| AttributeValue::S(s.to_owned());
        let hash = |values: &[AttributeValue]| partition_hash(&secret, values);
        assert_ne!(hash(&[text("ab"), text("c")]), hash(&[text("a"), text("bc")]));
        assert_ne!(hash(&[text("1")]), hash(&[number("1")]));
        assert_eq!(hash(&[number("1.0")]), hash(&[number("1")]));
        assert_ne!(hash(&[text("a")]), partition_hash(&[8; 32], &[text("a")]));
    }

    proptest! {
        #[test]
        fn byte_order_is_value_order(a in vec(0u8..3, 0..20), b in vec(0u8..3, 0..20)) {
            let value = |bytes: &Vec<u8>| AttributeValue::B(bytes.clone().into());
            prop_assert_eq!(encoded(&value(&a)).cmp(&encoded(&value(&b))), a.cmp(&b));
        }

        #[test]
        fn strings_order_by_utf8_bytes(a in ".{0,20}", b in ".{0,20}") {
            let value = |text: &String| AttributeValue::S(text.clone());
            prop_assert_eq!(encoded(&value(&a)).cmp(&encoded(&value(&b))), a.as_bytes().cmp(b.as_bytes()));
        }

        #[test]
        fn number_order_is_value_order(a: i64, b: i64, ea in -60i32..60, eb in -60i32..60) {
            let a = number(&format!("{a}e{ea}"));
            let b = number(&format!("{b}e{eb}"));
            prop_assert_eq!(Some(encoded(&a).cmp(&encoded(&b))), a.compare(&b));
        }

        #[test]
        fn encodings_are_prefix_free(a in vec(0u8..3, 0..20), b in vec(0u8..3, 0..20)) {
            let value = |bytes: &Vec<u8>| AttributeValue::B(bytes.clone().into());
            prop_assert_eq!(encoded(&value(&a)).starts_with(&encoded(&value(&b))), a == b);
        }

        #[test]
        fn values_from_the_prefix_to_its_end_are_those_that_begin_with_it(bytes in vec(0u8..2, 0..20), prefix in vec(0u8..2, 0..12)) {
            let mut start = Vec::new();
            put_sort_prefix(&mut start, &prefix);
            let value = encoded(&AttributeValue::B(bytes.clone().into()));
            let smallest = encoded(&AttributeValue::B(prefix.clone().into()));
            prop_assert_eq!(value >= smallest && value.starts_with(&start), bytes.starts_with(&prefix));
        }
    }
}
