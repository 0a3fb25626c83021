//! Histories: what concurrent clients asked and were told, and when; recorded against any number of endpoints of one
//! database, and judged by checkers that know nothing of how it works.
//!
//! `register.rs` judges single items for linearizability, `lists.rs` transactions for strict serializability.

pub mod lists;
pub mod register;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::Server;
use crate::wire::{Client, Outcome};

use lists::Transaction;
use register::{Kind, Operation};

const REGISTERS: &str = "Registers";
const LISTS: &str = "Lists";
/// Items that are in use at a time: few, so that clients meet.
const KEYS: u64 = 8;
/// Operations after which other items are used, so that what hung in the air is over, and lists stay short.
const OPERATIONS_PER_EPOCH: u64 = 1_500;
/// How long a table may take to become active, and a server to come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be recorded.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The nodes of one database; clients are spread over them.
    pub endpoints: Vec<SocketAddr>,
    /// How many operations.
    pub operations: u64,
    /// How many clients.
    pub clients: usize,
    /// How old an eventually consistent read may be.
    pub bound: Duration,
    /// What is random follows from this.
    pub seed: u64,
}

/// What was recorded, when nothing was wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Operations on single items, answered or not.
    pub single: usize,
    /// Transactions, answered or not.
    pub transactions: usize,
    /// Transactions that met others and were refused.
    pub refused: usize,
    /// Operations without an answer.
    pub unknown: usize,
    /// The edges of the graph of transactions.
    pub edges: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} operations on single items linearizable, {} transactions strictly serializable ({} refused, {} dependencies), \
             {} without an answer",
            self.single, self.transactions, self.refused, self.edges, self.unknown
        )
    }
}

struct Shared<'r> {
    recording: &'r Recording,
    began: Instant,
    asked: AtomicU64,
    values: AtomicU64,
    over: AtomicBool,
}

impl Shared<'_> {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The number of the next operation; `None` when there were enough.
    fn next(&self) -> Option<u64> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        (number < self.recording.operations && !self.over.load(Ordering::Relaxed)).then_some(number)
    }
}

/// Records a history and judges it. `disturb` runs beside the clients, with what tells it to end; for kills.
///
/// # Errors
/// What is wrong with the history.
pub fn record_and_judge(
    recording: &Recording,
    disturb: impl FnOnce(&AtomicBool) -> Result<(), String> + Send,
) -> Result<Figures, String> {
    let mut first = Client::new(recording.endpoints[0]);
    for table in [REGISTERS, LISTS] {
        create(&mut first, table);
    }
    let shared = Shared {
        recording,
        began: Instant::now(),
        asked: AtomicU64::new(0),
        values: AtomicU64::new(1),
        over: AtomicBool::new(false),
    };
    let mut operations = Vec::new();
    let mut transactions = Vec::new();
    let disturbed = thread::scope(|scope| {
        let disturbing = scope.spawn(|| disturb(&shared.over));
        let clients: Vec<_> = (0..recording.clients)
            .map(|id| {
                let shared = &shared;
                scope.spawn(move || Recorder::new(id, shared).work())
            })
            .collect();
        for client in clients {
            let recorded = client.join().unwrap();
            operations.extend(recorded.operations);
            transactions.extend(recorded.transactions);
        }
        shared.over.store(true, Ordering::Relaxed);
        disturbing.join().unwrap()
    });
    disturbed?;
    transactions.push(final_read(&mut first, &shared));
    let unknown = operations.iter().filter(|operation| operation.returned.is_none()).count()
        + transactions.iter().filter(|transaction| transaction.returned.is_none() && !transaction.aborted).count();
    let refused = transactions.iter().filter(|transaction| transaction.aborted).count();
    let (single, several) = (operations.len(), transactions.len());
    register::check_all(operations)?;
    let edges = lists::check(&transactions)?;
    Ok(Figures { single, transactions: several, refused, unknown, edges })
}

fn create(client: &mut Client, table: &str) {
    let body = json!({"TableName": table, "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}]});
    client.call("CreateTable", &body).done();
    let began = Instant::now();
    while client.call("DescribeTable", &json!({"TableName": table})).done()["Table"]["TableStatus"] != "ACTIVE" {
        assert!(began.elapsed() < PATIENCE, "{table} does not become active");
        thread::sleep(Duration::from_millis(10));
    }
}

/// One client and what it recorded.
struct Recorder<'s> {
    shared: &'s Shared<'s>,
    client: Client,
    random: fastrand::Rng,
    operations: Vec<Operation>,
    transactions: Vec<Transaction>,
}

impl<'s> Recorder<'s> {
    fn new(id: usize, shared: &'s Shared<'s>) -> Self {
        let endpoints = &shared.recording.endpoints;
        Self {
            shared,
            client: Client::new(endpoints[id % endpoints.len()]),
            random: fastrand::Rng::with_seed(shared.recording.seed.wrapping_mul(1_000).wrapping_add(id as u64)),
            operations: Vec::new(),
            transactions: Vec::new(),
        }
    }

    fn work(mut self) -> Self {
        while let Some(number) = self.shared.next() {
            let epoch = number / OPERATIONS_PER_EPOCH;
            let key = format!("{epoch}-{}", self.random.u64(0..KEYS));
            let answered = match self.random.u8(0..100) {
                0..20 => self.read(key, true),
                20..30 => self.read(key, false),
                30..45 => self.write(key),
                45..60 => self.compare_and_set(key),
                60..65 => self.delete(key),
                65..80 => self.append(epoch),
                80..90 => self.append_one(epoch),
                _ => self.read_lists(epoch),
            };
            if !answered {
                // The server may be away.
                thread::sleep(Duration::from_millis(20));
            }
        }
        self
    }

    fn new_value(&self) -> u64 {
        self.shared.values.fetch_add(1, Ordering::Relaxed)
    }

    /// Records an operation on one item; whether it was answered.
    fn record(
        &mut self,
        key: String,
        invoked: u64,
        outcome: &Outcome,
        judge: impl FnOnce(&Outcome) -> Option<Kind>,
        unknown: Option<Kind>,
    ) -> bool {
        let now = self.shared.now();
        match judge(outcome) {
            Some(kind) => self.operations.push(Operation { key, invoked, returned: Some(now), kind }),
            None => {
                if let Some(kind) = unknown {
                    self.operations.push(Operation { key, invoked, returned: None, kind });
                }
            }
        }
        !matches!(outcome, Outcome::Unknown(_))
    }

    fn read(&mut self, key: String, consistent: bool) -> bool {
        let invoked = self.shared.now();
        let body = json!({"TableName": REGISTERS, "Key": {"pk": {"S": key}}, "ConsistentRead": consistent});
        let outcome = self.client.call("GetItem", &body);
        let bound = u64::try_from(self.shared.recording.bound.as_nanos()).unwrap_or(u64::MAX);
        let since = if consistent { invoked } else { invoked.saturating_sub(bound) };
        self.record(
            key,
            since,
            &outcome,
            |outcome| answered(outcome).map(|answer| Kind::Read(value_of(&answer["Item"]))),
            None,
        )
    }

    fn write(&mut self, key: String) -> bool {
        let value = self.new_value();
        let invoked = self.shared.now();
        let body = json!({"TableName": REGISTERS, "Item": {"pk": {"S": key}, "v": {"N": value.to_string()}}, "ReturnValues": "ALL_OLD"});
        let outcome = self.client.call("PutItem", &body);
        let known = |outcome: &Outcome| {
            answered(outcome).map(|answer| Kind::Write { new: Some(value), old: Some(value_of(&answer["Attributes"])) })
        };
        let unknown = maybe(&outcome, Kind::Write { new: Some(value), old: None });
        self.record(key, invoked, &outcome, known, unknown)
    }

    fn delete(&mut self, key: String) -> bool {
        let invoked = self.shared.now();
        let body = json!({"TableName": REGISTERS, "Key": {"pk": {"S": key}}, "ReturnValues": "ALL_OLD"});
        let outcome = self.client.call("DeleteItem", &body);
        let known = |outcome: &Outcome| {
            answered(outcome).map(|answer| Kind::Write { new: None, old: Some(value_of(&answer["Attributes"])) })
        };
        let unknown = maybe(&outcome, Kind::Write { new: None, old: None });
        self.record(key, invoked, &outcome, known, unknown)
    }

    /// A write under the condition that the value is what it was when last seen.
    fn compare_and_set(&mut self, key: String) -> bool {
        let seen = self.operations.iter().rev().take(60).find(|operation| operation.key == key);
        let old = seen.and_then(|seen| match seen.kind {
            Kind::Read(value) => value,
            Kind::Write { new, .. } => new,
            Kind::CompareAndSet { new, .. } => Some(new),
        });
        let new = self.new_value();
        let mut body = json!({"TableName": REGISTERS, "Item": {"pk": {"S": key}, "v": {"N": new.to_string()}}});
        match old {
            None => body["ConditionExpression"] = "attribute_not_exists(pk)".into(),
            Some(old) => {
                body["ConditionExpression"] = "v = :old".into();
                body["ExpressionAttributeValues"] = json!({":old": {"N": old.to_string()}});
            }
        }
        let invoked = self.shared.now();
        let outcome = self.client.call("PutItem", &body);
        let kind = |done| Kind::CompareAndSet { old, new, done };
        let known = |outcome: &Outcome| match outcome {
            Outcome::Done(_) => Some(kind(Some(true))),
            Outcome::Refused(code, _) if code == "ConditionalCheckFailedException" => Some(kind(Some(false))),
            _ => None,
        };
        let unknown = maybe(&outcome, kind(None));
        self.record(key, invoked, &outcome, known, unknown)
    }

    fn lists(&mut self, epoch: u64) -> Vec<String> {
        let count = self.random.usize(1..4);
        let mut keys: Vec<u64> = (0..KEYS).collect();
        self.random.shuffle(&mut keys);
        keys.into_iter().take(count).map(|key| format!("{epoch}-{key}")).collect()
    }

    fn record_transaction(&mut self, mut transaction: Transaction, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Done(_) => transaction.returned = Some(self.shared.now()),
            Outcome::Refused(..) => transaction.aborted = true,
            Outcome::Unknown(_) if transaction.appends.is_empty() => return false,
            Outcome::Unknown(_) => {}
        }
        self.transactions.push(transaction);
        !matches!(outcome, Outcome::Unknown(_))
    }

    /// Appends to several lists in one transaction.
    fn append(&mut self, epoch: u64) -> bool {
        let appends: Vec<(String, u64)> = self.lists(epoch).into_iter().map(|key| (key, self.new_value())).collect();
        let members: Vec<Value> = appends
            .iter()
            .map(|(key, value)| {
                let mut update = append_to(key, *value);
                update["TableName"] = LISTS.into();
                json!({"Update": update})
            })
            .collect();
        let invoked = self.shared.now();
        let outcome = self.client.call("TransactWriteItems", &json!({"TransactItems": members}));
        self.record_transaction(Transaction { invoked, appends, ..Transaction::default() }, &outcome)
    }

    /// Appends to one list and is told what it is then.
    fn append_one(&mut self, epoch: u64) -> bool {
        let key = self.lists(epoch).remove(0);
        let value = self.new_value();
        let mut body = append_to(&key, value);
        body["TableName"] = LISTS.into();
        body["ReturnValues"] = "ALL_OLD".into();
        let invoked = self.shared.now();
        let outcome = self.client.call("UpdateItem", &body);
        let mut transaction = Transaction { invoked, appends: vec![(key.clone(), value)], ..Transaction::default() };
        if let Outcome::Done(answer) = &outcome {
            transaction.reads.push((key, list_of(&answer["Attributes"])));
        }
        self.record_transaction(transaction, &outcome)
    }

    fn read_lists(&mut self, epoch: u64) -> bool {
        let keys = self.lists(epoch);
        let members: Vec<Value> =
            keys.iter().map(|key| json!({"Get": {"TableName": LISTS, "Key": {"pk": {"S": key}}}})).collect();
        let invoked = self.shared.now();
        let outcome = self.client.call("TransactGetItems", &json!({"TransactItems": members}));
        let mut transaction = Transaction { invoked, ..Transaction::default() };
        if let Outcome::Done(answer) = &outcome {
            let responses = answer["Responses"].as_array().cloned().unwrap_or_default();
            transaction.reads =
                keys.into_iter().zip(responses.iter().map(|response| list_of(&response["Item"]))).collect();
        }
        self.record_transaction(transaction, &outcome)
    }
}

fn append_to(key: &str, value: u64) -> Value {
    json!({"Key": {"pk": {"S": key}}, "UpdateExpression": "SET l = list_append(if_not_exists(l, :none), :value)",
        "ExpressionAttributeValues": {":none": {"L": []}, ":value": {"L": [{"N": value.to_string()}]}}})
}

const fn answered(outcome: &Outcome) -> Option<&Value> {
    match outcome {
        Outcome::Done(answer) => Some(answer),
        _ => None,
    }
}

/// What is recorded of an operation without an answer; nothing of one that was refused.
fn maybe(outcome: &Outcome, kind: Kind) -> Option<Kind> {
    matches!(outcome, Outcome::Unknown(_)).then_some(kind)
}

fn value_of(item: &Value) -> Option<u64> {
    item["v"]["N"].as_str().and_then(|value| value.parse().ok())
}

fn list_of(item: &Value) -> Vec<u64> {
    let elements = item["l"]["L"].as_array().cloned().unwrap_or_default();
    elements.iter().filter_map(|element| element["N"].as_str().and_then(|value| value.parse().ok())).collect()
}

/// Every list as it is in the end, so that what was appended and never read is found missing too.
fn final_read(client: &mut Client, shared: &Shared<'_>) -> Transaction {
    let invoked = shared.now();
    let began = Instant::now();
    while let Outcome::Unknown(_) = client.call("DescribeTable", &json!({"TableName": LISTS})) {
        assert!(began.elapsed() < PATIENCE, "the server does not come back");
        thread::sleep(Duration::from_millis(20));
    }
    let items = crate::wire::scan(client, LISTS, None);
    let reads =
        items.iter().map(|item| (item["pk"]["S"].as_str().unwrap_or_default().to_owned(), list_of(item))).collect();
    Transaction { invoked, returned: Some(shared.now()), reads, is_final: true, ..Transaction::default() }
}

/// Kills a server again and again at random moments and starts it again, until told that it is over.
///
/// # Errors
/// When it does not start.
pub fn kill_now_and_then(
    server: &mut Server,
    kills: u32,
    pause: Duration,
    seed: u64,
    over: &AtomicBool,
) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let longest = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).max(2);
    for _ in 0..kills {
        let pause = Duration::from_millis(random.u64(longest / 2..longest));
        let began = Instant::now();
        while began.elapsed() < pause && !over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        if over.load(Ordering::Relaxed) {
            break;
        }
        let setting = server.setting().clone();
        server.start_again(setting)?;
    }
    Ok(())
}
