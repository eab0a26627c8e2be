//! Levels: hypervectors of scalars, near where the scalars are.

use alloc::boxed::Box;
use alloc::vec::Vec;

use engrams_kernels::mix64;

use crate::{Dimension, Hypervector};

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Hypervectors for `n` steps of a scalar, whose distances are as the scalar's differences.
///
/// The lowest level is pseudo-random; every next one flips as many further bits, in a pseudo-random order. So
/// levels `i` and `j` are exactly `round(i * span / (n - 1)) - round(j * span / (n - 1))` bits apart, where
/// the span is that from the lowest to the highest: `D / 2` bits for *linear* levels, whose ends are unrelated, `D` for
/// a *thermometer*, whose ends are opposite. (Rahimi and others, *Hyperdimensional biosignal
/// processing*, 2016; Kleyko and others, *A survey on hyperdimensional computing*, 2022, part I, section 3.2.2.)
/// FROZEN FORMAT.
///
/// [`decode`](Self::decode) reads a noisy one. At similarity `c` to its clean level (a bundle's member has
/// [`majority_similarity`](crate::capacity::majority_similarity)), with `s = span / (n - 1)` bits to a step, it is read
/// wrongly with a probability from `Q(c sqrt(s / (1 - c^2)))` for each neighbour to that summed over all other levels with
/// their distances for `s`, where `Q` is the normal distribution's upper tail; mostly by one step.
///
/// ```
/// use engrams_core::{Dimension, Levels};
/// let celsius = Levels::linear(7, Dimension::RECALL, 51);
/// let [cold, mild, warm] = [0.0, 22.0, 24.0].map(|t| celsius.level_of(t, -10.0, 40.0));
/// assert_eq!((cold, mild, warm), (10, 32, 34));
/// let near = celsius.get(mild).similarity(celsius.get(warm));
/// assert!(near > 0.95 && near > celsius.get(mild).similarity(celsius.get(cold)));
/// assert_eq!(celsius.decode(celsius.get(mild)), mild);
/// ```
#[derive(Clone, Debug)]
pub struct Levels {
    levels: Box<[Hypervector]>,
}

impl Levels {
    /// `count` levels (at least 1) over `D / 2` bits: the ends are unrelated. The seed is a feature: other scalars
    /// need others.
    #[must_use]
    pub fn linear(seed: u64, dimension: Dimension, count: usize) -> Self {
        Self::new(seed, dimension, count, dimension.bits() / 2)
    }

    /// `count` levels (at least 1) over all bits: the ends are opposite, and similarity falls from 1 to -1
    /// evenly.
    #[must_use]
    pub fn thermometer(seed: u64, dimension: Dimension, count: usize) -> Self {
        Self::new(seed, dimension, count, dimension.bits())
    }

    fn new(seed: u64, dimension: Dimension, count: usize, span: usize) -> Self {
        // A shuffle by sorting on pseudo-random keys: the same everywhere, and 2^-32 of a tie, which the bit breaks.
        let key = |bit: u64| mix64(mix64(seed).wrapping_add((bit + 1).wrapping_mul(GOLDEN)));
        let mut order: Vec<(u64, usize)> = (0..dimension.bits()).map(|bit| (key(bit as u64), bit)).collect();
        order.sort_unstable();
        let steps = count.max(1) - 1;
        let mut vector = Hypervector::from_feature(seed, dimension);
        let mut flipped = 0;
        let levels = (0..=steps).map(|level| {
            // Rounded to the nearest; there are at most 65,536 bits, so this does not overflow.
            let until = (level as u64 * 2 * span as u64 + steps as u64) / (2 * steps as u64).max(1);
            let until = usize::try_from(until).unwrap_or(span);
            for (_, bit) in &order[flipped..until] {
                vector.words_mut()[bit / 64] ^= 1 << (bit % 64);
            }
            flipped = until;
            vector.clone()
        });
        Self { levels: levels.collect() }
    }

    /// The number of levels, at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always a level")]
    pub fn len(&self) -> usize {
        self.levels.len()
    }

    /// The hypervector of a level; above the highest, of the highest.
    #[must_use]
    pub fn get(&self, level: usize) -> &Hypervector {
        &self.levels[level.min(self.levels.len() - 1)]
    }

    /// The level nearest to a value where `low` is the lowest and `high` the highest. Beyond them, and if they are
    /// equal or not numbers, the nearer end (the lowest for what is not a number).
    #[must_use]
    pub fn level_of(&self, value: f64, low: f64, high: f64) -> usize {
        let steps = (self.levels.len() - 1) as f64;
        let position = (value - low) / (high - low) * steps + 0.5;
        // A cast of floats saturates, and takes what is not a number to 0.
        (position as usize).min(self.levels.len() - 1)
    }

    /// The nearest level to a hypervector; of equally near ones, the lowest.
    ///
    /// # Panics
    ///
    /// If the dimensions differ.
    #[must_use]
    pub fn decode(&self, hypervector: &Hypervector) -> usize {
        let distance = |(level, item): (usize, &Hypervector)| (item.hamming(hypervector), level);
        self.levels.iter().enumerate().map(distance).min().map_or(0, |(_, level)| level)
    }
}
