//! What the server uses outside of its data directory: the store of backups and the buckets, by the names that the
//! operator gives.

use std::path::Path;

use partita_client::Client;
use partita_db::{BackupStore, Stores};
use partita_objects::{Buckets, InvalidBucket, InvalidUrl, ObjectStore, Opener};
use thiserror::Error;

use crate::cluster::Engine;
use crate::options::ServeOptions;

/// The directory of backups inside the data directory, where no other place is named.
const BACKUPS: &str = "backups";

/// A place that can not be used. The text is for the operator.
#[derive(Debug, Error)]
pub enum InvalidPlace {
    #[error("--backup-store: {0}")]
    Backups(InvalidUrl),
    #[error("--bucket: {0}")]
    Bucket(#[from] InvalidBucket),
}

/// The places that `options` name.
pub fn stores(options: &ServeOptions, client: Client) -> Result<Stores, InvalidPlace> {
    let opener = opener(client);
    let backups = match &options.backup_store {
        Some(name) => Some(opener.open(name).map_err(InvalidPlace::Backups)?.into()),
        // What only one node of a cluster reaches is no place for backups.
        None if options.place.engine == Engine::Fdb => None,
        None => Some(usual(options.in_memory, &options.data_dir)),
    };
    // An empty variable names no bucket.
    let named = options.bucket.iter().map(String::as_str).filter(|text| !text.is_empty());
    Ok(Stores { backups, buckets: Buckets::parse(named, &opener)? })
}

/// Opens stores with the access keys of the environment.
pub fn opener(client: Client) -> Opener {
    Opener::new(client, |name| std::env::var(name).ok())
}

fn usual(in_memory: bool, data_dir: &Path) -> BackupStore {
    if in_memory { ObjectStore::memory().into() } else { BackupStore::directory(data_dir.join(BACKUPS)) }
}

/// The name of a store, as far as its form goes: a typed `gs://…` must not become a directory of that name.
pub fn store_name(text: &str) -> Result<String, String> {
    match text.split_once("://") {
        _ if text.is_empty() => Err(InvalidUrl::Empty.to_string()),
        Some((scheme, _)) if !Opener::SCHEMES.contains(&scheme) => {
            Err(InvalidUrl::Scheme(scheme.to_owned()).to_string())
        }
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_directory_or_the_url_of_a_bucket() {
        for name in ["backups", "/mnt/a b", "s3://mine", "s3+https://host/mine?region=x"] {
            assert_eq!(store_name(name).as_deref(), Ok(name));
        }
        for name in ["", "gs://mine", "https://host/mine"] {
            assert!(store_name(name).is_err(), "{name}");
        }
    }
}
