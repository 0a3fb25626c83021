//! Reading items: single gets, batches of them, and pages of Query and Scan.

mod get;
mod page;
mod query;
mod scan;
mod start;

use partita_expr::Projection;

pub use get::{BatchGet, BatchGetTable, BatchGot, Got};
pub use page::{Page, Select};
pub use query::QueryRequest;
pub use scan::{ScanRequest, Segment};

use partita_model::StoredItem;

/// An item reduced to the paths asked for; only the nested ones need a tree.
pub(crate) fn project(projection: &Projection, item: &StoredItem) -> StoredItem {
    if projection.is_top_level_only() {
        let names: Vec<&str> = projection.top_level_names().collect();
        return item.project(&names);
    }
    StoredItem::from_item(&projection.apply(item))
}
