//! `engrams tag`: names for versions, which protect them from being forgotten.

use clap::Args;
use engrams::TagList;
use serde::Serialize;

use crate::Ending;
use crate::failure::{Failure, warn};
use crate::path_text::one_line;
use crate::session::{Session, newest};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  engrams tag                     every tag, with its version
  engrams tag release-1.0         the newest version; a tag that exists moves
  engrams tag before-migration 7
  engrams tag --remove release-1.0

A tagged version is not forgotten, neither by a rule nor by its number.")]
pub(crate) struct Tag {
    /// The name; not a number
    name: Option<String>,

    /// The version it names [default: the newest]
    #[arg(requires = "name")]
    version: Option<u64>,

    /// Remove the tag; its version stays
    #[arg(long, requires = "name", conflicts_with = "version")]
    remove: bool,
}

#[derive(Serialize)]
struct Report {
    tags: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    version: u64,
}

pub(crate) fn run(session: &Session, verb: &Tag) -> Result<Ending, Failure> {
    let store = if verb.name.is_some() { session.open()? } else { session.open_for_reading()? };
    if let Some(name) = &verb.name {
        if verb.remove {
            store.untag(name)?;
        } else {
            let version = match verb.version {
                Some(version) => version,
                None => newest(&store)?.number,
            };
            store.tag(name, version)?;
        }
    }
    let TagList { tags, damaged, .. } = store.readable_tags()?;
    let tags = tags.into_iter().map(|tag| Line { name: tag.name, version: tag.version }).collect();
    store.close()?;
    damaged.iter().for_each(|error| warn(error));
    let report = Report { tags };
    session.report(&report, || {
        let lines = report.tags.iter().map(|tag| format!("{:>7}  {}\n", tag.version, one_line(&tag.name)));
        if report.tags.is_empty() { "no tag\n".to_owned() } else { lines.collect() }
    })?;
    Ok(if damaged.is_empty() { Ending::Complete } else { Ending::Partial })
}
