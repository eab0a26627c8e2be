//! Ingest: streams in, chunks and corrections out, in constant memory.
//!
//! ```text
//! read -> cut and sample -> | hash -> deduplicate -> encode -> recall -> correct -> stage | -> tally -> put
//!        the caller's thread |  one thread, its parallel stages on a pool, group by group | one thread more
//! ```

mod assembly;
mod builder;
mod choice;
mod correct;
mod counts;
mod cutter;
mod decision;
mod effort;
mod group;
mod options;
mod pipeline;
mod run;
mod streaming;

pub use builder::StreamingIngesterBuilder;
pub use counts::StreamingProgress;
pub(crate) use cutter::Cutter;
pub(crate) use group::{Event, Group, SharedHasher};
pub use options::IngestOptions;
pub(crate) use options::Settings;
pub(crate) use pipeline::Pipeline;
pub use streaming::{StreamingIngester, StreamingResult};
