//! Backups and restores against an oracle: copies of a table that were taken while it was written at random.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use partita_engine::OpenOptions;
use partita_model::{AttributeMap, AttributeValue, ErrorCode, StoredItem};

use super::manifest::block_name;
use super::runner::{Failure, lease_of};
use super::*;
use crate::expiry::Left;
use crate::history::Moments;
use crate::stream::tests::{Fixture, item, number};
use crate::tables::{IndexDefinition, ProjectionDefinition, ProjectionKind, ProvisionedUnits, RestoreOverrides};
use crate::{
    BillingMode, Error, KeyElement, Mutation, RecoveryState, Result, ScanRequest, Select, Settings, Table, TableStatus,
    TransactMember,
};

/// What stores in memory answer, which they do at once.
pub(super) fn at_once<T>(answer: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(answer).poll(&mut context) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => panic!("not at once"),
    }
}

/// A table's items and the entries of its index, by the items' keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Copy {
    pub(crate) items: BTreeMap<String, StoredItem>,
    entries: BTreeMap<String, StoredItem>,
}

async fn scanned(fixture: &Fixture, table: &Arc<Table>, index: Option<usize>) -> BTreeMap<String, StoredItem> {
    let request = ScanRequest {
        index,
        filter: None,
        select: Select::All,
        limit: None,
        segment: None,
        start: None,
        consistent: index.is_none(),
    };
    let page = fixture.database.scan(table, &request).await.unwrap();
    assert!(page.last_evaluated.is_none(), "the tables of these tests have one page");
    let key = |item: &StoredItem| match item.to_item().get("pk") {
        Some(AttributeValue::S(pk)) => pk.clone(),
        other => panic!("{other:?}"),
    };
    page.items.into_iter().map(|item| (key(&item), item)).collect()
}

pub(crate) async fn copy_of(fixture: &Fixture, name: &str) -> Copy {
    let table = fixture.database.table(&fixture.scope, name).await.unwrap();
    let has_index = !table.indexes.is_empty();
    Copy {
        items: scanned(fixture, &table, None).await,
        entries: if has_index { scanned(fixture, &table, Some(0)).await } else { BTreeMap::new() },
    }
}

fn random_item(random: &mut Rng, now: u64) -> AttributeMap {
    let pk = format!("key-{}", random.u8(..40));
    let mut item = item(&pk, &[("value", number(random.u64(..)))]);
    if random.bool() {
        item.insert("group", AttributeValue::S(format!("group-{}", random.u8(..5))));
    }
    if random.u8(..5) == 0 {
        item.insert("ttl", number(now + random.u64(1..20)));
    }
    item
}

/// Some random changes: puts, deletes, transactions, expiries.
pub(crate) async fn change(fixture: &mut Fixture, table: &Arc<Table>, random: &mut Rng) {
    let now = fixture.database.now_ms() / 1000;
    for _ in 0..random.u8(..12) {
        let (one, other) = (random_item(random, now), random_item(random, now));
        match random.u8(..10) {
            0..5 => fixture.put(table, one).await,
            5..7 => {
                let Some(AttributeValue::S(pk)) = one.get("pk").cloned() else { panic!() };
                fixture.delete(table, &pk).await;
            }
            _ if one.get("pk") == other.get("pk") => {}
            _ => {
                let member = |write| TransactMember { table: Arc::clone(table), write };
                let members = [
                    member(fixture.write(table, one, Mutation::Put)),
                    member(fixture.write(table, other, |_| Mutation::Delete)),
                ];
                fixture.database.transact_write(&members, None).await.unwrap();
            }
        }
    }
    let jobs = &mut fixture.jobs;
    while fixture.database.expire_items(&mut jobs.lease, &mut jobs.expiry, 1000).await.unwrap() != Left::Nothing {}
}

pub(crate) async fn jobs(fixture: &Fixture) -> Vec<job::JobRecord> {
    let snapshot = fixture.database.snapshot(partita_engine::Freshness::Latest).await.unwrap();
    fixture.database.backup_jobs(&snapshot).await.unwrap()
}

/// Runs what is under way to its end.
pub(crate) async fn run_jobs(fixture: &Fixture) {
    for record in jobs(fixture).await {
        fixture.database.try_job(&mut lease_of(&record), &record).await.unwrap();
    }
    assert_eq!(jobs(fixture).await.len(), 0);
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

/// Tries a job until it succeeds, stopping it at every place in turn.
async fn run_with_crashes(database: &crate::Database, record: &job::JobRecord) -> u32 {
    for polls in 1.. {
        let mut lease = lease_of(record);
        match stopped_after(polls, database.try_job(&mut lease, record)).await {
            Some(Ok(())) => return polls,
            // A commit that was under way at the crash before may come between.
            None | Some(Err(Failure::Database(Error::Contention))) => {}
            Some(Err(other)) => panic!("{other}"),
        }
    }
    panic!("stopped too often")
}

pub(crate) async fn run_jobs_with_crashes(fixture: &Fixture) -> u32 {
    let mut crashes = 0;
    for record in jobs(fixture).await {
        crashes += run_with_crashes(&fixture.database, &record).await;
    }
    assert_eq!(jobs(fixture).await.len(), 0);
    crashes
}

pub(super) async fn restore_to(fixture: &Fixture, second: u64, target: &str) {
    let point = RestorePoint::At(second);
    fixture.database.restore_to_point(&fixture.scope, "T", point, target, &RestoreOverrides::default()).await.unwrap();
}

pub(super) async fn check_copy(fixture: &Fixture, name: &str, expected: &Copy, what: &str) {
    let copy = copy_of(fixture, name).await;
    assert_eq!(copy, *expected, "{what}");
    let described = fixture.database.describe_table(&fixture.scope, name).await.unwrap();
    let bytes =
        |items: &BTreeMap<String, StoredItem>| i64::try_from(items.values().map(StoredItem::size).sum::<usize>());
    let count = |items: &BTreeMap<String, StoredItem>| i64::try_from(items.len()).unwrap();
    let counts = described.counts.table();
    assert_eq!((counts.items, counts.bytes), (count(&copy.items), bytes(&copy.items).unwrap()), "{what}");
    if let Some(index) = described.record.global_indexes.first() {
        let counts = described.counts.index(index.id);
        assert_eq!((counts.items, counts.bytes), (count(&copy.entries), bytes(&copy.entries).unwrap()), "{what}");
    }
}

pub(crate) fn code<T>(result: Result<T>) -> ErrorCode {
    match result {
        Err(Error::Refused(refusal)) => refusal.code,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("not refused"),
    }
}

/// A table with recovery on, and copies of it at the beginnings of seconds.
struct Recorded {
    fixture: Fixture,
    table: Arc<Table>,
    copies: BTreeMap<u64, Copy>,
    random: Rng,
}

impl Recorded {
    async fn new(seed: u64, seconds: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut fixture = Fixture::new().await;
        let table = fixture.table("T", None).await;
        fixture.database.update_time_to_live(&fixture.scope, "T", "ttl", true).await.unwrap();
        change(&mut fixture, &table, &mut random).await;
        fixture.database.update_recovery(&fixture.scope, "T", true, None).await.unwrap();
        let mut moments = Moments::default();
        let mut copies = BTreeMap::new();
        for _ in 0..seconds {
            change(&mut fixture, &table, &mut random).await;
            fixture.database.inner.clock.advance(Duration::from_secs(random.u64(1..4)));
            let second = fixture.database.now_ms() / 1000;
            copies.insert(second, copy_of(&fixture, "T").await);
            fixture.database.mark_moment(&mut moments).await.unwrap();
        }
        Self { fixture, table, copies, random }
    }

    async fn drop_table(&self, name: &str) {
        self.fixture.database.delete_table(&self.fixture.scope, name).await.unwrap();
    }
}

#[tokio::test]
async fn a_table_restored_to_a_second_is_what_it_was_index_by_index() {
    for seed in 0..3 {
        let mut recorded = Recorded::new(seed, 60).await;
        let seconds: Vec<u64> = recorded.copies.keys().copied().collect();
        for _ in 0..17 {
            let second = seconds[recorded.random.usize(..seconds.len())];
            restore_to(&recorded.fixture, second, "R").await;
            run_jobs(&recorded.fixture).await;
            check_copy(&recorded.fixture, "R", &recorded.copies[&second], &format!("seed {seed}, second {second}"))
                .await;
            recorded.drop_table("R").await;
        }
        let table = recorded.fixture.database.table(&recorded.fixture.scope, "T").await.unwrap();
        assert!(table.record.logs.holds.is_empty());
    }
}

#[tokio::test]
async fn restores_that_are_stopped_anywhere_and_gone_on_with_give_the_same() {
    let mut crashes = 0;
    for seed in 10..14 {
        let mut recorded = Recorded::new(seed, 40).await;
        let seconds: Vec<u64> = recorded.copies.keys().copied().collect();
        for _ in 0..4 {
            let second = seconds[recorded.random.usize(..seconds.len())];
            restore_to(&recorded.fixture, second, "R").await;
            // The table goes on being written between request and work.
            change(&mut recorded.fixture, &recorded.table, &mut recorded.random).await;
            crashes += run_jobs_with_crashes(&recorded.fixture).await;
            check_copy(&recorded.fixture, "R", &recorded.copies[&second], &format!("seed {seed}, second {second}"))
                .await;
            recorded.drop_table("R").await;
        }
    }
    assert!(crashes > 20, "{crashes} crashes try nothing");
}

#[tokio::test]
async fn a_mark_that_comes_late_takes_no_change_into_its_second() {
    let mut recorded = Recorded::new(7, 3).await;
    recorded.fixture.database.inner.clock.advance(Duration::from_secs(1));
    let second = recorded.fixture.database.now_ms() / 1000;
    let copy = copy_of(&recorded.fixture, "T").await;
    let table = Arc::clone(&recorded.table);
    change(&mut recorded.fixture, &table, &mut recorded.random).await;
    // The second is still the same, or the process was away and says so now.
    recorded.fixture.database.mark_moment(&mut Moments::default()).await.unwrap();
    restore_to(&recorded.fixture, second, "R").await;
    run_jobs(&recorded.fixture).await;
    check_copy(&recorded.fixture, "R", &copy, "a late mark").await;
}

#[tokio::test]
async fn a_mark_that_was_held_up_takes_no_change_into_an_earlier_second() {
    let mut recorded = Recorded::new(8, 3).await;
    let clock = |recorded: &Recorded, seconds| {
        recorded.fixture.database.inner.clock.advance(Duration::from_secs(seconds));
        recorded.fixture.database.now_ms() / 1000
    };
    let read = clock(&recorded, 1);
    let second = clock(&recorded, 10);
    let copy = copy_of(&recorded.fixture, "T").await;
    let table = Arc::clone(&recorded.table);
    change(&mut recorded.fixture, &table, &mut recorded.random).await;
    assert!(recorded.fixture.database.mark_late(read).await);
    restore_to(&recorded.fixture, second, "R").await;
    run_jobs(&recorded.fixture).await;
    check_copy(&recorded.fixture, "R", &copy, "a mark that was held up").await;
}

#[tokio::test]
async fn a_backup_is_of_the_moment_it_was_asked_for_whatever_is_written_meanwhile() {
    let mut crashes = 0;
    for seed in 20..24 {
        let mut random = Rng::with_seed(seed);
        let mut fixture = Fixture::new().await;
        let table = fixture.table("T", None).await;
        for _ in 0..8 {
            change(&mut fixture, &table, &mut random).await;
        }
        let expected = copy_of(&fixture, "T").await;
        let backup = fixture.database.create_backup(&fixture.scope, "T", "B").await.unwrap();
        assert_eq!(backup.status, BackupStatus::Creating);
        let database = fixture.database.clone();
        let record = jobs(&fixture).await.remove(0);
        // Writers and the backup take turns.
        let work = run_with_crashes(&database, &record);
        let write = async {
            for _ in 0..10 {
                change(&mut fixture, &table, &mut random).await;
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        };
        crashes += tokio::join!(work, write).0;
        let backup = fixture.database.describe_backup(&backup.arn()).await.unwrap();
        assert_eq!(backup.status, BackupStatus::Available);
        assert_eq!(backup.items, i64::try_from(expected.items.len()).unwrap());
        let overrides = RestoreOverrides::default();
        fixture.database.restore_from_backup(&fixture.scope, &backup.arn(), "R", &overrides).await.unwrap();
        assert_eq!(code(fixture.database.delete_backup(&backup.arn()).await), ErrorCode::BackupInUseException);
        crashes += run_jobs_with_crashes(&fixture).await;
        check_copy(&fixture, "R", &expected, &format!("seed {seed}")).await;
        let table = fixture.database.table(&fixture.scope, "T").await.unwrap();
        assert_eq!((table.record.logs.holds.len(), table.record.logs.history), (0, None));
        fixture.database.delete_backup(&backup.arn()).await.unwrap();
        assert_eq!(code(fixture.database.describe_backup(&backup.arn()).await), ErrorCode::BackupNotFoundException);
        assert_eq!(fixture.database.backup_store().backups().await.unwrap(), Vec::<String>::new());
    }
    assert!(crashes > 10, "{crashes} crashes try nothing");
}

#[tokio::test]
async fn a_deleted_table_that_could_be_recovered_is_in_a_system_backup_for_35_days() {
    let mut recorded = Recorded::new(40, 5).await;
    change(&mut recorded.fixture, &recorded.table, &mut recorded.random).await;
    let fixture = &recorded.fixture;
    let expected = copy_of(fixture, "T").await;
    fixture.database.delete_table(&fixture.scope, "T").await.unwrap();
    // The name is free at once.
    fixture.table("T", None).await;
    run_jobs_with_crashes(fixture).await;
    let filter = |kinds| BackupFilter { kinds, limit: 10, ..BackupFilter::default() };
    let listed = fixture.database.list_backups(&fixture.scope, &filter(vec![BackupKind::User])).await.unwrap();
    assert!(listed.backups.is_empty());
    let listed = fixture.database.list_backups(&fixture.scope, &filter(vec![BackupKind::System])).await.unwrap();
    let [backup] = listed.backups.as_slice() else { panic!("{listed:?}") };
    assert_eq!(backup.name, "T$DeletedTableBackup");
    assert_eq!(code(fixture.database.delete_backup(&backup.arn()).await), ErrorCode::ValidationException);
    let overrides = RestoreOverrides::default();
    fixture.database.restore_from_backup(&fixture.scope, &backup.arn(), "R", &overrides).await.unwrap();
    run_jobs(fixture).await;
    check_copy(fixture, "R", &expected, "system backup").await;
    fixture.database.inner.clock.advance(Duration::from_secs(34 * 24 * 60 * 60));
    fixture.database.sweep_backups().await.unwrap();
    fixture.database.describe_backup(&backup.arn()).await.unwrap();
    fixture.database.inner.clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
    fixture.database.sweep_backups().await.unwrap();
    assert_eq!(code(fixture.database.describe_backup(&backup.arn()).await), ErrorCode::BackupNotFoundException);
    // Of the deleted table nothing is left.
    let left = partita_engine::KeyRange::prefix(crate::keyspace::table_prefix(
        crate::keyspace::SPACE_ITEM,
        recorded.table.record.id,
    ));
    let snapshot = fixture.database.snapshot(partita_engine::Freshness::Latest).await.unwrap();
    let page = snapshot.scan(&left, partita_engine::Direction::Forward, partita_engine::ScanLimit::PAGE).await.unwrap();
    assert!(page.rows.is_empty());
}

#[tokio::test]
async fn history_goes_when_it_is_older_than_the_window_and_not_while_it_is_read() {
    let mut recorded = Recorded::new(50, 20).await;
    let (fixture, scope) = (&recorded.fixture, recorded.fixture.scope.clone());
    let entries = async || {
        let snapshot = recorded.fixture.database.snapshot(partita_engine::Freshness::Latest).await.unwrap();
        let range = partita_engine::KeyRange::prefix(crate::keyspace::history(recorded.table.record.id, 1));
        let page = snapshot.scan(&range, partita_engine::Direction::Forward, partita_engine::ScanLimit::PAGE).await;
        page.unwrap().rows.len()
    };
    let all = entries().await;
    assert!(all > 20);
    let mut lease = crate::jobs::Lease::new("history");
    let first = *recorded.copies.keys().next().unwrap();
    fixture.database.trim_histories(&mut lease).await.unwrap();
    assert_eq!(entries().await, all);
    // A restore that was begun holds what it reads.
    restore_to(fixture, first, "R").await;
    fixture.database.update_recovery(&scope, "T", true, Some(1)).await.unwrap();
    fixture.database.inner.clock.advance(Duration::from_secs(24 * 60 * 60));
    fixture.database.trim_histories(&mut lease).await.unwrap();
    assert_eq!(entries().await, all);
    assert_eq!(code(fixture.database.delete_table(&scope, "T").await), ErrorCode::ResourceInUseException);
    run_jobs(fixture).await;
    check_copy(fixture, "R", &recorded.copies[&first], "held").await;
    fixture.database.trim_histories(&mut lease).await.unwrap();
    assert!(entries().await < all);
    let point = RestorePoint::At(first);
    let overrides = RestoreOverrides::default();
    let result = fixture.database.restore_to_point(&scope, "T", point, "R2", &overrides).await;
    assert_eq!(code(result), ErrorCode::InvalidRestoreTimeException);
    // What is left of the window is still true.
    let RecoveryState::Enabled(window) = fixture.database.describe_recovery(&scope, "T").await.unwrap() else {
        panic!()
    };
    assert_eq!(window.days, 1);
    let (earliest, copy) = recorded.copies.range(..=window.earliest).next_back().map(|(s, c)| (*s, c.clone())).unwrap();
    assert!(earliest <= window.earliest);
    restore_to(fixture, window.earliest, "R3").await;
    run_jobs(fixture).await;
    check_copy(fixture, "R3", &copy, "trimmed").await;
    recorded.fixture.database.update_recovery(&scope, "T", false, None).await.unwrap();
    assert_eq!(entries().await, 0);
    change(&mut recorded.fixture, &recorded.table, &mut recorded.random).await;
}

#[tokio::test]
async fn restores_are_refused_with_the_codes_of_the_service() {
    let fixture = Fixture::new().await;
    fixture.table("T", None).await;
    let (database, scope, none) = (&fixture.database, &fixture.scope, RestoreOverrides::default());
    let latest = RestorePoint::Latest;
    let restored = database.restore_to_point(scope, "T", latest, "R", &none).await;
    assert_eq!(code(restored), ErrorCode::PointInTimeRecoveryUnavailableException);
    assert_eq!(
        code(database.restore_to_point(scope, "N", latest, "R", &none).await),
        ErrorCode::TableNotFoundException
    );
    assert_eq!(code(database.update_recovery(scope, "N", true, None).await), ErrorCode::TableNotFoundException);
    assert_eq!(code(database.create_backup(scope, "N", "B").await), ErrorCode::TableNotFoundException);
    database.update_recovery(scope, "T", true, None).await.unwrap();
    let now = database.now_ms() / 1000;
    for second in [now - 60, now + 60] {
        let restored = database.restore_to_point(scope, "T", RestorePoint::At(second), "R", &none).await;
        assert_eq!(code(restored), ErrorCode::InvalidRestoreTimeException, "{second}");
    }
    assert_eq!(
        code(database.restore_to_point(scope, "T", latest, "T", &none).await),
        ErrorCode::TableAlreadyExistsException
    );
    let described = database.restore_to_point(scope, "T", latest, "R", &none).await.unwrap();
    assert_eq!(described.record.status, TableStatus::Creating);
    assert_eq!(code(database.restore_to_point(scope, "T", latest, "R", &none).await), ErrorCode::TableInUseException);
    assert_eq!(code(database.table(scope, "R").await), ErrorCode::ResourceNotFoundException);
    assert_eq!(code(database.delete_table(scope, "R").await), ErrorCode::ResourceInUseException);
    assert_eq!(
        code(database.update_recovery(scope, "R", true, None).await),
        ErrorCode::ContinuousBackupsUnavailableException
    );
    assert_eq!(code(database.create_backup(scope, "R", "B").await), ErrorCode::ContinuousBackupsUnavailableException);
    run_jobs(&fixture).await;
    database.table(scope, "R").await.unwrap();
    let backup = database.create_backup(scope, "T", "B").await.unwrap();
    assert_eq!(code(database.delete_backup(&backup.arn()).await), ErrorCode::BackupInUseException);
    assert_eq!(
        code(database.restore_from_backup(scope, &backup.arn(), "Q", &none).await),
        ErrorCode::BackupInUseException
    );
    let other = backup.arn().replace("table/T/", "table/U/");
    for arn in [other.as_str(), "arn:aws:dynamodb:eu-west-1:000000000000:table/T/backup/../../x", "B"] {
        assert_eq!(code(database.describe_backup(arn).await), ErrorCode::BackupNotFoundException, "{arn}");
    }
}

#[tokio::test]
async fn a_restored_table_has_the_indexes_and_the_throughput_that_were_asked_for() {
    let mut random = Rng::with_seed(60);
    let mut fixture = Fixture::new().await;
    let table = fixture.table("T", None).await;
    change(&mut fixture, &table, &mut random).await;
    change(&mut fixture, &table, &mut random).await;
    let (database, scope) = (&fixture.database, &fixture.scope);
    let expected = copy_of(&fixture, "T").await;
    let arn = database.create_backup(scope, "T", "B").await.unwrap().arn();
    run_jobs(&fixture).await;
    let units = ProvisionedUnits { read: 5, write: 6 };
    let without = RestoreOverrides {
        billing: Some(BillingMode::Provisioned),
        throughput: Some(units),
        global_indexes: Some(Vec::new()),
        ..RestoreOverrides::default()
    };
    database.restore_from_backup(scope, &arn, "without", &without).await.unwrap();
    let index = |name: &str, key: &str| IndexDefinition {
        name: name.to_owned(),
        key: vec![KeyElement { name: key.to_owned(), partition: true }],
        projection: ProjectionDefinition { kind: Some(ProjectionKind::All), attributes: None },
        throughput: Some(units),
        ..IndexDefinition::default()
    };
    let with = RestoreOverrides { global_indexes: Some(vec![index("by-group", "group")]), ..without.clone() };
    database.restore_from_backup(scope, &arn, "with", &with).await.unwrap();
    for wrong in [index("by-other", "group"), index("by-group", "pk")] {
        let overrides = RestoreOverrides { global_indexes: Some(vec![wrong]), ..without.clone() };
        assert_eq!(
            code(database.restore_from_backup(scope, &arn, "wrong", &overrides).await),
            ErrorCode::ValidationException
        );
    }
    run_jobs(&fixture).await;
    let described = database.describe_table(scope, "without").await.unwrap().record;
    assert_eq!((described.throughput.read, described.throughput.write), (5, 6));
    assert_eq!((described.attributes.len(), described.global_indexes.len()), (1, 0));
    check_copy(&fixture, "without", &Copy { items: expected.items.clone(), ..Copy::default() }, "without").await;
    check_copy(&fixture, "with", &expected, "with").await;
}

#[tokio::test]
async fn a_backup_of_the_store_is_found_again_after_the_data_is_lost() {
    let store = BackupStore::memory();
    let lost = crate::Database::open_with_backups(
        &OpenOptions::memory(),
        Settings::default(),
        crate::Encryption::Off,
        store.clone(),
    )
    .await
    .unwrap();
    let fixture = Fixture { database: lost, ..Fixture::new().await };
    let table = fixture.table("T", None).await;
    fixture.put(&table, item("a", &[("group", AttributeValue::S("g".to_owned()))])).await;
    let expected = copy_of(&fixture, "T").await;
    let arn = fixture.database.create_backup(&fixture.scope, "T", "B").await.unwrap().arn();
    run_jobs(&fixture).await;
    let new =
        crate::Database::open_with_backups(&OpenOptions::memory(), Settings::default(), crate::Encryption::Off, store)
            .await
            .unwrap();
    let fixture = Fixture { database: new, ..Fixture::new().await };
    fixture.database.adopt_backups().await.unwrap();
    fixture.database.restore_from_backup(&fixture.scope, &arn, "R", &RestoreOverrides::default()).await.unwrap();
    run_jobs(&fixture).await;
    check_copy(&fixture, "R", &expected, "adopted").await;
}

#[tokio::test]
async fn backups_of_an_encrypted_database_are_encrypted_and_need_its_root_keys() {
    let directory = tempfile::TempDir::new().unwrap();
    let keys = || crate::Keys {
        service: Arc::new(crate::Keyring::at(directory.path().join("keyring"))),
        trusted_for: crate::Keys::TRUSTED_FOR,
    };
    let store = BackupStore::memory();
    let open = async |encryption| {
        let memory = OpenOptions::memory();
        let opened = crate::Database::open_with_backups(&memory, Settings::default(), encryption, store.clone());
        Fixture { database: opened.await.unwrap(), ..Fixture::new().await }
    };
    let fixture = open(crate::Encryption::On(keys())).await;
    let table = fixture.table("T", None).await;
    fixture.database.update_recovery(&fixture.scope, "T", true, None).await.unwrap();
    let secret = "nobody may read this in a block";
    for n in 0..30 {
        fixture.put(&table, item(&format!("key-{n}"), &[("group", AttributeValue::S(secret.to_owned()))])).await;
    }
    let expected = copy_of(&fixture, "T").await;
    let arn = fixture.database.create_backup(&fixture.scope, "T", "B").await.unwrap().arn();
    let none = RestoreOverrides::default();
    fixture.database.restore_to_point(&fixture.scope, "T", RestorePoint::Latest, "P", &none).await.unwrap();
    for n in 0..30 {
        fixture.delete(&table, &format!("key-{n}")).await;
    }
    run_jobs_with_crashes(&fixture).await;
    check_copy(&fixture, "P", &expected, "history").await;
    let id = fixture.database.describe_backup(&arn).await.unwrap().id;
    for block in (0..).map(block_name).map_while(|name| at_once(store.get(&id, &name)).unwrap()) {
        assert!(!block.windows(secret.len()).any(|window| window == secret.as_bytes()));
        assert!(block::decode(&block).is_err(), "a block is not sealed");
    }
    // A deleted table's items are read once more, for the backup of the system.
    fixture.database.delete_table(&fixture.scope, "P").await.unwrap();
    fixture.database.delete_table(&fixture.scope, "T").await.unwrap();
    run_jobs(&fixture).await;
    fixture.database.restore_from_backup(&fixture.scope, &arn, "R", &none).await.unwrap();
    run_jobs(&fixture).await;
    check_copy(&fixture, "R", &expected, "encrypted").await;
    for (encryption, restores) in [(crate::Encryption::On(keys()), true), (crate::Encryption::Off, false)] {
        let other = open(encryption).await;
        other.database.adopt_backups().await.unwrap();
        let restored = other.database.restore_from_backup(&other.scope, &arn, "R", &none).await;
        if restores {
            run_jobs(&other).await;
            check_copy(&other, "R", &expected, "elsewhere").await;
        } else {
            assert_eq!(code(restored), ErrorCode::BackupNotFoundException);
        }
    }
}

#[tokio::test]
async fn the_background_takes_backups_and_restores_by_itself() {
    let fixture = Fixture::new().await;
    let table = fixture.table("T", None).await;
    fixture.database.start_background(crate::JobOptions::default());
    fixture.database.update_recovery(&fixture.scope, "T", true, Some(7)).await.unwrap();
    fixture.put(&table, item("a", &[])).await;
    let arn = fixture.database.create_backup(&fixture.scope, "T", "B").await.unwrap().arn();
    let overrides = RestoreOverrides::default();
    fixture.database.restore_to_point(&fixture.scope, "T", RestorePoint::Latest, "R", &overrides).await.unwrap();
    for _ in 0..500 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let backup = fixture.database.describe_backup(&arn).await.unwrap();
        let table = fixture.database.describe_table(&fixture.scope, "R").await.unwrap();
        if backup.status == BackupStatus::Available && table.record.status == TableStatus::Active {
            assert_eq!(copy_of(&fixture, "R").await, copy_of(&fixture, "T").await);
            fixture.database.close().await.unwrap();
            return;
        }
    }
    panic!("neither backup nor restore came to its end");
}
