//! `engrams keygen`: a new random key in a new file.

use std::path::PathBuf;

use clap::Args;
use engrams::StoreKey;
use serde::Serialize;

use crate::Ending;
use crate::failure::Failure;
use crate::session::report;

#[derive(Debug, Args)]
#[command(after_help = "\
Keep the file apart from the store and from its copies, and keep a copy of it: without it nothing in the store \
can be read again, by anybody.

Example:
  engrams keygen ~/keys/memory.key
  engrams ingest ~/data --encrypt --key-file ~/keys/memory.key")]
pub(crate) struct Keygen {
    /// The file to make; only its owner may read it
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Serialize)]
struct Report {
    key_file: String,
}

pub(crate) fn run(json: bool, verb: &Keygen) -> Result<Ending, Failure> {
    StoreKey::create_file(&verb.file)
        .map_err(|error| Failure::new(error.to_string(), "name a file that is not there yet"))?;
    let key_file = verb.file.display().to_string();
    report(json, &Report { key_file: key_file.clone() }, || {
        format!("a new key is in {key_file}: keep a copy, apart from the store\n")
    })?;
    Ok(Ending::Complete)
}
