//! Attribute names and partition keys that a request names, found by the same parsing and binding that executes it. What
//! can not be bound refuses the request, so nothing that is executed was judged by less than what it says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use partita_db::Table;
use partita_expr::partiql::{self, Plan, StatementKind};
use partita_expr::{KeyCondition, Kind, ParseCache, Path, legacy};
use partita_model::schema::KeySchema;
use partita_model::{AttributeMap, AttributeValue, Refusal};

use super::named::{Details, Items, Stated, Which};
use crate::json::Entries;
use crate::operations::against;
use crate::operations::expressions::{self, Expressions, Keys};

type Result<T> = std::result::Result<T, Refusal>;

/// The top-level attributes that are named, each once; `None` when the request has no place to name any.
pub(super) fn attributes(cache: &ParseCache, details: &Details<'_>) -> Result<Option<Vec<String>>> {
    let mut names = match details {
        Details::Items(items) => attributes_of_items(cache, items)?,
        Details::Statement(stated) => stated.statement.attributes(stated.parameters)?,
        Details::None | Details::Tags(_) | Details::TagKeys(_) => return Ok(None),
    };
    names.sort_unstable();
    names.dedup();
    Ok((!names.is_empty()).then_some(names))
}

fn attributes_of_items(cache: &ParseCache, items: &Items<'_>) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for map in maps(&items.which) {
        names.extend(map.iter().map(|(name, _)| name.to_owned()));
    }
    fn entries<T>(names: &mut Vec<String>, entries: Option<&Entries<T>>) {
        names.extend(entries.into_iter().flat_map(|Entries(entries)| entries).map(|(name, _)| name.clone()));
    }
    entries(&mut names, items.key_conditions);
    entries(&mut names, items.filter_conditions);
    entries(&mut names, items.expected);
    entries(&mut names, items.attribute_updates);
    names.extend(items.attributes_to_get.unwrap_or_default().iter().cloned());
    let texts = [items.key_condition, items.condition, items.filter, items.projection, items.update];
    if texts.iter().all(Option::is_none) {
        return Ok(names);
    }
    let mut bound = Expressions::new(cache, items.names.cloned(), items.values.cloned())?;
    let mut add = |path: &Path| names.push(path.root().to_owned());
    if let Some(projection) = bound.projection(items.projection)? {
        projection.paths().for_each(&mut add);
    }
    for (kind, text) in [(Kind::Condition, items.condition), (Kind::Filter, items.filter)] {
        if let Some(condition) = bound.condition(kind, text)? {
            condition.paths().for_each(&mut add);
        }
    }
    if let Some(text) = items.key_condition {
        bound.key_conditions(text)?.paths().iter().for_each(&mut add);
    }
    if let Some(update) = bound.update(items.update)? {
        update.paths_written().chain(update.paths_read()).for_each(&mut add);
    }
    Ok(names)
}

/// The items and keys that a request carries.
fn maps<'r>(which: &Which<'r>) -> Vec<&'r AttributeMap> {
    match *which {
        Which::Found => Vec::new(),
        Which::Key(map) | Which::Put(map) => vec![map],
        Which::Keys(keys) => keys.iter().collect(),
        Which::Writes(writes) => {
            let puts = writes.iter().filter_map(|write| write.put_request.as_ref()?.item.as_ref());
            puts.chain(writes.iter().filter_map(|write| write.delete_request.as_ref()?.key.as_ref())).collect()
        }
    }
}

/// The values of the partition attribute at this place of the key, as policies write them; `None` when the request
/// names none, as a Scan does.
pub(super) fn partition_values(
    cache: &ParseCache,
    table: &Table,
    details: &Details<'_>,
    place: usize,
) -> Result<Option<Vec<String>>> {
    let mut values: Vec<String> = match details {
        Details::Items(items) => {
            let index = items.index.and_then(|name| table.index(name)).map(|(_, index)| &index.key);
            let schema = match (items.index, index) {
                // Of an index that is not there nothing can be said.
                (Some(_), None) => return Ok(None),
                (_, index) => index.unwrap_or(&table.key),
            };
            match &items.which {
                Which::Found => match key_condition(cache, schema, items)? {
                    Some(condition) => {
                        condition.partition.get(place).map(|(_, value)| text(value)).into_iter().collect()
                    }
                    None => return Ok(None),
                },
                which => {
                    let Some(attribute) = table.key.partition.get(place) else { return Ok(None) };
                    maps(which).into_iter().filter_map(|map| map.get(&attribute.name)).map(text).collect()
                }
            }
        }
        Details::Statement(stated) => match partitions_of_statement(table, stated, place)? {
            Some(values) => values,
            None => return Ok(None),
        },
        Details::None | Details::Tags(_) | Details::TagKeys(_) => return Ok(None),
    };
    values.sort_unstable();
    values.dedup();
    Ok((!values.is_empty()).then_some(values))
}

/// What a query's conditions say of its key.
fn key_condition(cache: &ParseCache, schema: &KeySchema, items: &Items<'_>) -> Result<Option<KeyCondition>> {
    let conditions = if let Some(text) = items.key_condition {
        Expressions::new(cache, items.names.cloned(), items.values.cloned())?.key_conditions(text)?
    } else if let Some(conditions) = items.key_conditions {
        legacy::key_conditions(expressions::legacy_conditions(conditions.clone()))?
    } else {
        return Ok(None);
    };
    against(&conditions, schema, items.index).map(Some)
}

fn partitions_of_statement(table: &Table, stated: &Stated<'_>, place: usize) -> Result<Option<Vec<String>>> {
    let Stated { statement, parameters, .. } = stated;
    if statement.kind() == StatementKind::Select {
        return Ok(match plan(table, stated)? {
            Some(Plan::Queries(queries)) => {
                let value = |query: &KeyCondition| query.partition.get(place).map(|(_, value)| text(value));
                Some(queries.iter().filter_map(value).collect())
            }
            Some(Plan::Scan) | None => None,
        });
    }
    let names = Keys::of(table);
    let keys = partiql::Keys { schema: &table.key, names: names.names() };
    let key = match statement.kind() {
        StatementKind::Insert => statement.insert(&keys, parameters)?,
        StatementKind::Update => statement.update(&keys, parameters)?.key,
        StatementKind::Delete => statement.delete(&keys, parameters)?.key,
        StatementKind::Exists => statement.exists(&keys, parameters)?.key,
        StatementKind::Select | StatementKind::Expression => return Ok(None),
    };
    let Some(attribute) = table.key.partition.get(place) else { return Ok(None) };
    Ok(Some(key.get(&attribute.name).map(text).into_iter().collect()))
}

/// How a SELECT reads; `None` when its index is not there, and so nothing will be read.
pub(super) fn plan(table: &Table, stated: &Stated<'_>) -> Result<Option<Plan>> {
    let schema = match stated.statement.index() {
        None => &table.key,
        Some(name) => match table.index(name) {
            Some((_, index)) => &index.key,
            None => return Ok(None),
        },
    };
    let names = Keys::of(table);
    let keys = partiql::Keys { schema, names: names.names() };
    Ok(Some(stated.statement.select(&keys, stated.parameters)?.plan))
}

/// A key value as policies write it: a string as it is, a number in its shortest form, a binary in Base64.
fn text(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) => text.clone(),
        AttributeValue::N(number) => number.to_string(),
        AttributeValue::B(bytes) => STANDARD.encode(bytes),
        // No key is of another type; the request is refused for it later.
        _ => String::new(),
    }
}
