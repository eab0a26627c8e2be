//! The facade's integration tests: one binary, a module per fear.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod ahead;
mod bundling;
mod chains;
mod closing;
mod coding;
mod collect;
mod collect_interrupted;
mod collect_model;
mod common;
mod damage;
mod determinism;
mod edits;
mod faults;
mod find;
mod forget;
mod hashing;
mod history;
mod hostile;
mod locking;
mod operations;
mod options;
mod progress;
mod reading;
mod recalling;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sizes;
mod streams;
mod trees;
