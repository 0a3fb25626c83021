//! The task that sends: spans in batches, metrics once in a while, each once. What can not be sent is counted and dropped.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request, Uri};
use partita_client::{Bounds, Client};
use partita_metrics::{Counter, Name, Samples};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::encode;
use crate::span::{Attribute, Span};

/// Spans that wait at most (OpenTelemetry's `OTEL_BSP_MAX_QUEUE_SIZE`: 2048).
const QUEUE: usize = 2_048;
/// Spans of a batch at most (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`: 512).
const BATCH: usize = 512;
/// How long spans wait for a batch to fill (`OTEL_BSP_SCHEDULE_DELAY`: 5 seconds).
const DELAY: Duration = Duration::from_secs(5);
/// How often metrics are sent (`OTEL_METRIC_EXPORT_INTERVAL`: a minute).
const METRICS_INTERVAL: Duration = Duration::from_secs(60);
/// How long the collector may take (`OTEL_EXPORTER_OTLP_TIMEOUT`: 10 seconds).
const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(5), total: Duration::from_secs(10), max_response_bytes: 1 << 20 };
/// How long the last batch may take when the process ends.
const FAREWELL: Duration = Duration::from_secs(3);

const SENT: Name = Name::counter("partita_otlp_spans_sent_total", "Spans that the collector has taken");
const DROPPED: Name =
    Name::counter("partita_otlp_spans_dropped_total", "Spans dropped because the collector was slow, gone or refused");

/// Why a collector can not be sent to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidCollector {
    /// Its endpoint.
    #[error("{0} is not an endpoint of OTLP over HTTP such as http://localhost:4318")]
    Endpoint(String),
    /// One of the headers. They may be secrets, so it is not told which.
    #[error("a header for the collector is not of the form name=value")]
    Header,
}

/// Where telemetry is sent.
#[derive(Clone)]
pub struct Collector {
    traces: Uri,
    metrics: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    resource: Value,
}

impl Collector {
    /// A collector at a base URL, which `/v1/traces` and `/v1/metrics` are added to, for a service of this name.
    /// `headers` are those of OTEL_EXPORTER_OTLP_HEADERS: `name=value`, with commas between them.
    ///
    /// # Errors
    /// [`InvalidCollector`].
    pub fn new(endpoint: &str, headers: &str, service: &str, version: &str) -> Result<Self, InvalidCollector> {
        let base = endpoint.trim_end_matches('/');
        let place = |path: &str| {
            let uri: Option<Uri> = format!("{base}{path}").parse().ok();
            let is_http = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
            uri.filter(is_http).ok_or_else(|| InvalidCollector::Endpoint(endpoint.to_owned()))
        };
        let mut parsed = Vec::new();
        for header in headers.split(',').map(str::trim).filter(|header| !header.is_empty()) {
            let (name, value) = header.split_once('=').ok_or(InvalidCollector::Header)?;
            let name = HeaderName::try_from(name.trim()).map_err(|_| InvalidCollector::Header)?;
            let mut value = HeaderValue::try_from(decoded(value.trim())).map_err(|_| InvalidCollector::Header)?;
            value.set_sensitive(true);
            parsed.push((name, value));
        }
        let text = |key, text: &str| encode::attribute(key, &Attribute::Text(text.to_owned()));
        let instance = format!("{:032x}", fastrand::u128(..));
        let resource = json!({"attributes": [
            text("service.name", service),
            text("service.version", version),
            text("service.instance.id", &instance),
        ]});
        Ok(Self { traces: place("/v1/traces")?, metrics: place("/v1/metrics")?, headers: parsed, resource })
    }
}

/// Undoes percent-encoding, which the values of headers in the environment have.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes
}

#[derive(Debug, Default)]
struct Counts {
    sent: Counter,
    dropped: Counter,
}

/// Where spans are put. Clones share the queue.
#[derive(Clone, Debug)]
pub struct Spans {
    queue: mpsc::Sender<Span>,
    counts: Arc<Counts>,
}

impl Spans {
    /// Puts a span into the queue, or drops it when that is full. Returns at once.
    pub fn push(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.counts.dropped.one();
        }
    }

    /// Adds how many spans were sent and dropped.
    pub fn sample(&self, samples: &mut Samples) {
        samples.number(SENT, &self.counts.sent);
        samples.number(DROPPED, &self.counts.dropped);
    }
}

/// A queue of spans that nothing sends yet.
pub struct Exporter {
    collector: Collector,
    client: Client,
    spans: Spans,
    queue: mpsc::Receiver<Span>,
}

/// A task that sends.
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Sends what waits, for at most three seconds, and ends.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = timeout(FAREWELL, self.task).await;
    }
}

impl Exporter {
    /// An exporter to this collector.
    #[must_use]
    pub fn new(collector: Collector, client: Client) -> Self {
        let (queue, received) = mpsc::channel(QUEUE);
        Self { collector, client, spans: Spans { queue, counts: Arc::default() }, queue: received }
    }

    /// Where spans are put.
    #[must_use]
    pub fn spans(&self) -> Spans {
        self.spans.clone()
    }

    /// Starts sending: spans as they come, and every minute what `gather` gives.
    pub fn start<F>(self, gather: impl Fn() -> F + Send + Sync + 'static) -> Running
    where
        F: Future<Output = Option<Samples>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        Running { stop, task: tokio::spawn(self.run(gather, stopped)) }
    }

    async fn run<F>(mut self, gather: impl Fn() -> F + Send + Sync, mut stopped: oneshot::Receiver<()>)
    where
        F: Future<Output = Option<Samples>> + Send + 'static,
    {
        let began = SystemTime::now();
        let mut waiting: Vec<Span> = Vec::new();
        let mut trouble = false;
        let start = Instant::now();
        let mut spans_due = interval_at(start + DELAY, DELAY);
        let mut metrics_due = interval_at(start + METRICS_INTERVAL, METRICS_INTERVAL);
        spans_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        metrics_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let room = BATCH.saturating_sub(waiting.len());
            let (send_spans, send_metrics, ends) = tokio::select! {
                biased;
                _ = &mut stopped => (true, true, true),
                _ = metrics_due.tick() => (false, true, false),
                _ = spans_due.tick() => (true, false, false),
                received = self.queue.recv_many(&mut waiting, room), if room > 0 => (received == 0 || waiting.len() >= BATCH, false, false),
            };
            if ends {
                while let Ok(span) = self.queue.try_recv() {
                    waiting.push(span);
                }
            }
            if send_spans {
                for batch in waiting.chunks(BATCH) {
                    let body = encode::spans(&self.collector.resource, batch);
                    let sent = self.send(&self.collector.traces, &body, &mut trouble).await;
                    let counts = &self.spans.counts;
                    let count = if sent { &counts.sent } else { &counts.dropped };
                    count.add(batch.len() as u64);
                }
                waiting.clear();
            }
            if send_metrics && let Some(samples) = gather().await {
                let body = encode::metrics(&self.collector.resource, &samples, began, SystemTime::now());
                self.send(&self.collector.metrics, &body, &mut trouble).await;
            }
            if ends {
                return;
            }
        }
    }

    /// Sends one request. The first of several failures is logged, and the end of them.
    async fn send(&self, place: &Uri, body: &Value, trouble: &mut bool) -> bool {
        let mut request = Request::new(Bytes::from(body.to_string()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = place.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &self.collector.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let outcome = match self.client.send(request, BOUNDS).await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("the collector answers {}", answer.status().as_u16())),
            Err(error) => Err(error.to_string()),
        };
        match (&outcome, *trouble) {
            (Err(error), false) => tracing::warn!(%error, "telemetry can not be sent, and is dropped until it can"),
            (Ok(()), true) => tracing::info!("telemetry can be sent again"),
            _ => {}
        }
        *trouble = outcome.is_err();
        outcome.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_and_headers_are_read_as_opentelemetry_has_them() {
        let collector = |endpoint, headers| Collector::new(endpoint, headers, "partita", "1");
        let made = collector("http://localhost:4318/", "api-key=a%20b%3D, x=1,").unwrap();
        assert_eq!(made.traces, "http://localhost:4318/v1/traces");
        assert_eq!(made.metrics, "http://localhost:4318/v1/metrics");
        let headers: Vec<_> = made.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(headers, [("api-key", &b"a b="[..]), ("x", b"1")]);
        assert!(made.headers.iter().all(|(_, value)| value.is_sensitive()));
        for endpoint in ["", "localhost:4318", "ftp://localhost", "/v1"] {
            assert!(matches!(collector(endpoint, ""), Err(InvalidCollector::Endpoint(_))), "{endpoint}");
        }
        for headers in ["a", "a b=1", "a=%0A"] {
            assert!(matches!(collector("http://a", headers), Err(InvalidCollector::Header)), "{headers}");
        }
    }
}
