//! Where the engine's keys lie in the cluster, and what their values look like.
//!
//! Every key begins with the prefix that the cluster's operator chose. A value is stored as it is, unless it is longer
//! than the cluster takes or the commit would be: then its bytes lie in pieces under an id of their own (a blob), and the
//! key holds a reference.

use bytes::Bytes;

use crate::contract::{Key, KeyRange, Position, RESERVED_PREFIX};

/// The longest prefix in bytes: what FoundationDB's 10,000 leave beside [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES).
pub(super) const MAX_PREFIX_BYTES: usize = 32;
/// The longest value that is stored as it is, in bytes. FoundationDB takes 100,000.
pub(super) const MAX_INLINE_BYTES: usize = 90_000;
/// The bytes of one piece of a blob.
pub(super) const PIECE_BYTES: usize = 90_000;

/// Ids of commits: what each of them leaves behind, so that its outcome can be known.
const KIND_COMMIT: u8 = b'c';
/// Pieces of blobs.
const KIND_BLOB: u8 = b'b';
/// Blobs that no commit has taken yet, with the stamp of the transaction that wrote them.
const KIND_STAGED: u8 = b's';
/// Never written: what the sweeping of a blob and the commit that would take it meet at.
const KIND_CLAIM: u8 = b'x';
/// Which key holds a blob's reference.
const KIND_OWNER: u8 = b'o';
/// The format and the incarnation.
const KIND_META: u8 = b'm';

/// The first byte of stored values that are not simply themselves.
const SPECIAL: u8 = 0xFF;
const ESCAPED: u8 = 0;
const ESCAPED_AND_PADDED: u8 = 1;
const REFERENCE: u8 = 2;
/// Counters have this length and are never special: sums are made by the cluster.
const COUNTER_BYTES: usize = 8;

/// Names a blob, or a commit: random, never used again.
pub(super) type Id = [u8; 16];

/// The part of a cluster's keys that belongs to one store.
#[derive(Clone, Debug)]
pub(super) struct Space {
    prefix: Vec<u8>,
}

impl Space {
    pub(super) fn new(prefix: &[u8]) -> Self {
        Self { prefix: prefix.to_vec() }
    }

    /// The cluster's key of one of the store's keys.
    pub(super) fn key(&self, key: &[u8]) -> Vec<u8> {
        let mut full = Vec::with_capacity(self.prefix.len().saturating_add(key.len()));
        full.extend_from_slice(&self.prefix);
        full.extend_from_slice(key);
        full
    }

    /// The cluster's range of one of the store's ranges, without the keys that the engine keeps for itself.
    pub(super) fn range(&self, range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
        let end = range.end.as_ref().min([RESERVED_PREFIX].as_slice());
        (self.key(&range.start), self.key(end))
    }

    /// The store's key of one of the cluster's.
    pub(super) fn own(&self, full: &[u8]) -> Key {
        Bytes::copy_from_slice(full.strip_prefix(self.prefix.as_slice()).unwrap_or_default())
    }

    fn engine(&self, kind: u8, rest: &[u8]) -> Vec<u8> {
        let mut key = self.key(&[RESERVED_PREFIX, kind]);
        key.extend_from_slice(rest);
        key
    }

    /// What a commit leaves behind. The first byte of the random id spreads them; the version that the commit began at finds
    /// the forgotten ones.
    pub(super) fn commit(&self, id: &Id, version: u64) -> Vec<u8> {
        let mut key = self.engine(KIND_COMMIT, id.get(..1).unwrap_or_default());
        key.extend_from_slice(&version.to_be_bytes());
        key.extend_from_slice(id);
        key
    }

    /// What commits left behind that began with this first byte, from the beginning of time until a version.
    pub(super) fn commits_before(&self, first: u8, version: u64) -> (Vec<u8>, Vec<u8>) {
        let begin = self.engine(KIND_COMMIT, &[first]);
        let mut end = begin.clone();
        end.extend_from_slice(&version.to_be_bytes());
        (begin, end)
    }

    pub(super) fn piece(&self, id: &Id, number: u32) -> Vec<u8> {
        let mut key = self.engine(KIND_BLOB, id);
        key.extend_from_slice(&number.to_be_bytes());
        key
    }

    /// All pieces of a blob.
    pub(super) fn pieces(&self, id: &Id) -> (Vec<u8>, Vec<u8>) {
        let begin = self.engine(KIND_BLOB, id);
        let mut end = begin.clone();
        end.extend_from_slice(&[0xFF; 5]);
        (begin, end)
    }

    pub(super) fn staged(&self, id: &Id) -> Vec<u8> {
        self.engine(KIND_STAGED, id)
    }

    /// What is cleared, though never written, when a blob that no commit has taken is swept: commits that would take it
    /// depend on that.
    pub(super) fn claim(&self, id: &Id) -> Vec<u8> {
        self.engine(KIND_CLAIM, id)
    }

    pub(super) fn owner(&self, id: &Id) -> Vec<u8> {
        self.engine(KIND_OWNER, id)
    }

    /// All blobs that no commit has taken, and the id of one of them.
    pub(super) fn all_staged(&self, after: &[u8]) -> (Vec<u8>, Vec<u8>) {
        (self.engine(KIND_STAGED, after), self.engine(KIND_STAGED + 1, &[]))
    }

    /// All owners of blobs from an id on.
    pub(super) fn all_owners(&self, after: &[u8]) -> (Vec<u8>, Vec<u8>) {
        (self.engine(KIND_OWNER, after), self.engine(KIND_OWNER + 1, &[]))
    }

    /// The id at the end of a key of [`Self::staged`] or [`Self::owner`].
    pub(super) fn id(full: &[u8]) -> Option<Id> {
        full.last_chunk::<16>().copied()
    }

    /// The key of the format and the incarnation.
    pub(super) fn meta(&self) -> Vec<u8> {
        self.engine(KIND_META, &[])
    }
}

/// A key with a place for the commit's stamp, in the form of a versionstamp operation: with the place's offset behind it.
pub(super) fn with_stamp_at(mut bytes: Vec<u8>, offset: usize) -> Vec<u8> {
    bytes.extend_from_slice(&u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes());
    bytes
}

/// `prefix`, a position whose stamp is still open, `suffix`; and where the stamp belongs.
pub(super) fn positioned(prefix: &[u8], incarnation: u32, ordinal: u16, suffix: &[u8]) -> (Vec<u8>, usize) {
    let position = Position { incarnation, stamp: [0; 10], ordinal }.to_bytes();
    let mut key = Vec::with_capacity(prefix.len().saturating_add(Position::BYTES).saturating_add(suffix.len() + 4));
    key.extend_from_slice(prefix);
    key.extend_from_slice(&position);
    key.extend_from_slice(suffix);
    (key, prefix.len().saturating_add(4))
}

/// A value as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// Here.
    Inline(Bytes),
    /// Elsewhere.
    Blob { id: Id, bytes: u32 },
}

/// The stored form of a value that is short enough.
pub(super) fn inline(value: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if value.first() != Some(&SPECIAL) || value.len() == COUNTER_BYTES {
        return value.into();
    }
    let mut stored = Vec::with_capacity(value.len().saturating_add(3));
    stored.push(SPECIAL);
    if value.len() + 2 == COUNTER_BYTES {
        stored.push(ESCAPED_AND_PADDED);
        stored.extend_from_slice(value);
        stored.push(0);
    } else {
        stored.push(ESCAPED);
        stored.extend_from_slice(value);
    }
    stored.into()
}

/// The stored form of a reference to a blob.
pub(super) fn reference(id: &Id, bytes: u32) -> Vec<u8> {
    let mut stored = vec![SPECIAL, REFERENCE];
    stored.extend_from_slice(id);
    stored.extend_from_slice(&bytes.to_be_bytes());
    stored
}

/// Reads a stored value; `None` when it is none.
pub(super) fn read(stored: &[u8]) -> Option<Stored> {
    let inline = |bytes: &[u8]| Some(Stored::Inline(Bytes::copy_from_slice(bytes)));
    if stored.len() == COUNTER_BYTES {
        return inline(stored);
    }
    match stored {
        [SPECIAL, ESCAPED, value @ ..] | [SPECIAL, ESCAPED_AND_PADDED, value @ .., 0] => inline(value),
        [SPECIAL, REFERENCE, rest @ ..] => {
            let (id, bytes) = rest.split_first_chunk::<16>()?;
            Some(Stored::Blob { id: *id, bytes: u32::from_be_bytes(bytes.try_into().ok()?) })
        }
        [SPECIAL, ..] => None,
        value => inline(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_value_is_read_as_it_was_stored(value in prop::collection::vec(prop_oneof![Just(0xFF), any::<u8>()], 0..12)) {
            prop_assert_eq!(read(&inline(&value)), Some(Stored::Inline(value.into())));
        }

        #[test]
        fn references_are_told_from_values(id: Id, bytes: u32) {
            prop_assert_eq!(read(&reference(&id, bytes)), Some(Stored::Blob { id, bytes }));
        }
    }

    #[test]
    fn counters_are_stored_as_they_are() {
        for sum in [0_i64, 255, -1, i64::MAX] {
            assert_eq!(inline(&sum.to_le_bytes()).as_ref(), sum.to_le_bytes());
        }
    }

    #[test]
    fn the_engines_own_keys_are_in_no_range() {
        let space = Space::new(b"p");
        let (_, end) = space.range(&KeyRange::prefix(Bytes::new()));
        assert!(space.meta() >= end && space.staged(&[0; 16]) >= end);
        assert_eq!(space.own(&space.key(b"k")), "k");
    }
}
