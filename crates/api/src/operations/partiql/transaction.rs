//! ExecuteTransaction: reads at one moment, or writes that happen together.

use std::collections::HashSet;
use std::sync::Arc;

use partita_db::sight::count_canceled;
use partita_db::{CancellationReason, ClientToken, Error, ItemKey, Table, TransactMember, Transacted};
use partita_expr::Projection;
use partita_expr::partiql::{Selection, Statement, StatementKind};
use partita_model::{AttributeValue, Refusal, StoredItem};

use super::{ALL_OLD, Bound, Context, DUPLICATE_KEY, write};
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::inputs::ExecuteTransactionInput;
use crate::generated::outputs::{ExecuteTransactionOutput, ItemResponse};
use crate::json;
use crate::operations::consumed::{Detail, Share, by_table};
use crate::request::Decoded;

const DUPLICATE: &str = "Transaction request cannot include multiple operations on one item";

/// A statement of a transaction, with its parameters.
struct Member {
    statement: Arc<Statement>,
    parameters: Vec<AttributeValue>,
    item_on_failure: bool,
}

/// Refuses with the place of the statement that is at fault.
pub(crate) fn refused(at: usize, message: impl std::fmt::Display) -> Refusal {
    Refusal::validation(format!("Validation failed in TransactStatements[{at}]: {message}"))
}

pub(in super::super) async fn execute_transaction(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, values } = context.read::<ExecuteTransactionInput>(body).await?;
    let requests = input.transact_statements.unwrap_or_default();
    let token = input.client_request_token.as_deref();
    let token = token.map(|token| ClientToken::new(&context.caller.scope, token, &format!("{requests:?}")));
    let mut members = Vec::with_capacity(requests.len());
    for (at, member) in requests.into_iter().enumerate() {
        let text = member.statement.unwrap_or_default();
        let statement = context.expressions.statement(&text).map_err(|error| refused(at, error))?;
        if statement.kind() == StatementKind::Expression {
            return Err(Refusal::validation("Unsupported operation in transaction.").into());
        }
        members.push(Member {
            statement,
            parameters: member.parameters.unwrap_or_default(),
            item_on_failure: member.return_values_on_condition_check_failure.as_deref() == Some(ALL_OLD),
        });
    }
    values.check()?;
    let reads = members.iter().filter(|member| member.statement.is_read()).count();
    if reads != 0 && reads != members.len() {
        return Err(Refusal::validation(
            "ExecuteTransaction API does not support both read and write operations in the same request.",
        )
        .into());
    }
    let mut tables = Vec::with_capacity(members.len());
    for member in &members {
        tables.push(context.table(Some(member.statement.table())).await?);
    }
    let detail = Detail::of(input.return_consumed_capacity.as_deref());
    let output = if reads > 0 {
        read_all(context, &members, tables, detail).await?
    } else {
        write_all(context, &members, tables, token.as_ref(), detail).await?
    };
    Ok(json::to_vec(&output))
}

async fn read_all(
    context: &Context<'_>,
    members: &[Member],
    tables: Vec<Arc<Table>>,
    detail: Detail,
) -> Result<ExecuteTransactionOutput, Failure> {
    let secret = context.database.key_secret();
    let mut gets: Vec<(Arc<Table>, ItemKey, Option<Projection>)> = Vec::with_capacity(members.len());
    let mut shapes: Vec<Option<Selection>> = Vec::with_capacity(members.len());
    for (at, (member, table)) in members.iter().zip(tables).enumerate() {
        let bound = Bound::of(&table, &member.statement)?;
        if bound.index.is_some() {
            return Err(refused(at, "Reads on indices are not supported within transactions.").into());
        }
        let select = member.statement.select(&bound.keys(), &member.parameters).map_err(|error| refused(at, error))?;
        let key = select.key.ok_or_else(|| {
            refused(at, "Select statements within ExecuteTransaction must specify the primary key in the where clause.")
        })?;
        let key = table.key_of_request(&secret, &key)?;
        let projection = select.selection.as_ref().map(|selection| selection.attributes().clone());
        shapes.push(select.selection.filter(|selection| !selection.is_top_level_only()));
        gets.push((table, key, projection));
    }
    let mut seen = HashSet::new();
    if gets.iter().any(|(_, key, _)| !seen.insert(key.place())) {
        return Err(Refusal::validation(DUPLICATE).into());
    }
    let answers = context.database.transact_get(&gets).await;
    let answers = answers.inspect_err(|error| count_canceled(gets.iter().map(|(table, ..)| table), error))?;
    let members = gets.iter().zip(&answers).map(|((table, _, _), got)| (table, &got.consumed));
    let consumed_capacity = by_table(members, detail, Share::Read);
    let responses = answers.into_iter().zip(shapes).map(|(got, shape)| ItemResponse {
        item: match shape {
            Some(selection) => got.item.map(|item| StoredItem::from_item(&selection.apply(&item))),
            None => got.item,
        },
    });
    Ok(ExecuteTransactionOutput { responses: Some(responses.collect()), consumed_capacity })
}

async fn write_all(
    context: &Context<'_>,
    members: &[Member],
    tables: Vec<Arc<Table>>,
    token: Option<&ClientToken>,
    detail: Detail,
) -> Result<ExecuteTransactionOutput, Failure> {
    let mut writes = Vec::with_capacity(members.len());
    let mut faults: Vec<CancellationReason> = vec![CancellationReason::default(); members.len()];
    for (at, (member, table)) in members.iter().zip(tables).enumerate() {
        let statement = &member.statement;
        if statement.returning().is_some() {
            return Err(refused(at, "RETURNING clause is not supported in ExecuteTransaction.").into());
        }
        if statement.index().is_some() {
            return Err(refused(at, "Operations on indices are not supported in transactions").into());
        }
        match write::bind(context, &table, statement, &member.parameters, member.item_on_failure) {
            Ok(write) => writes.push(TransactMember { table, write }),
            Err(fault) if fault.is_of_key => {
                if let Some(reason) = faults.get_mut(at) {
                    reason.code = Some("ValidationError");
                    reason.message = Some(fault.refusal.message.into_owned());
                }
            }
            Err(fault) => return Err(refused(at, fault.refusal.message).into()),
        }
    }
    if faults.iter().any(|reason| reason.code.is_some()) {
        return Err(Error::TransactionCanceled { reasons: faults }.into());
    }
    let mut seen = HashSet::new();
    if writes.iter().any(|member| !seen.insert(member.write.key.place())) {
        return Err(Refusal::validation(DUPLICATE).into());
    }
    let transacted = context.database.transact_write(&writes, token).await;
    let transacted = transacted.inspect_err(|error| count_canceled(writes.iter().map(|member| &member.table), error));
    let Transacted { consumed, repeated } = transacted.map_err(|error| canceled(error, members))?;
    let members = writes.iter().map(|member| &member.table).zip(&consumed);
    // What was done before under the same token is only read again.
    let share = if repeated { Share::Read } else { Share::Write };
    let consumed_capacity = by_table(members, detail, share);
    Ok(ExecuteTransactionOutput { responses: Some(Vec::new()), consumed_capacity })
}

/// The failure of a transaction, in which the condition of an INSERT has a name of its own.
fn canceled(error: Error, members: &[Member]) -> Failure {
    let Error::TransactionCanceled { mut reasons } = error else { return error.into() };
    for (reason, member) in reasons.iter_mut().zip(members) {
        let is_insert = member.statement.kind() == StatementKind::Insert;
        if is_insert && reason.code == Some("ConditionalCheckFailed") {
            reason.code = Some("DuplicateItem");
            reason.message = Some(DUPLICATE_KEY.to_owned());
        }
    }
    Error::TransactionCanceled { reasons }.into()
}
