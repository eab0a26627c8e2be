//! Random reads over all versions of a history: the example `random_reads` draws, reads and times them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::results::Reads;
use super::tool::{Place, Tool};
use crate::corpus::History;
use crate::process::{self, Outcome};
use crate::tree::Scratch;
use crate::workspace::Workspace;

const EXAMPLE: &str = "random_reads";
/// Enough for the slowest hundredth to be fifty.
const READS: usize = 5000;

/// Builds the example; nothing where the workspace has none.
pub(crate) fn program(workspace: &Workspace) -> Outcome<Option<PathBuf>> {
    if !workspace.root().join("examples").join(EXAMPLE).with_extension("rs").is_file() {
        eprintln!("   left out: this workspace has no example {EXAMPLE}");
        return Ok(None);
    }
    process::run(workspace.cargo("build").args(["--release", "--workspace", "--example", EXAMPLE]))?;
    Ok(Some(workspace.target().join("release").join("examples").join(EXAMPLE)))
}

/// Takes the history in, and reads from it in each round, each time with a new process that warms its own caches.
pub(crate) fn measure(
    program: &Path,
    engrams: &Tool,
    history: &History,
    rounds: usize,
    scratch: &Path,
) -> Outcome<Reads> {
    let at = |error: std::io::Error| format!("{}: {error}", scratch.display());
    let directory = Scratch::within(scratch, "reads").map_err(at)?;
    let place = Place(directory.path());
    fs::create_dir(place.stored()).map_err(at)?;
    for mut command in engrams.ingest(&place, history)? {
        process::read(&mut command)?;
    }
    let mut seen = Reads { reads: READS, rounds, ..Reads::default() };
    for round in 1..=rounds {
        let said = process::read(Command::new(program).arg(place.store()).arg(READS.to_string()))?;
        let quantile = |name| {
            milliseconds_after(&said, name).ok_or_else(|| format!("{EXAMPLE} names no {name}: {said:?}"))
        };
        let (half, most) = (quantile("p50")?, quantile("p99")?);
        eprintln!("   round {round} of {rounds}: p50 {half:.2} ms, p99 {most:.2} ms");
        seen.p50_milliseconds.push(half);
        seen.p99_milliseconds.push(most);
    }
    Ok(seen)
}

/// The duration after a word, as Rust writes durations: `p99 1.5ms,`.
fn milliseconds_after(text: &str, word: &str) -> Option<f64> {
    let mut words = text.split_whitespace().skip_while(|&other| other != word);
    let duration = words.nth(1)?.trim_end_matches(',');
    // `ms` and the rest before `s`, in which they end too.
    let units = [("ns", 1e-6), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3)];
    let (number, factor) =
        units.iter().find_map(|&(unit, factor)| Some((duration.strip_suffix(unit)?, factor)))?;
    number.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        let said = "5000 reads of 65536 bytes over 8 versions\n  p50 250.000µs, p90 900ns, p99 1.500ms, max 2.000s\n";
        let read = ["p50", "p90", "p99", "max", "p10"].map(|word| milliseconds_after(said, word));
        let expected = [Some(0.25), Some(9e-4), Some(1.5), Some(2000.0), None];
        for (read, expected) in read.into_iter().zip(expected) {
            let near = read.zip(expected).is_some_and(|(read, expected)| (read - expected).abs() < 1e-9);
            assert!(near || read == expected, "{read:?} is not {expected:?}");
        }
    }
}
