//! Data directories of every format there has been open in this version, and those of a newer one are refused.
//!
//! A fixture is a directory as a server left it that was killed: tables, indexes, a stream, times to live, recovery, tags, a
//! backup, two changes in the journal alone; encrypted, with its keyring, which protects nothing but this test.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test judges by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use partita_proof::server::{Server, Setting};
use partita_proof::wire::{Client, Outcome, scan};
use serde_json::{Value, json};

/// What fixtures hold: 40 items were put, then one was deleted and one changed.
const PUT: usize = 40;

/// A copy of a fixture, closed to others as a data directory is.
fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if path.is_dir() {
            copied(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

fn fixtures() -> Vec<std::path::PathBuf> {
    let all = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")).unwrap();
    all.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn directories_of_every_format_open_with_all_they_hold() {
    let fixtures = fixtures();
    assert!(!fixtures.is_empty());
    for fixture in fixtures {
        let home = tempfile::tempdir().unwrap();
        copied(&fixture, home.path());
        let server = Server::start(Setting::directory(&home.path().join("data"))).unwrap();
        let mut client = Client::new(server.address());
        let items = scan(&mut client, "Fixture", None);
        assert_eq!(items.len(), PUT - 1, "{}", fixture.display());
        let changed: Vec<&Value> = items.iter().filter(|item| item["changed"]["BOOL"] == true).collect();
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0]["m"]["M"]["list"]["L"], json!([{"N": "1.5"}, {"BOOL": true}, {"NULL": true}]));
        for index in ["ByG", "ByL"] {
            assert_eq!(scan(&mut client, "Fixture", Some(index)).len(), PUT - 1, "{index}");
        }
        let table = client.call("DescribeTable", &json!({"TableName": "Fixture"})).done()["Table"].clone();
        assert_eq!((&table["ItemCount"], &table["TableStatus"]), (&json!(PUT - 1), &json!("ACTIVE")));
        let tags = client.call("ListTagsOfResource", &json!({"ResourceArn": table["TableArn"]})).done();
        assert_eq!(tags["Tags"], json!([{"Key": "of", "Value": "fixture"}]));
        let expiry = client.call("DescribeTimeToLive", &json!({"TableName": "Fixture"})).done();
        assert_eq!(expiry["TimeToLiveDescription"]["AttributeName"], "ends");
        let backup = client.call("ListBackups", &json!({})).done()["BackupSummaries"][0]["BackupArn"].clone();
        client.call("RestoreTableFromBackup", &json!({"BackupArn": backup, "TargetTableName": "Back"})).done();
        let began = Instant::now();
        while client.call("DescribeTable", &json!({"TableName": "Back"})).done()["Table"]["TableStatus"] != "ACTIVE" {
            assert!(began.elapsed() < Duration::from_secs(30));
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(scan(&mut client, "Back", None).len(), PUT);
        let put =
            client.call("PutItem", &json!({"TableName": "Fixture", "Item": {"pk": {"S": "new"}, "sk": {"N": "1"}}}));
        assert!(matches!(put, Outcome::Done(_)), "{put:?}");
    }
}

#[test]
fn a_directory_of_a_newer_format_is_refused_and_left_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    copied(&fixtures()[0], home.path());
    let data = home.path().join("data");
    let files = |data: &Path| fs::read_dir(data.join("rocksdb")).unwrap().count();
    let before = files(&data);
    fs::write(data.join("FORMAT"), "partita data, format 999\n").unwrap();
    let Err(refused) = Server::start(Setting::directory(&data)) else { panic!("format 999 was opened") };
    assert!(refused.contains("format 999, newer than format"), "{refused}");
    assert_eq!(files(&data), before);
}
