//! Opening a connection: where to, by which address, in the clear or over TLS.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::uri::Scheme;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::error::ClientError;
use crate::trust::Trust;

/// The ports of `http` and `https`.
const PORTS: (u16, u16) = (80, 443);
/// The most of an answer's head, in bytes.
const HEAD_BYTES: usize = 64 << 10;
/// The most addresses of a name that are tried.
const ADDRESSES_TRIED: usize = 8;

/// Where a client may send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everywhere.
    Anywhere,
    /// Not to link-local addresses, where cloud machines find their credentials: for URLs that users name.
    NotLinkLocal,
}

/// The other end of connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    secure: bool,
    /// A name or an address, without the brackets of IPv6.
    host: String,
    port: u16,
}

impl Target {
    /// Where a URL points.
    pub(crate) fn of(uri: &Uri) -> Result<Self, ClientError> {
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(ClientError::Invalid("its URL must begin with http:// or https://")),
        };
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(ClientError::Invalid("its URL names no host"));
        }
        let usual = if secure { PORTS.1 } else { PORTS.0 };
        Ok(Self { secure, host: host.to_owned(), port: uri.port_u16().unwrap_or(usual) })
    }

    /// Host and port, for messages.
    fn shown(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// What connections are opened with.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) trust: Trust,
    pub(crate) reach: Reach,
}

impl Connector {
    /// A new connection, ready to send on.
    pub(crate) async fn connect(
        &self,
        target: &Target,
        (within, deadline): (Duration, Instant),
    ) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        match timeout_at(deadline, self.open(target, deadline)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ClientError::ConnectTimedOut { host: target.shown(), within }),
        }
    }

    async fn open(&self, target: &Target, deadline: Instant) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let refused =
            |error: &dyn std::fmt::Display| ClientError::Refused { host: target.shown(), reason: error.to_string() };
        let stream = self.reach(target, deadline).await?;
        // Without it a request may wait for the acknowledgement of the one before.
        stream.set_nodelay(true).map_err(|error| refused(&error))?;
        if !target.secure {
            return handshake(stream).await.map_err(|error| refused(&error));
        }
        let config = self.trust.config().await?;
        let name = ServerName::try_from(target.host.clone())
            .map_err(|_| ClientError::Invalid("its host is neither a name nor an address"))?;
        let tls = |error: io::Error| ClientError::Tls { host: target.shown(), reason: told(&error) };
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(tls)?;
        handshake(stream).await.map_err(|error| refused(&error))
    }

    /// Connects to the first address of the host that answers. Each gets its share of the time, so that one that is
    /// silent does not keep from the others.
    async fn reach(&self, target: &Target, deadline: Instant) -> Result<TcpStream, ClientError> {
        let unresolved = |reason: String| ClientError::Unresolved { host: target.host.clone(), reason };
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((target.host.as_str(), target.port))
            .await
            .map_err(|error| unresolved(error.to_string()))?
            .take(ADDRESSES_TRIED)
            .collect();
        let mut last = unresolved("it has no address".to_owned());
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            // The address itself is checked, so no name that points there gets around it.
            if self.reach == Reach::NotLinkLocal && is_link_local(address.ip()) {
                return Err(ClientError::LinkLocal(address.ip()));
            }
            let now = Instant::now();
            let share = deadline.saturating_duration_since(now) / left.max(1);
            left = left.saturating_sub(1);
            last = match timeout_at(now + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => ClientError::Refused { host: target.shown(), reason: error.to_string() },
                Err(_) => ClientError::ConnectTimedOut { host: target.shown(), within: share },
            };
        }
        Err(last)
    }
}

async fn handshake<S>(stream: S) -> hyper::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new().max_buf_size(HEAD_BYTES).handshake(TokioIo::new(stream)).await?;
    // Ends with the sender; what goes wrong on it, the sender reports.
    tokio::spawn(connection);
    Ok(sender)
}

/// What went wrong in a handshake, with the remedy for what operators meet most.
fn told(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            "its certificate is not from an authority that is trusted here (--ca-file adds one)".to_owned()
        }
        Some(rustls::Error::InvalidMessage(_)) => "it does not speak TLS on this port".to_owned(),
        Some(error) => error.to_string(),
        None => error.to_string(),
    }
}

/// Whether an address is one of those under which cloud machines find their own credentials.
fn is_link_local(ip: IpAddr) -> bool {
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip == METADATA,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_addresses_are_known_in_every_form() {
        for address in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254"] {
            assert!(is_link_local(address.parse().unwrap()), "{address}");
        }
        for address in ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd00::1", "8.8.8.8"] {
            assert!(!is_link_local(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn targets_are_told_apart_by_scheme_host_and_port() {
        let target = |url: &str| Target::of(&url.parse().unwrap());
        assert_eq!(target("https://[::1]/a").unwrap().shown(), "[::1]:443");
        assert_eq!(target("http://a/").unwrap().shown(), "a:80");
        assert_eq!(target("http://a/").unwrap(), target("http://a:80/b?c").unwrap());
        assert_ne!(target("http://a:443/").unwrap(), target("https://a/").unwrap());
        for wrong in ["ftp://a/", "/", "a:80"] {
            assert!(matches!(target(wrong), Err(ClientError::Invalid(_))), "{wrong}");
        }
    }
}
