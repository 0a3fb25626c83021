//! Throttling: whether a table and its indexes have throughput left for a request, asked before it is done.
//!
//! Limits that users set are enforced while throttling is on: provisioned units, of which 300 seconds are kept when they
//! are not used, and the maximums of on-demand mode. Limits of the service itself are in `emulated`. What was consumed is
//! taken where it is metered (`Database::charge`), so buckets and meters agree to the unit. A table whose requests nothing
//! limits has no `Limits`, and costs one look.

mod bucket;
mod emulated;
mod sharing;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use partita_model::key::PartitionHash;
use partita_model::{ErrorCode, Refusal};

use crate::Database;
use crate::capacity::{Capacity, Consumed};
use crate::error::{CancellationReason, Error, Result};
use crate::metering::Touched;
use crate::record::{BillingMode, OnDemandThroughput, TableRecord, Throughput, WarmThroughput};
use crate::settings::Settings;
use crate::table::{Index, IndexKind, ItemKey, Table};
use bucket::{Bucket, HALF_UNIT, Rate, UNIT};
use emulated::{Emulated, OnDemand};
pub(crate) use sharing::Sharing;

/// For how long unused provisioned units are kept, in seconds ("Burst capacity": five minutes).
const BURST_SECONDS: i64 = 300;
/// The same for the maximums of on-demand mode: what is not used within a second is gone, so that they are maximums.
const MAXIMUM_SECONDS: i64 = 1;

/// Reading or writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Reading.
    Read,
    /// Writing.
    Write,
}

/// What kind of limit stands against a request ("ThrottlingReason").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Provisioned units are used up.
    Provisioned,
    /// The maximum that was set in on-demand mode is reached.
    MaxOnDemand,
    /// One partition, or an on-demand table that grows too fast, takes no more. Under emulation only.
    KeyRange,
    /// The account's quota for a table is reached. Under emulation only.
    Account,
}

impl LimitKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Provisioned, Self::MaxOnDemand, Self::KeyRange, Self::Account];

    /// The last part of a reason's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provisioned => "ProvisionedThroughputExceeded",
            Self::MaxOnDemand => "MaxOnDemandThroughputExceeded",
            Self::KeyRange => "KeyRangeThroughputExceeded",
            Self::Account => "AccountLimitExceeded",
        }
    }
}

/// One reason why a request is throttled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThrottlingReason {
    /// What was to be done.
    pub direction: Direction,
    /// Which kind of limit stands against it.
    pub kind: LimitKind,
    /// Whether it is an index's, not the table's.
    pub of_index: bool,
    /// The ARN of the table or index.
    pub resource: String,
}

impl ThrottlingReason {
    /// The reason's name: what is throttled, doing what, and why.
    #[must_use]
    pub fn name(&self) -> String {
        let what = if self.of_index { "Index" } else { "Table" };
        let doing = match self.direction {
            Direction::Read => "Read",
            Direction::Write => "Write",
        };
        format!("{what}{doing}{}", self.kind.name())
    }
}

/// A request that is throttled. The words are the service's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Why; at least one.
    pub reasons: Vec<ThrottlingReason>,
    /// Whether the table is in on-demand mode.
    pub on_demand: bool,
}

const PROVISIONED_TABLE: &str = "The level of configured provisioned throughput for the table was exceeded. Consider \
     increasing your provisioning level with the UpdateTable API.";
const PROVISIONED_INDEX: &str = "The level of configured provisioned throughput for one or more global secondary \
     indexes of the table was exceeded. Consider increasing your provisioning level for the under-provisioned global \
     secondary indexes with the UpdateTable API";
const MAX_ON_DEMAND: &str = "Throughput exceeds the maximum OnDemandThroughput configured on table or index";
const GROWING_TABLE: &str = "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically \
     scaling your table or index so please try again shortly. If exceptions persist, check if you have a hot key: \
     https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html.";
const GROWING_INDEX: &str = "Throughput exceeds the current capacity for one or more global secondary indexes. DynamoDB \
     is automatically scaling your index so please try again shortly.";
const ACCOUNT: &str = "Throughput exceeds the current throughput limit for your account. Please contact AWS Support at \
     https://aws.amazon.com/support request a limit increase";

impl Throttled {
    /// The error that a single request is told.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let first = self.reasons.first();
        let of_index = first.is_some_and(|reason| reason.of_index);
        let (code, message) = match (first.map_or(LimitKind::Provisioned, |reason| reason.kind), self.on_demand) {
            (LimitKind::Account, _) => (ErrorCode::RequestLimitExceeded, ACCOUNT),
            (LimitKind::MaxOnDemand, _) => (ErrorCode::ThrottlingException, MAX_ON_DEMAND),
            (LimitKind::KeyRange, true) => {
                (ErrorCode::ThrottlingException, if of_index { GROWING_INDEX } else { GROWING_TABLE })
            }
            (LimitKind::KeyRange | LimitKind::Provisioned, _) => (
                ErrorCode::ProvisionedThroughputExceededException,
                if of_index { PROVISIONED_INDEX } else { PROVISIONED_TABLE },
            ),
        };
        Refusal::new(code, message)
    }

    /// The reason that a transaction is canceled for.
    #[must_use]
    pub(crate) fn cancellation(&self) -> CancellationReason {
        let Refusal { code, message } = self.refusal();
        let code = match code {
            ErrorCode::ProvisionedThroughputExceededException => "ProvisionedThroughputExceeded",
            _ => "ThrottlingError",
        };
        CancellationReason { code: Some(code), message: Some(message.into_owned()), item: None }
    }
}

/// What limits one table or index.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    read: Option<Limit>,
    write: Option<Limit>,
    /// Warm throughput for reading and writing, of on-demand tables under emulation.
    warm: Option<(i64, i64)>,
}

/// A limit that a user has set.
#[derive(Clone, Copy, Debug)]
struct Limit {
    rate: Rate,
    kind: LimitKind,
}

impl Own {
    fn of(
        mode: BillingMode,
        units: &Throughput,
        maximums: Option<OnDemandThroughput>,
        warm: Option<WarmThroughput>,
        emulates: bool,
    ) -> Self {
        match mode {
            BillingMode::Provisioned => {
                let limit = |units| {
                    let rate = Rate { units, seconds: BURST_SECONDS };
                    (units > 0).then_some(Limit { rate, kind: LimitKind::Provisioned })
                };
                Self { read: limit(units.read), write: limit(units.write), warm: None }
            }
            BillingMode::OnDemand => {
                let limit = |units: Option<i64>| {
                    let units = units.filter(|units| *units > 0)?;
                    Some(Limit { rate: Rate { units, seconds: MAXIMUM_SECONDS }, kind: LimitKind::MaxOnDemand })
                };
                let maximums = maximums.unwrap_or_default();
                let warm = warm.unwrap_or_default();
                let warm = (warm.read.unwrap_or_default(), warm.write.unwrap_or_default());
                Self {
                    read: limit(maximums.max_read),
                    write: limit(maximums.max_write),
                    warm: emulates.then_some(warm),
                }
            }
        }
    }

    const fn limit(&self, direction: Direction) -> Option<Limit> {
        match direction {
            Direction::Read => self.read,
            Direction::Write => self.write,
        }
    }

    fn on_demand(&self, direction: Direction) -> Option<OnDemand> {
        let (read, write) = self.warm?;
        Some(OnDemand { warm: if direction == Direction::Read { read } else { write } })
    }
}

/// What limits the requests of a table.
#[derive(Debug)]
pub(crate) struct Limits {
    table: Own,
    /// By the index's place in `Table::indexes`; `None` for local indexes, which draw on the table's.
    indexes: Vec<Option<Own>>,
    emulates: bool,
    on_demand: bool,
}

impl Limits {
    /// What limits a table; `None` when nothing does.
    pub(crate) fn of(record: &TableRecord, indexes: &[Index], settings: &Settings) -> Option<Box<Self>> {
        if !settings.throttling {
            return None;
        }
        let emulates = settings.emulate_aws_limits;
        let own = |units: &Throughput, maximums, warm| Own::of(record.billing, units, maximums, warm, emulates);
        let of_index = |index: &Index| {
            let found = record.global_indexes.iter().find(|found| found.id == index.id);
            let found = found.filter(|_| index.kind == IndexKind::Global)?;
            Some(own(&found.throughput, found.on_demand, found.warm))
        };
        let limits = Self {
            table: own(&record.throughput, record.on_demand, record.warm),
            indexes: indexes.iter().map(of_index).collect(),
            emulates,
            on_demand: record.billing == BillingMode::OnDemand,
        };
        let all = std::iter::once(&limits.table).chain(limits.indexes.iter().flatten());
        let limited = emulates || all.into_iter().any(|own| own.read.is_some() || own.write.is_some());
        limited.then(|| Box::new(limits))
    }

    /// What limits the index at this place; `None` for one that draws on the table's.
    fn index(&self, at: usize) -> Option<&Own> {
        self.indexes.get(at)?.as_ref()
    }
}

/// What is kept of throttling for one table or index, beside its meter.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    read: Bucket,
    write: Bucket,
    /// Requests and parts of batches that were throttled: reads and writes, by kind.
    throttled: [[AtomicU64; 4]; 2],
    emulated: OnceLock<Box<Emulated>>,
}

impl Buckets {
    const fn bucket(&self, direction: Direction) -> &Bucket {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    fn emulated(&self) -> &Emulated {
        self.emulated.get_or_init(Box::default)
    }

    /// How many requests and parts of batches were throttled for this.
    pub(crate) fn throttled(&self, direction: Direction, kind: LimitKind) -> u64 {
        self.throttled_counter(direction, kind).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    fn throttled_counter(&self, direction: Direction, kind: LimitKind) -> Option<&AtomicU64> {
        self.throttled.get(direction as usize)?.get(kind as usize)
    }

    fn refuses(
        &self,
        direction: Direction,
        limits: (&Limits, &Own),
        partition: Option<&PartitionHash>,
        pending: i64,
        now_ms: u64,
    ) -> Option<LimitKind> {
        let (limits, own) = limits;
        if let Some(Limit { rate, kind }) = own.limit(direction)
            && self.bucket(direction).level(rate, now_ms) <= pending
        {
            return Some(kind);
        }
        if !limits.emulates {
            return None;
        }
        self.emulated().refuses(direction, own.on_demand(direction), partition, pending, now_ms)
    }

    fn take(&self, limits: (&Limits, &Own), capacity: Capacity, now_ms: impl Fn() -> u64) {
        let (limits, own) = limits;
        for (direction, tokens) in
            [(Direction::Read, read_tokens(capacity)), (Direction::Write, write_tokens(capacity))]
        {
            if tokens == 0 {
                continue;
            }
            if own.limit(direction).is_some() {
                self.bucket(direction).take(tokens);
            }
            if limits.emulates {
                self.emulated().take(direction, own.on_demand(direction), tokens, now_ms());
            }
        }
    }
}

fn read_tokens(capacity: Capacity) -> i64 {
    i64::try_from(capacity.read_halves()).unwrap_or(i64::MAX).saturating_mul(HALF_UNIT)
}

fn write_tokens(capacity: Capacity) -> i64 {
    i64::try_from(capacity.written()).unwrap_or(i64::MAX).saturating_mul(UNIT)
}

/// What writes take of one partition of an index: the index's place in `Table::indexes`, the hash, and write units. Told
/// under emulation only.
pub(crate) type IndexPartition = (usize, PartitionHash, u64);

/// Asks, for writes that are committed together, whether there is throughput for one more.
pub(crate) struct Admission {
    table: Arc<Table>,
    now_ms: u64,
    /// The second since the epoch, for what is counted by key.
    second: u64,
    /// What those take that were admitted before.
    pending: Consumed,
}

impl Admission {
    fn reason(&self, kind: LimitKind, index: Option<&Index>) -> ThrottlingReason {
        reason(&self.table, Direction::Write, kind, index)
    }

    /// Counts a write that is throttled, where that is done by key.
    fn note(&self, key: &ItemKey) {
        if let Some(watched) = &self.table.meters.watched {
            watched.throttled(&self.table, Touched::Item(key), self.second);
        }
    }

    /// Asks whether the table has throughput for one more write, whatever comes of it.
    pub(crate) fn table(&self, key: &ItemKey) -> Result<()> {
        let Some(limits) = &self.table.meters.limits else { return Ok(()) };
        let local = self.pending.indexes.iter().filter(|(at, _)| limits.index(*at).is_none());
        let pending = local.fold(write_tokens(self.pending.table), |sum, (_, units)| sum + write_tokens(*units));
        let buckets = &self.table.meters.table.buckets;
        let own = (&**limits, &limits.table);
        match buckets.refuses(Direction::Write, own, Some(&key.hash), pending, self.now_ms) {
            None => Ok(()),
            Some(kind) => {
                self.note(key);
                Err(throttled(&self.table, limits, vec![self.reason(kind, None)]))
            }
        }
    }

    /// Asks whether every global index that a write touches has throughput for it ("back-pressure"), and counts on the
    /// write if so.
    pub(crate) fn indexes(&mut self, key: &ItemKey, consumed: &Consumed, partitions: &[IndexPartition]) -> Result<()> {
        let Some(limits) = &self.table.meters.limits else { return Ok(()) };
        let mut reasons = Vec::new();
        for (at, _) in &consumed.indexes {
            let (Some(own), Some(meter)) = (limits.index(*at), self.table.meters.indexes.get(*at)) else { continue };
            let pending = self.pending.indexes.iter().find(|(place, _)| place == at);
            let pending = pending.map_or(0, |(_, units)| write_tokens(*units));
            let refuses =
                |partition| meter.buckets.refuses(Direction::Write, (&**limits, own), partition, pending, self.now_ms);
            let mut touched = partitions.iter().filter(|(place, ..)| place == at);
            let kind = refuses(None).or_else(|| touched.find_map(|(_, partition, _)| refuses(Some(partition))));
            if let Some(kind) = kind {
                reasons.push(self.reason(kind, self.table.indexes.get(*at)));
            }
        }
        if !reasons.is_empty() {
            self.note(key);
            return Err(throttled(&self.table, limits, reasons));
        }
        self.pending.add(consumed);
        Ok(())
    }
}

/// Whether an error is that of a throttled request.
pub(crate) const fn is_throttled(error: &Error) -> bool {
    matches!(error, Error::Throttled(_))
}

fn reason(table: &Table, direction: Direction, kind: LimitKind, index: Option<&Index>) -> ThrottlingReason {
    let resource = index.map_or_else(|| table.arn().to_owned(), |index| index.arn.clone());
    ThrottlingReason { direction, kind, of_index: index.is_some(), resource }
}

fn throttled(table: &Table, limits: &Limits, reasons: Vec<ThrottlingReason>) -> Error {
    for reason in &reasons {
        let meter = if reason.of_index {
            let place = table.indexes.iter().position(|index| index.arn == reason.resource);
            place.and_then(|place| table.meters.indexes.get(place))
        } else {
            Some(&table.meters.table)
        };
        if let Some(counter) = meter.and_then(|meter| meter.buckets.throttled_counter(reason.direction, reason.kind)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
    Error::Throttled(Box::new(Throttled { reasons, on_demand: limits.on_demand }))
}

impl Database {
    /// Asks whether a table, or the index at this place, has throughput for a read.
    ///
    /// # Errors
    /// `Throttled` when it has none.
    pub(crate) fn admit_read(&self, table: &Table, index: Option<usize>, touched: Touched<'_>) -> Result<()> {
        match &table.meters.limits {
            None => Ok(()),
            Some(limits) => self.admit_read_under(limits, table, index, touched),
        }
    }

    fn admit_read_under(
        &self,
        limits: &Limits,
        table: &Table,
        index: Option<usize>,
        touched: Touched<'_>,
    ) -> Result<()> {
        let of_index =
            index.and_then(|at| Some((limits.index(at)?, table.meters.indexes.get(at)?, table.indexes.get(at)?)));
        let (own, meter, index) = match of_index {
            Some((own, meter, index)) => (own, meter, Some(index)),
            None => (&limits.table, &table.meters.table, None),
        };
        let partition = match &touched {
            Touched::Item(key) => Some(&key.hash),
            Touched::Partition(_, hash, _) => Some(hash),
            Touched::Rows => None,
        };
        match meter.buckets.refuses(Direction::Read, (limits, own), partition, 0, self.steady_ms()) {
            None => Ok(()),
            Some(kind) => {
                if let Some(watched) = &table.meters.watched {
                    watched.throttled(table, touched, self.now_ms() / 1000);
                }
                Err(throttled(table, limits, vec![reason(table, Direction::Read, kind, index)]))
            }
        }
    }

    /// What asks whether a table has throughput for writes; `None` when nothing limits them.
    pub(crate) fn admission(&self, table: &Arc<Table>) -> Option<Admission> {
        table.meters.limits.as_ref()?;
        Some(Admission {
            table: Arc::clone(table),
            now_ms: self.steady_ms(),
            second: self.now_ms() / 1000,
            pending: Consumed::default(),
        })
    }

    /// Takes what was consumed from the buckets of a table that has limits.
    pub(crate) fn take(&self, limits: &Limits, table: &Table, touched: Touched<'_>, consumed: &Consumed) {
        let now_ms = || self.steady_ms();
        let meters = &table.meters;
        let own = |at: Option<usize>| match at.and_then(|at| Some((limits.index(at)?, meters.indexes.get(at)?))) {
            Some((own, meter)) => ((limits, own), &meter.buckets),
            None => ((limits, &limits.table), &meters.table.buckets),
        };
        let parts = consumed.indexes.iter().map(|(at, capacity)| (Some(*at), *capacity));
        for (at, capacity) in std::iter::once((None, consumed.table)).chain(parts) {
            let (own, buckets) = own(at);
            buckets.take(own, capacity, now_ms);
        }
        if !limits.emulates {
            return;
        }
        let (at, hash) = match &touched {
            Touched::Item(key) => (None, &key.hash),
            Touched::Partition(at, hash, _) => (*at, hash),
            Touched::Rows => return,
        };
        let capacity = match at {
            None => Some(consumed.table),
            Some(at) => consumed.indexes.iter().find(|(place, _)| *place == at).map(|(_, capacity)| *capacity),
        };
        let Some(capacity) = capacity else { return };
        let (_, buckets) = own(at);
        for (direction, tokens) in
            [(Direction::Read, read_tokens(capacity)), (Direction::Write, write_tokens(capacity))]
        {
            if tokens > 0 {
                buckets.emulated().take_partition(direction, hash, tokens, now_ms());
            }
        }
    }

    /// Takes what writes consumed of partitions of indexes.
    pub(crate) fn take_index_partitions(&self, table: &Table, partitions: &[IndexPartition]) {
        for (at, hash, units) in partitions {
            if let Some(meter) = table.meters.indexes.get(*at) {
                let tokens = i64::try_from(*units).unwrap_or(i64::MAX).saturating_mul(UNIT);
                meter.buckets.emulated().take_partition(Direction::Write, hash, tokens, self.steady_ms());
            }
        }
    }

    /// Whether planned writes tell which partitions of indexes they touch.
    pub(crate) fn tells_partitions(&self) -> bool {
        self.inner.settings.throttling && self.inner.settings.emulate_aws_limits
    }
}
