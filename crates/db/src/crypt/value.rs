//! Sealing one value: the construction, and the form of what is stored.
//!
//! `envelope version [place] nonce ciphertext tag`: one byte that says how the rest is to be read, the version of the data
//! key in two bytes, the place of the position in the key in two bytes (only in envelope 2), a random nonce of 24 bytes,
//! and what AES-256-GCM makes of the value, with its tag of 16 bytes.
//!
//! Why a key for each value: GCM takes nonces of 96 bits, which at random are safe for 2³² values under one key and no
//! more. So each value has an AES key of its own, the keyed BLAKE3 of its nonce under the data key, and is the only value
//! ever sealed under it, with GCM's nonce at zero. BLAKE3 is a pseudo-random function under a secret key, so values' keys
//! look independent; two values share one only if their random nonces of 192 bits are the same, which is out of reach for
//! any number of values that a disk holds.
//!
//! Why a value can not be moved: header and store key are authenticated with it. The store key begins with its space and,
//! for tables' data, with the table's id, so a value opens nowhere but where it was stored. What only the engine knows
//! when a value is sealed (the commit's position inside the key of a log entry) is left out; the log, the place in the
//! commit and all else in the key are not.

use bytes::{Bytes, BytesMut};
use partita_engine::Position;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::nonce::{NONCE_BYTES, nonce, random};
use crate::error::{Error, Result};

/// The envelope of a value at a key that was known when it was sealed.
const SEALED: u8 = 1;
/// The envelope of a value with the commit's position in its key.
const SEALED_AT_POSITION: u8 = 2;
/// Envelope and version.
const HEAD_BYTES: usize = 3;
/// The place of the position.
const PLACE_BYTES: usize = 2;
const TAG_BYTES: usize = 16;
/// The shortest sealed value.
const LEAST_BYTES: usize = HEAD_BYTES + NONCE_BYTES + TAG_BYTES;
/// The part of a position that the writer does not know: all but its ordinal.
const UNKNOWN_BYTES: usize = Position::BYTES - 2;

/// A key that values' keys are derived from. Wiped from memory when it goes; never shown.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; Self::BYTES]>);

impl DataKey {
    /// The length of a data key in bytes.
    pub const BYTES: usize = 32;

    /// A key from random bytes of the operating system.
    ///
    /// # Errors
    /// When it has none.
    pub fn random() -> Result<Self> {
        random().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// A key of these bytes, if there are as many as it takes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// The key itself: for wrapping it, and nothing else.
    #[must_use]
    pub fn expose(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    fn of_value(&self, nonce: &[u8]) -> Result<LessSafeKey> {
        let derived = Zeroizing::new(*blake3::keyed_hash(&self.0, nonce).as_bytes());
        let key = UnboundKey::new(&AES_256_GCM, derived.as_slice());
        key.map(LessSafeKey::new).map_err(|_| Error::Internal("a value's key can not be made".to_owned()))
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey")
    }
}

/// Where a value is to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    /// At this key.
    Key(&'a [u8]),
    /// At `prefix`, the commit's position with this ordinal, and `suffix`.
    Position { prefix: &'a [u8], ordinal: u16, suffix: &'a [u8] },
}

/// What is authenticated with a value: its header and store key. On the stack, unless the key is long.
struct Associated {
    short: [u8; Self::SHORT],
    length: usize,
    long: Vec<u8>,
}

impl Associated {
    const SHORT: usize = 160;

    fn of(parts: &[&[u8]]) -> Self {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut this = Self { short: [0; Self::SHORT], length, long: Vec::new() };
        if length > Self::SHORT {
            this.long = parts.concat();
            return this;
        }
        let mut rest = this.short.as_mut_slice();
        for part in parts {
            let (here, behind) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = behind;
        }
        this
    }

    fn bytes(&self) -> &[u8] {
        self.short.get(..self.length).unwrap_or(&self.long)
    }
}

/// Seals a value for a target, under a version of a data key.
///
/// # Errors
/// When there are no random bytes, or the target's prefix is too long for the envelope.
pub(super) fn seal(key: &DataKey, version: u16, target: Target<'_>, plain: &[u8]) -> Result<Bytes> {
    let too_long = |_| Error::Internal("a log's prefix is too long to be sealed".to_owned());
    let [v0, v1] = version.to_be_bytes();
    let mut out = Vec::with_capacity(LEAST_BYTES + PLACE_BYTES + plain.len());
    let associated = match target {
        Target::Key(key) => {
            out.extend_from_slice(&[SEALED, v0, v1]);
            Associated::of(&[&out, key])
        }
        Target::Position { prefix, ordinal, suffix } => {
            let [p0, p1] = u16::try_from(prefix.len()).map_err(too_long)?.to_be_bytes();
            out.extend_from_slice(&[SEALED_AT_POSITION, v0, v1, p0, p1]);
            Associated::of(&[&out, prefix, &[0; UNKNOWN_BYTES], &ordinal.to_be_bytes(), suffix])
        }
    };
    let nonce = nonce()?;
    out.extend_from_slice(&nonce);
    let from = out.len();
    out.extend_from_slice(plain);
    let value_key = key.of_value(&nonce)?;
    let tag = value_key
        .seal_in_place_separate_tag(gcm_nonce(), Aad::from(associated.bytes()), out.get_mut(from..).unwrap_or_default())
        .map_err(|_| Error::Internal("a value can not be sealed".to_owned()))?;
    out.extend_from_slice(tag.as_ref());
    Ok(out.into())
}

/// GCM's own nonce. The same for all: each key is used once.
fn gcm_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// A sealed value, taken apart as far as that needs no key.
pub(super) struct Sealed {
    /// The version of the data key it was sealed under.
    pub version: u16,
    position_at: Option<usize>,
    nonce_at: usize,
}

impl Sealed {
    /// Reads the header of a stored value; `None` if it is not sealed.
    pub(super) fn read(stored: &[u8]) -> Option<Self> {
        if stored.len() < LEAST_BYTES {
            return None;
        }
        match stored {
            [SEALED, v0, v1, ..] => {
                Some(Self { version: u16::from_be_bytes([*v0, *v1]), position_at: None, nonce_at: HEAD_BYTES })
            }
            [SEALED_AT_POSITION, v0, v1, p0, p1, ..] if stored.len() >= LEAST_BYTES + PLACE_BYTES => Some(Self {
                version: u16::from_be_bytes([*v0, *v1]),
                position_at: Some(usize::from(u16::from_be_bytes([*p0, *p1]))),
                nonce_at: HEAD_BYTES + PLACE_BYTES,
            }),
            _ => None,
        }
    }

    /// Opens a value found at a store key; `None` unless it is what was sealed for there, to the last bit.
    pub(super) fn open(&self, key: &DataKey, found_at: &[u8], stored: Bytes) -> Option<Bytes> {
        let head = stored.get(..self.nonce_at)?;
        let associated = match self.position_at {
            None => Associated::of(&[head, found_at]),
            Some(at) => {
                let (prefix, rest) = found_at.split_at_checked(at)?;
                Associated::of(&[head, prefix, &[0; UNKNOWN_BYTES], rest.get(UNKNOWN_BYTES..)?])
            }
        };
        let from = self.nonce_at + NONCE_BYTES;
        let value_key = key.of_value(stored.get(self.nonce_at..from)?).ok()?;
        // Point reads hand over the only copy, which is opened where it lies.
        let mut buffer = stored.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
        let plain =
            value_key.open_in_place(gcm_nonce(), Aad::from(associated.bytes()), buffer.get_mut(from..)?).ok()?;
        let to = from + plain.len();
        Some(buffer.freeze().slice(from..to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"\x10\0\0\0\x07a key of an item";

    fn opened(key: &DataKey, at: &[u8], stored: &Bytes) -> Option<Bytes> {
        Sealed::read(stored)?.open(key, at, stored.clone())
    }

    #[test]
    fn what_was_sealed_opens_at_its_key_alone() {
        let key = DataKey::random().unwrap();
        for length in [0, 1, 31, 400, 70_000] {
            let plain: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let long = [KEY, &[7; 3000]].concat();
            for at in [KEY, &long] {
                let stored = seal(&key, 3, Target::Key(at), &plain).unwrap();
                assert_eq!(Sealed::read(&stored).unwrap().version, 3);
                assert_eq!(opened(&key, at, &stored).unwrap(), plain);
                assert_eq!(opened(&key, &[at, b"x"].concat(), &stored), None);
                assert_eq!(opened(&DataKey::random().unwrap(), at, &stored), None);
            }
            let other_table = [b"\x10\0\0\0\x08", &KEY[5..]].concat();
            let stored = seal(&key, 3, Target::Key(KEY), &plain).unwrap();
            assert_eq!(opened(&key, &other_table, &stored), None);
        }
    }

    #[test]
    fn every_flipped_bit_is_detected() {
        let key = DataKey::random().unwrap();
        let target = Target::Position { prefix: KEY, ordinal: 7, suffix: b"end" };
        let at = [KEY, &[9; 14], &[0, 7], b"end"].concat();
        for (stored, at) in
            [(seal(&key, 1, Target::Key(KEY), b"plain").unwrap(), KEY), (seal(&key, 1, target, b"plain").unwrap(), &at)]
        {
            assert_eq!(opened(&key, at, &stored).unwrap(), b"plain".as_slice());
            for bit in 0..stored.len() * 8 {
                let mut flipped = stored.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(opened(&key, at, &flipped.into()), None, "bit {bit}");
            }
            for length in 0..stored.len() {
                assert_eq!(opened(&key, at, &stored.slice(..length)), None, "{length}");
            }
        }
    }

    #[test]
    fn a_log_entry_opens_in_its_log_and_with_its_ordinal_alone() {
        let key = DataKey::random().unwrap();
        let stored = seal(&key, 1, Target::Position { prefix: b"log a", ordinal: 1, suffix: b"" }, b"plain").unwrap();
        let at = |prefix: &[u8], ordinal: u8| [prefix, &[5; 14], &[0, ordinal]].concat();
        assert!(opened(&key, &at(b"log a", 1), &stored).is_some());
        for wrong in [at(b"log b", 1), at(b"log a", 2), at(b"log a1", 1), b"log a".to_vec(), Vec::new()] {
            assert_eq!(opened(&key, &wrong, &stored), None);
        }
    }

    #[test]
    fn the_same_value_is_never_stored_the_same() {
        let key = DataKey::random().unwrap();
        let stored = |_| seal(&key, 1, Target::Key(KEY), b"plain").unwrap();
        let all: std::collections::HashSet<Bytes> = (0..1000).map(stored).collect();
        assert_eq!(all.len(), 1000);
    }

    #[test]
    fn what_is_not_sealed_is_told_apart() {
        for plain in [b"".as_slice(), b"\x01", b"{\"id\":1}", &[0; 100], &[1; 42], &[3; 100]] {
            assert!(Sealed::read(plain).is_none());
        }
    }

    #[test]
    fn a_data_key_does_not_show_itself() {
        assert_eq!(format!("{:?}", DataKey(Zeroizing::new([7; 32]))), "DataKey");
    }

    /// What docs/encryption.md says of the cost: the best of many rounds, so that other work of the machine is left out.
    #[test]
    #[ignore = "a measurement, of a quiet machine"]
    fn what_sealing_and_opening_cost() {
        let key = DataKey::random().unwrap();
        let best = |work: &dyn Fn()| {
            let round = || {
                let start = std::time::Instant::now();
                (0..100).for_each(|_| work());
                start.elapsed() / 100
            };
            (0..2_000).map(|_| round()).min().unwrap_or_default()
        };
        for bytes in [100, 1_000, 10_000] {
            let plain = vec![7; bytes];
            let stored = seal(&key, 1, Target::Key(KEY), &plain).unwrap();
            let sealing = best(&|| drop(std::hint::black_box(seal(&key, 1, Target::Key(KEY), &plain))));
            let opening = best(&|| drop(std::hint::black_box(opened(&key, KEY, &stored))));
            println!("{bytes} bytes: sealing {sealing:?}, opening {opening:?}");
            assert!(opened(&key, KEY, &stored).is_some_and(|opened| opened == plain));
        }
    }
}
