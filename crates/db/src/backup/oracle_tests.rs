//! Restores to random seconds of a table whose definition changes too, against an oracle's copy of each second; a check
//! of all that is stored compares the restored table's indexes, counters and collections with its items.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use partita_model::{AttributeMap, AttributeValue, StoredItem};

use super::tests::{jobs, restore_to, run_jobs, run_jobs_with_crashes};
use crate::check::tests::definition;
use crate::expiry::Left;
use crate::history::Moments;
use crate::jobs::Filling;
use crate::record::{KeyElement, StreamView};
use crate::stream::tests::{Fixture, item, number};
use crate::tables::{
    IndexChange, IndexDefinition, ProjectionDefinition, ProjectionKind, StreamDefinition, TableChange,
};
use crate::{CheckProgress, Mutation, ScanRequest, Select, SingleWrite, Table, TransactMember};

type Items = BTreeMap<(String, String), StoredItem>;

struct Oracle {
    fixture: Fixture,
    random: Rng,
    copies: BTreeMap<u64, Items>,
}

impl Oracle {
    async fn new(seed: u64) -> Self {
        let fixture = Fixture::new().await;
        let (database, scope) = (fixture.database.clone(), fixture.scope.clone());
        database.create_table(&scope, "T", &definition()).await.unwrap();
        database.update_recovery(&scope, "T", true, None).await.unwrap();
        Self { fixture, random: Rng::with_seed(seed), copies: BTreeMap::new() }
    }

    async fn table(&self, name: &str) -> Arc<Table> {
        self.fixture.database.table(&self.fixture.scope, name).await.unwrap()
    }

    async fn items(&self, name: &str) -> Items {
        let request = ScanRequest {
            index: None,
            filter: None,
            select: Select::All,
            limit: None,
            segment: None,
            start: None,
            consistent: true,
        };
        let page = self.fixture.database.scan(&self.table(name).await, &request).await.unwrap();
        assert!(page.last_evaluated.is_none());
        let text = |item: &StoredItem, name: &str| match item.to_item().get(name) {
            Some(AttributeValue::S(text)) => text.clone(),
            other => panic!("{other:?}"),
        };
        page.items.into_iter().map(|item| ((text(&item, "pk"), text(&item, "sk")), item)).collect()
    }

    fn item(&mut self) -> AttributeMap {
        let now = self.fixture.database.now_ms() / 1000;
        let random = &mut self.random;
        let text = |text: String| AttributeValue::S(text);
        let mut item = item(&format!("key-{}", random.u8(..6)), &[("sk", text(format!("sort-{}", random.u8(..8))))]);
        item.insert("value", number(random.u64(..)));
        for (name, many) in [("rank", 6), ("group", 4), ("kept", 50)] {
            if random.bool() {
                item.insert(name, text(format!("{name}-{}", random.u8(..many))));
            }
        }
        if random.u8(..4) == 0 {
            item.insert("ttl", number(now + random.u64(1..20)));
        }
        item
    }

    /// Random writes, and from time to time a change of the table itself.
    async fn second(&mut self) {
        for _ in 0..self.random.u8(1..10) {
            let (one, other) = (self.item(), self.item());
            let table = self.table("T").await;
            let same = (one.get("pk"), one.get("sk")) == (other.get("pk"), other.get("sk"));
            let put = self.fixture.write(&table, one, Mutation::Put);
            let delete = self.fixture.write(&table, other, |_| Mutation::Delete);
            let member = |write: SingleWrite| TransactMember { table: Arc::clone(&table), write };
            let database = &self.fixture.database;
            match self.random.u8(..10) {
                0..5 => drop(database.write(&table, put).await.unwrap()),
                5..7 => drop(database.write(&table, delete).await.unwrap()),
                _ if same => {}
                _ => drop(database.transact_write(&[member(put), member(delete)], None).await.unwrap()),
            }
        }
        if self.random.u8(..6) == 0 {
            self.change_table().await;
            let mut filling = Filling::new();
            while filling.look(&self.fixture.database).await.unwrap() {}
        }
        let jobs = &mut self.fixture.jobs;
        let database = &self.fixture.database;
        while database.expire_items(&mut jobs.lease, &mut jobs.expiry, 1000).await.unwrap() != Left::Nothing {}
    }

    async fn change_table(&mut self) {
        let (database, scope) = (self.fixture.database.clone(), self.fixture.scope.clone());
        let record = self.table("T").await.record.clone();
        match self.random.u8(..3) {
            0 => {
                let enabled = record.stream.as_ref().is_some_and(|stream| stream.enabled);
                let view = (!enabled).then_some(StreamView::NewAndOldImages);
                let stream = StreamDefinition { enabled: view.is_some(), view };
                let change = TableChange { stream: Some(stream), ..TableChange::default() };
                database.update_table(&scope, "T", &change).await.unwrap();
            }
            1 => {
                let on = record.time_to_live.is_some_and(|time_to_live| time_to_live.enabled);
                database.update_time_to_live(&scope, "T", "ttl", !on).await.unwrap();
            }
            _ => {
                let existing = record.global_indexes.iter().any(|index| index.name == "by-kept");
                let change = if existing {
                    IndexChange { delete: Some("by-kept".to_owned()), ..IndexChange::default() }
                } else {
                    let create = IndexDefinition {
                        name: "by-kept".to_owned(),
                        key: vec![KeyElement { name: "kept".to_owned(), partition: true }],
                        projection: ProjectionDefinition { kind: Some(ProjectionKind::KeysOnly), attributes: None },
                        ..IndexDefinition::default()
                    };
                    IndexChange { create: Some(create), ..IndexChange::default() }
                };
                let attributes = Some(vec![("kept".to_owned(), "S".to_owned())]);
                let change = TableChange { indexes: Some(vec![change]), attributes, ..TableChange::default() };
                database.update_table(&scope, "T", &change).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn fifty_random_seconds_of_a_changing_table_are_restored_as_the_oracle_has_them() {
    let (mut restores, mut crashes) = (0, 0);
    for seed in 80..82 {
        let mut oracle = Oracle::new(seed).await;
        let mut moments = Moments::default();
        for _ in 0..80 {
            oracle.second().await;
            let database = &oracle.fixture.database;
            database.inner.clock.advance(Duration::from_secs(oracle.random.u64(1..4)));
            let second = database.now_ms() / 1000;
            let items = oracle.items("T").await;
            oracle.copies.insert(second, items);
            oracle.fixture.database.mark_moment(&mut moments).await.unwrap();
        }
        let seconds: Vec<u64> = oracle.copies.keys().copied().collect();
        for round in 0..25 {
            let second = seconds[oracle.random.usize(..seconds.len())];
            restore_to(&oracle.fixture, second, "R").await;
            // The table is written on between the request and the work.
            oracle.second().await;
            if round % 5 == 0 {
                crashes += run_jobs_with_crashes(&oracle.fixture).await;
            } else {
                run_jobs(&oracle.fixture).await;
            }
            assert_eq!(oracle.items("R").await, oracle.copies[&second], "seed {seed}, second {second}");
            let findings = oracle.fixture.database.check(CheckProgress::default()).await.unwrap();
            assert!(findings.is_empty(), "seed {seed}, second {second}: {findings:?}");
            oracle.fixture.database.delete_table(&oracle.fixture.scope, "R").await.unwrap();
            restores += 1;
        }
        assert!(jobs(&oracle.fixture).await.is_empty());
    }
    assert!(restores == 50 && crashes > 20, "{restores} restores, {crashes} crashes");
}
