//! The server's certificate: read from files, and read again when they change.
//!
//! Connections that are open keep what they agreed on; new ones get the new certificate. A certificate that can not be
//! used is logged and the old one kept. How one is made is in `self_signed`, handshakes are in `transport`.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ring::digest::{SHA256, digest};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring as crypto};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// The most bytes of a file of certificates or of a key.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// The protocol that is agreed on in the handshake.
const ALPN: &[u8] = b"http/1.1";
/// The permissions by which everyone can read or write a file.
const EVERYONE: u32 = 0o006;

/// Why a certificate can not be used. The text is for the operator and holds nothing of the key.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file can not be read.
    #[error("{} can not be read: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is larger than any certificate.
    #[error("{} is larger than 1 MiB, so it is neither a certificate nor a key", .0.display())]
    TooLarge(PathBuf),
    /// The key's file is open to everyone on the machine.
    #[error("{path} can be read or written by every user of this machine. Close it first: chmod 600 {path}", path = .0.display())]
    Exposed(PathBuf),
    /// No certificate in the file.
    #[error("there is no certificate in {}; it should hold PEM blocks that begin with BEGIN CERTIFICATE, the server's first", .0.display())]
    NoCertificate(PathBuf),
    /// No key in the file.
    #[error("there is no private key in {}; it should hold a PEM block such as BEGIN PRIVATE KEY, not encrypted", .0.display())]
    NoKey(PathBuf),
    /// A file is not PEM.
    #[error("{} is not well-formed PEM", .0.display())]
    NotPem(PathBuf),
    /// The key is not the certificate's.
    #[error("the key in {} does not belong to the first certificate in {}", .key.display(), .certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate or key is of a kind that can not be used.
    #[error("the certificate can not be used: {0}")]
    Unusable(rustls::Error),
}

/// The server's certificate and its settings of TLS: versions 1.2 and 1.3, HTTP/1.1.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    identity: Arc<Identity>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

/// What the server shows to clients.
struct Identity {
    files: Option<Files>,
    shown: ArcSwap<Shown>,
}

/// A certificate with its key.
struct Shown {
    key: Arc<CertifiedKey>,
    fingerprint: String,
}

/// Where a certificate comes from.
#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What tells that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    changed: (i64, i64),
    bytes: u64,
    inode: (u64, u64),
}

impl Tls {
    /// The certificate, with those that lead to its authority, and the key in two PEM files.
    ///
    /// # Errors
    /// [`TlsError`], if they can not be used, or everyone on the machine can read the key.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let shown = files.read()?;
        Self::new(Some(files), shown)
    }

    /// A certificate and its key, both in PEM, that are in no file.
    pub(crate) fn from_pem(certificate: &str, key: &str) -> Result<Self, TlsError> {
        let names = Files { certificate: "the certificate".into(), key: "the key".into() };
        Self::new(None, names.parse(certificate.as_bytes(), key.as_bytes())?)
    }

    fn new(files: Option<Files>, shown: Shown) -> Result<Self, TlsError> {
        let identity = Arc::new(Identity { files, shown: ArcSwap::from_pointee(shown) });
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&identity) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Sessions are resumed by tickets, so that they cost the server no memory.
        config.ticketer = crypto::Ticketer::new().map_err(TlsError::Unusable)?;
        Ok(Self { config: Arc::new(config), identity })
    }

    /// The SHA-256 fingerprint of the certificate that is shown now, as `openssl x509 -fingerprint -sha256` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.identity.shown.load().fingerprint.clone()
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Looks at the files from time to time and shows what is in them. Never ends.
    pub(crate) async fn follow_files(self) {
        let Some(files) = self.identity.files.clone() else { return };
        let mut shown = files.stamps();
        let mut before = shown;
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let now = files.stamps();
            // Both files have been left alone since the last look, so that none is read half written.
            if now != shown && now == before {
                shown = now;
                let reading = files.clone();
                match tokio::task::spawn_blocking(move || reading.read()).await {
                    Ok(Ok(read)) => {
                        tracing::info!(fingerprint = read.fingerprint, "a new certificate is shown to new connections");
                        self.identity.shown.store(Arc::new(read));
                    }
                    Ok(Err(error)) => {
                        tracing::error!(%error, "the new certificate can not be used; the old one is kept");
                    }
                    Err(error) => tracing::error!(%error, "the new certificate can not be read; the old one is kept"),
                }
            }
            before = now;
        }
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.load().key))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Files {
    fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.certificate, &self.key].map(|path| fs::metadata(path).ok().as_ref().map(Stamp::of))
    }

    fn read(&self) -> Result<Shown, TlsError> {
        let (certificate, _) = read(&self.certificate)?;
        let (key, metadata) = read(&self.key)?;
        if metadata.mode() & EVERYONE != 0 {
            return Err(TlsError::Exposed(self.key.clone()));
        }
        self.parse(&certificate, &key)
    }

    fn parse(&self, certificate: &[u8], key: &[u8]) -> Result<Shown, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::NotPem(self.certificate.clone()))?;
        let Some(first) = chain.first() else { return Err(TlsError::NoCertificate(self.certificate.clone())) };
        let fingerprint = fingerprint(first);
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoKey(self.key.clone()),
            _ => TlsError::NotPem(self.key.clone()),
        })?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { certificate: self.certificate.clone(), key: self.key.clone() }
            }
            error => TlsError::Unusable(error),
        })?;
        Ok(Shown { key: Arc::new(key), fingerprint })
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            bytes: metadata.len(),
            inode: (metadata.dev(), metadata.ino()),
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(crypto::default_provider())
}

fn read(path: &Path) -> Result<(Vec<u8>, Metadata), TlsError> {
    let unreadable = |error| TlsError::Unreadable { path: path.to_owned(), error };
    let mut file = fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.len() > MAX_FILE_BYTES {
        return Err(TlsError::TooLarge(path.to_owned()));
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(&mut file, MAX_FILE_BYTES), &mut bytes).map_err(unreadable)?;
    Ok((bytes, metadata))
}

fn fingerprint(certificate: &[u8]) -> String {
    let hash = digest(&SHA256, certificate);
    let bytes: Vec<String> = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}
