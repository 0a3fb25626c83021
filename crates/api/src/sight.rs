//! What is seen of requests: counted by operation and table, told in the log and to whoever traces, if somebody wants
//! that. Names only: no keys, no items, no values.
//!
//! A request notes what it touches in an `Observed` while it is executed; at its end `Sight` counts it. That costs two
//! looks at the clock and a few additions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderName;
use partita_db::Table;
use partita_db::sight::{DataOperation, OperationSeries, TableSeries};
use partita_metrics::{Label, Name, Samples};
use partita_model::ErrorCode;

use crate::audit;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::generated::operations::Operation;
use crate::http::{Call, Request, Response};

const USER_ERRORS: Name = Name::counter(
    "partita_user_errors_total",
    "Requests refused with a status of 4xx, except for failed conditions and throttling (CloudWatch: UserErrors)",
);
/// W3C's header that names the trace a request belongs to.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The most tables of one request that are named in the log and in traces.
const MOST_NAMED: usize = 10;

/// What a request turned out to touch.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    table: OnceLock<Arc<Table>>,
    /// Further tables, of requests that touch several.
    others: Mutex<Vec<Arc<Table>>>,
    /// The table whose stream is read. It may be gone.
    stream: OnceLock<Arc<TableSeries>>,
    items: AtomicU64,
}

impl Observed {
    /// Notes the table whose stream is read.
    pub(crate) fn stream(&self, of: Arc<TableSeries>) {
        self.stream.get_or_init(|| of);
    }

    /// Notes a table.
    pub(crate) fn table(&self, table: &Arc<Table>) {
        let first = self.table.get_or_init(|| Arc::clone(table));
        if first.record.id != table.record.id {
            let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
            if others.iter().all(|other| other.record.id != table.record.id) {
                others.push(Arc::clone(table));
            }
        }
    }

    /// Notes items, or stream records, that are returned.
    pub(crate) fn returned(&self, items: usize) {
        self.items.fetch_add(items as u64, Ordering::Relaxed);
    }

    fn is_any(&self) -> bool {
        self.table.get().is_some() || self.stream.get().is_some()
    }

    fn each(&self, mut of: impl FnMut(&TableSeries)) {
        if let Some(stream) = self.stream.get() {
            of(stream);
        }
        self.each_table(|table| of(table.series()));
    }

    fn each_table(&self, mut of: impl FnMut(&Table)) {
        let Some(first) = self.table.get() else { return };
        of(first);
        self.others.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|other| of(other));
    }
}

/// A request that has been answered, as it is told to whoever traces.
#[derive(Clone, Debug)]
pub struct Answered {
    /// When it was handed over.
    pub began: SystemTime,
    /// How long the answer took.
    pub took: Duration,
    /// The answer's `x-amzn-RequestId`.
    pub request_id: String,
    /// The operation; empty when the request named none.
    pub operation: Cow<'static, str>,
    /// The names of the tables it touched, at most ten.
    pub tables: Vec<String>,
    /// The ARN of who asked, when that was known.
    pub principal: Option<String>,
    /// The region it was for.
    pub region: Option<Arc<str>>,
    /// The HTTP status.
    pub status: u16,
    /// Bytes of the request's body.
    pub request_bytes: usize,
    /// Bytes of the answer's body.
    pub response_bytes: usize,
    /// The request's `traceparent`, as it came.
    pub trace_parent: Option<String>,
}

type Tracer = Box<dyn Fn(Answered) + Send + Sync>;

/// Counts requests and tells of them.
#[derive(Default)]
pub struct Sight {
    /// Requests that touched no table, by operation.
    tableless: TablelessSeries,
    user_errors: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    logs: bool,
    tracer: Option<Tracer>,
}

struct TablelessSeries(Vec<OnceLock<Box<OperationSeries>>>);

impl Default for TablelessSeries {
    fn default() -> Self {
        Self(Operation::ALL.iter().map(|_| OnceLock::new()).collect())
    }
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sight").field("logs", &self.logs).finish_non_exhaustive()
    }
}

impl Sight {
    /// Counts only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, telling each request in the log.
    #[must_use]
    pub fn logging(mut self, logs: bool) -> Self {
        self.logs = logs;
        self
    }

    /// The same, telling each request to `tracer`, which must return at once.
    #[must_use]
    pub fn traced(mut self, tracer: impl Fn(Answered) + Send + Sync + 'static) -> Self {
        self.tracer = Some(Box::new(tracer));
        self
    }

    /// Whether requests are told of one by one.
    pub(crate) fn tells(&self) -> bool {
        self.logs || self.tracer.is_some()
    }

    /// Counts a request that was executed, or refused by whom it came from.
    pub(crate) fn count(&self, call: Call, observed: &Observed, took: Duration, answer: &Result<Vec<u8>, Failure>) {
        let Call::Dynamodb(operation) = call else {
            if let Err(failure) = answer {
                self.count_user_error(call.name(), failure.refusal.code);
            }
            return;
        };
        let data = data_operation(operation);
        let each = |of: &dyn Fn(&OperationSeries)| match data {
            Some(data) if observed.is_any() => observed.each(|table| of(table.operation(data))),
            _ => {
                if let Some(series) = self.tableless.0.get(operation as usize) {
                    of(series.get_or_init(Box::default));
                }
            }
        };
        match answer {
            Ok(body) => {
                let items = observed.items.load(Ordering::Relaxed);
                each(&|series| {
                    series.done(took);
                    series.returned_bytes.add(body.len() as u64);
                    if items > 0 {
                        series.returned.add(items);
                    }
                });
            }
            Err(failure) => match failure.refusal.code {
                // Counted where it was decided.
                ErrorCode::ConditionalCheckFailedException => {}
                ErrorCode::ProvisionedThroughputExceededException
                | ErrorCode::ThrottlingException
                | ErrorCode::RequestLimitExceeded => each(&|series| series.throttled.one()),
                code if code.status() >= 500 => each(&|series| series.system_errors.one()),
                code => self.count_user_error(operation.name(), code),
            },
        }
    }

    fn count_user_error(&self, operation: &'static str, code: ErrorCode) {
        let mut errors = self.user_errors.lock().unwrap_or_else(PoisonError::into_inner);
        let count = errors.entry((operation, code.name())).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts a request that named no operation there is.
    pub(crate) fn count_unknown(&self) {
        self.count_user_error("", ErrorCode::UnknownOperationException);
    }

    /// Adds what was counted of requests that touched no table, and of refused ones.
    pub fn sample(&self, samples: &mut Samples) {
        for (operation, series) in Operation::ALL.iter().zip(&self.tableless.0) {
            if let Some(series) = series.get() {
                series.sample(&[("operation", Label::from(operation.name()))], samples);
            }
        }
        samples.declare(USER_ERRORS);
        for ((operation, code), count) in self.user_errors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            samples.labelled(USER_ERRORS, [("operation", (*operation).into()), ("code", (*code).into())], *count);
        }
    }

    /// Tells of a request, where somebody wants to know.
    pub(crate) fn tell(
        &self,
        request: &Request,
        (caller, observed): (Option<&Caller>, &Observed),
        took: Duration,
        response: &Response,
    ) {
        let header = |name: HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
        let operation = header(HeaderName::from_static("x-amz-target")).and_then(Call::from_target).map(Call::name);
        let operation = operation.map(Cow::Borrowed).or_else(|| audit::action(request).map(Cow::Owned));
        let mut tables = Vec::new();
        observed.each_table(|table| {
            if tables.len() < MOST_NAMED {
                tables.push(table.record.name.clone());
            }
        });
        let answered = Answered {
            began: SystemTime::now().checked_sub(took).unwrap_or_else(SystemTime::now),
            took,
            request_id: request.request_id.clone(),
            operation: operation.unwrap_or_default(),
            tables,
            principal: caller.and_then(|caller| Some(caller.principal.as_deref()?.arn())),
            region: caller.map(|caller| Arc::clone(&caller.scope.region)),
            status: response.status,
            request_bytes: request.body.len(),
            response_bytes: response.body.len(),
            trace_parent: header(TRACEPARENT).filter(|text| text.len() <= 128).map(str::to_owned),
        };
        if self.logs {
            answered.log();
        }
        if let Some(tracer) = &self.tracer {
            tracer(answered);
        }
    }
}

impl Answered {
    fn log(&self) {
        tracing::info!(
            request_id = self.request_id,
            operation = &*self.operation,
            table = (!self.tables.is_empty()).then(|| self.tables.join(",")),
            principal = self.principal,
            region = self.region.as_deref(),
            status = self.status,
            microseconds = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX),
            request_bytes = self.request_bytes,
            response_bytes = self.response_bytes,
            "request"
        );
    }
}

/// The operations that have series by table.
const fn data_operation(operation: Operation) -> Option<DataOperation> {
    Some(match operation {
        Operation::BatchExecuteStatement => DataOperation::BatchExecuteStatement,
        Operation::BatchGetItem => DataOperation::BatchGetItem,
        Operation::BatchWriteItem => DataOperation::BatchWriteItem,
        Operation::DeleteItem => DataOperation::DeleteItem,
        Operation::ExecuteStatement => DataOperation::ExecuteStatement,
        Operation::ExecuteTransaction => DataOperation::ExecuteTransaction,
        Operation::GetItem => DataOperation::GetItem,
        Operation::GetRecords => DataOperation::GetRecords,
        Operation::PutItem => DataOperation::PutItem,
        Operation::Query => DataOperation::Query,
        Operation::Scan => DataOperation::Scan,
        Operation::TransactGetItems => DataOperation::TransactGetItems,
        Operation::TransactWriteItems => DataOperation::TransactWriteItems,
        Operation::UpdateItem => DataOperation::UpdateItem,
        _ => return None,
    })
}
