//! Reading what a file system keeps beside the content.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::io::Errno;
use xattr::FileExt;

use super::stat::FileStat;
use crate::Attributes;

/// Names and values, sorted by name.
pub(super) type ExtendedAttributes = Vec<(Vec<u8>, Vec<u8>)>;

/// The attributes `stat` speaks of; holes, links and extended attributes are the caller's to add.
pub(super) fn from_stat(stat: &FileStat) -> Attributes {
    Attributes { mode: stat.mode, mtime: stat.mtime, uid: stat.uid, gid: stat.gid, ..Attributes::default() }
}

/// The extended attributes of an open file or directory; none where the file system has no such thing.
pub(super) fn of_open(file: &File) -> io::Result<ExtendedAttributes> {
    collect(file.list_xattr(), |name| file.get_xattr(name))
}

/// The extended attributes of a symbolic link itself; none where the system offers no way to ask.
pub(super) fn of_link(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<ExtendedAttributes> {
    let Some(path) = link_path(directory, name) else { return Ok(Vec::new()) };
    collect(xattr::list(&path), |name| xattr::get(&path, name))
}

/// A path that names `name` in the open `directory`, for the calls that have no relative form.
///
/// The kernel resolves `/proc/self/fd/N` to the very directory that is open, so that nothing else is followed as
/// long as the call does not follow the last component. `None` where there is no such thing.
pub(super) fn link_path(directory: BorrowedFd<'_>, name: &[u8]) -> Option<PathBuf> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let mut path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    path.push(std::ffi::OsStr::from_bytes(name));
    Some(path)
}

fn collect(
    names: io::Result<xattr::XAttrs>,
    get: impl Fn(&OsString) -> io::Result<Option<Vec<u8>>>,
) -> io::Result<ExtendedAttributes> {
    let names = match names {
        Ok(names) => names,
        Err(error) if is_unsupported(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in names {
        match get(&name) {
            Ok(Some(value)) => found.push((name.into_vec(), value)),
            // Removed between the two calls, or listed by a file system that can't return it.
            Ok(None) => {}
            Err(error) if is_unsupported(&error) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The file system has no extended attributes (here).
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || Errno::from_io_error(error)
            .is_some_and(|errno| errno == Errno::NOTSUP || errno == Errno::OPNOTSUPP || errno == Errno::NOSYS)
}
