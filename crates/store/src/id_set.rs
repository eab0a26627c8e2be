//! Sets of ids, one bit each: what a collection knows of millions of chunks and pages.

use std::collections::BTreeMap;

/// Words of one block: 4,096 ids.
const WORDS: usize = 64;
const BLOCK: u64 = 64 * WORDS as u64;

/// A set of ids. Memory: one bit for each id of a block of 4,096 that has any, about 5 % more for the map.
#[derive(Debug, Clone, Default)]
pub(crate) struct IdSet {
    blocks: BTreeMap<u64, Box<[u64; WORDS]>>,
    len: u64,
}

impl IdSet {
    /// Adds `id`; `false` when it was in already.
    pub(crate) fn insert(&mut self, id: u64) -> bool {
        let (word, bit) = place(id);
        let word = &mut self.blocks.entry(id / BLOCK).or_insert_with(|| Box::new([0; WORDS]))[word];
        let new = *word & bit == 0;
        *word |= bit;
        self.len += u64::from(new);
        new
    }

    pub(crate) fn extend(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            self.insert(id);
        }
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        let (word, bit) = place(id);
        self.blocks.get(&(id / BLOCK)).is_some_and(|block| block[word] & bit != 0)
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// All ids, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.blocks.iter().flat_map(|(&block, words)| {
            words.iter().enumerate().flat_map(move |(at, &word)| {
                let first = block * BLOCK + at as u64 * 64;
                (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| first + bit)
            })
        })
    }
}

fn place(id: u64) -> (usize, u64) {
    ((id % BLOCK / 64) as usize, 1 << (id % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_of_bits_is_a_set(ids in proptest::collection::vec(0u64..20_000, 0..300)) {
            let (mut bits, mut model) = (IdSet::default(), BTreeSet::new());
            for id in ids {
                prop_assert_eq!(bits.insert(id), model.insert(id));
            }
            prop_assert_eq!(bits.len(), model.len() as u64);
            prop_assert!((0..20_000).all(|id| bits.contains(id) == model.contains(&id)));
            prop_assert!(bits.iter().eq(model));
        }
    }
}
