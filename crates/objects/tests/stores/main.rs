//! What every store does, and what a bucket does when its service fails.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "all of this is test code, also outside the test functions"
)]

mod bucket;
mod service;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bytes::Bytes;
use partita_objects::{Listing, ObjectError, ObjectStore};

fn keys(listing: &Listing) -> Vec<&str> {
    listing.objects.iter().map(|object| object.key.as_str()).collect()
}

/// What holds for every store that is empty at first.
async fn is_a_store(store: &ObjectStore) {
    assert_eq!(store.list("", None, 10).await.unwrap(), Listing::default());
    assert!(store.get("a", 10).await.unwrap_err().is_not_there());
    assert!(store.head("a/b").await.unwrap_err().is_not_there());
    store.delete("a").await.unwrap();

    let stored = store.put("a/b", Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(stored.etag, "5d41402abc4b2a76b9719d911017c592");
    store.put("a/b", Bytes::from_static(b"hello, world")).await.unwrap();
    assert_eq!(store.get("a/b", 12).await.unwrap(), b"hello, world".as_slice());
    assert!(matches!(store.get("a/b", 11).await, Err(ObjectError::TooLarge { most: 11, .. })));
    assert_eq!(store.head("a/b").await.unwrap().size, 12);
    for (start, length, expected) in
        [(0, 5, "hello"), (7, 100, "world"), (7, u64::MAX, "world"), (12, 1, ""), (100, 1, ""), (3, 0, "")]
    {
        assert_eq!(store.get_range("a/b", start, length).await.unwrap(), expected.as_bytes(), "{start} {length}");
    }
    assert!(store.get_range("a/c", 0, 1).await.unwrap_err().is_not_there());

    let all = ["a!", "a-/x", "a/b", "a/c/d", "a/ä b+%&c", "a0", "b"];
    for key in all {
        store.put(key, Bytes::copy_from_slice(key.as_bytes())).await.unwrap();
    }
    let listing = store.list("", None, 100).await.unwrap();
    assert_eq!(keys(&listing), all);
    assert!(!listing.more && listing.objects.iter().all(|object| object.size == object.key.len() as u64));
    assert_eq!(keys(&store.list("a/", None, 100).await.unwrap()), ["a/b", "a/c/d", "a/ä b+%&c"]);
    assert_eq!(keys(&store.list("a/c", None, 100).await.unwrap()), ["a/c/d"]);
    assert_eq!(keys(&store.list("c", None, 100).await.unwrap()), Vec::<&str>::new());
    let mut paged = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.list("a", after.as_deref(), 2).await.unwrap();
        paged.extend(keys(&page).into_iter().map(str::to_owned));
        after = paged.last().cloned();
        if !page.more {
            break;
        }
    }
    assert_eq!(paged, all[..6]);

    let mut upload = store.upload("up/load").await.unwrap();
    upload.write(Bytes::from_static(b"one, ")).await.unwrap();
    assert!(store.head("up/load").await.unwrap_err().is_not_there(), "it appears whole");
    upload.write(Bytes::from_static(b"two")).await.unwrap();
    upload.finish().await.unwrap();
    assert_eq!(store.get("up/load", 100).await.unwrap(), b"one, two".as_slice());
    let mut upload = store.upload("up/other").await.unwrap();
    upload.write(Bytes::from_static(b"x")).await.unwrap();
    upload.abort().await.unwrap();
    drop(store.upload("up/third").await.unwrap());
    assert_eq!(keys(&store.list("up/", None, 100).await.unwrap()), ["up/load"]);

    store.delete("a/b").await.unwrap();
    store.delete("a/b").await.unwrap();
    store.delete_under("a").await.unwrap();
    store.delete_under("nothing").await.unwrap();
    assert_eq!(keys(&store.list("", None, 100).await.unwrap()), ["a!", "a-/x", "a0", "b", "up/load"]);

    for key in ["", "../a", "/a", "a/", "a//b", "a\0"] {
        assert!(matches!(store.put(key, Bytes::new()).await, Err(ObjectError::InvalidKey(_))), "{key}");
        assert!(matches!(store.get(key, 1).await, Err(ObjectError::InvalidKey(_))), "{key}");
        assert!(store.delete_under(key).await.is_err() && store.upload(key).await.is_err(), "{key}");
    }
}

fn files(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        if path.is_dir() {
            assert_eq!(mode, 0o700);
            found.extend(files(&path));
        } else {
            assert_eq!(mode, 0o600);
            found.insert(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn memory_is_a_store() {
    is_a_store(&ObjectStore::memory()).await;
}

#[tokio::test]
async fn a_directory_is_a_store_of_private_files_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("not/yet");
    let store = ObjectStore::directory(&root);
    is_a_store(&store).await;
    assert_eq!(files(&root).len(), 5, "nothing is left of what was given up");
    store.delete("up/load").await.unwrap();
    assert!(!root.join("up").exists() && root.exists());
}

#[tokio::test]
async fn a_directory_shows_no_prefix_outside_of_it() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("secret"), "x").unwrap();
    let store = ObjectStore::directory(place.path().join("inside"));
    store.put("a", Bytes::new()).await.unwrap();
    for prefix in ["../", "..", "../s", "/", "a/../..", "./../"] {
        assert_eq!(store.list(prefix, None, 10).await.unwrap(), Listing::default(), "{prefix}");
    }
}

#[tokio::test]
async fn a_file_where_a_directory_is_needed_is_an_error_and_not_a_loss() {
    let place = tempfile::tempdir().unwrap();
    let store = ObjectStore::directory(place.path());
    store.put("a", Bytes::from_static(b"1")).await.unwrap();
    assert!(store.put("a/b", Bytes::from_static(b"2")).await.is_err());
    assert_eq!(store.get("a", 1).await.unwrap(), b"1".as_slice());
    assert!(store.get("a/b", 1).await.unwrap_err().is_not_there());
}

#[tokio::test]
async fn objects_come_and_go_while_others_do() {
    let place = tempfile::tempdir().unwrap();
    let store = ObjectStore::directory(place.path());
    let mut tasks = Vec::new();
    for task in 0..4 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..50 {
                let key = format!("same/place/{task}");
                store.put(&key, Bytes::from_static(b"x")).await.unwrap();
                store.delete(&key).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}
