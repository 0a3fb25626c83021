//! What clients are told of where the node is. They ask before anything else, and every few seconds again.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use tokio::net::lookup_host;

use crate::answer;
use crate::cbor::Writer;
use crate::node::Session;

/// The role of a node that writes go to.
const LEADER: i64 = 1;

/// An address that clients are told instead of the one that they have reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvertisedAddress {
    /// Whether it is for clients over TLS.
    pub secured: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// An address that can not be advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address to advertise is HOST:PORT, or daxs://HOST:PORT for clients over TLS")]
pub struct NotAnAddress;

impl FromStr for AdvertisedAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (secured, rest) = crate::listen::scheme(text);
        let (host, port) = rest.rsplit_once(':').ok_or(NotAnAddress)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_host = match bare {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.len() <= 255 && host.bytes().all(is_name),
        };
        let port = port.parse().ok().filter(|port| *port > 0 && is_host).ok_or(NotAnAddress)?;
        Ok(Self { secured, host: bare.unwrap_or(host).to_owned(), port })
    }
}

/// All addresses that are advertised. Where there is none for a connection's kind, it is the one that it has come to.
#[derive(Clone, Debug, Default)]
pub struct Advertised(pub Vec<AdvertisedAddress>);

impl Advertised {
    /// The answer for a connection: one endpoint for each family of addresses.
    pub(crate) async fn answer(&self, session: &Session) -> Vec<u8> {
        let secured = session.way.secured.is_some();
        let named = self.0.iter().find(|address| address.secured == secured);
        let reached = (session.local.ip().to_canonical(), session.local.port());
        let (host, found) = match named {
            Some(AdvertisedAddress { host, port, .. }) => (host.clone(), resolved(host, *port).await),
            None => (reached.0.to_string(), Vec::new()),
        };
        let found = if found.is_empty() { vec![reached] } else { found };
        let mut out = answer::success(128);
        out.array(found.len());
        for (node, (address, port)) in (1..).zip(found) {
            endpoint(node, &host, address, port, &mut out);
        }
        out.into_bytes()
    }
}

/// The addresses of a name: at most one of each family.
async fn resolved(host: &str, port: u16) -> Vec<(IpAddr, u16)> {
    let found: Vec<SocketAddr> = match lookup_host((host, port)).await {
        Ok(found) => found.collect(),
        Err(error) => {
            tracing::warn!(host, %error, "the advertised address has no addresses; clients are told the one they reached");
            Vec::new()
        }
    };
    let first = |wanted: fn(&SocketAddr) -> bool| found.iter().find(|address| wanted(address));
    let families = [first(SocketAddr::is_ipv4), first(SocketAddr::is_ipv6)];
    families.into_iter().flatten().map(|address| (address.ip(), address.port())).collect()
}

fn endpoint(node: i64, host: &str, address: IpAddr, port: u16, out: &mut Writer) {
    out.map(7);
    out.int(0);
    out.int(node);
    out.int(1);
    out.text(host);
    out.int(2);
    match address {
        IpAddr::V4(address) => out.bytes(&address.octets()),
        IpAddr::V6(address) => out.bytes(&address.octets()),
    }
    out.int(3);
    out.int(i64::from(port));
    out.int(4);
    out.int(LEADER);
    out.int(5);
    out.text("local");
    out.int(6);
    out.int(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, secured, host, port) in [
            ("dax.example.com:8111", false, "dax.example.com", 8111),
            ("daxs://dax.example.com:9111", true, "dax.example.com", 9111),
            ("dax://[::1]:1", false, "::1", 1),
            ("10.0.0.1:8111", false, "10.0.0.1", 8111),
        ] {
            assert_eq!(text.parse(), Ok(AdvertisedAddress { secured, host: host.to_owned(), port }), "{text}");
        }
        for wrong in ["", "host", "host:", ":1", "host:0", "host:99999", "a b:1", "http://host:1", "[::1:1", "[host]:1"]
        {
            assert!(wrong.parse::<AdvertisedAddress>().is_err(), "{wrong}");
        }
    }
}
