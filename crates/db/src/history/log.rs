//! The log of previous images: one entry for each real change of an item, in the change's own commit.
//!
//! An entry's key ends in the commit's position; its value says when the change was made, names the item by its key
//! without the table's prefix, and holds what the item was before, or that it was not there.

use bytes::Bytes;
use partita_engine::{Key, Write};
use partita_model::StoredItem;

use crate::error::{Error, Result};
use crate::keyspace;
use crate::stream::next_ordinal;
use crate::table::{ItemKey, Table};

/// The first byte of an entry: how the rest is to be read.
const ENVELOPE_PLAIN: u8 = 0;
/// What precedes the item's key: the envelope, the time, and the key's length.
const HEAD: usize = 1 + 8 + 2;
const ABSENT: u8 = 0;
const PRESENT: u8 = 1;

/// Appends what an item was before a change made at `now_ms`, in milliseconds since the epoch, if the table keeps a
/// history.
pub(crate) fn append(table: &Table, key: &ItemKey, old: Option<&StoredItem>, now_ms: u64, writes: &mut Vec<Write>) {
    let Some(log) = table.record.logs.history else { return };
    writes.push(Write::PutAtPosition {
        prefix: keyspace::history(table.record.id, log.generation).into(),
        suffix: Key::new(),
        ordinal: next_ordinal(writes),
        value: encode(now_ms, key.suffix(), old),
    });
}

fn encode(time_ms: u64, suffix: &[u8], old: Option<&StoredItem>) -> Bytes {
    let mut value = Vec::with_capacity(HEAD + 1 + suffix.len() + old.map_or(0, |old| old.as_bytes().len()));
    value.push(ENVELOPE_PLAIN);
    value.extend_from_slice(&time_ms.to_be_bytes());
    // Keys are at most 9,900 bytes long.
    value.extend_from_slice(&u16::try_from(suffix.len()).unwrap_or(u16::MAX).to_be_bytes());
    value.extend_from_slice(suffix);
    match old {
        Some(old) => {
            value.push(PRESENT);
            value.extend_from_slice(old.as_bytes());
        }
        None => value.push(ABSENT),
    }
    value.into()
}

/// An entry of the log.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    /// When the change was made, in milliseconds since the epoch.
    pub time_ms: u64,
    /// The item's key without the table's prefix.
    pub suffix: Key,
    /// What the item was before, for [`decode_image`].
    pub image: Bytes,
}

/// Reads what [`append`] wrote.
pub(super) fn decode(value: &Bytes) -> Result<Entry> {
    let read = || {
        let (time, rest) = value.strip_prefix(&[ENVELOPE_PLAIN])?.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        (rest.len() > length).then(|| Entry {
            time_ms: u64::from_be_bytes(*time),
            suffix: value.slice(HEAD..HEAD + length),
            image: value.slice(HEAD + length..),
        })
    };
    read().ok_or_else(|| Error::Internal("an entry of a table's history can not be read".to_owned()))
}

/// Reads an entry and forgets it.
///
/// # Errors
/// When it can not be read.
pub(crate) fn readable(value: &Bytes) -> Result<()> {
    decode_image(&decode(value)?.image).map(drop)
}

/// What an item was: nothing, or its flat form.
pub(super) fn decode_image(value: &Bytes) -> Result<Option<StoredItem>> {
    match value.first() {
        Some(&PRESENT) => Ok(Some(StoredItem::from_bytes(value.slice(1..)))),
        Some(&ABSENT) => Ok(None),
        _ => Err(Error::Internal("an image in a table's history can not be read".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use partita_model::{AttributeMap, AttributeValue};

    use super::*;

    #[test]
    fn entries_are_read_back() {
        let mut item = AttributeMap::new();
        item.insert("a", AttributeValue::S("b".to_owned()));
        let item = StoredItem::from_item(&item);
        for old in [None, Some(&item)] {
            let entry = decode(&encode(1_700_000_000_123, b"0123456789abcdef", old)).unwrap();
            assert_eq!(entry.time_ms, 1_700_000_000_123);
            assert_eq!(entry.suffix, b"0123456789abcdef".as_slice());
            assert_eq!(decode_image(&entry.image).unwrap().as_ref(), old);
        }
        for broken in [&b""[..], b"\x01", b"\0\0", b"\0\0\0\0\0\0\0\0\0\0\x05ab", b"\0\0\0\0\0\0\0\0\0\0\x02ab"] {
            assert!(decode(&Bytes::copy_from_slice(broken)).is_err(), "{broken:?}");
        }
    }
}
