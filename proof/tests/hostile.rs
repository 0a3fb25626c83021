//! A quick pass over all decoders on a stable compiler: seeds, what was once found, and damaged seeds. The fuzz targets in
//! `fuzz/` go on from there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test judges by panicking"
)]

use std::fs;
use std::path::Path;

use partita_proof::hostile::{TARGETS, Target};

/// Damaged copies of each seed.
const COPIES: usize = 40;

/// The inputs of a target in this directory, which must have some unless it is for regressions.
fn inputs(directory: &str, target: &Target) -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(directory).join(target.name);
    let entries = fs::read_dir(path).into_iter().flatten();
    let mut inputs: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

fn attack(target: &Target, name: &str, bytes: &[u8]) {
    let caught = std::panic::catch_unwind(|| (target.attack)(bytes));
    assert!(caught.is_ok(), "{} does not bear {name}: {:?}", target.name, String::from_utf8_lossy(bytes));
}

#[test]
fn seeds_and_what_was_once_found_are_borne() {
    for target in TARGETS {
        let seeds = inputs("seeds", target);
        assert!(!seeds.is_empty(), "no seeds for {}", target.name);
        for (name, bytes) in seeds.into_iter().chain(inputs("regressions", target)) {
            attack(target, &name, &bytes);
        }
    }
}

#[test]
fn damaged_seeds_are_borne() {
    let mut random = fastrand::Rng::with_seed(20_261_122);
    for target in TARGETS {
        let seeds = inputs("seeds", target);
        for (name, seed) in &seeds {
            for _ in 0..COPIES {
                let mut bytes = seed.clone();
                for _ in 0..random.usize(1..5) {
                    let at = random.usize(0..=bytes.len());
                    match random.u8(0..5) {
                        0 if at < bytes.len() => bytes[at] = random.u8(..),
                        1 => bytes.insert(at, random.u8(..)),
                        2 => bytes.truncate(at),
                        3 if at < bytes.len() => drop(bytes.remove(at)),
                        _ => {
                            // A piece of another seed.
                            let other = &seeds[random.usize(0..seeds.len())].1;
                            let from = random.usize(0..=other.len());
                            let to = random.usize(from..=other.len());
                            bytes.splice(at..at, other[from..to].iter().copied());
                        }
                    }
                }
                attack(target, name, &bytes);
            }
        }
    }
}

/// Every target has its file and its seeds, so that none is forgotten.
#[test]
fn every_target_can_be_fuzzed() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let files = fs::read_dir(fuzz.join("fuzz_targets")).unwrap().count();
    assert_eq!(files, TARGETS.len());
    for target in TARGETS {
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
        let source = fs::read_to_string(fuzz.join(format!("fuzz_targets/{}.rs", target.name))).unwrap();
        assert!(source.contains(&format!("attack(\"{}\", bytes)", target.name)), "{}", target.name);
    }
}
