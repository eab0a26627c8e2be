//! The command as its users meet it: the binary is run, on real directories, a file per fear.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod bed;
mod beside;
mod cat;
mod containment;
mod damage;
mod encryption;
mod engrams;
mod find;
mod forget;
mod history;
mod json;
mod repair;
mod reread;
mod round_trip;
mod snapshot;
mod unreadable;
mod usage;
