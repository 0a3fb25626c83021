//! The counters of one table: how its requests went, by operation.

use std::array;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use partita_metrics::{Counter, Histogram};
use partita_model::ErrorCode;

use crate::error::{CancellationReason, Error};
use crate::table::Table;

/// How many tables' counters are kept before those of tables that are gone are looked for.
const MANY_TABLES: usize = 16_384;
/// Nanoseconds that a request takes: from 0.1 ms to 10 s.
const LATENCY_NANOSECONDS: [u64; 15] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

macro_rules! operations {
    ($($name:ident),* $(,)?) => {
        /// An operation on the items or the stream of tables: those that have series by table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are DynamoDB's own")]
        pub enum DataOperation { $($name,)* }

        impl DataOperation {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name as DynamoDB has it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

operations! {
    BatchExecuteStatement, BatchGetItem, BatchWriteItem, DeleteItem, ExecuteStatement, ExecuteTransaction, GetItem,
    GetRecords, PutItem, Query, Scan, TransactGetItems, TransactWriteItems, UpdateItem,
}

/// How many there are.
const OPERATIONS: usize = DataOperation::ALL.len();

/// The counters of one table. Those of an operation are made when it is first used.
#[derive(Debug)]
pub struct TableSeries {
    operations: [OnceLock<Box<OperationSeries>>; OPERATIONS],
    /// Writes whose condition was false.
    pub conditional_failures: Counter,
    /// Writes and reads of items that a transaction had, and members of transactions that others stood against.
    pub transaction_conflicts: Counter,
    /// Items removed because their time had come.
    pub expired: Counter,
}

impl Default for TableSeries {
    fn default() -> Self {
        Self {
            operations: array::from_fn(|_| OnceLock::new()),
            conditional_failures: Counter::new(),
            transaction_conflicts: Counter::new(),
            expired: Counter::new(),
        }
    }
}

impl TableSeries {
    /// The counters of an operation.
    #[must_use]
    pub fn operation(&self, operation: DataOperation) -> &OperationSeries {
        // The array is as long as the list that the place comes from.
        #[expect(clippy::indexing_slicing, reason = "the array has a place for each operation")]
        self.operations[operation as usize].get_or_init(Box::default)
    }

    /// Counts why a write of one item was refused, where that is counted by table.
    pub(crate) fn refused(&self, error: &Error) {
        match error {
            Error::ConditionFailed { .. } => self.conditional_failures.one(),
            Error::Refused(refusal) if refusal.code == ErrorCode::TransactionConflictException => {
                self.transaction_conflicts.one();
            }
            _ => {}
        }
    }

    /// Counts why a member stood against its transaction, where that is counted by table.
    fn stood_against(&self, reason: &CancellationReason) {
        match reason.code {
            Some("ConditionalCheckFailed") => self.conditional_failures.one(),
            Some("TransactionConflict") => self.transaction_conflicts.one(),
            _ => {}
        }
    }

    /// The operations that have been used, with their counters.
    pub(super) fn used(&self) -> impl Iterator<Item = (DataOperation, &OperationSeries)> {
        let all = DataOperation::ALL.iter().zip(&self.operations);
        all.filter_map(|(operation, series)| Some((*operation, &**series.get()?)))
    }
}

/// Counts why a transaction was canceled, if it was; `tables` are those of its members.
pub fn count_canceled<'a>(tables: impl Iterator<Item = &'a Arc<Table>>, error: &Error) {
    if let Error::TransactionCanceled { reasons } = error {
        tables.zip(reasons).for_each(|(table, reason)| table.series().stood_against(reason));
    }
}

/// The counters of all tables that were used, by the tables' ids.
#[derive(Debug, Default)]
pub(crate) struct SeriesBook(Mutex<HashMap<u32, Arc<TableSeries>>>);

impl SeriesBook {
    /// A table's counters.
    pub(crate) fn of(&self, table: u32) -> Arc<TableSeries> {
        let mut all = self.0.lock();
        if all.len() > MANY_TABLES {
            // Those of tables that other nodes have deleted: nobody holds them.
            all.retain(|_, series| Arc::strong_count(series) > 1);
        }
        Arc::clone(all.entry(table).or_default())
    }

    /// A table's counters, if it was used.
    pub(crate) fn peek(&self, table: u32) -> Option<Arc<TableSeries>> {
        self.0.lock().get(&table).map(Arc::clone)
    }

    /// Forgets a table that is gone.
    pub(crate) fn forget(&self, table: u32) {
        self.0.lock().remove(&table);
    }
}

/// The counters of one operation, of one table or of requests that touched none.
#[derive(Debug)]
pub struct OperationSeries {
    /// How long requests took that were done, in nanoseconds.
    pub latency: Histogram<15>,
    /// Requests refused because throughput was used up.
    pub throttled: Counter,
    /// Requests that failed inside.
    pub system_errors: Counter,
    /// Items, or stream records, that were returned.
    pub returned: Counter,
    /// Bytes of the answers to requests that were done.
    pub returned_bytes: Counter,
}

impl Default for OperationSeries {
    fn default() -> Self {
        Self {
            latency: Histogram::new(&LATENCY_NANOSECONDS),
            throttled: Counter::new(),
            system_errors: Counter::new(),
            returned: Counter::new(),
            returned_bytes: Counter::new(),
        }
    }
}

impl OperationSeries {
    /// Counts a request that was done.
    pub fn done(&self, took: Duration) {
        self.latency.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_counters_of_its_own_once_it_is_used() {
        let series = TableSeries::default();
        assert_eq!(series.used().count(), 0);
        for operation in DataOperation::ALL {
            series.operation(*operation).done(Duration::from_millis(1));
        }
        series.operation(DataOperation::UpdateItem).throttled.one();
        for (operation, of_it) in series.used() {
            assert_eq!(of_it.latency.count(), 1, "{}", operation.name());
            assert_eq!(of_it.throttled.get(), u64::from(operation == DataOperation::UpdateItem));
        }
        assert_eq!(series.used().count(), OPERATIONS);
    }
}
