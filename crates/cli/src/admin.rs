//! `partita admin`: what is done to a data directory that no server has open. The first access key comes from here.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use partita_client::{Client, Trust};
use partita_db::identity::{AccessKey, Fault, KeyOwner};
use partita_db::{Database, OpenError, Settings, Stores};
use partita_engine::{EngineError, OpenOptions};
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::cluster::ClusterOptions;
use crate::encryption::EncryptionOptions;
use crate::options::Unclear;

/// The account whose tables requests without an account of their own have always seen.
const DEFAULT_ACCOUNT: &str = "000000000000";

#[derive(Debug, Args)]
pub struct AdminOptions {
    /// Directory that holds the data; made by create-root-key if it does not exist
    #[arg(long, global = true, env = "PARTITA_DATA_DIR", value_name = "DIRECTORY", default_value = "./partita-data")]
    data_dir: PathBuf,

    #[command(flatten)]
    place: ClusterOptions,

    /// The account: twelve digits
    #[arg(long, global = true, value_name = "DIGITS", default_value = DEFAULT_ACCOUNT, value_parser = account)]
    account: String,

    #[command(flatten)]
    at_rest: EncryptionOptions,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an access key of an account's root, which may do everything in it, and print it once
    ///
    /// An account has at most two root keys. Use one to make users and roles with `aws iam`, then keep it locked away,
    /// or delete it.
    CreateRootKey,
    /// Show the ids of an account's root keys
    ListRootKeys,
    /// Delete a root key; requests signed with it are refused from the next start of the server on
    DeleteRootKey {
        /// Its access key id
        id: String,
    },
}

/// Why it did not happen. The text is for the operator.
#[derive(Debug, Error)]
enum Failure {
    #[error("there is no data directory at {}", .0.display())]
    NoData(PathBuf),
    #[error(
        "{0}\nOnly a data directory that no server has open can be changed. Stop the server first, or use `aws iam \
         create-access-key` with a key of the account's root."
    )]
    InUse(OpenError),
    #[error(transparent)]
    Options(#[from] Unclear),
    #[error(transparent)]
    Open(OpenError),
    #[error(
        "account {account} has two root keys already, which is the most: {ids}\nDelete one with `partita admin delete-root-key`."
    )]
    TwoKeys { account: String, ids: String },
    #[error("account {account} has no root key {id}")]
    NoSuchKey { account: String, id: String },
    #[error("{0}")]
    Refused(Fault),
    #[error("the change could not be stored: {0}")]
    Close(#[from] EngineError),
    #[error("the system does not give what is needed: {0}")]
    System(#[from] io::Error),
}

/// Runs a command to its end.
pub fn run(options: AdminOptions) -> ExitCode {
    let outcome = Runtime::new().map_err(Failure::from).and_then(|runtime| runtime.block_on(execute(options)));
    match outcome {
        Ok(text) => {
            // A key that could not be shown is of no use to anyone.
            let mut out = io::stdout().lock();
            match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("partita: the answer can not be written: {error}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(failure) => {
            eprintln!("partita: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn execute(options: AdminOptions) -> Result<String, Failure> {
    let AdminOptions { data_dir, place, account, at_rest, action } = options;
    place.check_keys(&at_rest)?;
    let cluster = place.cluster();
    if cluster.is_none() && !matches!(action, Action::CreateRootKey) && !data_dir.exists() {
        return Err(Failure::NoData(data_dir));
    }
    let encryption = at_rest.of(&data_dir, Client::new(Trust::system()));
    let encryption = encryption.map_err(|error| Failure::Open(OpenError::Keys(error)))?;
    let database = match cluster {
        Some(cluster) => Database::open_cluster(&cluster, Settings::default(), encryption, Stores::default()).await,
        None => Database::open_with(&OpenOptions::directory(&data_dir), Settings::default(), encryption).await,
    };
    let database = database.map_err(|error| match error {
        OpenError::Store(partita_engine::OpenError::Locked(_)) => Failure::InUse(error),
        other => Failure::Open(other),
    })?;
    let outcome = apply(&database, &account, action).await;
    database.close().await?;
    outcome
}

async fn apply(database: &Database, account: &str, action: Action) -> Result<String, Failure> {
    let existing = database.access_keys(account, &KeyOwner::Root).await.map_err(Failure::Refused)?;
    match action {
        Action::ListRootKeys => Ok(listed(&existing)),
        Action::CreateRootKey => {
            if existing.len() >= partita_db::identity::MAX_ACCESS_KEYS {
                let ids: Vec<&str> = existing.iter().map(|key| key.id.as_str()).collect();
                return Err(Failure::TwoKeys { account: account.to_owned(), ids: ids.join(", ") });
            }
            let made = database.create_access_key(account, &KeyOwner::Root).await.map_err(Failure::Refused)?;
            Ok(format!(
                "Access key of the root of account {account}. The secret is shown only now.\n\n\
                 export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\n",
                made.key.id, made.secret
            ))
        }
        Action::DeleteRootKey { id } => {
            if !existing.iter().any(|key| key.id == id) {
                return Err(Failure::NoSuchKey { account: account.to_owned(), id });
            }
            database.delete_access_key(account, &KeyOwner::Root, &id).await.map_err(Failure::Refused)?;
            Ok(format!("Deleted {id}\n"))
        }
    }
}

fn listed(keys: &[AccessKey]) -> String {
    let line = |key: &AccessKey| format!("{} {}\n", key.id, if key.active { "active" } else { "inactive" });
    keys.iter().map(line).collect()
}

fn account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("an account has twelve digits".to_owned())
    }
}
