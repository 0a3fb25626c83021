//! A database with everything in it, damaged in each way in turn: each has its finding, and whole data has none.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use partita_engine::{Commit, Direction, Freshness, Key, KeyRange, OpenOptions, Position, ScanLimit, Write};
use partita_model::{AttributeMap, AttributeValue, StoredItem};
use tempfile::TempDir;

use super::*;
use crate::backup::BackupStatus;
use crate::history::Moments;
use crate::keyspace::{self, StreamId};
use crate::record::{KeyElement, StreamView};
use crate::stream::tests::{Fixture, item, number};
use crate::table::{seal, unseal};
use crate::tables::{IndexDefinition, ProjectionDefinition, ProjectionKind, StreamDefinition, TableDefinition};
use crate::{BillingMode, Encryption, Keyring, Keys, Mutation, Settings, Table};

/// A database with a table that has both kinds of indexes, a stream, time to live, recovery, and a backup.
struct House {
    fixture: Fixture,
    table: Arc<Table>,
    _directory: TempDir,
}

pub(crate) fn definition() -> TableDefinition {
    let element = |name: &str, partition| KeyElement { name: name.to_owned(), partition };
    let index = |name: &str, key: Vec<KeyElement>, kind, attributes: Option<Vec<String>>| IndexDefinition {
        name: name.to_owned(),
        key,
        projection: ProjectionDefinition { kind: Some(kind), attributes },
        ..IndexDefinition::default()
    };
    let kept = Some(vec!["kept".to_owned()]);
    TableDefinition {
        attributes: ["pk", "sk", "rank", "group"].map(|name| (name.to_owned(), "S".to_owned())).to_vec(),
        key: vec![element("pk", true), element("sk", false)],
        local_indexes: Some(vec![index(
            "by-rank",
            vec![element("pk", true), element("rank", false)],
            ProjectionKind::Include,
            kept,
        )]),
        global_indexes: Some(vec![index("by-group", vec![element("group", true)], ProjectionKind::All, None)]),
        billing: Some(BillingMode::OnDemand),
        stream: Some(StreamDefinition { enabled: true, view: Some(StreamView::NewAndOldImages) }),
        ..TableDefinition::default()
    }
}

fn random_item(random: &mut Rng, now: u64) -> AttributeMap {
    let text = |text: String| AttributeValue::S(text);
    let mut item = item(&format!("key-{}", random.u8(..9)), &[("sk", text(format!("sort-{}", random.u8(..9))))]);
    item.insert("value", number(random.u64(..)));
    for (name, many) in [("rank", 6), ("group", 4), ("kept", 50)] {
        if random.u8(..3) > 0 {
            item.insert(name, text(format!("{name}-{}", random.u8(..many))));
        }
    }
    if random.bool() {
        // Some have expired when they are written.
        item.insert("ttl", number(now + random.u64(..2000) - 500));
    }
    item
}

impl House {
    async fn new(encrypted: bool) -> Self {
        let directory = TempDir::new().unwrap();
        let service = Arc::new(Keyring::at(directory.path().join("keyring")));
        let encryption =
            if encrypted { Encryption::On(Keys { service, trusted_for: Keys::TRUSTED_FOR }) } else { Encryption::Off };
        let opened = Database::open_with(&OpenOptions::memory(), Settings::default(), encryption).await.unwrap();
        let fixture = Fixture { database: opened, ..Fixture::new().await };
        let database = fixture.database.clone();
        database.create_table(&fixture.scope, "T", &definition()).await.unwrap();
        database.update_time_to_live(&fixture.scope, "T", "ttl", true).await.unwrap();
        database.update_recovery(&fixture.scope, "T", true, None).await.unwrap();
        fixture.table("Other", None).await;
        let mut house =
            Self { table: database.table(&fixture.scope, "T").await.unwrap(), fixture, _directory: directory };
        // Time to live was switched on while the table was empty: all items are queued.
        house.record(|record| record.logs.expiry.as_mut().unwrap().building = false).await;
        house.table = database.table(&house.fixture.scope, "T").await.unwrap();
        let (mut random, mut moments) = (Rng::with_seed(70), Moments::default());
        for round in 0..6 {
            house.change(&mut random).await;
            database.mark_moment(&mut moments).await.unwrap();
            database.inner.clock.advance(Duration::from_secs(1));
            if round == 2 {
                house.fixture.split_shard(&house.table, 0, 1 << 63).await;
                house.table = database.table(&house.fixture.scope, "T").await.unwrap();
            }
        }
        database.create_backup(&house.fixture.scope, "T", "B").await.unwrap();
        house.run_jobs().await;
        house
    }

    async fn run_jobs(&self) {
        self.fixture.database.start_recovering();
        for _ in 0..1000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let backups = self.fixture.database.catalogued_backups().await.unwrap();
            if backups.iter().all(|backup| backup.status == BackupStatus::Available) {
                self.fixture.database.stop_recovering().await;
                return;
            }
        }
        panic!("the backup does not come to its end");
    }

    async fn change(&self, random: &mut Rng) {
        let now = self.fixture.database.now_ms() / 1000;
        for _ in 0..20 {
            let item = random_item(random, now);
            let delete = random.u8(..4) == 0;
            let write = self.fixture.write(&self.table, item, Mutation::Put);
            let mutation = if delete { Mutation::Delete } else { write.mutation.clone() };
            self.fixture.database.write(&self.table, crate::SingleWrite { mutation, ..write }).await.unwrap();
        }
    }

    fn id(&self) -> u32 {
        self.table.record.id
    }

    fn space(&self, space: u8) -> Vec<u8> {
        keyspace::table_prefix(space, self.id())
    }

    async fn rows(&self, prefix: impl Into<Key>) -> Vec<(Key, Bytes)> {
        let snapshot = self.fixture.database.snapshot(Freshness::Latest).await.unwrap();
        let range = KeyRange::prefix(prefix.into());
        snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await.unwrap().rows
    }

    async fn first(&self, prefix: impl Into<Key>) -> (Key, Bytes) {
        let prefix = prefix.into();
        self.rows(prefix.clone()).await.into_iter().next().unwrap_or_else(|| panic!("nothing at {prefix:x}"))
    }

    async fn commit(&self, writes: Vec<Write>) {
        let database = &self.fixture.database;
        let read_version = database.snapshot(Freshness::Latest).await.unwrap().version();
        let commit = Commit { read_version, reads: Vec::new(), writes, catalog_changed: true };
        database.store().commit(commit).await.unwrap();
    }

    async fn put(&self, key: impl Into<Key>, value: impl Into<Bytes>) {
        self.commit(vec![Write::Put { key: key.into(), value: value.into() }]).await;
    }

    async fn delete(&self, key: impl Into<Key>) {
        self.commit(vec![Write::Delete { key: key.into() }]).await;
    }

    async fn add(&self, key: Key, delta: i64) {
        self.commit(vec![Write::Add { key, delta }]).await;
    }

    async fn record(&self, change: impl FnOnce(&mut TableRecord)) {
        let mut record = self.table.record.clone();
        let key = keyspace::catalog_key(&record.account, &record.region, &record.name);
        change(&mut record);
        self.put(key, crate::catalog::encode_record(&record).unwrap()).await;
    }

    async fn check(&self) -> Findings {
        let database = &self.fixture.database;
        let mut findings = database.check(CheckProgress::default()).await.unwrap();
        findings.merge(database.check_stored_backups(CheckProgress::default()).await.unwrap());
        findings
    }

    async fn found(&self) -> BTreeSet<Damage> {
        self.check().await.iter().map(|(_, damage, _)| damage).collect()
    }

    /// An item that has all that others are made of.
    async fn full_item(&self) -> (Key, StoredItem) {
        let all = ["rank", "group", "ttl"];
        let rows = self.rows(self.space(keyspace::SPACE_ITEM)).await;
        let items = rows.into_iter().map(|(key, value)| (key, unseal(&value).unwrap()));
        items.into_iter().find(|(_, item)| all.iter().all(|name| item.get(name).is_some())).unwrap()
    }
}

fn changed(item: &StoredItem, name: &str) -> Bytes {
    let mut map = item.to_item();
    map.insert(name, number(7));
    seal(&StoredItem::from_item(&map))
}

#[tokio::test]
async fn whole_data_has_no_findings() {
    for encrypted in [false, true] {
        let house = House::new(encrypted).await;
        let findings = house.check().await;
        assert!(findings.is_empty(), "{findings:?}");
        // Also while a table is restored, and after one was deleted, with the backup that this leaves.
        let none = crate::tables::RestoreOverrides::default();
        let (database, scope) = (&house.fixture.database, &house.fixture.scope);
        let latest = crate::RestorePoint::Latest;
        database.restore_to_point(scope, "T", latest, "R", &none).await.unwrap();
        let findings = house.check().await;
        assert!(findings.is_empty(), "{findings:?}");
        house.run_jobs().await;
        database.delete_table(scope, "Other").await.unwrap();
        let findings = house.check().await;
        assert!(findings.is_empty(), "{findings:?}");
    }
}

#[tokio::test]
async fn every_kind_of_damage_to_items_and_what_is_made_of_them_is_found() {
    use Damage::*;
    for (name, expected) in [
        ("an item of unknown form", vec![Unreadable]),
        ("an item at another's key", vec![MisplacedItem, OrphanEntry]),
        ("no local entry", vec![MissingEntry]),
        ("no global entry", vec![MissingEntry]),
        ("an entry that differs", vec![WrongEntry]),
        ("no item", vec![OrphanEntry, WrongCount, WrongCollection]),
        ("an item more", vec![MissingEntry, WrongCount, WrongCollection, MissingExpiry]),
        ("an entry more", vec![OrphanEntry]),
        ("a count", vec![WrongCount]),
        ("an index's bytes", vec![WrongCount]),
        ("a collection's size", vec![WrongCollection]),
        ("a collection without items", vec![WrongCollection]),
        ("no expiry entry", vec![MissingExpiry]),
        ("a short expiry entry", vec![BrokenExpiry]),
    ] {
        let house = House::new(false).await;
        let (key, item) = house.full_item().await;
        let local = || house.space(keyspace::SPACE_LOCAL_INDEX);
        let global = || house.space(keyspace::SPACE_GLOBAL_INDEX);
        let hash = *key[5..].first_chunk().unwrap();
        let counter = |index| keyspace::counter(house.id(), index, keyspace::Counter::Bytes, &hash);
        match name {
            "an item of unknown form" => house.put(key, vec![9, 9]).await,
            "an item at another's key" => {
                house.delete(key.clone()).await;
                house.put([key.as_ref(), b"x"].concat(), seal(&item)).await;
            }
            "no local entry" => house.delete(house.first(local()).await.0).await,
            "no global entry" => house.delete(house.first(global()).await.0).await,
            "an entry that differs" => {
                let (key, value) = house.first(global()).await;
                house.put(key, changed(&unseal(&value).unwrap(), "value")).await;
            }
            "no item" => house.delete(key).await,
            "an item more" => {
                let mut other = item.to_item();
                other.insert("sk", AttributeValue::S("another".to_owned()));
                let table = &house.table;
                let place = table.key_of_item(&house.fixture.database.key_secret(), &other).unwrap();
                house.put(place.stored, seal(&StoredItem::from_item(&other))).await;
            }
            "an entry more" => {
                let (key, value) = house.first(global()).await;
                let mut other = key.to_vec();
                // Another hash of the group.
                other[7] ^= 1;
                house.put(other, value).await;
            }
            "a count" => {
                house.add(keyspace::counter(house.id(), 0, keyspace::Counter::Items, &hash), 1).await;
            }
            "an index's bytes" => house.add(counter(2), -1).await,
            "a collection's size" => house.add(keyspace::collection(house.id(), &hash), 3).await,
            "a collection without items" => house.add(keyspace::collection(house.id(), &[3; 16]), 3).await,
            "no expiry entry" => {
                for (entry, _) in house.rows(house.space(keyspace::SPACE_EXPIRY)).await {
                    if entry.ends_with(&key[5..]) {
                        house.delete(entry).await;
                    }
                }
            }
            "a short expiry entry" => {
                house.put([keyspace::expiry_queue(house.id(), 1), vec![0, 1]].concat(), Key::new()).await;
            }
            other => panic!("{other}"),
        }
        assert_eq!(house.found().await, expected.into_iter().collect(), "{name}");
    }
}

#[tokio::test]
async fn every_kind_of_damage_to_logs_and_the_catalog_is_found() {
    use Damage::*;
    for (name, expected) in [
        ("no first shard", vec![BrokenShards, MisplacedRecord]),
        ("a shard that was never started", vec![BrokenShards]),
        ("a parent without its end", vec![BrokenShards]),
        ("a record of no shard", vec![MisplacedRecord]),
        ("a record of another shard", vec![MisplacedRecord]),
        ("a record of unknown form", vec![Unreadable]),
        ("a stream without its record", vec![BrokenShards, Leftover]),
        ("a history trimmed too far", vec![BrokenHistory]),
        ("a history entry of unknown form", vec![Unreadable]),
        ("a history that was ended", vec![Leftover]),
        ("a mark out of order", vec![BrokenMoments]),
        ("a count of recovering tables", vec![WrongCount]),
        ("a table that is not there", vec![Leftover]),
        ("an index that is not there", vec![Leftover]),
        ("a job that is not there", vec![Leftover]),
        ("the next table's id", vec![Catalog]),
        ("a table under another name", vec![Catalog, Leftover]),
        ("a record of a table of unknown form", vec![Unreadable, Leftover]),
    ] {
        let house = House::new(false).await;
        let stream = StreamId { table: house.id(), generation: 1 };
        let log = |shard| keyspace::stream_log(stream, shard);
        match name {
            "no first shard" => {
                house.record(|record| record.logs.stream.as_mut().unwrap().shards[0].from = 1 << 62).await;
                // Its own record says so too: what is wrong is that no shard owns the first hashes.
                let (key, _) = house.first(keyspace::shard_fact(stream, 1, keyspace::ShardFact::Start)).await;
                let open = house.table.record.logs.stream.as_ref().unwrap().shards[0].clone();
                let entry =
                    serde_json::json!({"created_ms": open.created_ms, "from": 1_u64 << 62, "parent": open.parent});
                house.put(key, entry.to_string()).await;
            }
            "a shard that was never started" => {
                house.record(|record| record.logs.stream.as_mut().unwrap().shards[1].number = 9).await;
                house.delete(house.first(keyspace::shard(stream, 2)).await.0).await;
                for (key, _) in house.rows(log(2)).await {
                    house.delete(key).await;
                }
            }
            "a parent without its end" => {
                let end = keyspace::shard_fact(stream, 0, keyspace::ShardFact::End);
                house.delete(house.first(end).await.0).await;
            }
            "a record of no shard" | "a record of another shard" => {
                let (key, value) = house.first(log(1)).await;
                let other = if name == "a record of no shard" { 7 } else { 2 };
                house.delete(key.clone()).await;
                house.put([&log(other), &key[key.len() - Position::BYTES..]].concat(), value).await;
            }
            "a record of unknown form" => house.put(house.first(log(1)).await.0, vec![0, 9, 9]).await,
            "a stream without its record" => {
                let record = &house.table.record;
                let prefix = keyspace::stream_catalog_table(&record.account, &record.region, &record.name);
                house.delete(house.first(prefix).await.0).await;
            }
            "a history trimmed too far" => {
                let end = Position::MAX.to_bytes().to_vec();
                house.put(keyspace::history_trimmed(house.id(), 1), end).await;
            }
            "a history entry of unknown form" => {
                house.put(house.first(keyspace::history(house.id(), 1)).await.0, vec![5]).await;
            }
            "a history that was ended" => {
                let (key, value) = house.first(keyspace::history(house.id(), 1)).await;
                let position = &key[key.len() - Position::BYTES..];
                house.put([&keyspace::history(house.id(), 5), position].concat(), value).await;
            }
            "a mark out of order" => {
                let position = Position::MIN.to_bytes();
                house.put([keyspace::moment(u64::MAX >> 1).as_ref(), &position].concat(), Key::new()).await;
            }
            "a count of recovering tables" => house.add(keyspace::recovering_tables(), 1).await,
            "a table that is not there" => {
                house.put(keyspace::table_prefix(keyspace::SPACE_ITEM, 999), vec![0]).await;
            }
            "an index that is not there" => {
                house.put(keyspace::index_prefix(keyspace::SPACE_GLOBAL_INDEX, house.id(), 77), vec![0]).await;
            }
            "a job that is not there" => house.put(keyspace::gathered_images(house.id(), 5), vec![0]).await,
            "the next table's id" => house.put(keyspace::next_table_id(), vec![0, 0, 0, 1]).await,
            "a table under another name" => house.record(|record| record.name = "elsewhere".to_owned()).await,
            "a record of a table of unknown form" => {
                let record = &house.table.record;
                let key = keyspace::catalog_key(&record.account, &record.region, &record.name);
                house.put(key, &b"{}"[..]).await;
            }
            other => panic!("{other}"),
        }
        let found: BTreeSet<Damage> = house.found().await;
        let expected: BTreeSet<Damage> = expected.into_iter().collect();
        // A catalog that is lost makes leftovers of all that it had, and a wrong count of tables that can be recovered.
        assert!(expected.is_subset(&found), "{name}: {found:?}");
        let besides: Vec<&Damage> = found.difference(&expected).collect();
        assert!(besides.is_empty() || expected.contains(&Leftover), "{name}: also {besides:?}");
    }
}

#[tokio::test]
async fn values_that_do_not_open_are_found_wherever_they_are() {
    let house = House::new(true).await;
    let raw = house.fixture.database.store().raw().clone();
    let mut spaces = BTreeSet::new();
    let range = KeyRange::new(Key::from_static(&[1]), Key::from_static(&[0xFF]));
    let page = raw.snapshot(Freshness::Latest).await.unwrap();
    let page = page.scan(&range, Direction::Forward, ScanLimit { rows: 100_000, bytes: 1 << 30 }).await.unwrap();
    for (key, value) in page.rows {
        // Plain ones, and the record that opening begins with, are other tests' subject.
        if value.len() < 43 || key[0] == keyspace::SPACE_META || key[0] == keyspace::SPACE_TABLE_KEYS {
            continue;
        }
        if !spaces.insert(key[0]) {
            continue;
        }
        let mut flipped = value.to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        for bytes in [flipped.into(), value.clone()] {
            let read_version = raw.snapshot(Freshness::Latest).await.unwrap().version();
            let writes = vec![Write::Put { key: key.clone(), value: bytes }];
            let commit = Commit { read_version, reads: Vec::new(), writes, catalog_changed: true };
            raw.commit(commit).await.unwrap();
            let found = house.found().await;
            let restored = house.fixture.database.check(CheckProgress::default()).await.unwrap().is_empty();
            assert!(
                restored || found.contains(&Damage::Unreadable) || found.contains(&Damage::BrokenShards),
                "{key:x}"
            );
            assert!(restored == found.is_empty(), "{key:x}: {found:?}");
        }
        assert!(house.found().await.is_empty());
    }
    assert!(spaces.len() > 8, "{spaces:?}");
}

#[tokio::test]
async fn broken_and_missing_backups_are_found() {
    for encrypted in [false, true] {
        let house = House::new(encrypted).await;
        let backup = house.fixture.database.catalogued_backups().await.unwrap().remove(0);
        let store = house.fixture.database.backup_store().clone();
        let whole = store.get(&backup.id, "block-00000001").await.unwrap().unwrap();
        let mut flipped = whole.to_vec();
        flipped[40] ^= 1;
        store.put(&backup.id, "block-00000001", flipped.into()).await.unwrap();
        assert_eq!(house.found().await, BTreeSet::from([Damage::BrokenBackup]));
        store.put(&backup.id, "block-00000001", whole).await.unwrap();
        assert_eq!(house.found().await, BTreeSet::new());
        store.remove(&backup.id, "manifest").await.unwrap();
        assert_eq!(house.found().await, BTreeSet::from([Damage::MissingBackup]));
    }
}

#[test]
fn findings_of_a_kind_are_counted_and_the_first_told() {
    let mut findings = Findings::default();
    for n in 0..100 {
        findings.add("T", Damage::WrongCount, n.to_string());
    }
    let (place, damage, finding) = findings.iter().next().unwrap();
    assert_eq!((place, damage, finding.count, finding.told.len()), ("T", Damage::WrongCount, 100, 20));
}
