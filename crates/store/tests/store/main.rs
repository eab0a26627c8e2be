//! The store's integration tests: a module per fear.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod conformance;
mod faulty;
mod model;
#[cfg(feature = "rocksdb")]
mod rocksdb;
