//! Records: fillers bound to roles, bundled.

use crate::{Bundler, Dimension, Hypervector};

/// A record of role-filler pairs: the majority of each role bound with its filler.
///
/// Unbinding a role gives something near its filler, for cleanup; the other pairs are noise then, and
/// [`capacity::cleanup_error`](crate::capacity::cleanup_error) tells how many there may be. (Kanerva, *Hyperdimensional
/// computing*, 2009, "holistic record"; roles and fillers are Plate's.) Roles and fillers are any
/// hypervectors; a filler may be a record, a sequence or a level.
///
/// ```
/// use engrams_core::{Dimension, Hypervector, ItemMemory, Record};
/// let [name, colour, shape] = [1, 2, 3].map(|role| Hypervector::from_feature(role, Dimension::RECALL));
/// let mut fillers = ItemMemory::new(Dimension::RECALL);
/// let [ball, red, round] = [("ball", 11), ("red", 12), ("round", 13)].map(|(label, feature)| {
///     let filler = Hypervector::from_feature(feature, Dimension::RECALL);
///     fillers.insert(label, &filler);
///     filler
/// });
///
/// let mut record = Record::new(Dimension::RECALL);
/// record.set(&name, &ball);
/// record.set(&colour, &red);
/// record.set(&shape, &round);
/// let record = record.encode();
///
/// let noisy = record.unbind(&colour);
/// assert_eq!(fillers.cleanup(&noisy, 400).map(|item| *item.label), Some("red"));
/// ```
#[derive(Clone, Debug)]
pub struct Record {
    pairs: Bundler,
}

impl Record {
    /// A record without pairs.
    #[must_use]
    pub fn new(dimension: Dimension) -> Self {
        Self { pairs: Bundler::new(dimension) }
    }

    /// Adds a pair. A role may have several fillers: each is near what unbinding gives.
    ///
    /// # Panics
    ///
    /// If the role or the filler has another dimension.
    pub fn set(&mut self, role: &Hypervector, filler: &Hypervector) {
        self.pairs.add(&role.bind(filler));
    }

    /// The record's hypervector.
    #[must_use]
    pub fn encode(&self) -> Hypervector {
        self.pairs.majority()
    }
}
