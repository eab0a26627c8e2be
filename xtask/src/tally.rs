//! Counts of tests, read from the closing lines of the runners while their output passes by.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use crate::process::{self, Outcome};

/// Tests passed and failed so far, over all runners.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    passed: u64,
    failed: u64,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Adds up what test runners report.
#[derive(Default)]
pub(crate) struct Tally {
    counts: Cell<Counts>,
}

impl Tally {
    pub(crate) fn counts(&self) -> Counts {
        self.counts.get()
    }

    /// Runs a test runner: its output is passed on line by line, and counted.
    pub(crate) fn run(&self, command: &mut Command) -> Outcome {
        let shown = process::show(command);
        println!("   $ {shown}");
        if io::stdout().is_terminal() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`{shown}` does not start: {error}"))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let seen = thread::scope(|scope| {
            let errors = scope.spawn(|| err.map(|from| pass_on(from, io::stderr())).unwrap_or_default());
            let seen = out.map(|from| pass_on(from, io::stdout())).unwrap_or_default();
            // A thread that panicked has counted nothing; the runner's status is what decides.
            seen.plus(errors.join().unwrap_or_default())
        });
        self.counts.set(self.counts.get().plus(seen));
        let status = child.wait().map_err(|error| format!("`{shown}` is lost: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("`{shown}` failed ({status})")) }
    }
}

fn pass_on(from: impl Read, mut to: impl Write) -> Counts {
    let mut reader = BufReader::new(from);
    let (mut line, mut seen) = (Vec::new(), Counts::default());
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        // A closed terminal must not stop the tests.
        let _ = to.write_all(&line);
        seen = seen.plus(closing_line(&String::from_utf8_lossy(&line)).unwrap_or_default());
        line.clear();
    }
    seen
}

/// Reads `test result: ok. 3 passed; 0 failed; ...` (cargo test) and `Summary [ 0.1s] 3 tests run: 3 passed, ...`
/// (nextest).
fn closing_line(line: &str) -> Option<Counts> {
    let line = without_colour(line);
    let line = line.trim_start();
    let counts = line.strip_prefix("test result: ").or_else(|| {
        let summary = line.strip_prefix("Summary [")?;
        summary.split_once(" run: ").map(|(_, counts)| counts)
    })?;
    let words: Vec<&str> = counts.split_whitespace().collect();
    let before = |word: &str| {
        let found = words.windows(2).find(|pair| pair[1].trim_end_matches([',', ';']) == word);
        found.and_then(|pair| pair[0].parse::<u64>().ok()).unwrap_or(0)
    };
    Some(Counts { passed: before("passed"), failed: before("failed") + before("timed") })
}

/// The line without the terminal's escape sequences (`ESC [ ... letter`).
fn without_colour(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        plain.push_str(&part[end..]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_both_runners_are_read() {
        let counts = |passed, failed| Some(Counts { passed, failed });
        let cargo = "test result: FAILED. 41 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.04s";
        assert_eq!(closing_line(cargo), counts(41, 2));
        let nextest = "     Summary [   0.045s] 42 tests run: 42 passed (1 slow), 3 skipped";
        assert_eq!(closing_line(nextest), counts(42, 0));
        let failed = "     Summary [   0.045s] 4/9 tests run: 3 passed, 1 failed, 5 skipped";
        assert_eq!(closing_line(failed), counts(3, 1));
        let colour = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m7\u{1b}[0m tests run: \u{1b}[1m7\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m skipped";
        assert_eq!(closing_line(colour), counts(7, 0));
        assert_eq!(closing_line("test some::test ... ok"), None);
    }

    #[test]
    fn output_passes_by_unchanged_and_counts_add_up_over_runners() {
        let output =
            "running\ntest result: ok. 2 passed; 0 failed\nmore\ntest result: ok. 3 passed; 1 failed";
        let mut shown = Vec::new();
        let seen = pass_on(output.as_bytes(), &mut shown);
        assert_eq!(shown, output.as_bytes());
        assert_eq!(seen.plus(seen).to_string(), "10 passed, 2 failed");
    }

    #[test]
    fn a_runner_that_fails_is_an_error_whatever_it_printed() {
        let tally = Tally::default();
        assert!(tally.run(&mut Command::new("true")).is_ok());
        assert!(tally.run(&mut Command::new("false")).unwrap_err().contains("`false` failed"));
        assert_eq!(tally.counts(), Counts::default());
    }
}
