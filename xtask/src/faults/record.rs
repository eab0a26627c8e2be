//! The recorder: what a process did to the files below one directory, read from what `strace` says of its system calls.
//!
//! Whatever it does not understand is an error and never left out; the campaign also compares what the record adds up to
//! with the directory itself.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use super::disk::{Event, Inode, ROOT};
use crate::process::Outcome;

/// The calls that change files, and those that are needed to follow them.
const CALLS: &str = "openat,open,creat,close,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,\
    fsync,fdatasync,syncfs,sync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,\
    symlinkat,mmap,copy_file_range,sendfile,splice,dup,dup2,dup3,fcntl,lseek";

/// A command that writes down the calls of what its arguments start.
pub(super) fn strace(log: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "--seccomp-bpf", "-y", "-xx", "-s", "1000000000", "-e"]);
    command.arg(format!("trace={CALLS}")).arg("-o").arg(log);
    command
}

/// The events so far, and what is known of the files they concern.
#[derive(Debug)]
pub(super) struct Recorder {
    root: PathBuf,
    pub(super) events: Vec<Event>,
    /// What each name below the root is now, and for files their length.
    names: BTreeMap<PathBuf, Inode>,
    lengths: BTreeMap<Inode, Option<u64>>,
    /// The mark of a commit was put into this directory and not yet synced there.
    marked: Option<Inode>,
}

/// Calls of one process.
#[derive(Debug, Default)]
struct Process {
    /// Where the next write through a descriptor goes; `None`: to the end.
    positions: BTreeMap<u64, Option<u64>>,
    /// Calls that have begun, by thread: their text so far, and how many events there were then.
    begun: BTreeMap<u64, (String, usize)>,
    step: usize,
    promised: bool,
}

impl Recorder {
    /// A record of what happens below `root`, an empty directory.
    pub(super) fn new(root: PathBuf) -> Self {
        let lengths = BTreeMap::from([(ROOT, None)]);
        let names = BTreeMap::from([(PathBuf::new(), ROOT)]);
        Self { root, events: Vec::new(), names, lengths, marked: None }
    }

    /// Adds what one command did, which is step number `step`.
    pub(super) fn add(&mut self, step: usize, log: &str) -> Outcome {
        self.events.push(Event::Begin { step });
        let mut process = Process { step, ..Process::default() };
        for (number, line) in log.lines().enumerate() {
            self.line(&mut process, line).map_err(|why| {
                let start: String = line.chars().take(300).collect();
                format!("the record of step {step} is not understood in line {}: {why}: {start}", number + 1)
            })?;
        }
        Ok(())
    }

    fn line(&mut self, process: &mut Process, line: &str) -> Outcome {
        let (thread, rest) = line.trim_start().split_once(' ').ok_or("no thread")?;
        let thread: u64 = thread.parse().map_err(|_| "no thread")?;
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            return Ok(());
        }
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            process.begun.insert(thread, (begun.to_owned(), self.events.len()));
            // What is printed has been promised before it is known to have been printed.
            return self.printed(process, begun);
        }
        let (text, began) = match rest.strip_prefix("<... ") {
            Some(resumed) => {
                let (_, tail) = resumed.split_once(" resumed>").ok_or("a call resumed without saying so")?;
                let (begun, began) = process.begun.remove(&thread).ok_or("resumed, never begun")?;
                (begun + tail, began)
            }
            None => (rest.to_owned(), self.events.len()),
        };
        self.printed(process, &text)?;
        match Call::parse(&text)? {
            Some(call) => self.call(process, &call, began),
            None => Ok(()),
        }
    }

    /// A report on standard output is a promise.
    fn printed(&mut self, process: &mut Process, text: &str) -> Outcome {
        if text.starts_with("write(1<") && !process.promised {
            self.promise(process);
        }
        Ok(())
    }

    fn promise(&mut self, process: &mut Process) {
        process.promised = true;
        self.events.push(Event::Promise { step: process.step });
    }

    fn call(&mut self, process: &mut Process, call: &Call<'_>, began: usize) -> Outcome {
        match call.name {
            "openat" | "open" | "creat" => self.open(process, call),
            "write" | "writev" => {
                let descriptor = call.descriptor(0)?;
                let Some(inode) = self.inode_of(&descriptor)? else { return Ok(()) };
                let position = process.positions.get(&descriptor.number).copied().flatten();
                let at = position.unwrap_or(self.length(inode)?);
                if let Some(known) = process.positions.get_mut(&descriptor.number).and_then(Option::as_mut) {
                    *known = at + call.result;
                }
                self.write(inode, at, call.bytes(1)?, call.result)
            }
            "pwrite64" => match self.inode_of(&call.descriptor(0)?)? {
                Some(inode) => self.write(inode, call.number(3)?, call.bytes(1)?, call.result),
                None => Ok(()),
            },
            "ftruncate" => match self.inode_of(&call.descriptor(0)?)? {
                Some(inode) => self.truncate(inode, call.number(1)?),
                None => Ok(()),
            },
            "fsync" | "fdatasync" => self.sync(process, &call.descriptor(0)?, began),
            "rename" => self.rename(&call.path(None, 0)?, &call.path(None, 1)?),
            "renameat" | "renameat2" => self.rename(&call.path(Some(0), 1)?, &call.path(Some(2), 3)?),
            "unlink" | "rmdir" => self.remove(&call.path(None, 0)?),
            "unlinkat" => self.remove(&call.path(Some(0), 1)?),
            "mkdir" => self.create(&call.path(None, 0)?, true),
            "mkdirat" => self.create(&call.path(Some(0), 1)?, true),
            "lseek" => {
                let known = process.positions.get_mut(&call.descriptor(0)?.number).and_then(Option::as_mut);
                if let Some(known) = known {
                    *known = call.result;
                }
                Ok(())
            }
            "close" => {
                process.positions.remove(&call.descriptor(0)?.number);
                Ok(())
            }
            "mmap" if !(call.has(3, "MAP_SHARED") && call.has(2, "PROT_WRITE")) => Ok(()),
            "fcntl" if !call.has(1, "F_DUPFD") => Ok(()),
            // No name of a file below the root, nothing to do with it.
            _ if !call.mentions(&self.root) => Ok(()),
            other => Err(format!("{other} is not modelled")),
        }
    }

    fn open(&mut self, process: &mut Process, call: &Call<'_>) -> Outcome {
        let (path, flags) =
            if call.name == "openat" { (call.path(Some(0), 1)?, 2) } else { (call.path(None, 0)?, 1) };
        let Some(name) = self.below(&path) else { return Ok(()) };
        process.positions.insert(call.result, (!call.has(flags, "O_APPEND")).then_some(0));
        if call.name == "creat" {
            return Err("creat is not modelled".to_owned());
        }
        match self.names.get(&name).copied() {
            Some(inode) if call.has(flags, "O_TRUNC") && self.length(inode)? > 0 => self.truncate(inode, 0),
            None if call.has(flags, "O_CREAT") => self.create(&path, false),
            None => Err("opens what was never made".to_owned()),
            Some(_) => Ok(()),
        }
    }

    /// The name below the root; `None` for what lies elsewhere.
    fn below(&self, path: &Path) -> Option<PathBuf> {
        let rest = path.strip_prefix(&self.root).ok()?;
        let plain = rest.components().filter(|part| !matches!(part, Component::CurDir));
        Some(plain.collect())
    }

    fn inode_of(&self, descriptor: &Descriptor) -> Outcome<Option<Inode>> {
        // What has no name any more is gone after a power cut, whatever is written to it.
        if descriptor.deleted {
            return Ok(None);
        }
        let Some(name) = self.below(&descriptor.path) else { return Ok(None) };
        self.names.get(&name).copied().map(Some).ok_or_else(|| "a file that was never made".to_owned())
    }

    fn length(&self, inode: Inode) -> Outcome<u64> {
        self.lengths.get(&inode).copied().flatten().ok_or_else(|| "a directory used as a file".to_owned())
    }

    fn write(&mut self, inode: Inode, at: u64, mut bytes: Vec<u8>, written: u64) -> Outcome {
        bytes.truncate(written as usize);
        if bytes.len() as u64 != written {
            return Err(format!("{} of {written} bytes are shown", bytes.len()));
        }
        let length = self.length(inode)?.max(at + written);
        self.lengths.insert(inode, Some(length));
        self.events.push(Event::Write { inode, at, bytes: bytes.into() });
        Ok(())
    }

    fn truncate(&mut self, inode: Inode, length: u64) -> Outcome {
        if self.length(inode)? != length {
            self.lengths.insert(inode, Some(length));
            self.events.push(Event::Truncate { inode, length });
        }
        Ok(())
    }

    fn sync(&mut self, process: &mut Process, descriptor: &Descriptor, began: usize) -> Outcome {
        let Some(inode) = self.inode_of(descriptor)? else { return Ok(()) };
        self.events.push(Event::Sync { inode, began });
        if self.marked == Some(inode) {
            // `commit` returns here.
            self.marked = None;
            self.promise(process);
        }
        Ok(())
    }

    fn directory_of(&self, path: &Path) -> Outcome<Option<(Inode, String, PathBuf)>> {
        let Some(name) = self.below(path) else { return Ok(None) };
        let around = name.parent().and_then(|around| self.names.get(around)).copied();
        let last = name.file_name().and_then(|last| last.to_str()).map(str::to_owned);
        match (around, last) {
            (Some(around), Some(last)) => Ok(Some((around, last, name))),
            _ => Err(format!("{} has no directory", path.display())),
        }
    }

    fn create(&mut self, path: &Path, is_directory: bool) -> Outcome {
        let Some((directory, name, full)) = self.directory_of(path)? else { return Ok(()) };
        let inode = self.lengths.len();
        self.lengths.insert(inode, (!is_directory).then_some(0));
        self.names.insert(full, inode);
        self.events.push(Event::Create { directory, name, inode, is_directory });
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Outcome {
        let ((directory, from, old), (other, to, new)) =
            match (self.directory_of(from)?, self.directory_of(to)?) {
                (Some(from), Some(to)) => (from, to),
                (None, None) => return Ok(()),
                _ => return Err("a rename across the root is not modelled".to_owned()),
            };
        let inode = self.names.remove(&old).ok_or("renames what was never made")?;
        if directory != other || self.lengths.get(&inode).is_none_or(Option::is_none) {
            return Err("a rename between directories, or of one, is not modelled".to_owned());
        }
        if to == "COMMIT" {
            self.marked = Some(directory);
        }
        self.names.insert(new, inode);
        self.events.push(Event::Rename { directory, from, to });
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> Outcome {
        let Some((directory, name, full)) = self.directory_of(path)? else { return Ok(()) };
        self.names.remove(&full).ok_or("removes what was never made")?;
        self.events.push(Event::Remove { directory, name });
        Ok(())
    }
}

/// A file descriptor, and the file that is open under it.
#[derive(Debug)]
struct Descriptor {
    number: u64,
    path: PathBuf,
    deleted: bool,
}

/// One call that succeeded.
#[derive(Debug)]
struct Call<'t> {
    name: &'t str,
    arguments: Vec<&'t str>,
    result: u64,
}

impl<'t> Call<'t> {
    /// `None` for a call that failed, which has done nothing.
    fn parse(text: &'t str) -> Outcome<Option<Self>> {
        let (call, result) = text.rsplit_once(") ").ok_or("no result")?;
        let result = result.trim_start().strip_prefix("= ").ok_or("no result")?;
        if result.starts_with('-') || result.starts_with('?') {
            return Ok(None);
        }
        let (name, arguments) = call.split_once('(').ok_or("no arguments")?;
        let digits = result.find(|c: char| !c.is_ascii_hexdigit() && c != 'x').unwrap_or(result.len());
        let result = number(&result[..digits]).ok_or("no number as its result")?;
        Ok(Some(Self { name, arguments: split(arguments), result }))
    }

    fn argument(&self, at: usize) -> Outcome<&'t str> {
        self.arguments.get(at).copied().ok_or_else(|| format!("argument {at} is missing"))
    }

    fn number(&self, at: usize) -> Outcome<u64> {
        number(self.argument(at)?).ok_or_else(|| format!("argument {at} is no number"))
    }

    fn has(&self, at: usize, flag: &str) -> bool {
        self.arguments.get(at).is_some_and(|argument| argument.contains(flag))
    }

    fn mentions(&self, root: &Path) -> bool {
        let shown: String = root.display().to_string().bytes().map(|byte| format!("\\x{byte:02x}")).collect();
        self.arguments.iter().any(|argument| argument.contains(&shown))
    }

    fn descriptor(&self, at: usize) -> Outcome<Descriptor> {
        let argument = self.argument(at)?;
        let (number, rest) = argument.split_once('<').unwrap_or((argument, ">"));
        let (path, after) = rest.rsplit_once('>').ok_or("no end of a descriptor's path")?;
        let path = PathBuf::from(text(path)?);
        Ok(Descriptor { number: number.parse().unwrap_or(u64::MAX), path, deleted: after == "(deleted)" })
    }

    /// The path in argument `at`, which is relative to the directory in argument `directory`.
    fn path(&self, directory: Option<usize>, at: usize) -> Outcome<PathBuf> {
        let quoted = self.argument(at)?;
        let path = PathBuf::from(String::from_utf8_lossy(&unquoted(quoted)?).into_owned());
        match directory {
            Some(directory) if path.is_relative() => Ok(self.descriptor(directory)?.path.join(path)),
            _ => Ok(path),
        }
    }

    /// All bytes quoted in argument `at`: one string, or those of a vector.
    fn bytes(&self, at: usize) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        for quoted in self.argument(at)?.split('"').skip(1).step_by(2) {
            bytes.extend_from_slice(&escaped(quoted)?);
        }
        Ok(bytes)
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The arguments: what stands between commas that are in no bracket.
fn split(arguments: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    for (at, byte) in arguments.bytes().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(arguments[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(arguments[start..].trim());
    parts
}

fn unquoted(quoted: &str) -> Outcome<Vec<u8>> {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    escaped(inner.ok_or("no whole string")?)
}

fn text(escapes: &str) -> Outcome<String> {
    Ok(String::from_utf8_lossy(&escaped(escapes)?).into_owned())
}

/// `\x61\x62` as bytes; what is not escaped (as in `pipe:[1]`) stands for itself.
fn escaped(text: &str) -> Outcome<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len() / 4), text.as_bytes());
    loop {
        match rest {
            [] => return Ok(bytes),
            [b'\\', b'x', high, low, tail @ ..] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or("no hexadecimal digit");
                bytes.push((digit(high)? * 16 + digit(low)?) as u8);
                rest = tail;
            }
            [plain, tail @ ..] => {
                bytes.push(*plain);
                rest = tail;
            }
        }
    }
}
