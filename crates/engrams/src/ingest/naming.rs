//! Naming: the hash of each chunk of a group and, at the same time, of the long files that it holds pieces of.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use engrams_store::{EngramStore, Result};

use super::group::{Event, Group, RawChunk, SharedHasher};
use super::sketch::Sketch;
use super::workers::Workers;

/// Names the chunks of groups, in order. Lives on a thread of its own, a group ahead of who decides.
pub(crate) struct Namer {
    store: EngramStore,
    workers: Arc<Workers>,
    novelty: Arc<Novelty>,
    /// The hash of the file that the stream is in, when it is left to this thread.
    hashing: Option<SharedHasher>,
}

/// BLAKE3 of a chunk's bytes.
pub(crate) type Name = [u8; 32];

/// A group whose chunks have names.
pub(crate) struct Named {
    pub(crate) group: Group,
    pub(crate) names: Vec<Name>,
    /// Of all its chunks, or of none.
    pub(crate) sketches: Vec<Sketch>,
}

/// Whether the chunks of late were new, as far as was decided. It says when work is done, not what comes of it.
#[derive(Default)]
pub(crate) struct Novelty(AtomicBool);

impl Novelty {
    pub(crate) fn note(&self, is_novel: bool) {
        self.0.store(is_novel, Ordering::Relaxed);
    }

    fn is_expected(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Namer {
    pub(crate) fn new(store: EngramStore, workers: Arc<Workers>, novelty: Arc<Novelty>) -> Self {
        Self { store, workers, novelty, hashing: None }
    }

    /// Names the group's chunks; where they are likely to be new, sketches them while their bytes are at hand.
    pub(crate) fn name(&mut self, group: Group) -> Result<Named> {
        let files = self.hash_work(&group);
        let hash = || {
            for (hasher, range) in files {
                hasher.lock().unwrap_or_else(PoisonError::into_inner).update(&group.data[range]);
            }
        };
        let sketches = self.novelty.is_expected();
        let name = |chunk: &RawChunk| {
            let name = chunk.name.unwrap_or_else(|| *blake3::hash(group.bytes_of(chunk)).as_bytes());
            Ok((name, sketches.then(|| Sketch::of(&self.store, &group, chunk))))
        };
        let named = self.workers.both(hash, || self.workers.map(&group.chunks, name))??;
        let (names, sketches): (_, Vec<_>) = named.into_iter().unzip();
        Ok(Named { group, names, sketches: sketches.into_iter().flatten().collect() })
    }

    /// Which of the group's bytes go into which file's hash.
    fn hash_work(&mut self, group: &Group) -> Vec<(SharedHasher, Range<usize>)> {
        let mut work = Vec::new();
        let (mut from, end) = (0, group.chunks.last().map_or(0, |last| last.bytes.end));
        for (at, event) in &group.events {
            let next = match event {
                Event::Hash(hasher) => Some(Arc::clone(hasher)),
                Event::Hashed | Event::Abandon => None,
                _ => continue,
            };
            work.extend(self.hashing.take().map(|hasher| (hasher, from..*at)));
            (self.hashing, from) = (next, *at);
        }
        work.extend(self.hashing.clone().map(|hasher| (hasher, from..end)));
        work
    }
}
