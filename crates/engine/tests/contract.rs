//! The embedded engine, judged by the contract suite: as it is, in memory, and with buffers so small that everything
//! moves to files, is compacted and falls out of the cache all the time.

#![allow(clippy::unwrap_used, reason = "a test judges by panicking")]

use partita_engine::{Durability, OpenOptions, Store, contract_suite};
use tempfile::TempDir;

fn open(change: impl FnOnce(&mut OpenOptions)) -> (impl partita_engine::Engine, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut options = OpenOptions::directory(directory.path().join("data"));
    change(&mut options);
    (embedded(&options), directory)
}

fn embedded(options: &OpenOptions) -> impl partita_engine::Engine + use<> {
    match Store::open(options).unwrap() {
        Store::Embedded(engine) => std::sync::Arc::into_inner(engine).unwrap(),
        #[cfg(feature = "fdb")]
        Store::Clustered(_) => unreachable!(),
    }
}

fn in_memory() -> (impl partita_engine::Engine, ()) {
    (embedded(&OpenOptions::memory()), ())
}

contract_suite!(synced, open(|_| {}));

contract_suite!(unsynced, open(|options| options.durability = Durability::None));

contract_suite!(
    tiny_buffers,
    open(|options| {
        options.durability = Durability::Interval;
        options.write_buffer_bytes = 64 << 10;
        options.cache_bytes = 64 << 10;
    })
);

contract_suite!(memory, in_memory());
