//! `engrams diff`: what changed between two versions, with similarities.

use std::collections::HashMap;
use std::ffi::OsString;

use clap::Args;
use engrams::{Change, Difference, Entry, Node, PathChange, difference};
use serde::Serialize;

use crate::failure::Failure;
use crate::likeness::{JsonSimilarity, percent};
use crate::path_text::{JsonPath, readable};
use crate::session::{Session, stored_path};
use crate::{Ending, figures};

#[derive(Debug, Args)]
#[command(after_help = "\
Marks: + came, - went, > renamed (identical, or alike by half at least), ~ content changed, . attributes only.
Beside them: how much of both contents together is in both, how much of the old one is still there, and how much of the \
new one was there before. They are shares of sampled windows of content: a change that falls between two of them leaves \
100 %. In JSON, `first` is the earlier and `second` the later version.

Examples:
  engrams diff 3 4
  engrams diff 1 4 data/reports
  engrams diff 3 4 --json | jq -r '.paths[] | select(.change == \"renamed\") | .from.path + \" -> \" + .path'")]
pub(crate) struct Diff {
    /// The earlier version
    before: u64,
    /// The later version
    after: u64,
    /// Only this path and what is under it
    path: Option<OsString>,
}

#[derive(Serialize)]
struct Report {
    before: u64,
    after: u64,
    counts: HashMap<&'static str, u64>,
    directories: Vec<Directory>,
    paths: Vec<Line>,
}

#[derive(Serialize)]
struct Directory {
    #[serde(flatten)]
    path: JsonPath,
    similarity: Option<JsonSimilarity>,
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    path: JsonPath,
    change: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<JsonPath>,
    size_before: Option<u64>,
    size_after: Option<u64>,
    similarity: Option<JsonSimilarity>,
}

pub(crate) fn run(session: &Session, verb: &Diff) -> Result<Ending, Failure> {
    let store = session.open_for_reading()?;
    let (before, after) = (store.version(verb.before)?, store.version(verb.after)?);
    let path = verb.path.as_deref().map(stored_path).transpose()?.unwrap_or_default();
    if !path.is_empty() {
        let has = |number| store.tree(Some(number)).map(|tree| tree.entries(&path).next().is_some());
        if !has(verb.before)? && !has(verb.after)? {
            let what = format!("neither version has `{}`", readable(&path));
            return Err(Failure::new(what, "`engrams log PATH` shows which ones do"));
        }
    }
    let found = difference(&store, &before, &after, &path)?;
    let mut counts: HashMap<&'static str, u64> =
        ["added", "removed", "renamed", "changed", "attributes"].into_iter().map(|name| (name, 0)).collect();
    for change in &found.paths {
        *counts.entry(name(change.change)).or_default() += 1;
    }
    let report = Report {
        before: verb.before,
        after: verb.after,
        directories: found
            .directories
            .iter()
            .map(|directory| Directory {
                path: JsonPath::new(&directory.path),
                similarity: directory.similarity.as_ref().map(JsonSimilarity::from),
            })
            .collect(),
        paths: found.paths.iter().map(line).collect(),
        counts,
    };
    session.report(&report, || text(&found, &report))?;
    Ok(Ending::Complete)
}

fn name(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Renamed => "renamed",
        Change::Changed => "changed",
        Change::Attributes => "attributes",
    }
}

fn line(change: &PathChange) -> Line {
    let size = |entry: &Option<Entry>| entry.as_ref().and_then(Entry::file).map(|file| file.size);
    let entry = change.after.as_ref().or(change.before.as_ref());
    Line {
        path: JsonPath::new(change.path()),
        change: name(change.change),
        kind: match entry.map(|entry| &entry.node) {
            Some(Node::Directory) => "directory",
            Some(Node::Symlink(_)) => "symlink",
            _ => "file",
        },
        from: old_path(change).map(JsonPath::new),
        size_before: size(&change.before),
        size_after: size(&change.after),
        similarity: change.similarity.as_ref().map(JsonSimilarity::from),
    }
}

fn old_path(change: &PathChange) -> Option<&[u8]> {
    change.before.as_ref().filter(|_| change.change == Change::Renamed).map(|entry| entry.path.as_slice())
}

fn text(found: &Difference, report: &Report) -> String {
    let mut text = String::new();
    if found.paths.is_empty() {
        return format!("versions {} and {} do not differ here\n", report.before, report.after);
    }
    text += &format!("{:3}{:>8} {:>8} {:>8}  path\n", "", "alike", "old kept", "new known");
    let columns = |similarity: Option<&engrams::Similarity>| match similarity {
        Some(found) => format!(
            "{:>8} {:>8} {:>9}",
            percent(&found.jaccard),
            percent(&found.containment),
            percent(&found.containment_of_other)
        ),
        None => format!("{:>27}", ""),
    };
    for directory in &found.directories {
        let path = if directory.path.is_empty() { ".".to_owned() } else { readable(&directory.path) };
        text += &format!("   {}  {path}/\n", columns(directory.similarity.as_ref()));
    }
    for change in &found.paths {
        let mark = match change.change {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Renamed => '>',
            Change::Changed => '~',
            Change::Attributes => '.',
        };
        let from = old_path(change).map(|path| format!(" (was {})", readable(path))).unwrap_or_default();
        let columns = columns(change.similarity.as_ref());
        text += &format!(" {mark} {columns}  {}{from}\n", readable(change.path()));
    }
    let count = |name| figures::grouped(report.counts.get(name).copied().unwrap_or(0));
    text += &format!(
        "{} added, {} removed, {} renamed, {} changed, {} in attributes only\n",
        count("added"),
        count("removed"),
        count("renamed"),
        count("changed"),
        count("attributes")
    );
    text
}
