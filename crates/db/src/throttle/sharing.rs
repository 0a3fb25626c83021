//! Buckets over many nodes: every node fills its buckets at the whole rate, and takes from them what the others have
//! consumed, too.
//!
//! Once a second each node writes down how much it has consumed of each limited table and index since it began, if that has
//! changed, and reads what the others wrote. So no key is hot and no request waits; all nodes together overdraw by what they
//! consume within a second, and pay it back. The service's own limits, which are emulated, are each node's. An embedded store
//! has one node, and nothing of this.

use std::collections::HashMap;

use partita_engine::{Commit, Direction, Freshness, Key, KeyRange, ScanLimit, Write};

use super::bucket::{HALF_UNIT, UNIT};
use crate::error::{Error, Result};
use crate::metering::Meter;
use crate::{Database, keyspace};

/// How long a node's totals are kept when they do not change, in milliseconds.
const KEPT_MS: u64 = 600_000;

/// What a node has consumed since it began: halves of read units, and write units.
type Totals = (u64, u64);

/// What a node remembers between two looks. All of it can be lost.
#[derive(Debug)]
pub(crate) struct Sharing {
    node: u64,
    told: HashMap<(u32, u16), Totals>,
    heard: HashMap<Key, Totals>,
}

impl Sharing {
    pub(crate) fn new() -> Self {
        Self { node: fastrand::u64(..), told: HashMap::new(), heard: HashMap::new() }
    }

    /// Tells and hears of the meters of limited tables.
    ///
    /// # Errors
    /// An engine failure.
    pub(crate) async fn look(&mut self, database: &Database) -> Result<bool> {
        let meters = database.inner.metering.limited();
        self.share(database, |id| meters.get(&id).map(AsRef::as_ref), meters.keys().copied()).await?;
        Ok(false)
    }

    async fn share<'m>(
        &mut self,
        database: &Database,
        meter: impl Fn((u32, u16)) -> Option<&'m Meter>,
        ids: impl Iterator<Item = (u32, u16)>,
    ) -> Result<()> {
        let now_ms = database.now_ms();
        let mut writes = Vec::new();
        for id in ids {
            let Some(totals) = meter(id).map(Meter::totals) else { continue };
            if self.told.get(&id).copied().unwrap_or_default() != totals {
                let value = [totals.0, totals.1, now_ms].map(u64::to_be_bytes).concat();
                writes.push(Write::Put { key: keyspace::shared_totals(id.0, id.1, self.node), value: value.into() });
                self.told.insert(id, totals);
            }
        }
        self.told.retain(|id, _| meter(*id).is_some());
        let snapshot = database.snapshot(Freshness::Latest).await?;
        let mut heard = HashMap::with_capacity(self.heard.len());
        let mut range = KeyRange::prefix(keyspace::all_shared_totals());
        loop {
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (key, value) in &page.rows {
                let Some((table, index, node)) = keyspace::read_shared_totals(key) else { continue };
                let [read, written, told_ms] = numbers(value)?;
                if now_ms.saturating_sub(told_ms) > KEPT_MS {
                    writes.push(Write::Delete { key: key.clone() });
                    continue;
                }
                if node == self.node {
                    continue;
                }
                // What a node had consumed before it was first heard of has been paid back long since, or will be.
                let (read_before, written_before) = self.heard.get(key).copied().unwrap_or((read, written));
                if let Some(meter) = meter((table, index)) {
                    meter.buckets.read.take(tokens(read.saturating_sub(read_before), HALF_UNIT));
                    meter.buckets.write.take(tokens(written.saturating_sub(written_before), UNIT));
                }
                heard.insert(key.clone(), (read, written));
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => break,
            }
        }
        self.heard = heard;
        if writes.is_empty() {
            return Ok(());
        }
        let read_version = snapshot.version();
        database.store().commit(Commit { read_version, reads: Vec::new(), writes, catalog_changed: false }).await?;
        Ok(())
    }
}

fn tokens(number: u64, each: i64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX / each).saturating_mul(each)
}

fn numbers(value: &[u8]) -> Result<[u64; 3]> {
    let mut numbers = value.chunks_exact(8).map(|bytes| bytes.try_into().map(u64::from_be_bytes));
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(read)), Some(Ok(written)), Some(Ok(told_ms))) => Ok([read, written, told_ms]),
        _ => Err(Error::Internal("a node's totals can not be read".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use partita_engine::OpenOptions;

    use super::super::bucket::Rate;
    use super::*;
    use crate::capacity::{Capacity, Consumed, ReadUnits};
    use crate::metering::Meters;

    const RATE: Rate = Rate { units: 100, seconds: 300 };
    const ID: (u32, u16) = (7, 0);

    /// A node with a meter of the same table as the others.
    struct Node {
        sharing: Sharing,
        meters: Meters,
    }

    impl Node {
        fn new() -> Self {
            let meter = std::sync::Arc::new(Meter::default());
            Self {
                sharing: Sharing::new(),
                meters: Meters {
                    table: meter,
                    indexes: Vec::new(),
                    series: std::sync::Arc::default(),
                    limits: None,
                    watched: None,
                },
            }
        }

        /// Consumes write units as a request does: counted, and taken from the node's bucket.
        fn write(&self, units: u64) {
            let mut capacity = Capacity::default();
            capacity.add_write(units);
            self.meters.add(&Consumed { table: capacity, indexes: Vec::new() });
            self.meters.table.buckets.write.take(tokens(units, UNIT));
        }

        fn level(&self, now_ms: u64) -> i64 {
            self.meters.table.buckets.write.level(RATE, now_ms) / UNIT
        }

        async fn share(&mut self, database: &Database) {
            let meter = &*self.meters.table;
            self.sharing.share(database, |id| (id == ID).then_some(meter), std::iter::once(ID)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn nodes_take_what_the_others_consume() {
        let database = Database::open(&OpenOptions::memory()).await.unwrap();
        let mut nodes = [Node::new(), Node::new(), Node::new()];
        for node in &mut nodes {
            assert_eq!(node.level(1), 30_000);
            node.write(0);
            node.share(&database).await;
        }
        // The first totals are what nodes are heard of by.
        nodes.iter().for_each(|node| node.write(10));
        for _ in 0..2 {
            for node in &mut nodes {
                node.share(&database).await;
            }
        }
        let levels = nodes.each_ref().map(|node| node.level(1));
        assert!(levels.iter().all(|level| (29_970..=29_990).contains(level)), "{levels:?}");
        for (node, units) in nodes.iter().zip([1_000, 2_000, 3_000]) {
            node.write(units);
        }
        for _ in 0..2 {
            for node in &mut nodes {
                node.share(&database).await;
            }
        }
        let after = nodes.each_ref().map(|node| node.level(1));
        for (before, after) in levels.into_iter().zip(after) {
            assert_eq!(before - after, 6_000, "each has taken what all consumed");
        }
    }

    #[tokio::test]
    async fn nodes_that_are_gone_are_forgotten() {
        let settings = crate::Settings { test_clock: true, ..crate::Settings::default() };
        let database = Database::open_with(&OpenOptions::memory(), settings, crate::Encryption::Off).await.unwrap();
        let (mut gone, mut left) = (Node::new(), Node::new());
        gone.write(5);
        gone.share(&database).await;
        left.share(&database).await;
        assert_eq!(left.sharing.heard.len(), 1);
        let _ = database.advance_clock(std::time::Duration::from_millis(KEPT_MS + 1));
        left.share(&database).await;
        left.share(&database).await;
        let range = KeyRange::prefix(keyspace::all_shared_totals());
        let snapshot = database.snapshot(Freshness::Latest).await.unwrap();
        let rows = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await.unwrap().rows;
        assert!(rows.is_empty() && left.sharing.heard.is_empty());
    }

    #[test]
    fn totals_are_read_back() {
        let mut capacity = Capacity::default();
        capacity.add_read(ReadUnits::of(1, false));
        capacity.add_write(3);
        let node = Node::new();
        node.meters.add(&Consumed { table: capacity, indexes: Vec::new() });
        assert_eq!(node.meters.table.totals(), (1, 3));
        let key = keyspace::shared_totals(7, 2, 9);
        assert_eq!(keyspace::read_shared_totals(&key), Some((7, 2, 9)));
        assert!(numbers(&[0; 23]).is_err());
    }
}
