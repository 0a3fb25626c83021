//! Shards and records as a check of the stored data looks at them.

use bytes::Bytes;
use partita_engine::Key;

use super::record::Change;
use super::shards::{Place, Shard, place_of, shards};
use crate::crypt::Snapshot;
use crate::error::Result;
use crate::keyspace::StreamId;

/// The bits of a place that say which of a commit's entries it is.
const ORDINAL_BITS: u32 = 16;

/// A shard of a stream, with what a check compares.
pub(crate) struct KnownShard {
    pub id: String,
    pub number: u32,
    /// The first hash it owns.
    pub from: u64,
    /// The first hash that it does not own any more, where that is known.
    pub until: Option<u64>,
    pub parent: Option<String>,
    horizon: Place,
    start: Place,
    end: Option<Place>,
}

/// All shards of a stream that are still kept.
///
/// # Errors
/// When what is known of one can not be read.
pub(crate) async fn known_shards(snapshot: &Snapshot, stream: StreamId) -> Result<Vec<KnownShard>> {
    let known = |shard: Shard| KnownShard {
        id: shard.id(),
        number: shard.number,
        from: shard.entry.from,
        until: None,
        horizon: shard.horizon(),
        start: shard.start,
        end: shard.end.map(|(end, _)| end),
        parent: shard.entry.parent,
    };
    Ok(shards(snapshot, stream).await?.into_iter().map(known).collect())
}

/// The first eight bytes of the partition hash of a record's item.
///
/// # Errors
/// When the record can not be read.
pub(crate) fn read_record(value: &Bytes) -> Result<u64> {
    Change::decode(value).map(|change| change.hash)
}

impl KnownShard {
    pub(crate) const fn is_open(&self) -> bool {
        self.end.is_none()
    }

    pub(crate) fn ends_before_it_starts(&self) -> bool {
        self.end.is_some_and(|end| end < self.start)
    }

    /// Whether it was started by the commit that ended its parent.
    pub(crate) fn continues(&self, parent: &Self) -> bool {
        parent.end.is_some_and(|end| end.0 >> ORDINAL_BITS == self.start.0 >> ORDINAL_BITS)
    }

    /// Whether a record's key lies between what is trimmed and the end.
    pub(crate) fn may_hold(&self, key: &Key) -> bool {
        place_of(key).is_ok_and(|place| place >= self.horizon && self.end.is_none_or(|end| place <= end))
    }
}
