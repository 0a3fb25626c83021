//! Copying tables from one endpoint to another: their definitions, tags and time to live, all items, then what changes
//! meanwhile, and at the end a comparison of both sides.
//!
//! `schema` makes the tables, `items` copies what a scan finds, `changes` follows streams, `verify` compares, `state` is
//! how far it has come, in a file. A copy that ends early, however, goes on where it stood.

mod changes;
mod items;
mod schema;
mod state;
mod verify;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{CallError, Endpoint, Pace};
use state::{Phase, SegmentState, StateFile, StreamState};

pub use state::StateError;
pub use verify::Comparison;

/// How long a source's stream may take to be switched on.
const STREAM_ATTEMPTS: u32 = 600;

/// What is copied, and how.
#[derive(Debug)]
pub struct CopyOptions {
    /// Where tables are read.
    pub from: Endpoint,
    /// Where they are written.
    pub to: Endpoint,
    /// Which tables, by name at the source and at the target; all when empty.
    pub tables: Vec<(String, String)>,
    /// How many parts of a table are scanned at once: 1 to 1,000,000.
    pub segments: usize,
    /// The most read capacity units a second at each side.
    pub read_units: Option<u32>,
    /// The most write capacity units a second at the target.
    pub write_units: Option<u32>,
    /// Whether changes are followed.
    pub follow: Follow,
    /// Whether the source's stream may be switched on to follow changes. It is switched off again at the cut-over.
    pub switch_stream_on: bool,
    /// Whether a table may be there already at the target. Its items stay, if the source has none of the same key.
    pub into_existing: bool,
    /// Whether both sides are compared at the end.
    pub verify: bool,
    /// The file of how far it has come.
    pub state: PathBuf,
}

/// Whether changes are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// No: what is written meanwhile may be missing.
    No,
    /// Until the copy is stopped.
    UntilStopped,
    /// Until there are none left: writers have been stopped, or are about to be.
    UntilCutOver,
}

impl Follow {
    const fn follows(self) -> bool {
        !matches!(self, Self::No)
    }
}

/// Why a copy did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// An endpoint refuses or does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The state can not be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// A table is not there, or not any more.
    #[error("there is no table {0} at {1}")]
    Gone(String, String),
    /// A table is there.
    #[error("there is a table {0} at the target already; to copy into it, say --into-existing")]
    Exists(String),
    /// A table with another key is there.
    #[error("the table {0} at the target has another key")]
    OtherKey(String),
    /// A table does not become active.
    #[error("the table {0} does not become ACTIVE")]
    NotActive(String),
    /// The source has no stream.
    #[error("the table {0} has no stream to follow; --enable-stream switches one on at the source")]
    NoStream(String),
    /// The stream has forgotten what was not followed yet.
    #[error(
        "the stream of {0} has forgotten changes that were not followed yet (24 hours): remove the target's table and \
             the state file, and copy anew"
    )]
    Trimmed(String),
    /// The target takes nothing any more.
    #[error("the table {0} at the target takes no items any more: its throughput may be too low")]
    NotTaken(String),
    /// Both sides are the same.
    #[error("source and target are the same")]
    Same,
    /// It was told to stop.
    #[error("stopped; the same command goes on from here")]
    Stopped,
    /// A part of it broke.
    #[error("a part of the copy broke: {0}")]
    Task(String),
}

/// How far a copy has come. Cheap to clone; clones share everything.
#[derive(Clone, Debug, Default)]
pub struct CopyProgress(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    doing: Mutex<String>,
    items: AtomicU64,
    bytes: AtomicU64,
    of: AtomicU64,
    changes: AtomicU64,
    lags: AtomicBool,
}

impl CopyProgress {
    /// What is being done, in words.
    #[must_use]
    pub fn doing(&self) -> String {
        self.0.doing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Items copied or compared in what is being done.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.0.items.load(Ordering::Relaxed)
    }

    /// Their bytes, about.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// About how many items there are; 0 when that is not known.
    #[must_use]
    pub fn of(&self) -> u64 {
        self.0.of.load(Ordering::Relaxed)
    }

    /// Changes applied in this run.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Relaxed)
    }

    /// Whether there may be changes that are not applied yet.
    #[must_use]
    pub fn lags(&self) -> bool {
        self.0.lags.load(Ordering::Relaxed)
    }

    fn begin(&self, what: String, of: u64) {
        *self.0.doing.lock().unwrap_or_else(PoisonError::into_inner) = what;
        self.0.items.store(0, Ordering::Relaxed);
        self.0.bytes.store(0, Ordering::Relaxed);
        self.0.of.store(of, Ordering::Relaxed);
    }

    fn add(&self, items: usize, bytes: usize) {
        self.0.items.fetch_add(u64::try_from(items).unwrap_or(0), Ordering::Relaxed);
        self.0.bytes.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }

    fn changed(&self, items: usize, bytes: usize) {
        self.0.changes.fetch_add(u64::try_from(items).unwrap_or(0), Ordering::Relaxed);
        self.add(items, bytes);
    }

    fn verified(&self, items: usize, bytes: usize) {
        self.add(items, bytes);
    }

    fn lag(&self, lags: bool) {
        self.0.lags.store(lags, Ordering::Relaxed);
    }
}

/// Says when a copy is to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// A copy stops when `true` is sent.
    #[must_use]
    pub const fn new(receiver: watch::Receiver<bool>) -> Self {
        Self(receiver)
    }

    fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for so long, or until it is to stop.
    async fn or_after(&self, time: Duration) {
        let mut receiver = self.0.clone();
        // Either is the end of waiting. Who can not be told to stop any more waits.
        let told = async {
            if receiver.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(time, told).await;
    }
}

/// A copy under way. Cheap to clone; clones share everything.
#[derive(Clone)]
struct Job {
    options: Arc<CopyOptions>,
    state: Arc<StateFile>,
    tables: Arc<Vec<(String, String)>>,
    progress: CopyProgress,
    reads: Arc<Pace>,
    target_reads: Arc<Pace>,
    writes: Arc<Pace>,
}

/// Copies tables, and says of each whether both sides hold the same, if they were compared.
///
/// # Errors
/// [`CopyError`]. The same copy can be begun again, and goes on where it stood.
pub async fn copy(options: CopyOptions, progress: CopyProgress, stop: Stop) -> Result<Vec<Comparison>, CopyError> {
    let (from, to) = (options.from.identity(), options.to.identity());
    let renames = options.tables.iter().all(|(source, target)| source != target) && !options.tables.is_empty();
    if from == to && !renames {
        return Err(CopyError::Same);
    }
    let state = StateFile::open(&options.state, &options.from.place(), &options.to.place())?;
    let tables = if options.tables.is_empty() {
        let names = table_names(&options.from).await?;
        names.into_iter().map(|name| (name.clone(), name)).collect()
    } else {
        options.tables.clone()
    };
    let pace = |units| Arc::new(Pace::new(units));
    let job = Job {
        reads: pace(options.read_units),
        target_reads: pace(options.read_units),
        writes: pace(options.write_units),
        state: Arc::new(state),
        tables: Arc::new(tables),
        progress,
        options: Arc::new(options),
    };
    job.run(&stop).await
}

/// The names of all tables of an endpoint.
async fn table_names(endpoint: &Endpoint) -> Result<Vec<String>, CallError> {
    let (mut names, mut after) = (Vec::new(), None::<String>);
    loop {
        let request = after.map_or_else(|| json!({}), |after| json!({"ExclusiveStartTableName": after}));
        let answer = endpoint.call("ListTables", &request).await?;
        let page = answer.get("TableNames").and_then(Value::as_array);
        let page = page.ok_or_else(|| CallError::strange("ListTables", "TableNames"))?;
        names.extend(page.iter().filter_map(Value::as_str).map(str::to_owned));
        match answer.get("LastEvaluatedTableName").and_then(Value::as_str) {
            Some(last) => after = Some(last.to_owned()),
            None => return Ok(names),
        }
    }
}

impl Job {
    fn target_of<'a>(&'a self, table: &'a str) -> &'a str {
        self.tables.iter().find(|(source, _)| source == table).map_or(table, |(_, target)| target.as_str())
    }

    async fn run(&self, stop: &Stop) -> Result<Vec<Comparison>, CopyError> {
        for (table, _) in self.tables.iter() {
            self.begin(table).await?;
            if self.state.table(table).phase == Phase::Items {
                self.copy_items(table, stop).await?;
                self.state.save(table, |state| state.phase = Phase::Changes)?;
            }
        }
        if self.options.follow.follows() {
            self.progress.begin("changes".to_owned(), 0);
            let pending = self.tables.iter().filter(|(table, _)| self.state.table(table).phase == Phase::Changes);
            let mut tasks = tokio::task::JoinSet::new();
            for (table, _) in pending {
                let (job, table, stop) = (self.clone(), table.clone(), stop.clone());
                tasks.spawn(async move { job.follow(&table, &stop).await });
            }
            while let Some(ended) = tasks.join_next().await {
                ended.map_err(|error| CopyError::Task(error.to_string()))??;
            }
        }
        if self.options.follow == Follow::UntilStopped {
            // The last of the progress is written.
            for (table, _) in self.tables.iter() {
                self.state.save(table, |_| {})?;
            }
            return Ok(Vec::new());
        }
        let mut comparisons = Vec::new();
        for (table, _) in self.tables.iter() {
            comparisons.extend(self.end(table, stop).await?);
        }
        Ok(comparisons)
    }

    /// Makes the target's table and prepares what the copy needs.
    async fn begin(&self, table: &str) -> Result<(), CopyError> {
        let CopyOptions { from, to, follow, segments, into_existing, .. } = &*self.options;
        let description = schema::described(from, table).await?;
        let description = description.ok_or_else(|| CopyError::Gone(table.to_owned(), from.url().to_owned()))?;
        let count = description.get("ItemCount").and_then(Value::as_u64).unwrap_or(0);
        self.progress.begin(format!("items of {table}"), count);
        let target = self.target_of(table);
        let mut state = self.state.table(table);
        if state.phase == Phase::New {
            if let Some(existing) = schema::described(to, target).await? {
                if !into_existing {
                    return Err(CopyError::Exists(target.to_owned()));
                }
                if schema::key_of(&existing) != schema::key_of(&description) {
                    return Err(CopyError::OtherKey(target.to_owned()));
                }
            }
            let begun = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
            self.state.save(table, |state| {
                state.phase = Phase::Creating;
                state.begun = begun;
                state.segments = vec![SegmentState::default(); *segments];
            })?;
            state = self.state.table(table);
        }
        if follow.follows() && state.stream.is_none() {
            if state.phase > Phase::Items {
                // What was changed between the scan and now is not known.
                return Err(CopyError::NoStream(table.to_owned()));
            }
            let stream = self.stream_of(table, &description).await?;
            self.state.save(table, |state| {
                state.stream = Some(stream);
                // What was scanned before the stream was on is scanned again.
                state.segments = vec![SegmentState::default(); *segments];
            })?;
        }
        if state.phase == Phase::Creating {
            if schema::described(to, target).await?.is_none() {
                let switched_on = self.state.table(table).stream.is_some_and(|stream| stream.switched_on);
                let tags = schema::tags(from, &description).await?;
                let request = schema::create_request(&description, target, &tags, !switched_on);
                match to.call("CreateTable", &request).await {
                    // Asked for twice, because the first answer was lost.
                    Err(error) if error.is("ResourceInUseException") => {}
                    answer => drop(answer?),
                }
            }
            schema::until_active(to, target).await?;
            self.state.save(table, |state| state.phase = Phase::Items)?;
        }
        Ok(())
    }

    /// The stream that is followed, switched on if that may be.
    async fn stream_of(&self, table: &str, description: &Value) -> Result<StreamState, CopyError> {
        let on = |description: &Value| {
            let on = description.pointer("/StreamSpecification/StreamEnabled") == Some(&json!(true));
            let arn = description.get("LatestStreamArn").and_then(Value::as_str);
            arn.filter(|_| on).map(str::to_owned)
        };
        if let Some(arn) = on(description) {
            return Ok(StreamState { arn, ..StreamState::default() });
        }
        if !self.options.switch_stream_on {
            return Err(CopyError::NoStream(table.to_owned()));
        }
        let specification = json!({"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"});
        let request = json!({"TableName": table, "StreamSpecification": specification});
        self.options.from.call("UpdateTable", &request).await?;
        for _ in 0..STREAM_ATTEMPTS {
            let description = schema::until_active(&self.options.from, table).await?;
            if let Some(arn) = on(&description) {
                return Ok(StreamState { arn, switched_on: true, ..StreamState::default() });
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Err(CopyError::NoStream(table.to_owned()))
    }

    /// Compares both sides and switches on what waits for the end.
    async fn end(&self, table: &str, stop: &Stop) -> Result<Option<Comparison>, CopyError> {
        let CopyOptions { from, to, verify, .. } = &*self.options;
        let target = self.target_of(table);
        self.state.save(table, |state| state.phase = state.phase.max(Phase::Followed))?;
        let comparison = if *verify {
            self.progress.begin(format!("comparing {table}"), self.progress.of().saturating_mul(2));
            Some(self.verify(table, stop).await?)
        } else {
            None
        };
        if comparison.as_ref().is_none_or(|comparison| comparison.same) {
            schema::copy_time_to_live((from, table), (to, target)).await?;
            if self.state.table(table).stream.is_some_and(|stream| stream.switched_on) {
                let specification = json!({"StreamEnabled": false});
                let request = json!({"TableName": table, "StreamSpecification": specification});
                match from.call("UpdateTable", &request).await {
                    // It is off already.
                    Err(error) if error.is("ValidationException") => {}
                    answer => drop(answer?),
                }
            }
            self.state.save(table, |state| state.phase = Phase::Done)?;
        } else {
            // The next run follows what was changed since, and compares again.
            self.state.save(table, |state| state.phase = Phase::Changes)?;
        }
        Ok(comparison)
    }
}
