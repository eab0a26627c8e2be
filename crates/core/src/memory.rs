//! The associative memory: labelled hypervectors, recalled by nearness.

use alloc::vec;
use alloc::vec::Vec;

use engrams_kernels::{Level, Neighbour};

use crate::{Dimension, Hypervector};

/// Items, each a label and a hypervector, that are found again by a hypervector like theirs.
///
/// Recall is exhaustive and exact: one pass over a contiguous matrix, about 8 ms for a million items of
/// 1,024 bits. Memory is `D / 8` bytes and a label for each item.
///
/// ```
/// use engrams_core::{Dimension, Hypervector, ItemMemory};
/// let mut memory = ItemMemory::new(Dimension::RECALL);
/// for (feature, name) in [(1, "one"), (2, "two"), (3, "three")] {
///     memory.insert(name, &Hypervector::from_feature(feature, Dimension::RECALL));
/// }
/// let query = Hypervector::from_feature(2, Dimension::RECALL);
/// assert_eq!(memory.recall(&query, 1)[0].label, &"two");
/// assert!(memory.cleanup(&query.permute(1), 300).is_none());
/// ```
#[derive(Clone, Debug)]
pub struct ItemMemory<T> {
    dimension: Dimension,
    labels: Vec<T>,
    /// Row `i` belongs to label `i`.
    rows: Vec<u64>,
}

/// A recalled item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalled<'a, T> {
    /// The item's label.
    pub label: &'a T,
    /// How many items were inserted before it.
    pub index: usize,
    /// The Hamming distance from the query, in bits.
    pub distance: u32,
}

impl<T> ItemMemory<T> {
    /// An empty memory.
    #[must_use]
    pub const fn new(dimension: Dimension) -> Self {
        Self { dimension, labels: Vec::new(), rows: Vec::new() }
    }

    /// The dimension of all items.
    #[must_use]
    pub fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// The number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Adds an item. Equal hypervectors and equal labels are separate items.
    ///
    /// # Panics
    ///
    /// If the hypervector's dimension is not the memory's.
    pub fn insert(&mut self, label: T, hypervector: &Hypervector) {
        self.assert_dimension(hypervector);
        self.labels.push(label);
        self.rows.extend_from_slice(hypervector.words());
    }

    /// The `k` nearest items, nearest first; of equally near ones, those inserted first. Fewer than `k`
    /// only if there are fewer items.
    ///
    /// # Panics
    ///
    /// If the query's dimension is not the memory's.
    #[must_use]
    pub fn recall(&self, query: &Hypervector, k: usize) -> Vec<Recalled<'_, T>> {
        self.assert_dimension(query);
        let mut nearest = vec![Neighbour::default(); k.min(self.len())];
        let found = Level::detect().nearest(query.words(), &self.rows, &mut nearest);
        let item = |found: &Neighbour| Recalled {
            label: &self.labels[found.row],
            index: found.row,
            distance: found.distance,
        };
        found.iter().map(item).collect()
    }

    /// The nearest item, if it is within `threshold` bits: what a noisy hypervector was meant to be.
    ///
    /// Unrelated hypervectors are `D/2` apart, give or take `sqrt(D)/2`: with `n` items, a threshold of
    /// `D/2 - sqrt(D)/2 * sqrt(2 ln n)` keeps chance out.
    ///
    /// # Panics
    ///
    /// If the query's dimension is not the memory's.
    #[must_use]
    pub fn cleanup(&self, query: &Hypervector, threshold: u32) -> Option<Recalled<'_, T>> {
        self.recall(query, 1).pop().filter(|nearest| nearest.distance <= threshold)
    }

    #[track_caller]
    fn assert_dimension(&self, hypervector: &Hypervector) {
        assert_eq!(self.dimension, hypervector.dimension(), "the memory holds another dimension");
    }
}
