//! `/metrics`: what is counted in every room, gathered for Prometheus, and the listener of its own that it may have.
//!
//! Names of tables are told there, so with authentication the port of the API does not have it.

use std::sync::Arc;

use partita_api::Service;
use partita_db::{Database, Error};
use partita_metrics::{CONTENT_TYPE, Name, Samples};
use partita_server::{Handler, Request, Response, Traffic};
use partita_telemetry::Spans;
use tokio::sync::Mutex;

use crate::process;

const BUILD: Name = Name::gauge("partita_build_info", "1, with the program's version");
const READY: Name = Name::gauge("partita_ready", "1 while writes can be stored");

/// Everything that is counted.
#[derive(Clone)]
pub struct Metrics {
    sources: Arc<Sources>,
    /// What is sent to a collector of telemetry, if there is one.
    spans: Option<Spans>,
}

struct Sources {
    database: Database,
    service: Arc<Service>,
    traffic: Arc<Traffic>,
    /// The most tables that have series of their own.
    tables: usize,
    /// One scrape at a time: whoever asks often waits, and the server has no more to do.
    turn: Mutex<()>,
}

impl Metrics {
    /// What these count.
    pub fn new(database: Database, service: Arc<Service>, traffic: Arc<Traffic>, tables: usize) -> Self {
        let sources = Sources { database, service, traffic, tables, turn: Mutex::new(()) };
        Self { sources: Arc::new(sources), spans: None }
    }

    /// The same with what is sent to a collector of telemetry.
    pub fn with_spans(self, spans: Spans) -> Self {
        Self { spans: Some(spans), ..self }
    }

    /// Everything as it is now.
    ///
    /// # Errors
    /// When the catalog can not be read.
    pub async fn gather(&self) -> Result<Samples, Error> {
        let Sources { database, service, traffic, tables, turn } = &*self.sources;
        let _turn = turn.lock().await;
        let mut samples = Samples::new();
        samples.labelled(BUILD, [("version", env!("CARGO_PKG_VERSION").into())], 1_u64);
        samples.number(READY, database.is_writable());
        database.sample(&mut samples, *tables).await?;
        service.sight().sample(&mut samples);
        traffic.sample(&mut samples);
        process::sample(&mut samples);
        if let Some(spans) = &self.spans {
            spans.sample(&mut samples);
        }
        Ok(samples)
    }

    /// The answer to a scrape.
    pub async fn answer(&self) -> Response {
        match self.gather().await {
            Ok(samples) => {
                Response { content_type: CONTENT_TYPE, ..Response::text(200, partita_metrics::write(&samples)) }
            }
            Err(error) => {
                tracing::error!(%error, "metrics can not be gathered");
                Response::text(500, "metrics can not be gathered; the log says why\n")
            }
        }
    }
}

/// Whether a request is a scrape.
pub fn is_scrape(request: &Request) -> bool {
    request.uri.path() == "/metrics" && (request.method == http::Method::GET || request.method == http::Method::HEAD)
}

impl Handler for Metrics {
    async fn handle(&self, request: Request) -> Response {
        if is_scrape(&request) { self.answer().await } else { Response::text(404, "metrics are at /metrics\n") }
    }

    fn is_ready(&self) -> bool {
        self.sources.database.is_writable()
    }
}
