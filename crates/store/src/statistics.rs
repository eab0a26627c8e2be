//! What a store holds and what it costs, counted from its records.

use crate::backend::KeyRange;
use crate::encryption::spare;
use crate::format::{Head, Superblock, id_of_key};
use crate::store::Inner;
use crate::{EngramStore, Result, Space};

/// What a store holds and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stats {
    /// Versions kept.
    pub versions: u64,
    /// Files of the newest version.
    pub files: u64,
    /// Bytes of the newest version's files.
    pub logical_bytes: u64,
    /// Bytes of all versions' files: what would be on disk without the store.
    pub ingested_bytes: u64,
    /// Plain bytes of all chunks: what is left after deduplication by identity.
    pub unique_bytes: u64,
    /// Bytes on the medium, everything counted.
    pub stored_bytes: u64,
    /// Of these, what the search index takes, before the database compresses it.
    pub search_bytes: u64,
    /// Chunks stored.
    pub chunks: u64,
    /// Of these, kept as corrections of recalled chunks.
    pub recalled_chunks: u64,
    /// Of these, kept by themselves.
    pub verbatim_chunks: u64,
    /// Longest chain of corrections.
    pub max_chain: u64,
    /// Mean length of the chain over all chunks (0 for a verbatim one).
    pub mean_chain: f64,
}

impl Inner {
    /// Bytes of the small files beside the database.
    pub(crate) fn bytes_beside(&self) -> u64 {
        self.mark.as_ref().map_or(0, |mark| mark.bytes() + spare::bytes(mark.directory()))
    }
}

impl EngramStore {
    /// Counts what the store holds; reads every chunk's head, no payload.
    ///
    /// # Errors
    /// `Corrupt` when a record is damaged.
    pub fn stats(&self) -> Result<Stats> {
        let versions = self.versions()?;
        let mut stats = Stats {
            versions: versions.len() as u64,
            files: versions.first().map_or(0, |v| v.files),
            logical_bytes: versions.first().map_or(0, |v| v.bytes),
            ingested_bytes: versions.iter().fold(0, |sum: u64, v| sum.saturating_add(v.bytes)),
            stored_bytes: self.0.backend.stored_bytes()? + self.0.bytes_beside(),
            ..Stats::default()
        };
        let snapshot = self.0.backend.snapshot()?;
        let mut chain = 0u64;
        for record in snapshot.scan(Space::Head, KeyRange::default()) {
            let (key, value) = record?;
            let head = Head::decode(id_of_key(Space::Head, &key)?, &value, Superblock::MAX_CHUNK_BYTES)?;
            stats.chunks += 1;
            stats.unique_bytes += u64::from(head.len);
            stats.recalled_chunks += u64::from(head.depth > 0);
            stats.max_chain = stats.max_chain.max(u64::from(head.depth));
            chain += u64::from(head.depth);
        }
        for record in snapshot.scan(Space::Search, KeyRange::default()) {
            let (key, value) = record?;
            stats.search_bytes += (key.len() + value.len()) as u64;
        }
        stats.verbatim_chunks = stats.chunks - stats.recalled_chunks;
        stats.mean_chain = if stats.chunks == 0 { 0.0 } else { chain as f64 / stats.chunks as f64 };
        Ok(stats)
    }
}
