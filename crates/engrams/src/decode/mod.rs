//! Decode: verified bytes of one file of one version, at random access.

mod ahead;
mod builder;
mod decoder;

#[cfg(unix)]
pub(crate) use ahead::{Ahead, settle_threads};
pub use builder::StreamingDecoderBuilder;
#[cfg(unix)]
pub(crate) use decoder::Planning;
pub use decoder::{DecodedChunk, StreamingDecodeProgress, StreamingDecoder};
