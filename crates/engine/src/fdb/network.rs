//! FoundationDB's client runs one thread for the whole process. It is started once, and ends before the process does: what
//! the client's library tears down at the end must not be in use then.

use std::sync::Once;

use foundationdb::api::NetworkAutoStop;
use parking_lot::Mutex;

static STARTED: Once = Once::new();
static NETWORK: Mutex<Option<NetworkAutoStop>> = Mutex::new(None);

#[expect(unsafe_code, reason = "C's own registry of what is done when a process ends")]
unsafe extern "C" {
    safe fn atexit(function: extern "C" fn()) -> std::ffi::c_int;
}

/// Starts the client's thread, if it was not started before.
#[expect(unsafe_code, reason = "the client's one entry point that is unsafe")]
pub(super) fn start() {
    STARTED.call_once(|| {
        // SAFETY: The handle has to be dropped before the process ends in an orderly way, which `stop` does. A process
        // that is killed leaves the thread to the operating system.
        let network = unsafe { foundationdb::boot() };
        *NETWORK.lock() = Some(network);
        // Without room in the registry the thread is merely not stopped.
        let _ = atexit(stop);
    });
}

extern "C" fn stop() {
    let Some(network) = NETWORK.try_lock().and_then(|mut network| network.take()) else { return };
    // On a thread of its own: what the library keeps for the thread that ends the process is gone by now.
    let stopping = std::thread::Builder::new().spawn(move || drop(network));
    let _ = stopping.map(std::thread::JoinHandle::join);
}
