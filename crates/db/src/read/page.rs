//! One page of rows, as Query and Scan read it: the rows of a range up to a limit or 1 MB, filtered and reduced to
//! what was asked for.

use std::sync::Arc;

use partita_engine::{Direction, Key, KeyRange, ScanLimit};
use partita_expr::{Condition, Projection};
use partita_model::key::PartitionHash;
use partita_model::{AttributeValue, Item, StoredItem};

use super::project;
use super::start::last_evaluated;
use crate::Database;
use crate::capacity::{Consumed, ReadUnits};
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::limits::MAX_PAGE_BYTES;
use crate::metering::Touched;
use crate::table::{Index, IndexKind, Table, unseal};

/// The most rows taken from the engine at once.
const ROWS_AT_ONCE: usize = 1024;

/// What to return of each row.
#[derive(Clone, Debug)]
pub enum Select {
    /// All attributes of the item, fetched from the table when the index lacks some.
    All,
    /// All attributes that the index carries.
    Projected,
    /// These attributes, fetched from the table when a local index lacks some.
    Attributes(Projection),
    /// Only how many rows there are.
    Count,
}

/// A page of a Query or Scan.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The items, unless only their number was asked for.
    pub items: Vec<StoredItem>,
    /// How many rows passed the filter.
    pub count: usize,
    /// How many rows were read.
    pub scanned: usize,
    /// Where to go on; `None` at the end.
    pub last_evaluated: Option<StoredItem>,
    /// What reading consumed.
    pub consumed: Consumed,
}

/// What Query and Scan have in common once their range is known.
pub(super) struct PageRequest<'a> {
    pub table: &'a Arc<Table>,
    pub index: Option<(usize, &'a Index)>,
    /// The partition that all rows are of, if they are of one, with its key.
    pub partition: Option<(PartitionHash, &'a [(String, AttributeValue)])>,
    pub range: KeyRange,
    pub direction: Direction,
    pub filter: Option<&'a Condition>,
    pub select: &'a Select,
    pub limit: Option<usize>,
    pub consistent: bool,
}

impl PageRequest<'_> {
    /// Whether rows have to be completed from the table.
    fn fetches(&self) -> bool {
        match self.index {
            Some((_, index)) if index.kind == IndexKind::Local => match self.select {
                Select::All => !index.carries_all(),
                Select::Attributes(projection) => projection.top_level_names().any(|name| !index.carries(name)),
                Select::Projected | Select::Count => false,
            },
            _ => false,
        }
    }

    fn touched(&self) -> Touched<'_> {
        let index = self.index.map(|(at, _)| at);
        self.partition.map_or(Touched::Rows, |(partition, key)| Touched::Partition(index, partition, key))
    }

    /// Refuses a filter on attributes that the index does not carry. (A Scan takes them for absent.)
    pub(super) fn check_filter(&self) -> Result<()> {
        let (Some((_, index)), Some(filter)) = (self.index, self.filter) else { return Ok(()) };
        match missing(index, filter.paths().map(partita_expr::Path::root)) {
            Some(names) => Err(Error::validation(format!(
                "One or more parameter values were invalid: Secondary index {} does not project one or more filter \
                 attributes: [{names}]",
                index.name
            ))),
            None => Ok(()),
        }
    }

    /// Refuses what an index can not answer.
    fn check(&self) -> Result<()> {
        let Some((_, index)) = self.index else { return Ok(()) };
        if index.backfilling {
            return Err(Error::validation(format!(
                "Cannot read from backfilling global secondary index: {}",
                index.name
            )));
        }
        if index.kind == IndexKind::Local {
            return Ok(());
        }
        match self.select {
            Select::All if !index.carries_all() => Err(Error::validation(format!(
                "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global \
                 secondary index {} because its projection type is not ALL",
                index.name
            ))),
            Select::Attributes(projection) => match missing(index, projection.top_level_names()) {
                Some(names) => Err(Error::validation(format!(
                    "One or more parameter values were invalid: Global secondary index {} does not project [{names}]",
                    index.name
                ))),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// The names that the index does not carry, if there are any.
fn missing<'n>(index: &Index, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let mut missing: Vec<&str> = names.filter(|name| !index.carries(name)).collect();
    missing.sort_unstable();
    missing.dedup();
    (!missing.is_empty()).then(|| missing.join(", "))
}

impl Database {
    /// Reads one page.
    pub(super) async fn page(&self, snapshot: &Snapshot, request: &PageRequest<'_>) -> Result<Page> {
        request.check()?;
        self.admit_read(request.table, request.index.map(|(at, _)| at), request.touched())?;
        let fetches = request.fetches();
        let index = request.index.map(|(_, index)| index);
        let limit = request.limit.unwrap_or(usize::MAX);
        let mut page = Page::default();
        let mut bytes = 0;
        let mut range = request.range.clone();
        'pages: loop {
            // Stored rows are a little smaller or larger than what they count for, so this bound is only a guide.
            let rows = (limit - page.scanned).min(ROWS_AT_ONCE);
            let bound = ScanLimit { rows, bytes: (MAX_PAGE_BYTES - bytes.min(MAX_PAGE_BYTES)).max(4096) };
            let found = snapshot.scan(&range, request.direction, bound).await?;
            let Some((last, _)) = found.rows.last() else { break };
            range = match request.direction {
                Direction::Forward => range.after(last),
                Direction::Backward => range.before(last),
            };
            for (_, value) in &found.rows {
                let row = unseal(value)?;
                page.scanned += 1;
                bytes += row.size();
                if request.filter.is_none_or(|filter| filter.matches(&row)) {
                    page.count += 1;
                    self.take_row(snapshot, request, fetches, &row, &mut page).await?;
                }
                if page.scanned >= limit || bytes >= MAX_PAGE_BYTES {
                    page.last_evaluated = Some(last_evaluated(request.table, index, &row));
                    break 'pages;
                }
            }
            if !found.more {
                break;
            }
        }
        let units = ReadUnits::of(bytes, request.consistent);
        match request.index {
            Some((at, _)) => page.consumed.index(at).add_read(units),
            None => page.consumed.table.add_read(units),
        }
        self.charge(request.table, request.touched(), &page.consumed);
        Ok(page)
    }

    async fn take_row(
        &self,
        snapshot: &Snapshot,
        request: &PageRequest<'_>,
        fetches: bool,
        row: &StoredItem,
        page: &mut Page,
    ) -> Result<()> {
        let fetched = if fetches { self.fetch(snapshot, request, row, &mut page.consumed).await? } else { None };
        let whole = fetched.as_ref().unwrap_or(row);
        match request.select {
            Select::Count => {}
            Select::All | Select::Projected => page.items.push(whole.clone()),
            Select::Attributes(projection) => page.items.push(project(projection, whole)),
        }
        Ok(())
    }

    /// Completes an index row from the table, at the cost of a read of its own.
    async fn fetch(
        &self,
        snapshot: &Snapshot,
        request: &PageRequest<'_>,
        row: &StoredItem,
        consumed: &mut Consumed,
    ) -> Result<Option<StoredItem>> {
        let key: Item = row.project(&request.table.key_attribute_names()).to_item();
        let key = request.table.key_of_request(&self.key_secret(), &key)?;
        let item = snapshot.get(&key.stored).await?.map(|value| unseal(&value)).transpose()?;
        let size = item.as_ref().map_or(0, StoredItem::size);
        consumed.table.add_read(ReadUnits::of(size, request.consistent));
        Ok(item)
    }
}

/// The part of a range behind a row, in the direction of reading.
pub(super) fn behind(range: &KeyRange, row: &Key, direction: Direction) -> KeyRange {
    match direction {
        Direction::Forward => range.after(row),
        Direction::Backward => range.before(row),
    }
}
