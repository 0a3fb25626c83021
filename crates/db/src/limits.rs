//! The service's limits on data operations, each with its source.

/// The most bytes of items a page of Query or Scan reads ("Paginating table query results": 1 MB).
pub const MAX_PAGE_BYTES: usize = 1 << 20;
/// The most bytes of items a BatchGetItem or TransactGetItems returns ("BatchGetItem": 16 MB).
pub const MAX_BATCH_GET_BYTES: usize = 16 << 20;
/// The most bytes of items a transaction touches ("Transactions": 4 MB).
pub const MAX_TRANSACTION_BYTES: usize = 4 << 20;
/// One write unit covers this many bytes of an item ("Capacity unit consumption": 1 KB).
pub const WRITE_UNIT_BYTES: usize = 1024;
/// One strongly consistent read unit covers this many bytes of an item ("Capacity unit consumption": 4 KB).
pub const READ_UNIT_BYTES: usize = 4096;
/// The most tables of one account in one region ("Quotas": 2,500).
pub const MAX_TABLES: usize = 2500;
/// The most global secondary indexes of a table ("Quotas": 20).
pub const MAX_GLOBAL_INDEXES: usize = 20;
/// The most local secondary indexes of a table ("Quotas": 5).
pub const MAX_LOCAL_INDEXES: usize = 5;
/// How often an operation that loses against others decides again before it gives up.
pub const MAX_ATTEMPTS: u32 = 64;
/// The most attributes that the indexes of a table include together ("Quotas": 100).
pub const MAX_PROJECTED_ATTRIBUTES: usize = 100;
/// The most read or write capacity units of one table or index ("Quotas": 40,000).
pub const MAX_TABLE_UNITS: i64 = 40_000;
/// The most read or write capacity units of one account in one region ("Quotas": 80,000).
pub const MAX_ACCOUNT_UNITS: i64 = 80_000;
/// Throughput that is no number of units at all (measured against the service).
pub const MAX_REPRESENTABLE_UNITS: i64 = 1_000_000_000_000;
/// The most tags of a table ("Quotas": 50).
pub const MAX_TAGS: usize = 50;
/// The longest tag key, in characters ("Quotas": 128).
pub const MAX_TAG_KEY_CHARACTERS: usize = 128;
/// The longest tag value, in characters ("Quotas": 256).
pub const MAX_TAG_VALUE_CHARACTERS: usize = 256;
/// How often provisioned throughput may fall on a UTC day before further decreases take an hour ("Quotas": 4).
pub const FREE_DECREASES_A_DAY: i64 = 4;
/// How often a table may switch from provisioned to on-demand mode within 24 hours ("Switching capacity modes": 4).
pub const MAX_SWITCHES_A_DAY: usize = 4;
/// The seconds between two decreases after those ("Quotas": one hour).
pub const DECREASE_INTERVAL_SECONDS: u64 = 3600;
/// What a table or index takes at once in on-demand mode, in read units ("On-demand capacity mode": 12,000).
pub const INITIAL_WARM_READ_UNITS: i64 = 12_000;
/// What a table or index takes at once in on-demand mode, in write units ("On-demand capacity mode": 4,000).
pub const INITIAL_WARM_WRITE_UNITS: i64 = 4_000;
