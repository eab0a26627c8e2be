//! What the file system said of files that the newest version does not have: it is never asked for again.

use super::Collection;
use crate::backend::{KeyRange, Snapshot};
use crate::boundary::spread;
use crate::{Batch, Durability, Result, Space, unless_corrupt};

/// Bits for each file: about one stale entry in 200 stays.
const BITS_EACH: u64 = 16;
/// Most bits, 16 MiB of them: with more files more stale entries stay.
const MOST_BITS: u64 = 1 << 27;
const RUN: usize = 1024;

impl Collection<'_> {
    /// Removes entries of files that the newest version does not have; returns how many. What can't be read stays, for
    /// `verify` to name and a repair to drop.
    pub(super) fn sweep_seen(&self, snapshot: &dyn Snapshot) -> Result<u64> {
        if snapshot.scan(Space::Seen, KeyRange::default()).next().is_none() {
            return Ok(0);
        }
        let tree = self.handle.tree(None)?;
        let mut filter = Filter::of(tree.len());
        for entry in tree.entries(b"") {
            filter.insert(&self.store.index_keys.seen(&entry?.path));
        }
        let (mut removed, mut batch) = (0, Batch::new());
        for record in snapshot.scan(Space::Seen, KeyRange::default()) {
            let Some((key, _)) = unless_corrupt(record)? else { continue };
            if filter.may_have(&key) {
                continue;
            }
            batch.delete(Space::Seen, key);
            removed += 1;
            if batch.changes.len() == RUN {
                self.store.backend.write(std::mem::take(&mut batch), Durability::Staged)?;
            }
        }
        if !batch.is_empty() {
            self.store.backend.write(batch, Durability::Staged)?;
        }
        Ok(removed)
    }
}

/// A set of keys that may claim to have more (Bloom, 1970), with three probes.
struct Filter {
    words: Vec<u64>,
    mask: u64,
}

impl Filter {
    fn of(count: u64) -> Self {
        let bits = count.saturating_mul(BITS_EACH).clamp(64, MOST_BITS).next_power_of_two();
        Self { words: vec![0; (bits / 64) as usize], mask: bits - 1 }
    }

    fn probes(&self, key: &[u8]) -> [u64; 3] {
        let mut last = [0; 8];
        let from = key.len().saturating_sub(8);
        last[..key.len() - from].copy_from_slice(&key[from..]);
        let first = u64::from_le_bytes(last);
        let (second, third) = (spread(first), spread(spread(first).wrapping_add(1)));
        [first & self.mask, second & self.mask, third & self.mask]
    }

    fn insert(&mut self, key: &[u8]) {
        for bit in self.probes(key) {
            self.words[(bit / 64) as usize] |= 1 << (bit % 64);
        }
    }

    fn may_have(&self, key: &[u8]) -> bool {
        self.probes(key).iter().all(|bit| self.words[(bit / 64) as usize] & (1 << (bit % 64)) != 0)
    }
}
