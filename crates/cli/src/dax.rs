//! `partita serve` as a node of DAX: the options, and the node's start and end beside the server's.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use partita_api::{DaxCluster, Service};
use partita_dax::{Advertised, AdvertisedAddress, DaxAddress, DaxListening, Listeners, Node, Settings};
use partita_server::{Exposure, StartError, Tls};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What DAX gives its parameter groups.
const DEFAULT_TTL: Duration = Duration::from_secs(300);

/// The name of the cluster, as the management API shows it.
const CLUSTER: &str = "partita";

/// What is there where `--dax-listen` is not given: nothing, and it costs nothing.
#[derive(Debug, Args)]
pub struct DaxOptions {
    /// Address and port to speak DAX's protocol on, for its clients; may be repeated
    ///
    /// 127.0.0.1:8111, or daxs://127.0.0.1:9111 for clients over TLS, who are shown the certificate of --tls-cert or
    /// --tls-self-signed. DAX's own ports are 8111 and 9111. The rules of --listen hold here too.
    #[arg(long, env = "PARTITA_DAX_LISTEN", value_name = "ADDRESS:PORT", value_delimiter = ',', help_heading = "DAX")]
    pub dax_listen: Vec<Given<DaxAddress>>,

    /// Address that DAX's clients are told to connect to; may be repeated
    ///
    /// dax.example.com:8111, or daxs://dax.example.com:9111 for clients over TLS. Without this they are told the address
    /// that they have reached, which is right unless something between them and the server changes addresses.
    #[arg(long, env = "PARTITA_DAX_ADVERTISE", value_name = "HOST:PORT", value_delimiter = ',', help_heading = "DAX")]
    pub dax_advertise: Vec<Given<AdvertisedAddress>>,

    /// Seconds for which DAX answers an item without reading it again; 0 until it is written
    ///
    /// Writes on this node are seen at once, whichever way they come.
    #[arg(
        long,
        env = "PARTITA_DAX_ITEM_TTL",
        value_name = "SECONDS",
        default_value_t = DEFAULT_TTL.as_secs(),
        help_heading = "DAX"
    )]
    pub dax_item_ttl: u64,

    /// Seconds for which DAX answers a query or scan without executing it again; 0 not at all
    ///
    /// No write is seen before.
    #[arg(
        long,
        env = "PARTITA_DAX_QUERY_TTL",
        value_name = "SECONDS",
        default_value_t = DEFAULT_TTL.as_secs(),
        help_heading = "DAX"
    )]
    pub dax_query_ttl: u64,

    /// Memory for what DAX keeps, such as 512MiB or 4GiB
    #[arg(
        long,
        env = "PARTITA_DAX_CACHE_BYTES",
        value_name = "SIZE",
        default_value = "256MiB",
        value_parser = crate::options::size,
        help_heading = "DAX"
    )]
    pub dax_cache_bytes: u64,
}

/// An element of a list, or nothing: container tools pass variables that nobody set.
#[derive(Clone, Debug)]
pub struct Given<T>(Option<T>);

impl<T: FromStr> FromStr for Given<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        Ok(Self(if text.is_empty() { None } else { Some(text.parse()?) }))
    }
}

/// The elements that are given.
fn given<T: Clone>(list: &[Given<T>]) -> Vec<T> {
    list.iter().filter_map(|Given(element)| element.clone()).collect()
}

impl DaxOptions {
    /// Whether any address needs a certificate.
    pub fn needs_certificate(&self) -> bool {
        given(&self.dax_listen).iter().any(|address| address.secured)
    }

    /// Opens the sockets; none if there is no address.
    pub fn bind(&self, exposure: Exposure) -> Result<Option<Listeners>, StartError> {
        let addresses = given(&self.dax_listen);
        if addresses.is_empty() {
            return Ok(None);
        }
        let listeners = Listeners::bind(&addresses, exposure)?;
        for listening in listeners.addresses() {
            if !listening.secured && !listening.address.ip().to_canonical().is_loopback() {
                tracing::warn!(%listening, "not encrypted: everyone on the way there can read what is sent");
            }
        }
        Ok(Some(listeners))
    }

    fn settings(&self) -> Settings {
        Settings {
            item_ttl_ms: self.dax_item_ttl.saturating_mul(1_000),
            query_ttl_ms: self.dax_query_ttl.saturating_mul(1_000),
            bytes: self.dax_cache_bytes,
        }
    }

    /// What the management API shows.
    fn shown(&self, first: DaxListening) -> DaxCluster {
        let advertised = given(&self.dax_advertise).into_iter().find(|address| address.secured == first.secured);
        let (host, port) = match advertised {
            Some(address) => (address.host, address.port),
            None => (first.address.ip().to_canonical().to_string(), first.address.port()),
        };
        let Settings { item_ttl_ms, query_ttl_ms, .. } = self.settings();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        DaxCluster { name: CLUSTER.to_owned(), host, port, secured: first.secured, item_ttl_ms, query_ttl_ms, started }
    }

    /// Starts the node.
    pub fn start(&self, listeners: Listeners, service: Arc<Service>, tls: Option<Tls>) -> Option<Running> {
        if let Some(first) = listeners.addresses().first() {
            service.show_dax(self.shown(*first));
        }
        let node = Node::new(service, self.settings(), Advertised(given(&self.dax_advertise)))?;
        let (stop, stopping) = watch::channel(false);
        let serving = tokio::spawn(async move { listeners.run(node, tls.as_ref(), stopping).await });
        Some(Running { stop: Arc::new(stop), serving })
    }
}

/// A node that serves.
#[derive(Debug)]
pub struct Running {
    stop: Arc<watch::Sender<bool>>,
    serving: JoinHandle<()>,
}

impl Running {
    /// What lets no more requests come once it is sent `true`.
    pub fn stopper(&self) -> Arc<watch::Sender<bool>> {
        Arc::clone(&self.stop)
    }

    /// Ends when those in flight are answered.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.serving.await {
            tracing::error!(%error, "the DAX node has ended early");
        }
    }
}
