//! Background work: three tasks of each node, each of which works while it holds its lease.
//!
//! One expires items, fills expiry queues, trims and balances streams; another (`filling`) fills what was added to
//! tables in use, the third (`scaling`) has throughput follow what is consumed. What each does is in `expiry` and
//! `stream`; here is when. Everything is resumable: a node that dies leaves the store as if it had stopped between two
//! steps, and the next holder of the lease goes on.

mod clock;
mod filling;
mod lease;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub(crate) use clock::Clock;
pub(crate) use filling::{Filling, Slice};
pub(crate) use lease::Lease;

use crate::error::{Error, Result};
use crate::expiry::{Expiry, Left};
use crate::scaling::Scaling;
use crate::stream::Balance;
use crate::throttle::Sharing;
use crate::{Database, Inner};

/// How often streams are looked at for shards to split or replace.
const BALANCE_INTERVAL: Duration = Duration::from_secs(10);
/// How often streams are trimmed and old client tokens forgotten, in milliseconds.
const TRIM_INTERVAL_MS: u64 = 60_000;

/// How often nodes tell each other what they have consumed.
const SHARING_INTERVAL: Duration = Duration::from_secs(1);

/// How background work is paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobOptions {
    /// How long to rest between two looks for expired items.
    pub interval: Duration,
    /// The most items removed at one look, of all tables together.
    pub expiries_at_once: usize,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), expiries_at_once: 20_000 }
    }
}

/// The background tasks of an open database.
#[derive(Debug, Default)]
pub(crate) struct Background {
    /// Wake the tasks before their intervals are over.
    wake: Arc<Notify>,
    wake_filling: Arc<Notify>,
    wake_scaling: Arc<Notify>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Database {
    /// Starts the background work: expiry, trimming of streams, backups and restores. Without effect when it was started
    /// before. It ends with `close`, or when the last clone of the database is dropped. Needs a Tokio runtime.
    pub fn start_background(&self, options: JobOptions) {
        self.inner.store.start_keeping();
        let background = &self.inner.background;
        let mut tasks = background.tasks.lock();
        let first = tasks.is_empty();
        if first {
            let upkeep = (Task::Upkeep(Box::new(Jobs::new(options))), Arc::clone(&background.wake));
            let filling = (Task::Filling(Filling::new()), Arc::clone(&background.wake_filling));
            let scaling = (Task::Scaling(Box::new(Scaling::new())), Arc::clone(&background.wake_scaling));
            tasks.extend(
                [upkeep, filling, scaling]
                    .map(|(task, wake)| tokio::spawn(work(Arc::downgrade(&self.inner), task, wake, options.interval))),
            );
        }
        // One node shares its buckets with nobody.
        if first && self.inner.settings.throttling && !self.inner.store.is_embedded() {
            let wake = Arc::default();
            let task = Task::Sharing(Sharing::new());
            tasks.push(tokio::spawn(work(Arc::downgrade(&self.inner), task, wake, SHARING_INTERVAL)));
        }
        drop(tasks);
        self.start_recovering();
        self.start_loading();
    }

    /// Whether the background work was started.
    pub(crate) fn is_background_running(&self) -> bool {
        !self.inner.background.tasks.lock().is_empty()
    }

    /// Has the background tasks look for work at once.
    pub(crate) fn wake_background(&self) {
        self.inner.background.wake.notify_one();
        self.inner.background.wake_filling.notify_one();
        self.inner.background.wake_scaling.notify_one();
    }

    /// Ends the background tasks. What it has begun to commit is committed or not, as after a crash.
    pub(crate) async fn stop_background(&self) {
        let tasks = std::mem::take(&mut *self.inner.background.tasks.lock());
        for task in tasks {
            task.abort();
            // Aborted, or ended before; both are the end.
            let _ = task.await;
        }
    }

    /// Steady time, in milliseconds: see [`Clock::steady_ms`].
    pub(crate) fn steady_ms(&self) -> u64 {
        self.inner.clock.steady_ms()
    }

    /// Now, in milliseconds since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }
}

/// A task, with what it remembers.
enum Task {
    Upkeep(Box<Jobs>),
    Filling(Filling),
    Scaling(Box<Scaling>),
    Sharing(Sharing),
}

impl Task {
    async fn look(&mut self, database: &Database) -> Result<bool> {
        match self {
            Self::Upkeep(jobs) => jobs.look(database).await,
            Self::Filling(filling) => filling.look(database).await,
            Self::Scaling(scaling) => scaling.look(database).await,
            Self::Sharing(sharing) => sharing.look(database).await,
        }
    }
}

async fn work(database: Weak<Inner>, mut task: Task, wake: Arc<Notify>, interval: Duration) {
    loop {
        let Some(inner) = database.upgrade() else { return };
        let more = match task.look(&Database { inner }).await {
            Ok(more) => more,
            // Another node has the lease, or its writers go first.
            Err(Error::Contention) => false,
            Err(error) => {
                tracing::error!(%error, "background work failed; it is tried again");
                false
            }
        };
        if more {
            tokio::task::yield_now().await;
        } else {
            // Whichever comes first; a wake-up is nothing that can fail.
            let _ = tokio::time::timeout(interval, wake.notified()).await;
        }
    }
}

/// What the background task remembers between looks. All of it can be lost.
#[derive(Debug)]
pub(crate) struct Jobs {
    pub(crate) lease: Lease,
    pub(crate) expiry: Expiry,
    pub(crate) balance: Balance,
    options: JobOptions,
    balanced: Option<Instant>,
    /// By the database's clock, so that a clock that is moved on makes it due.
    trimmed_ms: Option<u64>,
}

impl Jobs {
    pub(crate) fn new(options: JobOptions) -> Self {
        Self {
            lease: Lease::new("background"),
            expiry: Expiry::default(),
            balance: Balance::default(),
            options,
            balanced: None,
            trimmed_ms: None,
        }
    }

    /// Does what is due, and says whether to look again at once.
    async fn look(&mut self, database: &Database) -> Result<bool> {
        if !self.lease.take(database).await? {
            return Ok(false);
        }
        let left = database.expire_items(&mut self.lease, &mut self.expiry, self.options.expiries_at_once).await?;
        if is_due(&mut self.balanced, BALANCE_INTERVAL) {
            database.balance_streams(&mut self.balance).await?;
        }
        let now_ms = database.now_ms();
        if self.trimmed_ms.is_none_or(|last_ms| now_ms.abs_diff(last_ms) >= TRIM_INTERVAL_MS) {
            self.trimmed_ms = Some(now_ms);
            database.trim_streams(&mut self.lease).await?;
            database.forget_tokens().await?;
        }
        Ok(left == Left::Filled)
    }
}

/// Whether an interval is over since the last time; begins the next one if so.
fn is_due(last: &mut Option<Instant>, interval: Duration) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= interval);
    if due {
        *last = Some(Instant::now());
    }
    due
}
