//! What of a table is exported: items by their keys and attributes, and attributes of them.
//!
//! Kept as text, as it was asked for, and bound whenever the work begins. Source: "Filtering a table export".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use partita_expr::{
    Bindings, Condition, KeyCondition, KeyConditions, KeyNames, KeyShape, Kind, ParseCache, Projection,
};
use partita_model::schema::KeyAttribute;
use partita_model::{AttributeMap, AttributeType, StoredItem};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::table::Table;

/// Expressions that say what is exported, with what is substituted in them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportFilter {
    /// `KeyConditionExpression`.
    pub key_condition: Option<String>,
    /// `FilterExpression`.
    pub filter: Option<String>,
    /// `ProjectionExpression`.
    pub projection: Option<String>,
    /// `ExpressionAttributeNames`.
    pub names: Option<Vec<(String, String)>>,
    /// `ExpressionAttributeValues` in the form that is kept, for [`Self::set_values`] and [`Self::values`].
    pub values: Option<String>,
}

/// The same, bound.
#[derive(Debug)]
pub(super) struct BoundFilter {
    /// Where the items lie, and which of those there.
    pub key: Option<(KeyConditions, Condition)>,
    /// Which items.
    pub filter: Option<Condition>,
    /// Which attributes.
    pub projection: Option<Projection>,
}

impl ExportFilter {
    /// Sets what is substituted for values.
    pub fn set_values(&mut self, values: Option<&AttributeMap>) {
        self.values = values.map(|values| STANDARD.encode(StoredItem::from_item(values).as_bytes()));
    }

    /// What is substituted for values.
    #[must_use]
    pub fn values(&self) -> Option<AttributeMap> {
        let bytes = STANDARD.decode(self.values.as_ref()?).ok()?;
        Some(StoredItem::from_bytes(bytes.into()).to_item())
    }

    fn bindings(&self) -> std::result::Result<Bindings, partita_expr::Error> {
        Bindings::new(self.names.clone(), self.values().map(|values| values.into_iter().collect()))
    }

    /// Binds the expressions.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn bind(&self) -> std::result::Result<BoundFilter, partita_expr::Error> {
        let cache = ParseCache::default();
        let mut bindings = self.bindings()?;
        let condition = |kind, text: &Option<String>, bindings: &mut Bindings| {
            let bind = |text: &String| Condition::bind(&cache.condition(kind, text)?, bindings);
            text.as_ref().map(bind).transpose()
        };
        let filter = condition(Kind::Filter, &self.filter, &mut bindings)?;
        let bind = |text: &String, bindings: &mut Bindings| Projection::bind(&cache.projection(text)?, bindings);
        let projection = self.projection.as_ref().map(|text| bind(text, &mut bindings)).transpose()?;
        let key = match &self.key_condition {
            Some(text) => {
                let keys = KeyConditions::bind(&cache.condition(Kind::KeyCondition, text)?, &mut bindings)?;
                let condition = condition(Kind::KeyCondition, &self.key_condition, &mut bindings)?;
                condition.map(|condition| (keys, condition))
            }
            None => None,
        };
        bindings.finish()?;
        Ok(BoundFilter { key, filter, projection })
    }
}

impl BoundFilter {
    /// The partition and the range of sort keys that the key condition names, if there is one.
    ///
    /// # Errors
    /// `ValidationException`, when the key condition is not one of the table's key.
    pub(super) fn key_condition(&self, table: &Table) -> Result<Option<KeyCondition>> {
        let Some((keys, _)) = &self.key else { return Ok(None) };
        let (partition, sort) = (shape(&table.key.partition), shape(&table.key.sort));
        Ok(Some(keys.against(&KeyShape { index: None, partition: &partition, sort: &sort })?))
    }

    /// Refuses what a Query or Scan of the table would refuse.
    ///
    /// # Errors
    /// `ValidationException`.
    pub(super) fn check(&self, table: &Table) -> Result<()> {
        let names: Vec<&str> = table.key.attributes().map(|attribute| attribute.name.as_str()).collect();
        let keys = KeyNames { table: &names, indexes: &[] };
        if let Some(filter) = &self.filter {
            filter.check_scalar_keys(&keys)?;
        }
        if let Some(projection) = &self.projection {
            projection.check_scalar_keys(&keys)?;
        }
        if let Some((conditions, _)) = &self.key {
            conditions.check_scalar_keys(&keys)?;
            self.key_condition(table)?;
            if let Some(filter) = &self.filter {
                filter.check_filter_keys(&names)?;
            }
        }
        Ok(())
    }

    /// Whether an item is exported.
    pub(super) fn admits(&self, item: &StoredItem) -> bool {
        self.key.as_ref().is_none_or(|(_, condition)| condition.matches(item))
            && self.filter.as_ref().is_none_or(|filter| filter.matches(item))
    }

    /// What of an item is exported.
    pub(super) fn shown(&self, item: &StoredItem) -> Option<StoredItem> {
        self.projection.as_ref().map(|projection| StoredItem::from_item(&projection.apply(item)))
    }
}

fn shape(attributes: &[KeyAttribute]) -> Vec<(&str, AttributeType)> {
    attributes.iter().map(|attribute| (attribute.name.as_str(), attribute.key_type.attribute_type())).collect()
}
