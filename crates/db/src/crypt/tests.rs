//! Encrypted databases on disk: what opens with which keys, what is found of damage, and keys that change or are refused.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use partita_engine::{Direction, KeyRange, OpenOptions, ScanLimit, Store};
use partita_model::{AttributeMap, AttributeValue, ErrorCode};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::error::{Error, Result};
use crate::record::{BillingMode, KeyElement};
use crate::scope::Scope;
use crate::tables::{EncryptionDefinition, TableChange, TableDefinition};
use crate::{Database, Mutation, OpenError, ReturnValues, Settings, SingleWrite, keyspace};

fn scope() -> Scope {
    Scope { account: "000000000000".into(), region: "us-east-1".into() }
}

fn keys(service: impl KeyService) -> Keys {
    Keys { service: Arc::new(service), trusted_for: Keys::TRUSTED_FOR }
}

async fn opened(data: &OpenOptions, encryption: Encryption) -> std::result::Result<Database, OpenError> {
    Database::open_with(data, Settings::default(), encryption).await
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn data(&self) -> OpenOptions {
        OpenOptions::directory(self.0.path().join("data"))
    }

    fn keyring(&self) -> Keyring {
        Keyring::at(self.0.path().join("keyring"))
    }

    async fn open(&self) -> Database {
        opened(&self.data(), Encryption::WhenNew(keys(self.keyring()))).await.unwrap()
    }
}

fn definition(key_id: Option<&str>) -> TableDefinition {
    TableDefinition {
        attributes: vec![("id".to_owned(), "S".to_owned())],
        key: vec![KeyElement { name: "id".to_owned(), partition: true }],
        billing: Some(BillingMode::OnDemand),
        encryption: key_id.map(encryption),
        ..TableDefinition::default()
    }
}

fn encryption(key_id: &str) -> EncryptionDefinition {
    EncryptionDefinition { enabled: Some(true), kind: Some("KMS".to_owned()), key_id: Some(key_id.to_owned()) }
}

fn item(id: &str) -> AttributeMap {
    let pairs = [("id", id), ("secret", "planted-words")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())));
    AttributeMap::from_pairs(pairs.to_vec()).unwrap()
}

async fn put(database: &Database, table: &str, id: &str) -> Result<()> {
    let table = database.table(&scope(), table).await?;
    let write = SingleWrite {
        key: table.key_of_item(&database.key_secret(), &item(id))?,
        mutation: Mutation::Put(item(id)),
        condition: None,
        returns: ReturnValues::None,
        item_on_failure: false,
    };
    database.write(&table, write).await.map(drop)
}

async fn get(database: &Database, table: &str, id: &str) -> Result<Option<AttributeMap>> {
    let table = database.table(&scope(), table).await?;
    let key = table.key_of_item(&database.key_secret(), &item(id))?;
    Ok(database.get(&table, &key, None, true).await?.item.map(|item| item.to_item()))
}

fn refusal(result: Result<impl Sized>) -> (ErrorCode, String) {
    match result {
        Err(Error::Refused(refusal)) => (refusal.code, refusal.message.into_owned()),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("no error"),
    }
}

fn holds(directory: &Path, words: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            holds(&path, words)
        } else {
            fs::read(path).unwrap().windows(words.len()).any(|at| at == words)
        }
    })
}

#[tokio::test]
async fn an_encrypted_database_opens_with_its_keyring_alone() {
    let place = Place::new();
    let database = place.open().await;
    database.create_table(&scope(), "t", &definition(None)).await.unwrap();
    put(&database, "t", "a").await.unwrap();
    database.close().await.unwrap();
    drop(database);
    let database = place.open().await;
    assert_eq!(get(&database, "t", "a").await.unwrap(), Some(item("a")));
    database.close().await.unwrap();
    drop(database);
    assert!(!holds(&place.0.path().join("data"), b"planted-words"));

    let without = Database::open(&place.data()).await.err().unwrap();
    assert!(matches!(without, OpenError::Encrypted), "{without}");
    let elsewhere = place.0.path().join("elsewhere");
    let other = Encryption::On(keys(Keyring::at(&elsewhere)));
    let missing = opened(&place.data(), other).await.err().unwrap().to_string();
    assert!(missing.contains("is not there") && missing.contains("--keyring"), "{missing}");
    assert!(!elsewhere.exists(), "no new keyring over encrypted data");
    let stranger = Place::new();
    stranger.open().await;
    let wrong = Encryption::On(keys(stranger.keyring()));
    let wrong = opened(&place.data(), wrong).await.err().unwrap().to_string();
    assert!(wrong.contains("NotFoundException"), "{wrong}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_may_read_a_keyring() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.open().await;
    let mode = || fs::metadata(place.keyring().path()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    let (draft, victim) = (place.0.path().join("keyring.new"), place.0.path().join("victim"));
    std::os::unix::fs::symlink(&victim, &draft).unwrap();
    place.keyring().rotate("aws/dynamodb").unwrap();
    assert_eq!(mode(), 0o600);
    assert!(!victim.exists(), "a link in the way is not followed");
    for open in [0o640, 0o604] {
        fs::set_permissions(place.keyring().path(), fs::Permissions::from_mode(open)).unwrap();
        let refused = opened(&place.data(), Encryption::On(keys(place.keyring()))).await.err().unwrap().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }
}

/// Changes a store behind the database's back.
async fn tamper(place: &Place, writes: impl FnOnce(Value, Value) -> Vec<partita_engine::Write>) {
    let store = Store::open(&place.data()).unwrap();
    let snapshot = store.snapshot(partita_engine::Freshness::Latest).await.unwrap();
    let json =
        |bytes: Option<partita_engine::Value>| serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default();
    let vault = json(snapshot.get(&keyspace::vault()).await.unwrap());
    let table = json(snapshot.get(&keyspace::table_keys(1)).await.unwrap());
    drop(snapshot);
    let commit = partita_engine::Commit { writes: writes(vault, table), ..partita_engine::Commit::default() };
    store.commit(commit).await.unwrap();
    store.close().await.unwrap();
}

fn put_json(key: partita_engine::Key, value: &Value) -> Vec<partita_engine::Write> {
    vec![partita_engine::Write::Put { key, value: serde_json::to_vec(value).unwrap().into() }]
}

#[tokio::test]
async fn that_a_database_began_plain_can_not_be_claimed_later() {
    let place = Place::new();
    place.open().await.close().await.unwrap();
    tamper(&place, |mut vault, _| {
        assert_eq!(vault["keys"]["context"]["partita:began"], "sealed");
        vault["keys"]["context"]["partita:began"] = "plain".into();
        vault["began_plain"] = true.into();
        put_json(keyspace::vault(), &vault)
    })
    .await;
    let on = Encryption::WhenNew(keys(place.keyring()));
    let refused = opened(&place.data(), on).await.err().unwrap().to_string();
    assert!(refused.contains("InvalidCiphertextException"), "{refused}");
}

#[tokio::test]
async fn a_database_with_a_keyring_but_no_record_of_keys_is_refused() {
    let place = Place::new();
    place.open().await.close().await.unwrap();
    tamper(&place, |_, _| {
        vec![
            partita_engine::Write::Delete { key: keyspace::vault() },
            partita_engine::Write::Put { key: keyspace::hash_secret(), value: vec![7; 32].into() },
        ]
    })
    .await;
    let refused = opened(&place.data(), Encryption::WhenNew(keys(place.keyring()))).await.err().unwrap().to_string();
    assert!(refused.contains("--encryption on"), "{refused}");
    let off = opened(&place.data(), Encryption::Off).await.unwrap();
    off.close().await.unwrap();
}

#[tokio::test]
async fn a_table_opens_with_its_own_key_record_only() {
    let place = Place::new();
    let database = place.open().await;
    for table in ["t", "u"] {
        database.create_table(&scope(), table, &definition(None)).await.unwrap();
        put(&database, table, "a").await.unwrap();
    }
    database.close().await.unwrap();
    drop(database);
    tamper(&place, |_, first| put_json(keyspace::table_keys(2), &first)).await;
    let database = place.open().await;
    assert_eq!(get(&database, "t", "a").await.unwrap(), Some(item("a")));
    let Err(Error::Internal(message)) = get(&database, "u", "a").await else { panic!("opened") };
    assert!(message.contains("not its own"), "{message}");
    assert!(put(&database, "u", "b").await.is_err(), "nothing is sealed under another table's key");
}

#[tokio::test]
async fn keys_for_purposes_change_when_encryption_begins_and_stay_over_rotations() {
    let place = Place::new();
    let database = Database::open(&place.data()).await.unwrap();
    let plain = database.purpose_key("p");
    database.close().await.unwrap();
    drop(database);
    let database = opened(&place.data(), Encryption::On(keys(place.keyring()))).await.unwrap();
    let sealed = database.purpose_key("p");
    assert_ne!(plain, sealed);
    place.keyring().rotate("aws/dynamodb").unwrap();
    database.inner.store.cipher().unwrap().rewrap_all().await.unwrap();
    database.close().await.unwrap();
    drop(database);
    assert_eq!(place.open().await.purpose_key("p"), sealed);
}

#[tokio::test]
async fn plain_data_stays_readable_and_is_sealed_as_it_is_written() {
    let place = Place::new();
    let database = Database::open(&place.data()).await.unwrap();
    database.create_table(&scope(), "t", &definition(None)).await.unwrap();
    put(&database, "t", "old").await.unwrap();
    database.close().await.unwrap();
    drop(database);
    let database = place.open().await;
    assert!(!database.is_encrypted(), "nobody asked for it");
    assert!(!place.keyring().path().exists());
    database.close().await.unwrap();
    drop(database);
    let on = Encryption::On(keys(place.keyring()));
    let database = opened(&place.data(), on).await.unwrap();
    put(&database, "t", "new").await.unwrap();
    for id in ["old", "new"] {
        assert_eq!(get(&database, "t", id).await.unwrap(), Some(item(id)));
    }
    let raw = database.inner.store.raw().snapshot(partita_engine::Freshness::Latest).await.unwrap();
    let items = KeyRange::prefix(keyspace::table_prefix(keyspace::SPACE_ITEM, 1));
    let rows = raw.scan(&items, Direction::Forward, ScanLimit::PAGE).await.unwrap().rows;
    assert_eq!(rows.iter().filter(|(_, value)| value[0] == 0).count(), 1, "the old one");
    assert_eq!(rows.iter().filter(|(_, value)| value[0] == 1).count(), 1, "the new one");
    let secret = raw.get(&keyspace::hash_secret()).await.unwrap().unwrap();
    assert_ne!(secret.len(), 32, "the secret is sealed at once");
}

#[tokio::test]
async fn swapped_and_changed_and_plain_values_are_detected() {
    let place = Place::new();
    let database = place.open().await;
    for table in ["t", "u"] {
        database.create_table(&scope(), table, &definition(None)).await.unwrap();
        for id in ["a", "b"] {
            put(&database, table, id).await.unwrap();
        }
    }
    database.close().await.unwrap();
    drop(database);
    let store = Store::open(&place.data()).unwrap();
    let snapshot = store.snapshot(partita_engine::Freshness::Latest).await.unwrap();
    let items = |table| KeyRange::prefix(keyspace::table_prefix(keyspace::SPACE_ITEM, table));
    let rows = snapshot.scan(&items(1), Direction::Forward, ScanLimit::PAGE).await.unwrap().rows;
    let others = snapshot.scan(&items(2), Direction::Forward, ScanLimit::PAGE).await.unwrap().rows;
    let ((first, one), (second, other)) = (rows[0].clone(), rows[1].clone());
    let mut flipped = one.to_vec();
    flipped[40] ^= 1;
    let mut plain = one.to_vec();
    plain[0] = 0;
    drop(snapshot);
    store.close().await.unwrap();
    drop(store);
    for (what, key, value) in [
        ("of another item", &first, other.clone()),
        ("of another table", &second, others[0].1.clone()),
        ("with a flipped bit", &first, flipped.into()),
        ("as if it were plain", &first, plain.into()),
        ("cut", &first, one.slice(..60)),
        ("empty", &first, partita_engine::Value::new()),
    ] {
        let store = Store::open(&place.data()).unwrap();
        let good = store.snapshot(partita_engine::Freshness::Latest).await.unwrap().get(key).await.unwrap().unwrap();
        let write = |value| partita_engine::Commit {
            writes: vec![partita_engine::Write::Put { key: key.clone(), value }],
            ..partita_engine::Commit::default()
        };
        store.commit(write(value)).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        let database = place.open().await;
        let mut failures = 0;
        for id in ["a", "b"] {
            match get(&database, "t", id).await {
                Ok(found) => assert_eq!(found, Some(item(id)), "{what}: wrong data"),
                Err(Error::Internal(message)) => {
                    assert!(message.contains("damaged") && !message.contains("planted"), "{message}");
                    failures += 1;
                }
                Err(other) => panic!("{what}: {other}"),
            }
        }
        assert_eq!(failures, 1, "{what}");
        database.close().await.unwrap();
        drop(database);
        let store = Store::open(&place.data()).unwrap();
        store.commit(write(good)).await.unwrap();
        store.close().await.unwrap();
    }
}

/// A keyring that fails after some wrappings, as if the power went.
struct Failing {
    keyring: Keyring,
    left: Arc<AtomicUsize>,
}

impl KeyService for Failing {
    fn kind(&self) -> &'static str {
        "keyring"
    }
    fn prepare(&self, new: bool) -> KeyAnswer<'_, ()> {
        self.keyring.prepare(new)
    }
    fn resolve<'a>(&'a self, key_id: &'a str) -> KeyAnswer<'a, String> {
        self.keyring.resolve(key_id)
    }
    fn arn(&self, root: Option<&str>, scope: &Scope) -> String {
        self.keyring.arn(root, scope)
    }
    fn generate<'a>(&'a self, root: Option<&'a str>, of: &'a KeyContext) -> KeyAnswer<'a, (DataKey, WrappedKey)> {
        self.keyring.generate(root, of)
    }
    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a KeyContext) -> KeyAnswer<'a, DataKey> {
        self.keyring.unwrap(wrapped, context)
    }
    fn rewrap<'a>(
        &'a self,
        wrapped: &'a WrappedKey,
        root: Option<&'a str>,
        context: &'a KeyContext,
    ) -> KeyAnswer<'a, WrappedKey> {
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            return Box::pin(async { Err(KeyError::Unreachable("gone".to_owned())) });
        }
        self.keyring.rewrap(wrapped, root, context)
    }
    fn is_newest(&self, wrapped: &WrappedKey, root: Option<&str>) -> bool {
        self.keyring.is_newest(wrapped, root)
    }
    fn has_changed(&self) -> bool {
        self.keyring.has_changed()
    }
}

#[tokio::test]
async fn a_rotation_that_stops_in_the_middle_is_gone_on_with() {
    let place = Place::new();
    let database = place.open().await;
    let names: Vec<String> = (0..9).map(|at| format!("t{at}")).collect();
    for name in &names {
        database.create_table(&scope(), name, &definition(None)).await.unwrap();
        put(&database, name, "a").await.unwrap();
    }
    database.close().await.unwrap();
    drop(database);
    place.keyring().rotate("aws/dynamodb").unwrap();
    for (left, expected) in [(4, None), (3, None), (100, Some(3)), (100, Some(0))] {
        let service = Failing { keyring: place.keyring(), left: Arc::new(AtomicUsize::new(left)) };
        let database = opened(&place.data(), Encryption::On(keys(service))).await.unwrap();
        let cipher = database.inner.store.cipher().unwrap();
        assert_eq!(cipher.rewrap_all().await.ok(), expected);
        for name in &names {
            assert_eq!(get(&database, name, "a").await.unwrap(), Some(item("a")));
        }
        database.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_table_whose_key_is_disabled_is_inaccessible_until_it_is_enabled_again() {
    let place = Place::new();
    let database = place.open().await;
    let keyring = place.keyring();
    let key = keyring.add("alias/app").unwrap();
    let cipher = database.inner.store.cipher().unwrap();
    assert!(cipher.service.has_changed());
    let unknown = database.create_table(&scope(), "t", &definition(Some("alias/none"))).await;
    let expected =
        "KMS validation error: com.amazonaws.services.kms.model.NotFoundException: Key 'alias/none' does not exist";
    assert_eq!(refusal(unknown), (ErrorCode::ValidationException, expected.to_owned()));
    for name in ["t", "u"] {
        let key_id = (name == "t").then_some("alias/app");
        database.create_table(&scope(), name, &definition(key_id)).await.unwrap();
        put(&database, name, "a").await.unwrap();
    }
    let described = database.describe_table(&scope(), "t").await.unwrap();
    assert_eq!(described.key.arn.unwrap(), format!("arn:aws:kms:us-east-1:000000000000:key/{}", key.id));

    keyring.set_enabled("app", false).unwrap();
    assert!(cipher.service.has_changed());
    cipher.check_keys(true).await;
    let told = format!(
        "KMS validation error: com.amazonaws.services.kms.model.DisabledException: key/{} is disabled.",
        key.id
    );
    assert_eq!(refusal(get(&database, "t", "a").await), (ErrorCode::ValidationException, told.clone()));
    assert_eq!(refusal(get(&database, "t", "absent").await).1, told, "though nothing would be opened");
    assert_eq!(refusal(put(&database, "t", "b").await).1, told);
    assert_eq!(get(&database, "u", "a").await.unwrap(), Some(item("a")), "other tables go on");
    let state = database.describe_table(&scope(), "t").await.unwrap().key;
    assert!(state.inaccessible_since_ms.is_some());

    keyring.set_enabled("app", true).unwrap();
    assert!(cipher.service.has_changed());
    cipher.check_keys(true).await;
    assert_eq!(get(&database, "t", "a").await.unwrap(), Some(item("a")));
    assert_eq!(database.describe_table(&scope(), "t").await.unwrap().key.inaccessible_since_ms, None);
}

#[tokio::test]
async fn changing_a_tables_root_key_wraps_its_data_key_anew() {
    let place = Place::new();
    let database = place.open().await;
    let keyring = place.keyring();
    let key = keyring.add("app").unwrap();
    let cipher = database.inner.store.cipher().unwrap();
    assert!(cipher.service.has_changed());
    database.create_table(&scope(), "t", &definition(None)).await.unwrap();
    put(&database, "t", "a").await.unwrap();
    let before = cipher.stored_keys(1).await.unwrap().unwrap();
    let change = TableChange { encryption: Some(encryption(&key.id)), ..TableChange::default() };
    let answer = database.update_table(&scope(), "t", &change).await.unwrap();
    assert!(answer.key.updating);
    let after = cipher.stored_keys(1).await.unwrap().unwrap();
    assert_eq!((before.root.as_deref(), after.root.as_deref()), (None, Some(key.id.as_str())));
    assert_eq!(after.versions[0].root, key.id);
    let context = HashMap::<String, String>::from_iter(after.context);
    assert_eq!(context["aws:dynamodb:tableName"], "t");
    database.close().await.unwrap();
    drop((database, cipher));
    let database = place.open().await;
    assert_eq!(get(&database, "t", "a").await.unwrap(), Some(item("a")));
}
