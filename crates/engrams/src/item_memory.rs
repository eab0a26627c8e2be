//! Item memories kept in a store: as files, so that they are versioned, committed and verified as everything else.

use std::io::Read;

use engrams_core::ItemMemory;
use engrams_store::tree::Attributes;
use engrams_store::{EngramStore, Error, Result};

use crate::{FileSummary, StreamingDecoder, Transaction};

impl Transaction {
    /// Puts an item memory at `path`: a file with the bytes of [`ItemMemory::to_bytes`], published with everything else that
    /// this transaction does, or not at all. [`item_memory`] reads it back.
    ///
    /// What did not change since the version before costs nothing; an inserted item costs the chunks it is in. The
    /// bytes are held in memory once more while they are written.
    ///
    /// # Errors
    /// `Invalid` when a label has 4 GiB or more; otherwise as [`put_file`](Self::put_file).
    pub fn put_item_memory<T: AsRef<[u8]>>(
        &mut self,
        path: &[u8],
        attributes: Attributes,
        memory: &ItemMemory<T>,
    ) -> Result<FileSummary> {
        let bytes = memory.to_bytes();
        let bytes = bytes.map_err(|error| Error::invalid(error.to_string()))?;
        self.put_file(path, attributes, &mut bytes.as_slice())
    }
}

/// The item memory at `path` in a version, or in the newest: it recalls as the one that was put.
///
/// # Errors
/// `NotFound` when there is no such file; `Corrupt` when it is damaged, or its content is no item memory.
///
/// ```
/// use engrams::core::{Dimension, Hypervector, ItemMemory};
/// use engrams::{Attributes, EngramStore, IngestOptions, Transaction, item_memory};
/// let store = EngramStore::in_memory();
/// let colour = |name: u64| Hypervector::from_feature(name, Dimension::RECALL);
/// let mut memory = ItemMemory::new(Dimension::RECALL).with_index(8);
/// for (number, name) in ["red", "green", "blue"].into_iter().enumerate() {
///     memory.insert(name, &colour(number as u64));
/// }
/// let mut transaction = Transaction::begin(&store, &IngestOptions::default())?;
/// transaction.put_item_memory(b"memories/colours", Attributes::default(), &memory)?;
/// transaction.commit("three colours")?;
///
/// let kept = item_memory(&store, b"memories/colours", None)?;
/// assert_eq!(kept.cleanup(&colour(1), 100).map(|found| found.label.as_slice()), Some(&b"green"[..]));
/// # Ok::<(), engrams::Error>(())
/// ```
pub fn item_memory(store: &EngramStore, path: &[u8], version: Option<u64>) -> Result<ItemMemory<Vec<u8>>> {
    let mut builder = StreamingDecoder::builder(store, path);
    if let Some(version) = version {
        builder = builder.with_version(version);
    }
    let mut bytes = Vec::new();
    builder.build()?.read_to_end(&mut bytes).map_err(|error| match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::io("decoding", error),
    })?;
    ItemMemory::from_bytes(&bytes).map_err(|error| {
        let path = path.escape_ascii();
        Error::corrupt(format!("`{path}` is no item memory")).with_source(error)
    })
}
