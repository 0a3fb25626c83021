//! Attacks on what Partita promises, with programs that can be run again: docs/reliability.md has the promises and the
//! figures.
//!
//! `crash` loads a server, kills it or pulls its power, and holds what it finds against an oracle; `faults` is the layer
//! under its files; `history` records concurrent requests and judges them; `hostile` feeds bytes to every decoder. What
//! they attack is the real binary, but for `hostile`, which calls the decoders.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "an attack judges by panicking")]

pub mod crash;
pub mod faults;
pub mod history;
pub mod hostile;
pub mod server;
pub mod wire;
