//! What the store keeps of backups, restores and exports under way, so that whoever works next goes on with them.

use partita_engine::{Direction, Freshness, KeyRange, Position, ScanLimit, Write};
use serde::{Deserialize, Serialize};

use crate::Database;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::export::ExportPlace;
use crate::jobs::Lease;
use crate::keyspace::{self, JobId};

/// A backup, restore or export under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobRecord {
    /// Its id in hexadecimal.
    pub id: String,
    /// What is to be done.
    pub work: Work,
}

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// A backup is to be written.
    Backup(BackupPlace),
    /// A table is to be filled.
    Restore {
        /// The table.
        target: TablePlace,
        /// With what.
        source: Source,
    },
    /// A table is to be exported.
    Export(ExportPlace),
}

/// Where a backup's record lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackupPlace {
    pub account: String,
    pub region: String,
    pub id: String,
}

/// Which table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TablePlace {
    pub account: String,
    pub region: String,
    pub name: String,
}

/// What a restored table is filled with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Source {
    /// A backup.
    Backup(BackupPlace),
    /// A table's past.
    Table {
        /// The table.
        table: TablePlace,
        /// Its id.
        id: u32,
        /// Which of its histories.
        generation: u32,
        /// The position to read it at, in hexadecimal; `None` for that of the commit that began the restore.
        at: Option<String>,
    },
}

impl JobRecord {
    pub(crate) fn new(work: Work) -> (JobId, Self) {
        let id = fastrand::u128(..);
        (id, Self { id: format!("{id:032x}"), work })
    }

    pub(crate) fn job(&self) -> Result<JobId> {
        JobId::from_str_radix(&self.id, 16).map_err(|_| Error::Internal("a job's id can not be read".to_owned()))
    }

    pub(crate) fn write(&self) -> Result<Write> {
        Ok(Write::Put { key: keyspace::backup_job(self.job()?), value: to_json(self)? })
    }
}

impl BackupPlace {
    pub(crate) fn key(&self) -> partita_engine::Key {
        keyspace::backup(&self.account, &self.region, &self.id)
    }
}

impl TablePlace {
    pub(crate) fn key(&self) -> partita_engine::Key {
        keyspace::catalog_key(&self.account, &self.region, &self.name).into()
    }
}

impl Source {
    pub(crate) fn position(at: Position) -> String {
        format!("{:032x}", u128::from_be_bytes(at.to_bytes()))
    }

    pub(crate) fn parse_position(text: &str) -> Result<Position> {
        let number = u128::from_str_radix(text, 16);
        let number = number.map_err(|_| Error::Internal("a job's position can not be read".to_owned()))?;
        Ok(Position::from_bytes(number.to_be_bytes()))
    }
}

impl Database {
    /// All backups and restores under way.
    pub(crate) async fn backup_jobs(&self, snapshot: &Snapshot) -> Result<Vec<JobRecord>> {
        let mut range = KeyRange::prefix(keyspace::backup_jobs());
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

    /// Where the commit stands that began a job.
    pub(crate) async fn job_position(&self, job: JobId) -> Result<Position> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let prefix = keyspace::job_position(job);
        let range = KeyRange::prefix(prefix.clone());
        let page = snapshot.scan(&range, Direction::Forward, ScanLimit { rows: 1, bytes: 1 }).await?;
        let position = page.rows.first().and_then(|(key, _)| Position::from_slice(key.get(prefix.len()..)?));
        position.ok_or_else(|| Error::Internal("a job has no position".to_owned()))
    }
}

/// The writes that leave nothing of a job, nor of the images that it has gathered of a table.
pub(crate) fn forget(job: JobId, lease: &Lease, gathered: Option<u32>) -> Vec<Write> {
    let mut writes = vec![
        Write::Delete { key: keyspace::backup_job(job) },
        Write::DeleteRange { range: KeyRange::prefix(keyspace::job_state(job)) },
        Write::Delete { key: lease.key() },
    ];
    if let Some(table) = gathered {
        writes.push(Write::Retire { prefix: keyspace::gathered_images(table, job).into() });
    }
    writes
}

pub(crate) fn from_json<T: for<'de> Deserialize<'de>>(value: &[u8]) -> Result<T> {
    serde_json::from_slice(value)
        .map_err(|error| Error::Internal(format!("a record of backups can not be read: {error}")))
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<partita_engine::Value> {
    let bytes = serde_json::to_vec(value);
    bytes.map(Into::into).map_err(|error| Error::Internal(format!("a record of backups can not be written: {error}")))
}
