//! The time of day, which tests can move on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{Database, tables};

/// A clock that shows the system's time, or a later one.
#[derive(Debug)]
pub(crate) struct Clock {
    /// What steady time counts from.
    began: Instant,
    ahead_ms: AtomicU64,
    /// The latest time that a change was given.
    last_change_ms: AtomicU64,
    /// Whether steady time passes only when the clock is moved on.
    #[cfg(test)]
    pub(crate) stands_still: std::sync::atomic::AtomicBool,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            ahead_ms: AtomicU64::new(0),
            last_change_ms: AtomicU64::new(0),
            #[cfg(test)]
            stands_still: false.into(),
        }
    }
}

impl Clock {
    /// Milliseconds since the process opened the database, whatever becomes of the system's clock; at least one.
    pub(crate) fn steady_ms(&self) -> u64 {
        #[cfg(test)]
        if self.stands_still.load(Ordering::Relaxed) {
            return self.ahead_ms.load(Ordering::Relaxed) + 1;
        }
        let since_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        since_ms.saturating_add(self.ahead_ms.load(Ordering::Relaxed)).saturating_add(1)
    }

    /// Milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        tables::now_ms().saturating_add(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// The same for a change that is recorded. Never earlier than that of a change before in this process, though the
    /// system's clock is set back.
    pub(crate) fn change_ms(&self) -> u64 {
        let now_ms = self.now_ms();
        self.last_change_ms.fetch_max(now_ms, Ordering::Relaxed).max(now_ms)
    }

    /// Moves the clock on.
    pub(crate) fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        // A closure that always gives a value never fails.
        let _ = self
            .ahead_ms
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ahead_ms| Some(ahead_ms.saturating_add(by_ms)));
    }
}

impl Database {
    /// Whether the clock may be moved on.
    #[must_use]
    pub fn has_test_clock(&self) -> bool {
        self.inner.settings.test_clock
    }

    /// Moves the database's clock on, until the process ends, and has the background work look at once for what is due
    /// then. Returns the time that it shows, in milliseconds since the epoch; `None` when the database was not opened
    /// with a [`test_clock`](crate::Settings::test_clock).
    #[must_use]
    pub fn advance_clock(&self, by: Duration) -> Option<u64> {
        if !self.has_test_clock() {
            return None;
        }
        self.inner.clock.advance(by);
        self.wake_background();
        Some(self.now_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_changes_never_fall() {
        let clock = Clock::default();
        let times: Vec<u64> = std::iter::repeat_with(|| clock.change_ms()).take(100).collect();
        assert!(times.is_sorted());
        let before_ms = clock.now_ms();
        clock.advance(Duration::from_secs(3600));
        assert!(clock.change_ms() >= before_ms + 3_600_000);
    }
}
