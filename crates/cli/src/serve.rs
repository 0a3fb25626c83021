//! `partita serve`: start, run until a signal, stop.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use partita_api::identities::Identities;
use partita_api::{Audit, Sight};
use partita_client::{Client, TrustError};
use partita_db::OpenError;
use partita_engine::EngineError;
use partita_server::{ListenAddress, NotMade, SelfSigned, Server, StartError, Stopped, Tls, TlsError};
use partita_telemetry::{InvalidCollector, Sampling};
use partita_trigger::Deliverer;
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::audit_file::{AuditFile, NotWritable};
use crate::dax;
use crate::greeting::{Greeting, Identity};
use crate::issuers::{self, IssuerError};
use crate::log;
use crate::metrics::Metrics;
use crate::options::{self, Auth, Certificate, LogFormat, ServeOptions, Unclear};
use crate::places::{self, InvalidPlace};
use crate::root_key::{self, RootKey, RootKeyError};
use crate::store::{self, Store};
use crate::traces;

/// How long the end waits for what is still running in the background.
const ENDING: Duration = Duration::from_secs(2);

/// Why the server could not start, or not stop cleanly. The text is for the operator.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Options(#[from] Unclear),
    #[error("a clock for tests is for addresses that only this machine can reach, not for {0:?}")]
    TestClock(ListenAddress),
    #[error(transparent)]
    Listen(#[from] StartError),
    #[error(transparent)]
    Place(#[from] InvalidPlace),
    #[error(transparent)]
    AuditLog(#[from] NotWritable),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    SelfSigned(#[from] NotMade),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Telemetry(#[from] InvalidCollector),
    #[error(transparent)]
    Issuers(#[from] IssuerError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    #[error(
        "--auth on, but there is no access key yet, so nobody could sign a request. Make the root's with `partita admin \
         create-root-key`, or give one in PARTITA_ROOT_ACCESS_KEY_ID and PARTITA_ROOT_SECRET_ACCESS_KEY, or in a file \
         with --root-credentials-file"
    )]
    NoSigners,
    #[error("the access keys in the store can not be read: {0}")]
    Identities(String),
    #[error("the last writes could not be stored: {0}")]
    Close(#[from] EngineError),
    #[error("the system does not give what a server needs: {0}")]
    System(#[from] io::Error),
}

/// Runs the server to its end.
pub fn run(options: ServeOptions) -> ExitCode {
    let began = Instant::now();
    log::start(options.log_format, options.log_level);
    partita_server::raise_open_file_limit();
    let format = options.log_format;
    let in_cluster = options.place.cluster().is_some();
    let outcome = Runtime::new().map_err(Failure::from).and_then(|runtime| {
        let outcome = runtime.block_on(serve(options, began));
        if in_cluster {
            // Nothing may ask the cluster any more when the connection ends.
            runtime.shutdown_timeout(ENDING);
        } else {
            runtime.shutdown_background();
        }
        outcome
    });
    match outcome {
        Ok(Stopped::Clean) => ExitCode::SUCCESS,
        Ok(Stopped::DeadlinePassed) => ExitCode::FAILURE,
        Err(failure) => {
            match format {
                LogFormat::Text => eprintln!("partita: {failure}"),
                LogFormat::Json => tracing::error!("{failure}"),
            }
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: ServeOptions, began: Instant) -> Result<Stopped, Failure> {
    let mut signals = Signals::new()?;
    let trust = options::trust(&options.ca_file)?;
    if let Some(beyond) = options.listen.iter().find(|address| options.test_clock && !address.is_loopback()) {
        return Err(Failure::TestClock(*beyond));
    }
    options.check_place()?;
    let config = options.server()?;
    let names = SelfSigned::names(&config.hosts, &config.listen);
    let mut identity = match options.certificate()? {
        Some(Certificate::Files { certificate, key }) => Some(Identity::known(Tls::from_files(certificate, key)?)),
        Some(Certificate::SelfSigned) | None => None,
    };
    let dax_sockets = options.dax.bind(config.exposure)?;
    let server = Server::bind(config)?;
    let observed = options.metrics_server()?.map(Server::bind).transpose()?;
    let root = root_key::read(options.root_credentials_file.as_deref())?;
    let client = Client::new(trust);
    let issuers = issuers::issuers(&options.oidc_jwks_file, client.clone())?;
    let log = options::named(&options.audit_log).map(AuditFile::open).transpose()?;
    let audit = log.as_ref().map(|log| {
        let queue = log.queue();
        Audit::new(options.audit_data_events, move |line| queue.push(line))
    });
    let exporter = traces::exporter(&options, client.clone())?;
    let sight = Sight::new().logging(options.log_requests);
    let sight = match &exporter {
        Some(exporter) => {
            let (spans, sampling) = (exporter.spans(), Sampling { ratio: options.otlp_trace_ratio });
            sight.traced(move |answered| traces::push(&spans, sampling, answered))
        }
        None => sight,
    };
    let encryption = Store::encryption(&options, client.clone())?;
    let stores = places::stores(&options, client.clone())?;
    let store =
        Store::open(&options, identities(options.auth, root), issuers, (audit, sight), (encryption, stores)).await?;
    if !store.has_signers().await.map_err(|failure| Failure::Identities(failure.detail.unwrap_or_default()))? {
        store.close().await?;
        return Err(Failure::NoSigners);
    }
    if options.tls_self_signed {
        // Only now is it known that the directory is the database's.
        let directory = (!options.in_memory).then_some(options.data_dir.as_path());
        identity = Some(Identity::self_signed(SelfSigned::kept_in(directory, &names)?));
    }
    let server = match &identity {
        Some(identity) => server.with_tls(identity.tls.clone()),
        None => server,
    };
    let metrics = store.metrics(server.traffic(), options.metrics_tables);
    let metrics = match &exporter {
        Some(exporter) => metrics.with_spans(exporter.spans()),
        None => metrics,
    };
    let store = match options.auth {
        Auth::On => store,
        Auth::Off => store.with_metrics(metrics.clone()),
    };
    let observed = observed.map(|observed| match &identity {
        Some(identity) => observed.with_tls(identity.tls.clone()),
        None => observed,
    });
    let deliverer = Deliverer::start(store.database().clone(), client);
    let dax = dax_sockets.and_then(|listeners| {
        let tls = identity.as_ref().map(|identity| identity.tls.clone());
        options.dax.start(listeners, Arc::clone(store.service()), tls)
    });
    let stop_dax = dax.as_ref().map(dax::Running::stopper);
    let encrypted = store.database().is_encrypted();
    greet(&options, &server, Shown { identity: identity.as_ref(), encrypted }, began);
    let (drained, delay) = (store.clone(), Duration::from_secs(options.drain_delay));
    let exporting = exporter.map(|exporter| {
        let metrics = metrics.clone();
        exporter.start(move || {
            let metrics = metrics.clone();
            async move { metrics.gather().await.ok() }
        })
    });
    let observing = observed.map(|observed| Observing::start(observed, metrics));
    let stopped = server
        .run(store.clone(), async move {
            let name = signals.next().await;
            drained.drain();
            if !delay.is_zero() {
                tracing::info!(signal = name, seconds = delay.as_secs(), "not ready any more; stopping later");
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    _ = signals.next() => {}
                }
            }
            tracing::info!(signal = name, "stopping: requests in flight are answered first");
            if let Some(stop_dax) = stop_dax {
                stop_dax.send_replace(true);
            }
            tokio::spawn(async move {
                let name = signals.next().await;
                tracing::warn!(signal = name, "a second signal: ending at once");
                std::process::exit(1);
            });
        })
        .await;
    if let Some(dax) = dax {
        dax.stop().await;
    }
    deliverer.stop().await;
    if let Some(exporting) = exporting {
        exporting.stop().await;
    }
    if let Some(observing) = observing {
        observing.stop().await;
    }
    store.close().await?;
    if let Some(log) = log {
        log.close();
    }
    match stopped {
        Stopped::Clean => tracing::info!("stopped"),
        Stopped::DeadlinePassed => {
            tracing::error!("stopped, but some requests in flight took too long and were dropped")
        }
    }
    Ok(stopped)
}

/// The listener of metrics, which serves until the other has stopped.
struct Observing {
    stop: oneshot::Sender<()>,
    served: JoinHandle<Stopped>,
}

impl Observing {
    fn start(server: Server, metrics: Metrics) -> Self {
        for listening in server.addresses() {
            tracing::info!(address = %listening, "metrics are served at /metrics");
        }
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.run(metrics, async move {
            // An error means that nobody is left to stop it: then it ends too.
            let _ = stopped.await;
        }));
        Self { stop, served }
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.served.await;
    }
}

/// Who may sign requests; `None` when signatures are not asked for.
fn identities(auth: Auth, root: Option<RootKey>) -> Option<Identities> {
    match (auth, root) {
        (Auth::On, Some(RootKey { id, secret })) => Some(Identities::new().with_root(id, secret)),
        (Auth::On, None) => Some(Identities::new()),
        (Auth::Off, Some(_)) => {
            tracing::warn!("an access key of the root is given, but without --auth on nothing is checked against it");
            None
        }
        (Auth::Off, None) => None,
    }
}

/// What the start message says of the server besides its options.
#[derive(Clone, Copy)]
struct Shown<'a> {
    identity: Option<&'a Identity>,
    encrypted: bool,
}

fn greet(options: &ServeOptions, server: &Server, shown: Shown<'_>, began: Instant) {
    let Shown { identity, encrypted } = shown;
    let addresses = server.addresses();
    let data = store::describe(options, encrypted);
    let milliseconds = began.elapsed().as_millis();
    match options.log_format {
        LogFormat::Text => {
            let greeting =
                Greeting { addresses: &addresses, identity, data: &data, auth: options.auth, region: &options.region };
            // A closed standard output is no reason not to serve.
            let mut out = io::stdout().lock();
            let _ = writeln!(out, "{greeting}").and_then(|()| out.flush());
            tracing::debug!(milliseconds, "ready");
        }
        LogFormat::Json => {
            let addresses = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let fingerprint = identity.map(|identity| identity.tls.fingerprint());
            tracing::info!(
                addresses,
                fingerprint,
                data,
                authentication = options.auth == Auth::On,
                region = options.region,
                milliseconds,
                version = env!("CARGO_PKG_VERSION"),
                "ready"
            );
        }
    }
}

/// The signals that ask the server to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}
