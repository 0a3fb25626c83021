//! Whose certificates are believed: those the system believes, and those of a file that the operator names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::sync::OnceCell;

use crate::error::ClientError;

/// The protocol that is agreed on in the handshake.
const ALPN: &[u8] = b"http/1.1";

/// Whose certificates are believed. Clones share what has been read.
///
/// The system's certificates are read when they are first needed; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    further: Vec<CertificateDer<'static>>,
    config: Arc<OnceCell<Arc<ClientConfig>>>,
}

/// Why a file of certificates is of no use. The text is for the operator.
#[derive(Debug, Error)]
pub enum TrustError {
    /// It can not be read, or is not PEM.
    #[error("the certificates in {} can not be read: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: pem::Error,
    },
    /// It holds no certificate.
    #[error("there is no certificate in {}; it should hold PEM blocks that begin with BEGIN CERTIFICATE", .0.display())]
    Empty(PathBuf),
    /// One of its certificates is none.
    #[error("a certificate in {} is not well-formed: {error}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: rustls::Error,
    },
}

impl Trust {
    /// The system's certificates alone.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// The system's certificates and those in a PEM file.
    ///
    /// # Errors
    /// [`TrustError`], if the file holds none that can be used.
    pub fn with_ca_file(path: &Path) -> Result<Self, TrustError> {
        let unreadable = |error| TrustError::Unreadable { path: path.to_owned(), error };
        let further: Vec<_> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(unreadable)?;
        if further.is_empty() {
            return Err(TrustError::Empty(path.to_owned()));
        }
        let mut trial = RootCertStore::empty();
        for certificate in &further {
            let malformed = |error| TrustError::Malformed { path: path.to_owned(), error };
            trial.add(certificate.clone()).map_err(malformed)?;
        }
        Ok(Self { further, config: Arc::default() })
    }

    /// The settings of TLS for connections to others.
    pub(crate) async fn config(&self) -> Result<Arc<ClientConfig>, ClientError> {
        let make = || async {
            let further = self.further.clone();
            // The system's certificates are some hundred files on many systems.
            let made = tokio::task::spawn_blocking(move || make(further)).await;
            made.unwrap_or_else(|_| Err(ClientError::NoTrust("they can not be read".to_owned())))
        };
        self.config.get_or_try_init(make).await.cloned()
    }
}

fn make(further: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, ClientError> {
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "some of the system's certificates can not be read");
    }
    let mut roots = RootCertStore::empty();
    // Systems keep a few old certificates that are of no use.
    roots.add_parsable_certificates(system.certs);
    for certificate in further {
        roots.add(certificate).map_err(|error| ClientError::NoTrust(error.to_string()))?;
    }
    if roots.is_empty() {
        let remedy = "the system has no certificates (on many, the package ca-certificates), and no --ca-file is given";
        return Err(ClientError::NoTrust(remedy.to_owned()));
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::NoTrust(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}
