//! What may be a key: what S3 takes, without what would mean something to a file system.

use crate::error::{ObjectError, Result};

/// The most bytes of a key, as in S3.
const MOST: usize = 1024;
/// The most bytes of what is between two slashes: what common file systems take, less what is put behind it while a
/// file is written.
const MOST_OF_SEGMENT: usize = 200;
/// What the name of a file begins with while it is written. No key has a segment that begins so.
pub(crate) const PARTIAL: &str = ".partita-partial-";

/// Refuses what no store may have as a key, the same in each so that what works with one works with all.
///
/// # Errors
/// `InvalidKey`.
pub fn check(key: &str) -> Result<()> {
    let invalid = |why: &str| Err(ObjectError::InvalidKey(why.to_owned()));
    if key.is_empty() || key.len() > MOST {
        return invalid("keys have 1 to 1,024 bytes");
    }
    if key.chars().any(char::is_control) {
        return invalid("it has control characters");
    }
    for segment in key.split('/') {
        if segment.is_empty() || segment == "." || segment == ".." {
            return invalid("between slashes there is a name, which is neither . nor ..");
        }
        if segment.len() > MOST_OF_SEGMENT {
            return invalid("names between slashes have at most 200 bytes");
        }
        if segment.starts_with(PARTIAL) {
            return invalid("names that begin so are of files that are being written");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_no_way_out() {
        for key in ["a", "a/b/c.json.gz", "a..b/...", "ä b/+%&=~", ".hidden"] {
            assert_eq!(check(key), Ok(()), "{key}");
        }
        let long = "a".repeat(201);
        let longest = "a/".repeat(513);
        for key in [
            "",
            "/a",
            "a/",
            "a//b",
            "..",
            "a/../b",
            "./a",
            "a/.",
            "a\0b",
            "a\nb",
            &long,
            &longest,
            ".partita-partial-1",
        ] {
            assert!(matches!(check(key), Err(ObjectError::InvalidKey(_))), "{key}");
        }
    }
}
