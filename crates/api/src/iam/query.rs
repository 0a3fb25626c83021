//! The query protocol's requests: form-urlencoded pairs, bounded, with lists written as `Tags.member.1.Key`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::fault::Fault;

/// The most bytes of a request: the longest policy document, percent-encoded, and some more.
pub(super) const MAX_QUERY_BYTES: usize = 512 << 10;
/// The most pairs of a request. No operation takes more than 50 tags and some lists of ARNs.
const MAX_PAIRS: usize = 1_000;
/// The most bytes of a name.
const MAX_NAME_BYTES: usize = 256;

/// The pairs of a request, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads the pairs of a body or of the query of a URL.
    ///
    /// # Errors
    /// `MalformedQueryString` when it is too long, has too many pairs, an escape that is none, bytes that are no text, or
    /// a name twice.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Fault> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(malformed(format!("A request has at most {MAX_QUERY_BYTES} bytes")));
        }
        let mut pairs = BTreeMap::new();
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == MAX_PAIRS {
                return Err(malformed(format!("A request has at most {MAX_PAIRS} parameters")));
            }
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(equals);
            let (name, value) = (unescaped(name)?, unescaped(value.get(1..).unwrap_or_default())?);
            if name.len() > MAX_NAME_BYTES {
                return Err(malformed(format!("The name of a parameter has at most {MAX_NAME_BYTES} bytes")));
            }
            if pairs.insert(name, value).is_some() {
                return Err(malformed("A parameter is there twice"));
            }
        }
        Ok(Self(pairs))
    }

    /// The value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The values of a list, in the order of their numbers.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.members(name).into_values().filter_map(|mut fields| fields.remove("")).collect()
    }

    /// The structures of a list, in the order of their numbers: values by the names of their members.
    pub(super) fn structures(&self, name: &str) -> Vec<BTreeMap<&str, &str>> {
        self.members(name).into_values().collect()
    }

    /// The members of a list by number: values by what follows the number and a dot.
    fn members(&self, name: &str) -> BTreeMap<u32, BTreeMap<&str, &str>> {
        let prefix = format!("{name}.member.");
        let mut members: BTreeMap<u32, BTreeMap<&str, &str>> = BTreeMap::new();
        for (name, value) in self.0.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix)) {
            let rest = name.get(prefix.len()..).unwrap_or_default();
            let (number, field) = rest.split_once('.').unwrap_or((rest, ""));
            if let Ok(number) = number.parse() {
                members.entry(number).or_default().insert(field, value);
            }
        }
        members
    }
}

fn malformed(message: impl Into<Cow<'static, str>>) -> Fault {
    Fault::new(400, "MalformedQueryString", message)
}

/// A name or value with its escapes undone.
fn unescaped(text: &[u8]) -> Result<String, Fault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let escaped = match after {
                    [high, low, ..] => nibble(*high).zip(nibble(*low)),
                    _ => None,
                };
                let (high, low) = escaped.ok_or_else(|| malformed("A percent sign is followed by no two digits"))?;
                bytes.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed("A parameter is not UTF-8"))
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Query {
        Query::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn pairs_lists_and_structures_are_read() {
        let query = parse(
            "Action=TagUser&UserName=a%20b%2Bc+d&Empty=&Tags.member.2.Key=k2&Tags.member.10.Key=k10&Tags.member.2.Value=v2\
             &TagKeys.member.2=b&TagKeys.member.1=a&Tags.member.x.Key=no&",
        );
        assert_eq!(query.get("UserName"), Some("a b+c d"));
        assert_eq!((query.get("Empty"), query.get("None")), (Some(""), None));
        assert_eq!(query.list("TagKeys"), ["a", "b"]);
        let keys: Vec<_> = query.structures("Tags").iter().map(|tag| (tag.get("Key").copied(), tag.len())).collect();
        assert_eq!(keys, [(Some("k2"), 2), (Some("k10"), 1)]);
        assert_eq!(query.list("Tags"), Vec::<&str>::new());
    }

    #[test]
    fn what_is_no_query_is_refused() {
        let many = (0..=MAX_PAIRS).map(|number| format!("a{number}=1&")).collect::<String>();
        let long = "a".repeat(MAX_QUERY_BYTES + 1);
        let name = format!("{}=1", "a".repeat(MAX_NAME_BYTES + 1));
        for bad in ["a=%", "a=%2", "a=%zz", "%=1", "a=%ff", "a=1&a=2", "A=1&%41=2", &many, &long, &name] {
            assert_eq!(Query::parse(bad.as_bytes()).unwrap_err().code, "MalformedQueryString", "{bad:.20}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(query) = Query::parse(&bytes) {
                let _ = (query.list("Tags"), query.structures("a"));
            }
        }
    }
}
