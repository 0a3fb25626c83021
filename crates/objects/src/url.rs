//! How operators name stores: a directory, `s3://bucket`, or `s3+https://host:port/bucket`, the last two with what a
//! bucket needs behind a question mark.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use partita_auth::sigv4::SecretKey;
use partita_client::Client;
use thiserror::Error;

use crate::s3::{AccessKey, Bucket, Credentials, Place};
use crate::store::ObjectStore;

const DEFAULT_REGION: &str = "us-east-1";

/// Why a name of a store is none. The text is for the operator.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidUrl {
    /// It is empty.
    #[error("the name of a directory or the URL of a bucket is needed")]
    Empty,
    /// The URL's scheme is another.
    #[error("{0}:// is not known here: a directory, s3://BUCKET, s3+https://HOST/BUCKET or s3+http://HOST/BUCKET")]
    Scheme(String),
    /// Not a URL, or without a bucket.
    #[error("not the URL of a bucket, as s3+https://HOST[:PORT]/BUCKET[/PREFIX][?region=REGION]")]
    Malformed,
    /// A parameter that has no meaning.
    #[error("the parameter {0} is not known: there are region, credentials and profile")]
    Parameter(String),
    /// No access key.
    #[error(
        "a bucket needs an access key: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or ?credentials=FILE"
    )]
    NoCredentials,
    /// The file has no access key.
    #[error("{0}")]
    Credentials(String),
}

/// Reads a variable of the environment.
type Environment = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Opens stores by name.
#[derive(Clone)]
pub struct Opener {
    client: Client,
    environment: Arc<Environment>,
}

impl fmt::Debug for Opener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opener").finish_non_exhaustive()
    }
}

impl Opener {
    /// The schemes that names of stores can have.
    pub const SCHEMES: [&'static str; 4] = ["file", "s3", "s3+https", "s3+http"];

    /// Stores that are reached by `client`; `environment` reads variables, in which access keys have the names that SDKs
    /// use.
    #[must_use]
    pub fn new(client: Client, environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { client, environment: Arc::new(environment) }
    }

    /// The store of a name: a directory without scheme or as `file://`, `s3://BUCKET[/PREFIX]`, or
    /// `s3+https://HOST[:PORT]/BUCKET[/PREFIX]` (or `s3+http`), the last two with `?region=`, and `credentials=` and
    /// `profile=` for a file of access keys in place of the environment's. Nothing is asked of a service yet.
    ///
    /// # Errors
    /// [`InvalidUrl`].
    pub fn open(&self, name: &str) -> Result<ObjectStore, InvalidUrl> {
        let Some((scheme, rest)) = name.split_once("://") else {
            return if name.is_empty() { Err(InvalidUrl::Empty) } else { Ok(ObjectStore::directory(name)) };
        };
        match scheme {
            "file" if rest.starts_with('/') => Ok(ObjectStore::directory(rest)),
            "s3" => self.bucket(None, rest),
            "s3+https" => self.bucket(Some("https"), rest),
            "s3+http" => self.bucket(Some("http"), rest),
            other => Err(InvalidUrl::Scheme(other.to_owned())),
        }
    }

    fn bucket(&self, scheme: Option<&str>, rest: &str) -> Result<ObjectStore, InvalidUrl> {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut region, mut file, mut profile) = (None, None, None);
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("region", value)) => region = Some(value.to_owned()),
                Some(("credentials", value)) => file = Some(value.to_owned()),
                Some(("profile", value)) => profile = Some(value.to_owned()),
                _ => return Err(InvalidUrl::Parameter(parameter.split('=').next().unwrap_or_default().to_owned())),
            }
        }
        let variable = |name: &str| (self.environment)(name).filter(|value| !value.is_empty());
        let region = region.or_else(|| variable("AWS_REGION")).unwrap_or_else(|| DEFAULT_REGION.to_owned());
        if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(InvalidUrl::Malformed);
        }
        let (endpoint, path) = match scheme {
            Some(scheme) => {
                let (host, path) = path.split_once('/').ok_or(InvalidUrl::Malformed)?;
                (format!("{scheme}://{host}"), path)
            }
            None => (format!("https://s3.{region}.amazonaws.com"), path),
        };
        let uri: Uri = endpoint.parse().map_err(|_| InvalidUrl::Malformed)?;
        // Credentials in URLs end in logs and lists of processes.
        if uri.host().is_none_or(str::is_empty) || uri.authority().is_none_or(|host| host.as_str().contains('@')) {
            return Err(InvalidUrl::Malformed);
        }
        let (bucket, prefix) = path.trim_end_matches('/').split_once('/').unwrap_or((path.trim_end_matches('/'), ""));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if bucket.is_empty() || !bucket.bytes().all(plain) || [".", ".."].contains(&bucket) {
            return Err(InvalidUrl::Malformed);
        }
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            crate::key::check(prefix).map_err(|_| InvalidUrl::Malformed)?;
            format!("{prefix}/")
        };
        let credentials = match file {
            Some(file) => Credentials::file(file.into(), profile.unwrap_or_else(|| "default".to_owned())),
            None => Credentials::Fixed(AccessKey {
                access_key: variable("AWS_ACCESS_KEY_ID").ok_or(InvalidUrl::NoCredentials)?,
                secret: SecretKey::new(&variable("AWS_SECRET_ACCESS_KEY").ok_or(InvalidUrl::NoCredentials)?),
                session_token: variable("AWS_SESSION_TOKEN"),
            }),
        };
        credentials.check().map_err(InvalidUrl::Credentials)?;
        let client = self.client.clone();
        let place = Place { client, endpoint, bucket: bucket.to_owned(), prefix, region, credentials };
        Ok(ObjectStore::bucket(Bucket::new(place)))
    }
}

#[cfg(test)]
mod tests {
    use partita_client::Trust;

    use super::*;

    fn opener() -> Opener {
        let environment =
            |name: &str| name.starts_with("AWS_").then(|| "x".to_owned()).filter(|_| name != "AWS_REGION");
        Opener::new(Client::new(Trust::system()), environment)
    }

    #[test]
    fn stores_are_named_by_directories_and_urls() {
        for (name, shown) in [
            ("backups", "backups"),
            ("/var/lib/x y", "/var/lib/x y"),
            ("file:///var/lib", "/var/lib"),
            ("s3://mine?region=eu-central-1", "https://s3.eu-central-1.amazonaws.com/mine/"),
            ("s3+https://minio.example:9000/mine/a/b/", "https://minio.example:9000/mine/a/b/"),
            ("s3+http://[::1]:9000/mine", "http://[::1]:9000/mine/"),
        ] {
            assert_eq!(opener().open(name).unwrap().shown(), shown);
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for name in [
            "",
            "gs://mine",
            "file://host/x",
            "s3://",
            "s3+https://host",
            "s3+https://host/",
            "s3+https:///mine",
            "s3+https://key:secret@host/mine",
            "s3+https://host/mine/../other",
            "s3+https://host/..",
            "s3+https://host/mi%20ne",
            "s3+https://host/mine?region=",
            "s3+https://host/mine?color=red",
            "s3+https://host/mine?credentials=/nowhere",
        ] {
            assert!(opener().open(name).is_err(), "{name}");
        }
        let poor = Opener::new(Client::new(Trust::system()), |_| None);
        assert_eq!(poor.open("s3://mine").unwrap_err(), InvalidUrl::NoCredentials);
    }
}
