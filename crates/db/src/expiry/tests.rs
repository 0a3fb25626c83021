//! Time to live as a client sees it.

use std::sync::Arc;
use std::time::Duration;

use partita_model::{AttributeMap, AttributeValue, StoredItem};

use super::*;
use crate::jobs::JobOptions;
use crate::record::StreamView;
use crate::stream::ChangeKind;
use crate::stream::tests::{Fixture, item, number};
use crate::tables::now_ms;
use crate::{Page, ScanRequest, Select, Table};

fn seconds() -> u64 {
    now_ms() / 1000
}

fn expiring(pk: &str, at: u64) -> AttributeMap {
    item(pk, &[("ttl", number(at)), ("group", AttributeValue::S("g".into()))])
}

async fn switch(fixture: &Fixture, enabled: bool) {
    fixture.database.update_time_to_live(&fixture.scope, "T", "ttl", enabled).await.unwrap();
}

async fn state(fixture: &Fixture) -> TimeToLiveState {
    fixture.database.describe_time_to_live(&fixture.scope, "T").await.unwrap()
}

async fn look(fixture: &mut Fixture) {
    let jobs = &mut fixture.jobs;
    while fixture.database.expire_items(&mut jobs.lease, &mut jobs.expiry, 1000).await.unwrap() != Left::Nothing {}
}

/// The keys of a table's items, or of the entries of its index.
async fn left(fixture: &Fixture, table: &Arc<Table>, index: Option<usize>) -> Vec<String> {
    let request = ScanRequest {
        index,
        filter: None,
        select: Select::All,
        limit: None,
        segment: None,
        start: None,
        consistent: index.is_none(),
    };
    let page: Page = fixture.database.scan(table, &request).await.unwrap();
    let pk = |item: &StoredItem| match item.to_item().get("pk") {
        Some(AttributeValue::S(pk)) => pk.clone(),
        other => panic!("{other:?}"),
    };
    let mut keys: Vec<String> = page.items.iter().map(pk).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn expired_items_leave_table_index_and_queue_with_a_record_of_the_service() {
    let mut fixture = Fixture::new().await;
    let table = fixture.table("T", Some(StreamView::OldImage)).await;
    switch(&fixture, true).await;
    look(&mut fixture).await;
    let now = seconds();
    for at in 0..2500 {
        fixture.put(&table, expiring(&format!("old{at}"), now - at)).await;
    }
    fixture.put(&table, expiring("new", now + 3600)).await;
    fixture.put(&table, item("never", &[])).await;
    look(&mut fixture).await;
    assert_eq!(left(&fixture, &table, None).await, ["never", "new"]);
    assert_eq!(left(&fixture, &table, Some(0)).await, ["new"]);
    let arn = fixture.arns().await.remove(0);
    let records = fixture.read_stream(&arn).await;
    let removed: Vec<_> = records.iter().filter(|record| record.kind == ChangeKind::Remove).collect();
    assert_eq!(removed.len(), 2500);
    assert!(removed.iter().all(|record| record.expired && record.old.is_some()));
    assert!(records.iter().all(|record| record.expired == (record.kind == ChangeKind::Remove)));
    fixture.database.inner.clock.advance(Duration::from_secs(3601));
    look(&mut fixture).await;
    assert_eq!(left(&fixture, &table, None).await, ["never"]);
}

#[tokio::test]
async fn what_is_no_expiry_time_is_ignored() {
    let mut fixture = Fixture::new().await;
    let table = fixture.table("T", None).await;
    switch(&fixture, true).await;
    let six_years = 6 * 365 * 24 * 60 * 60;
    fixture.put(&table, expiring("ancient", seconds() - six_years)).await;
    fixture.put(&table, item("text", &[("ttl", AttributeValue::S("1".into()))])).await;
    fixture.put(&table, item("other", &[("expires", number(seconds() - 1))])).await;
    fixture.put(&table, expiring("expired", seconds() - 1)).await;
    look(&mut fixture).await;
    assert_eq!(left(&fixture, &table, None).await, ["ancient", "other", "text"]);
}

#[tokio::test]
async fn the_latest_time_counts() {
    let mut fixture = Fixture::new().await;
    let table = fixture.table("T", None).await;
    switch(&fixture, true).await;
    let now = seconds();
    // An item that would have expired, but was written again before it was looked for.
    fixture.put(&table, expiring("later", now - 10)).await;
    fixture.put(&table, expiring("later", now + 100)).await;
    fixture.put(&table, expiring("not", now - 10)).await;
    fixture.put(&table, item("not", &[])).await;
    fixture.put(&table, expiring("sooner", now + 100)).await;
    fixture.put(&table, expiring("sooner", now - 1)).await;
    fixture.put(&table, expiring("again", now - 1)).await;
    fixture.delete(&table, "again").await;
    fixture.put(&table, expiring("again", now + 50)).await;
    look(&mut fixture).await;
    assert_eq!(left(&fixture, &table, None).await, ["again", "later", "not"]);
    fixture.database.inner.clock.advance(Duration::from_secs(60));
    look(&mut fixture).await;
    assert_eq!(left(&fixture, &table, None).await, ["later", "not"]);
    fixture.database.inner.clock.advance(Duration::from_secs(60));
    look(&mut fixture).await;
    assert_eq!(left(&fixture, &table, None).await, ["not"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filled_table_is_queued_while_writers_go_on() {
    let mut fixture = Fixture::new().await;
    let table = fixture.table("T", None).await;
    let now = seconds();
    for at in 0..3000u64 {
        let time = if at % 2 == 0 { now - 5 } else { now + 3600 };
        fixture.put(&table, expiring(&format!("k{at:04}"), time)).await;
    }
    assert_eq!(state(&fixture).await, TimeToLiveState::Disabled);
    switch(&fixture, true).await;
    assert_eq!(state(&fixture).await, TimeToLiveState::Enabling { attribute: "ttl".to_owned() });
    let writing = {
        let (database, table) = (fixture.database.clone(), Arc::clone(&table));
        let writes: Vec<_> = (0..300u64)
            .map(|at| {
                fixture.write(&table, expiring(&format!("k{:04}", at * 10), now + 3600 + at), crate::Mutation::Put)
            })
            .collect();
        tokio::spawn(async move {
            for write in writes {
                database.write(&table, write).await.unwrap();
            }
        })
    };
    look(&mut fixture).await;
    assert_eq!(state(&fixture).await, TimeToLiveState::Enabled { attribute: "ttl".to_owned() });
    writing.await.unwrap();
    // The catalog has changed, so the tables are found again.
    look(&mut fixture).await;
    let keys = left(&fixture, &table, None).await;
    // Those of the writer stay, unless they went before it came and were put again: then they stay too.
    assert_eq!(keys.iter().filter(|key| key.ends_with('0')).count(), 300);
    assert_eq!(keys.len(), 1500 + 300);
    fixture.database.inner.clock.advance(Duration::from_secs(2 * 3600));
    look(&mut fixture).await;
    assert_eq!(left(&fixture, &table, None).await, Vec::<String>::new());
}

#[tokio::test]
async fn switched_off_nothing_expires_and_on_again_everything_is_queued_anew() {
    let mut fixture = Fixture::new().await;
    let table = fixture.table("T", None).await;
    switch(&fixture, true).await;
    look(&mut fixture).await;
    fixture.put(&table, expiring("a", seconds() - 1)).await;
    switch(&fixture, false).await;
    fixture.put(&table, expiring("b", seconds() - 1)).await;
    look(&mut fixture).await;
    assert_eq!(left(&fixture, &table, None).await, ["a", "b"]);
    assert_eq!(state(&fixture).await, TimeToLiveState::Disabled);
    switch(&fixture, true).await;
    look(&mut fixture).await;
    look(&mut fixture).await;
    assert_eq!(left(&fixture, &table, None).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_background_task_expires_items_by_itself() {
    let fixture = Fixture::new().await;
    let table = fixture.table("T", None).await;
    let options = JobOptions { interval: Duration::from_millis(50), ..JobOptions::default() };
    fixture.database.start_background(options);
    switch(&fixture, true).await;
    fixture.put(&table, expiring("a", seconds() + 2)).await;
    assert_eq!(left(&fixture, &table, None).await, ["a"]);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if left(&fixture, &table, None).await.is_empty() {
            fixture.database.close().await.unwrap();
            return;
        }
    }
    panic!("the item is still there after five seconds");
}
