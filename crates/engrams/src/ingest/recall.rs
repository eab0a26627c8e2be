//! Recall: which stored chunks resemble a new one, nearest first.

use std::sync::Arc;

use engrams_store::{EngramStore, Head, Result, STORED_VECTOR_BYTES, unless_corrupt};

/// The first bits of a hypervector, as kept with every chunk.
pub(crate) type ShortVector = [u8; STORED_VECTOR_BYTES];

/// A stored chunk that may serve as base.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) id: u64,
    /// Differing bits of 256. Unrelated chunks differ in 128 +- 8.
    pub(crate) distance: u32,
    pub(crate) head: Arc<Head>,
}

/// Farther than this, a candidate is as good as unrelated: three standard deviations under the mean of 128.
const FARTHEST: u32 = 104;
/// Nearer than this, a chunk is so like its base that whoever finds the base has found the chunk.
pub(crate) const TWIN: u32 = 26;

/// Those of `ids` that resemble a chunk with this vector, nearest first.
pub(crate) fn rank(
    store: &EngramStore,
    vector: &ShortVector,
    ids: impl Iterator<Item = u64>,
) -> Result<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for id in ids {
        // The index is a hint: what it names may be gone. What is damaged must not keep new bytes from being stored.
        let Some(head) = unless_corrupt(store.find_chunk_head(id))?.flatten() else { continue };
        let distance = hamming(vector, &head.vector);
        if distance <= FARTHEST {
            candidates.push(Candidate { id, distance, head });
        }
    }
    // Of equals the younger one: it was corrected more recently, so it is more like what comes.
    candidates.sort_by_key(|c| (c.distance, std::cmp::Reverse(c.id)));
    candidates.dedup_by_key(|c| c.id);
    Ok(candidates)
}

fn hamming(a: &ShortVector, b: &ShortVector) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}
