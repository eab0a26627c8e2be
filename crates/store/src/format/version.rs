//! The record of a version: one published state of the whole store.

use super::wire::{MAX_ID, Reader, id_key, put_bytes, put_signed, put_varint, seal, unseal};
use crate::tree::Timestamp;
use crate::{Result, Space};

/// One published state of the whole store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Ascends by one with each commit; the first is 1.
    pub number: u64,
    /// The version it was committed on; `None` for the first.
    pub parent: Option<u64>,
    /// When it was committed.
    pub time: Timestamp,
    /// What its author said of it.
    pub message: String,
    /// Entries of all kinds.
    pub entries: u64,
    /// Files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Page id of the tree's root; 0: no entries.
    pub(crate) tree: u64,
    /// Page id of the root engram.
    pub(crate) engram: u64,
    /// Page id of the list of directories' sums; 0: none is large.
    pub(crate) sums: u64,
    /// Chunk ids below this were staged before the commit.
    pub(crate) chunks_end: u64,
}

/// Longest message kept, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;

impl Version {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.parent.unwrap_or(0));
        put_signed(&mut out, self.time.seconds);
        put_varint(&mut out, u64::from(self.time.nanoseconds));
        let pages = [self.tree, self.engram, self.sums];
        for value in [self.entries, self.files, self.bytes].into_iter().chain(pages).chain([self.chunks_end])
        {
            put_varint(&mut out, value);
        }
        put_bytes(&mut out, self.message.as_bytes());
        seal(Space::Version, &id_key(self.number), out)
    }

    pub(crate) fn decode(number: u64, record: &[u8]) -> Result<Self> {
        Self::parse(number, record).map_err(|e| e.within(format_args!("version {number}")))
    }

    fn parse(number: u64, record: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(unseal(Space::Version, &id_key(number), record)?, "version record");
        let parent = match reader.varint()? {
            0 => None,
            parent if parent < number => Some(parent),
            _ => return Err(reader.error("its parent is not older")),
        };
        let time =
            Timestamp { seconds: reader.signed()?, nanoseconds: reader.varint_up_to(999_999_999)? as u32 };
        let version = Self {
            number,
            parent,
            time,
            entries: reader.varint()?,
            files: reader.varint()?,
            bytes: reader.varint()?,
            tree: reader.varint()?,
            engram: reader.varint()?,
            sums: reader.varint()?,
            chunks_end: reader.varint()?,
            message: String::from_utf8_lossy(reader.length_prefixed(MAX_MESSAGE_BYTES as u64)?).into_owned(),
        };
        let in_range = number < MAX_ID && version.chunks_end <= MAX_ID && version.bytes < 1 << 62;
        if !in_range {
            return Err(reader.error("a number is out of range"));
        }
        reader.finish()?;
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_back_and_damage_is_named() {
        let version = Version {
            number: 9,
            parent: Some(8),
            time: Timestamp { seconds: -5, nanoseconds: 17 },
            message: "a message".into(),
            entries: 5,
            files: 4,
            bytes: 1 << 40,
            tree: 77,
            engram: 78,
            sums: 79,
            chunks_end: 1000,
        };
        let record = version.encode();
        assert_eq!(Version::decode(9, &record).unwrap(), version);
        for at in 0..record.len() {
            let mut bad = record.clone();
            bad[at] ^= 0x10;
            assert!(Version::decode(9, &bad).unwrap_err().to_string().starts_with("version 9"));
        }
    }
}
