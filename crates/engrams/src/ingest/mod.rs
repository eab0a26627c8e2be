//! Ingest: streams in, chunks and corrections out, in constant memory.
//!
//! ```text
//! read -> cut and sample -> | hash -> | deduplicate -> encode -> recall -> correct -> stage | -> tally -> put
//!        the caller's thread | one     | one thread, group by group; parallel steps on a pool | one thread more
//! ```

mod assembly;
mod builder;
mod choice;
mod correct;
mod counts;
mod cutter;
mod decided;
mod decision;
mod effort;
mod expected;
mod group;
mod known;
mod naming;
mod options;
mod pipeline;
mod run;
mod sketch;
mod streaming;
mod workers;

pub use builder::StreamingIngesterBuilder;
pub use counts::StreamingProgress;
pub(crate) use cutter::Cutter;
pub(crate) use expected::Expected;
pub(crate) use group::{Event, Group, SharedHasher};
pub use options::IngestOptions;
pub(crate) use options::Settings;
pub(crate) use pipeline::Pipeline;
pub use streaming::{StreamingIngester, StreamingResult};
