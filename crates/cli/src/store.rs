//! The joint between the server, which speaks HTTP, and the database, which speaks DynamoDB.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use partita_api::identities::Identities;
use partita_api::{Audit, Issuers, Service, Sight, http};
use partita_client::Client;
use partita_db::{Database, Encryption, JobOptions, OpenError, Settings, Stores};
use partita_engine::{EngineError, OpenOptions};
use partita_server::{Handler, Request, Response, Secured, Traffic};

use crate::metrics::{self, Metrics};
use crate::options::{Durability, ServeOptions};

/// The database behind the server.
#[derive(Clone)]
pub struct Store {
    database: Database,
    service: Arc<Service>,
    draining: Arc<AtomicBool>,
    /// What the port of the API has at `/metrics`; nothing where requests must be signed.
    metrics: Option<Metrics>,
}

impl Store {
    /// Whether and with which keys the data that `options` name is encrypted.
    pub fn encryption(options: &ServeOptions, client: Client) -> Result<Encryption, OpenError> {
        if options.in_memory {
            // Nothing is at rest there.
            return Ok(Encryption::Off);
        }
        options.at_rest.of(&options.data_dir, client).map_err(OpenError::Keys)
    }

    /// Opens the data that `options` name. With identities, only requests that they sign are answered;
    /// with an audit log, they are told there.
    pub async fn open(
        options: &ServeOptions,
        identities: Option<Identities>,
        issuers: Issuers,
        (audit, sight): (Option<Audit>, Sight),
        (encryption, stores): (Encryption, Stores),
    ) -> Result<Self, OpenError> {
        let settings = Settings {
            emulate_aws_limits: options.emulate_aws_limits,
            throttling: options.throttles(),
            test_clock: options.test_clock,
            ..Settings::default()
        };
        if let Some(cluster) = options.place.cluster() {
            let database = Database::open_cluster(&cluster, settings, encryption, stores).await?;
            return Ok(Self::over(database, options, identities, issuers, (audit, sight)));
        }
        let mut wanted =
            if options.in_memory { OpenOptions::memory() } else { OpenOptions::directory(&options.data_dir) };
        wanted.durability = match options.durability {
            Durability::Sync => partita_engine::Durability::Sync,
            Durability::Interval => partita_engine::Durability::Interval,
            Durability::None => partita_engine::Durability::None,
        };
        if let Some(bytes) = options.cache_size {
            wanted.cache_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        wanted.statistics = !options.metrics_listen.is_empty();
        let database = Database::open_with_stores(&wanted, settings, encryption, stores).await?;
        Ok(Self::over(database, options, identities, issuers, (audit, sight)))
    }

    fn over(
        database: Database,
        options: &ServeOptions,
        identities: Option<Identities>,
        issuers: Issuers,
        (audit, sight): (Option<Audit>, Sight),
    ) -> Self {
        database.start_background(JobOptions::default());
        let service = Service::new(database.clone(), options.region.as_str()).with_issuers(issuers);
        let service = match identities {
            Some(identities) => service.authenticated(identities),
            None => service,
        };
        let service = service.seen(sight);
        let service = match audit {
            Some(audit) => service.audited(audit),
            None => service,
        };
        Self { database, service: Arc::new(service), draining: Arc::default(), metrics: None }
    }

    /// From now on `/health/ready` says no, so that load balancers send requests elsewhere.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether there is anyone whose requests are answered.
    pub async fn has_signers(&self) -> Result<bool, partita_api::Failure> {
        self.service.has_signers().await
    }

    /// What answers requests.
    pub const fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// The database.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// What is counted here and of the server's traffic.
    pub fn metrics(&self, traffic: Arc<Traffic>, tables: usize) -> Metrics {
        Metrics::new(self.database.clone(), Arc::clone(&self.service), traffic, tables)
    }

    /// The same with metrics on the port of the API.
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// Writes out what is not on disk yet. Later writes fail.
    pub async fn close(&self) -> Result<(), EngineError> {
        self.database.close().await
    }
}

impl Handler for Store {
    async fn handle(&self, request: Request) -> Response {
        if let Some(metrics) = &self.metrics
            && metrics::is_scrape(&request)
        {
            return metrics.answer().await;
        }
        let Request { method, uri, headers, body, sent_sha256, peer, secured, request_id } = request;
        let secured = secured.map(|Secured { version, cipher_suite }| http::Secured { version, cipher_suite });
        let request_id = request_id.as_str().to_owned();
        let request = http::Request { method, uri, headers, body, sent_sha256, peer, secured, request_id };
        let http::Response { status, content_type, headers, body } = self.service.answer(&request).await;
        Response { status, content_type, headers, body }
    }

    fn is_ready(&self) -> bool {
        self.database.is_writable() && !self.draining.load(Ordering::Relaxed)
    }
}

/// Where the data is and how safe, in words.
pub fn describe(options: &ServeOptions, encrypted: bool) -> String {
    if options.in_memory {
        return "in memory only: gone when the server ends".to_owned();
    }
    let seal = if encrypted { "encrypted" } else { "not encrypted" };
    if let Some(cluster) = options.place.cluster() {
        let file = cluster.file.unwrap_or_else(|| "/etc/foundationdb/fdb.cluster".into());
        return format!(
            "the FoundationDB cluster of {}, under {:?} ({seal})",
            file.display(),
            options.place.key_prefix
        );
    }
    let directory = std::path::absolute(&options.data_dir).unwrap_or_else(|_| options.data_dir.clone());
    let safety = match options.durability {
        Durability::Sync => "sync: a write is on disk before it is answered",
        Durability::Interval => "interval: power loss may cost the last moments",
        Durability::None => "none: power loss may cost recent writes",
    };
    format!("{} ({seal}; {safety})", directory.display())
}
