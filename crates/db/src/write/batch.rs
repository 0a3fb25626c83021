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

/// How often a batch is tried as one commit before its members go one by one.
const ATTEMPTS_TOGETHER: u32 = 4;

impl Database {
    /// Writes items of one or more tables, no key twice, and returns what each table's writes consumed.
    ///
    /// # Errors
    /// The refusal of an item, `ItemCollectionSizeLimitExceededException`, `ResourceNotFoundException` when a table has gone, `Contention`, or an engine failure.
    pub async fn batch_write(&self, tables: &[(Arc<Table>, Vec<SingleWrite>)]) -> Result<Vec<Consumed>> {
        for attempt in 0..ATTEMPTS_TOGETHER {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let keys: Vec<Key> =
                tables.iter().flat_map(|(_, writes)| writes.iter().map(|write| write.key.stored.clone())).collect();
            let mut found = snapshot.get_many(&keys).await?.into_iter();
            let mut charges = Vec::with_capacity(keys.len());
            let mut reads: Vec<Read> = keys.into_iter().map(Read::Key).collect();
            let mut changes = Vec::new();
            let mut consumed = Vec::with_capacity(tables.len());
            let touched = |(table, writes): &(Arc<Table>, Vec<SingleWrite>)| {
                writes.iter().filter_map(|write| ItemCollection::of(table, &write.key)).collect::<Vec<_>>()
            };
            let touched = tables.iter().flat_map(touched).collect();
            let mut collections = self.collection_sizes(&snapshot, touched).await?;
            for (table, writes) in tables {
                let table = self.table_as_of(&snapshot, table).await?;
                reads.push(Read::Key(table.catalog_key.clone()));
                let mut sum = Consumed::default();
                for write in writes {
                    let old = found.next().flatten().map(|value| unseal(&value)).transpose()?;
                    let decision = decide(&table, write, old.as_ref())?;
                    let states = (old.as_ref(), decision.new.as_ref());
                    let planned = plan(&self.planning(), &table, &write.key, states, false, &mut changes);
                    collections.grow(planned.growth.as_ref())?;
                    sum.add(&planned.consumed);
                    charges.push((Arc::clone(&table), &write.key, planned.consumed));
                }
                consumed.push(sum);
            }
            let done = || {
                charges.iter().for_each(|(table, key, units)| self.charge(table, Touched::Item(key), units));
            };
            if changes.is_empty() {
                done();
                return Ok(consumed);
            }
            match self.store().commit(commit(&snapshot, reads, changes)).await {
                Ok(_) => {
                    done();
                    return Ok(consumed);
                }
                Err(CommitError::Conflict | CommitError::TooOld) => back_off(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        self.write_one_by_one(tables).await
    }

    /// Under heavy contention each member goes through its key's line, where it makes progress.
    async fn write_one_by_one(&self, tables: &[(Arc<Table>, Vec<SingleWrite>)]) -> Result<Vec<Consumed>> {
        let mut consumed = Vec::with_capacity(tables.len());
        for (table, writes) in tables {
            let mut sum = Consumed::default();
            for write in writes {
                sum.add(&self.write_patiently(table, write).await?.consumed);
            }
            consumed.push(sum);
        }
        Ok(consumed)
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
