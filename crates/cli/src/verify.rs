//! `engrams verify`: whether everything stored is intact.

use clap::Args;
use engrams::VerifyOptions;
use serde::Serialize;

use crate::failure::{Failure, warn};
use crate::progress::Progress;
use crate::session::Session;
use crate::{Ending, figures};

#[derive(Debug, Args)]
#[command(after_help = "\
Without --deep every record and every reference is checked; with it, every chunk and file of every version is \
decoded and hashed, and every index and engram recomputed. Exit status 1: something is damaged, and named.")]
pub(crate) struct Verify {
    /// Decode and hash everything
    #[arg(long)]
    deep: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    chunks: u64,
    files: u64,
    versions: u64,
    errors: &'a [String],
}

pub(crate) fn run(session: &Session, verb: &Verify) -> Result<Ending, Failure> {
    let store = session.open_for_reading()?;
    let progress = Progress::steps(0);
    progress.say(|| "checking".to_owned());
    let options = VerifyOptions { deep: verb.deep };
    let found = store.verify(options, &mut |step| progress.set(step.done, step.total))?;
    progress.finish();

    let ok = found.errors.is_empty();
    let (chunks, files, versions) = (found.chunks, found.files, found.versions);
    if !session.json {
        for error in &found.errors {
            warn(error);
        }
    }
    let report = Report { ok, chunks, files, versions, errors: &found.errors };
    session.report(&report, || {
        format!(
            "checked {}, {} and {}: {}\n",
            figures::counted(chunks, "chunk", "chunks"),
            figures::counted(files, "file", "files"),
            figures::counted(versions, "version", "versions"),
            if ok { "all intact" } else { "damaged" }
        )
    })?;
    if ok {
        return Ok(Ending::Complete);
    }
    let what =
        format!("the store is damaged in {}", figures::counted(found.errors.len() as u64, "place", "places"));
    Err(Failure::new(
        what,
        "`engrams repair` heals what it can and drops the rest; all that was not named is readable",
    ))
}
