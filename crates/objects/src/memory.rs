//! Objects in memory: for servers that keep everything there, and for tests.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::error::{ObjectError, Result};
use crate::store::{Head, Listed, Listing, Stored, too_large};

#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<BTreeMap<String, Bytes>>);

impl Memory {
    pub(crate) fn put(&self, key: &str, value: Bytes) -> Stored {
        let etag = format!("{:x}", md5::compute(&value));
        self.0.lock().insert(key.to_owned(), value);
        Stored { etag }
    }

    fn find(&self, key: &str) -> Result<Bytes> {
        self.0.lock().get(key).cloned().ok_or_else(|| ObjectError::NotThere(key.to_owned()))
    }

    pub(crate) fn get(&self, key: &str, most: u64) -> Result<Bytes> {
        let value = self.find(key)?;
        if value.len() as u64 > most { Err(too_large(key, most)) } else { Ok(value) }
    }

    pub(crate) fn get_range(&self, key: &str, start: u64, length: u64) -> Result<Bytes> {
        let value = self.find(key)?;
        let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(value.len());
        Ok(value.slice(within(start)..within(start.saturating_add(length))))
    }

    pub(crate) fn head(&self, key: &str) -> Result<Head> {
        Ok(Head { size: self.find(key)?.len() as u64 })
    }

    pub(crate) fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Listing {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let all = self.0.lock();
        let mut found = all
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| Listed { key: key.clone(), size: value.len() as u64 });
        let objects = found.by_ref().take(most).collect();
        Listing { objects, more: found.next().is_some() }
    }

    pub(crate) fn delete(&self, key: &str) {
        self.0.lock().remove(key);
    }
}
