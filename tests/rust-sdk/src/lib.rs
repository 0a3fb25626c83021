//! What the tests of the Rust SDK stand on: a running Partita with clients, and a table of orders with short ways to
//! write items. The tests themselves are in `tests/sdk.rs`.

pub mod orders;
pub mod server;
