//! The patterns of the service model, each with a matcher written for it: what they need is far less than regular
//! expressions, and none of them can take more than one pass.

/// A pattern of the service model. A text matches as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Names of tables, indexes and backups.
    Name,
    /// Visible ASCII characters and the space.
    Printable,
    /// Anything but most control characters.
    Text,
    /// Groups of 16 hexadecimal digits.
    HexWords,
    /// Anything but a dollar sign.
    NoDollar,
    /// The name of a rule.
    RuleName,
    /// A delimiter of columns.
    CsvDelimiter,
    /// A heading of a column.
    CsvHeader,
    /// A bucket's name.
    Bucket,
    /// An account's number.
    Account,
    /// A UUID in lower case.
    Uuid,
}

impl Pattern {
    /// The pattern as messages give it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Name => "[a-zA-Z0-9_.-]+",
            Self::Printable => r"\p{Print}+",
            Self::Text => r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*",
            Self::HexWords => "([0-9a-f]{16})+",
            Self::NoDollar => r"^[^\$]+$",
            Self::RuleName => r"[A-Za-z0-9][A-Za-z0-9\-\_\.]{0,126}[A-Za-z0-9]",
            Self::CsvDelimiter => r"[,;:|\t ]",
            Self::CsvHeader => r"[\x20-\x21\x23-\x2B\x2D-\x7E]*",
            Self::Bucket => r"^[a-z0-9A-Z]+[\.\-\w]*[a-z0-9A-Z]+$",
            Self::Account => "[0-9]{12}",
            Self::Uuid => "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        }
    }

    /// Whether the whole of `text` is of this pattern.
    #[must_use]
    pub fn matches(self, text: &str) -> bool {
        let bytes = text.as_bytes();
        match self {
            Self::Name => !text.is_empty() && bytes.iter().all(|&byte| is_name(byte)),
            Self::Printable => !text.is_empty() && bytes.iter().all(|byte| (0x20..0x7f).contains(byte)),
            Self::Text => {
                text.chars().all(|c| matches!(c, '\r' | '\n' | '\t' | ' '..) && !matches!(c, '\u{fffe}' | '\u{ffff}'))
            }
            Self::HexWords => !text.is_empty() && text.len().is_multiple_of(16) && bytes.iter().all(is_hex),
            Self::NoDollar => !text.is_empty() && !text.contains('$'),
            Self::RuleName => {
                (2..=128).contains(&text.len()) && ends_alphanumeric(bytes) && bytes.iter().all(|&b| is_name(b))
            }
            Self::CsvDelimiter => matches!(text, "," | ";" | ":" | "|" | "\t" | " "),
            Self::CsvHeader => bytes.iter().all(|byte| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b',')),
            Self::Bucket => text.len() >= 2 && ends_alphanumeric(bytes) && bytes.iter().all(|&b| is_name(b)),
            Self::Account => text.len() == 12 && bytes.iter().all(u8::is_ascii_digit),
            Self::Uuid => {
                text.len() == 36
                    && bytes.iter().enumerate().all(|(at, byte)| match at {
                        8 | 13 | 18 | 23 => *byte == b'-',
                        _ => is_hex(byte),
                    })
            }
        }
    }
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

const fn is_hex(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn ends_alphanumeric(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_alphanumeric) && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_match_whole_texts() {
        let cases = [
            (Pattern::Name, &["a", "A.b-c_9"][..], &["", "a b", "a;", "ä"][..]),
            (Pattern::Printable, &["a b~"], &["", "a\n", "ä"]),
            (Pattern::Text, &["", "a\r\n\t", "ä😀"], &["\0", "\u{1f}", "\u{ffff}"]),
            (Pattern::HexWords, &["0123456789abcdef"], &["", "0123456789abcde", "0123456789ABCDEF"]),
            (Pattern::NoDollar, &["a", "a b"], &["", "a$"]),
            (Pattern::RuleName, &["ab", "a-b"], &["a", "-a", "a-"]),
            (Pattern::CsvDelimiter, &[",", "\t"], &["", "a", ",,"]),
            (Pattern::CsvHeader, &["", "a b"], &["a,b", "\"", "ä"]),
            (Pattern::Bucket, &["my.bucket-1"], &["a", "-a", "a b"]),
            (Pattern::Account, &["123456789012"], &["12345678901", "12345678901a"]),
            (
                Pattern::Uuid,
                &["01234567-89ab-cdef-0123-456789abcdef"],
                &["0123456789abcdef0123456789abcdef", "01234567-89AB-cdef-0123-456789abcdef"],
            ),
        ];
        for (pattern, matching, others) in cases {
            for text in matching {
                assert!(pattern.matches(text), "{pattern:?} should match {text:?}");
            }
            for text in others {
                assert!(!pattern.matches(text), "{pattern:?} should not match {text:?}");
            }
        }
    }
}
