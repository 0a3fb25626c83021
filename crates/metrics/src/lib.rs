//! Counting: what a request touches (`Counter`, `Histogram`), what a scrape gathers (`Samples`) and how that is written
//! for Prometheus (`text`), and who asks most, in bounded memory (`heavy`).
//!
//! Why this is not a library: counters of a table live with the table's in-memory state and go with it, so a request
//! reaches them by a pointer that it holds already, without the lock and the look-up by label values that registries of
//! libraries have on the hot path; series are named only when somebody asks. What is left of a library then is the text
//! format, which is a page.
//!
//! No I/O, no clock, no knowledge of tables or requests.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod counter;
pub mod heavy;
mod histogram;
mod samples;
mod text;

pub use counter::{Counter, Gauge};
pub use histogram::{Distribution, Histogram};
pub use samples::{Family, Kind, Label, Name, Point, Reading, Samples};
pub use text::{CONTENT_TYPE, write};
