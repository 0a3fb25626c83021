//! Measures the engine on this machine: `cargo run --release --example engine_bench [directory|memory] [durability]`.
//!
//! Prints one line for each figure. An update is one read, two puts and a sum; each of the tasks waits for its own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use partita_engine::{
    Commit, Direction, Durability, Freshness, KeyRange, OpenOptions, Read, ScanLimit, Store, Version, Write,
};

const ITEMS: u64 = 100_000;
const HOT_ITEMS: u64 = 10_000;
const VALUE_BYTES: usize = 1_000;
const MEASURE: Duration = Duration::from_secs(3);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut options = match arguments.next().as_deref() {
        Some("memory") => OpenOptions::memory(),
        Some(directory) => OpenOptions::directory(PathBuf::from(directory)),
        None => OpenOptions::directory(std::env::temp_dir().join(format!("engine-bench-{}", std::process::id()))),
    };
    options.durability = match arguments.next().as_deref() {
        Some("interval") => Durability::Interval,
        Some("none") => Durability::None,
        _ => Durability::Sync,
    };
    println!("{options:?}");
    let before = resident_kib();
    let start = Instant::now();
    let store = Store::open(&options)?;
    println!("open: {:?}, {} KiB resident more", start.elapsed(), resident_kib().saturating_sub(before));
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure(&store))?;
    println!("resident at the end: {} KiB", resident_kib());
    Ok(())
}

async fn measure(store: &Store) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    for first in (0..ITEMS).step_by(1_000) {
        let writes = (first..first + 1_000).map(|n| Write::Put { key: key(n), value: item(n) }).collect();
        store.commit(Commit { writes, ..Commit::default() }).await?;
    }
    println!("load: {:.0} items/s", rate(ITEMS, start));

    for tasks in [1, 8, 64, 256, 1_024] {
        let start = Instant::now();
        let mut running = tokio::task::JoinSet::new();
        for task in 0..tasks {
            let store = store.clone();
            running.spawn(async move { updates(&store, task, start).await });
        }
        let done: u64 = running.join_all().await.into_iter().sum();
        println!("updates, {tasks} at a time: {:.0}/s", rate(done, start));
    }

    let snapshot = store.snapshot(Freshness::Latest).await?;
    for items in [HOT_ITEMS, ITEMS] {
        for n in 0..items {
            snapshot.get(&key(n)).await?;
        }
        let (start, on_cpu) = (Instant::now(), on_cpu());
        let mut done = 0;
        while start.elapsed() < MEASURE {
            for n in 0..1_000 {
                snapshot.get(&key(scatter(done + n) % items)).await?;
            }
            done += 1_000;
        }
        let on_cpu = (self::on_cpu() - on_cpu).div_f64(done as f64);
        let each = start.elapsed().div_f64(done as f64);
        println!("gets of {items} items: {:.0}/s, {each:?} each, {on_cpu:?} of it on a processor", rate(done, start));
    }

    let start = Instant::now();
    for _ in 0..1_000_000 {
        std::hint::black_box(store.snapshot(Freshness::Latest).await?);
    }
    println!("snapshots: {:?} each", start.elapsed() / 1_000_000);

    let start = Instant::now();
    let (mut rows, mut pages, mut rest) = (0, 0_u32, KeyRange::prefix("item/"));
    loop {
        let page = snapshot.scan(&rest, Direction::Forward, ScanLimit::PAGE).await?;
        rows += page.rows.len() as u64;
        pages += 1;
        match page.rows.last() {
            Some((last, _)) if page.more => rest = rest.after(last),
            _ => break,
        }
    }
    println!("scan: {:.0} rows/s in pages of 1,000, {:?} a page", rate(rows, start), start.elapsed() / pages);
    let start = Instant::now();
    for n in 0..10_000 {
        let range = KeyRange::new(key(scatter(n)), Bytes::from("item0"));
        snapshot.scan(&range, Direction::Forward, ScanLimit { rows: 10, bytes: 1 << 20 }).await?;
    }
    println!("scans of 10 rows: {:?} each", start.elapsed() / 10_000);
    Ok(())
}

async fn updates(store: &Store, task: u64, start: Instant) -> u64 {
    let mut done = 0;
    let mut n = task * 7_919;
    while start.elapsed() < MEASURE {
        n += 1;
        let item_key = key(scatter(n));
        let Ok(snapshot) = store.snapshot(Freshness::Latest).await else { return done };
        let _ = snapshot.get(&item_key).await;
        let commit = Commit {
            read_version: snapshot.version(),
            reads: vec![Read::Key(item_key.clone())],
            writes: vec![
                Write::Put { key: item_key, value: item(n) },
                Write::PutAtPosition { prefix: Bytes::from("log/"), suffix: Bytes::new(), ordinal: 0, value: item(n) },
                Write::Add { key: Bytes::from("n"), delta: 1 },
            ],
            catalog_changed: false,
        };
        drop(snapshot);
        done += u64::from(store.commit(commit).await.is_ok_and(|committed| committed.version > Version(0)));
    }
    done
}

fn key(n: u64) -> Bytes {
    Bytes::from(format!("item/{n:012}"))
}

/// An item whose bytes compress about as well as text does.
fn item(n: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(VALUE_BYTES + 8);
    let mut state = n | 1;
    while bytes.len() < VALUE_BYTES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_be_bytes()[..4]);
        bytes.extend_from_slice(b"name");
    }
    bytes.into()
}

fn scatter(n: u64) -> u64 {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % ITEMS
}

fn rate(done: u64, start: Instant) -> f64 {
    done as f64 / start.elapsed().as_secs_f64()
}

/// How long this thread has run, where the system says it in Linux's way: what a busy machine does not blur.
fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0))
}

/// Resident memory of this process in KiB, where the system says it in Linux's way.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
