//! Opening the listening sockets, and the open-file limit that bounds how many connections they can feed.
//!
//! Which addresses are permitted at all is decided here too, before any socket is opened.

use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};

use crate::config::{Config, Exposure, ListenAddress, Place, Scheme};
use crate::serve::StartError;

/// Connections the kernel may hold for us while we accept others.
const BACKLOG: u32 = 1024;

/// Tries at finding a port that is free on both loopback addresses.
const PORT_TRIES: usize = 16;

/// Opens all sockets of `config`, in its order.
pub(crate) fn open(config: &Config) -> Result<Vec<(Scheme, TcpListener)>, StartError> {
    let mut listeners = Vec::new();
    for address in &config.listen {
        let scheme = address.scheme.unwrap_or(config.scheme);
        let bound = bind_place(*address, config.exposure)?;
        listeners.extend(bound.into_iter().map(|listener| (scheme, listener)));
    }
    if listeners.is_empty() { Err(StartError::Nowhere) } else { Ok(listeners) }
}

/// Opens the sockets of one address: two for `localhost`.
///
/// # Errors
/// [`StartError`], if the address is not permitted or can not be bound.
pub fn bind_place(address: ListenAddress, exposure: Exposure) -> Result<Vec<TcpListener>, StartError> {
    match address.place {
        Place::Socket(socket) if exposure == Exposure::ThisMachine && !address.is_loopback() => {
            Err(StartError::Exposed(socket))
        }
        Place::Socket(socket) => Ok(vec![bind(socket)?]),
        Place::Localhost(port) => bind_localhost(port),
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    try_bind(address).map_err(|error| StartError::Listen { address, error })
}

fn try_bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Both loopback addresses on one port. A machine without IPv6 is no error; a port taken on one of the two is, because
/// clients that resolve `localhost` the other way would reach somebody else.
fn bind_localhost(port: u16) -> Result<Vec<TcpListener>, StartError> {
    let mut tries = if port == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let first = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        let port = first.local_addr().map_or(port, |taken| taken.port());
        let address = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        match try_bind(address) {
            Ok(second) => return Ok(vec![first, second]),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                if tries == 0 {
                    return Err(StartError::Listen { address, error });
                }
            }
            Err(error) => {
                tracing::info!(%error, "no IPv6 loopback on this machine: listening on 127.0.0.1 alone");
                return Ok(vec![first]);
            }
        }
    }
}

/// Raises this process's limit of open files as far as the system lets it, and returns the limit.
///
/// Common defaults (1,024) are less than a server with many connections and a store with many files need.
pub fn raise_open_file_limit() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::debug!(%error, "the open-file limit stays as it is");
    }
    open_file_limit()
}

/// The limit of open files now.
pub(crate) fn open_file_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
