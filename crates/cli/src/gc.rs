//! `engrams gc`: the space of what no version needs, back to the disk.

use clap::Args;
use engrams::{CollectOptions, CollectStep, Compression};
use serde::Serialize;

use crate::failure::{Failure, warn};
use crate::forget::WouldFree;
use crate::progress::Progress;
use crate::session::Session;
use crate::{Ending, figures};

#[derive(Debug, Args)]
#[command(after_help = "\
It can be interrupted at any point and run again. When more than a tenth of what stays would be there only because \
other chunks are corrections of it, those are coded anew.

Examples:
  engrams forget --keep-last 10 && engrams gc
  engrams gc --level 19           for a store that is written with --level 19
  engrams gc --dry-run --json")]
pub(crate) struct Gc {
    /// zstd level of chunks that are coded anew, 1..=22
    #[arg(long, value_name = "N", default_value_t = 5)]
    level: i32,

    /// Only say what could be freed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Report {
    versions: u64,
    chunks: u64,
    pages: u64,
    recall_entries: u64,
    search_entries: u64,
    seen_entries: u64,
    rebased: u64,
    record_bytes: u64,
    bytes_before: u64,
    bytes_after: u64,
    bytes_left: u64,
}

pub(crate) fn run(session: &Session, verb: &Gc) -> Result<Ending, Failure> {
    if verb.dry_run {
        let store = session.open_for_reading()?;
        let would_free = WouldFree::from(store.freeable(&[])?);
        session.report(&would_free, || would_free.text())?;
        return Ok(Ending::Complete);
    }
    let store = session.open()?;
    let options = CollectOptions { compression: Compression::Zstd(verb.level), ..CollectOptions::default() };
    let progress = Progress::steps(0);
    let found = store.collect(&options, &mut |at| {
        progress.say(|| {
            let step = match at.step {
                CollectStep::Marking => "finding what is needed",
                CollectStep::Rebasing => "coding anew",
                CollectStep::Sweeping => "removing",
                _ => "giving space back",
            };
            step.to_owned()
        });
        progress.set(at.done, at.total);
    })?;
    progress.finish();
    store.close()?;
    let report = Report {
        versions: found.versions,
        chunks: found.chunks,
        pages: found.pages,
        recall_entries: found.recall_entries,
        search_entries: found.search_entries,
        seen_entries: found.seen_entries,
        rebased: found.rebased,
        record_bytes: found.record_bytes,
        bytes_before: found.bytes_before,
        bytes_after: found.bytes_after,
        bytes_left: found.bytes_left,
    };
    session.report(&report, || {
        format!(
            "{} of {} removed, {} coded anew\n{} on disk before, {} after\n",
            figures::counted(report.chunks, "chunk", "chunks"),
            figures::counted(report.versions, "forgotten version", "forgotten versions"),
            figures::grouped(report.rebased),
            figures::bytes(report.bytes_before),
            figures::bytes(report.bytes_after)
        )
    })?;
    if report.bytes_left == 0 {
        return Ok(Ending::Complete);
    }
    let left = figures::bytes(report.bytes_left);
    warn(&format_args!(
        "files of {left} that nothing needs could not be given back to the disk; run `engrams gc` again"
    ));
    Ok(Ending::Partial)
}
