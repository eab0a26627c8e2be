//! Which decoded chunks stay in memory: those used last, and of the older ones as many as fit, chosen by lot.
//!
//! Restoring a version walks through its files, and the chunks they are corrections of, much like a loop: what is
//! needed again was last used longer ago than a cache reaches back. Dropping what was used longest ago then drops
//! everything just before it is needed; dropping any of them keeps most (docs/decisions/0014).

use std::collections::{HashMap, VecDeque};

use lru::LruCache;

use crate::buffer::{CAPACITY_STEP, buffer};
use crate::chunk::Plain;

/// Plain bytes by chunk id, within a budget.
pub(crate) struct PlainCache {
    budget: usize,
    /// Used last, in order, up to a quarter of the budget: a chain of bases is not torn while it is in use.
    recent: LruCache<u64, Plain>,
    recent_bytes: usize,
    /// The others.
    older: Vec<(u64, Plain)>,
    places: HashMap<u64, usize>,
    older_bytes: usize,
    /// Buffers of chunks that were dropped, for the next ones. What is freed on one thread and allocated on another
    /// lies in memory twice, as the allocator keeps the memory of threads apart.
    spare: VecDeque<Vec<u8>>,
    spare_bytes: usize,
    /// Decides who goes. It always begins alike, so that a run can be repeated.
    lot: u64,
}

/// Spare buffers may take this share of the budget beside it.
const SPARE_SHARE: usize = 16;

impl PlainCache {
    /// An empty cache that keeps at most `budget` bytes, unused capacity counted.
    pub(crate) fn new(budget: usize) -> Self {
        Self {
            budget,
            recent: LruCache::unbounded(),
            recent_bytes: 0,
            older: Vec::new(),
            places: HashMap::new(),
            older_bytes: 0,
            spare: VecDeque::new(),
            spare_bytes: 0,
            lot: 0,
        }
    }

    /// The bytes of chunk `id`, if they are here.
    pub(crate) fn get(&mut self, id: u64) -> Option<Plain> {
        if let Some(plain) = self.recent.get(&id) {
            return Some(plain.clone());
        }
        let at = *self.places.get(&id)?;
        let plain = self.remove_older(at);
        self.insert(id, plain.clone());
        Some(plain)
    }

    /// Keeps the bytes of chunk `id`, at the cost of others.
    pub(crate) fn insert(&mut self, id: u64, plain: Plain) {
        if self.recent.contains(&id) || self.places.contains_key(&id) {
            return;
        }
        self.recent_bytes += plain.footprint();
        self.recent.put(id, plain);
        while self.recent_bytes > self.budget / 4 {
            let Some((id, plain)) = self.recent.pop_lru() else { break };
            self.recent_bytes -= plain.footprint();
            self.older_bytes += plain.footprint();
            self.places.insert(id, self.older.len());
            self.older.push((id, plain));
        }
        self.make_room(0);
    }

    /// Drops the bytes of chunk `id`.
    pub(crate) fn remove(&mut self, id: u64) {
        if let Some(plain) = self.recent.pop(&id) {
            self.recent_bytes -= plain.footprint();
        } else if let Some(at) = self.places.get(&id) {
            self.remove_older(*at);
        }
    }

    /// An empty buffer for `len` bytes that are going to be kept here: one of those that make room for it, if it fits
    /// and is hardly too large: what it has too much is not there for others.
    pub(crate) fn buffer(&mut self, len: usize) -> Vec<u8> {
        let capacity = len.next_multiple_of(CAPACITY_STEP);
        self.make_room(capacity);
        let fits = |bytes: &Vec<u8>| (len..=capacity + CAPACITY_STEP).contains(&bytes.capacity());
        let all = self.spare.iter().enumerate();
        let best = all.filter(|(_, bytes)| fits(bytes)).min_by_key(|(_, bytes)| bytes.capacity());
        let found = best.map(|(at, _)| at).and_then(|at| self.spare.swap_remove_back(at));
        self.spare_bytes -= found.as_ref().map_or(0, Vec::capacity);
        found.unwrap_or_else(|| buffer(len))
    }

    /// Drops until `bytes` more would fit.
    fn make_room(&mut self, bytes: usize) {
        while self.recent_bytes + self.older_bytes > self.budget.saturating_sub(bytes) {
            let dropped = if !self.older.is_empty() {
                let at = self.draw();
                self.remove_older(at)
            } else if let Some((_, plain)) = self.recent.pop_lru() {
                self.recent_bytes -= plain.footprint();
                plain
            } else {
                break;
            };
            if let Some(bytes) = dropped.into_buffer() {
                self.spare_bytes += bytes.capacity();
                self.spare.push_back(bytes);
            }
            while self.spare_bytes > self.budget / SPARE_SHARE {
                let Some(bytes) = self.spare.pop_front() else { break };
                self.spare_bytes -= bytes.capacity();
            }
        }
    }

    fn remove_older(&mut self, at: usize) -> Plain {
        let (id, plain) = self.older.swap_remove(at);
        self.places.remove(&id);
        if let Some((moved, _)) = self.older.get(at) {
            self.places.insert(*moved, at);
        }
        self.older_bytes -= plain.footprint();
        plain
    }

    /// One of the older ones: Knuth's linear congruential generator (The Art of Computer Programming, 3.3.4), of whose
    /// bits the high ones are drawn.
    fn draw(&mut self) -> usize {
        self.lot = self.lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.lot >> 33) as usize % self.older.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(len: usize) -> Plain {
        Plain::new(Vec::with_capacity(len), false)
    }

    proptest! {
        #[test]
        fn it_keeps_to_its_budget_and_gives_back_what_it_was_given(
            budget in 0_usize..5000, steps in proptest::collection::vec((0_u64..60, any::<bool>(), 1_usize..400), 0..400),
        ) {
            let mut cache = PlainCache::new(budget);
            for (id, insert, salt) in steps {
                // A chunk always has the same bytes.
                let len = 1 + (id as usize * 37) % 300;
                match insert {
                    true if salt % 7 == 0 => {
                        let bytes = cache.buffer(salt);
                        prop_assert!(bytes.is_empty() && bytes.capacity() >= salt);
                    }
                    true if salt % 5 == 0 => {
                        cache.remove(id);
                        prop_assert!(cache.get(id).is_none());
                    }
                    true => cache.insert(id, plain(len)),
                    false => if let Some(found) = cache.get(id) { prop_assert_eq!(found.footprint(), len) },
                }
                let recent: usize = cache.recent.iter().map(|(_, p)| p.footprint()).sum();
                let older: usize = cache.older.iter().map(|(_, p)| p.footprint()).sum();
                prop_assert_eq!((recent, older), (cache.recent_bytes, cache.older_bytes));
                prop_assert!(recent + older <= budget);
                let spare: usize = cache.spare.iter().map(Vec::capacity).sum();
                prop_assert_eq!(spare, cache.spare_bytes);
                prop_assert!(spare <= budget / SPARE_SHARE);
                prop_assert_eq!(cache.places.len(), cache.older.len());
                prop_assert!(cache.older.iter().enumerate().all(|(at, (id, _))| cache.places[id] == at));
                prop_assert!(cache.older.iter().all(|(id, _)| !cache.recent.contains(id)));
            }
        }
    }

    #[test]
    fn what_was_used_last_is_still_there() {
        let mut cache = PlainCache::new(1000);
        for id in 0..500 {
            cache.insert(id, plain(10));
            assert!((id.saturating_sub(20)..=id).all(|recent| cache.get(recent).is_some()), "{id}");
        }
    }

    #[test]
    fn a_buffer_is_used_again_unless_somebody_still_reads_it() {
        let mut cache = PlainCache::new(100 * CAPACITY_STEP);
        let held: Vec<Plain> = (0..100)
            .map(|id| {
                let plain = Plain::new(cache.buffer(10), false);
                cache.insert(id, plain.clone());
                plain
            })
            .collect();
        cache.buffer(10);
        assert_eq!(cache.spare_bytes, 0);
        drop(held);
        let again = cache.buffer(3 * CAPACITY_STEP);
        assert_eq!(again.capacity(), 3 * CAPACITY_STEP, "none of those that were dropped is large enough");
        let before = cache.spare_bytes;
        assert!(before > 0);
        assert_eq!(cache.buffer(10).capacity(), CAPACITY_STEP);
        assert!(cache.spare_bytes <= before);
    }

    #[test]
    fn a_loop_longer_than_the_cache_finds_most_of_what_fits() {
        let mut cache = PlainCache::new(1000);
        let mut found = 0;
        for round in 0..20 {
            for id in 0..125 {
                match cache.get(id) {
                    Some(_) => found += usize::from(round > 0),
                    None => cache.insert(id, plain(10)),
                }
            }
        }
        // Dropping what was used longest ago would find nothing.
        assert!(found > 19 * 125 / 2, "{found}");
    }
}
