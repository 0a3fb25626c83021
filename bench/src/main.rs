//! The `bench` program: Partita beside a bare HTTP server and its peers, on one machine, with one command.
//!
//! `workload` is what is asked, `load` how hard, `client` the connection, `target` the servers, `inside` what needs no
//! server, `report` and `chart` what comes out, `process` what the system says of a server, `bare` the limit.

mod bare;
mod chart;
mod client;
mod inside;
mod load;
mod process;
mod report;
mod target;
mod workload;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};

use crate::load::{Load, Measured};
use crate::report::{Findings, Summary};
use crate::target::{Places, Server, Target};
use crate::workload::{MILLIONS, ROWS, Row};

/// Whatever went wrong, in words.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// A result with such an error.
pub type Result<T> = std::result::Result<T, Error>;

/// The allocator of the `partita` binary, for the figures that are measured inside this process.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// An error of these words.
pub fn failure(message: impl Into<String>) -> Error {
    message.into().into()
}

/// Measures Partita beside a bare HTTP server and its peers
///
/// Without arguments it runs the rows for which goals are set, in under ten minutes, and prints a Markdown table, the
/// goals, and where it wrote the chart. Peers that are not installed are named and left out.
#[derive(Debug, Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
struct Options {
    #[command(subcommand)]
    command: Option<Action>,
    #[command(flatten)]
    compare: Compare,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Serve a constant answer: the limit that the others are compared with
    Bare {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        answer_bytes: usize,
    },
    /// Answer requests of a row inside this process and end; for counting instructions
    Inside { row: String, count: u64 },
    /// Load a server that runs already, and print what it did
    Load {
        address: SocketAddr,
        row: String,
        /// Its process, for its CPU time
        #[arg(long)]
        pid: u32,
        /// Make and fill the row's table first
        #[arg(long)]
        fill: bool,
        #[arg(long, default_value_t = 16)]
        connections: usize,
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
    /// Ten million items of 1 KB: latency, time to start, memory. Takes minutes and 12 GB of disk
    Millions {
        #[command(flatten)]
        places: PlaceOptions,
        /// How many items instead
        #[arg(long, default_value_t = MILLIONS.partitions)]
        items: u64,
    },
}

#[derive(Debug, Args)]
struct Compare {
    /// Every row, not only those with goals, and one connection too; takes an hour or two
    #[arg(long)]
    all: bool,
    /// Only these rows
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Only these servers
    #[arg(long, value_delimiter = ',')]
    targets: Vec<String>,
    /// How often each measurement is made; they take turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each measurement takes
    #[arg(long, default_value_t = 1.2)]
    seconds: f64,
    /// Where the chart is written
    #[arg(long, default_value = "target/bench.svg")]
    chart: PathBuf,
    #[command(flatten)]
    places: PlaceOptions,
}

#[derive(Debug, Args)]
struct PlaceOptions {
    /// The binary to measure
    #[arg(long, default_value = "target/release/partita")]
    partita: PathBuf,
    /// Where peers are installed
    #[arg(long, default_value = ".cache")]
    cache: PathBuf,
    /// Where servers keep their data during the run: a directory on the disk to measure
    #[arg(long, default_value = "target/bench-data")]
    scratch: PathBuf,
}

impl PlaceOptions {
    fn places(&self) -> Result<Places> {
        fs::create_dir_all(&self.scratch)?;
        Ok(Places {
            partita: self.partita.clone(),
            cache: std::path::absolute(&self.cache)?,
            scratch: std::path::absolute(self.scratch.join(std::process::id().to_string()))?,
        })
    }
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    if let Some(Action::Inside { row, count }) = &options.command {
        return inside::answer(row, *count);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match options.command {
            None => compare(&options.compare).await,
            Some(Action::Bare { listen, answer_bytes }) => bare::serve(listen, answer_bytes).await,
            Some(Action::Inside { .. }) => Ok(()),
            Some(Action::Load { address, row, pid, fill, connections, seconds }) => {
                let row = row_of(&row)?;
                if fill {
                    target::fill(address, row.table(), 16).await?;
                }
                let load = Load { address, pid, connections, window: Duration::from_secs_f64(seconds) };
                let measured = load::closed(load, &row.workload()).await?;
                let refused = measured.refused;
                let summary = Summary::of(&[measured]);
                println!(
                    "{:.1} µs CPU/op, {:.0} ops/s, p50 {:.0} µs, p99 {:.0} µs, {refused} refused",
                    summary.cpu.median, summary.throughput.median, summary.p50.median, summary.p99.median
                );
                Ok(())
            }
            Some(Action::Millions { places, items }) => millions(&places.places()?, items).await,
        }
    })
}

fn row_of(id: &str) -> Result<Row> {
    ROWS.into_iter().find(|row| row.id == id).ok_or_else(|| {
        let known: Vec<&str> = ROWS.iter().map(|row| row.id).collect();
        failure(format!("no row is called {id}; there are: {}", known.join(" ")))
    })
}

fn chosen_rows(options: &Compare) -> Result<Vec<Row>> {
    if !options.rows.is_empty() {
        return options.rows.iter().map(|id| row_of(id)).collect();
    }
    Ok(ROWS.into_iter().filter(|row| row.goal || (options.all && row.table() != MILLIONS)).collect())
}

fn chosen_targets(options: &Compare) -> Result<Vec<Target>> {
    if options.targets.is_empty() {
        return Ok(Target::ALL.to_vec());
    }
    let known = |id: &String| Target::ALL.into_iter().find(|target| target.id() == id);
    options.targets.iter().map(|id| known(id).ok_or_else(|| failure(format!("no server is called {id}")))).collect()
}

/// A started server with its answers' sizes, which the bare server is to answer too.
struct Contender {
    target: Target,
    server: Server,
}

async fn compare(options: &Compare) -> Result<()> {
    let began = Instant::now();
    let rows = chosen_rows(options)?;
    let targets = chosen_targets(options)?;
    let connections: &[usize] = if options.all { &[1, 16, 128] } else { &[16, 128] };
    let places = options.places.places()?;
    let mut contenders = Vec::new();
    for target in targets.iter().copied().filter(|target| *target != Target::Bare) {
        match start_and_fill(&places, target, &rows).await {
            Ok(server) => contenders.push(Contender { target, server }),
            Err(error) => eprintln!("left out: {}: {error}", target.title()),
        }
    }
    let first = contenders.first().ok_or_else(|| failure("no server to measure"))?;
    let mut bare = BTreeMap::new();
    if targets.contains(&Target::Bare) {
        for row in &rows {
            let mut body = String::new();
            let operation = row.workload().request(&mut body);
            let bytes = first.server.answer_bytes(operation, &body).await?;
            bare.insert(row.id, places.start(Target::Bare, bytes).await?);
        }
    }
    let window = Duration::from_secs_f64(options.seconds);
    let mut rounds: BTreeMap<(&'static str, usize, Target), Vec<Measured>> = BTreeMap::new();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}, {:.0} s", options.rounds, began.elapsed().as_secs_f64());
        for row in &rows {
            for &connections in connections {
                let others = contenders.iter().map(|contender| (contender.target, &contender.server));
                for (target, server) in bare.get(row.id).map(|server| (Target::Bare, server)).into_iter().chain(others)
                {
                    let load = Load { address: server.address, pid: server.pid(), connections, window };
                    match load::closed(load, &row.workload()).await {
                        Ok(measured) => rounds.entry((row.id, connections, target)).or_default().push(measured),
                        Err(error) => eprintln!("left out: {} with {}: {error}", row.title, target.title()),
                    }
                }
            }
        }
    }
    let mut findings = Findings {
        engine_get: inside::engine_get().await?.as_secs_f64() * 1e6,
        synced_writes: inside::synced_writes(&places.scratch)?,
        ..Findings::default()
    };
    findings.summaries = rounds.iter().map(|(key, rounds)| (*key, Summary::of(rounds))).collect();
    findings.half_rate = half_rate(&findings, &contenders, window).await?;
    drop((contenders, bare));
    fs::remove_dir_all(&places.scratch)?;
    println!("{}", findings.table(&rows));
    println!("{}", findings.goals());
    println!(
        "One engine read takes {:.2} µs; by hand this disk takes {:.0} synced writes a second, one after another.",
        findings.engine_get, findings.synced_writes
    );
    fs::write(&options.chart, chart::svg(&findings, &rows, 16))?;
    println!("The chart is in {}. All of it took {:.0} s.", options.chart.display(), began.elapsed().as_secs_f64());
    Ok(())
}

async fn start_and_fill(places: &Places, target: Target, rows: &[Row]) -> Result<Server> {
    let server = places.start(target, 0).await?;
    let mut filled = Vec::new();
    for table in rows.iter().map(Row::table) {
        if !filled.contains(&table) {
            target::fill(server.address, table, 8).await?;
            filled.push(table);
        }
    }
    Ok(server)
}

/// GetItem under an open loop at half of the rate that the closed loop reached.
async fn half_rate(findings: &Findings, contenders: &[Contender], window: Duration) -> Result<Option<(f64, Summary)>> {
    let row = row_of("get")?;
    let Some(contender) = contenders.iter().find(|contender| contender.target == Target::PartitaMemory) else {
        return Ok(None);
    };
    let rates = findings.summaries.iter().filter(|((id, _, target), _)| *id == row.id && *target == contender.target);
    let highest = rates.map(|(_, summary)| summary.throughput.median).fold(0.0, f64::max);
    if highest == 0.0 {
        return Ok(None);
    }
    let (address, pid) = (contender.server.address, contender.server.pid());
    let load = Load { address, pid, connections: 128, window };
    let mut rounds = Vec::new();
    for _ in 0..3 {
        rounds.push(load::open(load, &row.workload(), highest / 2.0).await?);
    }
    Ok(Some((highest / 2.0, Summary::of(&rounds))))
}

/// The figures of a large table beside those of a small one.
async fn millions(places: &Places, items: u64) -> Result<()> {
    let row = row_of("get-more")?;
    let large = workload::Table { partitions: items, ..MILLIONS };
    let small = workload::Table { partitions: 10_000, name: "thousands", ..MILLIONS };
    let server = places.start_partita_with_cache().await?;
    let began = Instant::now();
    target::fill(server.address, small, 32).await?;
    target::fill(server.address, large, 32).await?;
    println!("{items} items of 1 KB put in {:.0} s", began.elapsed().as_secs_f64());
    for table in [small, large] {
        let load = Load { address: server.address, pid: server.pid(), connections: 16, window: Duration::from_secs(5) };
        let summary = Summary::of(&[load::closed(load, &row.workload_on(table)).await?]);
        println!(
            "GetItem of {}: {:.1} µs CPU/op, {:.0} ops/s, p50 {:.0} µs, p99 {:.0} µs",
            table.partitions, summary.cpu.median, summary.throughput.median, summary.p50.median, summary.p99.median
        );
    }
    println!("resident memory: {} MiB", process::resident_bytes(server.pid())? >> 20);
    server.stop().await?;
    let again = places.start_partita_with_cache().await?;
    let mut body = String::new();
    let operation = row.workload_on(large).request(&mut body);
    again.answer_bytes(operation, &body).await?;
    println!("first answer {:.0} ms after the start", again.started.elapsed().as_secs_f64() * 1e3);
    again.stop().await?;
    fs::remove_dir_all(&places.scratch)?;
    Ok(())
}
