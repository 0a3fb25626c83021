//! The view of one moment of the embedded engine, and the reads through it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions};
use self_cell::self_cell;

use crate::contract::{
    CatalogToken, Direction, EngineError, EngineSnapshot, Key, KeyRange, Page, RESERVED_PREFIX, Reason, ScanLimit,
    Value, Version,
};

use super::history::History;

/// A page of this many bytes lets other tasks run before its reader goes on.
const YIELD_BYTES: usize = 256 << 10;

/// RocksDB's snapshot, with the options that read through it.
struct View<'db> {
    snapshot: rocksdb::Snapshot<'db>,
    /// Made once, because point reads would otherwise make one each.
    point: ReadOptions,
}

self_cell!(
    /// A snapshot together with the database it belongs to, which so outlives it.
    struct PinnedView {
        owner: Arc<DB>,
        #[covariant]
        dependent: View,
    }
);

/// What the committer publishes after each group. RocksDB's snapshot is released with the last reader's pointer to it.
pub(crate) struct Moment {
    view: PinnedView,
    history: History,
}

impl Moment {
    /// The state of the database now, which `history` must describe: only the committer may call this once it runs.
    pub(crate) fn now(db: Arc<DB>, history: History) -> Self {
        let view = PinnedView::new(db, |db| {
            let snapshot = db.snapshot();
            let mut point = ReadOptions::default();
            point.set_snapshot(&snapshot);
            View { snapshot, point }
        });
        Self { view, history }
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moment").field("history", &self.history).finish_non_exhaustive()
    }
}

/// A view of one moment of the embedded engine.
#[derive(Clone, Debug)]
pub struct RocksSnapshot(Arc<Moment>);

impl RocksSnapshot {
    pub(crate) fn new(moment: Arc<Moment>) -> Self {
        Self(moment)
    }

    fn read(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        let view = &self.0.view;
        let found = view.borrow_owner().get_pinned_opt(key, &view.borrow_dependent().point).map_err(|e| failed(&e))?;
        Ok(found.map(|pinned| Bytes::copy_from_slice(&pinned)))
    }

    fn read_page(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: ScanLimit,
    ) -> Result<(Page, usize), EngineError> {
        let mut page = Page::default();
        let mut bytes = 0_usize;
        let end = range.end.as_ref().min([RESERVED_PREFIX].as_slice());
        if range.start.as_ref() >= end {
            return Ok((page, bytes));
        }
        let view = &self.0.view;
        let mut options = ReadOptions::default();
        options.set_snapshot(&view.borrow_dependent().snapshot);
        options.set_iterate_lower_bound(range.start.as_ref());
        options.set_iterate_upper_bound(end);
        let mut rows: DBRawIteratorWithThreadMode<'_, DB> = view.borrow_owner().raw_iterator_opt(options);
        match direction {
            Direction::Forward => rows.seek_to_first(),
            Direction::Backward => rows.seek_to_last(),
        }
        while let Some((key, value)) = rows.item() {
            let full = page.rows.len() >= limit.rows || bytes >= limit.bytes;
            if full && !page.rows.is_empty() {
                page.more = true;
                break;
            }
            bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
            page.rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            match direction {
                Direction::Forward => rows.next(),
                Direction::Backward => rows.prev(),
            }
        }
        rows.status().map_err(|e| failed(&e))?;
        Ok((page, bytes))
    }
}

impl EngineSnapshot for RocksSnapshot {
    fn version(&self) -> Version {
        self.0.history.version()
    }

    fn catalog_token(&self) -> CatalogToken {
        self.0.history.catalog_token()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        self.read(key)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Value>>, EngineError> {
        keys.iter().map(|key| self.read(key)).collect()
    }

    async fn scan(&self, range: &KeyRange, direction: Direction, limit: ScanLimit) -> Result<Page, EngineError> {
        let (page, bytes) = self.read_page(range, direction, limit)?;
        if bytes >= YIELD_BYTES {
            tokio::task::yield_now().await;
        }
        Ok(page)
    }
}

fn failed(error: &rocksdb::Error) -> EngineError {
    match error.kind() {
        rocksdb::ErrorKind::Corruption => EngineError::Damaged(Reason::new(error)),
        _ => EngineError::Unavailable(Reason::new(error)),
    }
}
