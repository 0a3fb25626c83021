//! One connection from its first byte to its end.
//!
//! It alternates between resting, when it costs little more than its socket, and being active, when hyper with its
//! buffers runs on it. Ten thousand clients that keep their connections open between requests are mostly resting.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::answer;
use crate::exchange::{Caller, Service};
use crate::fault::Fault;
use crate::http::{Handler, RequestId};
use crate::transport::{self, NoHandshake, Secure, Transport};
use crate::wire::{Standing, Wire};

/// The least buffer size that hyper takes, in bytes.
const LEAST_BUFFER: usize = 8192;

/// One connection.
pub(crate) struct Connection<H> {
    pub(crate) service: Arc<Service<H>>,
    pub(crate) peer: SocketAddr,
    /// How connections are secured where they are to be.
    pub(crate) secure: Option<Secure>,
    /// Becomes true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Held as long as the connection is there.
    pub(crate) alive: mpsc::Sender<Infallible>,
}

impl<H: Handler> Connection<H> {
    /// Serves `stream` until either side ends it, or until the server stops and the request in flight is answered.
    pub(crate) async fn serve(mut self, stream: TcpStream) {
        let mut stream = match self.secure.take() {
            None => Transport::Plain(stream),
            // Boxed so that it takes no room afterwards.
            Some(secure) => match Box::pin(self.shake_hands(stream, secure)).await {
                Some(stream) => stream,
                None => return,
            },
        };
        // The end of a handshake may have come with the first request.
        let mut may_have_come = stream.secured().is_some();
        let mut received = Bytes::new();
        while std::mem::take(&mut may_have_come) || !received.is_empty() || self.rest(&stream).await {
            // Boxed so that a resting connection does not hold room for an active one.
            match Box::pin(self.be_active(stream, received)).await {
                Some((rested, unread)) => (stream, received) = (rested, unread),
                None => return,
            }
        }
        stream.end().await;
    }

    /// Secures a connection, or tells a client that speaks plain HTTP what is wrong.
    async fn shake_hands(&mut self, stream: TcpStream, secure: Secure) -> Option<Transport> {
        let timeouts = self.service.config().timeouts;
        let outcome = tokio::select! {
            outcome = transport::shake_hands(stream, &secure, timeouts.handshake) => outcome,
            _ = self.stopping.wait_for(|stopping| *stopping) => return None,
        };
        match outcome {
            Ok(stream) => return Some(stream),
            Err(NoHandshake::PlainHttp(mut stream)) => {
                self.service.traffic().handshake_failed();
                let (request_id, fault) = (RequestId::random(), Fault::NotTls);
                tracing::debug!(%request_id, peer = %self.peer, %fault, "refused");
                let words = answer::last_words(&fault.response(), request_id);
                if let Ok(Ok(())) = timeout(timeouts.handshake, stream.write_all(&words)).await {
                    let standing = Arc::new(Standing::default());
                    standing.linger();
                    Wire::new(Transport::Plain(stream), Bytes::new(), timeouts, standing).close().await;
                }
            }
            Err(NoHandshake::Failed(reason)) => {
                self.service.traffic().handshake_failed();
                tracing::debug!(peer = %self.peer, reason, "no TLS handshake");
            }
        }
        None
    }

    /// Waits for the client to send something. False if it will not.
    async fn rest(&mut self, stream: &Transport) -> bool {
        let mut first = [0];
        let idle = self.service.config().timeouts.idle;
        let sent = tokio::select! {
            sent = timeout(idle, stream.socket().peek(&mut first)) => matches!(sent, Ok(Ok(1..))),
            _ = self.stopping.wait_for(|stopping| *stopping) => false,
        };
        if sent && first == [transport::TLS_HANDSHAKE] && stream.secured().is_none() {
            tracing::debug!(peer = %self.peer, "TLS spoken to a plain HTTP address; its endpoint must begin with http://");
        }
        sent
    }

    /// Serves requests until the connection ends (`None`) or may rest: then the stream comes back, with what has been
    /// read from it and not been used.
    async fn be_active(&mut self, stream: Transport, received: Bytes) -> Option<(Transport, Bytes)> {
        let config = self.service.config();
        let head_bytes = config.limits.head_bytes.max(LEAST_BUFFER);
        let standing = Arc::new(Standing::default());
        let secured = stream.secured();
        let wire = Wire::new(stream, received, config.timeouts, Arc::clone(&standing));
        let caller = Caller { peer: self.peer, secured, standing: Arc::clone(&standing), alive: self.alive.clone() };
        let service = Arc::clone(&self.service);
        let exchanges = service_fn(move |request| {
            let exchange = Arc::clone(&service).exchange(request, caller.clone());
            Box::pin(async move { Ok::<_, Infallible>(exchange.await) })
        });
        let mut http = http1::Builder::new()
            .half_close(true)
            .header_read_timeout(None)
            .max_header_size(head_bytes)
            .max_buf_size(head_bytes)
            .serve_connection(TokioIo::new(wire), exchanges);
        let mut told = false;
        let ended = loop {
            let step = std::future::poll_fn(|cx| match http.poll_without_shutdown(cx) {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending if standing.may_rest() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            tokio::select! {
                ended = step => break ended,
                _ = self.stopping.wait_for(|stopping| *stopping), if !told => {
                    told = true;
                    std::pin::Pin::new(&mut http).graceful_shutdown();
                }
            }
        };
        let parts = http.into_parts();
        let wire = parts.io.into_inner();
        match ended {
            None => return Some((wire.into_stream(), parts.read_buf)),
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(peer = %self.peer, %error, "connection ended"),
        }
        wire.close().await;
        None
    }
}
