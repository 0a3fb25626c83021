//! Handlers: one function for each operation, one file for each family. A handler decodes, finds the table, binds the
//! request to it, executes on the database, and encodes; each step hands the next what can not be malformed any more.

mod account;
mod backups;
mod batches;
mod clock;
mod consumed;
mod exports;
pub(crate) mod expressions;
mod insights;
mod items;
mod loads;
mod partiql;
mod policies;
mod probes;
mod reads;
mod streams;
mod tables;
mod tags;
mod time_to_live;
mod transactions;
mod triggers;

use std::pin::Pin;
use std::sync::Arc;

pub(crate) use clock::{TARGET as ADVANCE_CLOCK, advance as advance_clock};
pub(crate) use insights::{REPORT_TARGET, report as insight_report};
pub(crate) use partiql::refused_statement;
pub(crate) use reads::against;
pub(crate) use transactions::EMPTY_MEMBER;
pub(crate) use triggers::execute as execute_on_triggers;
pub use triggers::{TriggerOperation, delivery_url};

use http::{HeaderMap, HeaderName};
use partita_db::{Database, Table};
use partita_expr::ParseCache;
use partita_model::{ErrorCode, Refusal};

use crate::authorize::Body;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::generated::operations::Operation;
use crate::generated::outputs::{CancellationReason, ThrottlingReason};
use crate::sight::Observed;

/// What a handler works with besides the request's body.
pub(crate) struct Context<'a> {
    /// The database.
    pub database: &'a Database,
    /// Expressions parsed before.
    pub expressions: &'a ParseCache,
    /// Who asks, in which account and region.
    pub caller: Caller,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// What the request turns out to touch.
    pub observed: &'a Observed,
}

impl Context<'_> {
    /// A header of the request, if it is text.
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The table a request names, by name or ARN.
    pub(crate) async fn table(&self, name: Option<&str>) -> Result<Arc<Table>, Failure> {
        let table = self.database.table(&self.caller.scope, name.unwrap_or_default()).await?;
        self.observed.table(&table);
        Ok(table)
    }
}

impl From<partita_db::Error> for Failure {
    fn from(error: partita_db::Error) -> Self {
        use partita_db::Error;
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::ConditionFailed { item } => Self::condition_failed(item.as_ref()),
            Error::TransactionCanceled { reasons } => {
                let reasons: Vec<CancellationReason> = reasons.into_iter().map(shown).collect();
                Self::canceled(&reasons)
            }
            Error::Throttled(throttled) => {
                let reasons = throttled.reasons.iter().map(|reason| ThrottlingReason {
                    reason: Some(reason.name()),
                    resource: Some(reason.resource.clone()),
                });
                Self::throttled(throttled.refusal(), &reasons.collect::<Vec<_>>())
            }
            Error::Contention => Refusal::new(
                ErrorCode::ThrottlingException,
                "Rate of requests exceeds the allowed throughput of the item. Try again.",
            )
            .into(),
            Error::Internal(detail) => Self::internal(detail),
        }
    }
}

fn shown(reason: partita_db::CancellationReason) -> CancellationReason {
    CancellationReason {
        code: Some(reason.code.unwrap_or("None").to_owned()),
        message: reason.message,
        item: reason.item,
    }
}

/// An operation that is being executed.
pub(crate) type Executing<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, Failure>> + Send + 'a>>;

/// Executes an operation and returns the response's body.
///
/// Each operation has a future of its own size on the heap: one future for all would be as large as the largest, and be
/// copied several times on its way through the server.
pub(crate) fn execute<'a>(context: &'a Context<'_>, operation: Operation, body: &'a [u8]) -> Executing<'a> {
    let body = Body::new(body);
    match operation {
        Operation::PutItem => Box::pin(items::put_item(context, body)),
        Operation::GetItem => Box::pin(items::get_item(context, body)),
        Operation::UpdateItem => Box::pin(items::update_item(context, body)),
        Operation::DeleteItem => Box::pin(items::delete_item(context, body)),
        Operation::Query => Box::pin(reads::query(context, body)),
        Operation::Scan => Box::pin(reads::scan(context, body)),
        Operation::BatchGetItem => Box::pin(batches::batch_get_item(context, body)),
        Operation::BatchWriteItem => Box::pin(batches::batch_write_item(context, body)),
        Operation::TransactWriteItems => Box::pin(transactions::transact_write_items(context, body)),
        Operation::TransactGetItems => Box::pin(transactions::transact_get_items(context, body)),
        Operation::ExecuteStatement => Box::pin(partiql::execute_statement(context, body)),
        Operation::BatchExecuteStatement => Box::pin(partiql::batch_execute_statement(context, body)),
        Operation::ExecuteTransaction => Box::pin(partiql::execute_transaction(context, body)),
        Operation::CreateTable => Box::pin(tables::create_table(context, body)),
        Operation::DescribeTable => Box::pin(tables::describe_table(context, body)),
        Operation::ListTables => Box::pin(tables::list_tables(context, body)),
        Operation::UpdateTable => Box::pin(tables::update_table(context, body)),
        Operation::DeleteTable => Box::pin(tables::delete_table(context, body)),
        Operation::TagResource => Box::pin(tags::tag_resource(context, body)),
        Operation::UntagResource => Box::pin(tags::untag_resource(context, body)),
        Operation::ListTagsOfResource => Box::pin(tags::list_tags_of_resource(context, body)),
        Operation::DescribeLimits => Box::pin(account::describe_limits(context, body)),
        Operation::DescribeEndpoints => Box::pin(account::describe_endpoints(context, body)),
        Operation::UpdateTimeToLive => Box::pin(time_to_live::update_time_to_live(context, body)),
        Operation::DescribeTimeToLive => Box::pin(time_to_live::describe_time_to_live(context, body)),
        Operation::ListStreams => Box::pin(streams::list_streams(context, body)),
        Operation::DescribeStream => Box::pin(streams::describe_stream(context, body)),
        Operation::GetShardIterator => Box::pin(streams::get_shard_iterator(context, body)),
        Operation::GetRecords => Box::pin(streams::get_records(context, body)),
        Operation::CreateBackup => Box::pin(backups::create_backup(context, body)),
        Operation::DescribeBackup => Box::pin(backups::describe_backup(context, body)),
        Operation::DeleteBackup => Box::pin(backups::delete_backup(context, body)),
        Operation::ListBackups => Box::pin(backups::list_backups(context, body)),
        Operation::RestoreTableFromBackup => Box::pin(backups::restore_table_from_backup(context, body)),
        Operation::RestoreTableToPointInTime => Box::pin(backups::restore_table_to_point_in_time(context, body)),
        Operation::UpdateContinuousBackups => Box::pin(backups::update_continuous_backups(context, body)),
        Operation::DescribeContinuousBackups => Box::pin(backups::describe_continuous_backups(context, body)),
        Operation::DescribeKinesisStreamingDestination => {
            Box::pin(probes::describe_kinesis_streaming_destination(context, body))
        }
        Operation::DescribeContributorInsights => Box::pin(insights::describe_contributor_insights(context, body)),
        Operation::ListContributorInsights => Box::pin(insights::list_contributor_insights(context, body)),
        Operation::UpdateContributorInsights => Box::pin(insights::update_contributor_insights(context, body)),
        Operation::ExportTableToPointInTime => Box::pin(exports::export_table_to_point_in_time(context, body)),
        Operation::DescribeExport => Box::pin(exports::describe_export(context, body)),
        Operation::ListExports => Box::pin(exports::list_exports(context, body)),
        Operation::ImportTable => Box::pin(loads::import_table(context, body)),
        Operation::DescribeImport => Box::pin(loads::describe_import(context, body)),
        Operation::ListImports => Box::pin(loads::list_imports(context, body)),
        Operation::StartBulkPutItems => Box::pin(loads::start_bulk_put_items(context, body)),
        Operation::DescribeBulkOperation => Box::pin(loads::describe_bulk_operation(context, body)),
        Operation::ListBulkOperations => Box::pin(loads::list_bulk_operations(context, body)),
        Operation::CancelBulkOperation => Box::pin(loads::cancel_bulk_operation(context, body)),
        Operation::GetResourcePolicy => Box::pin(policies::get_resource_policy(context, body)),
        Operation::PutResourcePolicy => Box::pin(policies::put_resource_policy(context, body)),
        Operation::DeleteResourcePolicy => Box::pin(policies::delete_resource_policy(context, body)),
        Operation::ListGlobalTables => Box::pin(probes::list_global_tables(context, body)),
        _ => Box::pin(async { Err(Refusal::new(ErrorCode::UnknownOperationException, "").into()) }),
    }
}
