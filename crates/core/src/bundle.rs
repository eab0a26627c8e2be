//! Bundling: many features or hypervectors become one hypervector that resembles each of them.

use alloc::boxed::Box;
use alloc::vec;

use engrams_kernels::{BitCounters, Level, mix64};

use crate::{Dimension, Hypervector};

/// Accumulates features, or hypervectors, and takes their majority.
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

    /// Adds a hypervector.
    ///
    /// For ties it counts as a hash of its words, so that a bundle of hypervectors need not equal the
    /// bundle of the features they came from where exactly half agree.
    ///
    /// # Panics
    ///
    /// If the dimensions differ.
    pub fn add(&mut self, hypervector: &Hypervector) {
        assert_eq!(self.dimension(), hypervector.dimension(), "the bundle has another dimension");
        self.make_room();
        self.recent.add_words(hypervector.words());
        let hash = hypervector.words().iter().fold(0, |hash, word| mix64(hash ^ *word));
        self.parity ^= hash;
    }

    /// Adds the hypervector of each feature.
    pub fn add_features(&mut self, features: &[u64]) {
        let mut rest = features;
        while !rest.is_empty() {
            self.make_room();
            let (now, later) = rest.split_at(rest.len().min(self.recent.room() as usize));
            self.recent.add(now);
            rest = later;
        }
        self.parity = features.iter().fold(self.parity, |parity, feature| parity ^ feature);
    }

    fn make_room(&mut self) {
        if self.recent.room() == 0 {
            let bits = self.dimension().bits();
            let earlier = self.earlier.get_or_insert_with(|| vec![0; bits].into_boxed_slice());
            self.recent.flush(1, earlier);
        }
    }

    /// The majority: each bit as most of what was added has it.
    ///
    /// Where exactly half have it set, the bit is that of the hypervector of the XOR of all features (and hashes
    /// of hypervectors) added. A tie rule that did not depend on the content would add one and the same vector to every
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

/// The majority of hypervectors: a set, or a multiset, of them, near each of its members.
///
/// How near is [`capacity::majority_similarity`](crate::capacity::majority_similarity); whether a hypervector is a
/// member is asked with [`chance_threshold`](crate::capacity::chance_threshold). For features,
/// [`encode`](crate::encode) is faster. Ties are a [`Bundler`]'s.
///
/// ```
/// use engrams_core::{Dimension, Hypervector, bundle};
/// let items: Vec<_> = (0..4).map(|i| Hypervector::from_feature(i, Dimension::RECALL)).collect();
/// let set = bundle(Dimension::RECALL, &items[..3]);
/// assert!(set.similarity(&items[1]) > 0.4 && set.similarity(&items[3]) < 0.15);
/// ```
///
/// # Panics
///
/// If one has another dimension.
#[must_use]
pub fn bundle<'a>(
    dimension: Dimension,
    hypervectors: impl IntoIterator<Item = &'a Hypervector>,
) -> Hypervector {
    let mut bundler = Bundler::new(dimension);
    hypervectors.into_iter().for_each(|hypervector| bundler.add(hypervector));
    bundler.majority()
}

/// Bits set where counters are positive, clear where negative, and as in `tie` where zero.
pub(crate) fn threshold(counters: &[i64], tie: &Hypervector) -> Hypervector {
    let mut bits = Hypervector::zero(tie.dimension());
    Level::detect().threshold(counters, tie.words(), bits.words_mut());
    bits
}
