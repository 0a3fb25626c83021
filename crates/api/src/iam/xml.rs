//! The query protocol's answers: XML.

use std::fmt::Write as _;

/// An answer that is being written.
#[derive(Debug, Default)]
pub(super) struct Xml(String);

impl Xml {
    /// An element with text.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.element(name, |xml| xml.escaped(value));
    }

    /// An element with text, if there is any.
    pub(super) fn text_if(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// An element with a number or a truth value.
    pub(super) fn plain(&mut self, name: &str, value: impl std::fmt::Display) {
        self.element(name, |xml| {
            // A string takes whatever is written.
            let _ = write!(xml.0, "{value}");
        });
    }

    /// An element with a time, given in milliseconds since the epoch, to the second.
    pub(super) fn time(&mut self, name: &str, milliseconds: u64) {
        self.text(name, &timestamp(milliseconds / 1000));
    }

    /// An element.
    pub(super) fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        let _ = write!(self.0, "<{name}>");
        content(self);
        let _ = write!(self.0, "</{name}>");
    }

    /// An element with a member for each item.
    pub(super) fn list<T>(&mut self, name: &str, items: impl IntoIterator<Item = T>, each: impl Fn(&mut Self, T)) {
        self.element(name, |xml| {
            for item in items {
                xml.element("member", |xml| each(xml, item));
            }
        });
    }

    /// Text, escaped. Characters that no XML document may have are replaced.
    pub(super) fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\r' => self.0.push_str("&#xD;"),
                '\t' | '\n' => self.0.push(character),
                '\u{0}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => self.0.push('\u{FFFD}'),
                other => self.0.push(other),
            }
        }
    }

    /// What was written elsewhere.
    pub(super) fn append(&mut self, other: Self) {
        self.0.push_str(&other.0);
    }

    /// Puts a root element with a name space around what was written.
    pub(super) fn rooted(self, root: &str, namespace: &str) -> String {
        format!("<{root} xmlns=\"{namespace}\">{}</{root}>\n", self.0)
    }
}

/// A time in seconds since the epoch as the query protocol writes it: `2026-11-22T16:00:00Z`.
pub(super) fn timestamp(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// Text with everything escaped that RFC 3986 does not call unreserved: how IAM writes policy documents.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len().saturating_mul(2));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_not_break_out_of_its_element() {
        let mut xml = Xml::default();
        xml.text("A", "</A>&\"\u{1}\r é");
        xml.list("L", ["1", "2"], Xml::escaped);
        xml.plain("T", true);
        xml.text_if("No", None);
        assert_eq!(
            xml.rooted("R", "urn:x"),
            "<R xmlns=\"urn:x\"><A>&lt;/A&gt;&amp;&quot;\u{FFFD}&#xD; é</A>\
             <L><member>1</member><member>2</member></L><T>true</T></R>\n"
        );
    }

    #[test]
    fn times_and_documents_are_written_as_iam_does() {
        assert_eq!(timestamp(1_795_363_200), "2026-11-22T16:00:00Z");
        assert_eq!(percent_encoded(r#"{"a": "é*"}"#), "%7B%22a%22%3A%20%22%C3%A9%2A%22%7D");
    }
}
