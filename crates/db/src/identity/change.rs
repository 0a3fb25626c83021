//! How identities change: the records that a change is about are read from one snapshot, the change is decided on them,
//! and what it makes of them is committed if none of them has changed.

use std::collections::BTreeMap;

use partita_engine::{Commit, CommitError, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Value, Write};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::Outcome;
use crate::Database;
use crate::catalog::back_off;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::limits::MAX_ATTEMPTS;

/// The records that a change is about, as they were and as they are to be.
pub(super) struct Records {
    records: BTreeMap<Key, Option<Value>>,
    changed: BTreeMap<Key, Option<Value>>,
}

impl Records {
    /// A record; `None` when there is none.
    pub(super) fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>> {
        let value = match (self.changed.get(key), self.records.get(key)) {
            (Some(value), _) | (None, Some(value)) => value,
            // A change decides on nothing that it does not list: it would miss conflicts.
            (None, None) => return Err(Error::Internal("an identity's record was not read".to_owned())),
        };
        value.as_ref().map(from_json).transpose()
    }

    /// What a record becomes.
    pub(super) fn put(&mut self, key: &Key, record: &impl Serialize) -> Result<()> {
        let value = to_json(record)?;
        self.changed.insert(key.clone(), Some(value));
        Ok(())
    }

    /// A record goes.
    pub(super) fn delete(&mut self, key: &Key) {
        self.changed.insert(key.clone(), None);
    }
}

impl Database {
    /// Changes the records at `keys`: `decide` sees them as they are and says what becomes of them. Decides again on
    /// conflict. Caches of all nodes follow before the next request is let in.
    ///
    /// # Errors
    /// What `decide` returns, `Contention` after many conflicts, or an engine failure.
    pub(super) async fn change_identities<T>(
        &self,
        keys: &[Key],
        mut decide: impl FnMut(&mut Records) -> Outcome<T> + Send,
    ) -> Outcome<T> {
        for attempt in 0..MAX_ATTEMPTS {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let values = snapshot.get_many(keys).await?;
            let mut records = Records { records: keys.iter().cloned().zip(values).collect(), changed: BTreeMap::new() };
            let answer = decide(&mut records)?;
            if records.changed.is_empty() {
                return Ok(answer);
            }
            let write = |(key, value)| match value {
                Some(value) => Write::Put { key, value },
                None => Write::Delete { key },
            };
            let commit = Commit {
                read_version: snapshot.version(),
                reads: keys.iter().cloned().map(Read::Key).collect(),
                writes: records.changed.into_iter().map(write).collect(),
                catalog_changed: true,
            };
            match self.store().commit(commit).await {
                Ok(_) => return Ok(answer),
                Err(CommitError::Conflict | CommitError::TooOld) => back_off(attempt).await,
                Err(other) => return Err(Error::from(other).into()),
            }
        }
        Err(Error::Contention.into())
    }

    /// The record at a key, as a snapshot sees it.
    pub(super) async fn identity_at<T: DeserializeOwned>(&self, snapshot: &Snapshot, key: &Key) -> Result<Option<T>> {
        snapshot.get(key).await?.map(|value| from_json(&value)).transpose()
    }

    /// The records under a prefix, after the key `after`, that `wanted` picks: at most `most`, and whether there are more.
    pub(super) async fn identities_in<T: DeserializeOwned>(
        &self,
        prefix: Vec<u8>,
        after: Option<&[u8]>,
        most: usize,
        wanted: impl Fn(&T) -> bool + Send,
    ) -> Result<(Vec<T>, bool)> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let mut range = KeyRange::prefix(prefix);
        if let Some(after) = after {
            range = range.after(after);
        }
        let mut found = Vec::new();
        loop {
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (_, value) in &page.rows {
                let record: T = from_json(value)?;
                if wanted(&record) {
                    if found.len() == most {
                        return Ok((found, true));
                    }
                    found.push(record);
                }
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok((found, false)),
            }
        }
    }

    /// How many records there are under a prefix.
    pub(super) async fn count_identities(&self, prefix: Vec<u8>) -> Result<usize> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let mut range = KeyRange::prefix(prefix);
        let mut count: usize = 0;
        loop {
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            count = count.saturating_add(page.rows.len());
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok(count),
            }
        }
    }
}

/// A record as it is stored.
pub(super) fn to_json(record: &impl Serialize) -> Result<Value> {
    let json = serde_json::to_vec(record);
    json.map(Into::into).map_err(|error| Error::Internal(format!("an identity's record can not be written: {error}")))
}

fn from_json<T: DeserializeOwned>(stored: &Value) -> Result<T> {
    serde_json::from_slice(stored)
        .map_err(|error| Error::Internal(format!("an identity's record can not be read: {error}")))
}
