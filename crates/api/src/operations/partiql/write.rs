//! INSERT, UPDATE and DELETE as the writes that PutItem, UpdateItem and DeleteItem make.

use std::sync::Arc;

use partita_db::{Error, Mutation, Outcome, ReturnValues, SingleWrite, Table};
use partita_expr::partiql::{self, Returning, Statement, StatementKind};
use partita_expr::{Condition, Kind};
use partita_model::{AttributeValue, ErrorCode, Refusal};

use super::{Bound, Context, DUPLICATE_KEY};
use crate::failure::Failure;
use crate::generated::outputs::ExecuteStatementOutput;
use crate::json::Entries;
use crate::operations::consumed::{Detail, Share};
use crate::operations::expressions::Expressions;
use crate::operations::items::check_update_keys;

/// Why a statement that writes is refused.
pub(super) struct Fault {
    pub(super) refusal: Refusal,
    /// Whether the fault is in the values that the statement gives key attributes. A transaction then names it as the
    /// reason that it is canceled for.
    pub(super) is_of_key: bool,
}

impl From<partiql::Error> for Fault {
    fn from(error: partiql::Error) -> Self {
        use partiql::Error;
        let is_of_key = matches!(error, Error::KeyType(_) | Error::KeyMissing(_) | Error::KeyEmpty(..));
        Self { refusal: error.into(), is_of_key }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, is_of_key: false }
    }
}

impl Fault {
    fn of_key(error: impl Into<Failure>) -> Self {
        Self { refusal: error.into().refusal, is_of_key: true }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        fault.refusal.into()
    }
}

/// Binds a statement that writes, or an EXISTS, to its table.
///
/// # Errors
/// When it breaks a rule.
pub(super) fn bind(
    context: &Context<'_>,
    table: &Arc<Table>,
    statement: &Statement,
    parameters: &[AttributeValue],
    item_on_failure: bool,
) -> Result<SingleWrite, Fault> {
    let bound = Bound::of(table, statement)?;
    let keys = bound.keys();
    let secret = context.database.key_secret();
    let returns = match statement.returning() {
        None => ReturnValues::None,
        Some(Returning::AllOld) => ReturnValues::AllOld,
        Some(Returning::AllNew) => ReturnValues::AllNew,
        Some(Returning::ModifiedOld) => ReturnValues::UpdatedOld,
        Some(Returning::ModifiedNew) => ReturnValues::UpdatedNew,
    };
    let (key, mutation, condition) = match statement.kind() {
        StatementKind::Insert => {
            let item = statement.insert(&keys, parameters)?;
            let key = table.key_of_item(&secret, &item).map_err(Fault::of_key)?;
            (key, Mutation::Put(item), Some(is_absent(context, table)?))
        }
        StatementKind::Update => {
            let bound = statement.update(&keys, parameters)?;
            let key = table.key_of_request(&secret, &bound.key).map_err(Fault::of_key)?;
            check_update_keys(table, &bound.update).map_err(Fault::of_key)?;
            (key, Mutation::Update(bound.update), Some(bound.condition))
        }
        StatementKind::Exists => {
            let bound = statement.exists(&keys, parameters)?;
            (table.key_of_request(&secret, &bound.key).map_err(Fault::of_key)?, Mutation::Check, Some(bound.condition))
        }
        _ => {
            let bound = statement.delete(&keys, parameters)?;
            (table.key_of_request(&secret, &bound.key).map_err(Fault::of_key)?, Mutation::Delete, bound.condition)
        }
    };
    Ok(SingleWrite { key, mutation, condition, returns, item_on_failure })
}

/// The condition of an INSERT: there is no item of that key.
fn is_absent(context: &Context<'_>, table: &Table) -> Result<Condition, Refusal> {
    let name = table.key.partition.first().map(|attribute| attribute.name.clone()).unwrap_or_default();
    let names = Entries(vec![("#key".to_owned(), name)]);
    let mut bound = Expressions::new(context.expressions, Some(names), None)?;
    let condition = bound.condition(Kind::Condition, Some("attribute_not_exists(#key)"))?;
    condition.ok_or_else(|| Refusal::validation(DUPLICATE_KEY))
}

/// Writes.
pub(super) async fn execute(
    context: &Context<'_>,
    table: &Arc<Table>,
    statement: &Statement,
    write: SingleWrite,
    detail: Detail,
) -> Result<ExecuteStatementOutput, Failure> {
    let Outcome { attributes, consumed } = run(context, table, statement, write).await?;
    Ok(ExecuteStatementOutput {
        items: Some(attributes.into_iter().collect()),
        consumed_capacity: detail.show(table, &consumed, Share::Together),
        ..ExecuteStatementOutput::default()
    })
}

/// Writes; gives the attributes that the statement returns, if there are any, and what was consumed.
pub(super) async fn run(
    context: &Context<'_>,
    table: &Arc<Table>,
    statement: &Statement,
    write: SingleWrite,
) -> Result<Outcome, Error> {
    let wants_item = write.item_on_failure;
    match context.database.write(table, write).await {
        Ok(mut outcome) => {
            outcome.attributes = outcome.attributes.filter(|attributes| !attributes.to_item().is_empty());
            Ok(outcome)
        }
        Err(Error::ConditionFailed { .. }) if statement.kind() == StatementKind::Insert && !wants_item => {
            Err(Error::refused(ErrorCode::DuplicateItemException, DUPLICATE_KEY))
        }
        Err(error) => Err(error),
    }
}
