//! The facade's integration tests: one binary, a module per fear.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod bundling;
mod chains;
mod closing;
mod coding;
mod common;
mod damage;
mod determinism;
mod faults;
mod history;
mod hostile;
mod locking;
mod options;
mod progress;
mod reading;
mod recalling;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sizes;
mod streams;
mod trees;
