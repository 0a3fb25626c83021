//! OpenTelemetry: traces of requests and metrics, sent to a collector by OTLP over HTTP, in its JSON form.
//!
//! `span` is a request as a trace has it, `encode` the form on the wire, `export` the task that sends. Spans wait in a
//! bounded queue: when the collector is slow or gone they are counted and dropped, and nobody waits.
//!
//! Why this is not the OpenTelemetry SDK: that brings an HTTP client, protobuf and a registry of its own, to say what is a
//! few hundred lines over the client that is here already.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod encode;
mod export;
mod span;

pub use export::{Collector, Exporter, InvalidCollector, Running, Spans};
pub use span::{Attribute, Sampling, Span, SpanIds, TraceParent};
