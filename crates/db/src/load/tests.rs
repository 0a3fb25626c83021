//! Loads from buckets in memory: what is written and counted, also when they are stopped at every place.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use partita_engine::{Freshness, OpenOptions};
use partita_model::{AttributeMap, AttributeValue, ErrorCode, StoredItem};
use partita_objects::{Buckets, ObjectStore};

use super::fill::Failure;
use super::record::LoadPlace;
use super::*;
use crate::jobs::Lease;
use crate::stream::tests::{Fixture, item, number};
use crate::tables::{IndexDefinition, ProjectionDefinition, ProjectionKind, TableDefinition};
use crate::{
    BackupStore, BillingMode, Database, Encryption, Error, KeyElement, ScanRequest, Select, Settings, Stores,
    StreamView, Table, TableStatus,
};

struct Case {
    fixture: Fixture,
    input: ObjectStore,
    output: ObjectStore,
}

fn definition() -> TableDefinition {
    let element = |name: &str| vec![KeyElement { name: name.to_owned(), partition: true }];
    let projection = ProjectionDefinition { kind: Some(ProjectionKind::All), ..ProjectionDefinition::default() };
    let index = IndexDefinition {
        name: "by-group".to_owned(),
        key: element("group"),
        projection,
        ..IndexDefinition::default()
    };
    TableDefinition {
        attributes: ["pk", "group"].map(|name| (name.to_owned(), "S".to_owned())).to_vec(),
        key: element("pk"),
        global_indexes: Some(vec![index]),
        billing: Some(BillingMode::OnDemand),
        ..TableDefinition::default()
    }
}

fn source(format: InputFormat) -> LoadSource {
    LoadSource {
        bucket: "in".to_owned(),
        owner: None,
        prefix: "data/".to_owned(),
        format,
        compression: Compression::None,
        csv: CsvOptions::default(),
    }
}

fn import(source: LoadSource) -> ImportRequest {
    ImportRequest {
        token: Some("token".to_owned()),
        source,
        table: "New".to_owned(),
        definition: definition(),
        request: "{}".to_owned(),
    }
}

fn bulk() -> BulkRequest {
    BulkRequest {
        token: Some("token".to_owned()),
        source: source(InputFormat::DynamoDbJson),
        output: OutputPlace {
            bucket: "out".to_owned(),
            owner: None,
            prefix: "told".to_owned(),
            errors: true,
            failed_conditions: true,
            encryption: None,
        },
        table: "Old".to_owned(),
        max_units: None,
        accelerated: true,
        request: "{}".to_owned(),
    }
}

fn lines(records: impl IntoIterator<Item = (String, u64)>) -> String {
    let line = |(pk, value): (String, u64)| {
        format!(
            "{{\"Item\":{{\"pk\":{{\"S\":\"{pk}\"}},\"group\":{{\"S\":\"g{}\"}},\"value\":{{\"N\":\"{value}\"}}}}}}\n",
            value % 3
        )
    };
    records.into_iter().map(line).collect()
}

impl Case {
    async fn new() -> Self {
        let (input, output) = (ObjectStore::memory(), ObjectStore::memory());
        let buckets: Buckets = [("in", input.clone()), ("out", output.clone())].into_iter().collect();
        let stores = Stores { backups: Some(BackupStore::memory()), buckets };
        let options = OpenOptions::memory();
        let opened = Database::open_with_stores(&options, Settings::default(), Encryption::Off, stores).await;
        let fixture = Fixture { database: opened.unwrap(), ..Fixture::new().await };
        Self { fixture, input, output }
    }

    async fn put(&self, key: &str, text: impl Into<bytes::Bytes>) {
        self.input.put(key, text.into()).await.unwrap();
    }

    /// Runs what is under way to its end.
    async fn run(&self) {
        for place in self.fixture.database.load_jobs().await.unwrap() {
            let mut lease = Lease::new(&place.lease());
            if let Err(failure) = self.fixture.database.try_load(&mut lease, &place).await {
                self.fixture.database.give_up_load(&mut lease, &place, &failure).await.unwrap();
            }
        }
        assert!(self.fixture.database.load_jobs().await.unwrap().is_empty());
    }

    async fn import(&self, request: &ImportRequest) -> LoadRecord {
        let begun = self.fixture.database.begin_import(&self.fixture.scope, request).await.unwrap();
        assert_eq!(begun.status, LoadStatus::InProgress);
        self.run().await;
        self.fixture.database.describe_load(LoadKind::Import, &begun.arn()).await.unwrap()
    }

    async fn bulk(&self, request: &BulkRequest) -> LoadRecord {
        let begun = self.fixture.database.begin_bulk(&self.fixture.scope, request).await.unwrap();
        self.run().await;
        self.fixture.database.describe_load(LoadKind::Bulk, &begun.arn()).await.unwrap()
    }

    async fn table(&self, name: &str) -> Option<Arc<Table>> {
        self.fixture.database.table(&self.fixture.scope, name).await.ok()
    }

    /// The items of a table, once by its key and once by its index.
    async fn items(&self, name: &str) -> [BTreeMap<String, StoredItem>; 2] {
        let table = self.table(name).await.expect("a usable table");
        let mut found = [BTreeMap::new(), BTreeMap::new()];
        for (found, index) in found.iter_mut().zip([None, Some(0)]) {
            let request = ScanRequest {
                index,
                filter: None,
                select: Select::All,
                limit: None,
                segment: None,
                start: None,
                consistent: index.is_none(),
            };
            let page = self.fixture.database.scan(&table, &request).await.unwrap();
            assert!(page.last_evaluated.is_none());
            for item in page.items {
                let AttributeValue::S(pk) = item.to_item().get("pk").cloned().unwrap() else { panic!() };
                found.insert(pk, item);
            }
        }
        let described = self.fixture.database.describe_table(&self.fixture.scope, name).await.unwrap();
        assert_eq!(described.counts.table().items, found[0].len() as i64);
        found
    }

    /// All lines under a prefix of a store.
    async fn told(&self, store: &ObjectStore, prefix: &str) -> Vec<serde_json::Value> {
        let mut lines = Vec::new();
        for object in store.list(prefix, None, 1000).await.unwrap().objects {
            let text = store.get(&object.key, 1 << 20).await.unwrap();
            lines.extend(
                text.split(|byte| *byte == b'\n')
                    .filter(|line| !line.is_empty())
                    .map(|line| serde_json::from_slice(line).unwrap()),
            );
        }
        lines
    }
}

fn expected(records: impl IntoIterator<Item = (String, u64)>) -> BTreeMap<String, StoredItem> {
    let of = |(pk, value): (String, u64)| {
        let group = AttributeValue::S(format!("g{}", value % 3));
        let item = item(&pk, &[("group", group), ("value", number(value))]);
        (pk, StoredItem::from_item(&item))
    };
    records.into_iter().map(of).collect()
}

fn numbered(range: std::ops::Range<u64>) -> impl Iterator<Item = (String, u64)> + Clone {
    range.map(|n| (format!("key-{n}"), n))
}

#[tokio::test]
async fn an_import_makes_a_table_that_is_usable_when_it_has_ended() {
    let case = Case::new().await;
    case.put("data/a.json", lines(numbered(0..13))).await;
    case.put("data/b/c.json", lines(numbered(13..20))).await;
    case.put("data/empty", "").await;
    case.put("other.json", "nothing").await;
    let request = import(source(InputFormat::DynamoDbJson));
    let begun = case.fixture.database.begin_import(&case.fixture.scope, &request).await.unwrap();
    assert!(begun.arn().starts_with("arn:aws:dynamodb:eu-west-1:000000000000:table/New/import/0"));
    assert!(case.table("New").await.is_none());
    let described = case.fixture.database.describe_table(&case.fixture.scope, "New").await.unwrap();
    assert_eq!(described.record.status, TableStatus::Creating);
    assert!(case.fixture.database.delete_table(&case.fixture.scope, "New").await.is_err());
    case.run().await;
    let ended = case.fixture.database.describe_load(LoadKind::Import, &begun.arn()).await.unwrap();
    let bytes = (lines(numbered(0..13)).len() + lines(numbered(13..20)).len()) as u64;
    assert_eq!((ended.status, &ended.failure), (LoadStatus::Completed, &None));
    assert_eq!((ended.loaded.processed, ended.loaded.written, ended.loaded.errors), (20, 20, 0));
    assert_eq!(
        (ended.loaded.stored_bytes, ended.loaded.text_bytes, ended.loaded.total_bytes),
        (bytes, bytes, Some(bytes))
    );
    let items = case.items("New").await;
    assert_eq!(items[0], expected(numbered(0..20)));
    assert_eq!(items[1], items[0]);
}

#[tokio::test]
async fn compressed_objects_are_unpacked_member_by_member() {
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zstd =
        |text: &str| ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    let skippable = [&0x184D_2A50_u32.to_le_bytes()[..], &3u32.to_le_bytes(), b"abc"].concat();
    for (compression, pack) in [(Compression::Gzip, &gzip as &dyn Fn(&str) -> Vec<u8>), (Compression::Zstd, &zstd)] {
        let case = Case::new().await;
        let mut packed = pack(&lines(numbered(0..7)));
        if compression == Compression::Zstd {
            packed.extend_from_slice(&skippable);
        }
        packed.extend(pack(&lines(numbered(7..9))));
        case.put("data/a", packed.clone()).await;
        let ended = case.import(&import(LoadSource { compression, ..source(InputFormat::DynamoDbJson) })).await;
        assert_eq!((ended.status, ended.loaded.written), (LoadStatus::Completed, 9), "{ended:?}");
        assert_eq!(ended.loaded.stored_bytes, packed.len() as u64);
        assert_eq!(ended.loaded.text_bytes, lines(numbered(0..9)).len() as u64);
        assert_eq!(case.items("New").await[0], expected(numbered(0..9)));
        // What is cut off or no archive at all is one error, and what came before it is kept.
        for (bad, least) in [(packed[..packed.len() - 5].to_vec(), 5), (b"no archive".to_vec(), 0)] {
            let case = Case::new().await;
            case.put("data/a", bad).await;
            case.put("data/b", pack(&lines(numbered(20..21)))).await;
            let ended = case.import(&import(LoadSource { compression, ..source(InputFormat::DynamoDbJson) })).await;
            assert_eq!((ended.status, ended.loaded.errors), (LoadStatus::Failed, 1), "{ended:?}");
            assert_eq!(ended.failure.unwrap().code, "ItemValidationError");
            assert!(ended.loaded.written > least, "{:?}", ended.loaded);
            assert!(case.items("New").await[0].contains_key("key-20"));
        }
    }
}

#[tokio::test]
async fn every_format_is_read() {
    let csv = "pk,group,value\n\"key-0\",g0,0\nkey-1,g1,1\n";
    let ion = "$ion_1_0 {Item:{pk:\"key-0\",group:\"g0\",value:0}}\n{Item:{pk:\"key-1\",group:\"g1\",value:1d0}}";
    for (format, text, headers) in [
        (InputFormat::Ion, ion.to_owned(), None),
        (InputFormat::Csv, format!("\u{feff}{csv}"), None),
        (InputFormat::Csv, "key-0;g0;0\nkey-1;g1;1".to_owned(), Some(["pk", "group", "value"])),
    ] {
        let case = Case::new().await;
        case.put("data/a", text).await;
        let delimiter = headers.map(|_| b';');
        let headers = headers.map(|names| names.map(str::to_owned).to_vec());
        let csv = CsvOptions { delimiter, headers };
        let ended = case.import(&import(LoadSource { csv, ..source(format) })).await;
        assert_eq!((ended.status, ended.loaded.written), (LoadStatus::Completed, 2), "{ended:?}");
        let items = case.items("New").await;
        assert_eq!(items[0], items[1]);
        let value = items[0]["key-1"].to_item().get("value").cloned();
        let expected = if format == InputFormat::Csv { AttributeValue::S("1".to_owned()) } else { number(1) };
        assert_eq!(value, Some(expected));
    }
}

#[tokio::test]
async fn bad_records_are_counted_and_logged_and_the_others_imported() {
    let case = Case::new().await;
    let bad = [
        "{\"Item\":{\"group\":{\"S\":\"x\"}}}",
        "not json",
        "{\"Item\":{\"pk\":{\"N\":\"1\"}}}",
        "{\"Item\":{\"pk\":{\"S\":\"x\"},\"group\":{\"N\":\"1\"}}}",
        "{\"Item\":{\"pk\":{\"S\":\"\"}}}",
        &format!("{{\"Item\":{{\"pk\":{{\"S\":\"x\"}},\"a\":{{\"S\":\"{}\"}}}}}}", "a".repeat(410_000)),
    ];
    case.put("data/a", format!("{}{}\n{}", lines(numbered(0..6)), bad.join("\n"), lines(numbered(6..8)))).await;
    let ended = case.import(&import(source(InputFormat::DynamoDbJson))).await;
    assert_eq!(ended.status, LoadStatus::Failed);
    assert_eq!(ended.failure.as_ref().unwrap().code, "ItemValidationError");
    assert_eq!((ended.loaded.processed, ended.loaded.written, ended.loaded.errors), (14, 8, 6));
    assert_eq!(case.items("New").await[0], expected(numbered(0..8)));
    let told = case.told(case.fixture.database.load_logs().unwrap(), &format!("{}/error/", ended.id)).await;
    assert_eq!(told.len(), 6);
    let first = serde_json::json!({
        "itemS3Pointer": {"bucket": "in", "key": "data/a", "itemIndex": 6},
        "importArn": ended.arn(),
        "errorMessages": ["One or more parameter values were invalid: Missing the key pk in the item"],
    });
    assert_eq!(told[0], first);
    let message = |at: usize| told[at]["errorMessages"][0].as_str().unwrap().to_owned();
    assert!(message(1).starts_with("The record is not JSON"));
    assert!(message(2).contains("Type mismatch for key pk expected: S actual: N"));
    assert!(message(3).contains("Type mismatch for Index Key group Expected: S Actual: N IndexName: by-group"));
    assert!(message(4).contains("cannot contain an empty string value. Key: pk"));
    assert_eq!(message(5), "Item size has exceeded the maximum allowed size");
}

#[tokio::test]
async fn the_last_of_two_items_with_one_key_counts() {
    let case = Case::new().await;
    let twice = numbered(0..4).chain([("key-1".to_owned(), 11), ("key-1".to_owned(), 12)]).chain(numbered(20..24));
    case.put("data/a", lines(twice)).await;
    case.put("data/b", lines([("key-20".to_owned(), 30)])).await;
    let ended = case.import(&import(source(InputFormat::DynamoDbJson))).await;
    assert_eq!((ended.loaded.processed, ended.loaded.written), (11, 11));
    let mut expected = expected(numbered(0..4).chain(numbered(20..24)));
    expected.extend(super::tests::expected([("key-1".to_owned(), 12), ("key-20".to_owned(), 30)]));
    let items = case.items("New").await;
    assert_eq!(items[0], expected);
    assert_eq!(items[1], expected);
}

#[tokio::test]
async fn what_is_wrong_at_the_start_leaves_no_table() {
    for (bucket, prefix, code) in [("none", "data/", "S3NoSuchBucket"), ("in", "nothing/", "S3NoSuchKey")] {
        let case = Case::new().await;
        case.put("data/a", lines(numbered(0..2))).await;
        let of = LoadSource { bucket: bucket.to_owned(), prefix: prefix.to_owned(), ..source(InputFormat::Csv) };
        let ended = case.import(&import(of)).await;
        assert_eq!((ended.status, ended.failure.unwrap().code.as_str()), (LoadStatus::Failed, code));
        assert!(case.fixture.database.describe_table(&case.fixture.scope, "New").await.is_err());
        // The name is free again.
        let again = ImportRequest { token: None, ..import(source(InputFormat::DynamoDbJson)) };
        assert_eq!(case.import(&again).await.status, LoadStatus::Completed);
    }
}

fn code(error: &Error) -> Option<ErrorCode> {
    match error {
        Error::Refused(refusal) => Some(refusal.code),
        _ => None,
    }
}

#[tokio::test]
async fn tokens_begin_a_load_once() {
    let case = Case::new().await;
    let (database, scope) = (&case.fixture.database, &case.fixture.scope);
    case.put("data/a", lines(numbered(0..2))).await;
    let request = import(source(InputFormat::DynamoDbJson));
    let first = database.begin_import(scope, &request).await.unwrap();
    assert_eq!(database.begin_import(scope, &request).await.unwrap().id, first.id);
    case.run().await;
    let again = database.begin_import(scope, &request).await.unwrap();
    assert_eq!((again.id, again.status), (first.id.clone(), LoadStatus::Completed));
    let other = ImportRequest { request: "{\"other\":1}".to_owned(), ..request.clone() };
    let error = database.begin_import(scope, &other).await.unwrap_err();
    assert_eq!(code(&error), Some(ErrorCode::ImportConflictException));
    let there = ImportRequest { token: Some("new".to_owned()), ..request.clone() };
    let error = database.begin_import(scope, &there).await.unwrap_err();
    assert_eq!(code(&error), Some(ErrorCode::ResourceInUseException));
    assert!(error.to_string().ends_with("Table already exists: New"), "{error}");
    database.inner.clock.advance(Duration::from_secs(8 * 3600 + 1));
    let error = database.begin_import(scope, &request).await.unwrap_err();
    assert_eq!(code(&error), Some(ErrorCode::ResourceInUseException));
    let listed = database.list_loads(scope, LoadKind::Import, Some("New"), None, 10).await.unwrap();
    assert_eq!((listed.loads.len(), listed.more), (1, false));
    assert!(database.list_loads(scope, LoadKind::Import, Some("Other"), None, 10).await.unwrap().loads.is_empty());
    let error = database.describe_load(LoadKind::Import, &first.arn().replace("New", "Old")).await.unwrap_err();
    assert_eq!(code(&error), Some(ErrorCode::ImportNotFoundException));
    database.inner.clock.advance(Duration::from_secs(91 * 24 * 3600));
    assert!(database.list_loads(scope, LoadKind::Import, None, None, 10).await.unwrap().loads.is_empty());
    database.forget_loads().await.unwrap();
    assert!(database.describe_load(LoadKind::Import, &first.arn()).await.is_err());
}

fn conditional(pk: &str, value: u64) -> String {
    format!(
        "{{\"Item\":{{\"pk\":{{\"S\":\"{pk}\"}},\"value\":{{\"N\":\"{value}\"}}}},\"ConditionExpression\":\"attribute_not_exists(pk) OR \
         #v < :v\",\"ExpressionAttributeNames\":{{\"#v\":\"value\"}},\"ExpressionAttributeValues\":{{\":v\":{{\"N\":\"{value}\"}}}}}}\n"
    )
}

#[tokio::test]
async fn bulk_operations_put_into_tables_in_use_on_condition() {
    let case = Case::new().await;
    let table = case.fixture.table("Old", Some(StreamView::NewAndOldImages)).await;
    case.fixture.put(&table, item("kept", &[("value", number(5))])).await;
    case.fixture.put(&table, item("replaced", &[("value", number(5)), ("group", AttributeValue::S("g".into()))])).await;
    let records = [
        conditional("new", 1),
        conditional("kept", 3),
        conditional("replaced", 7),
        // The same key again, judged on what the one before left.
        conditional("replaced", 6),
        "{\"Item\":{\"pk\":{\"S\":\"bad\"}},\"ConditionExpression\":\"nonsense(\"}\n".to_owned(),
        lines(numbered(0..9)),
    ];
    case.put("data/a", records.concat()).await;
    let ended = case.bulk(&bulk()).await;
    assert_eq!((ended.status, &ended.failure), (LoadStatus::CompletedWithErrors, &None), "{ended:?}");
    let loaded = &ended.loaded;
    assert_eq!((loaded.processed, loaded.written, loaded.errors, loaded.failed_conditions), (14, 11, 1, 2));
    assert_eq!(loaded.table_units, 11);
    assert_eq!(loaded.index_units, [("by-group".to_owned(), false, 10)]);
    let items = case.items("Old").await;
    assert_eq!(items[0].len(), 12);
    assert_eq!(items[1].len(), 9);
    assert_eq!(items[0]["kept"].to_item().get("value"), Some(&number(5)));
    assert_eq!(items[0]["replaced"].to_item().get("value"), Some(&number(7)));
    let prefix = format!("told/AWSDynamoDB/{}/", ended.id);
    let errors = case.told(&case.output, &format!("{prefix}error/")).await;
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["itemS3Pointer"]["itemIndex"], 4);
    let failed = case.told(&case.output, &format!("{prefix}condition-check-failure/")).await;
    assert_eq!(failed.len(), 2);
    assert_eq!(failed[0]["item"]["value"]["N"], "3");
    assert_eq!(failed[0]["existingItem"]["value"]["N"], "5");
    let manifest = &case.told(&case.output, &format!("{prefix}manifest-summary.json")).await[0];
    assert_eq!(manifest["processedItemCount"], 14);
    assert_eq!(manifest["outputFiles"].as_array().unwrap().len(), 2);
    // Each change is in the stream, once.
    let arns = case.fixture.arns().await;
    let described = case.fixture.describe(&arns[0]).await;
    assert_eq!(described.shards.len(), 1);
}

#[tokio::test]
async fn a_cancelled_bulk_operation_stops_and_keeps_what_it_has_written() {
    let case = Case::new().await;
    case.fixture.table("Old", None).await;
    case.put("data/a", lines(numbered(0..40))).await;
    let database = &case.fixture.database;
    let begun =
        database.begin_bulk(&case.fixture.scope, &BulkRequest { max_units: Some(1024), ..bulk() }).await.unwrap();
    let place = begun.place();
    let mut lease = Lease::new(&place.lease());
    let cancel = async {
        while database.describe_load(LoadKind::Bulk, &begun.arn()).await.unwrap().loaded.written == 0 {
            tokio::task::yield_now().await;
        }
        database.cancel_bulk(&begun.arn()).await.unwrap()
    };
    let (ran, cancelled) = tokio::join!(database.try_load(&mut lease, &place), cancel);
    ran.unwrap();
    assert_eq!(cancelled.status, LoadStatus::Cancelling);
    let ended = database.describe_load(LoadKind::Bulk, &begun.arn()).await.unwrap();
    assert_eq!((ended.status, ended.failure.as_ref().unwrap().code.as_str()), (LoadStatus::Cancelled, "Cancelled"));
    assert!(ended.loaded.written > 0 && ended.loaded.written < 40, "{:?}", ended.loaded);
    assert_eq!(case.items("Old").await[0].len() as u64, ended.loaded.written);
    assert_eq!(code(&database.cancel_bulk(&begun.arn()).await.unwrap_err()), Some(ErrorCode::ValidationException));
}

#[tokio::test]
async fn bulk_operations_are_refused_where_they_can_not_be() {
    let case = Case::new().await;
    let (database, scope) = (&case.fixture.database, &case.fixture.scope);
    let error = database.begin_bulk(scope, &bulk()).await.unwrap_err();
    assert_eq!(code(&error), Some(ErrorCode::ResourceNotFoundException));
    case.put("data/a", lines(numbered(0..2))).await;
    database.begin_import(scope, &import(source(InputFormat::DynamoDbJson))).await.unwrap();
    let error = database.begin_bulk(scope, &BulkRequest { table: "New".to_owned(), ..bulk() }).await.unwrap_err();
    assert_eq!(code(&error), Some(ErrorCode::ResourceInUseException));
    case.fixture.table("Old", None).await;
    let begun = database.begin_bulk(scope, &bulk()).await.unwrap();
    assert_eq!(database.begin_bulk(scope, &bulk()).await.unwrap().id, begun.id);
    let other = BulkRequest { request: "{\"other\":1}".to_owned(), ..bulk() };
    let error = database.begin_bulk(scope, &other).await.unwrap_err();
    assert_eq!(code(&error), Some(ErrorCode::IdempotentParameterMismatchException));
    // The table goes before the operation runs.
    database.delete_table(scope, "Old").await.unwrap();
    case.run().await;
    let ended = database.describe_load(LoadKind::Bulk, &begun.arn()).await.unwrap();
    assert_eq!((ended.status, ended.failure.unwrap().code.as_str()), (LoadStatus::Failed, "ResourceNotFoundException"));
}

/// Polls a future so often and no more: what comes after does not happen, as in a crash.
async fn stopped_after<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Tries a load until it succeeds, stopping it at every place in turn.
async fn run_with_crashes(database: &crate::Database, place: &LoadPlace) -> u32 {
    for polls in 1.. {
        let mut lease = Lease::new(&place.lease());
        match stopped_after(polls, database.try_load(&mut lease, place)).await {
            Some(Ok(())) => return polls,
            // A commit that was under way at the crash before may come between.
            None | Some(Err(Failure::Database(Error::Contention))) => {}
            Some(Err(failure)) => panic!("{failure:?}"),
        }
    }
    0
}

#[tokio::test]
async fn loads_that_are_stopped_anywhere_are_gone_on_with_exactly() {
    let bad = "not json\n";
    for compression in [Compression::None, Compression::Gzip] {
        let case = Case::new().await;
        let pack = |text: String| match compression {
            Compression::None => text.into_bytes(),
            _ => {
                let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
                encoder.write_all(text.as_bytes()).unwrap();
                encoder.finish().unwrap()
            }
        };
        case.put("data/a", pack(format!("{}{bad}{}{}", lines(numbered(0..9)), bad.repeat(7), lines(numbered(9..17)))))
            .await;
        case.put("data/b", pack(lines(numbered(17..30)))).await;
        let (database, scope) = (&case.fixture.database, &case.fixture.scope);
        let source = LoadSource { compression, ..source(InputFormat::DynamoDbJson) };
        let begun = database.begin_import(scope, &import(source.clone())).await.unwrap();
        let stops = run_with_crashes(database, &begun.place()).await;
        assert!(stops > 3, "{stops}");
        let ended = database.describe_load(LoadKind::Import, &begun.arn()).await.unwrap();
        assert_eq!((ended.loaded.processed, ended.loaded.written, ended.loaded.errors), (38, 30, 8));
        assert_eq!(case.items("New").await[0], expected(numbered(0..30)));
        let told = case.told(database.load_logs().unwrap(), &format!("{}/error/", ended.id)).await;
        let index = |line: &serde_json::Value| line["itemS3Pointer"]["itemIndex"].as_u64().unwrap();
        assert_eq!(told.iter().map(index).collect::<Vec<_>>(), (9..17).collect::<Vec<_>>());
        // The same into a table in use.
        case.fixture.table("Old", Some(StreamView::KeysOnly)).await;
        let begun = database.begin_bulk(scope, &BulkRequest { source, ..bulk() }).await.unwrap();
        run_with_crashes(database, &begun.place()).await;
        let ended = database.describe_load(LoadKind::Bulk, &begun.arn()).await.unwrap();
        assert_eq!((ended.loaded.processed, ended.loaded.written, ended.loaded.errors), (38, 30, 8));
        assert_eq!((ended.status, ended.loaded.table_units), (LoadStatus::CompletedWithErrors, 30));
        assert_eq!(case.items("Old").await[1], expected(numbered(0..30)));
        let told = case.told(&case.output, &format!("told/AWSDynamoDB/{}/error/", ended.id)).await;
        assert_eq!(told.iter().map(index).collect::<Vec<_>>(), (9..17).collect::<Vec<_>>());
        let snapshot = database.snapshot(Freshness::Latest).await.unwrap();
        assert!(snapshot.get(&begun.place().progress_key()).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn csv_goes_on_under_its_columns() {
    let case = Case::new().await;
    let rows: String = (0..30).map(|n| format!("\"key-{n}\",g{},\"{n}\n\"\n", n % 3)).collect();
    case.put("data/a", format!("pk,group,value\n{rows}")).await;
    let database = &case.fixture.database;
    let begun = database.begin_import(&case.fixture.scope, &import(source(InputFormat::Csv))).await.unwrap();
    run_with_crashes(database, &begun.place()).await;
    let ended = database.describe_load(LoadKind::Import, &begun.arn()).await.unwrap();
    assert_eq!((ended.status, ended.loaded.written), (LoadStatus::Completed, 30), "{ended:?}");
    let item: AttributeMap = case.items("New").await[0]["key-7"].to_item();
    assert_eq!(item.get("value"), Some(&AttributeValue::S("7\n".to_owned())));
}
