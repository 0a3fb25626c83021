//! INSERT, UPDATE and DELETE as the writes that PutItem, UpdateItem and DeleteItem make.

use std::sync::Arc;

use partita_db::{Error, Mutation, Outcome, ReturnValues, SingleWrite, Table};
use partita_expr::partiql::{Returning, Statement, StatementKind};
use partita_expr::{Condition, Kind};
use partita_model::{AttributeValue, ErrorCode, Refusal};

use super::{Bound, Context, DUPLICATE_KEY};
use crate::failure::Failure;
use crate::generated::outputs::ExecuteStatementOutput;
use crate::json::Entries;
use crate::operations::consumed::{Detail, Share};
use crate::operations::expressions::Expressions;
use crate::operations::items::check_update_keys;

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
) -> Result<SingleWrite, Failure> {
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
            let item = statement.insert(&keys, parameters).map_err(Refusal::from)?;
            let key = table.key_of_item(&secret, &item)?;
            (key, Mutation::Put(item), Some(is_absent(context, table)?))
        }
        StatementKind::Update => {
            let bound = statement.update(&keys, parameters).map_err(Refusal::from)?;
            let key = table.key_of_request(&secret, &bound.key)?;
            check_update_keys(table, &bound.update)?;
            (key, Mutation::Update(bound.update), Some(bound.condition))
        }
        StatementKind::Exists => {
            let bound = statement.exists(&keys, parameters).map_err(Refusal::from)?;
            (table.key_of_request(&secret, &bound.key)?, Mutation::Check, Some(bound.condition))
        }
        _ => {
            let bound = statement.delete(&keys, parameters).map_err(Refusal::from)?;
            (table.key_of_request(&secret, &bound.key)?, Mutation::Delete, bound.condition)
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
