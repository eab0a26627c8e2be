//! A place to run the command in, and what it answered.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use engrams::store::Space;
use engrams::store::backend::{Backend, Batch, Durability, KeyRange, RocksBackend, RocksOptions};
use serde_json::Value;
use tempfile::TempDir;

/// The command under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_engrams");

/// A temporary directory with a store in it (made by the first ingest).
pub(crate) struct Bed {
    directory: TempDir,
}

/// What a run of the command answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    /// A path in the bed.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file in the bed, with the directories above it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// The command, to be run in the bed.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        self.command_of(Path::new(BINARY), arguments)
    }

    /// The same with another copy of the binary.
    pub(crate) fn command_of<S: AsRef<OsStr>>(&self, binary: &Path, arguments: &[S]) -> Command {
        let mut command = Command::new(binary);
        command
            .current_dir(self.directory.path())
            .env("ENGRAMS_STORE", self.path("store"))
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs the command.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Answer {
        Answer::of(&mut self.command(arguments))
    }

    /// Runs the command, which must succeed without a word on standard error.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Answer {
        let answer = self.run(arguments);
        assert_eq!((answer.status, &*answer.stderr), (0, ""), "{answer:?}");
        answer
    }

    /// Runs the command with `--json`, which must succeed and answer one object.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        self.ok(&arguments).json()
    }

    /// Changes the records of a kind in the closed store: `change` gives what to put in the place of a value.
    pub(crate) fn rewrite(&self, space: Space, mut change: impl FnMut(&[u8], &[u8]) -> Option<Vec<u8>>) {
        let database = RocksBackend::open(self.path("store/database"), &RocksOptions::default()).unwrap();
        let mut batch = Batch::new();
        for record in database.snapshot().unwrap().scan(space, KeyRange::default()) {
            let (key, value) = record.unwrap();
            if let Some(value) = change(&key, &value) {
                batch.put(space, key, value);
            }
        }
        assert!(!batch.is_empty(), "nothing to rewrite");
        database.write(batch, Durability::Staged).unwrap();
        database.close().unwrap();
    }

    /// Runs the command with something on standard input.
    pub(crate) fn feed(&self, arguments: &[&str], input: &[u8]) -> Answer {
        let file = self.write("standard input", input);
        Answer::of(self.command(arguments).stdin(fs::File::open(file).unwrap()))
    }
}

impl Drop for Bed {
    /// Makes everything deletable again for users other than root.
    fn drop(&mut self) {
        fn open_up(directory: &Path) {
            let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    open_up(&entry.path());
                }
            }
        }
        open_up(self.directory.path());
    }
}

impl Answer {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Standard output as exactly one JSON object.
    pub(crate) fn json(&self) -> Value {
        let value: Value =
            serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert!(value.is_object(), "{self:?}");
        value
    }

    /// The one line on standard error of a run that ended with `status`.
    pub(crate) fn line(&self, status: i32) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        let mut lines = self.stderr.lines();
        let line = lines.next().unwrap_or_default();
        assert!(line.starts_with("engrams: "), "{self:?}");
        assert_eq!(lines.next(), None, "{self:?}");
        line
    }
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Bytes that do not repeat, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Whether permissions mean anything to this user.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The fields of an object, sorted.
pub(crate) fn fields(value: &Value) -> Vec<&str> {
    let mut fields: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    fields
}
