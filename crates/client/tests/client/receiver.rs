//! A server that gives the same answers on each connection, and certificate authorities for it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What a receiver has heard.
#[derive(Clone, Default)]
pub struct Heard {
    pub connections: usize,
    pub requests: Vec<String>,
}

pub struct Receiver {
    pub port: u16,
    secure: bool,
    heard: Arc<Mutex<Heard>>,
}

/// A certificate authority; its certificate is in `file`.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub file: PathBuf,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-ca.pem"));
        std::fs::write(&file, certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), file }
    }

    fn acceptor(&self, names: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

impl Receiver {
    /// Answers the requests of each connection with `answers`, the last again and again; an empty one closes.
    pub async fn plain(answers: &[&str]) -> Self {
        Self::start("127.0.0.1:0", answers, None).await.unwrap()
    }

    pub async fn ipv6(answers: &[&str]) -> Option<Self> {
        Self::start("[::1]:0", answers, None).await
    }

    pub async fn tls(authority: &Authority, names: &[&str], answers: &[&str]) -> Self {
        Self::start("127.0.0.1:0", answers, Some(authority.acceptor(names))).await.unwrap()
    }

    async fn start(address: &str, answers: &[&str], tls: Option<TlsAcceptor>) -> Option<Self> {
        let listener = TcpListener::bind(address).await.ok()?;
        let port = listener.local_addr().unwrap().port();
        let answers: Arc<[String]> = answers.iter().map(|&answer| answer.to_owned()).collect();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let receiver = Self { port, secure: tls.is_some(), heard: Arc::clone(&heard) };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answers, heard, tls) = (Arc::clone(&answers), Arc::clone(&heard), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, &answers, &heard).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, &answers, &heard).await;
                            }
                        }
                    }
                });
            }
        });
        Some(receiver)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http{}://127.0.0.1:{}{path}", if self.secure { "s" } else { "" }, self.port)
    }

    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap().clone()
    }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, answers: &[String], heard: &Mutex<Heard>) {
    heard.lock().unwrap().connections += 1;
    let mut unread = Vec::new();
    for answer in answers.iter().chain(std::iter::repeat(answers.last().expect("an answer"))) {
        // Every request of these tests ends so.
        while !unread.ends_with(b"\r\n\r\nSECRET") {
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer).await {
                Ok(read) if read > 0 => unread.extend_from_slice(&buffer[..read]),
                _ => return,
            }
        }
        heard.lock().unwrap().requests.push(String::from_utf8(std::mem::take(&mut unread)).unwrap());
        if answer.is_empty() || stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
