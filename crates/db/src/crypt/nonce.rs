//! Random bytes for values' keys: from a generator of each thread, which the operating system seeds, not from a system
//! call for each value.
//!
//! The generator is keyed BLAKE3 in its extendable form: each refill makes the next key and a block of output, mixed with
//! the clock, so that not even a copy of a running machine goes on with the same bytes for long. It is seeded anew after
//! some thousand refills. Nonces are public; what matters is that none comes twice.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

/// The length of a nonce in bytes: at random, none comes twice.
pub(super) const NONCE_BYTES: usize = 24;
/// How many nonces one refill makes.
const NONCES: usize = 40;
const KEY_BYTES: usize = 32;
/// How many refills one seed serves.
const REFILLS: u32 = 4096;

struct Source {
    key: [u8; KEY_BYTES],
    nonces: [[u8; NONCE_BYTES]; NONCES],
    next: usize,
    refills: u32,
}

thread_local! {
    static SOURCE: RefCell<Source> = const {
        RefCell::new(Source { key: [0; KEY_BYTES], nonces: [[0; NONCE_BYTES]; NONCES], next: NONCES, refills: 0 })
    };
}

/// A nonce that was never given before.
///
/// # Errors
/// When the operating system has no random bytes.
pub(super) fn nonce() -> Result<[u8; NONCE_BYTES]> {
    SOURCE.with_borrow_mut(Source::take)
}

/// Random bytes of the operating system.
///
/// # Errors
/// When it has none.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Internal(format!("no random bytes: {error}")))?;
    Ok(bytes)
}

impl Source {
    fn take(&mut self) -> Result<[u8; NONCE_BYTES]> {
        if let Some(nonce) = self.nonces.get(self.next) {
            self.next += 1;
            return Ok(*nonce);
        }
        if self.refills == 0 {
            self.key = random()?;
            self.refills = REFILLS;
        }
        self.refills -= 1;
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
        let mut stream = blake3::Hasher::new_keyed(&self.key).update(&clock.to_be_bytes()).finalize_xof();
        stream.fill(&mut self.key);
        stream.fill(self.nonces.as_flattened_mut());
        self.next = 1;
        Ok(self.nonces[0])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_nonce_comes_twice_on_any_thread() {
        let some = || (0..20_000).map(|_| nonce().unwrap()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(some)).collect();
        let all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }
}
