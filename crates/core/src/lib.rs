//! Content-defined chunks, features, hypervectors and engrams: the maths of engrams, without I/O.
//!
//! What it is: a byte stream is cut into content-defined chunks ([`Scanner`]); the same pass samples
//! *features*, hashes of 32-byte windows. The features of a chunk are bundled into a [`Hypervector`]
//! by [`encode`]: chunks that share features get near hypervectors, which an [`ItemMemory`] recalls.
//! An [`Engram`] is the sum of any number of features, as integer counters: a fixed-size summary that
//! merges, subtracts and compares; with a counted [`Sample`] it is a [`Sketch`], which tells the shares that two
//! contents have in common, with errors.
//!
//! Should you use it? Alone, when you want resemblance without the store: it is `no_std` (with
//! `alloc`), has no `unsafe`, does no I/O, and gives the same results on every platform, forever.
//!
//! ```
//! use engrams_core::{ChunkParams, Chunking, Dimension, Engram, Scanner, encode};
//!
//! let data: Vec<u8> = (0..40_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
//! let mut scanner = Scanner::new(Chunking::ContentDefined(ChunkParams::from_average(8192)?));
//! let (mut rest, mut features) = (&data[..], Vec::new());
//! let mut engram = Engram::new(Dimension::ENGRAM);
//! while !rest.is_empty() {
//!     // `None` means that the data ended before the chunk did.
//!     let end = scanner.scan(rest).unwrap_or(rest.len());
//!     features.clear();
//!     scanner.finish(&mut features);
//!     let hypervector = encode(&features, Dimension::RECALL);
//!     assert_eq!(hypervector.dimension(), Dimension::RECALL);
//!     engram.add_features(&features);
//!     rest = &rest[end..];
//! }
//! assert!((engram.cosine(&engram) - 1.0).abs() < 1e-12);
//! # Ok::<(), engrams_core::ChunkParamsError>(())
//! ```
//!
//! Those who bring their own encodings find the classical algebra here too: [`bundle`], [`Record`], [`sequence`],
//! [`n_grams`], [`Levels`], the index of [`ItemMemory`], the formulas of [`capacity`], and [`Reversible`], whose
//! hypervectors can be read back into bytes. `docs/algebra.md` in the repository is their page.
//!
//! A fixed-size vector does not *contain* the data: it answers "what resembles this, and how much",
//! with the errors that [`Hypervector::similarity`] and [`Engram::standard_error`] state.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod bundle;
pub mod capacity;
mod chunk;
mod correction;
mod dimension;
mod encode;
mod engram;
mod error;
mod estimate;
mod feature;
mod float;
mod hypervector;
mod level;
mod memory;
mod record;
mod reversible;
mod sample;
mod sampler;
mod sequence;
mod sketch;
mod varint;
mod winnow;

pub use bundle::{Bundler, bundle};
pub use chunk::{ChunkParams, Chunking, Gear, Scanner};
pub use correction::{Correction, CorrectionPolicy};
pub use dimension::Dimension;
pub use encode::encode;
pub use engram::Engram;
pub use error::{
    ChunkParamsError, CorrectionPolicyError, DimensionError, EngramError, HypervectorError, ItemMemoryError,
    ReversibleError, SketchError,
};
pub use estimate::{Estimate, Similarity};
pub use feature::{SEAM_BYTES, SHINGLE_BYTES, Seam, bottom_k, features_of, is_recall, seam};
pub use hypervector::Hypervector;
pub use level::Levels;
pub use memory::{ItemMemory, Reach, Recalled, Search};
pub use record::Record;
pub use reversible::{ByteCorrection, Reversible};
pub use sample::Sample;
pub use sequence::{item_at, n_gram, n_grams, sequence};
pub use sketch::{Sketch, Sketcher};
pub use winnow::{Located, locate_features, winnow};

/// The examples of the page for users compile and hold.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/algebra.md")]
struct Algebra;
