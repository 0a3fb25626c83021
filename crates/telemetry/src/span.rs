//! A request as a trace has it, and W3C's `traceparent`, by which a client says which trace that is.

use std::time::{Duration, SystemTime};

/// A span of a server: one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: [u8; 16],
    /// Its own id.
    pub id: [u8; 8],
    /// The client's span.
    pub parent: Option<[u8; 8]>,
    /// What was asked for.
    pub name: String,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What else is known of it.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Whether it failed inside.
    pub failed: bool,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Several texts.
    Texts(Vec<String>),
}

/// What a client says of the trace that its request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The client's span.
    pub span_id: [u8; 8],
    /// Whether the client records the trace.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads a `traceparent` header ("Trace Context", W3C, version 00; higher versions as far as they begin like it).
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let [version] = hex::<1>(version)?;
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let (trace_id, span_id, [flags]) = (hex::<16>(trace)?, hex::<8>(span)?, hex::<1>(flags)?);
        (trace_id != [0; 16] && span_id != [0; 8]).then_some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

/// Bytes of lower-case hexadecimal digits, exactly so many.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// A span's trace, its own id, and that of the client's span.
pub type SpanIds = ([u8; 16], [u8; 8], Option<[u8; 8]>);

/// Which requests are traced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The share of requests without a `traceparent`, 0 to 1. With one, the client has decided.
    pub ratio: f64,
}

impl Sampling {
    /// The trace, span and parent ids of a request that is to be traced.
    #[must_use]
    pub fn ids(self, parent: Option<TraceParent>) -> Option<SpanIds> {
        let id = || fastrand::u64(1..).to_be_bytes();
        match parent {
            Some(parent) if parent.sampled => Some((parent.trace_id, id(), Some(parent.span_id))),
            Some(_) => None,
            None if self.ratio >= 1.0 || fastrand::f64() < self.ratio => {
                Some((fastrand::u128(1..).to_be_bytes(), id(), None))
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_traceparent_is_read_as_w3c_says() {
        let read = TraceParent::parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!((read.trace_id[0], read.span_id[7], read.sampled), (0x4b, 0xb7, true));
        assert!(!TraceParent::parse(&format!("00-{TRACE}-{SPAN}-00")).unwrap().sampled);
        assert!(TraceParent::parse(&format!("01-{TRACE}-{SPAN}-01-more")).is_some());
        for wrong in [
            String::new(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-é{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(TraceParent::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_client_that_traces_decides_and_the_ratio_decides_without_one() {
        let parent = |sampled| TraceParent { trace_id: [1; 16], span_id: [2; 8], sampled };
        let never = Sampling { ratio: 0.0 };
        let (trace, _, of) = never.ids(Some(parent(true))).unwrap();
        assert_eq!((trace, of), ([1; 16], Some([2; 8])));
        assert_eq!(never.ids(None), None);
        assert_eq!(Sampling { ratio: 1.0 }.ids(Some(parent(false))), None);
        assert!(Sampling { ratio: 1.0 }.ids(None).is_some());
        let half = (0..1_000).filter(|_| Sampling { ratio: 0.5 }.ids(None).is_some()).count();
        assert!((300..700).contains(&half), "{half}");
    }
}
