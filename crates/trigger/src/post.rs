//! The HTTP client: one connection that is kept between requests, `http` only, redirects not followed, everything
//! bounded in time and size.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The port of `http`.
const HTTP_PORT: u16 = 80;
const AGENT: &str = concat!("partita/", env!("CARGO_PKG_VERSION"));

/// A client with its connection, if one is open.
#[derive(Debug, Default)]
pub struct Client {
    open: Option<(String, SendRequest<Full<Bytes>>)>,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Post<'a> {
    /// Where to.
    pub url: &'a Uri,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
    /// How long the answer may take, connecting included.
    pub timeout: Duration,
    /// How much of the answer's body is read; of a longer one, nothing is given.
    pub most: usize,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// Nothing was sent: there is no such host, or it does not accept connections.
    #[error("can not connect to {0}")]
    Unreachable(String),
    /// The host lies where cloud machines keep their credentials.
    #[error("{0} is a link-local address, which is not posted to")]
    LinkLocal(IpAddr),
    /// There was no answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The connection broke before the answer.
    #[error("the connection broke before an answer: {0}")]
    Broken(hyper::Error),
    /// The request can not be made.
    #[error("not a request: {0}")]
    Invalid(#[from] http::Error),
}

impl Client {
    /// Posts and returns the answer. A connection that is kept from before may turn out to be closed; then the request is
    /// sent again on a new one.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&mut self, post: &Post<'_>) -> Result<Answer, PostError> {
        let deadline = Instant::now() + post.timeout;
        let authority = post.url.authority().map(ToString::to_string).unwrap_or_default();
        if let Some((to, mut sender)) = self.open.take()
            && to == authority
            && sender.ready().await.is_ok()
        {
            match self.send(post, (&authority, sender), deadline).await {
                Err(PostError::Broken(_)) => {}
                outcome => return outcome,
            }
        }
        let connecting = timeout_at(deadline.min(Instant::now() + CONNECT_TIMEOUT), connect(post.url)).await;
        let sender = connecting.unwrap_or_else(|_| Err(PostError::Unreachable(authority.clone())))?;
        self.send(post, (&authority, sender), deadline).await
    }

    async fn send(
        &mut self,
        post: &Post<'_>,
        (authority, mut sender): (&str, SendRequest<Full<Bytes>>),
        deadline: Instant,
    ) -> Result<Answer, PostError> {
        let path = post.url.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::post(path)
            .header(HOST, authority)
            .header(USER_AGENT, AGENT)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(post.body.clone()))?;
        for (name, value) in &post.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let response = match timeout_at(deadline, sender.send_request(request)).await {
            Ok(response) => response.map_err(PostError::Broken)?,
            Err(_) => return Err(PostError::TimedOut(post.timeout)),
        };
        let (head, body) = response.into_parts();
        // The status is the answer; a body that is too long, late or cut only costs the connection.
        let body = match timeout_at(deadline, Limited::new(body, post.most).collect()).await {
            Ok(Ok(body)) => {
                self.open = Some((authority.to_owned(), sender));
                body.to_bytes()
            }
            _ => Bytes::new(),
        };
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }
}

async fn connect(url: &Uri) -> Result<SendRequest<Full<Bytes>>, PostError> {
    let host = url.host().unwrap_or_default();
    let port = url.port_u16().unwrap_or(HTTP_PORT);
    let unreachable = |reason: &dyn std::fmt::Display| PostError::Unreachable(format!("{host}:{port}: {reason}"));
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((plain, port)).await.map_err(|error| unreachable(&error))?.collect();
    let mut last = unreachable(&"no such host");
    for address in addresses {
        // The address itself is checked, so no name that points there gets around it.
        if is_link_local(address.ip()) {
            return Err(PostError::LinkLocal(address.ip()));
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Without it a request may wait for the acknowledgement of the one before.
                stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
                let (sender, connection) =
                    http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
                // Ends with the sender; what goes wrong on it, the sender reports.
                tokio::spawn(connection);
                return Ok(sender);
            }
            Err(error) => last = unreachable(&error),
        }
    }
    Err(last)
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

    #[tokio::test]
    async fn link_local_addresses_are_not_posted_to() {
        let url: Uri = "http://169.254.169.254/latest/".parse().unwrap();
        let post = Post { url: &url, headers: Vec::new(), body: Bytes::new(), timeout: CONNECT_TIMEOUT, most: 0 };
        assert!(matches!(Client::default().post(&post).await, Err(PostError::LinkLocal(_))));
    }
}
