//! `engrams backup`: a copy of the store, also while it is in use.

use std::path::PathBuf;

use clap::Args;
use engrams::{EngramStore, ErrorKind};
use serde::Serialize;

use crate::failure::Failure;
use crate::session::Session;
use crate::{Ending, figures};

#[derive(Debug, Args)]
#[command(after_help = "\
The copy is a store like any other: `engrams -s DIR verify --deep`. It works while another process ingests or collects. \
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
    stored_bytes: u64,
}

pub(crate) fn run(session: &Session, verb: &Backup) -> Result<Ending, Failure> {
    let store = match EngramStore::open_existing(&session.store) {
        // In use, on a full disk, or not ours to write.
        Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Io) => {
            session.open_for_reading()?
        }
        Err(_) => session.open()?,
        Ok(store) => store,
    };
    store.backup_to(&verb.directory)?;
    drop(store);
    let copy = EngramStore::open_read_only(&verb.directory)?;
    let found = copy.stats()?;
    let version = copy.head()?.map_or(0, |head| head.number);
    let report = Report { version, files: found.files, stored_bytes: found.stored_bytes };
    session.report(&report, || {
        let files = figures::counted(report.files, "file", "files");
        let bytes = figures::bytes(report.stored_bytes);
        format!("copied up to version {} ({files}), {bytes}\n", report.version)
    })?;
    Ok(Ending::Complete)
}
