//! The binary under test: started, waited for with a limit, killed, and what it said.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::process::Outcome;

/// Longer than any command here takes on a busy machine: what takes longer hangs.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// The binary, where what it prints is caught, and the key of the store it works on.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    binary: PathBuf,
    caught: PathBuf,
    key_file: Option<PathBuf>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Exit(i32),
    Signal(i32),
    Hung,
}

/// A command that has ended, and what it printed.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) end: End,
    pub(super) output: String,
    pub(super) complaint: String,
}

impl Subject {
    /// `caught` is a new directory for what commands print.
    pub(super) fn new(binary: PathBuf, caught: PathBuf) -> Outcome<Self> {
        fs::create_dir(&caught).map_err(|error| format!("{}: {error}", caught.display()))?;
        Ok(Self { binary, caught, key_file: None })
    }

    /// The same binary for another thread.
    pub(super) fn catching_in(&self, caught: PathBuf) -> Outcome<Self> {
        Self::new(self.binary.clone(), caught)
    }

    /// The same binary for stores with this key, if any: the first verb that makes a store encrypts it.
    pub(super) fn with_key(&self, key_file: Option<PathBuf>) -> Self {
        Self { key_file, ..self.clone() }
    }

    /// It works on encrypted stores.
    pub(super) fn is_keyed(&self) -> bool {
        self.key_file.is_some()
    }

    /// Makes a key in a new file, if the binary has the verb for it.
    pub(super) fn make_key(&self, file: &Path) -> Outcome<bool> {
        if !self.knows("keygen")? {
            return Ok(false);
        }
        let made = self.run_command(Command::new(&self.binary).arg("keygen").arg(file))?;
        if made.succeeded() { Ok(true) } else { Err(format!("keygen: {}", made.shown())) }
    }

    /// The verb is one the binary has.
    pub(super) fn knows(&self, verb: &str) -> Outcome<bool> {
        let help = self.wait(self.start(Command::new(&self.binary).arg("help"))?)?;
        Ok(help.output.lines().any(|line| line.split_whitespace().next() == Some(verb)))
    }

    /// The command `engrams -s STORE ARGUMENTS`.
    pub(super) fn command<S: AsRef<OsStr>>(&self, store: &Path, arguments: &[S]) -> Command {
        self.unlocking(Command::new(&self.binary), store, arguments)
    }

    /// The same command under another program, as `strace`.
    pub(super) fn command_under<S: AsRef<OsStr>>(
        &self,
        mut outer: Command,
        store: &Path,
        arguments: &[S],
    ) -> Command {
        outer.arg(&self.binary);
        self.unlocking(outer, store, arguments)
    }

    fn unlocking<S: AsRef<OsStr>>(&self, mut command: Command, store: &Path, arguments: &[S]) -> Command {
        match &self.key_file {
            Some(key_file) => command.env("ENGRAMS_KEY_FILE", key_file),
            None => command.env_remove("ENGRAMS_KEY_FILE"),
        };
        command.arg("-s").arg(store).args(arguments);
        command
    }

    /// Runs a command to its end.
    pub(super) fn run<S: AsRef<OsStr>>(&self, store: &Path, arguments: &[S]) -> Outcome<Ran> {
        self.run_command(&mut self.command(store, arguments))
    }

    pub(super) fn run_command(&self, command: &mut Command) -> Outcome<Ran> {
        self.wait(self.start(command)?)
    }

    /// Starts a command and returns at once.
    pub(super) fn start(&self, command: &mut Command) -> Outcome<Child> {
        let catch = |name| File::create(self.caught.join(name)).map_err(|error| format!("{name}: {error}"));
        command.stdin(Stdio::null()).stdout(catch("output")?).stderr(catch("complaint")?);
        let program = command.get_program().to_owned();
        command.spawn().map_err(|error| format!("{} does not start: {error}", program.display()))
    }

    /// Waits for what was started.
    pub(super) fn wait(&self, mut child: Child) -> Outcome<Ran> {
        let mut threads = String::new();
        let end = match wait_for(&mut child, LIMIT)? {
            Some(status) => {
                status.code().map_or_else(|| End::Signal(status.signal().unwrap_or_default()), End::Exit)
            }
            None => {
                threads = threads_of(child.id());
                kill(&mut child)?;
                End::Hung
            }
        };
        let read = |name| fs::read(self.caught.join(name)).map_err(|error| format!("{name}: {error}"));
        Ok(Ran {
            end,
            output: String::from_utf8_lossy(&read("output")?).into_owned(),
            complaint: threads + &String::from_utf8_lossy(&read("complaint")?),
        })
    }
}

impl Ran {
    pub(super) fn succeeded(&self) -> bool {
        self.end == End::Exit(0)
    }

    /// What is wrong with the way it failed: a failure is status 1 (or 3, with a line for each path) and one line
    /// that says what and where.
    pub(super) fn unclear(&self) -> Option<String> {
        let lines = self.complaint.lines().count();
        let well_said = self.complaint.lines().all(|line| line.starts_with("engrams: "));
        match self.end {
            End::Exit(0) => None,
            End::Exit(1) if well_said && lines == 1 => None,
            End::Exit(1 | 3) if well_said && lines > 0 && self.said_in_several() => None,
            _ => Some(self.shown()),
        }
    }

    /// Several things may be named, a line each: by `verify`, and by what is done in part.
    fn said_in_several(&self) -> bool {
        self.end == End::Exit(3) || self.complaint.contains("the store is damaged in ")
    }

    /// For a report: how it ended and the first lines it said.
    pub(super) fn shown(&self) -> String {
        let said: Vec<&str> = self.complaint.lines().take(3).collect();
        format!("{:?}, saying {said:?}", self.end)
    }
}

/// What each thread of a process that hangs is at: its state, the system call with its arguments, and its name.
fn threads_of(process: u32) -> String {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return String::new() };
    let mut line = String::from("its threads:");
    for thread in threads.flatten() {
        let read = |name| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let stat = read("stat");
        let state = stat.rsplit(')').next().unwrap_or_default().split_whitespace().next();
        let (state, call) = (state.unwrap_or("?"), read("syscall"));
        line += &format!(" [{} {state} in {}: {}]", read("comm").trim(), read("wchan"), call.trim());
    }
    line + "\n"
}

/// Waits for at most `limit`; `None` when it still runs.
pub(super) fn wait_for(child: &mut Child, limit: Duration) -> Outcome<Option<ExitStatus>> {
    let started = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait().map_err(|error| format!("waiting: {error}"))? {
            return Ok(Some(status));
        }
        let left = limit.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(4));
    }
}

/// Kills with SIGKILL and waits until it is gone.
pub(super) fn kill(child: &mut Child) -> Outcome {
    child.kill().and_then(|()| child.wait()).map(drop).map_err(|error| format!("killing: {error}"))
}
