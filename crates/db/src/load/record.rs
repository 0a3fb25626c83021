//! What is kept of a load, and how far it has come.

use partita_engine::{Direction, Freshness, Key, KeyRange, ScanLimit, Write};
use serde::{Deserialize, Serialize};

use super::source::{LoadSource, OutputPlace};
use crate::Database;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::keyspace;
use crate::scope::{Scope, TableArn};

/// Which operation a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LoadKind {
    /// ImportTable: the table is new.
    Import,
    /// StartBulkPutItems: the table is in use.
    Bulk,
}

impl LoadKind {
    /// What stands between the table and the id in the ARN.
    const fn in_arn(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Bulk => "bulk-operation",
        }
    }

    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Import => b'i',
            Self::Bulk => b'b',
        }
    }
}

/// A load's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadStatus {
    /// Being done.
    InProgress,
    /// Done.
    Completed,
    /// Done but for what could not be read or is none of the table; of bulk operations only.
    CompletedWithErrors,
    /// To be stopped.
    Cancelling,
    /// Stopped.
    Cancelled,
    /// Given up; or, of imports, done but for some items.
    Failed,
}

impl LoadStatus {
    /// Whether something is still to be done.
    #[must_use]
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::InProgress | Self::Cancelling)
    }
}

/// Why a load failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadFailure {
    /// `FailureCode`.
    pub code: String,
    /// `FailureMessage`.
    pub message: String,
}

/// What is kept of a load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadRecord {
    /// Ends its ARN: the milliseconds of its time, a hyphen and eight hexadecimal digits.
    pub id: String,
    /// Which operation it is.
    pub kind: LoadKind,
    /// The account of the table.
    pub account: String,
    /// The region of the table.
    pub region: String,
    /// The table's name.
    pub table: String,
    /// `TableId`.
    pub table_uuid: String,
    /// `ClientToken`.
    pub token: String,
    /// The request's members that only its description shows again, as the caller of the database wrote them.
    pub request: String,
    /// Where the items come from.
    pub source: LoadSource,
    /// Where is told of items; of bulk operations only.
    #[serde(default)]
    pub output: Option<OutputPlace>,
    /// `MaxWriteRequestUnits`, of one second.
    #[serde(default)]
    pub max_units: Option<u64>,
    /// Whether the performance tier is the faster one.
    #[serde(default)]
    pub accelerated: bool,
    /// When it began, in milliseconds since the epoch.
    pub started_ms: u64,
    /// When it ended, in milliseconds since the epoch.
    #[serde(default)]
    pub ended_ms: Option<u64>,
    /// Its state.
    pub status: LoadStatus,
    /// Why it failed.
    #[serde(default)]
    pub failure: Option<LoadFailure>,
    /// What it came to; while it is under way, what was stored with its last commit.
    #[serde(default)]
    pub loaded: Loaded,
}

/// What a load has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// Bytes of all objects together, packed as they are; `None` before they have been listed.
    #[serde(default)]
    pub total_bytes: Option<u64>,
    /// Bytes that have been read, packed as they are.
    pub stored_bytes: u64,
    /// Bytes that have been read, unpacked.
    pub text_bytes: u64,
    /// Records that have been read: those written, those refused and those whose conditions were false.
    pub processed: u64,
    /// Items that have been written.
    pub written: u64,
    /// Records that could not be read or are no items of the table, and objects that could not be read to their end.
    pub errors: u64,
    /// Items whose conditions were false.
    pub failed_conditions: u64,
    /// Write request units that the table took.
    pub table_units: u64,
    /// The same of its indexes, by name and whether each is local.
    #[serde(default)]
    pub index_units: Vec<(String, bool, u64)>,
}

/// How far a load under way has come: committed with the items.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub mark: Mark,
    pub loaded: Loaded,
    /// Of each report, what has been told.
    pub reports: Vec<Told>,
}

/// What has been told in a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// How many objects of it there are.
    pub parts: u64,
    /// How many lines they have, and what is in `waiting`.
    pub lines: u64,
    /// Lines that are in no object yet.
    pub waiting: String,
}

/// A place in the objects of a load, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The object; `None` before the first.
    pub object: Option<String>,
    /// Whether all of it is behind.
    pub whole: bool,
    /// How many bytes of its text are behind.
    pub offset: u64,
    /// How many records of it are behind.
    pub records: u64,
    /// How many bytes of it have been read by then, packed as they are.
    pub stored: u64,
    /// The bytes of the objects before, packed as they are.
    pub stored_before: u64,
    /// The bytes of the texts of the objects before.
    pub text_before: u64,
}

impl Mark {
    /// The start of the next object.
    pub fn next(&self, object: &str) -> Self {
        Self {
            object: Some(object.to_owned()),
            stored_before: self.stored_before.saturating_add(self.stored),
            text_before: self.text_before.saturating_add(self.offset),
            ..Self::default()
        }
    }
}

impl LoadRecord {
    /// The name space of its table.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { account: self.account.as_str().into(), region: self.region.as_str().into() }
    }

    /// The ARN of its table.
    #[must_use]
    pub fn table_arn(&self) -> String {
        self.scope().table_arn(&self.table)
    }

    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("{}/{}/{}", self.table_arn(), self.kind.in_arn(), self.id)
    }

    pub(super) fn place(&self) -> LoadPlace {
        LoadPlace { kind: self.kind, account: self.account.clone(), region: self.region.clone(), id: self.id.clone() }
    }

    pub(super) fn write(&self) -> Result<Write> {
        Ok(Write::Put { key: self.place().key(), value: to_json(self)? })
    }
}

/// Where a load's record lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LoadPlace {
    pub kind: LoadKind,
    pub account: String,
    pub region: String,
    pub id: String,
}

impl LoadPlace {
    /// Of the load with this ARN.
    pub fn of_arn(arn: &str, kind: LoadKind) -> Option<Self> {
        let table = TableArn::parse(arn)?;
        let id = table.rest?.strip_prefix(kind.in_arn())?.strip_prefix('/')?;
        let (account, region) = (table.account.to_owned(), table.region.to_owned());
        let plain = !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        plain.then(|| Self { kind, account, region, id: id.to_owned() })
    }

    pub fn key(&self) -> Key {
        let mut key = keyspace::loads_of(self.kind.byte(), &self.account, &self.region);
        key.extend_from_slice(self.id.as_bytes());
        key.into()
    }

    /// The key that says that it is under way.
    pub fn job_key(&self) -> Key {
        keyspace::load_job(self.kind.byte(), &self.id)
    }

    /// The key of how far it has come.
    pub fn progress_key(&self) -> Key {
        keyspace::load_progress(self.kind.byte(), &self.id)
    }

    /// The name of its lease.
    pub fn lease(&self) -> String {
        format!("load/{}/{}", char::from(self.kind.byte()), self.id)
    }
}

/// What stands under a client token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct TokenRecord {
    pub place: LoadPlace,
    /// Of the request.
    pub request: String,
}

impl Database {
    pub(super) async fn load_at(&self, snapshot: &Snapshot, place: &LoadPlace) -> Result<Option<LoadRecord>> {
        let Some(value) = snapshot.get(&place.key()).await? else { return Ok(None) };
        let mut record: LoadRecord = from_json(&value)?;
        if record.status.is_under_way()
            && let Some(value) = snapshot.get(&place.progress_key()).await?
        {
            record.loaded = from_json::<Progress>(&value)?.loaded;
        }
        Ok(Some(record))
    }

    /// All loads under way.
    pub(super) async fn load_jobs(&self) -> Result<Vec<LoadPlace>> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let mut range = KeyRange::prefix(keyspace::load_jobs());
        let mut jobs = Vec::new();
        loop {
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (_, value) in &page.rows {
                jobs.push(from_json(value)?);
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok(jobs),
            }
        }
    }
}

pub(super) fn from_json<T: for<'de> Deserialize<'de>>(value: &[u8]) -> Result<T> {
    serde_json::from_slice(value)
        .map_err(|error| Error::Internal(format!("a record of loads can not be read: {error}")))
}

pub(super) fn to_json(value: &impl Serialize) -> Result<partita_engine::Value> {
    let bytes = serde_json::to_vec(value);
    bytes.map(Into::into).map_err(|error| Error::Internal(format!("a record of loads can not be written: {error}")))
}
