//! What is built in, as far as that can be judged without the network: licences, sources, bans, and where code is unsafe.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test judges by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The texts of a list in deny.toml.
fn listed(name: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let list = text.split(&format!("\n{name} = [")).nth(1).unwrap().split(']').next().unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn packages() -> Vec<Value> {
    let told = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--all-features"])
        .current_dir(root())
        .output()
        .unwrap();
    // Packages for other systems may never have been downloaded: then their lock entries are all that is known here.
    if !told.status.success() {
        let told = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        return serde_json::from_slice::<Value>(&told.stdout).unwrap()["packages"].as_array().unwrap().clone();
    }
    serde_json::from_slice::<Value>(&told.stdout).unwrap()["packages"].as_array().unwrap().clone()
}

/// Whether a licence expression can be met with these licences alone: `OR` needs one side, `AND` both.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    // All expressions in use are alternatives of conjunctions, or conjunctions of one alternative.
    let words = |part: &str| allowed.iter().any(|licence| licence == part.trim());
    expression.split(" OR ").any(|alternative| alternative.split(" AND ").all(words))
        || expression.split(" AND ").all(|part| part.split(" OR ").any(words))
}

#[test]
fn every_package_has_a_permitted_licence_and_comes_from_the_registry() {
    let (allowed, banned) = (listed("allow"), listed("deny"));
    assert!(allowed.len() > 5 && banned.len() > 2);
    let packages = packages();
    assert!(packages.len() > 100);
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(permits(licence, &allowed), "{name} is under {licence:?}");
        assert!(!banned.contains(&name.to_owned()), "{name} is banned");
        match package["source"].as_str() {
            None => assert!(name == "partita" || name.starts_with("partita-"), "{name} has no source"),
            Some(source) => assert_eq!(source, "registry+https://github.com/rust-lang/crates.io-index", "{name}"),
        }
    }
}

#[test]
fn licences_that_are_not_permitted_are_noticed() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for (expression, permitted) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("MIT/Apache-2.0", true),
        ("", false),
    ] {
        assert_eq!(permits(expression, &allowed), permitted, "{expression}");
    }
}

/// The files of the project in which code is unsafe: each is there for a measured reason, said beside it.
const UNSAFE: &[&str] = &[
    "crates/auth/tests/policy_hot_path.rs",
    "crates/cli/src/main.rs",
    "crates/engine/src/fdb/network.rs",
    "crates/engine/src/fdb/tests.rs",
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn code_is_unsafe_only_where_it_is_known_to_be() {
    let root = root();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
    let mut files = Vec::new();
    for directory in ["crates", "bench", "proof"] {
        sources(&root.join(directory), &mut files);
    }
    assert!(files.len() > 200);
    let allows = ["allow(unsafe", "expect(unsafe"].map(|words| format!("{words}_code"));
    let mut found: Vec<String> = files
        .iter()
        .filter(|path| allows.iter().any(|words| fs::read_to_string(path).unwrap().contains(words)))
        .map(|path| path.strip_prefix(&root).unwrap().display().to_string())
        .collect();
    found.sort();
    assert_eq!(found, UNSAFE, "the inventory of unsafe code has changed");
}
