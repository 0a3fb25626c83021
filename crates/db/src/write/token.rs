//! Client tokens of transactions: for ten minutes the same token with the same request does nothing again, and with
//! another request it is refused. A token is recorded in the commit of its transaction.
//!
//! Source: "TransactWriteItems", `ClientRequestToken`. Tokens lie in buckets of ten minutes, which are emptied when both
//! they and the bucket after them are over.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use parking_lot::Mutex;
use partita_engine::{Commit, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Write};
use partita_model::ErrorCode;

use crate::Database;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::keyspace;
use crate::scope::Scope;

/// How long a token is remembered, in milliseconds.
const LIFETIME_MS: u64 = 600_000;
/// How many tokens are forgotten in one commit.
const FORGOTTEN_AT_ONCE: usize = 500;

/// A client's token and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientToken {
    /// Of the account, the region and the token.
    name: [u8; 16],
    /// Of the request.
    request: [u8; 16],
}

impl ClientToken {
    /// A token of this caller for a request. `request` is any text that is the same for the same request alone.
    #[must_use]
    pub fn new(scope: &Scope, token: &str, request: &str) -> Self {
        let name = format!("{}\0{}\0{token}", scope.account, scope.region);
        Self { name: hash(name.as_bytes()), request: hash(request.as_bytes()) }
    }

    fn key(&self, bucket: u64) -> Key {
        [keyspace::token_bucket(bucket).as_slice(), &self.name].concat().into()
    }

    /// What a transaction has to read and write so that no other runs under its token.
    pub(super) fn record(&self, now_ms: u64, reads: &mut Vec<Read>, writes: &mut Vec<Write>) {
        let bucket = now_ms / LIFETIME_MS;
        reads.extend([bucket.saturating_sub(1), bucket].map(|bucket| Read::Key(self.key(bucket))));
        let value = [self.request.as_slice(), &now_ms.to_be_bytes()].concat();
        writes.push(Write::Put { key: self.key(bucket), value: value.into() });
    }

    /// Whether a transaction has run under the token in the last ten minutes.
    ///
    /// # Errors
    /// `IdempotentParameterMismatchException` when it was another one.
    pub(super) async fn has_run(&self, snapshot: &Snapshot, now_ms: u64) -> Result<bool> {
        let bucket = now_ms / LIFETIME_MS;
        for bucket in [bucket, bucket.saturating_sub(1)] {
            let Some(value) = snapshot.get(&self.key(bucket)).await? else { continue };
            let Some((request, time)) = value.split_first_chunk::<16>() else { continue };
            let at_ms = time.try_into().map_or(0, u64::from_be_bytes);
            if now_ms.saturating_sub(at_ms) >= LIFETIME_MS {
                continue;
            }
            if *request == self.request {
                return Ok(true);
            }
            return Err(other_request());
        }
        Ok(false)
    }
}

fn other_request() -> Error {
    Error::refused(
        ErrorCode::IdempotentParameterMismatchException,
        "This request was received with a client token that was used with another request",
    )
}

/// The tokens of transactions that this node is executing, each with its request.
#[derive(Debug, Default)]
pub(crate) struct RunningTokens(Mutex<HashMap<[u8; 16], [u8; 16]>>);

/// The token of a transaction that is being executed. It is so no longer when this goes.
pub(super) struct Running<'d> {
    tokens: &'d RunningTokens,
    name: [u8; 16],
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.tokens.0.lock().remove(&self.name);
    }
}

fn hash(bytes: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut short);
    short
}

impl Database {
    /// Begins a transaction with a token.
    ///
    /// # Errors
    /// While another is being executed with it: `TransactionInProgressException` when that is the same,
    /// `IdempotentParameterMismatchException` when it is another.
    pub(super) fn begin(&self, token: &ClientToken) -> Result<Running<'_>> {
        let tokens = &self.inner.running_tokens;
        match tokens.0.lock().entry(token.name) {
            Entry::Vacant(vacant) => {
                vacant.insert(token.request);
            }
            Entry::Occupied(running) if *running.get() == token.request => {
                return Err(Error::refused(
                    ErrorCode::TransactionInProgressException,
                    "The transaction with the given request token is already in progress.",
                ));
            }
            Entry::Occupied(_) => return Err(other_request()),
        }
        Ok(Running { tokens, name: token.name })
    }

    /// Forgets tokens that are no longer valid; some at a time.
    ///
    /// # Errors
    /// When the engine fails.
    pub(crate) async fn forget_tokens(&self) -> Result<()> {
        let first_kept = (self.now_ms() / LIFETIME_MS).saturating_sub(1);
        let range = KeyRange::new(keyspace::token_bucket(0), keyspace::token_bucket(first_kept));
        loop {
            let snapshot = self.snapshot(Freshness::Recent).await?;
            let limit = ScanLimit { rows: FORGOTTEN_AT_ONCE, bytes: ScanLimit::PAGE.bytes };
            let page = snapshot.scan(&range, Direction::Forward, limit).await?;
            if page.rows.is_empty() {
                return Ok(());
            }
            let writes = page.rows.into_iter().map(|(key, _)| Write::Delete { key }).collect();
            self.store().commit(Commit { read_version: snapshot.version(), writes, ..Commit::default() }).await?;
            if !page.more {
                return Ok(());
            }
        }
    }
}
