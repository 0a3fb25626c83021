//! A whole database's move from one store to another: every key is copied as it stands, then compared.
//!
//! How far the copy has come is kept in the receiving store, so that one that was interrupted goes on there; until it has
//! ended, the receiving store does not open as a database. Neither store may be in use meanwhile: the comparison finds out.

use std::collections::VecDeque;

use partita_engine::{
    Commit, CommitError, Committed, Direction, Freshness, Key, KeyRange, ScanLimit, Store, Value, Write,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::keyspace;

/// How much is copied in one commit.
const PAGE: ScanLimit = ScanLimit { rows: 1_000, bytes: 1 << 20 };
/// How many commits are under way at once.
const AT_ONCE: usize = 8;

/// What a transfer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Counting what there is.
    Counting,
    /// Copying.
    Copying,
    /// Comparing both stores.
    Comparing,
}

/// How far a transfer has come, or what it was in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Keys with their values.
    pub rows: u64,
    /// The bytes of keys and values.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, rows: &[(Key, Value)]) {
        for (key, value) in rows {
            self.rows = self.rows.saturating_add(1);
            self.bytes = self.bytes.saturating_add(u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX));
        }
    }
}

/// Why a transfer did not end well.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The receiving store holds data that no transfer has put there.
    #[error("there is a database already where the data is to go; nothing was copied")]
    NotEmpty,
    /// The copy that was begun there is one of other data.
    #[error("an unfinished copy of another database is where the data is to go; nothing was copied")]
    OtherSource,
    /// The source itself is an unfinished copy.
    #[error("the data is itself an unfinished copy: finish that one first")]
    SourceUnfinished,
    /// There is nothing to copy.
    #[error("there is no database to copy")]
    NoSource,
    /// The two stores differ after the copy.
    #[error(
        "the copy differs from the original at key {0}: was one of them in use? Stop every server of both and start over \
         with an empty destination"
    )]
    Different(String),
    /// A store failed. The transfer goes on from there when it is run again.
    #[error("{0}; run it again to go on")]
    Failed(#[from] Error),
}

impl From<partita_engine::EngineError> for TransferError {
    fn from(error: partita_engine::EngineError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<CommitError> for TransferError {
    fn from(error: CommitError) -> Self {
        Self::Failed(error.into())
    }
}

/// How far a copy has come, as the receiving store keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Mark {
    /// What tells this source from others.
    source: String,
    /// The last key of those that are copied without a gap, in hexadecimal digits.
    after: String,
}

/// Whether data is being copied into this store.
///
/// # Errors
/// An engine failure.
pub(crate) async fn is_unfinished(store: &Store) -> Result<bool> {
    Ok(store.snapshot(Freshness::Latest).await?.get(&keyspace::transfer()).await?.is_some())
}

/// The incarnation of the positions that a store gives out. The store that receives its data must give out later ones.
///
/// # Errors
/// An engine failure.
pub async fn incarnation(store: &Store) -> std::result::Result<u32, TransferError> {
    let nothing = Commit { writes: vec![Write::Delete { key: keyspace::transfer_probe() }], ..Commit::default() };
    Ok(store.commit(nothing).await?.incarnation)
}

/// Copies everything from one store to another that is empty, or that holds the beginning of such a copy, and compares the
/// two. `progress` is told of each page: how far, of how much.
///
/// # Errors
/// See [`TransferError`].
pub async fn transfer(
    from: &Store,
    to: &Store,
    mut progress: impl FnMut(Phase, Amount, Amount),
) -> std::result::Result<Amount, TransferError> {
    let source = identify(from).await?;
    let begun = begun(to, &source).await?;
    let total = count(from, &mut progress).await?;
    copy(from, to, Mark { source, after: begun }, total, &mut progress).await?;
    compare(from, to, total, &mut progress).await?;
    let end = vec![Write::Delete { key: keyspace::transfer() }];
    to.commit(Commit { writes: end, catalog_changed: true, ..Commit::default() }).await?;
    Ok(total)
}

/// What tells a database from others.
async fn identify(from: &Store) -> std::result::Result<String, TransferError> {
    let snapshot = from.snapshot(Freshness::Latest).await?;
    if snapshot.get(&keyspace::transfer()).await?.is_some() {
        return Err(TransferError::SourceUnfinished);
    }
    // Its secret is every database's own; what is kept of it says nothing of it.
    let secret = snapshot.get(&keyspace::hash_secret()).await?.ok_or(TransferError::NoSource)?;
    Ok(blake3::derive_key("partita transfer source", &secret).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// How far a copy of this source has come, as a key in hexadecimal digits.
async fn begun(to: &Store, source: &str) -> std::result::Result<String, TransferError> {
    let snapshot = to.snapshot(Freshness::Latest).await?;
    match snapshot.get(&keyspace::transfer()).await? {
        Some(mark) => {
            let mark: Mark = serde_json::from_slice(&mark)
                .map_err(|error| Error::Internal(format!("the mark of a copy: {error}")))?;
            if mark.source == source { Ok(mark.after) } else { Err(TransferError::OtherSource) }
        }
        None => {
            let any = ScanLimit { rows: 1, bytes: 1 };
            let page = snapshot.scan(&everything(), Direction::Forward, any).await?;
            if page.rows.is_empty() { Ok(String::new()) } else { Err(TransferError::NotEmpty) }
        }
    }
}

/// Reads all of a store in pages, each of a view of its own: no view lasts as long as all of them.
struct Pages<'a> {
    store: &'a Store,
    left: Option<KeyRange>,
}

impl<'a> Pages<'a> {
    fn of(store: &'a Store, range: KeyRange) -> Self {
        Self { store, left: Some(range) }
    }

    async fn next(&mut self) -> std::result::Result<Option<Vec<(Key, Value)>>, TransferError> {
        let Some(range) = self.left.take() else { return Ok(None) };
        let snapshot = self.store.snapshot(Freshness::Latest).await?;
        let mut page = snapshot.scan(&range, Direction::Forward, PAGE).await?;
        if let (true, Some((last, _))) = (page.more, page.rows.last()) {
            self.left = Some(range.after(last));
        }
        page.rows.retain(|(key, _)| *key != keyspace::transfer());
        Ok(Some(page.rows))
    }
}

fn everything() -> KeyRange {
    KeyRange::prefix(Key::new())
}

async fn count(
    from: &Store,
    progress: &mut impl FnMut(Phase, Amount, Amount),
) -> std::result::Result<Amount, TransferError> {
    let mut total = Amount::default();
    let mut pages = Pages::of(from, everything());
    while let Some(rows) = pages.next().await? {
        total.add(&rows);
        progress(Phase::Counting, total, total);
    }
    Ok(total)
}

/// A commit under way, with the last key of its page.
type Writing = (JoinHandle<std::result::Result<Committed, CommitError>>, Option<Key>);

async fn copy(
    from: &Store,
    to: &Store,
    mut mark: Mark,
    total: Amount,
    progress: &mut impl FnMut(Phase, Amount, Amount),
) -> std::result::Result<(), TransferError> {
    let mut done = Amount::default();
    let mut range = everything();
    if !mark.after.is_empty() {
        range = range.after(&from_hex(&mark.after)?);
        let mut before = Pages::of(from, KeyRange { start: Key::new(), end: range.start.clone() });
        while let Some(rows) = before.next().await? {
            done.add(&rows);
        }
    }
    let mut writing: VecDeque<Writing> = VecDeque::new();
    let mut pages = Pages::of(from, range);
    loop {
        let rows = pages.next().await?;
        while writing.len() >= AT_ONCE || (rows.is_none() && !writing.is_empty()) {
            let Some((task, last)) = writing.pop_front() else { break };
            task.await.map_err(|error| Error::Internal(error.to_string()))??;
            if let Some(last) = last {
                mark.after = last.iter().map(|byte| format!("{byte:02x}")).collect();
            }
        }
        let Some(rows) = rows else { return Ok(()) };
        done.add(&rows);
        let last = rows.last().map(|(key, _)| key.clone());
        let value = serde_json::to_vec(&mark).map_err(|error| Error::Internal(error.to_string()))?;
        let mut writes: Vec<Write> = rows.into_iter().map(|(key, value)| Write::Put { key, value }).collect();
        writes.push(Write::Put { key: keyspace::transfer(), value: value.into() });
        let to = to.clone();
        let commit = Commit { writes, ..Commit::default() };
        writing.push_back((tokio::spawn(async move { to.commit(commit).await }), last));
        progress(Phase::Copying, done, total);
    }
}

async fn compare(
    from: &Store,
    to: &Store,
    total: Amount,
    progress: &mut impl FnMut(Phase, Amount, Amount),
) -> std::result::Result<(), TransferError> {
    let mut done = Amount::default();
    let (mut ours, mut theirs) = (Pages::of(from, everything()), Pages::of(to, everything()));
    let (mut original, mut copied) = (VecDeque::new(), VecDeque::new());
    loop {
        if original.is_empty()
            && let Some(rows) = ours.next().await?
        {
            done.add(&rows);
            progress(Phase::Comparing, done, total);
            original = rows.into();
            continue;
        }
        if copied.is_empty()
            && let Some(rows) = theirs.next().await?
        {
            copied = rows.into();
            continue;
        }
        let (ours, theirs): (Option<(Key, Value)>, _) = (original.pop_front(), copied.pop_front());
        match (ours, theirs) {
            (None, None) => return Ok(()),
            (ours, theirs) if ours == theirs => {}
            (ours, theirs) => {
                let key = ours.into_iter().chain(theirs).map(|(key, _)| key).min().unwrap_or_default();
                return Err(TransferError::Different(key.iter().map(|byte| format!("{byte:02x}")).collect()));
            }
        }
    }
}

fn from_hex(digits: &str) -> Result<Vec<u8>> {
    let bytes = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
    bytes.collect::<Option<_>>().ok_or_else(|| Error::Internal("the mark of a copy can not be read".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use partita_engine::OpenOptions;

    async fn filled() -> Store {
        let store = Store::open(&OpenOptions::memory()).unwrap();
        let put = |n: u32| Write::Put { key: format!("k{n:05}").into(), value: vec![7; 900].into() };
        let secret = Write::Put { key: keyspace::hash_secret(), value: vec![1; 32].into() };
        let writes = (0..12_000).map(put).chain([secret]).collect();
        store.commit(Commit { writes, ..Commit::default() }).await.unwrap();
        store
    }

    #[tokio::test]
    async fn everything_is_copied_and_compared() {
        let (from, to) = (filled().await, Store::open(&OpenOptions::memory()).unwrap());
        let mut phases = Vec::new();
        let total = transfer(&from, &to, |phase, done, total| phases.push((phase, done, total))).await.unwrap();
        assert_eq!(total.rows, 12_001);
        assert_eq!(phases.last(), Some(&(Phase::Comparing, total, total)));
        assert!(!is_unfinished(&to).await.unwrap());
        assert!(matches!(transfer(&from, &to, |_, _, _| ()).await, Err(TransferError::NotEmpty)));
    }

    #[tokio::test]
    async fn an_interrupted_copy_goes_on() {
        let (from, to) = (filled().await, Store::open(&OpenOptions::memory()).unwrap());
        let (sender, stopped) = tokio::sync::oneshot::channel();
        let mut sender = Some(sender);
        let first = async {
            let copying = transfer(&from, &to, |phase, done, _| {
                if phase == Phase::Copying && done.rows > 11_000 {
                    sender.take().map(|sender| sender.send(()));
                }
            });
            tokio::select! { _ = copying => {} _ = stopped => {} }
        };
        first.await;
        assert!(is_unfinished(&to).await.unwrap());
        let mut first_copied = None;
        let total = transfer(&from, &to, |phase, done, _| {
            if phase == Phase::Copying {
                first_copied.get_or_insert(done.rows);
            }
        });
        assert_eq!(total.await.unwrap().rows, 12_001);
        assert!(first_copied.is_none_or(|rows| rows > 2_000), "{first_copied:?}");
    }

    #[tokio::test]
    async fn a_copy_that_differs_is_no_success() {
        let (from, to) = (filled().await, Store::open(&OpenOptions::memory()).unwrap());
        let mark = Mark { source: identify(&from).await.unwrap(), after: "6b3030303031".to_owned() };
        let mark = Write::Put { key: keyspace::transfer(), value: serde_json::to_vec(&mark).unwrap().into() };
        let stray = Write::Put { key: "k00000".into(), value: "other".into() };
        to.commit(Commit { writes: vec![mark, stray], ..Commit::default() }).await.unwrap();
        let outcome = transfer(&from, &to, |_, _, _| ()).await;
        assert!(matches!(outcome, Err(TransferError::Different(_))), "{outcome:?}");
        assert!(is_unfinished(&to).await.unwrap());
    }
}
