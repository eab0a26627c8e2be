//! The recall index: from a few of a chunk's features to the chunks that had them most recently.
//!
//! On the medium it is a [`FeatureLog`]. In memory it is a [`Table`] of bounded size, made from the records when chunks
//! are first recalled.

mod index;
mod table;

pub(crate) use index::RecallIndex;
pub(crate) use table::Table;

use crate::Space;
use crate::feature_log::FeatureLog;

/// Features of a chunk that are looked up and written: the smallest ones. Eight with four recent chunks each
/// propose what an exhaustive nearest-neighbour search would find (measured; docs/decisions).
pub const RECALL_FEATURES: usize = 8;

/// Its records.
pub(crate) const LOG: FeatureLog =
    FeatureLog { space: Space::Recall, what: "recall record", most: RECALL_FEATURES as u64 };
