//! Many versions of large, slowly changing byte streams: recall what resembles, keep the exact correction.
//!
//! A stream is cut into chunks by its content. A chunk that is stored already costs nothing. For a new one the store
//! recalls the most similar chunks it has, by the Hamming distance of hypervectors, and keeps only the exact
//! difference. Every version comes back bit-exact, at random access, verified on every read.
//!
//! ```
//! use std::io::Read;
//! use engrams::{EngramStore, StreamingDecoder, StreamingIngester};
//!
//! let store = EngramStore::in_memory(); // or EngramStore::open("memory.engrams")?
//! let first: Vec<u8> = (0..200_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
//! let mut second = first.clone();
//! second.splice(1000..1000, *b"a few bytes more");
//!
//! for content in [&first, &second] {
//!     let mut ingester = StreamingIngester::builder(&store).with_path("large_file.bin").build()?;
//!     ingester.ingest_reader(content.as_slice())?;
//!     let result = ingester.finalize()?;
//!     assert_eq!(result.bytes, content.len() as u64);
//! }
//!
//! let mut old = Vec::new();
//! StreamingDecoder::builder(&store, "large_file.bin").with_version(1).build()?.read_to_end(&mut old)?;
//! assert_eq!(old, first);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it is not: an engram, the fixed-size summary of a version, does not contain the data. It answers "what
//! resembles this, and how much"; chunks and corrections hold the bytes.
#![forbid(unsafe_code)]

mod compare;
mod decode;
mod edit;
mod find;
mod ingest;
mod item_memory;
mod transaction;
#[cfg(unix)]
pub mod tree_fs;

pub use compare::{
    Change, Cluster, ClusteredFile, Clusters, Difference, DirectoryChange, Drift, DriftStep, NEAR_DUPLICATE,
    PathChange, RENAMED, clusters, difference, drift, read_sketch, sketch_path, sketch_reader,
};
pub use decode::{DecodedChunk, StreamingDecodeProgress, StreamingDecoder, StreamingDecoderBuilder};
pub use edit::FileEdit;
pub use engrams_core as core;
pub use engrams_core::{ChunkParams, Chunking, Engram, Estimate, Hypervector, Sample, Similarity, Sketch};
pub use engrams_store as store;
pub use engrams_store::tree::{Attributes, Content, FileNode, Node, Timestamp, check_path};
pub use engrams_store::{
    CollectOptions, CollectProgress, CollectStep, Collected, Compression, Conflict, DamagedVersion,
    DependentFile, Dependents, EngramStore, Entry, Error, ErrorKind, Forget, ForgetPlan, Freeable,
    OpenOptions, PassphraseCost, RepairOptions, RepairProgress, RepairReport, Result, Retention, Stats,
    StoreKey, StoredName, Tag, TagList, Tree, VerifyOptions, VerifyProgress, VerifyReport, Version,
    VersionList,
};
pub use find::{Find, Found, Match, MatchRange, Query, Search};
pub use ingest::{
    IngestOptions, StreamingIngester, StreamingIngesterBuilder, StreamingProgress, StreamingResult,
};
pub use item_memory::item_memory;
pub use transaction::{FileSummary, Transaction, TransactionResult};
