//! How an open database behaves where users may choose.

/// The most bytes of an item collection in a table with local indexes ("Item collections": 10 GB).
const MAX_COLLECTION_BYTES: u64 = 10 << 30;

/// What is chosen when a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether limits hold that exist for the service's sake alone, such as the pause between two changes of a table's
    /// time to live.
    pub emulate_aws_limits: bool,
    /// Whether requests beyond a table's throughput are refused.
    pub throttling: bool,
    /// Whether the clock may be moved on by [`advance_clock`](crate::Database::advance_clock).
    pub test_clock: bool,
    /// The most bytes of an item collection: 10 GB, where no test wants less.
    pub max_collection_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            emulate_aws_limits: false,
            throttling: false,
            test_clock: false,
            max_collection_bytes: MAX_COLLECTION_BYTES,
        }
    }
}
