//! TransactWriteItems and TransactGetItems.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use partita_db::sight::count_canceled;
use partita_db::{
    CancellationReason, ClientToken, KEY_DOES_NOT_MATCH, Mutation, ReturnValues, SingleWrite, Table, TransactMember,
    Transacted,
};
use partita_expr::{Kind, MAX_EXPRESSION_BYTES};
use partita_model::{AttributeMap, Refusal};

use super::Context;
use super::consumed::{Detail, Share, TouchedCollection, by_name, by_table};
use super::expressions::{Expressions, Styles};
use super::items::{bind_projection, check_condition_keys, check_update_keys};
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::inputs::{TransactGetItemsInput, TransactWriteItemsInput};
use crate::generated::outputs::{ItemResponse, TransactGetItemsOutput, TransactWriteItemsOutput};
use crate::generated::structures::{Get, TransactWriteItem};
use crate::json::{self, Entries};
use crate::request::Decoded;

/// What a transaction is told whose member holds no write.
pub(crate) const EMPTY_MEMBER: &str =
    "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request";
const DUPLICATE: &str = "Transaction request cannot include multiple operations on one item";

pub(super) async fn transact_get_items(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, values } = context.read::<TransactGetItemsInput>(body).await?;
    let requests: Vec<Get> = input.transact_items.unwrap_or_default().into_iter().filter_map(|item| item.get).collect();
    let mut tables = Vec::with_capacity(requests.len());
    for get in &requests {
        tables.push(context.table(get.table_name.as_deref()).await?);
    }
    values.check()?;
    let secret = context.database.key_secret();
    let mut gets = Vec::with_capacity(requests.len());
    for (table, get) in tables.into_iter().zip(requests) {
        Styles::default()
            .projection(get.projection_expression.is_some())
            .check(get.expression_attribute_names.is_some(), false)?;
        let names = get.expression_attribute_names;
        let projection = bind_projection(context, &table, names, get.projection_expression.as_deref(), None)?;
        let key = table.key_of_request(&secret, &get.key.unwrap_or_default());
        gets.push(key.map(|key| (table, key, projection)).map_err(Failure::from));
    }
    let gets = all_or_canceled(gets)?;
    let mut seen = HashSet::new();
    if gets.iter().any(|(_, key, _)| !seen.insert(key.place())) {
        return Err(Refusal::validation(DUPLICATE).into());
    }
    let answers = context.database.transact_get(&gets).await;
    let answers = answers.inspect_err(|error| count_canceled(gets.iter().map(|(table, ..)| table), error))?;
    let detail = Detail::of(input.return_consumed_capacity.as_deref());
    let consumed =
        by_table(gets.iter().zip(&answers).map(|((table, _, _), got)| (table, &got.consumed)), detail, Share::Read);
    let responses = answers.into_iter().map(|got| ItemResponse { item: got.item }).collect();
    Ok(json::to_vec(&TransactGetItemsOutput { consumed_capacity: consumed, responses: Some(responses) }))
}

/// One write of a transaction, whichever of the four kinds it is.
struct Parts {
    table_name: Option<String>,
    key: Option<AttributeMap>,
    item: Option<AttributeMap>,
    update: Option<String>,
    condition: Option<String>,
    names: Option<Entries<String>>,
    values: Option<AttributeMap>,
    on_failure: Option<String>,
    kind: WriteKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriteKind {
    Put,
    Update,
    Delete,
    Check,
}

impl Parts {
    /// The one write that a member holds.
    fn of(member: TransactWriteItem) -> Result<Self, Refusal> {
        let given =
            [member.condition_check.is_some(), member.put.is_some(), member.delete.is_some(), member.update.is_some()];
        if !given.contains(&true) {
            return Err(Refusal::validation(EMPTY_MEMBER));
        }
        if given.into_iter().filter(|given| *given).count() != 1 {
            return Err(Refusal::validation("TransactItems can only contain one of Check, Put, Update or Delete"));
        }
        if let Some(put) = member.put {
            return Ok(Self {
                table_name: put.table_name,
                key: None,
                item: put.item,
                update: None,
                condition: put.condition_expression,
                names: put.expression_attribute_names,
                values: put.expression_attribute_values,
                on_failure: put.return_values_on_condition_check_failure,
                kind: WriteKind::Put,
            });
        }
        if let Some(update) = member.update {
            return Ok(Self {
                table_name: update.table_name,
                key: update.key,
                item: None,
                update: update.update_expression,
                condition: update.condition_expression,
                names: update.expression_attribute_names,
                values: update.expression_attribute_values,
                on_failure: update.return_values_on_condition_check_failure,
                kind: WriteKind::Update,
            });
        }
        if let Some(delete) = member.delete {
            return Ok(Self {
                table_name: delete.table_name,
                key: delete.key,
                item: None,
                update: None,
                condition: delete.condition_expression,
                names: delete.expression_attribute_names,
                values: delete.expression_attribute_values,
                on_failure: delete.return_values_on_condition_check_failure,
                kind: WriteKind::Delete,
            });
        }
        let check = member.condition_check.unwrap_or_default();
        Ok(Self {
            table_name: check.table_name,
            key: check.key,
            item: None,
            update: None,
            condition: check.condition_expression,
            names: check.expression_attribute_names,
            values: check.expression_attribute_values,
            on_failure: check.return_values_on_condition_check_failure,
            kind: WriteKind::Check,
        })
    }

    /// Refuses an expression that is too long. The service looks for such before it looks for tables (measured by
    /// public conformance work, 2026).
    fn check_sizes(&self, context: &Context<'_>) -> Result<(), Refusal> {
        let too_long = |text: &&str| text.len() > MAX_EXPRESSION_BYTES;
        if let Some(update) = self.update.as_deref().filter(too_long) {
            context.expressions.update(update)?;
        }
        if let Some(condition) = self.condition.as_deref().filter(too_long) {
            context.expressions.condition(Kind::Condition, condition)?;
        }
        Ok(())
    }

    fn bind(self, context: &Context<'_>, table: Arc<Table>) -> Result<TransactMember, Failure> {
        let styles = match self.kind {
            WriteKind::Update => Styles::default().expression("UpdateExpression", self.update.is_some()),
            _ => Styles::default(),
        };
        styles
            .expression("ConditionExpression", self.condition.is_some())
            .check(self.names.is_some(), self.values.is_some())?;
        let mut bound = Expressions::new(context.expressions, self.names, self.values)?;
        let update = bound.update(self.update.as_deref())?;
        let condition = bound.condition(Kind::Condition, self.condition.as_deref())?;
        bound.finish()?;
        check_condition_keys(&table, condition.as_ref())?;
        let secret = context.database.key_secret();
        let (key, mutation) = match (self.kind, update) {
            (WriteKind::Put, _) => {
                let item = self.item.unwrap_or_default();
                (table.key_of_item(&secret, &item)?, Mutation::Put(item))
            }
            (WriteKind::Update, Some(update)) => {
                let key = table.key_of_request(&secret, &self.key.unwrap_or_default())?;
                check_update_keys(&table, &update)?;
                (key, Mutation::Update(update))
            }
            (kind, _) => {
                let key = table.key_of_request(&secret, &self.key.unwrap_or_default())?;
                (key, if kind == WriteKind::Delete { Mutation::Delete } else { Mutation::Check })
            }
        };
        let item_on_failure = self.on_failure.as_deref() == Some("ALL_OLD");
        let write = SingleWrite { key, mutation, condition, returns: ReturnValues::None, item_on_failure };
        Ok(TransactMember { table, write })
    }
}

pub(super) async fn transact_write_items(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, values } = context.read::<TransactWriteItemsInput>(body).await?;
    let members = input.transact_items.unwrap_or_default();
    let parts = members.into_iter().map(Parts::of).collect::<Result<Vec<_>, _>>()?;
    let token = input.client_request_token.as_deref();
    let token = token.map(|token| ClientToken::new(&context.caller.scope, token, &meaning(&parts)));
    for part in &parts {
        part.check_sizes(context)?;
    }
    let mut tables = Vec::with_capacity(parts.len());
    for part in &parts {
        tables.push(context.table(part.table_name.as_deref()).await?);
    }
    values.check()?;
    let mut bound = Vec::with_capacity(parts.len());
    for (part, table) in parts.into_iter().zip(tables) {
        bound.push(part.bind(context, table));
    }
    let bound = all_or_canceled(bound)?;
    let mut seen = HashSet::new();
    if bound.iter().any(|member| !seen.insert(member.write.key.place())) {
        return Err(Refusal::validation(DUPLICATE).into());
    }
    let done = context.database.transact_write(&bound, token.as_ref()).await;
    let Transacted { consumed, repeated } =
        done.inspect_err(|error| count_canceled(bound.iter().map(|member| &member.table), error))?;
    let detail = Detail::of(input.return_consumed_capacity.as_deref());
    let share = if repeated { Share::Read } else { Share::Write };
    let shown = by_table(bound.iter().map(|member| &member.table).zip(&consumed), detail, share);
    let metrics = input.return_item_collection_metrics.as_deref();
    let touched = bound.iter().filter_map(|member| {
        let touched = TouchedCollection::of(metrics, &member.table, &member.write.key)?;
        Some((member.table.record.name.clone(), touched))
    });
    let collections = by_name(touched.collect(), context.database).await?;
    Ok(json::to_vec(&TransactWriteItemsOutput { consumed_capacity: shown, item_collection_metrics: collections }))
}

/// All members, or the failure of the first that can not be bound. Keys that do not fit their tables are told as
/// reasons of a canceled transaction, one for each member; anything else refuses the request.
fn all_or_canceled<T>(members: Vec<Result<T, Failure>>) -> Result<Vec<T>, Failure> {
    let is_key_fault = |failure: &Failure| {
        let message = &failure.refusal.message;
        message == KEY_DOES_NOT_MATCH
            || message.starts_with("One or more parameter values were invalid: Type mismatch for key")
            || message.starts_with("One or more parameter values were invalid: Cannot update attribute")
    };
    if members.iter().filter_map(|member| member.as_ref().err()).all(|failure| !is_key_fault(failure)) {
        return members.into_iter().collect();
    }
    let mut reasons = Vec::with_capacity(members.len());
    for member in members {
        reasons.push(match member {
            Ok(_) => CancellationReason::default(),
            Err(failure) if is_key_fault(&failure) => CancellationReason {
                code: Some("ValidationError"),
                message: Some(failure.refusal.message.into_owned()),
                item: None,
            },
            Err(failure) => return Err(failure),
        });
    }
    Err(partita_db::Error::TransactionCanceled { reasons }.into())
}

/// A text that is the same for requests of the same meaning alone: clients may send a map's entries in any order.
fn meaning(parts: &[Parts]) -> String {
    let mut text = String::new();
    for part in parts {
        let mut names: Vec<_> = part.names.iter().flat_map(|Entries(names)| names).collect();
        names.sort_unstable();
        let target = (part.kind, &part.table_name, &part.key, &part.item);
        let expressions = (&part.update, &part.condition, names, &part.values, &part.on_failure);
        let written = write!(text, "{target:?}{expressions:?}");
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }
    text
}
