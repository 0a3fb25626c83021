//! Loads: items out of the objects of a bucket into a table. ImportTable makes the table, StartBulkPutItems puts into one
//! that is in use; otherwise both are the same.
//!
//! `record` is what is kept of a load and `requests` begins, describes, lists and cancels them. `source` says where the
//! items come from, `object` reads and unpacks objects, `reading` makes batches of what they say, `fill` writes those with
//! how far they have come, `report` tells of what could not be written, and `runner` does all of it in the background.

mod fill;
mod object;
mod reading;
mod record;
mod report;
mod requests;
mod runner;
mod source;
#[cfg(test)]
mod tests;

pub use record::{LoadFailure, LoadKind, LoadRecord, LoadStatus, Loaded};
pub use requests::{BulkRequest, ImportRequest, LoadPage};
pub(crate) use runner::Loading;
pub use source::{Compression, CsvOptions, InputFormat, LoadSource, OutputEncryption, OutputPlace};
