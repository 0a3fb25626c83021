//! What outlives a process: stores closed and opened again, processes killed, disks that are full, files that are damaged
//! or not ours.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test judges by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use partita_engine::{
    Commit, CommitError, Direction, Durability, Freshness, KeyRange, Location, OpenError, OpenOptions, Read, ScanLimit,
    Store, Version, Write,
};
use tempfile::TempDir;

fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Write {
    Write::Put { key: key.into(), value: value.into() }
}

async fn write(store: &Store, writes: Vec<Write>) -> partita_engine::Committed {
    store.commit(Commit { writes, ..Commit::default() }).await.unwrap()
}

async fn count(store: &Store, prefix: &'static str) -> usize {
    let snapshot = store.snapshot(Freshness::Latest).await.unwrap();
    let limit = ScanLimit { rows: usize::MAX, bytes: usize::MAX };
    snapshot.scan(&KeyRange::prefix(prefix), Direction::Forward, limit).await.unwrap().rows.len()
}

fn data() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("deep/data");
    (directory, data)
}

/// The files in the database's directory with this ending, by name.
fn files(data: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join("rocksdb")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
    files.sort();
    files
}

fn flip_a_byte(file: &Path, at: impl FnOnce(usize) -> usize) {
    let mut bytes = fs::read(file).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x55;
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn versions_positions_and_the_catalog_go_on_after_opening_again() {
    let (_directory, data) = data();
    for durability in [Durability::Sync, Durability::Interval, Durability::None] {
        let options = OpenOptions { durability, ..OpenOptions::directory(&data) };
        let store = Store::open(&options).unwrap();
        let entry = |n: u16| Write::PutAtPosition {
            prefix: Bytes::from("log/"),
            suffix: Bytes::new(),
            ordinal: n,
            value: Bytes::new(),
        };
        let before = write(&store, vec![entry(0), Write::Add { key: "n".into(), delta: 1 }]).await;
        store.commit(Commit { catalog_changed: true, ..Commit::default() }).await.unwrap();
        let token = store.snapshot(Freshness::Latest).await.unwrap().catalog_token();
        drop(store);

        let store = Store::open(&options).unwrap();
        assert_eq!(store.snapshot(Freshness::Latest).await.unwrap().catalog_token(), token);
        let after = write(&store, vec![entry(0)]).await;
        assert!(after.position(0) > before.position(u16::MAX));
        assert!(after.version > before.version);
        let stale = Commit {
            read_version: before.version,
            reads: vec![Read::Key("n".into())],
            writes: vec![put("x", "")],
            catalog_changed: false,
        };
        assert_eq!(store.commit(stale).await, Err(CommitError::TooOld));
        store.close().await.unwrap();
        assert!(matches!(store.commit(Commit::default()).await, Err(CommitError::Unavailable(_))));
        assert!(store.watch("n".into(), after.version).await.is_err());
        store.close().await.unwrap();
        let open = store.snapshot(Freshness::Latest).await.unwrap();
        assert!(open.get(b"n").await.unwrap().is_some());
    }
    let store = Store::open(&OpenOptions::directory(&data)).unwrap();
    assert_eq!(count(&store, "log/").await, 6);
}

#[tokio::test]
async fn commits_that_wait_when_the_store_closes_are_answered() {
    let (_directory, data) = data();
    let store = Store::open(&OpenOptions::directory(&data)).unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..200 {
        let store = store.clone();
        waiting.spawn(async move {
            (n, store.commit(Commit { writes: vec![put(format!("k{n:03}"), "v")], ..Commit::default() }).await)
        });
    }
    tokio::task::yield_now().await;
    store.close().await.unwrap();
    let answers = waiting.join_all().await;
    drop(store);
    let store = Store::open(&OpenOptions::directory(&data)).unwrap();
    let snapshot = store.snapshot(Freshness::Latest).await.unwrap();
    for (n, answer) in answers {
        let found = snapshot.get(format!("k{n:03}").as_bytes()).await.unwrap();
        assert_eq!(answer.is_ok(), found.is_some(), "{n}: {answer:?}");
    }
}

#[tokio::test]
async fn a_read_version_past_the_window_is_too_old() {
    let mut options = OpenOptions::memory();
    options.conflict_window = Duration::from_millis(200);
    let store = Store::open(&options).unwrap();
    let first = write(&store, vec![put("a", "1")]).await;
    let conditional = |key: &'static str, read_version: Version| Commit {
        read_version,
        reads: vec![Read::Key(key.into())],
        writes: vec![put("x", "1")],
        catalog_changed: false,
    };
    write(&store, vec![put("b", "1")]).await;
    store.commit(conditional("a", first.version)).await.unwrap();
    let watching = store.watch("c".into(), first.version);
    assert!(tokio::time::timeout(Duration::from_millis(50), watching).await.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let now = write(&store, vec![put("b", "2")]).await;
    assert_eq!(store.commit(conditional("a", first.version)).await, Err(CommitError::TooOld));
    store.commit(conditional("a", now.version)).await.unwrap();
    // What is forgotten may have changed: the watch says so rather than wait for ever.
    store.watch("c".into(), first.version).await.unwrap();
}

#[tokio::test]
async fn dropping_the_future_does_not_stop_the_commit() {
    let store = Store::open(&OpenOptions::memory()).unwrap();
    {
        let commit = store.commit(Commit { writes: vec![put("a", "1")], ..Commit::default() });
        let mut commit = std::pin::pin!(commit);
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(commit.as_mut().poll(context)));
        let _ = polled.await;
    }
    write(&store, vec![put("b", "1")]).await;
    assert_eq!(count(&store, "").await, 2);
}

#[tokio::test]
async fn a_retired_prefix_gives_its_space_back() {
    let (_directory, data) = data();
    let options = OpenOptions { write_buffer_bytes: 256 << 10, ..OpenOptions::directory(&data) };
    let store = Store::open(&options).unwrap();
    let size = || files(&data, "sst").iter().map(|file| fs::metadata(file).map_or(0, |data| data.len())).sum::<u64>();
    let mut noise = 1_u64;
    let mut value = || {
        let mut bytes = Vec::with_capacity(4_096);
        while bytes.len() < 4_096 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.extend_from_slice(&noise.to_be_bytes()[..4]);
        }
        bytes
    };
    for batch in 0..80 {
        write(&store, (0..50).map(|n| put(format!("t{:05}", batch * 50 + n), value())).collect()).await;
        write(&store, vec![put(format!("s{batch}"), "stays"), put(format!("u{batch}"), "stays")]).await;
    }
    assert!(size() > 8 << 20, "{}", size());
    write(&store, vec![Write::Retire { prefix: "t".into() }]).await;
    assert_eq!(count(&store, "t").await, 0);
    let deadline = Instant::now() + Duration::from_secs(20);
    while size() > 4 << 20 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(size() <= 4 << 20, "{} bytes stay", size());
    assert_eq!((count(&store, "s").await, count(&store, "u").await, count(&store, "t").await), (80, 80, 0));
    drop(store);
    let store = Store::open(&options).unwrap();
    assert_eq!((count(&store, "s").await, count(&store, "u").await, count(&store, "t").await), (80, 80, 0));
}

#[tokio::test]
async fn a_directory_belongs_to_one_store_at_a_time() {
    let (_directory, data) = data();
    let options = OpenOptions::directory(&data);
    let store = Store::open(&options).unwrap();
    assert_eq!(Store::open(&options).unwrap_err(), OpenError::Locked(data.clone()));
    let snapshot = store.snapshot(Freshness::Latest).await.unwrap();
    drop(store);
    assert_eq!(Store::open(&options).unwrap_err(), OpenError::Locked(data.clone()));
    drop(snapshot);
    let store = Store::open(&options).unwrap();
    let mut child = child("open", &data, &[]);
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    assert!(said.contains("is in use by another process"), "{said}");
    drop(store);
}

#[test]
fn a_new_directory_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_directory, data) = data();
    Store::open(&OpenOptions::directory(&data)).unwrap();
    for directory in [&data, &data.join("rocksdb")] {
        assert_eq!(fs::metadata(directory).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn a_newer_format_is_refused_and_named() {
    let (_directory, data) = data();
    let options = OpenOptions::directory(&data);
    drop(Store::open(&options).unwrap());
    let mark = data.join("FORMAT");
    assert_eq!(fs::read_to_string(&mark).unwrap(), "partita data, format 1\n");
    fs::write(&mark, "partita data, format 7\n").unwrap();
    let error = Store::open(&options).unwrap_err();
    assert_eq!(error, OpenError::NewerFormat { path: data.clone(), found: 7, supported: 1 });
    for malformed in [&b""[..], b"something else", b"partita data, format 0\n", b"partita data, format -1", b"\xFF\xFE"]
    {
        fs::write(&mark, malformed).unwrap();
        let error = Store::open(&options).unwrap_err();
        assert!(matches!(&error, OpenError::Damaged { path, .. } if *path == mark), "{error:?}");
    }
}

#[test]
fn a_directory_of_something_else_is_refused() {
    let (_directory, data) = data();
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("holiday.jpg"), "").unwrap();
    let options = OpenOptions::directory(&data);
    assert_eq!(Store::open(&options).unwrap_err(), OpenError::Foreign(data.clone()));
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
    fs::remove_file(data.join("holiday.jpg")).unwrap();
    fs::create_dir(data.join("lost+found")).unwrap();
    fs::write(data.join("FORMAT.new"), "part").unwrap();
    Store::open(&options).unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_or_written_is_named() {
    let (_directory, data) = data();
    let file = data.parent().unwrap().join("file");
    fs::create_dir_all(data.parent().unwrap()).unwrap();
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below"), PathBuf::from("/proc/partita"), PathBuf::from("/sys/partita")] {
        let error = Store::open(&OpenOptions::directory(&path)).unwrap_err();
        assert!(matches!(&error, OpenError::Inaccessible { path: named, .. } if *named == path), "{error:?}");
        assert!(error.to_string().starts_with(&path.display().to_string()));
    }
}

#[test]
fn a_store_in_memory_leaves_nothing_on_disk() {
    let options = OpenOptions::memory();
    assert_eq!(options.location, Location::Memory);
    let names = || {
        fs::read_dir(std::env::temp_dir()).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name().to_string_lossy().into_owned();
            ["CURRENT", "MANIFEST", "IDENTITY", "LOCK", "LOG", "OPTIONS"].iter().any(|file| name.starts_with(file))
        })
    };
    let before = names().count();
    let one = Store::open(&options).unwrap();
    let other = Store::open(&options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        write(&one, vec![put("a", "1")]).await;
        assert_eq!(count(&other, "").await, 0);
    });
    assert_eq!(names().count(), before);
}

#[tokio::test]
async fn a_damaged_table_file_is_an_error_that_names_it() {
    let (_directory, data) = data();
    let options = OpenOptions { write_buffer_bytes: 64 << 10, ..OpenOptions::directory(&data) };
    let store = Store::open(&options).unwrap();
    for batch in 0..100 {
        write(&store, (0..10).map(|n| put(format!("k{batch:03}{n}"), vec![batch; 400])).collect()).await;
    }
    drop(store);
    let file = files(&data, "sst").pop().unwrap();
    flip_a_byte(&file, |_| 100);
    let store = Store::open(&options).unwrap();
    let snapshot = store.snapshot(Freshness::Latest).await.unwrap();
    let limit = ScanLimit { rows: usize::MAX, bytes: usize::MAX };
    let error = snapshot.scan(&KeyRange::prefix("k"), Direction::Forward, limit).await.unwrap_err();
    assert!(matches!(error, partita_engine::EngineError::Damaged(_)));
    assert!(error.to_string().contains(&*file.file_name().unwrap().to_string_lossy()), "{error}");
    drop((store, snapshot));

    fs::write(&file, "short").unwrap();
    let error = Store::open(&options).unwrap_err();
    assert!(matches!(&error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().starts_with(&data.display().to_string()), "{error}");
    fs::remove_file(&file).unwrap();
    let error = Store::open(&options).unwrap_err();
    assert!(error.to_string().starts_with(&data.display().to_string()), "{error}");
}

#[tokio::test]
async fn a_journal_damaged_in_the_middle_loses_no_commit_in_silence() {
    let (_directory, data) = data();
    let options = OpenOptions::directory(&data);
    let store = Store::open(&options).unwrap();
    for n in 0..100 {
        write(&store, vec![put(format!("k{n:03}"), vec![7; 1_000])]).await;
    }
    drop(store);
    let journal = files(&data, "log").pop().unwrap();
    flip_a_byte(&journal, |length| length / 2);
    let error = Store::open(&options).unwrap_err();
    assert!(matches!(&error, OpenError::Damaged { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with(&data.display().to_string()) && text.contains("interval"), "{text}");

    // Asked to, it takes the commits before the damage.
    let store = Store::open(&OpenOptions { durability: Durability::Interval, ..options.clone() }).unwrap();
    let kept = count(&store, "k").await;
    assert!((10..90).contains(&kept), "{kept}");
    drop(store);
    assert_eq!(count(&Store::open(&options).unwrap(), "k").await, kept);
}

#[tokio::test]
async fn a_journal_cut_off_at_the_end_opens() {
    let (_directory, data) = data();
    let options = OpenOptions::directory(&data);
    let store = Store::open(&options).unwrap();
    for n in 0..100 {
        write(&store, vec![put(format!("k{n:03}"), vec![7; 1_000])]).await;
    }
    drop(store);
    let journal = files(&data, "log").pop().unwrap();
    let length = fs::metadata(&journal).unwrap().len();
    let file = fs::File::options().write(true).open(&journal).unwrap();
    file.set_len(length - 10).unwrap();
    assert_eq!(count(&Store::open(&options).unwrap(), "k").await, 99);

    // Room that was set aside and never written reads as zeros.
    let store = Store::open(&options).unwrap();
    write(&store, vec![put("k100", "")]).await;
    drop(store);
    let journal = files(&data, "log").pop().unwrap();
    let length = fs::metadata(&journal).unwrap().len();
    fs::File::options().write(true).open(&journal).unwrap().set_len(length + 4_096).unwrap();
    assert_eq!(count(&Store::open(&options).unwrap(), "k").await, 100);
}

/// Starts this test binary again, to do what `as_a_child` does for this task.
fn child(task: &str, data: &Path, limits: &[&str]) -> Child {
    let binary = std::env::current_exe().unwrap();
    let script =
        [limits, &["exec \"$0\" --exact as_a_child --ignored --nocapture --test-threads=1"]].concat().join("; ");
    Command::new("sh")
        .args(["-c", &script])
        .arg(binary)
        .env("PARTITA_CHILD_TASK", task)
        .env("PARTITA_CHILD_DATA", data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "the part of other tests that runs in another process"]
fn as_a_child() {
    let (Ok(task), Some(data)) = (std::env::var("PARTITA_CHILD_TASK"), std::env::var_os("PARTITA_CHILD_DATA")) else {
        return;
    };
    let mut options = OpenOptions::directory(PathBuf::from(data));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match task.as_str() {
        "open" => println!("{}", Store::open(&options).unwrap_err()),
        "commit" | "commit unsynced" => {
            if task == "commit unsynced" {
                options.durability = Durability::None;
            }
            options.write_buffer_bytes = 256 << 10;
            runtime.block_on(commit_for_ever(&options));
        }
        "fill the disk" => runtime.block_on(fill_the_disk(&options)),
        unknown => panic!("{unknown}"),
    }
}

/// Four tasks commit pairs of keys and a sum, and print each commit once it is acknowledged.
async fn commit_for_ever(options: &OpenOptions) {
    let store = Store::open(options).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let store = store.clone();
        tasks.spawn(async move {
            for n in 0.. {
                let writes = vec![
                    put(format!("a/{task}/{n:06}"), vec![1; 300]),
                    Write::Add { key: "n".into(), delta: 1 },
                    put(format!("b/{task}/{n:06}"), vec![1; 300]),
                ];
                write(&store, writes).await;
                println!("acknowledged {task}/{n:06}");
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn acknowledged_commits_survive_kill_9() {
    let (_directory, data) = data();
    let mut acknowledged: Vec<String> = Vec::new();
    for (round, task) in ["commit", "commit unsynced", "commit", "commit unsynced"].into_iter().enumerate() {
        let mut child = child(task, &data, &[]);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut here = 0;
        let mut child = Some(child);
        acknowledged.clear();
        for line in lines {
            if let Some(id) = line.unwrap().split("acknowledged ").nth(1) {
                acknowledged.push(id.to_owned());
                here += 1;
            }
            if here == 500 + 700 * round
                && let Some(mut child) = child.take()
            {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
        assert!(child.is_none(), "the child ended by itself");
        let store = Store::open(&OpenOptions::directory(&data)).unwrap();
        let snapshot = store.snapshot(Freshness::Latest).await.unwrap();
        for id in &acknowledged {
            for end in ["a", "b"] {
                assert!(snapshot.get(format!("{end}/{id}").as_bytes()).await.unwrap().is_some(), "{end}/{id} is lost");
            }
        }
        let pairs = count(&store, "a/").await;
        assert_eq!(pairs, count(&store, "b/").await);
        assert!(pairs >= acknowledged.len());
        let sum = snapshot.get(b"n").await.unwrap().unwrap();
        assert_eq!(sum.len(), 8);
        let sum = i64::from_le_bytes(sum.as_ref().try_into().unwrap());
        assert!(sum >= i64::try_from(pairs).unwrap(), "{sum} {pairs}");
        // The next child starts its numbers again.
        for batch in ["a/", "b/", "n"] {
            loop {
                let range = KeyRange::prefix(batch);
                let snapshot = store.snapshot(Freshness::Latest).await.unwrap();
                let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await.unwrap();
                if page.rows.is_empty() {
                    break;
                }
                write(&store, page.rows.into_iter().map(|(key, _)| Write::Delete { key }).collect()).await;
            }
        }
    }
}

/// Commits until the limit on file size says no, as a full disk does; then says what it sees.
async fn fill_the_disk(options: &OpenOptions) {
    let store = Store::open(options).unwrap();
    let mut n = 0;
    let error = loop {
        let commit = Commit { writes: vec![put(format!("k{n:06}"), vec![1; 20_000])], ..Commit::default() };
        match store.commit(commit).await {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
        assert!(n < 10_000, "the disk never filled");
    };
    assert!(matches!(error, CommitError::Unavailable(_)), "{error:?}");
    assert_eq!(count(&store, "k").await, n);
    let again = store.commit(Commit { writes: vec![put("x", "1")], ..Commit::default() }).await;
    assert!(matches!(again, Err(CommitError::Unavailable(_))), "{again:?}");
    assert_eq!(count(&store, "").await, n);
    println!("acknowledged {n}");
}

#[tokio::test]
async fn a_full_disk_refuses_commits_and_loses_none() {
    let (_directory, data) = data();
    let mut child = child("fill the disk", &data, &["trap '' XFSZ", "ulimit -f 8192"]);
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    let acknowledged: usize =
        said.lines().find_map(|line| line.split("acknowledged ").nth(1)).unwrap().trim().parse().unwrap();
    assert!(acknowledged > 10);
    let store = Store::open(&OpenOptions::directory(&data)).unwrap();
    let found = count(&store, "k").await;
    assert!(found >= acknowledged && found <= acknowledged + 1, "{found} found, {acknowledged} acknowledged");
    write(&store, vec![put("k", "room again")]).await;
}
