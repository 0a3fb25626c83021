//! One request and its answer: the gate, the health lines, the body, the handler.

use std::any::Any;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use ::http::header::EXPECT;
use ::http::request::Parts;
use ::http::{HeaderMap, Method};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use tokio::sync::mpsc;

use crate::answer::{self, Manner};
use crate::body::{self, Bounds};
use crate::budget::Budget;
use crate::config::{Config, Exposure};
use crate::fault::Fault;
use crate::gate::Gate;
use crate::http::{Handler, Request, RequestId, Response, Secured};
use crate::traffic::Traffic;
use crate::wire::Standing;

/// What all connections share.
pub(crate) struct Service<H> {
    handler: H,
    gate: Gate,
    budget: Budget,
    health: Bytes,
    config: Config,
    traffic: Arc<Traffic>,
}

/// One connection's side of an exchange.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) peer: SocketAddr,
    pub(crate) secured: Option<Secured>,
    pub(crate) standing: Arc<Standing>,
    /// Held as long as something runs on behalf of this connection.
    pub(crate) alive: mpsc::Sender<Infallible>,
}

/// The handler's answer, or a refusal and whether the body was read, so that the connection can go on.
enum Outcome {
    Answered(Response),
    Refused { fault: Fault, body_read: bool },
}

impl<H: Handler> Service<H> {
    pub(crate) fn new(handler: H, config: Config, traffic: Arc<Traffic>) -> Self {
        Self {
            handler,
            gate: Gate::new(config.hosts.clone(), config.origins.clone()),
            budget: Budget::new(config.limits.bodies_in_flight_bytes, config.timeouts.budget),
            health: format!("healthy: dynamodb.{}.amazonaws.com ", config.region).into(),
            config,
            traffic,
        }
    }

    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Answers one request.
    pub(crate) async fn exchange(
        self: Arc<Self>,
        request: hyper::Request<Incoming>,
        caller: Caller,
    ) -> hyper::Response<Full<Bytes>> {
        caller.standing.exchange_begins();
        let began = Instant::now();
        let request_id = RequestId::random();
        let (head, body) = request.into_parts();
        let method = head.method.clone();
        let mut manner = Manner { request_id, gzip: answer::accepts_gzip(&head.headers), close: false };

        let (outcome, admission) = match self.gate.admit(&head) {
            Err(fault) => (self.refuse_unread(fault, &head.headers, body).await, None),
            Ok(admission) if method == Method::OPTIONS => {
                (Outcome::Answered(admission.preflight(&head.headers)), Some(admission))
            }
            Ok(admission) => (self.answer(head, body, request_id, &caller).await, Some(admission)),
        };
        let mut response = match outcome {
            Outcome::Answered(response) => response,
            Outcome::Refused { fault, body_read } => {
                tracing::debug!(%request_id, peer = %caller.peer, %fault, "refused");
                self.traffic.refused();
                if !body_read {
                    manner.close = true;
                    caller.standing.linger();
                }
                fault.response()
            }
        };
        if let Some(admission) = admission {
            admission.expose(&mut response);
        }
        tracing::debug!(
            %request_id, peer = %caller.peer, %method, status = response.status, bytes = response.body.len(),
            microseconds = began.elapsed().as_micros(), "answered"
        );
        let status = response.status;
        let answer = answer::write(response, manner).await;
        self.traffic.answered(status, answer.size_hint().exact().unwrap_or_default());
        caller.standing.exchange_ends();
        answer
    }

    async fn refuse_unread(&self, fault: Fault, headers: &HeaderMap, body: Incoming) -> Outcome {
        let body_read = !headers.contains_key(EXPECT) && body::discard(body, &self.config.timeouts).await;
        Outcome::Refused { fault, body_read }
    }

    async fn answer(&self, head: Parts, body: Incoming, request_id: RequestId, caller: &Caller) -> Outcome {
        let reads = head.method == Method::GET || head.method == Method::HEAD;
        match head.uri.path() {
            // With an action, it is a request in the query of a URL, such as a presigned one.
            "/" if reads && !head.uri.query().is_some_and(|query| query.contains("Action=")) => {
                return Outcome::Answered(Response::text(200, self.health.clone()));
            }
            "/health/live" if reads => return Outcome::Answered(Response::text(200, "live\n")),
            "/health/ready" if reads && self.handler.is_ready() => {
                return Outcome::Answered(Response::text(200, "ready\n"));
            }
            "/health/ready" if reads => return Outcome::Answered(Response::text(503, "not ready: writes fail\n")),
            _ => {}
        }
        let bounds = Bounds {
            limits: &self.config.limits,
            timeouts: &self.config.timeouts,
            budget: &self.budget,
            digest: self.config.exposure == Exposure::Authenticated,
        };
        let received = match body::receive(&head.headers, body, bounds).await {
            Ok(received) => received,
            Err(fault) => return Outcome::Refused { fault, body_read: false },
        };
        self.traffic.received(received.bytes.len());
        let request = Request {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body: received.bytes,
            sent_sha256: received.sent_sha256,
            peer: Some(caller.peer),
            secured: caller.secured,
            request_id,
        };
        let handler = self.handler.clone();
        let alive = caller.alive.clone();
        let reservation = received.reservation;
        let handled = RunToEnd(Some(Box::pin(async move {
            let _held = (alive, reservation);
            guarded(handler.handle(request), request_id).await
        })));
        Outcome::Answered(handled.await)
    }
}

/// Answers `InternalServerError` if `handling` panics.
async fn guarded(handling: impl Future<Output = Response>, request_id: RequestId) -> Response {
    let mut handling = pin!(handling);
    let outcome = std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(response)) => Poll::Ready(Ok(response)),
        Err(panic) => Poll::Ready(Err(panic)),
    });
    match outcome.await {
        Ok(response) => response,
        Err(panic) => {
            tracing::error!(%request_id, panic = panic_text(panic.as_ref()), "a request panicked");
            Fault::Internal.response()
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("of an unknown kind")
}

/// A future that is finished in the background if nobody waits for it any longer.
struct RunToEnd<F: Future<Output: Send> + Send + 'static>(Option<Pin<Box<F>>>);

impl<F: Future<Output: Send> + Send + 'static> Future for RunToEnd<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(future) = &mut self.0 else { return Poll::Pending };
        let outcome = future.as_mut().poll(cx);
        if outcome.is_ready() {
            self.0 = None;
        }
        outcome
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for RunToEnd<F> {
    fn drop(&mut self) {
        if let (Some(future), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(future);
        }
    }
}
