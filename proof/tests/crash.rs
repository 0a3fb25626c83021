//! Crashes and lost power in short: docs/reliability.md names the long runs.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test judges by panicking")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use partita_proof::crash::{End, Plan, run};

/// Another seed each time; a failure tells it.
fn plan(ends: u32, end: End) -> Plan {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    Plan { longest_load: Duration::from_millis(300), ..Plan::new(ends, end, seed.into()) }
}

#[test]
fn nothing_acknowledged_is_lost_in_25_kills() {
    let figures = run(&plan(25, End::Kill)).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(figures.ends >= 25 && figures.acknowledged > 100 && figures.records > 100, "{figures}");
    println!("{figures}");
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_fails() {
    let figures = run(&plan(12, End::PowerLoss)).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(figures.ends >= 12 && figures.acknowledged > 30 && figures.bytes_lost > 0, "{figures}");
    println!("{figures}");
}

/// Without it, an oracle that sees nothing and a layer that loses nothing would look the same as a database that holds.
#[test]
fn what_is_never_synced_is_lost_and_the_oracle_says_so() {
    let mut plan = plan(10, End::PowerLoss);
    plan.arguments = vec!["--durability".to_owned(), "none".to_owned()];
    let wrong = run(&plan).unwrap_err();
    let path = wrong.rsplit("kept in ").next().unwrap().trim_end_matches(')');
    std::fs::remove_dir_all(path).unwrap();
}
