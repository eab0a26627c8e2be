//! What an ingest tells: while it runs, and at its end.

use super::skipped::Skipped;

/// What happens during an ingest, as it happens.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum TreeEvent<'a> {
    /// This file is about to be read.
    Reading {
        /// Its path in the store.
        path: &'a [u8],
        /// Its size in bytes.
        size: u64,
    },
    /// So many more bytes were read.
    Read {
        /// Bytes since the last such event.
        bytes: u64,
    },
    /// This file was not read, because it is what it was.
    Unchanged {
        /// Its path in the store.
        path: &'a [u8],
        /// Its size in bytes.
        size: u64,
    },
    /// This path is left out, or stored only in part.
    Skipped(&'a Skipped),
    /// This directory is the store itself and left out, as it must be.
    StoreItself {
        /// Where it would have been in the store.
        path: &'a [u8],
    },
}

/// What an ingest found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeSummary {
    /// Files now in the tree, read or unchanged.
    pub files: u64,
    /// Directories now in the tree, its root among them.
    pub directories: u64,
    /// Symbolic links now in the tree.
    pub symlinks: u64,
    /// Of the files: those not read, because they are what they were.
    pub unchanged: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// What was left out or stored only in part; the first [`MAX_REPORTS`](super::MAX_REPORTS) of them.
    pub skipped: Vec<Skipped>,
    /// How many there were in all.
    pub skipped_count: u64,
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileOutcome {
    /// Length in bytes.
    pub size: u64,
    /// BLAKE3 of its content.
    pub hash: [u8; 32],
    /// It was not read, because it is what it was.
    pub unchanged: bool,
    /// What went wrong without being an error: [`Changed`](super::SkipReason::Changed) or
    /// [`ExtendedAttributes`](super::SkipReason::ExtendedAttributes).
    pub skipped: Vec<Skipped>,
}
