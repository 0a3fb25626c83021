//! How many lines may be told of those whom anyone can cause: a token bucket, and a count of what it held back.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What may be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// The most lines at once.
    pub at_once: u32,
    /// How many more each second.
    pub each_second: u32,
}

/// What is left of an allowance.
#[derive(Debug)]
pub(super) struct Limit {
    allowance: Allowance,
    left: Mutex<Left>,
}

#[derive(Debug)]
struct Left {
    lines: f64,
    since: Option<Instant>,
    untold: u64,
}

impl Limit {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { allowance, left: Mutex::new(Left { lines: f64::from(allowance.at_once), since: None, untold: 0 }) }
    }

    /// Takes one line at a time that does not go back: how many were held back before it; `None` holds this one back.
    pub(super) fn take(&self, now: Instant) -> Option<u64> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = left.since.map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64());
        left.since = Some(now);
        left.lines =
            f64::from(self.allowance.each_second).mul_add(elapsed, left.lines).min(self.allowance.at_once.into());
        if left.lines < 1.0 {
            left.untold += 1;
            return None;
        }
        left.lines -= 1.0;
        Some(std::mem::take(&mut left.untold))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_held_back_is_counted_and_told_with_the_next_line() {
        let limit = Limit::new(Allowance { at_once: 3, each_second: 2 });
        let start = Instant::now();
        let takes = |count: u32, after_ms: u64| -> Vec<Option<u64>> {
            (0..count).map(|_| limit.take(start + Duration::from_millis(after_ms))).collect()
        };
        assert_eq!(takes(5, 0), [Some(0), Some(0), Some(0), None, None]);
        assert_eq!(takes(2, 500), [Some(2), None]);
        // However long nobody came, no more than the most at once.
        assert_eq!(takes(4, 60_000), [Some(1), Some(0), Some(0), None]);
    }
}
