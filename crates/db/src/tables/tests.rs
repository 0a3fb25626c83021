//! Tables made, changed and deleted on a database in memory.

use std::time::Duration;

use partita_engine::{Direction, Freshness, KeyRange, OpenOptions, ScanLimit};
use partita_model::{AttributeMap, AttributeValue, ErrorCode, StoredItem};

use super::*;
use crate::jobs::JobOptions;
use crate::keyspace;
use crate::record::{
    BillingMode, IndexStatus, KeyElement, OnDemandThroughput, StreamView, TableClass, TableRecord, TableStatus,
    WarmThroughput,
};
use crate::table::unseal;
use crate::{Database, Mutation, ReturnValues, SingleWrite};

async fn database() -> Database {
    Database::open(&OpenOptions::memory()).await.unwrap()
}

fn scope() -> Scope {
    Scope { account: "000000000000".into(), region: "us-east-1".into() }
}

fn key(text: &str) -> Vec<KeyElement> {
    let element = |(at, name): (usize, &str)| KeyElement { name: name.to_owned(), partition: at == 0 };
    text.split(' ').enumerate().map(element).collect()
}

fn attributes(text: &str) -> Vec<(String, String)> {
    text.split(' ').map(|name| (name.to_owned(), "S".to_owned())).collect()
}

fn all() -> ProjectionDefinition {
    ProjectionDefinition { kind: Some(ProjectionKind::All), attributes: None }
}

fn index(name: &str, of: &str) -> IndexDefinition {
    IndexDefinition { name: name.to_owned(), key: key(of), projection: all(), ..IndexDefinition::default() }
}

fn on_demand(defined: &str, of: &str) -> TableDefinition {
    TableDefinition {
        attributes: attributes(defined),
        key: key(of),
        billing: Some(BillingMode::OnDemand),
        ..TableDefinition::default()
    }
}

fn units(read: i64, write: i64) -> ProvisionedUnits {
    ProvisionedUnits { read, write }
}

fn provisioned(defined: &str, of: &str) -> TableDefinition {
    TableDefinition { billing: None, throughput: Some(units(5, 5)), ..on_demand(defined, of) }
}

fn message<T>(result: crate::Result<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(Error::Refused(refusal)) => format!("{}: {}", refusal.code.name(), refusal.message),
        Err(other) => other.to_string(),
    }
}

fn checked(definition: &TableDefinition) -> String {
    definition.check("us-east-1").map_or_else(|refusal| refusal.message.into_owned(), |()| "ok".to_owned())
}

async fn put(database: &Database, table: &str, pairs: &[(&str, &str)]) {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), AttributeValue::S((*value).to_owned())));
    let item = AttributeMap::from_pairs(pairs.collect()).unwrap();
    let table = database.table(&scope(), table).await.unwrap();
    let write = SingleWrite {
        key: table.key_of_item(&database.key_secret(), &item).unwrap(),
        mutation: Mutation::Put(item),
        condition: None,
        returns: ReturnValues::None,
        item_on_failure: false,
    };
    database.write(&table, write).await.unwrap();
}

fn index_named<'a>(record: &'a TableRecord, name: &str) -> &'a crate::IndexRecord {
    record.global_indexes.iter().find(|index| index.name == name).unwrap()
}

#[test]
fn definitions_are_refused_in_the_services_words() {
    const INVALID: &str = "One or more parameter values were invalid: ";
    let with_local =
        |indexes: Vec<IndexDefinition>| TableDefinition { local_indexes: Some(indexes), ..provisioned("a b", "a b") };
    let with_global =
        |indexes: Vec<IndexDefinition>| TableDefinition { global_indexes: Some(indexes), ..on_demand("a b", "a b") };
    let wrong_second = IndexDefinition {
        key: vec![
            KeyElement { name: "a".to_owned(), partition: true },
            KeyElement { name: "b".to_owned(), partition: true },
        ],
        ..index("abc", "a b")
    };
    let no_projection = IndexDefinition { projection: ProjectionDefinition::default(), ..index("abc", "a b") };
    let with_units = |name: &str| IndexDefinition { throughput: Some(units(1, 1)), ..index(name, "a b") };
    let many = |count: usize| (0..count).map(|n| index(&format!("index-{n}"), "a b")).collect::<Vec<_>>();
    for (definition, expected) in [
        (
            TableDefinition { throughput: None, ..provisioned("a", "a") },
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        ),
        (
            TableDefinition { throughput: Some(units(1, 1)), ..on_demand("a", "a") },
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        ),
        (
            provisioned("a b", "a"),
            "Number of attributes in KeySchema does not exactly match number of attributes defined in \
             AttributeDefinitions",
        ),
        (with_local(vec![]), "List of LocalSecondaryIndexes is empty"),
        (with_global(vec![]), "List of GlobalSecondaryIndexes is empty"),
        (
            TableDefinition { local_indexes: Some(vec![index("abc", "a b")]), ..provisioned("a b", "a") },
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
        ),
        (
            with_local(vec![index("abc", "a c")]),
            "Some index key attributes are not defined in AttributeDefinitions. Keys: [a, c], AttributeDefinitions: \
             [a, b]",
        ),
        (with_local(vec![index("abc", "a")]), "Index KeySchema does not have a range key for index: abc"),
        (
            with_local(vec![index("abc", "b a")]),
            "Index KeySchema does not have the same leading hash key as table KeySchema for index: abc. index hash key: \
             b, table hash key: a",
        ),
        (with_local(vec![no_projection.clone()]), "Unknown ProjectionType: null"),
        (with_local(vec![index("abc", "a b"), index("abc", "a b")]), "Duplicate index name: abc"),
        (with_local(many(6)), "Number of LocalSecondaryIndexes exceeds per-table limit of 5"),
        (with_global(vec![no_projection]), "Unknown ProjectionType: null"),
        (with_global(vec![index("abc", "a b"), index("abc", "b")]), "Duplicate index name: abc"),
        (with_global(many(21)), "GlobalSecondaryIndex count exceeds the per-table limit of 20"),
        (
            with_global(vec![index("abc", "a b"), with_units("abd")]),
            "ProvisionedThroughput should not be specified for index: abd when BillingMode is PAY_PER_REQUEST",
        ),
        (
            TableDefinition { global_indexes: Some(vec![index("abc", "b")]), ..provisioned("a b", "a b") },
            "ProvisionedThroughput is not specified for index: abc",
        ),
        (
            TableDefinition {
                global_indexes: Some(vec![with_units("abc")]),
                local_indexes: Some(vec![index("abc", "a b")]),
                ..provisioned("a b", "a b")
            },
            "Duplicate index name: abc",
        ),
        (
            TableDefinition {
                encryption: Some(EncryptionDefinition { enabled: Some(false), kind: Some("KMS".into()), key_id: None }),
                ..on_demand("a", "a")
            },
            "SSEType can not be specified if Enabled is false",
        ),
        (
            TableDefinition { stream: Some(StreamDefinition { enabled: true, view: None }), ..on_demand("a", "a") },
            "Table is being created with a stream enabled, UpdateViewType is required",
        ),
    ] {
        assert_eq!(checked(&definition).strip_prefix(INVALID).unwrap_or("(no prefix)"), expected);
    }
    assert_eq!(
        checked(&with_local(vec![wrong_second])),
        "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"
    );
    assert_eq!(checked(&with_local(many(5))), "ok");
    assert_eq!(checked(&with_global(many(20))), "ok");
    assert_eq!(checked(&with_global(vec![index("same-as-the-table", "a b")])), "ok");
}

#[tokio::test]
async fn a_table_is_active_at_once_and_gone_at_once() {
    let database = database().await;
    let created = database.create_table(&scope(), "Users", &on_demand("id", "id")).await.unwrap().record;
    assert_eq!((created.status, created.warm, created.on_demand_since_ms), (TableStatus::Creating, None, None));
    let record = database.describe_table(&scope(), "Users").await.unwrap().record;
    assert_eq!(record.status, TableStatus::Active);
    assert_eq!(record.uuid, created.uuid);
    assert_eq!(record.warm, Some(WarmThroughput { read: Some(12_000), write: Some(4_000) }));
    assert_eq!(record.on_demand_since_ms, Some(record.created_ms));
    assert_eq!(
        message(database.create_table(&scope(), "Users", &on_demand("id", "id")).await),
        "ResourceInUseException: Table already exists: Users"
    );
    let deleted = database.delete_table(&scope(), "Users").await.unwrap().record;
    assert_eq!(deleted.status, TableStatus::Deleting);
    let gone = "ResourceNotFoundException: Requested resource not found: Table: Users not found";
    assert_eq!(message(database.describe_table(&scope(), "Users").await), gone);
    assert_eq!(message(database.delete_table(&scope(), "Users").await), gone);
    let change = TableChange { deletion_protection: Some(true), ..TableChange::default() };
    assert_eq!(message(database.update_table(&scope(), "Users", &change).await), gone);
}

#[tokio::test]
async fn tables_are_named_by_arn_too_and_apart_by_region() {
    let database = database().await;
    let arn = scope().table_arn("Users");
    database.create_table(&scope(), &arn, &on_demand("id", "id")).await.unwrap();
    assert_eq!(database.describe_table(&scope(), "Users").await.unwrap().record.name, "Users");
    assert_eq!(database.describe_table(&scope(), &arn).await.unwrap().record.arn(), arn);
    let elsewhere = Scope { region: "eu-west-1".into(), ..scope() };
    assert!(database.describe_table(&elsewhere, "Users").await.is_err());
    assert_eq!(
        message(database.delete_table(&scope(), &scope().table_arn("None")).await),
        "ResourceNotFoundException: Requested resource not found: Table: None not found"
    );
    database.delete_table(&elsewhere, &arn).await.unwrap();
}

#[tokio::test]
async fn a_new_table_of_the_same_name_is_empty() {
    let database = database().await;
    for _ in 0..2 {
        database.create_table(&scope(), "Users", &on_demand("id", "id")).await.unwrap();
        assert_eq!(database.describe_table(&scope(), "Users").await.unwrap().counts.table(), Count::default());
        put(&database, "Users", &[("id", "1"), ("name", "Ann")]).await;
        let count = database.describe_table(&scope(), "Users").await.unwrap().counts.table();
        assert_eq!(count, Count { items: 1, bytes: 10 });
        database.delete_table(&scope(), "Users").await.unwrap();
    }
}

#[tokio::test]
async fn names_are_listed_in_order_page_by_page() {
    let database = database().await;
    for name in ["list_lower", "ListB", "List.dot", "ListA", "List-dash"] {
        database.create_table(&scope(), name, &on_demand("id", "id")).await.unwrap();
    }
    let list = async |after: Option<&str>, limit| {
        let listed = database.table_names(&scope(), after, limit).await.unwrap();
        (listed.names.join(" "), listed.more)
    };
    assert_eq!(list(None, 100).await, ("List-dash List.dot ListA ListB list_lower".to_owned(), false));
    assert!(!list(None, 5).await.1);
    assert_eq!(list(None, 2).await, ("List-dash List.dot".to_owned(), true));
    assert_eq!(list(Some("List.dot"), 2).await, ("ListA ListB".to_owned(), true));
    assert_eq!(list(Some("ListAA"), 2).await, ("ListB list_lower".to_owned(), false));
    assert_eq!(list(Some("zzz"), 2).await, (String::new(), false));
}

#[tokio::test]
async fn protected_tables_are_not_deleted() {
    let database = database().await;
    let definition = TableDefinition { deletion_protection: true, ..on_demand("id", "id") };
    database.create_table(&scope(), "Users", &definition).await.unwrap();
    assert_eq!(
        message(database.delete_table(&scope(), "Users").await),
        "ValidationException: Resource cannot be deleted as it is currently protected against deletion. Disable deletion \
         protection first."
    );
    let change = TableChange { deletion_protection: Some(false), ..TableChange::default() };
    let answer = database.update_table(&scope(), "Users", &change).await.unwrap().record;
    assert_eq!((answer.status, answer.deletion_protection), (TableStatus::Active, false));
    database.delete_table(&scope(), "Users").await.unwrap();
}

#[test]
fn updates_ask_for_one_change_at_a_time() {
    const INVALID: &str = "ValidationException: One or more parameter values were invalid: ";
    let nothing = TableChange::default();
    assert!(
        message(nothing.check())
            .starts_with("ValidationException: At least one of ProvisionedThroughput, BillingMode,")
    );
    let empty = TableChange { warm: Some(WarmThroughput::default()), indexes: Some(vec![]), ..nothing.clone() };
    assert_eq!(message(empty.check()), message(nothing.check()), "empty members count for nothing");

    let protection = TableChange { deletion_protection: Some(true), ..nothing.clone() };
    let class = TableChange { class: Some(TableClass::Standard), ..nothing.clone() };
    let warm = TableChange { warm: Some(WarmThroughput { read: Some(1), write: None }), ..nothing.clone() };
    let maximum = OnDemandThroughput { max_read: Some(1), max_write: None };
    let maximums = TableChange { on_demand: Some(maximum), ..nothing.clone() };
    let stream = Some(StreamDefinition { enabled: false, view: None });
    let stream_off = TableChange { stream, ..nothing.clone() };
    let throughput = TableChange { throughput: Some(units(1, 1)), ..nothing.clone() };
    let deletes = |names: &[&str]| {
        let delete = |name: &&str| IndexChange { delete: Some((*name).to_owned()), ..IndexChange::default() };
        Some(names.iter().map(delete).collect::<Vec<_>>())
    };
    for (change, expected) in [
        (
            TableChange { class: class.class, ..protection.clone() },
            "TableClass modification must be the only operation in the request",
        ),
        (
            TableChange { stream, ..protection.clone() },
            "DeletionProtection modification must be the only operation in the request",
        ),
        (
            TableChange { encryption: Some(EncryptionDefinition::default()), ..protection.clone() },
            "Server-Side Encryption modification must be the only operation in the request",
        ),
        (
            TableChange { on_demand: Some(maximum), ..warm.clone() },
            "WarmThroughput must be the only operation in the request",
        ),
        (
            TableChange { stream, ..maximums.clone() },
            "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request",
        ),
        (TableChange { stream, ..throughput.clone() }, "You cannot modify stream status while updating table IOPS"),
        (
            TableChange { indexes: deletes(&["abc"]), ..throughput.clone() },
            "You cannot create or delete index while updating table IOPS",
        ),
        (
            TableChange { indexes: deletes(&["abc"]), ..stream_off.clone() },
            "You cannot create or delete index while changing stream status",
        ),
        (TableChange { indexes: Some(vec![]), ..protection.clone() }, "List of GlobalSecondaryIndexUpdates is empty"),
        (
            TableChange { indexes: Some(vec![IndexChange::default()]), ..nothing.clone() },
            "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, \
             GlobalSecondaryIndexUpdate.Delete must not be null",
        ),
        (
            TableChange { indexes: deletes(&["abc", "abc"]), ..nothing.clone() },
            "Only one global secondary index update per index is allowed simultaneously. Index: abc",
        ),
        (
            TableChange { billing: Some(BillingMode::Provisioned), ..nothing.clone() },
            "ProvisionedThroughput must be specified when BillingMode is PROVISIONED",
        ),
        (
            TableChange { billing: Some(BillingMode::OnDemand), ..throughput.clone() },
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        ),
    ] {
        assert_eq!(message(change.check()).strip_prefix(INVALID).unwrap_or("(no prefix)"), expected);
    }
    let on_demand_mode = Some(BillingMode::OnDemand);
    assert_eq!(message(TableChange { billing: on_demand_mode, ..maximums }.check()), "ok");
    assert_eq!(message(TableChange { billing: on_demand_mode, ..stream_off }.check()), "ok");
}

#[tokio::test]
async fn throughput_changes_show_the_old_units_while_under_way() {
    let database = database().await;
    database.create_table(&scope(), "Users", &provisioned("id", "id")).await.unwrap();
    let change = TableChange { throughput: Some(units(7, 4)), ..TableChange::default() };
    let answer = database.update_table(&scope(), "Users", &change).await.unwrap().record;
    assert_eq!((answer.status, answer.throughput.read, answer.throughput.write), (TableStatus::Updating, 5, 5));
    let record = database.describe_table(&scope(), "Users").await.unwrap().record;
    assert_eq!((record.status, record.throughput.read, record.throughput.write), (TableStatus::Active, 7, 4));
    assert_eq!(record.warm, Some(WarmThroughput { read: Some(7), write: Some(5) }), "the highest ever");
    assert!(
        message(database.update_table(&scope(), "Users", &change).await)
            .starts_with("ValidationException: The provisioned throughput for the table will not change.")
    );
}

#[tokio::test]
async fn the_billing_mode_switches_with_all_indexes() {
    let database = database().await;
    let by_name = IndexDefinition { throughput: Some(units(2, 2)), ..index("by-name", "name") };
    let definition = TableDefinition { global_indexes: Some(vec![by_name]), ..provisioned("id name", "id") };
    database.create_table(&scope(), "Users", &definition).await.unwrap();
    let described = async || database.describe_table(&scope(), "Users").await.unwrap().record;
    assert_eq!(described().await.on_demand_since_ms, None);

    let change = TableChange { billing: Some(BillingMode::OnDemand), ..TableChange::default() };
    database.update_table(&scope(), "Users", &change).await.unwrap();
    let record = described().await;
    assert_eq!((record.billing, record.throughput.read), (BillingMode::OnDemand, 0));
    assert!(record.on_demand_since_ms.is_some());
    assert_eq!(index_named(&record, "by-name").throughput.read, 0);
    assert_eq!(message(database.update_table(&scope(), "Users", &change).await), "ok", "the same again is no error");

    let change = TableChange { throughput: Some(units(3, 3)), ..TableChange::default() };
    assert!(message(database.update_table(&scope(), "Users", &change).await).contains("Neither ReadCapacityUnits nor"));
    let mut change = TableChange { billing: Some(BillingMode::Provisioned), ..change };
    assert_eq!(
        message(database.update_table(&scope(), "Users", &change).await),
        "ValidationException: One or more parameter values were invalid: ProvisionedThroughput must be specified for \
         index: by-name"
    );
    let update = IndexUpdate { name: "by-name".to_owned(), throughput: Some(units(4, 4)), ..IndexUpdate::default() };
    change.indexes = Some(vec![IndexChange { update: Some(update), ..IndexChange::default() }]);
    database.update_table(&scope(), "Users", &change).await.unwrap();
    let record = described().await;
    assert_eq!((record.billing, record.throughput.read), (BillingMode::Provisioned, 3));
    assert_eq!(index_named(&record, "by-name").throughput.read, 4);
    assert!(record.on_demand_since_ms.is_some(), "it is remembered");
}

#[tokio::test]
async fn streams_classes_maximums_and_encryption_are_kept() {
    let database = database().await;
    database.create_table(&scope(), "Users", &on_demand("id", "id")).await.unwrap();
    let update = async |change: TableChange| database.update_table(&scope(), "Users", &change).await;
    let described = async || database.describe_table(&scope(), "Users").await.unwrap().record;
    let nothing = TableChange::default();

    let on = Some(StreamDefinition { enabled: true, view: Some(StreamView::KeysOnly) });
    let stream = update(TableChange { stream: on, ..nothing.clone() }).await.unwrap().record.stream.unwrap();
    assert!(stream.enabled);
    assert_eq!(
        message(update(TableChange { stream: on, ..nothing.clone() }).await),
        "ValidationException: Table already has an enabled stream: TableName: Users"
    );
    let off = Some(StreamDefinition { enabled: false, view: None });
    update(TableChange { stream: off, ..nothing.clone() }).await.unwrap();
    let ended = described().await.stream.unwrap();
    assert_eq!((ended.enabled, ended.label), (false, stream.label));

    let maximums = |max_read, max_write| Some(OnDemandThroughput { max_read, max_write });
    let answer = update(TableChange { on_demand: maximums(Some(100), Some(50)), ..nothing.clone() }).await.unwrap();
    assert_eq!((answer.record.status, answer.record.on_demand), (TableStatus::Active, maximums(Some(100), Some(50))));
    let answer = update(TableChange { on_demand: maximums(Some(-1), None), ..nothing.clone() }).await.unwrap();
    assert_eq!(answer.record.on_demand, maximums(Some(-1), Some(50)));
    assert_eq!(described().await.on_demand, maximums(None, Some(50)));

    let class = Some(TableClass::StandardInfrequentAccess);
    assert_eq!(update(TableChange { class, ..nothing.clone() }).await.unwrap().record.class, None, "not yet");
    let record = described().await;
    assert_eq!((record.class, record.class_changed_ms.is_some()), (class, true));

    let encryption = |enabled| Some(EncryptionDefinition { enabled: Some(enabled), ..EncryptionDefinition::default() });
    update(TableChange { encryption: encryption(true), ..nothing.clone() }).await.unwrap();
    assert!(described().await.sse_enabled);
    update(TableChange { encryption: encryption(false), ..nothing.clone() }).await.unwrap();
    assert_eq!(
        message(update(TableChange { encryption: encryption(false), ..nothing }).await),
        "ValidationException: One or more parameter values were invalid: Table is already encrypted by default"
    );
}

#[tokio::test]
async fn indexes_are_deleted_with_what_only_they_used() {
    let database = database().await;
    let definition = TableDefinition {
        local_indexes: Some(vec![index("by-age", "id age")]),
        global_indexes: Some(vec![index("by-name", "name"), index("by-town", "town")]),
        ..on_demand("age at id name town", "id at")
    };
    database.create_table(&scope(), "Users", &definition).await.unwrap();
    put(&database, "Users", &[("id", "1"), ("at", "1"), ("name", "Ann"), ("town", "Ulm")]).await;
    let delete = |name: &str| {
        let change = IndexChange { delete: Some(name.to_owned()), ..IndexChange::default() };
        TableChange { indexes: Some(vec![change]), ..TableChange::default() }
    };
    let answer = database.update_table(&scope(), "Users", &delete("by-name")).await.unwrap().record;
    assert_eq!(answer.status, TableStatus::Updating);
    assert_eq!(index_named(&answer, "by-name").status, IndexStatus::Deleting);
    let described = database.describe_table(&scope(), "Users").await.unwrap();
    let names: Vec<&str> = described.record.global_indexes.iter().map(|index| index.name.as_str()).collect();
    assert_eq!(names, ["by-town"]);
    let defined: Vec<&str> = described.record.attributes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(defined, ["age", "at", "id", "town"]);
    assert_eq!(described.counts.index(index_named(&described.record, "by-town").id).items, 1);

    for (name, expected) in [
        ("by-name", "ResourceNotFoundException: Requested resource not found: Index by-name for table Users"),
        ("by-age", "ValidationException: Cannot delete an index that is not a GlobalSecondaryIndex: by-age"),
    ] {
        assert_eq!(message(database.update_table(&scope(), "Users", &delete(name)).await), expected);
    }
    let mut two = delete("by-town");
    two.indexes.as_mut().unwrap().extend(delete("by-age").indexes.unwrap());
    assert_eq!(
        message(database.update_table(&scope(), "Users", &two).await),
        "LimitExceededException: Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously \
         per table"
    );
}

fn create(definition: IndexDefinition, defined: Option<&str>) -> TableChange {
    let change = IndexChange { create: Some(definition), ..IndexChange::default() };
    TableChange { attributes: defined.map(attributes), indexes: Some(vec![change]), ..TableChange::default() }
}

/// The values under a prefix.
async fn values_under(database: &Database, prefix: Vec<u8>) -> Vec<StoredItem> {
    let snapshot = database.snapshot(Freshness::Latest).await.unwrap();
    let limit = ScanLimit { rows: usize::MAX, bytes: usize::MAX };
    let page = snapshot.scan(&KeyRange::prefix(prefix), Direction::Forward, limit).await.unwrap();
    page.rows.iter().map(|(_, value)| unseal(value).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_added_index_is_filled_while_the_table_is_written() {
    let database = database().await;
    database.create_table(&scope(), "Users", &on_demand("id", "id")).await.unwrap();
    let write = async |database: &Database, n: usize, name: usize| {
        let (id, name) = (n.to_string(), format!("name {name}"));
        let pairs = [("id", id.as_str()), ("name", name.as_str())];
        // A tenth has no entry.
        put(database, "Users", if name.ends_with('0') { &pairs[..1] } else { &pairs }).await;
    };
    for n in 0..3000 {
        write(&database, n, n).await;
    }
    let writers: Vec<_> = (0..3)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move {
                for _ in 0..1000 {
                    write(&database, fastrand::usize(..3500), fastrand::usize(..100)).await;
                }
            })
        })
        .collect();
    database.start_background(JobOptions::default());
    let change = create(index("by-name", "name"), Some("name"));
    let answer = database.update_table(&scope(), "Users", &change).await.unwrap().record;
    let created = index_named(&answer, "by-name");
    assert_eq!(
        (answer.status, created.status, created.backfilling),
        (TableStatus::Updating, IndexStatus::Creating, false)
    );
    for writer in writers {
        writer.await.unwrap();
    }
    let described = loop {
        let described = database.describe_table(&scope(), "Users").await.unwrap();
        if index_named(&described.record, "by-name").status == IndexStatus::Active {
            break described;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let (table, index) = (described.record.id, index_named(&described.record, "by-name"));
    assert!(!index.backfilling);
    let named = |items: Vec<StoredItem>| {
        let mut named: Vec<_> = items.into_iter().filter(|item| item.get("name").is_some()).collect();
        named.sort_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
        named
    };
    let items = named(values_under(&database, keyspace::table_prefix(keyspace::SPACE_ITEM, table)).await);
    let entries = values_under(&database, keyspace::index_prefix(keyspace::SPACE_GLOBAL_INDEX, table, index.id)).await;
    assert_eq!(named(entries), items);
    let bytes = items.iter().map(|item| i64::try_from(item.size()).unwrap()).sum();
    let expected = Count { items: i64::try_from(items.len()).unwrap(), bytes };
    assert_eq!(described.counts.index(index.id), expected);
}

#[tokio::test]
async fn added_indexes_obey_the_rules() {
    let database = database().await;
    let definition =
        TableDefinition { global_indexes: Some(vec![index("by-name", "name")]), ..on_demand("id name", "id") };
    database.create_table(&scope(), "Users", &definition).await.unwrap();
    let with_units = IndexDefinition { throughput: Some(units(1, 1)), ..index("by-town", "town") };
    for (change, expected) in [
        (
            create(index("by-name", "town"), Some("town")),
            "ValidationException: Attempting to create an index which already exists",
        ),
        (
            create(index("by-town", "town"), None),
            "ValidationException: One or more parameter values were invalid: AttributeDefinitions is not specified for \
             index: by-town",
        ),
        (
            create(index("by-town", "town"), Some("city")),
            "ValidationException: One or more parameter values were invalid: Some index key attributes are not defined in \
             AttributeDefinitions. Keys: [town], AttributeDefinitions: [name, id]",
        ),
        (
            create(with_units, Some("town")),
            "ValidationException: One or more parameter values were invalid: Neither ReadCapacityUnits nor \
             WriteCapacityUnits can be specified for index: by-town when BillingMode is PAY_PER_REQUEST",
        ),
    ] {
        assert_eq!(message(database.update_table(&scope(), "Users", &change).await), expected);
    }
    let mut unused = create(index("by-town", "town"), Some("town unused"));
    unused.attributes.as_mut().unwrap().push(("id".to_owned(), "N".to_owned()));
    database.update_table(&scope(), "Users", &unused).await.unwrap();
    let record = database.describe_table(&scope(), "Users").await.unwrap().record;
    assert_eq!(record.attributes, attributes("id name town"));
}

#[tokio::test]
async fn tags_are_merged_and_limited() {
    let database = database().await;
    let arn = scope().table_arn("Users");
    let tag = |key: &str, value: &str| TagDefinition { key: Some(key.to_owned()), value: Some(value.to_owned()) };
    let definition = TableDefinition { tags: vec![tag("a", "1"), tag("b", "")], ..on_demand("id", "id") };
    database.create_table(&scope(), "Users", &definition).await.unwrap();
    database.tag(&scope(), &arn, &[tag("a", "2"), tag("c", "3")]).await.unwrap();
    database.untag(&scope(), &arn, &["b".to_owned(), "none".to_owned()]).await.unwrap();
    let tags = database.tags(&scope(), &arn).await.unwrap();
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), [("a".into(), "2".into()), ("c".into(), "3".into())]);

    let many: Vec<_> = (0..49).map(|n| tag(&n.to_string(), "")).collect();
    assert_eq!(
        message(database.tag(&scope(), &arn, &many).await),
        "ValidationException: Number of Tags exceed the current limit for the provided ResourceArn"
    );
    assert_eq!(message(database.tag(&scope(), &arn, &many[..48]).await), "ok");
    assert_eq!(
        message(database.tag(&scope(), &arn, &[]).await),
        "ValidationException: Atleast one Tag needs to be provided as Input."
    );
    let none = scope().table_arn("None");
    assert_eq!(
        message(database.tags(&scope(), &none).await),
        format!("ResourceNotFoundException: Requested resource not found: ResourcArn: {none} not found")
    );
}

#[tokio::test]
async fn time_to_live_is_kept() {
    let database = database().await;
    database.create_table(&scope(), "Users", &on_demand("id", "id")).await.unwrap();
    database.update_time_to_live(&scope(), "Users", "expires", true).await.unwrap();
    let record = database.describe_table(&scope(), "Users").await.unwrap().record;
    assert!(
        record.time_to_live.is_some_and(|time_to_live| time_to_live.enabled && time_to_live.attribute == "expires")
    );
    let again = database.update_time_to_live(&scope(), "Users", "expires", true).await;
    assert!(matches!(again, Err(Error::Refused(refusal)) if refusal.code == ErrorCode::ValidationException));
    assert_eq!(
        message(database.update_time_to_live(&scope(), "None", "expires", true).await),
        "ResourceNotFoundException: Requested resource not found: Table: None not found"
    );
}

#[tokio::test]
async fn an_unfilled_index_is_filled_after_a_restart() {
    let database = database().await;
    let definition =
        TableDefinition { global_indexes: Some(vec![index("by-name", "name")]), ..on_demand("id name", "id") };
    database.create_table(&scope(), "Users", &definition).await.unwrap();
    // As an addition leaves the record when the process ends before the filling does.
    let key = crate::catalog::catalog_key_of(&scope(), "Users");
    let unfilled = |record: Option<TableRecord>| {
        let mut record = record.unwrap();
        for index in &mut record.global_indexes {
            (index.status, index.backfilling) = (IndexStatus::Creating, true);
        }
        let record = crate::catalog::Becomes::Record(Box::new(record));
        Ok((crate::catalog::RecordChange { record, writes: Vec::new() }, ()))
    };
    database.change_record(&key, unfilled).await.unwrap();
    put(&database, "Users", &[("id", "1"), ("name", "Ann")]).await;
    database.start_background(JobOptions::default());
    let index = loop {
        let described = database.describe_table(&scope(), "Users").await.unwrap();
        let index = index_named(&described.record, "by-name");
        if index.status == IndexStatus::Active {
            break described.counts.index(index.id);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(index, Count { items: 1, bytes: 10 });
}

#[tokio::test]
async fn an_index_is_filled_from_where_another_node_left_off() {
    let database = database().await;
    database.create_table(&scope(), "Users", &on_demand("id", "id")).await.unwrap();
    for n in 0..900 {
        put(&database, "Users", &[("id", &n.to_string()), ("name", "Ann")]).await;
    }
    let change = create(index("by-name", "name"), Some("name"));
    let index = index_named(&database.update_table(&scope(), "Users", &change).await.unwrap().record, "by-name").id;
    let key = crate::catalog::catalog_key_of(&scope(), "Users");
    let entries = async || {
        let table = database.table(&scope(), "Users").await.unwrap();
        let snapshot = database.snapshot(Freshness::Latest).await.unwrap();
        let prefix = keyspace::index_prefix(keyspace::SPACE_GLOBAL_INDEX, table.record.id, index);
        let page = snapshot.scan(&KeyRange::prefix(prefix), Direction::Forward, ScanLimit::PAGE).await.unwrap();
        let progress = snapshot.get(&keyspace::index_progress(table.record.id, index)).await.unwrap();
        (page.rows.len(), progress.is_some(), table.indexes[0].backfilling)
    };
    // Each with a lease of its own, as nodes have that take over from ones that died, and with time for a page or so.
    let mut seen = Vec::new();
    loop {
        let mut lease = crate::jobs::Lease::new("filling");
        lease.take(&database).await.unwrap();
        let until = std::time::Instant::now() + Duration::from_micros(1);
        let left = database.fill_index(&mut lease, &key, index, until).await.unwrap();
        seen.push(entries().await);
        if left == crate::jobs::Slice::Done {
            break;
        }
    }
    assert_eq!(seen.last(), Some(&(900, false, false)));
    assert!(seen.iter().any(|(rows, progress, filling)| (1..900).contains(rows) && *progress && *filling), "{seen:?}");
    // A node that was taken for dead commits nothing more.
    let mut first = crate::jobs::Lease::new("filling");
    first.take(&database).await.unwrap();
    crate::jobs::Lease::new("filling").take(&database).await.unwrap();
    let refill = |record: Option<TableRecord>| {
        let mut record = record.unwrap();
        record.global_indexes[0].backfilling = true;
        let record = crate::catalog::Becomes::Record(Box::new(record));
        Ok((crate::catalog::RecordChange { record, writes: Vec::new() }, ()))
    };
    database.change_record(&key, refill).await.unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(1);
    assert!(matches!(database.fill_index(&mut first, &key, index, until).await, Err(crate::Error::Contention)));
}
