//! The key spaces: one ordered space per kind of record.

/// A kind of record; each has its own ordered keys. Byte maps: `docs/format.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// The superblock and the head: a handful of records.
    Meta = b'm',
    /// Versions by ascending number.
    Version = b'v',
    /// Immutable pages of trees and chunk lists, by ascending id.
    Page = b'p',
    /// What is known of a chunk without its bytes (name, length, bases, vector), by ascending id.
    Head = b'h',
    /// A chunk's coded bytes, by ascending id: most of a store.
    Payload = b'c',
    /// Chunk name prefix to ids (deduplication). An index: can be rebuilt.
    Name = b'n',
    /// Features of chunks (recall), by ascending id of a record's first chunk. An index: can be rebuilt.
    Recall = b'r',
    /// Features of chunks (search), by ascending id of a record's first chunk. An index: can be rebuilt.
    Search = b'f',
    /// What the file system said of a file when it was last read. A cache: can be dropped.
    Seen = b's',
}

impl Space {
    /// Every space.
    pub const ALL: [Self; 9] = [
        Self::Meta,
        Self::Version,
        Self::Page,
        Self::Head,
        Self::Payload,
        Self::Name,
        Self::Recall,
        Self::Search,
        Self::Seen,
    ];
}
