//! A batch: records gathered into the body of one request, up to a number of records and of bytes.

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use partita_db::ChangeRecord;

use crate::event::{self, Origin};

/// The most bytes of a body, except that one record always fits (as invocations of Lambda: 6 MB).
pub const MAX_BODY_BYTES: usize = 6 << 20;

const OPENING: &[u8] = b"{\"Records\":[";
const CLOSING: &[u8] = b"]}";

/// A batch that is being gathered.
#[derive(Debug)]
pub struct Gathering {
    body: Vec<u8>,
    records: Vec<Gathered>,
    most: usize,
    full: bool,
}

/// A batch that can be posted.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The body of the request.
    pub body: Bytes,
    /// Its records, in order.
    pub records: Vec<Gathered>,
    /// Whether it took as many records or bytes as it may.
    pub full: bool,
    /// Whether the shard ends with it.
    pub ended: bool,
}

/// A record of a batch.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// Its event id.
    pub event_id: String,
    /// Its sequence number.
    pub sequence_number: String,
    /// When the change was, in milliseconds since the epoch.
    pub time_ms: u64,
    /// Where its JSON lies in the body.
    span: Range<usize>,
}

impl Gathering {
    /// An empty batch that takes up to `most` records.
    pub fn new(most: usize) -> Self {
        Self { body: OPENING.to_vec(), records: Vec::new(), most, full: most == 0 }
    }

    /// Adds a record if it fits; says whether it did. Once one did not, the batch is full.
    pub fn push(&mut self, record: ChangeRecord, origin: Origin<'_>) -> bool {
        if self.full {
            return false;
        }
        let before = self.body.len();
        if !self.records.is_empty() {
            self.body.push(b',');
        }
        let start = self.body.len();
        event::write(&record, origin, &mut self.body);
        if !self.records.is_empty() && self.body.len() + CLOSING.len() > MAX_BODY_BYTES {
            self.body.truncate(before);
            self.full = true;
            return false;
        }
        let ChangeRecord { event_id, sequence_number, time_ms, .. } = record;
        self.records.push(Gathered { event_id, sequence_number, time_ms, span: start..self.body.len() });
        self.full = self.records.len() >= self.most;
        true
    }

    /// How many records it can still take.
    pub fn room(&self) -> usize {
        if self.full { 0 } else { self.most.saturating_sub(self.records.len()) }
    }

    /// The batch as it is; `ended` when the shard ends with it.
    pub fn close(mut self, ended: bool) -> Batch {
        self.body.extend_from_slice(CLOSING);
        Batch { body: self.body.into(), records: self.records, full: self.full, ended }
    }
}

impl Batch {
    /// The JSON of one of its records.
    pub fn json(&self, record: &Gathered) -> String {
        String::from_utf8_lossy(self.body.get(record.span.clone()).unwrap_or_default()).into_owned()
    }
}

/// How long a batch that is not full waits for more records, given when its first was seen; `None` when it is due.
pub fn wait(opened: Instant, now: Instant, window: Duration, full: bool) -> Option<Duration> {
    let left = window.checked_sub(now.saturating_duration_since(opened))?;
    (!full && !left.is_zero()).then_some(left)
}

#[cfg(test)]
mod tests {
    use partita_db::{ChangeKind, StreamView};
    use partita_model::{AttributeMap, AttributeValue, StoredItem};

    use super::*;

    const ORIGIN: Origin<'_> = Origin { arn: "arn", region: "eu-west-1", view: StreamView::NewImage };

    fn record(at: usize, bytes: usize) -> ChangeRecord {
        let mut item = AttributeMap::new();
        item.insert("v", AttributeValue::S("x".repeat(bytes)));
        let item = StoredItem::from_item(&item);
        ChangeRecord {
            event_id: format!("{at:032x}"),
            kind: ChangeKind::Insert,
            expired: false,
            time_ms: 1_791_316_726_480,
            sequence_number: format!("1{at:039}"),
            size: bytes,
            keys: item.clone(),
            old: None,
            new: Some(item),
        }
    }

    #[test]
    fn a_batch_is_full_at_its_number_of_records() {
        let mut batch = Gathering::new(2);
        assert!(batch.push(record(1, 1), ORIGIN) && batch.room() == 1);
        assert!(batch.push(record(2, 1), ORIGIN) && batch.room() == 0);
        assert!(!batch.push(record(3, 1), ORIGIN));
        let batch = batch.close(false);
        let body: serde_json::Value = serde_json::from_slice(&batch.body).unwrap();
        assert_eq!(body["Records"].as_array().unwrap().len(), 2);
        let second: serde_json::Value = serde_json::from_str(&batch.json(&batch.records[1])).unwrap();
        assert_eq!(second, body["Records"][1]);
    }

    #[test]
    fn a_body_stays_below_6_mb_unless_one_record_is_larger() {
        let parsed = |batch: Gathering| {
            let batch = batch.close(false);
            assert!(batch.full && serde_json::from_slice::<serde_json::Value>(&batch.body).is_ok());
            batch.body.len()
        };
        let mut batch = Gathering::new(10_000);
        let taken = (0..100).take_while(|at| batch.push(record(*at, 300_000), ORIGIN)).count();
        assert_eq!((taken, batch.room()), (10, 0));
        assert!(parsed(batch) <= MAX_BODY_BYTES);
        let mut batch = Gathering::new(10_000);
        assert!(batch.push(record(0, MAX_BODY_BYTES), ORIGIN));
        assert!(!batch.push(record(1, 1), ORIGIN));
        assert!(parsed(batch) > MAX_BODY_BYTES);
    }

    #[test]
    fn a_batch_waits_for_its_window_unless_it_is_full() {
        let opened = Instant::now();
        let window = Duration::from_secs(5);
        let at = |seconds| opened + Duration::from_secs(seconds);
        assert_eq!(wait(opened, at(0), Duration::ZERO, false), None);
        assert_eq!(wait(opened, at(2), window, false), Some(Duration::from_secs(3)));
        assert_eq!(wait(opened, at(2), window, true), None);
        assert_eq!(wait(opened, at(5), window, false), None);
        assert_eq!(wait(opened, at(6), window, false), None);
    }
}
