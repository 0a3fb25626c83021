//! The byte stream under one active HTTP connection, watching over time: slow heads, readers that stall, idleness.
//!
//! It also finds hyper's own bare answers to requests that are not HTTP and sends DynamoDB-shaped ones in their place,
//! and closes a connection so that a client still sending gets to read its answer. Bodies have their own clock, in
//! `body`.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use crate::answer;
use crate::config::Timeouts;
use crate::fault::Fault;
use crate::http::RequestId;
use crate::transport::Transport;

/// An open connection rests when nothing has come for this long since its last answer.
const REST_AFTER: Duration = Duration::from_millis(500);

/// How long, and for how many bytes, a client that is still sending is listened to after its last answer. Closing at
/// once would make its machine throw the answer away unread.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Where a connection stands, shared between the stream and the exchange running on it. Both are polled by one task.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    stage: AtomicU8,
    linger: AtomicBool,
    may_rest: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    /// Between requests.
    Idle,
    /// Part of a request's head has arrived.
    Head,
    /// A request is being received or answered.
    Exchange,
    /// An answer is ready and not flushed yet.
    Answered,
}

impl Standing {
    /// A request's head is complete.
    pub(crate) fn exchange_begins(&self) {
        self.set(Stage::Exchange);
    }

    /// The answer is ready to be written.
    pub(crate) fn exchange_ends(&self) {
        self.set(Stage::Answered);
    }

    /// Nothing has happened for a while, everything is flushed and no request has begun.
    pub(crate) fn may_rest(&self) -> bool {
        self.may_rest.load(Ordering::Relaxed)
    }

    /// The connection ends with this answer although the client may still be sending.
    pub(crate) fn linger(&self) {
        self.linger.store(true, Ordering::Relaxed);
    }

    fn set(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    fn is(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Relaxed) == stage as u8
    }
}

/// The stream.
pub(crate) struct Wire {
    stream: Transport,
    /// What was read before and comes first.
    received: Bytes,
    standing: Arc<Standing>,
    timeouts: Timeouts,
    /// When the head must be complete, or a connection without one may rest.
    read_by: Instant,
    /// Armed for `read_by` or a moment before it.
    read_alarm: Pin<Box<Sleep>>,
    /// Armed while the client takes nothing of what there is to write.
    write_alarm: Option<Pin<Box<Sleep>>>,
    last_words: Option<LastWords>,
}

/// An answer sent in place of hyper's.
struct LastWords {
    bytes: Vec<u8>,
    sent: usize,
}

impl Wire {
    /// A stream that has something to read, `received` before all else.
    pub(crate) fn new(stream: Transport, received: Bytes, timeouts: Timeouts, standing: Arc<Standing>) -> Self {
        let read_by = Instant::now() + timeouts.head;
        Self {
            stream,
            received,
            standing,
            timeouts,
            read_by,
            read_alarm: Box::pin(sleep_until(read_by)),
            write_alarm: None,
            last_words: None,
        }
    }

    /// The stream below.
    pub(crate) fn into_stream(self) -> Transport {
        self.stream
    }

    /// Resolves when a head has taken too long. A connection without one is marked as free to rest when that is due.
    fn poll_head_too_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.standing.is(Stage::Idle) && !self.standing.is(Stage::Head) {
            return Poll::Pending;
        }
        if self.read_by < self.read_alarm.deadline() {
            self.read_alarm.as_mut().reset(self.read_by);
        }
        loop {
            ready!(self.read_alarm.as_mut().poll(cx));
            if self.read_by > self.read_alarm.deadline() {
                self.read_alarm.as_mut().reset(self.read_by);
            } else if self.standing.is(Stage::Head) {
                return Poll::Ready(());
            } else {
                self.standing.may_rest.store(true, Ordering::Relaxed);
                return Poll::Pending;
            }
        }
    }

    fn watch_write<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_alarm = None;
            return outcome;
        }
        let alarm = self.write_alarm.get_or_insert_with(|| {
            let stalled = Instant::now() + self.timeouts.write_stall;
            Box::pin(sleep_until(stalled))
        });
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }

    /// If `bytes` are hyper's own refusal of something that is no request, the refusal to send instead.
    fn begin_last_words(&mut self, bytes: &[u8]) {
        if self.last_words.is_some() || !(self.standing.is(Stage::Idle) || self.standing.is(Stage::Head)) {
            return;
        }
        let fault = match bytes.get(..12) {
            Some(b"HTTP/1.1 400" | b"HTTP/1.0 400") => Fault::Malformed("The request is not well-formed HTTP"),
            Some(b"HTTP/1.1 414" | b"HTTP/1.0 414") => Fault::TargetTooLong,
            Some(b"HTTP/1.1 431" | b"HTTP/1.0 431") => Fault::HeadTooLarge,
            _ => return,
        };
        self.standing.linger();
        let request_id = RequestId::random();
        tracing::debug!(%request_id, %fault, "refused");
        self.last_words = Some(LastWords { bytes: answer::last_words(&fault.response(), request_id), sent: 0 });
    }

    /// Sends the last words in place of `replaced` bytes.
    fn poll_last_words(&mut self, cx: &mut Context<'_>, replaced: usize) -> Poll<io::Result<usize>> {
        while let Some(words) = &mut self.last_words
            && let Some(rest) = words.bytes.get(words.sent..)
            && !rest.is_empty()
        {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(sent) => words.sent += sent,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(replaced))
    }

    /// Ends the connection. If the client may still be sending, reads on for a while first.
    pub(crate) async fn close(mut self) {
        if !self.standing.linger.load(Ordering::Relaxed) {
            self.stream.end().await;
            return;
        }
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let until = Instant::now() + LINGER;
        let mut sink = vec![0; 16 * 1024];
        let mut heard = 0;
        while heard < LINGER_BYTES {
            match timeout_at(until, self.stream.read(&mut sink)).await {
                Ok(Ok(read)) if read > 0 => heard += read,
                _ => return,
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let outcome = if this.received.is_empty() {
            Pin::new(&mut this.stream).poll_read(cx, buf)
        } else {
            let first = this.received.split_to(this.received.len().min(buf.remaining()));
            buf.put_slice(&first);
            Poll::Ready(Ok(()))
        };
        if outcome.is_pending() {
            ready!(this.poll_head_too_late(cx));
            return Poll::Ready(Ok(())); // nothing read: as if the client had closed
        }
        if buf.filled().len() > before && this.standing.is(Stage::Idle) {
            this.standing.set(Stage::Head);
            this.read_by = Instant::now() + this.timeouts.head;
        }
        outcome
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.begin_last_words(bytes);
        let outcome = if this.last_words.is_some() {
            this.poll_last_words(cx, bytes.len())
        } else {
            Pin::new(&mut this.stream).poll_write(cx, bytes)
        };
        this.watch_write(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.begin_last_words(slices.iter().find(|slice| !slice.is_empty()).map_or(&[], |slice| slice));
        let outcome = if this.last_words.is_some() {
            this.poll_last_words(cx, slices.iter().map(|slice| slice.len()).sum())
        } else {
            Pin::new(&mut this.stream).poll_write_vectored(cx, slices)
        };
        this.watch_write(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_flush(cx);
        if outcome.is_ready() && this.standing.is(Stage::Answered) {
            this.standing.set(Stage::Idle);
            this.read_by = Instant::now() + REST_AFTER;
        }
        this.watch_write(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
