//! One connection: the client's hello, then requests one after another, each bounded in bytes and in time.
//!
//! Requests have no lengths: where one ends is found as its bytes come. A client that sends something else is told, where
//! that can be, and cut off.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use partita_server::Transport;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::cbor::{Malformed, Reader, Scanner};
use crate::node::{Node, Session};
use crate::request::{self, HELLO_BEGINS, HELLO_VALUES, Method};

/// The largest request: DynamoDB's 16 MiB, which batches of the largest items reach.
const MAX_REQUEST: usize = 16 << 20;
/// The largest request of a client that has not proved itself.
const MAX_UNPROVED: usize = 64 << 10;
/// What a connection may hold without asking for room, and the unit in which it asks.
const FREE: usize = 64 << 10;
/// The room for larger requests, of all connections together.
const ROOM: usize = 256 << 20;
/// How long a larger request waits for room.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// How much is read at a time, at least.
const READ: usize = 8 << 10;
/// From the start of a connection to the end of its hello.
const HELLO: Duration = Duration::from_secs(10);
/// From a request's first byte to its last.
const REQUEST: Duration = Duration::from_secs(60);
/// A connection without a request is closed after this.
const IDLE: Duration = Duration::from_secs(600);
/// An answer that the client does not take within this is given up.
const STALL: Duration = Duration::from_secs(60);

/// Room for large requests, shared by all connections.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Semaphore>);

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM / FREE)))
    }
}

/// Finds the end of a request while its bytes come.
#[derive(Debug, Default)]
struct Framer {
    scanner: Scanner,
    /// Where the value begins that is being scanned.
    at: usize,
    values: usize,
    method: Option<(Method, usize)>,
}

/// The values before a request's own: the service and the method.
const HEAD_VALUES: usize = 2;

impl Framer {
    /// The request at the beginning of `bytes`: its method and length. `None` while it has not come whole.
    ///
    /// # Errors
    /// When it can not become a request.
    fn frame(&mut self, bytes: &[u8]) -> Result<Option<(Method, usize)>, Malformed> {
        loop {
            if self.values == HEAD_VALUES && self.method.is_none() {
                self.method = Some(Method::read(&mut Reader::new(bytes))?);
            }
            if let Some((method, values)) = self.method
                && self.values == HEAD_VALUES + values
            {
                return Ok(Some((method, self.at)));
            }
            if !self.value(bytes)? {
                return Ok(None);
            }
        }
    }

    /// Goes on by one value, if it has come whole.
    fn value(&mut self, bytes: &[u8]) -> Result<bool, Malformed> {
        let Some(length) = self.scanner.scan(bytes.get(self.at..).unwrap_or_default())? else { return Ok(false) };
        self.at += length;
        self.values += 1;
        self.scanner = Scanner::default();
        Ok(true)
    }

    /// How many bytes it takes at least.
    fn needed(&self) -> usize {
        self.at.saturating_add(self.scanner.needed())
    }
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum Ending {
    #[error("the client has closed it")]
    Closed,
    #[error("it was idle, or too slow")]
    Late,
    #[error("there is no room for large requests")]
    NoRoom,
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    Failed(#[from] std::io::Error),
}

/// Serves a connection until either side ends it.
pub(crate) async fn serve(
    node: &Node,
    session: Session,
    stream: Transport,
    budget: &Budget,
    stopping: watch::Receiver<bool>,
) {
    let peer = session.way.peer;
    let mut connection = Connection { node, session, stream, received: BytesMut::new(), room: None, budget, stopping };
    let ending = connection.run().await;
    if let Err(ending) = ending {
        tracing::debug!(%peer, %ending, "DAX connection ended");
    }
    connection.stream.end().await;
}

struct Connection<'n> {
    node: &'n Node,
    session: Session,
    stream: Transport,
    received: BytesMut,
    room: Option<OwnedSemaphorePermit>,
    budget: &'n Budget,
    stopping: watch::Receiver<bool>,
}

impl Connection<'_> {
    async fn run(&mut self) -> Result<(), Ending> {
        self.hello().await?;
        while let Some((method, length)) = self.request().await? {
            let mut reader = Reader::new(self.received.get(..length).unwrap_or_default());
            Method::read(&mut reader)?;
            let answer = self.node.answer(&mut self.session, method, reader).await;
            self.received.advance(length);
            if self.received.is_empty() {
                self.room = None;
                if self.received.capacity() > 2 * READ {
                    self.received = BytesMut::new();
                }
            }
            if let Some(answer) = answer {
                self.send(&answer).await?;
            }
        }
        Ok(())
    }

    async fn hello(&mut self) -> Result<(), Ending> {
        let deadline = Instant::now() + HELLO;
        let mut framer = Framer::default();
        while framer.values < HELLO_VALUES {
            // Who speaks something else may wait for an answer without saying more.
            let begun = self.received.len().min(HELLO_BEGINS.len());
            if self.received.get(..begun) != HELLO_BEGINS.get(..begun) {
                return Err(Malformed("the client does not speak DAX").into());
            }
            if !framer.value(&self.received)? {
                if framer.needed() > MAX_UNPROVED {
                    return Err(Malformed("the hello is too long").into());
                }
                timeout_at(deadline, self.read()).await.map_err(|_| Ending::Late)??;
            }
        }
        request::hello(&mut Reader::new(&self.received))?;
        self.received.advance(framer.at);
        Ok(())
    }

    /// The next request; nothing when the server stops, or the client ends the connection between two.
    async fn request(&mut self) -> Result<Option<(Method, usize)>, Ending> {
        if self.received.is_empty() {
            let mut stopping = self.stopping.clone();
            let came = tokio::select! {
                came = timeout(IDLE, self.read()) => came.map_err(|_| Ending::Late)?,
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(None),
            };
            match came {
                Err(Ending::Closed) => return Ok(None),
                came => came?,
            }
        }
        let deadline = Instant::now() + REQUEST;
        let mut framer = Framer::default();
        loop {
            match framer.frame(&self.received) {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(malformed) => return Err(self.refuse(malformed).await),
            }
            let limit = if self.session.is_admitted() { MAX_REQUEST } else { MAX_UNPROVED };
            if framer.needed() > limit || self.received.len() > limit {
                return Err(self.refuse(Malformed("the request is too long")).await);
            }
            self.make_room().await?;
            timeout_at(deadline, self.read()).await.map_err(|_| Ending::Late)??;
        }
    }

    /// Asks for room for what is read next, where the connection holds more than is free.
    async fn make_room(&mut self) -> Result<(), Ending> {
        let held = self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if self.received.len() + READ <= FREE * (held + 1) {
            return Ok(());
        }
        // Twice as much as before, as the buffer does.
        let more = u32::try_from(held.max(1)).unwrap_or(1);
        let room = timeout(ROOM_WAIT, Arc::clone(&self.budget.0).acquire_many_owned(more)).await;
        let room = room.map_err(|_| Ending::NoRoom)?.map_err(|_| Ending::NoRoom)?;
        match &mut self.room {
            Some(held) => held.merge(room),
            None => self.room = Some(room),
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Ending> {
        self.received.reserve(READ);
        if self.stream.read_buf(&mut self.received).await? == 0 { Err(Ending::Closed) } else { Ok(()) }
    }

    /// Tells the client what is wrong. Nothing can be read after it.
    async fn refuse(&mut self, malformed: Malformed) -> Ending {
        let answer = self.node.malformed(malformed);
        match self.send(&answer).await {
            Ok(()) => malformed.into(),
            Err(ending) => ending,
        }
    }

    async fn send(&mut self, answer: &[u8]) -> Result<(), Ending> {
        let sending = async {
            self.stream.write_all(answer).await?;
            self.stream.flush().await
        };
        Ok(timeout(STALL, sending).await.map_err(|_| Ending::Late)??)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cbor::Writer;

    fn get_item() -> Vec<u8> {
        let mut out = Writer::default();
        out.int(1);
        out.int(263_244_906);
        out.bytes(b"Table");
        out.bytes(b"key");
        out.open_map();
        out.int(2);
        out.boolean(true);
        out.end();
        out.into_bytes()
    }

    #[test]
    fn a_request_ends_where_its_last_value_does() {
        let request = get_item();
        let two = [request.clone(), request.clone()].concat();
        assert_eq!(Framer::default().frame(&two), Ok(Some((Method::GetItem, request.len()))));
        let mut framer = Framer::default();
        for end in 0..request.len() {
            assert_eq!(framer.frame(&request[..end]), Ok(None));
        }
        assert_eq!(framer.frame(&request), Ok(Some((Method::GetItem, request.len()))));
    }

    #[test]
    fn another_service_or_method_is_refused() {
        for (service, method) in [(2, 263_244_906), (1, 263_244_907)] {
            let mut out = Writer::default();
            out.int(service);
            out.int(method);
            assert!(Framer::default().frame(&out.into_bytes()).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_framed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let framed = [&get_item()[..6], &bytes].concat();
            for bytes in [&bytes, &framed] {
                if let Ok(Some((_, length))) = Framer::default().frame(bytes) {
                    prop_assert!(length <= bytes.len());
                }
            }
        }
    }
}
