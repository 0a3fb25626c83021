//! What is measured without a server: the whole stack in this process for the guard on instruction counts, and two
//! yardsticks of the machine, one engine read and one synced write by hand.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, Uri};
use partita_api::Service;
use partita_api::http::{Request, Response};
use partita_db::Database;
use partita_engine::{Commit, Freshness, Key, OpenOptions, Store, Version, Write as EngineWrite};
use rustix::time::{ClockId, clock_gettime};

use crate::workload::{ROWS, Row, Table};
use crate::{Result, client, failure};

/// Keeps the guard's data small: filling it costs instructions that say nothing.
const GUARD_PARTITIONS: u64 = 20;
/// How many different requests are made for the guard.
const PREPARED: usize = 50;
/// The items that the yardstick of reading reads from.
const YARDSTICK_KEYS: u64 = 10_000;

/// Answers `count` requests of a row through the whole stack, on a database in memory.
///
/// The instructions of a run with few requests, taken from those of a run with many, leave those of the requests.
pub fn answer(row: &str, count: u64) -> Result<()> {
    let row = ROWS.iter().find(|known| known.id == row).ok_or_else(|| failure(format!("no row is called {row}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(answer_all(row, count))
}

async fn answer_all(row: &Row, count: u64) -> Result<()> {
    fastrand::seed(1);
    let table = Table { partitions: GUARD_PARTITIONS, ..row.table() };
    let database = Database::open(&OpenOptions::memory()).await?;
    let service = Service::new(database.clone(), "us-east-1");
    expect(&service, "CreateTable", table.creation()).await?;
    let mut from = 0;
    while from < table.total() {
        expect(&service, "BatchWriteItem", table.filling(from, &mut fastrand::Rng::with_seed(from))).await?;
        from += 25;
    }
    // Made beforehand and asked over and over, so that making them does not count.
    let workload = row.workload_on(table);
    let mut requests = Vec::new();
    for _ in 0..PREPARED {
        let mut body = String::new();
        let operation = workload.request(&mut body);
        requests.push(request(operation, body)?);
    }
    let asked = requests.iter().cycle().zip(0..count);
    for (request, _) in asked {
        check(&service.answer(request).await)?;
    }
    database.close().await?;
    Ok(())
}

async fn expect(service: &Service, operation: &'static str, body: String) -> Result<()> {
    check(&service.answer(&request(operation, body)?).await)
}

fn request(operation: &'static str, body: String) -> Result<Request> {
    let mut request = Request::new(Method::POST, Uri::from_static("/"));
    request.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    request.headers.insert("x-amz-target", HeaderValue::from_str(&format!("DynamoDB_20120810.{operation}"))?);
    request.headers.insert(http::header::AUTHORIZATION, HeaderValue::from_static(client::AUTHORIZATION));
    request.body = body.into();
    Ok(request)
}

fn check(response: &Response) -> Result<()> {
    if response.status == 200 {
        Ok(())
    } else {
        Err(failure(format!("a request was refused: {}", String::from_utf8_lossy(&response.body))))
    }
}

/// The processor time of one read of 1 KB by the storage engine, in memory.
pub async fn engine_get() -> Result<Duration> {
    const READS: u32 = 100_000;
    let store = Store::open(&OpenOptions::memory())?;
    let key = |number: u64| Key::from(format!("0123456789abcdef{number:016}").into_bytes());
    for first in (0..YARDSTICK_KEYS).step_by(100) {
        let writes = (first..first + 100)
            .map(|number| EngineWrite::Put { key: key(number), value: vec![7; 1024].into() })
            .collect();
        store
            .commit(Commit { read_version: Version::default(), reads: Vec::new(), writes, catalog_changed: false })
            .await?;
    }
    let began = thread_time();
    for _ in 0..READS {
        let snapshot = store.snapshot(Freshness::Recent).await?;
        if snapshot.get(&key(fastrand::u64(..YARDSTICK_KEYS))).await?.is_none() {
            return Err(failure("a key that was put is not there"));
        }
    }
    let taken = thread_time().saturating_sub(began);
    store.close().await?;
    Ok(taken / READS)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Writes of 1 KB a second, each followed by a sync, to a file in this directory: what a database would do without
/// group commit.
pub fn synced_writes(directory: &Path) -> Result<f64> {
    const WINDOW: Duration = Duration::from_secs(1);
    fs::create_dir_all(directory)?;
    let path = directory.join("synced-writes");
    let mut file = fs::File::create(&path)?;
    let began = Instant::now();
    let mut writes = 0u32;
    while began.elapsed() < WINDOW {
        file.write_all(&[7; 1024])?;
        file.sync_data()?;
        writes += 1;
    }
    let rate = f64::from(writes) / began.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}
