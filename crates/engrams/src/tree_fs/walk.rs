//! A depth-first walk with an explicit stack and a bounded number of open handles.
//!
//! The walk knows where it is and what comes next; what to do with a name, and whether to enter a directory, is
//! its user's business.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, fstat, openat};

use super::listing::Listing;
use super::stat::{FileStat, Identity};

/// Directory handles kept open; above the deepest so many, they are reopened through `..` on the way back.
const OPEN_HANDLES: usize = 64;

/// How directories are opened: never through a symbolic link.
pub(super) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A walk through one directory and everything that is entered below it.
#[derive(Debug)]
pub(super) struct Walk {
    frames: Vec<Frame>,
    /// The path of the current name.
    path: Vec<u8>,
}

#[derive(Debug)]
struct Frame {
    /// `None`: closed to spare handles, or lost (moved away while the walk was deeper).
    handle: Option<OwnedFd>,
    identity: Identity,
    listing: Listing,
    /// The next name to visit.
    next: usize,
    /// Length of this directory's own path.
    path_len: usize,
}

impl Walk {
    /// A walk through `root`, which has the path `path`.
    pub(super) fn new(path: &[u8], root: OwnedFd, identity: Identity) -> io::Result<Self> {
        let mut walk = Self { frames: Vec::new(), path: path.to_vec() };
        walk.enter(root, identity)?;
        Ok(walk)
    }

    /// Goes to the next name: of the directory just entered, or after the last one. False at the end.
    pub(super) fn advance(&mut self) -> bool {
        while let Some(frame) = self.frames.last_mut() {
            self.path.truncate(frame.path_len);
            if let Some(name) = frame.listing.get(frame.next) {
                self.path.push(b'/');
                self.path.extend_from_slice(name);
                frame.next += 1;
                return true;
            }
            self.leave();
        }
        false
    }

    /// The current name's whole path.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// The current name.
    pub(super) fn name(&self) -> &[u8] {
        let start = self.frames.last().map_or(0, |frame| frame.path_len + 1);
        self.path.get(start..).unwrap_or_default()
    }

    /// The directory the current name is in; `None` when it was moved away while the walk was deeper.
    pub(super) fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.frames.last().and_then(|frame| frame.handle.as_ref()).map(AsFd::as_fd)
    }

    /// Enters the current name, opened as `handle`: its names come next.
    pub(super) fn enter(&mut self, handle: OwnedFd, identity: Identity) -> io::Result<()> {
        let listing = Listing::read(&handle)?;
        self.frames.push(Frame {
            handle: Some(handle),
            identity,
            listing,
            next: 0,
            path_len: self.path.len(),
        });
        if let Some(far) = self.frames.len().checked_sub(OPEN_HANDLES + 1) {
            self.frames[far].handle = None;
        }
        Ok(())
    }

    /// Leaves the deepest directory, reopening the one above where its handle was closed.
    fn leave(&mut self) {
        let left = self.frames.pop().and_then(|frame| frame.handle);
        let depth = self.frames.len();
        let Some(above) = self.frames.last_mut() else { return };
        if above.handle.is_some() || depth == 0 {
            return;
        }
        let reopened = left.and_then(|left| openat(left, c"..", DIRECTORY, Mode::empty()).ok());
        // `..` of a directory that was moved meanwhile leads elsewhere.
        above.handle = reopened
            .filter(|handle| fstat(handle).is_ok_and(|stat| FileStat::from(stat).identity == above.identity));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn open(path: &Path) -> (OwnedFd, Identity) {
        let handle = OwnedFd::from(std::fs::File::open(path).unwrap());
        let identity = FileStat::from(fstat(&handle).unwrap()).identity;
        (handle, identity)
    }

    fn all(walk: &mut Walk) -> Vec<String> {
        let mut seen = Vec::new();
        while walk.advance() {
            seen.push(String::from_utf8(walk.path().to_vec()).unwrap());
            let entered = openat(walk.directory().unwrap(), walk.name(), DIRECTORY, Mode::empty());
            if let Ok(handle) = entered {
                let identity = FileStat::from(fstat(&handle).unwrap()).identity;
                walk.enter(handle, identity).unwrap();
            }
        }
        seen
    }

    #[test]
    fn files_come_in_the_order_of_their_whole_paths() {
        let root = tempfile::tempdir().unwrap();
        for directory in ["a/b", "a.d", "z"] {
            std::fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        for file in ["a/b/c", "a/b-", "a-b", "a.d/x", "b"] {
            std::fs::write(root.path().join(file), "").unwrap();
        }
        let (handle, identity) = open(root.path());
        let seen = all(&mut Walk::new(b"t", handle, identity).unwrap());
        assert_eq!(seen, ["t/a-b", "t/a.d", "t/a.d/x", "t/a", "t/a/b-", "t/a/b", "t/a/b/c", "t/b", "t/z"]);
        let files: Vec<_> = seen.into_iter().filter(|p| root.path().join(&p[2..]).is_file()).collect();
        assert!(files.is_sorted());
    }

    #[test]
    fn deeper_than_the_open_handles_comes_back_to_every_level() {
        let root = tempfile::tempdir().unwrap();
        let mut path = root.path().to_path_buf();
        let depth = OPEN_HANDLES * 2 + 7;
        for _ in 0..depth {
            path.push("d");
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("e"), "").unwrap();
        }
        let (handle, identity) = open(root.path());
        let seen = all(&mut Walk::new(b"t", handle, identity).unwrap());
        assert_eq!(seen.len(), depth * 2);
        assert!(seen.last().unwrap() == "t/d/e");
    }
}
