//! SELECT: queries one after the other, or a scan, until the limit, 1 MB or the end is reached.

use std::sync::Arc;

use partita_db::{Consumed, Index, IndexKind, Page, QueryRequest, ScanRequest, Select, Table};
use partita_expr::partiql::{BoundSelect, Plan, Selection, Statement};
use partita_expr::{Condition, KeyCondition, Path};
use partita_model::{AttributeValue, Refusal, StoredItem};

use super::token::{self, Place};
use super::{Bound, Context, check_operands};
use crate::failure::Failure;
use crate::generated::outputs::ExecuteStatementOutput;
use crate::operations::consumed::{Detail, Share};

/// The bytes of items after which no further query is begun ("ExecuteStatement": 1 MB).
const MAX_BYTES: f64 = 1024.0 * 1024.0;
/// What one read unit covers, in bytes ("Capacity unit consumption": 4 KB, or 8 KB of eventually consistent reads).
const UNIT_BYTES: f64 = 4096.0;

/// A SELECT with the parameters of its request.
pub(super) struct Request<'r> {
    pub(super) statement: &'r Statement,
    pub(super) parameters: &'r [AttributeValue],
    pub(super) limit: Option<usize>,
    pub(super) next: Option<&'r str>,
    pub(super) consistent: bool,
    pub(super) detail: Detail,
}

pub(super) async fn execute(context: &Context<'_>, request: &Request<'_>) -> Result<ExecuteStatementOutput, Failure> {
    let table = match context.table(Some(request.statement.table())).await {
        Ok(table) => table,
        Err(failure) => {
            check_operands(request.statement, request.parameters)?;
            return Err(failure);
        }
    };
    let bound = Bound::of(&table, request.statement)?;
    let index = bound.index;
    if request.consistent && index.is_some_and(|(_, index)| index.kind == IndexKind::Global) {
        return Err(Refusal::validation("Strongly consistent read is not supported on Global Secondary Indexes").into());
    }
    let select = request.statement.select(&bound.keys(), request.parameters).map_err(Refusal::from)?;
    if let Some((_, index)) = index {
        check_projected(index, select.selection.as_ref())?;
    }
    let place = match request.next {
        Some(text) => token::read(text, &table, index.map(|(_, index)| index), queries(&select.plan))?,
        None => Place::default(),
    };
    let reader = Reader::of(context, &table, index, request, select);
    let read = reader.read(place).await?;
    context.observed.returned(read.items.len());
    let next_token = read.next.as_ref().map(|place| token::write(&table, index.map(|(_, index)| index), place));
    let after = read.next.and_then(|place| place.after);
    Ok(ExecuteStatementOutput {
        items: Some(read.items),
        next_token,
        consumed_capacity: request.detail.show(&table, &read.consumed, Share::Together),
        last_evaluated_key: after.map(|key| StoredItem::from_item(&key)),
    })
}

/// How many places a plan has to go on from.
fn queries(plan: &Plan) -> usize {
    match plan {
        Plan::Scan => 1,
        Plan::Queries(queries) => queries.len(),
    }
}

/// Refuses columns that a global index does not have, named in the order of the statement.
fn check_projected(index: &Index, selection: Option<&Selection>) -> Result<(), Refusal> {
    let (Some(selection), IndexKind::Global) = (selection, index.kind) else { return Ok(()) };
    let mut missing: Vec<&str> = Vec::new();
    for name in selection.attribute_names().filter(|name| !index.carries(name)) {
        if !missing.contains(&name) {
            missing.push(name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "One or more parameter values were invalid: Global secondary index {} does not project [{}]",
        index.name,
        missing.join(", ")
    )))
}

/// What was read, and where to go on.
struct Read {
    items: Vec<StoredItem>,
    consumed: Consumed,
    next: Option<Place>,
}

struct Reader<'r> {
    context: &'r Context<'r>,
    table: &'r Arc<Table>,
    index: Option<usize>,
    plan: Plan,
    /// What the database filters by.
    filter: Option<Condition>,
    /// What is filtered by here: a condition on attributes that the index lacks finds nothing, where the database would
    /// refuse it.
    late_filter: Option<Condition>,
    what: Select,
    /// What becomes of the items read.
    shape: Option<Selection>,
    limit: Option<usize>,
    consistent: bool,
    forward: bool,
}

impl<'r> Reader<'r> {
    fn of(
        context: &'r Context<'r>,
        table: &'r Arc<Table>,
        index: Option<(usize, &Index)>,
        request: &Request<'_>,
        select: BoundSelect,
    ) -> Self {
        let BoundSelect { plan, filter, keyed, selection, descending, .. } = select;
        let is_late = match (index, &filter) {
            (Some((_, index)), Some(filter)) if !keyed => {
                !filter.paths().map(Path::root).all(|name| index.carries(name))
            }
            _ => false,
        };
        let what = match &selection {
            Some(selection) if !is_late => Select::Attributes(selection.attributes().clone()),
            None if index.is_none() => Select::All,
            _ => Select::Projected,
        };
        let (filter, late_filter) = if is_late { (None, filter) } else { (filter, None) };
        Self {
            context,
            table,
            index: index.map(|(at, _)| at),
            plan,
            filter,
            what,
            shape: selection.filter(|selection| is_late || !selection.is_top_level_only()),
            late_filter,
            limit: request.limit,
            consistent: request.consistent,
            forward: !descending,
        }
    }

    async fn read(&self, place: Place) -> Result<Read, Failure> {
        let mut read = Read { items: Vec::new(), consumed: Consumed::default(), next: None };
        match &self.plan {
            Plan::Scan => {
                let page = self.scan(place).await?;
                self.take(page, 0, &mut read);
            }
            Plan::Queries(queries) => self.query_all(queries, place, &mut read).await?,
        }
        Ok(read)
    }

    async fn query_all(&self, queries: &[KeyCondition], place: Place, read: &mut Read) -> Result<(), Failure> {
        let Place { query: first, mut after } = place;
        let mut scanned = 0;
        for (at, query) in queries.iter().enumerate().skip(first) {
            // One item at most has been read of such a query, so there is nothing to go on to.
            if after.take_if(|_| self.is_single(query)).is_some() {
                continue;
            }
            let limit = self.limit.map(|limit| limit.saturating_sub(scanned));
            let is_full = limit == Some(0) || self.bytes(&read.consumed) >= MAX_BYTES;
            if is_full {
                read.next = Some(Place { query: at, after: None });
                return Ok(());
            }
            let request = QueryRequest {
                index: self.index,
                key: query.clone(),
                filter: self.filter.clone(),
                select: self.what.clone(),
                limit,
                forward: self.forward,
                start: after.take(),
                consistent: self.consistent,
            };
            let page = match self.context.database.query(self.table, &request).await {
                // What was read is answered; the rest is asked for again.
                Err(partita_db::Error::Throttled(_)) if at > first => {
                    read.next = Some(Place { query: at, after: None });
                    return Ok(());
                }
                page => page?,
            };
            scanned += page.scanned;
            self.take(page, at, read);
            if read.next.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether a query gives a whole primary key.
    fn is_single(&self, query: &KeyCondition) -> bool {
        self.index.is_none() && query.sort.len() == self.table.key.sort.len()
    }

    /// About how many bytes of items have been read.
    fn bytes(&self, consumed: &Consumed) -> f64 {
        let per_unit = if self.consistent { UNIT_BYTES } else { 2.0 * UNIT_BYTES };
        consumed.total().read_units() * per_unit
    }

    async fn scan(&self, place: Place) -> Result<Page, Failure> {
        let request = ScanRequest {
            index: self.index,
            filter: self.filter.clone(),
            select: self.what.clone(),
            limit: self.limit,
            segment: None,
            start: place.after,
            consistent: self.consistent,
        };
        Ok(self.context.database.scan(self.table, &request).await?)
    }

    /// Takes in a page of the query at this place of the plan.
    fn take(&self, page: Page, at: usize, read: &mut Read) {
        let passes = |item: &StoredItem| self.late_filter.as_ref().is_none_or(|filter| filter.matches(item));
        let items = page.items.into_iter().filter(passes);
        match &self.shape {
            Some(selection) => read.items.extend(items.map(|item| StoredItem::from_item(&selection.apply(&item)))),
            None => read.items.extend(items),
        }
        read.consumed.add(&page.consumed);
        read.next = page.last_evaluated.map(|key| Place { query: at, after: Some(key.to_item()) });
    }
}
