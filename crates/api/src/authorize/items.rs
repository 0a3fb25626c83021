//! What the operations on items do.

use std::borrow::Cow;

use partita_model::Refusal;

use super::Judged;
use super::named::{Items, Named, Place, Returns, Selects, Which};
use crate::generated::inputs;
use crate::json::Entries;
use crate::operations::EMPTY_MEMBER;

const NONE: &str = "NONE";
const WRITES: Option<&str> = Some("TransactWriteItems");
const READS: Option<&str> = Some("TransactGetItems");

fn table(name: &Option<String>) -> Place<'_> {
    Place::Table(Cow::Borrowed(name.as_deref().unwrap_or_default()))
}

fn table_or_index<'r>(name: &'r Option<String>, index: &'r Option<String>) -> Place<'r> {
    match index {
        Some(index) => Place::Index(Cow::Borrowed(name.as_deref().unwrap_or_default()), Cow::Borrowed(index)),
        None => table(name),
    }
}

/// A parameter with a default that is as good as given.
fn or_none(parameter: &Option<String>) -> Option<&str> {
    Some(parameter.as_deref().unwrap_or(NONE))
}

fn returns<'r>(values: &'r Option<String>, on_failure: &'r Option<String>) -> Returns<'r> {
    Returns { values: or_none(values), on_failure: on_failure.as_deref() }
}

fn on_failure(parameter: &Option<String>) -> Returns<'_> {
    Returns { values: Some(NONE), on_failure: parameter.as_deref() }
}

impl Judged for inputs::GetItemInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let items = Items {
            which: self.key.as_ref().map_or(Which::Found, Which::Key),
            names: self.expression_attribute_names.as_ref(),
            projection: self.projection_expression.as_deref(),
            attributes_to_get: self.attributes_to_get.as_deref(),
            select: Selects::Read(None),
            consumed: or_none(&self.return_consumed_capacity),
            ..Items::default()
        };
        named.push(Named::items("dynamodb:GetItem", table(&self.table_name), items));
        Ok(())
    }
}

impl Judged for inputs::PutItemInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let items = Items {
            which: self.item.as_ref().map_or(Which::Found, Which::Put),
            names: self.expression_attribute_names.as_ref(),
            values: self.expression_attribute_values.as_ref(),
            condition: self.condition_expression.as_deref(),
            expected: self.expected.as_ref(),
            returns: returns(&self.return_values, &self.return_values_on_condition_check_failure),
            consumed: or_none(&self.return_consumed_capacity),
            ..Items::default()
        };
        named.push(Named::items("dynamodb:PutItem", table(&self.table_name), items));
        Ok(())
    }
}

impl Judged for inputs::UpdateItemInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let items = Items {
            which: self.key.as_ref().map_or(Which::Found, Which::Key),
            names: self.expression_attribute_names.as_ref(),
            values: self.expression_attribute_values.as_ref(),
            condition: self.condition_expression.as_deref(),
            update: self.update_expression.as_deref(),
            expected: self.expected.as_ref(),
            attribute_updates: self.attribute_updates.as_ref(),
            returns: returns(&self.return_values, &self.return_values_on_condition_check_failure),
            consumed: or_none(&self.return_consumed_capacity),
            ..Items::default()
        };
        named.push(Named::items("dynamodb:UpdateItem", table(&self.table_name), items));
        Ok(())
    }
}

impl Judged for inputs::DeleteItemInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let items = Items {
            which: self.key.as_ref().map_or(Which::Found, Which::Key),
            names: self.expression_attribute_names.as_ref(),
            values: self.expression_attribute_values.as_ref(),
            condition: self.condition_expression.as_deref(),
            expected: self.expected.as_ref(),
            returns: returns(&self.return_values, &self.return_values_on_condition_check_failure),
            consumed: or_none(&self.return_consumed_capacity),
            ..Items::default()
        };
        named.push(Named::items("dynamodb:DeleteItem", table(&self.table_name), items));
        Ok(())
    }
}

impl Judged for inputs::QueryInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let items = Items {
            index: self.index_name.as_deref(),
            names: self.expression_attribute_names.as_ref(),
            values: self.expression_attribute_values.as_ref(),
            key_condition: self.key_condition_expression.as_deref(),
            filter: self.filter_expression.as_deref(),
            projection: self.projection_expression.as_deref(),
            key_conditions: self.key_conditions.as_ref(),
            filter_conditions: self.query_filter.as_ref(),
            attributes_to_get: self.attributes_to_get.as_deref(),
            select: Selects::Read(self.select.as_deref()),
            consumed: or_none(&self.return_consumed_capacity),
            ..Items::default()
        };
        named.push(Named::items("dynamodb:Query", table_or_index(&self.table_name, &self.index_name), items));
        Ok(())
    }
}

impl Judged for inputs::ScanInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let items = Items {
            index: self.index_name.as_deref(),
            names: self.expression_attribute_names.as_ref(),
            values: self.expression_attribute_values.as_ref(),
            filter: self.filter_expression.as_deref(),
            projection: self.projection_expression.as_deref(),
            filter_conditions: self.scan_filter.as_ref(),
            attributes_to_get: self.attributes_to_get.as_deref(),
            select: Selects::Read(self.select.as_deref()),
            consumed: or_none(&self.return_consumed_capacity),
            ..Items::default()
        };
        named.push(Named::items("dynamodb:Scan", table_or_index(&self.table_name, &self.index_name), items));
        Ok(())
    }
}

impl Judged for inputs::SearchVectorsInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let items = Items {
            index: self.index_name.as_deref(),
            names: self.expression_attribute_names.as_ref(),
            values: self.expression_attribute_values.as_ref(),
            filter: self.search_condition_expression.as_deref(),
            projection: self.projection_expression.as_deref(),
            select: Selects::Read(None),
            consumed: or_none(&self.return_consumed_capacity),
            ..Items::default()
        };
        named.push(Named::items("dynamodb:SearchVectors", table_or_index(&self.table_name, &self.index_name), items));
        Ok(())
    }
}

impl Judged for inputs::BatchGetItemInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        for (name, gets) in self.request_items.iter().flat_map(|Entries(requests)| requests) {
            let items = Items {
                which: Which::Keys(gets.keys.as_deref().unwrap_or_default()),
                names: gets.expression_attribute_names.as_ref(),
                projection: gets.projection_expression.as_deref(),
                attributes_to_get: gets.attributes_to_get.as_deref(),
                select: Selects::Read(None),
                consumed: or_none(&self.return_consumed_capacity),
                ..Items::default()
            };
            named.push(Named::items("dynamodb:BatchGetItem", Place::Table(Cow::Borrowed(name)), items));
        }
        Ok(())
    }
}

impl Judged for inputs::BatchWriteItemInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        for (name, writes) in self.request_items.iter().flat_map(|Entries(requests)| requests) {
            let items = Items {
                which: Which::Writes(writes),
                consumed: or_none(&self.return_consumed_capacity),
                ..Items::default()
            };
            named.push(Named::items("dynamodb:BatchWriteItem", Place::Table(Cow::Borrowed(name)), items));
        }
        Ok(())
    }
}

impl Judged for inputs::TransactGetItemsInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        for get in self.transact_items.iter().flatten().filter_map(|member| member.get.as_ref()) {
            let items = Items {
                which: get.key.as_ref().map_or(Which::Found, Which::Key),
                names: get.expression_attribute_names.as_ref(),
                projection: get.projection_expression.as_deref(),
                select: Selects::Read(None),
                consumed: or_none(&self.return_consumed_capacity),
                ..Items::default()
            };
            let get = Named::items("dynamodb:GetItem", table(&get.table_name), items);
            named.push(Named { enclosing: READS, ..get });
        }
        Ok(())
    }
}

impl Judged for inputs::TransactWriteItemsInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let consumed = or_none(&self.return_consumed_capacity);
        for member in self.transact_items.iter().flatten() {
            // A member with several of them is refused later; whatever it names, it has to be allowed to.
            if let Some(put) = &member.put {
                let items = Items {
                    which: put.item.as_ref().map_or(Which::Found, Which::Put),
                    names: put.expression_attribute_names.as_ref(),
                    values: put.expression_attribute_values.as_ref(),
                    condition: put.condition_expression.as_deref(),
                    returns: on_failure(&put.return_values_on_condition_check_failure),
                    consumed,
                    ..Items::default()
                };
                named.push(Named::items("dynamodb:PutItem", table(&put.table_name), items));
            }
            if let Some(update) = &member.update {
                let items = Items {
                    which: update.key.as_ref().map_or(Which::Found, Which::Key),
                    names: update.expression_attribute_names.as_ref(),
                    values: update.expression_attribute_values.as_ref(),
                    condition: update.condition_expression.as_deref(),
                    update: update.update_expression.as_deref(),
                    returns: on_failure(&update.return_values_on_condition_check_failure),
                    consumed,
                    ..Items::default()
                };
                named.push(Named::items("dynamodb:UpdateItem", table(&update.table_name), items));
            }
            if let Some(delete) = &member.delete {
                let items = Items {
                    which: delete.key.as_ref().map_or(Which::Found, Which::Key),
                    names: delete.expression_attribute_names.as_ref(),
                    values: delete.expression_attribute_values.as_ref(),
                    condition: delete.condition_expression.as_deref(),
                    returns: on_failure(&delete.return_values_on_condition_check_failure),
                    consumed,
                    ..Items::default()
                };
                named.push(Named::items("dynamodb:DeleteItem", table(&delete.table_name), items));
            }
            if let Some(check) = &member.condition_check {
                let items = Items {
                    which: check.key.as_ref().map_or(Which::Found, Which::Key),
                    names: check.expression_attribute_names.as_ref(),
                    values: check.expression_attribute_values.as_ref(),
                    condition: check.condition_expression.as_deref(),
                    returns: on_failure(&check.return_values_on_condition_check_failure),
                    consumed,
                    ..Items::default()
                };
                named.push(Named::items("dynamodb:ConditionCheckItem", table(&check.table_name), items));
            }
        }
        if named.is_empty() {
            return Err(Refusal::validation(EMPTY_MEMBER));
        }
        for member in named {
            member.enclosing = WRITES;
        }
        Ok(())
    }
}
