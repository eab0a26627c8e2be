//! What all verbs share: which store, how to answer, and how paths are given.

use std::ffi::OsStr;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Args;
use engrams::{EngramStore, Error, Timestamp, Tree, Version, VersionList, check_path};
use serde::Serialize;

use crate::failure::Failure;
use crate::key::{self, Access};
use crate::moment;
use crate::path_text::readable;

/// Bytes of which the search index has one feature, at density 1.
const SEARCH_WINDOW: u32 = 2048;

/// One run of the command.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) store: PathBuf,
    pub(crate) json: bool,
    pub(crate) key_file: Option<PathBuf>,
}

/// Which version to look at; the newest when nothing is said.
#[derive(Debug, Args)]
pub(crate) struct At {
    /// The version with this number (default: the newest).
    #[arg(long, value_name = "N")]
    pub(crate) version: Option<u64>,
    /// The version that was the newest then: RFC 3339, or a date (the end of that day), in UTC unless it says otherwise.
    #[arg(long, value_name = "TIME", conflicts_with = "version", value_parser = moment::parse)]
    pub(crate) at: Option<Timestamp>,
}

impl Session {
    /// Opens the store, which must be there, to change it.
    pub(crate) fn open(&self) -> Result<EngramStore, Failure> {
        self.opened(Access::Write)
    }

    /// Opens the store, which must be there, for reading alone: also beside who writes it, and where nothing can be written.
    pub(crate) fn open_for_reading(&self) -> Result<EngramStore, Failure> {
        allow_many_files();
        self.opened(Access::Read)
    }

    /// Opens the store, which is made when it is missing: an encrypted one if there is a key, or `encrypt` demands it; with
    /// this density of its search index. One that is there must have it already, if it is given.
    pub(crate) fn open_or_create(&self, encrypt: bool, density: Option<u32>) -> Result<EngramStore, Failure> {
        let window = density.map(|density| SEARCH_WINDOW / density);
        let store = self.opened(Access::Create { encrypt, window: window.unwrap_or(SEARCH_WINDOW) })?;
        let has = store.superblock().search_window;
        if window.is_some_and(|window| window != has) {
            let what = format!("the store was made with --search-density {}", SEARCH_WINDOW / has.max(1));
            return Err(Failure::new(what, "leave the option out, or ingest into a new store"));
        }
        Ok(store)
    }

    fn opened(&self, access: Access) -> Result<EngramStore, Failure> {
        key::open(&self.store, self.key_file.as_ref(), access)
    }

    /// Writes the report: as JSON, or as the text that `text` gives.
    pub(crate) fn report(&self, json: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        report(self.json, json, text)
    }
}

/// Writes a report, for verbs that need no store.
pub(crate) fn report(
    as_json: bool,
    json: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let mut output = Output::new();
    if as_json {
        output.json(json)?;
        output.text("\n")?;
    } else {
        output.text(&text())?;
    }
    output.finish()
}

/// A verb needs a store, and none is named.
pub(crate) fn no_store() -> Failure {
    Failure::usage("no store is named", "give -s DIR, or set ENGRAMS_STORE")
}

impl At {
    /// The number of the version that is meant; `None`: the newest, whatever that is.
    pub(crate) fn number(&self, store: &EngramStore) -> Result<Option<u64>, Failure> {
        let Some(at) = self.at else { return Ok(self.version) };
        let VersionList { versions, damaged, .. } = store.readable_versions()?;
        let then = versions.iter().filter(|version| version.time <= at).map(|version| version.number).max();
        let next = versions.iter().map(|version| version.number).filter(|&number| Some(number) > then).min();
        // One that can't be read, between these two, may be the one.
        let is_between = |number| Some(number) > then && next.is_none_or(|next| number < next);
        if let Some(unknown) = damaged.into_iter().find(|version| is_between(version.number)) {
            let error = unknown.error.within(format_args!("which version was the newest then can't be told"));
            return Err(error.into());
        }
        if then.is_none() {
            let what = format!("there was no version yet at {}", moment::rfc3339(at));
            return Err(Failure::new(what, "`engrams log` shows when each was made"));
        }
        Ok(then)
    }
}

/// A store that is open for reading alone holds all its files: those of 60 GB are more than the usual limit of 1,024.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Where it is refused, opening says which file it could not open.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// Standard output, buffered.
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).map_err(|error| Failure::output(&error))
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.0, value).map_err(|error| Failure::output(&error.into()))
    }

    /// Everything is written, or the failure is known.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|error| Failure::output(&error))
    }
}

/// A path in the store as it was typed: slashes at its end do not count.
pub(crate) fn stored_path(typed: &OsStr) -> Result<Vec<u8>, Failure> {
    let mut path = typed.as_bytes();
    while let Some(shorter) = path.strip_suffix(b"/") {
        path = shorter;
    }
    check_path(path)?;
    Ok(path.to_vec())
}

/// The failure to close a store whose new version is durable all the same.
pub(crate) fn committed(version: u64, error: Error) -> Failure {
    error.within(format_args!("version {version} was committed and is safe; closing failed")).into()
}

/// The newest version, or that there is none.
pub(crate) fn newest(store: &EngramStore) -> Result<Version, Failure> {
    store
        .head()?
        .ok_or_else(|| Failure::new("the store has no version yet", "`engrams ingest PATH` makes the first"))
}

/// The failure to find `path` in a tree.
pub(crate) fn no_such_path(path: &[u8], tree: &Tree, version: Option<u64>) -> Failure {
    let version = version.map_or("the newest version".to_owned(), |number| format!("version {number}"));
    let advice = match tree.entries(b"").next() {
        None => "it is empty: `engrams log` shows the versions",
        Some(_) => "`engrams ls` shows what there is, `engrams log PATH` in which versions",
    };
    Failure::new(format!("there is no `{}` in {version}", readable(path)), advice)
}
