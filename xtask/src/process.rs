//! Running other programs: shown before they run, one clear line when they fail, and steps with their time.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a verb returns: nothing, or one line that says what failed and what to do.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// Runs a command with its output on this terminal.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let shown = show(command);
    println!("   $ {shown}");
    let status = command.status().map_err(|error| format!("`{shown}` does not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed ({status})")) }
}

/// Runs a command silently and returns its standard output; a failure carries its last line of complaint.
pub(crate) fn read(command: &mut Command) -> Outcome<String> {
    let shown = show(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`{shown}` does not start: {error}"))?;
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(|_| format!("`{shown}` does not speak UTF-8"));
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last = complaint.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    Err(format!("`{shown}` failed ({}): {last}", output.status))
}

/// True when the command starts and succeeds; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command as one would type it, with the flags it sets for the compiler.
pub(crate) fn show(command: &Command) -> String {
    let mut line = String::new();
    for (name, value) in command.get_envs() {
        if let (Some("RUSTFLAGS" | "RUSTDOCFLAGS" | "PROPTEST_CASES" | "PROPTEST_RNG_SEED"), Some(value)) =
            (name.to_str(), value)
        {
            let _ = write!(line, "{}={:?} ", name.to_string_lossy(), value.to_string_lossy());
        }
    }
    let program = std::path::Path::new(command.get_program());
    line.push_str(&program.file_name().unwrap_or(program.as_os_str()).to_string_lossy());
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Steps of a longer run: each announced, timed, and the first failure named.
pub(crate) struct Steps {
    started: Instant,
    done: Vec<(String, Duration)>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), done: Vec::new() }
    }

    /// Runs one step; an error says which step it was.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Outcome) -> Outcome {
        println!("== {name}");
        let started = Instant::now();
        let outcome = work();
        let took = started.elapsed();
        match outcome {
            Ok(()) => {
                println!("   {name}: ok, {:.1} s", took.as_secs_f64());
                self.done.push((name.to_owned(), took));
                Ok(())
            }
            Err(message) => Err(format!("step {name:?} failed after {:.1} s: {message}", took.as_secs_f64())),
        }
    }

    /// Every step that ran, with its time.
    pub(crate) fn finish(self) {
        let mut table = crate::table::Table::new(&["<step", ">seconds"]);
        for (name, took) in &self.done {
            table.row([name.clone(), format!("{:.1}", took.as_secs_f64())]);
        }
        table.rule();
        table.row([
            format!("all {} steps passed", self.done.len()),
            format!("{:.1}", self.started.elapsed().as_secs_f64()),
        ]);
        print!("\n{table}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_names_itself_and_the_command() {
        let failed = Steps::new().step("truth", || run(&mut Command::new("false"))).unwrap_err();
        assert!(failed.starts_with("step \"truth\" failed after"), "{failed}");
        assert!(failed.contains("`false` failed"), "{failed}");
    }

    #[test]
    fn a_command_is_shown_with_its_compiler_flags_only() {
        let mut command = Command::new("cargo");
        command.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings").env("OTHER", "1");
        assert_eq!(show(&command), "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_and_not_a_success() {
        assert!(!succeeds(&mut Command::new("no-such-program-anywhere")));
        assert!(read(&mut Command::new("no-such-program-anywhere")).unwrap_err().contains("does not start"));
    }
}
