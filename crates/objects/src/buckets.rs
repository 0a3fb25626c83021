//! The buckets that exist here: names that requests use, and the stores that the operator has put behind them.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use crate::store::ObjectStore;
use crate::url::{InvalidUrl, Opener};

/// The longest name of a bucket, as in requests.
const MOST: usize = 255;

/// Names of buckets and what is behind them. Cheap to clone. By default there is none.
#[derive(Clone, Debug, Default)]
pub struct Buckets(Arc<BTreeMap<String, ObjectStore>>);

/// Why a bucket can not be configured so. The text is for the operator.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidBucket {
    /// Without an equals sign.
    #[error("a bucket is given as NAME=DIRECTORY or NAME=URL")]
    Form,
    /// The name is none that requests can use.
    #[error("{0} can not be the name of a bucket: 2 to 255 letters, digits, dots, dashes and underscores")]
    Name(String),
    /// The name stands for two stores.
    #[error("there are two buckets {0}")]
    Twice(String),
    /// What is behind the name is none.
    #[error("bucket {name}: {error}")]
    Url {
        /// The bucket's name.
        name: String,
        /// What is wrong.
        error: InvalidUrl,
    },
}

impl Buckets {
    /// The buckets of configuration texts, each `NAME=DIRECTORY` or `NAME=URL`.
    ///
    /// # Errors
    /// [`InvalidBucket`].
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>, opener: &Opener) -> Result<Self, InvalidBucket> {
        let mut all = BTreeMap::new();
        for text in texts {
            let (name, url) = text.split_once('=').ok_or(InvalidBucket::Form)?;
            if !is_name(name) {
                return Err(InvalidBucket::Name(name.to_owned()));
            }
            let wrong = |error| InvalidBucket::Url { name: name.to_owned(), error };
            if all.insert(name.to_owned(), opener.open(url).map_err(wrong)?).is_some() {
                return Err(InvalidBucket::Twice(name.to_owned()));
            }
        }
        Ok(Self(Arc::new(all)))
    }

    /// The store of a bucket, if there is one of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ObjectStore> {
        self.0.get(name)
    }

    /// The buckets in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ObjectStore)> {
        self.0.iter().map(|(name, store)| (name.as_str(), store))
    }
}

impl<N: Into<String>> FromIterator<(N, ObjectStore)> for Buckets {
    fn from_iter<I: IntoIterator<Item = (N, ObjectStore)>>(all: I) -> Self {
        Self(Arc::new(all.into_iter().map(|(name, store)| (name.into(), store)).collect()))
    }
}

/// Whether requests can name a bucket so: the pattern of `S3Bucket` in the API.
fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    (2..=MOST).contains(&bytes.len()) && outer(bytes.first()) && outer(bytes.last()) && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    use partita_client::{Client, Trust};

    use super::*;

    #[test]
    fn buckets_are_names_and_stores() {
        let opener = Opener::new(Client::new(Trust::system()), |_| None);
        let buckets = Buckets::parse(["a.b=/x=y", "cd=z"], &opener).unwrap();
        assert_eq!(buckets.get("a.b").unwrap().shown(), "/x=y");
        assert!(buckets.get("ab").is_none());
        assert_eq!(buckets.iter().count(), 2);
        for wrong in ["a", "=x", "a=x", "-ab=x", "a/b=x", "ab=", "ab=gs://x"] {
            assert!(Buckets::parse([wrong], &opener).is_err(), "{wrong}");
        }
        assert_eq!(Buckets::parse(["ab=x", "ab=y"], &opener).unwrap_err(), InvalidBucket::Twice("ab".into()));
    }
}
