//! What bytes from strangers reach: one function for each decoder and parser, which panics when a promise is broken.
//!
//! The fuzz targets in `fuzz/` call these with what the fuzzer makes up; `proof/tests/hostile.rs` calls them with the
//! seeds, with damaged seeds, and with what was once found. Each also checks what must hold of anything that is taken:
//! what is written again is read again, and the service never fails inside.

mod expressions;
mod identity;
mod service;
mod values;

/// A decoder, by the name of its fuzz target.
pub struct Target {
    /// The name of the file in `fuzz/fuzz_targets` and of the directory in `fuzz/seeds`.
    pub name: &'static str,
    /// Feeds it bytes.
    pub attack: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "number", attack: values::number },
    Target { name: "request", attack: values::request },
    Target { name: "stored", attack: values::stored },
    Target { name: "backup", attack: values::backup },
    Target { name: "condition", attack: expressions::condition },
    Target { name: "key_condition", attack: expressions::key_condition },
    Target { name: "projection", attack: expressions::projection },
    Target { name: "update", attack: expressions::update },
    Target { name: "partiql", attack: expressions::partiql },
    Target { name: "sigv4", attack: identity::sigv4 },
    Target { name: "policy", attack: identity::policy },
    Target { name: "tokens", attack: identity::tokens },
    Target { name: "service", attack: service::json },
    Target { name: "query_protocol", attack: service::query },
];

/// Feeds bytes to the target of this name.
///
/// # Panics
/// When a promise is broken, or there is no such target.
pub fn attack(name: &str, bytes: &[u8]) {
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else { panic!("no target is called {name}") };
    (target.attack)(bytes);
}

/// The first byte, which chooses among variants, and the rest.
fn choice(bytes: &[u8]) -> Option<(usize, &[u8])> {
    bytes.split_first().map(|(first, rest)| (usize::from(*first), rest))
}
