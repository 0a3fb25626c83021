//! The command line and its environment variables. Its doc comments are the `--help` that users read.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use partita_client::{Trust, TrustError};
use partita_server::{AllowedHosts, AllowedOrigins, Config, Exposure, InvalidSetting, ListenAddress, Scheme};
use thiserror::Error;

use crate::admin::AdminOptions;
use crate::check::CheckOptions;
use crate::cluster::{ClusterOptions, Engine};
use crate::copy::CopyCommand;
use crate::dax::DaxOptions;
use crate::encryption::EncryptionOptions;
use crate::insights::InsightsOptions;
use crate::issuers::IssuerFile;
use crate::keyring::KeyringOptions;
use crate::migrate::MigrateOptions;
use crate::places::store_name;
use crate::trigger::TriggerOptions;
use crate::work;

const AFTER_HELP: &str = "\
Exit status:
  0  stopped by a signal, everything in flight answered and stored
  1  could not start, or could not stop cleanly
  2  the command line is wrong

Every option can also be given as the environment variable named with it; lists are separated by commas.
The command line wins.";

/// A self-hosted database that speaks Amazon DynamoDB's API
///
/// Partita answers the requests of any AWS SDK, the AWS CLI and the tools built on them, and keeps the data on this
/// machine.
#[derive(Debug, Parser)]
#[command(name = "partita", version, arg_required_else_help = true, after_long_help = AFTER_HELP)]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server until it is told to stop (SIGTERM, SIGINT or SIGHUP)
    ///
    /// When it is ready, the server prints where it listens, where the data is, and the environment variables that
    /// point AWS SDKs and the AWS CLI at it.
    ///
    /// On SIGTERM, SIGINT or SIGHUP it takes no further requests, answers those in flight (for at most 25 seconds),
    /// writes out what is not on disk yet, and exits. A second signal ends it at once; acknowledged writes are safe even
    /// then, as far as --durability promises.
    #[command(after_long_help = AFTER_HELP)]
    Serve(Box<ServeOptions>),

    /// Deliver the changes of tables to URLs, as Lambda triggers do
    ///
    /// A trigger posts the records of a table's stream to a URL, in the form that Lambda functions receive. These
    /// commands talk to a running server, which delivers.
    Trigger(Box<TriggerOptions>),

    /// Show which keys of a table take the most throughput and which are throttled the most
    ///
    /// Asked of a running server: DynamoDB's contributor insights, with CloudWatch's reports of their rules. Keys are
    /// shown in plain text.
    Insights(Box<InsightsOptions>),

    /// Make, show and delete the access keys of an account's root
    ///
    /// These commands open the data directory themselves, so no server may have it open.
    Admin(Box<AdminOptions>),

    /// Copy a whole database from a data directory into a FoundationDB cluster, or back
    ///
    /// No server may have either of them open. What was interrupted goes on when it is run again; at the end everything is
    /// compared.
    Migrate(Box<MigrateOptions>),

    /// Show and change the root keys of a keyring file, which encrypt what is stored
    ///
    /// A server that uses the file follows within seconds; it need not run.
    Keyring(Box<KeyringOptions>),

    /// Check that a data directory and its backups are whole
    ///
    /// Reads everything: every seal and checksum, every index entry against its item and every item against its entries,
    /// counters, expiry times, streams, history, and backups. No server may have the directory open. Nothing is repaired.
    ///
    /// Exit status: 0 when nothing is wrong, 1 when something is, 2 when it could not be checked.
    Check(Box<CheckOptions>),

    /// Copy tables from one DynamoDB endpoint to another: AWS, DynamoDB Local, Partita, either way
    ///
    /// Definitions with indexes, billing and streams, tags, all items, the changes that are made meanwhile, and time to
    /// live; then both sides are compared. A copy that ends early goes on where it stood when the same command is given
    /// again.
    ///
    /// Credentials come from the environment: PARTITA_FROM_ACCESS_KEY_ID, PARTITA_FROM_SECRET_ACCESS_KEY and
    /// PARTITA_FROM_SESSION_TOKEN, the same with PARTITA_TO_, or AWS_ACCESS_KEY_ID and so on for both; or from a profile
    /// of ~/.aws/credentials.
    ///
    /// Exit status: 0 when everything is copied and both sides are the same, 1 when they differ, 2 when the copy did not
    /// come to its end.
    Copy(Box<CopyCommand>),

    /// Back a table up, and wait until the backup is there
    ///
    /// Talks to a running server, or AWS, which does the work and goes on when the command is stopped.
    Backup(Box<work::Backup>),

    /// Restore a backup, or a table as it was at a second, into a new table, and wait until that can be used
    ///
    /// Talks to a running server, or AWS, which does the work and goes on when the command is stopped.
    Restore(Box<work::Restore>),

    /// Export a table to a bucket, and wait until it is there
    ///
    /// Talks to a running server, or AWS, which does the work and goes on when the command is stopped. The same command
    /// watches an export to the same place that is under way; with --at, within eight hours, one that is done too.
    Export(Box<work::Export>),

    /// Import a new table from a bucket, and wait until it can be used
    ///
    /// Talks to a running server, or AWS, which does the work and goes on when the command is stopped. The same command
    /// within eight hours watches the same import.
    Import(Box<work::Import>),
}

#[derive(Debug, Args)]
pub struct ServeOptions {
    /// Address and port to listen on; may be repeated
    ///
    /// 127.0.0.1:8000, `[::1]:8000`, or localhost:8000 for both of them. Port 0 takes a free one, which the start message
    /// names. With http:// or https:// before it, the address says what is spoken there; without, it is https when there
    /// is a certificate and http otherwise.
    #[arg(
        long,
        env = "PARTITA_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "localhost:8000",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    pub listen: Vec<ListenAddress>,

    /// PEM file of the server's certificate, followed by those that lead to its authority
    ///
    /// Read again within seconds when it changes, without a restart.
    #[arg(
        long,
        env = "PARTITA_TLS_CERT",
        value_name = "FILE",
        value_parser = file,
        help_heading = "Network"
    )]
    pub tls_cert: Option<PathBuf>,

    /// PEM file of the certificate's private key; refused if every user of the machine can read it
    #[arg(
        long,
        env = "PARTITA_TLS_KEY",
        value_name = "FILE",
        value_parser = file,
        help_heading = "Network"
    )]
    pub tls_key: Option<PathBuf>,

    /// Make a certificate that no authority has signed, and keep it in the data directory
    ///
    /// For localhost, 127.0.0.1, ::1, this machine's name, the addresses of --listen and the names of --allowed-host. The
    /// start message tells its fingerprint and how clients are told to trust it.
    #[arg(
        long,
        env = "PARTITA_TLS_SELF_SIGNED",
        action = ArgAction::SetTrue,
        value_parser = switch,
        help_heading = "Network"
    )]
    pub tls_self_signed: bool,

    /// Permit listening beyond this machine although requests are not authenticated
    ///
    /// Everyone who can reach the address can then read and write all data. Without this, an address that other machines
    /// can reach is refused. It is meant for containers and private networks, where something else keeps strangers out.
    #[arg(
        long,
        env = "PARTITA_ALLOW_UNAUTHENTICATED_NETWORK_ACCESS",
        action = ArgAction::SetTrue,
        value_parser = switch,
        help_heading = "Network"
    )]
    pub allow_unauthenticated_network_access: bool,

    /// Whether requests must be signed with an access key that the server knows
    ///
    /// The first key is the root's: made with `partita admin create-root-key`, or given in PARTITA_ROOT_ACCESS_KEY_ID and
    /// PARTITA_ROOT_SECRET_ACCESS_KEY, or in a file with --root-credentials-file.
    #[arg(
        long,
        env = "PARTITA_AUTH",
        value_name = "WHETHER",
        value_enum,
        default_value_t = Auth::Off,
        help_heading = "Security"
    )]
    pub auth: Auth,

    /// File with an access key for the root of account 000000000000, in the form of ~/.aws/credentials
    ///
    /// It must be closed to other users of the machine.
    #[arg(
        long,
        env = "PARTITA_ROOT_CREDENTIALS_FILE",
        value_name = "FILE",
        value_parser = file,
        help_heading = "Security"
    )]
    pub root_credentials_file: Option<PathBuf>,

    /// Origin of web pages that may call the server, such as http://localhost:3000; may be repeated
    ///
    /// `*` allows every web page, which means that any site open in a browser that can reach this server can read and
    /// write all data. Without this option, requests from web pages are refused.
    #[arg(
        long,
        env = "PARTITA_CORS",
        value_name = "ORIGIN",
        value_delimiter = ',',
        value_parser = origin,
        help_heading = "Network"
    )]
    pub cors: Vec<String>,

    /// A further name under which clients may address the server; may be repeated
    ///
    /// A name without port, *.example.com for all names below, or * for any. IP addresses, localhost, names without a
    /// dot (containers, services) and names under .localhost, .local, .internal, .test and .home.arpa are always
    /// allowed. Others are refused, because a web page could have pointed them at this machine (DNS rebinding).
    #[arg(
        long,
        env = "PARTITA_ALLOWED_HOST",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = host,
        help_heading = "Network"
    )]
    pub allowed_host: Vec<String>,

    /// PEM file of certificates to trust, beside the system's, where the server calls others over https
    ///
    /// Receivers of triggers, for example. SSL_CERT_FILE and SSL_CERT_DIR replace the system's.
    #[arg(long, env = "PARTITA_CA_FILE", value_name = "FILE", value_parser = file, help_heading = "Network")]
    pub ca_file: Option<PathBuf>,

    /// Address and port at which metrics are served, and nothing else; may be repeated
    ///
    /// 127.0.0.1:9464, for example: http://127.0.0.1:9464/metrics then has everything in Prometheus' text format. Whoever
    /// reaches it learns the names of all tables and how they are used. Without --auth on, the addresses of --listen have
    /// /metrics too.
    #[arg(
        long,
        env = "PARTITA_METRICS_LISTEN",
        value_name = "ADDRESS:PORT",
        value_delimiter = ',',
        help_heading = "Observation"
    )]
    pub metrics_listen: Vec<ListenAddress>,

    /// The most tables that have metrics of their own
    ///
    /// Of more tables, the first by account, region and name have them.
    #[arg(
        long,
        env = "PARTITA_METRICS_TABLES",
        value_name = "NUMBER",
        default_value_t = 1_000,
        help_heading = "Observation"
    )]
    pub metrics_tables: usize,

    /// Collector of OpenTelemetry that is sent traces and metrics by OTLP over HTTP, such as http://localhost:4318
    ///
    /// Without this OTEL_EXPORTER_OTLP_ENDPOINT names it. OTEL_EXPORTER_OTLP_HEADERS (name=value,…) are sent along, and
    /// OTEL_SERVICE_NAME is how the server is called there.
    #[arg(long, env = "PARTITA_OTLP_ENDPOINT", value_name = "URL", help_heading = "Observation")]
    pub otlp_endpoint: Option<String>,

    /// The share of requests that are traced, from 0 to 1; a client that sends a traceparent has decided
    #[arg(
        long,
        env = "PARTITA_OTLP_TRACE_RATIO",
        value_name = "SHARE",
        default_value = "1",
        value_parser = share,
        help_heading = "Observation"
    )]
    pub otlp_trace_ratio: f64,

    /// Tell each request in the log: its id, operation, table, principal, status, time and bytes, and never values
    #[arg(
        long,
        env = "PARTITA_LOG_REQUESTS",
        action = ArgAction::SetTrue,
        value_parser = switch,
        help_heading = "Log"
    )]
    pub log_requests: bool,

    #[command(flatten)]
    pub place: ClusterOptions,

    /// Directory that holds the data; made if it does not exist. Without meaning with --engine fdb
    #[arg(
        long,
        env = "PARTITA_DATA_DIR",
        value_name = "DIRECTORY",
        default_value = "./partita-data",
        help_heading = "Storage"
    )]
    pub data_dir: PathBuf,

    /// Keep all data in memory; it is gone when the server ends. --data-dir is not used then
    #[arg(
        long,
        env = "PARTITA_IN_MEMORY",
        action = ArgAction::SetTrue,
        value_parser = switch,
        help_heading = "Storage"
    )]
    pub in_memory: bool,

    /// When a write counts as done
    #[arg(
        long,
        env = "PARTITA_DURABILITY",
        value_name = "WHEN",
        value_enum,
        default_value_t = Durability::Sync,
        help_heading = "Storage"
    )]
    pub durability: Durability,

    /// Directory for backups, or URL of a bucket; without this `backups` in the data directory, and none with --engine
    /// fdb
    ///
    /// On another disk or in a bucket, backups survive the loss of the data directory: a new server that is given the
    /// same place finds them again. A bucket of any service that speaks S3's API is named as --bucket does. All nodes of a cluster
    /// are given the same. With
    /// --in-memory, backups are in memory unless this is given.
    #[arg(
        long,
        env = "PARTITA_BACKUP_STORE",
        value_name = "DIRECTORY|URL",
        value_parser = store_name,
        help_heading = "Storage"
    )]
    pub backup_store: Option<String>,

    /// A bucket that exports can go to and imports come from, as `exports=/mnt/exports`; may be repeated
    ///
    /// NAME is what requests call it. Behind it is a directory, or a bucket of a service that speaks S3's API:
    /// `s3+https://HOST[:PORT]/BUCKET[/PREFIX]?region=REGION`, or `s3://BUCKET?region=REGION` for AWS's own. Its access key
    /// is in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in a file as the AWS CLI has it:
    /// `&credentials=FILE&profile=NAME`. Other buckets do not exist.
    #[arg(
        long,
        env = "PARTITA_BUCKET",
        value_name = "NAME=DIRECTORY|URL",
        value_delimiter = ',',
        help_heading = "Storage"
    )]
    pub bucket: Vec<String>,

    /// Memory for caching data, such as 512MiB or 4GiB
    ///
    /// Without this the storage engine chooses.
    #[arg(long, env = "PARTITA_CACHE_SIZE", value_name = "SIZE", value_parser = size, help_heading = "Storage")]
    pub cache_size: Option<u64>,

    #[command(flatten)]
    pub at_rest: EncryptionOptions,

    /// Seconds between the signal to stop and the end of service, in which /health/ready says no
    ///
    /// Time for load balancers to send requests elsewhere.
    #[arg(
        long,
        env = "PARTITA_DRAIN_DELAY",
        value_name = "SECONDS",
        default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(0..=3_600),
        help_heading = "Network"
    )]
    pub drain_delay: u64,

    #[command(flatten)]
    pub dax: DaxOptions,

    /// Region of requests that do not name one, and of the exports in the start message
    ///
    /// A signed request names its region; each region has tables of its own.
    #[arg(
        long,
        env = "PARTITA_REGION",
        value_name = "REGION",
        default_value = "us-east-1",
        value_parser = region
    )]
    pub region: String,

    /// Whether requests beyond a table's throughput are refused; on where requests are authenticated, otherwise off
    ///
    /// Provisioned units with 300 seconds of burst, of tables and global indexes, and the maximums of on-demand mode.
    #[arg(long, env = "PARTITA_THROTTLING", value_name = "WHETHER", value_enum, help_heading = "Behavior")]
    pub throttling: Option<Throttling>,

    /// Keep to limits that the service has for its own sake
    ///
    /// Time to live can then be changed once an hour only, throughput can be lowered four times a day and once an hour more,
    /// and a table can be switched to on-demand mode four times a day. With --throttling on, a partition key takes 3,000 reads
    /// and 1,000 writes a second, and an on-demand table grows to double its peak in 30 minutes. Without this the limits that mean nothing on one's own machine
    /// do not exist.
    #[arg(
        long,
        env = "PARTITA_EMULATE_AWS_LIMITS",
        action = ArgAction::SetTrue,
        value_parser = switch,
        help_heading = "Behavior"
    )]
    pub emulate_aws_limits: bool,

    /// Let clients move the clock on, for tests of what takes hours; on loopback addresses only
    ///
    /// The operation Partita_20261122.AdvanceClock with {"Seconds": 3600} ages streams, iterators, client tokens and times
    /// to live by an hour, until the server ends.
    #[arg(
        long,
        env = "PARTITA_TEST_CLOCK",
        action = ArgAction::SetTrue,
        value_parser = switch,
        help_heading = "Behavior"
    )]
    pub test_clock: bool,

    /// Keys of an OpenID Connect issuer, as `https://id.example.com=keys.json`; may be repeated
    ///
    /// A file with the issuer's JSON Web Key Set, for networks in which the issuer can not be asked. Other issuers are
    /// asked for their keys, over https. Whose tokens are believed is decided by `aws iam create-open-id-connect-provider`.
    #[arg(long, env = "PARTITA_OIDC_JWKS_FILE", value_name = "ISSUER=FILE", value_delimiter = ',')]
    pub oidc_jwks_file: Vec<IssuerFile>,

    /// File in which each call of the control plane is told, one JSON object a line; - for standard output
    ///
    /// In the shape of CloudTrail's records: who, what, from where, with what outcome; never keys, items or secrets. A
    /// file that is moved away is opened anew.
    #[arg(long, env = "PARTITA_AUDIT_LOG", value_name = "FILE", value_parser = file, help_heading = "Log")]
    pub audit_log: Option<PathBuf>,

    /// Tell calls on items in the audit log too: reads and writes, without keys and values
    #[arg(
        long,
        env = "PARTITA_AUDIT_DATA_EVENTS",
        action = ArgAction::SetTrue,
        value_parser = switch,
        help_heading = "Log"
    )]
    pub audit_data_events: bool,

    /// Form of log messages, which go to standard error
    #[arg(
        long,
        env = "PARTITA_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value_t = LogFormat::Text,
        help_heading = "Log"
    )]
    pub log_format: LogFormat,

    /// Least important messages that are logged. No level logs keys, items or credentials
    #[arg(
        long,
        env = "PARTITA_LOG_LEVEL",
        value_name = "LEVEL",
        value_enum,
        default_value_t = LogLevel::Info,
        help_heading = "Log"
    )]
    pub log_level: LogLevel,
}

/// Whether requests must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// A request whose signature is not right is refused
    On,
    /// Everyone who reaches the server may do everything; credentials name region and account only
    Off,
}

/// Whether requests beyond a table's throughput are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Throttling {
    /// A table serves what it is provisioned for
    On,
    /// Throughput is only counted
    Off,
}

/// When a write counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    /// When it is on disk: survives power loss
    Sync,
    /// At once, on disk within moments: survives the end of the process, power loss may cost the last of them
    Interval,
    /// At once, on disk when the system likes: survives the end of the process
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line; the start message becomes one too
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing
    Off,
    /// What needs someone to act
    Error,
    /// What may need someone to act
    Warn,
    /// Starting and stopping
    Info,
    /// Every request, without its contents
    Debug,
    /// Everything
    Trace,
}

impl ServeOptions {
    /// Whether requests beyond a table's throughput are refused.
    pub fn throttles(&self) -> bool {
        match self.throttling {
            Some(throttling) => throttling == Throttling::On,
            None => self.auth == Auth::On,
        }
    }

    /// Refuses what can not work on several nodes.
    pub fn check_place(&self) -> Result<(), Unclear> {
        self.place.check_keys(&self.at_rest)?;
        if self.place.engine == Engine::Rocksdb {
            return Ok(());
        }
        let refused = [
            (self.in_memory, "--in-memory"),
            (self.durability != Durability::Sync, "--durability: a cluster acknowledges what is on disk,"),
            (self.cache_size.is_some(), "--cache-size: FoundationDB's processes cache,"),
            (self.tls_self_signed, "--tls-self-signed: all nodes need certificates that clients believe,"),
        ];
        match refused.into_iter().find(|(given, _)| *given) {
            Some((_, what)) => Err(Unclear::NotInCluster(what)),
            None => Ok(()),
        }
    }

    /// Where the server's certificate comes from, if it has one.
    pub fn certificate(&self) -> Result<Option<Certificate<'_>>, Unclear> {
        match (named(&self.tls_cert), named(&self.tls_key), self.tls_self_signed) {
            (None, None, false) => Ok(None),
            (None, None, true) => Ok(Some(Certificate::SelfSigned)),
            (Some(certificate), Some(key), false) => Ok(Some(Certificate::Files { certificate, key })),
            (Some(_), Some(_), true) => Err(Unclear::Two),
            (Some(_), None, _) | (None, Some(_), _) => Err(Unclear::Half),
        }
    }

    /// The server's part of the options.
    pub fn server(&self) -> Result<Config, Unclear> {
        let scheme = if self.certificate()?.is_some() { Scheme::Https } else { Scheme::Http };
        if scheme == Scheme::Http && self.listen.iter().any(|address| address.scheme == Some(Scheme::Https)) {
            return Err(Unclear::NoCertificate);
        }
        if scheme == Scheme::Http && self.dax.needs_certificate() {
            return Err(Unclear::NoDaxCertificate);
        }
        Ok(Config {
            listen: self.listen.clone(),
            scheme,
            exposure: match self.auth {
                Auth::On => Exposure::Authenticated,
                Auth::Off if self.allow_unauthenticated_network_access => Exposure::AnyNetwork,
                Auth::Off => Exposure::ThisMachine,
            },
            region: self.region.clone(),
            origins: AllowedOrigins::parse(self.cors.iter().filter(|origin| !origin.is_empty()))?,
            hosts: AllowedHosts::parse(self.allowed_host.iter().filter(|host| !host.is_empty()))?,
            ..Config::default()
        })
    }
}

/// The configuration of the listener of metrics, if there is one.
impl ServeOptions {
    pub fn metrics_server(&self) -> Result<Option<Config>, Unclear> {
        if self.metrics_listen.is_empty() {
            return Ok(None);
        }
        let config = self.server()?;
        Ok(Some(Config {
            listen: self.metrics_listen.clone(),
            scheme: Scheme::Http,
            exposure: Exposure::FiguresOnly,
            origins: AllowedOrigins::default(),
            ..config
        }))
    }
}

/// Where the server's certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate<'a> {
    /// Two files.
    Files { certificate: &'a Path, key: &'a Path },
    /// It is made.
    SelfSigned,
}

/// Options that do not go together. The text is for the operator.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Unclear {
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    #[error("--tls-cert and --tls-key are given together: the certificate, and the key that belongs to it")]
    Half,
    #[error("there is either a certificate of yours (--tls-cert, --tls-key) or a --tls-self-signed one")]
    Two,
    #[error(
        "--engine fdb: every node needs the same root keys. Give each --keyring with a copy of one file (made with `partita \
         keyring add`), or a key management service with --kms-endpoint, or store plain with --encryption off"
    )]
    KeysOfOneNode,
    #[error("{0} does not go together with --engine fdb")]
    NotInCluster(&'static str),
    #[error("--listen https://… needs a certificate: --tls-cert with --tls-key, or --tls-self-signed")]
    NoCertificate,
    #[error("--dax-listen daxs://… needs a certificate: --tls-cert with --tls-key, or --tls-self-signed")]
    NoDaxCertificate,
}

/// A switch in the environment. Set but empty is off, as container tools pass variables that nobody set.
fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "" | "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

/// A part of a whole.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "not a number from 0 to 1".to_owned())
}

fn origin(text: &str) -> Result<String, InvalidSetting> {
    if !text.is_empty() {
        AllowedOrigins::parse([text])?;
    }
    Ok(text.to_owned())
}

fn host(text: &str) -> Result<String, InvalidSetting> {
    if !text.is_empty() {
        AllowedHosts::parse([text])?;
    }
    Ok(text.to_owned())
}

/// A file. None is named by an empty variable, see [`named`].
pub fn file(text: &str) -> Result<PathBuf, Infallible> {
    Ok(text.into())
}

/// The file that an option names, if it does.
pub fn named(file: &Option<PathBuf>) -> Option<&Path> {
    file.as_deref().filter(|file| !file.as_os_str().is_empty())
}

/// Whose certificates are believed: the system's and those of `ca_file`.
pub fn trust(ca_file: &Option<PathBuf>) -> Result<Trust, TrustError> {
    named(ca_file).map_or_else(|| Ok(Trust::system()), Trust::with_ca_file)
}

pub fn region(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("a region has lower-case letters, digits and dashes, as us-east-1".to_owned())
    }
}

/// Bytes: a number with an optional unit. `KB`, `MB`, `GB` and single letters mean powers of 1,024 like `KiB`.
pub fn size(text: &str) -> Result<u64, String> {
    const WRONG: &str = "not a size such as 512MiB or 4GiB";
    let text = text.trim();
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().map_err(|_| WRONG)?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(WRONG.to_owned()),
    };
    number.checked_mul(1 << shift).ok_or_else(|| WRONG.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn serve(arguments: &[&str]) -> Result<ServeOptions, clap::Error> {
        let all = ["partita", "serve"].iter().chain(arguments);
        Options::try_parse_from(all).map(|options| match options.command {
            Command::Serve(options) => *options,
            _ => panic!("not a server"),
        })
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn every_option_has_its_environment_variable() {
        let command = Options::command();
        let serve = command.find_subcommand("serve").unwrap();
        for argument in serve.get_arguments() {
            let name = argument.get_id().as_str();
            if name == "help" {
                continue;
            }
            let expected = format!("PARTITA_{}", name.to_ascii_uppercase());
            assert_eq!(argument.get_env().and_then(|env| env.to_str()), Some(expected.as_str()));
        }
    }

    #[test]
    fn defaults_are_loopback_sync_and_us_east_1() {
        let options = serve(&[]).unwrap();
        assert_eq!(options.listen, ["localhost:8000".parse().unwrap()]);
        assert_eq!(options.server().unwrap().scheme, Scheme::Http);
        assert_eq!(options.durability, Durability::Sync);
        assert_eq!(options.region, "us-east-1");
        assert!(!options.allow_unauthenticated_network_access && !options.in_memory);
        assert_eq!(options.server().unwrap().exposure, Exposure::ThisMachine);
    }

    #[test]
    fn throttling_is_on_with_authentication_unless_it_is_said() {
        for (arguments, on) in [
            (&[][..], false),
            (&["--auth", "on"], true),
            (&["--auth", "on", "--throttling", "off"], false),
            (&["--throttling", "on"], true),
        ] {
            assert_eq!(serve(arguments).unwrap().throttles(), on, "{arguments:?}");
        }
    }

    #[test]
    fn with_authentication_any_address_may_be_listened_on() {
        let options = serve(&["--auth", "on", "--listen", "0.0.0.0:8000"]).unwrap();
        assert_eq!(options.server().unwrap().exposure, Exposure::Authenticated);
    }

    #[test]
    fn addresses_repeat_and_replace_the_default() {
        let options = serve(&["--listen", "127.0.0.1:0", "--listen", "[::1]:9000,127.0.0.1:9001"]).unwrap();
        assert_eq!(options.listen.len(), 3);
    }

    #[test]
    fn a_certificate_makes_bare_addresses_https_and_https_needs_one() {
        for arguments in [&["--tls-cert", "a", "--tls-key", "b"][..], &["--tls-self-signed"]] {
            assert_eq!(serve(arguments).unwrap().server().unwrap().scheme, Scheme::Https);
        }
        for (arguments, why) in [
            (&["--listen", "https://127.0.0.1:1"][..], Unclear::NoCertificate),
            (&["--tls-cert", "a", "--tls-key", ""], Unclear::Half),
            (&["--tls-key", "a"], Unclear::Half),
            (&["--tls-cert", "a", "--tls-key", "b", "--tls-self-signed"], Unclear::Two),
        ] {
            assert_eq!(serve(arguments).unwrap().server().unwrap_err(), why);
        }
    }

    #[test]
    fn wrong_values_are_refused() {
        for wrong in [
            ["--listen", "here"],
            ["--durability", "maybe"],
            ["--cors", "localhost:3000"],
            ["--allowed-host", "a:80"],
            ["--region", "US East"],
            ["--cache-size", "much"],
            ["--log-level", "loud"],
            ["--auth", "maybe"],
        ] {
            assert!(serve(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_cluster_takes_what_every_node_can_have() {
        let check = |more: &[&str]| {
            let options = serve(&[&["--engine", "fdb", "--cluster-file", "fdb.cluster"], more].concat()).unwrap();
            options.check_place()
        };
        assert_eq!(check(&[]), Err(Unclear::KeysOfOneNode));
        for keys in [&["--keyring", "k"][..], &["--encryption", "off"], &["--kms-endpoint", "u", "--kms-key-id", "k"]] {
            assert_eq!(check(keys), Ok(()));
        }
        for wrong in [&["--in-memory"][..], &["--tls-self-signed"], &["--durability", "none"], &["--cache-size", "1"]] {
            let found = check(&[&["--encryption", "off"], wrong].concat());
            assert!(matches!(found, Err(Unclear::NotInCluster(_))), "{wrong:?}");
        }
        assert!(serve(&["--key-prefix", "with spaces"]).is_err());
        assert_eq!(serve(&["--in-memory"]).unwrap().check_place(), Ok(()));
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("0", 0), ("1024", 1024), ("8k", 8192), ("512MiB", 512 << 20), ("4 GB", 4 << 30)] {
            assert_eq!(size(text), Ok(bytes));
        }
        for wrong in ["", "MiB", "-1", "1.5G", "1 parsec", "99999999999T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_empty_switch_is_off() {
        assert_eq!(switch(""), Ok(false));
        assert_eq!(switch("1"), Ok(true));
        assert!(switch("maybe").is_err());
    }
}
