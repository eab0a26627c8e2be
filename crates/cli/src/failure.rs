//! How the command fails: one line that says what, and what to do.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use engrams::{Error, ErrorKind};

use crate::path_text::one_line;

/// Why a verb did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    advice: String,
    status: u8,
    /// The reader of standard output has left: nobody is to be told.
    quiet: bool,
}

impl Failure {
    /// The request was fine and could not be met.
    pub(crate) fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into(), status: 1, quiet: false }
    }

    /// The request makes no sense.
    pub(crate) fn usage(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: 2, ..Self::new(what, advice) }
    }

    /// Standard output could not be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        let quiet = error.kind() == io::ErrorKind::BrokenPipe;
        Self { quiet, ..Self::new(format!("writing to standard output: {error}"), "run it again") }
    }

    /// What is said of it.
    pub(crate) fn line(&self) -> String {
        one_line(&format!("{}; {}", self.what, self.advice))
    }

    /// Says it on standard error, and with which status to exit.
    pub(crate) fn report(&self) -> ExitCode {
        if self.quiet {
            return ExitCode::SUCCESS;
        }
        warn(&self.line());
        ExitCode::from(self.status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let advice = match error.kind() {
            ErrorKind::NotFound => "`engrams log` and `engrams ls` show what there is",
            ErrorKind::Conflict => "someone else wrote meanwhile: run it again",
            ErrorKind::Invalid => return Self::usage(error.to_string(), "see --help"),
            ErrorKind::Unsupported => "use the release of engrams that wrote this store, or a newer one",
            ErrorKind::Denied => "--key-file, ENGRAMS_KEY_FILE and ENGRAMS_PASSPHRASE say which key",
            ErrorKind::Corrupt => {
                "`engrams verify` names all damage; `engrams repair` heals what it can, and opens again what does not open"
            }
            ErrorKind::Unavailable => "wait until the other process has ended, then run it again",
            _ => "see to the cause, then run it again",
        };
        Self::new(error.to_string(), advice)
    }
}

/// One line on standard error. Where even that fails there is nobody left to tell.
pub(crate) fn warn(text: &dyn Display) {
    use io::Write;
    let _ = writeln!(io::stderr(), "engrams: {}", one_line(&text.to_string()));
}
