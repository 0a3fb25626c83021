//! A copy of a table that is made from its stream alone, over all restarts: each change once, in order, with the images
//! that fit together.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::wire::{Client, Outcome};

/// Empty pages in a row after which a shard is taken to be read to its end.
const EMPTY_PAGES: u32 = 2;

/// The copy, and how far each shard has been read.
pub(crate) struct Replica {
    arn: String,
    /// The last sequence number read of each shard.
    read: BTreeMap<String, Option<String>>,
    /// The items by their partition key.
    pub(crate) items: BTreeMap<String, Value>,
    pub(crate) records: u64,
}

impl Replica {
    pub(crate) fn of(client: &mut Client, table: &str) -> Self {
        let table = client.call("DescribeTable", &json!({"TableName": table})).done();
        let arn = table["Table"]["LatestStreamArn"].as_str().unwrap().to_owned();
        Self { arn, read: BTreeMap::new(), items: BTreeMap::new(), records: 0 }
    }

    /// Reads what is new in the stream.
    ///
    /// # Errors
    /// When a record does not follow from those before it.
    pub(crate) fn follow(&mut self, client: &mut Client) -> Result<(), String> {
        for shard in self.shards(client) {
            self.follow_shard(client, &shard)?;
        }
        Ok(())
    }

    /// All shards, parents before their children.
    fn shards(&self, client: &mut Client) -> Vec<String> {
        let mut shards: Vec<(String, Option<String>)> = Vec::new();
        let mut body = json!({"StreamArn": self.arn});
        loop {
            let answer = client.streams("DescribeStream", &body).done();
            let description = &answer["StreamDescription"];
            for shard in description["Shards"].as_array().unwrap() {
                let text = |name: &str| shard.get(name).and_then(Value::as_str).map(str::to_owned);
                shards.push((text("ShardId").unwrap(), text("ParentShardId")));
            }
            match description.get("LastEvaluatedShardId") {
                Some(last) if last.is_string() => body["ExclusiveStartShardId"] = last.clone(),
                _ => break,
            }
        }
        let mut ordered: Vec<String> = Vec::new();
        while !shards.is_empty() {
            let waits = |parent: &String| shards.iter().any(|(id, _)| id == parent);
            let (ready, later): (Vec<_>, Vec<_>) =
                shards.iter().cloned().partition(|(_, parent)| !parent.as_ref().is_some_and(waits));
            assert!(!ready.is_empty(), "shards are their own ancestors: {later:?}");
            ordered.extend(ready.into_iter().map(|(id, _)| id));
            shards = later;
        }
        ordered
    }

    fn follow_shard(&mut self, client: &mut Client, shard: &str) -> Result<(), String> {
        let last = self.read.get(shard).cloned().flatten();
        let mut start = json!({"StreamArn": self.arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
        if let Some(last) = &last {
            start["ShardIteratorType"] = "AFTER_SEQUENCE_NUMBER".into();
            start["SequenceNumber"] = last.clone().into();
        }
        let mut iterator = client.streams("GetShardIterator", &start).done()["ShardIterator"].clone();
        let mut empty = 0;
        while iterator.is_string() && empty < EMPTY_PAGES {
            let answer = match client.streams("GetRecords", &json!({"ShardIterator": iterator})) {
                Outcome::Done(answer) => answer,
                other => return Err(format!("the stream can not be read: {other:?}")),
            };
            let records = answer["Records"].as_array().cloned().unwrap_or_default();
            empty = if records.is_empty() { empty + 1 } else { 0 };
            for record in &records {
                self.apply(shard, record)?;
            }
            iterator = answer.get("NextShardIterator").cloned().unwrap_or_default();
        }
        Ok(())
    }

    fn apply(&mut self, shard: &str, record: &Value) -> Result<(), String> {
        let change = &record["dynamodb"];
        let number = change["SequenceNumber"].as_str().unwrap_or_default().to_owned();
        let before = self.read.get(shard).cloned().flatten();
        // They have up to 40 digits, without leading zeros.
        if before.as_ref().is_some_and(|before| (before.len(), before) >= (number.len(), &number)) {
            return Err(format!("sequence number {number} comes after {before:?}"));
        }
        self.read.insert(shard.to_owned(), Some(number));
        self.records += 1;
        let key = change["Keys"]["pk"]["S"].as_str().unwrap_or_default().to_owned();
        let (old, new) = (change.get("OldImage").cloned(), change.get("NewImage").cloned());
        let held = self.items.get(&key).cloned();
        if held != old {
            return Err(format!("a record of {key} says it was {old:?}, and by the records before it was {held:?}"));
        }
        let event = match (&old, &new) {
            (None, Some(_)) => "INSERT",
            (Some(_), Some(_)) => "MODIFY",
            (Some(_), None) => "REMOVE",
            (None, None) => "nothing",
        };
        if record["eventName"] != event {
            return Err(format!("a record with the images of {event} is called {}", record["eventName"]));
        }
        match new {
            Some(item) => self.items.insert(key, item),
            None => self.items.remove(&key),
        };
        Ok(())
    }
}
