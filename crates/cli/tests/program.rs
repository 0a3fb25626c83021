//! The program as its user meets it: start message, exit codes, signals, and what it costs at rest.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is test code, also outside the test functions"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// A directory of its own for one test, gone afterwards.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("partita-program-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn partita(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_partita"));
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Server {
    process: Child,
    message: String,
    port: u16,
    ready_after: Duration,
}

impl Server {
    /// A server on a free port that has said that it is ready.
    fn start(directory: &Path, further: &[&str]) -> Self {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", directory.to_str().unwrap()];
        let began = Instant::now();
        let mut process = partita(&[&arguments, further].concat()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut message = String::new();
        while !message.contains("AWS_SECRET_ACCESS_KEY") {
            let Some(line) = lines.next() else {
                panic!("not ready: {:?}", process.wait_with_output());
            };
            message += &line.unwrap();
            message += "\n";
        }
        let ready_after = began.elapsed();
        let (_, rest) = message.split_once("http://127.0.0.1:").unwrap();
        let port = rest.lines().next().unwrap().parse().unwrap();
        Self { process, message, port, ready_after }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    fn resident_bytes(&self) -> usize {
        self.memory("VmRSS:")
    }

    /// A figure of the process's memory by its name in proc(5).
    fn memory(&self, name: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    fn stop(mut self, signal: &str) -> ExitStatus {
        let killed = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(killed.success());
        self.process.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = partita(arguments).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_start_message_has_everything_and_sigterm_ends_with_0() {
    let directory = Directory::new("start");
    let server = Server::start(&directory.0, &["--region", "eu-west-1"]);
    for expected in [
        &format!("export AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:{}\n", server.port),
        &format!("export AWS_ENDPOINT_URL_DYNAMODB_STREAMS=http://127.0.0.1:{}\n", server.port),
        "AWS_REGION=eu-west-1",
        "AWS_ACCESS_KEY_ID=",
        directory.0.to_str().unwrap(),
    ] {
        assert!(server.message.contains(expected), "{expected} is missing in {}", server.message);
    }
    let answer = ask(&mut server.connect(), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.ends_with("healthy: dynamodb.eu-west-1.amazonaws.com "), "{answer}");
    let answer = ask(
        &mut server.connect(),
        "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\n\
         Content-Type: application/x-amz-json-1.0\r\nContent-Length: 2\r\n\r\n{}",
    );
    assert!(answer.ends_with("{\"TableNames\":[]}"), "{answer}");
    assert_eq!(server.stop("-TERM").code(), Some(0));
}

#[test]
fn sigint_and_sighup_end_with_0_too_and_the_directory_opens_again() {
    let directory = Directory::new("signals");
    for signal in ["-INT", "-HUP", "-TERM"] {
        assert_eq!(Server::start(&directory.0, &[]).stop(signal).code(), Some(0), "{signal}");
    }
}

#[test]
fn a_second_process_on_one_directory_is_refused_with_its_name() {
    let directory = Directory::new("lock");
    let _first = Server::start(&directory.0, &[]);
    let name = directory.0.to_str().unwrap();
    let (code, message) = refused(&["serve", "--listen", "127.0.0.1:0", "--data-dir", name]);
    assert_eq!(code, Some(1));
    assert!(message.contains(name) && message.contains("another process"), "{message}");
}

#[test]
fn a_network_address_is_refused_and_nothing_is_made() {
    let directory = Directory::new("network");
    let (code, message) = refused(&["serve", "--listen", "0.0.0.0:0", "--data-dir", directory.0.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(message.contains("--allow-unauthenticated-network-access"), "{message}");
    assert!(!directory.0.exists());
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for wrong in [&["serve", "--durability", "maybe"][..], &["serve", "--nonsense"], &["dance"], &[]] {
        assert_eq!(refused(wrong).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn the_environment_configures_and_the_command_line_wins() {
    let directory = Directory::new("environment");
    let mut command = partita(&["serve", "--log-format", "text"]);
    command.env("PARTITA_LISTEN", "192.0.2.1:1").env("PARTITA_LOG_FORMAT", "json");
    command.env("PARTITA_DATA_DIR", &directory.0).env("PARTITA_IN_MEMORY", "");
    let output = command.output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with("partita: 192.0.2.1:1 can be reached"), "{message}");
}

/// Ready in 50 ms on an empty directory; the time here is generous, because tests run side by side. Small: what the process
/// has of its own. The pages of the program's file are counted as resident too, as many as the system has mapped around
/// those that were used, which differs from copy to copy of the same file; it shares them, and takes them back at will.
#[test]
fn an_idle_server_is_small_and_starts_fast() {
    let directory = Directory::new("idle");
    let server = Server::start(&directory.0, &[]);
    assert!(server.ready_after < Duration::from_millis(500), "{:?}", server.ready_after);
    std::thread::sleep(Duration::from_millis(500));
    let resident = server.resident_bytes();
    let own = server.memory("RssAnon:");
    assert!(own < 8_000_000, "{own} bytes of its own");
    assert!(resident < 32_000_000, "{resident} bytes");
}

/// Ten thousand connections that have each been used once cost under 200 MB (fewer, if the system does not let this test
/// open so many).
#[test]
fn idle_connections_cost_under_20_kb_each() {
    let directory = Directory::new("connections");
    let server = Server::start(&directory.0, &[]);
    let before = server.resident_bytes();
    let limit = fs::read_to_string("/proc/self/limits").unwrap();
    let limit = limit.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let limit: usize = limit.split_whitespace().nth(3).unwrap().parse().unwrap_or(1024);
    let count = limit.saturating_sub(100).min(10_000);
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {}\r\n\r\n", "x".repeat(500));
    let mut connections: Vec<TcpStream> = (0..count).map(|_| server.connect()).collect();
    for connection in &mut connections {
        assert!(ask(connection, &request).contains("healthy"));
    }
    std::thread::sleep(Duration::from_secs(3));
    let each = server.resident_bytes().saturating_sub(before) / count;
    assert!(each < 20_000, "{each} bytes for each of {count} connections");
    let again = ask(&mut connections[0], &request);
    assert!(again.contains("healthy"), "{again}");
}
