//! Time to live: expired items leave within seconds, found through a queue in the order of time.
//!
//! `queue` is the queue, kept in step with the items in their own commits; `fill` queues the items that a table had
//! before time to live was switched on; `expire` removes what is due.

mod expire;
mod fill;
mod queue;
#[cfg(test)]
mod tests;

pub(crate) use expire::{Expiry, Left};
pub(crate) use queue::{enqueue, expected_entry, follow, suffix_of_entry};

use partita_engine::Freshness;

use crate::Database;
use crate::error::Result;
use crate::record::TableRecord;
use crate::scope::Scope;

/// A table's time to live as it is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeToLiveState {
    /// Off.
    Disabled,
    /// On, and the items that were there before are still being queued.
    Enabling {
        /// The attribute that holds the expiry time.
        attribute: String,
    },
    /// On.
    Enabled {
        /// The attribute that holds the expiry time.
        attribute: String,
    },
}

impl TimeToLiveState {
    fn of(record: &TableRecord) -> Self {
        let Some(time_to_live) = record.time_to_live.as_ref().filter(|time_to_live| time_to_live.enabled) else {
            return Self::Disabled;
        };
        let attribute = time_to_live.attribute.clone();
        if record.logs.expiry.is_some_and(|queue| queue.building) {
            Self::Enabling { attribute }
        } else {
            Self::Enabled { attribute }
        }
    }
}

impl Database {
    /// A table's time to live as it is now (DescribeTimeToLive).
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is no such table.
    pub async fn describe_time_to_live(&self, scope: &Scope, name_or_arn: &str) -> Result<TimeToLiveState> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let key = crate::catalog::catalog_key_of(scope, name_or_arn);
        let table = self.table_at(&snapshot, &key).await?.ok_or_else(|| crate::tables::no_such_table(name_or_arn))?;
        Ok(TimeToLiveState::of(&table.record))
    }
}
