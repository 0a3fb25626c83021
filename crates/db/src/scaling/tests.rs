//! Targets scaled by load and by schedule, on a database whose clock is moved on.

use std::sync::Arc;
use std::time::Duration;

use partita_engine::OpenOptions;
use partita_model::{AttributeMap, AttributeValue};

use super::*;
use crate::record::KeyElement;
use crate::settings::Settings;
use crate::tables::{ProvisionedUnits, TableDefinition};
use crate::{Database, Encryption, Mutation, ReturnValues, Scope, SingleWrite, Table};

struct Scene {
    database: Database,
    scope: Scope,
    table: Arc<Table>,
    scaling: Scaling,
    name: TargetName,
}

impl Scene {
    /// A table with ten units of either kind whose writes are a target from 5 to 100.
    async fn new() -> Self {
        let settings = Settings { test_clock: true, ..Settings::default() };
        let database = Database::open_with(&OpenOptions::memory(), settings, Encryption::Off).await.unwrap();
        let scope = Scope { account: "000000000000".into(), region: "eu-west-1".into() };
        let definition = TableDefinition {
            attributes: vec![("pk".to_owned(), "S".to_owned())],
            key: vec![KeyElement { name: "pk".to_owned(), partition: true }],
            throughput: Some(ProvisionedUnits { read: 10, write: 10 }),
            ..TableDefinition::default()
        };
        database.create_table(&scope, "T", &definition).await.unwrap();
        let table = database.table(&scope, "T").await.unwrap();
        let name = TargetName::new("table/T".to_owned(), Dimension::TableWrite).unwrap();
        let new = NewTarget { min: Some(5), max: Some(100), ..NewTarget::default() };
        database.register_target(&scope, &name, &new).await.unwrap();
        let mut scene = Self { database, scope, table, scaling: Scaling::new(), name };
        // Minutes begin with a whole one.
        let into_ms = scene.database.now_ms() % 60_000;
        scene.database.inner.clock.advance(Duration::from_millis(60_000 - into_ms + 1_000));
        scene.look().await;
        scene
    }

    async fn policy(&self, out_cooldown: Option<i32>) {
        let tracking = Tracking { target: 70.0, out_cooldown, in_cooldown: None, disable_scale_in: None };
        let change = PolicyChange { name: "p".to_owned(), tracking };
        self.database.put_scaling_policy(&self.scope, &self.name, &change).await.unwrap();
    }

    async fn look(&mut self) {
        self.scaling.look(&self.database).await.unwrap();
    }

    /// A minute in which so many units are written, and its end.
    async fn minute(&mut self, units: usize) {
        for _ in 0..units.div_ceil(100) {
            let mut item = AttributeMap::new();
            item.insert("pk", AttributeValue::S("a".to_owned()));
            item.insert("v", AttributeValue::S("x".repeat(units.min(100) * 1024 - 64)));
            let key = self.table.key_of_item(&self.database.key_secret(), &item).unwrap();
            let (mutation, returns) = (Mutation::Put(item), ReturnValues::None);
            let write = SingleWrite { key, mutation, condition: None, returns, item_on_failure: false };
            self.database.write(&self.table, write).await.unwrap();
        }
        self.advance(60).await;
    }

    async fn advance(&mut self, seconds: u64) {
        let _ = self.database.advance_clock(Duration::from_secs(seconds)).unwrap();
        // The first look may change the target, the second does what follows.
        self.look().await;
        self.look().await;
    }

    async fn units(&self) -> i64 {
        self.database.table(&self.scope, "T").await.unwrap().record.throughput.write
    }

    async fn activities(&self) -> Vec<Activity> {
        self.database.scaling_activities(&self.scope, &ActivityFilter::default()).await.unwrap()
    }
}

#[tokio::test]
async fn load_raises_and_lowers_units_within_the_bounds() {
    let mut scene = Scene::new().await;
    scene.policy(None).await;
    // 70 % of ten units is 420 in a minute.
    scene.minute(600).await;
    assert_eq!(scene.units().await, 10);
    scene.minute(600).await;
    // 600 in a minute is 10 a second, and 70 % of 15.
    assert_eq!(scene.units().await, 15);
    let activity = scene.activities().await.remove(0);
    assert_eq!(activity.description, "Setting write capacity units to 15.");
    assert_eq!(activity.status, ActivityStatus::Successful);
    assert!(activity.cause.contains("AlarmHigh") && activity.cause.ends_with("triggered policy p"), "{activity:?}");
    scene.minute(600).await;
    assert_eq!(scene.units().await, 15, "the target is kept");
    // A table that rests keeps its units.
    for _ in 0..16 {
        scene.minute(0).await;
    }
    assert_eq!(scene.units().await, 15);
    for minute in 0..15 {
        assert_eq!(scene.units().await, 15, "{minute}");
        scene.minute(100).await;
    }
    assert_eq!(scene.units().await, 5, "the least");
    assert_eq!(scene.activities().await.len(), 2);
    let record = &scene.database.table(&scene.scope, "T").await.unwrap().record;
    assert_eq!((record.throughput.read, record.throughput.decreases_today), (10, 1));
}

#[tokio::test]
async fn reads_and_writes_of_one_table_are_scaled_side_by_side() {
    let mut scene = Scene::new().await;
    let reads = TargetName::new("table/T".to_owned(), Dimension::TableRead).unwrap();
    let bounds = NewTarget { min: Some(30), max: Some(40), ..NewTarget::default() };
    scene.database.register_target(&scene.scope, &reads, &bounds).await.unwrap();
    scene.database.register_target(&scene.scope, &scene.name, &bounds).await.unwrap();
    scene.look().await;
    let throughput = scene.database.table(&scene.scope, "T").await.unwrap().record.throughput;
    assert_eq!((throughput.read, throughput.write), (30, 30));
}

#[tokio::test]
async fn the_targets_of_a_deleted_table_go_with_it() {
    let mut scene = Scene::new().await;
    scene.minute(100).await;
    scene.database.delete_table(&scene.scope, "T").await.unwrap();
    scene.look().await;
    assert!(scene.database.scalable_targets(&scene.scope).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_cool_down_holds_up_the_next_raise() {
    let mut scene = Scene::new().await;
    scene.policy(Some(150)).await;
    scene.minute(600).await;
    scene.minute(600).await;
    assert_eq!(scene.units().await, 15);
    scene.minute(1200).await;
    scene.minute(1200).await;
    assert_eq!(scene.units().await, 15);
    scene.minute(1200).await;
    assert_eq!(scene.units().await, 29);
}

#[tokio::test]
async fn what_was_told_outlives_the_task() {
    let mut scene = Scene::new().await;
    scene.policy(None).await;
    scene.minute(600).await;
    scene.scaling = Scaling::new();
    scene.look().await;
    scene.minute(600).await;
    assert_eq!(scene.units().await, 15);
}

#[tokio::test]
async fn bounds_hold_at_once_and_schedules_move_them() {
    let mut scene = Scene::new().await;
    let bounds = NewTarget { min: Some(20), ..NewTarget::default() };
    scene.database.register_target(&scene.scope, &scene.name, &bounds).await.unwrap();
    scene.look().await;
    assert_eq!(scene.units().await, 20);
    assert_eq!(scene.activities().await[0].cause, "minimum capacity was set to 20");

    let night = NewAction {
        name: "night".to_owned(),
        schedule: Some("rate(1 hour)".to_owned()),
        bounds: Some((None, Some(8))),
        ..NewAction::default()
    };
    scene.database.put_scheduled_action(&scene.scope, &scene.name, &night).await.unwrap();
    scene.advance(3_599).await;
    assert_eq!(scene.units().await, 20);
    scene.advance(2).await;
    assert_eq!(scene.units().await, 8);
    let target = scene.database.scalable_target(&scene.scope, &scene.name).await.unwrap().unwrap();
    assert_eq!((target.min, target.max), (8, 8));
    let activities = scene.activities().await;
    assert!(activities.iter().any(|done| done.description == "Setting max capacity to 8"
        && done.cause == "scheduled action name night was triggered"));

    let suspended =
        NewTarget { min: Some(10), max: Some(50), suspended: [None, None, Some(true)], ..NewTarget::default() };
    scene.database.register_target(&scene.scope, &scene.name, &suspended).await.unwrap();
    scene.advance(3_600).await;
    assert_eq!(scene.units().await, 10);
}

#[tokio::test]
async fn requests_that_break_rules_are_refused() {
    let scene = Scene::new().await;
    let told = |fault: Fault| match fault {
        Fault::Refused(code, message) => format!("{code}: {message}"),
        Fault::Failed(error) => panic!("{error}"),
    };
    let database = &scene.database;
    for (resource, dimension) in [
        ("T", Dimension::TableRead),
        ("table/", Dimension::TableRead),
        ("table/T", Dimension::IndexRead),
        ("table/T/index/i", Dimension::TableRead),
        ("table/T/index/", Dimension::IndexRead),
        ("table/T/index/i/x", Dimension::IndexRead),
    ] {
        assert!(TargetName::new(resource.to_owned(), dimension).is_err(), "{resource}");
    }
    let other = TargetName::new("table/U".to_owned(), Dimension::TableRead).unwrap();
    let bounds = NewTarget { min: Some(1), max: Some(2), ..NewTarget::default() };
    let missing = database.register_target(&scene.scope, &other, &bounds).await.unwrap_err();
    assert_eq!(told(missing), "ValidationException: DynamoDB table does not exist: table/U");
    let upside_down = NewTarget { min: Some(3), max: Some(2), ..NewTarget::default() };
    assert!(database.register_target(&scene.scope, &scene.name, &upside_down).await.is_err());
    let tracking = Tracking { target: 70.0, out_cooldown: None, in_cooldown: None, disable_scale_in: None };
    let policy = |name: &str, target| PolicyChange { name: name.to_owned(), tracking: Tracking { target, ..tracking } };
    let unknown = database.put_scaling_policy(&scene.scope, &other, &policy("p", 70.0)).await.unwrap_err();
    assert!(told(unknown).starts_with("ObjectNotFoundException: No scalable target registered"));
    for target in [19.9, 90.1, f64::NAN] {
        assert!(database.put_scaling_policy(&scene.scope, &scene.name, &policy("p", target)).await.is_err());
    }
    database.put_scaling_policy(&scene.scope, &scene.name, &policy("p", 70.0)).await.unwrap();
    assert!(database.put_scaling_policy(&scene.scope, &scene.name, &policy("q", 70.0)).await.is_err());
    let gone = database.delete_scaling_policy(&scene.scope, &scene.name, "q").await.unwrap_err();
    assert!(told(gone).starts_with("ObjectNotFoundException: No scaling policy found"));
    let action = NewAction { name: "a".to_owned(), schedule: Some("never".to_owned()), ..NewAction::default() };
    assert!(database.put_scheduled_action(&scene.scope, &scene.name, &action).await.is_err());
    database.deregister_target(&scene.scope, &scene.name).await.unwrap();
    assert!(database.deregister_target(&scene.scope, &scene.name).await.is_err());
}
