//! Where the key of an encrypted store comes from: a file, the environment, or whoever sits at the terminal.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use engrams::{EngramStore, ErrorKind, OpenOptions, StoreKey};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::place;

const PASSPHRASE: &str = "ENGRAMS_PASSPHRASE";
const NEW_PASSPHRASE: &str = "ENGRAMS_NEW_PASSPHRASE";

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    /// One that is not there is made, with this search window; `encrypt` demands an encrypted one.
    Create {
        encrypt: bool,
        window: u32,
    },
}

/// Bytes of decoded chunks that an ingest keeps: it reads most bases once, and what is not kept need not be cleared by the
/// system for each new process. Half the library's default takes a quarter of the peak away, and no time.
const INGEST_CACHE: usize = 32 << 20;

/// Opens the store with its key.
pub(crate) fn open(store: &Path, key_file: Option<&PathBuf>, access: Access) -> Result<EngramStore, Failure> {
    let read_only = access == Access::Read;
    let mut options = OpenOptions { key: given(key_file)?, read_only, ..OpenOptions::default() };
    let (create, encrypt) = match access {
        Access::Create { encrypt, window } => {
            options.superblock.search_window = window;
            options.cache_bytes = INGEST_CACHE;
            (true, encrypt)
        }
        _ => (false, false),
    };
    let keyed = options.key.is_some();
    let has_key = match place::open(store, &options, create && (keyed || !encrypt)) {
        Ok(_) if encrypt && !keyed => {
            let advice = "ingest into a new one: only that can become an encrypted one";
            return Err(Failure::new("the store is not encrypted", advice));
        }
        Err(error) if !keyed && error.kind() == ErrorKind::Denied => true,
        Err(error) if encrypt && error.kind() == ErrorKind::NotFound => false,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let at = store.display();
            return Err(Failure::new(
                format!("there is no store at {at}"),
                format!("`engrams -s {at} ingest PATH` makes one"),
            ));
        }
        other => return Ok(other?),
    };
    let asked = if has_key { ask("passphrase of the store: ")? } else { ask_twice()? };
    let Some(key) = asked else {
        let what =
            if has_key { "the store is encrypted, and no key was given" } else { "--encrypt needs a key" };
        let advice = "give --key-file FILE (`engrams keygen FILE` makes one), or set ENGRAMS_PASSPHRASE";
        return Err(Failure::new(what, advice));
    };
    let options = OpenOptions { key: Some(key), ..options };
    Ok(place::open(store, &options, create)?)
}

/// The key that a store is to have from now on.
pub(crate) fn new(key_file: Option<&PathBuf>) -> Result<StoreKey, Failure> {
    let key = match given_in(key_file, NEW_PASSPHRASE)? {
        Some(key) => Some(key),
        None => ask_twice()?,
    };
    key.ok_or_else(|| {
        let advice =
            "give --new-key-file FILE (`engrams keygen FILE` makes one), or set ENGRAMS_NEW_PASSPHRASE";
        Failure::usage("there is no new key", advice)
    })
}

/// The key of the store, if it is named or in the environment.
pub(crate) fn given(key_file: Option<&PathBuf>) -> Result<Option<StoreKey>, Failure> {
    given_in(key_file, PASSPHRASE)
}

fn given_in(key_file: Option<&PathBuf>, variable: &str) -> Result<Option<StoreKey>, Failure> {
    match (key_file, std::env::var_os(variable)) {
        (None, None) => Ok(None),
        (Some(path), None) => StoreKey::from_file(path).map(Some).map_err(|error| {
            Failure::new(
                error.to_string(),
                "`engrams keygen FILE` makes a key file; a store opens by its own alone",
            )
        }),
        (None, Some(text)) => passphrase(text.into_string(), variable).map(Some),
        (Some(_), Some(_)) => Err(Failure::usage(
            format!("there are two keys: a key file, and {variable} in the environment"),
            "leave one of them out",
        )),
    }
}

fn passphrase(text: Result<String, OsString>, from: &str) -> Result<StoreKey, Failure> {
    let text = text.map_err(|_| Failure::usage(format!("{from} is not UTF-8"), "set another"))?;
    Ok(StoreKey::passphrase(&Zeroizing::new(text))?)
}

/// Asks at the terminal; `None`: nobody sits there.
fn ask(prompt: &str) -> Result<Option<StoreKey>, Failure> {
    Ok(match typed(prompt)? {
        Some(text) => Some(StoreKey::passphrase(&text)?),
        None => None,
    })
}

fn ask_twice() -> Result<Option<StoreKey>, Failure> {
    let Some(text) = typed("new passphrase: ")? else { return Ok(None) };
    match typed("the same again: ")? {
        Some(again) if *again == *text => Ok(Some(StoreKey::passphrase(&text)?)),
        _ => Err(Failure::new("the two passphrases differ", "run it again; nothing was changed")),
    }
}

fn typed(prompt: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    // Not standard input: it may be what is to be stored.
    if !io::stderr().is_terminal() {
        return Ok(None);
    }
    match rpassword::prompt_password(prompt) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) => Err(Failure::new(format!("reading a passphrase: {error}"), "run it again")),
    }
}
