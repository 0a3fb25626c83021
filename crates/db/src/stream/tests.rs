//! Streams as a consumer sees them: written by changes, read by walking the shards from parents to children.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use partita_engine::OpenOptions;
use partita_model::{AttributeMap, AttributeValue, ErrorCode, Number, StoredItem};

use super::balance::Split;
use super::iterator::LIFETIME_MS;
use super::*;
use crate::jobs::{JobOptions, Jobs, Lease};
use crate::keyspace::StreamId;
use crate::record::{KeyElement, StreamView};
use crate::tables::{IndexDefinition, ProjectionDefinition, StreamDefinition, TableChange, TableDefinition};
use crate::{
    BillingMode, Database, Error, Mutation, Result, ReturnValues, ScanRequest, Scope, Select, SingleWrite, Table,
    TransactMember,
};

/// A database in memory with the calls that tests make.
pub(crate) struct Fixture {
    pub database: Database,
    pub scope: Scope,
    pub jobs: Jobs,
}

pub(crate) fn item(pk: &str, attributes: &[(&str, AttributeValue)]) -> AttributeMap {
    let mut item = AttributeMap::new();
    item.insert("pk", AttributeValue::S(pk.to_owned()));
    for (name, value) in attributes {
        item.insert(*name, value.clone());
    }
    item
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(Number::from(value))
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let database = Database::open(&OpenOptions::memory()).await.unwrap();
        let scope = Scope { account: "000000000000".into(), region: "eu-west-1".into() };
        Self { database, scope, jobs: Jobs::new(JobOptions::default()) }
    }

    /// Makes a table with the key `pk` and a global index over `group`.
    pub(crate) async fn table(&self, name: &str, view: Option<StreamView>) -> Arc<Table> {
        let element = |name: &str| vec![KeyElement { name: name.to_owned(), partition: true }];
        let index = IndexDefinition {
            name: "by-group".to_owned(),
            key: element("group"),
            projection: ProjectionDefinition {
                kind: Some(crate::tables::ProjectionKind::All),
                ..ProjectionDefinition::default()
            },
            ..IndexDefinition::default()
        };
        let definition = TableDefinition {
            attributes: ["pk", "group"].map(|name| (name.to_owned(), "S".to_owned())).to_vec(),
            key: element("pk"),
            global_indexes: Some(vec![index]),
            billing: Some(BillingMode::OnDemand),
            stream: view.map(|view| StreamDefinition { enabled: true, view: Some(view) }),
            ..TableDefinition::default()
        };
        self.database.create_table(&self.scope, name, &definition).await.unwrap();
        self.database.table(&self.scope, name).await.unwrap()
    }

    pub(crate) fn write(
        &self,
        table: &Table,
        item: AttributeMap,
        mutation: fn(AttributeMap) -> Mutation,
    ) -> SingleWrite {
        SingleWrite {
            key: table.key_of_item(&self.database.key_secret(), &item).unwrap(),
            mutation: mutation(item),
            condition: None,
            returns: ReturnValues::None,
            item_on_failure: false,
        }
    }

    pub(crate) async fn put(&self, table: &Arc<Table>, item: AttributeMap) {
        self.database.write(table, self.write(table, item, Mutation::Put)).await.unwrap();
    }

    pub(crate) async fn delete(&self, table: &Arc<Table>, pk: &str) {
        self.database.write(table, self.write(table, item(pk, &[]), |_| Mutation::Delete)).await.unwrap();
    }

    async fn switch_stream(&self, table: &str, view: Option<StreamView>) {
        let stream = StreamDefinition { enabled: view.is_some(), view };
        let change = TableChange { stream: Some(stream), ..TableChange::default() };
        self.database.update_table(&self.scope, table, &change).await.unwrap();
    }

    /// Splits a shard of a table's first stream.
    pub(crate) async fn split_shard(&self, table: &Table, number: u32, at: u64) {
        let stream = StreamId { table: table.record.id, generation: 1 };
        self.database.replace_shard(stream, number, Split::At(at)).await.unwrap();
    }

    pub(crate) async fn arns(&self) -> Vec<String> {
        let listed = self.database.list_streams(&self.scope, None, None, 100).await.unwrap();
        listed.streams.into_iter().map(|stream| stream.arn).collect()
    }

    pub(crate) async fn describe(&self, arn: &str) -> StreamDescription {
        let page = StreamPage { limit: 100, ..StreamPage::default() };
        self.database.describe_stream(arn, &page).await.unwrap()
    }

    /// All shards, described a few at a time.
    async fn shards(&self, arn: &str) -> Vec<ShardDescription> {
        let mut shards = Vec::new();
        let mut after = None;
        loop {
            let page = StreamPage { after, limit: 2, ..StreamPage::default() };
            let description = self.database.describe_stream(arn, &page).await.unwrap();
            shards.extend(description.shards);
            match description.last {
                Some(last) => after = Some(last),
                None => return shards,
            }
        }
    }

    async fn read_shard(&self, arn: &str, shard: &str, start: &IteratorStart) -> Vec<ChangeRecord> {
        let mut next = Some(self.database.shard_iterator(arn, shard, start).await.unwrap());
        let mut records = Vec::new();
        while let Some(iterator) = next {
            let page = self.database.stream_records(&iterator, 100).await.unwrap();
            if page.records.is_empty() && page.next.is_some() {
                break;
            }
            records.extend(page.records);
            next = page.next;
        }
        records
    }

    /// All records of a stream; those of a shard after those of its parent.
    pub(crate) async fn read_stream(&self, arn: &str) -> Vec<ChangeRecord> {
        let mut waiting = self.shards(arn).await;
        let mut done: HashSet<String> = HashSet::new();
        let mut records = Vec::new();
        while !waiting.is_empty() {
            let known: HashSet<String> = waiting.iter().map(|shard| shard.id.clone()).collect();
            let ready = waiting.iter().position(|shard| shard.parent.as_ref().is_none_or(|id| !known.contains(id)));
            let shard = waiting.remove(ready.unwrap());
            let found = self.read_shard(arn, &shard.id, &IteratorStart::TrimHorizon).await;
            assert!(found.is_sorted_by_key(|record| record.sequence_number.clone()));
            let inside = |number: &String| *number > shard.start && shard.end.as_ref().is_none_or(|end| number < end);
            assert!(found.iter().all(|record| inside(&record.sequence_number)));
            records.extend(found);
            done.insert(shard.id);
        }
        records
    }

    async fn scan(&self, table: &Arc<Table>) -> BTreeMap<String, StoredItem> {
        let request = ScanRequest {
            index: None,
            filter: None,
            select: Select::All,
            limit: None,
            segment: None,
            start: None,
            consistent: true,
        };
        let page = self.database.scan(table, &request).await.unwrap();
        page.items.into_iter().map(|item| (pk_of(&item), item)).collect()
    }

    fn advance(&self, by: Duration) {
        self.database.inner.clock.advance(by);
    }

    async fn trim(&mut self) {
        self.database.trim_streams(&mut self.jobs.lease).await.unwrap();
    }
}

fn pk_of(item: &StoredItem) -> String {
    match item.to_item().get("pk") {
        Some(AttributeValue::S(pk)) => pk.clone(),
        other => panic!("{other:?}"),
    }
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    match result {
        Err(Error::Refused(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    }
}

/// Applies records to a table of its own, and checks that each begins where the one before it of its item ended.
fn replay(records: &[ChangeRecord]) -> BTreeMap<String, StoredItem> {
    let mut items = BTreeMap::new();
    for record in records {
        let pk = pk_of(&record.keys);
        let expected = match (&record.old, &record.new) {
            (None, Some(_)) => ChangeKind::Insert,
            (Some(_), Some(_)) => ChangeKind::Modify,
            _ => ChangeKind::Remove,
        };
        assert_eq!(record.kind, expected);
        assert_eq!(items.get(&pk), record.old.as_ref(), "{pk} before {}", record.sequence_number);
        match &record.new {
            Some(new) => items.insert(pk, new.clone()),
            None => items.remove(&pk),
        };
    }
    items
}

#[tokio::test]
async fn each_real_change_is_one_record() {
    let fixture = Fixture::new().await;
    let table = fixture.table("T", Some(StreamView::NewAndOldImages)).await;
    let first = item("a", &[("n", number(1))]);
    let second = item("a", &[("n", number(2))]);
    fixture.delete(&table, "a").await;
    fixture.put(&table, first.clone()).await;
    fixture.put(&table, first.clone()).await;
    fixture.put(&table, second.clone()).await;
    fixture.delete(&table, "a").await;
    fixture.delete(&table, "a").await;
    let arns = fixture.arns().await;
    let records = fixture.read_stream(&arns[0]).await;
    let (first, second) = (Some(StoredItem::from(&first)), Some(StoredItem::from(&second)));
    let shown: Vec<_> = records.iter().map(|record| (record.kind, record.old.clone(), record.new.clone())).collect();
    assert_eq!(
        shown,
        [
            (ChangeKind::Insert, None, first.clone()),
            (ChangeKind::Modify, first, second.clone()),
            (ChangeKind::Remove, second, None),
        ]
    );
    // pk and a, twice or thrice, and n with one digit.
    assert_eq!(records.iter().map(|record| record.size).collect::<Vec<_>>(), [9, 15, 9]);
    let ids: HashSet<_> = records.iter().map(|record| record.event_id.clone()).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(fixture.read_stream(&arns[0]).await, records);
    assert!(records.iter().all(|record| !record.expired && record.sequence_number.len() == 40));
}

#[tokio::test]
async fn views_keep_the_images_they_name() {
    for (view, old, new) in [
        (StreamView::KeysOnly, false, false),
        (StreamView::NewImage, false, true),
        (StreamView::OldImage, true, false),
        (StreamView::NewAndOldImages, true, true),
    ] {
        let fixture = Fixture::new().await;
        let table = fixture.table("T", Some(view)).await;
        fixture.put(&table, item("a", &[])).await;
        fixture.put(&table, item("a", &[("n", number(1))])).await;
        let arn = fixture.arns().await.remove(0);
        let records = fixture.read_stream(&arn).await;
        assert_eq!((records[1].old.is_some(), records[1].new.is_some()), (old, new), "{view:?}");
        assert_eq!(records[1].kind, ChangeKind::Modify);
        assert_eq!(fixture.describe(&arn).await.view, view);
    }
}

/// Random puts, deletes, batches and transactions from many tasks.
async fn change_at_random(fixture: &Arc<Fixture>, table: &Arc<Table>, tasks: u64, changes: u64) {
    let mut running = Vec::new();
    for task in 0..tasks {
        let (fixture, table) = (Arc::clone(fixture), Arc::clone(table));
        running.push(tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(task);
            for _ in 0..changes {
                let mut pk = || format!("k{}", random.u8(0..60));
                let keys: HashSet<String> = [pk(), pk(), pk()].into();
                let writes = keys.into_iter().map(|pk| {
                    if random.u8(0..3) == 0 {
                        fixture.write(&table, item(&pk, &[]), |_| Mutation::Delete)
                    } else {
                        let new =
                            item(&pk, &[("n", number(random.u64(0..5))), ("group", AttributeValue::S("g".into()))]);
                        fixture.write(&table, new, Mutation::Put)
                    }
                });
                let mut writes: Vec<_> = writes.collect();
                match random.u8(0..4) {
                    0 => {
                        let member = |write| TransactMember { table: Arc::clone(&table), write };
                        let members: Vec<_> = writes.into_iter().map(member).collect();
                        // One that meets others is canceled, and leaves no record.
                        let _ = fixture.database.transact_write(&members, None).await;
                    }
                    1 => {
                        fixture.database.batch_write(&[(Arc::clone(&table), writes)]).await.unwrap();
                    }
                    _ => {
                        let write = writes.remove(0);
                        match fixture.database.write(&table, write).await {
                            // One that meets a transaction leaves no record either.
                            Err(Error::Refused(refusal)) if refusal.code == ErrorCode::TransactionConflictException => {
                            }
                            outcome => drop(outcome.unwrap()),
                        }
                    }
                }
            }
        }));
    }
    for task in running {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_rebuilds_the_table_while_shards_split_and_are_replaced() {
    let fixture = Arc::new(Fixture::new().await);
    let table = fixture.table("T", Some(StreamView::NewAndOldImages)).await;
    let arn = fixture.arns().await.remove(0);
    let stream = StreamId { table: table.record.id, generation: 1 };
    let writing = {
        let (fixture, table) = (Arc::clone(&fixture), Arc::clone(&table));
        tokio::spawn(async move { change_at_random(&fixture, &table, 8, 400).await })
    };
    for (number, split) in
        [(0, Split::At(1 << 63)), (1, Split::Not), (2, Split::At(3 << 62)), (3, Split::At(1 << 62)), (5, Split::Not)]
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
        fixture.database.replace_shard(stream, number, split).await.unwrap();
    }
    writing.await.unwrap();
    let shards = fixture.shards(&arn).await;
    assert_eq!(shards.len(), 9);
    assert_eq!(shards.iter().filter(|shard| shard.end.is_some()).count(), 5);
    assert_eq!(shards[1].parent.as_ref(), Some(&shards[0].id));
    assert!(shards[1].start > *shards[0].end.as_ref().unwrap());
    let records = fixture.read_stream(&arn).await;
    assert_eq!(replay(&records), fixture.scan(&table).await);
    assert!(records.len() > 1000, "{}", records.len());
    let numbers: HashSet<_> = records.iter().map(|record| record.sequence_number.clone()).collect();
    assert_eq!(numbers.len(), records.len());
}

#[tokio::test]
async fn shard_filters_show_children() {
    let fixture = Fixture::new().await;
    let table = fixture.table("T", Some(StreamView::KeysOnly)).await;
    let arn = fixture.arns().await.remove(0);
    let stream = StreamId { table: table.record.id, generation: 1 };
    fixture.database.replace_shard(stream, 0, Split::At(1 << 63)).await.unwrap();
    fixture.database.replace_shard(stream, 1, Split::Not).await.unwrap();
    // A shard that has ended is not replaced again.
    fixture.database.replace_shard(stream, 0, Split::Not).await.unwrap();
    let shards = fixture.shards(&arn).await;
    assert_eq!(shards.len(), 4);
    let children = |at: usize| {
        let page = StreamPage { children_of: Some(shards[at].id.clone()), limit: 100, ..StreamPage::default() };
        let (database, arn) = (fixture.database.clone(), arn.clone());
        async move { database.describe_stream(&arn, &page).await.unwrap().shards }
    };
    assert_eq!(children(0).await, shards[1..3]);
    assert_eq!(children(1).await, shards[3..]);
    assert_eq!(children(3).await, []);
}

#[tokio::test]
async fn iterators_start_where_they_say() {
    let fixture = Fixture::new().await;
    let table = fixture.table("T", Some(StreamView::KeysOnly)).await;
    let arn = fixture.arns().await.remove(0);
    let shard = fixture.shards(&arn).await.remove(0);
    for at in 0..10 {
        fixture.put(&table, item(&format!("a{at}"), &[])).await;
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    let between = fixture.database.now_ms();
    let latest = fixture.database.shard_iterator(&arn, &shard.id, &IteratorStart::Latest).await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    for at in 0..10 {
        fixture.put(&table, item(&format!("b{at}"), &[])).await;
    }
    let all = fixture.read_shard(&arn, &shard.id, &IteratorStart::TrimHorizon).await;
    assert_eq!(all.len(), 20);
    let from = async |start: IteratorStart| fixture.read_shard(&arn, &shard.id, &start).await;
    assert_eq!(from(IteratorStart::At(all[7].sequence_number.clone())).await, all[7..]);
    assert_eq!(from(IteratorStart::After(all[7].sequence_number.clone())).await, all[8..]);
    assert_eq!(from(IteratorStart::After(all[19].sequence_number.clone())).await, []);
    assert_eq!(from(IteratorStart::At(shard.start.clone())).await, all);
    assert_eq!(from(IteratorStart::AtTime(between)).await, all[10..]);
    assert_eq!(from(IteratorStart::AtTime(0)).await, all);
    assert_eq!(from(IteratorStart::AtTime(all[0].time_ms)).await, all);
    assert_eq!(from(IteratorStart::Latest).await, []);
    assert_eq!(fixture.database.stream_records(&latest, 1000).await.unwrap().records, all[10..]);
    // Pages go on where the last one ended.
    let page = fixture.database.stream_records(&latest, 3).await.unwrap();
    assert_eq!(page.records, all[10..13]);
    assert_eq!(fixture.database.stream_records(&page.next.unwrap(), 3).await.unwrap().records, all[13..16]);

    let refused = async |start: IteratorStart| code(fixture.database.shard_iterator(&arn, &shard.id, &start).await);
    let beyond = "1".repeat(40);
    assert_eq!(refused(IteratorStart::At(beyond)).await, ErrorCode::ValidationException);
    assert_eq!(refused(IteratorStart::After("0".repeat(21))).await, ErrorCode::ValidationException);
    assert_eq!(
        refused(IteratorStart::AtTime(fixture.database.now_ms() + 60_000)).await,
        ErrorCode::ValidationException
    );
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let fixture = Fixture::new().await;
    fixture.table("T", Some(StreamView::KeysOnly)).await;
    let arn = fixture.arns().await.remove(0);
    let page = StreamPage { limit: 1, ..StreamPage::default() };
    for wrong in [format!("{arn}1"), "x".repeat(40), fixture.scope.table_arn("T")] {
        let error = fixture.database.describe_stream(&wrong, &page).await.unwrap_err();
        assert!(error.to_string().ends_with(&format!("Requested resource not found: Stream: {wrong} not found")));
        let iterator = fixture.database.shard_iterator(&wrong, "shardId-0", &IteratorStart::Latest).await;
        assert_eq!(code(iterator), ErrorCode::ResourceNotFoundException);
    }
    let shard = "shardId-00000000000000000000-000000010000000100000000";
    let error = fixture.database.shard_iterator(&arn, shard, &IteratorStart::Latest).await.unwrap_err();
    assert!(error.to_string().ends_with("Requested resource not found: Shard does not exist"));
    assert_eq!(code(fixture.database.stream_records("x", 1).await), ErrorCode::ValidationException);
}

#[tokio::test]
async fn iterators_expire() {
    let fixture = Fixture::new().await;
    fixture.table("T", Some(StreamView::KeysOnly)).await;
    let arn = fixture.arns().await.remove(0);
    let shard = fixture.shards(&arn).await.remove(0);
    let iterator = fixture.database.shard_iterator(&arn, &shard.id, &IteratorStart::Latest).await.unwrap();
    fixture.database.stream_records(&iterator, 1).await.unwrap();
    fixture.advance(Duration::from_millis(LIFETIME_MS + 1));
    assert_eq!(code(fixture.database.stream_records(&iterator, 1).await), ErrorCode::ExpiredIteratorException);
}

#[tokio::test]
async fn pages_hold_about_1_mb() {
    let fixture = Fixture::new().await;
    let table = fixture.table("T", Some(StreamView::NewImage)).await;
    let large = |pk: &str| item(pk, &[("b", AttributeValue::B(vec![7; 300_000].into()))]);
    for at in 0..7 {
        fixture.put(&table, large(&at.to_string())).await;
    }
    let arn = fixture.arns().await.remove(0);
    let shard = fixture.shards(&arn).await.remove(0);
    let mut next = fixture.database.shard_iterator(&arn, &shard.id, &IteratorStart::TrimHorizon).await.unwrap();
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let page = fixture.database.stream_records(&next, 1000).await.unwrap();
        sizes.push(page.records.len());
        next = page.next.unwrap();
    }
    assert_eq!(sizes, [3, 3, 1]);
}

#[tokio::test]
async fn disabled_streams_stay_readable_and_enabling_again_makes_another() {
    let mut fixture = Fixture::new().await;
    let table = fixture.table("T", Some(StreamView::KeysOnly)).await;
    fixture.put(&table, item("a", &[])).await;
    fixture.switch_stream("T", None).await;
    fixture.put(&table, item("b", &[])).await;
    let old = fixture.arns().await.remove(0);
    let description = fixture.describe(&old).await;
    assert!(!description.enabled && description.shards[0].end.is_some());
    tokio::time::sleep(Duration::from_millis(2)).await;
    fixture.switch_stream("T", Some(StreamView::NewImage)).await;
    fixture.put(&table, item("c", &[])).await;
    let arns = fixture.arns().await;
    assert_eq!((arns.len(), &arns[0]), (2, &old));
    let keys = |records: Vec<ChangeRecord>| records.iter().map(|record| pk_of(&record.keys)).collect::<Vec<_>>();
    assert_eq!(keys(fixture.read_stream(&arns[0]).await), ["a"]);
    assert_eq!(keys(fixture.read_stream(&arns[1]).await), ["c"]);
    assert_ne!(fixture.describe(&old).await.shards[0].id, fixture.describe(&arns[1]).await.shards[0].id);

    // Those of a deleted table too, and a new table of its name has none of them.
    fixture.database.delete_table(&fixture.scope, "T").await.unwrap();
    assert_eq!(keys(fixture.read_stream(&arns[1]).await), ["c"]);
    assert!(!fixture.describe(&arns[1]).await.enabled);
    fixture.table("T", None).await;
    assert_eq!(fixture.arns().await, arns);

    fixture.advance(Duration::from_secs(24 * 60 * 60 - 60));
    fixture.trim().await;
    assert_eq!(fixture.arns().await, arns);
    assert_eq!(keys(fixture.read_stream(&arns[0]).await), ["a"]);
    fixture.advance(Duration::from_secs(61));
    fixture.trim().await;
    assert_eq!(fixture.arns().await, Vec::<String>::new());
}

#[tokio::test]
async fn streams_are_listed_in_pages() {
    let fixture = Fixture::new().await;
    for name in ["T1", "T10", "T2", "T3"] {
        fixture.table(name, Some(StreamView::KeysOnly)).await;
    }
    fixture.table("none", None).await;
    let list = async |table: Option<&str>, after: Option<&str>, limit| {
        let listed = fixture.database.list_streams(&fixture.scope, table, after, limit).await.unwrap();
        (listed.streams.iter().map(|stream| stream.table.clone()).collect::<Vec<_>>(), listed.more)
    };
    assert_eq!(list(None, None, 3).await, (vec!["T1".into(), "T10".into(), "T2".into()], true));
    let arns = fixture.arns().await;
    assert_eq!(list(None, Some(&arns[2]), 3).await, (vec!["T3".into()], false));
    assert_eq!(list(Some("T1"), None, 3).await, (vec!["T1".into()], false));
    assert_eq!(list(Some("T4"), None, 3).await, (vec![], false));
    assert_eq!(list(None, Some("x"), 3).await, (vec![], false));
    let other = Scope { account: "000000000001".into(), ..fixture.scope.clone() };
    assert_eq!(fixture.database.list_streams(&other, None, None, 3).await.unwrap(), Streams::default());
}

#[tokio::test]
async fn records_are_trimmed_after_24_hours() {
    let mut fixture = Fixture::new().await;
    let table = fixture.table("T", Some(StreamView::KeysOnly)).await;
    let arn = fixture.arns().await.remove(0);
    let shard = fixture.shards(&arn).await.remove(0);
    for at in 0..1200 {
        fixture.put(&table, item(&format!("a{at}"), &[])).await;
    }
    let old = fixture.read_shard(&arn, &shard.id, &IteratorStart::TrimHorizon).await;
    assert_eq!(old.len(), 1200);
    fixture.advance(Duration::from_secs(24 * 60 * 60 - 30));
    fixture.trim().await;
    assert_eq!(fixture.read_shard(&arn, &shard.id, &IteratorStart::TrimHorizon).await, old);
    fixture.advance(Duration::from_secs(60));
    let at = |record: &ChangeRecord| IteratorStart::At(record.sequence_number.clone());
    let iterator = fixture.database.shard_iterator(&arn, &shard.id, &at(&old[5])).await.unwrap();
    fixture.trim().await;
    let trimmed = ErrorCode::TrimmedDataAccessException;
    assert_eq!(code(fixture.database.stream_records(&iterator, 1).await), trimmed);
    assert_eq!(code(fixture.database.shard_iterator(&arn, &shard.id, &at(&old[1199])).await), trimmed);
    assert_eq!(fixture.read_shard(&arn, &shard.id, &IteratorStart::TrimHorizon).await, []);
    assert_eq!(fixture.read_shard(&arn, &shard.id, &IteratorStart::AtTime(0)).await, []);
    // Nothing behind the last record is missing.
    let after = IteratorStart::After(old[1199].sequence_number.clone());
    assert_eq!(fixture.read_shard(&arn, &shard.id, &after).await, []);
    fixture.put(&table, item("new", &[])).await;
    assert_eq!(fixture.read_shard(&arn, &shard.id, &after).await.len(), 1);
    assert_eq!(fixture.describe(&arn).await.shards, [shard]);
}

#[tokio::test]
async fn old_shards_are_replaced_and_forgotten() {
    let mut fixture = Fixture::new().await;
    let table = fixture.table("T", Some(StreamView::KeysOnly)).await;
    let arn = fixture.arns().await.remove(0);
    let balance = async |fixture: &mut Fixture| {
        fixture.database.balance_streams(&mut fixture.jobs.balance).await.unwrap();
        fixture.shards(&arn).await
    };
    fixture.advance(Duration::from_secs(5 * 60 * 60));
    assert_eq!(balance(&mut fixture).await.len(), 1, "an empty shard stays");
    fixture.put(&table, item("a", &[])).await;
    let shards = balance(&mut fixture).await;
    assert_eq!(shards.len(), 2);
    assert_eq!(shards[1].parent.as_ref(), Some(&shards[0].id));
    assert!(shards[0].end.is_some() && shards[1].end.is_none());
    fixture.put(&table, item("b", &[])).await;
    assert_eq!(fixture.read_stream(&arn).await.len(), 2);
    assert_eq!(balance(&mut fixture).await.len(), 2);
    let iterator = fixture.database.shard_iterator(&arn, &shards[0].id, &IteratorStart::TrimHorizon).await.unwrap();
    fixture.advance(Duration::from_secs(24 * 60 * 60 + 1));
    fixture.trim().await;
    assert_eq!(fixture.shards(&arn).await, shards[1..]);
    assert_eq!(code(fixture.database.stream_records(&iterator, 1).await), ErrorCode::ExpiredIteratorException);
    let gone = fixture.database.shard_iterator(&arn, &shards[0].id, &IteratorStart::TrimHorizon).await;
    assert_eq!(code(gone), ErrorCode::ResourceNotFoundException);
}

#[tokio::test]
async fn busy_shards_split_between_their_items() {
    let mut fixture = Fixture::new().await;
    let table = fixture.table("T", Some(StreamView::NewImage)).await;
    let arn = fixture.arns().await.remove(0);
    let large = |pk: usize, fill: u8| item(&pk.to_string(), &[("b", AttributeValue::B(vec![fill; 300_000].into()))]);
    fixture.put(&table, large(0, 0)).await;
    fixture.database.balance_streams(&mut fixture.jobs.balance).await.unwrap();
    for at in 0..64 {
        fixture.put(&table, large(7, at)).await;
    }
    fixture.database.balance_streams(&mut fixture.jobs.balance).await.unwrap();
    assert_eq!(fixture.shards(&arn).await.len(), 1, "one hot item can not be shared out");
    for at in 0..64 {
        fixture.put(&table, large(at, 100)).await;
    }
    fixture.database.balance_streams(&mut fixture.jobs.balance).await.unwrap();
    let shards = fixture.shards(&arn).await;
    assert_eq!(shards.iter().map(|shard| shard.end.is_some()).collect::<Vec<_>>(), [true, false, false]);
    for at in 0..64 {
        fixture.put(&table, item(&at.to_string(), &[])).await;
    }
    for shard in &shards[1..] {
        let taken = fixture.read_shard(&arn, &shard.id, &IteratorStart::TrimHorizon).await.len();
        assert!((8..=56).contains(&taken), "{taken}");
    }
}

#[tokio::test]
async fn a_new_shard_that_is_busy_at_once_splits_at_the_next_look() {
    let mut fixture = Fixture::new().await;
    fixture.database.balance_streams(&mut fixture.jobs.balance).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let table = fixture.table("T", Some(StreamView::NewImage)).await;
    for at in 0..64 {
        let large = AttributeValue::B(vec![1; 300_000].into());
        fixture.put(&table, item(&at.to_string(), &[("b", large)])).await;
    }
    fixture.database.balance_streams(&mut fixture.jobs.balance).await.unwrap();
    let arn = fixture.arns().await.remove(0);
    assert_eq!(fixture.shards(&arn).await.len(), 3);
}

#[tokio::test]
async fn a_lease_that_was_taken_commits_nothing() {
    let fixture = Fixture::new().await;
    let (mut mine, mut other) = (Lease::new("job"), Lease::new("job"));
    assert!(mine.take(&fixture.database).await.unwrap());
    let snapshot = fixture.database.snapshot(partita_engine::Freshness::Latest).await.unwrap();
    mine.check(&snapshot).await.unwrap();
    assert!(other.take(&fixture.database).await.unwrap());
    assert!(matches!(fixture.database.commit_as(&mut mine, Vec::new()).await, Err(Error::Contention)));
    fixture.database.commit_as(&mut other, Vec::new()).await.unwrap();
}
