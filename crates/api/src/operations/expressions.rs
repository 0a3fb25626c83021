//! A request's expressions, names and values, and their legacy counterparts, bound for the database.

use partita_db::Table;
use partita_expr::legacy::{
    self, Action, AttributeUpdate, ComparisonOperator, ConditionalOperator, Expected, Filter, LegacyCondition,
};
use partita_expr::{Bindings, Condition, KeyConditions, KeyNames, Kind, ParseCache, Projection, Update};
use partita_model::schema::KeySchema;
use partita_model::{AttributeMap, Refusal};

use crate::generated::structures as wire;
use crate::json::Entries;

type Result<T> = std::result::Result<T, Refusal>;

/// The names and values of one request, and its expressions as they are bound one after another.
pub(crate) struct Expressions<'a> {
    cache: &'a ParseCache,
    bindings: Bindings,
}

impl<'a> Expressions<'a> {
    pub(crate) fn new(
        cache: &'a ParseCache,
        names: Option<Entries<String>>,
        values: Option<AttributeMap>,
    ) -> Result<Self> {
        let names = names.map(|Entries(names)| names);
        let values = values.map(|values| values.into_iter().collect());
        Ok(Self { cache, bindings: Bindings::new(names, values)? })
    }

    pub(crate) fn condition(&mut self, kind: Kind, text: Option<&str>) -> Result<Option<Condition>> {
        let Some(text) = text else { return Ok(None) };
        Ok(Some(Condition::bind(&self.cache.condition(kind, text)?, &mut self.bindings)?))
    }

    pub(crate) fn key_conditions(&mut self, text: &str) -> Result<KeyConditions> {
        Ok(KeyConditions::bind(&self.cache.condition(Kind::KeyCondition, text)?, &mut self.bindings)?)
    }

    pub(crate) fn update(&mut self, text: Option<&str>) -> Result<Option<Update>> {
        let Some(text) = text else { return Ok(None) };
        Ok(Some(Update::bind(&self.cache.update(text)?, &mut self.bindings)?))
    }

    pub(crate) fn projection(&mut self, text: Option<&str>) -> Result<Option<Projection>> {
        let Some(text) = text else { return Ok(None) };
        Ok(Some(Projection::bind(&self.cache.projection(text)?, &mut self.bindings)?))
    }

    /// Refuses names and values that no expression used.
    pub(crate) fn finish(self) -> Result<()> {
        Ok(self.bindings.finish()?)
    }
}

/// Which parameters of the two styles a request carries, by their names.
#[derive(Default)]
pub(crate) struct Styles {
    legacy: Vec<&'static str>,
    expressions: Vec<&'static str>,
    value_expressions: Vec<&'static str>,
    any_value_expression: bool,
}

impl Styles {
    pub(crate) fn legacy(mut self, name: &'static str, present: bool) -> Self {
        self.legacy.extend(present.then_some(name));
        self
    }

    /// An expression that values can stand in.
    pub(crate) fn expression(mut self, name: &'static str, present: bool) -> Self {
        self.expressions.extend(present.then_some(name));
        self.value_expressions.push(name);
        self.any_value_expression |= present;
        self
    }

    /// An expression of paths alone.
    pub(crate) fn projection(mut self, present: bool) -> Self {
        self.expressions.extend(present.then_some("ProjectionExpression"));
        self
    }

    /// Refuses a mixture of both, and names or values where there is no expression.
    pub(crate) fn check(&self, names: bool, values: bool) -> Result<()> {
        legacy::check_not_mixed(&self.legacy, &self.expressions)?;
        let any = !self.expressions.is_empty();
        Ok(Bindings::check_needed(names, values, any, self.any_value_expression, &self.value_expressions)?)
    }
}

/// The names of the key attributes of a table and of its indexes, which expressions must not treat as documents.
pub(crate) struct Keys<'t> {
    table: Vec<&'t str>,
    indexes: Vec<&'t str>,
}

impl<'t> Keys<'t> {
    pub(crate) fn of(table: &'t Table) -> Self {
        let names = |schema: &'t KeySchema| schema.attributes().map(|attribute| attribute.name.as_str());
        Self {
            table: names(&table.key).collect(),
            indexes: table.indexes.iter().flat_map(|index| names(&index.key)).collect(),
        }
    }

    pub(crate) fn names(&self) -> KeyNames<'_> {
        KeyNames { table: &self.table, indexes: &self.indexes }
    }
}

fn conditional_operator(name: Option<&str>) -> Option<ConditionalOperator> {
    match name? {
        "OR" => Some(ConditionalOperator::Or),
        _ => Some(ConditionalOperator::And),
    }
}

/// `Expected` with its operator.
pub(crate) fn expected(
    expected: Option<Entries<wire::ExpectedAttributeValue>>,
    operator: Option<&str>,
) -> Result<Option<Condition>> {
    let Entries(expected) = expected.unwrap_or_default();
    let lowered = expected.into_iter().map(|(name, given)| {
        let expected = Expected {
            value: given.value,
            exists: given.exists,
            operator: given.comparison_operator.and_then(|name| ComparisonOperator::from_name(&name)),
            values: given.attribute_value_list,
        };
        (name, expected)
    });
    Ok(legacy::expected(lowered.collect(), conditional_operator(operator))?)
}

/// `QueryFilter` or `ScanFilter` with its operator.
pub(crate) fn filter(
    parameter: Filter,
    conditions: Option<Entries<wire::Condition>>,
    operator: Option<&str>,
) -> Result<Option<Condition>> {
    let conditions = legacy_conditions(conditions.unwrap_or_default());
    Ok(legacy::filter(parameter, conditions, conditional_operator(operator))?)
}

pub(crate) fn legacy_conditions(Entries(conditions): Entries<wire::Condition>) -> Vec<(String, LegacyCondition)> {
    let lowered = conditions.into_iter().filter_map(|(name, given)| {
        let operator = given.comparison_operator.and_then(|name| ComparisonOperator::from_name(&name))?;
        Some((name, LegacyCondition { operator, values: given.attribute_value_list.unwrap_or_default() }))
    });
    lowered.collect()
}

pub(crate) fn attribute_updates(Entries(updates): Entries<wire::AttributeValueUpdate>) -> Result<Update> {
    let lowered = updates.into_iter().map(|(name, given)| {
        let action = given.action.map(|name| match name.as_str() {
            "ADD" => Action::Add,
            "DELETE" => Action::Delete,
            _ => Action::Put,
        });
        (name, AttributeUpdate { action, value: given.value })
    });
    Ok(legacy::attribute_updates(lowered.collect())?)
}
