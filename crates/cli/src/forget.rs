//! `engrams forget`: versions that are no longer wanted.

use clap::Args;
use engrams::{Forget as What, Freeable, Retention};
use serde::Serialize;

use crate::failure::Failure;
use crate::session::Session;
use crate::{Ending, figures};

#[derive(Debug, Args)]
#[command(after_help = "\
What no --keep rule keeps is forgotten; rules add up. The newest version and tagged ones always stay, and all \
numbers stay as they are. Days, weeks (from Monday) and months are UTC's. Forgetting frees no space by itself: \
`engrams gc` does.

Examples:
  engrams forget --keep-last 10 --dry-run
  engrams forget --keep-daily 14 --keep-weekly 8 --keep-monthly 24
  engrams forget --version 3 --version 4")]
pub(crate) struct Forget {
    /// Keep the newest N versions
    #[arg(long, value_name = "N")]
    keep_last: Option<u64>,

    /// Keep the newest of each of the last N days that have a version
    #[arg(long, value_name = "N")]
    keep_daily: Option<u64>,

    /// Keep the newest of each of the last N weeks that have a version
    #[arg(long, value_name = "N")]
    keep_weekly: Option<u64>,

    /// Keep the newest of each of the last N months that have a version
    #[arg(long, value_name = "N")]
    keep_monthly: Option<u64>,

    /// Forget this version, whatever the rules say; may be repeated
    #[arg(long = "version", value_name = "N")]
    versions: Vec<u64>,

    /// Only say which versions would go, and what `gc` could then free
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    forgotten: &'a [u64],
    kept: &'a [u64],
    kept_by_tag: &'a [u64],
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_free: Option<WouldFree>,
}

/// What `gc` could free.
#[derive(Serialize)]
pub(crate) struct WouldFree {
    chunks: u64,
    pages: u64,
    bytes: u64,
    bytes_as_bases: u64,
}

impl From<Freeable> for WouldFree {
    fn from(found: Freeable) -> Self {
        let Freeable { chunks, pages, bytes, bytes_as_bases, .. } = found;
        Self { chunks, pages, bytes, bytes_as_bases }
    }
}

impl WouldFree {
    pub(crate) fn text(&self) -> String {
        let bytes = figures::bytes(self.bytes);
        let chunks = figures::counted(self.chunks, "chunk", "chunks");
        let bases = figures::bytes(self.bytes_as_bases);
        format!("`engrams gc` would free about {bytes} ({chunks}); {bases} more are bases of others only\n")
    }
}

pub(crate) fn run(session: &Session, verb: &Forget) -> Result<Ending, Failure> {
    let what = What {
        keep: Retention {
            last: verb.keep_last,
            daily: verb.keep_daily,
            weekly: verb.keep_weekly,
            monthly: verb.keep_monthly,
        },
        versions: verb.versions.clone(),
    };
    let store = if verb.dry_run { session.open_for_reading()? } else { session.open()? };
    let (plan, would_free) = if verb.dry_run {
        let plan = store.forget_plan(&what)?;
        let would_free = WouldFree::from(store.freeable(&plan.forget)?);
        (plan, Some(would_free))
    } else {
        (store.forget(&what)?, None)
    };
    store.close()?;
    let report = Report {
        forgotten: &plan.forget,
        kept: &plan.keep,
        kept_by_tag: &plan.kept_by_tag,
        dry_run: verb.dry_run,
        would_free,
    };
    session.report(&report, || {
        let count = |numbers: &[u64]| figures::counted(numbers.len() as u64, "version", "versions");
        let what = if verb.dry_run { "would be forgotten" } else { "forgotten" };
        let mut text = format!("{} {what}", count(&plan.forget));
        if !plan.forget.is_empty() {
            text += &format!(" ({})", runs(&plan.forget));
        }
        text += &format!(", {} kept ({})\n", count(&plan.keep), runs(&plan.keep));
        match &report.would_free {
            Some(would_free) => text += &would_free.text(),
            None if plan.forget.is_empty() => {}
            None => text += "`engrams gc` frees what only they needed\n",
        }
        text
    })?;
    Ok(Ending::Complete)
}

/// Ascending numbers as people write them: `1-4, 7`.
fn runs(numbers: &[u64]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        run => run.iter().map(u64::to_string).collect(),
    });
    runs.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_runs() {
        assert_eq!(runs(&[1, 2, 3, 5, 8, 9]), "1-3, 5, 8-9");
        assert_eq!(runs(&[7]), "7");
    }
}
