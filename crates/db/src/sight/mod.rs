//! What is seen of tables from outside: series of what requests did to each, which live with the meters of `metering`
//! and end with the table, what a scrape gathers of the whole database, and which keys are asked for most.
//!
//! What a request was and how long it took, the wire knows and notes here; what it consumed, `metering` counts.

mod gather;
mod insights;
mod series;

pub use insights::{Insights, InsightsChange, InsightsMode, InsightsPlace, InsightsRecord, InsightsRule};
pub(crate) use insights::{SketchBook, Watched};
pub(crate) use series::SeriesBook;
pub use series::{DataOperation, OperationSeries, TableSeries, count_canceled};

use std::sync::Arc;

use parking_lot::Mutex;
use partita_engine::CatalogToken;
use partita_metrics::Counter;

use crate::record::TableRecord;

/// How often a write was decided anew, because of others or because its reads were too old. Of the whole process: what
/// backs off knows no database.
pub(crate) static RETRIES: Counter = Counter::new();

/// The tables of the catalog as a scrape last saw them.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Option<SeenTables>>);

#[derive(Clone, Debug)]
struct SeenTables {
    token: CatalogToken,
    most: usize,
    tables: Arc<Vec<TableRecord>>,
    /// Whether there are more than were looked at.
    more: bool,
}
