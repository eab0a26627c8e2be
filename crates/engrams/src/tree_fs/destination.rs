//! The directory that is restored into, and the only way to anything below it.
//!
//! Every component is opened relative to the handle of the one above and never through a symbolic link, so that
//! nothing outside can be reached whatever the paths say and whatever lies there already.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, mkdirat, openat, statat};
use rustix::io::Errno;

use super::selection::split;
use super::stat::FileStat;
use super::walk::DIRECTORY;

/// Handles kept for the directories above the last path; deeper ones are opened anew each time.
const OPEN_HANDLES: usize = 64;

/// The directory that is restored into.
#[derive(Debug)]
pub(super) struct Destination {
    root: Rc<OwnedFd>,
    /// The components above the last path, from the top, with their handles.
    chain: Vec<(Vec<u8>, Rc<OwnedFd>)>,
}

impl Destination {
    /// Opens `path`, which is created (with those above it) where it is missing.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let root = File::open(path)?;
        if !root.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { root: Rc::new(root.into()), chain: Vec::new() })
    }

    /// The handle of the directory that `path` is in, made where it is missing, and the name of `path` in it.
    ///
    /// `path` must have passed [`check_path`](crate::check_path).
    pub(super) fn parent<'p>(&mut self, path: &'p [u8]) -> io::Result<(Rc<OwnedFd>, &'p [u8])> {
        let (above, name) = split(path);
        let components: Vec<&[u8]> =
            if above.is_empty() { Vec::new() } else { above.split(|&byte| byte == b'/').collect() };
        let common = self.chain.iter().zip(&components).take_while(|((have, _), want)| have == *want).count();
        self.chain.truncate(common);
        let mut current = self.chain.last().map_or(&self.root, |(_, handle)| handle).clone();
        for component in components.into_iter().skip(common) {
            current = Rc::new(open_or_create(&current, component)?);
            if self.chain.len() < OPEN_HANDLES {
                self.chain.push((component.to_vec(), Rc::clone(&current)));
            }
        }
        Ok((current, name))
    }

    /// The same without making anything, and without moving the chain of handles.
    pub(super) fn existing_parent<'p>(&self, path: &'p [u8]) -> io::Result<(Rc<OwnedFd>, &'p [u8])> {
        let (above, name) = split(path);
        let mut current = Rc::clone(&self.root);
        for component in above.split(|&byte| byte == b'/').filter(|component| !component.is_empty()) {
            current = Rc::new(open_directory(&current, component)?);
        }
        Ok((current, name))
    }
}

fn open_or_create(above: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    match open_directory(above, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match mkdirat(above, name, Mode::from(0o777)) {
                Ok(()) | Err(Errno::EXIST) => open_directory(above, name),
                Err(error) => Err(error.into()),
            }
        }
        opened => opened,
    }
}

/// Opens the directory `name` itself; a symbolic link, even to a directory, is an error that says so.
pub(super) fn open_directory(above: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    openat(above, name, DIRECTORY, Mode::empty()).map_err(|error| {
        if matches!(error, Errno::LOOP | Errno::NOTDIR | Errno::MLINK) {
            let what = match look(above, name) {
                Ok(Some(stat)) if stat.kind == FileType::Symlink => "a symbolic link",
                _ => "no directory",
            };
            return io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("`{}` is {what}, and nothing is written through it", name.escape_ascii()),
            );
        }
        error.into()
    })
}

/// What is at `name`, itself and not what it may point to; `None`: nothing.
pub(super) fn look(above: &OwnedFd, name: &[u8]) -> io::Result<Option<FileStat>> {
    match statat(above, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_planted_link_is_not_walked_through() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), inside.path().join("link")).unwrap();
        let mut destination = Destination::open(inside.path()).unwrap();
        let error = destination.parent(b"link/below/file").unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn missing_directories_are_made_and_deep_ones_reached() {
        let inside = tempfile::tempdir().unwrap();
        let mut destination = Destination::open(&inside.path().join("new/er")).unwrap();
        let deep = [&b"d/".repeat(OPEN_HANDLES + 10)[..], b"file"].concat();
        for path in [&b"d/x"[..], &deep, b"d/d/y", &deep] {
            let (parent, name) = destination.parent(path).unwrap();
            mkdirat(&*parent, [name, b"1"].concat(), Mode::from(0o700)).ok();
        }
        assert_eq!(destination.chain.len(), OPEN_HANDLES);
        let deep = String::from_utf8(deep).unwrap();
        assert!(inside.path().join("new/er").join(deep + "1").is_dir());
        assert!(inside.path().join("new/er/d/d/y1").is_dir());
    }
}
