//! How much a hypervector can hold: the formulas behind bundles and their cleanup.
//!
//! All are for independent pseudo-random hypervectors of `D` bits, as [`Hypervector::from_feature`] gives,
//! and near-normal scores, which 256 bits or more give. The simulations that check them are in the tests of
//! this crate, and `docs/algebra.md` has a table.
//!
//! [`Hypervector::from_feature`]: crate::Hypervector::from_feature

use crate::Dimension;
use crate::float::{normal_density, normal_tail, sqrt};

/// The similarity of a majority of `count` independent hypervectors to each of them: its mean, with a
/// standard deviation of `sqrt((1 - c^2) / D)`.
///
/// It is `c = binom(2h, h) / 4^h` with `h = count / 2` rounded down: a vote decides where the others tie,
/// and agrees by chance elsewhere. 1, 1/2, 1/2, 3/8, 3/8 for 1 to 5; near `sqrt(2 / (pi count))`
/// for many (Kanerva, *Hyperdimensional computing*, 2009; the coefficient is in O'Donnell, *Analysis of
/// Boolean Functions*, 2014, section 5.3). 1.0 for none.
#[must_use]
pub fn majority_similarity(count: usize) -> f64 {
    let half = count / 2;
    if half > 10_000 {
        // Stirling's series: the next term is below 1e-13 of the whole.
        let n = half as f64;
        return (1.0 - 1.0 / (8.0 * n) + 1.0 / (128.0 * n * n)) / sqrt(core::f64::consts::PI * n);
    }
    (1..=half).fold(1.0, |similarity, k| similarity * (1.0 - 0.5 / k as f64))
}

/// The probability that cleanup takes a wrong item: a majority of `count` hypervectors is compared with
/// `items`, one of which is in the majority and the others are not, and each bit was flipped with
/// probability `flip_rate` (0.0 to 0.5).
///
/// With `c` the majority's similarity times `1 - 2 flip_rate`, the right item's similarity is normal with
/// mean `c` and variance `(1 - c^2) / D`, that of the others with mean 0 and variance `1 / D`; the
/// right one must be the largest of all. The same holds for each position of a sequence, each role of a
/// record: binding and permuting make a bundle's other members noise. (Frady, Kleyko and
/// Sommer, *A theory of sequence indexing and working memory in recurrent neural networks*, 2018, section
/// 2.2; Kleyko, Rachkovskij, Osipov and Rahimi, *A survey on hyperdimensional computing*, 2022, part I,
/// section 2.4; for a majority's members Gallant and Okaywe, *Representing objects, relations, and
/// sequences*, 2013.)
///
/// ```
/// use engrams_core::{Dimension, capacity};
/// // Seven fields of a record, each with one of a thousand values.
/// assert!(capacity::cleanup_error(Dimension::RECALL, 7, 1000, 0.0) < 1e-9);
/// // Not 63.
/// assert!(capacity::cleanup_error(Dimension::RECALL, 63, 1000, 0.0) > 0.1);
/// ```
#[must_use]
pub fn cleanup_error(dimension: Dimension, count: usize, items: usize, flip_rate: f64) -> f64 {
    let mean = majority_similarity(count) * (1.0 - 2.0 * flip_rate);
    let race = Race { mean, right_variance: 1.0 - mean * mean, wrong_variance: 1.0 };
    race.loss(dimension, items.saturating_sub(1))
}

/// The narrowest dimension at which [`cleanup_error`] is at most `error`; `None` if 65,536 bits are not
/// enough.
///
/// ```
/// use engrams_core::capacity;
/// let dimension = capacity::dimension_for(7, 1000, 0.0, 1e-6).map(|dimension| dimension.bits());
/// assert_eq!(dimension, Some(704));
/// ```
#[must_use]
pub fn dimension_for(count: usize, items: usize, flip_rate: f64, error: f64) -> Option<Dimension> {
    let is_enough =
        |words: usize| cleanup_error(Dimension::from_words(words), count, items, flip_rate) <= error;
    let (mut narrow, mut wide) = (0, Dimension::MAX.words());
    if !is_enough(wide) {
        return None;
    }
    // The error falls with the dimension: halve the words between one too narrow and one wide enough.
    while wide - narrow > 1 {
        let middle = narrow.midpoint(wide);
        if is_enough(middle) { wide = middle } else { narrow = middle }
    }
    Some(Dimension::from_words(wide))
}

/// The largest threshold in bits for [`ItemMemory::cleanup`] at which an unrelated query is near none of
/// `items` but with probability `error` at most.
///
/// An unrelated distance is near normal, `D/2` give or take `sqrt(D)/2`. 0 if even that is too many.
///
/// [`ItemMemory::cleanup`]: crate::ItemMemory::cleanup
#[must_use]
pub fn chance_threshold(dimension: Dimension, items: usize, error: f64) -> u32 {
    let bits = dimension.bits() as f64;
    let is_too_far = |threshold: u32| {
        let deviations = (bits / 2.0 - f64::from(threshold) - 0.5) / (sqrt(bits) / 2.0);
        any_of(normal_tail(deviations), items) > error
    };
    let (mut fits, mut too_far) = (0, dimension.bits() as u32);
    while too_far - fits > 1 {
        let middle = fits.midpoint(too_far);
        if is_too_far(middle) { too_far = middle } else { fits = middle }
    }
    fits
}

/// One score against many: variances are per bit.
pub(crate) struct Race {
    /// The mean similarity of the right one; that of the wrong ones is 0.
    pub(crate) mean: f64,
    pub(crate) right_variance: f64,
    pub(crate) wrong_variance: f64,
}

impl Race {
    /// The probability that one of `rivals` independent wrong ones has a higher score than the right one.
    ///
    /// The integral over the right score, by the trapezoidal rule, which is exact to many digits for a
    /// smooth function that vanishes at both ends.
    pub(crate) fn loss(&self, dimension: Dimension, rivals: usize) -> f64 {
        const STEPS_PER_DEVIATION: i32 = 16;
        const DEVIATIONS: i32 = 13;
        if self.wrong_variance <= 1e-12 {
            return 0.0;
        }
        let wrong = sqrt(self.wrong_variance);
        let mean = self.mean * sqrt(dimension.bits() as f64) / wrong;
        let right = sqrt(self.right_variance) / wrong;
        let step = 1.0 / f64::from(STEPS_PER_DEVIATION);
        (-DEVIATIONS * STEPS_PER_DEVIATION..=DEVIATIONS * STEPS_PER_DEVIATION)
            .map(|i| {
                let t = f64::from(i) * step;
                step * normal_density(t) * any_of(normal_tail(mean + right * t), rivals)
            })
            .sum()
    }
}

/// The probability that one of `count` independent events of probability `p` happens, without the loss of
/// digits of `1 - (1 - p)^count`.
fn any_of(p: f64, count: usize) -> f64 {
    let mut any = 0.0;
    for bit in (0..usize::BITS - count.leading_zeros()).rev() {
        any *= 2.0 - any;
        if (count >> bit) & 1 == 1 {
            any += p - any * p;
        }
    }
    any
}
