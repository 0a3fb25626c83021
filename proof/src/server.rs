//! A real `partita serve` process on a data directory: started, killed, started again.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a start may take, recovery included, on a crowded machine.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// The binary: `PARTITA_BIN`, or the one built beside this program.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("PARTITA_BIN") {
        return path.into();
    }
    let program = std::env::current_exe().unwrap();
    let beside =
        program.ancestors().skip(1).take(2).map(|directory| directory.join("partita")).find(|path| path.is_file());
    beside.unwrap_or_else(|| panic!("no binary: build it (cargo build --release -p partita) or set PARTITA_BIN"))
}

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Where the data is; `None` for a server in memory.
    pub data: Option<PathBuf>,
    /// Further arguments of `serve`.
    pub arguments: Vec<String>,
    /// Further environment variables.
    pub environment: Vec<(String, String)>,
    /// Shell commands before the program takes the shell's place, such as `ulimit -n 64`.
    pub limits: String,
}

impl Setting {
    /// Data in this directory, everything else as usual.
    #[must_use]
    pub fn directory(data: &Path) -> Self {
        Self { data: Some(data.to_owned()), arguments: Vec::new(), environment: Vec::new(), limits: String::new() }
    }

    /// Data in memory.
    #[must_use]
    pub const fn memory() -> Self {
        Self { data: None, arguments: Vec::new(), environment: Vec::new(), limits: String::new() }
    }

    /// The same with one more argument of `serve`.
    #[must_use]
    pub fn with(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// The same with one more environment variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }
}

/// A running server. Killed when dropped.
pub struct Server {
    setting: Setting,
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    _log_directory: tempfile::TempDir,
}

impl Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// What it printed, when it ended or did not answer.
    pub fn start(setting: Setting) -> Result<Self, String> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let log_directory = tempfile::tempdir().unwrap();
        let log = log_directory.path().join("log");
        let child = spawn(&setting, address, &log);
        let mut server = Self { setting, child, address, log, _log_directory: log_directory };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }

    /// Waits until it has ended by itself; whether it did, in this time.
    pub fn ended_within(&mut self, patience: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < patience {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Starts it again on the same port and data, with other settings.
    ///
    /// # Errors
    /// As for `start`.
    pub fn start_again(&mut self, setting: Setting) -> Result<(), String> {
        self.kill();
        self.setting = setting;
        self.child = spawn(&self.setting, self.address, &self.log);
        self.wait_until_ready()
    }

    /// How it was started.
    #[must_use]
    pub const fn setting(&self) -> &Setting {
        &self.setting
    }

    /// What the process has printed since it was started.
    #[must_use]
    pub fn output(&self) -> String {
        let mut said = Vec::new();
        let _ = File::open(&self.log).and_then(|mut file| file.read_to_end(&mut said));
        String::from_utf8_lossy(&said).into_owned()
    }

    /// The status and text of `GET` on this path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").as_bytes())
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < START_PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the server ended with {status}:\n{}", self.output()));
            }
            if self.get("/").is_some_and(|(status, _)| status == 200) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err(format!("the server did not answer within {START_PATIENCE:?}:\n{}", self.output()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(setting: &Setting, address: SocketAddr, log: &Path) -> Child {
    let out = File::create(log).unwrap();
    let mut command = if setting.limits.is_empty() {
        Command::new(binary())
    } else {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{}; exec \"$0\" \"$@\"", setting.limits)]).arg(binary());
        shell
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PARTITA_") {
            command.env_remove(name);
        }
    }
    command.args(["serve", "--listen", &address.to_string()]);
    match &setting.data {
        Some(data) => command.arg("--data-dir").arg(data),
        None => command.arg("--in-memory"),
    };
    command.args(&setting.arguments).envs(setting.environment.iter().cloned());
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap()
}
