//! Tables with limits, on a database whose clock stands still unless it is moved on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use partita_engine::OpenOptions;
use partita_model::{AttributeMap, AttributeValue};

use super::*;
use crate::jobs::{JobOptions, Jobs};
use crate::record::KeyElement;
use crate::stream::tests::{Fixture, item};
use crate::tables::{
    IndexDefinition, ProjectionDefinition, ProjectionKind, ProvisionedUnits, TableChange, TableDefinition,
};
use crate::{
    BatchGet, BatchGetTable, Encryption, ItemKey, Mutation, OnDemandThroughput, ScanRequest, Scope, Select,
    TransactMember, WarmThroughput,
};

async fn fixture(emulate_aws_limits: bool) -> Fixture {
    let settings = Settings { throttling: true, test_clock: true, emulate_aws_limits, ..Settings::default() };
    let database = Database::open_with(&OpenOptions::memory(), settings, Encryption::Off).await.unwrap();
    database.inner.clock.stands_still.store(true, Ordering::Relaxed);
    let scope = Scope { account: "000000000000".into(), region: "eu-west-1".into() };
    Fixture { database, scope, jobs: Jobs::new(JobOptions::default()) }
}

/// Makes a table with the key `pk` and a global index over `group`.
async fn table(fixture: &Fixture, own: Option<(i64, i64)>, index: Option<(i64, i64)>) -> Arc<Table> {
    let units = |units: Option<(i64, i64)>| units.map(|(read, write)| ProvisionedUnits { read, write });
    let element = |name: &str| vec![KeyElement { name: name.to_owned(), partition: true }];
    let index = IndexDefinition {
        name: "by-group".to_owned(),
        key: element("group"),
        projection: ProjectionDefinition { kind: Some(ProjectionKind::All), ..ProjectionDefinition::default() },
        throughput: units(index),
        ..IndexDefinition::default()
    };
    let definition = TableDefinition {
        attributes: ["pk", "group"].map(|name| (name.to_owned(), "S".to_owned())).to_vec(),
        key: element("pk"),
        global_indexes: Some(vec![index]),
        billing: own.is_none().then_some(BillingMode::OnDemand),
        throughput: units(own),
        ..TableDefinition::default()
    };
    fixture.database.create_table(&fixture.scope, "T", &definition).await.unwrap();
    fixture.database.table(&fixture.scope, "T").await.unwrap()
}

/// An item that takes so many write units, of a group or of none.
fn sized(pk: &str, units: usize, group: Option<&str>) -> AttributeMap {
    let filler = AttributeValue::S("x".repeat(units * 1024 - 64));
    let group = group.map(|group| ("group", AttributeValue::S(group.to_owned())));
    let attributes: Vec<_> = std::iter::once(("filler", filler)).chain(group).collect();
    item(pk, &attributes)
}

async fn put(fixture: &Fixture, table: &Arc<Table>, item: AttributeMap) -> Result<()> {
    fixture.database.write(table, fixture.write(table, item, Mutation::Put)).await.map(|_| ())
}

fn key(fixture: &Fixture, table: &Table, pk: &str) -> ItemKey {
    fixture.write(table, item(pk, &[]), Mutation::Put).key
}

fn advance(fixture: &Fixture, seconds: u64) {
    fixture.database.advance_clock(Duration::from_secs(seconds)).unwrap();
}

/// The code and the reasons of a throttled request.
fn told<T: std::fmt::Debug>(result: Result<T>) -> (ErrorCode, Vec<String>) {
    match result {
        Err(Error::Throttled(throttled)) => {
            let reasons = throttled.reasons.iter();
            let resource = |arn: &str| arn.rsplit_once(":table/").unwrap().1.to_owned();
            let reasons = reasons.map(|reason| format!("{} {}", reason.name(), resource(&reason.resource)));
            (throttled.refusal().code, reasons.collect())
        }
        other => panic!("not throttled: {other:?}"),
    }
}

/// How many writes of an item are done before one is throttled.
async fn written(fixture: &Fixture, table: &Arc<Table>, item: &AttributeMap) -> usize {
    for done in 0..10_000 {
        match put(fixture, table, item.clone()).await {
            Ok(()) => {}
            Err(Error::Throttled(_)) => return done,
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("nothing was throttled")
}

const PROVISIONED: ErrorCode = ErrorCode::ProvisionedThroughputExceededException;

#[tokio::test]
async fn a_table_writes_300_seconds_of_its_units_at_once_and_then_its_units() {
    let fixture = fixture(false).await;
    let table = table(&fixture, Some((5, 5)), Some((5, 5))).await;
    let hundred = sized("a", 100, None);
    assert_eq!(written(&fixture, &table, &hundred).await, 15);
    let refused = put(&fixture, &table, item("b", &[])).await;
    assert_eq!(told(refused), (PROVISIONED, vec!["TableWriteProvisionedThroughputExceeded T".to_owned()]));
    advance(&fixture, 20);
    assert_eq!(written(&fixture, &table, &hundred).await, 1);
    // One unit admits a large write, which is paid back.
    advance(&fixture, 1);
    assert_eq!(written(&fixture, &table, &hundred).await, 1);
    advance(&fixture, 19);
    assert_eq!(written(&fixture, &table, &hundred).await, 0);
    advance(&fixture, 1);
    assert_eq!(written(&fixture, &table, &hundred).await, 1);
    assert_eq!(table.meters().table.write_units(), 1800.0);
    assert_eq!(table.meters().table.throttled(Direction::Write, LimitKind::Provisioned), 6);
}

#[tokio::test]
async fn reads_take_halves_and_a_page_may_overdraw() {
    let fixture = fixture(false).await;
    let table = table(&fixture, Some((1, 4_000)), Some((1, 4_000))).await;
    let missing = key(&fixture, &table, "nothing");
    let get = async || fixture.database.get(&table, &missing, None, false).await;
    for _ in 0..600 {
        get().await.unwrap();
    }
    assert_eq!(told(get().await), (PROVISIONED, vec!["TableReadProvisionedThroughputExceeded T".to_owned()]));
    put(&fixture, &table, sized("a", 400, None)).await.unwrap();
    put(&fixture, &table, sized("b", 400, None)).await.unwrap();
    advance(&fixture, 1);
    let scan = |index| ScanRequest {
        index,
        filter: None,
        select: Select::All,
        limit: None,
        segment: None,
        start: None,
        consistent: false,
    };
    // 800 KB read eventually consistently are 100 units.
    let page = fixture.database.scan(&table, &scan(None)).await.unwrap();
    assert_eq!(page.consumed.table.read_units(), 100.0);
    advance(&fixture, 99);
    assert!(fixture.database.scan(&table, &scan(None)).await.is_err());
    // The index has units of its own.
    fixture.database.scan(&table, &scan(Some(0))).await.unwrap();
    advance(&fixture, 1);
    get().await.unwrap();
}

#[tokio::test]
async fn only_writes_that_touch_the_index_wait_for_it() {
    let fixture = fixture(false).await;
    let table = table(&fixture, Some((5, 4_000)), Some((5, 1))).await;
    for number in 0..6 {
        put(&fixture, &table, sized(&number.to_string(), 50, Some("g"))).await.unwrap();
    }
    let refused = put(&fixture, &table, sized("6", 50, Some("g"))).await;
    let reason = "IndexWriteProvisionedThroughputExceeded T/index/by-group".to_owned();
    assert_eq!(told(refused), (PROVISIONED, vec![reason]));
    assert!(fixture.database.get(&table, &key(&fixture, &table, "6"), None, true).await.unwrap().item.is_none());
    put(&fixture, &table, sized("6", 50, None)).await.unwrap();
    advance(&fixture, 1);
    put(&fixture, &table, sized("7", 50, Some("g"))).await.unwrap();
}

#[tokio::test]
async fn batches_leave_unprocessed_what_there_is_no_throughput_for() {
    let fixture = fixture(false).await;
    let table = table(&fixture, Some((1, 1)), Some((1, 4_000))).await;
    let batch = |from: usize| {
        let writes = (from..from + 5).map(|at| fixture.write(&table, sized(&at.to_string(), 100, None), Mutation::Put));
        vec![(Arc::clone(&table), writes.collect::<Vec<_>>())]
    };
    let written = fixture.database.batch_write(&batch(0)).await.unwrap();
    assert_eq!((written[0].unprocessed.clone(), written[0].consumed.table.write_units()), (vec![3, 4], 300.0));
    assert_eq!(told(fixture.database.batch_write(&batch(3)).await).0, PROVISIONED);
    advance(&fixture, 1);
    assert_eq!(fixture.database.batch_write(&batch(3)).await.unwrap()[0].unprocessed, [1, 2, 3, 4]);

    let keys: Vec<ItemKey> = (0..3).map(|at| key(&fixture, &table, &at.to_string())).collect();
    let gets = |keys: &[ItemKey]| BatchGet {
        tables: vec![BatchGetTable {
            table: Arc::clone(&table),
            keys: keys.to_vec(),
            projection: None,
            consistent: true,
        }],
    };
    // Each takes 25 units: twelve are admitted.
    for _ in 0..4 {
        assert!(fixture.database.batch_get(&gets(&keys)).await.unwrap()[0].unprocessed.is_empty());
    }
    advance(&fixture, 1);
    let got = &fixture.database.batch_get(&gets(&keys)).await.unwrap()[0];
    assert_eq!((got.items.len(), got.unprocessed.as_slice()), (1, [1, 2].as_slice()));
    assert_eq!(told(fixture.database.batch_get(&gets(&keys)).await).0, PROVISIONED);
}

fn codes<T: std::fmt::Debug>(result: Result<T>) -> Vec<Option<&'static str>> {
    match result {
        Err(Error::TransactionCanceled { reasons }) => reasons.into_iter().map(|reason| reason.code).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn transactions_are_canceled_for_the_members_that_there_is_no_throughput_for() {
    let fixture = fixture(false).await;
    let table = table(&fixture, Some((1, 1)), Some((1, 4_000))).await;
    let member = |pk: &str, units| TransactMember {
        table: Arc::clone(&table),
        write: fixture.write(&table, sized(pk, units, None), Mutation::Put),
    };
    fixture.database.transact_write(&[member("a", 75), member("b", 75)], None).await.unwrap();
    let refused = fixture.database.transact_write(&[member("c", 1), member("d", 1)], None).await;
    let both: Vec<Option<&str>> = vec![Some("ProvisionedThroughputExceeded"); 2];
    assert_eq!(codes(refused), both);
    advance(&fixture, 1);
    let refused = fixture.database.transact_write(&[member("c", 1), member("d", 1)], None).await;
    assert_eq!(codes(refused), [None, Some("ProvisionedThroughputExceeded")]);
    // Nothing was taken: the unit is still there.
    put(&fixture, &table, item("c", &[])).await.unwrap();

    let gets: Vec<_> = ["a", "b"].map(|pk| (Arc::clone(&table), key(&fixture, &table, pk), None)).into();
    for _ in 0..4 {
        fixture.database.transact_get(&gets).await.unwrap();
    }
    let refused = fixture.database.transact_get(&gets).await;
    assert_eq!(codes(refused), both);
}

#[tokio::test]
async fn the_maximums_of_on_demand_mode_hold_within_each_second() {
    let fixture = fixture(false).await;
    let made = table(&fixture, None, None).await;
    assert!(made.meters.limits.is_none());
    let change = TableChange {
        on_demand: Some(OnDemandThroughput { max_read: None, max_write: Some(10) }),
        ..TableChange::default()
    };
    fixture.database.update_table(&fixture.scope, "T", &change).await.unwrap();
    let table = fixture.database.table(&fixture.scope, "T").await.unwrap();
    let ten = written(&fixture, &table, &item("a", &[])).await;
    assert_eq!(ten, 10);
    let refused = put(&fixture, &table, item("a", &[])).await;
    assert_eq!(
        told(refused),
        (ErrorCode::ThrottlingException, vec!["TableWriteMaxOnDemandThroughputExceeded T".to_owned()])
    );
    advance(&fixture, 300);
    assert_eq!(written(&fixture, &table, &item("a", &[])).await, 10);
}

#[tokio::test]
async fn a_hot_key_is_limited_under_emulation_only() {
    for emulates in [false, true] {
        let fixture = fixture(emulates).await;
        let table = table(&fixture, Some((40_000, 40_000)), Some((40_000, 40_000))).await;
        for number in 0..5u32 {
            // The same key, never an equal item: the attribute changes.
            let mut hot = sized("hot", 200, None);
            hot.insert("number", AttributeValue::S(number.to_string()));
            put(&fixture, &table, hot).await.unwrap();
        }
        let sixth = put(&fixture, &table, item("hot", &[])).await;
        if !emulates {
            sixth.unwrap();
            continue;
        }
        let reason = "TableWriteKeyRangeThroughputExceeded T".to_owned();
        assert_eq!(told(sixth), (PROVISIONED, vec![reason]));
        put(&fixture, &table, item("cold", &[])).await.unwrap();
        advance(&fixture, 1);
        put(&fixture, &table, item("hot", &[])).await.unwrap();

        // Items of many keys that are all of one group.
        for number in 0..5 {
            put(&fixture, &table, sized(&number.to_string(), 200, Some("all"))).await.unwrap();
        }
        let reason = "IndexWriteKeyRangeThroughputExceeded T/index/by-group".to_owned();
        assert_eq!(told(put(&fixture, &table, sized("5", 1, Some("all"))).await), (PROVISIONED, vec![reason]));
        put(&fixture, &table, sized("5", 1, Some("other"))).await.unwrap();
    }
}

#[tokio::test]
async fn an_on_demand_table_begins_with_4000_writes_and_doubles_under_emulation() {
    let fixture = fixture(true).await;
    let table = table(&fixture, None, None).await;
    let warm = WarmThroughput { read: Some(12_000), write: Some(4_000) };
    assert_eq!(table.record.warm, Some(warm));
    let fill = async |most: usize| {
        for done in 0..most {
            match put(&fixture, &table, sized(&done.to_string(), 400, None)).await {
                Ok(()) => {}
                refused => return (done, told(refused)),
            }
        }
        panic!("nothing was throttled")
    };
    let reason = "TableWriteKeyRangeThroughputExceeded T".to_owned();
    assert_eq!(fill(100).await, (10, (ErrorCode::ThrottlingException, vec![reason.clone()])));
    advance(&fixture, 31 * 60);
    assert_eq!(fill(100).await, (20, (ErrorCode::ThrottlingException, vec![reason])));
}

#[tokio::test]
async fn quotas_on_changes_are_kept_under_emulation_only() {
    for emulates in [false, true] {
        let fixture = fixture(emulates).await;
        table(&fixture, Some((100, 100)), Some((1, 1))).await;
        let mut refused = 0;
        for units in (90..100).rev() {
            let change = TableChange {
                throughput: Some(ProvisionedUnits { read: units, write: 100 }),
                ..TableChange::default()
            };
            refused += usize::from(fixture.database.update_table(&fixture.scope, "T", &change).await.is_err());
        }
        assert_eq!(refused, if emulates { 6 } else { 0 });
    }
}
