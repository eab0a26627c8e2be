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
}
