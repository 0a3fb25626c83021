//! Making a certificate that no authority has signed, for servers without a name of their own.
//!
//! It is kept beside the data, so that clients that were told to trust it go on doing so after a restart.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use thiserror::Error;

use crate::config::{AllowedHosts, ListenAddress, Place};
use crate::tls::{Tls, TlsError};

/// The names under which clients on this machine reach it.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// How long a certificate is valid, in years: clients that trust it trust nothing else, so that renewing it only
/// breaks them.
const YEARS: i32 = 10;
/// The mean length of a year, in seconds.
const YEAR_SECONDS: u64 = 31_556_952;
const CERTIFICATE_FILE: &str = "self-signed.crt";
const KEY_FILE: &str = "self-signed.key";
/// Stands before the names in the certificate's file, where readers of PEM skip it.
const NAMES: &str = "Partita's self-signed certificate for ";

/// Why no certificate could be made. The text is for the operator.
#[derive(Debug, Error)]
pub enum NotMade {
    /// The names can not be in a certificate.
    #[error("a self-signed certificate can not be made: {0}")]
    Names(rcgen::Error),
    /// A file can not be read or written.
    #[error("the self-signed certificate can not be kept in {}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The kept certificate can not be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A certificate that no authority has signed.
#[derive(Debug)]
pub struct SelfSigned {
    /// The certificate.
    pub tls: Tls,
    /// Where it is kept, for clients to trust; `None` if it is not.
    pub file: Option<PathBuf>,
}

impl SelfSigned {
    /// The names of this server: this machine's, and those of its configuration.
    #[must_use]
    pub fn names(hosts: &AllowedHosts, listen: &[ListenAddress]) -> Vec<String> {
        let host = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
        let is_name = |name: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
            !name.is_empty() && name.len() <= 253 && name.bytes().all(plain) && name.parse::<IpAddr>().is_err()
        };
        let own = listen.iter().filter_map(|address| match address.place {
            Place::Socket(socket) if !socket.ip().is_unspecified() => Some(socket.ip().to_canonical().to_string()),
            Place::Socket(_) | Place::Localhost(_) => None,
        });
        let below = hosts.suffixes.iter().map(|suffix| format!("*{suffix}"));
        let mut names: Vec<String> = LOCAL_NAMES.iter().map(|&name| name.to_owned()).collect();
        for name in Some(host)
            .filter(|host| is_name(host))
            .into_iter()
            .chain(own)
            .chain(hosts.exact.iter().cloned())
            .chain(below)
        {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The certificate kept in `directory`; a new one if there is none, or none for these names. Without a directory it
    /// is kept nowhere.
    ///
    /// # Errors
    /// [`NotMade`].
    pub fn kept_in(directory: Option<&Path>, names: &[String]) -> Result<Self, NotMade> {
        let Some(directory) = directory else {
            let (certificate, key) = make(names)?;
            return Ok(Self { tls: Tls::from_pem(&certificate, &key)?, file: None });
        };
        let (certificate_file, key_file) = (directory.join(CERTIFICATE_FILE), directory.join(KEY_FILE));
        let kept = match fs::read_to_string(&certificate_file) {
            Ok(kept) => Some(kept),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(NotMade::File { path: certificate_file, error }),
        };
        if kept.is_none_or(|kept| kept.lines().next() != Some(&*title(names))) {
            let (certificate, key) = make(names)?;
            // The key first: a certificate that is there has its key.
            write(&key_file, &key, 0o600)?;
            write(&certificate_file, &format!("{}\n{certificate}", title(names)), 0o644)?;
            tracing::info!(file = %certificate_file.display(), "a self-signed certificate was made");
        }
        Ok(Self { tls: Tls::from_files(&certificate_file, &key_file)?, file: Some(certificate_file) })
    }
}

fn title(names: &[String]) -> String {
    format!("{NAMES}{}", names.join(", "))
}

/// A certificate and its key, in PEM.
fn make(names: &[String]) -> Result<(String, String), NotMade> {
    let mut params = CertificateParams::new(names).map_err(NotMade::Names)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / YEAR_SECONDS;
    let year = 1970 + i32::try_from(since).unwrap_or_default();
    params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + YEARS, 12, 31);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Partita, self-signed");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(NotMade::Names)?;
    let certificate = params.self_signed(&key).map_err(NotMade::Names)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Writes a file that is there whole or not at all.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), NotMade> {
    let failed = |error| NotMade::File { path: path.to_owned(), error };
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)
}
