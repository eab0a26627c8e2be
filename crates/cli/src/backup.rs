//! `engrams backup`: a copy of the store, also while it is in use.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::session::Session;
use crate::{Ending, figures};

#[derive(Debug, Args)]
#[command(after_help = "\
The copy is a store like any other, encrypted with the same key if the store is: `engrams -s DIR verify --deep`. It works while another process ingests or collects. \
On the same file system files are linked where nobody else has the store open, which takes no space, and a damaged sector \
then damages both: to outlive a disk, name a directory on another one.

Examples:
  engrams backup /mnt/other/memory.engrams")]
pub(crate) struct Backup {
    /// The directory that becomes the copy; made if it is missing
    directory: PathBuf,
}

#[derive(Serialize)]
struct Report {
    version: u64,
    files: u64,
}

pub(crate) fn run(session: &Session, verb: &Backup) -> Result<Ending, Failure> {
    let store = match session.open() {
        Ok(store) => store,
        // In use, on a full disk, or not ours to write; what is wrong otherwise is wrong for reading too.
        Err(_) => session.open_for_reading()?,
    };
    let version = store.backup_to(&verb.directory)?;
    let files = if version == 0 { 0 } else { store.version(version)?.files };
    let report = Report { version, files };
    session.report(&report, || {
        format!("copied up to version {version} ({})\n", figures::counted(files, "file", "files"))
    })?;
    Ok(Ending::Complete)
}
