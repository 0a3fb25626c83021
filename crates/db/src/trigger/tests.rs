//! Triggers as they are kept: made, changed, followed through a stream's shards, and counted.

use std::time::Duration;

use partita_engine::Freshness;
use partita_model::{AttributeMap, AttributeValue, ErrorCode};

use super::*;
use crate::record::{KeyElement, StreamView};
use crate::stream::Balance;
use crate::stream::tests::{Fixture, item, number};
use crate::tables::{StreamDefinition, TableChange, TableDefinition};
use crate::{BillingMode, Error, Result, Scope};

const URL: &str = "http://localhost:3000/";

fn new_trigger(source: &str, start: StartingPosition) -> NewTrigger {
    let settings = TriggerSettings::new(URL);
    NewTrigger { name: "orders".to_owned(), source: source.to_owned(), start, enabled: true, settings }
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    match result {
        Err(Error::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

/// The partition keys of the records that a trigger would deliver next in a shard, and their sequence numbers.
async fn next_records(deliveries: &Deliveries, trigger: &Trigger, shard: &TriggerShard) -> Vec<(String, String)> {
    let place = deliveries.place(trigger, &shard.id, &shard.progress).await.unwrap();
    let Place::At(iterator) = place else { panic!("{place:?}") };
    let page = deliveries.database().stream_records(&iterator, 100).await.unwrap();
    let key = |record: &crate::ChangeRecord| match record.keys.to_item().get("pk") {
        Some(AttributeValue::S(key)) => key.clone(),
        other => panic!("{other:?}"),
    };
    page.records.iter().map(|record| (key(record), record.sequence_number.clone())).collect()
}

async fn keys(deliveries: &Deliveries, trigger: &Trigger) -> Vec<String> {
    let mut keys = Vec::new();
    for shard in deliveries.shards(trigger).await.unwrap() {
        keys.extend(next_records(deliveries, trigger, &shard).await.into_iter().map(|(key, _)| key));
    }
    keys
}

/// A table without a stream, whose key attributes have these types.
async fn plain_table(fixture: &Fixture, name: &str, key: &[(&str, &str)]) {
    let definition = TableDefinition {
        attributes: key.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect(),
        key: key
            .iter()
            .enumerate()
            .map(|(at, (name, _))| KeyElement { name: (*name).to_owned(), partition: at == 0 })
            .collect(),
        billing: Some(BillingMode::OnDemand),
        ..TableDefinition::default()
    };
    fixture.database.create_table(&fixture.scope, name, &definition).await.unwrap();
}

async fn items(fixture: &Fixture, name: &str, keys: &[AttributeMap]) -> Vec<Option<AttributeMap>> {
    let table = fixture.database.table(&fixture.scope, name).await.unwrap();
    let mut found = Vec::new();
    for key in keys {
        let key = table.key_of_request(&fixture.database.key_secret(), key).unwrap();
        let snapshot = fixture.database.snapshot(Freshness::Latest).await.unwrap();
        let value = snapshot.get(&key.stored).await.unwrap();
        found.push(value.map(|value| crate::table::unseal(&value).unwrap().to_item()));
    }
    found
}

#[tokio::test]
async fn triggers_are_made_changed_and_deleted() {
    let fixture = Fixture::new().await;
    let (database, scope) = (&fixture.database, &fixture.scope);
    fixture.table("T", Some(StreamView::NewImage)).await;
    let arn = fixture.arns().await.remove(0);
    let made = database.create_trigger(scope, new_trigger("T", StartingPosition::Latest)).await.unwrap();
    assert_eq!((made.stream_arn.as_str(), made.enabled, made.settings.batch_size), (arn.as_str(), true, 100));
    assert_eq!(database.trigger(scope, "orders").await.unwrap(), made);
    let again = database.create_trigger(scope, new_trigger(&arn, StartingPosition::Latest)).await;
    assert_eq!(code(again), ErrorCode::ResourceInUseException);
    let elsewhere = Scope { region: "us-west-2".into(), ..scope.clone() };
    assert_eq!(database.triggers(&elsewhere).await.unwrap(), []);
    let paused = database
        .update_trigger(scope, "orders", |settings, enabled| {
            settings.batch_size = 7;
            *enabled = false;
        })
        .await
        .unwrap();
    assert_eq!((paused.settings.batch_size, paused.enabled, paused.id == made.id), (7, false, true));
    let deliveries = Deliveries::new(database.clone());
    assert_eq!(deliveries.enabled().await.unwrap(), []);
    assert_eq!(database.delete_trigger(scope, "orders").await.unwrap(), paused);
    for gone in [database.trigger(scope, "orders").await, database.delete_trigger(scope, "orders").await] {
        assert_eq!(code(gone), ErrorCode::ResourceNotFoundException);
    }
}

#[tokio::test]
async fn what_can_not_be_delivered_is_refused() {
    let fixture = Fixture::new().await;
    let (database, scope) = (&fixture.database, &fixture.scope);
    fixture.table("T", Some(StreamView::NewImage)).await;
    fixture.table("Silent", None).await;
    plain_table(&fixture, "Numbered", &[("id", "N")]).await;
    let new = |change: fn(&mut NewTrigger)| {
        let mut new = new_trigger("T", StartingPosition::Latest);
        change(&mut new);
        database.create_trigger(scope, new)
    };
    for refused in [
        new(|new| new.source = "Silent".to_owned()).await,
        new(|new| new.name = String::new()).await,
        new(|new| new.name = "a b".to_owned()).await,
        new(|new| new.settings.url = String::new()).await,
        new(|new| new.settings.batch_size = 0).await,
        new(|new| new.settings.batch_size = 10_001).await,
        new(|new| new.settings.window_seconds = 301).await,
        new(|new| new.settings.max_retries = Some(10_001)).await,
        new(|new| new.settings.max_age_seconds = Some(0)).await,
        new(|new| new.settings.max_age_seconds = Some(86_401)).await,
        new(|new| new.settings.timeout_seconds = 0).await,
        new(|new| new.settings.dead_letter = Some("T".to_owned())).await,
        new(|new| new.settings.dead_letter = Some("Numbered".to_owned())).await,
    ] {
        assert_eq!(code(refused), ErrorCode::ValidationException);
    }
    for refused in [
        new(|new| new.source = "Nowhere".to_owned()).await,
        new(|new| {
            new.source = "arn:aws:dynamodb:eu-west-1:000000000000:table/T/stream/2020-01-01T00:00:00.000".to_owned()
        })
        .await,
        new(|new| new.settings.dead_letter = Some("Nowhere".to_owned())).await,
    ] {
        assert_eq!(code(refused), ErrorCode::ResourceNotFoundException);
    }
    assert_eq!(database.triggers(scope).await.unwrap(), []);
}

#[tokio::test]
async fn delivery_begins_where_the_trigger_says_and_goes_on_behind_the_checkpoint() {
    let fixture = Fixture::new().await;
    let (database, scope) = (&fixture.database, &fixture.scope);
    let table = fixture.table("T", Some(StreamView::NewImage)).await;
    fixture.put(&table, item("before", &[])).await;
    // Times have milliseconds.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let latest = database.create_trigger(scope, new_trigger("T", StartingPosition::Latest)).await.unwrap();
    let mut all = new_trigger("T", StartingPosition::TrimHorizon);
    all.name = "all".to_owned();
    let all = database.create_trigger(scope, all).await.unwrap();
    fixture.put(&table, item("after", &[])).await;
    let deliveries = Deliveries::new(database.clone());
    assert!(deliveries.take().await.unwrap());
    assert_eq!(keys(&deliveries, &latest).await, ["after"]);
    assert_eq!(keys(&deliveries, &all).await, ["before", "after"]);
    let behind =
        |status: TriggerStatus| (status.behind, status.more, status.oldest_ms.is_some(), status.tally.delivered);
    assert_eq!(behind(database.trigger_status(&all).await.unwrap()), (2, false, true, 0));

    let shard = deliveries.shards(&all).await.unwrap().remove(0);
    let (_, first) = next_records(&deliveries, &all, &shard).await.remove(0);
    let progress = Progress { after: Some(first), ..Progress::default() };
    let tally = Tally { delivered: 1, ..Tally::default() };
    assert!(deliveries.save(&all, &shard.id, &progress, tally).await.unwrap());
    assert_eq!(keys(&deliveries, &all).await, ["after"]);
    assert_eq!(behind(database.trigger_status(&all).await.unwrap()), (1, false, true, 1));
    assert_eq!(deliveries.shards(&all).await.unwrap()[0].progress, progress);
}

#[tokio::test]
async fn children_wait_until_their_parent_is_done() {
    let fixture = Fixture::new().await;
    let (database, scope) = (&fixture.database, &fixture.scope);
    let table = fixture.table("T", Some(StreamView::NewImage)).await;
    fixture.put(&table, item("a", &[])).await;
    let trigger = database.create_trigger(scope, new_trigger("T", StartingPosition::TrimHorizon)).await.unwrap();
    let arn = fixture.arns().await.remove(0);
    // A shard that has been open for hours is replaced.
    database.inner.clock.advance(Duration::from_secs(5 * 60 * 60));
    database.balance_streams(&mut Balance::default()).await.unwrap();
    let shards = fixture.describe(&arn).await.shards;
    assert_eq!(shards.len(), 2);
    let deliveries = Deliveries::new(database.clone());
    let due = |shards: Vec<TriggerShard>| shards.into_iter().map(|shard| shard.id).collect::<Vec<_>>();
    assert_eq!(due(deliveries.shards(&trigger).await.unwrap()), [shards[0].id.clone()]);
    assert!(deliveries.take().await.unwrap());
    let done = Progress { done: true, ..Progress::default() };
    deliveries.save(&trigger, &shards[0].id, &done, Tally::default()).await.unwrap();
    assert_eq!(due(deliveries.shards(&trigger).await.unwrap()), [shards[1].id.clone()]);
    // What is known of a shard that is no more goes.
    deliveries.save(&trigger, "shardId-gone", &done, Tally::default()).await.unwrap();
    deliveries.shards(&trigger).await.unwrap();
    let snapshot = database.snapshot(Freshness::Latest).await.unwrap();
    assert_eq!(delivery::progress_of(&snapshot, &trigger).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_deleted_trigger_leaves_nothing_behind() {
    let fixture = Fixture::new().await;
    let (database, scope) = (&fixture.database, &fixture.scope);
    fixture.table("T", Some(StreamView::NewImage)).await;
    let trigger = database.create_trigger(scope, new_trigger("T", StartingPosition::TrimHorizon)).await.unwrap();
    let deliveries = Deliveries::new(database.clone());
    assert!(deliveries.take().await.unwrap());
    let progress = Progress::default();
    let save = || deliveries.save(&trigger, "shard", &progress, Tally::default());
    assert!(save().await.unwrap());
    database.delete_trigger(scope, "orders").await.unwrap();
    assert!(!save().await.unwrap());
    // Nor does another of its name take its place.
    database.create_trigger(scope, new_trigger("T", StartingPosition::TrimHorizon)).await.unwrap();
    assert!(!save().await.unwrap());
    let snapshot = database.snapshot(Freshness::Latest).await.unwrap();
    assert!(delivery::progress_of(&snapshot, &trigger).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_node_that_lost_the_lease_keeps_no_checkpoint() {
    let fixture = Fixture::new().await;
    let (database, scope) = (&fixture.database, &fixture.scope);
    fixture.table("T", Some(StreamView::NewImage)).await;
    let trigger = database.create_trigger(scope, new_trigger("T", StartingPosition::TrimHorizon)).await.unwrap();
    let (old, new) = (Deliveries::new(database.clone()), Deliveries::new(database.clone()));
    assert!(old.take().await.unwrap());
    // An embedded store takes whoever wrote the lease for gone.
    assert!(new.take().await.unwrap());
    let refused = old.save(&trigger, "shard", &Progress::default(), Tally::default()).await;
    assert!(matches!(refused, Err(Error::Contention)), "{refused:?}");
    assert!(new.save(&trigger, "shard", &Progress::default(), Tally::default()).await.unwrap());
}

#[tokio::test]
async fn a_disabled_stream_is_delivered_to_its_end() {
    let fixture = Fixture::new().await;
    let (database, scope) = (&fixture.database, &fixture.scope);
    let table = fixture.table("T", Some(StreamView::NewImage)).await;
    let trigger = database.create_trigger(scope, new_trigger("T", StartingPosition::TrimHorizon)).await.unwrap();
    fixture.put(&table, item("a", &[])).await;
    let stream = StreamDefinition { enabled: false, view: None };
    let change = TableChange { stream: Some(stream), ..TableChange::default() };
    database.update_table(scope, "T", &change).await.unwrap();
    let deliveries = Deliveries::new(database.clone());
    assert_eq!(keys(&deliveries, &trigger).await, ["a"]);
    let status = database.trigger_status(&trigger).await.unwrap();
    assert_eq!((status.behind, status.stream_enabled), (1, Some(false)));
}

#[tokio::test]
async fn dead_letters_lie_in_order_of_the_stream_and_are_written_once() {
    let fixture = Fixture::new().await;
    let (database, scope) = (&fixture.database, &fixture.scope);
    fixture.table("T", Some(StreamView::NewImage)).await;
    plain_table(&fixture, "Ordered", &[("who", "S"), ("number", "S")]).await;
    plain_table(&fixture, "Flat", &[("id", "S")]).await;
    let trigger = database.create_trigger(scope, new_trigger("T", StartingPosition::TrimHorizon)).await.unwrap();
    let deliveries = Deliveries::new(database.clone());
    let letter = |at: usize, bytes: usize| DeadLetter {
        event_id: format!("{at:032x}"),
        sequence_number: format!("1{at:039}"),
        time_ms: 1,
        attempts: 3,
        batch: 60,
        why: GivenUp::RetryAttemptsExhausted,
        error: Some("answered 500".to_owned()),
        given_up_ms: 2,
        record: "x".repeat(bytes),
    };
    let letters: Vec<DeadLetter> = (0..60).map(|at| letter(at, 10)).chain([letter(60, 500_000)]).collect();
    for table in ["Ordered", "Flat", "Flat"] {
        deliveries.bury(&trigger, table, "shard", &letters).await.unwrap();
    }
    let table = database.describe_table(scope, "Flat").await.unwrap();
    assert_eq!(table.counts.table().items, 61);
    let key = |pairs: &[(&str, &str)]| {
        let mut key = AttributeMap::new();
        for (name, value) in pairs {
            key.insert(*name, AttributeValue::S((*value).to_owned()));
        }
        key
    };
    let (event, sequence) = (format!("{:032x}", 7), format!("1{:039}", 60));
    let flat = items(&fixture, "Flat", &[key(&[("id", &event)])]).await.remove(0).unwrap();
    assert_eq!(flat.get("Record"), Some(&AttributeValue::S("x".repeat(10))));
    assert_eq!(flat.get("Attempts"), Some(&number(3)));
    assert_eq!(flat.get("Condition"), Some(&AttributeValue::S("RetryAttemptsExhausted".to_owned())));
    let ordered =
        items(&fixture, "Ordered", &[key(&[("who", "orders"), ("number", &sequence)])]).await.remove(0).unwrap();
    assert_eq!((ordered.get("Record"), ordered.get("RecordOmitted")), (None, Some(&AttributeValue::Bool(true))));
    assert_eq!(
        code(deliveries.bury(&trigger, "Nowhere", "shard", &letters).await),
        ErrorCode::ResourceNotFoundException
    );
}
