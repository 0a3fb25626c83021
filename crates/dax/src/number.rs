//! Numbers as DAX's clients write them: CBOR's integers, big integers, decimals and floats in values, and the
//! order-preserving form in sort keys.
//!
//! All of them are turned into text and made of text. What a number may be, the model says when it reads the text.

use std::fmt::Write as _;

use crate::cbor::{Malformed, Reader, Writer, major};

/// The tag of a big integer from zero on, as bytes.
const TAG_BIG: u64 = 2;
/// The tag of a big integer below zero: -1 less the bytes.
const TAG_NEGATIVE_BIG: u64 = 3;
/// The tag of an exponent and a mantissa.
const TAG_DECIMAL: u64 = 4;
/// The most bytes of a big integer: 10^126, with which DynamoDB's numbers end, takes 53.
const MAX_BIG_BYTES: usize = 64;
/// The most digits of a whole number that are written in full.
const WHOLE_DIGITS: usize = 38;
/// An exponent that no number comes near, however many digits its mantissa has.
const MAX_EXPONENT: i64 = 10_000;
/// The most digits of a number in a sort key; DynamoDB's have 38.
const MAX_KEY_DIGITS: usize = 60;

/// Reads a number; `None`, with nothing read, if the next value is none.
///
/// # Errors
/// When it is cut off or larger than anything DynamoDB could be asked for.
pub fn read(reader: &mut Reader<'_>) -> Result<Option<String>, Malformed> {
    if let Some(value) = reader.wide_int()? {
        return Ok(Some(value.to_string()));
    }
    if let Some(value) = reader.float()? {
        return Ok(Some(value.to_string()));
    }
    if reader.major()? != major::TAG {
        return Ok(None);
    }
    let mut ahead = *reader;
    let text = match ahead.tag()? {
        tag @ (TAG_BIG | TAG_NEGATIVE_BIG) => big(tag, &ahead.bytes()?)?,
        TAG_DECIMAL => {
            ahead.array_of(2)?;
            let exponent = ahead.int()?;
            if !(-MAX_EXPONENT..=MAX_EXPONENT).contains(&exponent) {
                return Err(Malformed("a number's exponent is beyond all numbers"));
            }
            let mut mantissa = integer(&mut ahead)?;
            let written = write!(mantissa, "E{exponent}");
            debug_assert!(written.is_ok());
            mantissa
        }
        _ => return Ok(None),
    };
    *reader = ahead;
    Ok(Some(text))
}

/// An integer, big or not, as text.
fn integer(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    if let Some(value) = reader.wide_int()? {
        return Ok(value.to_string());
    }
    match reader.tag()? {
        tag @ (TAG_BIG | TAG_NEGATIVE_BIG) => big(tag, &reader.bytes()?),
        _ => Err(Malformed("an integer is expected")),
    }
}

fn big(tag: u64, bytes: &[u8]) -> Result<String, Malformed> {
    if bytes.len() > MAX_BIG_BYTES {
        return Err(Malformed("an integer is larger than any number"));
    }
    // Digits from the lowest on.
    let mut digits = vec![0u8];
    let mut times_and_plus = |factor: u32, plus: u32| {
        let mut carry = plus;
        for digit in &mut digits {
            carry += u32::from(*digit) * factor;
            *digit = low_digit(carry);
            carry /= 10;
        }
        while carry > 0 {
            digits.push(low_digit(carry));
            carry /= 10;
        }
    };
    for byte in bytes {
        times_and_plus(256, u32::from(*byte));
    }
    if tag == TAG_NEGATIVE_BIG {
        times_and_plus(1, 1);
    }
    let sign = if tag == TAG_NEGATIVE_BIG { "-" } else { "" };
    let digits: String = digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect();
    let digits = digits.trim_start_matches('0');
    Ok(if digits.is_empty() { "0".to_owned() } else { format!("{sign}{digits}") })
}

fn low_digit(value: u32) -> u8 {
    u8::try_from(value % 10).unwrap_or_default()
}

/// Writes the number of a text without exponent, as DynamoDB writes numbers.
pub fn write(text: &[u8], out: &mut Writer) {
    let (negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let point = magnitude.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match point {
        Some(point) => (magnitude.get(..point).unwrap_or_default(), magnitude.get(point + 1..).unwrap_or_default()),
        None => (magnitude, &[][..]),
    };
    if !fraction.is_empty() {
        out.tag(TAG_DECIMAL);
        out.array(2);
        out.int(i64::try_from(fraction.len()).map_or(0, |length| -length));
    }
    write_integer(negative, whole.iter().chain(fraction).map(|byte| byte.wrapping_sub(b'0')), out);
}

fn write_integer(negative: bool, digits: impl Iterator<Item = u8> + Clone, out: &mut Writer) {
    let small = digits.clone().try_fold(0i64, |value, digit| value.checked_mul(10)?.checked_add(i64::from(digit)));
    if let Some(value) = small {
        out.int(if negative { -value } else { value });
        return;
    }
    // Bytes from the lowest on.
    let mut bytes = vec![0u8];
    for digit in digits {
        let mut carry = u32::from(digit);
        for byte in &mut bytes {
            carry += u32::from(*byte) * 10;
            *byte = low_byte(carry);
            carry >>= 8;
        }
        if carry > 0 {
            bytes.push(low_byte(carry));
        }
    }
    if negative {
        // -1 less what the bytes say.
        for byte in &mut bytes {
            let (less, borrows) = byte.overflowing_sub(1);
            *byte = less;
            if !borrows {
                break;
            }
        }
    }
    bytes.reverse();
    out.tag(if negative { TAG_NEGATIVE_BIG } else { TAG_BIG });
    out.bytes(&bytes);
}

fn low_byte(value: u32) -> u8 {
    u8::try_from(value & 0xFF).unwrap_or_default()
}

/// What an exponent of a positive number is shifted by in the first byte of a sort key's number.
const POSITIVE: i32 = 0xC0;
/// What an exponent of a negative number is taken from there.
const NEGATIVE: i32 = 0x3F;
/// The first byte of zero.
const ZERO: u8 = 0x80;
/// Exponents from here on, either way, take four bytes of their own.
const WIDE: i32 = 0x3E;
/// Three digits are three digits more than this.
const POSITIVE_DIGITS: u32 = 12;
/// Three digits of a negative number are this less three digits.
const NEGATIVE_DIGITS: u32 = 999 + 12;
/// The three terminators of a negative number are this less those of a positive one.
const LAST_DIGIT: u32 = 1023;

/// Writes the number of a text without exponent as a sort key: bytes in the order of the numbers. It is the number as a
/// fraction below one with a power of ten: the power, then three digits in ten bits at a time, and what tells how many of
/// the last three count.
#[must_use]
pub fn to_key(text: &[u8]) -> Vec<u8> {
    let (negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let point = magnitude.iter().position(|&byte| byte == b'.').unwrap_or(magnitude.len());
    let digits: Vec<u8> = magnitude.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0').collect();
    let leading = digits.iter().take_while(|&&digit| digit == 0).count();
    // Clients show the digits that there are, so a whole number keeps its zeros.
    let is_whole = point == magnitude.len() && digits.len() <= WHOLE_DIGITS;
    let trailing = if is_whole { 0 } else { digits.iter().rev().take_while(|&&digit| digit == 0).count() };
    let counted = digits.get(leading..digits.len().saturating_sub(trailing));
    let Some(digits) = counted.filter(|digits| !digits.is_empty()) else {
        return vec![ZERO];
    };
    let place = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
    let exponent = place(point) - place(leading);
    let mut key = Vec::with_capacity(8 + digits.len() / 2);
    let is_wide = !(-WIDE..WIDE).contains(&exponent);
    let first = match (negative, is_wide, exponent < 0) {
        (true, false, _) => u8::try_from(NEGATIVE - exponent).unwrap_or_default(),
        (true, true, below) => {
            if below {
                0x7E
            } else {
                0x01
            }
        }
        (false, false, _) => u8::try_from(POSITIVE + exponent).unwrap_or_default(),
        (false, true, below) => {
            if below {
                0x81
            } else {
                0xFE
            }
        }
    };
    key.push(first);
    if is_wide {
        let flip = if negative { 0x7FFF_FFFF } else { i32::MIN };
        key.extend_from_slice(&(exponent ^ flip).to_be_bytes());
    }
    let mut bits = Bits { key, kept: 0, count: 0 };
    for group in digits.chunks(3) {
        let value = (0..3).fold(0, |value, at| value * 10 + u32::from(group.get(at).copied().unwrap_or(0)));
        bits.push(if negative { NEGATIVE_DIGITS - value } else { POSITIVE_DIGITS + value });
    }
    let terminator = u32::try_from((digits.len() + 2) % 3).unwrap_or_default();
    bits.push(if negative { LAST_DIGIT - terminator } else { terminator });
    bits.end()
}

/// Ten bits at a time.
struct Bits {
    key: Vec<u8>,
    kept: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, ten: u32) {
        self.kept = self.kept << 10 | ten;
        self.count += 10;
        while self.count >= 8 {
            self.count -= 8;
            self.key.push(low_byte(self.kept >> self.count));
        }
        self.kept &= (1 << self.count) - 1;
    }

    fn end(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.key.push(low_byte(self.kept << (8 - self.count)));
        }
        self.key
    }
}

/// The number of a sort key, as text.
///
/// # Errors
/// When it is cut off, or no number.
pub fn of_key(key: &[u8]) -> Result<String, Malformed> {
    let wrong = Malformed("a sort key is no number");
    let (&first, mut rest) = key.split_first().ok_or(wrong)?;
    let (negative, exponent) = match first {
        0x7F | ZERO => return if rest.is_empty() { Ok("0".to_owned()) } else { Err(wrong) },
        0x00 | 0xFF => return Err(wrong),
        0x01 | 0x7E | 0x81 | 0xFE => {
            let (wide, after) = rest.split_first_chunk::<4>().ok_or(wrong)?;
            rest = after;
            let negative = first < ZERO;
            let flip = if negative { 0x7FFF_FFFF } else { i32::MIN };
            (negative, i32::from_be_bytes(*wide) ^ flip)
        }
        first if first < ZERO => (true, NEGATIVE - i32::from(first)),
        first => (false, i32::from(first) - POSITIVE),
    };
    let mut digits = String::with_capacity(MAX_KEY_DIGITS);
    let (mut kept, mut count) = (0u32, 0u32);
    let mut last: Option<u32> = None;
    let mut rest = rest.iter();
    loop {
        while count < 10 {
            kept = kept << 8 | u32::from(*rest.next().ok_or(wrong)?);
            count += 8;
        }
        let ten = kept >> (count - 10) & 0x3FF;
        count -= 10;
        kept &= (1 << count) - 1;
        let ten = if negative { LAST_DIGIT - ten } else { ten };
        // A terminator counts the digits of the three before it.
        let ends = usize::try_from(ten).ok().filter(|ten| *ten < 3).map(|ten| ten + 1);
        if let Some(group) = last {
            let written = write!(digits, "{group:03}");
            debug_assert!(written.is_ok());
            if let Some(counted) = ends {
                digits.truncate(digits.len() - 3 + counted);
            }
        }
        if ends.is_some() {
            break;
        }
        if digits.len() > MAX_KEY_DIGITS {
            return Err(wrong);
        }
        last = Some(ten.checked_sub(POSITIVE_DIGITS).filter(|group| *group <= 999).ok_or(wrong)?);
    }
    if digits.is_empty() || rest.next().is_some() || i64::from(exponent).abs() > MAX_EXPONENT {
        return Err(wrong);
    }
    let sign = if negative { "-" } else { "" };
    let exponent = i64::from(exponent) - i64::try_from(digits.len()).unwrap_or_default();
    Ok(format!("{sign}{digits}E{exponent}"))
}

#[cfg(test)]
mod tests {
    use partita_model::Number;
    use proptest::prelude::*;

    use super::*;

    fn canonical(number: &Number) -> String {
        let mut text = String::new();
        number.write_text(&mut text).unwrap();
        text
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// As the Python client 2.1.0 encodes them.
    #[test]
    fn sort_keys_are_those_of_the_official_client() {
        for (text, key) in PYTHON_KEYS {
            assert_eq!(to_key(text.as_bytes()), bytes(key), "{text}");
            assert_eq!(Number::parse(&of_key(&bytes(key)).unwrap()), Number::parse(text), "{text}");
        }
    }

    const PYTHON_KEYS: &[(&str, &str)] = &[
        ("1", "c11c0000"),
        ("-1", "3ee3fff0"),
        ("10", "c21c0010"),
        ("100", "c31c0020"),
        ("1000", "c41c00c000"),
        ("-1200", "3bdeff3ffc"),
        ("12345", "c521dce004"),
        ("-12345", "3ade231ff8"),
        ("0.5", "c0800000"),
        ("0.001", "be1c0000"),
        ("-0.001", "41e3fff0"),
        ("3.14159", "c1518ab008"),
        ("123456789012345678901234567890.12345678", "de21dd4c8418596b2e44f690f8621dd4c60010"),
        ("0.0000000000000000000000000000000000000000000000000000000000000000000001", "817fffffbb1c0000"),
        ("-99999999999999999999999999999999999999", "190300c0300c0300c0300c0300c0300c057fe0"),
        (
            "10000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
            "fe800000651c0000",
        ),
        (
            "-10000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
            "017fffff9ae3fff0",
        ),
        ("-0.000000000000000000000000000000000000000000000000000000000000000000000000000000007", "7e8000004f4dfff0"),
    ];

    proptest! {
        #[test]
        fn numbers_come_back_from_values_and_sort_keys(negative: bool, coefficient in 0u128..10u128.pow(38), exponent in -130i32..88) {
            let sign = if negative { "-" } else { "" };
            let Ok(number) = Number::parse(&format!("{sign}{coefficient}E{exponent}")) else { return Ok(()) };
            let text = canonical(&number);
            let mut writer = Writer::default();
            write(text.as_bytes(), &mut writer);
            let read = read(&mut Reader::new(writer.as_bytes())).unwrap().unwrap();
            prop_assert_eq!(Number::parse(&read), Ok(number));
            prop_assert_eq!(Number::parse(&of_key(&to_key(text.as_bytes())).unwrap()), Ok(number));
        }

        #[test]
        fn sort_keys_are_in_the_order_of_the_numbers(one in -1_000_000i64..1_000_000, other in -1_000_000i64..1_000_000) {
            let key = |value: i64| to_key(value.to_string().as_bytes());
            prop_assert_eq!(key(one).cmp(&key(other)), one.cmp(&other));
        }

        #[test]
        fn any_bytes_are_no_number_or_one(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = of_key(&bytes);
            let _ = read(&mut Reader::new(&bytes));
        }
    }
}
