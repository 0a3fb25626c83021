//! A scrape: everything that is counted of the database, as samples under the names of CloudWatch's metrics.
//!
//! Only tables that are in the catalog have series, so those of a deleted table leave with it; and only so many tables
//! have any, so what a scrape returns is bounded whatever clients create.

use std::sync::Arc;

use partita_engine::{Direction as Scanning, Freshness, KeyRange, ScanLimit};
use partita_metrics::{Counter, Label, Name, Reading, Samples};

use super::{DataOperation, OperationSeries, RETRIES, SeenTables, TableSeries};
use crate::Database;
use crate::catalog::decode_record;
use crate::error::Result;
use crate::keyspace;
use crate::metering::Meter;
use crate::record::{BillingMode, IndexStatus, TableRecord, Throughput};
use crate::throttle::{Direction, LimitKind};

const TABLES: Name = Name::gauge("partita_tables", "Tables that have series of their own");
const TABLES_OMITTED: Name =
    Name::gauge("partita_tables_omitted", "1 when there are more tables than may have series of their own");
const RETRIED: Name = Name::counter(
    "partita_commit_retries_total",
    "How often a change was decided anew because others had changed what it had read",
);
const CONSUMED_READ: Name = Name::counter(
    "partita_consumed_read_capacity_units_total",
    "Read capacity units consumed (CloudWatch: ConsumedReadCapacityUnits)",
);
const CONSUMED_WRITE: Name = Name::counter(
    "partita_consumed_write_capacity_units_total",
    "Write capacity units consumed (CloudWatch: ConsumedWriteCapacityUnits)",
);
const PROVISIONED_READ: Name = Name::gauge(
    "partita_provisioned_read_capacity_units",
    "Read capacity units provisioned (CloudWatch: ProvisionedReadCapacityUnits)",
);
const PROVISIONED_WRITE: Name = Name::gauge(
    "partita_provisioned_write_capacity_units",
    "Write capacity units provisioned (CloudWatch: ProvisionedWriteCapacityUnits)",
);
const LATENCY: Name = Name::histogram(
    "partita_successful_request_latency_seconds",
    "How long successful requests took (CloudWatch: SuccessfulRequestLatency)",
);
const THROTTLED: Name = Name::counter(
    "partita_throttled_requests_total",
    "Requests refused because throughput was used up (CloudWatch: ThrottledRequests)",
);
const READ_THROTTLES: Name = Name::counter(
    "partita_read_throttle_events_total",
    "Reads throttled, members of batches too, by reason (CloudWatch: ReadThrottleEvents, ReadProvisionedThroughputThrottleEvents and so on)",
);
const WRITE_THROTTLES: Name = Name::counter(
    "partita_write_throttle_events_total",
    "Writes throttled, members of batches too, by reason (CloudWatch: WriteThrottleEvents, WriteProvisionedThroughputThrottleEvents and so on)",
);
const SYSTEM_ERRORS: Name =
    Name::counter("partita_system_errors_total", "Requests that failed inside (CloudWatch: SystemErrors)");
const RETURNED_ITEMS: Name = Name::counter(
    "partita_returned_items_total",
    "Items returned by queries, scans and statements (CloudWatch: ReturnedItemCount)",
);
const RETURNED_RECORDS: Name = Name::counter(
    "partita_returned_records_total",
    "Stream records returned by GetRecords (CloudWatch: ReturnedRecordsCount)",
);
const RETURNED_BYTES: Name = Name::counter(
    "partita_returned_bytes_total",
    "Bytes of successful answers before compression (CloudWatch has ReturnedBytes for GetRecords alone)",
);
const CONDITIONS: Name = Name::counter(
    "partita_conditional_check_failed_requests_total",
    "Writes whose condition was false (CloudWatch: ConditionalCheckFailedRequests)",
);
const CONFLICTS: Name = Name::counter(
    "partita_transaction_conflicts_total",
    "Requests on single items refused because of a transaction under way (CloudWatch: TransactionConflict)",
);
const EXPIRED: Name = Name::counter(
    "partita_time_to_live_deleted_items_total",
    "Items removed because their time had come (CloudWatch: TimeToLiveDeletedItemCount)",
);
const FILLING: Name = Name::gauge(
    "partita_online_index_percentage_progress",
    "How much of its table a new index has been filled from (CloudWatch: OnlineIndexPercentageProgress)",
);

/// The labels of a table's series.
type Labels = Vec<(&'static str, Label)>;

impl Database {
    /// The counters of a table with this id, which may be gone.
    #[must_use]
    pub fn series_of(&self, table: u32) -> Arc<TableSeries> {
        self.inner.metering.series().of(table)
    }

    /// Adds all that is counted of the database and its engine, with series of at most so many tables.
    ///
    /// # Errors
    /// When the catalog can not be read.
    pub async fn sample(&self, samples: &mut Samples, most_tables: usize) -> Result<()> {
        let seen = self.seen_tables(most_tables).await?;
        samples.number(TABLES, seen.tables.len());
        samples.number(TABLES_OMITTED, seen.more);
        samples.number(RETRIED, &RETRIES);
        for name in [
            CONSUMED_READ,
            CONSUMED_WRITE,
            PROVISIONED_READ,
            PROVISIONED_WRITE,
            LATENCY,
            THROTTLED,
            READ_THROTTLES,
            WRITE_THROTTLES,
            SYSTEM_ERRORS,
            RETURNED_ITEMS,
            RETURNED_RECORDS,
            RETURNED_BYTES,
            CONDITIONS,
            CONFLICTS,
            EXPIRED,
            FILLING,
        ] {
            samples.declare(name);
        }
        for record in seen.tables.iter() {
            self.sample_table(record, samples).await?;
        }
        self.store().sample(samples);
        Ok(())
    }

    /// The tables that are shown, read anew when the catalog has changed.
    async fn seen_tables(&self, most: usize) -> Result<SeenTables> {
        let snapshot = self.snapshot(Freshness::Recent).await?;
        let token = snapshot.catalog_token();
        if let Some(seen) = self.inner.seen.0.lock().as_ref().filter(|seen| seen.token == token && seen.most == most) {
            return Ok(seen.clone());
        }
        let mut range = KeyRange::prefix(keyspace::catalog());
        let mut tables = Vec::new();
        let more = loop {
            let rows = most.saturating_sub(tables.len()).clamp(1, ScanLimit::PAGE.rows);
            let page = snapshot.scan(&range, Scanning::Forward, ScanLimit { rows, ..ScanLimit::PAGE }).await?;
            for (_, value) in &page.rows {
                tables.push(decode_record(value)?);
            }
            match page.rows.last() {
                Some((last, _)) if page.more && tables.len() < most => range = range.after(last),
                _ => break page.more,
            }
        };
        tables.truncate(most);
        let seen = SeenTables { token, most, tables: Arc::new(tables), more };
        *self.inner.seen.0.lock() = Some(seen.clone());
        Ok(seen)
    }

    async fn sample_table(&self, record: &TableRecord, samples: &mut Samples) -> Result<()> {
        let labels: Labels = vec![
            ("account", record.account.clone().into()),
            ("region", record.region.clone().into()),
            ("table_name", record.name.clone().into()),
        ];
        let provisioned = record.billing == BillingMode::Provisioned;
        let metering = &self.inner.metering;
        let throughput = provisioned.then_some(record.throughput);
        sample_capacity(metering.peek(record.id, keyspace::TABLE_ITSELF), throughput, &labels, samples);
        for index in record.global_indexes.iter().filter(|index| index.status != IndexStatus::Deleting) {
            let labels = with(&labels, "global_secondary_index_name", index.name.clone());
            let throughput = provisioned.then_some(index.throughput);
            sample_capacity(metering.peek(record.id, index.id), throughput, &labels, samples);
            if index.backfilling {
                let percent = self.filled_percent(record.id, index.id).await?;
                samples.point(FILLING, labels, Reading::Number(percent));
            }
        }
        if let Some(series) = metering.series().peek(record.id) {
            sample_series(&series, &labels, samples);
        }
        Ok(())
    }

    /// How much of a table a new index has been filled from: items lie in the order of their evenly spread hashes.
    async fn filled_percent(&self, table: u32, index: u16) -> Result<f64> {
        let snapshot = self.snapshot(Freshness::Recent).await?;
        let hash_at = keyspace::table_prefix(keyspace::SPACE_ITEM, table).len();
        let last = snapshot.get(&keyspace::index_progress(table, index)).await?;
        let hash = last.and_then(|last| last.get(hash_at..)?.first_chunk::<4>().copied()).unwrap_or_default();
        Ok(f64::from(u32::from_be_bytes(hash)) / f64::from(u32::MAX) * 100.0)
    }
}

fn with(labels: &Labels, name: &'static str, value: impl Into<Label>) -> Labels {
    labels.iter().cloned().chain([(name, value.into())]).collect()
}

fn sample_capacity(meter: Option<Arc<Meter>>, throughput: Option<Throughput>, labels: &Labels, samples: &mut Samples) {
    let number = |value: f64| Reading::Number(value);
    let (read, write) = meter.as_ref().map_or((0.0, 0.0), |meter| (meter.read_units(), meter.write_units()));
    let throttles = [(READ_THROTTLES, Direction::Read), (WRITE_THROTTLES, Direction::Write)];
    for (meter, (name, direction)) in meter.iter().flat_map(|meter| throttles.map(|of| (meter, of))) {
        for kind in LimitKind::ALL {
            let count = meter.throttled(direction, kind);
            if count > 0 {
                samples.point(name, with(labels, "reason", kind.name()), number(count as f64));
            }
        }
    }
    samples.point(CONSUMED_READ, labels.clone(), number(read));
    samples.point(CONSUMED_WRITE, labels.clone(), number(write));
    if let Some(throughput) = throughput {
        samples.point(PROVISIONED_READ, labels.clone(), number(throughput.read as f64));
        samples.point(PROVISIONED_WRITE, labels.clone(), number(throughput.write as f64));
    }
}

fn sample_series(series: &TableSeries, labels: &Labels, samples: &mut Samples) {
    let count = |counter: &Counter| Reading::Number(counter.get() as f64);
    samples.point(CONDITIONS, labels.clone(), count(&series.conditional_failures));
    samples.point(CONFLICTS, labels.clone(), count(&series.transaction_conflicts));
    samples.point(EXPIRED, labels.clone(), count(&series.expired));
    for (operation, of_it) in series.used() {
        let labels = with(labels, "operation", operation.name());
        of_it.sample(&labels, samples);
        match operation {
            DataOperation::Query | DataOperation::Scan | DataOperation::ExecuteStatement => {
                samples.point(RETURNED_ITEMS, labels, count(&of_it.returned));
            }
            DataOperation::GetRecords => samples.point(RETURNED_RECORDS, labels, count(&of_it.returned)),
            _ => {}
        }
    }
}

impl OperationSeries {
    /// Adds the series that every operation has.
    pub fn sample(&self, labels: &[(&'static str, Label)], samples: &mut Samples) {
        let count = |counter: &Counter| Reading::Number(counter.get() as f64);
        samples.point(LATENCY, labels.to_vec(), Reading::Distribution(self.latency.read(1e-9)));
        samples.point(THROTTLED, labels.to_vec(), count(&self.throttled));
        samples.point(SYSTEM_ERRORS, labels.to_vec(), count(&self.system_errors));
        samples.point(RETURNED_BYTES, labels.to_vec(), count(&self.returned_bytes));
    }
}
