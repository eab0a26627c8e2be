//! `engrams rm`: a new version without a path.

use std::ffi::OsString;

use clap::Args;
use engrams::{IngestOptions, Transaction};
use serde::Serialize;

use crate::failure::Failure;
use crate::path_text::{JsonPath, readable};
use crate::session::{Session, no_such_path, stored_path};
use crate::{Ending, figures, session};

#[derive(Debug, Args)]
#[command(after_help = "\
Older versions keep what is removed: this frees no space.

Examples:
  engrams rm data/old -m 'moved to the archive'
  engrams extract data/old -o . --version 3        and back, from a version that had it")]
pub(crate) struct Rm {
    /// What to remove, with everything under it
    path: OsString,

    /// What to say about the new version
    #[arg(short, long, default_value = "", hide_default_value = true)]
    message: String,
}

#[derive(Serialize)]
struct Report {
    version: u64,
    #[serde(flatten)]
    path: JsonPath,
    removed: u64,
}

pub(crate) fn run(session: &Session, verb: &Rm) -> Result<Ending, Failure> {
    let store = session.open()?;
    let path = stored_path(&verb.path)?;
    let mut tx = Transaction::begin(&store, &IngestOptions::default())?;
    let removed = tx.remove(&path)?;
    if removed == 0 {
        return Err(no_such_path(&path, tx.base(), None));
    }
    let version = tx.commit(&verb.message)?.version;
    store.close().map_err(|error| session::committed(version, error))?;
    let report = Report { version, path: JsonPath::new(&path), removed };
    session.report(&report, || {
        let removed = figures::counted(removed, "entry", "entries");
        format!("version {version}: `{}` removed ({removed}); older versions keep it\n", readable(&path))
    })?;
    Ok(Ending::Complete)
}
