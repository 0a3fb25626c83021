//! CreateTable, DescribeTable, ListTables, UpdateTable, DeleteTable.
//!
//! How requests become definitions and changes is in `tables/requests.rs`, how records become descriptions in
//! `tables/description.rs`; the rules themselves are the database's.

pub(super) mod description;
pub(super) mod requests;

use partita_model::Refusal;

use self::description::{deleted_description, description};
use super::Context;
use crate::authorize::Body;
use crate::constraints;
use crate::failure::Failure;
use crate::generated::inputs::{
    CreateTableInput, DeleteTableInput, DescribeTableInput, ListTablesInput, UpdateTableInput,
};
use crate::generated::outputs::{
    CreateTableOutput, DeleteTableOutput, DescribeTableOutput, ListTablesOutput, UpdateTableOutput,
};
use crate::json;
use crate::request::Decoded;

/// The most names on a page of ListTables ("ListTables": 100).
const MAX_LISTED: usize = 100;

pub(crate) async fn create_table(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { mut input, .. } = context.decode::<CreateTableInput>(body).await?;
    // Tags and the class have rules and words of their own.
    let (tags, class) = (input.tags.take(), input.table_class.take());
    constraints::check(&input)?;
    requests::check_schema_given(&input)?;
    let class = requests::table_class(class.as_deref())?;
    let name = input.table_name.clone().unwrap_or_default();
    let definition = requests::definition(input, tags, class)?;
    let described = context.database.create_table(&context.caller.scope, &name, &definition).await?;
    let table_description = Some(description(&described));
    Ok(json::to_vec(&CreateTableOutput { table_description }))
}

pub(crate) async fn describe_table(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DescribeTableInput>(body).await?;
    let name = input.table_name.unwrap_or_default();
    let described = context.database.describe_table(&context.caller.scope, &name).await?;
    Ok(json::to_vec(&DescribeTableOutput { table: Some(description(&described)) }))
}

pub(crate) async fn list_tables(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<ListTablesInput>(body).await?;
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MAX_LISTED);
    let after = input.exclusive_start_table_name.as_deref();
    let listed = context.database.table_names(&context.caller.scope, after, limit).await?;
    let last_evaluated_table_name = listed.names.last().filter(|_| listed.more).cloned();
    Ok(json::to_vec(&ListTablesOutput { table_names: Some(listed.names), last_evaluated_table_name }))
}

pub(crate) async fn update_table(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { mut input, .. } = context.decode::<UpdateTableInput>(body).await?;
    let class = input.table_class.take();
    constraints::check(&input)?;
    let class = requests::table_class(class.as_deref())?;
    let name = input.table_name.clone().unwrap_or_default();
    let change = requests::change(input, class)?;
    let described = context.database.update_table(&context.caller.scope, &name, &change).await?;
    let table_description = Some(description(&described));
    Ok(json::to_vec(&UpdateTableOutput { table_description }))
}

pub(crate) async fn delete_table(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DeleteTableInput>(body).await?;
    let name = input.table_name.unwrap_or_default();
    let described = context.database.delete_table(&context.caller.scope, &name).await?;
    let table_description = Some(deleted_description(&described));
    Ok(json::to_vec(&DeleteTableOutput { table_description }))
}

/// The refusal of a parameter whose effect this version does not have, where silence would do harm.
fn not_supported(parameter: &str) -> Refusal {
    Refusal::validation(format!("One or more parameter values were invalid: {parameter} is not supported"))
}

#[cfg(test)]
mod tests;
