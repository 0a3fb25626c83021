//! What reads owe: repeatable snapshots, scans in both directions to their bounds, watches.

use std::time::Duration;

use tokio::time::timeout;

use crate::contract::{Direction, Engine, EngineSnapshot, Key, KeyRange, ScanLimit, Write};

use super::{all_rows, bytes, delete, latest, put, read, write};

/// Long enough for what should happen, on a busy machine.
const SOON: Duration = Duration::from_secs(10);
/// Long enough to notice what should not happen.
const A_WHILE: Duration = Duration::from_millis(200);

/// A snapshot answers the same again, whatever is committed meanwhile.
pub async fn snapshots_repeat<E: Engine>(engine: &E) {
    write(engine, (0..50).map(|n| put(format!("k{n:02}"), "old")).collect()).await;
    let snapshot = latest(engine).await;
    let range = KeyRange::prefix("k");
    let before = all_rows(&snapshot, &range, Direction::Forward, 7).await;
    for n in 0..50 {
        write(engine, vec![put(format!("k{n:02}"), "new"), put(format!("k{n:02}x"), "new")]).await;
        write(engine, vec![delete(format!("k{:02}", 49 - n))]).await;
    }
    write(engine, vec![Write::Retire { prefix: bytes("k") }]).await;
    assert_eq!(all_rows(&snapshot, &range, Direction::Forward, 7).await, before);
    assert_eq!(snapshot.clone().get(b"k07").await.unwrap().unwrap(), "old");
    assert_eq!(snapshot.get(b"k07x").await.unwrap(), None);
    assert_eq!(all_rows(&latest(engine).await, &range, Direction::Forward, 7).await, []);
    assert!(latest(engine).await.version() > snapshot.version());
}

/// Pages of any size, forward and backward, join to the range exactly.
pub async fn scans_go_both_ways_page_by_page<E: Engine>(engine: &E) {
    let keys: Vec<String> = (0..40).map(|n| format!("k{n:02}")).collect();
    write(engine, keys.iter().map(|key| put(key, format!("value of {key}"))).collect()).await;
    write(engine, vec![put("a", ""), put("z", ""), delete("k20")]).await;
    let snapshot = latest(engine).await;
    let bounds =
        [("k", "l"), ("k05", "k30"), ("k05x", "k30x"), ("k20", "k21"), ("k39", "k39"), ("l", "k"), ("", "k00")];
    for (start, end) in bounds {
        let range = KeyRange::new(start, end);
        let all = ["a"].into_iter().chain(keys.iter().map(String::as_str)).chain(["z"]).filter(|key| *key != "k20");
        let mut expected: Vec<Key> = all.map(bytes).filter(|key| range.contains(key)).collect();
        for direction in [Direction::Forward, Direction::Backward] {
            for rows in [1, 2, 3, 1_000] {
                let found = all_rows(&snapshot, &range, direction, rows).await;
                let found: Vec<Key> = found.into_iter().map(|(key, _)| key).collect();
                assert_eq!(found, expected, "{start}..{end} {direction:?} by {rows}");
            }
            expected.reverse();
        }
    }
    let (_, value) =
        snapshot.scan(&KeyRange::single("k03"), Direction::Forward, ScanLimit::PAGE).await.unwrap().rows[0].clone();
    assert_eq!(value, "value of k03");
}

/// A page ends at the row that reaches a bound, holds at least one row, and says truly whether there are more.
pub async fn scans_stop_at_bytes_and_rows<E: Engine>(engine: &E) {
    write(engine, (0..10).map(|n| put(format!("k{n}"), [0; 98])).collect()).await;
    let snapshot = latest(engine).await;
    let range = KeyRange::prefix("k");
    let table = [
        (10, 10_000, 10, false),
        (9, 10_000, 9, true),
        (11, 1_000, 10, false),
        (11, 999, 10, false),
        (11, 900, 9, true),
        (11, 301, 4, true),
        (11, 300, 3, true),
        (11, 1, 1, true),
        (11, 0, 1, true),
        (0, 10_000, 1, true),
    ];
    for direction in [Direction::Forward, Direction::Backward] {
        for (rows, bytes, expected, more) in table {
            let page = snapshot.scan(&range, direction, ScanLimit { rows, bytes }).await.unwrap();
            assert_eq!((page.rows.len(), page.more), (expected, more), "{rows} rows, {bytes} bytes, {direction:?}");
        }
    }
}

/// Prefix and single ranges hold exactly what they say, and the whole store is the empty prefix.
pub async fn ranges_know_their_ends<E: Engine>(engine: &E) {
    let keys: [&[u8]; 7] = [b"a", b"a\0", b"a\xFF", b"a\xFF\xFF", b"b", b"\xFE", b"\xFE\xFF"];
    write(engine, keys.iter().map(|key| put(key, "")).collect()).await;
    let snapshot = latest(engine).await;
    let count = async |range: KeyRange| all_rows(&snapshot, &range, Direction::Forward, 2).await.len();
    assert_eq!(count(KeyRange::prefix("a")).await, 4);
    assert_eq!(count(KeyRange::prefix(bytes(b"a\xFF"))).await, 2);
    assert_eq!(count(KeyRange::prefix(bytes(b"\xFE"))).await, 2);
    assert_eq!(count(KeyRange::single("a")).await, 1);
    assert_eq!(count(KeyRange::prefix("")).await, 7);
    assert_eq!(count(KeyRange::new("", bytes(b"\xFF\xFF\xFF"))).await, 7);
}

/// Several keys at once come back in the order asked, absent and repeated ones included.
pub async fn get_many_keeps_the_order_of_its_keys<E: Engine>(engine: &E) {
    write(engine, vec![put("a", "1"), put("b", ""), put("c", "3")]).await;
    let keys = ["c", "x", "a", "b", "a"].map(bytes);
    let found = latest(engine).await.get_many(&keys).await.unwrap();
    assert_eq!(found, [Some(bytes("3")), None, Some(bytes("1")), Some(bytes("")), Some(bytes("1"))]);
}

/// A watch resolves for a change of its key after the version, before or after it was set, and for no other key.
pub async fn a_watch_wakes_for_its_key<E: Engine>(engine: &E) {
    write(engine, vec![put("a", "1")]).await;
    let since = latest(engine).await.version();
    let watch = engine.watch(bytes("a"), since);
    let mut watch = std::pin::pin!(watch);
    assert!(timeout(A_WHILE, &mut watch).await.is_err());
    write(engine, vec![put("b", "1"), put("a0", "1")]).await;
    assert!(timeout(A_WHILE, &mut watch).await.is_err());
    let changed = write(engine, vec![put("a", "2")]).await;
    timeout(SOON, &mut watch).await.unwrap().unwrap();
    let seen = latest(engine).await;
    assert!(seen.version() >= changed.version);
    timeout(SOON, engine.watch(bytes("a"), since)).await.unwrap().unwrap();
    assert!(timeout(A_WHILE, engine.watch(bytes("a"), changed.version)).await.is_err());
    let conflicting = super::attempt(engine, since, vec![read("a")], vec![put("a", "3")]).await;
    assert!(conflicting.is_err());
    assert!(timeout(A_WHILE, engine.watch(bytes("a"), changed.version)).await.is_err());
}

/// A watch resolves when its key goes with a prefix.
pub async fn a_watch_wakes_for_a_retired_prefix<E: Engine>(engine: &E) {
    write(engine, vec![put("t/a", "1")]).await;
    let since = latest(engine).await.version();
    let retire = async {
        tokio::time::sleep(A_WHILE).await;
        write(engine, vec![Write::Retire { prefix: bytes("t/") }]).await;
    };
    let (woken, ()) = tokio::join!(timeout(SOON, engine.watch(bytes("t/a"), since)), retire);
    woken.unwrap().unwrap();
    timeout(SOON, engine.watch(bytes("t/a"), since)).await.unwrap().unwrap();
}
