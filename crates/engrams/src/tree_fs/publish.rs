//! New things are made under a temporary name beside their place, and moved there when they are complete.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with, symlinkat,
    unlinkat,
};
use rustix::io::Errno;

use super::destination::{look, open_directory};
use super::listing::Listing;
use crate::{Error, Result};

/// Zeros in runs of so many bytes, at multiples of so many, become holes: what file systems allocate.
const HOLE: usize = 4096;

/// Short pieces are written together, so many bytes at a time; a multiple of [`HOLE`].
const BUFFER: usize = 256 * 1024;

/// From this length on a piece is written by itself.
const DIRECT: usize = 16 * 1024;

/// Something new under a temporary name; dropped without being published, it is removed.
#[derive(Debug)]
pub(super) struct Temporary {
    directory: Rc<OwnedFd>,
    name: Vec<u8>,
}

impl Temporary {
    /// A new, empty file that only its owner can open.
    pub(super) fn file(directory: &Rc<OwnedFd>) -> io::Result<(Self, File)> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::make(directory, |name| openat(directory, name, flags, Mode::RUSR | Mode::WUSR))
            .map(|(temporary, handle)| (temporary, handle.into()))
    }

    /// A new symbolic link to `target`.
    pub(super) fn symlink(directory: &Rc<OwnedFd>, target: &[u8]) -> io::Result<Self> {
        Ok(Self::make(directory, |name| symlinkat(target, directory, name))?.0)
    }

    /// One more link to the file `from` in `from_directory`.
    pub(super) fn link(directory: &Rc<OwnedFd>, from_directory: &OwnedFd, from: &[u8]) -> io::Result<Self> {
        let make = |name: &[u8]| linkat(from_directory, from, directory, name, AtFlags::empty());
        Ok(Self::make(directory, make)?.0)
    }

    fn make<T>(
        directory: &Rc<OwnedFd>,
        make: impl Fn(&[u8]) -> rustix::io::Result<T>,
    ) -> io::Result<(Self, T)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!(".engrams-{}-{number}.partial", std::process::id()).into_bytes();
            match make(&name) {
                Ok(made) => return Ok((Self { directory: Rc::clone(directory), name }, made)),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The directory it is in.
    pub(super) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// Its name for now.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Gives it its name. What has that name already is replaced with `force`, unless it is a directory with
    /// something in it; without, it is an error.
    pub(super) fn publish(self, name: &[u8], force: bool) -> io::Result<()> {
        let at = &*self.directory;
        if !force {
            return match renameat_with(at, &*self.name, at, name, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    self.disarm();
                    Ok(())
                }
                Err(Errno::EXIST) => Err(exists()),
                // The file system can't rename that way; linking refuses what exists just as well.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    linkat(at, &*self.name, at, name, AtFlags::empty()).map_err(|error| match error {
                        Errno::EXIST => exists(),
                        error => error.into(),
                    })
                }
                Err(error) => Err(error.into()),
            };
        }
        match renameat(at, &*self.name, at, name) {
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                unlinkat(at, name, AtFlags::REMOVEDIR).map_err(|error| match error {
                    Errno::NOTEMPTY | Errno::EXIST => not_empty(),
                    error => error.into(),
                })?;
                renameat(at, &*self.name, at, name)?;
            }
            renamed => renamed?,
        }
        // The temporary name may be there still: renaming one link of a file to another does nothing.
        Ok(())
    }

    /// Forgets the temporary name: there is nothing to remove.
    fn disarm(mut self) {
        self.name.clear();
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            // Nothing more can be done about a failure; after a rename there is nothing to remove.
            let _ = unlinkat(&*self.directory, &*self.name, AtFlags::empty());
        }
    }
}

/// Whether something may be published as `name`, asked before any work is done for it.
pub(super) fn check_free(directory: &OwnedFd, name: &[u8], force: bool) -> io::Result<()> {
    let Some(there) = look(directory, name)? else { return Ok(()) };
    if !force {
        return Err(exists());
    }
    if there.kind == FileType::Directory {
        let listing = Listing::read(open_directory(directory, name)?)?;
        if listing.get(0).is_some() {
            return Err(not_empty());
        }
    }
    Ok(())
}

/// Something has the name already.
pub(super) fn exists() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "exists already, and is not replaced without force")
}

fn not_empty() -> io::Error {
    let text = "a directory that is not empty is in its place, and is not removed";
    io::Error::new(io::ErrorKind::DirectoryNotEmpty, text)
}

/// Writes everything `content` has to `file`; with `sparse`, aligned runs of zeros are left out.
///
/// Returns the length and the BLAKE3 hash of what was read. Errors of the content and of the file are told apart.
pub(super) fn write_content<B: Deref<Target = [u8]>>(
    content: impl Iterator<Item = Result<B>>,
    file: &File,
    sparse: bool,
    on_written: &mut dyn FnMut(u64),
) -> std::result::Result<(u64, [u8; 32]), WriteError> {
    let mut hasher = blake3::Hasher::new();
    let mut writer = Writer { file, sparse, waiting: Vec::new(), position: 0, written_to: 0 };
    for bytes in content {
        let bytes = bytes.map_err(WriteError::Content)?;
        hasher.update(&bytes);
        writer.push(&bytes).map_err(WriteError::File)?;
        on_written(bytes.len() as u64);
    }
    let size = writer.finish().map_err(WriteError::File)?;
    Ok((size, *hasher.finalize().as_bytes()))
}

/// Which side of a copy failed.
#[derive(Debug)]
pub(super) enum WriteError {
    Content(Error),
    File(io::Error),
}

/// Writes a file from its beginning. Long pieces are written from where they lie, short ones together.
struct Writer<'f> {
    file: &'f File,
    sparse: bool,
    /// Bytes from `position` on that are not written yet: fewer than [`BUFFER`].
    waiting: Vec<u8>,
    position: u64,
    written_to: u64,
}

impl Writer<'_> {
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.sparse && bytes.len() >= DIRECT {
            self.flush()?;
            return self.write(bytes);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BUFFER - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            if self.waiting.len() == BUFFER {
                self.flush()?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Writes what waits. Where holes are wanted, the position is a multiple of [`HOLE`] until the end.
    fn flush(&mut self) -> io::Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        if self.sparse {
            for piece in waiting.chunks(HOLE) {
                if piece.iter().any(|&byte| byte != 0) {
                    self.write(piece)?;
                } else {
                    self.position += piece.len() as u64;
                }
            }
        } else {
            self.write(&waiting)?;
        }
        waiting.clear();
        self.waiting = waiting;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.position)?;
        self.position += bytes.len() as u64;
        self.written_to = self.position;
        Ok(())
    }

    fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        if self.written_to < self.position {
            self.file.set_len(self.position)?;
        }
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn directory() -> (tempfile::TempDir, Rc<OwnedFd>) {
        let directory = tempfile::tempdir().unwrap();
        let handle = Rc::new(File::open(directory.path()).unwrap().into());
        (directory, handle)
    }

    #[test]
    fn what_exists_is_replaced_only_with_force() {
        let (path, handle) = directory();
        std::fs::write(path.path().join("x"), "old").unwrap();
        assert!(check_free(&handle, b"x", false).is_err());
        let (temporary, _) = Temporary::file(&handle).unwrap();
        let error = temporary.publish(b"x", false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(path.path().join("x")).unwrap(), b"old");
        check_free(&handle, b"x", true).unwrap();
        Temporary::symlink(&handle, b"nowhere").unwrap().publish(b"x", true).unwrap();
        assert_eq!(std::fs::read_link(path.path().join("x")).unwrap().as_os_str(), "nowhere");
        assert_eq!(std::fs::read_dir(path.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_directory_is_replaced_only_when_empty() {
        let (path, handle) = directory();
        std::fs::create_dir_all(path.path().join("full/of")).unwrap();
        std::fs::create_dir(path.path().join("empty")).unwrap();
        assert!(check_free(&handle, b"full", true).is_err());
        check_free(&handle, b"empty", true).unwrap();
        let error = Temporary::file(&handle).unwrap().0.publish(b"full", true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty);
        Temporary::file(&handle).unwrap().0.publish(b"empty", true).unwrap();
        assert!(path.path().join("empty").is_file());
    }

    #[test]
    fn a_link_over_a_link_to_the_same_file_leaves_nothing_behind() {
        let (path, handle) = directory();
        std::fs::write(path.path().join("a"), "one").unwrap();
        std::fs::hard_link(path.path().join("a"), path.path().join("b")).unwrap();
        Temporary::link(&handle, &handle, b"a").unwrap().publish(b"b", true).unwrap();
        assert_eq!(std::fs::read_dir(path.path()).unwrap().count(), 2);
    }

    #[test]
    fn zeros_become_holes_only_when_asked() {
        let mut content = vec![0_u8; 3 << 20];
        content[1 << 20] = 1;
        content[(2 << 20) + 77] = 2;
        for (sparse, piece) in [true, false].into_iter().flat_map(|s| [(s, 3 << 20), (s, 70_001), (s, 999)]) {
            let file = tempfile::tempfile().unwrap();
            let mut told = 0;
            let pieces = content.chunks(piece).map(Ok);
            let (len, hash) = write_content(pieces, &file, sparse, &mut |bytes| told += bytes).unwrap();
            assert_eq!((len, told), (3 << 20, 3 << 20));
            assert_eq!(hash, *blake3::hash(&content).as_bytes());
            let mut read = vec![1; content.len()];
            file.read_exact_at(&mut read, 0).unwrap();
            assert!(read == content);
            let metadata = file.metadata().unwrap();
            assert_eq!(metadata.len(), 3 << 20);
            assert_eq!(metadata.blocks() * 512 < metadata.len(), sparse);
        }
    }
}
