//! Records that were given up, written to the trigger's dead-letter table: one item a record, whose key is made from the
//! record alone, so that writing it again after a crash changes nothing.

use std::sync::Arc;
use std::time::Duration;

use partita_model::schema::KeyAttribute;
use partita_model::{AttributeMap, AttributeValue, ErrorCode, Number, size};

use super::definition::check_dead_letter_key;
use super::{Deliveries, Trigger};
use crate::Database;
use crate::error::{Error, Result};
use crate::table::Table;
use crate::write::{Mutation, ReturnValues, SingleWrite};

/// How many records are written in one commit.
const RECORDS_AT_ONCE: usize = 25;
/// For how many seconds those wait for the throughput of a table that is throttled.
const PATIENCE: usize = 60;
/// The largest item ("Quotas": 400 KB).
const MAX_ITEM_BYTES: usize = 400 * 1024;

/// Why a record was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// It was tried as often as the trigger permits.
    RetryAttemptsExhausted,
    /// It was older than the trigger permits.
    RecordAgeExceeded,
}

impl GivenUp {
    /// The name that users read.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            Self::RecordAgeExceeded => "RecordAgeExceeded",
        }
    }
}

/// A record that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The record's event id.
    pub event_id: String,
    /// The record's sequence number.
    pub sequence_number: String,
    /// When the change was, in milliseconds since the epoch.
    pub time_ms: u64,
    /// How often it was tried, alone or with others.
    pub attempts: u32,
    /// How many records were given up together.
    pub batch: usize,
    /// Why it was given up.
    pub why: GivenUp,
    /// What went wrong at the last attempt, if there was one.
    pub error: Option<String>,
    /// When it was given up, in milliseconds since the epoch.
    pub given_up_ms: u64,
    /// The record as it was posted, in JSON.
    pub record: String,
}

impl Deliveries {
    /// Writes records that were given up to the trigger's dead-letter table. Writing them again changes nothing.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when the table is gone, `ValidationException` when it can not take the records, or an
    /// engine failure.
    pub async fn bury(&self, trigger: &Trigger, table: &str, shard: &str, letters: &[DeadLetter]) -> Result<()> {
        let database = self.database();
        let table = database.table(&trigger.scope(), table).await?;
        check_dead_letter_key(&table)?;
        for letters in letters.chunks(RECORDS_AT_ONCE) {
            let mut writes = Vec::with_capacity(letters.len());
            for letter in letters {
                let item = item(trigger, shard, letter, (table.key.partition.first(), table.key.sort.first()));
                writes.push(SingleWrite {
                    key: table.key_of_item(&database.key_secret(), &item)?,
                    mutation: Mutation::Put(item),
                    condition: None,
                    returns: ReturnValues::None,
                    item_on_failure: false,
                });
            }
            bury_all(database, &table, writes).await?;
        }
        Ok(())
    }
}

/// Writes all, waiting for the throughput of the table.
async fn bury_all(database: &Database, table: &Arc<Table>, mut writes: Vec<SingleWrite>) -> Result<()> {
    for _ in 0..PATIENCE {
        let batch = [(Arc::clone(table), writes)];
        let unprocessed = match database.batch_write(&batch).await {
            Ok(written) => written.into_iter().next().map(|written| written.unprocessed).unwrap_or_default(),
            Err(Error::Throttled(_)) => (0..batch.iter().map(|(_, writes)| writes.len()).sum()).collect(),
            Err(error) => return Err(error),
        };
        if unprocessed.is_empty() {
            return Ok(());
        }
        let [(_, all)] = batch;
        let left = all.into_iter().enumerate().filter(|(at, _)| unprocessed.contains(at));
        writes = left.map(|(_, write)| write).collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(Error::refused(ErrorCode::ThrottlingException, "The dead-letter table has no throughput left"))
}

/// The item of a dead-letter table. With a sort key, a trigger's records lie together in their order; without, each lies
/// under its own event id.
fn item(
    trigger: &Trigger,
    shard: &str,
    letter: &DeadLetter,
    (partition, sort): (Option<&KeyAttribute>, Option<&KeyAttribute>),
) -> AttributeMap {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let number = |value: u64| AttributeValue::N(Number::from(value));
    let mut item = AttributeMap::new();
    item.insert("Trigger", text(&trigger.name));
    item.insert("StreamArn", text(&trigger.stream_arn));
    item.insert("ShardId", text(shard));
    item.insert("EventId", text(&letter.event_id));
    item.insert("SequenceNumber", text(&letter.sequence_number));
    item.insert("RecordTime", number(letter.time_ms));
    item.insert("Condition", text(letter.why.name()));
    item.insert("Attempts", number(letter.attempts.into()));
    item.insert("BatchSize", number(u64::try_from(letter.batch).unwrap_or(u64::MAX)));
    item.insert("FailedAt", number(letter.given_up_ms));
    if let Some(error) = &letter.error {
        item.insert("Error", text(error));
    }
    if let Some(partition) = partition {
        let value = if sort.is_some() { &trigger.name } else { &letter.event_id };
        item.insert(partition.name.as_str(), text(value));
    }
    if let Some(sort) = sort {
        item.insert(sort.name.as_str(), text(&letter.sequence_number));
    }
    let room = MAX_ITEM_BYTES.saturating_sub(size::item_size(&item));
    if letter.record.len() + "Record".len() <= room && !item.contains("Record") {
        item.insert("Record", text(&letter.record));
    } else {
        item.insert("RecordOmitted", AttributeValue::Bool(true));
    }
    item
}
