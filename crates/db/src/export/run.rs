//! The work of an export: the table's key space in as many parts as there are to be files, several of them at once, and
//! the manifests last.
//!
//! A file that is written is committed with the job, so after a crash only those are written that are not. Pages are read
//! one after the other, by whoever is next, and packed side by side; so memory is bounded by what is packed at once.

use std::sync::Arc;

use bytes::Bytes;
use partita_engine::{Direction, Freshness, Key, KeyRange, Position, ScanLimit, Write};
use partita_model::key::partition_hash;
use partita_objects::{ObjectError, ObjectStore};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::file::{DataFile, Form, Rows, WrittenFile};
use super::filter::BoundFilter;
use super::manifest;
use super::record::{ExportEncryption, ExportFailure, ExportPlace, ExportRecord, ExportSpan, ExportState, ExportView};
use crate::Database;
use crate::backup::{
    Failure, JobRecord, READ_AT_ONCE, Source as RestoreSource, TablePlace, forget, from_json, lease_of, to_json,
};
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::history::{Past, Window};
use crate::jobs::Lease;
use crate::keyspace::{self, JobId};
use crate::table::Table;

/// How many files an export writes at once, at most.
const AT_ONCE: usize = 4;

type Outcome<T> = std::result::Result<T, Failure>;

/// What all parts of an export share.
struct Plan {
    record: ExportRecord,
    job: JobId,
    store: ObjectStore,
    form: Arc<Form>,
    /// Only what lies at this partition hash, as a number.
    only: Option<u128>,
}

/// What reads, one page at a time.
struct Reader {
    source: Source,
    lease: Lease,
}

enum Source {
    Past(Past),
    Window(Box<Window>),
}

impl Source {
    /// Rows after a key, with where each lies, and where the next page begins.
    async fn page(
        &mut self,
        database: &Database,
        lease: &mut Lease,
        after: Option<&[u8]>,
        within: &(impl Fn(&[u8]) -> bool + Sync),
    ) -> Result<(Rows, Option<Key>)> {
        let limit: ScanLimit = READ_AT_ONCE;
        match self {
            Self::Past(past) => {
                let page = past.page(database, lease, after, limit).await?;
                let items = page.items.into_iter().filter(|(key, _)| within(key)).map(|(_, item)| item);
                Ok((Rows::Items(items.collect()), page.next))
            }
            Self::Window(window) => {
                let page = window.page(database, lease, after, limit).await?;
                let items = page.items.into_iter().filter(|item| within(&item.suffix));
                Ok((Rows::Changes(items.collect()), page.next))
            }
        }
    }
}

/// The partition hash that a key begins with, as a number.
fn hash_of(key: &[u8]) -> u128 {
    key.first_chunk().map_or(0, |hash| u128::from_be_bytes(*hash))
}

impl Plan {
    /// The first and the last partition hash of a part.
    fn part(&self, number: u32) -> (u128, u128) {
        if let Some(only) = self.only {
            return (only, only);
        }
        let width = u128::MAX / u128::from(self.record.files.max(1));
        let first = width.saturating_mul(u128::from(number));
        let is_last = number + 1 >= self.record.files;
        (first, if is_last { u128::MAX } else { first.saturating_add(width - 1) })
    }
}

impl Database {
    /// Writes an export and says that it is whole.
    pub(crate) async fn write_export(&self, lease: &mut Lease, job: &JobRecord, place: &ExportPlace) -> Outcome<()> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let id = job.job()?;
        let record = snapshot.get(&place.key()).await?.map(|value| ExportRecord::read(&value)).transpose()?;
        let Some(record) = record.filter(|record| record.state == ExportState::InProgress) else {
            return Ok(self.commit_as(lease, forget(id, lease, None)).await?);
        };
        let table = self.exported_table(&snapshot, &record).await?;
        let (plan, source) = self.export_plan(id, record, &table).await?;
        plan.store.put(&format!("{}_started", plan.record.folder()), Bytes::new()).await?;
        let written = self.written_files(&plan).await?;
        let missing: Vec<u32> =
            (0..plan.record.files).rev().filter(|number| !written.iter().any(|(of, _)| of == number)).collect();
        let plan = Arc::new(plan);
        let reader = Reader { source, lease: std::mem::replace(lease, lease_of(job)) };
        let reader = Arc::new(Mutex::new(reader));
        let outcome = self.write_parts(&plan, &reader, missing).await;
        // All who shared it have ended, or were ended.
        if let Ok(reader) = Arc::try_unwrap(reader) {
            *lease = reader.into_inner().lease;
        }
        outcome?;
        let files: Vec<WrittenFile> = self.written_files(&plan).await?.into_iter().map(|(_, file)| file).collect();
        let mut record = plan.record.clone();
        record.items = files.iter().map(|file| file.items).sum();
        record.bytes = files.iter().map(|file| file.bytes).sum();
        record.ended_ms = Some(self.now_ms());
        manifest::write(&plan.store, &record, &files).await?;
        record.state = ExportState::Completed;
        self.end_export(lease, job, &record).await
    }

    async fn exported_table(&self, snapshot: &Snapshot, record: &ExportRecord) -> Outcome<Arc<Table>> {
        let key = keyspace::catalog_key(&record.place.account, &record.place.region, &record.place.table);
        let table = self.table_at(snapshot, &key).await?.filter(|table| table.record.id == record.table);
        table.ok_or_else(|| Failure::Lost("the table that is exported is gone".to_owned()))
    }

    async fn export_plan(&self, job: JobId, record: ExportRecord, table: &Table) -> Outcome<(Plan, Source)> {
        let bucket = &record.request.bucket;
        let store = self.buckets().get(bucket).ok_or_else(|| ObjectError::NoBucket(bucket.clone()))?;
        let mut store = store.clone();
        if let Some(owner) = &record.request.bucket_owner {
            store = store.owned_by(owner);
        }
        if let Some(encryption) = &record.request.encryption {
            store = store.encrypted(ExportEncryption::clone(encryption).into());
        }
        let at = match &record.at {
            Some(at) => RestoreSource::parse_position(at)?,
            None => self.job_position(job).await?,
        };
        let history = (record.table, record.generation);
        let (source, view) = match (&record.request.span, &record.from) {
            (ExportSpan::Changes { view, .. }, Some(from)) => {
                let from: Position = RestoreSource::parse_position(from)?;
                (Source::Window(Box::new(Window::new(history, (from, at), job))), *view)
            }
            _ => (Source::Past(Past::at(history.0, history.1, at, job)), ExportView::NewAndOld),
        };
        let filter = match &record.request.filter {
            Some(filter) => Some(filter.bind().map_err(|error| Failure::Lost(format!("the filter: {error}")))?),
            None => None,
        };
        let only = self.only_partition(table, filter.as_ref())?;
        let form = Arc::new(Form { format: record.request.format, view, keys: table.key_attribute_names(), filter });
        Ok((Plan { record, job, store, form, only }, source))
    }

    /// The hash of the one partition that a key condition names.
    fn only_partition(&self, table: &Table, filter: Option<&BoundFilter>) -> Result<Option<u128>> {
        let Some(condition) = filter.map(|filter| filter.key_condition(table)).transpose()?.flatten() else {
            return Ok(None);
        };
        let values = condition.partition.iter().map(|(_, value)| value);
        Ok(Some(u128::from_be_bytes(partition_hash(self.key_secret().0, values))))
    }

    /// Writes the files of some parts, the last of the list first.
    async fn write_parts(&self, plan: &Arc<Plan>, reader: &Arc<Mutex<Reader>>, mut missing: Vec<u32>) -> Outcome<()> {
        let at_once = std::thread::available_parallelism().map_or(1, usize::from).min(AT_ONCE);
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < at_once
                && let Some(number) = missing.pop()
            {
                let (database, plan, reader) = (self.clone(), Arc::clone(plan), Arc::clone(reader));
                tasks.spawn(async move { database.write_part(&plan, &reader, number).await });
            }
            let ended = match tasks.join_next().await {
                None => return Ok(()),
                Some(Ok(ended)) => ended,
                Some(Err(error)) => Err(Failure::Database(Error::Internal(error.to_string()))),
            };
            if ended.is_err() {
                // Whoever is still at work shares the plan, and must be gone before that is given back.
                tasks.shutdown().await;
                return ended;
            }
        }
    }

    /// Writes the file of a part.
    async fn write_part(&self, plan: &Plan, reader: &Mutex<Reader>, number: u32) -> Outcome<()> {
        let (first, last) = plan.part(number);
        let within = |key: &[u8]| (first..=last).contains(&hash_of(key));
        let key = plan.record.data_key(number);
        let mut upload = plan.store.upload(&key).await?;
        let mut file = DataFile::new(Arc::clone(&plan.form));
        let mut after = first.checked_sub(1).map(|before| Key::copy_from_slice(&before.to_be_bytes()));
        loop {
            let (rows, next) = {
                let mut reader = reader.lock().await;
                let Reader { source, lease } = &mut *reader;
                lease.keep(self).await?;
                source.page(self, lease, after.as_deref(), &within).await?
            };
            let (packed, going_on) = packing(move || {
                let packed = file.add(&rows)?;
                Ok((packed, file))
            })
            .await?;
            file = going_on;
            if !packed.is_empty() {
                upload.write(packed).await?;
            }
            match next {
                Some(next) if hash_of(&next) <= last => after = Some(next),
                _ => break,
            }
        }
        let (rest, mut written) = packing(move || file.finish()).await?;
        upload.write(rest).await?;
        (written.etag, written.key) = (upload.finish().await?.etag, key);
        let mut place = keyspace::export_files(plan.job);
        place.extend_from_slice(&number.to_be_bytes());
        let writes = vec![Write::Put { key: place.into(), value: to_json(&written)? }];
        let mut reader = reader.lock().await;
        Ok(self.commit_as(&mut reader.lease, writes).await?)
    }

    /// The files that are written, by their numbers.
    async fn written_files(&self, plan: &Plan) -> Result<Vec<(u32, WrittenFile)>> {
        let prefix = keyspace::export_files(plan.job);
        let mut range = KeyRange::prefix(prefix.clone());
        let mut files = Vec::new();
        loop {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (key, value) in &page.rows {
                let number = key.get(prefix.len()..).and_then(|number| number.try_into().ok());
                let number = number.ok_or_else(|| Error::Internal("an export's file has no number".to_owned()))?;
                files.push((u32::from_be_bytes(number), from_json(value)?));
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok(files),
            }
        }
    }

    /// Lets go of the table, and leaves nothing of the job but the export's record.
    async fn end_export(&self, lease: &mut Lease, job: &JobRecord, record: &ExportRecord) -> Outcome<()> {
        let id = job.job()?;
        let mut writes = vec![record.write()?];
        writes.extend(forget(id, lease, None));
        writes.extend(Window::forget(record.table, id));
        let place = TablePlace {
            account: record.place.account.clone(),
            region: record.place.region.clone(),
            name: record.place.table.clone(),
        };
        if !self.release(&place.key(), record.table, &job.id, &writes).await? {
            self.commit_as(lease, writes).await?;
        }
        Ok(())
    }

    /// Gives an export up, for a reason that is told.
    pub(crate) async fn fail_export(
        &self,
        lease: &mut Lease,
        job: &JobRecord,
        place: &ExportPlace,
        failure: &Failure,
    ) -> Outcome<()> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let record = snapshot.get(&place.key()).await?.map(|value| ExportRecord::read(&value)).transpose()?;
        let Some(mut record) = record.filter(|record| record.state == ExportState::InProgress) else {
            return Ok(self.commit_as(lease, forget(job.job()?, lease, None)).await?);
        };
        record.ended_ms = Some(self.now_ms());
        record.state = ExportState::Failed(told(failure));
        self.end_export(lease, job, &record).await
    }
}

/// Whether an export can not succeed, whatever is tried again.
pub(crate) const fn is_hopeless(failure: &Failure) -> bool {
    match failure {
        Failure::Object(error) => !error.may_pass(),
        Failure::Lost(_) => true,
        Failure::Database(_) | Failure::Store(_) => false,
    }
}

/// Why an export failed, in the service's codes.
fn told(failure: &Failure) -> ExportFailure {
    let (code, message) = match failure {
        Failure::Object(ObjectError::NoBucket(_)) => {
            ("S3NoSuchBucket", "The specified bucket does not exist".to_owned())
        }
        Failure::Object(ObjectError::Forbidden(_)) => ("S3AccessDenied", "Access to the bucket was denied".to_owned()),
        Failure::Object(error @ ObjectError::InvalidKey(_)) => ("S3InvalidKey", error.to_string()),
        Failure::Object(_) => ("S3ServiceUnavailable", "The bucket could not be written to".to_owned()),
        Failure::Lost(what) => ("TableNotFound", what.clone()),
        Failure::Database(_) | Failure::Store(_) => {
            ("InternalFailure", "The export failed for an internal reason".to_owned())
        }
    };
    ExportFailure { code: code.to_owned(), message }
}

/// Packs where that keeps nobody else from running.
async fn packing<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Outcome<T> {
    let failed = |error: &dyn std::fmt::Display| Failure::Database(Error::Internal(error.to_string()));
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))?;
    done.map_err(|error| failed(&error))
}
