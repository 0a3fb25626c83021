//! ImportTable and StartBulkPutItems: checked here, and begun as jobs; and what describes, lists and cancels them.
//!
//! A client token is a key of its own, read by the commit that begins a load under it, so that a load begins once.

use partita_engine::{Commit, CommitError, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Write};
use partita_model::ErrorCode;

use super::record::{LoadKind, LoadPlace, LoadRecord, LoadStatus, Loaded, TokenRecord, from_json, to_json};
use super::source::{LoadSource, OutputPlace};
use crate::Database;
use crate::catalog::{Becomes, RecordChange, back_off, catalog_key_of, decode_record};
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::keyspace;
use crate::limits::{MAX_ATTEMPTS, MAX_TABLES};
use crate::record::{IndexStatus, TableRecord, TableStatus};
use crate::scope::{Scope, TableArn};
use crate::tables::{TableDefinition, new_uuid, no_such_table};

/// The most loads of each kind of one account in one region at once ("Quotas": 50 imports).
const MAX_LOADS: usize = 50;
/// How long a client token is valid after its load has ended ("ImportTable": 8 hours).
const TOKEN_MS: u64 = 8 * 60 * 60 * 1000;
/// How long loads are listed ("ListImports": 90 days).
pub(super) const RETENTION_MS: u64 = 90 * 24 * 60 * 60 * 1000;

/// What an ImportTable asks for.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// `ClientToken`.
    pub token: Option<String>,
    /// Where the items come from.
    pub source: LoadSource,
    /// The new table's name.
    pub table: String,
    /// The new table.
    pub definition: TableDefinition,
    /// The members that the description shows again, as text that is the same for the same request alone.
    pub request: String,
}

/// What a StartBulkPutItems asks for.
#[derive(Clone, Debug)]
pub struct BulkRequest {
    /// `ClientToken`.
    pub token: Option<String>,
    /// Where the items come from.
    pub source: LoadSource,
    /// Where is told of items.
    pub output: OutputPlace,
    /// The table's name or ARN.
    pub table: String,
    /// `MaxWriteRequestUnits`, of one second.
    pub max_units: Option<u64>,
    /// Whether the performance tier is the faster one.
    pub accelerated: bool,
    /// The members that the description shows again, as text that is the same for the same request alone.
    pub request: String,
}

/// A page of loads, newest first.
#[derive(Clone, Debug, Default)]
pub struct LoadPage {
    /// The loads.
    pub loads: Vec<LoadRecord>,
    /// Whether there are more.
    pub more: bool,
}

impl Database {
    /// Begins to import a new table (ImportTable), or returns what an earlier request with the same token began.
    ///
    /// # Errors
    /// `ResourceInUseException` when there is a table of this name, `ImportConflictException` when the token was used for
    /// another request, `LimitExceededException` past a quota, `ValidationException` when the definition breaks a rule.
    pub async fn begin_import(&self, scope: &Scope, import: &ImportRequest) -> Result<LoadRecord> {
        let now_ms = self.now_ms();
        let mut table = import.definition.record(&import.table, scope, now_ms)?;
        let token = import.token.clone().map_or_else(new_uuid, Ok)?;
        if let Some(begun) = self.begun_before(scope, LoadKind::Import, &token, &import.request).await? {
            return Ok(begun);
        }
        table.uuid = new_uuid()?;
        if let Some(key_id) = import.definition.encryption.as_ref().and_then(|encryption| encryption.key_id.as_deref())
        {
            table.root_key = Some(self.store().root_key(key_id, scope).await?);
        }
        let begun = LoadRecord {
            id: new_id(now_ms),
            kind: LoadKind::Import,
            account: scope.account.to_string(),
            region: scope.region.to_string(),
            table: import.table.clone(),
            table_uuid: table.uuid.clone(),
            token,
            request: import.request.clone(),
            source: import.source.clone(),
            output: None,
            max_units: None,
            accelerated: false,
            started_ms: now_ms,
            ended_ms: None,
            status: LoadStatus::InProgress,
            failure: None,
            loaded: Loaded::default(),
        };
        table.import = Some(begun.id.clone());
        table.status = TableStatus::Creating;
        table.global_indexes.iter_mut().for_each(|index| index.status = IndexStatus::Creating);
        self.check_load_limit(&begun).await?;
        let full = self.table_names(scope, None, MAX_TABLES).await?.names.len() >= MAX_TABLES;
        let key = catalog_key_of(scope, &import.table);
        let writes = begin(&begun)?;
        let made = self
            .change_record(&key, |existing| {
                if existing.is_some() {
                    let message = format!("Table already exists: {}", import.table);
                    return Err(Error::refused(ErrorCode::ResourceInUseException, message));
                }
                if full {
                    let message =
                        format!("Subscriber limit exceeded: There is a limit of {MAX_TABLES} tables per subscriber");
                    return Err(Error::refused(ErrorCode::LimitExceededException, message));
                }
                let record = Becomes::Record(Box::new(table.clone()));
                Ok((RecordChange { record, writes: writes.clone() }, ()))
            })
            .await;
        if let Err(error) = made {
            // The same request may have come twice at once.
            let other = self.begun_before(scope, LoadKind::Import, &begun.token, &import.request).await?;
            return other.ok_or(error);
        }
        self.wake_loading();
        Ok(begun)
    }

    /// Begins to put items into a table in use (StartBulkPutItems), or returns what an earlier request with the same
    /// token began.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is no such table, `ResourceInUseException` while it or an index is made,
    /// `IdempotentParameterMismatchException` when the token was used for another request, `LimitExceededException` past
    /// a quota.
    pub async fn begin_bulk(&self, scope: &Scope, bulk: &BulkRequest) -> Result<LoadRecord> {
        let now_ms = self.now_ms();
        let token = bulk.token.clone().map_or_else(new_uuid, Ok)?;
        let key = catalog_key_of(scope, &bulk.table);
        for attempt in 0..MAX_ATTEMPTS {
            if let Some(begun) = self.begun_before(scope, LoadKind::Bulk, &token, &bulk.request).await? {
                return Ok(begun);
            }
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let table = snapshot.get(&key).await?.map(|value| decode_record(&value)).transpose()?;
            let table = table.ok_or_else(|| no_such_table(&bulk.table))?;
            check_takes_bulk(&table)?;
            let begun = LoadRecord {
                id: new_id(now_ms),
                kind: LoadKind::Bulk,
                account: table.account,
                region: table.region,
                table: table.name,
                table_uuid: table.uuid,
                token: token.clone(),
                request: bulk.request.clone(),
                source: bulk.source.clone(),
                output: Some(bulk.output.clone()),
                max_units: bulk.max_units,
                accelerated: bulk.accelerated,
                started_ms: now_ms,
                ended_ms: None,
                status: LoadStatus::InProgress,
                failure: None,
                loaded: Loaded::default(),
            };
            self.check_load_limit(&begun).await?;
            let reads = vec![Read::Key(key.clone()), Read::Key(token_key(scope, LoadKind::Bulk, &token))];
            let mut writes = begin(&begun)?;
            // The token is the caller's, whosever the table is.
            writes.pop();
            writes.push(token_write(scope, &begun)?);
            let commit = Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false };
            match self.store().commit(commit).await {
                Ok(_) => {
                    self.wake_loading();
                    return Ok(begun);
                }
                Err(CommitError::Conflict | CommitError::TooOld) => back_off(attempt).await,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Contention)
    }

    /// What an earlier request with the same token began, if the token is still valid.
    async fn begun_before(
        &self,
        scope: &Scope,
        kind: LoadKind,
        token: &str,
        request: &str,
    ) -> Result<Option<LoadRecord>> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let Some(value) = snapshot.get(&token_key(scope, kind, token)).await? else { return Ok(None) };
        let before: TokenRecord = from_json(&value)?;
        let Some(record) = self.load_at(&snapshot, &before.place).await? else { return Ok(None) };
        let valid = record.ended_ms.is_none_or(|ended| ended.saturating_add(TOKEN_MS) > self.now_ms());
        match (valid, before.request == hash(request)) {
            (false, _) => Ok(None),
            (true, true) => Ok(Some(record)),
            (true, false) => Err(match kind {
                LoadKind::Import => Error::refused(
                    ErrorCode::ImportConflictException,
                    "The client token was used for an import with other parameters",
                ),
                LoadKind::Bulk => Error::refused(
                    ErrorCode::IdempotentParameterMismatchException,
                    "The client token was used for a bulk operation with other parameters",
                ),
            }),
        }
    }

    async fn check_load_limit(&self, new: &LoadRecord) -> Result<()> {
        let jobs = self.load_jobs().await?;
        let same = |job: &&LoadPlace| job.kind == new.kind && job.account == new.account && job.region == new.region;
        if jobs.iter().filter(same).count() < MAX_LOADS {
            return Ok(());
        }
        let message = match new.kind {
            LoadKind::Import => format!("Subscriber limit exceeded: Only {MAX_LOADS} imports can run simultaneously"),
            LoadKind::Bulk => {
                format!("Subscriber limit exceeded: Only {MAX_LOADS} bulk operations can run simultaneously")
            }
        };
        Err(Error::refused(ErrorCode::LimitExceededException, message))
    }

    /// A load (DescribeImport, DescribeBulkOperation).
    ///
    /// # Errors
    /// `ImportNotFoundException` or `ResourceNotFoundException` when there is none.
    pub async fn describe_load(&self, kind: LoadKind, arn: &str) -> Result<LoadRecord> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        self.load_of_arn(&snapshot, kind, arn).await
    }

    async fn load_of_arn(&self, snapshot: &Snapshot, kind: LoadKind, arn: &str) -> Result<LoadRecord> {
        let record = match LoadPlace::of_arn(arn, kind) {
            Some(place) => self.load_at(snapshot, &place).await?.filter(|record| record.arn() == arn),
            None => None,
        };
        record.ok_or_else(|| match kind {
            LoadKind::Import => Error::refused(ErrorCode::ImportNotFoundException, format!("Import not found: {arn}")),
            LoadKind::Bulk => {
                Error::refused(ErrorCode::ResourceNotFoundException, format!("Bulk operation not found: {arn}"))
            }
        })
    }

    /// A page of an account's loads of the last 90 days in a region, newest first (ListImports, ListBulkOperations).
    /// `after` is the id of the last load of the page before.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn list_loads(
        &self,
        scope: &Scope,
        kind: LoadKind,
        table: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<LoadPage> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let prefix = keyspace::loads_of(kind.byte(), &scope.account, &scope.region);
        let mut range = KeyRange::prefix(prefix.clone());
        if let Some(after) = after {
            range = range.before(&[prefix.as_slice(), after.as_bytes()].concat());
        }
        let of_table = |record: &LoadRecord| {
            table.is_none_or(|table| TableArn::parse(table).map_or(table, |arn| arn.table) == record.table)
        };
        let oldest = self.now_ms().saturating_sub(RETENTION_MS);
        let mut listed = LoadPage::default();
        loop {
            let page = snapshot.scan(&range, Direction::Backward, ScanLimit::PAGE).await?;
            for (_, value) in &page.rows {
                let record: LoadRecord = from_json(value)?;
                if record.started_ms < oldest || !of_table(&record) {
                    continue;
                }
                if listed.loads.len() == limit {
                    listed.more = true;
                    return Ok(listed);
                }
                listed.loads.push(record);
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.before(last),
                _ => return Ok(listed),
            }
        }
    }

    /// Has a bulk operation stop (CancelBulkOperation), and returns it as it is by then.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is none, `ValidationException` when it has ended.
    pub async fn cancel_bulk(&self, arn: &str) -> Result<LoadRecord> {
        for attempt in 0..MAX_ATTEMPTS {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let mut record = self.load_of_arn(&snapshot, LoadKind::Bulk, arn).await?;
            match record.status {
                LoadStatus::Cancelling => return Ok(record),
                LoadStatus::InProgress => record.status = LoadStatus::Cancelling,
                _ => return Err(Error::validation("The bulk operation has already ended")),
            }
            let place = record.place();
            let reads = vec![Read::Key(place.key())];
            let writes = vec![record.write()?];
            let commit = Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false };
            match self.store().commit(commit).await {
                Ok(_) => {
                    self.wake_loading();
                    return Ok(record);
                }
                Err(CommitError::Conflict | CommitError::TooOld) => back_off(attempt).await,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Contention)
    }
}

/// The writes that begin a load; the last is its token's.
fn begin(load: &LoadRecord) -> Result<Vec<Write>> {
    let place = load.place();
    let job = Write::Put { key: place.job_key(), value: to_json(&place)? };
    Ok(vec![load.write()?, job, token_write(&load.scope(), load)?])
}

fn token_write(scope: &Scope, load: &LoadRecord) -> Result<Write> {
    let token = TokenRecord { place: load.place(), request: hash(&load.request) };
    Ok(Write::Put { key: token_key(scope, load.kind, &load.token), value: to_json(&token)? })
}

/// Where a caller's token stands.
pub(super) fn token_key(scope: &Scope, kind: LoadKind, token: &str) -> Key {
    let name = hash(&format!("{}\0{}\0{token}", scope.account, scope.region));
    keyspace::load_token(kind.byte(), &name)
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// Refuses what a table can not take while it is being made, restored or indexed.
fn check_takes_bulk(table: &TableRecord) -> Result<()> {
    let message = match table.status {
        TableStatus::Creating => format!("Table is being created: {}", table.name),
        TableStatus::Deleting => format!("Table is being deleted: {}", table.name),
        TableStatus::Active | TableStatus::Updating => {
            if !table.global_indexes.iter().any(|index| index.status == IndexStatus::Creating || index.backfilling) {
                return Ok(());
            }
            format!("An index is being created: {}", table.name)
        }
    };
    let message = format!("Attempt to change a resource which is still in use: {message}");
    Err(Error::refused(ErrorCode::ResourceInUseException, message))
}

/// The id of a load that begins now.
fn new_id(now_ms: u64) -> String {
    format!("{now_ms:014}-{:08x}", fastrand::u32(..))
}
