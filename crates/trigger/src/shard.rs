//! Delivery of one shard: read, post, keep the checkpoint, in order and one batch at a time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request};
use partita_client::{Bounds, Client};
use partita_db::Error;
use partita_db::trigger::{DeadLetter, Deliveries, GivenUp, Place, Progress, Tally, Trigger};
use tokio::sync::{Semaphore, watch};

use crate::batch::{self, Batch, Gathered, Gathering};
use crate::event::Origin;
use crate::retry::{self, Failure, Fault, Verdict};

/// How long to rest when a shard has nothing new.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long to rest when the database itself fails.
const TROUBLE_INTERVAL: Duration = Duration::from_secs(1);
/// How many records are asked for at a time.
const RECORDS_AT_ONCE: usize = 1000;
/// How many dead letters are written at a time.
const LETTERS_AT_ONCE: usize = 25;
/// How long connecting to a receiver may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of an answer's body is read so that the connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Statuses by which a receiver, or what stands before it, says that it takes nothing now.
const UNAVAILABLE: [u16; 4] = [429, 502, 503, 504];
/// The header in which Lambda's Invoke says that the function failed, though the call did not.
const FUNCTION_ERROR: &str = "x-amz-function-error";

const TRIGGER_HEADER: HeaderName = HeaderName::from_static("x-partita-trigger");
const SHARD_HEADER: HeaderName = HeaderName::from_static("x-partita-shard-id");
const ATTEMPT_HEADER: HeaderName = HeaderName::from_static("x-partita-attempt");

/// What limits how many deliveries are under way.
#[derive(Clone, Debug)]
pub struct Slots {
    /// Of all triggers.
    pub all: Arc<Semaphore>,
    /// Of one trigger.
    pub trigger: Arc<Semaphore>,
}

/// Delivers one shard.
pub struct Worker {
    pub deliveries: Arc<Deliveries>,
    /// The trigger as it is now; `None` when delivery is to end.
    pub definition: watch::Receiver<Option<Arc<Trigger>>>,
    pub slots: Slots,
    pub shard: String,
    pub progress: Progress,
    pub client: Client,
    /// When the first record of the batch to come was seen.
    pub opened: Option<Instant>,
    /// Where the shard had nothing more: kept, as finding the place may take many reads.
    pub idle_at: Option<String>,
    /// Behind which record others were found to be trimmed, so that it is said once.
    pub lost_after: Option<String>,
    /// What is counted with the next checkpoint.
    pub tally: Tally,
}

enum Step {
    Again,
    Rest(Duration),
    End,
}

impl Worker {
    /// Delivers until the shard is done, the trigger is gone or paused, or another node has taken over.
    pub async fn run(mut self) {
        loop {
            let Some(trigger) = self.definition.borrow_and_update().clone() else { return };
            let rest = match self.step(&trigger).await {
                Ok(Step::Again) => continue,
                Ok(Step::Rest(rest)) => rest,
                Ok(Step::End) | Err(Error::Contention) => return,
                Err(error) => {
                    tracing::error!(trigger = trigger.name, shard = self.shard, %error, "delivery failed inside");
                    TROUBLE_INTERVAL
                }
            };
            // A change of the trigger ends the rest: a new URL is tried at once.
            if let Ok(Err(_)) = tokio::time::timeout(rest, self.definition.changed()).await {
                return;
            }
        }
    }

    async fn step(&mut self, trigger: &Trigger) -> Result<Step, Error> {
        let slots = self.slots.clone();
        // Closed never; were they, delivery would end.
        let (Ok(_of_trigger), Ok(_of_all)) = (slots.trigger.acquire().await, slots.all.acquire().await) else {
            return Ok(Step::End);
        };
        let Some(batch) = self.gather(trigger).await? else {
            self.progress.done = true;
            return self.end(trigger).await;
        };
        if batch.records.is_empty() {
            if let Some(piece) = self.first_piece() {
                // What failed was trimmed meanwhile.
                retry::moved_on(&mut self.progress, &piece);
                return self.save(trigger).await;
            }
            if batch.ended {
                self.progress.done = true;
                return self.end(trigger).await;
            }
            self.opened = None;
            return Ok(Step::Rest(POLL_INTERVAL));
        }
        if self.progress.failing.is_none() {
            let window = Duration::from_secs(trigger.settings.window_seconds.into());
            let opened = *self.opened.get_or_insert_with(Instant::now);
            if let Some(left) = batch::wait(opened, Instant::now(), window, batch.full || batch.ended) {
                // Reads the batch at most ten times over while it fills.
                return Ok(Step::Rest(left.min((window / 10).max(POLL_INTERVAL))));
            }
        }
        let old = retry::too_old(&trigger.settings, batch.records.iter().map(|record| record.time_ms), now_ms());
        if let Some(old) = batch.records.get(..old).filter(|old| !old.is_empty()) {
            let attempts = self.attempts();
            return self.give_up(trigger, &batch, old, (GivenUp::RecordAgeExceeded, attempts)).await;
        }
        self.deliver(trigger, &batch).await
    }

    /// Reads the next batch; `None` when the shard is gone.
    async fn gather(&mut self, trigger: &Trigger) -> Result<Option<Batch>, Error> {
        let mut next = match self.idle_at.take() {
            Some(iterator) => Some(iterator),
            None => self.place(trigger).await?,
        };
        if next.is_none() {
            return Ok(None);
        }
        let until = self.first_piece();
        let most = match until {
            Some(_) => usize::MAX,
            None => trigger.settings.batch_size.try_into().unwrap_or(usize::MAX),
        };
        let mut batch = Gathering::new(most);
        while let Some(iterator) = next.take() {
            let page = self.deliveries.database().stream_records(&iterator, batch.room().min(RECORDS_AT_ONCE)).await?;
            if page.records.is_empty() {
                let batch = batch.close(page.next.is_none());
                self.idle_at = page.next.filter(|_| batch.records.is_empty());
                return Ok(Some(batch));
            }
            let origin = Origin { arn: &trigger.stream_arn, region: &page.region, view: page.view };
            for record in page.records {
                let beyond = until.as_ref().is_some_and(|until| record.sequence_number > *until);
                if beyond || !batch.push(record, origin) {
                    return Ok(Some(batch.close(false)));
                }
            }
            if batch.room() == 0 {
                return Ok(Some(batch.close(false)));
            }
            next = page.next;
        }
        Ok(Some(batch.close(true)))
    }

    /// An iterator for what comes next; `None` when the shard is gone.
    async fn place(&mut self, trigger: &Trigger) -> Result<Option<String>, Error> {
        match self.deliveries.place(trigger, &self.shard, &self.progress).await? {
            Place::At(iterator) => Ok(Some(iterator)),
            Place::AfterLoss(iterator) => {
                if self.lost_after != self.progress.after {
                    self.lost_after.clone_from(&self.progress.after);
                    let shard = &self.shard;
                    tracing::warn!(trigger = trigger.name, shard, "records were trimmed before they were delivered");
                }
                Ok(Some(iterator))
            }
            Place::Gone => Ok(None),
        }
    }

    async fn deliver(&mut self, trigger: &Trigger, batch: &Batch) -> Result<Step, Error> {
        let numbers: Vec<&str> = batch.records.iter().map(|record| record.sequence_number.as_str()).collect();
        let Some(last) = numbers.last() else { return Ok(Step::Again) };
        let Err(fault) = self.post(trigger, batch).await else {
            retry::moved_on(&mut self.progress, last);
            self.tally.delivered += count(numbers.len());
            self.opened = None;
            return self.save(trigger).await;
        };
        tracing::debug!(trigger = trigger.name, shard = self.shard, reason = fault.reason(), "delivery failed");
        let failure = Failure { records: &numbers, now_ms: now_ms(), chance: fastrand::f64() };
        match retry::failed(&mut self.progress, &trigger.settings, failure, &fault) {
            Verdict::Retry(pause) => {
                self.save(trigger).await?;
                Ok(Step::Rest(pause))
            }
            Verdict::GiveUp(attempts) => {
                let why = (GivenUp::RetryAttemptsExhausted, attempts);
                self.give_up(trigger, batch, &batch.records, why).await
            }
        }
    }

    async fn post(&mut self, trigger: &Trigger, batch: &Batch) -> Result<(), Fault> {
        let url = partita_api::delivery_url(&trigger.settings.url)
            .map_err(|refusal| Fault::Unavailable(refusal.message.into_owned()))?;
        let attempt = self.progress.failing.as_ref().map_or(1, |failing| failing.failures.saturating_add(1));
        let header = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
        let request = Request::post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(TRIGGER_HEADER, header(&trigger.name))
            .header(SHARD_HEADER, header(&self.shard))
            .header(ATTEMPT_HEADER, attempt)
            .body(batch.body.clone())
            .map_err(|error| Fault::Unavailable(error.to_string()))?;
        let bounds = Bounds {
            connect: CONNECT_TIMEOUT,
            total: Duration::from_secs(trigger.settings.timeout_seconds.into()),
            max_response_bytes: MAX_ANSWER_BYTES,
        };
        // The status is the answer; a body that is too long, late or cut only costs the connection.
        let answer = self.client.send_for_head(request, bounds).await.map_err(|error| {
            let reason = error.to_string();
            if error.may_have_arrived() { Fault::Failed(reason) } else { Fault::Unavailable(reason) }
        })?;
        // What the receiver says is not kept: it could be of a server that only this machine can reach.
        let status = answer.status().as_u16();
        let reason = format!("answered {status}");
        match status {
            200..300 if answer.headers().contains_key(FUNCTION_ERROR) => {
                Err(Fault::Failed("the function failed".to_owned()))
            }
            200..300 => Ok(()),
            status if UNAVAILABLE.contains(&status) => Err(Fault::Unavailable(reason)),
            _ => Err(Fault::Failed(reason)),
        }
    }

    /// Writes records to the dead-letter table, if there is one, and goes on behind them.
    async fn give_up(
        &mut self,
        trigger: &Trigger,
        batch: &Batch,
        records: &[Gathered],
        (why, attempts): (GivenUp, u32),
    ) -> Result<Step, Error> {
        let Some(last) = records.last() else { return Ok(Step::Again) };
        let given_up_ms = now_ms();
        if let Some(table) = &trigger.settings.dead_letter {
            let error = self.progress.failing.as_ref().map(|failing| failing.error.clone());
            let letter = |record: &Gathered| DeadLetter {
                event_id: record.event_id.clone(),
                sequence_number: record.sequence_number.clone(),
                time_ms: record.time_ms,
                attempts,
                batch: records.len(),
                why,
                error: error.clone(),
                given_up_ms,
                record: batch.json(record),
            };
            // A few at a time, so that the records are not in memory twice.
            for some in records.chunks(LETTERS_AT_ONCE) {
                let letters: Vec<DeadLetter> = some.iter().map(letter).collect();
                if let Err(error) = self.deliveries.bury(trigger, table, &self.shard, &letters).await {
                    tracing::warn!(trigger = trigger.name, shard = self.shard, %error, "a dead letter can not be written");
                    let reason = format!("the dead-letter table {table} can not take records: {error}");
                    let numbers: Vec<&str> =
                        batch.records.iter().map(|record| record.sequence_number.as_str()).collect();
                    let failure = Failure { records: &numbers, now_ms: given_up_ms, chance: fastrand::f64() };
                    let pause = retry::stuck(&mut self.progress, failure, &reason);
                    self.save(trigger).await?;
                    return Ok(Step::Rest(pause));
                }
            }
            self.tally.dead_lettered += count(records.len());
        } else {
            self.tally.discarded += count(records.len());
        }
        tracing::warn!(
            trigger = trigger.name,
            shard = self.shard,
            records = records.len(),
            reason = why.name(),
            "records were given up"
        );
        retry::moved_on(&mut self.progress, &last.sequence_number);
        self.opened = None;
        self.save(trigger).await
    }

    async fn save(&mut self, trigger: &Trigger) -> Result<Step, Error> {
        let there = self.deliveries.save(trigger, &self.shard, &self.progress, self.tally).await?;
        self.tally = Tally::default();
        Ok(if there { Step::Again } else { Step::End })
    }

    async fn end(&mut self, trigger: &Trigger) -> Result<Step, Error> {
        self.save(trigger).await?;
        Ok(Step::End)
    }

    /// The sequence number of the last record to be delivered next, when delivery has failed before.
    fn first_piece(&self) -> Option<String> {
        self.progress.failing.as_ref()?.pieces.first().map(|piece| piece.last.clone())
    }

    /// How often the receiver has failed on what comes next.
    fn attempts(&self) -> u32 {
        let failing = self.progress.failing.as_ref();
        failing.and_then(|failing| failing.pieces.first()).map_or(0, |piece| piece.attempts)
    }
}

fn count(records: usize) -> u64 {
    u64::try_from(records).unwrap_or(u64::MAX)
}

/// The time of this machine's clock, in milliseconds since the epoch.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
