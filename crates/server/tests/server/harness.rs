//! A server with a handler that does what the request's `X-Amz-Target` says, and a client that speaks bytes.

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use partita_server::{Config, Handler, Request, Response, Server, Stopped, Tls};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Nothing in these tests takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Default)]
pub struct Script {
    /// Requests that were handled to their end.
    pub finished: Arc<AtomicUsize>,
    /// Whether it says that it is not ready.
    pub unready: Arc<AtomicBool>,
}

impl Handler for Script {
    async fn handle(&self, request: Request) -> Response {
        let target = request.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or("echo");
        let (action, argument) = target.split_once(' ').unwrap_or((target, "0"));
        let number: usize = argument.parse().unwrap();
        let response = match action {
            "echo" => Response::json(200, request.body),
            "secured" => Response::json(200, format!("{:?}", request.secured)),
            "length" => Response::json(200, request.body.len().to_string()),
            "zeros" => Response::json(200, vec![b'0'; number]),
            "id" => Response::json(200, request.request_id.to_string()),
            "status" => Response::json(u16::try_from(number).unwrap(), "{}"),
            "sleep" => {
                tokio::time::sleep(Duration::from_millis(number as u64)).await;
                Response::json(200, "{}")
            }
            "panic" => panic!("a secret"),
            other => panic!("no such action: {other}"),
        };
        self.finished.fetch_add(1, Ordering::SeqCst);
        response
    }

    fn is_ready(&self) -> bool {
        !self.unready.load(Ordering::SeqCst)
    }
}

pub struct Running {
    pub address: SocketAddr,
    pub script: Script,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Stopped>,
}

/// A server on a free port, with `adjust`ed settings.
pub async fn start(adjust: impl FnOnce(&mut Config)) -> Running {
    let mut config = Config { listen: vec!["127.0.0.1:0".parse().unwrap()], ..Config::default() };
    adjust(&mut config);
    run(Server::bind(config).unwrap())
}

/// As [`start`], over TLS.
pub async fn start_tls(tls: Tls, adjust: impl FnOnce(&mut Config)) -> Running {
    let mut config = Config { listen: vec!["https://127.0.0.1:0".parse().unwrap()], ..Config::default() };
    adjust(&mut config);
    run(Server::bind(config).unwrap().with_tls(tls))
}

fn run(server: Server) -> Running {
    let address = server.addresses()[0].address;
    let script = Script::default();
    let (stop, stopped) = oneshot::channel();
    let handler = script.clone();
    let task = tokio::spawn(async move {
        server
            .run(handler, async {
                let _ = stopped.await;
            })
            .await
    });
    Running { address, script, stop, task }
}

impl Running {
    pub async fn client(&self) -> Client {
        Client::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends `request` on a connection of its own and returns the answer.
    pub async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.client().await;
        client.send(request).await;
        client.answer().await
    }

    /// Tells the server to stop and returns what is to be awaited.
    pub fn stop(self) -> JoinHandle<Stopped> {
        self.stop.send(()).unwrap();
        self.task
    }
}

pub struct Client<S = TcpStream> {
    pub stream: S,
    unread: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next answer; panics if the connection ends first.
    pub async fn answer(&mut self) -> Answer {
        self.try_answer().await.expect("the connection ended without an answer")
    }

    /// The next answer, or nothing if the connection ends.
    pub async fn try_answer(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if !self.more().await {
                assert!(self.unread.is_empty(), "half an answer: {:?}", String::from_utf8_lossy(&self.unread));
                return None;
            }
        };
        let head: Vec<u8> = self.unread.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            assert!(self.more().await, "half a body");
        }
        let body = self.unread.drain(..length).collect();
        Some(Answer { status, headers, body })
    }

    /// Whether the server closes without sending anything more.
    pub async fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && !self.more().await
    }

    async fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("no answer in time");
        let read = read.unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..read]);
        read > 0
    }
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Checks that this is an error with `status` and the type `kind`, in full DynamoDB dress.
    #[track_caller]
    pub fn assert_error(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/x-amz-json-1.0");
        assert!(self.text().starts_with("{\"__type\":\"com.amazon"), "{}", self.text());
        assert!(self.text().contains(&format!("#{kind}\",\"message\":\"")), "{}", self.text());
        self.assert_dress();
    }

    /// Checks the headers that every answer has.
    #[track_caller]
    pub fn assert_dress(&self) {
        assert_eq!(self.headers["x-amzn-requestid"].len(), 52);
        assert_eq!(self.headers["x-amz-crc32"], crc32fast::hash(&self.body).to_string());
        assert_eq!(self.headers["server"], "Server");
    }

    pub fn gunzipped(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&self.body[..]).read_to_end(&mut plain).unwrap();
        plain
    }
}

/// A POST of `body` for `target`, with further header lines.
pub fn post(target: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut request = format!("POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: {target}\r\n");
    for header in headers {
        request += header;
        request += "\r\n";
    }
    request += &format!("Content-Length: {}\r\n\r\n", body.len());
    [request.as_bytes(), body].concat()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = flate2::read::GzEncoder::new(bytes, flate2::Compression::default());
    let mut compressed = Vec::new();
    plain.read_to_end(&mut compressed).unwrap();
    compressed
}
