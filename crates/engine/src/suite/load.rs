//! What an engine owes under load: many tasks commit and read at once, and nothing is torn, lost or out of order.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::contract::{
    Commit, CommitError, Direction, Engine, EngineSnapshot, Freshness, Key, KeyRange, Position, Read, ScanLimit, Write,
};

use super::{Dice, all_rows, bytes, counter, latest, put, read, write};

const ACCOUNTS: usize = 40;
const OPENING_BALANCE: i64 = 1_000;
const WRITERS: usize = 6;
const READERS: usize = 3;
const ROUNDS: usize = 150;

fn account(n: usize) -> Key {
    bytes(format!("account/{n:03}"))
}

/// Runs `tasks` futures at once on one task, interleaved at their awaits; the engine's own threads do the rest.
async fn together<T>(tasks: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = tasks.into_iter().map(Box::pin).map(Some).collect();
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (task, result) in running.iter_mut().zip(&mut done) {
            if let Some(future) = task
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *result = Some(value);
                *task = None;
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

/// Transfers between accounts, some by reading and conditional commit, some by blind sums, never change what all
/// accounts hold together in any snapshot; pairs of keys written together are never seen apart.
pub async fn no_snapshot_sees_part_of_a_commit<E: Engine>(engine: &E) {
    let opening = OPENING_BALANCE.to_le_bytes();
    write(engine, (0..ACCOUNTS).map(|n| Write::Put { key: account(n), value: bytes(opening) }).collect()).await;
    let running = AtomicBool::new(true);

    let writers = together((0..WRITERS).map(async |writer| {
        let mut dice = Dice(0x9E37_79B9 + u64::try_from(writer).unwrap());
        for round in 0..ROUNDS {
            let (from, to) = (dice.roll(ACCOUNTS), dice.roll(ACCOUNTS));
            let amount = i64::try_from(dice.roll(100)).unwrap();
            let pair = format!("{writer}.{round}");
            let mark = |end: &str| put(format!("pair/{writer}/{end}"), &pair);
            if writer % 2 == 0 {
                let writes = vec![
                    mark("a"),
                    Write::Add { key: account(from), delta: -amount },
                    Write::Add { key: account(to), delta: amount },
                    mark("z"),
                ];
                write(engine, writes).await;
            } else if from != to {
                transfer(engine, from, to, amount, vec![mark("a"), mark("z")]).await;
            }
        }
    }));
    let writers = async {
        writers.await;
        running.store(false, Ordering::Relaxed);
    };

    let readers = together((0..READERS).map(async |reader| {
        let mut checks = 0;
        while running.load(Ordering::Relaxed) || checks == 0 {
            let snapshot = latest(engine).await;
            let accounts: Vec<Key> = (0..ACCOUNTS).map(account).collect();
            let by_key = snapshot.get_many(&accounts).await.unwrap();
            tokio::task::yield_now().await;
            let by_scan = all_rows(&snapshot, &KeyRange::prefix("account/"), Direction::Backward, reader + 5).await;
            let total: i64 = by_key.iter().flatten().map(counter).sum();
            assert_eq!(total, OPENING_BALANCE * i64::try_from(ACCOUNTS).unwrap());
            assert_eq!(by_scan.iter().map(|(_, value)| counter(value)).sum::<i64>(), total);
            let pairs = all_rows(&snapshot, &KeyRange::prefix("pair/"), Direction::Forward, 3).await;
            for pair in pairs.chunks(2) {
                assert_eq!(pair[0].1, pair[1].1, "{:?}", pair[0].0);
            }
            checks += 1;
            tokio::task::yield_now().await;
        }
    }));
    tokio::join!(writers, readers);
}

async fn transfer<E: Engine>(engine: &E, from: usize, to: usize, amount: i64, marks: Vec<Write>) {
    loop {
        let snapshot = engine.snapshot(Freshness::Recent).await.unwrap();
        let (from, to) = (account(from), account(to));
        let balance = async |key: &Key| counter(&snapshot.get(key).await.unwrap().unwrap());
        let mut writes = marks.clone();
        writes.push(Write::Put { key: from.clone(), value: bytes((balance(&from).await - amount).to_le_bytes()) });
        writes.push(Write::Put { key: to.clone(), value: bytes((balance(&to).await + amount).to_le_bytes()) });
        let commit = Commit {
            read_version: snapshot.version(),
            reads: vec![Read::Key(from), Read::Key(to)],
            writes,
            catalog_changed: false,
        };
        match engine.commit(commit).await {
            Ok(_) => return,
            Err(CommitError::Conflict | CommitError::TooOld) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Tasks that read one key and put it back one higher lose no step; sums beside them lose none either.
pub async fn no_increment_is_lost<E: Engine>(engine: &E) {
    let conflicts = AtomicU64::new(0);
    together((0..WRITERS).map(async |_| {
        for _ in 0..ROUNDS {
            loop {
                let snapshot = latest(engine).await;
                let old = snapshot.get(b"n").await.unwrap().map_or(0, |value| counter(&value));
                let writes = vec![put("n", (old + 1).to_le_bytes()), Write::Add { key: bytes("sum"), delta: 1 }];
                // Lets another task in between reading and committing, however few threads there are.
                tokio::task::yield_now().await;
                match super::attempt(engine, snapshot.version(), vec![read("n")], writes).await {
                    Ok(_) => break,
                    Err(CommitError::Conflict | CommitError::TooOld) => conflicts.fetch_add(1, Ordering::Relaxed),
                    Err(error) => panic!("{error}"),
                };
            }
        }
    }))
    .await;
    let expected = i64::try_from(WRITERS * ROUNDS).unwrap();
    let keys = [bytes("n"), bytes("sum")];
    let found = latest(engine).await.get_many(&keys).await.unwrap();
    assert_eq!(found.iter().flatten().map(counter).collect::<Vec<_>>(), [expected, expected]);
    assert!(conflicts.load(Ordering::Relaxed) > 0, "the tasks never met");
}

/// What is acknowledged is in every snapshot opened afterwards, and later commits have later versions.
pub async fn acknowledged_commits_are_in_the_latest_snapshot<E: Engine>(engine: &E) {
    together((0..WRITERS).map(async |writer| {
        let mut last = None;
        for round in 0..ROUNDS {
            let key = format!("w{writer}");
            let committed = write(engine, vec![put(&key, format!("{round}"))]).await;
            assert!(Some(committed.version) > last);
            last = Some(committed.version);
            for freshness in [Freshness::Latest, Freshness::Recent] {
                let snapshot = engine.snapshot(freshness).await.unwrap();
                assert!(snapshot.version() >= committed.version);
                assert_eq!(snapshot.get(key.as_bytes()).await.unwrap().unwrap(), format!("{round}"));
            }
        }
    }))
    .await;
}

/// Positions grow with versions; every entry of every commit has its own key, seen in the order of the commits.
pub async fn positions_grow_strictly_under_load<E: Engine>(engine: &E) {
    let mut committed: Vec<_> = together((0..WRITERS).map(async |writer| {
        let mut all = Vec::new();
        for _ in 0..ROUNDS {
            let entry = |ordinal| Write::PutAtPosition {
                prefix: bytes("log/"),
                suffix: bytes(""),
                ordinal,
                value: bytes(format!("{writer}")),
            };
            all.push(write(engine, vec![entry(0), entry(1)]).await);
        }
        all
    }))
    .await
    .concat();
    committed.sort_by_key(|committed| (committed.version, committed.stamp));
    let positions: Vec<Position> =
        committed.iter().flat_map(|committed| [committed.position(0), committed.position(1)]).collect();
    assert!(positions.is_sorted_by(|a, b| a < b));
    let rows = all_rows(&latest(engine).await, &KeyRange::prefix("log/"), Direction::Forward, 97).await;
    let found: Vec<Position> = rows.iter().map(|(key, _)| Position::from_slice(&key[4..]).unwrap()).collect();
    assert_eq!(found, positions);
}

/// Takers of the first entry of a queue, reading the range up to it, take each entry once while makers add more.
pub async fn queues_hand_out_each_entry_once<E: Engine>(engine: &E) {
    const ENTRIES: usize = 150;
    let queue = KeyRange::prefix("queue/");
    let makers = async {
        for n in 0..ENTRIES {
            let entry = Write::PutAtPosition {
                prefix: bytes("queue/"),
                suffix: bytes(""),
                ordinal: 0,
                value: bytes(n.to_string()),
            };
            write(engine, vec![entry]).await;
        }
    };
    let taken_in_all = AtomicU64::new(0);
    let takers = together((0..3).map(async |_| {
        let mut taken = Vec::new();
        while taken_in_all.load(Ordering::Relaxed) < ENTRIES as u64 {
            let snapshot = latest(engine).await;
            let first = snapshot.scan(&queue, Direction::Forward, ScanLimit { rows: 1, bytes: 1 }).await.unwrap();
            let Some((key, value)) = first.rows.into_iter().next() else {
                tokio::task::yield_now().await;
                continue;
            };
            let seen = Read::Range(KeyRange { start: queue.start.clone(), end: KeyRange::single(key.clone()).end });
            match super::attempt(engine, snapshot.version(), vec![seen], vec![Write::Delete { key }]).await {
                Ok(_) => {
                    taken.push(value);
                    taken_in_all.fetch_add(1, Ordering::Relaxed);
                }
                Err(CommitError::Conflict | CommitError::TooOld) => {}
                Err(error) => panic!("{error}"),
            }
        }
        taken
    }));
    let ((), taken) = tokio::join!(makers, takers);
    let mut taken: Vec<usize> =
        taken.concat().iter().map(|value| String::from_utf8_lossy(value).parse().unwrap()).collect();
    taken.sort_unstable();
    assert_eq!(taken, (0..ENTRIES).collect::<Vec<_>>());
}
