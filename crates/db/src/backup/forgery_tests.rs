//! Backups that somebody else has had in hand: damaged, cut, exchanged and planted. None is taken for what it is not.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fastrand::Rng;
use partita_engine::OpenOptions;
use partita_model::{AttributeValue, ErrorCode};
use tempfile::TempDir;

use super::block::Block;
use super::manifest::{BlockEntry, MANIFEST, Manifest, block_name};
use super::runner::{Failure, lease_of};
use super::tests::{Copy, at_once, change, check_copy, code, copy_of, jobs, run_jobs};
use super::{BackupRecord, BackupStore, StoreError};
use crate::stream::tests::{Fixture, item};
use crate::tables::RestoreOverrides;
use crate::{Database, Encryption, Keyring, Keys, Settings};

/// Databases over one store of backups, with one keyring.
struct Room {
    directory: TempDir,
    backups: BackupStore,
}

impl Room {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), backups: BackupStore::memory() }
    }

    fn encrypted(&self) -> Encryption {
        let service = Arc::new(Keyring::at(self.directory.path().join("keyring")));
        Encryption::On(Keys { service, trusted_for: Keys::TRUSTED_FOR })
    }

    async fn open(&self, encryption: Encryption) -> Fixture {
        let memory = OpenOptions::memory();
        let opened = Database::open_with_backups(&memory, Settings::default(), encryption, self.backups.clone());
        Fixture { database: opened.await.unwrap(), ..Fixture::new().await }
    }

    /// A table with a backup.
    async fn backed_up(&self, encryption: Encryption) -> (Fixture, BackupRecord, Copy) {
        let mut random = Rng::with_seed(30);
        let mut fixture = self.open(encryption).await;
        let table = fixture.table("T", None).await;
        for _ in 0..8 {
            change(&mut fixture, &table, &mut random).await;
        }
        let expected = copy_of(&fixture, "T").await;
        let backup = fixture.database.create_backup(&fixture.scope, "T", "B").await.unwrap();
        run_jobs(&fixture).await;
        let backup = fixture.database.describe_backup(&backup.arn()).await.unwrap();
        (fixture, backup, expected)
    }

    fn files(&self, backup: &str) -> Vec<String> {
        let mut names = vec![MANIFEST.to_owned()];
        names.extend((0..).map(block_name).take_while(|name| self.get(backup, name).is_some()));
        assert!(names.len() > 2, "{names:?}");
        names
    }

    fn get(&self, backup: &str, name: &str) -> Option<Bytes> {
        at_once(self.backups.get(backup, name)).unwrap()
    }

    fn put(&self, backup: &str, name: &str, value: impl Into<Bytes>) {
        at_once(self.backups.put(backup, name, value.into())).unwrap();
    }

    /// Puts a plain manifest in the place of a backup's own.
    fn plant(&self, manifest: &Manifest) {
        at_once(manifest.write(&self.backups, None)).unwrap();
    }
}

async fn restore(fixture: &Fixture, backup: &BackupRecord) -> Result<(), Failure> {
    let none = RestoreOverrides::default();
    fixture.database.restore_from_backup(&fixture.scope, &backup.arn(), "R", &none).await?;
    let record = jobs(fixture).await.remove(0);
    let result = fixture.database.try_job(&mut lease_of(&record), &record).await;
    if result.is_err() {
        fixture.database.run_job(&record).await;
        let described = fixture.database.describe_table(&fixture.scope, "R").await;
        assert_eq!(code(described), ErrorCode::ResourceNotFoundException);
        assert!(jobs(fixture).await.is_empty());
    }
    result
}

fn is_damaged(result: &Result<(), Failure>) -> bool {
    matches!(result, Err(Failure::Store(StoreError::Damaged(_))))
}

/// Bytes with a checksum that fits, as somebody writes them who knows the form.
fn with_checksum(content: &str) -> Vec<u8> {
    format!("{content}\n{}\n", blake3::hash(content.as_bytes()).to_hex()).into_bytes()
}

/// What a manifest says before its checksum.
fn content(manifest: &Bytes) -> String {
    let text = std::str::from_utf8(manifest).unwrap().trim_end();
    text.rsplit_once('\n').unwrap().0.to_owned()
}

#[tokio::test]
async fn every_sampled_flip_in_a_backup_is_noticed_and_leaves_no_table() {
    for encrypted in [false, true] {
        let (mut random, room) = (Rng::with_seed(31), Room::new());
        let encryption = if encrypted { room.encrypted() } else { Encryption::Off };
        let (fixture, backup, _) = room.backed_up(encryption).await;
        for name in room.files(&backup.id) {
            let whole = room.get(&backup.id, &name).unwrap();
            for damage in 0..12 {
                let mut damaged = whole.to_vec();
                match damage {
                    0 => damaged.truncate(random.usize(..whole.len())),
                    _ => damaged[random.usize(..whole.len())] ^= 1 << random.u8(..8),
                }
                room.put(&backup.id, &name, damaged);
                let result = restore(&fixture, &backup).await;
                assert!(is_damaged(&result), "{name}: {result:?}");
            }
            room.put(&backup.id, &name, whole);
        }
        restore(&fixture, &backup).await.unwrap();
    }
}

#[tokio::test]
async fn every_flip_in_a_sealed_manifest_is_noticed_even_when_the_checksum_is_made_to_fit() {
    let (room, mut random) = (Room::new(), Rng::with_seed(32));
    let (fixture, backup, _) = room.backed_up(room.encrypted()).await;
    let whole = room.get(&backup.id, MANIFEST).unwrap();
    let text = content(&whole);
    let sealed_at = text.find('\n').unwrap() + 1;
    let mut noticed = 0;
    for round in 0..300 {
        let mut changed = text.clone().into_bytes();
        // Half of the changes in the line that is not sealed.
        let at = if round % 2 == 0 { random.usize(..sealed_at) } else { random.usize(..changed.len()) };
        changed[at] ^= 1 << random.u8(..7);
        let Ok(changed) = String::from_utf8(changed) else { continue };
        room.put(&backup.id, MANIFEST, with_checksum(&changed));
        match fixture.database.open_backup(&backup.id, None).await {
            Ok(opened) => panic!("opened {:?} flipped at {at}", opened.map(|opened| opened.manifest.backup.id)),
            Err(Failure::Database(_) | Failure::Store(StoreError::Damaged(_))) => noticed += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(noticed > 200, "{noticed}");
    room.put(&backup.id, MANIFEST, whole);
    restore(&fixture, &backup).await.unwrap();
}

#[tokio::test]
async fn a_plain_backup_planted_beside_an_encrypted_database_is_neither_found_nor_restored() {
    let (theirs, room) = (Room::new(), Room::new());
    let (attacker, plain, _) = theirs.backed_up(Encryption::Off).await;
    let (fixture, backup, expected) = room.backed_up(room.encrypted()).await;
    // A whole backup under a name of its own.
    for name in theirs.files(&plain.id) {
        room.put(&plain.id, &name, theirs.get(&plain.id, &name).unwrap());
    }
    assert!(!fixture.database.adopt_backups().await.unwrap());
    assert_eq!(code(fixture.database.describe_backup(&plain.arn()).await), ErrorCode::BackupNotFoundException);
    // In the place of one that the database knows.
    let whole = room.get(&backup.id, MANIFEST).unwrap();
    let opened = attacker.database.open_backup(&plain.id, None).await.unwrap().unwrap();
    let mut planted = opened.manifest.clone();
    planted.backup.id.clone_from(&backup.id);
    room.plant(&planted);
    for (number, _) in planted.blocks.iter().enumerate() {
        let name = block_name(number);
        room.put(&backup.id, &format!("kept-{name}"), room.get(&backup.id, &name).unwrap_or_default());
        room.put(&backup.id, &name, theirs.get(&plain.id, &name).unwrap());
    }
    let result = restore(&fixture, &backup).await;
    assert!(is_damaged(&result), "{result:?}");
    // With the wrapped key that is there for all to see.
    planted.backup.key.clone_from(&backup.key);
    room.plant(&planted);
    let result = restore(&fixture, &backup).await;
    assert!(is_damaged(&result), "{result:?}");
    // And in a new data directory, with the same keys.
    let other = room.open(room.encrypted()).await;
    other.database.adopt_backups().await.unwrap();
    for arn in [plain.arn(), backup.arn()] {
        assert_eq!(code(other.database.describe_backup(&arn).await), ErrorCode::BackupNotFoundException);
    }
    for (number, _) in planted.blocks.iter().enumerate() {
        let name = block_name(number);
        room.put(&backup.id, &name, room.get(&backup.id, &format!("kept-{name}")).unwrap());
    }
    room.put(&backup.id, MANIFEST, whole);
    restore(&fixture, &backup).await.unwrap();
    check_copy(&fixture, "R", &expected, "the real one").await;
}

#[tokio::test]
async fn blocks_of_an_encrypted_backup_can_not_be_left_out_exchanged_or_taken_from_another() {
    let room = Room::new();
    let (fixture, backup, _) = room.backed_up(room.encrypted()).await;
    let other = fixture.database.create_backup(&fixture.scope, "T", "B2").await.unwrap();
    run_jobs(&fixture).await;
    let (first, second) = (block_name(0), block_name(1));
    let whole: Vec<Bytes> = [&first, &second].map(|name| room.get(&backup.id, name).unwrap()).into();
    for (name, value) in [
        (&first, whole[1].clone()),
        (&first, room.get(&other.id, &first).unwrap()),
        (&second, Bytes::new()),
        (&first, {
            let mut block = Block::default();
            block.add(&partita_model::StoredItem::from_item(&item("planted", &[])));
            block.encode()
        }),
    ] {
        room.put(&backup.id, name, value);
        let result = restore(&fixture, &backup).await;
        assert!(is_damaged(&result), "{result:?}");
        room.put(&backup.id, &first, whole[0].clone());
        room.put(&backup.id, &second, whole[1].clone());
    }
    // Another backup's manifest, and the seal of one below the line of another.
    let (mine, others) = (room.get(&backup.id, MANIFEST).unwrap(), room.get(&other.id, MANIFEST).unwrap());
    let crossed = {
        let (mine, others) = (content(&mine), content(&others));
        with_checksum(&format!("{}\n{}", mine.split_once('\n').unwrap().0, others.split_once('\n').unwrap().1))
    };
    for planted in [others, crossed.into()] {
        room.put(&backup.id, MANIFEST, planted);
        let result = restore(&fixture, &backup).await;
        assert!(is_damaged(&result), "{result:?}");
    }
    room.put(&backup.id, MANIFEST, mine);
    restore(&fixture, &backup).await.unwrap();
}

#[tokio::test]
async fn plain_manifests_from_before_are_read_where_the_catalog_vouches_for_them() {
    let room = Room::new();
    let (fixture, backup, expected) = room.backed_up(room.encrypted()).await;
    let opened = fixture.database.open_backup(&backup.id, None).await.unwrap().unwrap();
    // As versions before this one wrote it: plain, with the wrapped key, over sealed blocks.
    room.plant(&opened.manifest);
    restore(&fixture, &backup).await.unwrap();
    check_copy(&fixture, "R", &expected, "plain manifest").await;
    fixture.database.delete_table(&fixture.scope, "R").await.unwrap();
    run_jobs(&fixture).await;
    // With the last block left out it says less than the catalog does.
    let blocks: Vec<BlockEntry> = opened.manifest.blocks[..opened.manifest.blocks.len() - 1].to_vec();
    room.plant(&Manifest::new(opened.manifest.backup.clone(), blocks));
    let result = restore(&fixture, &backup).await;
    assert!(is_damaged(&result), "{result:?}");
    // Where the catalog is lost, nothing vouches for it.
    room.plant(&opened.manifest);
    let other = room.open(room.encrypted()).await;
    other.database.adopt_backups().await.unwrap();
    assert_eq!(code(other.database.describe_backup(&backup.arn()).await), ErrorCode::BackupNotFoundException);
}

#[tokio::test]
async fn a_sealed_manifest_tells_no_names_of_attributes() {
    let room = Room::new();
    let fixture = room.open(room.encrypted()).await;
    let table = fixture.table("T", None).await;
    fixture.put(&table, item("a", &[("group", AttributeValue::S("g".to_owned()))])).await;
    let backup = fixture.database.create_backup(&fixture.scope, "T", "B").await.unwrap();
    run_jobs(&fixture).await;
    let manifest = room.get(&backup.id, MANIFEST).unwrap();
    let text = content(&manifest);
    let (header, sealed) = text.split_once('\n').unwrap();
    let sealed = STANDARD.decode(sealed).unwrap();
    for word in ["by-group", "\"pk\"", "group"] {
        assert!(!header.contains(word));
        assert!(!sealed.windows(word.len()).any(|window| window == word.as_bytes()));
    }
}
