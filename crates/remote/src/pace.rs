//! Keeping to a rate: so many capacity units a second, on average over about a second.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Units saved up while nothing was spent: as many as of this time.
const SAVED: Duration = Duration::from_secs(1);

/// A rate that everyone who shares it keeps to together.
#[derive(Debug)]
pub struct Pace {
    per_second: Option<f64>,
    /// When all that was spent is paid for.
    paid: Mutex<Instant>,
}

impl Pace {
    /// So many units a second; `None` for as fast as it goes.
    #[must_use]
    pub fn new(per_second: Option<u32>) -> Self {
        Self { per_second: per_second.map(f64::from), paid: Mutex::new(Instant::now()) }
    }

    /// Spends units, and waits until they are paid for.
    pub async fn spend(&self, units: f64) {
        let Some(per_second) = self.per_second.filter(|rate| *rate > 0.0) else { return };
        let until = {
            let mut paid = self.paid.lock().await;
            let saved = Instant::now().checked_sub(SAVED).unwrap_or_else(Instant::now);
            let cost = Duration::try_from_secs_f64(units.max(0.0) / per_second).unwrap_or(Duration::MAX);
            *paid = (*paid).max(saved).checked_add(cost).unwrap_or(*paid);
            *paid
        };
        tokio::time::sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rate_is_kept_together() {
        let pace = Pace::new(Some(100));
        let begun = Instant::now();
        // A second's worth is saved up by nobody: the clock begins with the first.
        for _ in 0..6 {
            pace.spend(10.0).await;
        }
        assert!(begun.elapsed() >= Duration::from_millis(590), "{:?}", begun.elapsed());
        let free = Pace::new(None);
        free.spend(1e12).await;
    }
}
