//! Which key seals what: by the space that a store key begins with. What is not named here is sealed, under the
//! database's own data key; so a new space is safe before anyone thinks of it.

use crate::keyspace::{
    SPACE_COUNTER, SPACE_EXPIRY, SPACE_META, SPACE_TABLE_KEYS, SPACE_TRIGGER_STATE, TABLE_SPACE_FIRST, TABLE_SPACE_LAST,
};

/// How the values of a key are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// As they are: counters, which the engine adds up, and what opening the database begins with.
    None,
    /// Under the database's data key.
    Own,
    /// Under the data key of the table with this id.
    Table(u32),
}

/// The length of a counter in bytes: no sealed value is as short.
const COUNTER_BYTES: usize = 8;

/// How the values of a store key are kept.
pub(super) fn seal_of(key: &[u8]) -> Seal {
    match key {
        // The id of the next table, the record of the database's keys, and what data keys are wrapped in.
        [SPACE_META, b't' | b'k', ..] | [SPACE_COUNTER | SPACE_TABLE_KEYS, ..] => Seal::None,
        [TABLE_SPACE_FIRST..=TABLE_SPACE_LAST, a, b, c, d, ..] => Seal::Table(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => Seal::Own,
    }
}

/// Whether a value that should be sealed says nothing as it is: there are spaces whose keys say everything, and counters
/// among records.
pub(super) fn may_be_plain(key: &[u8], value: &[u8]) -> bool {
    match key.first() {
        Some(&SPACE_EXPIRY) => value.is_empty(),
        Some(&SPACE_TRIGGER_STATE) => value.len() == COUNTER_BYTES,
        _ => false,
    }
}

/// Whether the engine may add up counters at a key.
pub(super) fn may_count(key: &[u8]) -> bool {
    matches!(key.first(), Some(&(SPACE_COUNTER | SPACE_TRIGGER_STATE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace;

    #[test]
    fn tables_data_is_sealed_under_the_tables_key_and_all_else_under_the_databases() {
        let stream = keyspace::StreamId { table: 7, generation: 1 };
        for (key, expected) in [
            (keyspace::table_prefix(keyspace::SPACE_ITEM, 7), Seal::Table(7)),
            (keyspace::index_prefix(keyspace::SPACE_LOCAL_INDEX, 7, 2), Seal::Table(7)),
            (keyspace::index_prefix(keyspace::SPACE_GLOBAL_INDEX, 7, 2), Seal::Table(7)),
            (keyspace::stream_log(stream, 3), Seal::Table(7)),
            (keyspace::expiry_progress(7, 1).to_vec(), Seal::Table(7)),
            (keyspace::counters(7, 0).to_vec(), Seal::None),
            (keyspace::hash_secret().to_vec(), Seal::Own),
            (keyspace::next_table_id().to_vec(), Seal::None),
            (keyspace::vault().to_vec(), Seal::None),
            (keyspace::table_keys(7).to_vec(), Seal::None),
            (keyspace::catalog_key("123456789012", "eu-west-1", "t"), Seal::Own),
            (keyspace::shard(stream, 3), Seal::Own),
            (keyspace::lease("job").to_vec(), Seal::Own),
            (keyspace::token_bucket(5), Seal::Own),
            (vec![0x60, 1, 2, 3, 4, 5], Seal::Own),
            (vec![TABLE_SPACE_FIRST, 1], Seal::Own),
            (Vec::new(), Seal::Own),
        ] {
            assert_eq!(seal_of(&key), expected, "{key:?}");
        }
    }
}
