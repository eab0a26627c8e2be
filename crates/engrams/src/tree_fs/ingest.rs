//! A directory, or one file, into a transaction.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, readlinkat, statat};

use super::content::{Content, has_holes};
use super::options::TreeOptions;
use super::skipped::{SkipReason, Skipped};
use super::stat::{FileStat, Identity};
use super::summary::{FileOutcome, TreeEvent, TreeSummary};
use super::walk::{DIRECTORY, Walk};
use super::{MAX_REPORTS, attributes};
use crate::{Attributes, Error, ErrorKind, FileSummary, Result, Timestamp, Transaction, Tree, check_path};

/// How often a file that changes while it is read is read again.
const RETRIES: u32 = 3;

/// How files are opened: never through a symbolic link, and without waiting should a pipe have been put there.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Makes the tree `name` of the transaction what the directory `dir` is now: what is gone from the directory is gone
/// from the tree, and other trees stay as they are.
///
/// `dir` itself may be a symbolic link to a directory; below it none is followed. Files arrive in the order of
/// their whole paths, so that neighbours end up beside each other. A file or directory that can't be read keeps
/// what the version before had there (for a directory: everything under it), and is reported. Sockets, pipes and
/// devices are left out and reported. A file that changes while it is read is read again, up to three times.
///
/// Files with several hard links are kept as a group, named by the first of their paths in this tree.
///
/// # Errors
/// `Invalid`: `name` is no path for a store, or `dir` is (inside) the store itself. `NotFound`, `Io`: `dir` can't be
/// opened or listed. Any error of the transaction. What lies below `dir` is reported, not returned.
pub fn ingest_tree(
    tx: &mut Transaction,
    dir: &Path,
    name: &[u8],
    options: &TreeOptions,
    on_event: &mut dyn FnMut(TreeEvent<'_>),
) -> Result<TreeSummary> {
    check_path(name)?;
    let opening = |error: io::Error| opening(dir, error);
    let root = File::open(dir).map_err(opening)?;
    let stat = FileStat::from(fstat(&root).map_err(|error| opening(error.into()))?);
    if stat.kind != FileType::Directory {
        return Err(Error::invalid(format!("{} is not a directory", dir.display())));
    }
    let store = options.store_directory.as_deref().and_then(identity_of);
    if let Some(store) = store {
        refuse_store(dir, store)?;
    }

    tx.clear(name)?;
    let base = tx.base().clone();
    let links = HashMap::new();
    let summary = TreeSummary::default();
    let mut ingest = Ingest { tx, base, options, store, links, summary, on_event };
    ingest.put_directory(name, &stat, attributes::of_open(&root))?;
    let mut walk = Walk::new(name, OwnedFd::from(root), stat.identity).map_err(opening)?;
    while walk.advance() {
        ingest.visit(&mut walk, name.len() + 1)?;
    }
    Ok(ingest.summary)
}

/// Puts one file into the transaction under `name`. A symbolic link is followed: it is the file that was asked for.
///
/// # Errors
/// `Invalid`: `name` is no path for a store, or `file` is no regular file. `NotFound`, `Io`: it can't be opened or
/// read; the transaction is then as it was. Any error of the transaction.
pub fn ingest_file(
    tx: &mut Transaction,
    file: &Path,
    name: &[u8],
    options: &TreeOptions,
    on_event: &mut dyn FnMut(TreeEvent<'_>),
) -> Result<FileOutcome> {
    check_path(name)?;
    let opening = |error: io::Error| opening(file, error);
    let path = std::fs::canonicalize(file).map_err(opening)?;
    let (Some(parent), Some(last)) = (path.parent(), path.file_name()) else {
        return Err(Error::invalid(format!("{} is not a file", file.display())));
    };
    let parent = File::open(parent).map_err(opening)?;
    let last = std::os::unix::ffi::OsStrExt::as_bytes(last);
    let stat = statat(&parent, last, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| opening(error.into()))?;
    let stat = FileStat::from(stat);
    if stat.kind != FileType::RegularFile {
        let kind = kind_name(stat.kind);
        return Err(Error::invalid(format!("{} is {kind}, not a file", file.display())));
    }

    let base = tx.base().clone();
    let (links, summary) = (HashMap::new(), TreeSummary::default());
    // Alone, a file has no other links: `links` is not consulted for a count of one.
    let stat = FileStat { links: 1, ..stat };
    let mut ingest = Ingest { tx, base, options, store: None, links, summary, on_event };
    let parent = std::os::fd::AsFd::as_fd(&parent);
    let outcome = ingest.read_file(parent, last, name, &stat)?;
    let unchanged = matches!(outcome, Outcome::Unchanged);
    let (size, hash) = match outcome {
        Outcome::Unchanged => {
            let entry = ingest.base.get(name)?;
            let node = entry.as_ref().and_then(|entry| entry.file());
            node.map(|node| (node.size, node.hash)).ok_or_else(|| {
                Error::corrupt(format!("`{}` is remembered but has no entry", name.escape_ascii()))
            })?
        }
        Outcome::Stored(FileSummary { size, hash, .. }) => (size, hash),
        Outcome::Unreadable(error) => return Err(opening(error)),
    };
    Ok(FileOutcome { size, hash, unchanged, skipped: ingest.summary.skipped })
}

/// One ingest under way.
struct Ingest<'a> {
    tx: &'a mut Transaction,
    base: Tree,
    options: &'a TreeOptions,
    store: Option<Identity>,
    /// The first path of each file met that has several links.
    links: HashMap<Identity, Vec<u8>>,
    summary: TreeSummary,
    on_event: &'a mut dyn FnMut(TreeEvent<'_>),
}

/// What became of an attempt to store a file.
enum Outcome {
    Unchanged,
    Stored(FileSummary),
    Unreadable(io::Error),
}

impl Ingest<'_> {
    /// Takes the walk's current name, and enters it when it is a directory. `relative`: where the path below the
    /// ingested directory begins.
    fn visit(&mut self, walk: &mut Walk, relative: usize) -> Result<()> {
        let path = walk.path();
        if let Err(error) = check_path(path) {
            // Nothing to keep: no version can have had such a path.
            self.skip(path, SkipReason::Path(error.to_string()), false);
            return Ok(());
        }
        let below = path.get(relative..).unwrap_or_default();
        if self.options.exclude.as_ref().is_some_and(|exclude| exclude(below)) {
            return Ok(());
        }
        let Some(directory) = walk.directory() else {
            return self.unreadable(path, &io::Error::other("its directory was moved meanwhile"));
        };
        let stat = match statat(directory, walk.name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => FileStat::from(stat),
            // Removed since the directory was listed: as if it had been before.
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(error) => return self.unreadable(path, &error.into()),
        };
        match stat.kind {
            FileType::RegularFile => match self.read_file(directory, walk.name(), path, &stat)? {
                Outcome::Unchanged => {
                    self.summary.files += 1;
                    self.summary.unchanged += 1;
                }
                Outcome::Stored(_) => self.summary.files += 1,
                Outcome::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {}
                Outcome::Unreadable(error) => self.unreadable(path, &error)?,
            },
            FileType::Directory => return self.enter(walk, &stat),
            FileType::Symlink => self.symlink(directory, walk.name(), path, &stat)?,
            FileType::Socket => self.skip(path, SkipReason::Socket, false),
            FileType::Fifo => self.skip(path, SkipReason::Pipe, false),
            FileType::CharacterDevice | FileType::BlockDevice => self.skip(path, SkipReason::Device, false),
            FileType::Unknown => self.skip(path, SkipReason::UnknownKind, false),
        }
        Ok(())
    }

    fn enter(&mut self, walk: &mut Walk, seen: &FileStat) -> Result<()> {
        let Some(above) = walk.directory() else { return Ok(()) };
        let opened = openat(above, walk.name(), DIRECTORY, Mode::empty())
            .and_then(|handle| fstat(&handle).map(|stat| (File::from(handle), FileStat::from(stat))));
        let (handle, stat) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.unreadable(walk.path(), &error.into())?;
                // What is known of it is stored, over what was kept.
                self.tx.put_directory(walk.path(), attributes::from_stat(seen))?;
                self.summary.directories += 1;
                return Ok(());
            }
        };
        if self.store == Some(stat.identity) {
            (self.on_event)(TreeEvent::StoreItself { path: walk.path() });
            return Ok(());
        }
        let xattrs = attributes::of_open(&handle);
        if let Err(error) = walk.enter(OwnedFd::from(handle), stat.identity) {
            self.unreadable(walk.path(), &error)?;
        }
        self.put_directory(walk.path(), &stat, xattrs)
    }

    fn put_directory(
        &mut self,
        path: &[u8],
        stat: &FileStat,
        xattrs: io::Result<attributes::ExtendedAttributes>,
    ) -> Result<()> {
        let xattrs = self.xattrs_or_report(path, xattrs);
        self.tx.put_directory(path, Attributes { xattrs, ..attributes::from_stat(stat) })?;
        self.summary.directories += 1;
        Ok(())
    }

    fn symlink(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        stat: &FileStat,
    ) -> Result<()> {
        let target = match readlinkat(directory, name, Vec::new()) {
            Ok(target) => target,
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(error) => return self.unreadable(path, &error.into()),
        };
        let xattrs = self.xattrs_or_report(path, attributes::of_link(directory, name));
        let attributes = Attributes { xattrs, ..attributes::from_stat(stat) };
        self.tx.put_symlink(path, target.as_bytes(), attributes)?;
        self.summary.symlinks += 1;
        Ok(())
    }

    /// Stores a regular file, unless it is what it was.
    fn read_file(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        seen: &FileStat,
    ) -> Result<Outcome> {
        let hard_link = (seen.links > 1)
            .then(|| self.links.entry(seen.identity).or_insert_with(|| path.to_vec()).clone());
        if !self.options.force_read && self.keep_unchanged(path, seen, hard_link.as_deref())? {
            (self.on_event)(TreeEvent::Unchanged { path, size: seen.size });
            return Ok(Outcome::Unchanged);
        }
        let mut outcome = Outcome::Unreadable(io::Error::other("it was never opened"));
        for attempt in 0..=RETRIES {
            let (file, before) = match open_file(directory, name) {
                Ok(opened) => opened,
                Err(error) if attempt == 0 => return Ok(Outcome::Unreadable(error)),
                Err(_) => break,
            };
            let provable = settle(&before);
            let sparse = has_holes(&file, &before);
            let xattrs = self.xattrs_or_report(path, attributes::of_open(&file));
            let hard_link = hard_link.clone().filter(|_| before.identity == seen.identity);
            let attributes = Attributes { sparse, hard_link, xattrs, ..attributes::from_stat(&before) };
            let key = before.key(&attributes);

            (self.on_event)(TreeEvent::Reading { path, size: before.size });
            let content = Content::new(&file, &before, sparse);
            let mut reader = Counting { content, on_event: self.on_event, bytes: 0, failed: None };
            let stored = self.tx.put_file(path, attributes, &mut reader);
            self.summary.bytes_read += reader.bytes;
            let stored = match (stored, reader.failed) {
                (Ok(stored), _) => stored,
                (Err(_), Some(error)) if attempt == 0 => return Ok(Outcome::Unreadable(error)),
                (Err(_), Some(_)) => break,
                (Err(error), None) => return Err(error),
            };
            outcome = Outcome::Stored(stored);
            if fstat(&file).is_ok_and(|after| FileStat::from(after).unchanged_since(&before)) {
                if provable {
                    self.tx.remember(path, &key)?;
                }
                return Ok(outcome);
            }
        }
        self.skip(path, SkipReason::Changed, false);
        Ok(outcome)
    }

    /// Keeps the base's entry when it is known to be what the file is now; false: the file is to be read.
    fn keep_unchanged(&mut self, path: &[u8], seen: &FileStat, hard_link: Option<&[u8]>) -> Result<bool> {
        let Some(entry) = self.base.get(path)? else { return Ok(false) };
        // The group can change (its first path excluded or moved away) while the file itself does not.
        Ok(entry.attributes.hard_link.as_deref() == hard_link
            && self.tx.unchanged(path, &seen.key(&entry.attributes))?
            && self.tx.keep(path)?)
    }

    /// Reports a path that can't be read, and keeps what the version before had there and below.
    fn unreadable(&mut self, path: &[u8], error: &io::Error) -> Result<()> {
        let mut kept = false;
        for entry in self.base.entries(path) {
            let entry = entry?;
            kept |= self.tx.keep(&entry.path)?;
        }
        self.skip(path, SkipReason::Unreadable(error.to_string()), kept);
        Ok(())
    }

    fn xattrs_or_report(
        &mut self,
        path: &[u8],
        found: io::Result<attributes::ExtendedAttributes>,
    ) -> attributes::ExtendedAttributes {
        found.unwrap_or_else(|error| {
            self.skip(path, SkipReason::ExtendedAttributes(error.to_string()), false);
            Vec::new()
        })
    }

    fn skip(&mut self, path: &[u8], reason: SkipReason, kept: bool) {
        let skipped = Skipped { path: path.to_vec(), reason, kept };
        (self.on_event)(TreeEvent::Skipped(&skipped));
        self.summary.skipped_count += 1;
        if self.summary.skipped.len() < MAX_REPORTS {
            self.summary.skipped.push(skipped);
        }
    }
}

/// A reader that counts, tells of progress and remembers its own failure, to tell it from the store's.
struct Counting<'a, 'b> {
    content: Content<'a>,
    on_event: &'b mut dyn FnMut(TreeEvent<'_>),
    bytes: u64,
    failed: Option<io::Error>,
}

impl Read for Counting<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.content.read(buffer) {
            Ok(read) => {
                self.bytes += read as u64;
                (self.on_event)(TreeEvent::Read { bytes: read as u64 });
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let same = io::Error::new(error.kind(), error.to_string());
                self.failed = Some(error);
                Err(same)
            }
        }
    }
}

/// Opens a regular file, and says what it is now that it can't be exchanged for another.
fn open_file(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<(File, FileStat)> {
    let file = File::from(openat(directory, name, FILE, Mode::empty())?);
    let stat = FileStat::from(fstat(&file)?);
    if stat.kind != FileType::RegularFile {
        return Err(io::Error::other(format!("it was replaced by {}", kind_name(stat.kind))));
    }
    Ok((file, stat))
}

/// Waits until the file is old enough for its ctime to show any further change; false when its ctime can't.
fn settle(stat: &FileStat) -> bool {
    match stat.wait_until_settled(Timestamp::now()) {
        Some(wait) if wait.is_zero() => true,
        Some(wait) => {
            std::thread::sleep(wait);
            true
        }
        None => false,
    }
}

fn identity_of(path: &Path) -> Option<Identity> {
    rustix::fs::stat(path).ok().map(|stat| FileStat::from(stat).identity)
}

/// Refuses to ingest the store or a directory in it, which would grow while it is read.
fn refuse_store(dir: &Path, store: Identity) -> Result<()> {
    let whole = std::fs::canonicalize(dir).map_err(|error| opening(dir, error))?;
    if whole.ancestors().any(|above| identity_of(above) == Some(store)) {
        return Err(Error::invalid(format!("{} belongs to the store itself", dir.display())));
    }
    Ok(())
}

fn opening(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        return Error::new(ErrorKind::NotFound, format!("there is no {}", path.display())).with_source(error);
    }
    Error::io(format_args!("reading {}", path.display()), error)
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown kind",
    }
}
