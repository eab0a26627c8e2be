//! The recall index in memory: a set-associative table of bounded size.
//!
//! A look-up touches one cache line however many chunks there are, and the table has its whole size from the beginning:
//! nothing has to be moved when a store grows. A full bucket keeps two kinds of entries: the youngest ones, and of the
//! older ones those with the smallest keys. Keys are hashes, so what is kept of old chunks is a sample of features, the same
//! ones for all chunks, that gets sparser as the store grows (the sparse index of Lillibridge et al., FAST 2009, with
//! a threshold for each bucket instead of one for all).

use crate::feature_log::Entry;

/// A cache line of entries: the key in the upper half, the chunk in the lower.
type Bucket = [u64; WAYS];

/// No entry. Not zero: fresh zeros are all one page of the system's, which looking at maps and writing to replaces, and
/// all other cores are interrupted for that. A table that is filled has its own pages at once.
const NONE: u64 = u64::MAX;

/// Entries of a bucket.
const WAYS: usize = 8;
/// Of these, the youngest are kept whatever their keys.
const YOUNGEST: usize = 4;
/// Chunks remembered for one feature.
const RECENT: usize = 4;
/// From keys to recent chunks.
pub(crate) struct Table {
    /// As many as a power of two.
    buckets: Vec<Bucket>,
}

impl Table {
    /// An empty table of `bytes`, rounded down to a power of two.
    pub(crate) fn new(bytes: usize) -> Self {
        let most = (bytes / size_of::<Bucket>()).max(1);
        Self { buckets: vec![[NONE; WAYS]; 1 << most.ilog2()] }
    }

    /// Entries it can hold at most.
    pub(crate) fn capacity(&self) -> usize {
        self.buckets.len() * WAYS
    }

    /// Enters a chunk. Ids from 2^32 - 1 on are not entered: a store of 256 TiB.
    pub(crate) fn insert(&mut self, entry: Entry) {
        if let Some(packed) = pack(entry) {
            let at = self.place(entry.key);
            enter(&mut self.buckets[at], packed);
        }
    }

    /// Adds the chunks with this key, at most four.
    pub(crate) fn find(&self, key: u32, into: &mut Vec<u64>) {
        let bucket = &self.buckets[self.place(key)];
        into.extend(bucket.iter().filter(|&&packed| has(packed, key)).map(|&packed| chunk_of(packed)));
    }

    pub(crate) fn contains(&self, entry: Entry) -> bool {
        pack(entry).is_some_and(|packed| self.buckets[self.place(entry.key)].contains(&packed))
    }

    /// The bucket of a key, by its lowest bits: the upper ones decide what is kept.
    fn place(&self, key: u32) -> usize {
        key as usize & (self.buckets.len() - 1)
    }
}

fn pack(entry: Entry) -> Option<u64> {
    let chunk = u32::try_from(entry.chunk).ok().filter(|chunk| (1..u32::MAX).contains(chunk))?;
    Some(u64::from(entry.key) << 32 | u64::from(chunk))
}

fn has(packed: u64, key: u32) -> bool {
    packed != NONE && (packed >> 32) as u32 == key
}

fn chunk_of(packed: u64) -> u64 {
    packed & u64::from(u32::MAX)
}

fn enter(bucket: &mut Bucket, new: u64) {
    if bucket.contains(&new) {
        return;
    }
    let key = (new >> 32) as u32;
    if bucket.iter().filter(|&&packed| has(packed, key)).count() >= RECENT {
        let oldest = bucket.iter_mut().filter(|packed| has(**packed, key)).min();
        if let Some(oldest) = oldest.filter(|oldest| **oldest < new) {
            *oldest = new;
        }
        return;
    }
    if let Some(free) = bucket.iter_mut().find(|packed| **packed == NONE) {
        *free = new;
        return;
    }
    let mut all = [new; WAYS + 1];
    all[..WAYS].copy_from_slice(bucket);
    all.sort_unstable_by_key(|&packed| std::cmp::Reverse(chunk_of(packed)));
    // Of the older ones the greatest key goes; of equal keys the oldest.
    all[YOUNGEST..].sort_unstable_by_key(|&packed| (packed >> 32, std::cmp::Reverse(chunk_of(packed))));
    bucket.copy_from_slice(&all[..WAYS]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(x: u64) -> u32 {
        (x.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 29) as u32
    }

    fn filled(bytes: usize, chunks: u64) -> Table {
        let mut table = Table::new(bytes);
        for chunk in 1..=chunks {
            (0..8).for_each(|at| table.insert(Entry { chunk, key: hash(chunk * 8 + at) }));
        }
        table
    }

    fn found(table: &Table, key: u32) -> Vec<u64> {
        let mut found = Vec::new();
        table.find(key, &mut found);
        found.sort_unstable();
        found
    }

    #[test]
    fn next_to_nothing_is_forgotten_before_the_table_is_full() {
        let table = filled(1 << 20, 2000);
        for chunk in 1..=2000 {
            for at in 0..8 {
                assert!(found(&table, hash(chunk * 8 + at)).contains(&chunk));
            }
        }
    }

    #[test]
    fn memory_is_what_was_asked_for() {
        for bytes in [0, 64, 100, 1 << 16] {
            let table = filled(bytes, 5000);
            assert!(table.buckets.len() * size_of::<Bucket>() <= bytes.max(64));
            assert_eq!(table.capacity(), table.buckets.len() * WAYS, "{bytes}");
        }
    }

    #[test]
    fn the_four_most_recent_chunks_of_a_feature_are_known() {
        let mut table = Table::new(1 << 16);
        for chunk in [3, 9, 9, 12, 700, 70_000] {
            table.insert(Entry { chunk, key: 77 });
        }
        assert_eq!(found(&table, 77), [9, 12, 700, 70_000]);
        assert_eq!(found(&table, 0), []);
        for chunk in [u64::from(u32::MAX), 1 << 32] {
            table.insert(Entry { chunk, key: u32::MAX });
        }
        assert_eq!(found(&table, u32::MAX), []);
    }

    #[test]
    fn at_the_bound_the_young_are_known_and_of_the_old_the_same_sample_of_features() {
        let chunks = 20_000;
        let table = filled(1 << 17, chunks);
        let known = |chunk: u64| -> Vec<u32> {
            let keys = (0..8).map(|at| hash(chunk * 8 + at));
            keys.filter(|&key| found(&table, key).contains(&chunk)).collect()
        };
        let young: usize = (chunks - 500..=chunks).map(|chunk| known(chunk).len()).sum();
        assert!(young > 501 * 8 * 9 / 10, "{young}");
        let old: Vec<u32> = (1..10_000).flat_map(known).collect();
        // 8,192 of 160,000 older entries have room.
        assert!((2000..8192).contains(&old.len()), "{}", old.len());
        let small = old.iter().filter(|&&key| key < u32::MAX / 8).count();
        assert!(small > old.len() * 9 / 10, "{small} of {}", old.len());
    }

    #[test]
    fn what_was_kept_makes_the_same_table_again() {
        let table = filled(1 << 14, 3000);
        let mut kept: Vec<u64> =
            table.buckets.iter().flatten().copied().filter(|&packed| packed != NONE).collect();
        kept.sort_unstable_by_key(|&packed| (chunk_of(packed), packed));
        let mut again = Table::new(1 << 14);
        for packed in &kept {
            again.insert(Entry { chunk: chunk_of(*packed), key: (packed >> 32) as u32 });
        }
        assert!(kept.iter().all(|packed| again.buckets.iter().flatten().any(|other| other == packed)));
    }
}
