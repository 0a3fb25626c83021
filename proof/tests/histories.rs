//! Recorded histories in short: docs/reliability.md names the long runs.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test judges by panicking")]

use std::time::Duration;

use partita_proof::history::{Recording, kill_now_and_then, record_and_judge};
use partita_proof::server::{Server, Setting};

fn recording(server: &Server, operations: u64) -> Recording {
    Recording {
        endpoints: vec![server.address()],
        operations,
        clients: 12,
        bound: Duration::from_millis(100),
        seed: u64::from(std::process::id()),
    }
}

#[test]
fn items_are_linearizable_and_transactions_strictly_serializable() {
    let server = Server::start(Setting::memory()).unwrap();
    let figures = record_and_judge(&recording(&server, 20_000), |_| Ok(())).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(figures.single > 10_000 && figures.edges > 10_000, "{figures}");
}

#[test]
fn they_are_so_over_crashes() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(Setting::directory(&directory.path().join("data"))).unwrap();
    let recording = recording(&server, 12_000);
    // Short enough that the first kill comes before a quick machine is done.
    let pause = Duration::from_millis(100);
    let kills = |over: &_| kill_now_and_then(&mut server, 6, pause, recording.seed, over);
    let figures = record_and_judge(&recording, kills).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(figures.unknown > 0, "{figures}");
}
