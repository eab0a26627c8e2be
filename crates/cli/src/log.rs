//! `engrams log`: the versions, newest first.

use std::ffi::OsString;

use clap::Args;
use engrams::{EngramStore, ErrorKind, Tag, TagList, Version, VersionList};
use serde::Serialize;

use crate::failure::{Failure, warn};
use crate::path_text::{one_line, readable};
use crate::session::{Session, stored_path};
use crate::{Ending, figures, moment};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  engrams log                    every version
  engrams log data/a.csv         those in which this file came, changed or went
  engrams log data --json | jq '.versions[].message'

Exit status 3: records of some versions or tags are damaged; standard error names them.")]
pub(crate) struct Log {
    /// Only versions in which this path, or something under it, changed
    path: Option<OsString>,
}

#[derive(Serialize)]
struct Report {
    versions: Vec<Line>,
    /// First and last number of each run of forgotten versions.
    forgotten: Vec<(u64, u64)>,
    /// Numbers of versions whose records can't be read.
    damaged: Vec<u64>,
}

#[derive(Serialize)]
struct Line {
    version: u64,
    parent: Option<u64>,
    time: String,
    message: String,
    tags: Vec<String>,
    files: u64,
    bytes: u64,
}

pub(crate) fn run(session: &Session, verb: &Log) -> Result<Ending, Failure> {
    let store = session.open_for_reading()?;
    let path = verb.path.as_deref().map(stored_path).transpose()?;
    let VersionList { mut versions, damaged, .. } = store.readable_versions()?;
    let TagList { tags, damaged: damaged_tags, .. } = store.readable_tags()?;
    let (forgotten, unknown) = match store.forgotten() {
        Ok(forgotten) => (forgotten, None),
        Err(error) if error.kind() == ErrorKind::Corrupt => (Vec::new(), Some(error)),
        Err(error) => return Err(error.into()),
    };
    let numbers: Vec<u64> = damaged.iter().map(|version| version.number).collect();
    let errors = damaged.into_iter().map(|version| version.error).chain(damaged_tags).chain(unknown);
    let is_whole = errors.inspect(|error| warn(error)).count() == 0;
    if let Some(path) = &path {
        versions = changes(&store, versions, path)?;
        if versions.is_empty() {
            let known = if numbers.is_empty() { "ever had" } else { "that can be read had" };
            let what = format!("no version {known} `{}`", readable(path));
            return Err(Failure::new(what, "`engrams ls` shows what there is"));
        }
    }
    let lines: Vec<Line> = versions.iter().map(|version| line(version, &tags)).collect();
    let report = Report { versions: lines, forgotten, damaged: numbers };
    session.report(&report, || text(&versions, &report))?;
    Ok(if is_whole { Ending::Complete } else { Ending::Partial })
}

/// The versions in which something at or under `path` came, changed or went.
///
/// An entry says which version last changed it, so only what went needs more: where nothing came, a smaller
/// number of entries tells.
fn changes(store: &EngramStore, versions: Vec<Version>, path: &[u8]) -> Result<Vec<Version>, Failure> {
    let mut changed = Vec::new();
    let (mut before, mut number) = (0, 0);
    for version in versions.into_iter().rev() {
        let (mut count, mut touched) = (0_u64, false);
        for entry in store.tree(Some(version.number))?.entries(path) {
            count += 1;
            // Also what a version changed that is forgotten.
            touched |= entry?.version > number;
        }
        number = version.number;
        if touched || count != before {
            changed.push(version);
        }
        before = count;
    }
    changed.reverse();
    Ok(changed)
}

fn line(version: &Version, tags: &[Tag]) -> Line {
    Line {
        version: version.number,
        parent: version.parent,
        time: moment::rfc3339(version.time),
        message: version.message.clone(),
        tags: tags.iter().filter(|tag| tag.version == version.number).map(|tag| tag.name.clone()).collect(),
        files: version.files,
        bytes: version.bytes,
    }
}

fn text(versions: &[Version], report: &Report) -> String {
    if versions.is_empty() {
        return "no version yet\n".to_owned();
    }
    let mut text =
        format!("{:>7}  {:19}  {:>11}  {:>8}  message\n", "version", "time (UTC)", "files", "bytes");
    for (version, line) in versions.iter().zip(&report.versions) {
        let tags: String = line.tags.iter().map(|tag| format!("[{}] ", one_line(tag))).collect();
        let line = format!(
            "{:>7}  {}  {:>11}  {:>8}  {tags}{}",
            version.number,
            moment::short(version.time),
            figures::grouped(version.files),
            figures::bytes(version.bytes),
            one_line(&version.message)
        );
        text += line.trim_end();
        text.push('\n');
    }
    for (first, last) in &report.forgotten {
        text += &match first == last {
            true => format!("{first:>7}  forgotten\n"),
            false => format!("{first:>7}  to {last} forgotten\n"),
        };
    }
    text
}
