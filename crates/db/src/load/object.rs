//! An object as a stream of bytes: read in ranges, the next while the one before is being used, and unpacked.
//!
//! For threads that may block. What fails in the store is told apart from what is wrong with the bytes: the first may
//! pass, the second stays.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use parking_lot::Mutex;
use partita_objects::{ObjectError, ObjectStore};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::source::Compression;

/// How much of an object is read at once. Tests read little.
const RANGE_BYTES: u64 = if cfg!(test) { 64 } else { 4 << 20 };
/// How often a range is asked for before its failure is told.
const ATTEMPTS: u32 = 4;
/// The largest window of zstd that is taken, in bytes: what `zstd --long` uses without a further argument.
const MAX_WINDOW_BYTES: u64 = 128 << 20;

/// An object that is read.
pub(super) struct ObjectReader {
    text: Box<dyn Read + Send>,
    shared: Arc<Shared>,
}

/// What the stream of ranges tells those above it.
#[derive(Default)]
struct Shared {
    failed: Mutex<Option<ObjectError>>,
    read: AtomicU64,
}

/// Why nothing more can be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The store failed.
    Store(ObjectError),
    /// The bytes are not what they should be.
    Damaged(String),
}

/// Which object, and how it is packed.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub store: ObjectStore,
    pub key: String,
    /// Its length in bytes, packed as it is.
    pub size: u64,
    pub compression: Compression,
}

impl ObjectReader {
    /// Begins to read at a byte of the unpacked text. The thread must be one that may block.
    pub fn open(runtime: &Handle, object: &Packed, at: u64) -> Result<Self, Unreadable> {
        let shared = Arc::new(Shared::default());
        let start = if object.compression == Compression::None { at } else { 0 };
        let ranges = Ranges {
            runtime: runtime.clone(),
            store: object.store.clone(),
            key: object.key.as_str().into(),
            size: object.size,
            at: start,
            now: Bytes::new(),
            next: None,
            shared: Arc::clone(&shared),
        };
        shared.read.store(start, Ordering::Relaxed);
        let text: Box<dyn Read + Send> = match object.compression {
            Compression::None => Box::new(ranges),
            Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(ranges))),
            Compression::Zstd => Box::new(Zstd::new(BufReader::new(ranges))),
        };
        let mut reader = Self { text, shared };
        if object.compression != Compression::None {
            reader.skip(at)?;
        }
        Ok(reader)
    }

    /// How many bytes of the object have been read, packed as they are.
    pub fn stored_bytes(&self) -> u64 {
        self.shared.read.load(Ordering::Relaxed)
    }

    /// Appends up to `most` bytes of the text, and says how many; 0 at its end.
    pub fn read(&mut self, buffer: &mut Vec<u8>, most: usize) -> Result<usize, Unreadable> {
        let before = buffer.len();
        buffer.resize(before + most, 0);
        let read = self.text.read(buffer.get_mut(before..).unwrap_or_default());
        buffer.truncate(before + read.as_ref().map_or(0, |read| (*read).min(most)));
        read.map_err(|error| self.unreadable(&error))
    }

    fn skip(&mut self, bytes: u64) -> Result<(), Unreadable> {
        let skipped = io::copy(&mut self.text.by_ref().take(bytes), &mut io::sink());
        match skipped {
            Ok(skipped) if skipped == bytes => Ok(()),
            Ok(_) => Err(Unreadable::Damaged("The object is shorter than it was".to_owned())),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    fn unreadable(&self, error: &io::Error) -> Unreadable {
        match self.shared.failed.lock().take() {
            Some(error) => Unreadable::Store(error),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Unreadable::Damaged("The compressed object ends too early".to_owned())
            }
            None => Unreadable::Damaged(format!("The object can not be decompressed: {error}")),
        }
    }
}

/// The bytes of an object, packed as they are.
struct Ranges {
    runtime: Handle,
    store: ObjectStore,
    key: Arc<str>,
    size: u64,
    at: u64,
    now: Bytes,
    next: Option<JoinHandle<Result<Bytes, ObjectError>>>,
    shared: Arc<Shared>,
}

impl Ranges {
    fn fetch(&self, at: u64) -> Option<JoinHandle<Result<Bytes, ObjectError>>> {
        let length = RANGE_BYTES.min(self.size.saturating_sub(at));
        if length == 0 {
            return None;
        }
        let (store, key) = (self.store.clone(), Arc::clone(&self.key));
        Some(self.runtime.spawn(async move {
            let mut attempt = 0;
            loop {
                let error = match store.get_range(&key, at, length).await {
                    Ok(bytes) if bytes.len() as u64 == length => return Ok(bytes),
                    Ok(_) => return Err(ObjectError::Damaged(format!("{key} changed while it was read"))),
                    Err(error) => error,
                };
                attempt += 1;
                if attempt == ATTEMPTS || !error.may_pass() {
                    return Err(error);
                }
                tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
            }
        }))
    }
}

impl Read for Ranges {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.now.is_empty() {
            let Some(fetching) = self.next.take().or_else(|| self.fetch(self.at)) else { return Ok(0) };
            let fetched = self.runtime.block_on(fetching);
            let fetched = fetched.unwrap_or_else(|error| Err(ObjectError::Unavailable(error.to_string())));
            self.now = fetched.map_err(|error| {
                let told = io::Error::other(error.to_string());
                *self.shared.failed.lock() = Some(error);
                told
            })?;
            self.at += self.now.len() as u64;
            self.shared.read.store(self.at, Ordering::Relaxed);
            self.next = self.fetch(self.at);
        }
        let length = out.len().min(self.now.len());
        self.now.split_to(length).copy_to_slice(out.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}

/// The frames of zstd, one after the other. Frames that are to be skipped are; checksums are compared.
struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    /// Whether a frame has begun whose end has not been read.
    open: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW_BYTES);
        Self { source, decoder, open: false }
    }

    fn begin(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.source) {
            Ok(()) => self.open = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let length = u64::from(length);
                if io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.open {
                if self.source.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.begin()?;
                continue;
            }
            if self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, one).map_err(io::Error::other)?;
                continue;
            }
            let read = self.decoder.read(out)?;
            if read > 0 {
                return Ok(read);
            }
            let told = self.decoder.get_checksum_from_data();
            if told.is_some() && told != self.decoder.get_calculated_checksum() {
                return Err(io::Error::other("a checksum is wrong"));
            }
            self.open = false;
        }
    }
}
