//! `proof`: the attacks as commands. docs/reliability.md says what they prove.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use partita_proof::crash::{self, End, Plan};
use partita_proof::history::{Figures, Recording, kill_now_and_then, record_and_judge};
use partita_proof::server::{Server, Setting};

/// Attacks on a real server: crashes, lost power, recorded histories
#[derive(Debug, Parser)]
#[command(name = "proof")]
struct Options {
    #[command(subcommand)]
    attack: Attack,
}

#[derive(Debug, Subcommand)]
enum Attack {
    /// Kill a loaded server with SIGKILL again and again, and compare what it holds with what it acknowledged
    Crash {
        /// How often
        #[arg(long, default_value_t = 1_000)]
        kills: u32,
        /// Pull the power instead: what was not synced is lost or torn
        #[arg(long)]
        power: bool,
        /// What is random follows from this
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// A further argument of `partita serve`; may be repeated
        #[arg(long = "with", allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Record what concurrent clients ask and are told, and judge it: linearizable items, strictly serializable
    /// transactions
    Histories {
        /// How many operations
        #[arg(long, default_value_t = 200_000)]
        operations: u64,
        /// How many clients
        #[arg(long, default_value_t = 12)]
        clients: usize,
        /// A node of the database to ask; may be repeated. Without one, a server is started
        #[arg(long = "endpoint")]
        endpoints: Vec<SocketAddr>,
        /// How often the server that is started is killed meanwhile
        #[arg(long, default_value_t = 0)]
        kills: u32,
        /// Keep the data of the server that is started in memory
        #[arg(long, conflicts_with = "kills")]
        in_memory: bool,
        /// The age in milliseconds that eventually consistent reads may have
        #[arg(long, default_value_t = 100)]
        bound: u64,
        /// What is random follows from this
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn main() -> ExitCode {
    let began = Instant::now();
    let result = match Options::parse().attack {
        Attack::Crash { kills, power, seed, arguments } => {
            let end = if power { End::PowerLoss } else { End::Kill };
            let plan = Plan { verbose: true, arguments, ..Plan::new(kills, end, seed) };
            crash::run(&plan).map(|figures| figures.to_string())
        }
        Attack::Histories { operations, clients, endpoints, kills, in_memory, bound, seed } => {
            let recording = Recording { endpoints, operations, clients, bound: Duration::from_millis(bound), seed };
            histories(recording, kills, in_memory).map(|figures| figures.to_string())
        }
    };
    match result {
        Ok(figures) => {
            println!("held, in {:.0} s: {figures}", began.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            eprintln!("WRONG: {wrong}");
            ExitCode::FAILURE
        }
    }
}

fn histories(mut recording: Recording, kills: u32, in_memory: bool) -> Result<Figures, String> {
    if !recording.endpoints.is_empty() {
        return record_and_judge(&recording, |_| Ok(()));
    }
    let home = tempfile::tempdir().map_err(|error| error.to_string())?;
    let setting = if in_memory { Setting::memory() } else { Setting::directory(&home.path().join("data")) };
    let mut server = Server::start(setting)?;
    recording.endpoints.push(server.address());
    let pause = Duration::from_secs(1);
    record_and_judge(&recording, |over| kill_now_and_then(&mut server, kills, pause, recording.seed, over))
}
