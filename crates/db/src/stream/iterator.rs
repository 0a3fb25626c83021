//! Shard iterators: opaque, authenticated places in a shard that expire after 15 minutes.
//!
//! `<stream ARN>|1|<base64 of shard, place, time of issue, tag>`. The tag is a BLAKE3 hash under a key derived from the
//! database's secret, over everything before it: an iterator of another database, or one made by hand, is none.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use partita_model::ErrorCode;

use super::shards::Place;
use crate::error::{Error, Result};

/// How long an iterator is good for ("GetShardIterator": 15 minutes).
pub(super) const LIFETIME_MS: u64 = 15 * 60 * 1000;
/// What the key of the tags is derived under.
const CONTEXT: &str = "partita 2026-11-22 shard iterator tag";
const FORM: &str = "1";
const TAG_BYTES: usize = 16;

/// Where an iterator starts.
#[derive(Clone, Debug, PartialEq)]
pub enum IteratorStart {
    /// At the oldest record that is left.
    TrimHorizon,
    /// Behind the newest record.
    Latest,
    /// At the record with this sequence number.
    At(String),
    /// Behind the record with this sequence number.
    After(String),
    /// At the first record not older than this time, in milliseconds since the epoch.
    AtTime(u64),
}

/// A place in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShardIterator {
    /// The stream's ARN.
    pub stream: String,
    /// The shard's number.
    pub shard: u32,
    /// The next record is the first at or behind this place.
    pub next: Place,
    /// When it was issued, in milliseconds since the epoch.
    pub issued_ms: u64,
}

impl ShardIterator {
    pub(super) fn to_text(&self, secret: &[u8; 32]) -> String {
        let mut bytes = Vec::with_capacity(44);
        bytes.extend_from_slice(&self.shard.to_be_bytes());
        bytes.extend_from_slice(&self.next.to_bytes());
        bytes.extend_from_slice(&self.issued_ms.to_be_bytes());
        let tag = tag(secret, &self.stream, &bytes);
        bytes.extend_from_slice(tag.as_bytes().get(..TAG_BYTES).unwrap_or_default());
        format!("{}|{FORM}|{}", self.stream, URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads an iterator that this database issued.
    ///
    /// # Errors
    /// `ValidationException` for any other text, `ExpiredIteratorException` for an iterator older than 15 minutes.
    pub(super) fn read(text: &str, secret: &[u8; 32], now_ms: u64) -> Result<Self> {
        let iterator = Self::authentic(text, secret).ok_or_else(|| Error::validation("Invalid ShardIterator"))?;
        if now_ms > iterator.issued_ms.saturating_add(LIFETIME_MS) {
            return Err(Error::refused(
                ErrorCode::ExpiredIteratorException,
                "The provided iterator exceeds the maximum age allowed",
            ));
        }
        Ok(iterator)
    }

    fn authentic(text: &str, secret: &[u8; 32]) -> Option<Self> {
        let (stream, rest) = text.split_once('|')?;
        let (form, encoded) = rest.split_once('|')?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (body, given) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        let tag = tag(secret, stream, body);
        // Hashes compare in constant time; the part that is not sent is filled from the right one.
        let mut whole = *tag.as_bytes();
        whole.get_mut(..TAG_BYTES)?.copy_from_slice(given);
        if form != FORM || tag != blake3::Hash::from_bytes(whole) {
            return None;
        }
        let (shard, rest) = body.split_first_chunk()?;
        let (next, issued) = rest.split_first_chunk()?;
        Some(Self {
            stream: stream.to_owned(),
            shard: u32::from_be_bytes(*shard),
            next: Place(u128::from_be_bytes(*next)),
            issued_ms: u64::from_be_bytes(issued.try_into().ok()?),
        })
    }
}

fn tag(secret: &[u8; 32], stream: &str, body: &[u8]) -> blake3::Hash {
    let key = blake3::derive_key(CONTEXT, secret);
    // The body has one length, so stream and body can not be told apart in two ways.
    blake3::Hasher::new_keyed(&key).update(stream.as_bytes()).update(body).finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn iterator() -> ShardIterator {
        ShardIterator {
            stream: "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/2026-10-08T23:20:48.275".to_owned(),
            shard: 3,
            next: Place(1 << 100),
            issued_ms: 1_000_000,
        }
    }

    fn code(result: Result<ShardIterator>) -> Option<ErrorCode> {
        match result {
            Err(Error::Refused(refusal)) => Some(refusal.code),
            _ => None,
        }
    }

    #[test]
    fn iterators_are_read_back_for_15_minutes() {
        let text = iterator().to_text(&SECRET);
        assert_eq!(ShardIterator::read(&text, &SECRET, 1_000_000 + LIFETIME_MS).unwrap(), iterator());
        assert_eq!(
            code(ShardIterator::read(&text, &SECRET, 1_000_001 + LIFETIME_MS)),
            Some(ErrorCode::ExpiredIteratorException)
        );
    }

    #[test]
    fn forged_iterators_are_invalid() {
        let text = iterator().to_text(&SECRET);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            assert_eq!(
                code(ShardIterator::read(&forged, &SECRET, 1_000_000)),
                Some(ErrorCode::ValidationException),
                "{at}"
            );
            let cut = text.get(..at).unwrap();
            assert_eq!(
                code(ShardIterator::read(cut, &SECRET, 1_000_000)),
                Some(ErrorCode::ValidationException),
                "{at}"
            );
        }
        assert_eq!(code(ShardIterator::read(&text, &[8; 32], 1_000_000)), Some(ErrorCode::ValidationException));
    }
}
