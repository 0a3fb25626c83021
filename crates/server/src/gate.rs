//! Keeps foreign web pages out of a server that asks nobody who they are.
//!
//! A browser on this machine runs pages from anywhere. Two things keep those from the data: a page's `Origin` must be
//! one the operator allowed (`--cors`), and the `Host` header must be a name that a page's owner cannot point at this
//! machine by DNS ("DNS rebinding", which makes a foreign page look like the same origin). Such names are: IP
//! addresses, `localhost`, names without a dot (container and service names), and names below the domains that are
//! reserved for private use. Other names are the operator's to add (`--allowed-host`). Clients other than browsers send
//! no `Origin` and pass.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use ::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, HOST, ORIGIN, VARY,
};
use ::http::request::Parts;
use ::http::uri::Authority;
use ::http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::config::{AllowedHosts, AllowedOrigins};
use crate::fault::Fault;
use crate::http::Response;

/// Top-level names that public DNS never delegates: RFC 6761, RFC 6762, RFC 8375, and ICANN's resolution on `.internal`.
const PRIVATE_DOMAINS: [&str; 5] = [".localhost", ".local", ".internal", ".test", ".home.arpa"];

/// How long a browser may remember a preflight's answer, in seconds, as DynamoDB has it.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("172800");

const METHODS: HeaderValue = HeaderValue::from_static("POST, GET, HEAD, OPTIONS");

/// What the AWS SDKs send from browsers, for preflights that do not name their headers.
const USUAL_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, x-amz-target, x-amz-date, x-amz-content-sha256, x-amz-security-token, \
     x-amz-user-agent, amz-sdk-invocation-id, amz-sdk-request",
);

const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("x-amzn-RequestId, x-amzn-ErrorType, x-amz-crc32, x-amz-request-id, x-amz-id-2, Date");

const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The rules, fixed at the start.
#[derive(Debug)]
pub(crate) struct Gate {
    hosts: AllowedHosts,
    origins: AllowedOrigins,
    /// The first `Host` that was let in, which nearly every client names.
    usual_host: OnceLock<Box<[u8]>>,
}

/// A page's origin that was let in. `None` for everyone who is not a web page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admission(Option<HeaderValue>);

impl Gate {
    pub(crate) fn new(hosts: AllowedHosts, origins: AllowedOrigins) -> Self {
        Self { hosts, origins, usual_host: OnceLock::new() }
    }

    /// Lets a request in or says why not.
    pub(crate) fn admit(&self, head: &Parts) -> Result<Admission, Fault> {
        let mut hosts = head.headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (None, _) if head.version >= Version::HTTP_11 => {
                return Err(Fault::Malformed("The Host header is missing"));
            }
            (Some(_), Some(_)) => return Err(Fault::Malformed("There is more than one Host header")),
            (Some(host), None) if self.usual_host.get().is_some_and(|usual| **usual == *host.as_bytes()) => {}
            (Some(host), None) => {
                self.admit_host(host.as_bytes())?;
                self.usual_host.get_or_init(|| host.as_bytes().into());
            }
            (None, _) => {}
        }
        if let Some(authority) = head.uri.authority() {
            self.admit_host(authority.as_str().as_bytes())?;
        }
        self.admit_origin(&head.headers)
    }

    fn admit_host(&self, host: &[u8]) -> Result<(), Fault> {
        let refused = || Fault::HostRefused { host: Fault::quote(host) };
        if self.hosts.any {
            return Ok(());
        }
        let authority = Authority::try_from(host).map_err(|_| refused())?;
        let name = authority.host();
        if authority.as_str().contains('@') {
            return Err(refused());
        }
        if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            return address.parse::<Ipv6Addr>().map(drop).map_err(|_| refused());
        }
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let allowed = !name.is_empty()
            && (!name.contains('.')
                || name.parse::<Ipv4Addr>().is_ok()
                || PRIVATE_DOMAINS.iter().any(|domain| name.ends_with(domain))
                || self.hosts.exact.contains(&name)
                || self.hosts.suffixes.iter().any(|suffix| name.ends_with(suffix.as_str())));
        if allowed { Ok(()) } else { Err(refused_without_port(&name)) }
    }

    fn admit_origin(&self, headers: &HeaderMap) -> Result<Admission, Fault> {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(Admission(None)) };
        let known = |allowed: &String| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
        if origins.next().is_none() && (self.origins.any || self.origins.named.iter().any(known)) {
            return Ok(Admission(Some(origin.clone())));
        }
        Err(Fault::OriginRefused { origin: Fault::quote(origin.as_bytes()) })
    }
}

fn refused_without_port(name: &str) -> Fault {
    Fault::HostRefused { host: Fault::quote(name.as_bytes()) }
}

impl Admission {
    /// The answer to `OPTIONS`: a preflight's permission, or merely the methods.
    pub(crate) fn preflight(&self, request: &HeaderMap) -> Response {
        let mut response = Response::text(200, "");
        if self.0.is_some() {
            let headers = request.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned().unwrap_or(USUAL_HEADERS);
            response.headers.push((ACCESS_CONTROL_ALLOW_METHODS, METHODS));
            response.headers.push((ACCESS_CONTROL_ALLOW_HEADERS, headers));
            response.headers.push((ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS));
            if request.contains_key(REQUEST_PRIVATE_NETWORK) {
                response.headers.push((ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true")));
            }
        } else {
            response.headers.push((::http::header::ALLOW, METHODS));
        }
        response
    }

    /// Adds what lets the page read `response`.
    pub(crate) fn expose(self, response: &mut Response) {
        if let Some(origin) = self.0 {
            response.headers.push((ACCESS_CONTROL_ALLOW_ORIGIN, origin));
            response.headers.push((ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS));
            response.headers.push((VARY, HeaderValue::from_static("Origin")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::Request;

    fn gate(hosts: &[&str], origins: &[&str]) -> Gate {
        Gate::new(AllowedHosts::parse(hosts).unwrap(), AllowedOrigins::parse(origins).unwrap())
    }

    fn request(headers: &[(&str, &str)]) -> Parts {
        let builder = headers.iter().fold(Request::post("/"), |builder, &(name, value)| builder.header(name, value));
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn hosts_that_foreign_dns_cannot_point_here_are_allowed() {
        let gate = gate(&["db.example.com", "*.corp.example"], &[]);
        for host in [
            "localhost:8000",
            "LOCALHOST",
            "localhost.",
            "127.0.0.1:8000",
            "192.168.1.7",
            "[::1]:8000",
            "[fe80::1]",
            "dynamodb:8000",
            "partita",
            "my_service:8000",
            "app.localhost",
            "host.docker.internal:8000",
            "dynamodb.default.svc.cluster.local",
            "x.test",
            "nas.home.arpa",
            "db.example.com:8000",
            "a.b.corp.example",
        ] {
            assert!(gate.admit(&request(&[("host", host)])).is_ok(), "{host}");
        }
        for host in [
            "evil.com",
            "evil.com:8000",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "127.0.0.1.",
            "1.2.3.4.5",
            "",
            ":8000",
            "corp.example",
            "evilcorp.example",
            "xdb.example.com",
            "user@localhost",
            "[evil]",
            "a b",
            "[::1",
        ] {
            let admitted = gate.admit(&request(&[("host", host)]));
            assert_eq!(admitted.is_ok(), host == "127.0.0.1.", "{host}: {admitted:?}");
        }
    }

    #[test]
    fn any_host_passes_when_the_operator_says_so() {
        assert!(gate(&["*"], &[]).admit(&request(&[("host", "evil.com")])).is_ok());
    }

    #[test]
    fn the_target_of_the_request_line_is_judged_too() {
        let head = Request::post("http://evil.com/").header("host", "localhost").body(()).unwrap().into_parts().0;
        assert!(matches!(gate(&[], &[]).admit(&head), Err(Fault::HostRefused { .. })));
    }

    #[test]
    fn a_host_header_there_must_be_and_only_one() {
        assert!(matches!(gate(&[], &[]).admit(&request(&[])), Err(Fault::Malformed(_))));
        let two = request(&[("host", "localhost"), ("host", "localhost")]);
        assert!(matches!(gate(&[], &[]).admit(&two), Err(Fault::Malformed(_))));
    }

    #[test]
    fn pages_are_refused_unless_their_origin_is_allowed() {
        let from = |origin| request(&[("host", "localhost:8000"), ("origin", origin)]);
        let closed = gate(&[], &[]);
        let named = gate(&[], &["http://localhost:3000"]);
        let open = gate(&[], &["*"]);
        for origin in ["http://localhost:3000", "https://evil.com", "null", "http://localhost:8000"] {
            assert!(matches!(closed.admit(&from(origin)), Err(Fault::OriginRefused { .. })), "{origin}");
            assert_eq!(named.admit(&from(origin)).is_ok(), origin == "http://localhost:3000", "{origin}");
            assert!(open.admit(&from(origin)).is_ok(), "{origin}");
        }
    }
}
