//! What the catalog keeps of an export.

use partita_engine::{Key, Write};
use partita_objects::ServerSideEncryption;
use serde::{Deserialize, Serialize};

use super::filter::ExportFilter;
use crate::backup::{from_json, to_json};
use crate::error::Result;
use crate::keyspace;
use crate::scope::TableArn;

/// What a request asks to be exported, where to and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportRequest {
    /// What is exported.
    pub span: ExportSpan,
    /// The bucket's name.
    pub bucket: String,
    /// Whose bucket it has to be: an account.
    pub bucket_owner: Option<String>,
    /// What the keys of all files begin with, before a slash.
    pub prefix: Option<String>,
    /// How the bucket's service is asked to encrypt the files.
    pub encryption: Option<ExportEncryption>,
    /// The form of the items.
    pub format: ExportFormat,
    /// Which items, and what of them.
    pub filter: Option<ExportFilter>,
    /// The client's token.
    pub token: Option<String>,
}

/// What of a table's time is exported. Times are in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExportSpan {
    /// The table as it was at the beginning of a second, or as it is when the export begins.
    Full(Option<u64>),
    /// What was changed from one second on until another, or until the export begins.
    Changes {
        /// The first second.
        from: u64,
        /// The second after the last.
        to: Option<u64>,
        /// What is told of a change.
        view: ExportView,
    },
}

/// What is told of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExportView {
    /// What the item became.
    New,
    /// What it was before, too.
    NewAndOld,
}

/// The form of exported items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExportFormat {
    /// Lines of DynamoDB's JSON.
    Json,
    /// Lines of Ion's text.
    Ion,
}

/// How the bucket's service is asked to encrypt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExportEncryption {
    /// Under keys of its own.
    Aes256,
    /// Under a key of its key management service.
    Kms(Option<String>),
}

/// Where an export's record lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportPlace {
    pub account: String,
    pub region: String,
    pub table: String,
    pub id: String,
}

/// An export.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportRecord {
    pub(crate) place: ExportPlace,
    /// The table's id in ARNs and descriptions.
    pub table_uuid: String,
    /// The table's id in keys.
    pub(super) table: u32,
    /// Which of the table's histories is read.
    pub(super) generation: u32,
    /// What was asked for.
    pub request: ExportRequest,
    /// How it stands.
    pub state: ExportState,
    /// When it began, in milliseconds since the epoch.
    pub began_ms: u64,
    /// When it ended, in milliseconds since the epoch.
    pub ended_ms: Option<u64>,
    /// The moment exported, or the end of the time whose changes are, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The position of the beginning of that time, in hexadecimal.
    pub(super) from: Option<String>,
    /// The position of the moment, in hexadecimal; `None` for that of the commit that began the export.
    pub(super) at: Option<String>,
    /// Into how many files the items go.
    pub(super) files: u32,
    /// How many items were exported.
    pub items: i64,
    /// The sizes of the items read, in bytes as DynamoDB counts them.
    pub bytes: i64,
}

/// How an export stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExportState {
    /// Being written.
    InProgress,
    /// Whole.
    Completed,
    /// Given up.
    Failed(ExportFailure),
}

/// Why an export was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportFailure {
    /// `FailureCode`.
    pub code: String,
    /// `FailureMessage`.
    pub message: String,
}

/// What a client token stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct TokenRecord {
    /// The hash of the request, in hexadecimal.
    pub request: String,
    pub place: ExportPlace,
    pub used_ms: u64,
}

impl ExportPlace {
    pub(super) fn key(&self) -> Key {
        keyspace::export(&self.account, &self.region, &self.table, &self.id)
    }

    /// Reads an export's ARN.
    pub(super) fn parse(arn: &str) -> Option<Self> {
        let parsed = TableArn::parse(arn)?;
        let id = parsed.rest?.strip_prefix("export/").filter(|id| !id.is_empty() && !id.contains('/'))?;
        Some(Self {
            account: parsed.account.to_owned(),
            region: parsed.region.to_owned(),
            table: parsed.table.to_owned(),
            id: id.to_owned(),
        })
    }

    pub(super) fn table_arn(&self) -> String {
        format!("arn:aws:dynamodb:{}:{}:table/{}", self.region, self.account, self.table)
    }
}

impl ExportRecord {
    /// The export's ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("{}/export/{}", self.table_arn(), self.place.id)
    }

    /// The ARN of the table that is exported.
    #[must_use]
    pub fn table_arn(&self) -> String {
        self.place.table_arn()
    }

    /// Under what the files lie that belong to this export alone, with a slash behind it.
    pub(super) fn folder(&self) -> String {
        format!("{}AWSDynamoDB/{}/", self.base(), self.place.id)
    }

    fn base(&self) -> String {
        self.request.prefix.as_ref().map(|prefix| format!("{prefix}/")).unwrap_or_default()
    }

    /// The key of a data file. Those of exports of changes lie in one folder for all, as the service has it. The name is
    /// the same in every attempt, so that a file is written over and not left beside another.
    pub(super) fn data_key(&self, number: u32) -> String {
        let name = file_name(&self.place, number);
        let ending = match self.request.format {
            ExportFormat::Json => "json.gz",
            ExportFormat::Ion => "ion.gz",
        };
        match self.request.span {
            ExportSpan::Full(_) => format!("{}data/{name}.{ending}", self.folder()),
            ExportSpan::Changes { .. } => format!("{}AWSDynamoDB/data/{name}.{ending}", self.base()),
        }
    }

    /// The key of the summary, which is there when the export is whole.
    #[must_use]
    pub fn manifest(&self) -> String {
        format!("{}manifest-summary.json", self.folder())
    }

    pub(super) fn read(value: &[u8]) -> Result<Self> {
        from_json(value)
    }

    pub(super) fn write(&self) -> Result<Write> {
        Ok(Write::Put { key: self.place.key(), value: to_json(self)? })
    }
}

impl From<ExportEncryption> for ServerSideEncryption {
    fn from(encryption: ExportEncryption) -> Self {
        match encryption {
            ExportEncryption::Aes256 => Self::Aes256,
            ExportEncryption::Kms(key) => Self::Kms(key),
        }
    }
}

/// The id of an export that begins now.
pub(super) fn new_id(now_ms: u64) -> String {
    format!("{now_ms:014}-{:08x}", fastrand::u32(..))
}

/// 26 letters and digits that belong to one file of one export.
fn file_name(place: &ExportPlace, number: u32) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let hash = blake3::hash(format!("{}/export/{}/{number}", place.table_arn(), place.id).as_bytes());
    let letter = |byte: &u8| char::from(LETTERS.get(usize::from(byte % 32)).copied().unwrap_or(b'a'));
    hash.as_bytes().iter().take(26).map(letter).collect()
}
