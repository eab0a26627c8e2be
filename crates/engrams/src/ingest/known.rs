//! What was found out about chunks lately: what each covers, what a search selects in it, what it adds to an engram.
//!
//! A chunk that is looked at as a base is often what the file had at this place before, and what was there before is
//! taken out of the engrams a little later.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use engrams_core::is_recall;
use engrams_store::tree::Piece;
use engrams_store::{EngramStore, Result, Trace, TraceMaker, selected_keys, unless_corrupt};
use lru::LruCache;

use super::workers::Workers;

/// A chunk's distinct recall features, ascending, cut to 32 bits: enough to tell them apart.
pub(crate) type Cover = Arc<[u32]>;

/// The cover of a chunk that has these features.
pub(crate) fn cover(features: &[u64]) -> Cover {
    let mut cover: Vec<u32> = features.iter().filter(|&&f| is_recall(f)).map(|&f| (f >> 8) as u32).collect();
    cover.sort_unstable();
    cover.dedup();
    cover.into()
}

/// What was computed of a chunk's features.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) cover: Cover,
    /// Keys of what a search selects in it, ascending.
    pub(crate) selected: Arc<[u32]>,
}

/// What is known of the chunks that were looked at or made last.
pub(crate) struct KnownChunks {
    known: Mutex<LruCache<u64, Known>>,
    traces: Mutex<LruCache<u64, Arc<Trace>>>,
}

/// Chunks remembered: 2 KB each for chunks of 64 KiB.
const KEPT: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");
/// Traces remembered: 4 KB each.
const KEPT_TRACES: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
/// What is known of longer chunks is computed anew each time, so that all together stay below 15 MiB.
const MOST_KEPT: usize = 4096;

impl KnownChunks {
    pub(crate) fn new() -> Self {
        Self { known: Mutex::new(LruCache::new(KEPT)), traces: Mutex::new(LruCache::new(KEPT_TRACES)) }
    }

    /// Remembers what is known of chunk `id`.
    pub(crate) fn keep(&self, id: u64, known: &Known) {
        if known.cover.len() <= MOST_KEPT {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).put(id, known.clone());
        }
    }

    /// What is known of stored chunk `id`; `None` if it is damaged.
    pub(crate) fn of(&self, store: &EngramStore, id: u64) -> Result<Option<Known>> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Some(known.clone()));
        }
        let Some(plain) = unless_corrupt(store.base(id))? else { return Ok(None) };
        // One for each 82 bytes, mostly.
        let mut located = Vec::with_capacity(plain.len() / 64);
        store.gear().locate_features(&plain, &mut located);
        let features: Vec<u64> = located.iter().map(|one| one.feature).collect();
        let selected = selected_keys(&located, plain.len(), store.superblock().search_window).into();
        let known = Known { cover: cover(&features), selected };
        self.keep(id, &known);
        if features.len() <= 2 * MOST_KEPT {
            let trace = Arc::new(Trace::new(store.gear(), &plain, Some(&features)));
            self.traces.lock().unwrap_or_else(PoisonError::into_inner).put(id, trace);
        }
        Ok(Some(known))
    }

    fn trace(&self, piece: &Piece) -> Option<Arc<Trace>> {
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        traces.get(&piece.chunk).filter(|trace| trace.is_of_all(piece)).cloned()
    }
}

/// Makes traces of stored pieces: side by side, and only what is not known.
pub(crate) struct Tracing {
    pub(crate) known: Arc<KnownChunks>,
    pub(crate) workers: Arc<Workers>,
}

impl TraceMaker for Tracing {
    fn traces(
        &self,
        pieces: &[Piece],
        trace: &(dyn Fn(&Piece) -> Result<Arc<Trace>> + Sync),
    ) -> Result<Vec<Arc<Trace>>> {
        self.workers.map(pieces, |piece| self.known.trace(piece).map_or_else(|| trace(piece), Ok))
    }
}
