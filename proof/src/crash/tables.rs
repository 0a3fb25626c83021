//! A client that makes, fills, indexes and drops tables, and knows which there must be.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::wire::{Client, Outcome, pages, scan};

/// How long an index may take to be filled after a restart.
const FILLING_PATIENCE: Duration = Duration::from_secs(30);
/// How many items each table gets: those of one batch.
const ITEMS: usize = 25;

/// What a table has, as acknowledged.
#[derive(Clone, Debug, Default, PartialEq)]
struct Table {
    items: usize,
    indexed: bool,
}

/// What hangs in the air.
#[derive(Clone, Debug)]
enum Hanging {
    Create(String),
    Fill(String),
    Index(String),
    Drop(String),
}

/// The client and what it knows.
pub(crate) struct TableWriter {
    client: Client,
    random: fastrand::Rng,
    tables: BTreeMap<String, Table>,
    hanging: Option<Hanging>,
    made: u32,
    pub(crate) acknowledged: u64,
}

impl TableWriter {
    pub(crate) fn new(address: SocketAddr, seed: u64) -> Self {
        Self {
            client: Client::new(address),
            random: fastrand::Rng::with_seed(seed ^ 0x7ab1e),
            tables: BTreeMap::new(),
            hanging: None,
            made: 0,
            acknowledged: 0,
        }
    }

    /// Changes tables until told to stop or an answer does not come.
    ///
    /// # Errors
    /// When an answer contradicts what is known.
    pub(crate) fn work(&mut self, stop: &AtomicBool) -> Result<(), String> {
        while self.hanging.is_none() && !stop.load(Ordering::Relaxed) {
            let names: Vec<String> = self.tables.keys().cloned().collect();
            let some = (!names.is_empty()).then(|| names[self.random.usize(0..names.len())].clone());
            let next = match some {
                Some(name) if names.len() >= 4 => Hanging::Drop(name),
                Some(name) if self.tables[&name].items == 0 => Hanging::Fill(name),
                Some(name) if !self.tables[&name].indexed => Hanging::Index(name),
                Some(name) if self.random.u8(..) < 60 => Hanging::Drop(name),
                _ => {
                    self.made += 1;
                    Hanging::Create(format!("Made{}", self.made))
                }
            };
            let (operation, body) = request(&next);
            match self.client.call(operation, &body) {
                Outcome::Done(_) => self.settle(&next),
                Outcome::Unknown(_) => self.hanging = Some(next),
                // A table that still fills its index is in use.
                Outcome::Refused(code, _) if code == "ResourceInUseException" || code == "LimitExceededException" => {
                    thread::sleep(Duration::from_millis(5));
                }
                Outcome::Refused(_, answer) => return Err(format!("{operation} {body} was refused: {answer}")),
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn settle(&mut self, done: &Hanging) {
        self.acknowledged += 1;
        match done {
            Hanging::Create(name) => drop(self.tables.insert(name.clone(), Table::default())),
            Hanging::Fill(name) => self.tables.entry(name.clone()).or_default().items = ITEMS,
            Hanging::Index(name) => self.tables.entry(name.clone()).or_default().indexed = true,
            Hanging::Drop(name) => drop(self.tables.remove(name)),
        }
    }

    /// Holds all tables against what is known.
    ///
    /// # Errors
    /// When something acknowledged is not there, or something else is.
    pub(crate) fn verify(&mut self, client: &mut Client) -> Result<(), String> {
        let listed =
            pages(client, "ListTables", json!({}), "TableNames", ("LastEvaluatedTableName", "ExclusiveStartTableName"));
        let listed: Vec<String> = listed
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| name.starts_with("Made"))
            .map(str::to_owned)
            .collect();
        if let Some(hanging) = self.hanging.take() {
            let applied = match &hanging {
                Hanging::Create(name) => listed.contains(name),
                Hanging::Drop(name) => !listed.contains(name),
                Hanging::Fill(name) => {
                    // A batch is applied item by item: it is asked again as a whole.
                    let (operation, body) = request(&Hanging::Fill(name.clone()));
                    client.call(operation, &body).done();
                    true
                }
                Hanging::Index(name) => {
                    let table = client.call("DescribeTable", &json!({"TableName": name})).done();
                    table["Table"].get("GlobalSecondaryIndexes").is_some()
                }
            };
            if applied {
                self.settle(&hanging);
            }
        }
        let known: Vec<String> = self.tables.keys().cloned().collect();
        let mut sorted = listed;
        sorted.sort();
        let mut expected = known.clone();
        expected.sort();
        if sorted != expected {
            return Err(format!("there must be the tables {expected:?}, and there are {sorted:?}"));
        }
        for name in known {
            self.verify_table(client, &name)?;
        }
        Ok(())
    }

    fn verify_table(&self, client: &mut Client, name: &str) -> Result<(), String> {
        let table = &self.tables[name];
        let began = Instant::now();
        let described = loop {
            let described = client.call("DescribeTable", &json!({"TableName": name})).done()["Table"].clone();
            let active = |value: &Value, status: &str| value[status] == "ACTIVE";
            let indexes = described["GlobalSecondaryIndexes"].as_array().cloned().unwrap_or_default();
            if active(&described, "TableStatus") && indexes.iter().all(|index| active(index, "IndexStatus")) {
                break described;
            }
            if began.elapsed() > FILLING_PATIENCE {
                return Err(format!("{name} does not become active: {described}"));
            }
            thread::sleep(Duration::from_millis(10));
        };
        let items = scan(client, name, None);
        if items.len() != table.items || described["ItemCount"] != table.items {
            return Err(format!(
                "{name} must have {} items: {} found, {} counted",
                table.items,
                items.len(),
                described["ItemCount"]
            ));
        }
        if table.indexed {
            let indexed = scan(client, name, Some("ByV"));
            let keys = |items: &[Value]| {
                let mut keys: Vec<String> = items.iter().map(ToString::to_string).collect();
                keys.sort();
                keys
            };
            if keys(&indexed) != keys(&items) {
                return Err(format!("{name}: its index has {} items of {}", indexed.len(), items.len()));
            }
        }
        Ok(())
    }
}

fn request(of: &Hanging) -> (&'static str, Value) {
    match of {
        Hanging::Create(name) => (
            "CreateTable",
            json!({"TableName": name, "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}]}),
        ),
        Hanging::Fill(name) => {
            let item = |n: usize| json!({"PutRequest": {"Item": {"pk": {"S": n.to_string()}, "v": {"S": format!("v{}", n % 7)}}}});
            ("BatchWriteItem", json!({"RequestItems": {name: (0..ITEMS).map(item).collect::<Vec<_>>()}}))
        }
        Hanging::Index(name) => (
            "UpdateTable",
            json!({"TableName": name, "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "v", "AttributeType": "S"}],
                "GlobalSecondaryIndexUpdates": [{"Create": {"IndexName": "ByV", "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"}}}]}),
        ),
        Hanging::Drop(name) => ("DeleteTable", json!({"TableName": name})),
    }
}
