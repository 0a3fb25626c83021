//! The view of one moment of the cluster: a transaction that only reads, and that nothing conflicts with.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use foundationdb::options::{StreamingMode, TransactionOption};
use foundationdb::{Database, FdbError, KeySelector, RangeOption, Transaction};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::contract::{
    CatalogToken, Direction, EngineError, EngineSnapshot, Key, KeyRange, Page, Reason, ScanLimit, Value, Version,
};

use super::failure;
use super::keys::{self, Id, PIECE_BYTES, Space, Stored};

/// How long one read may take, in milliseconds; versions are forgotten after five seconds anyway.
const READ_TIMEOUT_MS: i32 = 10_000;
/// The age from which a view may be too old.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(5);
/// How often a read is tried again.
const READ_TRIES: u32 = 5;
/// The pause before the first further try; each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The most bytes one answer of the cluster should carry.
const ANSWER_BYTES: usize = 1 << 20;
/// How many keys are read at a time.
const READS_AT_A_TIME: usize = 128;

/// A view of one moment of the cluster.
#[derive(Clone)]
pub struct FdbSnapshot(Arc<View>);

struct View {
    transaction: Transaction,
    space: Space,
    version: i64,
    token: CatalogToken,
    taken: Instant,
}

impl FdbSnapshot {
    /// A view of this version, whose catalog token is known or is read.
    pub(super) async fn at(
        database: &Database,
        space: &Space,
        known: Option<(i64, CatalogToken)>,
    ) -> Result<Self, FdbError> {
        let mut tries = 0;
        loop {
            let transaction = database.create_trx()?;
            for option in [
                TransactionOption::ReadSystemKeys,
                TransactionOption::ReadYourWritesDisable,
                TransactionOption::Timeout(READ_TIMEOUT_MS),
            ] {
                transaction.set_option(option)?;
            }
            let found = match known {
                Some((version, token)) => {
                    transaction.set_read_version(version);
                    Ok((version, token))
                }
                None => moment(&transaction).await,
            };
            match found {
                Ok((version, token)) => {
                    return Ok(Self(Arc::new(View {
                        transaction,
                        space: space.clone(),
                        version,
                        token,
                        taken: Instant::now(),
                    })));
                }
                Err(error) if error.is_retryable() && tries < READ_TRIES => pause(&mut tries).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// What a failed read means. The transaction behind a view ends some seconds after the cluster has forgotten its version.
    fn failed(&self, error: FdbError) -> EngineError {
        let is_old = self.0.taken.elapsed() > FORGOTTEN_AFTER;
        if is_old && failure::timed_out(error) { EngineError::TooOld } else { failure::engine(error) }
    }

    /// The version and the token, for further views of the same moment.
    pub(super) fn moment(&self) -> (i64, CatalogToken) {
        (self.0.version, self.0.token)
    }

    async fn read(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        let full = self.0.space.key(key);
        let mut tries = 0;
        let stored = loop {
            match self.0.transaction.get(&full, true).await {
                Ok(stored) => break stored,
                Err(error) if failure::read_again(error) && tries < READ_TRIES => pause(&mut tries).await,
                Err(error) => return Err(self.failed(error)),
            }
        };
        match stored {
            Some(stored) => self.whole(read_value(&stored)?).await.map(Some),
            None => Ok(None),
        }
    }

    /// A value with what of it lies elsewhere.
    async fn whole(&self, stored: Stored) -> Result<Value, EngineError> {
        match stored {
            Stored::Inline(value) => Ok(value),
            Stored::Blob { id, bytes } => self.blob(&id, bytes).await,
        }
    }

    async fn blob(&self, id: &Id, bytes: u32) -> Result<Value, EngineError> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let pieces = u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX);
        let mut value = BytesMut::with_capacity(bytes);
        let mut found = stream::iter(0..pieces)
            .map(|number| self.0.transaction.get(&self.0.space.piece(id, number), true))
            .buffered(READS_AT_A_TIME);
        while let Some(piece) = found.try_next().await.map_err(|error| self.failed(error))? {
            value.extend_from_slice(piece.as_deref().unwrap_or_default());
        }
        if value.len() == bytes { Ok(value.freeze()) } else { Err(damaged("a part of a large value is missing")) }
    }

    async fn read_page(&self, range: &KeyRange, direction: Direction, limit: ScanLimit) -> Result<Page, EngineError> {
        let mut rows: Vec<(Key, Stored)> = Vec::new();
        let mut bytes = 0_usize;
        let mut more = false;
        let (begin, end) = self.0.space.range(range);
        let most = limit.rows.max(1);
        let mut tries = 0;
        let mut left = (begin < end).then(|| RangeOption {
            limit: Some(most.saturating_add(1)),
            target_bytes: limit.bytes.clamp(4096, ANSWER_BYTES),
            mode: StreamingMode::WantAll,
            reverse: direction == Direction::Backward,
            ..RangeOption::from((KeySelector::first_greater_or_equal(begin), KeySelector::first_greater_or_equal(end)))
        });
        'answers: while let Some(option) = left.take() {
            let answer = match self.0.transaction.get_range(&option, 1, true).await {
                Ok(answer) => answer,
                Err(error) if failure::read_again(error) && tries < READ_TRIES => {
                    pause(&mut tries).await;
                    left = Some(option);
                    continue;
                }
                Err(error) => return Err(self.failed(error)),
            };
            for row in &answer {
                if rows.len() >= most || (!rows.is_empty() && bytes >= limit.bytes) {
                    more = true;
                    break 'answers;
                }
                let (key, stored) = (self.0.space.own(row.key()), read_value(row.value())?);
                let length = match &stored {
                    Stored::Inline(value) => value.len(),
                    Stored::Blob { bytes, .. } => usize::try_from(*bytes).unwrap_or(usize::MAX),
                };
                bytes = bytes.saturating_add(key.len()).saturating_add(length);
                rows.push((key, stored));
            }
            left = option.next_range(&answer);
        }
        let rows = stream::iter(rows)
            .map(|(key, stored)| async move { Ok::<_, EngineError>((key, self.whole(stored).await?)) })
            .buffered(READS_AT_A_TIME)
            .try_collect()
            .await?;
        Ok(Page { rows, more })
    }
}

/// The version that a transaction reads at, and the catalog's token then.
async fn moment(transaction: &Transaction) -> Result<(i64, CatalogToken), FdbError> {
    // The cluster sends the token along with the version.
    let version = transaction.get_read_version().await?;
    let token = transaction.get_metadata_version(true).await?;
    Ok((version, CatalogToken(token.map_or(0, i64::cast_unsigned))))
}

async fn pause(tries: &mut u32) {
    tokio::time::sleep(FIRST_PAUSE.saturating_mul(1 << *tries)).await;
    *tries = tries.saturating_add(1);
}

fn read_value(stored: &[u8]) -> Result<Stored, EngineError> {
    keys::read(stored).ok_or_else(|| damaged("a stored value has an unknown form"))
}

fn damaged(what: &str) -> EngineError {
    EngineError::Damaged(Reason::new(what))
}

impl EngineSnapshot for FdbSnapshot {
    fn version(&self) -> Version {
        Version(self.0.version.cast_unsigned())
    }

    fn catalog_token(&self) -> CatalogToken {
        self.0.token
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        self.read(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Value>>, EngineError> {
        let keys: Vec<Bytes> = keys.to_vec();
        stream::iter(keys).map(|key| async move { self.read(&key).await }).buffered(READS_AT_A_TIME).try_collect().await
    }

    async fn scan(&self, range: &KeyRange, direction: Direction, limit: ScanLimit) -> Result<Page, EngineError> {
        self.read_page(range, direction, limit).await
    }
}

impl fmt::Debug for FdbSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FdbSnapshot").field("version", &self.0.version).finish_non_exhaustive()
    }
}
