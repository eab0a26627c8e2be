//! Keys of records that are looked up by content: chunk names, paths, names of tags.
//!
//! A plain store keys them by the name itself or by a frozen hash. An encrypted one keys them by a hash that only who has its
//! key can compute, so that nobody else can ask whether it holds a chunk or a path that he knows.

use zeroize::Zeroizing;

use crate::boundary::spread_bytes;

/// The keyed function of an encrypted store, or none.
pub(crate) struct IndexKeys(Option<Zeroizing<[u8; 32]>>);

/// What keys of tags begin with.
pub(crate) const TAG_PREFIX: &[u8] = b"tag/";

impl IndexKeys {
    pub(crate) fn plain() -> Self {
        Self(None)
    }

    pub(crate) fn keyed(key: [u8; 32]) -> Self {
        Self(Some(Zeroizing::new(key)))
    }

    /// Hash of `bytes` for one purpose.
    fn hash(key: &[u8; 32], purpose: u8, bytes: &[u8]) -> [u8; 32] {
        *blake3::Hasher::new_keyed(key).update(&[purpose]).update(bytes).finalize().as_bytes()
    }

    /// The key of a chunk's name entry, under its first 8 bytes; the head holds all 32.
    pub(crate) fn name(&self, name: &[u8; 32]) -> [u8; 8] {
        let mut key = [0; 8];
        match &self.0 {
            None => key.copy_from_slice(&name[..8]),
            Some(secret) => key.copy_from_slice(&Self::hash(secret, b'n', name)[..8]),
        }
        key
    }

    /// The key of what was seen of a path. Files of one directory are asked for together, so in a plain store their
    /// keys lie together; in an encrypted one that would tell how many there are in each.
    pub(crate) fn seen(&self, path: &[u8]) -> Vec<u8> {
        if let Some(secret) = &self.0 {
            return Self::hash(secret, b's', path)[..12].to_vec();
        }
        let directory = path.iter().rposition(|&b| b == b'/').map_or(&[][..], |at| &path[..at]);
        let mut key = spread_bytes(directory).to_be_bytes()[..4].to_vec();
        key.extend_from_slice(&spread_bytes(path).to_be_bytes());
        key
    }

    /// The key of a tag.
    pub(crate) fn tag(&self, name: &str) -> Vec<u8> {
        match &self.0 {
            None => [TAG_PREFIX, name.as_bytes()].concat(),
            Some(secret) => [TAG_PREFIX, &Self::hash(secret, b't', name.as_bytes())[..16]].concat(),
        }
    }
}
