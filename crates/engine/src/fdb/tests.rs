//! The contract suite on a real cluster: the one that `PARTITA_FDB_CLUSTER_FILE` names, under a prefix of each test's own.

use super::*;
use crate::contract::{EngineSnapshot, Read, Write};

#[expect(unsafe_code, reason = "C's registry of what is done when a process ends, and its end without more ado")]
unsafe extern "C" {
    safe fn on_exit(function: extern "C" fn(i32, *const u8), argument: *const u8) -> i32;
    safe fn _exit(status: i32) -> !;
}

/// Ends the test run as it was going to end, without tearing down the client's library while it is in use.
extern "C" fn end(status: i32, _: *const u8) {
    _exit(status)
}

static ENDS: std::sync::Once = std::sync::Once::new();

/// A fresh engine; `None`, said in a line, where there is no cluster to test on.
async fn fresh() -> Option<FdbEngine> {
    let Some(file) = std::env::var_os("PARTITA_FDB_CLUSTER_FILE") else {
        eprintln!("skipped: PARTITA_FDB_CLUSTER_FILE names no FoundationDB cluster to test on");
        return None;
    };
    let prefix = [b"partita-test/".as_slice(), &random()].concat();
    ENDS.call_once(|| {
        on_exit(end, std::ptr::null());
    });
    Some(FdbEngine::connect(&Cluster { file: Some(file.into()), prefix, ..Cluster::default() }).await.unwrap())
}

/// Removes what a test has left.
struct Around(Option<(Arc<Shared>, tokio::runtime::Handle)>);

impl Drop for Around {
    fn drop(&mut self) {
        let Some((shared, runtime)) = self.0.take() else { return };
        let (sender, receiver) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let begin = shared.space.key(&[]);
            let end = [begin.as_slice(), &[0xFF; 9]].concat();
            if let Ok(transaction) = shared.database.create_trx() {
                transaction.clear_range(&begin, &end);
                let _ = transaction.commit().await;
            }
            let _ = sender.send(());
        });
        let _ = receiver.recv_timeout(Duration::from_secs(5));
    }
}

impl Around {
    fn of(engine: &FdbEngine) -> Self {
        Self(Some((Arc::clone(&engine.shared), tokio::runtime::Handle::current())))
    }
}

crate::contract_suite!(
    over_foundationdb,
    match fresh().await {
        Some(engine) => {
            let around = Around::of(&engine);
            (engine, around)
        }
        None => return,
    }
);

fn write(key: &'static str, value: impl Into<bytes::Bytes>) -> Write {
    Write::Put { key: key.into(), value: value.into() }
}

/// All keys that the engine keeps for itself under its prefix, by their kind.
async fn kept(engine: &FdbEngine, kind: u8) -> usize {
    let shared = &engine.shared;
    let begin = shared.space.key(&[0xFF, kind]);
    let end = shared.space.key(&[0xFF, kind + 1]);
    let transaction = shared.database.create_trx().unwrap();
    let option = foundationdb::RangeOption { limit: Some(100_000), ..foundationdb::RangeOption::from((begin, end)) };
    transaction.get_range(&option, 1, true).await.unwrap().len()
}

/// Values beyond what the cluster takes are read as they were written: put, at positions, in pages, under conditions.
#[tokio::test(flavor = "multi_thread")]
async fn large_values_come_back_whole() {
    let Some(engine) = fresh().await else { return };
    let _around = Around::of(&engine);
    let large = |seed: u8, len: usize| -> Vec<u8> { (0..len).map(|n| (n / 251).to_le_bytes()[0] ^ seed).collect() };
    for (seed, len) in [(1, 90_000), (2, 90_001), (3, 400_000), (4, 1_000_000)] {
        let snapshot = engine.snapshot(Freshness::Latest).await.unwrap();
        let value = large(seed, len);
        let commit = Commit {
            read_version: snapshot.version(),
            reads: vec![Read::Key("k".into())],
            writes: vec![
                write("k", value.clone()),
                Write::PutAtPosition {
                    prefix: "log/".into(),
                    suffix: "".into(),
                    ordinal: 7,
                    value: value.clone().into(),
                },
            ],
            catalog_changed: false,
        };
        let stale = commit.clone();
        engine.commit(commit).await.unwrap();
        assert!(matches!(engine.commit(stale).await, Err(CommitError::Conflict | CommitError::TooOld)));
        let snapshot = engine.snapshot(Freshness::Latest).await.unwrap();
        assert_eq!(snapshot.get(b"k").await.unwrap().unwrap(), value);
        let limit = crate::ScanLimit::PAGE;
        let log = crate::KeyRange::prefix("log/");
        let page = snapshot.scan(&log, crate::Direction::Backward, limit).await.unwrap();
        assert_eq!(page.rows[0].1, value);
    }
    // What a blob's owner names holds the blob's reference, or has held it: else a sweep would take it away.
    let shared = &engine.shared;
    let transaction = shared.database.create_trx().unwrap();
    let option = foundationdb::RangeOption::from(shared.space.all_owners(&[]));
    let owners = transaction.get_range(&option, 1, true).await.unwrap();
    let mut held = 0;
    for owner in &owners {
        let stored = transaction.get(owner.value(), true).await.unwrap().unwrap();
        let Some(keys::Stored::Blob { id, .. }) = keys::read(&stored) else { panic!("{owner:?} owns no blob") };
        held += usize::from(Space::id(owner.key()) == Some(id));
    }
    // All entries of the log, and the last value of the key.
    assert_eq!((owners.len(), held), (6, 4));
    // Taken blobs are no longer marked as abandoned; those of the refused commits are.
    assert_eq!(kept(&engine, b's').await, 6);
}

/// The largest legal request with its images and history, and 1,000 values of 16 KB, are each one commit.
#[tokio::test(flavor = "multi_thread")]
async fn commits_larger_than_a_transaction_go_through() {
    let Some(engine) = fresh().await else { return };
    let _around = Around::of(&engine);
    for (count, len) in [(40, 400_000), (1_000, 16_000)] {
        let value = bytes::Bytes::from(vec![b'x'; len]);
        let put = |n: usize| Write::Put { key: format!("item/{n:04}").into(), value: value.clone() };
        let commit = Commit { writes: (0..count).map(put).collect(), ..Commit::default() };
        engine.commit(commit).await.unwrap();
        let snapshot = engine.snapshot(Freshness::Latest).await.unwrap();
        for n in [0, count / 2, count - 1] {
            assert_eq!(snapshot.get(format!("item/{n:04}").as_bytes()).await.unwrap().unwrap(), value);
        }
    }
}

/// A commit whose outcome the cluster does not tell is applied once or not at all, and which is known.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_becomes_known() {
    let Some(engine) = fresh().await else { return };
    let _around = Around::of(&engine);
    let shared = &engine.shared;
    // Applied, and nobody heard of it.
    let own = shared.space.commit(&random(), 1);
    let transaction = shared.database.create_trx().unwrap();
    let stamp = keys::with_stamp_at(vec![0; 10], 0);
    transaction.atomic_op(&own, &stamp, foundationdb::options::MutationType::SetVersionstampedValue);
    let stamp = transaction.get_versionstamp();
    transaction.commit().await.unwrap();
    assert_eq!(commit::learn(shared, &own).await.unwrap().unwrap(), stamp.await.unwrap().to_vec());
    // Still on its way: it was read before the question and arrives after it.
    let own = shared.space.commit(&random(), 2);
    let late = shared.database.create_trx().unwrap();
    assert_eq!(late.get(&own, false).await.unwrap().as_deref(), None);
    late.set(&shared.space.key(b"late"), b"x");
    assert_eq!(commit::learn(shared, &own).await.unwrap(), None);
    assert_eq!(FdbError::from(late.commit().await.unwrap_err()).code(), 1020);
    assert_eq!(commit::learn(shared, &own).await.unwrap(), None);
}

/// Counters that many commits of several connections add to at once lose nothing, while marks of commits do not pile up.
#[tokio::test(flavor = "multi_thread")]
async fn marks_of_commits_do_not_pile_up() {
    let Some(engine) = fresh().await else { return };
    let _around = Around::of(&engine);
    for _ in 0..50 {
        engine.commit(Commit { writes: vec![write("k", "v")], ..Commit::default() }).await.unwrap();
    }
    assert!(kept(&engine, b'c').await <= 2);
}

/// A `Recent` snapshot is at most 100 ms old, and shows what this process has committed.
#[tokio::test(flavor = "multi_thread")]
async fn recent_snapshots_are_shared_and_young() {
    let Some(engine) = fresh().await else { return };
    let _around = Around::of(&engine);
    let first = engine.snapshot(Freshness::Recent).await.unwrap().version();
    assert_eq!(engine.snapshot(Freshness::Recent).await.unwrap().version(), first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(engine.snapshot(Freshness::Recent).await.unwrap().version() > first);
}
