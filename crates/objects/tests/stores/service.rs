//! A service that speaks as much of S3's API as a store needs, in memory, and fails as it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Nothing.
    Nothing,
    /// A status with a code, and nothing done.
    Status(u16, &'static str),
    /// The request is done, then the connection ends before the answer.
    LostAnswer,
    /// The answer ends in its middle.
    Truncated,
    /// The answer's body is another, of the same length.
    Flipped,
    /// The status of success, and an error after it.
    LateError,
}

#[derive(Debug, Default)]
pub struct State {
    pub objects: BTreeMap<String, Vec<u8>>,
    pub uploads: BTreeMap<String, BTreeMap<usize, Vec<u8>>>,
    /// What befalls the next requests.
    pub faults: VecDeque<Fault>,
    /// Methods and targets, in order.
    pub requests: Vec<String>,
    /// The headers of the last request.
    pub headers: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub struct Service {
    pub state: Arc<Mutex<State>>,
    pub port: u16,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Service {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Self { state: Arc::default(), port: listener.local_addr().unwrap().port() };
        let serving = service.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        service
    }

    pub fn fail(&self, faults: &[Fault]) {
        self.state.lock().faults.extend(faults);
    }

    async fn serve(self, mut stream: TcpStream) -> Option<()> {
        let mut buffer = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                    break end;
                }
                if stream.read_buf(&mut buffer).await.ok()? == 0 {
                    return None;
                }
            };
            let head = String::from_utf8(buffer[..end].to_vec()).ok()?;
            buffer.drain(..end + 4);
            let mut lines = head.lines();
            let first = lines.next()?.to_owned();
            let headers: BTreeMap<String, String> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
            while buffer.len() < length {
                if stream.read_buf(&mut buffer).await.ok()? == 0 {
                    return None;
                }
            }
            let body: Vec<u8> = buffer.drain(..length).collect();
            let (method, target) = first.split_once(' ')?;
            let target = target.rsplit_once(' ')?.0;
            let fault = {
                let mut state = self.state.lock();
                state.requests.push(format!("{method} {target}"));
                state.headers = headers.clone();
                state.faults.pop_front()
            };
            let mut answer = match fault {
                Some(Fault::Status(status, code)) => error(status, code),
                Some(Fault::LateError) => error(200, "InternalError"),
                _ => self.answer(method, target, &headers, body),
            };
            if matches!(fault, Some(Fault::LostAnswer)) {
                return None;
            }
            let length = answer.body.len();
            if matches!(fault, Some(Fault::Flipped)) {
                answer.body.iter_mut().for_each(|byte| *byte ^= 1);
            }
            let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
            if !answer.headers.iter().any(|(name, _)| name == "content-length") {
                answer.headers.push(("content-length".to_owned(), length.to_string()));
            }
            for (name, value) in &answer.headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            stream.write_all(format!("{head}\r\n").as_bytes()).await.ok()?;
            if matches!(fault, Some(Fault::Truncated)) {
                stream.write_all(&answer.body[..length / 2]).await.ok()?;
                return None;
            }
            if method != "HEAD" {
                stream.write_all(&answer.body).await.ok()?;
            }
        }
    }

    fn answer(&self, method: &str, target: &str, headers: &BTreeMap<String, String>, body: Vec<u8>) -> Answer {
        let mut state = self.state.lock();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: BTreeMap<String, String> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect();
        let path = decoded(path);
        let Some(key) = path.strip_prefix("/mine") else { return error(404, "NoSuchBucket") };
        let key = key.trim_start_matches('/').to_owned();
        let upload = query.get("uploadId").cloned();
        match (method, upload) {
            ("GET", _) if query.contains_key("list-type") => list(&state, &query),
            ("GET" | "HEAD", _) => {
                let Some(object) = state.objects.get(&key) else { return error(404, "NoSuchKey") };
                get(object, headers.get("range").map(String::as_str))
            }
            ("PUT", None) => {
                let etag = format!("{:x}", md5::compute(&body));
                state.objects.insert(key, body);
                ok(vec![("etag".to_owned(), format!("\"{etag}\""))], Vec::new())
            }
            ("PUT", Some(upload)) => {
                let number: usize = query["partNumber"].parse().unwrap();
                let Some(parts) = state.uploads.get_mut(&upload) else { return error(404, "NoSuchUpload") };
                parts.insert(number, body);
                ok(vec![("etag".to_owned(), format!("\"part-{number}\""))], Vec::new())
            }
            ("POST", None) => {
                let upload = format!("upload/{}&", state.uploads.len());
                state.uploads.insert(upload.clone(), BTreeMap::new());
                let name = upload.replace('&', "&amp;");
                ok(
                    Vec::new(),
                    format!(
                        "<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
                    )
                    .into(),
                )
            }
            ("POST", Some(upload)) => {
                let Some(parts) = state.uploads.remove(&upload) else { return error(404, "NoSuchUpload") };
                let told = String::from_utf8(body).unwrap();
                for number in parts.keys() {
                    assert!(told.contains(&format!(
                        "<Part><ETag>\"part-{number}\"</ETag><PartNumber>{number}</PartNumber></Part>"
                    )));
                }
                state.objects.insert(key, parts.into_values().flatten().collect());
                ok(
                    Vec::new(),
                    b"<CompleteMultipartUploadResult><ETag>&quot;abc-2&quot;</ETag></CompleteMultipartUploadResult>"
                        .to_vec(),
                )
            }
            ("DELETE", Some(upload)) => {
                state.uploads.remove(&upload);
                Answer { status: 204, headers: Vec::new(), body: Vec::new() }
            }
            ("DELETE", None) => {
                state.objects.remove(&key);
                Answer { status: 204, headers: Vec::new(), body: Vec::new() }
            }
            _ => error(400, "MethodNotAllowed"),
        }
    }
}

fn get(object: &[u8], range: Option<&str>) -> Answer {
    use base64::Engine as _;
    let hash = ring::digest::digest(&ring::digest::SHA256, object);
    let hash = base64::engine::general_purpose::STANDARD.encode(hash);
    let Some(range) = range else {
        return ok(vec![("x-amz-checksum-sha256".to_owned(), hash)], object.to_vec());
    };
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap_or(usize::MAX));
    if first >= object.len() {
        return error(416, "InvalidRange");
    }
    let last = last.min(object.len() - 1);
    let told = format!("bytes {first}-{last}/{}", object.len());
    Answer { status: 206, headers: vec![("content-range".to_owned(), told)], body: object[first..=last].to_vec() }
}

fn list(state: &State, query: &BTreeMap<String, String>) -> Answer {
    let most: usize = query["max-keys"].parse().unwrap();
    let after = query.get("start-after").cloned().unwrap_or_default();
    let found: Vec<_> = state
        .objects
        .iter()
        .filter(|(key, _)| key.starts_with(&query["prefix"]) && **key > after)
        .map(|(key, value)| {
            let mut escaped = String::new();
            for byte in key.bytes() {
                match byte {
                    b' ' => escaped.push('+'),
                    _ if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
                    _ => escaped.push_str(&format!("%{byte:02X}")),
                }
            }
            format!("<Contents><Key>{escaped}</Key><ETag>&quot;x&quot;</ETag><Size>{}</Size></Contents>", value.len())
        })
        .collect();
    let more = found.len() > most;
    let page: String = found.into_iter().take(most).collect();
    let body = format!(
        "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"s3\"><EncodingType>url</EncodingType><IsTruncated>{more}</IsTruncated>{page}</ListBucketResult>"
    );
    ok(Vec::new(), body.into())
}

fn ok(headers: Vec<(String, String)>, body: Vec<u8>) -> Answer {
    Answer { status: 200, headers, body }
}

fn error(status: u16, code: &str) -> Answer {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>No.</Message></Error>");
    Answer { status, headers: Vec::new(), body: body.into() }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        if let (b'%', [high, low, behind @ ..]) = (byte, after) {
            let digits = [*high, *low];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            rest = behind;
        } else {
            bytes.push(*byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}
