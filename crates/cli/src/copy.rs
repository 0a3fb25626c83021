//! `partita copy`: tables from one endpoint to another.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, ArgGroup, Args};
use partita_client::{Client, Trust, TrustError};
use partita_remote::copy::{Comparison, CopyError, CopyOptions, CopyProgress, Follow, Stop, copy};
use partita_remote::{CredentialsError, Endpoint, EndpointError, Side};
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::progress::{Come, Line};

/// The exit code when the sides differ.
const DIFFERENT: u8 = 1;
/// The exit code when the copy did not come to its end.
const FAILED: u8 = 2;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("changes").multiple(false))]
pub struct CopyCommand {
    /// Address of the endpoint that has the tables, such as `http://localhost:8000`
    #[arg(long, value_name = "URL")]
    from: String,

    /// Address of the endpoint that gets them
    #[arg(long, value_name = "URL")]
    to: String,

    /// Table to copy, or NAME=NEW-NAME; may be repeated. Without this, all
    #[arg(long = "table", value_name = "NAME", value_parser = renamed)]
    tables: Vec<(String, String)>,

    /// Region of --from; without this, that in an AWS endpoint's name, or us-east-1
    #[arg(long, value_name = "REGION", value_parser = crate::options::region)]
    from_region: Option<String>,

    /// Region of --to
    #[arg(long, value_name = "REGION", value_parser = crate::options::region)]
    to_region: Option<String>,

    /// Profile of ~/.aws/credentials for --from
    #[arg(long, value_name = "NAME")]
    from_profile: Option<String>,

    /// Profile of ~/.aws/credentials for --to
    #[arg(long, value_name = "NAME")]
    to_profile: Option<String>,

    /// Follow the changes of the tables' streams until stopped (Ctrl-C, SIGTERM)
    ///
    /// Give the same command with --cut-over instead, when writers have moved or stopped, to end the copy.
    #[arg(long, action = ArgAction::SetTrue, group = "changes")]
    follow: bool,

    /// Follow the changes until none is left, then compare and end; stop the writers first
    #[arg(long, action = ArgAction::SetTrue, group = "changes")]
    cut_over: bool,

    /// Switch streams on at the source where they are off, to follow changes; off again at the end
    #[arg(long, action = ArgAction::SetTrue, requires = "changes")]
    enable_stream: bool,

    /// Copy into tables that are there already; their items stay, unless the source has one of the same key
    #[arg(long, action = ArgAction::SetTrue)]
    into_existing: bool,

    /// Do not compare both sides at the end
    #[arg(long, action = ArgAction::SetTrue)]
    no_verify: bool,

    /// How many parts of a table are read and written at once
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    segments: u16,

    /// The most read capacity units a second, at each side
    #[arg(long, value_name = "UNITS", value_parser = clap::value_parser!(u32).range(1..))]
    read_units: Option<u32>,

    /// The most write capacity units a second, at the target
    #[arg(long, value_name = "UNITS", value_parser = clap::value_parser!(u32).range(1..))]
    write_units: Option<u32>,

    /// File that says how far the copy has come; it holds keys of items
    #[arg(long, value_name = "FILE", default_value = "partita-copy.json")]
    state: PathBuf,

    /// PEM file of certificates to trust, beside the system's
    #[arg(long, env = "PARTITA_CA_FILE", value_name = "FILE", value_parser = crate::options::file)]
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error("the system does not give what is needed: {0}")]
    System(#[from] std::io::Error),
}

/// Copies to the end.
pub fn run(command: CopyCommand) -> ExitCode {
    let outcome = Runtime::new().map_err(Failure::from).and_then(|runtime| runtime.block_on(execute(command)));
    match outcome {
        Ok(comparisons) => report(&comparisons),
        Err(failure) => {
            eprintln!("partita: {failure}");
            ExitCode::from(FAILED)
        }
    }
}

async fn execute(command: CopyCommand) -> Result<Vec<Comparison>, Failure> {
    let client = Client::new(command.ca_file.as_deref().map_or_else(|| Ok(Trust::system()), Trust::with_ca_file)?);
    let from = Side { prefix: Some("PARTITA_FROM_"), profile: command.from_profile.as_deref() };
    let to = Side { prefix: Some("PARTITA_TO_"), profile: command.to_profile.as_deref() };
    let variable = |name: &str| std::env::var(name).ok();
    let (from, to) = (from.credentials(variable)?, to.credentials(variable)?);
    let follow = match (command.follow, command.cut_over) {
        (true, _) => Follow::UntilStopped,
        (_, true) => Follow::UntilCutOver,
        _ => Follow::No,
    };
    let options = CopyOptions {
        from: Endpoint::new(client.clone(), &command.from, command.from_region.as_deref(), from)?,
        to: Endpoint::new(client, &command.to, command.to_region.as_deref(), to)?,
        tables: command.tables,
        segments: usize::from(command.segments),
        read_units: command.read_units,
        write_units: command.write_units,
        follow,
        switch_stream_on: command.enable_stream,
        into_existing: command.into_existing,
        verify: !command.no_verify,
        state: command.state,
    };
    let (stopping, stop) = watch::channel(false);
    tokio::spawn(async move {
        stopped().await;
        // Nobody listens any more when the copy has ended.
        let _ = stopping.send(true);
    });
    let progress = CopyProgress::default();
    let mut copying = std::pin::pin!(copy(options, progress.clone(), Stop::new(stop)));
    let mut line = Line::new();
    loop {
        if let Ok(outcome) = tokio::time::timeout(Duration::from_millis(200), &mut copying).await {
            line.end();
            return Ok(outcome?);
        }
        let mut doing = progress.doing();
        if progress.lags() {
            doing.push_str(" (behind)");
        }
        let of = Some(progress.of()).filter(|of| *of > 0);
        line.show(&doing, Come { items: progress.items(), bytes: progress.bytes(), of });
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn stopped() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn report(comparisons: &[Comparison]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for Comparison { table, source_items, target_items, same, differences } in comparisons {
        if *same {
            println!("{table}: {source_items} items, the same at both sides");
            continue;
        }
        code = ExitCode::from(DIFFERENT);
        println!("{table}: DIFFERENT: {source_items} items at the source, {target_items} at the target");
        for difference in differences {
            println!("  {difference}");
        }
    }
    code
}

/// A table's name, and the one it gets.
fn renamed(text: &str) -> Result<(String, String), String> {
    let (source, target) = text.split_once('=').unwrap_or((text, text));
    if source.is_empty() || target.is_empty() {
        return Err("a name, or NAME=NEW-NAME".to_owned());
    }
    Ok((source.to_owned(), target.to_owned()))
}
