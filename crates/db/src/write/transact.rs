//! Transactions of writes: TransactWriteItems. All members are judged on one snapshot and committed together.

use std::sync::Arc;

use partita_engine::{CommitError, Freshness, Key, Read};
use partita_model::{ErrorCode, StoredItem};

use super::collection::ItemCollection;
use super::decide::{Decision, decide};
use super::plan::{Planned, plan};
use super::single::{commit, judged};
use super::{ClientToken, Mutation, TransactMember};
use crate::Database;
use crate::capacity::{Consumed, ReadUnits, write_units};
use crate::catalog::back_off;
use crate::crypt::Snapshot;
use crate::error::{CancellationReason, Error, Result};
use crate::latch::Hold;
use crate::limits::MAX_TRANSACTION_BYTES;
use crate::metering::Touched;
use crate::table::{Table, unseal};
use crate::throttle::Admission;

/// How often a transaction that meets others is tried before it is canceled.
const ATTEMPTS: u32 = 12;

impl Database {
    /// Writes all members or none. Under a token that the same transaction has run with it does nothing again.
    ///
    /// # Errors
    /// `TransactionCanceled` with one reason for each member, `IdempotentParameterMismatchException`,
    /// `TransactionInProgressException` while a transaction with the token is being executed, a refusal, or an engine
    /// failure.
    pub async fn transact_write(&self, members: &[TransactMember], token: Option<&ClientToken>) -> Result<Transacted> {
        let _running = token.map(|token| self.begin(token)).transpose()?;
        let keys: Vec<Key> = members.iter().map(|member| member.write.key.stored.clone()).collect();
        let mut held = None;
        let mut last_seen = None;
        for attempt in 0..ATTEMPTS {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let old = self.read_items(&snapshot, &keys).await?;
            let now_ms = self.now_ms();
            if let Some(token) = token
                && token.has_run(&snapshot, now_ms).await?
            {
                let consumed: Vec<Consumed> = old.iter().map(read_again).collect();
                for (member, units) in members.iter().zip(&consumed) {
                    self.charge(&member.table, Touched::Item(&member.write.key), units);
                }
                return Ok(Transacted { consumed, repeated: true });
            }
            if held.is_none() {
                let wanted = members.iter().map(|member| match member.write.mutation {
                    Mutation::Check => Hold::Checked(1),
                    Mutation::Put(_) | Mutation::Update(_) | Mutation::Delete => Hold::Written,
                });
                held = Some(self.hold_items(keys.iter().cloned().zip(wanted).collect())?);
            }
            let mut reads: Vec<Read> = keys.iter().cloned().map(Read::Key).collect();
            let mut changes = Vec::new();
            let mut consumed = Vec::with_capacity(members.len());
            let mut tables = Vec::with_capacity(members.len());
            let mut reasons = Vec::with_capacity(members.len());
            let touched =
                members.iter().filter_map(|member| ItemCollection::of(&member.table, &member.write.key)).collect();
            let mut collections = self.collection_sizes(&snapshot, touched).await?;
            let mut bytes = 0;
            let mut partitions = Vec::with_capacity(members.len());
            let mut admissions = Admissions::default();
            let mut is_throttled = false;
            for (member, old) in members.iter().zip(&old) {
                let table = self.table_as_of(&snapshot, &member.table).await?;
                reads.push(Read::Key(table.catalog_key.clone()));
                let place = admissions.of(self, &table);
                let admitted = admissions.ask(place, |admission| admission.table(&member.write.key));
                let decided =
                    admitted.and_then(|()| decide(&table, &member.write, old.as_ref())).and_then(|decision| {
                        bytes += decision.new.as_ref().or(old.as_ref()).map_or(0, StoredItem::size);
                        let planned = self.plan_member(&table, member, old.as_ref(), &decision, &mut changes);
                        admissions.ask(place, |admission| {
                            admission.indexes(&member.write.key, &planned.consumed, &planned.partitions)
                        })?;
                        collections.grow(planned.growth.as_ref())?;
                        partitions.push((Arc::clone(&table), planned.partitions));
                        Ok(planned.consumed)
                    });
                match decided {
                    Ok(units) => {
                        consumed.push(units);
                        reasons.push(CancellationReason::default());
                    }
                    Err(error) => {
                        let mut judged = judged(old.as_ref());
                        judged.double();
                        is_throttled |= matches!(error, Error::Throttled(_));
                        consumed.push(judged);
                        reasons.push(reason(error)?);
                    }
                }
                tables.push(table);
            }
            let done = || {
                let touched = members.iter().map(|member| Touched::Item(&member.write.key));
                for ((table, touched), units) in tables.iter().zip(touched).zip(&consumed) {
                    self.charge(table, touched, units);
                }
                partitions.iter().for_each(|(table, touched)| self.take_index_partitions(table, touched));
            };
            if reasons.iter().any(|reason| reason.code.is_some()) {
                // Preparing a transaction consumes what it would have, whatever comes of it ("Transactions"), but one that is
                // throttled is not prepared.
                if !is_throttled {
                    done();
                }
                return Err(Error::TransactionCanceled { reasons });
            }
            if bytes > MAX_TRANSACTION_BYTES {
                return Err(transaction_too_large());
            }
            if let Some(token) = token {
                token.record(now_ms, &mut reads, &mut changes);
            }
            match self.store().commit(commit(&snapshot, reads, changes)).await {
                Ok(_) => {
                    done();
                    return Ok(Transacted { consumed, repeated: false });
                }
                Err(CommitError::Conflict | CommitError::TooOld) => back_off(attempt).await,
                Err(error) => return Err(error.into()),
            }
            last_seen = Some(old);
        }
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let now = self.read_items(&snapshot, &keys).await?;
        Err(Error::TransactionCanceled { reasons: conflicts(&last_seen.unwrap_or_default(), &now) })
    }

    fn plan_member(
        &self,
        table: &crate::table::Table,
        member: &TransactMember,
        old: Option<&StoredItem>,
        decision: &Decision,
        changes: &mut Vec<partita_engine::Write>,
    ) -> Planned {
        let mut planned = if matches!(member.write.mutation, Mutation::Check) {
            let mut planned = Planned::default();
            planned.consumed.table.add_write(write_units(old.map_or(0, StoredItem::size)));
            planned
        } else {
            let states = (old, decision.new.as_ref());
            plan(&self.planning(), table, &member.write.key, states, false, changes)
        };
        planned.consumed.double();
        planned.partitions.iter_mut().for_each(|(_, _, units)| *units *= 2);
        planned
    }

    pub(crate) async fn read_items(&self, snapshot: &Snapshot, keys: &[Key]) -> Result<Vec<Option<StoredItem>>> {
        let values = snapshot.get_many(keys).await?;
        values.into_iter().map(|value| value.map(|value| unseal(&value)).transpose()).collect()
    }
}

/// What asks for throughput of each of a transaction's tables.
#[derive(Default)]
struct Admissions(Vec<(u32, Option<Admission>)>);

impl Admissions {
    /// The place of a table's.
    fn of(&mut self, database: &Database, table: &Arc<Table>) -> usize {
        let id = table.record.id;
        self.0.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
            self.0.push((id, database.admission(table)));
            self.0.len() - 1
        })
    }

    fn ask(&mut self, place: usize, question: impl FnOnce(&mut Admission) -> Result<()>) -> Result<()> {
        match self.0.get_mut(place) {
            Some((_, Some(admission))) => question(admission),
            _ => Ok(()),
        }
    }
}

/// The refusal of a transaction over more than 4 MB of items. The words are ours: the service's are not known.
pub(crate) fn transaction_too_large() -> Error {
    Error::validation("The aggregate size of the items in the transaction exceeds 4 MB")
}

/// What a transaction did.
#[derive(Clone, Debug, Default)]
pub struct Transacted {
    /// What each member consumed: twice what a single write does, or a single read when it was done before.
    pub consumed: Vec<Consumed>,
    /// Whether it was done before, under the same token.
    pub repeated: bool,
}

/// What a member consumes of a transaction that was done before: a transactional read of the item.
fn read_again(item: &Option<StoredItem>) -> Consumed {
    let mut consumed = Consumed::default();
    consumed.table.add_read(ReadUnits::of(item.as_ref().map_or(0, StoredItem::size), true).doubled());
    consumed
}

/// Why a member stood against the transaction; errors that are not about the member pass through.
fn reason(error: Error) -> Result<CancellationReason> {
    match error {
        Error::ConditionFailed { item } => Ok(CancellationReason {
            code: Some("ConditionalCheckFailed"),
            message: Some("The conditional request failed".to_owned()),
            item,
        }),
        Error::Refused(refusal) if refusal.code == ErrorCode::ItemCollectionSizeLimitExceededException => {
            Ok(CancellationReason {
                code: Some("ItemCollectionSizeLimitExceeded"),
                message: Some(refusal.message.into_owned()),
                item: None,
            })
        }
        Error::Refused(refusal) if refusal.code == ErrorCode::ValidationException => Ok(CancellationReason {
            code: Some("ValidationError"),
            message: Some(refusal.message.into_owned()),
            item: None,
        }),
        Error::Throttled(throttled) => Ok(throttled.cancellation()),
        other => Err(other),
    }
}

/// The members whose items others changed meanwhile; all of them when that can not be told any more.
fn conflicts(before: &[Option<StoredItem>], now: &[Option<StoredItem>]) -> Vec<CancellationReason> {
    let unknown = before == now;
    let changed = before.iter().zip(now).map(|(before, now)| unknown || before != now);
    changed
        .map(|changed| if changed { CancellationReason::conflict() } else { CancellationReason::default() })
        .collect()
}
