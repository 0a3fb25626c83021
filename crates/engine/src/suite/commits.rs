//! What commits owe: order, conflicts, sums, ranges, positions, limits. One task at a time; `load.rs` has many.

use crate::contract::{
    Commit, CommitError, Engine, EngineSnapshot, Freshness, InvalidCommit, KeyRange, MAX_COMMIT_BYTES,
    MAX_DELETE_RANGE_KEYS, MAX_KEY_BYTES, Position, RESERVED_PREFIX, Version, Write,
};

use super::{Dice, attempt, bytes, counter, delete, keys_under, latest, put, read, read_range, value, write};

/// The writes of a commit apply in their order, the last one to a key standing.
pub async fn commits_apply_their_writes_in_order<E: Engine>(engine: &E) {
    write(engine, vec![put("a", "1"), put("a", "2"), put("b", "1"), delete("b"), delete("c"), put("c", "1")]).await;
    assert_eq!(value(engine, "a").await.unwrap(), "2");
    assert_eq!(value(engine, "b").await, None);
    assert_eq!(value(engine, "c").await.unwrap(), "1");
    write(engine, vec![put("t/1", "new"), Write::Retire { prefix: bytes("t/") }, put("u", "new")]).await;
    assert_eq!(keys_under(engine, "t").await.len(), 0);
    assert_eq!(value(engine, "u").await.unwrap(), "new");
}

/// A commit conflicts if a key it read was put or deleted since; other keys do not matter.
pub async fn a_key_changed_since_it_was_read_conflicts<E: Engine>(engine: &E) {
    write(engine, vec![put("a", "1"), put("b", "1")]).await;
    let before = latest(engine).await.version();
    let put_a = write(engine, vec![put("a", "2")]).await;
    let stale = attempt(engine, before, vec![read("a")], vec![put("a", "3")]).await;
    assert_eq!(stale, Err(CommitError::Conflict));
    attempt(engine, before, vec![read("b")], vec![put("b", "2")]).await.unwrap();
    attempt(engine, put_a.version, vec![read("a")], vec![delete("a")]).await.unwrap();
    let deleted = attempt(engine, put_a.version, vec![read("a")], vec![put("a", "4")]).await;
    assert_eq!(deleted, Err(CommitError::Conflict));
    assert_eq!(value(engine, "a").await, None);
    assert_eq!(value(engine, "b").await.unwrap(), "2");
}

/// A key that was read as absent conflicts when it has appeared.
pub async fn an_absent_key_that_appeared_conflicts<E: Engine>(engine: &E) {
    let before = latest(engine).await.version();
    attempt(engine, before, vec![read("a")], vec![put("a", "first")]).await.unwrap();
    let second = attempt(engine, before, vec![read("a")], vec![put("a", "second")]).await;
    assert_eq!(second, Err(CommitError::Conflict));
    assert_eq!(value(engine, "a").await.unwrap(), "first");
    let before = latest(engine).await.version();
    write(engine, vec![Write::Add { key: bytes("n"), delta: 1 }]).await;
    let added = attempt(engine, before, vec![read("n")], vec![put("x", "")]).await;
    assert_eq!(added, Err(CommitError::Conflict));
}

/// A range that was read conflicts with keys put, deleted, added to or placed inside it, and with nothing outside.
pub async fn a_range_conflicts_with_what_appears_or_goes_inside_it<E: Engine>(engine: &E) {
    write(engine, vec![put("b1", "1"), put("b2", "1"), put("c", "1")]).await;
    let within = || vec![read_range("b", "c")];
    let inside = [
        put("b15", "1"),
        delete("b1"),
        Write::DeleteRange { range: KeyRange::new("b2", "c") },
        Write::Add { key: bytes("b3"), delta: 1 },
        Write::PutAtPosition { prefix: bytes("b"), suffix: bytes(""), ordinal: 0, value: bytes("") },
        Write::Retire { prefix: bytes("b9") },
    ];
    for change in inside {
        let before = latest(engine).await.version();
        write(engine, vec![change.clone()]).await;
        let stale = attempt(engine, before, within(), vec![put("x", "1")]).await;
        assert_eq!(stale, Err(CommitError::Conflict), "{change:?}");
    }
    let before = latest(engine).await.version();
    write(engine, vec![put("a", "1"), put("c", "2"), put("az", "1")]).await;
    attempt(engine, before, within(), vec![put("x", "1")]).await.unwrap();
    attempt(engine, before, vec![read_range("c", "b")], vec![put("x", "2")]).await.unwrap();
}

/// A commit without reads goes through, however old its read version.
pub async fn a_commit_that_read_nothing_never_conflicts<E: Engine>(engine: &E) {
    for value in ["1", "2", "3"] {
        attempt(engine, Version(0), vec![], vec![put("a", value)]).await.unwrap();
    }
    assert_eq!(value(engine, "a").await.unwrap(), "3");
}

/// None of the writes of a refused commit apply.
pub async fn a_refused_commit_leaves_nothing_behind<E: Engine>(engine: &E) {
    write(engine, vec![put("a", "1")]).await;
    let before = latest(engine).await.version();
    write(engine, vec![put("a", "2")]).await;
    let version = latest(engine).await.version();
    let writes = vec![put("b", "1"), Write::Add { key: bytes("n"), delta: 5 }, Write::Retire { prefix: bytes("a") }];
    let stale = attempt(engine, before, vec![read("a")], writes).await;
    assert_eq!(stale, Err(CommitError::Conflict));
    let invalid = vec![put("b", "1"), put("", "1"), put("c", "1")];
    assert!(matches!(attempt(engine, version, vec![], invalid).await, Err(CommitError::Invalid(_))));
    let snapshot = latest(engine).await;
    assert!(snapshot.version() >= version);
    assert_eq!(snapshot.get(b"a").await.unwrap().unwrap(), "2");
    for absent in ["b", "c", "n"] {
        assert_eq!(snapshot.get(absent.as_bytes()).await.unwrap(), None);
    }
}

/// Two commits that each read what the other writes do not both go through.
pub async fn write_skew_is_found<E: Engine>(engine: &E) {
    write(engine, vec![put("x", "on call"), put("y", "on call")]).await;
    for _ in 0..50 {
        let before = latest(engine).await.version();
        let both = || vec![read("x"), read("y")];
        let (first, second) = tokio::join!(
            attempt(engine, before, both(), vec![put("x", "off")]),
            attempt(engine, before, both(), vec![put("y", "off")]),
        );
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    }
}

/// Sums start at 0, see what the commit wrote before them, and wrap around.
pub async fn sums_add_up<E: Engine>(engine: &E) {
    let add = |key: &str, delta| Write::Add { key: bytes(key), delta };
    write(engine, vec![add("n", 5), add("n", -7)]).await;
    write(engine, vec![add("n", 1)]).await;
    assert_eq!(counter(&value(engine, "n").await.unwrap()), -1);
    write(engine, vec![put("m", 40_i64.to_le_bytes()), add("m", 2)]).await;
    assert_eq!(counter(&value(engine, "m").await.unwrap()), 42);
    write(engine, vec![delete("m"), add("m", 1)]).await;
    assert_eq!(counter(&value(engine, "m").await.unwrap()), 1);
    write(engine, vec![add("top", i64::MAX), add("top", 1)]).await;
    assert_eq!(counter(&value(engine, "top").await.unwrap()), i64::MIN);
}

/// A sum over a value that is not 8 bytes refuses its commit as a whole, or makes 8 bytes of it; other commits go on.
pub async fn sums_meet_what_is_no_counter<E: Engine>(engine: &E) {
    write(engine, vec![put("text", "abc")]).await;
    let add = Write::Add { key: bytes("text"), delta: 1 };
    let (summed, other) = tokio::join!(
        attempt(engine, Version(0), vec![], vec![put("a", "1"), add]),
        attempt(engine, Version(0), vec![], vec![put("b", "1")]),
    );
    other.unwrap();
    let (a, text) = (value(engine, "a").await, value(engine, "text").await.unwrap());
    if summed.is_ok() {
        assert!(a.is_some() && text.len() == 8);
    } else {
        assert_eq!(summed, Err(CommitError::Invalid(InvalidCommit::NotACounter)));
        assert!(a.is_none() && text == "abc");
    }
}

/// A deleted range takes its start, not its end, and what the same commit put there before.
pub async fn a_deleted_range_is_gone_to_its_bounds<E: Engine>(engine: &E) {
    write(engine, ["a", "b", "b1", "c", "d"].iter().map(|key| put(key, "1")).collect()).await;
    let range = KeyRange::new("b", "c");
    let writes = vec![put("b2", "1"), Write::DeleteRange { range: range.clone() }, put("b3", "1")];
    write(engine, writes).await;
    let keys = keys_under(engine, "").await;
    assert_eq!(keys, ["a", "b3", "c", "d"]);
    write(engine, vec![Write::DeleteRange { range: KeyRange::new("d", "a") }]).await;
    assert_eq!(keys_under(engine, "").await.len(), 4);
}

/// A deleted range holds at most [`MAX_DELETE_RANGE_KEYS`] keys.
pub async fn a_deleted_range_is_bounded<E: Engine>(engine: &E) {
    let keys = (0..=MAX_DELETE_RANGE_KEYS).map(|n| put(format!("k{n:05}"), "v"));
    write(engine, keys.collect()).await;
    let all = || vec![Write::DeleteRange { range: KeyRange::prefix("k") }];
    let refused = attempt(engine, Version(0), vec![], all()).await;
    assert_eq!(refused, Err(CommitError::Invalid(InvalidCommit::RangeTooLarge)));
    write(engine, vec![delete("k00500")]).await;
    write(engine, all()).await;
    assert_eq!(keys_under(engine, "k").await.len(), 0);
}

/// A retired prefix is gone, its neighbours are not, and whoever read it conflicts.
pub async fn a_retired_prefix_is_gone_at_once<E: Engine>(engine: &E) {
    let around: [&[u8]; 6] = [b"s\xFF", b"t", b"t\0", b"t\xFF\xFF", b"u", b"\xFE\xFFx"];
    write(engine, around.iter().map(|key| put(key, "1")).collect()).await;
    let before = latest(engine).await.version();
    write(engine, vec![Write::Retire { prefix: bytes("t") }]).await;
    assert_eq!(keys_under(engine, "").await, [b"s\xFF".as_slice(), b"u", b"\xFE\xFFx"]);
    let stale = attempt(engine, before, vec![read("t")], vec![put("x", "1")]).await;
    assert_eq!(stale, Err(CommitError::Conflict));
    write(engine, vec![Write::Retire { prefix: bytes(b"\xFE\xFF") }]).await;
    assert_eq!(keys_under(engine, "").await, [b"s\xFF".as_slice(), b"u"]);
}

/// A snapshot from before a prefix was retired goes on seeing it, while its space is being reclaimed too.
pub async fn a_retired_prefix_stays_in_older_snapshots<E: Engine>(engine: &E) {
    // More than one file of it, even if the engine compresses.
    let mut dice = Dice(7);
    let mut noise = || (0..4_000).map(|_| u8::try_from(dice.roll(256)).unwrap()).collect::<Vec<u8>>();
    for batch in 0..20 {
        let rows = (0..100).map(|n| put(format!("t{batch:02}{n:03}"), noise()));
        write(engine, rows.collect()).await;
    }
    let before = latest(engine).await;
    write(engine, vec![Write::Retire { prefix: bytes("t") }]).await;
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    let rows = super::all_rows(&before, &KeyRange::prefix("t"), crate::Direction::Forward, 100).await;
    assert_eq!(rows.len(), 2_000);
    drop(before);
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    write(engine, vec![put("u", "1")]).await;
    assert_eq!(keys_under(engine, "t").await.len(), 0);
    assert_eq!(keys_under(engine, "").await, ["u"]);
}

/// The position of a commit lands in its keys; ordinals order them within the commit, versions between commits.
pub async fn positions_land_in_keys_in_order<E: Engine>(engine: &E) {
    let mut expected = Vec::new();
    for round in 0..5_u16 {
        let entries = [2, 0, 1].map(|ordinal| Write::PutAtPosition {
            prefix: bytes("log/"),
            suffix: bytes("/end"),
            ordinal,
            value: bytes(format!("{round}.{ordinal}")),
        });
        let committed = write(engine, entries.to_vec()).await;
        for ordinal in 0..3 {
            let key = [b"log/".as_slice(), &committed.position(ordinal).to_bytes(), b"/end"].concat();
            expected.push((bytes(key), bytes(format!("{round}.{ordinal}"))));
        }
    }
    let found = super::all_rows(&latest(engine).await, &KeyRange::prefix("log/"), crate::Direction::Forward, 4).await;
    assert_eq!(found, expected);
    for (key, _) in found {
        let position = Position::from_slice(&key[4..20]).unwrap();
        assert!(Position::MIN < position && position < Position::MAX);
        assert_eq!(position.to_bytes(), key[4..20]);
    }
}

/// Keys are from 1 to [`MAX_KEY_BYTES`] bytes and stay out of the reserved space; commits keep to their size.
pub async fn keys_keep_to_their_limits<E: Engine>(engine: &E) {
    let longest = vec![b'k'; MAX_KEY_BYTES];
    write(engine, vec![put(&longest, "v")]).await;
    assert_eq!(value(engine, &longest).await.unwrap(), "v");
    let refuse = async |write: Write, why: InvalidCommit| {
        assert_eq!(attempt(engine, Version(0), vec![], vec![write]).await, Err(CommitError::Invalid(why)));
    };
    refuse(put(vec![b'k'; MAX_KEY_BYTES + 1], ""), InvalidCommit::KeyTooLong(MAX_KEY_BYTES + 1)).await;
    refuse(put("", ""), InvalidCommit::KeyEmpty).await;
    refuse(delete(""), InvalidCommit::KeyEmpty).await;
    refuse(Write::Retire { prefix: bytes("") }, InvalidCommit::KeyEmpty).await;
    refuse(put([RESERVED_PREFIX], ""), InvalidCommit::KeyReserved).await;
    refuse(Write::Retire { prefix: bytes([RESERVED_PREFIX, 1]) }, InvalidCommit::KeyReserved).await;
    let beyond = KeyRange::new(vec![b'a'], vec![RESERVED_PREFIX, b'z']);
    refuse(Write::DeleteRange { range: beyond }, InvalidCommit::KeyReserved).await;
    let long = Write::PutAtPosition { prefix: longest.into(), suffix: bytes(""), ordinal: 0, value: bytes("") };
    refuse(long, InvalidCommit::KeyTooLong(MAX_KEY_BYTES + Position::BYTES)).await;
    let large = bytes(vec![0; MAX_COMMIT_BYTES]);
    let large = attempt(engine, Version(0), vec![], vec![Write::Put { key: bytes("k"), value: large }]).await;
    assert_eq!(large, Err(CommitError::TooLarge));
    let legal = vec![7; 4 << 20];
    write(engine, (0..4).map(|n| put(format!("large{n}"), &legal)).collect()).await;
    assert_eq!(value(engine, "large3").await.unwrap(), legal);
}

/// The catalog token changes with each commit that says so, and stays otherwise.
pub async fn the_catalog_token_changes_with_the_catalog_only<E: Engine>(engine: &E) {
    let mut seen = vec![latest(engine).await.catalog_token()];
    for round in 0..3 {
        write(engine, vec![put("a", format!("{round}"))]).await;
        assert_eq!(latest(engine).await.catalog_token(), *seen.last().unwrap());
        let old = engine.snapshot(Freshness::Latest).await.unwrap();
        let commit = Commit { writes: vec![put("c", "1")], catalog_changed: true, ..Commit::default() };
        engine.commit(commit).await.unwrap();
        let token = latest(engine).await.catalog_token();
        assert!(!seen.contains(&token));
        assert_eq!(old.catalog_token(), *seen.last().unwrap());
        seen.push(token);
    }
}
