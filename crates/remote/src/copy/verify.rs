//! Whether source and target hold the same: counts and hashes of both, and the keys of what differs.

use std::collections::HashMap;

use serde_json::Value;
use tokio::task::JoinSet;

use super::items::scan_page;
use super::{CopyError, Job, Stop};
use crate::content::{Digest, bucket_of, fingerprint, key_of};
use crate::{Endpoint, Pace};
use std::sync::Arc;

/// How many keys of items that differ are told.
const TOLD: usize = 20;
/// The most items of differing buckets that are remembered.
const MAX_SUSPECTS: usize = 200_000;

/// What a comparison came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The table, by its name at the source.
    pub table: String,
    /// How many items the source has.
    pub source_items: u64,
    /// How many the target has.
    pub target_items: u64,
    /// Whether both hold the same.
    pub same: bool,
    /// Keys of some items that are missing or different, as JSON, with what is the matter.
    pub differences: Vec<String>,
}

impl Job {
    /// Reads both tables and compares them.
    pub(super) async fn verify(&self, table: &str, stop: &Stop) -> Result<Comparison, CopyError> {
        let target = self.target_of(table);
        let keys = Arc::new(self.key_names_of(table).await?);
        let source = self.digest((&self.options.from, &self.reads), table, &keys, stop);
        let copied = self.digest((&self.options.to, &self.target_reads), target, &keys, stop);
        let (source, copied) = tokio::try_join!(source, copied)?;
        let buckets = source.differences(&copied);
        let mut comparison = Comparison {
            table: table.to_owned(),
            source_items: source.items(),
            target_items: copied.items(),
            same: buckets.is_empty(),
            differences: Vec::new(),
        };
        if !buckets.is_empty() {
            let source = self.suspects(&self.options.from, table, &keys, &buckets, stop);
            let copied = self.suspects(&self.options.to, target, &keys, &buckets, stop);
            let (source, copied) = tokio::try_join!(source, copied)?;
            for (key, (content, shown)) in &source {
                match copied.get(key) {
                    None => comparison.differences.push(format!("missing at the target: {shown}")),
                    Some((other, _)) if other != content => comparison.differences.push(format!("different: {shown}")),
                    Some(_) => {}
                }
            }
            let more = copied.iter().filter(|(key, _)| !source.contains_key(*key));
            comparison.differences.extend(more.map(|(_, (_, shown))| format!("only at the target: {shown}")));
            comparison.differences.sort_unstable();
            comparison.differences.truncate(TOLD);
        }
        Ok(comparison)
    }

    async fn key_names_of(&self, table: &str) -> Result<Vec<String>, CopyError> {
        let description = super::schema::described(&self.options.from, table).await?;
        let gone = || CopyError::Gone(table.to_owned(), self.options.from.url().to_owned());
        Ok(super::schema::key_names(&description.ok_or_else(gone)?))
    }

    async fn digest(
        &self,
        (endpoint, pace): (&Endpoint, &Arc<Pace>),
        table: &str,
        keys: &Arc<Vec<String>>,
        stop: &Stop,
    ) -> Result<Digest, CopyError> {
        let total = self.options.segments;
        let mut tasks = JoinSet::new();
        for segment in 0..total {
            let (endpoint, pace, table, keys) =
                (endpoint.clone(), Arc::clone(pace), table.to_owned(), Arc::clone(keys));
            let (progress, stop) = (self.progress.clone(), stop.clone());
            tasks.spawn(async move {
                let (mut digest, mut after) = (Digest::new(), None);
                loop {
                    if stop.is_set() {
                        return Err(CopyError::Stopped);
                    }
                    let page = scan_page(&endpoint, &table, (segment, total), after, true).await?;
                    pace.spend(page.units).await;
                    page.items.iter().for_each(|item| digest.add(item, &keys));
                    progress.verified(page.items.len(), page.bytes);
                    match page.next {
                        Some(next) => after = Some(next),
                        None => return Ok(digest),
                    }
                }
            });
        }
        let mut digest = Digest::new();
        while let Some(ended) = tasks.join_next().await {
            digest.merge(&ended.map_err(|error| CopyError::Task(error.to_string()))??);
        }
        Ok(digest)
    }

    /// The items of some buckets: their contents' hashes and their keys to show, by the keys' hashes.
    async fn suspects(
        &self,
        endpoint: &Endpoint,
        table: &str,
        keys: &[String],
        buckets: &[usize],
        stop: &Stop,
    ) -> Result<HashMap<u128, (u128, String)>, CopyError> {
        let (mut suspects, mut after) = (HashMap::new(), None);
        loop {
            if stop.is_set() {
                return Err(CopyError::Stopped);
            }
            let page = scan_page(endpoint, table, (0, 1), after, true).await?;
            for item in &page.items {
                let key: Value = key_of(item, keys);
                let hash = fingerprint(&key);
                if buckets.binary_search(&bucket_of(hash)).is_ok() && suspects.len() < MAX_SUSPECTS {
                    suspects.insert(hash, (fingerprint(item), key.to_string()));
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(suspects),
            }
        }
    }
}
