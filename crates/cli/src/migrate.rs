//! `partita migrate`: a whole database from a data directory into a FoundationDB cluster, or back.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use partita_db::transfer::{self, Amount, Phase, TransferError};
use partita_engine::{Cluster, EngineError, OpenError, OpenOptions, Store};
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::cluster::ClusterOptions;

/// How often a line of progress is written where lines stay.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often it is drawn anew on a terminal.
const DRAWN_EVERY: Duration = Duration::from_millis(200);
/// The width of the bar.
const BAR: usize = 30;

#[derive(Debug, Args)]
pub struct MigrateOptions {
    /// Where the data goes: into the cluster, or out of it into the directory
    #[arg(value_enum)]
    to: Destination,

    /// The data directory; made when the data goes there
    #[arg(long, env = "PARTITA_DATA_DIR", value_name = "DIRECTORY", default_value = "./partita-data")]
    data_dir: PathBuf,

    #[command(flatten)]
    place: ClusterOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Destination {
    /// From the data directory into the cluster
    ToCluster,
    /// From the cluster into the data directory
    ToDirectory,
}

#[derive(Debug, Error)]
enum Failure {
    #[error("there is no data directory at {}", .0.display())]
    NoData(PathBuf),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Transfer(#[from] TransferError),
    #[error("the last writes could not be stored: {0}")]
    Close(#[from] EngineError),
    #[error("the system does not give what is needed: {0}")]
    System(#[from] io::Error),
}

/// Runs a migration to its end.
pub fn run(options: MigrateOptions) -> ExitCode {
    match Runtime::new().map_err(Failure::from).and_then(|runtime| runtime.block_on(migrate(&options))) {
        Ok(total) => {
            println!("{} keys with {} are copied and compared.", total.rows, Size(total.bytes));
            println!(
                "The original is unchanged. Start servers on the copy only: what each writes the other will not have."
            );
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("partita: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn migrate(options: &MigrateOptions) -> Result<Amount, Failure> {
    let cluster = options.place.place();
    let directory = OpenOptions::directory(&options.data_dir);
    let mut progress = Progress::new();
    let report = |phase, done, total| progress.report(phase, done, total);
    match options.to {
        Destination::ToCluster => {
            if !options.data_dir.exists() {
                return Err(Failure::NoData(options.data_dir.clone()));
            }
            let from = Store::open(&directory)?;
            let least_incarnation = transfer::incarnation(&from).await?.saturating_add(1);
            let to = Store::connect(&Cluster { least_incarnation, ..cluster }).await?;
            ended(&from, &to, transfer::transfer(&from, &to, report).await).await
        }
        Destination::ToDirectory => {
            let from = Store::connect(&cluster).await?;
            let least_incarnation = transfer::incarnation(&from).await?.saturating_add(1);
            let to = Store::open(&OpenOptions { least_incarnation, ..directory })?;
            ended(&from, &to, transfer::transfer(&from, &to, report).await).await
        }
    }
}

async fn ended(from: &Store, to: &Store, outcome: Result<Amount, TransferError>) -> Result<Amount, Failure> {
    to.close().await?;
    from.close().await?;
    Ok(outcome?)
}

/// What is shown while it goes on.
struct Progress {
    on_terminal: bool,
    began: Option<(Phase, Instant)>,
    shown: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self { on_terminal: io::stderr().is_terminal(), began: None, shown: None }
    }

    fn report(&mut self, phase: Phase, done: Amount, total: Amount) {
        let began = match self.began {
            Some((of, began)) if of == phase => began,
            _ => {
                if self.began.is_some() && self.on_terminal {
                    eprintln!();
                }
                let now = Instant::now();
                (self.began, self.shown) = (Some((phase, now)), None);
                now
            }
        };
        let every = if self.on_terminal { DRAWN_EVERY } else { LINE_EVERY };
        let is_last = done == total && phase != Phase::Counting;
        if !is_last && self.shown.is_some_and(|shown| shown.elapsed() < every) {
            return;
        }
        self.shown = Some(Instant::now());
        let line = line(phase, done, total, began.elapsed());
        // A closed standard error is no reason to stop.
        let mut err = io::stderr().lock();
        let _ = if self.on_terminal { write!(err, "\r{line:<78}") } else { writeln!(err, "{line}") };
        let _ = err.flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.on_terminal && self.began.is_some() {
            eprintln!();
        }
    }
}

fn line(phase: Phase, done: Amount, total: Amount, elapsed: Duration) -> String {
    let what = match phase {
        Phase::Counting => return format!("counting   {} keys, {}", done.rows, Size(done.bytes)),
        Phase::Copying => "copying  ",
        Phase::Comparing => "comparing",
    };
    let share = |of: u64| done.bytes.saturating_mul(of).checked_div(total.bytes).unwrap_or(of);
    let full = usize::try_from(share(30)).unwrap_or(BAR).min(BAR);
    let bar: String = "#".repeat(full) + &"-".repeat(BAR - full);
    let speed = done.bytes.checked_div(elapsed.as_secs()).unwrap_or(0);
    format!("{what}  [{bar}] {:>3} %  {} of {}, {}/s", share(100), Size(done.bytes), Size(total.bytes), Size(speed))
}

/// Bytes, for people.
struct Size(u64);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(bytes) = *self;
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            let whole = bytes >> shift;
            if whole > 0 {
                let tenth = ((bytes >> (shift - 10)) & 0x3FF) * 10 / 1024;
                return write!(f, "{whole}.{tenth} {unit}");
            }
        }
        write!(f, "{bytes} bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_shares_of_the_bytes() {
        let done = Amount { rows: 10, bytes: 5 << 20 };
        let total = Amount { rows: 20, bytes: 20 << 20 };
        let line = line(Phase::Copying, done, total, Duration::from_secs(5));
        assert!(line.starts_with("copying    [#######---"), "{line}");
        assert!(line.ends_with(" 25 %  5.0 MiB of 20.0 MiB, 1.0 MiB/s"), "{line}");
    }

    #[test]
    fn nothing_to_copy_is_all_of_it() {
        let line = line(Phase::Comparing, Amount::default(), Amount::default(), Duration::ZERO);
        assert!(line.contains("100 %"), "{line}");
    }
}
