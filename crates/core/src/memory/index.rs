//! Multi-index hashing: for each of several disjoint samples of bits, buckets of the items that agree in them.
//!
//! It assumes items in slots 0, 1, ..; it refuses to know labels, and compares nothing in full.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::Dimension;

/// The most bits of a table: 16 million buckets.
const MOST_BITS: u32 = 24;
/// No slot.
const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(super) struct Index {
    tables: Box<[Table]>,
    /// Bits of each table in use.
    bits: u32,
    dimension: Dimension,
}

/// Chains of slots, one chain for each value of the table's bits.
#[derive(Clone, Debug, Default)]
struct Table {
    /// The newest slot of each bucket.
    heads: Vec<u32>,
    /// For each slot, the one before it in the same bucket.
    before: Vec<u32>,
}

impl Index {
    pub(super) fn new(tables: usize, dimension: Dimension) -> Self {
        Self { tables: vec![Table::default(); tables].into_boxed_slice(), bits: 1, dimension }
    }

    pub(super) fn tables(&self) -> usize {
        self.tables.len()
    }

    /// Bits that a table looks at: the logarithm of the number of items when it was built.
    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// The bits for so many items. A table has 16 bits or more to choose from.
    fn bits_for(&self, items: usize) -> u32 {
        let own = (self.dimension.bits() / self.tables.len()) as u32;
        items.max(2).ilog2().min(MOST_BITS).min(own)
    }

    pub(super) fn is_wide_enough_for(&self, items: usize) -> bool {
        self.bits_for(items) <= self.bits
    }

    /// Empties the tables and gives them the bits for so many items.
    pub(super) fn clear(&mut self, items: usize) {
        self.bits = self.bits_for(items);
        for table in &mut self.tables {
            table.heads.clear();
            table.heads.resize(1 << self.bits, NONE);
            table.before.clear();
            table.before.reserve(items);
        }
    }

    /// Adds the row of the next slot.
    pub(super) fn push(&mut self, row: &[u64]) {
        for (number, table) in self.tables.iter_mut().enumerate() {
            let slot = table.before.len() as u32;
            assert!(slot < NONE, "an indexed memory holds 2^32 - 1 items");
            let head = &mut table.heads[sample(row, number, self.bits) as usize];
            table.before.push(core::mem::replace(head, slot));
        }
    }

    /// Buckets whose bits differ in exactly so many from a query's, in all tables.
    pub(super) fn ring_buckets(&self, distance: u32) -> usize {
        // Exact at every step: the product of i consecutive numbers is divisible by i!.
        let one = (1..=u64::from(distance)).fold(1_u64, |buckets, i| {
            buckets * (u64::from(self.bits) + 1 - i.min(u64::from(self.bits) + 1)) / i
        });
        usize::try_from(one).unwrap_or(usize::MAX).saturating_mul(self.tables())
    }

    /// The slots in those buckets, removed ones among them; a slot comes once for each table it is in.
    pub(super) fn ring(&self, query: &[u64], distance: u32) -> impl Iterator<Item = usize> {
        self.tables.iter().enumerate().flat_map(move |(number, table)| {
            let near = sample(query, number, self.bits);
            masks(self.bits, distance).flat_map(move |mask| table.bucket(near ^ mask))
        })
    }

    pub(super) fn exact_radius(&self, reach: u32) -> u32 {
        if reach >= self.bits {
            return u32::MAX;
        }
        // At most 4,096 tables of 24 bits.
        self.tables() as u32 * (reach + 1) - 1
    }

    pub(super) fn found_probability(&self, reach: u32, flip_rate: f64) -> f64 {
        if reach >= self.bits {
            return 1.0;
        }
        // binom(b, i) p^i (1 - p)^(b - i), by products alone: p may be 0 or 1.
        let power = |base: f64, exponent: u32| (0..exponent).fold(1.0, |power, _| power * base);
        let mut ways = 1.0;
        let mut table = 0.0;
        for i in 0..=reach {
            table += ways * power(flip_rate, i) * power(1.0 - flip_rate, self.bits - i);
            ways *= f64::from(self.bits - i) / f64::from(i + 1);
        }
        1.0 - self.tables.iter().fold(1.0, |missed, _| missed * (1.0 - table))
    }
}

impl Table {
    fn bucket(&self, value: u32) -> impl Iterator<Item = usize> {
        let head = self.heads[value as usize];
        let slots = core::iter::successors(Some(head), |slot| self.before.get(*slot as usize).copied());
        slots.take_while(|slot| *slot != NONE).map(|slot| slot as usize)
    }
}

/// `bits` bits of a row for a table: its own ones, since `bits` times the number of tables is at most `D`.
///
/// Consecutive ones, from words as they lie: encodings that put related bits side by side
/// should permute.
fn sample(row: &[u64], table: usize, bits: u32) -> u32 {
    let from = table * bits as usize;
    let (word, shift) = (from / 64, (from % 64) as u32);
    let above = row.get(word + 1).copied().unwrap_or(0);
    let both = u128::from(row[word]) | (u128::from(above) << 64);
    ((both >> shift) as u32) & ((1 << bits) - 1)
}

/// All numbers of `bits` bits of which `set` are set, ascending (Gosper's way to the next, in Beeler, Gosper and
/// Schroeppel, *HAKMEM*, 1972, item 175).
fn masks(bits: u32, set: u32) -> impl Iterator<Item = u32> {
    let next = |mask: &u32| {
        let mask = *mask;
        if mask == 0 {
            return None;
        }
        let lowest = mask & mask.wrapping_neg();
        let ripple = mask + lowest;
        Some(ripple | (((mask ^ ripple) >> 2) / lowest))
    };
    let first = (set <= bits).then(|| (1_u32 << set) - 1);
    core::iter::successors(first, next).take_while(move |mask| *mask < 1 << bits)
}

#[cfg(test)]
mod tests {
    use super::{Index, masks, sample};
    use crate::Dimension;
    use alloc::vec::Vec;

    #[test]
    fn masks_are_all_numbers_with_so_many_bits() {
        for bits in [1, 2, 7, 12] {
            let mut index = Index::new(3, Dimension::RECALL);
            index.bits = bits;
            for set in 0..=bits + 1 {
                let expected: Vec<u32> = (0..1_u32 << bits).filter(|mask| mask.count_ones() == set).collect();
                assert_eq!(masks(bits, set).collect::<Vec<_>>(), expected, "{set} of {bits}");
                assert_eq!(index.ring_buckets(set), 3 * expected.len(), "{set} of {bits}");
            }
        }
        assert_eq!(masks(24, 24).collect::<Vec<_>>(), [(1 << 24) - 1]);
    }

    #[test]
    fn tables_sample_bits_of_their_own() {
        for (bits, tables) in [(20, 51), (16, 64), (24, 42), (1, 64)] {
            let mut seen = Vec::new();
            for bit in 0..1024_usize {
                let mut row = [0_u64; 16];
                row[bit / 64] = 1 << (bit % 64);
                seen.push((0..tables).map(|table| sample(&row, table, bits).count_ones()).sum::<u32>());
            }
            let used = bits as usize * tables;
            assert!(
                seen[..used].iter().all(|count| *count == 1) && seen[used..].iter().all(|count| *count == 0)
            );
        }
    }
}
