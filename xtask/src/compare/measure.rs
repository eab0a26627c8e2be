//! One command, measured: wall time, processor time and peak memory of it and of what it waited for.
//!
//! GNU time does the accounting. It is small, so that a child's peak is the child's own: a process starts with the
//! peak of the one that started it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::Instant;

use crate::process::{self, Outcome};

/// What one command, or several one after the other, took.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    /// Wall time.
    pub(crate) seconds: f64,
    /// Processor time, of the user and of the system, over all threads.
    pub(crate) cpu_seconds: f64,
    /// The largest resident set of any one process.
    pub(crate) peak_bytes: f64,
}

impl Usage {
    /// This and then another: times add up, the larger peak counts.
    pub(crate) fn and(self, next: Self) -> Self {
        Self {
            seconds: self.seconds + next.seconds,
            cpu_seconds: self.cpu_seconds + next.cpu_seconds,
            peak_bytes: self.peak_bytes.max(next.peak_bytes),
        }
    }
}

/// Runs a command without output and measures it; a failure carries its last line of complaint.
pub(crate) fn measure(command: &Command, scratch: &Path) -> Outcome<Usage> {
    run(command, scratch, Stdio::null(), |_| Ok(()))
}

/// The same with an input, which `feed` writes while the command runs.
pub(crate) fn measure_fed(
    command: &Command,
    scratch: &Path,
    feed: impl FnOnce(&mut ChildStdin) -> io::Result<()> + Send,
) -> Outcome<Usage> {
    run(command, scratch, Stdio::piped(), feed)
}

fn run(
    command: &Command,
    scratch: &Path,
    input: Stdio,
    feed: impl FnOnce(&mut ChildStdin) -> io::Result<()> + Send,
) -> Outcome<Usage> {
    let shown = process::show(command);
    let report = scratch.join("time");
    let mut timed = under_time(command, &report);
    timed.stdin(input).stdout(Stdio::null()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = timed.spawn().map_err(|error| format!("`{shown}` does not start: {error}"))?;
    let stdin = child.stdin.take();
    let (fed, output) = thread::scope(|scope| {
        let feeding =
            scope.spawn(move || stdin.map_or(Ok(()), |mut to| feed(&mut to).and_then(|()| to.flush())));
        let output = child.wait_with_output();
        (feeding.join(), output)
    });
    let seconds = started.elapsed().as_secs_f64();
    let output = output.map_err(|error| format!("`{shown}` is lost: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let last = complaint.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        return Err(format!("`{shown}` failed ({}): {last}", output.status));
    }
    match fed {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(format!("`{shown}` did not read its input: {error}")),
        Err(_) => return Err(format!("the input of `{shown}` could not be made")),
    }
    let text = fs::read_to_string(&report).map_err(|error| format!("{}: {error}", report.display()))?;
    accounts(&text, seconds).ok_or_else(|| format!("GNU time said of `{shown}`: {text:?}"))
}

fn under_time(command: &Command, report: &Path) -> Command {
    let mut timed = Command::new("time");
    timed
        .args(["-q", "-f", "%U %S %M", "-o"])
        .arg(report)
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        timed.current_dir(dir);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env::<&OsStr, &OsStr>(name, value),
            None => timed.env_remove(name),
        };
    }
    timed
}

/// Reads `user system peak`, in seconds and KiB.
fn accounts(text: &str, seconds: f64) -> Option<Usage> {
    let mut fields = text.lines().last()?.split_whitespace();
    let mut next = || fields.next()?.parse::<f64>().ok();
    let (user, system, kib) = (next()?, next()?, next()?);
    Some(Usage { seconds, cpu_seconds: user + system, peak_bytes: kib * 1024.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prerequisites;
    use crate::tree::Scratch;

    #[test]
    fn accounts_are_read_from_the_last_line() {
        let read = accounts("anything\n1.50 0.25 2048\n", 2.0);
        assert_eq!(read, Some(Usage { seconds: 2.0, cpu_seconds: 1.75, peak_bytes: 2_097_152.0 }));
        assert_eq!(accounts("1.5 0.2\n", 2.0), None);
        assert_eq!(accounts("", 2.0), None);
    }

    #[test]
    fn times_add_up_and_the_larger_peak_counts() {
        let one = Usage { seconds: 1.0, cpu_seconds: 2.0, peak_bytes: 30.0 };
        let two = Usage { seconds: 0.5, cpu_seconds: 0.5, peak_bytes: 20.0 };
        assert_eq!(one.and(two), Usage { seconds: 1.5, cpu_seconds: 2.5, peak_bytes: 30.0 });
    }

    #[test]
    fn a_command_keeps_its_directory_environment_and_input_under_time() {
        if prerequisites::on_path("time").is_none() {
            return;
        }
        let scratch = Scratch::new("measure").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "cat > fed && test \"$GIVEN\" = yes"]).env("GIVEN", "yes");
        command.current_dir(scratch.path());
        let usage = measure_fed(&command, scratch.path(), |to| to.write_all(b"bytes")).unwrap();
        assert!(usage.seconds > 0.0 && usage.peak_bytes > 0.0, "{usage:?}");
        assert_eq!(fs::read(scratch.path().join("fed")).unwrap(), b"bytes");
    }

    #[test]
    fn a_failure_carries_the_last_complaint() {
        if prerequisites::on_path("time").is_none() {
            return;
        }
        let scratch = Scratch::new("failure").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo first >&2; echo last >&2; exit 3"]);
        let failed = measure(&command, scratch.path()).unwrap_err();
        assert!(failed.ends_with("last") && failed.contains('3'), "{failed}");
    }
}
