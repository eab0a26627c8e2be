//! Directories of a file system into a transaction, and trees of a store back onto a file system (Unix).
//!
//! [`ingest_tree`] and [`ingest_file`] read; [`extract`] writes. Everything a Unix file system keeps comes back:
//! names of any bytes, modes, times to the nanosecond, owners where permitted, symbolic links, hard links, holes,
//! extended attributes, empty files and directories.
//!
//! # What holds
//!
//! - *Nothing is followed by accident.* Below the directory that was asked for, every name is opened relative to
//!   its parent's handle and never through a symbolic link, when reading as well as when writing: a link that is
//!   swapped in meanwhile, planted in the destination beforehand, or made by an earlier entry of a malicious
//!   store leads nowhere.
//! - *Memory is bounded* by the largest single directory (its names, packed) and the number of hard-linked
//!   files, not by the number of files; open handles are bounded whatever the depth.
//! - *One bad path does not stop the rest.* What can't be read or written is reported, by path, to the event
//!   callback as it happens and in the summary.
//! - *What is unchanged is not read.* Size, mtime, ctime, inode and device are remembered with each file; a file
//!   young enough to change without its times showing it is waited for (20 ms) before it is read.
//!
//! This module knows nothing of chunks, recall or databases: it speaks to a [`Transaction`](crate::Transaction)
//! and to a [`Tree`](crate::Tree).

mod attributes;
mod content;
mod destination;
mod extract;
mod ingest;
mod listing;
mod mend;
mod options;
mod publish;
mod restore;
mod selection;
mod skipped;
mod stat;
mod summary;
mod upcoming;
mod walk;

pub use extract::{ExtractEvent, ExtractOptions, ExtractSummary, FailedPath, extract};
pub use ingest::{ingest_file, ingest_tree};
pub use mend::mend;
pub use options::TreeOptions;
pub use skipped::{SkipReason, Skipped};
pub use summary::{FileOutcome, TreeEvent, TreeSummary};

/// Reports kept in a summary; beyond these only the event callback hears of them, so that memory stays bounded.
pub const MAX_REPORTS: usize = 10_000;

#[cfg(test)]
mod tests;
