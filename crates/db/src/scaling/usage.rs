//! What nodes tell of their minutes: units consumed of what is scaled, so that the node that decides knows the traffic of all
//! of them, and a restart forgets none.
//!
//! A minute is written once it is over, by each node for itself, and only when something was consumed of a table or index
//! that is a scalable target. Times are the database's clock.

use std::collections::HashMap;

use partita_engine::{Commit, Direction, Freshness, Key, KeyRange, ScanLimit, Write};

use super::decide::MINUTES_IN;
use crate::error::Result;
use crate::metering::Meter;
use crate::{Database, keyspace};

/// A minute in milliseconds.
pub(super) const MINUTE_MS: u64 = 60_000;
/// How many minutes are kept.
const KEPT: u64 = MINUTES_IN as u64 + 5;

/// What is read or written of a table or index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Watched {
    pub table: u32,
    pub index: u16,
    pub read: bool,
}

/// The meters as they stood when their present minutes began.
#[derive(Debug)]
pub(super) struct Samples {
    node: u64,
    since: HashMap<Watched, (u64, f64)>,
}

impl Default for Samples {
    fn default() -> Self {
        Self { node: fastrand::u64(..), since: HashMap::new() }
    }
}

impl Samples {
    /// Looks at a meter; what was consumed since the minute of the last look belongs to that minute.
    fn look(&mut self, watched: Watched, meter: &Meter, minute: u64) -> Option<(u64, f64)> {
        let total = if watched.read { meter.read_units() } else { meter.write_units() };
        let (since, before) = *self.since.entry(watched).or_insert((minute, total));
        if since >= minute {
            return None;
        }
        self.since.insert(watched, (minute, total));
        // A table that was deleted and made again counts from zero.
        let consumed = if total >= before { total - before } else { total };
        (consumed > 0.0).then_some((since, consumed))
    }

    fn key(&self, watched: Watched, minute: u64) -> Key {
        let mut key = keyspace::scaling_usage(watched.table, watched.index, watched.read);
        key.extend_from_slice(&minute.to_be_bytes());
        key.extend_from_slice(&self.node.to_be_bytes());
        key.into()
    }
}

impl Database {
    /// Tells of the minutes that are over.
    pub(super) async fn tell_minutes(&self, samples: &mut Samples, watched: &[(Watched, &Meter)]) -> Result<()> {
        let minute = self.now_ms() / MINUTE_MS;
        let mut writes = Vec::new();
        for (watched, meter) in watched {
            if let Some((of, consumed)) = samples.look(*watched, meter, minute) {
                let prefix = keyspace::scaling_usage(watched.table, watched.index, watched.read);
                let end = [prefix.as_slice(), &minute.saturating_sub(KEPT).to_be_bytes()].concat();
                writes.push(Write::DeleteRange { range: KeyRange::new(prefix, end) });
                let value = consumed.to_be_bytes().to_vec().into();
                writes.push(Write::Put { key: samples.key(*watched, of), value });
            }
        }
        for gone in samples.since.keys().filter(|known| watched.iter().all(|(watched, _)| watched != *known)) {
            let range = KeyRange::prefix(keyspace::scaling_usage(gone.table, gone.index, gone.read));
            writes.push(Write::DeleteRange { range });
        }
        samples.since.retain(|known, _| watched.iter().any(|(watched, _)| watched == known));
        if writes.is_empty() {
            return Ok(());
        }
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let commit = Commit { read_version: snapshot.version(), reads: Vec::new(), writes, catalog_changed: false };
        self.store().commit(commit).await?;
        Ok(())
    }

    /// What was consumed by way of all nodes in each of the last minutes before this one, the last one last.
    pub(super) async fn last_minutes(&self, watched: Watched, minute: u64) -> Result<[f64; MINUTES_IN]> {
        let prefix = keyspace::scaling_usage(watched.table, watched.index, watched.read);
        let first = minute.saturating_sub(MINUTES_IN as u64);
        let at = |minute: u64| [prefix.as_slice(), &minute.to_be_bytes()].concat();
        let mut range = KeyRange::new(at(first), at(minute));
        let mut minutes = [0.0; MINUTES_IN];
        let snapshot = self.snapshot(Freshness::Latest).await?;
        loop {
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (key, value) in &page.rows {
                let of =
                    key.get(prefix.len()..).and_then(|rest| rest.first_chunk()).map(|bytes| u64::from_be_bytes(*bytes));
                let consumed = value.first_chunk().map(|bytes| f64::from_be_bytes(*bytes));
                let place = of.and_then(|of| usize::try_from(of.checked_sub(first)?).ok());
                if let (Some(sum), Some(consumed)) = (place.and_then(|place| minutes.get_mut(place)), consumed) {
                    *sum += consumed;
                }
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok(minutes),
            }
        }
    }
}
