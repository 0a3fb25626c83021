//! Doors for tests that feed bytes to decoders which nothing else may reach. Not part of the interface.

use bytes::Bytes;

use crate::backup::hostile as backups;

/// Reads bytes as a block and as a manifest of a backup: as they are, and behind checksums that fit.
pub fn backup(bytes: &[u8]) {
    backups::read(&Bytes::copy_from_slice(bytes));
    backups::read_with_checksums(bytes);
}
