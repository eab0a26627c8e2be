//! `engrams find`: the stored files most like a file, a snippet or a stream.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::Path;

use clap::Args;
use engrams::{Found, Match, MatchRange, Query, Search, StoredName};
use serde::Serialize;

use crate::failure::Failure;
use crate::path_text::{JsonPath, hex, readable};
use crate::session::Session;
use crate::{Ending, figures};

/// Ranges of a file that the text shows.
const SHOWN: usize = 3;

#[derive(Debug, Args)]
#[command(after_help = "\
`found` is the share of the query's bytes that the file has, in runs of 32 or more: each was compared. `alike` is what \
both have of what either has: 100 % for equal files. A file is reported when it has 5 % of the query, in two \
places or more, or is the query itself. A snippet from 4 KB on is found wherever it lies; of 1 KB, three in four are \
(all but a few with `ingest --search-density 2`).

Examples:
  engrams find notes.txt                  which stored files, of which versions, are most like it
  head -c 4096 core.dump | engrams find - where else this stands
  engrams find a.sql --version 3 --json | jq '.matches[0]'

Exit status 0 also when nothing is found: `matches` is then empty.")]
pub(crate) struct Find {
    /// The file to look for; `-`: standard input, however long
    file: OsString,

    /// Report at most this many files
    #[arg(short, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    k: u32,

    /// Look at this version only [default: all that are kept]
    #[arg(long, value_name = "N")]
    version: Option<u64>,

    /// Report files that have at least this share of the query, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    least: f64,

    /// Leave out which bytes are where
    #[arg(long)]
    no_ranges: bool,
}

#[derive(Serialize)]
struct Report {
    bytes: u64,
    hash: String,
    matches: Vec<MatchReport>,
}

#[derive(Serialize)]
struct MatchReport {
    #[serde(flatten)]
    name: NameReport,
    also: Vec<NameReport>,
    hash: String,
    size: u64,
    exact: bool,
    bytes: u64,
    containment: f64,
    resemblance: f64,
    ranges: Vec<RangeReport>,
    all_ranges: bool,
}

#[derive(Serialize)]
struct NameReport {
    #[serde(flatten)]
    path: JsonPath,
    versions: Vec<u64>,
}

#[derive(Serialize)]
struct RangeReport {
    query: u64,
    file: u64,
    bytes: u64,
}

pub(crate) fn run(session: &Session, verb: &Find) -> Result<Ending, Failure> {
    if !(0.0..=1.0).contains(&verb.least) {
        let what = format!("--least {} is no share", verb.least);
        return Err(Failure::usage(what, "give a number from 0 to 1"));
    }
    let store = session.open_for_reading()?;
    if let Some(version) = verb.version {
        store.version(version)?;
    }
    let query = if verb.file == "-" {
        Query::reader(io::stdin().lock())
    } else {
        let path = Path::new(&verb.file);
        let unreadable = |error: io::Error| {
            Failure::new(format!("{}: {error}", path.display()), "check the path; `-` reads standard input")
        };
        let file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            let what = format!("{} is a directory", path.display());
            return Err(Failure::new(what, "name a file, or let `-` read standard input"));
        }
        Query::reader(file)
    };
    let versions = verb.version.map_or(0..=u64::MAX, |version| version..=version);
    let found = store
        .find(query)
        .with_k(verb.k as usize)
        .with_versions(versions)
        .with_least_score(verb.least)
        .with_ranges(!verb.no_ranges)
        .run()?;
    session.report(&Report::new(&found), || text(&found))?;
    Ok(Ending::Complete)
}

impl Report {
    fn new(found: &Found) -> Self {
        let matches = found.matches.iter().map(MatchReport::new).collect();
        Self { bytes: found.bytes, hash: hex(&found.hash), matches }
    }
}

impl MatchReport {
    fn new(one: &Match) -> Self {
        let range = |&MatchRange { query, file, bytes }: &MatchRange| RangeReport { query, file, bytes };
        Self {
            name: NameReport::new(&one.name),
            also: one.also.iter().map(NameReport::new).collect(),
            hash: hex(&one.hash),
            size: one.size,
            exact: one.is_exact,
            bytes: one.bytes,
            containment: one.containment,
            resemblance: one.resemblance,
            ranges: one.ranges.iter().map(range).collect(),
            all_ranges: one.has_all_ranges,
        }
    }
}

impl NameReport {
    fn new(name: &StoredName) -> Self {
        Self { path: JsonPath::new(&name.path), versions: name.versions.clone() }
    }
}

fn text(found: &Found) -> String {
    if found.matches.is_empty() {
        return "nothing stored resembles it\n".to_owned();
    }
    let mut out = String::from(" found   alike  file\n");
    for one in &found.matches {
        let exact = if one.is_exact { "  (the same content)" } else { "" };
        let _ = writeln!(
            out,
            "{:5.1} % {:5.1} %  {}{exact}",
            one.containment * 100.0,
            one.resemblance * 100.0,
            named(&one.name)
        );
        for name in &one.also {
            let _ = writeln!(out, "                 also {}", named(name));
        }
        for MatchRange { query, file, bytes } in one.ranges.iter().take(SHOWN).filter(|_| !one.is_exact) {
            let (to, from) = (figures::grouped(*query), figures::grouped(*file));
            let _ =
                writeln!(out, "                 {} bytes at {to} of it: at {from}", figures::grouped(*bytes));
        }
        if one.ranges.len() > SHOWN {
            let more = figures::grouped((one.ranges.len() - SHOWN) as u64);
            let _ = writeln!(out, "                 and {more} more ranges: --json has them");
        }
    }
    out
}

/// A path, and its versions as runs: `data/a.csv, versions 1-3, 7`.
fn named(name: &StoredName) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &version in &name.versions {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == version => *last = version,
            _ => runs.push((version, version)),
        }
    }
    let shown: Vec<String> = runs
        .iter()
        .map(|&(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    let noun = if name.versions.len() == 1 { "version" } else { "versions" };
    format!("{}, {noun} {}", readable(&name.path), shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_a_row_are_shown_as_one() {
        let name = |versions: &[u64]| StoredName { path: b"a".to_vec(), versions: versions.to_vec() };
        assert_eq!(named(&name(&[1, 2, 3, 7])), "a, versions 1-3, 7");
        assert_eq!(named(&name(&[4])), "a, version 4");
    }
}
