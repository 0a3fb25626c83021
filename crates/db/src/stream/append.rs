//! Writing stream records: each real change of an item adds one, in the change's own commit.
//!
//! The commit's position lands in the record's key, so the order of a shard's records is the order of the commits. The
//! shard is looked up in the table's record, which the commit reads: no record ever lands in a shard that has ended.

use partita_engine::{Key, Write};
use partita_model::StoredItem;

use super::record::{Change, ChangeKind};
use crate::keyspace::{self, StreamId};
use crate::record::OpenStream;
use crate::table::{ItemKey, Table};

/// Who changed an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A client.
    Request,
    /// Time to live.
    Expiry,
}

/// Appends the record of a change, if the table has a stream. `old` and `new` differ; `now_ms` is in milliseconds since
/// the epoch.
pub(crate) fn append(
    table: &Table,
    key: &ItemKey,
    (old, new): (Option<&StoredItem>, Option<&StoredItem>),
    (cause, now_ms): (Cause, u64),
    writes: &mut Vec<Write>,
) {
    let (Some(open), Some(stream)) = (&table.record.logs.stream, &table.record.stream) else { return };
    let kind = match (old, new) {
        (None, Some(_)) => ChangeKind::Insert,
        (Some(_), Some(_)) => ChangeKind::Modify,
        (Some(_), None) => ChangeKind::Remove,
        (None, None) => return,
    };
    let hash = key.hash.first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
    let change = Change {
        kind,
        expired: cause == Cause::Expiry,
        time_ms: now_ms,
        hash,
        keys: StoredItem::from_item(&key.attributes),
        old: old.cloned(),
        new: new.cloned(),
    };
    let id = StreamId { table: table.record.id, generation: open.generation };
    writes.push(Write::PutAtPosition {
        prefix: keyspace::stream_log(id, shard_of(open, hash)).into(),
        suffix: Key::new(),
        ordinal: next_ordinal(writes),
        value: change.encode(stream.view),
    });
}

/// The number of the open shard that owns a hash.
fn shard_of(open: &OpenStream, hash: u64) -> u32 {
    let after = open.shards.partition_point(|shard| shard.from <= hash);
    after.checked_sub(1).and_then(|at| open.shards.get(at)).map_or(0, |shard| shard.number)
}

/// The ordinal of a commit's next entry that takes the commit's position.
pub(crate) fn next_ordinal(writes: &[Write]) -> u16 {
    let before = writes.iter().filter(|write| matches!(write, Write::PutAtPosition { .. })).count();
    u16::try_from(before).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::OpenShard;

    #[test]
    fn shards_own_the_hashes_from_their_first_to_the_next_ones() {
        let shard = |number, from| OpenShard { number, from, created_ms: 0, parent: None };
        let open = OpenStream {
            label: String::new(),
            generation: 1,
            next_shard: 9,
            shards: vec![shard(3, 0), shard(7, 100), shard(5, 200)],
        };
        for (hash, expected) in [(0, 3), (99, 3), (100, 7), (199, 7), (200, 5), (u64::MAX, 5)] {
            assert_eq!(shard_of(&open, hash), expected, "{hash}");
        }
    }
}
