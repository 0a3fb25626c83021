//! Following a source table's stream: each change is written at the target, in the order that each item was changed.
//!
//! Shards are read side by side, but none before the one that it continues. A record carries the whole new item (or has
//! it read), so what is applied twice after an interruption, or was in the scan already, comes to the same.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{CopyError, Follow, Job, Stop};
use crate::endpoint::CallError;

/// The pause after a page without records ("GetRecords": five a second from one shard).
const PAUSE: Duration = Duration::from_millis(250);
/// How often new shards are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// A shard whose pages were empty for so long is followed to its end, for now; a shard that ended may be continued by one
/// that is listed only after so long.
const QUIET_MS: u64 = 2000;
/// Records made so much earlier than the copy are in what it scanned, whatever the clocks say; in seconds.
const CLOCKS_APART: f64 = 300.0;
/// The most keys of one BatchGetItem request.
const BATCH: usize = 100;

/// What is known of a shard that is being read. Times are milliseconds since the epoch, 0 for never.
#[derive(Debug, Default)]
struct Reading {
    /// When the first of the latest row of empty pages was asked for.
    empty_since: AtomicU64,
    /// When the last of them was. A page that is slow to come says nothing, so time that passes is not enough.
    empty_until: AtomicU64,
    ended: AtomicU64,
}

impl Reading {
    fn found_none(&self, asked: u64) {
        let _ = self.empty_since.compare_exchange(0, asked, Ordering::Relaxed, Ordering::Relaxed);
        self.empty_until.store(asked, Ordering::Relaxed);
    }

    fn found_some(&self) {
        self.empty_until.store(0, Ordering::Relaxed);
        self.empty_since.store(0, Ordering::Relaxed);
    }

    fn end(&self) {
        self.ended.store(now_ms(), Ordering::Relaxed);
    }

    /// Whether nothing is to come from the shard, nor from one that continues it and was not listed at this time.
    fn is_quiet(&self, listed: u64) -> bool {
        match self.ended.load(Ordering::Relaxed) {
            0 => {
                let (since, until) =
                    (self.empty_since.load(Ordering::Relaxed), self.empty_until.load(Ordering::Relaxed));
                since > 0 && until.saturating_sub(since) >= QUIET_MS
            }
            ended => listed.saturating_sub(ended) >= QUIET_MS,
        }
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl Job {
    /// Follows a table's stream until it is told to stop, or until there is no lag if that is what was asked for.
    pub(super) async fn follow(&self, table: &str, stop: &Stop) -> Result<(), CopyError> {
        let stream = self.state.table(table).stream.ok_or_else(|| CopyError::NoStream(table.to_owned()))?;
        let keys = Arc::new(self.key_names(table).await?);
        let mut tasks: JoinSet<Result<(), CopyError>> = JoinSet::new();
        let mut readings: HashMap<String, Arc<Reading>> = HashMap::new();
        let began = now_ms();
        loop {
            let listed = now_ms();
            let shards = self.shards(&stream.arn).await?;
            let known: HashSet<&String> = shards.iter().map(|(id, _)| id).collect();
            let done = |id: &String| {
                self.state
                    .table(table)
                    .stream
                    .is_some_and(|stream| stream.shards.get(id).is_some_and(|shard| shard.done))
            };
            let mut left = false;
            for (id, parent) in &shards {
                if done(id) {
                    continue;
                }
                // One whose parent is still read begins when that has ended.
                let waits = parent.as_ref().is_some_and(|parent| known.contains(parent) && !done(parent));
                left |= waits;
                if !waits && !readings.contains_key(id) {
                    left = true;
                    let reading = Arc::new(Reading::default());
                    readings.insert(id.clone(), Arc::clone(&reading));
                    let (job, table, id, arn) = (self.clone(), table.to_owned(), id.clone(), stream.arn.clone());
                    let keys = Arc::clone(&keys);
                    tasks.spawn(async move { job.read_shard(&table, &arn, &id, &keys, &reading).await });
                }
            }
            while let Some(ended) = tasks.try_join_next() {
                ended.map_err(|error| CopyError::Task(error.to_string()))??;
            }
            // A stream that was switched on just now may have no shard yet.
            let caught_up = !left
                && listed.saturating_sub(began) >= QUIET_MS
                && readings.values().all(|reading| reading.is_quiet(listed));
            self.progress.lag(!caught_up);
            if stop.is_set() || (caught_up && self.options.follow == Follow::UntilCutOver) {
                tasks.shutdown().await;
                return if stop.is_set() && self.options.follow == Follow::UntilCutOver {
                    Err(CopyError::Stopped)
                } else {
                    Ok(())
                };
            }
            stop.or_after(LOOK).await;
        }
    }

    async fn key_names(&self, table: &str) -> Result<Vec<String>, CopyError> {
        let description = super::schema::described(&self.options.from, table).await?;
        let gone = || CopyError::Gone(table.to_owned(), self.options.from.url().to_owned());
        Ok(super::schema::key_names(&description.ok_or_else(gone)?))
    }

    /// All shards of a stream and which ones they continue.
    async fn shards(&self, arn: &str) -> Result<Vec<(String, Option<String>)>, CallError> {
        let (mut shards, mut after) = (Vec::new(), None::<String>);
        loop {
            let mut request = json!({"StreamArn": arn});
            if let (Some(after), Some(request)) = (after.take(), request.as_object_mut()) {
                request.insert("ExclusiveStartShardId".to_owned(), json!(after));
            }
            let answer = self.options.from.call("DescribeStream", &request).await?;
            let page = answer.pointer("/StreamDescription/Shards").and_then(Value::as_array);
            for shard in page.into_iter().flatten() {
                let text = |name: &str| shard.get(name).and_then(Value::as_str).map(str::to_owned);
                let id = text("ShardId").ok_or_else(|| CallError::strange("DescribeStream", "ShardId"))?;
                shards.push((id, text("ParentShardId")));
            }
            let last = answer.pointer("/StreamDescription/LastEvaluatedShardId").and_then(Value::as_str);
            match last {
                Some(last) => after = Some(last.to_owned()),
                None => return Ok(shards),
            }
        }
    }

    async fn read_shard(
        &self,
        table: &str,
        arn: &str,
        shard: &str,
        keys: &[String],
        reading: &Reading,
    ) -> Result<(), CopyError> {
        let begun = self.state.table(table).begun;
        let mut iterator = self.iterator(table, arn, shard).await?;
        loop {
            let asked = now_ms();
            let answer = match self.options.from.call("GetRecords", &json!({"ShardIterator": iterator})).await {
                Err(error) if error.is("ExpiredIteratorException") => {
                    iterator = self.iterator(table, arn, shard).await?;
                    continue;
                }
                Err(error) if error.is("TrimmedDataAccessException") => {
                    return Err(CopyError::Trimmed(table.to_owned()));
                }
                answer => answer?,
            };
            let records = answer.get("Records").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            if !records.is_empty() {
                // Before they are applied: a shard with records at hand is not quiet, however long writing them takes.
                reading.found_some();
            }
            self.apply(table, records, keys, begun).await?;
            let last = records.last().and_then(|record| record.pointer("/dynamodb/SequenceNumber")?.as_str());
            let next = answer.get("NextShardIterator").and_then(Value::as_str);
            if last.is_some() || next.is_none() {
                self.state.progress(table, |state| {
                    let Some(stream) = &mut state.stream else { return };
                    let state = stream.shards.entry(shard.to_owned()).or_default();
                    state.done = next.is_none();
                    if let Some(last) = last {
                        state.after = Some(last.to_owned());
                    }
                })?;
            }
            let Some(next) = next else {
                reading.end();
                return Ok(());
            };
            iterator = next.to_owned();
            if records.is_empty() {
                reading.found_none(asked);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn iterator(&self, table: &str, arn: &str, shard: &str) -> Result<String, CopyError> {
        let after = self.state.table(table).stream.and_then(|stream| stream.shards.get(shard)?.after.clone());
        let mut request = json!({"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
        if let (Some(after), Some(request)) = (after, request.as_object_mut()) {
            request.insert("ShardIteratorType".to_owned(), json!("AFTER_SEQUENCE_NUMBER"));
            request.insert("SequenceNumber".to_owned(), json!(after));
        }
        let answer = match self.options.from.call("GetShardIterator", &request).await {
            Err(error) if error.is("TrimmedDataAccessException") => return Err(CopyError::Trimmed(table.to_owned())),
            answer => answer?,
        };
        let iterator = answer.get("ShardIterator").and_then(Value::as_str);
        Ok(iterator.ok_or_else(|| CallError::strange("GetShardIterator", "ShardIterator"))?.to_owned())
    }

    /// Writes the changes of a page of records: of several of one item the last.
    async fn apply(&self, table: &str, records: &[Value], keys: &[String], begun: u64) -> Result<(), CopyError> {
        let mut last: BTreeMap<String, Change> = BTreeMap::new();
        let mut bytes = 0;
        for record in records {
            let change = record.get("dynamodb").ok_or_else(|| CallError::strange("GetRecords", "dynamodb"))?;
            let made = change.get("ApproximateCreationDateTime").and_then(Value::as_f64);
            let before = Duration::from_secs(begun).as_secs_f64() - CLOCKS_APART;
            if made.is_some_and(|made| made < before) {
                continue;
            }
            let key = change.get("Keys").ok_or_else(|| CallError::strange("GetRecords", "Keys"))?;
            let removed = record.get("eventName").and_then(Value::as_str) == Some("REMOVE");
            let change = match change.get("NewImage") {
                _ if removed => Change::Delete(key.clone()),
                Some(image) => Change::Put(image.clone()),
                None => Change::Look(key.clone()),
            };
            bytes += change.weight();
            last.insert(key.to_string(), change);
        }
        let count = last.len();
        let (mut requests, mut looks) = (Vec::with_capacity(count), Vec::new());
        for change in last.into_values() {
            match change {
                Change::Put(item) => requests.push(json!({"PutRequest": {"Item": item}})),
                Change::Delete(key) => requests.push(json!({"DeleteRequest": {"Key": key}})),
                Change::Look(key) => looks.push(key),
            }
        }
        requests.extend(self.look(table, looks, keys).await?);
        self.write(self.target_of(table), requests).await?;
        self.progress.changed(count, bytes);
        Ok(())
    }

    /// What became of items whose records do not say: as they are now.
    async fn look(&self, table: &str, wanted: Vec<Value>, names: &[String]) -> Result<Vec<Value>, CopyError> {
        let mut requests = Vec::with_capacity(wanted.len());
        for batch in wanted.chunks(BATCH) {
            let mut missing: BTreeMap<String, &Value> = batch.iter().map(|key| (key.to_string(), key)).collect();
            let mut left = json!({"Keys": batch, "ConsistentRead": true});
            let mut attempt = 0;
            loop {
                let request = json!({"RequestItems": {table: left}, "ReturnConsumedCapacity": "TOTAL"});
                let mut answer = self.options.from.call("BatchGetItem", &request).await?;
                let consumed = answer.get("ConsumedCapacity").and_then(Value::as_array);
                let units = consumed.into_iter().flatten().filter_map(|of| of.get("CapacityUnits")?.as_f64());
                self.reads.spend(units.sum::<f64>().max(1.0)).await;
                let found = answer.get_mut("Responses").and_then(|tables| tables.get_mut(table)).map(Value::take);
                if let Some(Value::Array(found)) = found {
                    for item in found {
                        missing.remove(&crate::content::key_of(&item, names).to_string());
                        requests.push(json!({"PutRequest": {"Item": item}}));
                    }
                }
                match answer.get_mut("UnprocessedKeys").and_then(|tables| tables.get_mut(table)).map(Value::take) {
                    Some(unprocessed) => {
                        left = unprocessed;
                        attempt += 1;
                        tokio::time::sleep(crate::endpoint::pause(attempt)).await;
                    }
                    None => break,
                }
            }
            requests.extend(missing.into_values().map(|key| json!({"DeleteRequest": {"Key": key}})));
        }
        Ok(requests)
    }
}

/// What became of an item.
enum Change {
    Put(Value),
    Delete(Value),
    /// The record does not say.
    Look(Value),
}

impl Change {
    fn weight(&self) -> usize {
        match self {
            Self::Put(item) => item.to_string().len(),
            Self::Delete(_) | Self::Look(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_quiet_when_pages_say_so_for_two_seconds() {
        let reading = Reading::default();
        assert!(!reading.is_quiet(u64::MAX));
        reading.found_none(1000);
        // A page that does not come is no empty page.
        assert!(!reading.is_quiet(1000 + 10 * QUIET_MS));
        reading.found_none(1000 + QUIET_MS - 1);
        assert!(!reading.is_quiet(u64::MAX));
        reading.found_none(1000 + QUIET_MS);
        assert!(reading.is_quiet(0));
        reading.found_some();
        assert!(!reading.is_quiet(u64::MAX));
        reading.found_none(9000);
        assert!(!reading.is_quiet(u64::MAX));
    }

    #[test]
    fn a_shard_that_ended_is_quiet_when_what_continues_it_would_have_been_listed() {
        let reading = Reading::default();
        reading.found_none(1);
        reading.found_none(1 + QUIET_MS);
        reading.end();
        let ended = reading.ended.load(Ordering::Relaxed);
        assert!(!reading.is_quiet(ended - 1));
        assert!(!reading.is_quiet(ended + QUIET_MS - 1));
        assert!(reading.is_quiet(ended + QUIET_MS));
    }
}
