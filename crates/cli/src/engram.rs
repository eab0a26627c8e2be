//! `engrams engram`: the engram of files, directories, standard input or stored paths, to compare holdings without the data.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use engrams::Sketch;
use serde::Serialize;

use crate::failure::Failure;
use crate::figures;
use crate::likeness::load;
use crate::session::{At, Output, Session, newest, stored_path};
use crate::{Ending, session};

#[derive(Debug, Args)]
#[command(after_help = "\
An engram has a fixed size, whatever it is of: some 10 KB. Two of them tell how much their contents have in common, \
without the contents. It holds no data, but tells whoever has it and some data whether that is in it.

Examples:
  engrams engram data -o data.engram               of a directory; needs no store
  pg_dump shop | engrams engram - -o shop.engram
  engrams -s S engram --stored data/a.csv -o a.engram --version 3
  engrams engram a.engram b.engram -o both.engram  the sum of two
  engrams engram all.engram --without a.engram -o rest.engram")]
pub(crate) struct Engram {
    /// Files, directories, engram files or `-` (standard input), added up; with --stored paths in the store
    /// [default with --stored: everything]
    paths: Vec<OsString>,

    /// PATHs are in the store
    #[arg(long)]
    stored: bool,

    #[command(flatten)]
    at: At,

    /// Take this away again (a file, directory or engram file); may be given again
    #[arg(long, value_name = "PATH")]
    without: Vec<PathBuf>,

    /// Write the engram to this file (`-`: standard output)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    /// Features counted: about one for every 160 bytes.
    features: i64,
    /// Estimate of how many of them are distinct.
    distinct: f64,
    /// Distinct features kept to compare by.
    sampled: usize,
    /// All of them are kept: comparisons with another such engram are exact.
    complete: bool,
    /// Bytes of the engram as a file.
    bytes: usize,
}

pub(crate) fn run(session: Option<&Session>, json: bool, verb: &Engram) -> Result<Ending, Failure> {
    let mut sum = Sketch::new();
    if verb.stored {
        let session = session.ok_or_else(session::no_store)?;
        let store = session.open_for_reading()?;
        if store.is_encrypted() {
            return Err(Failure::new(
                "the store is encrypted: its features are its own, and compare with nothing outside it",
                "make the engram of extracted files, or compare within the store: diff, drift, map",
            ));
        }
        let version = match verb.at.number(&store)? {
            Some(number) => store.version(number)?,
            None => newest(&store)?,
        };
        let whole = [OsString::new()];
        for path in if verb.paths.is_empty() { &whole[..] } else { &verb.paths } {
            let path = if path.is_empty() { Vec::new() } else { stored_path(path)? };
            sum.merge(&store.sketch(&version, &path)?);
        }
    } else if verb.at.version.is_some() || verb.at.at.is_some() {
        return Err(Failure::usage("a version is named, but no stored path", "give --stored"));
    } else if verb.paths.is_empty() {
        return Err(Failure::usage(
            "nothing is named to make an engram of",
            "name files, directories or `-`",
        ));
    } else {
        verb.paths.iter().try_for_each(|path| load(Path::new(path)).map(|one| sum.merge(&one)))?;
    }
    for path in &verb.without {
        sum.subtract(&load(path)?);
    }
    let bytes = sum.to_bytes();
    if verb.output.as_deref() == Some(Path::new("-")) {
        let mut output = Output::new();
        output.bytes(&bytes)?;
        output.finish()?;
        return Ok(Ending::Complete);
    }
    if let Some(path) = &verb.output {
        write(path, &bytes)?;
    }
    let report = Report {
        features: sum.engram().count(),
        distinct: sum.sample().distinct(),
        sampled: sum.sample().len(),
        complete: sum.sample().is_complete(),
        bytes: bytes.len(),
    };
    session::report(json, &report, || text(&report))?;
    Ok(Ending::Complete)
}

/// Writes a file that is whole or not there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = std::fs::File::create_new(&beside)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| {
        // What is left of it, if anything, is of no use.
        let _ = std::fs::remove_file(&beside);
        Failure::new(format!("writing {}: {error}", path.display()), "name another file")
    })
}

fn text(report: &Report) -> String {
    let kept = if report.complete { "all of them" } else { "the rest is estimated" };
    figures::table(&[
        ("features", &report.features),
        ("distinct", &figures::grouped(report.distinct.round() as u64)),
        ("sampled", &format!("{} ({kept})", report.sampled)),
        ("bytes", &figures::bytes(report.bytes as u64)),
    ])
}
