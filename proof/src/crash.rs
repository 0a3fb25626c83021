//! Crashes: a mixed load, a sudden end, a restart, and an oracle outside that knows what may be there.
//!
//! Each writer (`writer.rs`) owns its items, so it knows exactly what was acknowledged and that at most one request of
//! its own hung in the air. `verify.rs` compares the whole table, its indexes, its stream (`replica.rs`), its counters,
//! the ledger of transactions and the expired items with that; `tables.rs` makes, changes and drops tables meanwhile and
//! knows which there must be.

mod replica;
mod tables;
mod verify;
mod writer;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::faults::Layer;
use crate::server::{Server, Setting};
use crate::wire::Client;

use replica::Replica;
use tables::TableWriter;
use writer::Writer;

/// The table that everything happens in.
pub(crate) const MAIN: &str = "Main";
/// What transactions wrote down: one item for each.
pub(crate) const LEDGER: &str = "Ledger";
/// Items with a time to live.
pub(crate) const SESSIONS: &str = "Sessions";
/// How many items all writers add to.
pub(crate) const COUNTERS: usize = 4;

/// How many times its length a load may take on, as long as too little is acknowledged.
const MORE_LOADS: u32 = 15;

/// How the server ends.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGKILL: the process is gone, what it gave to the operating system stays.
    Kill,
    /// The power: what was not synced is lost, in part, or torn.
    PowerLoss,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How often the server ends.
    pub ends: u32,
    /// How.
    pub end: End,
    /// How many clients write.
    pub writers: usize,
    /// The longest load between two ends; each lasts a random part of it.
    pub longest_load: Duration,
    /// What is random follows from this.
    pub seed: u64,
    /// Further arguments of `partita serve`.
    pub arguments: Vec<String>,
    /// Tell of each round.
    pub verbose: bool,
}

impl Plan {
    /// This many ends, with a seed of their own.
    #[must_use]
    pub fn new(ends: u32, end: End, seed: u64) -> Self {
        Self {
            ends,
            end,
            writers: 6,
            longest_load: Duration::from_millis(500),
            seed,
            arguments: Vec::new(),
            verbose: false,
        }
    }
}

/// What was done, when nothing was wrong.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Ends and restarts.
    pub ends: u32,
    /// Requests that were acknowledged.
    pub acknowledged: u64,
    /// Requests in the air at an end: found applied.
    pub applied: u64,
    /// Requests in the air at an end: found not applied.
    pub not_applied: u64,
    /// Records read from the stream.
    pub records: u64,
    /// Changes of tables acknowledged.
    pub table_changes: u64,
    /// Tables restored from a backup or to a second, and compared.
    pub restores: u64,
    /// The longest restart.
    pub longest_restart: Duration,
    /// Bytes that were written and not synced when the power failed, as far as they were then lost.
    pub bytes_lost: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ends, {} requests acknowledged, {} in the air applied and {} not, {} stream records, {} changes of tables, \
             {} restores, longest restart {:.2} s, {} unsynced bytes lost",
            self.ends,
            self.acknowledged,
            self.applied,
            self.not_applied,
            self.records,
            self.table_changes,
            self.restores,
            self.longest_restart.as_secs_f64(),
            self.bytes_lost
        )
    }
}

/// Runs a plan.
///
/// # Errors
/// What was found wrong. The data directory is kept then, and the words say where.
pub fn run(plan: &Plan) -> Result<Figures, String> {
    let home = tempfile::tempdir().unwrap();
    // What panics on its way, such as a request that must succeed and does not, is a finding like any other.
    let attack = || Attack::new(plan, home.path()).and_then(Attack::run);
    let result = catch_unwind(AssertUnwindSafe(attack)).unwrap_or_else(|panic| {
        Err(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "something panicked".to_owned()))
    });
    result.map_err(|wrong| {
        let kept: PathBuf = home.keep();
        format!("{wrong}\n(seed {}, the data is kept in {})", plan.seed, kept.display())
    })
}

struct Attack<'p> {
    plan: &'p Plan,
    server: Server,
    layer: Option<Layer>,
    writers: Vec<Writer>,
    tables: TableWriter,
    replica: Replica,
    random: fastrand::Rng,
    figures: Figures,
}

impl<'p> Attack<'p> {
    fn new(plan: &'p Plan, home: &Path) -> Result<Self, String> {
        let data = home.join("data");
        let mut setting = Setting::directory(&data).with("--test-clock");
        setting.arguments.extend(plan.arguments.iter().cloned());
        let layer = (plan.end == End::PowerLoss).then(|| Layer::new(&data, home));
        if let Some(layer) = &layer {
            setting = layer.under(setting);
        }
        let server = Server::start(setting)?;
        let mut client = Client::new(server.address());
        create_tables(&mut client);
        let writers = (0..plan.writers).map(|id| Writer::new(id, server.address(), plan.seed)).collect();
        let tables = TableWriter::new(server.address(), plan.seed);
        let replica = Replica::of(&mut client, MAIN);
        let random = fastrand::Rng::with_seed(plan.seed);
        Ok(Self { plan, server, layer, writers, tables, replica, random, figures: Figures::default() })
    }

    fn run(mut self) -> Result<Figures, String> {
        for round in 0..self.plan.ends {
            self.load()?;
            self.end(round)?;
            self.verify(round)?;
            // Now and then it ends again while it recovers or has hardly begun.
            if self.random.u8(..) < 40 {
                self.end(round)?;
                self.verify(round)?;
            }
        }
        let mut client = Client::new(self.server.address());
        verify::expired_items_go(&mut client, &self.writers)?;
        self.figures.restores += verify::restores(&mut client, MAIN)?;
        verify::everything(&mut client, &mut self.writers, &mut self.replica, &mut self.tables, &mut self.figures)?;
        self.figures.table_changes = self.tables.acknowledged;
        Ok(self.figures)
    }

    /// All clients at work, until the server is ended under them.
    fn load(&mut self) -> Result<(), String> {
        let longest = u64::try_from(self.plan.longest_load.as_millis()).unwrap_or(u64::MAX);
        let lasts = Duration::from_millis(self.random.u64(5..longest.max(6)));
        // On a crowded machine longer, so that something is acknowledged between most ends.
        let wanted = self.random.u64(0..60);
        let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
        let (server, layer, writers, tables) = (&mut self.server, &self.layer, &mut self.writers, &mut self.tables);
        let seed = self.random.u64(..);
        let found: Vec<Result<(), String>> = thread::scope(|scope| {
            let mut threads: Vec<_> =
                writers.iter_mut().map(|writer| scope.spawn(|| writer.work(&stop, &acknowledged))).collect();
            threads.push(scope.spawn(|| tables.work(&stop)));
            thread::sleep(lasts);
            for _ in 0..MORE_LOADS {
                if acknowledged.load(Ordering::Relaxed) < wanted {
                    thread::sleep(lasts);
                }
            }
            match layer {
                Some(layer) => layer.pull_the_power(server, seed),
                None => server.kill(),
            }
            stop.store(true, Ordering::Relaxed);
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err("a writer panicked".to_owned())))
                .collect()
        });
        found.into_iter().collect()
    }

    /// The server is ended, if it is not yet, and started again.
    fn end(&mut self, round: u32) -> Result<(), String> {
        if let Some(layer) = &self.layer {
            layer.pull_the_power(&mut self.server, self.random.u64(..));
            self.figures.bytes_lost += layer.bytes_lost();
        }
        let began = Instant::now();
        let setting = self.server.setting().clone();
        self.server.start_again(setting).map_err(|wrong| format!("after end {round}: {wrong}"))?;
        self.figures.longest_restart = self.figures.longest_restart.max(began.elapsed());
        self.figures.ends += 1;
        Ok(())
    }

    fn verify(&mut self, round: u32) -> Result<(), String> {
        let mut client = Client::new(self.server.address());
        verify::everything(&mut client, &mut self.writers, &mut self.replica, &mut self.tables, &mut self.figures)
            .map_err(|wrong| format!("after end {round}: {wrong}"))?;
        if self.plan.verbose && (round % 10 == 9 || self.plan.ends < 50) {
            println!("{}: {}", round + 1, self.figures);
        }
        Ok(())
    }
}

fn create_tables(client: &mut Client) {
    let key = |hash: &str, range: &str| json!([{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": range, "KeyType": "RANGE"}]);
    client.call("CreateTable", &json!({
        "TableName": MAIN, "BillingMode": "PAY_PER_REQUEST", "KeySchema": key("pk", "sk"),
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"},
            {"AttributeName": "g", "AttributeType": "S"}, {"AttributeName": "l", "AttributeType": "N"}],
        "LocalSecondaryIndexes": [{"IndexName": "ByL", "KeySchema": key("pk", "l"), "Projection": {"ProjectionType": "KEYS_ONLY"}}],
        "GlobalSecondaryIndexes": [{"IndexName": "ByG", "KeySchema": key("g", "sk"), "Projection": {"ProjectionType": "ALL"}}],
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    })).done();
    for table in [LEDGER, SESSIONS] {
        client.call("CreateTable", &json!({
            "TableName": table, "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        })).done();
    }
    client
        .call(
            "UpdateTimeToLive",
            &json!({"TableName": SESSIONS,
        "TimeToLiveSpecification": {"AttributeName": "ends", "Enabled": true}}),
        )
        .done();
    client
        .call(
            "UpdateContinuousBackups",
            &json!({"TableName": MAIN,
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}}),
        )
        .done();
}
