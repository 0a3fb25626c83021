//! A client that owns its items: it knows of each what it must be, and of at most one request that it may be applied.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use super::{COUNTERS, LEDGER, MAIN, SESSIONS};
use crate::wire::{Client, Outcome};

/// How many keys of its own a writer uses.
const KEYS: u64 = 40;
/// The second at which an item that must stay ends: in the year 2100.
const FAR: u64 = 4_102_444_800;
/// The second at which an item that must go has ended.
const PAST_SECONDS: u64 = 1_000;

/// A table's name and the item's key.
pub(crate) type Place = (&'static str, String);

/// A request whose fate is not known.
#[derive(Clone, Debug)]
pub(crate) struct Hanging {
    /// What each item becomes if it is applied.
    pub(crate) after: BTreeMap<Place, Option<Value>>,
    /// Whether it is applied to all of them or to none.
    pub(crate) atomic: bool,
    /// The counter it adds to, if it does.
    pub(crate) counter: Option<usize>,
    /// The transaction, to be sent again under its token.
    pub(crate) transaction: Option<Value>,
}

/// A writer and what it knows.
pub(crate) struct Writer {
    id: usize,
    client: Client,
    random: fastrand::Rng,
    /// Everything that was acknowledged, as it must be found; `None` for what was deleted.
    pub(crate) known: BTreeMap<Place, Option<Value>>,
    /// The one request that hangs in the air.
    pub(crate) hanging: Option<Hanging>,
    /// What was added to each of the shared counters.
    pub(crate) added: [u64; COUNTERS],
    /// Expired items, which may be there and must go.
    pub(crate) expired: Vec<String>,
    pub(crate) acknowledged: u64,
    number: u64,
}

impl Writer {
    pub(crate) fn new(id: usize, address: SocketAddr, seed: u64) -> Self {
        Self {
            id,
            client: Client::new(address),
            random: fastrand::Rng::with_seed(seed.wrapping_mul(31).wrapping_add(id as u64)),
            known: BTreeMap::new(),
            hanging: None,
            added: [0; COUNTERS],
            expired: Vec::new(),
            acknowledged: 0,
            number: 0,
        }
    }

    /// Asks until told to stop or an answer does not come.
    ///
    /// # Errors
    /// When an answer contradicts what is known.
    pub(crate) fn work(&mut self, stop: &AtomicBool, acknowledged: &AtomicU64) -> Result<(), String> {
        while self.hanging.is_none() && !stop.load(Ordering::Relaxed) {
            self.number += 1;
            let before = self.acknowledged;
            match self.random.u8(0..100) {
                0..30 => self.put(),
                30..50 => self.conditional_update(),
                50..60 => self.delete(),
                60..75 => self.transaction(),
                75..85 => self.batch(),
                85..95 => self.count(),
                _ => self.session(),
            }?;
            acknowledged.fetch_add(self.acknowledged - before, Ordering::Relaxed);
        }
        Ok(())
    }

    fn place(&mut self) -> Place {
        (MAIN, format!("w{}-{}", self.id, self.random.u64(0..KEYS)))
    }

    /// A new state of an item, unlike any before.
    fn item(&mut self, key: &str) -> Value {
        let mut item = json!({"pk": {"S": key}, "sk": {"N": "1"}, "version": {"N": self.number.to_string()}, "w": {"N": self.id.to_string()}});
        if self.random.bool() {
            item["g"] = json!({"S": format!("g{}", self.random.u8(0..5))});
        }
        if self.random.bool() {
            item["l"] = json!({"N": self.random.u8(0..9).to_string()});
        }
        let most = if self.random.u8(..) < 10 { 40_000 } else { 600 };
        item["v"] = json!({"S": "x".repeat(self.random.usize(0..most))});
        item
    }

    /// Sends a request that must succeed, for the items to become what is said.
    fn ask(&mut self, operation: &str, body: &Value, hanging: Hanging) -> Result<(), String> {
        match self.client.call(operation, body) {
            Outcome::Done(_) => {
                self.acknowledged += 1;
                self.settle(&hanging, true);
            }
            Outcome::Unknown(_) => self.hanging = Some(hanging),
            Outcome::Refused(code, answer) => {
                // Two adding to one counter, or a transaction between them: an honest refusal.
                let conflict =
                    code == "TransactionConflictException" || answer.to_string().contains("TransactionConflict");
                if !(conflict || code == "ThrottlingException" || code == "TransactionInProgressException") {
                    return Err(format!("{operation} {body} was refused although it must succeed: {answer}"));
                }
            }
        }
        Ok(())
    }

    /// It is now known whether a request was applied.
    pub(crate) fn settle(&mut self, hanging: &Hanging, applied: bool) {
        if applied {
            self.known.extend(hanging.after.clone());
            if let Some(counter) = hanging.counter {
                self.added[counter] += 1;
            }
        }
    }

    fn one(&self, place: Place, after: Option<Value>) -> Hanging {
        Hanging { after: BTreeMap::from([(place, after)]), atomic: true, counter: None, transaction: None }
    }

    fn put(&mut self) -> Result<(), String> {
        let place = self.place();
        let item = self.item(&place.1);
        let hanging = self.one(place, Some(item.clone()));
        self.ask("PutItem", &json!({"TableName": MAIN, "Item": item}), hanging)
    }

    /// A change under the condition that the item is what it must be.
    fn conditional_update(&mut self) -> Result<(), String> {
        let place = self.place();
        let key = json!({"pk": {"S": place.1}, "sk": {"N": "1"}});
        let new = self.number.to_string();
        let (body, after) = match self.known.get(&place).cloned().flatten() {
            Some(mut item) => {
                let old = item["version"].clone();
                item["version"] = json!({"N": new});
                item["g"] = json!({"S": "updated"});
                item.as_object_mut().unwrap().remove("l");
                (
                    json!({"TableName": MAIN, "Key": key, "UpdateExpression": "SET version = :new, g = :g REMOVE l",
                        "ConditionExpression": "version = :old",
                        "ExpressionAttributeValues": {":new": {"N": new}, ":old": old, ":g": {"S": "updated"}}}),
                    item,
                )
            }
            None => (
                json!({"TableName": MAIN, "Key": key, "UpdateExpression": "SET version = :new",
                    "ConditionExpression": "attribute_not_exists(pk)", "ExpressionAttributeValues": {":new": {"N": new}}}),
                json!({"pk": {"S": place.1}, "sk": {"N": "1"}, "version": {"N": new}}),
            ),
        };
        let hanging = self.one(place, Some(after));
        self.ask("UpdateItem", &body, hanging)
    }

    fn delete(&mut self) -> Result<(), String> {
        let place = self.place();
        let body = json!({"TableName": MAIN, "Key": {"pk": {"S": place.1}, "sk": {"N": "1"}}});
        let hanging = self.one(place, None);
        self.ask("DeleteItem", &body, hanging)
    }

    /// Two items of one version, a line in the ledger and a counter: all or nothing.
    fn transaction(&mut self) -> Result<(), String> {
        let token = format!("t-{}-{}", self.id, self.number);
        let mut after = BTreeMap::new();
        let mut members = Vec::new();
        for half in ["a", "b"] {
            let key = format!("pair-{half}-{}", self.id);
            let mut item = self.item(&key);
            item["pair"] = json!({"N": self.number.to_string()});
            members.push(json!({"Put": {"TableName": MAIN, "Item": item}}));
            after.insert((MAIN, key), Some(item));
        }
        let line = json!({"pk": {"S": token}, "version": {"N": self.number.to_string()}});
        members.push(
            json!({"Put": {"TableName": LEDGER, "Item": line, "ConditionExpression": "attribute_not_exists(pk)"}}),
        );
        after.insert((LEDGER, token.clone()), Some(line));
        let counter = self.random.usize(0..COUNTERS);
        members
            .push(json!({"Update": {"TableName": MAIN, "Key": counter_key(counter), "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}}}}));
        let body = json!({"TransactItems": members, "ClientRequestToken": token});
        let hanging = Hanging { after, atomic: true, counter: Some(counter), transaction: Some(body.clone()) };
        self.ask("TransactWriteItems", &body, hanging)
    }

    fn batch(&mut self) -> Result<(), String> {
        let mut after = BTreeMap::new();
        let mut requests = Vec::new();
        for n in 0..10 {
            let key = format!("b{}-{n}", self.id);
            if self.random.u8(..) < 30 {
                requests.push(json!({"DeleteRequest": {"Key": {"pk": {"S": key}, "sk": {"N": "1"}}}}));
                after.insert((MAIN, key), None);
            } else {
                let item = self.item(&key);
                requests.push(json!({"PutRequest": {"Item": item}}));
                after.insert((MAIN, key), Some(item));
            }
        }
        let hanging = Hanging { after, atomic: false, counter: None, transaction: None };
        self.ask("BatchWriteItem", &json!({"RequestItems": {MAIN: requests}}), hanging)
    }

    /// One more on a counter that all writers share.
    fn count(&mut self) -> Result<(), String> {
        let counter = self.random.usize(0..COUNTERS);
        let body = json!({"TableName": MAIN, "Key": counter_key(counter), "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}}});
        let hanging = Hanging { after: BTreeMap::new(), atomic: true, counter: Some(counter), transaction: None };
        self.ask("UpdateItem", &body, hanging)
    }

    /// An item that must go by itself, or one that must stay.
    fn session(&mut self) -> Result<(), String> {
        let expired = self.random.bool();
        let key = format!("{}-{}-{}", if expired { "past" } else { "stays" }, self.id, self.number);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let ends = if expired { now - PAST_SECONDS } else { FAR };
        let item = json!({"pk": {"S": key}, "ends": {"N": ends.to_string()}});
        let body = json!({"TableName": SESSIONS, "Item": item});
        if expired {
            self.expired.push(key);
            let hanging = Hanging { after: BTreeMap::new(), atomic: true, counter: None, transaction: None };
            return self.ask("PutItem", &body, hanging);
        }
        let hanging = self.one((SESSIONS, key), Some(item));
        self.ask("PutItem", &body, hanging)
    }
}

/// The key of a shared counter.
pub(crate) fn counter_key(counter: usize) -> Value {
    json!({"pk": {"S": format!("counter-{counter}")}, "sk": {"N": "1"}})
}
