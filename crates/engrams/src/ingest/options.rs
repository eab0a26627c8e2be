//! How to ingest: plain data, checked in one place.

use engrams_core::{ChunkParams, Chunking};
use engrams_store::{Compression, EngramStore, Error, Result};

/// How to ingest. [`Default`] is right for most uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IngestOptions {
    /// How chunks are coded. Default zstd 5.
    pub compression: Compression,
    /// Threads that hash, encode and correct; 0 (the default): as many as the machine has. The output does not
    /// depend on it.
    pub threads: usize,
    /// Memory for chunks on their way, in bytes, 1 MiB at least; the store's caches are apart. Default 32 MiB.
    /// The output depends on it only when chunks are so large that a group of them would not fit.
    pub memory_bytes: usize,
    /// How streams are cut; `None` (the default): as the store was made. Another chunking deduplicates only against
    /// itself.
    pub chunking: Option<Chunking>,
    /// A correction is kept when it is smaller than this share of the chunk coded alone, 0.0..=1.0; 0 recalls
    /// nothing. Default 0.95.
    pub correction_threshold: f64,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            threads: 0,
            memory_bytes: 32 << 20,
            chunking: None,
            correction_threshold: 0.95,
        }
    }
}

/// Least memory that an ingest can work with.
const LEAST_MEMORY: usize = 1 << 20;
/// More threads than this are a mistake.
const MOST_THREADS: usize = 1024;

/// Options that were checked, with the store's defaults filled in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) compression: Compression,
    /// At least 1.
    pub(crate) threads: usize,
    pub(crate) chunking: Chunking,
    pub(crate) correction_threshold: f64,
    /// A group ends with this many chunks, or bytes.
    pub(crate) group_chunks: usize,
    pub(crate) group_bytes: usize,
    /// Nothing is stored but the bytes of lost chunks.
    pub(crate) only_mends: bool,
}

impl IngestOptions {
    pub(crate) fn settle(&self, store: &EngramStore) -> Result<Settings> {
        let superblock = store.superblock();
        let wrong = |what: String| Err(Error::invalid(what));
        if self.threads > MOST_THREADS {
            return wrong(format!("threads {} is over {MOST_THREADS}", self.threads));
        }
        if self.memory_bytes < LEAST_MEMORY {
            return wrong(format!("a memory budget of {} bytes is under {LEAST_MEMORY}", self.memory_bytes));
        }
        if !(0.0..=1.0).contains(&self.correction_threshold) {
            return wrong(format!("correction threshold {} is outside 0.0..=1.0", self.correction_threshold));
        }
        let chunking = self.chunking.unwrap_or(Chunking::ContentDefined(superblock.chunks));
        let chunking = chunking.validate().map_err(|e| Error::invalid(e.to_string()).with_source(e))?;
        Ok(Settings {
            compression: self.compression.check()?,
            threads: match self.threads {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                threads => threads,
            },
            chunking,
            correction_threshold: self.correction_threshold,
            group_chunks: superblock.group as usize,
            // Five groups are on their way at once, each with its corrections and prefixes.
            group_bytes: self.memory_bytes / 8,
            only_mends: false,
        })
    }
}

/// The chunking that suits a stream of `bytes`: about 1,000 chunks, between 4 and 64 KiB on average.
///
/// Small streams gain from small chunks (an edit touches less), large ones from the store's own, since chunks of
/// different parameters do not deduplicate against each other.
pub(crate) fn adaptive(bytes: u64) -> Option<Chunking> {
    let average = usize::try_from(bytes / 1024).unwrap_or(usize::MAX).clamp(4 << 10, 64 << 10);
    if average == 64 << 10 {
        return None;
    }
    ChunkParams::from_average(average.next_power_of_two()).ok().map(Chunking::ContentDefined)
}
