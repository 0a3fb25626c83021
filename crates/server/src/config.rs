//! What the server is told before it starts: addresses, who may call it, limits and times.
//!
//! Values are parsed here and cannot be malformed afterwards; where they come from (flags, environment) is the
//! binary's business. Binding the addresses is in `listen`, judging hosts and origins in `gate`.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// A setting that cannot be understood. The text says what would be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidSetting(String);

/// Everything a server is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: Vec<ListenAddress>,
    /// What is spoken where an address does not say.
    pub scheme: Scheme,
    /// Whether addresses that other machines can reach are permitted, and why.
    pub exposure: Exposure,
    /// The region in the health line.
    pub region: String,
    /// Which web pages may call the server.
    pub origins: AllowedOrigins,
    /// Names of this server beyond those that are always allowed.
    pub hosts: AllowedHosts,
    /// Sizes and counts.
    pub limits: Limits,
    /// Times.
    pub timeouts: Timeouts,
}

impl Default for Config {
    /// Port 8000 on this machine alone, no web pages, DynamoDB's limits.
    fn default() -> Self {
        Self {
            listen: vec![ListenAddress { scheme: None, place: Place::Localhost(8000) }],
            scheme: Scheme::Http,
            exposure: Exposure::ThisMachine,
            region: "us-east-1".to_owned(),
            origins: AllowedOrigins::default(),
            hosts: AllowedHosts::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// As URLs begin with it, without the colon.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// One address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress {
    /// What is spoken there, if the address says.
    pub scheme: Option<Scheme>,
    /// Where.
    pub place: Place,
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One socket address. Port 0 takes a free one.
    Socket(SocketAddr),
    /// This port on 127.0.0.1 and, where the machine has it, on \[::1\].
    Localhost(u16),
}

impl ListenAddress {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.place {
            Place::Socket(socket) => socket.ip().to_canonical().is_loopback(),
            Place::Localhost(_) => true,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        let (scheme, place) = match text.split_once("://") {
            Some(("http", place)) => (Some(Scheme::Http), place),
            Some(("https", place)) => (Some(Scheme::Https), place),
            _ => (None, text),
        };
        let place = place.strip_suffix('/').filter(|_| scheme.is_some()).unwrap_or(place);
        if let Some(port) = place.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
            return Ok(Self { scheme, place: Place::Localhost(port) });
        }
        place.parse().map(|socket| Self { scheme, place: Place::Socket(socket) }).map_err(|_| {
            InvalidSetting(format!(
                "'{text}' is not an address such as 127.0.0.1:8000, [::1]:8000, localhost:8000 or https://127.0.0.1:8443"
            ))
        })
    }
}

/// Who can reach the server, and what it asks of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Nobody is asked who they are, and only loopback addresses may be listened on.
    ThisMachine,
    /// Nobody is asked who they are, and any address may be listened on: everyone on those networks can read and write
    /// everything.
    AnyNetwork,
    /// The handler gives away figures and nothing else, so any address may be listened on that somebody names.
    FiguresOnly,
    /// The handler answers only requests whose signature is right, so any address may be listened on.
    Authenticated,
}

/// The origins of web pages that browsers may let call the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    pub(crate) any: bool,
    pub(crate) named: Vec<String>,
}

impl AllowedOrigins {
    /// Reads origins: each `*` (any), `null`, or `scheme://host[:port]`.
    pub fn parse<S: AsRef<str>>(origins: impl IntoIterator<Item = S>) -> Result<Self, InvalidSetting> {
        let mut allowed = Self::default();
        for origin in origins {
            let origin = origin.as_ref().trim().trim_end_matches('/').to_ascii_lowercase();
            match origin.as_str() {
                "*" => allowed.any = true,
                "null" => allowed.named.push(origin),
                _ => {
                    let host = origin.split_once("://").map(|(_, host)| host).unwrap_or_default();
                    if host.is_empty() || host.contains(['/', '?', '#', ' ', '"', '\\']) || !host.is_ascii() {
                        return Err(InvalidSetting(format!(
                            "'{origin}' is not an origin such as http://localhost:3000, nor *"
                        )));
                    }
                    allowed.named.push(origin);
                }
            }
        }
        Ok(allowed)
    }

    /// Whether every origin is allowed.
    pub fn is_any(&self) -> bool {
        self.any
    }
}

/// Names under which the server may be addressed, beyond those that no foreign DNS can point at it (see `gate`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    pub(crate) any: bool,
    pub(crate) exact: Vec<String>,
    pub(crate) suffixes: Vec<String>,
}

impl AllowedHosts {
    /// Reads host names without port: each `*` (any), `*.example.com` (all below), or a name.
    pub fn parse<S: AsRef<str>>(hosts: impl IntoIterator<Item = S>) -> Result<Self, InvalidSetting> {
        let mut allowed = Self::default();
        for host in hosts {
            let given = host.as_ref().trim();
            let host = given.strip_suffix('.').unwrap_or(given).to_ascii_lowercase();
            let name = host.strip_prefix("*.").unwrap_or(&host);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if given == "*" {
                allowed.any = true;
            } else if name.is_empty() || !name.bytes().all(plain) {
                return Err(InvalidSetting(format!(
                    "'{host}' is not a host name without port, such as db.example.com"
                )));
            } else if name.len() < host.len() {
                allowed.suffixes.push(format!(".{name}"));
            } else {
                allowed.exact.push(host);
            }
        }
        Ok(allowed)
    }
}

/// Sizes in bytes, and counts.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest body, after decompression. DynamoDB: 16 MiB.
    pub body_bytes: usize,
    /// The largest request line with headers. At least 8,192.
    pub head_bytes: usize,
    /// All bodies held at one time.
    pub bodies_in_flight_bytes: usize,
    /// Connections served at one time; further ones wait. Lowered to what the open-file limit can carry.
    pub connections: usize,
    /// TLS handshakes under way at one time; further ones wait.
    pub handshakes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 16 * 1024 * 1024,
            head_bytes: 64 * 1024,
            bodies_in_flight_bytes: 256 * 1024 * 1024,
            connections: 50_000,
            handshakes: 4_096,
        }
    }
}

/// How long the server waits for what.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From the start of a connection to the end of its TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request to the end of its headers.
    pub head: Duration,
    /// A body may be this long behind [`Self::body_bytes_per_second`].
    pub body_grace: Duration,
    /// The least average speed at which a body must arrive. At least 1.
    pub body_bytes_per_second: u32,
    /// The longest any body may take.
    pub body: Duration,
    /// How long a request waits for room in [`Limits::bodies_in_flight_bytes`].
    pub budget: Duration,
    /// A connection without any request is closed after this.
    pub idle: Duration,
    /// An answer of which the client takes nothing for this long is given up.
    pub write_stall: Duration,
    /// How long requests in flight may take when the server stops.
    pub stop: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            body_grace: Duration::from_secs(10),
            body_bytes_per_second: 64 * 1024,
            body: Duration::from_secs(120),
            budget: Duration::from_secs(5),
            idle: Duration::from_secs(600),
            write_stall: Duration::from_secs(60),
            stop: Duration::from_secs(25),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses_are_sockets_or_localhost() {
        let one = Place::Socket(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0)));
        for (text, scheme, place) in [
            ("localhost:8000", None, Place::Localhost(8000)),
            ("[::1]:0", None, one),
            ("http://[::1]:0", Some(Scheme::Http), one),
            ("https://localhost:8443/", Some(Scheme::Https), Place::Localhost(8443)),
        ] {
            assert_eq!(text.parse(), Ok(ListenAddress { scheme, place }), "{text}");
        }
        for wrong in [
            "",
            "8000",
            ":8000",
            "example.com:80",
            "127.0.0.1",
            "localhost",
            "localhost:99999",
            "ftp://127.0.0.1:1",
            "https://",
            "https://127.0.0.1",
            "127.0.0.1:1/",
            "https://127.0.0.1:1/a",
        ] {
            assert!(wrong.parse::<ListenAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins_need_a_scheme_and_no_path() {
        let allowed = AllowedOrigins::parse(["HTTP://LocalHost:3000/", "null"]).unwrap();
        assert_eq!(allowed.named, ["http://localhost:3000", "null"]);
        for wrong in ["localhost:3000", "http://", "http://a/b", "http://a b", ""] {
            assert!(AllowedOrigins::parse([wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn host_names_are_without_port() {
        let allowed = AllowedHosts::parse(["DB.example.com.", "*.internal.example"]).unwrap();
        assert_eq!(
            (allowed.exact, allowed.suffixes),
            (vec!["db.example.com".into()], vec![".internal.example".into()])
        );
        for wrong in ["", "a:80", "http://a", "*.", "a b"] {
            assert!(AllowedHosts::parse([wrong]).is_err(), "{wrong}");
        }
    }
}
