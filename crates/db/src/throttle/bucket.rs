//! A token bucket without a lock: filled by the time that has passed, emptied by what was consumed.
//!
//! What an operation consumes is known only when it has read the item, so a bucket that is not empty admits, and what is
//! taken may leave a debt, which the coming seconds pay back. So over any length of time no more is consumed than the rate
//! allows, the burst, and one operation's worth. Times are the database's steady milliseconds.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// The tokens of one capacity unit: thousandths of halves, so that a rate of whole units a second is whole tokens a
/// millisecond, and half a read unit is whole tokens.
pub(super) const UNIT: i64 = 2_000;
/// The tokens of half a unit.
pub(super) const HALF_UNIT: i64 = UNIT / 2;
/// More than any limit lets a bucket hold.
const FULL: i64 = i64::MAX / 4;

/// A rate, and how much of it is kept when it is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// Units a second.
    pub units: i64,
    /// For how many seconds unused units are kept; at least one.
    pub seconds: i64,
}

impl Rate {
    /// The most tokens that a bucket holds.
    pub(super) const fn capacity(self) -> i64 {
        self.units.saturating_mul(UNIT).saturating_mul(self.seconds)
    }

    /// The tokens of some milliseconds.
    pub(super) fn of_ms(self, ms: u64) -> i64 {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        self.units.saturating_mul(UNIT / 1000).saturating_mul(ms).min(FULL)
    }
}

/// A bucket. A new one is full, whatever limit it comes to be under.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: AtomicI64,
    filled_ms: AtomicU64,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { tokens: AtomicI64::new(FULL), filled_ms: AtomicU64::new(0) }
    }
}

impl Bucket {
    /// The tokens in it now; below zero for a debt.
    pub(super) fn level(&self, rate: Rate, now_ms: u64) -> i64 {
        let capacity = rate.capacity();
        let last_ms = self.filled_ms.load(Ordering::Relaxed);
        let is_mine = now_ms > last_ms
            && self.filled_ms.compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_mine {
            let more = rate.of_ms(now_ms - last_ms);
            let filled = |tokens: i64| Some(tokens.saturating_add(more).min(capacity));
            // A closure that always gives a value never fails.
            let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, filled);
        }
        let tokens = self.tokens.load(Ordering::Relaxed);
        if tokens > capacity {
            // The limit is new, or lower than it was.
            self.tokens.fetch_min(capacity, Ordering::Relaxed).min(capacity)
        } else {
            tokens
        }
    }

    /// Takes tokens out, below zero if need be.
    pub(super) fn take(&self, tokens: i64) {
        self.tokens.fetch_sub(tokens, Ordering::Relaxed);
    }
}

/// The same for one thread at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    tokens: i64,
    filled_ms: u64,
}

impl Default for Level {
    fn default() -> Self {
        Self { tokens: FULL, filled_ms: 0 }
    }
}

impl Level {
    /// The tokens in it now; below zero for a debt.
    pub(super) fn at(&mut self, rate: Rate, now_ms: u64) -> i64 {
        let more = rate.of_ms(now_ms.saturating_sub(self.filled_ms));
        self.filled_ms = self.filled_ms.max(now_ms);
        self.tokens = self.tokens.saturating_add(more).min(rate.capacity());
        self.tokens
    }

    /// Takes tokens out, below zero if need be.
    pub(super) fn take(&mut self, tokens: i64) {
        self.tokens = self.tokens.saturating_sub(tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Rate = Rate { units: 5, seconds: 300 };

    /// How many single units are admitted at once.
    fn admitted(bucket: &Bucket, rate: Rate, now_ms: u64) -> usize {
        let mut admitted = 0;
        while bucket.level(rate, now_ms) > 0 {
            bucket.take(UNIT);
            admitted += 1;
        }
        admitted
    }

    #[test]
    fn unused_units_of_300_seconds_are_kept() {
        let bucket = Bucket::default();
        assert_eq!(admitted(&bucket, FIVE, 1), 1500);
        assert_eq!(admitted(&bucket, FIVE, 1), 0);
        assert_eq!(admitted(&bucket, FIVE, 1_001), 5);
        assert_eq!(admitted(&bucket, FIVE, 11_001), 50);
        assert_eq!(admitted(&bucket, FIVE, 1_000_000), 1500);
    }

    #[test]
    fn a_debt_is_paid_back_before_more_is_admitted() {
        let bucket = Bucket::default();
        assert_eq!(admitted(&bucket, FIVE, 1), 1500);
        assert_eq!(bucket.level(FIVE, 201), UNIT);
        bucket.take(400 * UNIT);
        // 399 units of debt take 79.8 seconds.
        assert!(bucket.level(FIVE, 201 + 79_800) <= 0);
        assert!(bucket.level(FIVE, 201 + 79_801) > 0);
    }

    #[test]
    fn a_lower_limit_takes_what_is_too_much_and_a_higher_one_fills_up() {
        let bucket = Bucket::default();
        assert_eq!(bucket.level(FIVE, 1), 1500 * UNIT);
        let (one, ten) = (Rate { units: 1, seconds: 300 }, Rate { units: 10, seconds: 300 });
        assert_eq!(bucket.level(one, 1), 300 * UNIT);
        assert_eq!(bucket.level(ten, 1), 300 * UNIT);
        assert_eq!(bucket.level(ten, 10_001), 400 * UNIT);
    }

    #[test]
    fn threads_share_a_bucket_to_the_unit() {
        let bucket = Bucket::default();
        let rate = Rate { units: 100, seconds: 1 };
        assert_eq!(bucket.level(rate, 1), 100 * UNIT);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| bucket.take(UNIT)));
            }
        });
        assert_eq!(bucket.level(rate, 1), -3900 * UNIT);
    }

    #[test]
    fn a_level_is_a_bucket() {
        let (bucket, mut level) = (Bucket::default(), Level::default());
        for (now_ms, taken) in [(5, 10), (10, 1_400), (300, 200), (90_000, 3), (1_000_000, 1)] {
            assert_eq!(bucket.level(FIVE, now_ms), level.at(FIVE, now_ms), "{now_ms}");
            bucket.take(taken * UNIT);
            level.take(taken * UNIT);
        }
    }
}
