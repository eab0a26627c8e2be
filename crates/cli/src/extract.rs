//! `engrams extract`: files and directories back onto the disk.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use engrams::tree_fs::{ExtractEvent, ExtractOptions, ExtractSummary, extract};
use serde::Serialize;

use crate::failure::Failure;
use crate::path_text::readable;
use crate::progress::Progress;
use crate::session::{At, Session, newest, no_such_path, stored_path};
use crate::{Ending, figures};

#[derive(Debug, Args)]
#[command(after_help = "\
Everything comes back as it was: contents (checked), names, modes, times, links, holes, extended attributes, and \
owners where the system lets you. Every path keeps its whole name under DIR, and nothing is written outside it.

Examples:
  engrams extract -o /tmp/all                      everything in the newest version
  engrams extract data/reports -o . --version 2    one directory, as ./data/reports
  engrams extract data -o / --force                over what is there

Exit status 3: something was not restored, or not with everything it has; standard error names it.")]
pub(crate) struct Extract {
    /// What to restore, with everything under it [default: everything]
    paths: Vec<OsString>,

    /// The directory to restore into; made when it is missing
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,

    #[command(flatten)]
    at: At,

    /// Replace files and symbolic links that are there already
    #[arg(long)]
    force: bool,

    /// Threads that decode contents; 0: as many as the machine has
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
}

#[derive(Serialize)]
struct Report {
    version: u64,
    files: u64,
    directories: u64,
    symlinks: u64,
    hard_links: u64,
    bytes: u64,
    failed: u64,
    seconds: f64,
}

pub(crate) fn run(session: &Session, verb: &Extract) -> Result<Ending, Failure> {
    let store = session.open_for_reading()?;
    let version = match verb.at.number(&store)? {
        Some(number) => number,
        None => newest(&store)?.number,
    };
    let tree = store.tree(Some(version))?;
    let paths: Vec<Vec<u8>> = verb.paths.iter().map(|path| stored_path(path)).collect::<Result<_, _>>()?;
    for path in &paths {
        if tree.entries(path).next().is_none() {
            return Err(no_such_path(path, &tree, Some(version)));
        }
    }

    let began = Instant::now();
    let progress = Progress::bytes();
    let mut on_event = |event: ExtractEvent<'_>| match event {
        ExtractEvent::Writing { path, .. } => progress.say(|| readable(path)),
        ExtractEvent::Written { bytes } => progress.add(bytes),
        ExtractEvent::Failed(failed) => {
            progress.warn(&format_args!("{}: {}", readable(&failed.path), failed.error));
        }
        _ => {}
    };
    let options = ExtractOptions::new().with_force(verb.force).with_threads(verb.threads);
    let summary = extract(&store, &tree, &paths, &verb.output, &options, &mut on_event)?;
    progress.finish();

    let report = Report::new(version, &summary, began.elapsed().as_secs_f64());
    session.report(&report, || text(&report, verb))?;
    Ok(if summary.failed_count > 0 { Ending::Partial } else { Ending::Complete })
}

impl Report {
    fn new(version: u64, summary: &ExtractSummary, seconds: f64) -> Self {
        Self {
            version,
            files: summary.files,
            directories: summary.directories,
            symlinks: summary.symlinks,
            hard_links: summary.hard_links,
            bytes: summary.bytes,
            failed: summary.failed_count,
            seconds,
        }
    }
}

fn text(report: &Report, verb: &Extract) -> String {
    use figures::{bytes, counted};
    let mut text = format!("version {}: {}", report.version, counted(report.files, "file", "files"));
    if report.directories > 0 {
        text += &format!(", {}", counted(report.directories, "directory", "directories"));
    }
    if report.symlinks > 0 {
        text += &format!(", {}", counted(report.symlinks, "symbolic link", "symbolic links"));
    }
    text += &format!(" restored to {}\n", verb.output.display());
    let rate = if report.seconds > 0.0 { (report.bytes as f64 / report.seconds) as u64 } else { 0 };
    text += &format!("wrote {} in {:.2} s ({}/s)\n", bytes(report.bytes), report.seconds, bytes(rate));
    if report.failed > 0 {
        let failed = counted(report.failed, "path was", "paths were");
        text += &format!("{failed} not restored, or not completely; see the messages above\n");
    }
    text
}
