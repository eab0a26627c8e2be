//! The command line of engrams: a file per verb, and around them what all verbs share.
//!
//! Standard output carries what was asked for (with `--json`: exactly one object); warnings, progress and errors go to
//! standard error, one line each. Exit status: 0 done, 1 failed, 2 wrong usage, 3 done except for what was named.
#![forbid(unsafe_code)]

mod arguments;
mod cat;
mod damage;
mod exclude;
mod extract;
mod failure;
mod figures;
mod find;
mod forget;
mod gc;
mod ingest;
mod log;
mod ls;
mod moment;
mod path_text;
mod progress;
mod rm;
mod session;
mod stats;
mod tag;
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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(Ending::Complete) => ExitCode::SUCCESS,
        Ok(Ending::Partial) => ExitCode::from(3),
        Err(failure) => failure.report(),
    }
}

fn run(arguments: Arguments) -> Result<Ending, Failure> {
    let Some(store) = arguments.store else {
        return Err(Failure::usage("no store is named", "give -s DIR, or set ENGRAMS_STORE"));
    };
    let session = Session { store, json: arguments.json };
    match arguments.verb {
        Verb::Ingest(verb) => ingest::run(&session, verb),
        Verb::Log(verb) => log::run(&session, &verb),
        Verb::Ls(verb) => ls::run(&session, &verb),
        Verb::Cat(verb) => cat::run(&session, &verb),
        Verb::Extract(verb) => extract::run(&session, &verb),
        Verb::Find(verb) => find::run(&session, &verb),
        Verb::Rm(verb) => rm::run(&session, &verb),
        Verb::Tag(verb) => tag::run(&session, &verb),
        Verb::Forget(verb) => forget::run(&session, &verb),
        Verb::Gc(verb) => gc::run(&session, &verb),
        Verb::Verify(verb) => verify::run(&session, &verb),
        Verb::Damage(verb) => damage::run(&session, &verb),
        Verb::Stats(verb) => stats::run(&session, &verb),
    }
}
