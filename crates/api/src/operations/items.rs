//! PutItem, GetItem, UpdateItem, DeleteItem.

use partita_db::{Mutation, Outcome, ReturnValues, SingleWrite, Table};
use partita_expr::{Condition, Kind, Projection, Update, legacy};
use partita_model::Refusal;

use super::Context;
use super::consumed::{Detail, Share, TouchedCollection, measured};
use super::expressions::{self, Expressions, Keys, Styles};
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::inputs::{DeleteItemInput, GetItemInput, PutItemInput, UpdateItemInput};
use crate::generated::operations::Operation;
use crate::generated::outputs::{DeleteItemOutput, GetItemOutput, PutItemOutput, UpdateItemOutput};
use crate::json;
use crate::request::{Decoded, Values};
use crate::wording;

const ALL_OLD: &str = "ALL_OLD";

pub(super) async fn put_item(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, values } = context.read::<PutItemInput>(body).await?;
    let table = context.table(input.table_name.as_deref()).await?;
    let bind = || -> Result<_, Refusal> {
        Styles::default()
            .legacy("Expected", input.expected.is_some())
            .legacy("ConditionalOperator", input.conditional_operator.is_some())
            .expression("ConditionExpression", input.condition_expression.is_some())
            .check(input.expression_attribute_names.is_some(), input.expression_attribute_values.is_some())?;
        values.check()?;
        let returns = returns_old_only(input.return_values.as_deref())?;
        let mut bound =
            Expressions::new(context.expressions, input.expression_attribute_names, input.expression_attribute_values)?;
        let mut condition = bound.condition(Kind::Condition, input.condition_expression.as_deref())?;
        bound.finish()?;
        if condition.is_none() {
            condition = expressions::expected(input.expected, input.conditional_operator.as_deref())?;
        }
        Ok((returns, condition))
    };
    let (returns, condition) = bind().map_err(|refusal| wording::enveloped(Operation::PutItem, refusal))?;
    check_condition_keys(&table, condition.as_ref())?;
    let item = input.item.unwrap_or_default();
    let write = SingleWrite {
        key: table.key_of_item(&context.database.key_secret(), &item)?,
        mutation: Mutation::Put(item),
        condition,
        returns,
        item_on_failure: input.return_values_on_condition_check_failure.as_deref() == Some(ALL_OLD),
    };
    let touched = TouchedCollection::of(input.return_item_collection_metrics.as_deref(), &table, &write.key);
    let Outcome { attributes, consumed } = context.database.write(&table, write).await?;
    let metrics = measured(touched, context.database).await?;
    let consumed = Detail::of(input.return_consumed_capacity.as_deref()).show(&table, &consumed, Share::Together);
    Ok(json::to_vec(&PutItemOutput { attributes, consumed_capacity: consumed, item_collection_metrics: metrics }))
}

pub(super) async fn delete_item(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, values } = context.read::<DeleteItemInput>(body).await?;
    let table = context.table(input.table_name.as_deref()).await?;
    let bind = || -> Result<_, Refusal> {
        Styles::default()
            .legacy("Expected", input.expected.is_some())
            .legacy("ConditionalOperator", input.conditional_operator.is_some())
            .expression("ConditionExpression", input.condition_expression.is_some())
            .check(input.expression_attribute_names.is_some(), input.expression_attribute_values.is_some())?;
        values.check()?;
        let returns = returns_old_only(input.return_values.as_deref())?;
        let mut bound =
            Expressions::new(context.expressions, input.expression_attribute_names, input.expression_attribute_values)?;
        let mut condition = bound.condition(Kind::Condition, input.condition_expression.as_deref())?;
        bound.finish()?;
        if condition.is_none() {
            condition = expressions::expected(input.expected, input.conditional_operator.as_deref())?;
        }
        Ok((returns, condition))
    };
    let (returns, condition) = bind().map_err(|refusal| wording::enveloped(Operation::DeleteItem, refusal))?;
    check_condition_keys(&table, condition.as_ref())?;
    let key = input.key.unwrap_or_default();
    let write = SingleWrite {
        key: table.key_of_request(&context.database.key_secret(), &key)?,
        mutation: Mutation::Delete,
        condition,
        returns,
        item_on_failure: input.return_values_on_condition_check_failure.as_deref() == Some(ALL_OLD),
    };
    let touched = TouchedCollection::of(input.return_item_collection_metrics.as_deref(), &table, &write.key);
    let Outcome { attributes, consumed } = context.database.write(&table, write).await?;
    let metrics = measured(touched, context.database).await?;
    let consumed = Detail::of(input.return_consumed_capacity.as_deref()).show(&table, &consumed, Share::Together);
    Ok(json::to_vec(&DeleteItemOutput { attributes, consumed_capacity: consumed, item_collection_metrics: metrics }))
}

pub(super) async fn update_item(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { mut input, values } = context.read::<UpdateItemInput>(body).await?;
    let table = context.table(input.table_name.as_deref()).await?;
    let (update, condition) = bind_update(context, &mut input, values)
        .map_err(|refusal| wording::enveloped(Operation::UpdateItem, refusal))?;
    let key = table.key_of_request(&context.database.key_secret(), &input.key.unwrap_or_default())?;
    check_condition_keys(&table, condition.as_ref())?;
    check_update_keys(&table, &update)?;
    let returns = match input.return_values.as_deref() {
        Some(ALL_OLD) => ReturnValues::AllOld,
        Some("ALL_NEW") => ReturnValues::AllNew,
        Some("UPDATED_OLD") => ReturnValues::UpdatedOld,
        Some("UPDATED_NEW") => ReturnValues::UpdatedNew,
        _ => ReturnValues::None,
    };
    let write = SingleWrite {
        key,
        mutation: Mutation::Update(update),
        condition,
        returns,
        item_on_failure: input.return_values_on_condition_check_failure.as_deref() == Some(ALL_OLD),
    };
    let touched = TouchedCollection::of(input.return_item_collection_metrics.as_deref(), &table, &write.key);
    let Outcome { attributes, consumed } = context.database.write(&table, write).await?;
    let metrics = measured(touched, context.database).await?;
    let consumed = Detail::of(input.return_consumed_capacity.as_deref()).show(&table, &consumed, Share::Together);
    Ok(json::to_vec(&UpdateItemOutput { attributes, consumed_capacity: consumed, item_collection_metrics: metrics }))
}

fn bind_update(
    context: &Context<'_>,
    input: &mut UpdateItemInput,
    values: Values,
) -> Result<(Update, Option<Condition>), Refusal> {
    Styles::default()
        .legacy("AttributeUpdates", input.attribute_updates.is_some())
        .legacy("Expected", input.expected.is_some())
        .legacy("ConditionalOperator", input.conditional_operator.is_some())
        .expression("UpdateExpression", input.update_expression.is_some())
        .expression("ConditionExpression", input.condition_expression.is_some())
        .check(input.expression_attribute_names.is_some(), input.expression_attribute_values.is_some())?;
    values.check()?;
    let names = input.expression_attribute_names.take();
    let mut bound = Expressions::new(context.expressions, names, input.expression_attribute_values.take())?;
    let update = bound.update(input.update_expression.as_deref())?;
    let mut condition = bound.condition(Kind::Condition, input.condition_expression.as_deref())?;
    bound.finish()?;
    if condition.is_none() {
        condition = expressions::expected(input.expected.take(), input.conditional_operator.as_deref())?;
    }
    let update = match update {
        Some(update) => update,
        // An update that names nothing makes the item when it is not there.
        None => expressions::attribute_updates(input.attribute_updates.take().unwrap_or_default())?,
    };
    Ok((update, condition))
}

/// Refuses a condition that treats a key attribute as a document.
pub(super) fn check_condition_keys(table: &Table, condition: Option<&Condition>) -> Result<(), Refusal> {
    match condition {
        Some(condition) => Ok(condition.check_scalar_keys(&Keys::of(table).names())?),
        None => Ok(()),
    }
}

/// Refuses an update of the table's key attributes, and one that treats a key attribute as a document.
pub(super) fn check_update_keys(table: &Table, update: &Update) -> Result<(), Refusal> {
    let keys: Vec<&str> = table.key.attributes().map(|attribute| attribute.name.as_str()).collect();
    update.check_keys(&keys)?;
    Ok(update.check_scalar_keys(&Keys::of(table).names())?)
}

pub(super) async fn get_item(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, values } = context.read::<GetItemInput>(body).await?;
    Styles::default()
        .legacy("AttributesToGet", input.attributes_to_get.is_some())
        .projection(input.projection_expression.is_some())
        .check(input.expression_attribute_names.is_some(), false)?;
    let table = context.table(input.table_name.as_deref()).await?;
    values.check()?;
    let names = input.expression_attribute_names;
    let text = input.projection_expression.as_deref();
    let projection = bind_projection(context, &table, names, text, input.attributes_to_get)?;
    let key = table.key_of_request(&context.database.key_secret(), &input.key.unwrap_or_default())?;
    let consistent = input.consistent_read.unwrap_or(false);
    let got = context.database.get(&table, &key, projection.as_ref(), consistent).await?;
    let consumed = Detail::of(input.return_consumed_capacity.as_deref()).show(&table, &got.consumed, Share::Together);
    Ok(json::to_vec(&GetItemOutput { item: got.item, consumed_capacity: consumed }))
}

/// A projection of a request that has no other expression.
pub(super) fn bind_projection(
    context: &Context<'_>,
    table: &Table,
    names: Option<json::Entries<String>>,
    text: Option<&str>,
    attributes_to_get: Option<Vec<String>>,
) -> Result<Option<Projection>, Refusal> {
    if names.is_none() && text.is_none() && attributes_to_get.is_none() {
        return Ok(None);
    }
    let mut bound = Expressions::new(context.expressions, names, None)?;
    let projection = bound.projection(text)?;
    bound.finish()?;
    if let Some(projection) = &projection {
        projection.check_scalar_keys(&Keys::of(table).names())?;
    }
    match (projection, attributes_to_get) {
        (None, Some(names)) => Ok(Some(legacy::attributes_to_get(&names)?)),
        (projection, _) => Ok(projection),
    }
}

fn returns_old_only(parameter: Option<&str>) -> Result<ReturnValues, Refusal> {
    match parameter {
        None | Some("NONE") => Ok(ReturnValues::None),
        Some(ALL_OLD) => Ok(ReturnValues::AllOld),
        Some(_) => Err(Refusal::validation("Return values set to invalid value")),
    }
}
