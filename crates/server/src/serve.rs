//! The server's life: bind, accept, stop.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::config::{Config, Exposure, Scheme};
use crate::connection::Connection;
use crate::exchange::Service;
use crate::http::Handler;
use crate::listen;
use crate::tls::Tls;
use crate::traffic::Traffic;
use crate::transport::Secure;

/// Open files kept for everything that is not a connection: the store, logs, listeners.
const FILES_KEPT: u64 = 512;

/// The pause after an accept that failed for want of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address that other machines can reach, without permission for that.
    #[error(
        "{0} can be reached from other machines, and requests are not authenticated: everyone there could read and \
         write all data. Listen on a loopback address, demand signatures with --auth on, or, where the network itself \
         keeps strangers out (a container, a private network), add --allow-unauthenticated-network-access"
    )]
    Exposed(SocketAddr),
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: {}", listen_trouble(.error))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// No address at all.
    #[error("there is no address to listen on")]
    Nowhere,
}

fn listen_trouble(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => {
            "another program listens there already. Stop it, or choose another address with --listen (port 0 takes a \
             free one)"
                .to_owned()
        }
        ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        ErrorKind::PermissionDenied => "permission denied (ports below 1024 need privileges)".to_owned(),
        _ => error.to_string(),
    }
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every request in flight was answered.
    Clean,
    /// Some were not answered in time and were dropped.
    DeadlinePassed,
}

/// A server whose sockets are open. Connections wait until [`Self::run`].
#[derive(Debug)]
pub struct Server {
    config: Config,
    listeners: Vec<(Scheme, TcpListener)>,
    tls: Option<Tls>,
    traffic: Arc<Traffic>,
}

/// One address that is listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// What is spoken there.
    pub scheme: Scheme,
    /// Where, with the port that was chosen.
    pub address: SocketAddr,
}

impl Listening {
    /// Whether other machines reach it and nothing is encrypted.
    #[must_use]
    pub fn is_readable_on_the_way(&self) -> bool {
        self.scheme == Scheme::Http && !self.address.ip().to_canonical().is_loopback()
    }
}

impl fmt::Display for Listening {
    /// As a URL without a path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.address)
    }
}

impl Server {
    /// Opens the listening sockets.
    ///
    /// # Errors
    /// [`StartError`], if an address is not permitted or cannot be bound.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let listeners = listen::open(&config)?;
        if config.exposure == Exposure::AnyNetwork {
            tracing::warn!(
                "requests are not authenticated: everyone who can reach this server can read and write all data"
            );
        }
        if config.origins.is_any() && config.exposure != Exposure::Authenticated {
            tracing::warn!(
                "--cors '*': every web page open in a browser that can reach this server can read and write all data"
            );
        }
        let server = Self { config, listeners, tls: None, traffic: Arc::default() };
        for listening in server.addresses().iter().filter(|listening| listening.is_readable_on_the_way()) {
            tracing::warn!(%listening, "not encrypted: everyone on the way there can read what is sent");
        }
        Ok(server)
    }

    /// The same server with a certificate. Without one, connections to addresses of `https` are closed at once.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// What is counted of connections and requests.
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// Where the server listens, in the configuration's order.
    pub fn addresses(&self) -> Vec<Listening> {
        let listening = |(scheme, listener): &(Scheme, TcpListener)| {
            Some(Listening { scheme: *scheme, address: listener.local_addr().ok()? })
        };
        self.listeners.iter().filter_map(listening).collect()
    }

    /// Serves until `stop` resolves, then answers what is in flight.
    ///
    /// Stopping means: no new connections, no new requests on old ones, and [`crate::Timeouts::stop`] for the rest.
    pub async fn run<H: Handler>(self, handler: H, stop: impl Future<Output = ()>) -> Stopped {
        let deadline = self.config.timeouts.stop;
        let slots = Arc::new(Semaphore::new(connections(&self.config)));
        let secure = self.tls.as_ref().map(|tls| Secure::new(tls, self.config.limits.handshakes));
        let following = self.tls.map(|tls| tokio::spawn(tls.follow_files()));
        let service = Arc::new(Service::new(handler, self.config, self.traffic));
        let (stopping, stopping_seen) = watch::channel(false);
        let (alive, mut all_done) = mpsc::channel::<Infallible>(1);
        let acceptors: Vec<_> = self
            .listeners
            .into_iter()
            .filter_map(|(scheme, listener)| {
                let secure = match scheme {
                    Scheme::Http => None,
                    Scheme::Https if secure.is_none() => {
                        tracing::error!("there is no certificate for the addresses of https: nothing is served there");
                        return None;
                    }
                    Scheme::Https => secure.clone(),
                };
                let acceptor = Acceptor {
                    listener,
                    secure,
                    slots: Arc::clone(&slots),
                    service: Arc::clone(&service),
                    stopping: stopping_seen.clone(),
                    alive: alive.clone(),
                };
                Some(tokio::spawn(acceptor.run()))
            })
            .collect();
        drop((alive, service, stopping_seen));

        stop.await;
        stopping.send_replace(true);
        for task in acceptors.into_iter().chain(following) {
            task.abort();
        }
        match timeout(deadline, all_done.recv()).await {
            Ok(_) => Stopped::Clean,
            Err(_) => Stopped::DeadlinePassed,
        }
    }
}

/// How many connections the open-file limit leaves room for, at most as many as configured.
fn connections(config: &Config) -> usize {
    let files = listen::open_file_limit();
    let room = files.saturating_sub(FILES_KEPT).max(files / 2).max(1);
    config.limits.connections.min(usize::try_from(room).unwrap_or(usize::MAX)).clamp(1, Semaphore::MAX_PERMITS)
}

struct Acceptor<H> {
    listener: TcpListener,
    secure: Option<Secure>,
    slots: Arc<Semaphore>,
    service: Arc<Service<H>>,
    stopping: watch::Receiver<bool>,
    alive: mpsc::Sender<Infallible>,
}

impl<H: Handler> Acceptor<H> {
    async fn run(self) {
        while let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await {
            let (stream, peer) = self.accept().await;
            let _ = stream.set_nodelay(true);
            let connection = Connection {
                service: Arc::clone(&self.service),
                peer,
                secure: self.secure.clone(),
                stopping: self.stopping.clone(),
                alive: self.alive.clone(),
            };
            let open = self.service.traffic().connection();
            tokio::spawn(async move {
                let _open = open;
                connection.serve(stream).await;
                drop(slot);
            });
        }
    }

    async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                // These tell of one connection that is gone already, not of the listener.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections for the moment");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
