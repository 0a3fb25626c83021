//! Policies of tables and streams: kept as the text that was given, under a revision that changes with it. What they mean
//! is not known here.

use std::sync::Arc;

use partita_engine::{Commit, CommitError, Freshness, Read, Write};
use partita_model::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::Database;
use crate::catalog::{Becomes, RecordChange, back_off, catalog_key_of};
use crate::error::{Error, Result};
use crate::limits::MAX_ATTEMPTS;
use crate::scope::{Scope, TableArn};
use crate::stream::StreamEntry;
use crate::table::Table;
use crate::tables::{new_uuid, no_such_table};

/// The expected revision of a resource that is to have no policy yet ("PutResourcePolicy").
pub const NO_POLICY: &str = "NO_POLICY";

/// A policy that a resource has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourcePolicy {
    /// The document, as it was given.
    pub document: String,
    /// Names this document of this resource; another document has another.
    pub revision: String,
}

impl ResourcePolicy {
    /// A policy under a new revision.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new(document: String) -> Result<Self> {
        Ok(Self { document, revision: new_uuid()? })
    }
}

impl Database {
    /// The table of this name, or with this ARN, as it is now; `None` when there is none.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn find_table(&self, scope: &Scope, name_or_arn: &str) -> Result<Option<Arc<Table>>> {
        let snapshot = self.snapshot(Freshness::Recent).await?;
        self.table_at(&snapshot, &catalog_key_of(scope, name_or_arn)).await
    }

    /// The policy of the stream with this ARN; `None` when it has none, or there is no such stream.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn stream_policy(&self, arn: &str) -> Result<Option<ResourcePolicy>> {
        let snapshot = self.snapshot(Freshness::Recent).await?;
        let Some(key) = StreamEntry::key_of(arn) else { return Ok(None) };
        let Some(value) = snapshot.get(&key).await? else { return Ok(None) };
        Ok(StreamEntry::read(&value)?.policy)
    }

    /// The policy of a table or stream, given by its ARN (GetResourcePolicy).
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is no such table or stream, `PolicyNotFoundException` when it has no policy.
    pub async fn resource_policy(&self, arn: &str) -> Result<ResourcePolicy> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let policy = match StreamEntry::key_of(arn) {
            Some(key) => {
                let value = snapshot.get(&key).await?.ok_or_else(|| no_such_stream(arn))?;
                StreamEntry::read(&value)?.policy
            }
            None => {
                let key = catalog_key_of(&nowhere(), arn);
                let table = self.table_at(&snapshot, &key).await?.ok_or_else(|| no_such_table(arn))?;
                table.record.resource_policy.clone()
            }
        };
        policy.ok_or_else(|| {
            let message = format!("Resource-based policy not found for the provided ResourceArn: {arn}");
            Error::refused(ErrorCode::PolicyNotFoundException, message)
        })
    }

    /// Gives a table or stream another policy, or takes it away (PutResourcePolicy, DeleteResourcePolicy). Returns the
    /// revision of the policy that it has then, or of the one taken away; the same document keeps its revision.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is no such table or stream, `PolicyNotFoundException` when its policy is not
    /// of the expected revision.
    pub async fn set_resource_policy(
        &self,
        arn: &str,
        document: Option<String>,
        expected: Option<&str>,
    ) -> Result<Option<String>> {
        let wanted = document.map(ResourcePolicy::new).transpose()?;
        if StreamEntry::key_of(arn).is_some() {
            return self.set_stream_policy(arn, wanted, expected).await;
        }
        self.change_record(&catalog_key_of(&nowhere(), arn), |record| {
            let mut record = record.ok_or_else(|| no_such_table(arn))?;
            let decided = decide(arn, record.resource_policy.as_ref(), wanted.as_ref(), expected)?;
            let Decided::Becomes { policy, answer } = decided else {
                return Ok((RecordChange { record: Becomes::Unchanged, writes: Vec::new() }, decided.answer()));
            };
            record.resource_policy = policy;
            Ok((RecordChange { record: Becomes::Record(Box::new(record)), writes: Vec::new() }, answer))
        })
        .await
    }

    async fn set_stream_policy(
        &self,
        arn: &str,
        wanted: Option<ResourcePolicy>,
        expected: Option<&str>,
    ) -> Result<Option<String>> {
        let key = StreamEntry::key_of(arn).ok_or_else(|| no_such_stream(arn))?;
        for attempt in 0..MAX_ATTEMPTS {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let value = snapshot.get(&key).await?.ok_or_else(|| no_such_stream(arn))?;
            let mut entry = StreamEntry::read(&value)?;
            let decided = decide(arn, entry.policy.as_ref(), wanted.as_ref(), expected)?;
            let Decided::Becomes { policy, answer } = decided else { return Ok(decided.answer()) };
            entry.policy = policy;
            let commit = Commit {
                read_version: snapshot.version(),
                reads: vec![Read::Key(key.clone())],
                writes: vec![Write::Put { key: key.clone(), value: entry.written()? }],
                catalog_changed: false,
            };
            match self.store().commit(commit).await {
                Ok(_) => return Ok(answer),
                Err(CommitError::Conflict | CommitError::TooOld) => back_off(attempt).await,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Contention)
    }
}

/// What becomes of a policy, and the revision that is answered.
enum Decided {
    Stays(Option<String>),
    Becomes { policy: Option<ResourcePolicy>, answer: Option<String> },
}

impl Decided {
    fn answer(self) -> Option<String> {
        match self {
            Self::Stays(answer) | Self::Becomes { answer, .. } => answer,
        }
    }
}

fn decide(
    arn: &str,
    current: Option<&ResourcePolicy>,
    wanted: Option<&ResourcePolicy>,
    expected: Option<&str>,
) -> Result<Decided> {
    let revision = current.map(|current| current.revision.clone());
    let holds = match expected {
        None => true,
        Some(NO_POLICY) => current.is_none(),
        Some(expected) => revision.as_deref() == Some(expected),
    };
    if !holds {
        let message = format!("Resource-based policy not found for the provided ResourceArn: {arn}");
        return Err(Error::refused(ErrorCode::PolicyNotFoundException, message));
    }
    Ok(match (current, wanted) {
        (None, None) => Decided::Stays(None),
        (Some(current), Some(wanted)) if current.document == wanted.document => Decided::Stays(revision),
        (_, Some(wanted)) => Decided::Becomes { policy: Some(wanted.clone()), answer: Some(wanted.revision.clone()) },
        (Some(_), None) => Decided::Becomes { policy: None, answer: revision },
    })
}

/// An ARN says itself where its table lives.
fn nowhere() -> Scope {
    Scope { account: "".into(), region: "".into() }
}

fn no_such_stream(arn: &str) -> Error {
    let table = TableArn::parse(arn).map_or(arn, |arn| arn.table);
    let message = format!("Requested resource not found: Stream: {arn} not found for table: {table}");
    Error::refused(ErrorCode::ResourceNotFoundException, message)
}
