//! Filling: what was added to tables that have items already and is made from those, namely global indexes, and sizes of
//! item collections. A task with a lease of its own, so that a table that takes hours holds up nothing else.
//!
//! Tables take turns. Every page commits how far it has come; a node that dies leaves the rest to the next.

use std::time::{Duration, Instant};

use partita_engine::{CatalogToken, Direction, Freshness, Key, KeyRange, ScanLimit};

use super::Lease;
use crate::Database;
use crate::catalog::decode_record;
use crate::error::{Error, Result};
use crate::keyspace;
use crate::record::TableRecord;
use crate::write::is_unmeasured;

/// How long one filling works before it is another's turn.
const TURN: Duration = Duration::from_millis(200);

/// What a turn leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slice {
    /// Nothing.
    Done,
    /// Something; it goes on with the next turn.
    More,
}

/// What the task remembers between looks. All of it can be lost.
#[derive(Debug)]
pub(crate) struct Filling {
    lease: Lease,
    /// The catalog that `gaps` was read from.
    token: Option<CatalogToken>,
    gaps: Vec<(Key, Gap)>,
}

/// What is to be filled of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    /// The index with this id.
    Index(u16),
    /// The sizes of item collections.
    Collections,
}

impl Gap {
    fn of(record: &TableRecord) -> impl Iterator<Item = Self> {
        let indexes = record.global_indexes.iter().filter(|index| index.backfilling).map(|index| Self::Index(index.id));
        indexes.chain(is_unmeasured(record).then_some(Self::Collections))
    }
}

impl Filling {
    pub(crate) fn new() -> Self {
        Self { lease: Lease::new("filling"), token: None, gaps: Vec::new() }
    }

    /// Gives everything that is to be filled a turn, and says whether to look again at once.
    ///
    /// # Errors
    /// `Contention` when another node has the lease, or an engine failure.
    pub(crate) async fn look(&mut self, database: &Database) -> Result<bool> {
        self.find_gaps(database).await?;
        if self.gaps.is_empty() || !self.lease.take(database).await? {
            return Ok(false);
        }
        let mut more = false;
        for (catalog_key, gap) in &self.gaps {
            let until = Instant::now() + TURN;
            let left = match gap {
                Gap::Index(index) => database.fill_index(&mut self.lease, catalog_key, *index, until).await,
                Gap::Collections => database.measure_collections(&mut self.lease, catalog_key, until).await,
            };
            match left {
                Ok(left) => more |= left == Slice::More,
                Err(Error::Contention) => return Err(Error::Contention),
                // What stands in one table's way is not in the others'.
                Err(error) => tracing::error!(%error, ?gap, "filling failed; it is tried again"),
            }
        }
        Ok(more)
    }

    /// Finds what is to be filled, when the catalog has changed.
    async fn find_gaps(&mut self, database: &Database) -> Result<()> {
        let snapshot = database.snapshot(Freshness::Latest).await?;
        let token = snapshot.catalog_token();
        if self.token == Some(token) {
            return Ok(());
        }
        let mut range = KeyRange::prefix(keyspace::catalog());
        let mut gaps = Vec::new();
        loop {
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (key, value) in &page.rows {
                let record = decode_record(value)?;
                gaps.extend(Gap::of(&record).map(|gap| (key.clone(), gap)));
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => break,
            }
        }
        (self.gaps, self.token) = (gaps, Some(token));
        Ok(())
    }
}
