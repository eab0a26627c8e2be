//! The benchmarks are in `benches/`: run them with `cargo bench -p engrams-benches`.
#![forbid(unsafe_code)]
