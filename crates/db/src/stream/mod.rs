//! Streams: the log of a table's changes, written in the commit of each change and read shard by shard for 24 hours.
//!
//! `append` writes a record, `record` is its form, `follow` opens and closes streams and shards with the table's record,
//! `shards` is what is known of shards, `describe` lists and describes, `iterator` and `read` read, `trim` forgets, and
//! `balance` splits busy shards and replaces old ones.

mod append;
mod balance;
mod describe;
mod examine;
mod follow;
mod iterator;
mod read;
mod record;
mod shards;
#[cfg(test)]
pub(crate) mod tests;
mod trim;

pub(crate) use append::{Cause, append, next_ordinal};
pub(crate) use balance::Balance;
pub use describe::{ShardDescription, StreamDescription, StreamPage, StreamSummary, Streams};
pub(crate) use examine::{KnownShard, known_shards, read_record};
pub(crate) use follow::{StreamEntry, follow};
pub use iterator::IteratorStart;
pub use read::{ChangeRecord, Records};
pub use record::ChangeKind;
