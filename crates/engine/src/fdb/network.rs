//! FoundationDB's client runs one thread for the whole process. It is started once, and has to end before the process does:
//! what the client's library tears down at the end must not be in use then.

use std::sync::Once;

use foundationdb::api::NetworkAutoStop;
use parking_lot::Mutex;

static STARTED: Once = Once::new();
static NETWORK: Mutex<Option<NetworkAutoStop>> = Mutex::new(None);

/// Starts the client's thread, if it was not started before.
#[expect(unsafe_code, reason = "the client's one entry point that is unsafe")]
pub(super) fn start() {
    STARTED.call_once(|| {
        // SAFETY: The handle has to be dropped before the process ends in an orderly way, which `stop` does. A process
        // that is killed leaves the thread to the operating system.
        let network = unsafe { foundationdb::boot() };
        *NETWORK.lock() = Some(network);
    });
}

/// Ends the client's thread, for good: nothing in this process reaches a cluster afterwards.
pub(crate) fn stop() {
    // Taken first, so that nobody waits for the lock while the thread ends.
    let network = NETWORK.lock().take();
    drop(network);
}
