//! BatchExecuteStatement: up to 25 reads or writes of single items, each of which succeeds or fails by itself.

use std::collections::HashSet;
use std::sync::Arc;

use partita_db::{Consumed, Error, ItemKey, SingleWrite, Table};
use partita_expr::Projection;
use partita_expr::partiql::{Selection, Statement, StatementKind};
use partita_model::{ErrorCode, Refusal, StoredItem};

use super::{ALL_OLD, Bound, Context, write};
use crate::authorize::{Body, JudgedStatements};
use crate::failure::Failure;
use crate::generated::enums::BatchStatementErrorCodeEnum as Code;
use crate::generated::inputs::BatchExecuteStatementInput;
use crate::generated::operations::Operation;
use crate::generated::outputs::{BatchExecuteStatementOutput, BatchStatementError, BatchStatementResponse};
use crate::generated::structures::BatchStatementRequest;
use crate::json::{self, Decode, Decoder, Place, Serialization};
use crate::operations::consumed::{Detail, Share, by_table};
use crate::request::Decoded;
use crate::wording::Layer;

/// A member that can be executed.
struct Prepared {
    statement: Arc<Statement>,
    table: Arc<Table>,
    task: Task,
}

enum Task {
    Read { key: ItemKey, projection: Option<Projection>, shape: Option<Selection>, consistent: bool },
    Write(SingleWrite),
}

impl Task {
    fn key(&self) -> &ItemKey {
        match self {
            Self::Read { key, .. } => key,
            Self::Write(write) => &write.key,
        }
    }
}

pub(in super::super) async fn batch_execute_statement(
    context: &Context<'_>,
    body: Body<'_>,
) -> Result<Vec<u8>, Failure> {
    let JudgedStatements { decoded: Decoded { input, values }, denied, bytes } = context.read_statements(body).await?;
    let faults = match values.check() {
        Ok(()) => Vec::new(),
        Err(refusal) => faults(bytes).ok_or(refusal)?,
    };
    let requests = input.statements.unwrap_or_default();
    let parsed: Vec<Result<Arc<Statement>, Refusal>> = requests
        .iter()
        .map(|request| Ok(context.expressions.statement(request.statement.as_deref().unwrap_or_default())?))
        .collect();
    check_all_read_or_write(&parsed)?;
    let mut members = Vec::with_capacity(requests.len());
    for (at, ((request, statement), denied)) in requests.into_iter().zip(parsed).zip(denied).enumerate() {
        let fault = faults.get(at).cloned().flatten();
        members.push(match (statement, denied, fault) {
            (Err(refusal), ..) | (Ok(_), None, Some(refusal)) => Err(Failure::from(refusal)),
            (Ok(_), Some(denied), _) => Err(denied),
            (Ok(statement), None, None) => prepare(context, statement, request).await,
        });
    }
    let mut seen = HashSet::new();
    if members.iter().flatten().any(|prepared| !seen.insert(prepared.task.key().place())) {
        return Err(Refusal::validation("Provided list of item keys contains duplicates").into());
    }
    let mut responses = Vec::with_capacity(members.len());
    let mut consumed = Vec::with_capacity(members.len());
    for member in members {
        match member {
            Err(failure) => {
                responses.push(BatchStatementResponse { error: Some(shown(&failure)), ..Default::default() })
            }
            Ok(prepared) => {
                let (response, units) = execute(context, prepared).await;
                responses.push(response);
                consumed.extend(units);
            }
        }
    }
    let detail = Detail::of(input.return_consumed_capacity.as_deref());
    let by_table = by_table(consumed.iter().map(|(table, units)| (table, units)), detail, Share::Together);
    Ok(json::to_vec(&BatchExecuteStatementOutput { responses: Some(responses), consumed_capacity: by_table }))
}

/// What is wrong with the parameters of each statement: one member's fault is not the others'.
fn faults(body: &[u8]) -> Option<Vec<Option<Refusal>>> {
    let mut faulty = Vec::new();
    let decoder = walk(body, |decoder, _| {
        BatchStatementRequest::decode(decoder, Place::Inside)?;
        faulty.push(decoder.is_refused());
        decoder.forget_refusal();
        Ok(())
    })?;
    decoder.end().ok()?;
    let fault = |wanted: usize| {
        let decoder = walk(body, |decoder, at| {
            if at != wanted {
                return decoder.skip();
            }
            BatchStatementRequest::decode(decoder, Place::Inside).map(|_| ())
        })?;
        decoder.end().ok()?
    };
    Some(faulty.iter().enumerate().map(|(at, is_faulty)| if *is_faulty { fault(at) } else { None }).collect())
}

/// Walks over a request's statements; gives the decoder at the request's end.
fn walk(
    body: &[u8],
    mut each: impl FnMut(&mut Decoder<'_>, usize) -> Result<(), Serialization>,
) -> Option<Decoder<'_>> {
    let mut decoder = Decoder::new(body, Layer::of(Operation::BatchExecuteStatement)).ok()?;
    decoder.begin_structure::<BatchExecuteStatementInput>(Place::Field).ok()?;
    while let Some(name) = decoder.member().ok()? {
        if name != "Statements" {
            decoder.skip().ok()?;
            continue;
        }
        decoder.begin_list(Place::Field).ok()?;
        let mut at = 0;
        while decoder.element().ok()? {
            each(&mut decoder, at).ok()?;
            at += 1;
        }
    }
    Some(decoder)
}

fn check_all_read_or_write(parsed: &[Result<Arc<Statement>, Refusal>]) -> Result<(), Refusal> {
    let reads = parsed.iter().flatten().filter(|statement| statement.is_read()).count();
    if reads == 0 || reads == parsed.iter().flatten().count() {
        return Ok(());
    }
    Err(Refusal::validation("Read and write requests together in the same batch is not supported."))
}

async fn prepare(
    context: &Context<'_>,
    statement: Arc<Statement>,
    request: BatchStatementRequest,
) -> Result<Prepared, Failure> {
    if let StatementKind::Expression | StatementKind::Exists = statement.kind() {
        return Err(Refusal::validation("EXISTS can only be used in ExecuteTransaction write requests.").into());
    }
    let table = context.table(Some(statement.table())).await?;
    let parameters = request.parameters.unwrap_or_default();
    let item_on_failure = request.return_values_on_condition_check_failure.as_deref() == Some(ALL_OLD);
    let task = if statement.is_read() {
        let bound = Bound::of(&table, &statement)?;
        let needs_key = || {
            Refusal::validation(
                "Select statements within BatchExecuteStatement must specify the primary key in the where clause.",
            )
        };
        if bound.index.is_some() {
            return Err(needs_key().into());
        }
        let select = statement.select(&bound.keys(), &parameters).map_err(Refusal::from)?;
        let key = table.key_of_request(&context.database.key_secret(), &select.key.ok_or_else(needs_key)?)?;
        let projection = select.selection.as_ref().map(|selection| selection.attributes().clone());
        let shape = select.selection.filter(|selection| !selection.is_top_level_only());
        Task::Read { key, projection, shape, consistent: request.consistent_read.unwrap_or(false) }
    } else {
        Task::Write(write::bind(context, &table, &statement, &parameters, item_on_failure)?)
    };
    Ok(Prepared { statement, table, task })
}

async fn execute(
    context: &Context<'_>,
    prepared: Prepared,
) -> (BatchStatementResponse, Option<(Arc<Table>, Consumed)>) {
    let Prepared { statement, table, task } = prepared;
    let done = match task {
        Task::Read { key, projection, shape, consistent } => {
            let got = context.database.get(&table, &key, projection.as_ref(), consistent).await;
            got.map(|got| {
                let item = match shape {
                    Some(selection) => got.item.map(|item| StoredItem::from_item(&selection.apply(&item))),
                    None => got.item,
                };
                (item, got.consumed)
            })
        }
        Task::Write(write) => {
            let outcome = write::run(context, &table, &statement, write).await;
            outcome.map(|outcome| (outcome.attributes, outcome.consumed))
        }
    };
    let table_name = Some(table.record.name.clone());
    match done {
        Ok((item, consumed)) => (BatchStatementResponse { error: None, table_name, item }, Some((table, consumed))),
        Err(error) => {
            let item = match &error {
                Error::ConditionFailed { item } => item.clone(),
                _ => None,
            };
            let error = BatchStatementError { item, ..shown(&error.into()) };
            (BatchStatementResponse { error: Some(error), table_name, item: None }, None)
        }
    }
}

fn shown(failure: &Failure) -> BatchStatementError {
    BatchStatementError {
        code: Some(code(failure.refusal.code)),
        message: Some(failure.refusal.message.clone().into_owned()),
        item: None,
    }
}

/// The short code that stands for an error's code in a batch.
const fn code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::ConditionalCheckFailedException => Code::ConditionalCheckFailed,
        ErrorCode::ItemCollectionSizeLimitExceededException => Code::ItemCollectionSizeLimitExceeded,
        ErrorCode::RequestLimitExceeded => Code::RequestLimitExceeded,
        ErrorCode::ProvisionedThroughputExceededException => Code::ProvisionedThroughputExceeded,
        ErrorCode::TransactionConflictException => Code::TransactionConflict,
        ErrorCode::ThrottlingException => Code::ThrottlingError,
        ErrorCode::InternalServerError => Code::InternalServerError,
        ErrorCode::ResourceNotFoundException => Code::ResourceNotFound,
        ErrorCode::AccessDeniedException => Code::AccessDenied,
        ErrorCode::DuplicateItemException => Code::DuplicateItem,
        _ => Code::ValidationError,
    }
}
