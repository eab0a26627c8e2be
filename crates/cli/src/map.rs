//! `engrams map`: groups of near-duplicate files in a version, and where its bytes go; as text, JSON and a picture.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use engrams::{Clusters, clusters};
use serde::Serialize;

use crate::engram::write;
use crate::failure::Failure;
use crate::path_text::{JsonPath, readable};
use crate::session::{At, Session, newest, no_such_path, stored_path};
use crate::{Ending, figures};

mod page;

#[derive(Debug, Args)]
#[command(after_help = "\
Files are in a group when each resembles some other one of it by half at least (Jaccard), or is identical to it.
`stored` is what the chunks of a file take, shared ones divided among the files that use them.

Examples:
  engrams map                         the largest groups
  engrams map data -o map.html        a picture, in one file that needs nothing else
  engrams map --version 3 --json | jq '.groups[0]'")]
pub(crate) struct Map {
    /// This path and everything under it [default: everything]
    path: Option<OsString>,

    #[command(flatten)]
    at: At,

    /// Draw it into this HTML file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report<'m> {
    version: u64,
    files: Vec<FileLine>,
    groups: Vec<Group<'m>>,
}

#[derive(Serialize)]
struct FileLine {
    #[serde(flatten)]
    path: JsonPath,
    size: u64,
    stored: u64,
    /// Its place in `groups`.
    group: Option<usize>,
}

#[derive(Serialize)]
struct Group<'m> {
    /// Places in `files`.
    files: &'m [usize],
    size: u64,
    stored: u64,
    /// Different contents among them.
    contents: usize,
}

pub(crate) fn run(session: &Session, verb: &Map) -> Result<Ending, Failure> {
    let store = session.open_for_reading()?;
    let number = verb.at.number(&store)?;
    let version = match number {
        Some(number) => store.version(number)?,
        None => newest(&store)?,
    };
    let path = verb.path.as_deref().map(stored_path).transpose()?.unwrap_or_default();
    let found = clusters(&store, &version, &path)?;
    if found.files.is_empty() && !path.is_empty() {
        let tree = store.tree(Some(version.number))?;
        if tree.entries(&path).next().is_none() {
            return Err(no_such_path(&path, &tree, number));
        }
    }
    if let Some(file) = &verb.output {
        write(file, page::html(version.number, &path, &found).as_bytes())?;
    }
    let report = Report {
        version: version.number,
        files: found
            .files
            .iter()
            .map(|file| FileLine {
                path: JsonPath::new(&file.path),
                size: file.size,
                stored: file.stored.round() as u64,
                group: file.cluster,
            })
            .collect(),
        groups: found
            .clusters
            .iter()
            .map(|cluster| Group {
                files: &cluster.files,
                size: cluster.size,
                stored: cluster.stored.round() as u64,
                contents: cluster.contents,
            })
            .collect(),
    };
    session.report(&report, || text(&found))?;
    Ok(Ending::Complete)
}

/// Groups shown, and names of each.
const SHOWN: (usize, usize) = (20, 5);

fn text(found: &Clusters) -> String {
    let mut text = format!("{:>8} {:>9} {:>9} {:>8}  names\n", "files", "bytes", "stored", "distinct");
    for cluster in found.clusters.iter().take(SHOWN.0) {
        let mut names: Vec<String> =
            cluster.files.iter().take(SHOWN.1).map(|at| readable(&found.files[*at].path)).collect();
        if cluster.files.len() > SHOWN.1 {
            names.push(format!("and {} more", figures::grouped((cluster.files.len() - SHOWN.1) as u64)));
        }
        text += &format!(
            "{:>8} {:>9} {:>9} {:>8}  {}\n",
            figures::grouped(cluster.files.len() as u64),
            figures::bytes(cluster.size),
            figures::bytes(cluster.stored.round() as u64),
            cluster.contents,
            names.join(", ")
        );
    }
    if found.clusters.len() > SHOWN.0 {
        text += &format!("{} more groups: --json lists all\n", found.clusters.len() - SHOWN.0);
    }
    let grouped = found.files.iter().filter(|file| file.cluster.is_some()).count();
    text += &format!(
        "{} of {} are in {}\n",
        figures::grouped(grouped as u64),
        figures::counted(found.files.len() as u64, "file", "files"),
        figures::counted(found.clusters.len() as u64, "group", "groups")
    );
    text
}
