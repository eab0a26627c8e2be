//! Decode: verified bytes of one file of one version, at random access.

mod builder;
mod decoder;

pub use builder::StreamingDecoderBuilder;
pub use decoder::{DecodedChunk, StreamingDecodeProgress, StreamingDecoder};
