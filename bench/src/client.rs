//! One keep-alive HTTP/1.1 connection, with as little work per request as a client can do.
//!
//! The generator shares the machine with the server it measures, so requests are sent as they were prepared, in one
//! write, and of the answer only the status, the length and the end are looked at.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer's head must fit into this many bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// A dummy signature: no target here checks it, and some refuse requests without one.
pub const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
     SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
     Signature=0000000000000000000000000000000000000000000000000000000000000000";

/// An open connection.
pub struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

/// An answer. It borrows the connection's buffer.
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body; in chunks, as they came, if it came so.
    pub body: &'a [u8],
}

impl Client {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, request: Vec::with_capacity(4096), answer: Vec::with_capacity(64 * 1024) })
    }

    /// Sends one operation of DynamoDB's JSON protocol and reads its answer.
    pub async fn call(&mut self, operation: &str, body: &str) -> io::Result<Answer<'_>> {
        use std::io::Write;
        self.request.clear();
        write!(
            self.request,
            "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-amz-json-1.0\r\n\
             x-amz-target: DynamoDB_20120810.{operation}\r\nx-amz-date: 20260101T000000Z\r\n\
             authorization: {AUTHORIZATION}\r\nuser-agent: partita-bench\r\ncontent-length: {length}\r\n\r\n{body}",
            length = body.len(),
        )?;
        self.stream.write_all(&self.request).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> io::Result<Answer<'_>> {
        self.answer.clear();
        let head = loop {
            self.read_some().await?;
            if let Some(end) = memchr::memmem::find(&self.answer, b"\r\n\r\n") {
                break end + 4;
            }
            if self.answer.len() > MAX_HEAD_BYTES {
                return Err(wrong("the answer's head has no end"));
            }
        };
        let (status, length) = parse_head(self.answer.get(..head).unwrap_or_default())?;
        let end = match length {
            Length::Bytes(length) => head + length,
            // No body here contains this.
            Length::Chunked => loop {
                if self.answer.ends_with(b"\r\n0\r\n\r\n") {
                    break self.answer.len();
                }
                self.read_some().await?;
            },
        };
        while self.answer.len() < end {
            self.read_some().await?;
        }
        Ok(Answer { status, body: self.answer.get(head..end).unwrap_or_default() })
    }

    async fn read_some(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.answer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    Chunked,
}

/// The status and the body's length.
fn parse_head(head: &[u8]) -> io::Result<(u16, Length)> {
    let head = std::str::from_utf8(head).map_err(|_| wrong("the answer's head is no text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            value.trim().parse().ok().map(Length::Bytes)
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            Some(Length::Chunked)
        } else {
            None
        }
    });
    match (status, length) {
        (Some(status), Some(length)) => Ok((status, length)),
        _ => Err(wrong("the answer has no status or no Content-Length")),
    }
}

fn wrong(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_length_are_read_from_the_head() {
        let head = b"HTTP/1.1 400 Bad Request\r\nServer: x\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(parse_head(head).unwrap(), (400, Length::Bytes(12)));
        assert_eq!(
            parse_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap(),
            (200, Length::Chunked)
        );
        assert!(parse_head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
