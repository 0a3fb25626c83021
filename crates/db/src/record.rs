//! A table's record: everything the catalog keeps of a table, as JSON, so that a newer version can add to it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::resource_policy::ResourcePolicy;
use crate::scope::Scope;
use crate::sight::InsightsRecord;

/// A table's record in the catalog.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TableRecord {
    /// The id that its keys carry; never used again.
    pub id: u32,
    /// `TableId`: a UUID.
    pub uuid: String,
    /// The owner's account: twelve digits.
    pub account: String,
    /// The region it lives in.
    pub region: String,
    /// The table's name.
    pub name: String,
    /// When it was created, in milliseconds since the epoch.
    pub created_ms: u64,
    /// Its state.
    pub status: TableStatus,
    /// `AttributeDefinitions`: names and types (`S`, `N`, `B`), in the order given.
    pub attributes: Vec<(String, String)>,
    /// The key, in the order given.
    pub key: Vec<KeyElement>,
    /// How requests are paid for.
    pub billing: BillingMode,
    /// When the table last switched to on-demand mode, in milliseconds since the epoch.
    #[serde(default)]
    pub on_demand_since_ms: Option<u64>,
    /// When it did so the last few times.
    #[serde(default)]
    pub on_demand_switches_ms: Vec<u64>,
    /// Provisioned throughput; zeros in on-demand mode.
    pub throughput: Throughput,
    /// Maximums in on-demand mode.
    #[serde(default)]
    pub on_demand: Option<OnDemandThroughput>,
    /// Warm throughput: the most of what was asked for, provisioned, or given by on-demand mode. It never falls.
    #[serde(default)]
    pub warm: Option<WarmThroughput>,
    /// Local secondary indexes, in the order given.
    pub local_indexes: Vec<IndexRecord>,
    /// Global secondary indexes, in the order given.
    pub global_indexes: Vec<IndexRecord>,
    /// The id the next index gets.
    pub next_index_id: u16,
    /// The table's current or last stream.
    #[serde(default)]
    pub stream: Option<StreamRecord>,
    /// The class asked for; `None` when the request named none.
    #[serde(default)]
    pub class: Option<TableClass>,
    /// When the class last changed, in milliseconds since the epoch.
    #[serde(default)]
    pub class_changed_ms: Option<u64>,
    /// Whether DeleteTable is refused.
    #[serde(default)]
    pub deletion_protection: bool,
    /// Tags by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Time to live.
    #[serde(default)]
    pub time_to_live: Option<TimeToLive>,
    /// The table's own policy.
    #[serde(default)]
    pub resource_policy: Option<ResourcePolicy>,
    /// Whether `SSESpecification` asked for KMS encryption with the service's own key.
    #[serde(default)]
    pub sse_enabled: bool,
    /// The root key that `SSESpecification` asked for, as the key service names it; `None` for the service's own.
    #[serde(default)]
    pub root_key: Option<String>,
    /// Point-in-time recovery; `None` while it is off.
    #[serde(default)]
    pub recovery: Option<Recovery>,
    /// What the table was restored from.
    #[serde(default)]
    pub restored: Option<Restored>,
    /// The id of the import that fills it; `None` when that has ended.
    #[serde(default)]
    pub import: Option<String>,
    /// Where the table's changes and expiry times are logged. Kept in step with `stream`, `time_to_live` and `recovery` by the
    /// commit that changes them; nothing else writes it.
    #[serde(default)]
    pub logs: Logs,
    /// Contributor insights of the table and its global indexes, where they were ever enabled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub insights: Vec<InsightsRecord>,
    /// Which item collections are measured; of tables with local indexes only. What writes items otherwise than by planned
    /// writes makes this `NotMeasured`, and the collections are measured in the background.
    #[serde(default)]
    pub collections: Collections,
}

impl TableRecord {
    /// The name space the table lives in.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { account: self.account.as_str().into(), region: self.region.as_str().into() }
    }

    /// The table's ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        self.scope().table_arn(&self.name)
    }
}

/// Which of a table's item collections have counters of their sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Collections {
    /// None: the table is older than such counters.
    #[default]
    NotMeasured,
    /// The items up to this one, by partition hash and sort key as they stand in stored keys.
    MeasuredTo(Vec<u8>),
    /// All.
    Measured,
}

/// A table's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableStatus {
    /// In use.
    Active,
    /// Being made; not usable yet.
    Creating,
    /// Being changed; usable.
    Updating,
    /// Going.
    Deleting,
}

/// An index's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexStatus {
    /// In use.
    Active,
    /// Being filled; written, not readable yet.
    Creating,
    /// Being changed; usable.
    Updating,
    /// Going.
    Deleting,
}

/// One element of a `KeySchema`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyElement {
    /// The attribute's name.
    pub name: String,
    /// Whether it is a partition (`HASH`) or sort (`RANGE`) attribute.
    pub partition: bool,
}

/// How requests are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BillingMode {
    /// Throughput is provisioned.
    Provisioned,
    /// On demand (`PAY_PER_REQUEST`).
    OnDemand,
}

/// Provisioned throughput and its changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throughput {
    /// Read capacity units.
    pub read: i64,
    /// Write capacity units.
    pub write: i64,
    /// Decreases on the current UTC day.
    #[serde(default)]
    pub decreases_today: i64,
    /// When it last rose, in milliseconds since the epoch.
    #[serde(default)]
    pub increased_ms: Option<u64>,
    /// When it last fell, in milliseconds since the epoch.
    #[serde(default)]
    pub decreased_ms: Option<u64>,
}

/// Maximums in on-demand mode; -1 stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnDemandThroughput {
    /// Read request units a second.
    pub max_read: Option<i64>,
    /// Write request units a second.
    pub max_write: Option<i64>,
}

/// Throughput that a table or index takes at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmThroughput {
    /// Reads a second.
    pub read: Option<i64>,
    /// Writes a second.
    pub write: Option<i64>,
}

/// An index's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRecord {
    /// The id that its keys carry, from 1; never used again in this table.
    pub id: u16,
    /// The index's name.
    pub name: String,
    /// Its key, in the order given.
    pub key: Vec<KeyElement>,
    /// What it carries besides the keys.
    pub projection: Projected,
    /// Its state.
    pub status: IndexStatus,
    /// Whether it is being filled from the table.
    #[serde(default)]
    pub backfilling: bool,
    /// Provisioned throughput; of global indexes only.
    #[serde(default)]
    pub throughput: Throughput,
    /// Maximums in on-demand mode; of global indexes only.
    #[serde(default)]
    pub on_demand: Option<OnDemandThroughput>,
    /// Warm throughput, as for the table; of global indexes only.
    #[serde(default)]
    pub warm: Option<WarmThroughput>,
}

/// What an index carries besides the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Projected {
    /// Everything.
    All,
    /// Nothing.
    KeysOnly,
    /// These attributes, in the order given.
    Include(Vec<String>),
}

/// A table's stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// Whether changes are being recorded.
    pub enabled: bool,
    /// The stream's label, which ends its ARN: its creation time in ISO 8601 with milliseconds.
    pub label: String,
    /// What its records carry.
    pub view: StreamView,
}

/// What a stream's records carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamView {
    /// `KEYS_ONLY`.
    KeysOnly,
    /// `NEW_IMAGE`.
    NewImage,
    /// `OLD_IMAGE`.
    OldImage,
    /// `NEW_AND_OLD_IMAGES`.
    NewAndOldImages,
}

/// A table's class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableClass {
    /// `STANDARD`.
    Standard,
    /// `STANDARD_INFREQUENT_ACCESS`.
    StandardInfrequentAccess,
}

/// A table's time to live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeToLive {
    /// The attribute that holds the expiry time.
    pub attribute: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// When it last changed, in milliseconds since the epoch.
    pub changed_ms: u64,
}

/// Where a table's changes and expiry times are logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// The log of changes; `None` while no stream is enabled.
    #[serde(default)]
    pub stream: Option<OpenStream>,
    /// How many streams the table has had.
    #[serde(default)]
    pub streams: u32,
    /// The queue of expiry times; `None` while time to live is off.
    #[serde(default)]
    pub expiry: Option<ExpiryQueue>,
    /// How many such queues the table has had.
    #[serde(default)]
    pub queues: u32,
    /// The log of what items were before; `None` while nothing needs it.
    #[serde(default)]
    pub history: Option<HistoryLog>,
    /// How many such logs the table has had.
    #[serde(default)]
    pub histories: u32,
    /// The jobs that read the table's past, by their ids: while there are any, history is kept.
    #[serde(default)]
    pub holds: BTreeSet<String>,
}

/// Point-in-time recovery of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// When it was switched on, in milliseconds since the epoch.
    pub enabled_ms: u64,
    /// How many days back it reaches: 1 to 35.
    pub days: u32,
}

/// What a table was restored from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The ARN of the table that was recovered or backed up.
    pub table_arn: String,
    /// The ARN of the backup, when it was one.
    #[serde(default)]
    pub backup_arn: Option<String>,
    /// The time that the table is as of, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The job that restores it; `None` when that is done.
    #[serde(default)]
    pub job: Option<String>,
}

/// A log of what items were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryLog {
    /// Which of the table's logs it is, from 1.
    pub generation: u32,
}

/// A stream that records changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenStream {
    /// The stream's label.
    pub label: String,
    /// Which of the table's streams it is, from 1.
    pub generation: u32,
    /// The number the next shard gets.
    pub next_shard: u32,
    /// The open shards by the first hash of each; the first begins at 0.
    pub shards: Vec<OpenShard>,
}

/// A shard that records changes: those of the partition hashes from its first to the next shard's first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenShard {
    /// Its number; never used again in this stream.
    pub number: u32,
    /// The first hash it owns, by the first eight bytes of partition hashes.
    pub from: u64,
    /// When it was opened, in milliseconds since the epoch.
    pub created_ms: u64,
    /// The id of the shard it continues.
    #[serde(default)]
    pub parent: Option<String>,
}

/// A queue of expiry times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryQueue {
    /// Which of the table's queues it is, from 1.
    pub generation: u32,
    /// Whether the items that were there before are still being queued.
    pub building: bool,
}
