//! Engrams as values: of any bytes, file, directory or version; what changed between versions, how far a tree drifted,
//! and which files are nearly the same.
//!
//! Everything here reads; nothing is stored. Similarities are those of [`Sample`](engrams_core::Sample)s: shares of
//! distinct features, with standard errors.

mod clusters;
mod difference;
mod drift;
mod files;
mod sketching;

pub use clusters::{Cluster, ClusteredFile, Clusters, NEAR_DUPLICATE, clusters};
pub use difference::{Change, Difference, DirectoryChange, PathChange, RENAMED, difference};
pub use drift::{Drift, DriftStep, drift};
pub use sketching::{read_sketch, sketch_path, sketch_reader};
