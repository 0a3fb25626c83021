//! The two load generators: closed loop (each connection sends when its answer has come) and open loop (requests fall
//! due at a fixed rate, and latency counts from when they were due, so a stalled server can not hide its stall).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::process;
use crate::workload::Workload;
use crate::{Result, failure};

/// How long before the measured window the load runs already.
const WARM_UP: Duration = Duration::from_millis(300);
/// The step in which the open loop lets requests fall due. Latencies below it are not told apart from none.
const OPEN_LOOP_STEP: Duration = Duration::from_micros(50);

/// Where and how hard.
#[derive(Clone, Copy)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// Its process.
    pub pid: u32,
    /// How many connections are open at a time.
    pub connections: usize,
    /// The measured window.
    pub window: Duration,
}

/// What one window showed.
pub struct Measured {
    /// Operations answered.
    pub operations: u64,
    /// Of them, refused.
    pub refused: u64,
    /// The window.
    pub elapsed: Duration,
    /// What the server's process took of the processors.
    pub cpu: Duration,
    /// From sending (closed loop) or falling due (open loop) to the answer's last byte, in nanoseconds.
    pub latency: Histogram<u64>,
}

#[derive(Default)]
struct Counters {
    operations: AtomicU64,
    refused: AtomicU64,
    measuring: AtomicBool,
    stop: AtomicBool,
}

/// Runs the closed loop.
pub async fn closed(load: Load, workload: &Workload) -> Result<Measured> {
    let counters = Arc::new(Counters::default());
    let mut connections = JoinSet::new();
    for _ in 0..load.connections {
        let mut client = Client::connect(load.address).await?;
        let (workload, counters) = (workload.clone(), Arc::clone(&counters));
        connections.spawn(async move {
            let mut latency = histogram()?;
            let mut body = String::new();
            while !counters.stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                one(&mut client, &workload, &mut body, &counters).await?;
                if counters.measuring.load(Ordering::Relaxed) {
                    latency.saturating_record(nanoseconds(began.elapsed()));
                }
            }
            Ok(latency)
        });
    }
    watch(load, &counters, connections).await
}

/// Runs the open loop at `rate` requests a second.
pub async fn open(load: Load, workload: &Workload, rate: f64) -> Result<Measured> {
    let counters = Arc::new(Counters::default());
    let (due, falling_due) = mpsc::unbounded_channel();
    let falling_due = Arc::new(Mutex::new(falling_due));
    let mut connections = JoinSet::new();
    for _ in 0..load.connections {
        let mut client = Client::connect(load.address).await?;
        let (workload, counters, falling_due) = (workload.clone(), Arc::clone(&counters), Arc::clone(&falling_due));
        connections.spawn(async move {
            let mut latency = histogram()?;
            let mut body = String::new();
            loop {
                let Some(due) = falling_due.lock().await.recv().await else { return Ok(latency) };
                one(&mut client, &workload, &mut body, &counters).await?;
                if counters.measuring.load(Ordering::Relaxed) {
                    latency.saturating_record(nanoseconds(Instant::now().saturating_duration_since(due)));
                }
            }
        });
    }
    // A thread of its own: the runtime's timers are a millisecond coarse.
    let clock = Arc::clone(&counters);
    let pace = std::thread::spawn(move || {
        let interval = Duration::from_secs_f64(1.0 / rate);
        let mut next = Instant::now();
        while !clock.stop.load(Ordering::Relaxed) {
            while next <= Instant::now() {
                if due.send(next).is_err() {
                    return;
                }
                next += interval;
            }
            std::thread::sleep(OPEN_LOOP_STEP);
        }
    });
    let measured = watch(load, &counters, connections).await;
    pace.join().map_err(|_| failure("the open loop's clock failed"))?;
    measured
}

async fn one(client: &mut Client, workload: &Workload, body: &mut String, counters: &Counters) -> Result<()> {
    let operation = workload.request(body);
    let answer = client.call(operation, body).await?;
    if answer.status != 200 {
        let told = counters.refused.fetch_add(1, Ordering::Relaxed);
        if !workload.may_be_refused() {
            counters.stop.store(true, Ordering::Relaxed);
            let text = String::from_utf8_lossy(answer.body).into_owned();
            return Err(failure(format!("{operation} was refused ({told} before): {text}")));
        }
    }
    counters.operations.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Opens the window, closes it, and gathers what the connections have seen.
async fn watch(load: Load, counters: &Counters, mut connections: JoinSet<Result<Histogram<u64>>>) -> Result<Measured> {
    tokio::time::sleep(WARM_UP).await;
    counters.measuring.store(true, Ordering::Relaxed);
    let (operations, refused) = counts(counters);
    let cpu = process::cpu_time(load.pid)?;
    let began = Instant::now();
    tokio::time::sleep(load.window).await;
    let (operations_after, refused_after) = counts(counters);
    let cpu_after = process::cpu_time(load.pid)?;
    let elapsed = began.elapsed();
    counters.measuring.store(false, Ordering::Relaxed);
    counters.stop.store(true, Ordering::Relaxed);
    let mut latency = histogram()?;
    while let Some(seen) = connections.join_next().await {
        latency.add(seen??)?;
    }
    Ok(Measured {
        operations: operations_after - operations,
        refused: refused_after - refused,
        elapsed,
        cpu: cpu_after.saturating_sub(cpu),
        latency,
    })
}

fn counts(counters: &Counters) -> (u64, u64) {
    (counters.operations.load(Ordering::Relaxed), counters.refused.load(Ordering::Relaxed))
}

/// Up to a minute, in nanoseconds, to two digits.
fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 2)?)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
