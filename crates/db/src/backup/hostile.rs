//! Reads what may be anything as blocks and manifests: for tests that make such bytes up.

use bytes::Bytes;

use super::{block, manifest};

/// Reads the bytes as they are.
pub(crate) fn read(bytes: &Bytes) {
    let _refused = block::decode(bytes);
    manifest::read_hostile(bytes);
}

/// Reads the bytes as what somebody wrote who knows how checksums are made.
pub(crate) fn read_with_checksums(content: &[u8]) {
    let hash = blake3::hash(content);
    let _refused = block::decode(&[content, hash.as_bytes()].concat().into());
    manifest::read_hostile(&[content, b"\n", hash.to_hex().as_bytes(), b"\n"].concat());
}
