//! Content-defined chunking: where a stream is cut.

mod fixed;
mod gear;
mod params;
mod scanner;

pub use gear::Gear;
pub use params::{ChunkParams, Chunking};
pub use scanner::Scanner;
