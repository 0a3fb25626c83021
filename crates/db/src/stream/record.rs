//! A stream record as it is stored: what happened to an item, when, and the images that the stream's view keeps.
//!
//! `envelope kind flags time hash keys old new`: time in milliseconds and the first eight bytes of the partition hash as
//! eight bytes each, then three items, each preceded by its length in four bytes; absent ones have the length `ABSENT`.

use bytes::Bytes;
use partita_model::StoredItem;

use crate::error::{Error, Result};
use crate::record::StreamView;

const ENVELOPE: u8 = 0;
const EXPIRED: u8 = 1;
const ABSENT: u32 = u32::MAX;
const HEAD_BYTES: usize = 19;

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was added.
    Insert,
    /// It was there and changed.
    Modify,
    /// It was removed.
    Remove,
}

/// One change of one item.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub kind: ChangeKind,
    /// Whether time to live removed the item.
    pub expired: bool,
    /// When, in milliseconds since the epoch, by the clock of the node that wrote it.
    pub time_ms: u64,
    /// The first eight bytes of the partition hash.
    pub hash: u64,
    pub keys: StoredItem,
    pub old: Option<StoredItem>,
    pub new: Option<StoredItem>,
}

impl Change {
    /// The stored form; of the images it has those that the view shows.
    pub(super) fn encode(&self, view: StreamView) -> Bytes {
        let (with_old, with_new) = match view {
            StreamView::KeysOnly => (false, false),
            StreamView::NewImage => (false, true),
            StreamView::OldImage => (true, false),
            StreamView::NewAndOldImages => (true, true),
        };
        let items = [Some(&self.keys), self.old.as_ref().filter(|_| with_old), self.new.as_ref().filter(|_| with_new)];
        let length: usize = items.iter().flatten().map(|item| item.as_bytes().len()).sum();
        let mut out = Vec::with_capacity(HEAD_BYTES + 12 + length);
        out.push(ENVELOPE);
        out.push(match self.kind {
            ChangeKind::Insert => 0,
            ChangeKind::Modify => 1,
            ChangeKind::Remove => 2,
        });
        out.push(if self.expired { EXPIRED } else { 0 });
        out.extend_from_slice(&self.time_ms.to_be_bytes());
        out.extend_from_slice(&self.hash.to_be_bytes());
        for item in items {
            match item {
                Some(item) => {
                    out.extend_from_slice(&u32::try_from(item.as_bytes().len()).unwrap_or(ABSENT).to_be_bytes());
                    out.extend_from_slice(item.as_bytes());
                }
                None => out.extend_from_slice(&ABSENT.to_be_bytes()),
            }
        }
        out.into()
    }

    /// Reads the stored form, sharing its bytes.
    ///
    /// # Errors
    /// `Error::Internal` for bytes of another form.
    pub(super) fn decode(value: &Bytes) -> Result<Self> {
        Self::read(value).ok_or_else(|| Error::Internal("a stream record can not be read".to_owned()))
    }

    fn read(value: &Bytes) -> Option<Self> {
        let mut rest = value.clone();
        let [ENVELOPE, kind, flags] = take(&mut rest)? else { return None };
        let kind = match kind {
            0 => ChangeKind::Insert,
            1 => ChangeKind::Modify,
            2 => ChangeKind::Remove,
            _ => return None,
        };
        let time_ms = u64::from_be_bytes(take(&mut rest)?);
        let hash = u64::from_be_bytes(take(&mut rest)?);
        let keys = take_item(&mut rest)?;
        let old = take_item(&mut rest)?;
        let new = take_item(&mut rest)?;
        Some(Self { kind, expired: flags & EXPIRED != 0, time_ms, hash, keys: keys?, old, new })
    }

    /// What the record counts for in bytes: its keys and images.
    pub(super) fn size(&self) -> usize {
        let images = [&self.old, &self.new];
        self.keys.size() + images.into_iter().flatten().map(StoredItem::size).sum::<usize>()
    }
}

fn take<const N: usize>(rest: &mut Bytes) -> Option<[u8; N]> {
    let taken = *rest.first_chunk()?;
    *rest = rest.slice(N..);
    Some(taken)
}

fn take_item(rest: &mut Bytes) -> Option<Option<StoredItem>> {
    let length = u32::from_be_bytes(take(rest)?);
    if length == ABSENT {
        return Some(None);
    }
    let length = usize::try_from(length).ok()?;
    if rest.len() < length {
        return None;
    }
    Some(Some(StoredItem::from_bytes(rest.split_to(length))))
}

#[cfg(test)]
mod tests {
    use partita_model::{AttributeMap, AttributeValue};

    use super::*;

    fn item(text: &str) -> StoredItem {
        let mut map = AttributeMap::new();
        map.insert("k", AttributeValue::S(text.to_owned()));
        StoredItem::from_item(&map)
    }

    #[test]
    fn records_keep_what_their_view_shows() {
        let change = Change {
            kind: ChangeKind::Modify,
            expired: true,
            time_ms: 1_791_501_648_275,
            hash: 7,
            keys: item("a"),
            old: Some(item("old")),
            new: Some(item("newer")),
        };
        for (view, old, new, size) in [
            (StreamView::KeysOnly, false, false, 2),
            (StreamView::NewImage, false, true, 8),
            (StreamView::OldImage, true, false, 6),
            (StreamView::NewAndOldImages, true, true, 12),
        ] {
            let read = Change::decode(&change.encode(view)).unwrap();
            let expected = Change {
                old: change.old.clone().filter(|_| old),
                new: change.new.clone().filter(|_| new),
                ..change.clone()
            };
            assert_eq!((read.size(), read), (size, expected));
        }
    }

    #[test]
    fn cut_records_are_refused() {
        let change = Change {
            kind: ChangeKind::Insert,
            expired: false,
            time_ms: 1,
            hash: 2,
            keys: item("a"),
            old: None,
            new: Some(item("b")),
        };
        let whole = change.encode(StreamView::NewImage);
        for length in 0..whole.len() {
            assert!(Change::decode(&whole.slice(..length)).is_err(), "{length}");
        }
    }
}
