//! Batches of plain puts and deletes: BatchWriteItem. Everything in one commit, which is more than the service promises
//! and cheaper than many.

use std::sync::Arc;

use partita_engine::{CommitError, Freshness, Key, Read};
use partita_model::ErrorCode;

use super::collection::ItemCollection;
use super::decide::decide;
use super::plan::plan;
use super::single::commit;
use super::{Outcome, SingleWrite};
use crate::Database;
use crate::capacity::Consumed;
use crate::catalog::back_off;
use crate::error::{Error, Result};
use crate::limits::MAX_ATTEMPTS;
use crate::metering::Touched;
use crate::table::{Table, unseal};
use crate::throttle::is_throttled;

/// How often a batch is tried as one commit before its members go one by one.
const ATTEMPTS_TOGETHER: u32 = 4;

/// What a batch did of one table's writes.
#[derive(Clone, Debug, Default)]
pub struct BatchWritten {
    /// What was consumed.
    pub consumed: Consumed,
    /// The places of the writes that there was no throughput for.
    pub unprocessed: Vec<usize>,
}

impl Database {
    /// Writes items of one or more tables, no key twice. Those that a table or index has no throughput for are left
    /// unprocessed.
    ///
    /// # Errors
    /// `Throttled` when there is throughput for none, the refusal of an item, `ItemCollectionSizeLimitExceededException`, `ResourceNotFoundException` when a table has gone, `Contention`, or an engine failure.
    pub async fn batch_write(&self, tables: &[(Arc<Table>, Vec<SingleWrite>)]) -> Result<Vec<BatchWritten>> {
        for attempt in 0..ATTEMPTS_TOGETHER {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let keys: Vec<Key> =
                tables.iter().flat_map(|(_, writes)| writes.iter().map(|write| write.key.stored.clone())).collect();
            let mut found = snapshot.get_many(&keys).await?.into_iter();
            let mut charges = Vec::with_capacity(keys.len());
            let mut reads: Vec<Read> = keys.into_iter().map(Read::Key).collect();
            let mut changes = Vec::new();
            let mut written = Vec::with_capacity(tables.len());
            let mut throttled = None;
            let touched = |(table, writes): &(Arc<Table>, Vec<SingleWrite>)| {
                writes.iter().filter_map(|write| ItemCollection::of(table, &write.key)).collect::<Vec<_>>()
            };
            let touched = tables.iter().flat_map(touched).collect();
            let mut collections = self.collection_sizes(&snapshot, touched).await?;
            for (table, writes) in tables {
                let table = self.table_as_of(&snapshot, table).await?;
                reads.push(Read::Key(table.catalog_key.clone()));
                let mut done = BatchWritten::default();
                let mut admission = self.admission(&table);
                for (at, write) in writes.iter().enumerate() {
                    let old = found.next().flatten().map(|value| unseal(&value)).transpose()?;
                    if let Some(Err(error)) = admission.as_ref().map(|admission| admission.table(&write.key)) {
                        throttled.get_or_insert(error);
                        done.unprocessed.push(at);
                        continue;
                    }
                    let before = changes.len();
                    let decision = decide(&table, write, old.as_ref())?;
                    let states = (old.as_ref(), decision.new.as_ref());
                    let planned = plan(&self.planning(), &table, &write.key, states, false, &mut changes);
                    let admitted =
                        admission.as_mut().map(|it| it.indexes(&write.key, &planned.consumed, &planned.partitions));
                    if let Some(Err(error)) = admitted {
                        changes.truncate(before);
                        throttled.get_or_insert(error);
                        done.unprocessed.push(at);
                        continue;
                    }
                    collections.grow(planned.growth.as_ref())?;
                    done.consumed.add(&planned.consumed);
                    charges.push((Arc::clone(&table), &write.key, planned));
                }
                written.push(done);
            }
            let done = || {
                for (table, key, planned) in &charges {
                    self.charge(table, Touched::Item(key), &planned.consumed);
                    self.take_index_partitions(table, &planned.partitions);
                }
            };
            if let Some(error) = throttled
                && charges.is_empty()
            {
                return Err(error);
            }
            if changes.is_empty() {
                done();
                return Ok(written);
            }
            match self.store().commit(commit(&snapshot, reads, changes)).await {
                Ok(_) => {
                    done();
                    return Ok(written);
                }
                Err(CommitError::Conflict | CommitError::TooOld) => back_off(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        self.write_one_by_one(tables).await
    }

    /// Under heavy contention each member goes through its key's line, where it makes progress.
    async fn write_one_by_one(&self, tables: &[(Arc<Table>, Vec<SingleWrite>)]) -> Result<Vec<BatchWritten>> {
        let mut written = Vec::with_capacity(tables.len());
        let mut throttled = None;
        let mut processed = 0usize;
        for (table, writes) in tables {
            let mut done = BatchWritten::default();
            for (at, write) in writes.iter().enumerate() {
                match self.write_patiently(table, write).await {
                    Ok(outcome) => {
                        done.consumed.add(&outcome.consumed);
                        processed += 1;
                    }
                    Err(error) if is_throttled(&error) => {
                        throttled.get_or_insert(error);
                        done.unprocessed.push(at);
                    }
                    Err(error) => return Err(error),
                }
            }
            written.push(done);
        }
        match throttled {
            Some(error) if processed == 0 => Err(error),
            _ => Ok(written),
        }
    }

    /// Writes an item, waiting for transactions that have it.
    async fn write_patiently(&self, table: &Arc<Table>, write: &SingleWrite) -> Result<Outcome> {
        for attempt in 0..MAX_ATTEMPTS {
            match self.write(table, write.clone()).await {
                Err(Error::Refused(refusal)) if refusal.code == ErrorCode::TransactionConflictException => {
                    back_off(attempt).await;
                }
                outcome => return outcome,
            }
        }
        Err(Error::Contention)
    }
}
