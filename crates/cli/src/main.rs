//! The command line of engrams: a file per verb, and around them what all verbs share.
//!
//! Standard output carries what was asked for (with `--json`: exactly one object); warnings, progress and errors go to
//! standard error, one line each. Exit status: 0 done, 1 failed, 2 wrong usage, 3 done except for what was named.
#![forbid(unsafe_code)]

mod arguments;
mod backup;
mod cat;
mod damage;
mod diff;
mod drift;
mod engram;
mod exclude;
mod extract;
mod failure;
mod figures;
mod find;
mod forget;
mod gc;
mod ingest;
mod key;
mod keygen;
mod likeness;
mod log;
mod ls;
mod map;
mod moment;
mod path_text;
mod progress;
mod rekey;
mod repair;
mod rm;
mod session;
mod similarity;
mod stats;
mod tag;
mod treemap;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Verb};
use failure::Failure;
use session::Session;

/// How a verb ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All of it.
    Complete,
    /// All but what was named on standard error.
    Partial,
}

/// Takes memory in huge pages, for RocksDB and zstd too: a process that ends soon pays more for fresh pages than for
/// anything else the system does (docs/decisions/0025).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(Ending::Complete) => ExitCode::SUCCESS,
        Ok(Ending::Partial) => ExitCode::from(3),
        Err(failure) => failure.report(),
    }
}

fn run(arguments: Arguments) -> Result<Ending, Failure> {
    let json = arguments.json;
    let key_file = arguments.key_file;
    let session = arguments.store.map(|store| Session { store, json, key_file });
    let named = || session.as_ref().ok_or_else(session::no_store);
    match arguments.verb {
        Verb::Ingest(verb) => ingest::run(named()?, verb),
        Verb::Log(verb) => log::run(named()?, &verb),
        Verb::Ls(verb) => ls::run(named()?, &verb),
        Verb::Cat(verb) => cat::run(named()?, &verb),
        Verb::Extract(verb) => extract::run(named()?, &verb),
        Verb::Find(verb) => find::run(named()?, &verb),
        Verb::Rm(verb) => rm::run(named()?, &verb),
        Verb::Tag(verb) => tag::run(named()?, &verb),
        Verb::Forget(verb) => forget::run(named()?, &verb),
        Verb::Gc(verb) => gc::run(named()?, &verb),
        Verb::Backup(verb) => backup::run(named()?, &verb),
        Verb::Verify(verb) => verify::run(named()?, &verb),
        Verb::Repair(verb) => repair::run(named()?, &verb),
        Verb::Damage(verb) => damage::run(named()?, &verb),
        Verb::Keygen(verb) => keygen::run(json, &verb),
        Verb::Rekey(verb) => rekey::run(named()?, &verb),
        Verb::Stats(verb) => stats::run(named()?, &verb),
        Verb::Diff(verb) => diff::run(named()?, &verb),
        Verb::Drift(verb) => drift::run(named()?, &verb),
        Verb::Map(verb) => map::run(named()?, &verb),
        Verb::Engram(verb) => engram::run(session.as_ref(), json, &verb),
        Verb::Similarity(verb) => similarity::run(json, &verb),
    }
}
