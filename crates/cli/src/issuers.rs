//! The OpenID Connect issuers that the server believes: their keys come from files, or are asked of the issuers.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use partita_api::{Fetch, Issuers, JwksError};
use partita_client::{Bounds, Client, Reach};
use thiserror::Error;

/// How long an issuer may take to answer.
const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(3), total: Duration::from_secs(8), max_response_bytes: 256 << 10 };
/// The largest file of keys, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// An issuer and the file of its keys: `ISSUER=FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerFile {
    issuer: String,
    file: PathBuf,
}

impl std::str::FromStr for IssuerFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            // Container tools pass variables that nobody set.
            return Ok(Self { issuer: String::new(), file: PathBuf::new() });
        }
        // A URL may hold an equals sign, a file's name rarely does.
        match text.rsplit_once('=') {
            Some((issuer, file)) if issuer.starts_with("https://") && !file.is_empty() => {
                Ok(Self { issuer: issuer.to_owned(), file: file.into() })
            }
            _ => Err("not an issuer and a file, as https://id.example.com=keys.json".to_owned()),
        }
    }
}

/// A file of keys that can not be used.
#[derive(Debug, Error)]
pub enum IssuerError {
    #[error("the keys of {issuer} can not be read from {}: {error}", .file.display())]
    Unreadable { issuer: String, file: PathBuf, error: std::io::Error },
    #[error("the keys of {issuer} can not be used: {}: {error}", .file.display())]
    NoKeys { issuer: String, file: PathBuf, error: JwksError },
}

/// The issuers of these files, and all others as their own configurations say.
pub fn issuers(files: &[IssuerFile], client: Client) -> Result<Issuers, IssuerError> {
    let client = client.within(Reach::NotLinkLocal);
    let fetch: Fetch = Arc::new(move |url| {
        let client = client.clone();
        Box::pin(async move { get(&client, &url).await })
    });
    let mut issuers = Issuers::asking(fetch);
    for IssuerFile { issuer, file } in files.iter().filter(|each| !each.issuer.is_empty()) {
        let unreadable = |error| IssuerError::Unreadable { issuer: issuer.clone(), file: file.clone(), error };
        if fs::metadata(file).map_err(unreadable)?.len() > MAX_FILE_BYTES {
            return Err(unreadable(std::io::Error::other("it is larger than 1 MiB")));
        }
        let jwks = fs::read(file).map_err(unreadable)?;
        let no_keys = |error| IssuerError::NoKeys { issuer: issuer.clone(), file: file.clone(), error };
        issuers = issuers.with_keys(issuer, &jwks).map_err(no_keys)?;
    }
    Ok(issuers)
}

async fn get(client: &Client, url: &str) -> Result<Bytes, String> {
    let request = Request::get(url).body(Bytes::new()).map_err(|error| error.to_string())?;
    let answer = client.send(request, BOUNDS).await.map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("{url} answered {}", answer.status()));
    }
    Ok(answer.into_body())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_an_https_url_and_a_file() {
        let parsed: IssuerFile = "https://id.example.com/a?b=c=keys.json".parse().unwrap();
        assert_eq!((parsed.issuer.as_str(), parsed.file.to_str()), ("https://id.example.com/a?b=c", Some("keys.json")));
        for wrong in ["keys.json", "http://id.example.com=keys.json", "https://id.example.com="] {
            assert!(wrong.parse::<IssuerFile>().is_err(), "{wrong}");
        }
    }
}
