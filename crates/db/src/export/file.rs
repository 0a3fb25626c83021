//! A data file on its way out: items become lines, lines become a gzip stream, and that is hashed as it leaves.

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use partita_formats::{Change, ion, json};
use partita_model::StoredItem;
use serde::{Deserialize, Serialize};

use super::filter::BoundFilter;
use super::record::{ExportFormat, ExportView};
use crate::history::WindowItem;

/// How the lines of an export are made.
#[derive(Debug)]
pub(super) struct Form {
    pub format: ExportFormat,
    pub view: ExportView,
    /// The names of the table's key attributes.
    pub keys: Vec<String>,
    pub filter: Option<BoundFilter>,
}

/// What a page of an export holds.
#[derive(Debug)]
pub(super) enum Rows {
    Items(Vec<StoredItem>),
    Changes(Vec<WindowItem>),
}

/// A data file that is written.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WrittenFile {
    /// How many items it has.
    pub items: i64,
    /// The sizes of the items that were read for it.
    pub bytes: i64,
    /// The MD5 of the file in base64.
    pub md5: String,
    pub etag: String,
    pub key: String,
}

/// A data file that is being written.
pub(super) struct DataFile {
    form: Arc<Form>,
    packing: GzEncoder<Vec<u8>>,
    hash: md5::Context,
    text: Vec<u8>,
    items: i64,
    bytes: i64,
}

impl DataFile {
    pub(super) fn new(form: Arc<Form>) -> Self {
        let packing = GzEncoder::new(Vec::new(), Compression::default());
        Self { form, packing, hash: md5::Context::new(), text: Vec::new(), items: 0, bytes: 0 }
    }

    /// Adds what is wanted of a page, and returns what there is to write by now.
    pub(super) fn add(&mut self, rows: &Rows) -> std::io::Result<Bytes> {
        self.text.clear();
        match rows {
            Rows::Items(items) => items.iter().for_each(|item| self.add_item(item)),
            Rows::Changes(changes) => changes.iter().for_each(|change| self.add_change(change)),
        }
        self.packing.write_all(&self.text)?;
        Ok(self.take())
    }

    fn add_item(&mut self, item: &StoredItem) {
        self.bytes += i64::try_from(item.size()).unwrap_or(0);
        let filter = self.form.filter.as_ref();
        if filter.is_some_and(|filter| !filter.admits(item)) {
            return;
        }
        let shown = filter.and_then(|filter| filter.shown(item));
        let item = shown.as_ref().unwrap_or(item);
        match self.form.format {
            ExportFormat::Json => json::item_line(item, &mut self.text),
            ExportFormat::Ion => ion::item_line(item, &mut self.text),
        }
        self.items += 1;
    }

    fn add_change(&mut self, change: &WindowItem) {
        let Some(latest) = change.new.as_ref().or(change.old.as_ref()) else { return };
        let sizes = [&change.old, &change.new].map(|image| image.as_ref().map_or(0, StoredItem::size));
        self.bytes += i64::try_from(sizes.iter().sum::<usize>()).unwrap_or(0);
        let filter = self.form.filter.as_ref();
        if filter.is_some_and(|filter| !filter.admits(latest)) {
            return;
        }
        let shown = |image: &Option<StoredItem>| {
            image.as_ref().map(|image| filter.and_then(|filter| filter.shown(image)).unwrap_or_else(|| image.clone()))
        };
        let keys = latest.project(&self.form.keys);
        let (old, new) = (shown(&change.old), shown(&change.new));
        let change = Change {
            keys: &keys,
            written_us: change.written_ms.saturating_mul(1000),
            old: old.as_ref().filter(|_| self.form.view == ExportView::NewAndOld),
            new: new.as_ref(),
        };
        match self.form.format {
            ExportFormat::Json => json::change_line(&change, &mut self.text),
            ExportFormat::Ion => ion::change_line(&change, &mut self.text),
        }
        self.items += 1;
    }

    fn take(&mut self) -> Bytes {
        let packed = std::mem::take(self.packing.get_mut());
        self.hash.consume(&packed);
        packed.into()
    }

    /// Ends the file: what is left to write, and what it is, as soon as it has a key and an entity tag.
    pub(super) fn finish(mut self) -> std::io::Result<(Bytes, WrittenFile)> {
        self.packing.try_finish()?;
        let rest = self.take();
        let md5 = STANDARD.encode(*self.hash.finalize());
        let file = WrittenFile { items: self.items, bytes: self.bytes, md5, etag: String::new(), key: String::new() };
        Ok((rest, file))
    }
}
