//! `engrams stats`: what is stored and what it costs.

use clap::Args;
use engrams::Stats as Figures;
use serde::Serialize;

use crate::failure::Failure;
use crate::session::Session;
use crate::{Ending, figures};

#[derive(Debug, Args)]
#[command(after_help = "\
In JSON: logical_bytes are the newest version's, ingested_bytes those of all versions together, unique_bytes what \
is left of them when identical chunks count once, stored_bytes all that is on disk, search_bytes what \
of that the search index takes before the database compresses it.")]
pub(crate) struct Stats {}

#[derive(Serialize)]
struct Report {
    versions: u64,
    files: u64,
    logical_bytes: u64,
    ingested_bytes: u64,
    unique_bytes: u64,
    stored_bytes: u64,
    search_bytes: u64,
    chunks: u64,
    recalled_chunks: u64,
    verbatim_chunks: u64,
    max_chain: u64,
    mean_chain: f64,
}

pub(crate) fn run(session: &Session, _: &Stats) -> Result<Ending, Failure> {
    let found = session.open_for_reading()?.stats()?;
    session.report(&Report::new(&found), || text(&found))?;
    Ok(Ending::Complete)
}

impl Report {
    fn new(found: &Figures) -> Self {
        Self {
            versions: found.versions,
            files: found.files,
            logical_bytes: found.logical_bytes,
            ingested_bytes: found.ingested_bytes,
            unique_bytes: found.unique_bytes,
            stored_bytes: found.stored_bytes,
            search_bytes: found.search_bytes,
            chunks: found.chunks,
            recalled_chunks: found.recalled_chunks,
            verbatim_chunks: found.verbatim_chunks,
            max_chain: found.max_chain,
            mean_chain: found.mean_chain,
        }
    }
}

fn text(found: &Figures) -> String {
    use figures::{bytes, grouped, ratio};
    figures::table(&[
        ("versions", &grouped(found.versions)),
        ("files in the newest", &grouped(found.files)),
        ("bytes in the newest", &bytes(found.logical_bytes)),
        ("bytes of all versions", &bytes(found.ingested_bytes)),
        ("  without identical chunks", &bytes(found.unique_bytes)),
        ("on disk, all counted", &bytes(found.stored_bytes)),
        ("  of that for search, about", &bytes(found.search_bytes)),
        ("how many times smaller", &ratio(found.ingested_bytes, found.stored_bytes)),
        ("chunks", &grouped(found.chunks)),
        ("  recalled and corrected", &grouped(found.recalled_chunks)),
        ("  verbatim", &grouped(found.verbatim_chunks)),
        (
            "corrections on the way to a chunk",
            &format_args!("{:.2} on average, {} at most", found.mean_chain, found.max_chain),
        ),
    ])
}
