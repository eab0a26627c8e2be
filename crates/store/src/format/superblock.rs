//! The superblock: what must never vary within one store.

use engrams_core::ChunkParams;

use super::wire::{Reader, put_varint, seal, unseal};
use crate::{Error, ErrorKind, Result, Space};

/// The format this release writes, and the newest it reads.
pub const FORMAT_VERSION: u64 = 1;

const MAGIC: &[u8; 8] = b"engrams\n";

/// What is frozen when a store is created: cut points, features, vectors and engrams all follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Superblock {
    /// Format of the records.
    pub format: u64,
    /// How streams are cut unless an ingest says otherwise.
    pub chunks: ChunkParams,
    /// Chunks decided as one group: recall for a chunk sees the groups before its own.
    pub group: u32,
    /// Longest chain of corrections.
    pub max_depth: u8,
    /// Most chunks, itself not counted, that decoding one chunk may touch.
    pub max_closure: u8,
    /// Bytes of a window of which the search index has one feature: what is shared is found for certain from this
    /// length on. 64..=1 MiB.
    pub search_window: u32,
}

impl Default for Superblock {
    /// 64 KiB chunks (16..256 KiB), groups of 16, depth 12, closure 24, search windows of 2 KiB: measured in
    /// docs/decisions.
    fn default() -> Self {
        // A power of two within the limits: `from_average` takes it.
        let chunks = match ChunkParams::from_average(64 << 10) {
            Ok(chunks) => chunks,
            Err(error) => unreachable!("{error}"),
        };
        Self {
            format: FORMAT_VERSION,
            chunks,
            group: 16,
            max_depth: 12,
            max_closure: 24,
            search_window: 2048,
        }
    }
}

impl Superblock {
    /// Its key in [`Space::Meta`].
    pub(crate) const KEY: &'static [u8] = b"superblock";

    /// Longest chunk any ingest may write into any store, in bytes: bounds what a record can make a reader allocate.
    pub const MAX_CHUNK_BYTES: u32 = 64 << 20;

    /// Narrowest and widest [`search_window`](Self::search_window).
    pub const SEARCH_WINDOWS: (u32, u32) = (64, 1 << 20);

    /// Refuses what this release would not read back.
    pub(crate) fn check(self) -> Result<Self> {
        let (least, most) = Self::SEARCH_WINDOWS;
        if (least..=most).contains(&self.search_window) {
            return Ok(self);
        }
        Err(Error::invalid(format!(
            "a search window of {} bytes is outside {least}..={most}",
            self.search_window
        )))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put_varint(&mut out, self.format);
        for value in [self.chunks.minimum(), self.chunks.average(), self.chunks.maximum()] {
            put_varint(&mut out, value as u64);
        }
        put_varint(&mut out, u64::from(self.group));
        out.extend_from_slice(&[self.max_depth, self.max_closure]);
        put_varint(&mut out, u64::from(self.search_window));
        seal(Space::Meta, Self::KEY, out)
    }

    pub(crate) fn decode(record: &[u8]) -> Result<Self> {
        let body = unseal(Space::Meta, Self::KEY, record)?;
        let mut reader = Reader::new(body, "superblock");
        if &reader.array::<8>()? != MAGIC {
            return Err(Error::new(ErrorKind::Unsupported, "this is not an engrams store"));
        }
        let format = reader.varint()?;
        if format == 0 || format > FORMAT_VERSION {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the store has format {format}, this release reads up to {FORMAT_VERSION}: use a newer one"
                ),
            ));
        }
        let mut size = || reader.varint_up_to(u64::from(Self::MAX_CHUNK_BYTES)).map(|v| v as usize);
        let (min, average, max) = (size()?, size()?, size()?);
        let chunks = ChunkParams::new(min, average, max)
            .map_err(|e| Error::corrupt(format!("superblock: {e}")).with_source(e))?;
        let group = reader.varint_up_to(4096)? as u32;
        let [max_depth, max_closure] = reader.array()?;
        let search_window = reader.varint_up_to(u64::from(Self::SEARCH_WINDOWS.1))? as u32;
        reader.finish()?;
        if group == 0 || max_depth == 0 || max_closure == 0 || search_window < Self::SEARCH_WINDOWS.0 {
            return Err(Error::corrupt("superblock: a limit is too small"));
        }
        Ok(Self { format, chunks, group, max_depth, max_closure, search_window })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_refused_by_number_and_says_what_to_do() {
        let newer = Superblock { format: FORMAT_VERSION + 1, ..Superblock::default() };
        let error = Superblock::decode(&newer.encode()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(text.contains(&format!("has format {}", FORMAT_VERSION + 1)), "{text}");
        assert!(text.contains("use a newer one"), "{text}");
        let none = Superblock { format: 0, ..Superblock::default() };
        assert_eq!(Superblock::decode(&none.encode()).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
