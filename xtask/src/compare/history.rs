//! A history taken in by every tool, round by round: in each round every tool has its turn, so that a machine that
//! slows down for a while slows them all.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::measure::{Usage, measure};
use super::results::{Histories, Row};
use super::tool::{Place, Tool};
use crate::corpus::History;
use crate::process::{self, Outcome};
use crate::tree::{self, Scratch};

/// Measures all tools; a tool that fails keeps its row, which says why, and is not asked again.
pub(crate) fn measure_all(
    tools: &[Tool],
    history: &History,
    rounds: usize,
    scratch: &Path,
) -> Outcome<Histories> {
    let unreadable = |error: io::Error| format!("{}: {error}", history.name);
    let mut bytes = Vec::new();
    for (_, dir) in &history.versions {
        // Comparing a tree with itself reads it whole: every tool then finds it in the page cache.
        bytes.push(tree::compare(dir, dir).map_err(unreadable)?.bytes);
    }
    let mut rows: Vec<Row> = tools.iter().map(row).collect();
    for round in 1..=rounds {
        for (tool, row) in tools.iter().zip(&mut rows).filter(|(_, row)| row.failed.is_none()) {
            match turn(tool, history, scratch) {
                Ok(turn) => {
                    eprintln!(
                        "   round {round} of {rounds}: {}: {:.1} s in, {:.2} MB, {:.1} s out",
                        row.tool,
                        turn.ingest.seconds,
                        turn.disk_bytes / 1e6,
                        turn.extract.seconds
                    );
                    row.ingest.push(turn.ingest);
                    row.extract.push(turn.extract);
                    row.disk_bytes.push(turn.disk_bytes);
                }
                Err(why) => {
                    eprintln!("   round {round} of {rounds}: {}: {why}", row.tool);
                    row.failed = Some(why);
                }
            }
        }
    }
    Ok(Histories {
        name: history.name.clone(),
        versions: history.versions.len(),
        bytes: bytes.iter().sum(),
        newest_bytes: bytes.last().copied().unwrap_or(0),
        rounds,
        tools: rows,
    })
}

fn row(tool: &Tool) -> Row {
    let (version, failed) = match tool.version() {
        Ok(version) => (version, None),
        Err(why) => (String::new(), Some(why)),
    };
    Row {
        tool: tool.label(),
        version,
        typed: tool.typed(),
        note: tool.note().to_owned(),
        failed,
        ..Row::default()
    }
}

/// One tool's part of one round.
struct Turn {
    ingest: Usage,
    extract: Usage,
    disk_bytes: f64,
}

fn turn(tool: &Tool, history: &History, scratch: &Path) -> Outcome<Turn> {
    let io = |error: io::Error| format!("{}: {error}", scratch.display());
    let directory = Scratch::within(scratch, "turn").map_err(io)?;
    let place = Place(directory.path());
    let into = directory.path().join("extracted");
    for dir in [place.stored(), into.clone()] {
        fs::create_dir(dir).map_err(io)?;
    }
    if let Some(mut prepare) = tool.prepare(&place) {
        process::read(&mut prepare)?;
    }
    // What the tool before left to be written is not this one's.
    process::read(&mut Command::new("sync"))?;
    let mut ingest = Usage::default();
    for command in tool.ingest(&place, history)? {
        ingest = ingest.and(measure(&command, directory.path())?);
    }
    let disk_bytes = tree::size(&place.stored()).map_err(io)? as f64;
    let extract = measure(&tool.extract(&place, history, &into)?, directory.path())?;
    let (_, original) = history.versions.last().ok_or("a history without versions")?;
    let copy = tool.extracted(history, &into)?;
    let compared = if tool.keeps_attributes() {
        tree::compare(original, &copy)
    } else {
        tree::compare_contents(original, &copy)
    };
    match compared.map_err(|error| format!("what came out can't be compared: {error}"))?.differences.first() {
        Some(difference) => Err(format!("what came out is not what went in: {difference}")),
        None => Ok(Turn { ingest, extract, disk_bytes }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn history(dir: &Path) -> History {
        fs::create_dir(dir.join("1")).unwrap();
        fs::write(dir.join("1/file"), b"seven b").unwrap();
        History { name: "tiny".to_owned(), versions: vec![("1".to_owned(), dir.join("1"))] }
    }

    #[test]
    fn a_tool_that_is_not_there_keeps_a_row_that_says_so() {
        let scratch = Scratch::new("absent").unwrap();
        let history = history(scratch.path());
        let tool = Tool::Engrams { binary: PathBuf::from("no-such-program-anywhere"), level: None };
        let measured = measure_all(&[tool], &history, 2, scratch.path()).unwrap();
        assert_eq!((measured.bytes, measured.newest_bytes, measured.versions), (7, 7, 1));
        assert!(measured.tools[0].failed.as_ref().unwrap().contains("does not start"));
        assert_eq!(measured.tools[0].ingest.seconds.median(), None);
    }

    #[test]
    fn a_turn_that_fails_leaves_nothing_behind() {
        let scratch = Scratch::new("cleaning").unwrap();
        let history = history(scratch.path());
        let tool = Tool::Engrams { binary: PathBuf::from("false"), level: None };
        assert!(turn(&tool, &history, scratch.path()).is_err());
        let left: Vec<_> =
            fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["1"]);
    }
}
