//! Configures a [`StreamingDecoder`].

use engrams_store::{EngramStore, Error, Result};

use super::ahead::settle_threads;
use super::decoder::StreamingDecoder;

/// Bytes decoded ahead where nothing else is said.
pub(super) const DEFAULT_AHEAD: usize = 4 << 20;

/// Configures a [`StreamingDecoder`].
#[derive(Clone)]
#[must_use]
pub struct StreamingDecoderBuilder<'s> {
    store: &'s EngramStore,
    path: Vec<u8>,
    version: Option<u64>,
    offset: u64,
    max_bytes: Option<u64>,
    threads: usize,
    read_ahead: usize,
}

impl<'s> StreamingDecoderBuilder<'s> {
    pub(super) fn new(store: &'s EngramStore, path: &[u8]) -> Self {
        Self {
            store,
            path: path.to_vec(),
            version: None,
            offset: 0,
            max_bytes: None,
            threads: 0,
            read_ahead: DEFAULT_AHEAD,
        }
    }

    /// The version to read the file from. Default: the newest.
    pub fn with_version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// Where to begin, in bytes from the file's start; at most its length. Default 0.
    pub fn with_offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// The stream ends this many bytes after the offset, or at the file's end; seeking does not lift it. Default: the
    /// file's end.
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Threads that decode when the file is read in order, the caller's among them; 1: no other, 0 (the default): as
    /// many as the machine has, up to 16. They end with the decoder. What is read does not depend on it.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// How far to decode ahead when the file is read in order, in bytes of plain chunks; 0: not at all. Default 4 MiB.
    /// All decoders of a store share what [`OpenOptions`](crate::OpenOptions::read_ahead_bytes) allows; one that finds
    /// nothing left decodes when it is asked.
    pub fn with_read_ahead(mut self, bytes: usize) -> Self {
        self.read_ahead = bytes;
        self
    }

    /// Opens the file.
    ///
    /// # Errors
    /// `NotFound` when there is no such version or path; `Invalid` when the path is no file or the offset is past its
    /// end; `Corrupt` when the tree is damaged.
    pub fn build(self) -> Result<StreamingDecoder> {
        let version = match self.version {
            Some(number) => self.store.version(number)?,
            None => self.store.head()?.ok_or_else(|| Error::not_found("the store has no version yet"))?,
        };
        let shown = self.path.escape_ascii();
        // Held until the decoder holds the file: nothing of it is collected meanwhile.
        let tree = self.store.tree_of(Some(&version));
        let entry = tree.get(&self.path)?;
        let entry =
            entry.ok_or_else(|| Error::not_found(format!("version {} has no `{shown}`", version.number)))?;
        let size = entry.file().map(|file| file.size);
        let size = size.ok_or_else(|| Error::invalid(format!("`{shown}` is not a file")))?;
        if self.offset > size {
            return Err(Error::invalid(format!(
                "offset {} is past the end of `{shown}` ({size} bytes)",
                self.offset
            )));
        }
        let end = self.max_bytes.map_or(size, |max| size.min(self.offset.saturating_add(max)));
        let threads = settle_threads(self.threads);
        StreamingDecoder::window(self.store, &entry, self.offset..end, threads, self.read_ahead)
    }
}
