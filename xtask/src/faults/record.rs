//! The recorder: what a process did to the files below one directory, read from what `strace` says of its system calls.
//!
//! Whatever it does not understand is an error and never left out; the campaign also compares what the record adds up to
//! with the directory itself.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use super::call::{Call, Descriptor};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::disk::{Fate, state_after};

    /// A line as strace writes it with `-xx`: strings and paths of descriptors in escapes.
    fn escape(line: &str) -> String {
        let hex = |text: &str| text.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        let mut out = String::new();
        for (number, part) in line.split('"').enumerate() {
            if number % 2 == 1 {
                out += &format!("\"{}\"", hex(part));
                continue;
            }
            for (number, part) in part.split(['«', '»']).enumerate() {
                out += &if number % 2 == 1 { format!("<{}>", hex(part)) } else { part.to_owned() };
            }
        }
        out
    }

    fn recorded(lines: &[&str]) -> Outcome<Recorder> {
        let mut recorder = Recorder::new(PathBuf::from("/disk"));
        let lines: Vec<String> = lines.iter().map(|line| escape(line)).collect();
        recorder.add(7, &lines.join("\n")).map(|()| recorder)
    }

    const CREATED: [&str; 2] = [
        r#"10 openat(AT_FDCWD«/tmp», "/disk/log", O_WRONLY|O_CREAT|O_TRUNC, 0644) = 4«/disk/log»"#,
        r#"10 write(4«/disk/log», "one", 3) = 3"#,
    ];

    fn content(recorder: &Recorder, fate: Fate) -> Vec<u8> {
        let events = &recorder.events;
        let state =
            state_after(events, events.len(), |what| if what.is_directory { Fate::Kept } else { fate });
        state.files[Path::new("log")].clone()
    }

    #[test]
    fn writes_follow_each_other_and_seeks_and_truncations_are_heeded() {
        let lines = [
            &CREATED[..],
            &[
                r#"10 writev(4«/disk/log», [{iov_base="tw", iov_len=2}], 1) = 2"#,
                r#"10 pwrite64(4«/disk/log», "ON", 2, 0) = 2"#,
                r#"10 lseek(4«/disk/log», 6, SEEK_SET) = 6"#,
                r#"10 write(4«/disk/log», "end", 3) = 1"#,
                r#"10 ftruncate(4«/disk/log», 8) = 0"#,
            ],
        ]
        .concat();
        let recorder = recorded(&lines).unwrap();
        assert_eq!(content(&recorder, Fate::Kept), b"ONetw\0e\0");
    }

    #[test]
    fn a_sync_covers_what_was_written_before_it_began() {
        let lines = [
            &CREATED[..],
            &[
                "10 fsync(4«/disk/log» <unfinished ...>",
                r#"11 write(4«/disk/log», "two", 3) = 3"#,
                "10 <... fsync resumed>)              = 0",
            ],
        ]
        .concat();
        let recorder = recorded(&lines).unwrap();
        assert_eq!(content(&recorder, Fate::Lost), b"one");
        assert_eq!(content(&recorder, Fate::Kept), b"onetwo");
    }

    #[test]
    fn a_failed_call_has_done_nothing_and_other_places_are_no_concern() {
        let lines = [
            &CREATED[..],
            &[
                r#"10 write(4«/disk/log», "two", 3) = -1 ENOSPC (No space left on device)"#,
                r#"10 unlink("/elsewhere/log") = 0"#,
                "10 --- SIGCHLD [si_signo=SIGCHLD] ---",
                "10 +++ exited with 0 +++",
            ],
        ]
        .concat();
        assert_eq!(content(&recorded(&lines).unwrap(), Fate::Kept), b"one");
    }

    #[test]
    fn the_commit_is_promised_when_its_mark_is_synced_or_the_report_is_printed() {
        let promises = |lines: &[&str]| {
            let events = recorded(lines).unwrap().events;
            events.iter().position(|event| matches!(event, Event::Promise { step: 7 }))
        };
        let mark = [
            r#"10 openat(AT_FDCWD«/tmp», "/disk/COMMIT.new", O_WRONLY|O_CREAT, 0644) = 4«/disk/COMMIT.new»"#,
            r#"10 rename("/disk/COMMIT.new", "/disk/COMMIT") = 0"#,
            "10 fsync(5«/disk») = 0",
        ];
        assert_eq!(promises(&mark), Some(4), "after the beginning, the name, the rename and the sync");
        assert_eq!(promises(&mark[..2]), None);
        assert_eq!(promises(&[r#"10 write(1«pipe:[1]», "version 1", 9 <unfinished ...>"#]), Some(1));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let refused = |line: &str| recorded(&[&CREATED[..], &[line]].concat()).unwrap_err();
        assert!(refused(r#"10 link("/disk/log", "/disk/other") = 0"#).contains("link is not modelled"));
        assert!(refused("10 fallocate(4«/disk/log», 0, 0, 100) = 0").contains("fallocate"));
        let mapped = "10 mmap(NULL, 10, PROT_READ|PROT_WRITE, MAP_SHARED, 4«/disk/log», 0) = 0x7f00";
        assert!(refused(mapped).contains("mmap"));
        assert!(refused(r#"10 write(9«/disk/never», "x", 1) = 1"#).contains("never made"));
    }
}
