//! One binary, a file per fear: cut points move, seams leak, algebra breaks, formats drift, hostile bytes
//! panic, estimates lie.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod algebra;
mod capacity;
mod encodings;
mod engram_bytes;
mod inputs;
mod memory;
mod memory_bytes;
mod memory_index;
mod params;
mod reversible;
mod scanner;
mod seam;
mod sketch;
mod statistics;
mod vectors;
