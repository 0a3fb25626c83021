//! The server over real sockets: what bytes go in, what bytes come out.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is test code, also outside the test functions"
)]

mod browser;
mod harness;
mod hostile;
mod load;
mod stopping;
mod tls;
mod wire_format;
