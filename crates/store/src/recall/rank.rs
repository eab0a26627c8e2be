//! Ranking: which stored chunks resemble one, nearest first.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::chunk::ChunkReader;
use crate::format::{Head, STORED_VECTOR_BYTES};
use crate::{Result, unless_corrupt};

/// A stored chunk that may serve as base.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its id.
    pub id: u64,
    /// Differing bits of the 256 that are kept of a hypervector. Unrelated chunks differ in 128 +- 8.
    pub distance: u32,
    /// Its head.
    pub head: Arc<Head>,
}

/// Farther than this, a candidate is as good as unrelated: three standard deviations under the mean of 128.
const FARTHEST: u32 = 104;
/// Nearer than this, a chunk is so like its base that whoever would find it finds the base.
const TWIN: u32 = 26;

impl Candidate {
    /// What candidates are ranked by: nearest first; of equals the younger one, which was corrected more recently, so that
    /// it is more like what comes.
    #[must_use]
    pub fn order(&self) -> (u32, Reverse<u64>) {
        (self.distance, Reverse(self.id))
    }

    /// The chunk it was ranked for need not be found itself, if this one is its base.
    #[must_use]
    pub fn is_twin(&self) -> bool {
        self.distance < TWIN
    }
}

/// Those of `ids` that resemble a chunk with this vector, in order.
pub(crate) fn rank(
    chunks: &ChunkReader,
    vector: &[u8; STORED_VECTOR_BYTES],
    ids: impl Iterator<Item = u64>,
) -> Result<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for id in ids {
        // The index is a hint: what it names may be gone. What is damaged must not keep new bytes from being stored.
        let Some(head) = unless_corrupt(chunks.find_head(id))?.flatten() else { continue };
        let distance = vector.iter().zip(&head.vector).map(|(a, b)| (a ^ b).count_ones()).sum();
        if distance <= FARTHEST {
            candidates.push(Candidate { id, distance, head });
        }
    }
    candidates.sort_by_key(Candidate::order);
    candidates.dedup_by_key(|c| c.id);
    Ok(candidates)
}
