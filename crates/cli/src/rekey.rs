//! `engrams rekey`: another key for an encrypted store.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::session::Session;
use crate::{Ending, key};

#[derive(Debug, Args)]
#[command(after_help = "\
The store is opened with its present key (--key-file, ENGRAMS_KEY_FILE, ENGRAMS_PASSPHRASE, or typed) and opens \
with the new one alone from then on. Only the lock changes, however large the store. Whoever knew the old key and \
has an older copy of the store can still read it, and what is stored later: against that only a new store helps.

Examples:
  engrams rekey                               passphrases are asked for
  engrams --key-file old.key rekey --new-key-file new.key")]
pub(crate) struct Rekey {
    /// The new key's file; otherwise ENGRAMS_NEW_PASSPHRASE, or typed
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    rekeyed: bool,
}

pub(crate) fn run(session: &Session, verb: &Rekey) -> Result<Ending, Failure> {
    let store = session.open()?;
    if !store.is_encrypted() {
        return Err(Failure::new(
            "the store is not encrypted",
            "only a new store can be: `engrams ingest --encrypt`",
        ));
    }
    store.rekey(&key::new(verb.new_key_file.as_ref())?)?;
    store.close()?;
    session.report(&Report { rekeyed: true }, || "the store opens with the new key alone\n".to_owned())?;
    Ok(Ending::Complete)
}
