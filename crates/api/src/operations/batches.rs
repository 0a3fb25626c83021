//! BatchGetItem and BatchWriteItem.

use std::collections::HashSet;
use std::sync::Arc;

use partita_db::{BatchGet, BatchGetTable, Mutation, ReturnValues, SingleWrite, Table};
use partita_model::{AttributeMap, Refusal};

use super::Context;
use super::consumed::{Detail, Share, TouchedCollection, by_name};
use super::expressions::Styles;
use super::items::bind_projection;
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::inputs::{BatchGetItemInput, BatchWriteItemInput};
use crate::generated::outputs::{BatchGetItemOutput, BatchWriteItemOutput};
use crate::generated::structures::{DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};
use crate::json::{self, Entries};
use crate::request::Decoded;

/// The most keys of a BatchGetItem, over all tables ("BatchGetItem": 100).
const MAX_GETS: usize = 100;
/// The most requests of a BatchWriteItem, over all tables ("BatchWriteItem": 25).
const MAX_WRITES: usize = 25;
/// What a batch is told that names an item twice.
const DUPLICATES: &str = "Provided list of item keys contains duplicates";
/// Where one table's gets are more than fit in a batch, what the client is told.
const TOO_MANY_KEYS: &str = "Too many items requested for the BatchGetItem call";

pub(super) async fn batch_get_item(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, values } = context.read::<BatchGetItemInput>(body).await?;
    let Entries(requests) = input.request_items.unwrap_or_default();
    let number: usize = requests.iter().map(|(_, gets)| gets.keys.as_ref().map_or(0, Vec::len)).sum();
    if number > MAX_GETS {
        return Err(Refusal::validation(TOO_MANY_KEYS).into());
    }
    // Keys that are equal as they stand are found before the table is looked up; other spellings of one number later.
    let twice = |keys: &[AttributeMap]| keys.iter().enumerate().any(|(at, key)| keys.iter().take(at).any(|k| k == key));
    if values.clone().check().is_ok()
        && requests.iter().any(|(_, gets)| twice(gets.keys.as_deref().unwrap_or_default()))
    {
        return Err(Refusal::validation(DUPLICATES).into());
    }
    let mut tables = Vec::with_capacity(requests.len());
    for (name, _) in &requests {
        tables.push(context.table(Some(name)).await?);
    }
    check_distinct_tables(&tables)?;
    values.check()?;
    let mut batch = BatchGet::default();
    for (table, (_, gets)) in tables.iter().zip(&requests) {
        batch.tables.push(bind_gets(context, table, gets)?);
    }
    let answers = context.database.batch_get(&batch).await?;
    let detail = Detail::of(input.return_consumed_capacity.as_deref());
    let mut output = BatchGetItemOutput::default();
    let mut responses = Vec::with_capacity(answers.len());
    let mut unprocessed = Vec::new();
    let mut consumed = Vec::new();
    for ((table, (name, gets)), answer) in tables.iter().zip(requests).zip(answers) {
        consumed.extend(detail.show(table, &answer.consumed, Share::Together));
        if !answer.unprocessed.is_empty() {
            let keys = gets.keys.as_deref().unwrap_or_default();
            let left = answer.unprocessed.iter().filter_map(|at| keys.get(*at).cloned()).collect();
            unprocessed.push((name.clone(), KeysAndAttributes { keys: Some(left), ..gets }));
        }
        responses.push((name, answer.items));
    }
    output.responses = Some(Entries(responses));
    output.unprocessed_keys = Some(Entries(unprocessed));
    output.consumed_capacity = (detail != Detail::None).then_some(consumed);
    Ok(json::to_vec(&output))
}

fn bind_gets(context: &Context<'_>, table: &Arc<Table>, gets: &KeysAndAttributes) -> Result<BatchGetTable, Failure> {
    Styles::default()
        .legacy("AttributesToGet", gets.attributes_to_get.is_some())
        .projection(gets.projection_expression.is_some())
        .check(gets.expression_attribute_names.is_some(), false)?;
    let names = gets.expression_attribute_names.clone();
    let text = gets.projection_expression.as_deref();
    let projection = bind_projection(context, table, names, text, gets.attributes_to_get.clone())?;
    let secret = context.database.key_secret();
    let mut keys = Vec::new();
    for key in gets.keys.as_deref().unwrap_or_default() {
        keys.push(table.key_of_request(&secret, key)?);
    }
    let mut seen = HashSet::new();
    if keys.iter().any(|key| !seen.insert(key.place())) {
        return Err(Refusal::validation(DUPLICATES).into());
    }
    let consistent = gets.consistent_read.unwrap_or(false);
    Ok(BatchGetTable { table: Arc::clone(table), keys, projection, consistent })
}

pub(super) async fn batch_write_item(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, values } = context.read::<BatchWriteItemInput>(body).await?;
    let Entries(requests) = input.request_items.unwrap_or_default();
    let number: usize = requests.iter().map(|(_, writes)| writes.len()).sum();
    if number > MAX_WRITES {
        return Err(Refusal::validation("Too many items requested for the BatchWriteItem call").into());
    }
    for (_, writes) in &requests {
        if writes.is_empty() {
            return Err(Refusal::validation("The batch write request list for a table cannot be null or empty").into());
        }
        for write in writes {
            if write.put_request.is_some() == write.delete_request.is_some() {
                return Err(Refusal::validation(
                    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported \
                     datatypes",
                )
                .into());
            }
        }
    }
    let mut tables = Vec::with_capacity(requests.len());
    for (name, _) in &requests {
        tables.push(context.table(Some(name)).await?);
    }
    check_distinct_tables(&tables)?;
    values.check()?;
    let mut batch = Vec::with_capacity(tables.len());
    let mut names = Vec::with_capacity(tables.len());
    for (table, (name, writes)) in tables.into_iter().zip(requests) {
        let writes = bind_writes(context, &table, writes)?;
        names.push(name);
        batch.push((table, writes));
    }
    let metrics = input.return_item_collection_metrics.as_deref();
    let mut touched = Vec::new();
    for (name, (table, writes)) in names.iter().zip(&batch) {
        touched.extend(
            writes
                .iter()
                .filter_map(|write| TouchedCollection::of(metrics, table, &write.key))
                .map(|touched| (name.clone(), touched)),
        );
    }
    let written = context.database.batch_write(&batch).await?;
    let collections = by_name(touched, context.database).await?;
    let detail = Detail::of(input.return_consumed_capacity.as_deref());
    let units = batch.iter().zip(&written);
    let shown = units.filter_map(|((table, _), written)| detail.show(table, &written.consumed, Share::Together));
    let shown: Vec<_> = shown.collect();
    let left = names.into_iter().zip(batch).zip(&written).filter(|(_, written)| !written.unprocessed.is_empty());
    let left = left.map(|((name, (_, writes)), written)| (name, unprocessed(writes, &written.unprocessed)));
    Ok(json::to_vec(&BatchWriteItemOutput {
        unprocessed_items: Some(Entries(left.collect())),
        item_collection_metrics: collections,
        consumed_capacity: (detail != Detail::None).then_some(shown),
    }))
}

/// The writes at these places, as a client asks for them again.
fn unprocessed(writes: Vec<SingleWrite>, places: &[usize]) -> Vec<WriteRequest> {
    let left = writes.into_iter().enumerate().filter(|(at, _)| places.contains(at));
    let request = |(_, write): (usize, SingleWrite)| match write.mutation {
        Mutation::Put(item) => {
            WriteRequest { put_request: Some(PutRequest { item: Some(item) }), ..WriteRequest::default() }
        }
        _ => WriteRequest {
            delete_request: Some(DeleteRequest { key: Some(write.key.attributes) }),
            ..WriteRequest::default()
        },
    };
    left.map(request).collect()
}

fn bind_writes(
    context: &Context<'_>,
    table: &Arc<Table>,
    requests: Vec<WriteRequest>,
) -> Result<Vec<SingleWrite>, Failure> {
    let secret = context.database.key_secret();
    let mut writes = Vec::with_capacity(requests.len());
    for request in requests {
        let (key, mutation) = match (request.put_request, request.delete_request) {
            (Some(put), _) => {
                let item = put.item.unwrap_or_default();
                (table.key_of_batch_item(&secret, &item)?, Mutation::Put(item))
            }
            (None, delete) => {
                let key = delete.and_then(|delete| delete.key).unwrap_or_default();
                (table.key_of_request(&secret, &key)?, Mutation::Delete)
            }
        };
        writes.push(SingleWrite {
            key,
            mutation,
            condition: None,
            returns: ReturnValues::None,
            item_on_failure: false,
        });
    }
    let mut seen = HashSet::new();
    if writes.iter().any(|write| !seen.insert(write.key.place())) {
        return Err(Refusal::validation(DUPLICATES).into());
    }
    Ok(writes)
}

/// A table may not be named twice, once by name and once by ARN.
fn check_distinct_tables(tables: &[Arc<Table>]) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    if tables.iter().all(|table| seen.insert(table.record.id)) {
        return Ok(());
    }
    Err(Refusal::validation("Table names and ARNs in the request must name different tables"))
}
