//! From the features of a chunk to its hypervector.

use crate::{Bundler, Dimension, Hypervector};

/// The hypervector of a set of features: their majority, ties broken by the XOR of all of them.
///
/// The order of features does not matter. Two sets of `n` features that share a fraction `s` have a
/// similarity near `2/pi * asin(s)`, with a standard deviation below `1 / sqrt(D)`; so insertions and
/// deletions elsewhere in a chunk do not hurt. FROZEN FORMAT. The same as a [`Bundler`] fed once.
///
/// ```
/// use engrams_core::{Dimension, encode};
/// let a: Vec<u64> = (0..500).collect();
/// let b: Vec<u64> = (100..600).collect(); // four fifths are shared
/// let similarity = encode(&a, Dimension::RECALL).similarity(&encode(&b, Dimension::RECALL));
/// assert!((similarity - 0.59).abs() < 0.1);
/// ```
#[must_use]
pub fn encode(features: &[u64], dimension: Dimension) -> Hypervector {
    let mut bundler = Bundler::new(dimension);
    bundler.add_features(features);
    bundler.majority()
}
