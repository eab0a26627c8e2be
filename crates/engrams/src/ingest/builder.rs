//! Configures a [`StreamingIngester`]: plain setters, everything checked by `build`.

use engrams_core::{ChunkParams, Chunking};
use engrams_store::tree::{Attributes, Timestamp};
use engrams_store::{Compression, Conflict, EngramStore, Error, MAX_MESSAGE_BYTES, Result, check_path};

use super::options::{IngestOptions, adaptive};
use super::streaming::StreamingIngester;
use crate::Transaction;

/// Configures a [`StreamingIngester`].
#[derive(Clone)]
#[must_use]
pub struct StreamingIngesterBuilder<'s> {
    store: &'s EngramStore,
    path: Option<Vec<u8>>,
    chunk_size: Option<usize>,
    adaptive: Option<u64>,
    expected: Option<u64>,
    message: Option<String>,
    attributes: Option<Attributes>,
    options: IngestOptions,
}

impl<'s> StreamingIngesterBuilder<'s> {
    pub(super) fn new(store: &'s EngramStore) -> Self {
        Self {
            store,
            path: None,
            chunk_size: None,
            adaptive: None,
            expected: None,
            message: None,
            attributes: None,
            options: IngestOptions::default(),
        }
    }

    /// Where the stream goes: relative, `/`-separated. Required.
    pub fn with_path(mut self, path: impl AsRef<[u8]>) -> Self {
        self.path = Some(path.as_ref().to_vec());
        self
    }

    /// Average chunk size in bytes, cut by content: a power of two, 256..=16 MiB. Default: the store's own (64 KiB).
    /// Another size than the store's deduplicates only against itself.
    pub fn with_chunk_size(mut self, average: usize) -> Self {
        self.chunk_size = Some(average);
        self
    }

    /// How the stream is cut, in full; [`Chunking::Fixed`] for block devices and databases with pages.
    pub fn with_chunking(mut self, chunking: Chunking) -> Self {
        self.options.chunking = Some(chunking);
        self
    }

    /// Lets the chunk size follow the expected length of the stream: smaller chunks for streams under 64 MiB, about
    /// 1,000 in all, 4 KiB at least. Give the same length for each version, or versions share less.
    pub fn with_adaptive_chunking(mut self, expected_bytes: u64) -> Self {
        self.adaptive = Some(expected_bytes);
        self
    }

    /// The version of the file that the stream replaces; 0: there is no such file yet. Otherwise `build` and
    /// `finalize` fail with the version found.
    pub fn with_expected_version(mut self, version: u64) -> Self {
        self.expected = Some(version);
        self
    }

    /// How chunks are coded. Default zstd 5.
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.options.compression = compression;
        self
    }

    /// Keeps a correction when it is smaller than this share of the chunk coded alone: 0.0..=1.0, default 0.95;
    /// 0 recalls nothing.
    pub fn with_correction_threshold(mut self, share: f64) -> Self {
        self.options.correction_threshold = share;
        self
    }

    /// Threads for hashing, encoding and correcting; 0, the default: as many as the machine has. The output does not
    /// depend on it.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.options.threads = threads;
        self
    }

    /// Memory for chunks on their way, in bytes. Default 32 MiB.
    pub fn with_memory_budget(mut self, bytes: usize) -> Self {
        self.options.memory_bytes = bytes;
        self
    }

    /// What the version's message says. Default: the path.
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Mode, times and owner of the file. Default: mode 0644, now, and this process's user.
    pub fn with_attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = Some(attributes);
        self
    }

    /// Begins the ingest.
    ///
    /// # Errors
    /// `Invalid`, naming the option, its value and its limit; `Conflict` when the expected version is not the one
    /// found.
    pub fn build(mut self) -> Result<StreamingIngester> {
        let path = self.path.ok_or_else(|| Error::invalid("no path was given: call `with_path`"))?;
        let ways = [self.chunk_size.is_some(), self.options.chunking.is_some(), self.adaptive.is_some()];
        if ways.iter().filter(|&&given| given).count() > 1 {
            return Err(Error::invalid("give one of chunk size, chunking and adaptive chunking"));
        }
        if let Some(average) = self.chunk_size {
            let params = ChunkParams::from_average(average)
                .map_err(|e| Error::invalid(e.to_string()).with_source(e))?;
            self.options.chunking = Some(Chunking::ContentDefined(params));
        }
        if let Some(bytes) = self.adaptive {
            self.options.chunking = adaptive(bytes);
        }
        let message = self.message.unwrap_or_else(|| String::from_utf8_lossy(&path).into_owned());
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(Error::invalid(format!(
                "a message of {} bytes is over {MAX_MESSAGE_BYTES}",
                message.len()
            )));
        }
        check_path(&path)?;
        let mut transaction = Transaction::begin_expecting(self.store, &self.options, &[&path])?;
        if let Some(expected) = self.expected {
            let expected = (expected > 0).then_some(expected);
            let found = transaction.base().get(&path)?.map(|entry| entry.version);
            if expected != found {
                return Err(Error::conflicting(Conflict { path, expected, found }));
            }
        }
        let file = transaction.begin_file(&path, self.attributes.unwrap_or_else(attributes))?;
        Ok(StreamingIngester::new(transaction, file, path, message))
    }
}

fn attributes() -> Attributes {
    Attributes {
        mode: 0o644,
        mtime: Timestamp::now(),
        #[cfg(unix)]
        uid: rustix::process::getuid().as_raw(),
        #[cfg(unix)]
        gid: rustix::process::getgid().as_raw(),
        ..Attributes::default()
    }
}
