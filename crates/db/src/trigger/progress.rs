//! How far a trigger has come in a shard, as it is stored: everything that a node needs to go on where another stopped.

use serde::{Deserialize, Serialize};

/// How far a trigger has come in a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The sequence number of the last record that is dealt with: delivered, or given up.
    #[serde(default)]
    pub after: Option<String>,
    /// Whether the shard has ended and all of it is dealt with.
    #[serde(default)]
    pub done: bool,
    /// The batch that comes next, if it has failed before.
    #[serde(default)]
    pub failing: Option<Failing>,
}

/// A batch that failed and is tried again, whole or in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// What is left of the batch, in order. The first is tried next; there is always one.
    pub pieces: Vec<Piece>,
    /// How often in a row delivery has failed: what the pause before the next attempt goes by.
    pub failures: u32,
    /// What went wrong last.
    pub error: String,
    /// When, in milliseconds since the epoch.
    pub failed_ms: u64,
}

/// A run of records that are delivered together: those behind what is dealt with, up to its last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The sequence number of its last record.
    pub last: String,
    /// How often the receiver has failed on exactly these records.
    pub attempts: u32,
}

/// What became of records since the last checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records delivered.
    pub delivered: u64,
    /// Records written to the dead-letter table.
    pub dead_lettered: u64,
    /// Records given up without a dead-letter table.
    pub discarded: u64,
}
