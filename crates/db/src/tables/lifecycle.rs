//! Making, describing, listing and deleting tables.
//!
//! A table is usable as soon as its record is committed: CreateTable answers CREATING, as clients expect, and the next
//! DescribeTable says ACTIVE. A deleted table is gone at once; its keys are retired with its record.

use partita_engine::{Direction, Freshness, Key, KeyRange, ScanLimit, Write};
use partita_model::ErrorCode;

use super::counts::Counts;
use super::definition::TableDefinition;
use super::throughput::limit_exceeded;
use super::{check_usable, no_such_table, place};
use crate::Database;
use crate::backup;
use crate::catalog::{Becomes, RecordChange, catalog_key_of};
use crate::crypt::{Snapshot, TableKeyState};
use crate::error::{Error, Result};
use crate::keyspace;
use crate::limits::MAX_TABLES;
use crate::record::{IndexStatus, TableRecord, TableStatus, WarmThroughput};
use crate::resource_policy::ResourcePolicy;
use crate::scope::Scope;

/// A table as it is described: its record, and how much it holds.
#[derive(Clone, Debug)]
pub struct Described {
    /// The record, as the answer is to show it.
    pub record: TableRecord,
    /// How many items and entries there are.
    pub counts: Counts,
    /// When this was, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The key that the table is encrypted with.
    pub key: TableKeyState,
}

/// A page of table names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNames {
    /// The names, in the order of their bytes.
    pub names: Vec<String>,
    /// Whether there are more.
    pub more: bool,
}

impl Database {
    /// Makes a table (CreateTable), and returns it as the answer shows it: being created.
    ///
    /// # Errors
    /// `ValidationException` when the definition breaks a rule, `LimitExceededException` past a quota,
    /// `ResourceInUseException` when there is a table of this name.
    pub async fn create_table(
        &self,
        scope: &Scope,
        name_or_arn: &str,
        definition: &TableDefinition,
    ) -> Result<Described> {
        let (scope, name) = place(scope, name_or_arn);
        let mut record = definition.record(&name, &scope, self.now_ms())?;
        record.uuid = new_uuid()?;
        if let Some(key_id) = definition.encryption.as_ref().and_then(|encryption| encryption.key_id.as_deref()) {
            record.root_key = Some(self.store().root_key(key_id, &scope).await?);
        }
        record.resource_policy = definition.policy.clone().map(ResourcePolicy::new).transpose()?;
        let key: Key = keyspace::catalog_key(&scope.account, &scope.region, &name).into();
        let full = self.table_names(&scope, None, MAX_TABLES).await?.names.len() >= MAX_TABLES;
        self.change_record(&key, |existing| {
            if existing.is_some() {
                return Err(Error::refused(ErrorCode::ResourceInUseException, format!("Table already exists: {name}")));
            }
            if full {
                return Err(limit_exceeded(format!(
                    "Subscriber limit exceeded: There is a limit of {MAX_TABLES} tables per subscriber"
                ))
                .into());
            }
            let record = Becomes::Record(Box::new(record.clone()));
            Ok((RecordChange { record, writes: Vec::new() }, ()))
        })
        .await?;
        let (at_ms, key) = (record.created_ms, self.store().key_state(&record));
        Ok(Described { record: being_created(record, definition), counts: Counts::default(), at_ms, key })
    }

    /// A table as it is now (DescribeTable).
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is none.
    pub async fn describe_table(&self, scope: &Scope, name_or_arn: &str) -> Result<Described> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        self.described_at(&snapshot, &catalog_key_of(scope, name_or_arn))
            .await?
            .ok_or_else(|| no_such_table(name_or_arn))
    }

    pub(crate) async fn described_at(&self, snapshot: &Snapshot, catalog_key: &[u8]) -> Result<Option<Described>> {
        let Some(table) = self.table_at(snapshot, catalog_key).await? else { return Ok(None) };
        let counts = self.counts(snapshot, &table).await?;
        let key = self.store().key_state(&table.record);
        Ok(Some(Described { record: table.record.clone(), counts, at_ms: self.now_ms(), key }))
    }

    /// Up to `limit` table names of a scope, those after `after` (ListTables).
    ///
    /// # Errors
    /// An engine failure.
    pub async fn table_names(&self, scope: &Scope, after: Option<&str>, limit: usize) -> Result<TableNames> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let prefix = keyspace::catalog_prefix(&scope.account, &scope.region);
        let mut range = KeyRange::prefix(prefix.clone());
        if let Some(after) = after {
            range = range.after(&keyspace::catalog_key(&scope.account, &scope.region, after));
        }
        let mut listed = TableNames { names: Vec::new(), more: false };
        loop {
            let rows = (limit - listed.names.len()).min(ScanLimit::PAGE.rows);
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit { rows, ..ScanLimit::PAGE }).await?;
            for (key, _) in &page.rows {
                let name = key.get(prefix.len()..).unwrap_or_default();
                listed.names.push(String::from_utf8_lossy(name).into_owned());
            }
            match page.rows.last() {
                Some((last, _)) if page.more && listed.names.len() < limit => range = range.after(last),
                _ => {
                    listed.more = page.more;
                    return Ok(listed);
                }
            }
        }
    }

    /// Deletes a table with all it holds (DeleteTable), and returns it as it was.
    ///
    /// # Errors
    /// `ValidationException` when it is protected, `ResourceNotFoundException` when there is none.
    pub async fn delete_table(&self, scope: &Scope, name_or_arn: &str) -> Result<Described> {
        let key = catalog_key_of(scope, name_or_arn);
        let before = self.snapshot(Freshness::Latest).await?;
        let counts = self.described_at(&before, &key).await?.map(|described| described.counts).unwrap_or_default();
        let record = self
            .change_record(&key, |record| {
                let mut record = record.ok_or_else(|| no_such_table(name_or_arn))?;
                if record.deletion_protection {
                    return Err(Error::validation(
                        "Resource cannot be deleted as it is currently protected against deletion. Disable deletion \
                         protection first.",
                    ));
                }
                if record.global_indexes.iter().any(|index| index.backfilling) {
                    return Err(Error::refused(
                        ErrorCode::ResourceInUseException,
                        format!(
                            "Attempt to change a resource which is still in use: Table is being updated: {}",
                            record.name
                        ),
                    ));
                }
                check_usable(&record)?;
                if !record.logs.holds.is_empty() {
                    return Err(Error::refused(
                        ErrorCode::ResourceInUseException,
                        format!(
                            "Attempt to change a resource which is still in use: Table is being backed up or restored \
                             from: {}",
                            record.name
                        ),
                    ));
                }
                // The items of a table that could be recovered stay until they are backed up.
                let recovers = record.recovery.is_some() && self.check_backups().is_ok();
                let spaces = keyspace::TABLE_SPACES.into_iter();
                let going = spaces.filter(|space| !(recovers && *space == keyspace::SPACE_ITEM));
                let retire = |space| Write::Retire { prefix: keyspace::table_prefix(space, record.id).into() };
                let mut writes: Vec<Write> = going.map(retire).collect();
                if recovers {
                    writes.extend(backup::system_backup(&record, counts.table(), self.now_ms())?);
                }
                record.status = TableStatus::Deleting;
                Ok((RecordChange { record: Becomes::Gone, writes }, record))
            })
            .await?;
        self.wake_recovery();
        let key = self.store().key_state(&record);
        Ok(Described { record, counts, at_ms: self.now_ms(), key })
    }
}

/// A new table as CreateTable answers it: without what the service finds out only later.
fn being_created(mut record: TableRecord, definition: &TableDefinition) -> TableRecord {
    record.status = TableStatus::Creating;
    record.on_demand_since_ms = None;
    record.warm = definition.warm.filter(|warm| !warm.is_empty()).and(record.warm);
    for index in &mut record.global_indexes {
        index.status = IndexStatus::Creating;
        let mut asked = definition.global_indexes.iter().flatten();
        let asked: Option<WarmThroughput> =
            asked.find(|asked| asked.name == index.name).and_then(|asked| asked.warm).filter(|warm| !warm.is_empty());
        index.warm = asked.and(index.warm);
    }
    record
}

/// A random UUID (version 4) in lower case.
pub(crate) fn new_uuid() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Internal(format!("no random bytes: {error}")))?;
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    Ok([part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_ids_are_random_uuids_of_version_4() {
        let (one, other) = (new_uuid().unwrap(), new_uuid().unwrap());
        assert_ne!(one, other);
        let lengths: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(one.as_bytes()[14], b'4');
        assert!(matches!(one.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
}
