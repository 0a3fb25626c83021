//! All items of a table, by a parallel scan, and writing them at the target.

use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::{CopyError, Job, Stop};
use crate::endpoint::{CallError, pause};

/// The most items of one BatchWriteItem request.
const BATCH: usize = 25;
/// How often what a batch left over is sent again: for some minutes, as long as nothing at all is taken.
const PATIENCE: u32 = 30;

impl Job {
    /// Copies all items, each segment of the scan in a task of its own.
    pub(super) async fn copy_items(&self, table: &str, stop: &Stop) -> Result<(), CopyError> {
        let segments = self.state.table(table).segments;
        let total = segments.len();
        let mut tasks = JoinSet::new();
        for (number, segment) in segments.into_iter().enumerate().filter(|(_, segment)| !segment.done) {
            let (job, table, stop) = (self.clone(), table.to_owned(), stop.clone());
            tasks.spawn(async move { job.copy_segment(&table, (number, total), segment.after, &stop).await });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| CopyError::Task(error.to_string()))??;
        }
        Ok(())
    }

    async fn copy_segment(
        &self,
        table: &str,
        (number, total): (usize, usize),
        mut after: Option<Value>,
        stop: &Stop,
    ) -> Result<(), CopyError> {
        loop {
            if stop.is_set() {
                return Err(CopyError::Stopped);
            }
            let page = self.scan(table, (number, total), after.take(), !self.options.follow.follows()).await?;
            self.progress.add(page.items.len(), page.bytes);
            let puts = page.items.into_iter().map(|item| json!({"PutRequest": {"Item": item}}));
            self.write(self.target_of(table), puts.collect()).await?;
            let next = page.next.clone();
            self.state.progress(table, |state| {
                if let Some(segment) = state.segments.get_mut(number) {
                    segment.done = next.is_none();
                    segment.after = next;
                }
            })?;
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// A page of a source table's scan.
    pub(super) async fn scan(
        &self,
        table: &str,
        (segment, total): (usize, usize),
        after: Option<Value>,
        consistent: bool,
    ) -> Result<ScanPage, CallError> {
        let page = scan_page(&self.options.from, table, (segment, total), after, consistent).await?;
        self.reads.spend(page.units).await;
        Ok(page)
    }

    /// Writes requests of BatchWriteItem at the target, until all are taken.
    pub(super) async fn write(&self, table: &str, requests: Vec<Value>) -> Result<(), CopyError> {
        let mut waiting = requests.into_iter();
        loop {
            let mut batch: Vec<Value> = waiting.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let mut attempt = 0;
            while !batch.is_empty() {
                let sent = batch.len();
                let request = json!({
                    "RequestItems": {table: batch},
                    "ReturnConsumedCapacity": "TOTAL",
                });
                let mut answer = self.options.to.call("BatchWriteItem", &request).await?;
                let consumed = answer.get("ConsumedCapacity").and_then(Value::as_array);
                let units = consumed.into_iter().flatten().filter_map(|of| of.get("CapacityUnits")?.as_f64());
                // An endpoint that does not say counts as one unit for each.
                let units: f64 = units.sum::<f64>().max(1.0);
                self.writes.spend(units).await;
                let left = answer.get_mut("UnprocessedItems").and_then(|left| left.get_mut(table)).map(Value::take);
                batch = match left {
                    Some(Value::Array(left)) => left,
                    _ => Vec::new(),
                };
                if batch.is_empty() {
                    break;
                }
                attempt = if batch.len() < sent { 1 } else { attempt + 1 };
                if attempt > PATIENCE {
                    return Err(CopyError::NotTaken(table.to_owned()));
                }
                tokio::time::sleep(pause(attempt)).await;
            }
        }
    }
}

/// A page of a scan.
pub(super) struct ScanPage {
    pub items: Vec<Value>,
    pub next: Option<Value>,
    /// What it has consumed, in capacity units.
    pub units: f64,
    /// Its length in JSON, in bytes.
    pub bytes: usize,
}

/// A page of a table's scan.
pub(super) async fn scan_page(
    endpoint: &crate::Endpoint,
    table: &str,
    (segment, total): (usize, usize),
    after: Option<Value>,
    consistent: bool,
) -> Result<ScanPage, CallError> {
    let mut request = Map::new();
    request.insert("TableName".to_owned(), json!(table));
    request.insert("Segment".to_owned(), json!(segment));
    request.insert("TotalSegments".to_owned(), json!(total));
    request.insert("ConsistentRead".to_owned(), json!(consistent));
    request.insert("ReturnConsumedCapacity".to_owned(), json!("TOTAL"));
    if let Some(after) = after {
        request.insert("ExclusiveStartKey".to_owned(), after);
    }
    let mut answer = endpoint.call("Scan", &Value::Object(request)).await?;
    let Some(Value::Array(items)) = answer.get_mut("Items").map(Value::take) else {
        return Err(CallError::strange("Scan", "Items"));
    };
    let units = answer.pointer("/ConsumedCapacity/CapacityUnits").and_then(Value::as_f64).unwrap_or(1.0);
    let next = answer.get_mut("LastEvaluatedKey").map(Value::take).filter(Value::is_object);
    let bytes = items.iter().map(weight).sum();
    Ok(ScanPage { items, next, units, bytes })
}

/// About how many bytes an item has.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(weight).sum(),
        Value::Object(map) => map.iter().map(|(name, value)| name.len() + weight(value)).sum(),
        _ => 1,
    }
}
