//! The facade's integration tests: one binary, a module per fear.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod ahead;
#[cfg(feature = "rocksdb")]
mod backup;
mod bundling;
mod chains;
mod closing;
mod coding;
mod collect;
mod collect_interrupted;
mod collect_model;
mod common;
mod comparing;
mod damage;
mod determinism;
mod edits;
mod encryption;
mod expecting;
mod faults;
mod find;
mod fixtures;
mod forget;
mod hashing;
mod history;
mod hostile;
mod locking;
mod operations;
mod options;
mod progress;
mod read_only;
mod reading;
mod recalling;
mod repair;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sizes;
mod streams;
mod sums;
mod together;
mod trees;
mod unreadable;
