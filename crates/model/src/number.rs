//! Decimal numbers with up to 38 significant digits: parsing, DynamoDB's text form, comparison, arithmetic, size.
//!
//! The rules are those of "Naming rules and data types: Number" in the developer guide; the texts of the errors are
//! the service's own.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

/// How many significant digits a number may have.
pub const MAX_SIGNIFICANT_DIGITS: u32 = 38;
/// The exponent of the first digit of the largest numbers: 9.99…E+125.
pub const MAX_EXPONENT: i32 = 125;
/// The exponent of the smallest magnitude: 1E-130.
pub const MIN_EXPONENT: i32 = -130;
/// The longest canonical text in bytes: a sign, `0.` and 130 digits before and 37 after the first significant one.
pub const MAX_TEXT_BYTES: usize = 171;

/// The smallest coefficient with 39 digits.
const COEFFICIENT_LIMIT: u128 = 10u128.pow(MAX_SIGNIFICANT_DIGITS);

/// A DynamoDB number: `coefficient × 10^exponent`, negated if `negative`.
///
/// Always normalized (no trailing zeros in the coefficient; zero has exponent 0 and no sign), so structural equality
/// is equality by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    exponent: i16,
    coefficient: u128,
}

/// Why a text is no number, or a result has no place in the range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text is empty.
    #[error("The parameter cannot be converted to a numeric value")]
    Empty,
    /// The text does not read as a number.
    #[error("The parameter cannot be converted to a numeric value: {0}")]
    NotNumeric(String),
    /// More than 38 significant digits.
    #[error("Attempting to store more than 38 significant digits in a Number")]
    TooManyDigits,
    /// Magnitude of 1E+126 or above.
    #[error("Number overflow. Attempting to store a number with magnitude larger than supported range")]
    Overflow,
    /// Magnitude below 1E-130 but not zero.
    #[error("Number underflow. Attempting to store a number with magnitude smaller than supported range")]
    Underflow,
}

impl Number {
    /// Zero.
    pub const ZERO: Self = Self { negative: false, exponent: 0, coefficient: 0 };

    /// Reads a number: an optional sign, digits with an optional point, and an optional exponent.
    ///
    /// # Errors
    /// `NumberError`, whose text is that of DynamoDB's `ValidationException`.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        if text.is_empty() {
            return Err(NumberError::Empty);
        }
        let not_numeric = || NumberError::NotNumeric(text.to_owned());
        let bytes = text.as_bytes();
        let (negative, mut rest) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, bytes),
        };
        // Digits after the 38th significant one must be zeros; they only move the exponent.
        let mut coefficient: u128 = 0;
        let mut digits = 0u32;
        let mut excess_zeros = 0i64;
        let mut exponent = 0i64;
        let mut seen_digit = false;
        let mut seen_point = false;
        let mut too_many = false;
        while let [byte, tail @ ..] = rest {
            match byte {
                b'0'..=b'9' => {
                    seen_digit = true;
                    if seen_point {
                        exponent -= 1;
                    }
                    let digit = u128::from(byte - b'0');
                    if coefficient == 0 {
                        if digit != 0 {
                            coefficient = digit;
                            digits = 1;
                        }
                    } else if digit == 0 {
                        excess_zeros += 1;
                    } else {
                        // The zeros passed over now turn out to be significant.
                        let zeros = u32::try_from(excess_zeros).unwrap_or(u32::MAX);
                        digits = digits.saturating_add(zeros).saturating_add(1);
                        if digits > MAX_SIGNIFICANT_DIGITS {
                            too_many = true;
                        } else {
                            coefficient = coefficient * 10u128.pow(zeros + 1) + digit;
                            excess_zeros = 0;
                        }
                    }
                }
                b'.' if !seen_point => seen_point = true,
                b'e' | b'E' if seen_digit => break,
                _ => return Err(not_numeric()),
            }
            rest = tail;
        }
        if !seen_digit {
            return Err(not_numeric());
        }
        if let [_, exponent_text @ ..] = rest {
            exponent = exponent.saturating_add(parse_exponent(exponent_text).ok_or_else(not_numeric)?);
        }
        if too_many {
            return Err(NumberError::TooManyDigits);
        }
        if coefficient == 0 {
            return Ok(Self::ZERO);
        }
        Self::normalized(negative, coefficient, exponent.saturating_add(excess_zeros))
    }

    fn normalized(negative: bool, mut coefficient: u128, mut exponent: i64) -> Result<Self, NumberError> {
        if coefficient == 0 {
            return Ok(Self::ZERO);
        }
        while coefficient.is_multiple_of(10) {
            coefficient /= 10;
            exponent = exponent.saturating_add(1);
        }
        if coefficient >= COEFFICIENT_LIMIT {
            return Err(NumberError::TooManyDigits);
        }
        let first_digit_exponent = exponent.saturating_add(i64::from(coefficient.ilog10()));
        if first_digit_exponent > i64::from(MAX_EXPONENT) {
            return Err(NumberError::Overflow);
        }
        if first_digit_exponent < i64::from(MIN_EXPONENT) {
            return Err(NumberError::Underflow);
        }
        let exponent = i16::try_from(exponent).map_err(|_| NumberError::Underflow)?;
        Ok(Self { negative, exponent, coefficient })
    }

    /// The sum.
    ///
    /// # Errors
    /// When the exact result has more than 38 significant digits or is out of range.
    pub fn checked_add(&self, other: &Self) -> Result<Self, NumberError> {
        if self.coefficient == 0 {
            return Ok(*other);
        }
        if other.coefficient == 0 {
            return Ok(*self);
        }
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let shift = u32::from(high.exponent.abs_diff(low.exponent));
        // Both coefficients are below 10^38 < 2^127. A shift past 38 leaves more digits than a number can have.
        let scaled = 10u128
            .checked_pow(shift)
            .and_then(|factor| high.coefficient.checked_mul(factor))
            .filter(|&scaled| scaled < COEFFICIENT_LIMIT * 2)
            .ok_or(NumberError::TooManyDigits)?;
        let (negative, coefficient) = if high.negative == low.negative {
            (high.negative, scaled.checked_add(low.coefficient).ok_or(NumberError::TooManyDigits)?)
        } else if scaled >= low.coefficient {
            (high.negative, scaled - low.coefficient)
        } else {
            (low.negative, low.coefficient - scaled)
        };
        Self::normalized(negative, coefficient, i64::from(low.exponent))
    }

    /// The difference.
    ///
    /// # Errors
    /// As for `checked_add`.
    pub fn checked_sub(&self, other: &Self) -> Result<Self, NumberError> {
        self.checked_add(&other.negated())
    }

    /// The number with the opposite sign.
    #[must_use]
    pub const fn negated(&self) -> Self {
        Self { negative: !self.negative && self.coefficient != 0, ..*self }
    }

    /// Whether the number is below zero.
    #[must_use]
    pub const fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether the number is zero.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.coefficient == 0
    }

    /// The number as an integer, when it is one that fits.
    #[must_use]
    pub fn to_i64(&self) -> Option<i64> {
        let factor = 10u128.checked_pow(u32::try_from(self.exponent).ok()?)?;
        let magnitude = i128::try_from(self.coefficient.checked_mul(factor)?).ok()?;
        i64::try_from(if self.negative { -magnitude } else { magnitude }).ok()
    }

    /// The significant digits as a number without trailing zeros.
    pub(crate) const fn coefficient(&self) -> u128 {
        self.coefficient
    }

    /// The power of ten of the first significant digit; 0 for zero.
    pub(crate) fn first_digit_exponent(&self) -> i32 {
        match self.coefficient {
            0 => 0,
            coefficient => i32::from(self.exponent) + i32::try_from(coefficient.ilog10()).unwrap_or(0),
        }
    }

    /// The bytes the number counts for in an item's size: one, plus one for each pair of digits between the first and
    /// the last that is not zero (pairs aligned on the decimal point), plus one if negative. Zero counts one.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        if self.coefficient == 0 {
            return 1;
        }
        let first_pair = self.first_digit_exponent().div_euclid(2);
        let last_pair = i32::from(self.exponent).div_euclid(2);
        let pairs = usize::try_from(first_pair - last_pair + 1).unwrap_or(1);
        1 + pairs + usize::from(self.negative)
    }

    /// Appends DynamoDB's text: plain digits without exponent, however many zeros that takes.
    pub fn write_text(&self, out: &mut impl fmt::Write) -> fmt::Result {
        if self.negative {
            out.write_char('-')?;
        }
        if self.exponent >= 0 {
            write!(out, "{}", self.coefficient)?;
            return (0..self.exponent).try_for_each(|_| out.write_char('0'));
        }
        let mut buffer = DigitBuffer { bytes: [0; 40], length: 0 };
        write!(buffer, "{}", self.coefficient)?;
        let digits = buffer.as_str();
        let fraction = usize::from(self.exponent.unsigned_abs());
        match digits.len().checked_sub(fraction).filter(|&whole| whole > 0).and_then(|at| digits.split_at_checked(at)) {
            Some((whole, fraction)) => write!(out, "{whole}.{fraction}"),
            None => {
                out.write_str("0.")?;
                (digits.len()..fraction).try_for_each(|_| out.write_char('0'))?;
                out.write_str(digits)
            }
        }
    }
}

/// Room for the digits of a coefficient.
struct DigitBuffer {
    bytes: [u8; 40],
    length: usize,
}

impl DigitBuffer {
    fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or("")
    }
}

impl fmt::Write for DigitBuffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// An exponent's digits with an optional sign. Exponents far out of range are cut, not refused: `0E9999999999` is zero.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut magnitude = 0i64;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude.saturating_mul(10).saturating_add(i64::from(byte - b'0')).min(1_000_000_000);
    }
    Some(if negative { -magnitude } else { magnitude })
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.coefficient, number.negative) {
            (0, _) => 0,
            (_, true) => -1,
            (_, false) => 1,
        };
        sign(self).cmp(&sign(other)).then_with(|| {
            let magnitude = compare_magnitudes(self, other);
            if self.negative { magnitude.reverse() } else { magnitude }
        })
    }
}

fn compare_magnitudes(a: &Number, b: &Number) -> Ordering {
    a.first_digit_exponent().cmp(&b.first_digit_exponent()).then_with(|| {
        // The first digits align, so scaling the one with the larger exponent stays within 38 digits.
        let shift = u32::from(a.exponent.abs_diff(b.exponent));
        let scale =
            |coefficient: u128| 10u128.checked_pow(shift).and_then(|f| coefficient.checked_mul(f)).unwrap_or(u128::MAX);
        if a.exponent >= b.exponent {
            scale(a.coefficient).cmp(&b.coefficient)
        } else {
            a.coefficient.cmp(&scale(b.coefficient))
        }
    })
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_text(f)
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::normalized(false, u128::from(value), 0).unwrap_or(Self::ZERO)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::normalized(value < 0, u128::from(value.unsigned_abs()), 0).unwrap_or(Self::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn text_is_canonical() {
        for (given, text) in [
            ("0", "0"),
            ("-0", "0"),
            ("+5", "5"),
            ("005", "5"),
            ("1.50", "1.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e2", "100"),
            ("1E-2", "0.01"),
            ("-12.340e1", "-123.4"),
            ("100", "100"),
            ("0E9999999999", "0"),
            ("1000000000000000000000000000000000000000", "1000000000000000000000000000000000000000"),
            ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
            ("0.00001", "0.00001"),
        ] {
            assert_eq!(number(given).to_string(), text, "{given}");
        }
        assert_eq!(number("1e125").to_string().len(), 126);
        assert_eq!(number("-1.0000000000000000000000000000000000001e-93").to_string().len(), 3 + 93 + 37);
        assert_eq!(number("-1e-130").to_string().len(), 133);
    }

    #[test]
    fn bad_numbers_are_refused_with_their_reason() {
        let not = |text: &str| NumberError::NotNumeric(text.to_owned());
        for (given, error) in [
            ("", NumberError::Empty),
            ("a", not("a")),
            ("-", not("-")),
            (".", not(".")),
            ("1e", not("1e")),
            ("1e+", not("1e+")),
            ("1.2.3", not("1.2.3")),
            (" 1", not(" 1")),
            ("1 ", not("1 ")),
            ("0x10", not("0x10")),
            ("NaN", not("NaN")),
            ("Infinity", not("Infinity")),
            ("123456789012345678901234567890123456789", NumberError::TooManyDigits),
            ("1.00000000000000000000000000000000000001", NumberError::TooManyDigits),
            ("1e126", NumberError::Overflow),
            ("-10e125", NumberError::Overflow),
            ("1e-131", NumberError::Underflow),
            ("0.1e-130", NumberError::Underflow),
            ("1e99999999999999999999", NumberError::Overflow),
        ] {
            assert_eq!(Number::parse(given), Err(error), "{given}");
        }
    }

    #[test]
    fn size_counts_pairs_of_digits_aligned_on_the_point() {
        for (text, size) in [
            ("0", 1),
            ("1", 2),
            ("-1", 3),
            ("12", 2),
            ("100", 2),
            ("123", 3),
            ("1.5", 3),
            ("3.14159", 5),
            ("0.1", 2),
            ("0.01", 2),
            ("0.001", 2),
            ("1e125", 2),
            ("12345678901234567890123456789012345678", 20),
            ("1234567890123456789012345678901234567.8", 21),
        ] {
            assert_eq!(number(text).size_bytes(), size, "{text}");
        }
    }

    #[test]
    fn arithmetic_is_exact_or_refused() {
        for (a, b, sum) in [
            ("1", "2", "3"),
            ("0.1", "0.2", "0.3"),
            ("1", "-1", "0"),
            ("-5", "3", "-2"),
            ("1e37", "1", "10000000000000000000000000000000000001"),
        ] {
            assert_eq!(number(a).checked_add(&number(b)).unwrap(), number(sum), "{a} + {b}");
        }
        assert_eq!(number("5").checked_sub(&number("7")).unwrap(), number("-2"));
        assert_eq!(number("1e38").checked_add(&number("1")), Err(NumberError::TooManyDigits));
        assert_eq!(number("1e125").checked_add(&number("1e-130")), Err(NumberError::TooManyDigits));
        let largest = number("99999999999999999999999999999999999999e88");
        assert_eq!(largest.checked_add(&largest), Err(NumberError::TooManyDigits));
        assert_eq!(number("9e125").checked_add(&number("1e125")), Err(NumberError::Overflow));
        assert_eq!(number("99999999999999999999999999999999999999").checked_add(&number("1")).unwrap(), number("1e38"));
    }

    #[test]
    fn integers_are_read_back() {
        assert_eq!(number("-1200").to_i64(), Some(-1200));
        assert_eq!(number("1.5").to_i64(), None);
        assert_eq!(number("1e30").to_i64(), None);
        assert_eq!(Number::from(u64::MAX).to_string(), u64::MAX.to_string());
        assert_eq!(Number::from(i64::MIN).to_i64(), Some(i64::MIN));
    }

    prop_compose! {
        pub fn any_number()(negative: bool, coefficient in 0..COEFFICIENT_LIMIT, digits in 1u32..=38, exponent in -130i64..=88) -> Number {
            let coefficient = coefficient % 10u128.pow(digits);
            Number::normalized(negative, coefficient, exponent).unwrap_or(Number::ZERO)
        }
    }

    proptest! {
        #[test]
        fn text_parses_to_the_same_number(number in any_number()) {
            let text = number.to_string();
            prop_assert!(text.len() <= MAX_TEXT_BYTES);
            prop_assert_eq!(Number::parse(&text).unwrap(), number);
        }

        #[test]
        fn order_agrees_with_subtraction(a in any_number(), b in any_number()) {
            if let Ok(difference) = a.checked_sub(&b) {
                let expected = if difference.is_zero() { Ordering::Equal } else if difference.is_negative() { Ordering::Less } else { Ordering::Greater };
                prop_assert_eq!(a.cmp(&b), expected);
            }
        }

        #[test]
        fn integers_order_and_add_as_integers(a: i64, b: i64) {
            prop_assert_eq!(Number::from(a).cmp(&Number::from(b)), a.cmp(&b));
            let sum = i128::from(a) + i128::from(b);
            prop_assert_eq!(Number::from(a).checked_add(&Number::from(b)).unwrap().to_string(), sum.to_string());
        }

        #[test]
        fn any_text_is_a_number_or_an_error(text in ".{0,60}") {
            let _ = Number::parse(&text);
        }
    }
}
