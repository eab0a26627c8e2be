//! The versioned store of engrams: chunks with their corrections, trees, versions and commits, over any ordered
//! key-value [`backend`].
//!
//! A **chunk** is named by the BLAKE3 of its bytes and kept either verbatim or as a **correction** of chunks that
//! resemble it. A **tree** maps paths to files, each a list of pieces of chunks. A **version** is one tree, published
//! by one durable commit; what is staged before a commit is invisible.
//!
//! This crate knows nothing of readers, streams and pipelines: the `engrams` crate does. Byte maps of every record are
//! in `docs/format.md`.
#![forbid(unsafe_code)]

pub mod backend;
mod backup;
mod boundary;
mod buffer;
mod cache;
mod chunk;
mod codec;
mod collect;
mod commit;
pub mod conformance;
mod dependents;
mod encryption;
mod error;
mod feature_log;
mod format;
mod id_set;
mod index_keys;
mod list;
mod lost;
mod mark;
mod noise;
mod page;
mod pin;
mod reading;
mod recall;
mod repair;
mod reserve;
mod retention;
mod retry;
mod search;
mod space;
mod splice;
mod staging;
mod statistics;
mod store;
mod sums;
mod tag;
mod trace;
pub mod tree;
mod verify;
mod versions;

pub use backend::{Backend, Batch, Durability};
pub use chunk::Plain;
pub use codec::{Compression, Encoder};
pub use collect::{CollectOptions, CollectProgress, CollectStep, Collected, Freeable};
pub use commit::Draft;
pub use dependents::{DependentFile, Dependents};
pub use encryption::{PassphraseCost, StoreKey};
pub use error::{Conflict, Error, ErrorKind, Result, unless_corrupt};
pub(crate) use format::Reader;
pub use format::{
    Coding, FORMAT_VERSION, Head, MAX_MESSAGE_BYTES, STORED_VECTOR_BYTES, Superblock, Version, stored_vector,
};
pub use lost::LostPiece;
pub use noise::is_noise;
pub use pin::Reuse;
pub use recall::{Candidate, RECALL_FEATURES};
pub use repair::{OnLost, RepairOptions, RepairProgress, RepairReport};
pub use reserve::Reserved;
pub use retention::{Forget, ForgetPlan, Retention};
pub use search::{
    Occurrence, SearchKeys, SearchView, SearchedContent, StoredName, leave_to_base, search_key, search_keys,
    selected_keys,
};
pub use space::Space;
pub use splice::Splice;
pub use staging::{MOST_RECALLED, NewChunk, Staging};
pub use statistics::Stats;
pub use store::{EngramStore, OpenOptions, PieceList, Pieces};
pub use tag::{Tag, TagList};
pub use trace::{FileTally, Trace, TraceMaker, Traces};
pub use tree::{Entry, Tree, check_path};
pub use verify::{VerifyOptions, VerifyProgress, VerifyReport};
pub use versions::{DamagedVersion, VersionList};
