//! Exports against an oracle: copies of a table that were taken while it was written at random.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use partita_engine::OpenOptions;
use partita_formats::{Change, ion, json};
use partita_model::{AttributeMap, AttributeValue, ErrorCode, StoredItem};
use partita_objects::{Buckets, ObjectError, ObjectStore};
use serde_json::Value;

use super::*;
use crate::backup::tests::{change, code, copy_of, run_jobs, run_jobs_with_crashes};
use crate::history::Moments;
use crate::stream::tests::{Fixture, item, number};
use crate::{BackupStore, Database, Encryption, Error, Settings, Stores, Table};

type Items = BTreeMap<String, StoredItem>;

struct World {
    fixture: Fixture,
    store: ObjectStore,
    table: Arc<Table>,
}

fn full(at: Option<u64>, format: ExportFormat) -> ExportRequest {
    ExportRequest {
        span: ExportSpan::Full(at),
        bucket: "bucket".to_owned(),
        bucket_owner: None,
        prefix: Some("some/where".to_owned()),
        encryption: None,
        format,
        filter: None,
        token: None,
    }
}

fn changes(from: u64, to: Option<u64>, view: ExportView) -> ExportRequest {
    ExportRequest { span: ExportSpan::Changes { from, to, view }, ..full(None, ExportFormat::Json) }
}

impl World {
    async fn new() -> Self {
        let store = ObjectStore::memory();
        let buckets = Buckets::from_iter([("bucket", store.clone())]);
        let stores = Stores { backups: Some(BackupStore::memory()), buckets };
        let memory = OpenOptions::memory();
        let opened = Database::open_with_stores(&memory, Settings::default(), Encryption::Off, stores);
        let fixture = Fixture { database: opened.await.unwrap(), ..Fixture::new().await };
        let table = fixture.table("T", None).await;
        Self { fixture, store, table }
    }

    fn now(&self) -> u64 {
        self.fixture.database.now_ms() / 1000
    }

    fn advance(&self, seconds: u64) {
        self.fixture.database.inner.clock.advance(Duration::from_secs(seconds));
    }

    async fn begin(&self, request: &ExportRequest) -> crate::Result<ExportRecord> {
        let scope = &self.fixture.scope;
        self.fixture.database.export_table(scope, &scope.table_arn("T"), request).await
    }

    async fn whole(&self, export: &ExportRecord) -> ExportRecord {
        let export = self.fixture.database.describe_export(&export.arn()).await.unwrap();
        assert_eq!(export.state, ExportState::Completed);
        export
    }

    /// The lines of an export's files, found by its manifests, which are checked on the way.
    async fn lines(&self, export: &ExportRecord) -> Vec<String> {
        let get = async |key: &str| self.store.get(key, 1 << 20).await.unwrap();
        let folder = format!("some/where/AWSDynamoDB/{}/", export.place.id);
        assert_eq!(export.manifest(), format!("{folder}manifest-summary.json"));
        assert!(get(&format!("{folder}_started")).await.is_empty());
        for name in ["manifest-summary", "manifest-files"] {
            let sum = STANDARD.encode(*md5::compute(get(&format!("{folder}{name}.json")).await));
            assert_eq!(get(&format!("{folder}{name}.checksum")).await, sum.as_bytes());
        }
        let summary: Value = serde_json::from_slice(&get(&export.manifest()).await).unwrap();
        assert_eq!(summary["itemCount"], export.items);
        assert_eq!(summary["billedSizeBytes"], export.bytes);
        let files = get(summary["manifestFilesS3Key"].as_str().unwrap()).await;
        let mut lines = Vec::new();
        for file in String::from_utf8(files.to_vec()).unwrap().lines() {
            let file: Value = serde_json::from_str(file).unwrap();
            let data = get(file["dataFileS3Key"].as_str().unwrap()).await;
            assert_eq!(file["md5Checksum"], STANDARD.encode(*md5::compute(&data)));
            assert_eq!(file["etag"], format!("{:x}", md5::compute(&data)));
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*data).read_to_string(&mut text).unwrap();
            assert_eq!(file["itemCount"], text.lines().count());
            lines.extend(text.lines().map(|line| format!("{line}\n")));
        }
        lines
    }
}

fn line(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn expected(items: &Items, format: ExportFormat) -> BTreeSet<String> {
    let write = |item: &StoredItem| match format {
        ExportFormat::Json => line(|out| json::item_line(item, out)),
        ExportFormat::Ion => line(|out| ion::item_line(item, out)),
    };
    items.values().map(write).collect()
}

fn sorted(lines: Vec<String>) -> BTreeSet<String> {
    let count = lines.len();
    let sorted: BTreeSet<String> = lines.into_iter().collect();
    assert_eq!(sorted.len(), count, "a line is there twice");
    sorted
}

/// A table that has been written at random for a while, with what it was at the beginnings of some seconds.
async fn recorded(seed: u64, steps: u64, pause: u64) -> (World, BTreeMap<u64, Items>, Rng) {
    let mut random = Rng::with_seed(seed);
    let mut world = World::new().await;
    let table = Arc::clone(&world.table);
    change(&mut world.fixture, &table, &mut random).await;
    world.fixture.database.update_recovery(&world.fixture.scope, "T", true, None).await.unwrap();
    let (mut moments, mut copies) = (Moments::default(), BTreeMap::new());
    for _ in 0..steps {
        change(&mut world.fixture, &table, &mut random).await;
        world.advance(random.u64(1..=pause));
        world.fixture.database.mark_moment(&mut moments).await.unwrap();
        copies.insert(world.now(), copy_of(&world.fixture, "T").await.items);
    }
    (world, copies, random)
}

#[tokio::test]
async fn an_export_of_a_second_is_what_the_table_was() {
    let (mut world, copies, mut random) = recorded(1, 30, 3).await;
    let table = Arc::clone(&world.table);
    for (second, items) in copies.iter().step_by(4) {
        let format = if second % 2 == 0 { ExportFormat::Json } else { ExportFormat::Ion };
        let export = world.begin(&full(Some(*second), format)).await.unwrap();
        assert_eq!(export.state, ExportState::InProgress);
        change(&mut world.fixture, &table, &mut random).await;
        run_jobs(&world.fixture).await;
        let export = world.whole(&export).await;
        assert_eq!(export.items, i64::try_from(items.len()).unwrap());
        assert_eq!(export.bytes, items.values().map(|item| i64::try_from(item.size()).unwrap()).sum::<i64>());
        assert_eq!(sorted(world.lines(&export).await), expected(items, format), "{second}");
    }
    let export = world.begin(&full(None, ExportFormat::Json)).await.unwrap();
    let items = copy_of(&world.fixture, "T").await.items;
    change(&mut world.fixture, &table, &mut random).await;
    run_jobs(&world.fixture).await;
    assert_eq!(sorted(world.lines(&world.whole(&export).await).await), expected(&items, ExportFormat::Json));
}

/// Checks an export of changes against what the table was at both ends.
async fn check_changes(world: &World, export: &ExportRecord, (old, new): (&Items, &Items)) {
    let ExportSpan::Changes { from, view, .. } = export.request.span else { panic!() };
    let mut seen = BTreeSet::new();
    for found in world.lines(export).await {
        let value: Value = serde_json::from_str(&found).unwrap();
        let key = value["Keys"]["pk"]["S"].as_str().unwrap().to_owned();
        let written_us: u64 = value["Metadata"]["WriteTimestampMicros"]["N"].as_str().unwrap().parse().unwrap();
        assert!((from * 1_000_000..export.at_ms * 1000).contains(&written_us), "{written_us}");
        let (was, is) = (old.get(&key), new.get(&key));
        let keys = was.or(is).unwrap().project(&["pk"]);
        let old = was.filter(|_| view == ExportView::NewAndOld);
        let change = Change { keys: &keys, written_us, old, new: is };
        assert_eq!(found, line(|out| json::change_line(&change, out)));
        assert!(seen.insert(key));
    }
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        assert!(old.get(key) == new.get(key) || seen.contains(key), "the change of {key} is missing");
    }
}

#[tokio::test]
async fn an_export_of_changes_tells_what_items_were_and_became() {
    let (mut world, copies, mut random) = recorded(2, 40, 120).await;
    let table = Arc::clone(&world.table);
    let seconds: Vec<u64> = copies.keys().copied().collect();
    let mut checked = 0;
    for (at, from) in seconds.iter().enumerate().step_by(3) {
        let Some(to) = seconds[at..].iter().find(|to| **to >= from + 900) else { break };
        let view = if checked % 2 == 0 { ExportView::NewAndOld } else { ExportView::New };
        let export = world.begin(&changes(*from, Some(*to), view)).await.unwrap();
        change(&mut world.fixture, &table, &mut random).await;
        if checked % 2 == 0 {
            run_jobs(&world.fixture).await;
        } else {
            run_jobs_with_crashes(&world.fixture).await;
        }
        check_changes(&world, &world.whole(&export).await, (&copies[from], &copies[to])).await;
        checked += 1;
    }
    assert!(checked > 3, "{checked}");
    let from = seconds.iter().rfind(|second| **second + 900 <= world.now()).unwrap();
    let export = world.begin(&changes(*from, None, ExportView::NewAndOld)).await.unwrap();
    let items = copy_of(&world.fixture, "T").await.items;
    world.advance(2);
    change(&mut world.fixture, &table, &mut random).await;
    run_jobs(&world.fixture).await;
    let mut export = world.whole(&export).await;
    export.at_ms += 1000;
    check_changes(&world, &export, (&copies[from], &items)).await;
}

#[tokio::test]
async fn an_export_that_is_stopped_anywhere_and_gone_on_with_is_the_same() {
    let (mut world, copies, mut random) = recorded(3, 20, 3).await;
    let table = Arc::clone(&world.table);
    let (second, items) = copies.iter().nth(7).unwrap();
    let export = world.begin(&full(Some(*second), ExportFormat::Json)).await.unwrap();
    assert!(export.files > 1);
    change(&mut world.fixture, &table, &mut random).await;
    // Files are written by tasks of their own, which are stopped with it.
    assert!(run_jobs_with_crashes(&world.fixture).await >= 1);
    let export = world.whole(&export).await;
    assert_eq!(sorted(world.lines(&export).await), expected(items, ExportFormat::Json));
    let files = world.store.list(&export.folder(), None, 1000).await.unwrap().objects.len();
    assert_eq!(files, 5 + usize::try_from(export.files).unwrap(), "nothing else is left");
    let record = &world.fixture.database.table(&world.fixture.scope, "T").await.unwrap().record.clone();
    assert!(record.logs.holds.is_empty());
}

#[tokio::test]
async fn a_token_stands_for_its_export_for_eight_hours() {
    let (world, ..) = recorded(4, 2, 3).await;
    let request = ExportRequest { token: Some("t".to_owned()), ..full(None, ExportFormat::Json) };
    let export = world.begin(&request).await.unwrap();
    assert_eq!(world.begin(&request).await.unwrap().arn(), export.arn());
    let other = ExportRequest { format: ExportFormat::Ion, ..request.clone() };
    assert_eq!(code(world.begin(&other).await), ErrorCode::ExportConflictException);
    run_jobs(&world.fixture).await;
    assert_eq!(world.begin(&request).await.unwrap().state, ExportState::Completed);
    world.advance(8 * 3600 + 1);
    let again = world.begin(&other).await.unwrap();
    assert_ne!(again.arn(), export.arn());
    run_jobs(&world.fixture).await;
    let listed = async |after: Option<&str>, limit| {
        let page = world.fixture.database.list_exports(&world.fixture.scope, None, after, limit).await.unwrap();
        (page.exports.iter().map(ExportRecord::arn).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(listed(None, 10).await, (vec![again.arn(), export.arn()], false));
    assert_eq!(listed(None, 1).await, (vec![again.arn()], true));
    assert_eq!(listed(Some(&again.arn()), 1).await, (vec![export.arn()], false));
    world.advance(91 * 24 * 3600);
    let mut lease = crate::jobs::Lease::new("test");
    assert!(lease.take(&world.fixture.database).await.unwrap());
    world.fixture.database.forget_exports(&mut lease).await.unwrap();
    assert_eq!(listed(None, 10).await, (Vec::new(), false));
}

#[tokio::test]
async fn exports_are_refused_with_the_codes_of_the_service() {
    let world = World::new().await;
    let begin = async |request: ExportRequest| code(world.begin(&request).await);
    let json = || full(None, ExportFormat::Json);
    assert_eq!(begin(json()).await, ErrorCode::PointInTimeRecoveryUnavailableException);
    let (database, scope) = (&world.fixture.database, &world.fixture.scope);
    assert_eq!(
        code(database.export_table(scope, &scope.table_arn("U"), &json()).await),
        ErrorCode::TableNotFoundException
    );
    database.update_recovery(scope, "T", true, None).await.unwrap();
    world.advance(7200);
    let now = world.now();
    for time in [0, now - 7300, now + 5] {
        assert_eq!(begin(full(Some(time), ExportFormat::Json)).await, ErrorCode::InvalidExportTimeException, "{time}");
    }
    for (from, to) in
        [(now - 899, None), (now - 3600, Some(now - 3500)), (now - 3600, Some(now + 9)), (now, Some(now - 5000))]
    {
        let request = changes(from, to, ExportView::New);
        assert_eq!(begin(request).await, ErrorCode::InvalidExportTimeException, "{from} {to:?}");
    }
    for prefix in ["..", "a/../b", "/a", "a//b", "a\0", &"a/".repeat(500)] {
        let request = ExportRequest { prefix: Some(prefix.to_owned()), ..json() };
        assert_eq!(begin(request).await, ErrorCode::ValidationException, "{prefix}");
    }
    let bad = ExportFilter { filter: Some("a = ".to_owned()), ..ExportFilter::default() };
    assert_eq!(begin(ExportRequest { filter: Some(bad), ..json() }).await, ErrorCode::ValidationException);
    for arn in ["", "x", &scope.table_arn("T"), &format!("{}/export/01", scope.table_arn("T"))] {
        assert_eq!(code(database.describe_export(arn).await), ErrorCode::ExportNotFoundException);
    }
    assert!(matches!(database.list_exports(scope, None, Some("x"), 5).await, Err(Error::Refused(_))));
}

#[tokio::test]
async fn an_export_to_a_bucket_that_is_none_fails_and_says_so() {
    let (world, ..) = recorded(5, 2, 3).await;
    let request = ExportRequest { bucket: "other".to_owned(), ..full(None, ExportFormat::Json) };
    let export = world.begin(&request).await.unwrap();
    for job in crate::backup::tests::jobs(&world.fixture).await {
        world.fixture.database.run_job(&job).await;
    }
    let export = world.fixture.database.describe_export(&export.arn()).await.unwrap();
    let ExportState::Failed(failure) = &export.state else { panic!("{:?}", export.state) };
    assert_eq!(failure.code, "S3NoSuchBucket");
    assert!(export.ended_ms.is_some());
    assert!(is_hopeless(&ObjectError::Forbidden(String::new()).into()));
    world.fixture.database.delete_table(&world.fixture.scope, "T").await.unwrap();
}

#[tokio::test]
async fn a_filter_says_which_items_and_what_of_them() {
    let world = World::new().await;
    for n in 0..30 {
        let attributes = [("n", number(n)), ("rest", AttributeValue::S("x".repeat(40)))];
        world.fixture.put(&world.table, item(&format!("key-{n}"), &attributes)).await;
    }
    world.fixture.database.update_recovery(&world.fixture.scope, "T", true, None).await.unwrap();
    let mut values = AttributeMap::new();
    values.insert(":n", number(27));
    let mut filter = ExportFilter {
        filter: Some("#n > :n".to_owned()),
        projection: Some("#n".to_owned()),
        names: Some(vec![("#n".to_owned(), "n".to_owned())]),
        ..ExportFilter::default()
    };
    filter.set_values(Some(&values));
    let request = ExportRequest { filter: Some(filter), ..full(None, ExportFormat::Json) };
    let export = world.begin(&request).await.unwrap();
    run_jobs(&world.fixture).await;
    let lines = world.lines(&world.whole(&export).await).await;
    let of = |n: u8| format!("{{\"Item\":{{\"n\":{{\"N\":\"{n}\"}}}}}}\n");
    assert_eq!(sorted(lines), BTreeSet::from([of(28), of(29)]));
    let mut values = AttributeMap::new();
    values.insert(":k", AttributeValue::S("key-7".to_owned()));
    let mut filter = ExportFilter {
        key_condition: Some("pk = :k".to_owned()),
        projection: Some("n".to_owned()),
        ..ExportFilter::default()
    };
    filter.set_values(Some(&values));
    let request = ExportRequest { filter: Some(filter), ..full(None, ExportFormat::Json) };
    let export = world.begin(&request).await.unwrap();
    assert_eq!(export.files, 1);
    run_jobs(&world.fixture).await;
    let export = world.whole(&export).await;
    assert_eq!(world.lines(&export).await, [of(7)]);
    assert!(export.bytes < 100, "only one partition was read");
}

#[tokio::test]
async fn an_export_of_an_empty_table_has_a_file_without_lines() {
    let world = World::new().await;
    world.fixture.database.update_recovery(&world.fixture.scope, "T", true, None).await.unwrap();
    let export = world.begin(&full(None, ExportFormat::Ion)).await.unwrap();
    run_jobs(&world.fixture).await;
    let export = world.whole(&export).await;
    assert_eq!(world.lines(&export).await, Vec::<String>::new());
    let data = format!("{}data/", export.folder());
    let listed = world.store.list(&data, None, 10).await.unwrap().objects;
    assert_eq!(listed.len(), 1);
    assert!(listed[0].key.ends_with(".ion.gz"));
}
