//! Effort: how much is tried for a smaller correction, by the level of compression.

use engrams_store::Compression;

/// How much is tried for one chunk. What is tried decides the stored records, so it follows from the level alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effort {
    /// Recalled candidates that are looked at, nearest first.
    pub(crate) candidates: usize,
    /// Of the nearest so many, the chunks before and after are candidates too; 0: bases are chosen by distance alone,
    /// without looking at what they cover.
    pub(crate) neighbours: usize,
    /// Whether what the file had in this place before is looked at first, and no other if it covers the chunk.
    pub(crate) begins_before: bool,
    /// Most bases of one chunk.
    pub(crate) bases: usize,
    /// Whether several choices of bases are coded, and the smallest correction kept.
    pub(crate) tries_all: bool,
    /// Whether a chunk that can be spliced is coded with its bases as prefix too, and the smaller one kept.
    pub(crate) tries_both: bool,
    /// Most chunks without anything alike that are coded against each other; 1: each alone.
    pub(crate) run: usize,
}

impl Effort {
    /// The knees measured on the npm history of typescript (docs/decisions/0016).
    pub(crate) fn of(compression: Compression) -> Self {
        match compression {
            Compression::Zstd(16..) => Self {
                candidates: 8,
                neighbours: 3,
                begins_before: false,
                bases: 4,
                tries_all: true,
                tries_both: true,
                run: 5,
            },
            Compression::Zstd(9..) => Self {
                candidates: 6,
                neighbours: 3,
                begins_before: false,
                bases: 4,
                tries_all: false,
                tries_both: true,
                run: 5,
            },
            Compression::Zstd(4..) => Self {
                candidates: 3,
                neighbours: 1,
                begins_before: true,
                bases: 2,
                tries_all: false,
                tries_both: false,
                run: 4,
            },
            _ => Self {
                candidates: 8,
                neighbours: 0,
                begins_before: false,
                bases: 2,
                tries_all: false,
                tries_both: false,
                run: 1,
            },
        }
    }
}
