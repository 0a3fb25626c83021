//! How far a trigger is behind its stream, and what it is stuck on.

use partita_engine::Freshness;

use super::Trigger;
use super::delivery::{Place, progress_of, tally_of};
use super::progress::{Progress, Tally};
use crate::Database;
use crate::error::Result;
use crate::stream::StreamPage;

/// How many records are counted before the count is called a lower bound.
const MAX_COUNTED: usize = 10_000;
/// How many pages of records, of about 1 MB each, are read for a count.
const MAX_PAGES: usize = 16;

/// How a trigger is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerStatus {
    /// How many records wait for delivery.
    pub behind: usize,
    /// Whether there are more than were counted.
    pub more: bool,
    /// The time of the oldest record that waits, in milliseconds since the epoch.
    pub oldest_ms: Option<u64>,
    /// When this was, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Whether the stream is enabled; `None` when it is gone.
    pub stream_enabled: Option<bool>,
    /// What became of records since the trigger was made.
    pub tally: Tally,
    /// The shards whose next batch has failed before.
    pub failing: Vec<(String, Progress)>,
}

impl Database {
    /// How a trigger is doing.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn trigger_status(&self, trigger: &Trigger) -> Result<TriggerStatus> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let mut progress = progress_of(&snapshot, trigger).await?;
        let mut status = TriggerStatus {
            tally: tally_of(&snapshot, trigger).await?,
            at_ms: self.now_ms(),
            stream_enabled: self
                .describe_stream(&trigger.stream_arn, &StreamPage::default())
                .await
                .ok()
                .map(|stream| stream.enabled),
            ..TriggerStatus::default()
        };
        let mut pages = 0;
        for shard in self.shards_of(trigger).await? {
            let progress = progress.remove(&shard.id).unwrap_or_default();
            if progress.done {
                continue;
            }
            let place = self.place_of(trigger, &shard.id, &progress).await?;
            if progress.failing.is_some() {
                status.failing.push((shard.id, progress));
            }
            let mut next = match place {
                Place::At(iterator) | Place::AfterLoss(iterator) => Some(iterator),
                Place::Gone => None,
            };
            while let Some(iterator) = next {
                if status.behind >= MAX_COUNTED || pages >= MAX_PAGES {
                    status.more = true;
                    break;
                }
                let page = self.stream_records(&iterator, MAX_COUNTED - status.behind).await?;
                if page.records.is_empty() {
                    break;
                }
                pages += 1;
                status.behind += page.records.len();
                if let Some(first) = page.records.first() {
                    status.oldest_ms = Some(status.oldest_ms.map_or(first.time_ms, |oldest| oldest.min(first.time_ms)));
                }
                next = page.next;
            }
        }
        Ok(status)
    }
}
