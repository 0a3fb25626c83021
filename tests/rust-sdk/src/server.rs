//! A real `partita serve` process with its data in memory, and SDK clients that talk to it.

use std::env;
use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};

const READY_WITHIN: Duration = Duration::from_secs(20);
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// One server process, killed when this goes out of scope.
pub struct Server {
    process: Child,
    endpoint: String,
}

impl Server {
    /// Starts the binary that `PARTITA_BIN` names (by default `target/release/partita` of the repository) on a free
    /// port, and returns when it says that it is ready.
    ///
    /// # Panics
    /// If the binary cannot be started, or is not ready within 20 seconds.
    pub fn start() -> Self {
        let binary = env::var_os("PARTITA_BIN").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/release/partita"),
            PathBuf::from,
        );
        let mut command = Command::new(&binary);
        command.args(["serve", "--in-memory", "--listen", "127.0.0.1:0"]).stdin(Stdio::null()).stdout(Stdio::piped());
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("PARTITA_") {
                command.env_remove(name);
            }
        }
        let mut process = command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", binary.display()));
        let output = process.stdout.take().expect("the output is a pipe");
        let mut server = Self { process, endpoint: String::new() };
        server.endpoint = endpoint_announced(BufReader::new(output).lines());
        server
    }

    /// A DynamoDB client that does not retry, so that a test sees each answer of the server.
    pub fn client(&self) -> aws_sdk_dynamodb::Client {
        self.client_in("us-east-1")
    }

    /// The same as [`Server::client`], in another region.
    pub fn client_in(&self, region: &'static str) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http_client())
            .endpoint_url(&self.endpoint)
            .region(Region::new(region))
            .credentials_provider(credentials())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts())
            .build();
        aws_sdk_dynamodb::Client::from_conf(config)
    }

    /// A DynamoDB Streams client of the same kind as [`Server::client`].
    pub fn streams_client(&self) -> aws_sdk_dynamodbstreams::Client {
        let config = aws_sdk_dynamodbstreams::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http_client())
            .endpoint_url(&self.endpoint)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(credentials())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts())
            .build();
        aws_sdk_dynamodbstreams::Client::from_conf(config)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself, which a test has noticed by then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The URL in the start message. The rest of the output is read and dropped, so that the server never waits for it.
fn endpoint_announced(lines: Lines<BufReader<ChildStdout>>) -> String {
    let (announce, announced) = mpsc::channel();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(url) = line.trim().strip_prefix("Listening on") {
                let _ = announce.send(url.trim().to_owned());
            }
        }
    });
    announced.recv_timeout(READY_WITHIN).expect("the server says where it listens")
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_http()
}

fn credentials() -> Credentials {
    Credentials::new("partita", "partita", None, None, "tests")
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_timeout(ANSWERED_WITHIN).build()
}
