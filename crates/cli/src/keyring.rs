//! `partita keyring`: shows and changes the root keys of a keyring file. Servers that use the file follow within a second.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use partita_db::{KeyResult, Keyring, RootKey};

use crate::encryption::keyring_of;

#[derive(Debug, Args)]
pub struct KeyringOptions {
    /// The keyring file
    #[arg(long, global = true, env = "PARTITA_KEYRING", value_name = "FILE")]
    keyring: Option<PathBuf>,

    /// Directory of the data whose keyring it is, when the file is not named
    #[arg(long, global = true, env = "PARTITA_DATA_DIR", value_name = "DIRECTORY", default_value = "./partita-data")]
    data_dir: PathBuf,

    #[command(subcommand)]
    command: KeyringCommand,
}

#[derive(Debug, Subcommand)]
enum KeyringCommand {
    /// Show the keys, without their material
    Show,
    /// Make a key that tables can name as KMSMasterKeyId
    Add {
        /// The key's alias, such as app or alias/app
        alias: String,
    },
    /// Make a new version of a key; the data keys under it are wrapped by it within seconds
    ///
    /// Older versions stay in the file: copies of the data from before need them.
    Rotate {
        /// The key's id or alias
        #[arg(default_value = "aws/dynamodb")]
        key: String,
    },
    /// Forbid the use of a key: its tables become inaccessible within seconds
    Disable {
        /// The key's id or alias
        key: String,
    },
    /// Allow the use of a key again
    Enable {
        /// The key's id or alias
        key: String,
    },
}

/// Runs a command to its end.
pub fn run(options: KeyringOptions) -> ExitCode {
    match answer(options) {
        Ok(keys) => {
            println!("{:<38}{:<10}{:<9}ALIASES", "KEY", "STATE", "VERSION");
            for key in keys {
                let state = if key.enabled { "enabled" } else { "disabled" };
                println!("{:<38}{state:<10}{:<9}{}", key.id, key.newest, key.aliases.join(" "));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("partita: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(options: KeyringOptions) -> KeyResult<Vec<RootKey>> {
    let path = match options.keyring.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => path,
        None => keyring_of(&options.data_dir)?,
    };
    let keyring = Keyring::at(path);
    match options.command {
        KeyringCommand::Show => keyring.keys(),
        KeyringCommand::Add { alias } => keyring.add(&alias).map(|key| vec![key]),
        KeyringCommand::Rotate { key } => keyring.rotate(&key).map(|key| vec![key]),
        KeyringCommand::Disable { key } => keyring.set_enabled(&key, false).map(|key| vec![key]),
        KeyringCommand::Enable { key } => keyring.set_enabled(&key, true).map(|key| vec![key]),
    }
}
