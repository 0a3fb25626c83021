//! How many bytes of request bodies the whole server may hold at once.
//!
//! Only bytes that have arrived count, so a client that announces much and sends nothing takes nothing from others.
//! Whoever finds the budget spent waits a bounded time; then its request is refused and its bytes are free again, so
//! that requests waiting for each other always get on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::fault::Fault;

/// Bytes that one permit stands for. Also the step in which reservations grow.
const STEP: usize = 16 * 1024;

/// Bodies up to this many bytes are not counted: they are as small as the read buffer their connection has anyway.
const UNCOUNTED: usize = 8 * 1024;

/// The budget, shared by all connections.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    steps: Arc<Semaphore>,
    patience: Duration,
}

impl Budget {
    /// A budget of `bytes`; whoever finds it spent waits for at most `patience`.
    pub(crate) fn new(bytes: usize, patience: Duration) -> Self {
        let steps = (bytes / STEP).clamp(1, Semaphore::MAX_PERMITS);
        Self { steps: Arc::new(Semaphore::new(steps)), patience }
    }

    /// A reservation of nothing yet.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), held: None, steps: 0 }
    }
}

/// The part of the budget one request holds. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
    steps: usize,
}

impl Reservation {
    /// Whether `bytes` are covered already.
    pub(crate) fn covers(&self, bytes: usize) -> bool {
        steps(bytes) <= self.steps
    }

    /// Makes the reservation cover `bytes`; [`Fault::Overloaded`] if that takes longer than the budget's patience.
    pub(crate) async fn cover(&mut self, bytes: usize) -> Result<(), Fault> {
        let wanted = steps(bytes);
        let missing = wanted.saturating_sub(self.steps);
        if missing == 0 {
            return Ok(());
        }
        let count = u32::try_from(missing).map_err(|_| Fault::Overloaded)?;
        let permit = timeout(self.budget.patience, Arc::clone(&self.budget.steps).acquire_many_owned(count)).await;
        let Ok(Ok(permit)) = permit else { return Err(Fault::Overloaded) };
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        self.steps = wanted;
        Ok(())
    }
}

fn steps(bytes: usize) -> usize {
    if bytes <= UNCOUNTED { 0 } else { bytes.div_ceil(STEP) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_spent_budget_refuses_after_its_patience_and_serves_again_when_freed() {
        let budget = Budget::new(64 * 1024, Duration::from_secs(5));
        let mut first = budget.reservation();
        first.cover(60 * 1024).await.unwrap();
        let mut second = budget.reservation();
        assert_eq!(second.cover(20 * 1024).await, Err(Fault::Overloaded));
        drop(first);
        assert_eq!(second.cover(20 * 1024).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn small_bodies_never_wait() {
        let budget = Budget::new(16 * 1024, Duration::from_secs(5));
        let mut first = budget.reservation();
        first.cover(16 * 1024).await.unwrap();
        assert_eq!(budget.reservation().cover(8 * 1024).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn uploads_that_block_each_other_resolve() {
        let budget = Budget::new(64 * 1024, Duration::from_secs(5));
        let (mut first, mut second) = (budget.reservation(), budget.reservation());
        first.cover(32 * 1024).await.unwrap();
        second.cover(32 * 1024).await.unwrap();
        let early = tokio::spawn(async move { first.cover(48 * 1024).await.map(|()| first) });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let late = tokio::spawn(async move { second.cover(48 * 1024).await });
        assert!(early.await.unwrap().is_err());
        assert_eq!(late.await.unwrap(), Ok(()));
    }
}
