//! Single writes: PutItem, UpdateItem and DeleteItem. Writers of one key on this node are served in line.

use std::sync::Arc;

use partita_engine::{Commit, CommitError, Freshness, Read, Write};
use partita_model::StoredItem;

use super::collection::ItemCollection;
use super::decide::decide;
use super::plan::{plan, put_or_delete};
use super::{Outcome, SingleWrite};
use crate::Database;
use crate::capacity::{Consumed, write_units};
use crate::catalog::back_off;
use crate::error::{Error, Result};
use crate::latch::{Job, Turn};
use crate::limits::MAX_ATTEMPTS;
use crate::metering::Touched;
use crate::table::{Table, unseal};
use crate::throttle::IndexPartition;

impl Database {
    /// Writes one item.
    ///
    /// # Errors
    /// `Throttled` when the table or an index that the write touches has no throughput left, `ConditionFailed`, a refusal of what the item would become, `ResourceNotFoundException` when the table has gone,
    /// `TransactionConflictException` when a transaction that is being executed has the item, `Contention`, or an engine
    /// failure.
    pub async fn write(&self, table: &Arc<Table>, write: SingleWrite) -> Result<Outcome> {
        let outcome = match self.take_turn(table, write) {
            Turn::Now(held, write) => {
                let outcome = self.write_in_line(table, &[&write]).await.pop();
                drop(held);
                outcome.unwrap_or_else(|| Err(Error::Internal("a write has no outcome".to_owned())))
            }
            Turn::Refused => Err(Error::transaction_conflict()),
            Turn::Queued(answer) => {
                answer.await.unwrap_or_else(|_| Err(Error::Internal("a queued write was dropped".to_owned())))
            }
        };
        outcome.inspect_err(|error| table.series().refused(error))
    }

    /// Serves writes that queued up for one key.
    pub(crate) async fn serve(&self, jobs: Vec<Job>) {
        let Some(table) = jobs.first().map(|job| Arc::clone(&job.table)) else { return };
        let writes: Vec<&SingleWrite> = jobs.iter().map(|job| &job.write).collect();
        let outcomes = self.write_in_line(&table, &writes).await;
        for (job, outcome) in jobs.into_iter().zip(outcomes) {
            // A client that has hung up no longer listens.
            let _ = job.answer.send(outcome);
        }
    }

    /// Decides writes of one key in order, each on what the one before left, and commits them together.
    async fn write_in_line(&self, table: &Arc<Table>, writes: &[&SingleWrite]) -> Vec<Result<Outcome>> {
        let all = |error: Error| writes.iter().map(|_| Err(error.clone())).collect();
        let Some(first) = writes.first() else { return Vec::new() };
        for attempt in 0..MAX_ATTEMPTS {
            let decided = match self.decide_in_line(table, first, writes).await {
                Ok(decided) => decided,
                Err(error) => return all(error),
            };
            let Decided { commit, table: decided_for, outcomes, refused, partitions } = decided;
            let done = || {
                let consumed = outcomes.iter().flatten().map(|outcome| &outcome.consumed);
                consumed.chain(&refused).for_each(|units| self.charge(&decided_for, Touched::Item(&first.key), units));
                self.take_index_partitions(&decided_for, &partitions);
            };
            if commit.writes.is_empty() {
                done();
                return outcomes;
            }
            match self.store().commit(commit).await {
                Ok(_) => {
                    done();
                    return outcomes;
                }
                Err(CommitError::Conflict | CommitError::TooOld) => back_off(attempt).await,
                // Many large items with their stream records can be too much for one commit.
                Err(CommitError::TooLarge) if writes.len() > 1 => {
                    let (first, rest) = writes.split_at(writes.len() / 2);
                    let mut outcomes = Box::pin(self.write_in_line(table, first)).await;
                    outcomes.extend(Box::pin(self.write_in_line(table, rest)).await);
                    return outcomes;
                }
                Err(error) => return all(error.into()),
            }
        }
        all(Error::Contention)
    }

    async fn decide_in_line(
        &self,
        table: &Arc<Table>,
        first: &SingleWrite,
        writes: &[&SingleWrite],
    ) -> Result<Decided> {
        let key = &first.key.stored;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let current_table = self.table_as_of(&snapshot, table).await?;
        let table = &current_table;
        let stored = snapshot.get(key).await?.map(|value| unseal(&value)).transpose()?;
        let mut changes = Vec::with_capacity(8);
        let mut current: Option<StoredItem> = stored.clone();
        let mut collections =
            self.collection_sizes(&snapshot, ItemCollection::of(table, &first.key).into_iter().collect()).await?;
        let alone = writes.len() == 1;
        let mut refused = None;
        let mut partitions = Vec::new();
        let mut admission = self.admission(table);
        let outcomes = writes
            .iter()
            .map(|write| {
                if let Some(admission) = &admission {
                    admission.table(&write.key)?;
                }
                let decision = decide(table, write, current.as_ref()).inspect_err(|error| {
                    if matches!(error, Error::ConditionFailed { .. }) {
                        refused.get_or_insert_with(Consumed::default).add(&judged(current.as_ref()));
                    }
                })?;
                let states = (current.as_ref(), decision.new.as_ref());
                let before = changes.len();
                let planned = plan(&self.planning(), table, &write.key, states, !alone, &mut changes);
                let admitted = match &mut admission {
                    Some(admission) => admission.indexes(&write.key, &planned.consumed, &planned.partitions),
                    None => Ok(()),
                };
                if let Err(refusal) = admitted.and_then(|()| collections.grow(planned.growth.as_ref())) {
                    changes.truncate(before);
                    return Err(refusal);
                }
                current = decision.new;
                partitions.extend(planned.partitions);
                Ok(Outcome { attributes: decision.attributes, consumed: planned.consumed })
            })
            .collect();
        if !alone && current != stored {
            changes.push(put_or_delete(key.clone(), current.as_ref()));
        }
        let reads = vec![Read::Key(key.clone()), Read::Key(table.catalog_key.clone())];
        let commit = commit(&snapshot, reads, changes);
        Ok(Decided { commit, table: current_table, outcomes, refused, partitions })
    }
}

/// What writes of one key come to.
struct Decided {
    commit: Commit,
    /// The table that they were decided for: its indexes are those that the outcomes name.
    table: Arc<Table>,
    outcomes: Vec<Result<Outcome>>,
    /// What those consumed whose conditions failed.
    refused: Option<Consumed>,
    /// What was consumed of partitions of indexes, if that is told.
    partitions: Vec<IndexPartition>,
}

/// What a write consumes whose condition fails: units for the item as it is, one at least ("Condition expressions").
pub(super) fn judged(item: Option<&StoredItem>) -> Consumed {
    let mut consumed = Consumed::default();
    consumed.table.add_write(write_units(item.map_or(0, StoredItem::size)));
    consumed
}

/// A commit of items: the catalog stays as it is.
pub(super) fn commit(snapshot: &crate::crypt::Snapshot, reads: Vec<Read>, writes: Vec<Write>) -> Commit {
    Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false }
}
