//! The servers that are compared: where each is found, how it is started, filled and stopped.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::workload::Table;
use crate::{Result, failure};

/// How long a server may take to answer after its start.
const START: Duration = Duration::from_secs(60);
/// How long a server may take to end when asked to.
const STOP: Duration = Duration::from_secs(10);

/// A server to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    Bare,
    PartitaMemory,
    PartitaSync,
    PartitaNone,
    DynoxideMemory,
    DynoxideDisk,
    DynamoDbLocal,
    Dynalite,
}

impl Target {
    pub const ALL: [Self; 8] = [
        Self::Bare,
        Self::PartitaMemory,
        Self::PartitaSync,
        Self::PartitaNone,
        Self::DynoxideMemory,
        Self::DynoxideDisk,
        Self::DynamoDbLocal,
        Self::Dynalite,
    ];

    /// Its name on the command line.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::PartitaMemory => "partita-memory",
            Self::PartitaSync => "partita-sync",
            Self::PartitaNone => "partita-none",
            Self::DynoxideMemory => "dynoxide-memory",
            Self::DynoxideDisk => "dynoxide-disk",
            Self::DynamoDbLocal => "dynamodb-local",
            Self::Dynalite => "dynalite",
        }
    }

    /// Its name in the report.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Bare => "bare hyper",
            Self::PartitaMemory => "Partita in memory",
            Self::PartitaSync => "Partita sync",
            Self::PartitaNone => "Partita none",
            Self::DynoxideMemory => "dynoxide in memory",
            Self::DynoxideDisk => "dynoxide on disk",
            Self::DynamoDbLocal => "DynamoDB Local in memory",
            Self::Dynalite => "dynalite in memory",
        }
    }
}

/// Where programs and their data are.
pub struct Places {
    /// The `partita` binary.
    pub partita: PathBuf,
    /// Where peers were installed.
    pub cache: PathBuf,
    /// For the data of this run.
    pub scratch: PathBuf,
}

impl Places {
    /// What starts a target on this port; an error that says how to get it when it is not there.
    fn command(&self, target: Target, port: u16, bare_bytes: usize) -> Result<Command> {
        let partita = |arguments: &[&str]| {
            let mut command = Command::new(present(&self.partita, "cargo build --release --package partita")?);
            command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]).args(arguments);
            Ok::<_, crate::Error>(command)
        };
        let data = self.scratch.join(target.id());
        let data_text = data.to_string_lossy().into_owned();
        let dynoxide = |arguments: &[&str]| {
            let program = self.cache.join("dynoxide/bin/dynoxide");
            let how = "cargo install dynoxide-rs --version 3.2.0 --locked --root .cache/dynoxide";
            let mut command = Command::new(present(&program, how)?);
            command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()]).args(arguments);
            Ok::<_, crate::Error>(command)
        };
        Ok(match target {
            Target::Bare => {
                let mut command = Command::new(env::current_exe()?);
                command.args(["bare", "--listen", &format!("127.0.0.1:{port}")]);
                command.args(["--answer-bytes", &bare_bytes.to_string()]);
                command
            }
            Target::PartitaMemory => partita(&["--in-memory"])?,
            Target::PartitaSync => partita(&["--data-dir", &data_text, "--durability", "sync"])?,
            Target::PartitaNone => partita(&["--data-dir", &data_text, "--durability", "none"])?,
            Target::DynoxideMemory => dynoxide(&[])?,
            Target::DynoxideDisk => dynoxide(&["--db-path", &data_text])?,
            Target::DynamoDbLocal => {
                let jar = self.dynamodb_local().unwrap_or_default();
                let jar = present(&jar, "scripts/test differential (which fetches it into .cache)")?;
                let home = jar.parent().ok_or_else(|| failure("DynamoDBLocal.jar has no directory"))?;
                let mut command = Command::new("java");
                command.current_dir(home).args([
                    "-Djava.library.path=./DynamoDBLocal_lib",
                    "-jar",
                    "DynamoDBLocal.jar",
                ]);
                command.args(["-inMemory", "-sharedDb", "-disableTelemetry", "-port", &port.to_string()]);
                command
            }
            Target::Dynalite => {
                let script = self.cache.join("dynalite/node_modules/dynalite/cli.js");
                let how = "npm install --prefix .cache/dynalite dynalite@4";
                let mut command = Command::new("node");
                command.arg(present(&script, how)?).args(["--port", &port.to_string(), "--createTableMs", "0"]);
                command
            }
        })
    }

    /// The newest DynamoDB Local in the cache.
    fn dynamodb_local(&self) -> Option<PathBuf> {
        let versions = fs::read_dir(&self.cache).ok()?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let named =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("dynamodb-local"));
        let newest = versions.filter(named).max()?;
        Some(newest.join("package/emulator/DynamoDBLocal.jar"))
    }

    /// Starts a target and waits until it listens.
    pub async fn start(&self, target: Target, bare_bytes: usize) -> Result<Server> {
        let port = free_port()?;
        launch(target, port, self.command(target, port, bare_bytes)?).await
    }

    /// Starts Partita as for a large database: on disk, with a cache of 512 MB.
    pub async fn start_partita_with_cache(&self) -> Result<Server> {
        let port = free_port()?;
        let mut command = self.command(Target::PartitaNone, port, 0)?;
        command.args(["--cache-size", "512MiB"]);
        launch(Target::PartitaNone, port, command).await
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn launch(target: Target, port: u16, mut command: Command) -> Result<Server> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PARTITA_") {
            command.env_remove(name);
        }
    }
    let began = Instant::now();
    let mut server =
        Server { child: command.spawn()?, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), started: began };
    while Client::connect(server.address).await.is_err() {
        if let Some(status) = server.child.try_wait()? {
            return Err(failure(format!("{} ended at once: {status}", target.title())));
        }
        if began.elapsed() > START {
            return Err(failure(format!("{} does not answer", target.title())));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(server)
}

fn present<'p>(path: &'p Path, how: &str) -> Result<&'p Path> {
    if path.is_file() { Ok(path) } else { Err(failure(format!("not there; to have it: {how}"))) }
}

/// A running server. It ends when this is dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// When it was started.
    pub started: Instant,
}

impl Server {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many bytes the answer to a request has.
    pub async fn answer_bytes(&self, operation: &str, body: &str) -> Result<usize> {
        let mut client = Client::connect(self.address).await?;
        Ok(expect(&mut client, operation, body).await?.len())
    }

    /// Ends it in good order, so that its data can be opened again at once.
    pub async fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let patience = Instant::now();
        while self.child.try_wait()?.is_none() && patience.elapsed() < STOP {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a table and puts its items. `connections` write at a time.
pub async fn fill(address: SocketAddr, table: Table, connections: u64) -> Result<()> {
    let mut client = Client::connect(address).await?;
    expect(&mut client, "CreateTable", &table.creation()).await?;
    let name = format!(r#"{{"TableName":"{}"}}"#, table.name);
    let patience = Instant::now();
    while !expect(&mut client, "DescribeTable", &name).await?.contains("\"ACTIVE\"") {
        if patience.elapsed() > START {
            return Err(failure(format!("the table {} does not become active", table.name)));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..connections {
        let mut client = Client::connect(address).await?;
        writers.spawn(async move {
            let mut random = fastrand::Rng::with_seed(writer);
            let mut from = writer * 25;
            while from < table.total() {
                let answer = expect(&mut client, "BatchWriteItem", &table.filling(from, &mut random)).await?;
                if answer.contains("PutRequest") {
                    return Err(failure("a BatchWriteItem was not processed whole"));
                }
                from += 25 * connections;
            }
            Ok(())
        });
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    Ok(())
}

async fn expect(client: &mut Client, operation: &str, body: &str) -> Result<String> {
    let answer = client.call(operation, body).await?;
    let text = String::from_utf8_lossy(answer.body).into_owned();
    if answer.status == 200 { Ok(text) } else { Err(failure(format!("{operation} was refused: {text}"))) }
}
