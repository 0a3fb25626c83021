//! `partita check`: whether a data directory that no server has open, and its backups, are whole.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Args};
use partita_client::{Client, Trust};
use partita_db::{BackupStore, CheckProgress, Database, Encryption, Findings, OpenError, Settings};
use partita_engine::OpenOptions;
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::encryption::EncryptionOptions;
use crate::progress::{Come, Line};

/// The exit code when something is wrong with what was checked.
const FOUND: u8 = 1;
/// The exit code when it could not be checked.
const FAILED: u8 = 2;
/// What tells a data directory from any other.
const DATA: &str = "FORMAT";

#[derive(Debug, Args)]
pub struct CheckOptions {
    /// Directory that holds the data
    #[arg(long, env = "PARTITA_DATA_DIR", value_name = "DIRECTORY", default_value = "./partita-data")]
    data_dir: PathBuf,

    /// Where the backups are, as for the server; without this, `backups` in the data directory
    #[arg(
        long,
        env = "PARTITA_BACKUP_STORE",
        value_name = "DIRECTORY or URL",
        value_parser = crate::places::store_name
    )]
    backup_store: Option<String>,

    /// Check the data alone
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "only_backups")]
    no_backups: bool,

    /// Check the backups alone; the data directory need not be there, if --backup-store and --keyring are given
    #[arg(long, action = ArgAction::SetTrue)]
    only_backups: bool,

    #[command(flatten)]
    at_rest: EncryptionOptions,
}

/// Why nothing could be checked.
#[derive(Debug, Error)]
enum Failure {
    #[error("there is no data directory at {}", .0.display())]
    NoData(PathBuf),
    #[error("there is no directory of backups at {}", .0.display())]
    NoBackups(PathBuf),
    #[error("--backup-store: {0}")]
    Store(#[from] partita_objects::InvalidUrl),
    #[error("{0}\nOnly a data directory that no server has open can be checked: stop the server first.")]
    InUse(OpenError),
    #[error(transparent)]
    Open(OpenError),
    #[error("the data can not be read: {0}")]
    Unreadable(#[from] partita_db::Error),
    #[error("the system does not give what is needed: {0}")]
    System(#[from] io::Error),
}

/// Runs the check to its end.
pub fn run(options: CheckOptions) -> ExitCode {
    let outcome = Runtime::new().map_err(Failure::from).and_then(|runtime| runtime.block_on(execute(options)));
    match outcome {
        Ok((findings, progress)) => match report(&findings, &progress) {
            Ok(()) if findings.is_empty() => ExitCode::SUCCESS,
            Ok(()) => ExitCode::from(FOUND),
            Err(error) => {
                eprintln!("partita: the findings can not be written: {error}");
                ExitCode::from(FAILED)
            }
        },
        Err(failure) => {
            eprintln!("partita: {failure}");
            ExitCode::from(FAILED)
        }
    }
}

async fn execute(options: CheckOptions) -> Result<(Findings, CheckProgress), Failure> {
    let database = open(&options).await?;
    let progress = CheckProgress::default();
    let findings = shown(&progress, async {
        let mut findings = Findings::default();
        if !options.only_backups {
            findings.merge(database.check(progress.clone()).await?);
        }
        if !options.no_backups {
            findings.merge(database.check_stored_backups(progress.clone()).await?);
        }
        Ok::<_, partita_db::Error>(findings)
    })
    .await?;
    // Nothing was written; what does not close well now is no finding.
    if let Err(error) = database.close().await {
        tracing::warn!(%error, "the data was not closed cleanly");
    }
    Ok((findings, progress))
}

async fn open(options: &CheckOptions) -> Result<Database, Failure> {
    let has_data = options.data_dir.join(DATA).exists();
    let client = Client::new(Trust::system());
    let encryption = options.at_rest.of(&options.data_dir, client.clone());
    let encryption = encryption.map_err(|error| Failure::Open(OpenError::Keys(error)))?;
    let usual = options.data_dir.join("backups");
    let (store, place) = match &options.backup_store {
        Some(name) => (crate::places::opener(client).open(name)?.into(), PathBuf::from(name)),
        None => (BackupStore::directory(&usual), usual),
    };
    let is_bucket = options.backup_store.as_ref().is_some_and(|name| name.contains("://"));
    let (wanted, encryption) = match (has_data, options.only_backups) {
        (true, _) => (OpenOptions::directory(&options.data_dir), as_it_is(encryption)),
        (false, false) => return Err(Failure::NoData(options.data_dir.clone())),
        (false, true) if !is_bucket && !place.is_dir() => return Err(Failure::NoBackups(place)),
        // A database in memory that has the keys, if there are any: none are made here.
        (false, true) => (OpenOptions::memory(), with_existing_keys(encryption)),
    };
    let opened = Database::open_with_backups(&wanted, Settings::default(), encryption, store).await;
    opened.map_err(|error| match error {
        OpenError::Store(partita_engine::OpenError::Locked(_)) => Failure::InUse(error),
        other => Failure::Open(other),
    })
}

/// The keys of data that is encrypted; what is plain stays so.
fn as_it_is(encryption: Encryption) -> Encryption {
    match encryption {
        Encryption::On(keys) => Encryption::WhenNew(keys),
        other => other,
    }
}

fn with_existing_keys(encryption: Encryption) -> Encryption {
    match encryption {
        Encryption::On(keys) | Encryption::WhenNew(keys) if keys.service.has_keys() => Encryption::On(keys),
        _ => Encryption::Off,
    }
}

/// Runs a check and shows how far it has come.
async fn shown<T>(progress: &CheckProgress, check: impl Future<Output = T>) -> T {
    let mut line = Line::new();
    let mut check = std::pin::pin!(check);
    loop {
        if let Ok(outcome) = tokio::time::timeout(Duration::from_millis(200), &mut check).await {
            line.end();
            return outcome;
        }
        line.show(&progress.doing(), Come { items: progress.rows(), bytes: progress.bytes(), of: None });
    }
}

fn report(findings: &Findings, progress: &CheckProgress) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut place = "";
    for (of, damage, finding) in findings.iter() {
        if of != place {
            place = of;
            writeln!(out, "{of}:")?;
        }
        writeln!(out, "  {damage}: {}", finding.count)?;
        for told in &finding.told {
            writeln!(out, "    {told}")?;
        }
        let more = finding.count.saturating_sub(u64::try_from(finding.told.len()).unwrap_or(0));
        if more > 0 {
            writeln!(out, "    and {more} more")?;
        }
    }
    let (rows, bytes) = (progress.rows(), crate::progress::bytes(progress.bytes()));
    let outcome = if findings.is_empty() { "nothing is wrong" } else { "something is wrong" };
    writeln!(out, "{rows} values read, {bytes}: {outcome}")?;
    out.flush()
}
