//! Exports: a table as it was at a moment, or what has changed in it between two, written to a bucket in the folders and
//! files that the service writes.
//!
//! `record` is what the catalog keeps of an export, `requests` begins, describes and lists them, `filter` is what of a
//! table is exported, `run` does the work, `file` and `manifest` are the form of what is written. Exports are jobs beside
//! backups and restores, and read tables through `history`.

mod file;
mod filter;
mod manifest;
mod record;
mod requests;
mod run;
#[cfg(test)]
mod tests;

pub use filter::ExportFilter;
pub(crate) use record::ExportPlace;
pub use record::{
    ExportEncryption, ExportFailure, ExportFormat, ExportRecord, ExportRequest, ExportSpan, ExportState, ExportView,
};
pub use requests::ExportPage;
pub(crate) use run::is_hopeless;
