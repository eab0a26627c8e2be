//! `engrams ls`: what is in a version.

use std::ffi::OsString;

use clap::Args;
use engrams::{Entry, ErrorKind, Node};
use serde::Serialize;

use crate::failure::{Failure, warn};
use crate::path_text::{JsonPath, hex, readable};
use crate::session::{At, Output, Session, no_such_path, stored_path};
use crate::{Ending, figures, moment};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  engrams ls                          everything in the newest version
  engrams ls data/reports             a directory, with all that is under it
  engrams ls data --at 2026-11-20     as it was at the end of that day
  engrams ls --json | jq -r '.entries[] | select(.hash) | .hash + \"  \" + .path' | b3sum --check

In JSON, `mode` is a number (420 is 0o644), `mtime` RFC 3339 in UTC, `hash` the BLAKE3 that `b3sum` prints (null \
for what is no file), `version` the one that last changed the entry, `target` where a symbolic link points.")]
pub(crate) struct Ls {
    /// This path and everything under it [default: everything]
    path: Option<OsString>,

    #[command(flatten)]
    at: At,
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    path: JsonPath,
    kind: &'static str,
    size: u64,
    mode: u32,
    mtime: String,
    version: u64,
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

pub(crate) fn run(session: &Session, verb: &Ls) -> Result<Ending, Failure> {
    let store = session.open_for_reading()?;
    let number = verb.at.number(&store)?;
    let path = verb.path.as_deref().map(stored_path).transpose()?.unwrap_or_default();
    let tree = store.tree(number)?;
    let mut entries = tree.entries(&path).peekable();
    if entries.peek().is_none() && !path.is_empty() {
        return Err(no_such_path(&path, &tree, number));
    }

    // Entry by entry, so that a million of them take no memory.
    let mut output = Output::new();
    if session.json {
        output.text("{\"entries\":[")?;
    }
    let (mut first, mut ending) = (true, Ending::Complete);
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            // The walk goes on behind what is damaged.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                warn(&error.within("some paths can't be listed"));
                ending = Ending::Partial;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if session.json {
            if !first {
                output.text(",")?;
            }
            output.json(&line(&entry))?;
        } else {
            output.text(&text(&entry))?;
        }
        first = false;
    }
    if session.json {
        output.text("]}\n")?;
    }
    output.finish()?;
    Ok(ending)
}

fn line(entry: &Entry) -> Line {
    let (kind, size, hash, target) = match &entry.node {
        Node::Directory => ("directory", 0, None, None),
        Node::Symlink(target) => ("symlink", target.len() as u64, None, Some(readable(target))),
        Node::File(file) => ("file", file.size, Some(hex(&file.hash)), None),
    };
    Line {
        path: JsonPath::new(&entry.path),
        kind,
        size,
        mode: entry.attributes.mode,
        mtime: moment::rfc3339(entry.attributes.mtime),
        version: entry.version,
        hash,
        target,
    }
}

fn text(entry: &Entry) -> String {
    let (kind, size, target) = match &entry.node {
        Node::Directory => ('d', String::new(), String::new()),
        Node::Symlink(target) => ('l', String::new(), format!(" -> {}", readable(target))),
        Node::File(file) => ('-', figures::grouped(file.size), String::new()),
    };
    format!(
        "{kind}{} {size:>15}  {}  {}{target}\n",
        permissions(entry.attributes.mode),
        moment::short(entry.attributes.mtime),
        readable(&entry.path)
    )
}

/// Permission bits as `ls -l` shows them: `rwxr-sr-t`.
fn permissions(mode: u32) -> String {
    let mut text = String::with_capacity(9);
    for (group, special, set, unset) in [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')]
    {
        let bits = mode >> group;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => set,
            (true, false) => unset,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_look_as_in_ls() {
        assert_eq!(permissions(0o644), "rw-r--r--");
        assert_eq!(permissions(0o4755), "rwsr-xr-x");
        assert_eq!(permissions(0o3770), "rwxrws--T");
        assert_eq!(permissions(0), "---------");
    }
}
