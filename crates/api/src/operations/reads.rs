//! Query and Scan.

use std::sync::Arc;

use partita_db::{Page, QueryRequest, ScanRequest, Segment, Select, Table};
use partita_expr::legacy::{self, Filter};
use partita_expr::{Condition, KeyCondition, KeyConditions, KeyShape, Kind, Projection};
use partita_model::schema::{KeyAttribute, KeySchema};
use partita_model::{AttributeType, Refusal};

use super::Context;
use super::consumed::{Detail, Share};
use super::expressions::{self, Expressions, Keys, Styles};
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::inputs::{QueryInput, ScanInput};
use crate::generated::outputs::{QueryOutput, ScanOutput};
use crate::json;
use crate::request::Decoded;

pub(super) async fn query(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { mut input, values } = context.read::<QueryInput>(body).await?;
    let parameter = projection_parameter(input.projection_expression.is_some());
    let table = context.table(input.table_name.as_deref()).await?;
    let consistent = input.consistent_read.unwrap_or(false);
    Styles::default()
        .legacy("AttributesToGet", input.attributes_to_get.is_some())
        .legacy("QueryFilter", input.query_filter.is_some())
        .legacy("ConditionalOperator", input.conditional_operator.is_some())
        .legacy("KeyConditions", input.key_conditions.is_some())
        .projection(input.projection_expression.is_some())
        .expression("FilterExpression", input.filter_expression.is_some())
        .expression("KeyConditionExpression", input.key_condition_expression.is_some())
        .check(input.expression_attribute_names.is_some(), input.expression_attribute_values.is_some())?;
    values.check()?;
    let index = index_place(&table, input.index_name.as_deref(), consistent)?;
    let names = input.expression_attribute_names.take();
    let mut bound = Expressions::new(context.expressions, names, input.expression_attribute_values.take())?;
    let mut filter = bound.condition(Kind::Filter, input.filter_expression.as_deref())?;
    let mut projection = bound.projection(input.projection_expression.as_deref())?;
    let key = input.key_condition_expression.as_deref().map(|text| bound.key_conditions(text)).transpose()?;
    bound.finish()?;
    let keys = Keys::of(&table);
    check_scalar_keys(&keys, filter.as_ref(), projection.as_ref())?;
    let key = match (key, input.key_conditions) {
        (Some(key), _) => key,
        (None, Some(conditions)) => {
            legacy::key_conditions(expressions::legacy_conditions(conditions)).map_err(Refusal::from)?
        }
        (None, None) => {
            return Err(Refusal::validation(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
            )
            .into());
        }
    };
    key.check_scalar_keys(&keys.names()).map_err(Refusal::from)?;
    let schema = index.and_then(|at| table.indexes.get(at)).map_or(&table.key, |index| &index.key);
    let key = against(&key, schema, input.index_name.as_deref())?;
    if filter.is_none() {
        let operator = input.conditional_operator.as_deref();
        filter = expressions::filter(Filter::Query, input.query_filter, operator)?;
    }
    check_filter(filter.as_ref(), schema)?;
    if let (None, Some(names)) = (&projection, input.attributes_to_get) {
        projection = Some(legacy::attributes_to_get(&names).map_err(Refusal::from)?);
    }
    let request = QueryRequest {
        index,
        key,
        filter,
        select: select(input.select.as_deref(), projection, parameter, index.is_some())?,
        limit: input.limit.map(|limit| usize::try_from(limit).unwrap_or(1)),
        forward: input.scan_index_forward.unwrap_or(true),
        start: input.exclusive_start_key,
        consistent,
    };
    let page = context.database.query(&table, &request).await?;
    let (items, count, scanned) = shown(context, &page, &request.select);
    let detail = Detail::of(input.return_consumed_capacity.as_deref());
    Ok(json::to_vec(&QueryOutput {
        items,
        count: Some(count),
        scanned_count: Some(scanned),
        consumed_capacity: detail.show(&table, &page.consumed, Share::Together),
        last_evaluated_key: page.last_evaluated,
    }))
}

pub(super) async fn scan(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { mut input, values } = context.read::<ScanInput>(body).await?;
    let parameter = projection_parameter(input.projection_expression.is_some());
    let table = context.table(input.table_name.as_deref()).await?;
    let consistent = input.consistent_read.unwrap_or(false);
    Styles::default()
        .legacy("AttributesToGet", input.attributes_to_get.is_some())
        .legacy("ScanFilter", input.scan_filter.is_some())
        .legacy("ConditionalOperator", input.conditional_operator.is_some())
        .projection(input.projection_expression.is_some())
        .expression("FilterExpression", input.filter_expression.is_some())
        .check(input.expression_attribute_names.is_some(), input.expression_attribute_values.is_some())?;
    values.check()?;
    let segment = segment(input.segment, input.total_segments)?;
    let index = index_place(&table, input.index_name.as_deref(), consistent)?;
    let names = input.expression_attribute_names.take();
    let mut bound = Expressions::new(context.expressions, names, input.expression_attribute_values.take())?;
    let mut filter = bound.condition(Kind::Filter, input.filter_expression.as_deref())?;
    let mut projection = bound.projection(input.projection_expression.as_deref())?;
    bound.finish()?;
    check_scalar_keys(&Keys::of(&table), filter.as_ref(), projection.as_ref())?;
    if filter.is_none() {
        let operator = input.conditional_operator.as_deref();
        filter = expressions::filter(Filter::Scan, input.scan_filter, operator)?;
    }
    if let (None, Some(names)) = (&projection, input.attributes_to_get) {
        projection = Some(legacy::attributes_to_get(&names).map_err(Refusal::from)?);
    }
    let request = ScanRequest {
        index,
        filter,
        select: select(input.select.as_deref(), projection, parameter, index.is_some())?,
        limit: input.limit.map(|limit| usize::try_from(limit).unwrap_or(1)),
        segment,
        start: input.exclusive_start_key,
        consistent,
    };
    let page = context.database.scan(&table, &request).await?;
    let (items, count, scanned) = shown(context, &page, &request.select);
    let detail = Detail::of(input.return_consumed_capacity.as_deref());
    Ok(json::to_vec(&ScanOutput {
        items,
        count: Some(count),
        scanned_count: Some(scanned),
        consumed_capacity: detail.show(&table, &page.consumed, Share::Together),
        last_evaluated_key: page.last_evaluated,
    }))
}

/// Refuses expressions that treat a key attribute as a document.
fn check_scalar_keys(
    keys: &Keys<'_>,
    filter: Option<&Condition>,
    projection: Option<&Projection>,
) -> Result<(), Refusal> {
    if let Some(filter) = filter {
        filter.check_scalar_keys(&keys.names())?;
    }
    if let Some(projection) = projection {
        projection.check_scalar_keys(&keys.names())?;
    }
    Ok(())
}

fn shown(context: &Context<'_>, page: &Page, select: &Select) -> (Option<Vec<partita_model::StoredItem>>, i32, i32) {
    context.observed.returned(page.count);
    let items = (!matches!(select, Select::Count)).then(|| page.items.clone());
    let number = |count| i32::try_from(count).unwrap_or(i32::MAX);
    (items, number(page.count), number(page.scanned))
}

/// The place of the index a request names.
fn index_place(table: &Arc<Table>, name: Option<&str>, consistent: bool) -> Result<Option<usize>, Refusal> {
    let Some(name) = name else { return Ok(None) };
    let (at, index) = table
        .index(name)
        .ok_or_else(|| Refusal::validation(format!("The table does not have the specified index: {name}")))?;
    if consistent && index.kind == partita_db::IndexKind::Global {
        return Err(Refusal::validation("Consistent reads are not supported on global secondary indexes"));
    }
    Ok(Some(at))
}

fn shape(attributes: &[KeyAttribute]) -> Vec<(&str, AttributeType)> {
    attributes.iter().map(|attribute| (attribute.name.as_str(), attribute.key_type.attribute_type())).collect()
}

/// The key conditions as the table or index takes them.
pub(crate) fn against(
    conditions: &KeyConditions,
    schema: &KeySchema,
    index: Option<&str>,
) -> Result<KeyCondition, Refusal> {
    let (partition, sort) = (shape(&schema.partition), shape(&schema.sort));
    Ok(conditions.against(&KeyShape { index, partition: &partition, sort: &sort })?)
}

/// A Query's filter may not look at the keys that its key condition is for.
fn check_filter(filter: Option<&Condition>, schema: &KeySchema) -> Result<(), Refusal> {
    let Some(filter) = filter else { return Ok(()) };
    let keys: Vec<&str> = schema.attributes().map(|attribute| attribute.name.as_str()).collect();
    Ok(filter.check_filter_keys(&keys)?)
}

/// The name of the parameter that names attributes.
const fn projection_parameter(is_expression: bool) -> &'static str {
    if is_expression { "ProjectionExpression" } else { "AttributesToGet" }
}

fn select(
    select: Option<&str>,
    projection: Option<Projection>,
    parameter: &str,
    index: bool,
) -> Result<Select, Refusal> {
    let invalid = |message: String| Err(Refusal::validation(message));
    match (select, projection) {
        (None | Some("SPECIFIC_ATTRIBUTES"), Some(projection)) => Ok(Select::Attributes(projection)),
        (Some("SPECIFIC_ATTRIBUTES"), None) => invalid(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
                .to_owned(),
        ),
        (Some(name), Some(_)) => invalid(format!(
            "Cannot specify the {parameter} when choosing to get {}",
            if name == "COUNT" { "only the Count" } else { name }
        )),
        (Some("ALL_ATTRIBUTES"), None) => Ok(Select::All),
        (Some("COUNT"), None) => Ok(Select::Count),
        (Some("ALL_PROJECTED_ATTRIBUTES"), None) if !index => {
            invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName".to_owned())
        }
        (Some(_), None) => Ok(Select::Projected),
        (None, None) => Ok(if index { Select::Projected } else { Select::All }),
    }
}

fn segment(number: Option<i32>, total: Option<i32>) -> Result<Option<Segment>, Refusal> {
    match (number, total) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(Refusal::validation(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is \
             present",
        )),
        (None, Some(_)) => Err(Refusal::validation(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is \
             present",
        )),
        (Some(number), Some(total)) if number >= total => Err(Refusal::validation(format!(
            "1 validation error detected: Value '{number}' at 'segment' failed to satisfy constraint: Member must have \
             value less than or equal to {}",
            total - 1
        ))),
        (Some(number), Some(total)) => {
            Ok(Some(Segment { number: u32::try_from(number).unwrap_or(0), total: u32::try_from(total).unwrap_or(1) }))
        }
    }
}
