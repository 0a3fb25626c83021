//! Objects as files of a directory: each is written beside its place, synced, and moved there; directories come and go
//! with what is in them. Directories are 0700 and files 0600.
//!
//! Symbolic links to files are followed, so that an operator can put files there by linking them; links to directories
//! are not listed.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::error::{ObjectError, Result};
use crate::key::{self, PARTIAL};
use crate::store::{Head, Listed, Listing, Stored, too_large};

/// How often a file is created whose directory someone removes in between.
const ATTEMPTS: u32 = 20;
/// The deepest that directories are looked through: keys have at most 1,024 bytes.
const DEPTH: usize = 512;

#[derive(Clone, Debug)]
pub(crate) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(crate) const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn shown(&self) -> String {
        self.root.display().to_string()
    }

    /// Runs what blocks where it keeps nobody else from running.
    async fn blocking<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&Path, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (root, key) = (self.root.clone(), key.to_owned());
        let done = tokio::task::spawn_blocking(move || work(&root, &key)).await;
        done.unwrap_or_else(|error| Err(ObjectError::Unavailable(error.to_string())))
    }

    pub(crate) async fn put(&self, key: &str, value: Bytes) -> Result<Stored> {
        self.blocking(key, move |root, key| {
            let mut file = Partial::create(root, key)?;
            file.write(&value)?;
            file.finish()
        })
        .await
    }

    pub(crate) async fn get(&self, key: &str, most: u64) -> Result<Bytes> {
        self.blocking(key, move |root, key| {
            let (file, size) = open(root, key)?;
            if size > most {
                return Err(too_large(key, most));
            }
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed(root))?;
            if bytes.len() as u64 > most { Err(too_large(key, most)) } else { Ok(bytes.into()) }
        })
        .await
    }

    pub(crate) async fn get_range(&self, key: &str, start: u64, length: u64) -> Result<Bytes> {
        self.blocking(key, move |root, key| {
            let (mut file, size) = open(root, key)?;
            let length = length.min(size.saturating_sub(start));
            file.seek(SeekFrom::Start(start)).map_err(failed(root))?;
            let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
            file.take(length).read_to_end(&mut bytes).map_err(failed(root))?;
            Ok(bytes.into())
        })
        .await
    }

    pub(crate) async fn head(&self, key: &str) -> Result<Head> {
        self.blocking(key, |root, key| Ok(Head { size: open(root, key)?.1 })).await
    }

    pub(crate) async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Listing> {
        let after = after.map(str::to_owned);
        self.blocking(prefix, move |root, prefix| {
            let mut search = Search { prefix, after: after.as_deref(), most, listing: Listing::default() };
            // Names before the last slash of a prefix are whole, so only one directory need be looked through.
            let begin = prefix.rfind('/').map_or("", |slash| prefix.get(..slash).unwrap_or_default());
            if begin.is_empty() || key::check(begin).is_ok() {
                search.look(&root.join(begin), begin, 0).map_err(failed(root))?;
            }
            Ok(search.listing)
        })
        .await
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<()> {
        self.blocking(key, |root, key| {
            let path = root.join(key);
            match fs::remove_file(&path) {
                Err(error) if is_absent(&error) => return Ok(()),
                other => other.map_err(failed(root))?,
            }
            let mut directory = path.parent();
            while let Some(at) = directory.filter(|at| at.starts_with(root) && *at != root) {
                // It stays if there is something in it.
                if fs::remove_dir(at).is_err() {
                    break;
                }
                directory = at.parent();
            }
            directory.map_or(Ok(()), |at| there(sync_directory(at)).map_err(failed(root)))
        })
        .await
    }

    pub(crate) async fn delete_under(&self, name: &str) -> Result<()> {
        self.blocking(name, |root, name| {
            let path = root.join(name);
            match fs::remove_dir_all(&path) {
                Err(error) if is_absent(&error) => Ok(()),
                Err(error) => Err(failed(root)(error)),
                Ok(()) => there(sync_directory(path.parent().unwrap_or(root))).map_err(failed(root)),
            }
        })
        .await
    }

    pub(crate) async fn create(&self, key: &str) -> Result<PartialFile> {
        let partial = self.blocking(key, Partial::create).await?;
        Ok(PartialFile { directory: self.clone(), partial: Some(partial) })
    }
}

/// An object that is being written, for callers that must not block.
#[derive(Debug)]
pub(crate) struct PartialFile {
    directory: Directory,
    /// Away while a thread writes to it.
    partial: Option<Partial>,
}

impl PartialFile {
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Partial) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let broken = || ObjectError::Unavailable("the file's writing was broken off".to_owned());
        let mut partial = self.partial.take().ok_or_else(broken)?;
        let work = move |_: &Path, _: &str| Ok((work(&mut partial)?, partial));
        let (done, partial) = self.directory.blocking("", work).await?;
        self.partial = Some(partial);
        Ok(done)
    }

    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.with(move |partial| partial.write(&bytes)).await
    }

    pub(crate) async fn finish(mut self) -> Result<Stored> {
        let stored = self.with(Partial::finish).await;
        self.partial = None;
        stored
    }

    pub(crate) async fn abort(mut self) -> Result<()> {
        self.partial.take();
        Ok(())
    }
}

/// A file beside its place, removed when it is dropped before it is there.
struct Partial {
    root: PathBuf,
    at: PathBuf,
    place: PathBuf,
    file: File,
    hash: md5::Context,
    moved: bool,
}

impl Partial {
    fn create(root: &Path, key: &str) -> Result<Self> {
        let place = root.join(key);
        let directory = place.parent().unwrap_or(root).to_owned();
        let mut attempt = 1;
        loop {
            let at = directory.join(format!("{PARTIAL}{:016x}", fastrand::u64(..)));
            let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&at);
            match make_directories(&directory).and_then(|()| open()) {
                Ok(file) => {
                    let root = root.to_owned();
                    return Ok(Self { root, at, place, file, hash: md5::Context::new(), moved: false });
                }
                // Whoever removed the last object of the directory has removed the directory too.
                Err(error) if error.kind() == ErrorKind::NotFound && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(failed(root)(error)),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.consume(bytes);
        self.file.write_all(bytes).map_err(failed(&self.root))
    }

    fn finish(&mut self) -> Result<Stored> {
        let failed = failed(&self.root);
        self.file.sync_all().map_err(&failed)?;
        fs::rename(&self.at, &self.place).map_err(&failed)?;
        self.moved = true;
        sync_directory(self.place.parent().unwrap_or(&self.root)).map_err(&failed)?;
        Ok(Stored { etag: format!("{:x}", self.hash.clone().finalize()) })
    }
}

impl fmt::Debug for Partial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Partial").field("at", &self.at).field("place", &self.place).finish_non_exhaustive()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.moved {
            // What is left is not listed, and nothing else can be done here.
            let _ = fs::remove_file(&self.at);
        }
    }
}

/// Makes a directory and those above it that are missing, and makes that last.
fn make_directories(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(above) = directory.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_directories(above)?;
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => match directory.parent() {
            Some(above) if !above.as_os_str().is_empty() => sync_directory(above),
            _ => Ok(()),
        },
    }
}

/// Makes what was done to the names in a directory last.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// A file and its length.
fn open(root: &Path, key: &str) -> Result<(File, u64)> {
    let not_there = || ObjectError::NotThere(key.to_owned());
    let file = match File::open(root.join(key)) {
        Err(error) if is_absent(&error) => return Err(not_there()),
        other => other.map_err(failed(root))?,
    };
    let metadata = file.metadata().map_err(failed(root))?;
    if metadata.is_file() { Ok((file, metadata.len())) } else { Err(not_there()) }
}

/// A walk through directories in the order of keys.
struct Search<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    most: usize,
    listing: Listing,
}

impl Search<'_> {
    /// Looks through a directory; `name` is what the keys of its objects begin with, without the slash.
    fn look(&mut self, directory: &Path, name: &str, depth: usize) -> io::Result<()> {
        if depth > DEPTH {
            return Ok(());
        }
        let entries = match fs::read_dir(directory) {
            Err(error) if is_absent(&error) => return Ok(()),
            other => other?,
        };
        // A directory is where its keys are: behind its name with a slash.
        let mut names: Vec<(String, bool)> = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Ok(mut entry_name) = entry.file_name().into_string() else { continue };
            let is_directory = entry.file_type()?.is_dir();
            if is_directory {
                entry_name.push('/');
            }
            names.push((entry_name, is_directory));
        }
        names.sort_unstable();
        for (entry_name, is_directory) in names {
            if self.listing.more {
                break;
            }
            let key = if name.is_empty() { entry_name } else { format!("{name}/{entry_name}") };
            if is_directory {
                let begins = key.starts_with(self.prefix) || self.prefix.starts_with(&key);
                let passed = self.after.is_some_and(|after| after > key.as_str() && !after.starts_with(&key));
                if begins && !passed {
                    let name = key.trim_end_matches('/');
                    self.look(&directory.join(name.rsplit('/').next().unwrap_or(name)), name, depth + 1)?;
                }
            } else {
                self.take(directory, key)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, directory: &Path, key: String) -> io::Result<()> {
        let passed = self.after.is_some_and(|after| after >= key.as_str());
        if passed || !key.starts_with(self.prefix) || key::check(&key).is_err() {
            return Ok(());
        }
        let name = key.rsplit('/').next().unwrap_or(&key);
        // One that has gone meanwhile is not there; a link that leads to no file is none.
        let metadata = match fs::metadata(directory.join(name)) {
            Err(error) if is_absent(&error) => return Ok(()),
            other => other?,
        };
        if !metadata.is_file() {
            return Ok(());
        }
        if self.listing.objects.len() == self.most {
            self.listing.more = true;
        } else {
            self.listing.objects.push(Listed { key, size: metadata.len() });
        }
        Ok(())
    }
}

/// Whether a path leads to nothing, or through a file.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn there(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if is_absent(&error) => Ok(()),
        other => other,
    }
}

fn failed(root: &Path) -> impl Fn(io::Error) -> ObjectError {
    move |error| {
        let told = format!("{}: {error}", root.display());
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => ObjectError::Forbidden(told),
            _ => ObjectError::Unavailable(told),
        }
    }
}
