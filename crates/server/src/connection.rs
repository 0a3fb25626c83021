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
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::exchange::{Caller, Service};
use crate::http::Handler;
use crate::wire::{Standing, Wire};

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// The least buffer size that hyper takes, in bytes.
const LEAST_BUFFER: usize = 8192;

/// One connection.
pub(crate) struct Connection<H> {
    pub(crate) service: Arc<Service<H>>,
    pub(crate) peer: SocketAddr,
    /// Becomes true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Held as long as the connection is there.
    pub(crate) alive: mpsc::Sender<Infallible>,
}

impl<H: Handler> Connection<H> {
    /// Serves `stream` until either side ends it, or until the server stops and the request in flight is answered.
    pub(crate) async fn serve(mut self, mut stream: TcpStream) {
        let mut received = Bytes::new();
        while !received.is_empty() || self.rest(&stream).await {
            // Boxed so that a resting connection does not hold room for an active one.
            match Box::pin(self.be_active(stream, received)).await {
                Some((rested, unread)) => (stream, received) = (rested, unread),
                None => return,
            }
        }
    }

    /// Waits for the client to send something. False if it will not.
    async fn rest(&mut self, stream: &TcpStream) -> bool {
        let mut first = [0];
        let idle = self.service.config().timeouts.idle;
        let sent = tokio::select! {
            sent = timeout(idle, stream.peek(&mut first)) => matches!(sent, Ok(Ok(1..))),
            _ = self.stopping.wait_for(|stopping| *stopping) => false,
        };
        if sent && first == [TLS_HANDSHAKE] {
            tracing::debug!(peer = %self.peer, "TLS spoken to a plain HTTP address; its endpoint must begin with http://");
        }
        sent
    }

    /// Serves requests until the connection ends (`None`) or may rest: then the stream comes back, with what has been
    /// read from it and not been used.
    async fn be_active(&mut self, stream: TcpStream, received: Bytes) -> Option<(TcpStream, Bytes)> {
        let config = self.service.config();
        let head_bytes = config.limits.head_bytes.max(LEAST_BUFFER);
        let standing = Arc::new(Standing::default());
        let wire = Wire::new(stream, received, config.timeouts, Arc::clone(&standing));
        let caller = Caller { peer: self.peer, standing: Arc::clone(&standing), alive: self.alive.clone() };
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
