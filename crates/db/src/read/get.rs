//! Gets of single items: GetItem, BatchGetItem, TransactGetItems.

use std::sync::Arc;

use partita_engine::{Freshness, Key};
use partita_expr::Projection;
use partita_model::StoredItem;

use super::project;
use crate::Database;
use crate::capacity::{Consumed, ReadUnits};
use crate::error::{CancellationReason, Error, Result};
use crate::limits::{MAX_BATCH_GET_BYTES, MAX_TRANSACTION_BYTES};
use crate::metering::Touched;
use crate::table::{ItemKey, Table, unseal};
use crate::write::transaction_too_large;

/// One get's answer.
#[derive(Clone, Debug, Default)]
pub struct Got {
    /// The item, reduced to the projection; `None` when there is none.
    pub item: Option<StoredItem>,
    /// What the read consumed.
    pub consumed: Consumed,
}

/// The gets of one table in a batch.
#[derive(Clone, Debug)]
pub struct BatchGetTable {
    /// The table.
    pub table: Arc<Table>,
    /// The items, none twice.
    pub keys: Vec<ItemKey>,
    /// What to return of each.
    pub projection: Option<Projection>,
    /// Whether the reads are strongly consistent.
    pub consistent: bool,
}

/// A batch of gets over several tables.
#[derive(Clone, Debug, Default)]
pub struct BatchGet {
    /// The tables, in the order of the request.
    pub tables: Vec<BatchGetTable>,
}

/// What a batch of gets found in one table.
#[derive(Clone, Debug, Default)]
pub struct BatchGot {
    /// The items that are there.
    pub items: Vec<StoredItem>,
    /// The places in `keys` that did not fit the response.
    pub unprocessed: Vec<usize>,
    /// What the reads consumed.
    pub consumed: Consumed,
}

impl Database {
    /// Reads one item.
    ///
    /// # Errors
    /// `Throttled` when the table has no throughput left, `ResourceNotFoundException` when the table has gone, or an engine failure.
    pub async fn get(
        &self,
        table: &Arc<Table>,
        key: &ItemKey,
        projection: Option<&Projection>,
        consistent: bool,
    ) -> Result<Got> {
        self.admit_read(table, None, Touched::Item(key))?;
        let snapshot = self.snapshot(freshness(consistent)).await?;
        self.table_as_of(&snapshot, table).await?;
        let item = snapshot.get(&key.stored).await?.map(|value| unseal(&value)).transpose()?;
        let mut consumed = Consumed::default();
        consumed.table.add_read(ReadUnits::of(item.as_ref().map_or(0, StoredItem::size), consistent));
        self.charge(table, Touched::Item(key), &consumed);
        let item = match projection {
            Some(projection) => item.map(|item| project(projection, &item)),
            None => item,
        };
        Ok(Got { item, consumed })
    }

    /// Reads items of several tables. Once 16 MB are reached the rest is left unprocessed, and so are gets that a table has no
    /// throughput for.
    ///
    /// # Errors
    /// `Throttled` when there is throughput for none; otherwise as for `get`.
    pub async fn batch_get(&self, request: &BatchGet) -> Result<Vec<BatchGot>> {
        let strong = request.tables.iter().any(|table| table.consistent);
        let snapshot = self.snapshot(freshness(strong)).await?;
        let mut bytes = 0;
        let mut throttled = None;
        let mut answers = Vec::with_capacity(request.tables.len());
        for gets in &request.tables {
            self.table_as_of(&snapshot, &gets.table).await?;
            let mut answer = BatchGot::default();
            for (at, key) in gets.keys.iter().enumerate() {
                if bytes >= MAX_BATCH_GET_BYTES {
                    answer.unprocessed.push(at);
                    continue;
                }
                if let Err(error) = self.admit_read(&gets.table, None, Touched::Item(key)) {
                    throttled.get_or_insert(error);
                    answer.unprocessed.push(at);
                    continue;
                }
                let item = snapshot.get(&key.stored).await?.map(|value| unseal(&value)).transpose()?;
                let size = item.as_ref().map_or(0, StoredItem::size);
                if bytes + size > MAX_BATCH_GET_BYTES {
                    bytes = MAX_BATCH_GET_BYTES;
                    answer.unprocessed.push(at);
                    continue;
                }
                bytes += size;
                let mut consumed = Consumed::default();
                consumed.table.add_read(ReadUnits::of(size, gets.consistent));
                self.charge(&gets.table, Touched::Item(key), &consumed);
                answer.consumed.add(&consumed);
                if let Some(item) = item {
                    answer.items.push(match &gets.projection {
                        Some(projection) => project(projection, &item),
                        None => item,
                    });
                }
            }
            answers.push(answer);
        }
        let all = answers.iter().zip(&request.tables).all(|(answer, gets)| answer.unprocessed.len() == gets.keys.len());
        match throttled {
            Some(error) if all => Err(error),
            _ => Ok(answers),
        }
    }

    /// Reads items of several tables at one moment. Each read consumes twice what a strongly consistent get does.
    ///
    /// # Errors
    /// `TransactionCanceled` when a transaction that is being executed writes one of the items, or a table has no
    /// throughput left; otherwise as for `get`.
    pub async fn transact_get(&self, gets: &[(Arc<Table>, ItemKey, Option<Projection>)]) -> Result<Vec<Got>> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        for (table, _, _) in gets {
            self.table_as_of(&snapshot, table).await?;
        }
        let keys: Vec<Key> = gets.iter().map(|(_, key, _)| key.stored.clone()).collect();
        self.check_not_in_transaction(&keys)?;
        self.admit_gets(gets)?;
        let items = self.read_items(&snapshot, &keys).await?;
        if items.iter().flatten().map(StoredItem::size).sum::<usize>() > MAX_TRANSACTION_BYTES {
            return Err(transaction_too_large());
        }
        let answers = items.into_iter().zip(gets).map(|(item, (table, key, projection))| {
            let mut consumed = Consumed::default();
            consumed.table.add_read(ReadUnits::of(item.as_ref().map_or(0, StoredItem::size), true).doubled());
            self.charge(table, Touched::Item(key), &consumed);
            let item = match projection {
                Some(projection) => item.map(|item| project(projection, &item)),
                None => item,
            };
            Got { item, consumed }
        });
        Ok(answers.collect())
    }
}

impl Database {
    fn admit_gets(&self, gets: &[(Arc<Table>, ItemKey, Option<Projection>)]) -> Result<()> {
        let mut reasons = Vec::new();
        for (at, (table, key, _)) in gets.iter().enumerate() {
            match self.admit_read(table, None, Touched::Item(key)) {
                Ok(()) => {}
                Err(Error::Throttled(throttled)) => {
                    reasons.resize(gets.len(), CancellationReason::default());
                    if let Some(reason) = reasons.get_mut(at) {
                        *reason = throttled.cancellation();
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(Error::TransactionCanceled { reasons }) }
    }
}

/// How new a snapshot a read needs.
pub(super) const fn freshness(consistent: bool) -> Freshness {
    if consistent { Freshness::Latest } else { Freshness::Recent }
}
