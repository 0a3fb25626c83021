//! CBOR (RFC 8949) as DAX's clients speak it: a reader that borrows, a writer, and a scanner that finds where a value
//! ends while its bytes are still coming.
//!
//! Pure and bounded: no length in the input makes anything be allocated, and nothing recurses here. What the values mean
//! is `value`'s, `expression`'s and `request`'s business.

use std::borrow::Cow;

/// The majors of CBOR's heads.
pub mod major {
    /// An unsigned integer.
    pub const UNSIGNED: u8 = 0;
    /// A negative integer: -1 less the argument.
    pub const NEGATIVE: u8 = 1;
    /// A byte string.
    pub const BYTES: u8 = 2;
    /// UTF-8 text.
    pub const TEXT: u8 = 3;
    /// An array.
    pub const ARRAY: u8 = 4;
    /// A map.
    pub const MAP: u8 = 5;
    /// A tag, before the value that it is for.
    pub const TAG: u8 = 6;
    /// A simple value, a float, or the end of a value of indefinite length.
    pub const SIMPLE: u8 = 7;
}

const FALSE: u8 = 0xF4;
const TRUE: u8 = 0xF5;
const NULL: u8 = 0xF6;
const UNDEFINED: u8 = 0xF7;
const FLOAT_16: u8 = 0xF9;
const FLOAT_32: u8 = 0xFA;
const FLOAT_64: u8 = 0xFB;
const BREAK: u8 = 0xFF;
/// The low five bits of a head without a length.
const INDEFINITE: u8 = 31;
/// The deepest nesting the scanner follows. A request's own is about six; what items and expressions nest lies inside
/// byte strings.
const MAX_OPEN: usize = 64;

/// Bytes that are no CBOR, or not the CBOR that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

const TRUNCATED: Malformed = Malformed("the value ends too early");

/// Where values are read from, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// How many elements of an array or map are still to come.
#[derive(Clone, Copy, Debug)]
pub struct Count(Option<u64>);

impl<'a> Reader<'a> {
    /// The values in these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything has been read.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next byte, which is the head of the next value.
    ///
    /// # Errors
    /// At the end.
    pub fn peek(&self) -> Result<u8, Malformed> {
        self.rest.first().copied().ok_or(TRUNCATED)
    }

    /// The major type of the next value.
    ///
    /// # Errors
    /// At the end.
    pub fn major(&self) -> Result<u8, Malformed> {
        Ok(self.peek()? >> 5)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The head's major type and argument; no argument where the length is indefinite.
    fn head(&mut self) -> Result<(u8, Option<u64>), Malformed> {
        let (head, size) = head_of(self.rest)?.ok_or(TRUNCATED)?;
        self.take(size)?;
        Ok((head.major, head.argument))
    }

    fn expect(&mut self, major: u8, what: &'static str) -> Result<Option<u64>, Malformed> {
        if self.major()? != major {
            return Err(Malformed(what));
        }
        Ok(self.head()?.1)
    }

    /// An integer that fits 64 bits with a sign.
    ///
    /// # Errors
    /// When it is something else.
    pub fn int(&mut self) -> Result<i64, Malformed> {
        let wrong = Malformed("an integer is expected");
        let wide = self.wide_int()?.ok_or(wrong)?;
        i64::try_from(wide).map_err(|_| wrong)
    }

    /// An integer of any size that a head can hold; `None`, with nothing read, when the next value is none.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn wide_int(&mut self) -> Result<Option<i128>, Malformed> {
        match self.major()? {
            major::UNSIGNED => {
                let value = self.head()?.1.ok_or(Malformed("an integer has no length"))?;
                Ok(Some(i128::from(value)))
            }
            major::NEGATIVE => {
                let value = self.head()?.1.ok_or(Malformed("an integer has no length"))?;
                Ok(Some(-1 - i128::from(value)))
            }
            _ => Ok(None),
        }
    }

    /// A tag's number.
    ///
    /// # Errors
    /// When the next value has none.
    pub fn tag(&mut self) -> Result<u64, Malformed> {
        self.expect(major::TAG, "a tag is expected")?.ok_or(Malformed("a tag has a number"))
    }

    /// Text.
    ///
    /// # Errors
    /// When it is something else, or no UTF-8.
    pub fn text(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let not_text = |_| Malformed("text is not UTF-8");
        match self.string(major::TEXT, "text is expected")? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(not_text),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Malformed("text is not UTF-8")),
        }
    }

    /// A byte string.
    ///
    /// # Errors
    /// When it is something else.
    pub fn bytes(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        self.string(major::BYTES, "bytes are expected")
    }

    /// Text, or a byte string that is UTF-8: clients send names either way.
    ///
    /// # Errors
    /// When it is something else, or no UTF-8.
    pub fn name(&mut self) -> Result<Cow<'a, str>, Malformed> {
        if self.major()? == major::TEXT {
            return self.text();
        }
        match self.bytes()? {
            Cow::Borrowed(bytes) => {
                std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Malformed("a name is not UTF-8"))
            }
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Malformed("a name is not UTF-8")),
        }
    }

    fn string(&mut self, major: u8, what: &'static str) -> Result<Cow<'a, [u8]>, Malformed> {
        if let Some(length) = self.expect(major, what)? {
            return Ok(Cow::Borrowed(self.take(usize::try_from(length).map_err(|_| TRUNCATED)?)?));
        }
        // In chunks, which are never more than what is there.
        let mut whole = Vec::new();
        while !self.try_break()? {
            let length = self.expect(major, what)?.ok_or(Malformed("a chunk has a length"))?;
            whole.extend_from_slice(self.take(usize::try_from(length).map_err(|_| TRUNCATED)?)?);
        }
        Ok(Cow::Owned(whole))
    }

    fn try_break(&mut self) -> Result<bool, Malformed> {
        let is_break = self.peek()? == BREAK;
        if is_break {
            self.take(1)?;
        }
        Ok(is_break)
    }

    /// Begins an array.
    ///
    /// # Errors
    /// When it is something else.
    pub fn array(&mut self) -> Result<Count, Malformed> {
        Ok(Count(self.expect(major::ARRAY, "an array is expected")?))
    }

    /// Begins an array of exactly so many elements.
    ///
    /// # Errors
    /// When it is something else, or of another length.
    pub fn array_of(&mut self, length: u64) -> Result<(), Malformed> {
        match self.array()? {
            Count(Some(found)) if found == length => Ok(()),
            _ => Err(Malformed("an array has another length")),
        }
    }

    /// Begins a map. Each entry is two values.
    ///
    /// # Errors
    /// When it is something else.
    pub fn map(&mut self) -> Result<Count, Malformed> {
        Ok(Count(self.expect(major::MAP, "a map is expected")?))
    }

    /// Whether there is one more element, or entry, of what `count` is of.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn more(&mut self, count: &mut Count) -> Result<bool, Malformed> {
        match &mut count.0 {
            None => Ok(!self.try_break()?),
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
        }
    }

    /// Reads a null, if that is what comes.
    ///
    /// # Errors
    /// At the end.
    pub fn null(&mut self) -> Result<bool, Malformed> {
        let is_null = matches!(self.peek()?, NULL | UNDEFINED);
        if is_null {
            self.take(1)?;
        }
        Ok(is_null)
    }

    /// A Boolean; `None`, with nothing read, when the next value is none.
    ///
    /// # Errors
    /// At the end.
    pub fn boolean(&mut self) -> Result<Option<bool>, Malformed> {
        let value = match self.peek()? {
            TRUE => true,
            FALSE => false,
            _ => return Ok(None),
        };
        self.take(1)?;
        Ok(Some(value))
    }

    /// A Boolean, which some parameters carry as 0 or 1.
    ///
    /// # Errors
    /// When it is something else.
    pub fn flag(&mut self) -> Result<bool, Malformed> {
        match self.boolean()? {
            Some(value) => Ok(value),
            None => Ok(self.int()? != 0),
        }
    }

    /// A float of any width; `None`, with nothing read, when the next value is none.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn float(&mut self) -> Result<Option<f64>, Malformed> {
        let width = match self.peek()? {
            FLOAT_16 => 2,
            FLOAT_32 => 4,
            FLOAT_64 => 8,
            _ => return Ok(None),
        };
        let bits = self
            .take(1 + width)?
            .get(1..)
            .unwrap_or_default()
            .iter()
            .fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        Ok(Some(match width {
            2 => half(bits),
            4 => f64::from(f32::from_bits(u32::try_from(bits).unwrap_or_default())),
            _ => f64::from_bits(bits),
        }))
    }

    /// Reads over one value.
    ///
    /// # Errors
    /// When it is cut off, malformed or nested too deep.
    pub fn skip(&mut self) -> Result<&'a [u8], Malformed> {
        let length = Scanner::default().scan(self.rest)?.ok_or(TRUNCATED)?;
        self.take(length)
    }
}

/// The value of a half-precision float's bits.
fn half(bits: u64) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::try_from(bits >> 10 & 0x1F).unwrap_or_default();
    let fraction = f64::from(u32::try_from(bits & 0x3FF).unwrap_or_default());
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    sign * magnitude
}

#[derive(Clone, Copy)]
struct Head {
    major: u8,
    argument: Option<u64>,
}

/// The head at the beginning of `bytes` and its size; `None` if it has not come whole.
fn head_of(bytes: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let (major, low) = (first >> 5, first & 0x1F);
    let width = match low {
        0..=23 => return Ok(Some((Head { major, argument: Some(u64::from(low)) }, 1))),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        INDEFINITE if matches!(major, major::BYTES | major::TEXT | major::ARRAY | major::MAP | major::SIMPLE) => {
            return Ok(Some((Head { major, argument: None }, 1)));
        }
        _ => return Err(Malformed("a value begins with a byte that nothing begins with")),
    };
    let Some(bytes) = rest.get(..width) else { return Ok(None) };
    let argument = bytes.iter().fold(0, |argument, byte| argument << 8 | u64::from(*byte));
    Ok(Some((Head { major, argument: Some(argument) }, 1 + width)))
}

/// Finds the end of a value whose bytes come bit by bit, looking at each byte once.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    /// How many values are still to come in each open array, map or tag; `None` up to a break.
    open: Vec<Option<u64>>,
    /// Up to where it is scanned. Beyond what has come, inside a string.
    at: usize,
    whole: bool,
}

impl Scanner {
    /// The length of the value at the beginning of `bytes`, which hold what they held at the last call and perhaps
    /// more; `None` while it has not come whole.
    ///
    /// # Errors
    /// When it can not become a value, or nests too deep.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        loop {
            let Some(rest) = bytes.get(self.at..) else { return Ok(None) };
            if self.whole {
                return Ok(Some(self.at));
            }
            let Some((head, size)) = head_of(rest)? else { return Ok(None) };
            self.at += size;
            match (head.major, head.argument) {
                (major::UNSIGNED | major::NEGATIVE, _) => self.close(),
                (major::BYTES | major::TEXT, Some(length)) => {
                    let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
                    self.at = end.ok_or(Malformed("a string is longer than anything"))?;
                    self.close();
                }
                (major::ARRAY, Some(0)) | (major::MAP, Some(0)) => self.close(),
                (major::ARRAY, Some(length)) => self.open(Some(length))?,
                (major::MAP, Some(length)) => {
                    self.open(Some(length.checked_mul(2).ok_or(Malformed("a map is longer than anything"))?))?;
                }
                (major::TAG, _) => self.open(Some(1))?,
                (major::SIMPLE, None) => {
                    if self.open.pop() != Some(None) {
                        return Err(Malformed("a break where nothing ends"));
                    }
                    self.close();
                }
                (major::SIMPLE, Some(_)) => self.close(),
                (_, None) => self.open(None)?,
                _ => return Err(Malformed("a value of no type")),
            }
        }
    }

    /// How many bytes it takes at least, as far as that is known.
    #[must_use]
    pub const fn needed(&self) -> usize {
        self.at
    }

    fn open(&mut self, values: Option<u64>) -> Result<(), Malformed> {
        if self.open.len() >= MAX_OPEN {
            return Err(Malformed("values are nested too deep"));
        }
        self.open.push(values);
        Ok(())
    }

    /// One value has ended, and with it perhaps those around it.
    fn close(&mut self) {
        while let Some(last) = self.open.last_mut() {
            match last {
                Some(1) => {
                    self.open.pop();
                }
                Some(left) => {
                    *left -= 1;
                    return;
                }
                None => return,
            }
        }
        self.whole = true;
    }
}

/// What values are written to.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Nothing yet, with room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// What has been written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// What has been written so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn head(&mut self, major: u8, argument: u64) {
        let major = major << 5;
        let bytes = argument.to_be_bytes();
        let (low, width) = match argument {
            0..=23 => {
                self.0.push(major | bytes.last().copied().unwrap_or_default());
                return;
            }
            24..=0xFF => (24, 1),
            0x100..=0xFFFF => (25, 2),
            0x1_0000..=0xFFFF_FFFF => (26, 4),
            _ => (27, 8),
        };
        self.0.push(major | low);
        self.0.extend_from_slice(bytes.get(8 - width..).unwrap_or_default());
    }

    /// An integer.
    pub fn int(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.head(major::UNSIGNED, value),
            Err(_) => self.head(major::NEGATIVE, value.wrapping_add(1).unsigned_abs()),
        }
    }

    /// An unsigned integer.
    pub fn uint(&mut self, value: u64) {
        self.head(major::UNSIGNED, value);
    }

    /// Text.
    pub fn text(&mut self, text: &str) {
        self.utf8(text.as_bytes());
    }

    /// Text, whose bytes are known to be UTF-8.
    pub fn utf8(&mut self, text: &[u8]) {
        self.head(major::TEXT, text.len() as u64);
        self.0.extend_from_slice(text);
    }

    /// A byte string.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.head(major::BYTES, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// The head of an array.
    pub fn array(&mut self, length: usize) {
        self.head(major::ARRAY, length as u64);
    }

    /// The head of a map.
    pub fn map(&mut self, entries: usize) {
        self.head(major::MAP, entries as u64);
    }

    /// The head of a map whose end is a break.
    pub fn open_map(&mut self) {
        self.0.push(major::MAP << 5 | INDEFINITE);
    }

    /// The end of what was opened.
    pub fn end(&mut self) {
        self.0.push(BREAK);
    }

    /// A tag for the next value.
    pub fn tag(&mut self, tag: u64) {
        self.head(major::TAG, tag);
    }

    /// A Boolean.
    pub fn boolean(&mut self, value: bool) {
        self.0.push(if value { TRUE } else { FALSE });
    }

    /// Null.
    pub fn null(&mut self) {
        self.0.push(NULL);
    }

    /// A float.
    pub fn float(&mut self, value: f64) {
        self.0.push(FLOAT_64);
        self.0.extend_from_slice(&value.to_bits().to_be_bytes());
    }

    /// Values that are CBOR already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_of_all_sizes_come_back() {
        for value in [0, 23, 24, 255, 256, 65_535, 65_536, 1 << 32, i64::MAX, -1, -24, -25, -257, i64::MIN] {
            let mut writer = Writer::default();
            writer.int(value);
            assert_eq!(Reader::new(writer.as_bytes()).int(), Ok(value));
        }
    }

    #[test]
    fn floats_of_all_widths_are_read() {
        for (bytes, value) in [
            (&[0xF9, 0x3C, 0x00][..], 1.0),
            (&[0xF9, 0x00, 0x01], 5.960_464_477_539_063e-8),
            (&[0xFA, 0x47, 0xC3, 0x50, 0x00], 100_000.0),
            (&[0xFB, 0x3F, 0xF1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9A], 1.1),
        ] {
            assert_eq!(Reader::new(bytes).float(), Ok(Some(value)));
        }
    }

    #[test]
    fn a_length_beyond_all_bytes_waits_and_allocates_nothing() {
        let mut scanner = Scanner::default();
        assert_eq!(scanner.scan(&[0x5B, 0, 0, 0, 0xFF, 0, 0, 0, 0]), Ok(None));
        assert_eq!(scanner.needed(), 9 + (0xFF << 32));
        assert!(Scanner::default().scan(&[0x5B, 255, 255, 255, 255, 255, 255, 255, 255]).is_err());
        assert!(Reader::new(&[0x5B, 0, 0, 0, 0xFF, 0, 0, 0, 0]).bytes().is_err());
        assert!(Reader::new(&[0x9B, 255, 255, 255, 255, 255, 255, 255, 255]).skip().is_err());
    }

    #[test]
    fn nesting_beyond_the_bound_is_refused() {
        assert!(Scanner::default().scan(&[0x81; 10_000]).is_err());
        assert!(Scanner::default().scan(&[0xC1; 10_000]).is_err());
        assert!(Scanner::default().scan(&[0x9F; 10_000]).is_err());
    }

    #[test]
    fn strings_in_chunks_are_put_together() {
        let bytes = [0x7F, 0x61, b'a', 0x62, b'b', b'c', 0xFF];
        assert_eq!(Reader::new(&bytes).text().unwrap(), "abc");
        assert_eq!(Scanner::default().scan(&bytes), Ok(Some(7)));
    }

    proptest! {
        #[test]
        fn a_scan_ends_at_the_same_place_however_the_bytes_come(bytes in proptest::collection::vec(any::<u8>(), 0..200), step in 1usize..9) {
            let at_once = Scanner::default().scan(&bytes);
            let mut scanner = Scanner::default();
            let mut outcome = Ok(None);
            for end in (0..bytes.len()).step_by(step).chain([bytes.len()]) {
                outcome = scanner.scan(&bytes[..end]);
                if !matches!(outcome, Ok(None)) {
                    break;
                }
            }
            prop_assert_eq!(outcome, at_once);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut reader = Reader::new(&bytes);
            while !reader.is_at_end() {
                let before = reader.rest().len();
                let _ = Reader::new(reader.rest()).text();
                let _ = Reader::new(reader.rest()).bytes();
                let _ = Reader::new(reader.rest()).float();
                let _ = Reader::new(reader.rest()).wide_int();
                if reader.skip().is_err() || reader.rest().len() == before {
                    break;
                }
            }
        }
    }
}
