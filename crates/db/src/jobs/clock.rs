//! The time of day, which tests can move on.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::tables;

/// A clock that shows the system's time, or a later one.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_ms: AtomicU64,
}

impl Clock {
    /// Milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        tables::now_ms().saturating_add(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Moves the clock on.
    #[cfg(test)]
    pub(crate) fn advance(&self, by: std::time::Duration) {
        self.ahead_ms.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }
}
