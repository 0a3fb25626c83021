//! What is told of records that were not written: lines of JSON in objects, so many lines each.
//!
//! Lines wait in the progress that is committed with the items, until there are enough of them for an object; that has a
//! number, which the same commit counts on. So after a crash an object is written again, and none is told of twice.

use std::fmt::Write as _;

use partita_formats::json;
use partita_model::StoredItem;
use partita_objects::{ObjectError, ObjectStore};
use serde_json::json;

use super::record::{LoadRecord, Told};

/// How many bytes of lines wait before they become an object.
const WAITING_BYTES: usize = if cfg!(test) { 300 } else { 64 << 10 };

/// The report of what could not be read or is none of the table.
pub(super) const ERRORS: usize = 0;
/// The report of false conditions.
pub(super) const CONDITIONS: usize = 1;

/// The bucket that error logs of imports go to, if there is one of this name.
pub(super) const LOG_BUCKET: &str = "aws-dynamodb-imports";

/// What the keys of an import's error log begin with.
pub(super) fn log_prefix(import: &LoadRecord) -> String {
    format!("{}/error/", import.id)
}

/// What the keys of a bulk operation's output begin with.
pub(super) fn output_prefix(record: &LoadRecord) -> String {
    let prefix = record.output.as_ref().map_or("", |output| output.prefix.trim_end_matches('/'));
    let slash = if prefix.is_empty() { "" } else { "/" };
    format!("{prefix}{slash}AWSDynamoDB/{}/", record.id)
}

/// Where a report goes.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub store: ObjectStore,
    /// What the keys of its objects begin with.
    pub prefix: String,
    /// The most lines that it has, if there is a bound.
    pub most: Option<u64>,
}

/// The reports of a load, in the order of [`ERRORS`] and [`CONDITIONS`].
#[derive(Clone, Debug, Default)]
pub(super) struct Reports(pub [Option<Report>; 2]);

/// Which record is told of.
#[derive(Clone, Copy, Debug)]
pub(super) struct ItemPlace<'a> {
    pub bucket: &'a str,
    pub object: &'a str,
    /// From 0.
    pub index: u64,
}

impl ItemPlace<'_> {
    fn json(&self) -> serde_json::Value {
        json!({ "bucket": self.bucket, "key": self.object, "itemIndex": self.index })
    }
}

impl Reports {
    /// Whether a report is written.
    pub fn wants(&self, which: usize) -> bool {
        self.0.get(which).is_some_and(Option::is_some)
    }

    /// Tells of a record that could not be written. `load` names the load, and under which name.
    pub fn error(&self, told: &mut Vec<Told>, place: ItemPlace<'_>, load: (&str, &str), message: &str) {
        self.tell(told, ERRORS, || {
            json!({ "itemS3Pointer": place.json(), load.0: load.1, "errorMessages": [message] }).to_string()
        });
    }

    /// Tells of a put whose condition was false.
    pub fn condition(
        &self,
        told: &mut Vec<Told>,
        place: ItemPlace<'_>,
        item: &StoredItem,
        existing: Option<&StoredItem>,
    ) {
        self.tell(told, CONDITIONS, || {
            let mut line = format!("{{\"itemS3Pointer\":{},\"item\":", place.json()).into_bytes();
            json::map(item.entries(), &mut line);
            if let Some(existing) = existing {
                line.extend_from_slice(b",\"existingItem\":");
                json::map(existing.entries(), &mut line);
            }
            line.push(b'}');
            String::from_utf8_lossy(&line).into_owned()
        });
    }

    fn tell(&self, told: &mut Vec<Told>, which: usize, line: impl FnOnce() -> String) {
        let Some(Some(report)) = self.0.get(which) else { return };
        if told.len() <= which {
            told.resize(which + 1, Told::default());
        }
        let Some(told) = told.get_mut(which) else { return };
        let left = report.most.map_or(u64::MAX, |most| most.saturating_sub(told.lines));
        if left == 0 {
            return;
        }
        told.lines += 1;
        if left == 1 {
            told.waiting.push_str("{\"errorMessages\":[\"Further errors are counted, and no longer told of\"]}\n");
        } else {
            // Writing to a string does not fail.
            let _ = writeln!(told.waiting, "{}", line());
        }
    }

    /// Writes the lines that wait, when they are many or `all` are to be written.
    ///
    /// # Errors
    /// When a store fails.
    pub async fn write(&self, told: &mut [Told], all: bool) -> Result<(), ObjectError> {
        for (report, told) in self.0.iter().zip(told) {
            let Some(report) = report else { continue };
            if told.waiting.len() > WAITING_BYTES || (all && !told.waiting.is_empty()) {
                let lines = std::mem::take(&mut told.waiting);
                report.store.put(&report.key(told.parts), lines.into()).await?;
                told.parts += 1;
            } else if all {
                // What an attempt may have left that came further and was not committed.
                report.store.delete(&report.key(told.parts)).await?;
            }
        }
        Ok(())
    }
}

impl Report {
    /// The key of an object.
    pub fn key(&self, part: u64) -> String {
        format!("{}{part:08}.json", self.prefix)
    }
}
