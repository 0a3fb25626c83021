//! `partita backup`, `restore`, `export` and `import`: long work of a running server, begun from a terminal and watched to
//! its end.
//!
//! The work is the server's, or AWS's: it goes on when the command is stopped. The same command given again finds what it
//! began, and watches that.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Args};
use partita_client::{Client, Trust, TrustError};
use partita_remote::{CallError, CredentialsError, Endpoint, EndpointError, Side};
use serde_json::{Map, Value, json};
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::progress::{Come, Line, bytes};

/// The exit code when the work failed, or could not be begun.
const FAILED: u8 = 1;
/// How often it is asked how far the work has come.
const POLL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub struct Connection {
    /// Address of the server
    #[arg(
        long = "endpoint-url",
        env = "AWS_ENDPOINT_URL_DYNAMODB",
        value_name = "URL",
        default_value = "http://localhost:8000",
        help_heading = "Server"
    )]
    endpoint: String,

    /// Region of the tables
    #[arg(
        long,
        env = "AWS_REGION",
        value_name = "REGION",
        value_parser = crate::options::region,
        help_heading = "Server"
    )]
    region: Option<String>,

    /// Profile of ~/.aws/credentials; without this, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    profile: Option<String>,

    /// PEM file of certificates to trust, beside the system's
    #[arg(
        long,
        env = "PARTITA_CA_FILE",
        value_name = "FILE",
        value_parser = crate::options::file,
        help_heading = "Server"
    )]
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Backup {
    #[command(flatten)]
    connection: Connection,

    /// The table
    #[arg(long, value_name = "NAME")]
    table: String,

    /// The backup's name; one of this name that is there already is watched, and none is made
    #[arg(long, value_name = "NAME")]
    name: String,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true), group = ArgGroup::new("moment"))]
pub struct Restore {
    #[command(flatten)]
    connection: Connection,

    /// Name of the new table; one that is being restored from the same source is watched, and none is made
    #[arg(long = "to", value_name = "NAME")]
    target: String,

    /// ARN of the backup to restore
    #[arg(long, value_name = "ARN", group = "source")]
    backup: Option<String>,

    /// Table to restore as it was; with --at or --latest
    #[arg(long, value_name = "NAME", group = "source", requires = "moment")]
    table: Option<String>,

    /// Second to go back to: 2026-11-22T14:02:59Z, or seconds since the epoch
    #[arg(long, value_name = "TIME", group = "moment", conflicts_with = "backup", value_parser = second)]
    at: Option<u64>,

    /// Restore the table as it is now
    #[arg(long, group = "moment", conflicts_with = "backup")]
    latest: bool,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    connection: Connection,

    /// The table, which must have point-in-time recovery on
    #[arg(long, value_name = "NAME")]
    table: String,

    /// Bucket to export to, by a name that the server knows
    #[arg(long, value_name = "NAME")]
    bucket: String,

    /// What the keys of the objects begin with
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,

    /// Second of the table's past; without this, now
    #[arg(long, value_name = "TIME", value_parser = second)]
    at: Option<u64>,

    /// DYNAMODB_JSON or ION
    #[arg(long, value_name = "FORMAT", default_value = "DYNAMODB_JSON")]
    format: String,
}

#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    connection: Connection,

    /// Bucket to import from, by a name that the server knows
    #[arg(long, value_name = "NAME")]
    bucket: String,

    /// What the keys of the objects begin with
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,

    /// DYNAMODB_JSON, ION or CSV
    #[arg(long, value_name = "FORMAT", default_value = "DYNAMODB_JSON")]
    format: String,

    /// GZIP, ZSTD or NONE
    #[arg(long, value_name = "COMPRESSION", default_value = "NONE")]
    compression: String,

    /// JSON file with the new table's TableCreationParameters, as the AWS command line takes them
    #[arg(long, value_name = "FILE", value_parser = crate::options::file)]
    table: PathBuf,
}

#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{0}")]
    Ended(String),
    #[error("{path}: {what}", path = .path.display())]
    File { path: PathBuf, what: String },
    #[error("the system does not give what is needed: {0}")]
    System(#[from] std::io::Error),
}

/// What is to be done, and on which server.
pub trait Work {
    fn connection(&self) -> &Connection;
}

macro_rules! work {
    ($($kind:ty),*) => {$(
        impl Work for $kind {
            fn connection(&self) -> &Connection {
                &self.connection
            }
        }
    )*};
}
work!(Backup, Restore, Export, Import);

/// Backs a table up.
pub fn backup(options: Backup) -> ExitCode {
    to_its_end(options, async |server: &Endpoint, options: &Backup| options.run(server).await)
}

/// Restores a table.
pub fn restore(options: Restore) -> ExitCode {
    to_its_end(options, async |server: &Endpoint, options: &Restore| options.run(server).await)
}

/// Exports a table.
pub fn export(options: Export) -> ExitCode {
    to_its_end(options, async |server: &Endpoint, options: &Export| options.run(server).await)
}

/// Imports a table.
pub fn import(options: Import) -> ExitCode {
    to_its_end(options, async |server: &Endpoint, options: &Import| options.run(server).await)
}

fn to_its_end<W: Work>(options: W, run: impl AsyncFnOnce(&Endpoint, &W) -> Result<String, Failure>) -> ExitCode {
    let outcome = Runtime::new().map_err(Failure::from).and_then(|runtime| {
        runtime.block_on(async {
            let server = options.connection().server()?;
            run(&server, &options).await
        })
    });
    match outcome {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("partita: {failure}");
            ExitCode::from(FAILED)
        }
    }
}

impl Connection {
    fn server(&self) -> Result<Endpoint, Failure> {
        let trust = self.ca_file.as_deref().map_or_else(|| Ok(Trust::system()), Trust::with_ca_file)?;
        let side = Side { prefix: None, profile: self.profile.as_deref() };
        let credentials = side.credentials(|name| std::env::var(name).ok())?;
        Ok(Endpoint::new(Client::new(trust), &self.endpoint, self.region.as_deref(), credentials)?)
    }
}

/// How work stands.
enum Stands {
    UnderWay(Come),
    Done(String),
}

/// Asks again and again how work stands, and shows it, until it is done.
async fn watched(what: &str, mut ask: impl AsyncFnMut() -> Result<Stands, Failure>) -> Result<String, Failure> {
    let mut line = Line::new();
    loop {
        match ask().await? {
            Stands::Done(text) => return Ok(text),
            Stands::UnderWay(come) => line.show(what, come),
        }
        tokio::time::sleep(POLL).await;
    }
}

fn text<'v>(value: &'v Value, path: &str) -> Option<&'v str> {
    value.pointer(path).and_then(Value::as_str)
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

fn needed<'v>(operation: &str, value: &'v Value, path: &'static str) -> Result<&'v str, CallError> {
    text(value, path).ok_or_else(|| CallError::strange(operation, path))
}

impl Backup {
    async fn run(&self, server: &Endpoint) -> Result<String, Failure> {
        let arn = match self.existing(server).await? {
            Some(arn) => arn,
            None => {
                let request = json!({"TableName": self.table, "BackupName": self.name});
                let made = server.call("CreateBackup", &request).await?;
                needed("CreateBackup", &made, "/BackupDetails/BackupArn")?.to_owned()
            }
        };
        watched(&format!("backup of {}", self.table), async || {
            let described = server.call("DescribeBackup", &json!({"BackupArn": arn})).await?;
            let details = "/BackupDescription/BackupDetails";
            let size = number(&described, &format!("{details}/BackupSizeBytes"));
            match text(&described, &format!("{details}/BackupStatus")) {
                Some("AVAILABLE") => Ok(Stands::Done(format!("{arn}: {}", bytes(size)))),
                Some("CREATING") => Ok(Stands::UnderWay(Come { items: 0, bytes: size, of: None })),
                other => Err(Failure::Ended(format!("the backup is {}", other.unwrap_or("gone")))),
            }
        })
        .await
    }

    /// A backup of the table with the name.
    async fn existing(&self, server: &Endpoint) -> Result<Option<String>, Failure> {
        let mut after = None;
        loop {
            let mut request = Map::from_iter([("TableName".to_owned(), json!(self.table))]);
            request.extend(after.take().map(|after: String| ("ExclusiveStartBackupArn".to_owned(), json!(after))));
            let listed = server.call("ListBackups", &Value::Object(request)).await?;
            let backups =
                listed.get("BackupSummaries").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let mine = |backup: &&Value| text(backup, "/BackupName") == Some(self.name.as_str());
            if let Some(backup) = backups.iter().find(mine) {
                return Ok(text(backup, "/BackupArn").map(str::to_owned));
            }
            match text(&listed, "/LastEvaluatedBackupArn") {
                Some(last) => after = Some(last.to_owned()),
                None => return Ok(None),
            }
        }
    }
}

impl Restore {
    async fn run(&self, server: &Endpoint) -> Result<String, Failure> {
        let target = &self.target;
        let existing = self.described(server, target).await?;
        if let Some(table) = &existing
            && !self.is_mine(table)
        {
            return Err(Failure::Ended(format!(
                "there is a table {target} already, and it was not restored from this"
            )));
        }
        if existing.is_none() {
            match (&self.backup, &self.table) {
                (Some(arn), _) => {
                    let request = json!({"BackupArn": arn, "TargetTableName": target});
                    server.call("RestoreTableFromBackup", &request).await?;
                }
                (None, source) => {
                    let mut request = json!({"SourceTableName": source, "TargetTableName": target});
                    let (name, value) = match self.at {
                        Some(second) => ("RestoreDateTime", json!(second)),
                        None => ("UseLatestRestorableTime", json!(true)),
                    };
                    if let Some(request) = request.as_object_mut() {
                        request.insert(name.to_owned(), value);
                    }
                    server.call("RestoreTableToPointInTime", &request).await?;
                }
            }
        }
        let of = match &self.table {
            Some(source) => self.described(server, source).await?.map(|table| number(&table, "/ItemCount")),
            None => None,
        };
        watched(&format!("restoring {target}"), async || {
            let gone = || Failure::Ended(format!("the restore of {target} failed: the server's log says why"));
            let table = self.described(server, target).await?.ok_or_else(gone)?;
            let (items, size) = (number(&table, "/ItemCount"), number(&table, "/TableSizeBytes"));
            match text(&table, "/TableStatus") {
                Some("ACTIVE") => Ok(Stands::Done(format!("{target}: {items} items, {}", bytes(size)))),
                Some("CREATING") => Ok(Stands::UnderWay(Come { items, bytes: size, of })),
                other => Err(Failure::Ended(format!("{target} is {}", other.unwrap_or("gone")))),
            }
        })
        .await
    }

    async fn described(&self, server: &Endpoint, table: &str) -> Result<Option<Value>, Failure> {
        match server.call("DescribeTable", &json!({"TableName": table})).await {
            Ok(mut answer) => Ok(answer.get_mut("Table").map(Value::take)),
            Err(error) if error.is("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a table was restored from what this asks for.
    fn is_mine(&self, table: &Value) -> bool {
        let summary = |name: &str| text(table, &format!("/RestoreSummary/{name}"));
        match (&self.backup, &self.table) {
            (Some(arn), _) => summary("SourceBackupArn") == Some(arn),
            (None, Some(source)) => {
                let of_source = summary("SourceTableArn").is_some_and(|arn| arn.ends_with(&format!(":table/{source}")));
                let at = table.pointer("/RestoreSummary/RestoreDateTime").and_then(Value::as_f64);
                let same = |second| at.is_some_and(|at| (at - Duration::from_secs(second).as_secs_f64()).abs() < 1.0);
                of_source && self.at.is_none_or(same)
            }
            (None, None) => false,
        }
    }
}

/// A token that is the same for the same request, so that the service finds what was begun before (for eight hours).
fn token(request: &Value) -> String {
    let hash = blake3::hash(request.to_string().as_bytes()).to_hex();
    hash.chars().take(32).collect()
}

fn with_token(mut request: Value) -> Value {
    let token = token(&request);
    if let Some(request) = request.as_object_mut() {
        request.insert("ClientToken".to_owned(), json!(token));
    }
    request
}

impl Export {
    async fn run(&self, server: &Endpoint) -> Result<String, Failure> {
        let described = server.call("DescribeTable", &json!({"TableName": self.table})).await?;
        let arn = needed("DescribeTable", &described, "/Table/TableArn")?;
        let of = Some(number(&described, "/Table/ItemCount"));
        let mut request = json!({"TableArn": arn, "S3Bucket": self.bucket, "ExportFormat": self.format});
        if let Some(request) = request.as_object_mut() {
            request.extend(self.prefix.iter().map(|prefix| ("S3Prefix".to_owned(), json!(prefix))));
            request.extend(self.at.iter().map(|second| ("ExportTime".to_owned(), json!(second))));
        }
        let existing = if self.at.is_none() { self.under_way(server, arn).await? } else { None };
        let arn = match existing {
            Some(arn) => arn,
            None => {
                // An export of a given second is the same each time.
                let request = if self.at.is_some() { with_token(request) } else { request };
                let begun = server.call("ExportTableToPointInTime", &request).await?;
                needed("ExportTableToPointInTime", &begun, "/ExportDescription/ExportArn")?.to_owned()
            }
        };
        watched(&format!("exporting {}", self.table), async || {
            let described = server.call("DescribeExport", &json!({"ExportArn": arn})).await?;
            let export = described.get("ExportDescription").cloned().unwrap_or_default();
            let (items, size) = (number(&export, "/ItemCount"), number(&export, "/BilledSizeBytes"));
            match text(&export, "/ExportStatus") {
                Some("COMPLETED") => {
                    let manifest = text(&export, "/ExportManifest").unwrap_or_default();
                    Ok(Stands::Done(format!("{items} items, {}: {}/{manifest}", bytes(size), self.bucket)))
                }
                Some("IN_PROGRESS") => Ok(Stands::UnderWay(Come { items, bytes: size, of })),
                _ => Err(ended("export", &export)),
            }
        })
        .await
    }
}

impl Export {
    /// An export of the table to the same place that has not ended.
    async fn under_way(&self, server: &Endpoint, table: &str) -> Result<Option<String>, Failure> {
        let listed = server.call("ListExports", &json!({"TableArn": table})).await?;
        let exports = listed.get("ExportSummaries").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for summary in exports.iter().filter(|summary| text(summary, "/ExportStatus") == Some("IN_PROGRESS")) {
            let arn = needed("ListExports", summary, "/ExportArn")?;
            let described = server.call("DescribeExport", &json!({"ExportArn": arn})).await?;
            let of = |name: &str| text(&described, &format!("/ExportDescription/{name}"));
            let same_place = of("S3Bucket") == Some(self.bucket.as_str()) && of("S3Prefix") == self.prefix.as_deref();
            if same_place && of("ExportFormat") == Some(self.format.as_str()) {
                return Ok(Some(arn.to_owned()));
            }
        }
        Ok(None)
    }
}

impl Import {
    async fn run(&self, server: &Endpoint) -> Result<String, Failure> {
        let table = read(&self.table)?;
        let name = text(&table, "/TableName").unwrap_or_default().to_owned();
        let mut source = json!({"S3Bucket": self.bucket});
        if let Some(source) = source.as_object_mut() {
            source.extend(self.prefix.iter().map(|prefix| ("S3KeyPrefix".to_owned(), json!(prefix))));
        }
        let request = json!({
            "S3BucketSource": source,
            "InputFormat": self.format,
            "InputCompressionType": self.compression,
            "TableCreationParameters": table,
        });
        let begun = server.call("ImportTable", &with_token(request)).await?;
        let arn = needed("ImportTable", &begun, "/ImportTableDescription/ImportArn")?.to_owned();
        watched(&format!("importing {name}"), async || {
            let described = server.call("DescribeImport", &json!({"ImportArn": arn})).await?;
            let import = described.get("ImportTableDescription").cloned().unwrap_or_default();
            let (items, size) = (number(&import, "/ImportedItemCount"), number(&import, "/ProcessedSizeBytes"));
            let errors = number(&import, "/ErrorCount");
            match text(&import, "/ImportStatus") {
                Some("COMPLETED") => {
                    Ok(Stands::Done(format!("{name}: {items} items, {}, {errors} errors", bytes(size))))
                }
                Some("IN_PROGRESS") => Ok(Stands::UnderWay(Come { items, bytes: size, of: None })),
                _ => Err(ended("import", &import)),
            }
        })
        .await
    }
}

fn ended(what: &str, described: &Value) -> Failure {
    let code = text(described, "/FailureCode").unwrap_or("it was cancelled");
    let message = text(described, "/FailureMessage").unwrap_or_default();
    Failure::Ended(format!("the {what} failed: {code} {message}"))
}

/// Reads a file of JSON.
fn read(path: &Path) -> Result<Value, Failure> {
    let failed = |what: String| Failure::File { path: path.to_owned(), what };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| failed(format!("no JSON: {error}")))
}

/// A second since the epoch, as such or as a time in UTC.
fn second(text: &str) -> Result<u64, String> {
    if let Ok(second) = text.parse() {
        return Ok(second);
    }
    let unknown = || "a time as 2026-11-22T14:02:59Z, or seconds since the epoch".to_owned();
    let time: jiff::Timestamp = text.parse().map_err(|_| unknown())?;
    u64::try_from(time.as_second()).map_err(|_| unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_iso_8601() {
        assert_eq!(second("1791501648"), Ok(1_791_501_648));
        assert_eq!(second("2026-10-08T23:20:48Z"), Ok(1_791_501_648));
        assert_eq!(second("2026-10-09T01:20:48+02:00"), Ok(1_791_501_648));
        for bad in ["", "soon", "2026-10-08", "1969-01-01T00:00:00Z"] {
            assert!(second(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_same_request_has_the_same_token() {
        let request = |bucket: &str| with_token(json!({"S3Bucket": bucket}));
        assert_eq!(request("a"), request("a"));
        assert_ne!(request("a")["ClientToken"], request("b")["ClientToken"]);
    }
}
