//! A tree of the store back onto a file system.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use engrams_store::unless_corrupt;
use rustix::fs::{AtFlags, FileType, Mode, fchmod, fstat, mkdirat, unlinkat};
use rustix::io::Errno;

use super::MAX_REPORTS;
use super::destination::{Destination, look, open_directory};
use super::publish::{Temporary, WriteError, check_free, exists, write_content};
use super::restore;
use super::selection::{ancestors, is_under, selection};
use super::stat::{FileStat, Identity};
use super::upcoming::{Next, Upcoming, Upfront, has_content};
use crate::{Attributes, EngramStore, Entry, Error, ErrorKind, FileNode, Node, Result, Tree, check_path};

/// How a tree is restored.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExtractOptions {
    force: bool,
    threads: usize,
}

impl ExtractOptions {
    /// Replacing nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces files and symbolic links that are there already, and gives directories that are there already the
    /// stored attributes (default: false). A directory with something in it is never replaced by a file.
    #[must_use]
    pub fn with_force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Threads that decode contents, the caller's among them; 0 (the default): as many as the machine has, up to 16.
    /// What is restored, and what is reported in which order, does not depend on it.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }
}

/// What happens during an extraction, as it happens.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum ExtractEvent<'a> {
    /// This file's content is about to be written.
    Writing {
        /// Its path.
        path: &'a [u8],
        /// Its size in bytes.
        size: u64,
    },
    /// So many more bytes were written (holes included).
    Written {
        /// Bytes since the last such event.
        bytes: u64,
    },
    /// This path could not be restored, or not with everything it has.
    Failed(&'a FailedPath),
}

/// A path that could not be restored, or not with everything it has.
#[derive(Debug)]
pub struct FailedPath {
    /// The path in the store.
    pub path: Vec<u8>,
    /// What went wrong; the message does not repeat the path.
    pub error: Error,
}

/// What an extraction restored.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ExtractSummary {
    /// Files, hard links among them.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Of the files: those made as one more link to a file restored before.
    pub hard_links: u64,
    /// Bytes of content written, holes included.
    pub bytes: u64,
    /// What could not be restored; the first [`MAX_REPORTS`](super::MAX_REPORTS) of them.
    pub failed: Vec<FailedPath>,
    /// How many there were in all.
    pub failed_count: u64,
}

/// Restores `paths` of `tree`, each with everything under it (none: everything), into the directory `dest`, which is
/// made when it is missing. Every path keeps its whole name: `docs/a.txt` becomes `dest/docs/a.txt`.
///
/// Nothing is written outside `dest`, whatever the store says and whatever symbolic links lie in `dest`. A file
/// appears under its name when it is complete, its content checked against its hash, and its attributes are
/// set; without [`with_force`](ExtractOptions::with_force) it never replaces anything. Directories that exist are
/// used as they are. Owners are restored where the system permits; where it does not, the set-user-id and
/// set-group-id bits are not restored either.
///
/// A path that can't be restored is reported and the rest goes on. One whose attributes the file system refuses has its
/// content, and is reported.
///
/// # Errors
/// `Invalid`: one of `paths` is no path. `NotFound`: `tree` has nothing at one of them. `Io`: `dest` can't be made or
/// opened. In these cases nothing has been restored.
pub fn extract(
    store: &EngramStore,
    tree: &Tree,
    paths: &[Vec<u8>],
    dest: &Path,
    options: &ExtractOptions,
    on_event: &mut dyn FnMut(ExtractEvent<'_>),
) -> Result<ExtractSummary> {
    let selected = selection(paths);
    for path in selected.iter().filter(|path| !path.is_empty()) {
        check_path(path)?;
        // The walk goes on behind what is damaged.
        if tree.entries(path).next().map(unless_corrupt).transpose()?.is_none() {
            return Err(Error::not_found(format!("there is no `{}` in this version", path.escape_ascii())));
        }
    }
    let destination = Destination::open(dest)
        .map_err(|error| Error::io(format_args!("opening the directory {}", dest.display()), error))?;
    let mut extract = Extract {
        upcoming: Upcoming::new(store, options.threads),
        destination,
        force: options.force,
        pending: Vec::new(),
        blocked: Vec::new(),
        links: HashMap::new(),
        summary: ExtractSummary::default(),
        on_event,
    };
    for path in selected {
        extract.ancestors_of(tree, path);
        extract.restore_all(path, tree.entries(path));
    }
    extract.finish_directories(None);
    Ok(extract.summary)
}

/// One extraction under way.
struct Extract<'a> {
    upcoming: Upcoming<'a>,
    destination: Destination,
    force: bool,
    /// Directories whose attributes wait until everything in them is there: each one's path begins with the one
    /// before it, so that there are never more than a path has bytes.
    pending: Vec<(Vec<u8>, Attributes)>,
    /// Directories that could not be made, as `pending`: nothing under them is tried.
    blocked: Vec<Vec<u8>>,
    /// What was restored of each group of hard links.
    links: HashMap<Vec<u8>, Restored>,
    summary: ExtractSummary,
    on_event: &'a mut dyn FnMut(ExtractEvent<'_>),
}

/// A file of a group of hard links that others of the group can be linked to.
struct Restored {
    path: Vec<u8>,
    identity: Identity,
    hash: [u8; 32],
}

impl Extract<'_> {
    /// Makes the directories above a path that was asked for, with their attributes where the tree has them.
    fn ancestors_of(&mut self, tree: &Tree, path: &[u8]) {
        for above in ancestors(path) {
            if self.pending.iter().any(|(pending, _)| pending == above) {
                continue;
            }
            match tree.get(above) {
                Ok(Some(entry)) if entry.node == Node::Directory => self.restore(&entry, None),
                Ok(_) => {}
                Err(error) => self.fail(above, error),
            }
        }
    }

    /// Restores these entries, which lie at and under `path`.
    fn restore_all(&mut self, path: &[u8], entries: impl Iterator<Item = Result<Entry>> + 'static) {
        self.upcoming.begin(entries);
        while let Some(Next { entry, mut content }) = self.upcoming.next() {
            match entry {
                Ok(entry) => self.restore(&entry, content.as_mut()),
                Err(error) => self.fail(path, error.within("some of what lies here can't be listed")),
            }
            if let Some(content) = content {
                self.upcoming.leave(content);
            }
        }
    }

    /// Restores one entry, or reports why not.
    fn restore(&mut self, entry: &Entry, content: Option<&mut Upfront>) {
        let path = &entry.path;
        // The tree was checked when it was written; a store may still say anything.
        if let Err(error) = check_path(path) {
            return self.fail(path, error);
        }
        self.blocked.retain(|blocked| !is_passed(blocked, path));
        if self.blocked.iter().any(|blocked| is_under(path, blocked)) {
            return;
        }
        self.finish_directories(Some(path));
        let restored = match &entry.node {
            Node::Directory => self.directory(entry),
            Node::Symlink(target) => self.symlink(entry, target),
            Node::File(file) => self.file(entry, file, content),
        };
        match restored {
            Ok(lost) if lost.is_empty() => {}
            Ok(lost) => self.fail_attributes(path, &lost),
            Err(error) => {
                if entry.node == Node::Directory {
                    self.blocked.push(path.clone());
                    return self.fail(path, error.within("nothing in this directory is restored"));
                }
                self.fail(path, error);
            }
        }
    }

    fn directory(&mut self, entry: &Entry) -> Result<restore::Lost> {
        let (above, name) = self.destination.parent(&entry.path).map_err(placing)?;
        let made = match mkdirat(&*above, name, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => self.use_existing(&above, name).map_err(placing)?,
            Err(error) => return Err(placing(error.into())),
        };
        if made || self.force {
            self.pending.push((entry.path.clone(), entry.attributes.clone()));
        }
        self.summary.directories += 1;
        Ok(restore::Lost::new())
    }

    /// Uses the directory that is there already; with force, puts one in the place of anything else. True when it
    /// was made.
    fn use_existing(&self, above: &OwnedFd, name: &[u8]) -> io::Result<bool> {
        let there = look(above, name)?;
        if there.is_some_and(|there| there.kind == FileType::Directory) {
            let handle = open_directory(above, name)?;
            let mode = FileStat::from(fstat(&handle)?).mode;
            if self.force && mode & 0o700 != 0o700 {
                // It gets its own mode when everything is in it, or it is said then why not.
                let _ = fchmod(&handle, Mode::from(mode | 0o700));
            }
            return Ok(false);
        }
        if !self.force {
            return Err(exists());
        }
        unlinkat(above, name, AtFlags::empty())?;
        mkdirat(above, name, Mode::RWXU)?;
        Ok(true)
    }

    fn symlink(&mut self, entry: &Entry, target: &[u8]) -> Result<restore::Lost> {
        let (above, name) = self.destination.parent(&entry.path).map_err(placing)?;
        check_free(&above, name, self.force).map_err(placing)?;
        let link = Temporary::symlink(&above, target).map_err(placing)?;
        let lost = restore::of_link(link.directory(), link.name(), &entry.attributes);
        link.publish(name, self.force).map_err(placing)?;
        self.summary.symlinks += 1;
        Ok(lost)
    }

    fn file(
        &mut self,
        entry: &Entry,
        node: &FileNode,
        content: Option<&mut Upfront>,
    ) -> Result<restore::Lost> {
        let (above, name) = self.destination.parent(&entry.path).map_err(placing)?;
        check_free(&above, name, self.force).map_err(placing)?;
        if self.link(entry, node, &above, name).map_err(placing)? {
            self.summary.files += 1;
            self.summary.hard_links += 1;
            return Ok(restore::Lost::new());
        }

        (self.on_event)(ExtractEvent::Writing { path: &entry.path, size: node.size });
        let (new, file) = Temporary::file(&above).map_err(placing)?;
        match content {
            Some(content) => self.content(entry, node, content, &file)?,
            None if has_content(node) => return Err(Error::corrupt("its content was not opened")),
            None => {}
        }
        let lost = restore::of_open(&file, &entry.attributes);
        new.publish(name, self.force).map_err(placing)?;
        self.summary.files += 1;
        self.summary.bytes += node.size;
        if let Some(group) = &entry.attributes.hard_link {
            let identity = FileStat::from(fstat(&file).map_err(|error| placing(error.into()))?).identity;
            let restored = Restored { path: entry.path.clone(), identity, hash: node.hash };
            self.links.insert(group.clone(), restored);
        }
        Ok(lost)
    }

    /// Writes and checks a file's whole content.
    fn content(&mut self, entry: &Entry, node: &FileNode, content: &mut Upfront, file: &File) -> Result<()> {
        let (upcoming, on_event) = (&mut self.upcoming, &mut *self.on_event);
        let mut on_written = |bytes| on_event(ExtractEvent::Written { bytes });
        let bytes = std::iter::from_fn(|| upcoming.bytes(content));
        let written = write_content(bytes, file, entry.attributes.sparse, &mut on_written);
        let version = entry.version;
        match written {
            Ok((size, hash)) if size == node.size && hash == node.hash => Ok(()),
            Ok((size, _)) => Err(Error::corrupt(format!(
                "the {size} bytes decoded for it, as of version {version}, do not have the hash of its {}",
                node.size
            ))),
            Err(WriteError::Content(error)) => Err(decoding(error, version)),
            Err(WriteError::File(error)) => Err(placing(error)),
        }
    }

    /// Makes `name` one more link to a file of its group restored before; false when there is none or it can't be.
    fn link(&self, entry: &Entry, node: &FileNode, above: &Rc<OwnedFd>, name: &[u8]) -> io::Result<bool> {
        let group = entry.attributes.hard_link.as_ref();
        let Some(first) = group.and_then(|group| self.links.get(group)) else { return Ok(false) };
        if first.hash != node.hash {
            return Ok(false);
        }
        let Ok((first_directory, first_name)) = self.destination.existing_parent(&first.path) else {
            return Ok(false);
        };
        // Too many links, or none at all on this file system: a copy serves.
        let Ok(link) = Temporary::link(above, &first_directory, first_name) else { return Ok(false) };
        // Another process may have put something else there meanwhile.
        if look(link.directory(), link.name())?.is_none_or(|stat| stat.identity != first.identity) {
            return Ok(false);
        }
        link.publish(name, self.force)?;
        Ok(true)
    }

    /// Gives the directories that are complete when `next` comes (`None`: all of them) their attributes.
    fn finish_directories(&mut self, next: Option<&[u8]>) {
        while let Some((path, attributes)) =
            self.pending.pop_if(|(path, _)| next.is_none_or(|next| is_passed(path, next)))
        {
            let restored = self.destination.parent(&path).and_then(|(above, name)| {
                let handle = open_directory(&above, name)?;
                Ok(restore::of_open(&handle.into(), &attributes))
            });
            match restored {
                Ok(lost) if lost.is_empty() => {}
                Ok(lost) => self.fail_attributes(&path, &lost),
                Err(error) => self.fail_attributes(&path, &[error.to_string()]),
            }
        }
    }

    fn fail_attributes(&mut self, path: &[u8], lost: &[String]) {
        let message = format!("restored, but not all of its attributes: {}", lost.join(", "));
        self.fail(path, Error::new(ErrorKind::Io, message));
    }

    fn fail(&mut self, path: &[u8], error: Error) {
        let failed = FailedPath { path: path.to_vec(), error };
        (self.on_event)(ExtractEvent::Failed(&failed));
        self.summary.failed_count += 1;
        if self.summary.failed.len() < MAX_REPORTS {
            self.summary.failed.push(failed);
        }
    }
}

/// Everything under `directory` has come when `next` comes.
///
/// Paths come in the order of their bytes, so that is when one does not begin with the directory's name, or goes on
/// with a byte behind `/`. (`a-b` comes before `a/x`: `a` is not passed.)
fn is_passed(directory: &[u8], next: &[u8]) -> bool {
    let rest = next.strip_prefix(directory);
    rest.is_none_or(|rest| rest.first().is_some_and(|&byte| byte > b'/'))
}

/// The file system refused.
fn placing(error: io::Error) -> Error {
    Error::io("not restored", error)
}

/// The decoder refused.
fn decoding(error: Error, version: u64) -> Error {
    let message = format!("its content, as of version {version}, can't be decoded: {error}");
    Error::new(error.kind(), message).with_source(error)
}

#[cfg(test)]
mod tests;
