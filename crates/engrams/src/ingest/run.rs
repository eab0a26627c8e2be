//! Runs: chunks without anything alike, coded against each other.
//!
//! New content resembles nothing stored, but it has the words of what came just before it. So the chunks of a run
//! have the ones before them in the run as bases. A run is short: whatever is corrected later against a chunk of it
//! needs the whole run, and has so much less of the store's depth and closure left.

use engrams_store::Superblock;

/// A chunk of a run.
#[derive(Debug, Clone)]
pub(crate) struct Kin {
    pub(crate) id: u64,
    /// At most: what was not worth correcting is less deep.
    pub(crate) depth: u8,
}

/// The run that the stream is in.
#[derive(Debug, Default)]
pub(crate) struct Run {
    kin: Vec<Kin>,
}

impl Run {
    /// Adds chunk `id`; its bases are the chunks before it in the run, oldest first. `most` chunks are a run, or as
    /// many as leave two thirds of the store's depth to later corrections.
    pub(crate) fn join(&mut self, id: u64, most: usize, limits: &Superblock) -> Vec<Kin> {
        let most = most.min(usize::from(limits.max_depth.min(limits.max_closure)) / 3 + 1);
        if self.kin.len() >= most {
            self.kin.clear();
        }
        let bases = self.kin.clone();
        self.kin.push(Kin { id, depth: bases.len() as u8 });
        bases
    }
}

/// Whether bytes look as if nothing could be gained from coding them: compressed or encrypted already. As bases such
/// bytes only cost time.
pub(crate) fn is_dense(bytes: &[u8]) -> bool {
    let step = (bytes.len() / SAMPLES).max(1);
    let mut counts = [0u64; 256];
    let mut samples = 0;
    for &byte in bytes.iter().step_by(step) {
        counts[usize::from(byte)] += 1;
        samples += 1;
    }
    // Pairs of equal bytes: of uniform ones 1 in 256, and each with itself.
    let pairs: u64 = counts.iter().map(|count| count * count).sum();
    samples >= SAMPLES as u64 && pairs < samples + samples * samples / 256 * 9 / 8
}

/// Bytes looked at.
const SAMPLES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_anew_and_leaves_depth_to_later_corrections() {
        for (max_depth, max_closure, most) in [(12, 24, 5), (8, 16, 3), (1, 1, 1), (255, 255, 7)] {
            let limits = Superblock { max_depth, max_closure, ..Superblock::default() };
            let mut run = Run::default();
            for id in 1..40 {
                let bases = run.join(id, 7.min(if max_depth == 12 { 5 } else { 7 }), &limits);
                assert_eq!(bases.len() as u64, (id - 1) % most);
                assert!(bases.iter().all(|kin| kin.id < id && kin.depth < max_depth));
            }
        }
    }

    #[test]
    fn noise_is_dense_and_text_is_not() {
        let mut state = 1u64;
        let noise: Vec<u8> = (0..70_000)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as u8
            })
            .collect();
        let letters: Vec<u8> = noise.iter().map(|b| b % 64 + 32).collect();
        assert!(is_dense(&noise));
        assert!(!is_dense(&letters));
        assert!(!is_dense(&noise[..100]), "too short to tell");
        assert!(!is_dense(&[]));
    }
}
