//! Reading the objects of a load, one after the other, into batches of items that are ready to be put.
//!
//! A thread of its own does this; a channel of few places keeps it no further ahead than memory is meant for. Each record
//! comes with the place behind it, so whatever has been written of a batch, the next reader goes on right there.

use std::collections::HashMap;
use std::sync::Arc;

use partita_expr::{Bindings, Condition, KeyNames, Kind, ParseCache};
use partita_formats::read::{
    self, ColumnType, Columns, ConditionText, Form, MAX_RECORD_BYTES, Malformed, Splitter, Step,
};
use partita_model::size::MAX_ITEM_BYTES;
use partita_model::{Item, Refusal, StoredItem};
use partita_objects::{Listed, ObjectError, ObjectStore};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::object::{ObjectReader, Packed, Unreadable};
use super::record::Mark;
use super::source::{Compression, LoadSource, column_types};
use crate::Database;
use crate::error::Error;
use crate::table::Table;
use crate::write::Put;

/// How much text is read at once.
const READ_BYTES: usize = if cfg!(test) { 16 } else { 256 << 10 };
/// How many records a batch has at most. Tests have batches of few.
pub(super) const BATCH_RECORDS: usize = if cfg!(test) { 5 } else { 2000 };
/// How many bytes of items a batch has before it ends.
const BATCH_BYTES: usize = 4 << 20;
/// How much is told of what is wrong with a record: messages may repeat values of any length.
const MAX_MESSAGE_BYTES: usize = 500;
/// What a UTF-8 file may begin with.
const BYTE_ORDER_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// What is sent to who writes.
pub(super) enum Sent {
    /// Records in their order.
    Batch(Batch),
    /// The store failed.
    Failed(ObjectError),
    /// Everything has been sent.
    End,
}

/// Some records.
pub(super) struct Batch {
    /// The object that they are of.
    pub object: Arc<str>,
    pub entries: Vec<Entry>,
    /// The place behind all of them.
    pub end: Mark,
}

/// A record.
pub(super) struct Entry {
    /// Which record of its object it is, from 0.
    pub index: u64,
    /// How many bytes of the object's text are behind it.
    pub offset: u64,
    /// What it says.
    pub found: Result<Put, String>,
}

/// What reading needs.
pub(super) struct Reading {
    pub database: Database,
    pub table: Arc<Table>,
    pub source: LoadSource,
    pub store: ObjectStore,
    /// What the keys of objects begin with that the load itself writes to this bucket.
    pub own: Option<String>,
    /// Whether records may have conditions.
    pub conditions: bool,
    pub runtime: Handle,
}

/// Why reading ends early.
enum Ended {
    /// Nobody listens any more.
    Unheard,
    /// The store failed.
    Store(ObjectError),
}

impl Reading {
    /// Reads everything behind a mark. Blocks.
    pub fn run(self, from: Mark, out: &mpsc::Sender<Sent>) {
        let end = match self.objects(from, out) {
            Ok(()) => Sent::End,
            Err(Ended::Store(error)) => Sent::Failed(error),
            Err(Ended::Unheard) => return,
        };
        // When nobody listens, nobody misses it.
        let _ = out.blocking_send(end);
    }

    fn objects(&self, mut mark: Mark, out: &mpsc::Sender<Sent>) -> Result<(), Ended> {
        let types = column_types(&self.table.record);
        let cache = ParseCache::default();
        if let Some(object) = mark.object.clone().filter(|_| !mark.whole) {
            let head = self.runtime.block_on(self.store.head(&object)).map_err(Ended::Store)?;
            mark = self.object(&object, head.size, mark, (&types, &cache), out)?;
        }
        let mut after = mark.object.clone();
        loop {
            let listing = self.store.list(&self.source.prefix, after.as_deref(), 1000);
            let listing = self.runtime.block_on(listing).map_err(Ended::Store)?;
            after = listing.objects.last().map(|object| object.key.clone());
            for object in &listing.objects {
                if is_input(object, self.own.as_deref()) {
                    mark = self.object(&object.key, object.size, mark.next(&object.key), (&types, &cache), out)?;
                }
            }
            if !listing.more || listing.objects.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads an object from a mark on, and returns the mark behind it.
    fn object(
        &self,
        key: &str,
        size: u64,
        from: Mark,
        (types, cache): (&HashMap<String, ColumnType>, &ParseCache),
        out: &mpsc::Sender<Sent>,
    ) -> Result<Mark, Ended> {
        let object =
            Packed { store: self.store.clone(), key: key.to_owned(), size, compression: self.source.compression };
        let mut text = Text {
            reading: self,
            types,
            cache,
            object: key.into(),
            mark: from,
            out,
            entries: Vec::new(),
            bytes: 0,
            columns: None,
        };
        let damaged = match text.read(&object) {
            Ok(()) => None,
            Err(Stopped::Ended(ended)) => return Err(ended),
            Err(Stopped::Damaged(why)) => Some(why),
        };
        if let Some(why) = damaged {
            // Nothing of the rest can be told apart from damage.
            text.push(text.mark.offset, Err(why));
        }
        text.mark.whole = true;
        text.mark.stored = size;
        text.send()?;
        Ok(text.mark)
    }
}

/// Why an object is not read further.
enum Stopped {
    Ended(Ended),
    Damaged(String),
}

impl From<Unreadable> for Stopped {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Store(error) => Self::Ended(Ended::Store(error)),
            Unreadable::Damaged(why) => Self::Damaged(why),
        }
    }
}

/// An object's text while it is read.
struct Text<'r> {
    reading: &'r Reading,
    types: &'r HashMap<String, ColumnType>,
    cache: &'r ParseCache,
    object: Arc<str>,
    /// The place behind what has been pushed.
    mark: Mark,
    out: &'r mpsc::Sender<Sent>,
    entries: Vec<Entry>,
    bytes: usize,
    columns: Option<Columns>,
}

impl Text<'_> {
    fn read(&mut self, object: &Packed) -> Result<(), Stopped> {
        let source = &self.reading.source;
        let form = source.form();
        let mut from = self.mark.offset;
        if let (Form::Csv(delimiter), Some(headers)) = (form, &source.csv.headers) {
            let columns = Columns::new(delimiter, headers.clone(), |name| self.types.get(name).copied());
            self.columns = Some(columns.map_err(damaged)?);
        }
        let needs_header = matches!(form, Form::Csv(_)) && self.columns.is_none();
        // The columns stand at the start, wherever reading goes on.
        let skip = if needs_header { std::mem::take(&mut from) } else { 0 };
        let mut reader = ObjectReader::open(&self.reading.runtime, object, from)?;
        let mut window = Window { buffer: Vec::new(), begin: 0, offset: from, last: false };
        if from == 0 {
            window.skip_mark(&mut reader)?;
        }
        let mut splitter = Splitter::new(form);
        if needs_header {
            if let Some(header) = window.next(&mut splitter, &mut reader)? {
                let Form::Csv(delimiter) = form else { return Ok(()) };
                let columns =
                    Columns::of_header(delimiter, window.record(&header), |name| self.types.get(name).copied());
                self.columns = Some(columns.map_err(damaged)?);
                window.take(&header);
            }
            if skip > window.offset {
                if source.compression == Compression::None {
                    reader = ObjectReader::open(&self.reading.runtime, object, skip)?;
                    window = Window { buffer: Vec::new(), begin: 0, offset: skip, last: false };
                } else {
                    window.skip_to(skip, &mut reader)?;
                }
            }
            self.mark.offset = self.mark.offset.max(window.offset);
        }
        while let Some(record) = window.next(&mut splitter, &mut reader)? {
            let found = self.found(form, window.record(&record));
            window.take(&record);
            if let Some(found) = found.transpose() {
                self.push(window.offset, found);
            } else {
                self.mark.offset = window.offset;
            }
            if self.entries.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES {
                self.mark.stored = self.mark.stored.max(reader.stored_bytes());
                self.send().map_err(Stopped::Ended)?;
            }
        }
        self.mark.offset = window.offset;
        Ok(())
    }

    /// What a record says; nothing when it has nothing but comments.
    fn found(&self, form: Form, bytes: &[u8]) -> Result<Option<Put>, String> {
        let record = match (form, &self.columns) {
            (Form::Csv(_), Some(columns)) => {
                let item = columns.item(bytes).map_err(|Malformed(why)| why)?;
                Some(read::Record { item, condition: None })
            }
            _ => read::record(form, bytes).map_err(|Malformed(why)| why)?,
        };
        let Some(record) = record else { return Ok(None) };
        let condition = record.condition.filter(|_| self.reading.conditions);
        let put = self.put(&record.item, condition).map_err(|error| match error {
            Error::Refused(refusal) => refusal.message.into_owned(),
            other => other.to_string(),
        })?;
        Ok(Some(put))
    }

    fn put(&self, item: &Item, condition: Option<ConditionText>) -> Result<Put, Error> {
        let table = &self.reading.table;
        let key = table.key_of_item(&self.reading.database.key_secret(), item)?;
        let item = StoredItem::from_item(item);
        if item.size() > MAX_ITEM_BYTES {
            return Err(Error::validation("Item size has exceeded the maximum allowed size"));
        }
        let condition = condition.map(|condition| self.bind(condition)).transpose()?;
        Ok(Put { key, item, condition })
    }

    fn bind(&self, text: ConditionText) -> Result<Condition, Refusal> {
        let names = (!text.names.is_empty()).then_some(text.names);
        let values = (!text.values.is_empty()).then(|| text.values.into_iter().collect());
        let mut bindings = Bindings::new(names, values)?;
        let condition = Condition::bind(&self.cache.condition(Kind::Condition, &text.expression)?, &mut bindings)?;
        bindings.finish()?;
        let table: Vec<&str> = self.reading.table.key.attributes().map(|attribute| attribute.name.as_str()).collect();
        condition.check_scalar_keys(&KeyNames { table: &table, indexes: &[] })?;
        Ok(condition)
    }

    fn push(&mut self, offset: u64, found: Result<Put, String>) {
        let found = found.map_err(|mut why| {
            if why.len() > MAX_MESSAGE_BYTES {
                why.truncate(why.floor_char_boundary(MAX_MESSAGE_BYTES));
                why.push('…');
            }
            why
        });
        self.bytes += found.as_ref().map_or(MAX_MESSAGE_BYTES, |put| put.item.as_bytes().len());
        self.entries.push(Entry { index: self.mark.records, offset, found });
        self.mark.offset = offset;
        self.mark.records += 1;
    }

    fn send(&mut self) -> Result<(), Ended> {
        let entries = std::mem::take(&mut self.entries);
        self.bytes = 0;
        let batch = Batch { object: Arc::clone(&self.object), entries, end: self.mark.clone() };
        self.out.blocking_send(Sent::Batch(batch)).map_err(|_| Ended::Unheard)
    }
}

/// Whether an object is one of items: not what stands for a directory, nor what the load itself has written.
pub(super) fn is_input(object: &Listed, own: Option<&str>) -> bool {
    let is_own = own.is_some_and(|own| object.key.starts_with(own));
    !is_own && (object.size > 0 || !object.key.ends_with('/'))
}

fn damaged(Malformed(why): Malformed) -> Stopped {
    Stopped::Damaged(why)
}

/// The part of a text that is in memory.
struct Window {
    buffer: Vec<u8>,
    /// Where in the buffer it begins what has not been taken.
    begin: usize,
    /// Where in the text that is.
    offset: u64,
    /// Whether the text ends with the buffer.
    last: bool,
}

/// A record in the window.
struct Framed {
    start: usize,
    end: usize,
    next: usize,
}

impl Window {
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.begin..).unwrap_or_default()
    }

    fn record(&self, record: &Framed) -> &[u8] {
        self.rest().get(record.start..record.end).unwrap_or_default()
    }

    fn take(&mut self, record: &Framed) {
        self.advance(record.next);
    }

    fn advance(&mut self, bytes: usize) {
        self.begin += bytes;
        self.offset += bytes as u64;
    }

    /// The next record.
    fn next(&mut self, splitter: &mut Splitter, reader: &mut ObjectReader) -> Result<Option<Framed>, Stopped> {
        loop {
            match splitter.next(self.rest(), self.last) {
                Step::Record { start, end, next } => return Ok(Some(Framed { start, end, next })),
                Step::Nothing { next } => self.advance(next),
                Step::More => {
                    if self.rest().len() > MAX_RECORD_BYTES {
                        return Err(Stopped::Damaged(format!("A record is longer than {MAX_RECORD_BYTES} bytes")));
                    }
                    self.grow(reader)?;
                }
                Step::End => return Ok(None),
                Step::Broken(why) => return Err(Stopped::Damaged(why.to_owned())),
            }
        }
    }

    fn grow(&mut self, reader: &mut ObjectReader) -> Result<(), Stopped> {
        // What has been taken goes when it is most of the buffer, so nothing is moved often.
        if self.begin > self.buffer.len() / 2 {
            self.buffer.drain(..self.begin);
            self.begin = 0;
        }
        self.last = reader.read(&mut self.buffer, READ_BYTES)? == 0;
        Ok(())
    }

    fn skip_mark(&mut self, reader: &mut ObjectReader) -> Result<(), Stopped> {
        while self.buffer.len() < BYTE_ORDER_MARK.len() && !self.last {
            self.grow(reader)?;
        }
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.advance(BYTE_ORDER_MARK.len());
        }
        Ok(())
    }

    fn skip_to(&mut self, offset: u64, reader: &mut ObjectReader) -> Result<(), Stopped> {
        while self.offset < offset {
            if self.rest().is_empty() {
                if self.last {
                    return Err(Stopped::Damaged("The object is shorter than it was".to_owned()));
                }
                self.grow(reader)?;
            }
            let left = usize::try_from(offset - self.offset).unwrap_or(usize::MAX);
            self.advance(left.min(self.rest().len()));
        }
        Ok(())
    }
}
