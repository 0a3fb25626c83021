//! The layer under a server's files, `layer/faults.c`: compiled with the system's C compiler, preloaded, and told over a
//! socket what to break.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::server::{Server, Setting};

const SOURCE: &str = include_str!("../layer/faults.c");

/// No space left on the device.
pub const ENOSPC: i32 = 28;
/// Input/output error.
pub const EIO: i32 = 5;

/// A call that can be made to fail or to wait.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `fsync`, `fdatasync`.
    Sync,
    /// `write` and its like, on files of the data directory.
    Write,
    /// `read`, `pread`, on files.
    Read,
    /// `open`, of files of the data directory.
    Open,
}

impl Call {
    const fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Write => "write",
            Self::Read => "read",
            Self::Open => "open",
        }
    }
}

/// The layer under one data directory.
#[derive(Clone, Debug)]
pub struct Layer {
    directory: PathBuf,
    socket: PathBuf,
}

/// The compiled layer. Kept until the program ends.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(PathBuf, tempfile::TempDir)> = OnceLock::new();
    let (library, _) = LIBRARY.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("faults.c");
        let library = directory.path().join("faults.so");
        fs::write(&source, SOURCE).unwrap();
        let compiled = Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .args(["-ldl", "-lpthread"])
            .output()
            .unwrap_or_else(|error| panic!("the layer needs a C compiler called cc: {error}"));
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        (library, directory)
    });
    library
}

impl Layer {
    /// The layer under a data directory, with its socket in another.
    #[must_use]
    pub fn new(data: &Path, home: &Path) -> Self {
        Self { directory: data.to_owned(), socket: home.join("layer") }
    }

    /// The same server over the layer.
    #[must_use]
    pub fn under(&self, setting: Setting) -> Setting {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        setting
            .with_env("LD_PRELOAD", text(library()))
            .with_env("PROOF_DIRECTORY", text(&self.directory))
            .with_env("PROOF_SOCKET", text(&self.socket))
    }

    /// Lets a call fail with this error from its `nth` on, counted from 1.
    pub fn fail(&self, call: Call, error: i32, nth: u32) {
        self.tell(&format!("fail {} {error} {nth}", call.name()));
    }

    /// Lets no such call fail any more.
    pub fn heal(&self, call: Call) {
        self.tell(&format!("fail {} 0 0", call.name()));
    }

    /// Makes each such call take this much longer.
    pub fn delay(&self, call: Call, by: Duration) {
        self.tell(&format!("delay {} {}", call.name(), by.as_micros()));
    }

    /// Sets the wall clock off by this many seconds.
    pub fn shift_the_clock(&self, seconds: i64) {
        self.tell(&format!("clock {seconds}"));
    }

    /// Ends the server as the power does.
    ///
    /// # Panics
    /// When it does not end.
    pub fn pull_the_power(&self, server: &mut Server, seed: u64) {
        if let Ok(mut stream) = UnixStream::connect(&self.socket) {
            let _ended_under_it = stream.write_all(format!("power {}", seed >> 2).as_bytes());
            assert!(server.ended_within(Duration::from_secs(30)), "the layer did not end the server");
        }
        server.kill();
    }

    /// How many bytes the last loss of power took that were written and not synced.
    #[must_use]
    pub fn bytes_lost(&self) -> u64 {
        let told = fs::read_to_string(self.socket.with_extension("lost")).unwrap_or_default();
        told.split(' ').next().and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
    }

    fn tell(&self, command: &str) {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(command.as_bytes()).unwrap();
        let mut done = String::new();
        let _answer = stream.read_to_string(&mut done);
        assert_eq!(done, "done\n", "{command}");
    }
}
