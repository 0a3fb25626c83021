//! What belongs to no table, index or job, and the records of everything else, which have to open.

use std::collections::HashSet;

use partita_engine::{Direction, Freshness, Key, KeyRange, ScanLimit};

use super::{Check, Damage, EVERYWHERE, Pages, place};
use crate::backup::BackupStatus;
use crate::error::Result;
use crate::keyspace;
use crate::record::TableRecord;

impl Check<'_> {
    pub(super) async fn leftovers(&mut self, tables: &[TableRecord]) -> Result<()> {
        self.progress.begin("what is left");
        let mut owners: HashSet<u32> = tables.iter().map(|table| table.id).collect();
        // The items of a deleted table stay until they are backed up.
        for backup in self.database.catalogued_backups().await? {
            if backup.status == BackupStatus::Creating {
                owners.insert(backup.table.id);
            }
        }
        for space in keyspace::TABLE_SPACES {
            // Counters of table 0 are the database's own.
            for id in self.first_numbers(&[space], 4).await? {
                let known = u32::try_from(id).is_ok_and(|id| id == 0 || owners.contains(&id));
                if !known {
                    let what = format!("data of table {id}, which is not there (space {space:#04x})");
                    self.find(EVERYWHERE, Damage::Leftover, what);
                }
            }
        }
        for table in tables {
            self.indexes_without_record(table).await?;
        }
        self.gathered().await?;
        self.table_ids(tables).await?;
        // All that no other part of the check has read.
        for (from, to) in keyspace::UNCHECKED_SPACES {
            let mut pages = Pages::of(KeyRange::new(Key::from_static(from), Key::from_static(to)));
            while let Some(rows) = pages.next(self).await? {
                for (key, value) in rows {
                    if let Err(error) = value {
                        let space = key.first().copied().unwrap_or_default();
                        self.find(EVERYWHERE, Damage::Unreadable, format!("a record of space {space:#04x}: {error}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// The different numbers that keys go on with behind a prefix, without reading all keys.
    pub(super) async fn first_numbers(&self, prefix: &[u8], length: usize) -> Result<Vec<u64>> {
        let mut range = KeyRange::prefix(prefix.to_vec());
        let mut numbers = Vec::new();
        let one = ScanLimit { rows: 1, bytes: 1 };
        loop {
            let snapshot = self.database.snapshot(Freshness::Latest).await?;
            let (rows, _) = snapshot.scan_each(&range, Direction::Forward, one).await?;
            let Some((key, _)) = rows.first() else { return Ok(numbers) };
            let to = (prefix.len() + length).min(key.len());
            let head = key.get(prefix.len()..to).unwrap_or_default();
            numbers.push(head.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)));
            let end = KeyRange::prefix(key.slice(..to)).end;
            if end >= range.end {
                return Ok(numbers);
            }
            range.start = end;
        }
    }

    async fn indexes_without_record(&mut self, record: &TableRecord) -> Result<()> {
        let indexes = record.local_indexes.iter().chain(&record.global_indexes);
        let known: HashSet<u64> = indexes.map(|index| u64::from(index.id)).collect();
        for space in [keyspace::SPACE_LOCAL_INDEX, keyspace::SPACE_GLOBAL_INDEX] {
            for id in self.first_numbers(&keyspace::table_prefix(space, record.id), 2).await? {
                // Where an index 0 would be lies how far the filling of others has come.
                if id != 0 && !known.contains(&id) {
                    self.find(&place(record), Damage::Leftover, format!("entries of index {id}, which is not there"));
                }
            }
        }
        Ok(())
    }

    /// Images that jobs gathered which are not there any more.
    async fn gathered(&mut self) -> Result<()> {
        let jobs = self.database.job_ids().await?;
        let snapshot = self.database.snapshot(Freshness::Latest).await?;
        let mut range = KeyRange::prefix(keyspace::all_gathered_images());
        let one = ScanLimit { rows: 1, bytes: 1 };
        loop {
            let (rows, _) = snapshot.scan_each(&range, Direction::Forward, one).await?;
            let Some((key, _)) = rows.first() else { return Ok(()) };
            let job = key.get(1 + 4..1 + 4 + 16).and_then(|job| job.try_into().ok()).map(u128::from_be_bytes);
            if job.is_none_or(|job| !jobs.contains(&job)) {
                self.find(EVERYWHERE, Damage::Leftover, "images gathered by a job that is not there".to_owned());
            }
            range.start = KeyRange::prefix(key.slice(..key.len().min(1 + 4 + 16))).end;
            if range.start >= range.end {
                return Ok(());
            }
        }
    }

    /// No two tables have one id, and the next table's is a new one.
    async fn table_ids(&mut self, tables: &[TableRecord]) -> Result<()> {
        let mut ids = HashSet::new();
        for table in tables {
            if !ids.insert(table.id) {
                self.find(&place(table), Damage::Catalog, format!("another table has the id {} too", table.id));
            }
        }
        let next = self.values(&[keyspace::next_table_id()]).await?.pop();
        let next = next.and_then(std::result::Result::ok).flatten();
        let next = next.as_deref().and_then(crate::catalog::next_id).unwrap_or_default();
        if let Some(last) = ids.into_iter().max()
            && next <= last
        {
            let what = format!("the next table would get the id {next}, and {last} is in use");
            self.find(EVERYWHERE, Damage::Catalog, what);
        }
        Ok(())
    }
}
