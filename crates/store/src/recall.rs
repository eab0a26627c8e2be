//! The recall index: from a few of a chunk's features to the chunks that had them most recently.
//!
//! On the medium it is a [`FeatureLog`]. In memory it is a [`Table`] of bounded size, made from the records when chunks
//! are first recalled.

mod index;
mod rank;
mod table;

pub(crate) use index::RecallIndex;
pub use rank::Candidate;
pub(crate) use rank::rank;
pub(crate) use table::Table;

use engrams_core::{Gear, bottom_k, is_recall};

use crate::Space;
use crate::feature_log::FeatureLog;

/// Features of a chunk that are looked up and written: the smallest ones. Eight with four recent chunks each
/// propose what an exhaustive nearest-neighbour search would find (measured; docs/decisions).
pub const RECALL_FEATURES: usize = 8;

/// Its records.
pub(crate) const LOG: FeatureLog =
    FeatureLog { space: Space::Recall, what: "recall record", most: RECALL_FEATURES as u64 };

/// The features under which a chunk with these bytes is recalled: at most [`RECALL_FEATURES`].
pub(crate) fn smallest_features(gear: &Gear, plain: &[u8]) -> Vec<u64> {
    let mut features = Vec::new();
    gear.features_of(plain, &mut features);
    features.retain(|&feature| is_recall(feature));
    bottom_k(&features, RECALL_FEATURES)
}
