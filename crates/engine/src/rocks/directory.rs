//! The data directory: what is in it, which format it is in, and why it may not be usable.
//!
//! `FORMAT` holds one line naming the format; `rocksdb/` is the database, with the lock against a second process.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::contract::Reason;
use crate::open::{Durability, OpenError};

use super::tuning::Tuned;

/// The format this version writes, and the newest it reads.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const FORMAT_BEING_WRITTEN: &str = "FORMAT.new";
const FORMAT_WORDS: &str = "partita data, format ";
const DATABASE: &str = "rocksdb";
/// What a file system's root holds by itself.
const NOT_FOREIGN: [&str; 2] = ["lost+found", FORMAT_BEING_WRITTEN];

/// A directory that is, or has just become, one of ours.
pub(crate) struct DataDirectory {
    path: PathBuf,
}

impl DataDirectory {
    /// Makes the directory if it is not there, marks it if it is empty, and checks the mark.
    pub(crate) fn prepare(path: &Path) -> Result<Self, OpenError> {
        let this = Self { path: path.to_owned() };
        make_private(path).map_err(inaccessible(path))?;
        let mark = path.join(FORMAT_FILE);
        match fs::read_to_string(&mark) {
            Ok(text) => this.check_format(&mark, &text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                this.refuse_foreign()?;
                this.write_format(&mark)?;
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(malformed(&mark)),
            Err(error) => return Err(inaccessible(&mark)(error)),
        }
        let database = this.database();
        make_private(&database).map_err(inaccessible(&database))?;
        Ok(this)
    }

    /// Where RocksDB keeps its files.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Why RocksDB did not open.
    pub(crate) fn explain(&self, error: &rocksdb::Error, tuned: &Tuned) -> OpenError {
        let text = error.as_ref();
        let path = self.path.clone();
        if text.contains("While lock file") || text.contains("lock hold by current process") {
            return OpenError::Locked(path);
        }
        match error.kind() {
            rocksdb::ErrorKind::Corruption if tuned.durability == Durability::Sync => OpenError::Damaged {
                path,
                reason: Reason::new(format_args!(
                    "{text} (if it is the journal that is damaged, opening once with durability `interval` or `none` \
                     gives up the commits after the damage)"
                )),
            },
            rocksdb::ErrorKind::Corruption => OpenError::Damaged { path, reason: Reason::new(text) },
            _ => OpenError::Inaccessible { path, reason: Reason::new(text) },
        }
    }

    fn check_format(&self, mark: &Path, text: &str) -> Result<(), OpenError> {
        let found: u32 = text
            .strip_prefix(FORMAT_WORDS)
            .and_then(|rest| rest.trim_end().parse().ok())
            .ok_or_else(|| malformed(mark))?;
        match found {
            FORMAT => Ok(()),
            0 => Err(malformed(mark)),
            _ => Err(OpenError::NewerFormat { path: self.path.clone(), found, supported: FORMAT }),
        }
    }

    fn refuse_foreign(&self) -> Result<(), OpenError> {
        for entry in fs::read_dir(&self.path).map_err(inaccessible(&self.path))? {
            let name = entry.map_err(inaccessible(&self.path))?.file_name();
            if !NOT_FOREIGN.iter().any(|ours| name == **ours) {
                return Err(OpenError::Foreign(self.path.clone()));
            }
        }
        Ok(())
    }

    /// Writes the mark so that after a crash it is there whole or not at all.
    fn write_format(&self, mark: &Path) -> Result<(), OpenError> {
        let draft = self.path.join(FORMAT_BEING_WRITTEN);
        let write = || -> io::Result<()> {
            let mut file = File::create(&draft)?;
            writeln!(file, "{FORMAT_WORDS}{FORMAT}")?;
            file.sync_all()?;
            fs::rename(&draft, mark)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(inaccessible(mark))
    }
}

/// Makes a directory that only its owner may enter, unless it is there.
fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn inaccessible(path: &Path) -> impl Fn(io::Error) -> OpenError {
    move |error| OpenError::Inaccessible { path: path.to_owned(), reason: Reason::new(error) }
}

fn malformed(mark: &Path) -> OpenError {
    OpenError::Damaged { path: mark.to_owned(), reason: Reason::new("it does not name a data format") }
}
