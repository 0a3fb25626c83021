//! Handlers: one function for each operation, one file for each family. A handler decodes, finds the table, binds the
//! request to it, executes on the database, and encodes; each step hands the next what can not be malformed any more.

mod account;
mod batches;
mod consumed;
mod expressions;
mod items;
mod partiql;
mod probes;
mod reads;
mod streams;
mod tables;
mod tags;
mod time_to_live;
mod transactions;
mod triggers;

use std::sync::Arc;

pub(crate) use triggers::execute as execute_on_triggers;
pub use triggers::{TriggerOperation, delivery_url};

use partita_db::{Database, Scope, Table};
use partita_expr::ParseCache;
use partita_model::{ErrorCode, Refusal};

use crate::failure::Failure;
use crate::generated::operations::Operation;
use crate::generated::outputs::CancellationReason;

/// What a handler works with besides the request's body.
pub(crate) struct Context<'a> {
    /// The database.
    pub database: &'a Database,
    /// Expressions parsed before.
    pub expressions: &'a ParseCache,
    /// The caller's account and region.
    pub scope: Scope,
    /// The request's `Host` header.
    pub host: Option<String>,
}

impl Context<'_> {
    /// The table a request names, by name or ARN.
    pub(crate) async fn table(&self, name: Option<&str>) -> Result<Arc<Table>, Failure> {
        Ok(self.database.table(&self.scope, name.unwrap_or_default()).await?)
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

/// Executes an operation and returns the response's body.
pub(crate) async fn execute(context: &Context<'_>, operation: Operation, body: &[u8]) -> Result<Vec<u8>, Failure> {
    match operation {
        Operation::PutItem => items::put_item(context, body).await,
        Operation::GetItem => items::get_item(context, body).await,
        Operation::UpdateItem => items::update_item(context, body).await,
        Operation::DeleteItem => items::delete_item(context, body).await,
        Operation::Query => reads::query(context, body).await,
        Operation::Scan => reads::scan(context, body).await,
        Operation::BatchGetItem => batches::batch_get_item(context, body).await,
        Operation::BatchWriteItem => batches::batch_write_item(context, body).await,
        Operation::TransactWriteItems => transactions::transact_write_items(context, body).await,
        Operation::TransactGetItems => transactions::transact_get_items(context, body).await,
        Operation::ExecuteStatement => partiql::execute_statement(context, body).await,
        Operation::BatchExecuteStatement => partiql::batch_execute_statement(context, body).await,
        Operation::ExecuteTransaction => partiql::execute_transaction(context, body).await,
        Operation::CreateTable => tables::create_table(context, body).await,
        Operation::DescribeTable => tables::describe_table(context, body).await,
        Operation::ListTables => tables::list_tables(context, body).await,
        Operation::UpdateTable => tables::update_table(context, body).await,
        Operation::DeleteTable => tables::delete_table(context, body).await,
        Operation::TagResource => tags::tag_resource(context, body).await,
        Operation::UntagResource => tags::untag_resource(context, body).await,
        Operation::ListTagsOfResource => tags::list_tags_of_resource(context, body).await,
        Operation::DescribeLimits => account::describe_limits(context, body).await,
        Operation::DescribeEndpoints => account::describe_endpoints(context, body).await,
        Operation::UpdateTimeToLive => time_to_live::update_time_to_live(context, body).await,
        Operation::DescribeTimeToLive => time_to_live::describe_time_to_live(context, body).await,
        Operation::ListStreams => streams::list_streams(context, body).await,
        Operation::DescribeStream => streams::describe_stream(context, body).await,
        Operation::GetShardIterator => streams::get_shard_iterator(context, body).await,
        Operation::GetRecords => streams::get_records(context, body).await,
        Operation::DescribeContinuousBackups => probes::describe_continuous_backups(context, body).await,
        Operation::DescribeKinesisStreamingDestination => {
            probes::describe_kinesis_streaming_destination(context, body).await
        }
        Operation::DescribeContributorInsights => probes::describe_contributor_insights(context, body).await,
        Operation::ListContributorInsights => probes::list_contributor_insights(context, body).await,
        Operation::ListBackups => probes::list_backups(context, body).await,
        Operation::ListExports => probes::list_exports(context, body).await,
        Operation::ListImports => probes::list_imports(context, body).await,
        Operation::GetResourcePolicy => probes::get_resource_policy(context, body).await,
        Operation::ListGlobalTables => probes::list_global_tables(context, body).await,
        _ => Err(Refusal::new(ErrorCode::UnknownOperationException, "").into()),
    }
}
