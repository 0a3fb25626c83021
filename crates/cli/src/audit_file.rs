//! The file of the audit log: lines are queued in memory and written by a thread of their own, so that no request waits.
//!
//! A file that was moved away is opened anew under its name. What can not be written or queued is lost, counted and
//! logged; requests go on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;

/// The most bytes that wait to be written.
const MOST_QUEUED: usize = 32 << 20;
/// How often it is looked whether the file was moved.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often lost lines are logged.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(30);
/// What stands for standard output.
const STANDARD_OUTPUT: &str = "-";

/// The file can not be opened. The text is for the operator.
#[derive(Debug, Error)]
#[error("the audit log {} can not be written: {error}", .path.display())]
pub struct NotWritable {
    path: PathBuf,
    error: io::Error,
}

/// The audit log while the server runs.
#[derive(Debug)]
pub struct AuditFile {
    queue: Queue,
    thread: JoinHandle<()>,
}

/// Where lines are given to.
#[derive(Clone, Debug)]
pub struct Queue {
    lines: Sender<Option<Vec<u8>>>,
    waiting: Arc<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

impl AuditFile {
    /// Opens the log for appending: a file, made with access for its owner only, or `-` for standard output.
    ///
    /// # Errors
    /// [`NotWritable`].
    pub fn open(path: &Path) -> Result<Self, NotWritable> {
        let failed = |error| NotWritable { path: path.to_owned(), error };
        let target = if path.as_os_str() == STANDARD_OUTPUT {
            Target::StandardOutput
        } else {
            Target::File { file: append(path).map_err(failed)?, path: path.to_owned(), looked: Instant::now() }
        };
        let (lines, queued) = channel();
        let waiting = Arc::<Waiting>::default();
        let writer = Writer { target, waiting: Arc::clone(&waiting), torn: false, complained: None, told: 0 };
        let thread =
            std::thread::Builder::new().name("audit".to_owned()).spawn(|| writer.run(queued)).map_err(failed)?;
        Ok(Self { queue: Queue { lines, waiting }, thread })
    }

    /// Where lines are given to.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Writes what is queued, and ends. Later lines are lost.
    pub fn close(self) {
        // Without a receiver the thread has ended already.
        let _ = self.queue.lines.send(None);
        if self.thread.join().is_err() {
            tracing::error!("the audit log's thread ended before");
        }
    }
}

impl Queue {
    /// Queues a line. Returns at once; if too much waits, the line is lost.
    pub fn push(&self, line: Vec<u8>) {
        let length = line.len();
        let before = self.waiting.bytes.fetch_add(length, Ordering::Relaxed);
        if before.saturating_add(length) > MOST_QUEUED || self.lines.send(Some(line)).is_err() {
            self.waiting.bytes.fetch_sub(length, Ordering::Relaxed);
            self.waiting.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

enum Target {
    StandardOutput,
    File { file: File, path: PathBuf, looked: Instant },
}

struct Writer {
    target: Target,
    waiting: Arc<Waiting>,
    /// Whether the file ends within a line.
    torn: bool,
    complained: Option<Instant>,
    /// How many lost lines have been told of.
    told: u64,
}

impl Writer {
    fn run(mut self, lines: Receiver<Option<Vec<u8>>>) {
        while let Ok(Some(line)) = lines.recv() {
            let outcome = self.target.follow().and_then(|()| self.write(&line));
            self.waiting.bytes.fetch_sub(line.len(), Ordering::Relaxed);
            if outcome.is_err() {
                self.waiting.lost.fetch_add(1, Ordering::Relaxed);
            }
            self.complain(outcome.err());
        }
        self.complained = None;
        self.complain(None);
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.target.write(b"\n")?;
        }
        self.torn = true;
        self.target.write(line)?;
        self.torn = false;
        Ok(())
    }

    fn complain(&mut self, error: Option<io::Error>) {
        let lost = self.waiting.lost.load(Ordering::Relaxed);
        if lost == self.told || self.complained.is_some_and(|last| last.elapsed() < COMPLAINT_INTERVAL) {
            return;
        }
        let reason = error.map_or_else(|| "too much waited to be written".to_owned(), |error| error.to_string());
        tracing::error!(lost, reason, "events of the audit log are lost");
        self.told = lost;
        self.complained = Some(Instant::now());
    }
}

impl Target {
    /// Opens the file anew if another one, or none, has its name.
    fn follow(&mut self) -> io::Result<()> {
        let Self::File { file, path, looked } = self else { return Ok(()) };
        if looked.elapsed() < LOOK_INTERVAL {
            return Ok(());
        }
        let held = file.metadata()?;
        let same = fs::metadata(&*path).is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino()));
        if !same {
            *file = append(path)?;
        }
        *looked = Instant::now();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::StandardOutput => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Self::File { file, .. } => file.write_all(bytes),
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file(test: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("partita-audit-{}-{test}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    #[test]
    fn lines_are_appended_to_a_file_for_its_owner_alone() {
        let path = file("append");
        for _ in 0..2 {
            let log = AuditFile::open(&path).unwrap();
            log.queue().push(b"one\n".to_vec());
            log.queue().push(b"two\n".to_vec());
            log.close();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\none\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_was_moved_is_opened_anew() {
        let (path, moved) = (file("rotated"), file("rotated.1"));
        let log = AuditFile::open(&path).unwrap();
        log.queue().push(b"before\n".to_vec());
        std::thread::sleep(LOOK_INTERVAL);
        fs::rename(&path, &moved).unwrap();
        std::thread::sleep(LOOK_INTERVAL);
        log.queue().push(b"after\n".to_vec());
        log.close();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "before\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
        fs::remove_file(path).unwrap();
        fs::remove_file(moved).unwrap();
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let log = AuditFile::open(Path::new("/dev/full")).unwrap();
        let queue = log.queue();
        for _ in 0..3 {
            queue.push(b"lost\n".to_vec());
        }
        queue.push(vec![b' '; MOST_QUEUED + 1]);
        log.close();
        assert_eq!(queue.waiting.lost.load(Ordering::Relaxed), 4);
        assert_eq!(queue.waiting.bytes.load(Ordering::Relaxed), 0);
        assert!(AuditFile::open(Path::new("/nonexistent/audit")).is_err());
    }
}
