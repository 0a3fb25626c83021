//! Query: the rows of one partition of a table or index, in the order of their sort keys.

use std::sync::Arc;

use partita_engine::{Direction, Key, KeyRange};
use partita_expr::{Condition, KeyCondition, SortRange};
use partita_model::key::{self, PartitionHash, partition_hash, prefix_end};
use partita_model::{AttributeMap, AttributeValue};

use super::get::freshness;
use super::page::{Page, PageRequest, Select, behind};
use super::start::start_row;
use crate::Database;
use crate::error::{Error, Result};
use crate::table::{Index, Table};

/// A Query, checked against its table.
#[derive(Clone, Debug)]
pub struct QueryRequest {
    /// The place of the index in `Table::indexes`; `None` for the table itself.
    pub index: Option<usize>,
    /// Which rows.
    pub key: KeyCondition,
    /// Which of them to return.
    pub filter: Option<Condition>,
    /// What to return of each.
    pub select: Select,
    /// The most rows to read.
    pub limit: Option<usize>,
    /// Whether to read in ascending order.
    pub forward: bool,
    /// Where to go on.
    pub start: Option<AttributeMap>,
    /// Whether the read is strongly consistent.
    pub consistent: bool,
}

impl Database {
    /// Reads a page of a Query.
    ///
    /// # Errors
    /// `ValidationException` when the index can not answer or the start key does not fit, `ResourceNotFoundException`
    /// when the table has gone, or an engine failure.
    pub async fn query(&self, table: &Arc<Table>, request: &QueryRequest) -> Result<Page> {
        let snapshot = self.snapshot(freshness(request.consistent)).await?;
        self.table_as_of(&snapshot, table).await?;
        let index = request.index.and_then(|at| table.indexes.get(at).map(|index| (at, index)));
        let direction = if request.forward { Direction::Forward } else { Direction::Backward };
        let partition = partition_hash(self.key_secret().0, request.key.partition.iter().map(|(_, value)| value));
        let mut range = self.key_range(table, index.map(|(_, index)| index), &request.key, &partition);
        if let Some(start) = &request.start {
            let row = self.query_start(table, index.map(|(_, index)| index), &request.key, &range, start)?;
            range = behind(&range, &row, direction);
        }
        let page = PageRequest {
            table,
            index,
            partition: Some((partition, &request.key.partition)),
            range,
            direction,
            filter: request.filter.as_ref(),
            select: &request.select,
            limit: request.limit,
            consistent: request.consistent,
        };
        page.check_filter()?;
        self.page(&snapshot, &page).await
    }

    /// The row a Query goes on from, which must lie where the Query looks.
    fn query_start(
        &self,
        table: &Table,
        index: Option<&Index>,
        condition: &KeyCondition,
        range: &KeyRange,
        start: &AttributeMap,
    ) -> Result<Key> {
        let row = start_row(&self.key_secret(), table, index, start)?;
        if condition.partition.iter().any(|(name, value)| start.get(name) != Some(value)) {
            return Err(Error::validation(
                "The provided starting key is outside query boundaries based on provided conditions",
            ));
        }
        if index.is_none() && table.key.sort.is_empty() {
            return Err(Error::validation("The query can return at most one row and cannot be restarted"));
        }
        if !range.contains(&row) {
            return Err(Error::validation("The provided starting key does not match the range key predicate"));
        }
        Ok(row)
    }

    /// The rows that a key condition selects.
    fn key_range(
        &self,
        table: &Table,
        index: Option<&Index>,
        condition: &KeyCondition,
        partition: &PartitionHash,
    ) -> KeyRange {
        let mut prefix = index.map_or(table.item_prefix(), Index::prefix).to_vec();
        prefix.extend_from_slice(partition);
        condition.sort.iter().for_each(|(_, value)| key::put_sort_value(&mut prefix, value));
        let with = |value: &AttributeValue| {
            let mut key = prefix.clone();
            key::put_sort_value(&mut key, value);
            key
        };
        // A stored key begins with a space byte below 0xff, so every prefix has an end.
        let end = |key: &[u8]| prefix_end(key).unwrap_or_default();
        match condition.range.as_ref().map(|(_, range)| range) {
            None => KeyRange::prefix(prefix),
            Some(SortRange::Lt(value)) => KeyRange::new(prefix.clone(), with(value)),
            Some(SortRange::Le(value)) => KeyRange::new(prefix.clone(), end(&with(value))),
            Some(SortRange::Gt(value)) => KeyRange::new(end(&with(value)), end(&prefix)),
            Some(SortRange::Ge(value)) => KeyRange::new(with(value), end(&prefix)),
            Some(SortRange::Between(low, high)) => KeyRange::new(with(low), end(&with(high))),
            Some(SortRange::BeginsWith(value)) => {
                let bytes: &[u8] = match value {
                    AttributeValue::S(text) => text.as_bytes(),
                    AttributeValue::B(bytes) => bytes,
                    _ => &[],
                };
                let mut beginning = prefix.clone();
                key::put_sort_prefix(&mut beginning, bytes);
                KeyRange::new(with(value), end(&beginning))
            }
        }
    }
}
