//! Reads a request body to its end: within the size limit, fast enough, within the server's memory budget.
//!
//! Decompression itself is in `inflate`, the budget in `budget`.

use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::CONTENT_ENCODING;
use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use ring::digest;
use tokio::time::{Instant, timeout_at};

use crate::budget::{Budget, Reservation};
use crate::config::{Limits, Timeouts};
use crate::fault::Fault;
use crate::inflate::{Encoding, InflateError, Inflater};

/// The first allocation, in bytes, for a body that does not arrive in one piece. It grows with what arrives.
const FIRST_ALLOCATION: usize = 64 * 1024;

/// A client that has sent this many bytes is believed about the length it declared.
const BELIEVED_FROM: usize = 1024 * 1024;

/// A body that has arrived, and the memory reserved for it as long as it is held.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    /// The hash of what was sent, if it was compressed and [`Bounds::digest`] asks for it.
    pub(crate) sent_sha256: Option<[u8; 32]>,
    pub(crate) reservation: Reservation,
}

/// What bounds the reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) timeouts: &'a Timeouts,
    pub(crate) budget: &'a Budget,
    /// Whether compressed bodies are hashed as they come.
    pub(crate) digest: bool,
}

/// Reads `body` to its end.
pub(crate) async fn receive<B>(headers: &HeaderMap, body: B, bounds: Bounds<'_>) -> Result<Received, Fault>
where
    B: Body<Data = Bytes> + Unpin,
{
    let limit = bounds.limits.body_bytes;
    let declared = body.size_hint().exact();
    if declared.is_some_and(|declared| usize::try_from(declared).map_or(true, |declared| declared > limit)) {
        return Err(Fault::TooLarge { limit });
    }
    let encoding = encoding(headers)?;
    let mut incoming = Incoming { body, arrived: 0, limit, pace: Pace::new(bounds.timeouts) };
    let mut reservation = bounds.budget.reservation();
    match Inflater::new(encoding, limit) {
        None => {
            let bytes = collect(&mut incoming, &mut reservation).await?;
            Ok(Received { bytes, sent_sha256: None, reservation })
        }
        Some(inflater) => {
            let mut digest = bounds.digest.then(|| digest::Context::new(&digest::SHA256));
            let bytes = inflate(&mut incoming, inflater, digest.as_mut(), &mut reservation).await?;
            let sent_sha256 = digest.and_then(|digest| digest.finish().as_ref().try_into().ok());
            Ok(Received { bytes, sent_sha256, reservation })
        }
    }
}

async fn collect<B>(incoming: &mut Incoming<'_, B>, reservation: &mut Reservation) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes> + Unpin,
{
    let declared = incoming.body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let Some(first) = incoming.next().await? else { return Ok(Bytes::new()) };
    incoming.pace.reserve(reservation, first.len()).await?;
    let Some(second) = incoming.next().await? else { return Ok(first) };
    let likely = declared.map_or(FIRST_ALLOCATION, |declared| declared.min(FIRST_ALLOCATION));
    let mut bytes = Vec::with_capacity(likely.max(first.len() + second.len()));
    bytes.extend_from_slice(&first);
    drop(first);
    let mut piece = Some(second);
    while let Some(arrived) = piece {
        incoming.pace.reserve(reservation, bytes.len() + arrived.len()).await?;
        if let Some(declared) = declared
            && bytes.len() >= BELIEVED_FROM
        {
            bytes.reserve_exact(declared.saturating_sub(bytes.len()));
        }
        bytes.extend_from_slice(&arrived);
        piece = incoming.next().await?;
    }
    Ok(bytes.into())
}

async fn inflate<B>(
    incoming: &mut Incoming<'_, B>,
    mut inflater: Inflater,
    mut digest: Option<&mut digest::Context>,
    reservation: &mut Reservation,
) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes> + Unpin,
{
    let limit = incoming.limit;
    let fault = |error| match error {
        InflateError::TooLarge => Fault::TooLarge { limit },
        InflateError::Corrupt => {
            Fault::Malformed("The request body cannot be decompressed as its Content-Encoding says")
        }
    };
    let mut any = false;
    while let Some(piece) = incoming.next().await? {
        any = true;
        if let Some(digest) = &mut digest {
            digest.update(&piece);
        }
        let mut rest = piece.as_ref();
        while !rest.is_empty() {
            rest = inflater.step(rest).map_err(fault)?;
            incoming.pace.reserve(reservation, inflater.produced()).await?;
        }
    }
    if !any {
        return Ok(Bytes::new());
    }
    inflater.finish().map(Bytes::from).map_err(fault)
}

/// Reads and forgets a body that is already refused, so that its connection can be used again. Only worth it, and only
/// done, for a short one of known length; says whether the connection is still usable.
pub(crate) async fn discard<B>(body: B, timeouts: &Timeouts) -> bool
where
    B: Body<Data = Bytes> + Unpin,
{
    const WORTH_READING: u64 = 64 * 1024;
    if body.size_hint().exact().is_none_or(|length| length > WORTH_READING) {
        return false;
    }
    let limit = usize::MAX;
    let mut incoming = Incoming { body, arrived: 0, limit, pace: Pace::new(timeouts) };
    loop {
        match incoming.next().await {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// The encoding that the headers name. More than one, or an unknown one, is refused.
fn encoding(headers: &HeaderMap) -> Result<Encoding, Fault> {
    let mut found = Encoding::Identity;
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            let encoding = if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
                Encoding::Gzip
            } else if name.eq_ignore_ascii_case(b"deflate") {
                Encoding::Deflate
            } else if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                continue;
            } else {
                return Err(Fault::Malformed("The Content-Encoding is not one of gzip, deflate and identity"));
            };
            if found != Encoding::Identity {
                return Err(Fault::Malformed("The request body has more than one Content-Encoding"));
            }
            found = encoding;
        }
    }
    Ok(found)
}

/// A body with its count and its clock.
struct Incoming<'a, B> {
    body: B,
    arrived: usize,
    limit: usize,
    pace: Pace<'a>,
}

impl<B> Incoming<'_, B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// The next piece that is not empty, or nothing at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            if self.body.is_end_stream() {
                return Ok(None);
            }
            let frame = match timeout_at(self.pace.deadline(self.arrived), self.body.frame()).await {
                Err(_) => return Err(Fault::BodyTooSlow),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => {
                    return Err(Fault::Malformed("The request body ended early or is not framed correctly"));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(piece) = frame.into_data() else { continue }; // trailers
            if piece.is_empty() {
                continue;
            }
            self.arrived = self.arrived.saturating_add(piece.len());
            if self.arrived > self.limit {
                return Err(Fault::TooLarge { limit: self.limit });
            }
            return Ok(Some(piece));
        }
    }
}

/// How fast a body must come: within a grace of a minimum rate, and within a total.
struct Pace<'a> {
    started: Instant,
    timeouts: &'a Timeouts,
}

impl<'a> Pace<'a> {
    fn new(timeouts: &'a Timeouts) -> Self {
        Self { started: Instant::now(), timeouts }
    }

    /// When more than `arrived` bytes must have come.
    fn deadline(&self, arrived: usize) -> Instant {
        let rate = u64::from(self.timeouts.body_bytes_per_second.max(1));
        let earned = Duration::from_millis((arrived as u64).saturating_mul(1000) / rate);
        self.started + self.timeouts.body.min(self.timeouts.body_grace + earned)
    }

    /// Reserves memory; time spent waiting for it is not the client's.
    async fn reserve(&mut self, reservation: &mut Reservation, bytes: usize) -> Result<(), Fault> {
        if !reservation.covers(bytes) {
            let before = Instant::now();
            reservation.cover(bytes).await?;
            self.started += before.elapsed();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::io::Write as _;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;
    use http_body_util::Full;
    use tokio::sync::mpsc;

    fn limits() -> Limits {
        Limits { body_bytes: 100_000, bodies_in_flight_bytes: 1_000_000, ..Limits::default() }
    }

    async fn read<B: Body<Data = Bytes> + Unpin>(headers: &HeaderMap, body: B) -> Result<Bytes, Fault> {
        let (limits, timeouts) = (limits(), Timeouts::default());
        let budget = Budget::new(limits.bodies_in_flight_bytes, timeouts.budget);
        let bounds = Bounds { limits: &limits, timeouts: &timeouts, budget: &budget, digest: false };
        receive(headers, body, bounds).await.map(|received| received.bytes)
    }

    /// A body of unknown length that sends `pieces` with `pause` before each.
    fn pieces(pieces: usize, length: usize, pause: Duration) -> impl Body<Data = Bytes> + Unpin {
        let (sender, receiver) = mpsc::channel::<Bytes>(1);
        tokio::spawn(async move {
            for _ in 0..pieces {
                tokio::time::sleep(pause).await;
                let _ = sender.send(vec![b'x'; length].into()).await;
            }
        });
        Pieces(receiver)
    }

    struct Pieces(mpsc::Receiver<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
        }
    }

    #[tokio::test]
    async fn the_limit_itself_passes_and_one_byte_more_does_not() {
        let none = HeaderMap::new();
        assert_eq!(read(&none, Full::new(vec![0; 100_000].into())).await.unwrap().len(), 100_000);
        assert_eq!(read(&none, Full::new(vec![0; 100_001].into())).await, Err(Fault::TooLarge { limit: 100_000 }));
        assert_eq!(read(&none, pieces(10, 10_000, Duration::ZERO)).await.unwrap().len(), 100_000);
        assert_eq!(read(&none, pieces(11, 9_999, Duration::ZERO)).await, Err(Fault::TooLarge { limit: 100_000 }));
    }

    #[tokio::test]
    async fn a_compressed_body_is_hashed_as_sent_if_that_is_asked_for() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&[b'x'; 50_000]).unwrap();
        let sent = Bytes::from(encoder.finish().unwrap());
        let hash = digest::digest(&digest::SHA256, &sent);
        let gzip: HeaderMap = [(CONTENT_ENCODING, ::http::HeaderValue::from_static("gzip"))].into_iter().collect();
        let (limits, timeouts) = (limits(), Timeouts::default());
        let budget = Budget::new(limits.bodies_in_flight_bytes, timeouts.budget);
        for (headers, digest, expected) in
            [(&gzip, true, Some(hash.as_ref())), (&gzip, false, None), (&HeaderMap::new(), true, None)]
        {
            let bounds = Bounds { limits: &limits, timeouts: &timeouts, budget: &budget, digest };
            let received = receive(headers, Full::new(sent.clone()), bounds).await.unwrap();
            assert_eq!(received.sent_sha256.as_ref().map(<[u8; 32]>::as_slice), expected);
            assert_eq!(received.bytes.len() == 50_000, headers.contains_key(CONTENT_ENCODING));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_behind_its_pace_is_cut_off() {
        let none = HeaderMap::new();
        assert_eq!(read(&none, pieces(1, 10, Duration::from_secs(11))).await, Err(Fault::BodyTooSlow));
        assert_eq!(read(&none, pieces(5000, 1, Duration::from_millis(500))).await, Err(Fault::BodyTooSlow));
        assert!(read(&none, pieces(20, 10, Duration::from_millis(300))).await.is_ok());
    }

    #[test]
    fn encodings_are_read_from_all_headers() {
        let headers = |values: &[&'static str]| {
            let pairs = values.iter().map(|value| (CONTENT_ENCODING, ::http::HeaderValue::from_static(value)));
            encoding(&pairs.collect())
        };
        assert_eq!(headers(&[]), Ok(Encoding::Identity));
        assert_eq!(headers(&["identity"]), Ok(Encoding::Identity));
        assert_eq!(headers(&["GZIP"]), Ok(Encoding::Gzip));
        assert_eq!(headers(&["identity, deflate"]), Ok(Encoding::Deflate));
        assert!(headers(&["br"]).is_err());
        assert!(headers(&["gzip, gzip"]).is_err());
    }
}
