//! The command line of engrams: a file per verb, and around them what all verbs share.
//!
//! Standard output carries what was asked for (with `--json`: exactly one object); warnings, progress and errors go to
//! standard error, one line each. Exit status: 0 done, 1 failed, 2 wrong usage, 3 done except for what was named.
//!
//! A library only so that its grammar can be fuzzed, without RocksDB; whoever writes a program uses the crate `engrams`.
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
mod place;
mod progress;
mod rekey;
mod repair;
mod rm;
mod session;
mod similarity;
mod stats;
mod tag;
mod treemap;
mod usage;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;

use arguments::{Arguments, Verb};
use failure::Failure;
use session::Session;
use usage::Unparsed;

/// How a verb ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All of it.
    Complete,
    /// All but what was named on standard error.
    Partial,
}

/// Runs a command line, its first word the command's own name; what it is to exit with.
#[must_use]
pub fn run_line(line: &[OsString]) -> ExitCode {
    let outcome = match usage::parse(line) {
        Ok(arguments) => run(arguments),
        Err(Unparsed::Text(text)) => text.exit(),
        Err(Unparsed::Wrong(failure)) => Err(failure),
    };
    match outcome {
        Ok(Ending::Complete) => ExitCode::SUCCESS,
        Ok(Ending::Partial) => ExitCode::from(3),
        Err(failure) => failure.report(),
    }
}

/// Parses a command line as [`run_line`] does, and does nothing.
///
/// # Errors
/// The line that says what is wrong with it.
pub fn check_line(line: &[OsString]) -> Result<(), String> {
    match usage::parse(line) {
        Ok(_) | Err(Unparsed::Text(_)) => Ok(()),
        Err(Unparsed::Wrong(failure)) => Err(failure.line()),
    }
}

/// What may be said on a command line.
#[must_use]
pub fn grammar() -> clap::Command {
    Arguments::command()
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
