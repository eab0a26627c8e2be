//! What recall and search need to know of a chunk that is new.

use engrams_core::{bottom_k, is_recall};
use engrams_store::{
    EngramStore, RECALL_FEATURES, STORED_VECTOR_BYTES, SearchKeys, is_noise, search_keys, stored_vector,
};

use super::group::{Group, RawChunk};
use super::known::{Known, cover};

/// A chunk as recall sees it.
pub(crate) struct Sketch {
    pub(crate) vector: [u8; STORED_VECTOR_BYTES],
    /// Its smallest features.
    pub(crate) features: Vec<u64>,
    pub(crate) known: Known,
    /// What a search may find it by.
    pub(crate) search: Vec<u32>,
    pub(crate) is_noise: bool,
}

impl Sketch {
    /// Of a chunk of the group, by the store's gear and window for search.
    pub(crate) fn of(store: &EngramStore, group: &Group, chunk: &RawChunk) -> Self {
        let window = store.superblock().search_window;
        let located = group.located(store.gear(), chunk);
        let SearchKeys { selected, entered } =
            search_keys(&located, chunk.bytes.len(), &group.files_in(chunk), window);
        let features: Vec<u64> =
            located.iter().map(|found| found.feature).filter(|&feature| is_recall(feature)).collect();
        Self {
            vector: stored_vector(&features),
            known: Known { cover: cover(&features), selected: selected.into() },
            search: entered,
            features: bottom_k(&features, RECALL_FEATURES),
            is_noise: is_noise(group.bytes_of(chunk)),
        }
    }
}
