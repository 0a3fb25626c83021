//! Keeping keys: checks with the key service whether the data keys in memory may still be used, and wraps data keys anew
//! when their root key has a newer version or another one takes its place.
//!
//! Wrapping anew goes key by key, each in a commit of its own that depends on the key's record. What is left to do is
//! what is not wrapped by the newest version: so it can stop anywhere, and the next look goes on.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use partita_engine::{Commit, CommitError, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Write};

use super::keys::{Cipher, Known, OUTAGE_ENDURED, refused, unwrap_all};
use super::record::{VaultRecord, from_json, to_json};
use super::service::KeyError;
use crate::error::{Error, Result};
use crate::keyspace;

/// How often is looked whether anything is due.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How soon a key that is refused is tried again.
const REFUSED_RETRY: Duration = Duration::from_secs(5);
/// How many keys are checked at once: a service that hangs holds up one of them for as long as it takes, not all.
const CHECKED_AT_ONCE: usize = 16;
/// How often is looked for data keys that are not wrapped by the newest version of their root key.
const REWRAP_INTERVAL: Duration = Duration::from_secs(3600);

/// Checks and wraps keys until the database is gone.
pub(super) async fn keep(cipher: Weak<Cipher>) {
    let mut rewrapped: Option<Instant> = None;
    loop {
        let Some(cipher) = cipher.upgrade() else { return };
        let changed = cipher.service.has_changed();
        cipher.check_keys(changed).await;
        if changed || rewrapped.is_none_or(|last| last.elapsed() >= REWRAP_INTERVAL) {
            match cipher.rewrap_all().await {
                Ok(0) => rewrapped = Some(Instant::now()),
                Ok(count) => {
                    tracing::info!(count, "data keys are wrapped by the newest version of their root keys");
                    rewrapped = Some(Instant::now());
                }
                Err(error) => {
                    tracing::warn!(%error, "data keys could not be wrapped anew; what is left is tried again");
                    rewrapped = Some(Instant::now());
                }
            }
        }
        drop(cipher);
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

impl Cipher {
    /// Asks the service about the keys in memory that are due, or all of them.
    pub(super) async fn check_keys(self: &Arc<Self>, all: bool) {
        let known = self.tables.load_full();
        let due = known.iter().filter(|(_, known)| match known {
            Known::Usable { checked, .. } => all || checked.elapsed() >= self.trusted_for,
            Known::Refused { checked, .. } => all || checked.elapsed() >= REFUSED_RETRY.min(self.trusted_for),
        });
        let mut checks = JoinSet::new();
        for (&table, known) in due {
            if checks.len() >= CHECKED_AT_ONCE {
                checks.join_next().await;
            }
            let (cipher, known) = (Arc::clone(self), known.clone());
            checks.spawn(async move {
                if let Err(error) = cipher.check_key(table, &known).await {
                    tracing::warn!(table, %error, "a table's key could not be checked");
                }
            });
        }
        while checks.join_next().await.is_some() {}
    }

    async fn check_key(&self, table: u32, known: &Known) -> Result<()> {
        let Some(record) = self.stored_keys(table).await? else {
            self.forget(table);
            return Ok(());
        };
        match (unwrap_all(&*self.service, &record).await, known) {
            (Ok(keys), _) => {
                if matches!(known, Known::Refused { .. }) {
                    tracing::info!(table, "a table's key can be used again");
                }
                self.learn(table, Known::Usable { keys: Arc::new(keys), checked: Instant::now() });
            }
            (Err(why @ KeyError::Refused { .. }), Known::Refused { since_ms, .. }) => {
                self.learn(table, Known::Refused { why, since_ms: *since_ms, checked: Instant::now() });
            }
            (Err(why @ KeyError::Refused { .. }), Known::Usable { .. }) => {
                tracing::warn!(table, %why, "a table's key can not be used any more");
                self.learn(table, refused(why));
            }
            (Err(why), Known::Usable { checked, .. })
                if checked.elapsed() >= self.trusted_for.saturating_add(OUTAGE_ENDURED) =>
            {
                tracing::error!(table, %why, "a table's key was not checked for too long: it is used no more");
                self.learn(table, refused(KeyError::refused("DependencyTimeoutException", why.to_string())));
            }
            (Err(why), _) => return Err(Error::Internal(why.to_string())),
        }
        Ok(())
    }

    /// Wraps every data key anew that is not wrapped by the newest version of its root key; says how many.
    ///
    /// # Errors
    /// An engine failure, or the last failure of the service: keys that it refuses are passed over.
    pub(super) async fn rewrap_all(&self) -> Result<usize> {
        let mut count = 0;
        let mut failed = None;
        if self.rewrap_own().await? {
            count += 1;
        }
        let mut range = KeyRange::prefix(keyspace::all_table_keys());
        loop {
            let snapshot = self.store.snapshot(Freshness::Latest).await?;
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit { rows: 100, ..ScanLimit::PAGE }).await?;
            for (key, value) in &page.rows {
                let mut record = from_json(value)?;
                match self.rewrap(&mut record).await {
                    Ok(false) => {}
                    Ok(true) => count += usize::from(self.replace(snapshot.version(), key, to_json(&record)?).await?),
                    Err(why) => failed = Some(why),
                }
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return failed.map_or(Ok(count), |why| Err(Error::Internal(why.to_string()))),
            }
        }
    }

    async fn rewrap_own(&self) -> Result<bool> {
        let key = keyspace::vault();
        let snapshot = self.store.snapshot(Freshness::Latest).await?;
        let Some(value) = snapshot.get(&key).await? else { return Ok(false) };
        let mut record: VaultRecord = from_json(&value)?;
        match self.rewrap(&mut record.keys).await {
            Ok(false) => Ok(false),
            Ok(true) => self.replace(snapshot.version(), &key, to_json(&record)?).await,
            Err(why) => Err(Error::Internal(why.to_string())),
        }
    }

    /// Puts a record in the place of the one that was read; says whether that was still there.
    async fn replace(
        &self,
        read_version: partita_engine::Version,
        key: &Key,
        value: partita_engine::Value,
    ) -> Result<bool> {
        let commit = Commit {
            read_version,
            reads: vec![Read::Key(key.clone())],
            writes: vec![Write::Put { key: key.clone(), value }],
            catalog_changed: false,
        };
        match self.store.commit(commit).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict | CommitError::TooOld) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }
}
