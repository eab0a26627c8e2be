//! The associative memory: labelled hypervectors, recalled by nearness.
//!
//! It assumes nothing about where hypervectors come from. It refuses to know what a label means.

mod bytes;
mod index;

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;

use engrams_kernels::Level;

use crate::{Dimension, Hypervector};
use index::Index;

/// An exact search gives up on the index when it would look into more than one bucket for so many items: a
/// bucket and what is in it are several waits for memory, as long as the scan of about that many rows.
const ITEMS_PER_BUCKET: usize = 64;

/// Items, each a label and a hypervector, that are found again by a hypervector like theirs.
///
/// Without an index, recall is one pass over a contiguous matrix, about 8 ms for a million items of 1,024
/// bits. [`with_index`](Self::with_index) makes the recall of near items sub-linear.
/// Memory is `D / 8` bytes, 8 and a label for each item, and 8 bytes for each of its places in an index.
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
///
/// # The index
///
/// An index of `L` tables is multi-index hashing (Norouzi, Punjani and Fleet, *Fast search in Hamming space with
/// multi-index hashing*, 2012): each table has a bucket for every value of `b` of the bits, others for each table, `b`
/// being the logarithm of the number of items, rounded down. A search of reach `w` looks into the
/// buckets within `w` bits of the query's, `V = sum of binom(b, i), i = 0..=w` in each table, and compares what
/// it finds in them in full. So the distances are right, and
///
/// * **every** item within `L (w + 1) - 1` bits of the query is found: if `L` tables all differed in more
///   than `w` bits, the whole would differ in `L (w + 1)` or more;
/// * an item that differs in each bit with probability `p`, independently, is found with probability
///   `1 - (1 - B)^L`, where `B = sum of binom(b, i) p^i (1 - p)^(b - i), i = 0..=w`
///   ([`found_probability`](Self::found_probability)). This is locality-sensitive hashing by sampled bits (Indyk
///   and Motwani, *Approximate nearest neighbors*, 1998, section 4.2) whose tables share no bit.
///
/// A bucket has one or two items of `n` unrelated ones, so that a search compares about `L V n / 2^b` of
/// them. Items that agree in the bits of a table share a bucket: many near copies of
/// one hypervector are all compared, and a search that compared as many rows as there are items scans instead.
#[derive(Clone, Debug)]
pub struct ItemMemory<T> {
    dimension: Dimension,
    /// In order of insertion; `None` where an item was removed.
    labels: Vec<Option<T>>,
    /// What [`insert`](Self::insert) returned for each, ascending.
    ids: Vec<u64>,
    /// Row `i` belongs to label `i`.
    rows: Vec<u64>,
    removed: usize,
    next_id: u64,
    index: Option<Index>,
}

/// A recalled item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalled<'a, T> {
    /// The item's label.
    pub label: &'a T,
    /// How many items were inserted before it, counting those since removed: the item's name for
    /// [`ItemMemory::remove`].
    pub id: u64,
    /// The Hamming distance from the query, in bits.
    pub distance: u32,
}

/// How far a [search](ItemMemory::search) goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// Compare all items.
    Scan,
    /// The nearest for certain: by the index as long as it can prove that and costs less, else by a scan.
    Exact,
    /// Only buckets whose bits differ in so many from the query's: fast, and what that finds is
    /// [stated](ItemMemory#the-index). A scan where there is no index.
    Within(u32),
}

/// What a [search](ItemMemory::search) found, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Search<'a, T> {
    /// The nearest items found, nearest first; of equally near ones, those inserted first.
    pub items: Vec<Recalled<'a, T>>,
    /// Hypervectors that were compared in full. One found in several tables counts several times.
    pub compared: usize,
    /// Buckets of the index that were looked into.
    pub buckets: usize,
}

/// The nearest so far, as (distance, slot), the worst of them on top.
struct Nearest {
    k: usize,
    heap: BinaryHeap<(u32, usize)>,
}

impl<T> ItemMemory<T> {
    /// The most tables that an index has: each takes at least 16 bits of the hypervector for itself.
    #[must_use]
    pub const fn max_tables(dimension: Dimension) -> usize {
        dimension.bits() / 16
    }

    /// An empty memory without an index.
    #[must_use]
    pub const fn new(dimension: Dimension) -> Self {
        Self {
            dimension,
            labels: Vec::new(),
            ids: Vec::new(),
            rows: Vec::new(),
            removed: 0,
            next_id: 0,
            index: None,
        }
    }

    /// The same memory with an index of `tables` tables, or without one if that is 0; above
    /// [`max_tables`](Self::max_tables) there are that many.
    ///
    /// More tables find farther items with fewer buckets, and cost 8 bytes each for an item. 32
    /// are a good start at 1,024 bits: with a reach of 2, everything within 95 bits is found, and 99.9 %
    /// of what differs in a fifth of all bits, in 6,112 buckets of 17 million for a million items.
    #[must_use]
    pub fn with_index(mut self, tables: usize) -> Self {
        let tables = tables.min(Self::max_tables(self.dimension));
        self.index = (tables > 0).then(|| Index::new(tables, self.dimension));
        self.rebuild();
        self
    }

    /// The dimension of all items.
    #[must_use]
    pub fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// The number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len() - self.removed
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of tables of the index; 0 without one.
    #[must_use]
    pub fn tables(&self) -> usize {
        self.index.as_ref().map_or(0, Index::tables)
    }

    /// The items in order of insertion: id, label, and the words of the hypervector.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T, &[u64])> {
        let rows = self.rows.chunks_exact(self.dimension.words());
        let items = self.ids.iter().zip(&self.labels).zip(rows);
        items.filter_map(|((id, label), row)| Some((*id, label.as_ref()?, row)))
    }

    /// Adds an item and returns its id: how many were inserted before. Equal hypervectors and equal labels are
    /// separate items.
    ///
    /// # Panics
    ///
    /// If the hypervector's dimension is not the memory's, or if an indexed memory has 2^32 - 1 items.
    pub fn insert(&mut self, label: T, hypervector: &Hypervector) -> u64 {
        self.assert_dimension(hypervector);
        let id = self.next_id;
        self.next_id += 1;
        self.push(id, label, hypervector.words());
        id
    }

    /// Removes an item by its id and returns its label, or `None` if there is none of that id.
    ///
    /// What it took is used again when half of all items have been removed.
    pub fn remove(&mut self, id: u64) -> Option<T> {
        let slot = self.ids.binary_search(&id).ok()?;
        let label = self.labels[slot].take()?;
        self.removed += 1;
        if self.removed * 2 > self.labels.len() {
            self.compact();
        }
        Some(label)
    }

    /// Removes all items whose label does not pass.
    pub fn retain(&mut self, mut keeps: impl FnMut(&T) -> bool) {
        for label in &mut self.labels {
            if label.as_ref().is_some_and(|label| !keeps(label)) {
                *label = None;
                self.removed += 1;
            }
        }
        self.compact();
    }

    /// The `k` nearest items, nearest first; of equally near ones, those inserted first. Fewer than `k`
    /// only if there are fewer items. The same with and without an index: [`Reach::Exact`].
    ///
    /// # Panics
    ///
    /// If the query's dimension is not the memory's.
    #[must_use]
    pub fn recall(&self, query: &Hypervector, k: usize) -> Vec<Recalled<'_, T>> {
        self.search(query, k, Reach::Exact).items
    }

    /// The nearest item, if it is within `threshold` bits: what a noisy hypervector was meant to be.
    ///
    /// Unrelated hypervectors are `D/2` apart, give or take `sqrt(D)/2`: with `n` items, a threshold of
    /// `D/2 - sqrt(D)/2 * sqrt(2 ln n)` keeps chance out, and
    /// [`chance_threshold`](crate::capacity::chance_threshold) gives one for a probability. The same with and without
    /// an index, which helps when the threshold is small.
    ///
    /// # Panics
    ///
    /// If the query's dimension is not the memory's.
    #[must_use]
    pub fn cleanup(&self, query: &Hypervector, threshold: u32) -> Option<Recalled<'_, T>> {
        self.go(query, 1, Reach::Exact, threshold).items.pop().filter(|nearest| nearest.distance <= threshold)
    }

    /// The nearest items, at most `k`, that a search of the given reach finds.
    ///
    /// # Panics
    ///
    /// If the query's dimension is not the memory's.
    #[must_use]
    pub fn search(&self, query: &Hypervector, k: usize, reach: Reach) -> Search<'_, T> {
        self.go(query, k, reach, u32::MAX)
    }

    /// The probability that a search [within](Reach::Within) `reach` finds an item each of whose bits differs from the
    /// query's with probability `flip_rate`, independently. 1.0 without an index.
    #[must_use]
    pub fn found_probability(&self, reach: u32, flip_rate: f64) -> f64 {
        self.index.as_ref().map_or(1.0, |index| index.found_probability(reach, flip_rate))
    }

    /// The distance up to which a search [within](Reach::Within) `reach` finds every item, in bits.
    #[must_use]
    pub fn exact_radius(&self, reach: u32) -> u32 {
        self.index.as_ref().map_or(u32::MAX, |index| index.exact_radius(reach))
    }

    /// A search that may stop when nothing within `threshold` can be missing.
    fn go(&self, query: &Hypervector, k: usize, reach: Reach, threshold: u32) -> Search<'_, T> {
        self.assert_dimension(query);
        let Some(index) = self.index.as_ref().filter(|_| reach != Reach::Scan && k > 0) else {
            return self.scan(query, k, 0, 0);
        };
        let widest = match reach {
            Reach::Within(bits) => bits.min(index.bits()),
            _ => index.bits(),
        };
        let level = Level::detect();
        let mut nearest = Nearest::new(k.min(self.len()));
        let (mut compared, mut buckets) = (0, 0);
        for ring in 0..=widest {
            if reach == Reach::Exact {
                let budget = self.len() / ITEMS_PER_BUCKET;
                if index.ring_buckets(ring).saturating_add(buckets) > budget {
                    return self.scan(query, k, compared, buckets);
                }
            }
            buckets += index.ring_buckets(ring);
            for slot in index.ring(query.words(), ring) {
                if self.labels[slot].is_none() {
                    continue;
                }
                compared += 1;
                if compared > self.len() {
                    return self.scan(query, k, compared, buckets);
                }
                // At most 65,536.
                nearest.offer_once(level.hamming(query.words(), self.row(slot)) as u32, slot);
            }
            // Nothing nearer can be missing; an equally near one, inserted earlier, could be.
            let seen = index.exact_radius(ring);
            if seen >= threshold || nearest.worst().is_some_and(|worst| worst <= seen) {
                break;
            }
        }
        self.found(nearest, compared, buckets)
    }

    fn scan(&self, query: &Hypervector, k: usize, compared: usize, buckets: usize) -> Search<'_, T> {
        let mut nearest = Nearest::new(k.min(self.len()));
        Level::detect().scan_rows(query.words(), &self.rows, |first, distances| {
            for (slot, distance) in (first..).zip(distances) {
                if nearest.takes(*distance, slot) && self.labels[slot].is_some() {
                    nearest.push(*distance, slot);
                }
            }
        });
        self.found(nearest, compared + self.labels.len(), buckets)
    }

    fn found(&self, nearest: Nearest, compared: usize, buckets: usize) -> Search<'_, T> {
        let item = |(distance, slot): (u32, usize)| {
            let label = self.labels[slot].as_ref()?;
            Some(Recalled { label, id: self.ids[slot], distance })
        };
        let items = nearest.heap.into_sorted_vec().into_iter().filter_map(item).collect();
        Search { items, compared, buckets }
    }

    fn row(&self, slot: usize) -> &[u64] {
        let words = self.dimension.words();
        &self.rows[slot * words..][..words]
    }

    fn push(&mut self, id: u64, label: T, row: &[u64]) {
        self.labels.push(Some(label));
        self.ids.push(id);
        self.rows.extend_from_slice(row);
        match &mut self.index {
            Some(index) if index.is_wide_enough_for(self.labels.len()) => index.push(row),
            Some(_) => self.rebuild(),
            None => {}
        }
    }

    /// Closes the gaps that removed items left.
    fn compact(&mut self) {
        if self.removed == 0 {
            return;
        }
        let words = self.dimension.words();
        let mut kept = 0;
        for slot in 0..self.labels.len() {
            if self.labels[slot].is_some() {
                self.labels.swap(kept, slot);
                self.ids.swap(kept, slot);
                self.rows.copy_within(slot * words..(slot + 1) * words, kept * words);
                kept += 1;
            }
        }
        self.labels.truncate(kept);
        self.ids.truncate(kept);
        self.rows.truncate(kept * words);
        self.removed = 0;
        self.rebuild();
    }

    fn rebuild(&mut self) {
        if let Some(index) = &mut self.index {
            index.clear(self.labels.len());
            self.rows.chunks_exact(self.dimension.words()).for_each(|row| index.push(row));
        }
    }

    #[track_caller]
    fn assert_dimension(&self, hypervector: &Hypervector) {
        assert_eq!(self.dimension, hypervector.dimension(), "the memory holds another dimension");
    }
}

impl Nearest {
    fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::with_capacity(k) }
    }

    /// The distance of the worst, once there are `k`.
    fn worst(&self) -> Option<u32> {
        self.heap.peek().filter(|_| self.heap.len() == self.k).map(|(distance, _)| *distance)
    }

    fn takes(&self, distance: u32, slot: usize) -> bool {
        self.heap.len() < self.k || self.heap.peek().is_some_and(|worst| (distance, slot) < *worst)
    }

    fn push(&mut self, distance: u32, slot: usize) {
        if self.heap.len() == self.k {
            self.heap.pop();
        }
        self.heap.push((distance, slot));
    }

    /// Takes a slot that may have come before.
    fn offer_once(&mut self, distance: u32, slot: usize) {
        if self.takes(distance, slot) && !self.heap.iter().any(|item| item.1 == slot) {
            self.push(distance, slot);
        }
    }
}
