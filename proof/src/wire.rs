//! One keep-alive connection of DynamoDB's JSON protocol, written for proofs: an answer that did not come is an outcome
//! of its own, and nothing is asked twice.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A signature that nobody checks: servers under attack let everybody in.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=proof/20260101/us-east-1/dynamodb/aws4_request, \
     SignedHeaders=host, Signature=0000000000000000000000000000000000000000000000000000000000000000";
/// How long an answer may take; a server that hangs is a finding.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Answered with success.
    Done(Value),
    /// Refused, and nothing was changed: the code and the whole answer.
    Refused(String, Value),
    /// No answer, or a failure inside: it may have been applied, or may still be.
    Unknown(String),
}

impl Outcome {
    /// The answer of a request that must succeed.
    ///
    /// # Panics
    /// When it did not.
    pub fn done(self) -> Value {
        match self {
            Self::Done(answer) => answer,
            other => panic!("a request that must succeed did not: {other:?}"),
        }
    }
}

/// A client.
pub struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
    patience: Duration,
}

impl Client {
    /// A client of the server at this address; it connects when it has something to ask.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, patience: PATIENCE }
    }

    /// The same, waiting at most this long for an answer.
    #[must_use]
    pub const fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Asks an operation of DynamoDB.
    pub fn call(&mut self, operation: &str, body: &Value) -> Outcome {
        self.ask(&format!("DynamoDB_20120810.{operation}"), body)
    }

    /// Asks an operation of DynamoDB Streams.
    pub fn streams(&mut self, operation: &str, body: &Value) -> Outcome {
        self.ask(&format!("DynamoDBStreams_20120810.{operation}"), body)
    }

    /// Asks an operation by the whole name of its target.
    pub fn ask(&mut self, target: &str, body: &Value) -> Outcome {
        match self.exchange(target, &body.to_string()) {
            Ok((200, answer)) => Outcome::Done(answer),
            Ok((status, answer)) => {
                let code = answer.get("__type").and_then(Value::as_str).unwrap_or_default();
                let code = code.rsplit('#').next().unwrap_or_default().to_owned();
                if status < 500 { Outcome::Refused(code, answer) } else { Outcome::Unknown(format!("{status} {code}")) }
            }
            Err(error) => {
                self.stream = None;
                Outcome::Unknown(error.to_string())
            }
        }
    }

    fn exchange(&mut self, target: &str, body: &str) -> io::Result<(u16, Value)> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect_timeout(&self.address, self.patience)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(self.patience))?;
                stream.set_write_timeout(Some(self.patience))?;
                none.insert(BufReader::with_capacity(64 << 10, stream))
            }
        };
        let request = format!(
            "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-amz-json-1.0\r\nx-amz-target: {target}\r\n\
             x-amz-date: 20260101T000000Z\r\nauthorization: {AUTHORIZATION}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.get_mut().write_all(request.as_bytes())?;
        read_answer(stream)
    }
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> io::Result<(u16, Value)> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    let mut next = |stream: &mut BufReader<TcpStream>| -> io::Result<String> {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    };
    let status: u16 =
        next(stream)?.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| wrong("no status"))?;
    let mut length = None;
    loop {
        let header = next(stream)?;
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse::<usize>().ok();
        }
    }
    let mut body = vec![0; length.ok_or_else(|| wrong("no length"))?];
    stream.read_exact(&mut body)?;
    let answer = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or(Value::Null) };
    Ok((status, answer))
}

/// Every element of a listing: `next` is the pair of the answer's member and the request's that go on with it.
///
/// # Panics
/// When a page is refused.
pub fn pages(client: &mut Client, operation: &str, mut body: Value, list: &str, next: (&str, &str)) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let mut page = client.call(operation, &body).done();
        if let Some(Value::Array(elements)) = page.get_mut(list).map(Value::take) {
            all.extend(elements);
        }
        match page.get_mut(next.0).map(Value::take) {
            Some(key) if !key.is_null() => body[next.1] = key,
            _ => return all,
        }
    }
}

/// All items of a table or index.
pub fn scan(client: &mut Client, table: &str, index: Option<&str>) -> Vec<Value> {
    let mut body = serde_json::json!({"TableName": table});
    match index {
        Some(index) => body["IndexName"] = index.into(),
        None => body["ConsistentRead"] = true.into(),
    }
    pages(client, "Scan", body, "Items", ("LastEvaluatedKey", "ExclusiveStartKey"))
}
