//! The bytes of a connection, in the clear or through TLS, and the handshake that makes one of the other.
//!
//! Certificates are `tls`'s business. A handshake is bounded in time, in bytes and in how many are under way at once.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::http::Secured;
use crate::tls::Tls;

/// The first byte of a TLS handshake.
pub(crate) const TLS_HANDSHAKE: u8 = 0x16;

/// The most bytes a client may send before its handshake is done. Usual hellos are under 4 KiB; with the end of a
/// handshake, a whole record of the first request (16 KiB) may come.
const HANDSHAKE_BYTES: usize = 40 * 1024;

/// How long telling the client that a connection ends may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What handshakes need.
#[derive(Clone)]
pub struct Secure {
    acceptor: TlsAcceptor,
    /// Room for handshakes under way.
    room: Arc<Semaphore>,
}

impl Secure {
    /// Handshakes with the certificate of `tls`, at most `handshakes` at a time.
    #[must_use]
    pub fn new(tls: &Tls, handshakes: usize) -> Self {
        let room = Arc::new(Semaphore::new(handshakes.clamp(1, Semaphore::MAX_PERMITS)));
        Self { acceptor: TlsAcceptor::from(tls.config()), room }
    }
}

/// Why there is no secured connection.
pub enum NoHandshake {
    /// The client speaks HTTP in the clear. Nothing has been read.
    PlainHttp(TcpStream),
    /// It speaks something else, too slowly or not at all, or nothing could be agreed on.
    Failed(String),
}

impl fmt::Display for NoHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlainHttp(_) => f.write_str("the client does not speak TLS"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

/// Secures a connection within `patience`.
///
/// # Errors
/// [`NoHandshake`].
pub async fn shake_hands(stream: TcpStream, secure: &Secure, patience: Duration) -> Result<Transport, NoHandshake> {
    let late = |_| NoHandshake::Failed("it took too long".to_owned());
    timeout(patience, async {
        let failed = |error: io::Error| NoHandshake::Failed(error.to_string());
        let mut first = [0];
        // Whoever says nothing takes no room.
        match (stream.peek(&mut first).await.map_err(failed)?, first) {
            (0, _) => return Err(NoHandshake::Failed("the client closed".to_owned())),
            (_, [TLS_HANDSHAKE]) => {}
            (_, [b'A'..=b'Z']) => return Err(NoHandshake::PlainHttp(stream)),
            _ => return Err(NoHandshake::Failed("neither TLS nor HTTP".to_owned())),
        }
        let _room = secure.room.acquire().await;
        let mut stream = secure.acceptor.accept(Bounded { stream, left: HANDSHAKE_BYTES }).await.map_err(failed)?;
        let (below, session) = stream.get_mut();
        below.left = usize::MAX;
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        };
        let suite = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let secured = Secured { version, cipher_suite: suite.map_or("", plain_name) };
        Ok(Transport::Tls { stream: Box::new(stream), secured })
    })
    .await
    .unwrap_or_else(|elapsed| Err(late(elapsed)))
}

/// IANA's name of a suite, where rustls tells TLS 1.3's apart by a prefix of its own.
fn plain_name(name: &'static str) -> &'static str {
    match name {
        "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        name => name,
    }
}

/// The bytes of a connection.
pub enum Transport {
    /// In the clear.
    Plain(TcpStream),
    /// Through TLS.
    Tls {
        /// The session.
        stream: Box<TlsStream<Bounded>>,
        /// What was agreed on.
        secured: Secured,
    },
}

impl Transport {
    /// What was agreed on, if the connection is secured.
    #[must_use]
    pub fn secured(&self) -> Option<Secured> {
        match self {
            Self::Plain(_) => None,
            Self::Tls { secured, .. } => Some(*secured),
        }
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls { stream, .. } => &stream.get_ref().0.stream,
        }
    }

    /// Ends the connection. A client over TLS is told, so that it can tell this from a cut.
    pub async fn end(self) {
        if let Self::Tls { mut stream, .. } = self {
            // A client that does not listen learns it from the socket.
            let _ = timeout(FAREWELL, stream.shutdown()).await;
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls { stream, .. } => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls { stream, .. } => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls { stream, .. } => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls { stream, .. } => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls { stream, .. } => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls { stream, .. } => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A socket from which no more is read once so many bytes have been. One read more may go beyond.
pub struct Bounded {
    stream: TcpStream,
    left: usize,
}

impl AsyncRead for Bounded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == usize::MAX {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        if this.left == 0 {
            return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, "the handshake is too long")));
        }
        let before = buf.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.left = this.left.saturating_sub(buf.filled().len() - before);
        outcome
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
