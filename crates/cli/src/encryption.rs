//! The options of encryption at rest, and where the root keys are: a keyring file, or a key management service.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use partita_client::Client;
use partita_db::{Encryption, KeyError, KeyResult, KeyService, Keyring, Keys};

use crate::kms::Kms;

/// What the keyring's name ends in, beside the data directory.
const BESIDE: &str = ".keyring";
/// What it is called where it can only be inside.
const INSIDE: &str = "keyring";
/// What tells a data directory that is in use from a new one.
const IN_USE: &str = "FORMAT";

#[derive(Debug, Clone, Args)]
pub struct EncryptionOptions {
    /// Whether what is stored is encrypted
    ///
    /// Without this, new data is encrypted and data that was stored plain stays so. With on, plain data stays readable
    /// and is encrypted as it is written again. Data that is encrypted can not be opened with off.
    #[arg(long, env = "PARTITA_ENCRYPTION", value_name = "WHEN", value_enum, help_heading = "Encryption at rest")]
    pub encryption: Option<Switch>,

    /// File of the root keys; made, for its owner only, with the first encrypted data
    ///
    /// Without this, beside the data directory: partita-data.keyring for partita-data. Whoever has both can read the
    /// data, and without the file nobody can: keep a copy of it, elsewhere than copies of the data.
    #[arg(
        long,
        env = "PARTITA_KEYRING",
        value_name = "FILE",
        conflicts_with = "kms_endpoint",
        help_heading = "Encryption at rest"
    )]
    pub keyring: Option<PathBuf>,

    /// Address of a key management service that speaks AWS KMS's API, to keep the root keys instead of a file
    ///
    /// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN sign the requests to it.
    #[arg(
        long,
        env = "PARTITA_KMS_ENDPOINT",
        value_name = "URL",
        requires = "kms_key_id",
        help_heading = "Encryption at rest"
    )]
    pub kms_endpoint: Option<String>,

    /// Region of the key management service
    #[arg(
        long,
        env = "PARTITA_KMS_REGION",
        value_name = "REGION",
        default_value = "us-east-1",
        value_parser = crate::options::region,
        help_heading = "Encryption at rest"
    )]
    pub kms_region: String,

    /// Key of the key management service for tables that name none: its id, ARN or alias/name
    #[arg(
        long,
        env = "PARTITA_KMS_KEY_ID",
        value_name = "KEY",
        requires = "kms_endpoint",
        help_heading = "Encryption at rest"
    )]
    pub kms_key_id: Option<String>,

    /// Seconds for which a table's key is used before it is asked whether it still may be
    #[arg(
        long,
        env = "PARTITA_DATA_KEY_CACHE",
        value_name = "SECONDS",
        default_value_t = Keys::TRUSTED_FOR.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        help_heading = "Encryption at rest"
    )]
    pub data_key_cache: u64,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Encrypted
    On,
    /// Plain
    Off,
}

impl EncryptionOptions {
    /// Whether and with which keys the data of a directory is encrypted.
    ///
    /// # Errors
    /// When a key management service is named and there are no credentials for it.
    pub fn of(&self, data: &Path, client: Client) -> KeyResult<Encryption> {
        if self.encryption == Some(Switch::Off) {
            return Ok(Encryption::Off);
        }
        let service: Arc<dyn KeyService> = match self.kms_endpoint.as_deref().filter(|url| !url.is_empty()) {
            Some(endpoint) => {
                let key = self.kms_key_id.as_deref().unwrap_or_default();
                let kms = Kms::new(client, endpoint, &self.kms_region, key, |name| {
                    std::env::var(name).ok().filter(|value| !value.is_empty())
                })?;
                Arc::new(kms)
            }
            None => Arc::new(self.keyring(data)?),
        };
        let keys = Keys { service, trusted_for: Duration::from_secs(self.data_key_cache) };
        Ok(match self.encryption {
            Some(_) => Encryption::On(keys),
            None => Encryption::WhenNew(keys),
        })
    }

    /// Whether root keys would lie beside a data directory, because nothing says where else.
    pub fn would_make_keys_here(&self) -> bool {
        let is_named = |name: &Option<PathBuf>| name.as_deref().is_some_and(|path| !path.as_os_str().is_empty());
        let asks_service = self.kms_endpoint.as_deref().is_some_and(|url| !url.is_empty());
        self.encryption != Some(Switch::Off) && !asks_service && !is_named(&self.keyring)
    }

    fn keyring(&self, data: &Path) -> KeyResult<Keyring> {
        if let Some(named) = self.keyring.as_deref().filter(|path| !path.as_os_str().is_empty()) {
            return Ok(Keyring::at(named));
        }
        let found = keyring_of(data)?;
        if found.exists() || (self.encryption.is_none() && data.join(IN_USE).exists()) {
            return Ok(Keyring::at(found));
        }
        if can_be_made(&found) && !is_mount_point(data) {
            return Ok(Keyring::at(found));
        }
        let inside = data.join(INSIDE);
        tracing::warn!(
            path = %inside.display(),
            "there is no lasting place for a keyring beside the data directory, so it lies inside: whoever takes the \
             directory takes the keys with it; --keyring names a better place"
        );
        Ok(Keyring::at(inside))
    }
}

/// Where the keyring of a data directory is, or is to be unless that can not be.
///
/// # Errors
/// When the directory's path can not be made absolute.
pub fn keyring_of(data: &Path) -> KeyResult<PathBuf> {
    let data = std::path::absolute(data)
        .map_err(|error| KeyError::Setup(format!("{} is no directory: {error}", data.display())))?;
    let inside = data.join(INSIDE);
    let Some(name) = data.file_name() else { return Ok(inside) };
    let mut beside = name.to_owned();
    beside.push(BESIDE);
    let beside = data.with_file_name(beside);
    Ok(if inside.exists() && !beside.exists() { inside } else { beside })
}

/// Whether files can be made where the keyring is to be. Its lock is one that is made anyway.
fn can_be_made(keyring: &Path) -> bool {
    let mut lock = keyring.as_os_str().to_owned();
    lock.push(".lock");
    if let Some(parent) = keyring.parent() {
        // What fails here fails below.
        let _ = fs::create_dir_all(parent);
    }
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(PathBuf::from(lock)).is_ok()
}

/// Whether a directory is the root of a file system of its own, such as a container's volume: what lies beside it may
/// not last.
#[cfg(unix)]
fn is_mount_point(directory: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let parent = std::path::absolute(directory).ok().and_then(|path| path.parent().map(Path::to_owned));
    match (device(directory), parent.as_deref().and_then(device)) {
        (Some(here), Some(above)) => here != above,
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_mount_point(_: &Path) -> bool {
    false
}
