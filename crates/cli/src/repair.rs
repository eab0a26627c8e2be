//! `engrams repair`: heals what is damaged where the bytes still exist, drops only what can't be saved, and names it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use engrams::{EngramStore, OpenOptions, RepairOptions, RepairProgress, RepairReport, tree_fs};
use serde::Serialize;

use crate::damage::LostFile;
use crate::failure::{Failure, warn};
use crate::key::{self, Access};
use crate::path_text::readable;
use crate::progress::Progress;
use crate::session::{Output, Session};
use crate::{Ending, figures, place};

#[derive(Debug, Args)]
#[command(after_help = "\
The damaged files are kept in `damaged-1` (2, 3, ..) beside the database, and named in the report; remove them when \
all is well. Where tables are damaged, the rest of them is written once more: have as much room free as the store takes.

A file whose bytes are found nowhere stays listed, and reading it fails, until somebody ingests them again or \
repairs with --from. What a damaged page of a version's tree listed is not known any more: the version then goes on \
without it.

Examples:
  engrams repair --dry-run                    what it would do; works on a copy
  engrams repair --from ~/data                bytes of files that still exist
  engrams repair --from-store /backup/store   bytes and trees of a copy of this store, or any other one

Exit status: 0 everything is whole, 3 done, and what is lost was named.")]
pub(crate) struct Repair {
    /// Take bytes from the files in this directory; may be repeated
    #[arg(long, value_name = "DIR")]
    from: Vec<PathBuf>,

    /// Take bytes from this store, which is not encrypted or has the same key; may be repeated
    #[arg(long, value_name = "STORE")]
    from_store: Vec<PathBuf>,

    /// Change nothing, only say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Report {
    whole: bool,
    dry_run: bool,
    damage: Vec<String>,
    mended_chunks: u64,
    mended_pages: u64,
    rebuilt: u64,
    lost_chunks: u64,
    lost_files: Vec<LostFile>,
    dropped: Vec<String>,
    lost_versions: Vec<u64>,
    kept_aside: Option<String>,
    left_behind: Vec<LeftBehind>,
}

/// What a repair left beside the database.
#[derive(Serialize)]
struct LeftBehind {
    path: String,
    /// Bytes that removing it frees.
    frees: u64,
}

pub(crate) fn run(session: &Session, verb: &Repair) -> Result<Ending, Failure> {
    let key_file = session.key_file.as_ref();
    check_sources(session, verb)?;
    let open = |path: &PathBuf| key::open(path, key_file, Access::Read);
    let sources = verb.from_store.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let open = OpenOptions { key: key::given(key_file)?, ..OpenOptions::default() };
    let options = RepairOptions { open, sources, dry_run: verb.dry_run };
    let progress = Progress::steps(0);
    progress.say(|| "repairing".to_owned());
    let from_directories = &mut |store: &EngramStore| {
        for directory in &verb.from {
            progress.say(|| format!("reading {}", directory.display()));
            let read = tree_fs::mend(store, directory, &mut |_| {})?;
            read.skipped.iter().for_each(|skipped| warn(&skipped_line(skipped)));
        }
        Ok(())
    };
    let on_progress = &mut |step: RepairProgress| progress.set(step.done, step.total);
    let found = place::repair(&session.store, &options, from_directories, on_progress)?;
    progress.finish();
    answer(session, verb, found)
}

/// A path that was mistyped is refused before anything is done.
fn check_sources(session: &Session, verb: &Repair) -> Result<(), Failure> {
    let repaired = fs::canonicalize(&session.store).ok();
    for path in &verb.from {
        let is_store = path.join("database").is_dir() && path.join("COMMIT").is_file();
        check_source("--from", path, repaired.as_deref())?;
        if is_store {
            return Err(refused("--from", path, "it is a store", "give it with --from-store"));
        }
    }
    for path in &verb.from_store {
        // The second: a repair of that store was interrupted, which opening it says.
        let is_store = ["database", "repair.ready"].iter().any(|name| path.join(name).is_dir());
        check_source("--from-store", path, repaired.as_deref())?;
        if !is_store {
            return Err(refused(
                "--from-store",
                path,
                "it is no store",
                "give a directory of files with --from",
            ));
        }
    }
    Ok(())
}

/// A directory that can be read, elsewhere than the store that is repaired.
fn check_source(option: &str, path: &Path, repaired: Option<&Path>) -> Result<(), Failure> {
    match fs::canonicalize(path).and_then(|real| fs::read_dir(&real).map(|_| real)) {
        Ok(real) if repaired.is_some_and(|repaired| real.starts_with(repaired)) => Err(refused(
            option,
            path,
            "it is, or lies in, the store that is repaired",
            "name another directory",
        )),
        Ok(_) => Ok(()),
        Err(_) if path.is_file() => Err(refused(option, path, "it is a file", "name the directory it is in")),
        Err(error) => Err(refused(option, path, &error.to_string(), "name a directory that can be read")),
    }
}

fn refused(option: &str, path: &Path, why: &str, advice: &str) -> Failure {
    Failure::usage(format!("{option} {}: {why}; nothing was changed", path.display()), advice)
}

/// What removing this directory frees: tables that another database has too stay.
fn frees(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => frees(&entry.path()),
        Ok(data) if data.nlink() == 1 => data.len(),
        _ => 0,
    };
    entries.map(of).sum()
}

fn answer(session: &Session, verb: &Repair, found: RepairReport) -> Result<Ending, Failure> {
    let ending = if found.is_whole() { Ending::Complete } else { Ending::Partial };
    if session.json {
        let report = Report {
            whole: found.is_whole(),
            dry_run: verb.dry_run,
            damage: found.damage,
            mended_chunks: found.mended_chunks,
            mended_pages: found.mended_pages,
            rebuilt: found.rebuilt,
            lost_chunks: found.lost_chunks,
            lost_files: found.lost_files.into_iter().map(LostFile::from).collect(),
            dropped: found.dropped,
            lost_versions: found.lost_versions,
            kept_aside: found.kept_aside.map(|path| path.display().to_string()),
            left_behind: found
                .left_behind
                .iter()
                .map(|path| LeftBehind { path: path.display().to_string(), frees: frees(path) })
                .collect(),
        };
        session.report(&report, String::new)?;
        return Ok(ending);
    }
    found.damage.iter().for_each(|line| warn(line));
    let mut output = Output::new();
    for number in &found.lost_versions {
        output.text(&format!("lost: version {number}\n"))?;
    }
    for line in &found.dropped {
        output.text(&format!("dropped: {line}\n"))?;
    }
    for file in &found.lost_files {
        let versions: Vec<String> = file.versions.iter().map(u64::to_string).collect();
        output.text(&format!("lost: {} in version {}\n", readable(&file.path), versions.join(", ")))?;
    }
    let would = if verb.dry_run { "would be " } else { "" };
    output.text(&if found.was_sound() {
        "nothing is damaged\n".to_owned()
    } else {
        format!(
            "{} {would}mended, {} {would}taken from a copy, {} {would}computed anew; {} lost\n",
            figures::counted(found.mended_chunks, "chunk", "chunks"),
            figures::counted(found.mended_pages, "page", "pages"),
            figures::counted(found.rebuilt, "index entry or engram", "index entries and engrams"),
            figures::counted(found.lost_chunks, "chunk", "chunks"),
        )
    })?;
    for path in &found.left_behind {
        let (shown, frees) = (path.display(), figures::bytes(frees(path)));
        let whose = if found.kept_aside.as_ref() == Some(path) {
            format!("the damaged files are in {shown}")
        } else {
            format!("{shown} is left of an earlier repair")
        };
        output.text(&format!("{whose}: remove this directory when all is well, which frees {frees}\n"))?;
    }
    output.finish()?;
    Ok(ending)
}

fn skipped_line(skipped: &tree_fs::Skipped) -> String {
    format!("{}: {}", readable(&skipped.path), skipped.reason)
}
