//! Scan: all rows of a table or index in the order of their partition hashes, whole or in equal segments.

use std::sync::Arc;

use partita_engine::{Direction, KeyRange};
use partita_expr::Condition;
use partita_model::AttributeMap;

use super::get::freshness;
use super::page::{Page, PageRequest, Select, behind};
use super::start::start_row;
use crate::Database;
use crate::error::{Error, Result};
use crate::table::{Index, Table};

/// One of the equal parts of a parallel scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which part, from 0; below `total`.
    pub number: u32,
    /// How many parts there are, at least 1.
    pub total: u32,
}

/// A Scan, checked against its table.
#[derive(Clone, Debug)]
pub struct ScanRequest {
    /// The place of the index in `Table::indexes`; `None` for the table itself.
    pub index: Option<usize>,
    /// Which rows to return.
    pub filter: Option<Condition>,
    /// What to return of each.
    pub select: Select,
    /// The most rows to read.
    pub limit: Option<usize>,
    /// Which part to read; `None` for the whole.
    pub segment: Option<Segment>,
    /// Where to go on.
    pub start: Option<AttributeMap>,
    /// Whether the read is strongly consistent.
    pub consistent: bool,
}

impl Database {
    /// Reads a page of a Scan.
    ///
    /// # Errors
    /// As for `query`.
    pub async fn scan(&self, table: &Arc<Table>, request: &ScanRequest) -> Result<Page> {
        let snapshot = self.snapshot(freshness(request.consistent)).await?;
        self.table_as_of(&snapshot, table).await?;
        let index = request.index.and_then(|at| table.indexes.get(at).map(|index| (at, index)));
        let prefix = index.map_or(table.item_prefix(), |(_, index)| Index::prefix(index));
        let mut range = segment_range(prefix, request.segment);
        if let Some(start) = &request.start {
            let row = start_row(&self.key_secret(), table, index.map(|(_, index)| index), start)?;
            if !range.contains(&row) {
                return Err(Error::validation("The provided starting key is outside of the segment's boundaries"));
            }
            range = behind(&range, &row, Direction::Forward);
        }
        let page = PageRequest {
            table,
            index,
            partition: None,
            range,
            direction: Direction::Forward,
            filter: request.filter.as_ref(),
            select: &request.select,
            limit: request.limit,
            consistent: request.consistent,
        };
        self.page(&snapshot, &page).await
    }
}

/// The rows under a prefix whose partition hashes lie in the segment's share of all hashes.
fn segment_range(prefix: &[u8], segment: Option<Segment>) -> KeyRange {
    let whole = KeyRange::prefix(prefix.to_vec());
    let Some(segment) = segment else { return whole };
    let boundary = |number: u32| {
        let share = (u128::from(number) << 64) / u128::from(segment.total.max(1));
        // Past the last segment there is no hash.
        let start = u64::try_from(share).ok()?;
        Some([prefix, &start.to_be_bytes()].concat())
    };
    let start = boundary(segment.number).map_or_else(|| whole.end.clone(), Into::into);
    let end = boundary(segment.number.saturating_add(1)).map_or_else(|| whole.end.clone(), Into::into);
    KeyRange { start, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cover_everything_once() {
        for total in [1, 2, 3, 7, 1_000_000] {
            let range = |number| segment_range(&[16, 0], Some(Segment { number, total }));
            let first_possible = [[16u8, 0].as_slice(), &[0; 16]].concat();
            assert!(range(0).start.as_ref() <= first_possible.as_slice());
            for number in 1..total.min(50) {
                assert_eq!(range(number - 1).end, range(number).start);
            }
            assert_eq!(range(total - 1).end, KeyRange::prefix(vec![16, 0]).end);
        }
    }
}
