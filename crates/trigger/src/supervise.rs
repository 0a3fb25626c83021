//! Which triggers and shards this node delivers: all that are due while it has the lease, none otherwise.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use partita_client::{Client, Reach};
use partita_db::trigger::{Deliveries, Tally, Trigger};
use partita_db::{Database, Error};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::shard::{Slots, Worker};

/// How often triggers and shards are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The most deliveries under way, of all triggers together: each holds up to 6 MB.
const MAX_DELIVERIES: usize = 32;
/// The most deliveries under way of one trigger, so that a slow receiver leaves room for the others.
const MAX_DELIVERIES_OF_ONE: usize = 8;
/// How long deliveries under way may take when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The task that delivers triggers.
#[derive(Debug)]
pub struct Deliverer {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Deliverer {
    /// Starts delivering the triggers of a database through `client`, though never to link-local addresses. Needs a Tokio
    /// runtime.
    #[must_use]
    pub fn start(database: Database, client: Client) -> Self {
        let (stop, stopped) = watch::channel(false);
        let supervisor = Supervisor {
            deliveries: Arc::new(Deliveries::new(database)),
            client: client.within(Reach::NotLinkLocal),
            running: HashMap::new(),
            all: Arc::new(Semaphore::new(MAX_DELIVERIES)),
            wake: Arc::default(),
        };
        Self { stop, task: tokio::spawn(supervisor.run(stopped)) }
    }

    /// Ends delivery: what is under way has five seconds to finish; what does not is delivered again by the next node.
    pub async fn stop(self) {
        // Without a receiver the task has ended already.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "delivery of triggers ended before");
        }
    }
}

struct Supervisor {
    deliveries: Arc<Deliveries>,
    client: Client,
    running: HashMap<String, Running>,
    all: Arc<Semaphore>,
    /// Called when a shard is done: its children can begin.
    wake: Arc<Notify>,
}

/// A trigger that is being delivered.
struct Running {
    definition: watch::Sender<Option<Arc<Trigger>>>,
    slots: Slots,
    workers: HashMap<String, JoinHandle<()>>,
}

impl Supervisor {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow_and_update() {
            match self.look().await {
                Ok(()) => {}
                Err(Error::Contention) => self.drop_all(),
                Err(error) => tracing::error!(%error, "triggers can not be looked at; it is tried again"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                () = self.wake.notified() => {}
                // The end of the sender is the end of the server.
                changed = stopped.changed() => if changed.is_err() { break },
            }
        }
        self.finish().await;
    }

    async fn look(&mut self) -> Result<(), Error> {
        let enabled = self.deliveries.enabled().await?;
        if enabled.is_empty() && self.running.is_empty() {
            return Ok(());
        }
        if !self.deliveries.take().await? {
            self.drop_all();
            return Ok(());
        }
        let ids: HashSet<&str> = enabled.iter().map(|trigger| trigger.id.as_str()).collect();
        self.running.retain(|id, running| {
            let is_enabled = ids.contains(id.as_str());
            if !is_enabled {
                running.definition.send_if_modified(|definition| definition.take().is_some());
            }
            running.workers.retain(|_, worker| !worker.is_finished());
            is_enabled || !running.workers.is_empty()
        });
        for trigger in enabled {
            // Workers that ended are forgotten before the shards are read, so that none is started on progress older
            // than what its predecessor kept.
            let shards = self.deliveries.shards(&trigger).await?;
            let all = Arc::clone(&self.all);
            let running = self.running.entry(trigger.id.clone()).or_insert_with(|| Running::new(all));
            running.define(trigger);
            for shard in shards {
                if running.workers.contains_key(&shard.id) {
                    continue;
                }
                let worker = Worker {
                    deliveries: Arc::clone(&self.deliveries),
                    definition: running.definition.subscribe(),
                    slots: running.slots.clone(),
                    shard: shard.id.clone(),
                    progress: shard.progress,
                    client: self.client.clone(),
                    opened: None,
                    idle_at: None,
                    lost_after: None,
                    tally: Tally::default(),
                };
                let wake = Arc::clone(&self.wake);
                let worker = tokio::spawn(async move {
                    worker.run().await;
                    wake.notify_one();
                });
                running.workers.insert(shard.id, worker);
            }
        }
        Ok(())
    }

    /// Another node delivers now: what is under way here ends at once.
    fn drop_all(&mut self) {
        for worker in self.running.values().flat_map(|running| running.workers.values()) {
            worker.abort();
        }
        self.running.clear();
    }

    async fn finish(&mut self) {
        let deadline = Instant::now() + STOP_GRACE;
        for running in self.running.values() {
            running.definition.send_replace(None);
        }
        for mut worker in self.running.drain().flat_map(|(_, running)| running.workers.into_values()) {
            if tokio::time::timeout_at(deadline, &mut worker).await.is_err() {
                worker.abort();
            }
        }
    }
}

impl Running {
    fn new(all: Arc<Semaphore>) -> Self {
        let slots = Slots { all, trigger: Arc::new(Semaphore::new(MAX_DELIVERIES_OF_ONE)) };
        Self { definition: watch::Sender::new(None), slots, workers: HashMap::new() }
    }

    fn define(&self, trigger: Trigger) {
        self.definition.send_if_modified(|definition| {
            let changed = definition.as_deref() != Some(&trigger);
            if changed {
                *definition = Some(Arc::new(trigger));
            }
            changed
        });
    }
}
