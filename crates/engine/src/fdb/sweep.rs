//! What nobody needs any more is removed in the background: marks of commits whose process ended, blobs that no commit
//! took, blobs whose key holds another value by now. Every node sweeps; each removal is a transaction of its own that
//! depends on what it saw, so several nodes do not disturb each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foundationdb::options::{StreamingMode, TransactionOption};
use foundationdb::{FdbError, FdbResult, KeySelector, RangeOption, Transaction};

use super::Shared;
use super::keys::{self, Id, Space, Stored};

/// The pause between two rounds.
const ROUND: Duration = Duration::from_secs(20);
/// How long one transaction may take, in milliseconds.
const TIMEOUT_MS: i32 = 10_000;
/// How many keys one round looks at, of each kind.
const ROUND_KEYS: usize = 1_000;
/// The age in versions from which the mark of a commit is forgotten. Versions pass at about a million a second, and each
/// recovery of the cluster adds up to a hundred million: this is twelve hours, or over four hundred recoveries, while nobody
/// asks for an outcome for longer than ten minutes.
const FORGOTTEN_COMMIT_VERSIONS: u64 = 43_200 * 1_000_000;
/// The age in versions from which a blob without a commit is abandoned: a quarter of an hour. A commit that is slower finds
/// it gone and begins again.
const ABANDONED_VERSIONS: u64 = 900 * 1_000_000;
/// How long a blob is kept that its key no longer refers to, for the snapshots that still see it.
const KEPT: Duration = Duration::from_secs(30);

/// How far the sweeping has come.
#[derive(Default)]
struct Sweep {
    first: u8,
    staged: Vec<u8>,
    owners: Vec<u8>,
    /// Blobs seen without their key, and when first.
    loose: HashMap<Id, Instant>,
}

/// Sweeps until the store is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut sweep = Sweep { first: super::random()[0], ..Sweep::default() };
    while !shared.is_closed() {
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            () = shared.closing() => return,
        }
        // What fails in one round is tried again in another.
        let _ = sweep.commits(&shared).await;
        let _ = sweep.staged(&shared).await;
        let _ = sweep.owners(&shared).await;
    }
}

impl Sweep {
    async fn commits(&mut self, shared: &Shared) -> FdbResult<()> {
        let before = now(shared).await?.saturating_sub(FORGOTTEN_COMMIT_VERSIONS);
        for _ in 0..16 {
            let (begin, end) = shared.space.commits_before(self.first, before);
            let transaction = begin_one(shared)?;
            transaction.clear_range(&begin, &end);
            transaction.commit().await?;
            self.first = self.first.wrapping_add(1);
        }
        Ok(())
    }

    async fn staged(&mut self, shared: &Shared) -> FdbResult<()> {
        let rows = page(shared, shared.space.all_staged(&self.staged)).await?;
        let before = now(shared).await?.saturating_sub(ABANDONED_VERSIONS);
        for (mark, written) in &rows {
            let written = written.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            if let Some(id) = Space::id(mark).filter(|_| written < before) {
                let transaction = begin_one(shared)?;
                // A commit that takes the blob now and this removal exclude each other: by the mark, which both clear and
                // this reads, and by the claim, which this clears and the commit depends on.
                if transaction.get(mark, false).await?.is_some() {
                    transaction.clear(mark);
                    transaction.clear(&shared.space.claim(&id));
                    let (begin, end) = shared.space.pieces(&id);
                    transaction.clear_range(&begin, &end);
                    transaction.commit().await?;
                }
            }
        }
        self.staged = resume(&rows);
        Ok(())
    }

    async fn owners(&mut self, shared: &Shared) -> FdbResult<()> {
        let rows = page(shared, shared.space.all_owners(&self.owners)).await?;
        for (owner, key) in &rows {
            let Some(id) = Space::id(owner) else { continue };
            let transaction = begin_one(shared)?;
            let stored = transaction.get(key, false).await?;
            let refers =
                |stored: &[u8]| matches!(keys::read(stored), Some(Stored::Blob { id: found, .. }) if found == id);
            if stored.is_some_and(|stored| refers(&stored)) {
                self.loose.remove(&id);
            } else if self.loose.entry(id).or_insert_with(Instant::now).elapsed() > KEPT {
                transaction.clear(owner);
                let (begin, end) = shared.space.pieces(&id);
                transaction.clear_range(&begin, &end);
                transaction.commit().await?;
                self.loose.remove(&id);
            }
        }
        self.owners = resume(&rows);
        if self.owners.is_empty() && self.loose.len() > ROUND_KEYS {
            // Those that others removed are not seen again.
            self.loose.retain(|_, seen| seen.elapsed() < ROUND * 100);
        }
        Ok(())
    }
}

/// The cluster's time.
async fn now(shared: &Shared) -> FdbResult<u64> {
    Ok(begin_one(shared)?.get_read_version().await?.cast_unsigned())
}

/// A transaction that does not wait for ever.
fn begin_one(shared: &Shared) -> FdbResult<Transaction> {
    let transaction = shared.database.create_trx()?;
    transaction.set_option(TransactionOption::Timeout(TIMEOUT_MS))?;
    Ok(transaction)
}

/// Where the next page begins; at the beginning again after the last.
fn resume(rows: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let last = if rows.len() < ROUND_KEYS { None } else { rows.last().and_then(|(key, _)| Space::id(key)) };
    last.map_or_else(Vec::new, |id| [id.as_slice(), &[0]].concat())
}

async fn page(shared: &Shared, (begin, end): (Vec<u8>, Vec<u8>)) -> Result<Vec<(Vec<u8>, Vec<u8>)>, FdbError> {
    let transaction = begin_one(shared)?;
    let mut rows = Vec::new();
    let mut left = Some(RangeOption {
        limit: Some(ROUND_KEYS),
        mode: StreamingMode::WantAll,
        ..RangeOption::from((KeySelector::first_greater_or_equal(begin), KeySelector::first_greater_or_equal(end)))
    });
    while let Some(option) = left {
        let answer = transaction.get_range(&option, 1, true).await?;
        rows.extend(answer.iter().map(|row| (row.key().to_vec(), row.value().to_vec())));
        left = option.next_range(&answer);
    }
    Ok(rows)
}
