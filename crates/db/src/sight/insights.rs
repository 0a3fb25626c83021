//! Contributor insights: which keys of a table or index take the most throughput, and which are throttled the most.
//!
//! Off unless a table's record says so (`UpdateContributorInsights`); then each access adds to bounded sketches in this
//! node's memory (`partita_metrics::heavy`), which hold keys in plain text for an hour and are gone with the process.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use parking_lot::Mutex;
use partita_engine::{Direction, Freshness, KeyRange, ScanLimit};
use partita_metrics::heavy::{HeavyHitters, Ranking};
use partita_model::{AttributeMap, AttributeValue};
use serde::{Deserialize, Serialize};

use crate::Database;
use crate::capacity::{Capacity, Consumed};
use crate::catalog::{Becomes, RecordChange, catalog_key_of, decode_record};
use crate::error::{Error, Result};
use crate::keyspace::{self, TABLE_ITSELF};
use crate::metering::Touched;
use crate::record::{IndexStatus, TableRecord};
use crate::scope::Scope;
use crate::table::{Index, IndexKind, ItemKey, Table};
use crate::tables::no_such_table;

/// The most bytes of one key attribute that are kept and shown; longer ones end with an ellipsis.
const SHOWN_BYTES: usize = 256;

/// The most tables that one page of a list looks at.
const LISTED_TABLES: usize = 1_000;

/// A table, and an index of it or the table itself.
pub type InsightsPlace = (String, Option<String>);

/// What a table's record says of contributor insights, of the table or of one of its indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsightsRecord {
    /// The index's id; 0 for the table itself.
    pub index: u16,
    /// What is counted.
    pub mode: InsightsMode,
    /// When they were enabled, in milliseconds since the epoch; `None` while they are disabled.
    pub enabled_ms: Option<u64>,
    /// When they were last changed, in milliseconds since the epoch.
    pub changed_ms: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InsightsMode {
    /// Keys that are accessed and keys that are throttled.
    #[default]
    AccessedAndThrottled,
    /// Keys that are throttled.
    Throttled,
}

/// What a ranking is of. Each has a rule of its own in CloudWatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsightsRule {
    /// Partition keys by consumed throughput.
    PartitionConsumed,
    /// Items by consumed throughput.
    ItemConsumed,
    /// Partition keys by throttled requests.
    PartitionThrottled,
    /// Items by throttled requests.
    ItemThrottled,
}

impl InsightsRule {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 4] =
        [Self::PartitionConsumed, Self::ItemConsumed, Self::PartitionThrottled, Self::ItemThrottled];

    /// The part of a rule's name that says what it is of.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PartitionConsumed => "PKC",
            Self::ItemConsumed => "SKC",
            Self::PartitionThrottled => "PKT",
            Self::ItemThrottled => "SKT",
        }
    }

    /// Whether it ranks what was throttled.
    #[must_use]
    pub const fn is_of_throttled(self) -> bool {
        matches!(self, Self::PartitionThrottled | Self::ItemThrottled)
    }

    /// Whether it ranks single items, of tables with a sort key.
    #[must_use]
    pub const fn is_of_items(self) -> bool {
        matches!(self, Self::ItemConsumed | Self::ItemThrottled)
    }
}

impl InsightsRecord {
    /// The rules there are, of a table or index with or without a sort key; none while disabled.
    pub fn rules(&self, sorted: bool) -> impl Iterator<Item = InsightsRule> {
        let Self { mode, enabled_ms, .. } = *self;
        InsightsRule::ALL.into_iter().filter(move |rule| {
            enabled_ms.is_some()
                && (sorted || !rule.is_of_items())
                && (mode == InsightsMode::AccessedAndThrottled || rule.is_of_throttled())
        })
    }
}

/// How it stands with contributor insights of a table or index.
#[derive(Clone, Debug)]
pub struct Insights {
    /// The table's name.
    pub table: String,
    /// The index's name; `None` for the table itself.
    pub index: Option<String>,
    /// What the record says; `None` when they were never enabled.
    pub record: Option<InsightsRecord>,
    /// The names of the key's attributes: the partition's, and then the others.
    pub partition: Vec<String>,
    /// Those of the sort key.
    pub sort: Vec<String>,
}

/// Sketches of one table or index.
#[derive(Debug, Default)]
pub(crate) struct KeySketches {
    /// Sort keys are hashed with a key of this process, so that nobody chooses ones that collide.
    state: RandomState,
    partitions: HeavyHitters,
    items: HeavyHitters,
    throttled_partitions: HeavyHitters,
    throttled_items: HeavyHitters,
}

impl KeySketches {
    fn of(&self, rule: InsightsRule) -> &HeavyHitters {
        match rule {
            InsightsRule::PartitionConsumed => &self.partitions,
            InsightsRule::ItemConsumed => &self.items,
            InsightsRule::PartitionThrottled => &self.throttled_partitions,
            InsightsRule::ItemThrottled => &self.throttled_items,
        }
    }
}

/// What of a table is counted: the sketches of the table itself and of its indexes, by their place.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    table: Option<Sketched>,
    indexes: Vec<Option<Sketched>>,
}

#[derive(Clone, Debug)]
struct Sketched {
    sketches: Arc<KeySketches>,
    mode: InsightsMode,
}

/// All sketches, by table and index.
#[derive(Debug, Default)]
pub(crate) struct SketchBook(Mutex<HashMap<(u32, u16), Arc<KeySketches>>>);

impl SketchBook {
    /// The sketches that a table's record asks for, the present ones or new; those that it no longer asks for go.
    pub(crate) fn of(&self, record: &TableRecord, indexes: &[Index]) -> Option<Box<Watched>> {
        if record.insights.is_empty() {
            return None;
        }
        let mut all = self.0.lock();
        let mut sketched = |index: u16| {
            let found = record.insights.iter().find(|insights| insights.index == index);
            let Some(insights) = found.filter(|insights| insights.enabled_ms.is_some()) else {
                all.remove(&(record.id, index));
                return None;
            };
            let sketches = Arc::clone(all.entry((record.id, index)).or_default());
            Some(Sketched { sketches, mode: insights.mode })
        };
        let table = sketched(TABLE_ITSELF);
        let indexes: Vec<Option<Sketched>> = indexes.iter().map(|index| sketched(index.id)).collect();
        (table.is_some() || indexes.iter().any(Option::is_some)).then(|| Box::new(Watched { table, indexes }))
    }

    /// Forgets a table that is gone.
    pub(crate) fn forget(&self, table: u32) {
        self.0.lock().retain(|(id, _), _| *id != table);
    }

    fn peek(&self, table: u32, index: u16) -> Option<Arc<KeySketches>> {
        self.0.lock().get(&(table, index)).map(Arc::clone)
    }
}

impl Watched {
    fn at(&self, index: Option<usize>) -> Option<&Sketched> {
        match index {
            None => self.table.as_ref(),
            Some(at) => self.indexes.get(at)?.as_ref(),
        }
    }

    /// Counts what a read or write consumed of a table, or of the index whose partition it read.
    pub(crate) fn consumed(&self, table: &Table, touched: Touched<'_>, consumed: &Consumed, second: u64) {
        // The partitions of a local index are its table's.
        let is_local = |at: &usize| table.indexes.get(*at).is_some_and(|index| index.kind == IndexKind::Local);
        let index = touched.index().filter(|at| !is_local(at));
        let Some(Sketched { sketches, mode: InsightsMode::AccessedAndThrottled }) = self.at(index) else { return };
        let capacity = match index {
            None => {
                let mut own = consumed.clone();
                own.indexes.retain(|(at, _)| is_local(at));
                own.total()
            }
            Some(at) => match consumed.indexes.iter().find(|(of, _)| *of == at) {
                Some((_, capacity)) => *capacity,
                None => return,
            },
        };
        add(sketches, (&sketches.partitions, &sketches.items), table, touched, (halves(capacity), second));
    }

    /// Counts that a read or write was throttled.
    pub(crate) fn throttled(&self, table: &Table, touched: Touched<'_>, second: u64) {
        let Some(Sketched { sketches, .. }) = self.at(touched.index()) else { return };
        let both = (&sketches.throttled_partitions, &sketches.throttled_items);
        add(sketches, both, table, touched, (1, second));
    }
}

/// Consumed units in halves.
const fn halves(capacity: Capacity) -> u64 {
    capacity.read_halves().saturating_add(capacity.written().saturating_mul(2))
}

fn add(
    sketches: &KeySketches,
    (partitions, items): (&HeavyHitters, &HeavyHitters),
    table: &Table,
    touched: Touched<'_>,
    (weight, second): (u64, u64),
) {
    if weight == 0 {
        return;
    }
    match touched {
        Touched::Item(key) => {
            partitions.add(first_word(&key.hash), weight, second, || shown(partition_of(table, key)));
            if !table.key.sort.is_empty() {
                let hash = sketches.state.hash_one(key.place());
                items.add(hash, weight, second, || shown(values_of(table, key)));
            }
        }
        Touched::Partition(_, hash, values) => {
            partitions.add(first_word(&hash), weight, second, || shown(values.iter().map(|(_, value)| value)));
        }
        Touched::Rows => {}
    }
}

fn first_word(hash: &[u8; 16]) -> u64 {
    hash.first_chunk().map_or(0, |word| u64::from_be_bytes(*word))
}

fn partition_of<'k>(table: &'k Table, key: &'k ItemKey) -> impl Iterator<Item = &'k AttributeValue> {
    named(&key.attributes, table.key.partition.iter().map(|attribute| attribute.name.as_str()))
}

fn values_of<'k>(table: &'k Table, key: &'k ItemKey) -> impl Iterator<Item = &'k AttributeValue> {
    named(&key.attributes, table.key.attributes().map(|attribute| attribute.name.as_str()))
}

fn named<'k>(
    attributes: &'k AttributeMap,
    names: impl Iterator<Item = &'k str>,
) -> impl Iterator<Item = &'k AttributeValue> {
    names.filter_map(|name| attributes.get(name))
}

/// Key values as a JSON list of texts.
fn shown<'k>(values: impl Iterator<Item = &'k AttributeValue>) -> Arc<[u8]> {
    let texts: Vec<String> = values.map(text).collect();
    serde_json::to_vec(&texts).unwrap_or_default().into()
}

/// A key's value as people read it: strings and numbers as they are, binary values in hexadecimal digits.
fn text(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) => shortened(text),
        AttributeValue::N(number) => number.to_string(),
        AttributeValue::B(bytes) => {
            let digits = bytes.iter().take(SHOWN_BYTES / 2).map(|byte| format!("{byte:02x}"));
            let more = if bytes.len() > SHOWN_BYTES / 2 { "…" } else { "" };
            digits.chain([more.to_owned()]).collect()
        }
        _ => String::new(),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().map(|(at, _)| at).find(|at| *at > SHOWN_BYTES) {
        Some(end) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A change of contributor insights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InsightsChange {
    /// Whether they are to be on.
    pub enabled: bool,
    /// What is to be counted; as before, or everything, when it is not said.
    pub mode: Option<InsightsMode>,
}

impl Database {
    /// Switches contributor insights of a table or global index on or off (UpdateContributorInsights), and says how they
    /// stand. They are so at once.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is no such table or index.
    pub async fn update_insights(
        &self,
        scope: &Scope,
        name_or_arn: &str,
        index: Option<&str>,
        change: InsightsChange,
    ) -> Result<Insights> {
        self.change_record(&catalog_key_of(scope, name_or_arn), |record| {
            let mut record = record.ok_or_else(|| no_such_table(name_or_arn))?;
            let id = index_id(&record, index)?;
            let now_ms = self.now_ms();
            let before = record.insights.iter().find(|insights| insights.index == id).copied();
            let after = InsightsRecord {
                index: id,
                mode: change.mode.or(before.map(|before| before.mode)).unwrap_or_default(),
                enabled_ms: change.enabled.then(|| before.and_then(|before| before.enabled_ms).unwrap_or(now_ms)),
                changed_ms: now_ms,
            };
            let living: Vec<u16> = record.global_indexes.iter().map(|index| index.id).collect();
            record.insights.retain(|insights| {
                insights.index != id && (insights.index == TABLE_ITSELF || living.contains(&insights.index))
            });
            if before.is_some() || change.enabled {
                record.insights.push(after);
            }
            let answer = insights_of(&record, index, id);
            let same = before.is_some_and(|before| (before.mode, before.enabled_ms) == (after.mode, after.enabled_ms));
            let becomes = if same || (before.is_none() && !change.enabled) {
                Becomes::Unchanged
            } else {
                Becomes::Record(Box::new(record))
            };
            Ok((RecordChange { record: becomes, writes: Vec::new() }, answer))
        })
        .await
    }

    /// How it stands with contributor insights of a table or global index.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is no such table or index.
    pub async fn insights(&self, scope: &Scope, name_or_arn: &str, index: Option<&str>) -> Result<Insights> {
        let record = self.describe_table(scope, name_or_arn).await?.record;
        let id = index_id(&record, index)?;
        Ok(insights_of(&record, index, id))
    }

    /// How it stands with those of a table and its global indexes that were ever enabled.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is no such table.
    pub async fn all_insights(&self, scope: &Scope, name_or_arn: &str) -> Result<Vec<Insights>> {
        Ok(all_of(&self.describe_table(scope, name_or_arn).await?.record))
    }

    /// How it stands with those of all tables of a scope and their global indexes, page by page: at most so many, those behind
    /// `after`, and where to go on, if there may be more.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn list_insights(
        &self,
        scope: &Scope,
        after: Option<&InsightsPlace>,
        most: usize,
    ) -> Result<(Vec<Insights>, Option<InsightsPlace>)> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let mut range = KeyRange::prefix(keyspace::catalog_prefix(&scope.account, &scope.region));
        if let Some((table, _)) = after {
            // That table's own page may not be at its end yet.
            range.start = range.start.max(keyspace::catalog_key(&scope.account, &scope.region, table).into());
        }
        let limit = ScanLimit { rows: LISTED_TABLES, ..ScanLimit::PAGE };
        let page = snapshot.scan(&range, Direction::Forward, limit).await?;
        let mut listed = Vec::new();
        for (_, value) in &page.rows {
            let record = decode_record(value)?;
            let of_table = all_of(&record);
            let passed = match after {
                Some((table, index)) if *table == record.name => {
                    of_table.iter().position(|insights| insights.index == *index).map_or(0, |at| at + 1)
                }
                _ => 0,
            };
            listed.extend(of_table.into_iter().skip(passed));
            if listed.len() > most {
                listed.truncate(most);
                let next = listed.last().map(|last| (last.table.clone(), last.index.clone()));
                return Ok((listed, next));
            }
        }
        let last = page.rows.last().filter(|_| page.more).map(|(_, value)| decode_record(value)).transpose()?;
        let next = last.map(|record| {
            let index = all_of(&record).pop().and_then(|insights| insights.index);
            (record.name, index)
        });
        Ok((listed, next))
    }

    /// The largest contributors by a rule, in windows of a minute that begin in a span of seconds since the epoch, as far as
    /// this node remembers them: for an hour, and since it was started. Consumed throughput is in halves of a unit.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is no such table or index.
    pub async fn ranking(
        &self,
        scope: &Scope,
        (name, index): (&str, Option<&str>),
        rule: InsightsRule,
        (from, until): (u64, u64),
        at_most: usize,
    ) -> Result<Ranking> {
        let record = self.describe_table(scope, name).await?.record;
        let id = index_id(&record, index)?;
        let sketches = self.inner.metering.sketches().peek(record.id, id);
        Ok(sketches.map(|sketches| sketches.of(rule).largest(from, until, at_most)).unwrap_or_default())
    }
}

/// How it stands with those of a table and its global indexes that were ever enabled.
fn all_of(record: &TableRecord) -> Vec<Insights> {
    let indexes = record.global_indexes.iter().filter(|index| index.status != IndexStatus::Deleting);
    let places = [(None, TABLE_ITSELF)].into_iter().chain(indexes.map(|index| (Some(index.name.as_str()), index.id)));
    places.map(|(name, id)| insights_of(record, name, id)).filter(|insights| insights.record.is_some()).collect()
}

fn index_id(record: &TableRecord, index: Option<&str>) -> Result<u16> {
    let Some(name) = index else { return Ok(TABLE_ITSELF) };
    let mut living = record.global_indexes.iter().filter(|index| index.status != IndexStatus::Deleting);
    living.find(|index| index.name == name).map(|index| index.id).ok_or_else(|| {
        Error::refused(
            partita_model::ErrorCode::ResourceNotFoundException,
            format!("Requested resource not found: Index: {name} not found for table: {}", record.name),
        )
    })
}

fn insights_of(record: &TableRecord, index: Option<&str>, id: u16) -> Insights {
    let key = match record.global_indexes.iter().find(|index| index.id == id) {
        Some(index) if id != TABLE_ITSELF => &index.key,
        _ => &record.key,
    };
    let names = |partition: bool| {
        key.iter().filter(|element| element.partition == partition).map(|element| element.name.clone()).collect()
    };
    Insights {
        table: record.name.clone(),
        index: index.map(str::to_owned),
        record: record.insights.iter().find(|insights| insights.index == id).copied(),
        partition: names(true),
        sort: names(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shown_as_text_and_cut_where_they_are_long() {
        let number = AttributeValue::N(partita_model::Number::parse("12.50").unwrap());
        let values = [AttributeValue::S("a\"b".to_owned()), number, AttributeValue::B(vec![0, 255].into())];
        assert_eq!(&*shown(values.iter()), br#"["a\"b","12.5","00ff"]"#);
        let long = text(&AttributeValue::S("é".repeat(500)));
        assert!(long.ends_with('…') && long.len() < SHOWN_BYTES + 8, "{}", long.len());
        assert!(text(&AttributeValue::B(vec![7; 500].into())).ends_with('…'));
    }

    #[test]
    fn rules_are_those_of_the_mode_and_the_key() {
        let record = |mode, enabled_ms| InsightsRecord { index: 0, mode, enabled_ms, changed_ms: 0 };
        let names =
            |record: InsightsRecord, sorted| record.rules(sorted).map(InsightsRule::name).collect::<Vec<_>>().join(" ");
        let (all, throttled) = (InsightsMode::AccessedAndThrottled, InsightsMode::Throttled);
        assert_eq!(names(record(all, Some(1)), true), "PKC SKC PKT SKT");
        assert_eq!(names(record(all, Some(1)), false), "PKC PKT");
        assert_eq!(names(record(throttled, Some(1)), true), "PKT SKT");
        assert_eq!(names(record(all, None), true), "");
    }
}
