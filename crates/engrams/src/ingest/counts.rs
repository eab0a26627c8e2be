//! Counters shared between the stages of an ingest and whoever watches it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What an ingest has done so far.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) read: Count,
    pub(crate) stored: Count,
    pub(crate) files: Count,
    pub(crate) reused: Count,
    pub(crate) recalled: Count,
    pub(crate) verbatim: Count,
    pub(crate) correction_bytes: Count,
    pub(crate) correction_savings: Count,
    started: Instant,
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self {
            read: Count::default(),
            stored: Count::default(),
            files: Count::default(),
            reused: Count::default(),
            recalled: Count::default(),
            verbatim: Count::default(),
            correction_bytes: Count::default(),
            correction_savings: Count::default(),
            started: Instant::now(),
        }
    }

    pub(crate) fn progress(&self) -> StreamingProgress {
        let [reused, recalled, verbatim] = [&self.reused, &self.recalled, &self.verbatim].map(Count::get);
        StreamingProgress {
            bytes: self.read.get(),
            bytes_decided: self.stored.get(),
            files: self.files.get(),
            chunks: reused + recalled + verbatim,
            reused,
            recalled,
            verbatim,
            correction_bytes: self.correction_bytes.get(),
            correction_savings: self.correction_savings.get(),
            elapsed: self.started.elapsed(),
        }
    }
}

/// How far an ingest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamingProgress {
    /// Bytes read.
    pub bytes: u64,
    /// Of these, bytes whose chunks are staged.
    pub bytes_decided: u64,
    /// Files that ended.
    pub files: u64,
    /// Chunks decided: `reused + recalled + verbatim`.
    pub chunks: u64,
    /// Chunks that were stored already.
    pub reused: u64,
    /// Chunks kept as corrections of recalled ones.
    pub recalled: u64,
    /// Chunks kept by themselves.
    pub verbatim: u64,
    /// Bytes of all corrections.
    pub correction_bytes: u64,
    /// Plain bytes of the recalled chunks less their corrections' bytes.
    pub correction_savings: u64,
    /// Time since the ingest began.
    pub elapsed: Duration,
}
