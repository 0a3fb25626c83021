//! One request and its answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::response::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::time::{Instant, timeout_at};

use crate::connect::{Connector, Reach, Target};
use crate::error::ClientError;
use crate::pool::Pool;
use crate::trust::Trust;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("partita/", env!("CARGO_PKG_VERSION")));

/// How long a request may take and how long its answer may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For a connection, the TLS handshake included, if none is open.
    pub connect: Duration,
    /// For everything, connecting and the answer's body included.
    pub total: Duration,
    /// The most bytes of the answer's body.
    pub max_response_bytes: usize,
}

impl Default for Bounds {
    /// 5 seconds to connect, 30 in all, and 1 MiB.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(30), max_response_bytes: 1 << 20 }
    }
}

/// Sends requests. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    connector: Connector,
    pool: Arc<Pool>,
}

/// A request on its way.
struct Outgoing<'a> {
    target: &'a Target,
    request: Request<Bytes>,
    bounds: Bounds,
    deadline: Instant,
}

impl Client {
    /// A client that believes the certificates that `trust` names.
    #[must_use]
    pub fn new(trust: Trust) -> Self {
        Self { connector: Connector { trust, reach: Reach::Anywhere }, pool: Arc::default() }
    }

    /// The same client, sending only where `reach` permits. It shares no connections with the one it is made from.
    #[must_use]
    pub fn within(mut self, reach: Reach) -> Self {
        self.connector.reach = reach;
        self.pool = Arc::default();
        self
    }

    /// Sends a request with an absolute `http` or `https` URL and returns the answer, whatever its status.
    ///
    /// `Host` and `User-Agent` are added if they are missing; the length of the body is. A connection that is kept from
    /// before may turn out to be closed: then the request is sent again on a new one, so a receiver may, rarely, see it
    /// twice.
    ///
    /// # Errors
    /// [`ClientError`], when there is no whole answer within the bounds.
    pub async fn send(&self, request: Request<Bytes>, bounds: Bounds) -> Result<Response<Bytes>, ClientError> {
        let (head, body) = self.exchange(request, bounds).await?;
        Ok(Response::from_parts(head, body?))
    }

    /// As [`Self::send`], for callers to whom the status and headers are the answer: if the body is too long, late or
    /// cut, it is empty.
    ///
    /// # Errors
    /// [`ClientError`], when there is no head of an answer within the bounds.
    pub async fn send_for_head(&self, request: Request<Bytes>, bounds: Bounds) -> Result<Response<Bytes>, ClientError> {
        let (head, body) = self.exchange(request, bounds).await?;
        Ok(Response::from_parts(head, body.unwrap_or_default()))
    }

    async fn exchange(
        &self,
        mut request: Request<Bytes>,
        bounds: Bounds,
    ) -> Result<(Parts, Result<Bytes, ClientError>), ClientError> {
        let begin = Instant::now();
        let target = Target::of(request.uri())?;
        prepare(&mut request)?;
        let deadline = begin + bounds.total;
        let outgoing = Outgoing { target: &target, request, bounds, deadline };
        let within = bounds.connect.min(bounds.total);
        if let Some(mut sender) = self.pool.take(&target)
            && let Ok(Ok(())) = timeout_at(begin + within, sender.ready()).await
        {
            match self.send_on(&outgoing, sender).await {
                Err(ClientError::Broken(_)) => {}
                outcome => return outcome,
            }
        }
        let by = deadline.min(Instant::now() + within);
        let sender = self.connector.connect(&target, (within, by)).await?;
        self.send_on(&outgoing, sender).await
    }

    async fn send_on(
        &self,
        outgoing: &Outgoing<'_>,
        mut sender: SendRequest<Full<Bytes>>,
    ) -> Result<(Parts, Result<Bytes, ClientError>), ClientError> {
        let request = outgoing.request.clone().map(Full::new);
        let response = match timeout_at(outgoing.deadline, sender.send_request(request)).await {
            Ok(response) => response.map_err(|error| broken(&error))?,
            Err(_) => return Err(ClientError::TimedOut(outgoing.bounds.total)),
        };
        let (head, body) = response.into_parts();
        let body = receive(body, outgoing).await;
        if body.is_ok() {
            self.pool.keep(outgoing.target.clone(), sender);
        }
        Ok((head, body))
    }
}

async fn receive(body: Incoming, outgoing: &Outgoing<'_>) -> Result<Bytes, ClientError> {
    let limit = outgoing.bounds.max_response_bytes;
    match timeout_at(outgoing.deadline, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ClientError::TooLarge { limit }),
        Ok(Err(error)) => Err(ClientError::Broken(error.to_string())),
        Err(_) => Err(ClientError::TimedOut(outgoing.bounds.total)),
    }
}

/// What broke, with its cause: hyper's own text says only at what.
fn broken(error: &hyper::Error) -> ClientError {
    match std::error::Error::source(error) {
        Some(cause) => ClientError::Broken(format!("{error}: {cause}")),
        None => ClientError::Broken(error.to_string()),
    }
}

/// Gives a request the form it has on a connection: the path alone, and the host in its header.
fn prepare(request: &mut Request<Bytes>) -> Result<(), ClientError> {
    if !request.headers().contains_key(HOST) {
        let authority = request.uri().authority().map(http::uri::Authority::as_str).unwrap_or_default();
        // Credentials in a URL are for nobody.
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = HeaderValue::from_str(host).map_err(|_| ClientError::Invalid("its host is no name"))?;
        request.headers_mut().insert(HOST, host);
    }
    request.headers_mut().entry(USER_AGENT).or_insert(AGENT);
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    *request.version_mut() = Version::HTTP_11;
    Ok(())
}
