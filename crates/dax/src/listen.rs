//! Listening: sockets, connections as they come, and their end when the server stops.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use partita_api::door::Way;
use partita_api::http::Secured;
use partita_server::{
    Exposure, ListenAddress, Secure, StartError, Tls, Transport, bind_place, raise_open_file_limit, shake_hands,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::connection::{self, Budget};
use crate::node::Node;

/// Connections that are served at one time; further ones wait.
const MAX_CONNECTIONS: usize = 10_000;
/// TLS handshakes under way at one time.
const MAX_HANDSHAKES: usize = 512;
/// From the start of a connection to the end of its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The pause after an accept that failed for want of files or memory.
const PAUSE: Duration = Duration::from_millis(100);
/// How long requests in flight may take when the server stops.
const STOP: Duration = Duration::from_secs(25);

/// Takes the scheme off an address: whether it is `daxs://`, and what follows. Without any, it is `dax://`.
pub(crate) fn scheme(text: &str) -> (bool, &str) {
    match text.strip_prefix("daxs://") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("dax://").unwrap_or(text)),
    }
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaxAddress {
    /// Whether TLS is spoken there.
    pub secured: bool,
    /// Where.
    pub address: ListenAddress,
}

impl FromStr for DaxAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (secured, rest) = scheme(text);
        let address: ListenAddress = rest.parse().map_err(|error| format!("{error}"))?;
        if address.scheme.is_some() {
            return Err(format!("'{text}' speaks HTTP; an address for DAX begins with dax:// or daxs://"));
        }
        Ok(Self { secured, address })
    }
}

/// One address that is listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaxListening {
    /// Whether TLS is spoken there.
    pub secured: bool,
    /// Where, with the port that was chosen.
    pub address: SocketAddr,
}

impl fmt::Display for DaxListening {
    /// As clients take it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secured { "daxs" } else { "dax" }, self.address)
    }
}

/// Open sockets, on which nobody is served yet.
#[derive(Debug)]
pub struct Listeners(Vec<(bool, TcpListener)>);

impl Listeners {
    /// Opens the sockets.
    ///
    /// # Errors
    /// When an address can be reached from other machines and that is not permitted, or it can not be listened on.
    pub fn bind(addresses: &[DaxAddress], exposure: Exposure) -> Result<Self, StartError> {
        let mut sockets = Vec::new();
        for DaxAddress { secured, address } in addresses {
            let bound = bind_place(*address, exposure)?;
            sockets.extend(bound.into_iter().map(|socket| (*secured, socket)));
        }
        Ok(Self(sockets))
    }

    /// Where.
    #[must_use]
    pub fn addresses(&self) -> Vec<DaxListening> {
        let listening = |(secured, socket): &(bool, TcpListener)| {
            Some(DaxListening { secured: *secured, address: socket.local_addr().ok()? })
        };
        self.0.iter().filter_map(listening).collect()
    }

    /// Serves `node` until `stopping` is true and the requests in flight are answered. Sockets for TLS are closed at once
    /// if there is no certificate.
    pub async fn run(self, node: Arc<Node>, tls: Option<&Tls>, stopping: watch::Receiver<bool>) {
        // Most files are for the store and for HTTP.
        let files = usize::try_from(raise_open_file_limit() / 4).unwrap_or(MAX_CONNECTIONS);
        let room = Arc::new(Semaphore::new(files.clamp(1, MAX_CONNECTIONS)));
        let secure = tls.map(|tls| Secure::new(tls, MAX_HANDSHAKES));
        let budget = Budget::default();
        let mut accepting = JoinSet::new();
        for (secured, socket) in self.0 {
            let secure = match (secured, &secure) {
                (false, _) => None,
                (true, Some(secure)) => Some(secure.clone()),
                (true, None) => continue,
            };
            let door = Door {
                node: Arc::clone(&node),
                secure,
                room: Arc::clone(&room),
                budget: budget.clone(),
                stopping: stopping.clone(),
            };
            accepting.spawn(door.accept(socket));
        }
        while accepting.join_next().await.is_some() {}
    }
}

/// What connections of one socket are served with.
#[derive(Clone)]
struct Door {
    node: Arc<Node>,
    secure: Option<Secure>,
    room: Arc<Semaphore>,
    budget: Budget,
    stopping: watch::Receiver<bool>,
}

impl Door {
    async fn accept(mut self, socket: TcpListener) {
        let mut connections = JoinSet::new();
        let mut stopping = self.stopping.clone();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = self.next(&socket) => accepted,
                _ = stopping.wait_for(|stopping| *stopping) => break,
            };
            let Some((permit, stream, peer)) = accepted else {
                sleep(PAUSE).await;
                continue;
            };
            let door = self.clone();
            connections.spawn(async move {
                door.serve(stream, peer).await;
                drop(permit);
            });
        }
        drop(socket);
        let all = async { while connections.join_next().await.is_some() {} };
        if timeout(STOP, all).await.is_err() {
            tracing::warn!("some DAX requests in flight took too long and were dropped");
        }
    }

    async fn next(
        &mut self,
        socket: &TcpListener,
    ) -> Option<(tokio::sync::OwnedSemaphorePermit, TcpStream, SocketAddr)> {
        let permit = Arc::clone(&self.room).acquire_owned().await.ok()?;
        match socket.accept().await {
            Ok((stream, peer)) => Some((permit, stream, peer)),
            Err(error) => {
                tracing::debug!(%error, "a DAX connection can not be accepted");
                None
            }
        }
    }

    async fn serve(mut self, stream: TcpStream, peer: SocketAddr) {
        let Ok(local) = stream.local_addr() else { return };
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let stream = match self.secure.take() {
            None => Transport::Plain(stream),
            Some(secure) => match Box::pin(shake_hands(stream, &secure, HANDSHAKE)).await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(%peer, %error, "no TLS handshake");
                    return;
                }
            },
        };
        let secured = stream.secured();
        let secured = secured.map(|secured| Secured { version: secured.version, cipher_suite: secured.cipher_suite });
        let session = self.node.session(Way { peer, secured }, local);
        let open = &self.node.metrics().client_connections;
        open.fetch_add(1, Ordering::Relaxed);
        connection::serve(&self.node, session, stream, &self.budget, self.stopping).await;
        open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_dax_alone() {
        let parse = |text: &str| text.parse::<DaxAddress>();
        assert!(!parse("127.0.0.1:8111").unwrap().secured);
        assert!(!parse("dax://localhost:8111").unwrap().secured);
        assert!(parse("daxs://[::1]:9111").unwrap().secured);
        for wrong in ["", "8111", "http://127.0.0.1:1", "dax://http://127.0.0.1:1", "dax://"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
