//! What is counted of connections and requests, whatever they ask for.

use std::sync::Arc;

use partita_metrics::{Counter, Gauge, Name, Samples};

const OPEN: Name = Name::gauge("partita_connections", "Connections that are open");
const ACCEPTED: Name = Name::counter("partita_connections_accepted_total", "Connections that were accepted");
const HANDSHAKES: Name = Name::counter("partita_tls_handshake_failures_total", "Connections without a TLS handshake");
const ANSWERS: Name = Name::counter("partita_http_responses_total", "Answers by the class of their HTTP status");
const REFUSED: Name = Name::counter(
    "partita_http_refused_total",
    "Requests refused before they were whole: too large, too slow, badly framed, or from where nothing is allowed",
);
const RECEIVED: Name =
    Name::counter("partita_http_request_body_bytes_total", "Bytes of request bodies, after decompression");
const SENT: Name =
    Name::counter("partita_http_response_body_bytes_total", "Bytes of answers' bodies as they were sent");

/// Counters of a server's connections and requests.
#[derive(Debug, Default)]
pub struct Traffic {
    open: Gauge,
    accepted: Counter,
    handshake_failures: Counter,
    /// By the hundred of the status: 1xx and everything odd, 2xx, 3xx, 4xx, 5xx.
    answers: [Counter; 5],
    refused: Counter,
    received_bytes: Counter,
    sent_bytes: Counter,
}

/// A connection that is counted as open until this goes.
pub(crate) struct Open(Arc<Traffic>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fall();
    }
}

impl Traffic {
    pub(crate) fn connection(self: &Arc<Self>) -> Open {
        self.accepted.one();
        self.open.rise();
        Open(Arc::clone(self))
    }

    pub(crate) fn handshake_failed(&self) {
        self.handshake_failures.one();
    }

    pub(crate) fn refused(&self) {
        self.refused.one();
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received_bytes.add(bytes as u64);
    }

    pub(crate) fn answered(&self, status: u16, bytes: u64) {
        let [odd, good, moved, wrong, broken] = &self.answers;
        match status {
            200..=299 => good.one(),
            300..=399 => moved.one(),
            400..=499 => wrong.one(),
            500..=599 => broken.one(),
            _ => odd.one(),
        }
        self.sent_bytes.add(bytes);
    }

    /// Adds what was counted.
    pub fn sample(&self, samples: &mut Samples) {
        samples.number(OPEN, self.open.get());
        samples.number(ACCEPTED, &self.accepted);
        samples.number(HANDSHAKES, &self.handshake_failures);
        for (counter, class) in self.answers.iter().zip(["other", "2xx", "3xx", "4xx", "5xx"]) {
            samples.labelled(ANSWERS, [("class", class.into())], counter);
        }
        samples.number(REFUSED, &self.refused);
        samples.number(RECEIVED, &self.received_bytes);
        samples.number(SENT, &self.sent_bytes);
    }
}
