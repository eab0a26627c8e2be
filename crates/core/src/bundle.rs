//! Bundling: many features become one hypervector that resembles each of them.

use alloc::boxed::Box;
use alloc::vec;

use engrams_kernels::{BitCounters, Level};

use crate::{Dimension, Hypervector};

/// Accumulates features and takes their majority.
///
/// Order and grouping do not matter; a feature added twice weighs twice. For a slice of features at
/// hand, [`encode`](crate::encode) says it in one call.
///
/// ```
/// use engrams_core::{Bundler, Dimension, Hypervector};
/// let mut bundler = Bundler::new(Dimension::RECALL);
/// bundler.add_features(&[11, 22, 33]);
/// let bundle = bundler.majority();
/// // Each of three members agrees with the bundle in three bits out of four.
/// let member = Hypervector::from_feature(22, Dimension::RECALL);
/// assert!((bundle.similarity(&member) - 0.5).abs() < 0.1);
/// ```
#[derive(Clone, Debug)]
pub struct Bundler {
    /// The most recent features, at most `MAX_COUNT` of them.
    recent: BitCounters<Box<[u64]>>,
    /// Those before, as (bit set) - (bit clear) for each bit; absent until the first overflow.
    earlier: Option<Box<[i64]>>,
    /// XOR of all features: the content that breaks ties.
    parity: u64,
}

impl Bundler {
    /// An empty bundle.
    #[must_use]
    pub fn new(dimension: Dimension) -> Self {
        let words = dimension.words();
        let buffer = vec![0; BitCounters::<Box<[u64]>>::buffer_len(words)].into_boxed_slice();
        Self { recent: BitCounters::new(Level::detect(), words, buffer), earlier: None, parity: 0 }
    }

    /// The dimension of the bundle.
    #[must_use]
    pub fn dimension(&self) -> Dimension {
        Dimension::from_words(self.recent.words())
    }

    /// Adds the hypervector of each feature.
    pub fn add_features(&mut self, features: &[u64]) {
        let mut rest = features;
        while !rest.is_empty() {
            if self.recent.room() == 0 {
                let bits = self.dimension().bits();
                let earlier = self.earlier.get_or_insert_with(|| vec![0; bits].into_boxed_slice());
                self.recent.flush(1, earlier);
            }
            let (now, later) = rest.split_at(rest.len().min(self.recent.room() as usize));
            self.recent.add(now);
            rest = later;
        }
        self.parity = features.iter().fold(self.parity, |parity, feature| parity ^ feature);
    }

    /// The majority: each bit as most of the features have it.
    ///
    /// Where exactly half have it set, the bit is that of the hypervector of the XOR of all features
    /// added. A tie rule that did not depend on the content would add one and the same vector to every
    /// bundle and make unrelated bundles look alike. An empty bundle is all ties, of feature 0.
    #[must_use]
    pub fn majority(&self) -> Hypervector {
        let dimension = self.dimension();
        let tie = Hypervector::from_feature(self.parity, dimension);
        match &self.earlier {
            None => {
                let mut bundle = Hypervector::zero(dimension);
                self.recent.majority(tie.words(), bundle.words_mut());
                bundle
            }
            Some(earlier) => {
                let mut counters = earlier.clone();
                self.recent.clone().flush(1, &mut counters);
                threshold(&counters, &tie)
            }
        }
    }

    /// Forgets everything added, and keeps the memory.
    pub fn clear(&mut self) {
        self.recent.clear();
        self.earlier = None;
        self.parity = 0;
    }
}

/// Bits set where counters are positive, clear where negative, and as in `tie` where zero.
pub(crate) fn threshold(counters: &[i64], tie: &Hypervector) -> Hypervector {
    let mut bits = Hypervector::zero(tie.dimension());
    Level::detect().threshold(counters, tie.words(), bits.words_mut());
    bits
}
