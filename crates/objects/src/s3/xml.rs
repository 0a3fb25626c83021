//! The answers of S3 that are XML: errors, listings, ids of uploads. All are flat elements with text, so this looks for
//! them by name and knows no more of XML than entities.

/// The text between `<name>` and `</name>`, still with entities, and what is behind it.
fn element<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let opening = format!("<{name}>");
    let closing = format!("</{name}>");
    let (_, rest) = text.split_once(&opening)?;
    rest.split_once(&closing)
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let Some((entity, behind)) = after.split_once(';') else {
            out.push('&');
            rest = after;
            continue;
        };
        let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let character = match entity {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => match entity.strip_prefix('#') {
                Some(digits) => {
                    digits.strip_prefix('x').map_or_else(|| number(digits, 10), |digits| number(digits, 16))
                }
                None => None,
            },
        };
        match character {
            Some(character) => {
                out.push(character);
                rest = behind;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Undoes the escapes of `encoding-type=url`, in which a plus sign is a space.
fn undo_url(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (byte, after) {
            (b'%', [high, low, behind @ ..]) => {
                bytes.push(value(high)? << 4 | value(low)?);
                rest = behind;
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// Code and message of an error.
pub(super) fn error(body: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, error) = text.split_once("<Error>").or_else(|| text.split_once("<Error "))?;
    let part = |name| element(error, name).map(|(text, _)| unescaped(text)).unwrap_or_default();
    Some((part("Code"), part("Message")))
}

/// The id of an upload that has been started.
pub(super) fn upload_id(body: &[u8]) -> Option<String> {
    element(std::str::from_utf8(body).ok()?, "UploadId").map(|(text, _)| unescaped(text))
}

/// The entity tag of a completed upload, without quotation marks.
pub(super) fn etag(body: &[u8]) -> Option<String> {
    let text = element(std::str::from_utf8(body).ok()?, "ETag")?.0;
    Some(unescaped(text).trim_matches('"').to_owned())
}

/// Keys and lengths of a page of a listing, and whether there is more.
pub(super) fn listing(body: &[u8]) -> Option<(Vec<(String, u64)>, bool)> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, mut rest) = text.split_once("<ListBucketResult")?;
    let more = element(rest, "IsTruncated")?.0.trim() == "true";
    let is_escaped = element(rest, "EncodingType").is_some_and(|(kind, _)| kind == "url");
    let mut found = Vec::new();
    while let Some((object, behind)) = element(rest, "Contents") {
        let key = unescaped(element(object, "Key")?.0);
        let key = if is_escaped { undo_url(&key)? } else { key };
        found.push((key, element(object, "Size")?.0.trim().parse().ok()?));
        rest = behind;
    }
    Some((found, more))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read() {
        let body = b"<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>Please &amp; &lt;less&gt; &#228;&#x41;&no;</Message></Error>";
        assert_eq!(error(body), Some(("SlowDown".to_owned(), "Please & <less> \u{e4}A&no;".to_owned())));
        assert_eq!(error(b"<CompleteMultipartUploadResult/>"), None);
        assert_eq!(error(b"\xff"), None);
        assert_eq!(error(b"<Error>"), Some((String::new(), String::new())));
    }

    #[test]
    fn listings_are_read() {
        let body = b"<ListBucketResult xmlns=\"x\"><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
            <Contents><Key>a+b%2Fc%C3%A4</Key><Size>12</Size></Contents><Contents><Size>0</Size><Key>d&amp;</Key></Contents>\
            </ListBucketResult>";
        let found = vec![("a b/c\u{e4}".to_owned(), 12), ("d&".to_owned(), 0)];
        assert_eq!(listing(body), Some((found, true)));
        for wrong in [
            &b""[..],
            b"<ListBucketResult>",
            b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents></Contents>",
        ] {
            assert_eq!(listing(wrong), None);
        }
    }
}
