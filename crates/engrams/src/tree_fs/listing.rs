//! The names of one directory, packed, in the order in which whole paths sort.

use std::cmp::Ordering;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Dir, FileType, statat};

/// The names of one directory: about their own length and 8 bytes each.
#[derive(Debug, Default)]
pub(super) struct Listing {
    bytes: Vec<u8>,
    names: Vec<Name>,
}

#[derive(Debug, Clone, Copy)]
struct Name {
    start: u32,
    /// No file system allows more than 255 bytes in a name, but this is read, not assumed.
    len: u16,
    directory: bool,
}

impl Listing {
    /// Reads and sorts the names in `directory`, without `.` and `..`.
    pub(super) fn read(directory: impl AsFd) -> io::Result<Self> {
        let mut listing = Self::default();
        let mut entries = Dir::read_from(&directory)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not say while listing.
                FileType::Unknown => statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
                kind => kind,
            };
            listing.push(name, kind == FileType::Directory)?;
        }
        listing.sort();
        Ok(listing)
    }

    fn push(&mut self, name: &[u8], directory: bool) -> io::Result<()> {
        let too_much = |_| io::Error::other("a directory with more than 4 GiB of names");
        let start = u32::try_from(self.bytes.len()).map_err(too_much)?;
        let len = u16::try_from(name.len()).map_err(too_much)?;
        self.bytes.extend_from_slice(name);
        self.names.push(Name { start, len, directory });
        Ok(())
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.names
            .sort_unstable_by(|a, b| compare((slice(bytes, a), a.directory), (slice(bytes, b), b.directory)));
    }

    /// The name at `index`; `None` behind the last one.
    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        self.names.get(index).map(|name| slice(&self.bytes, name))
    }
}

fn slice<'a>(bytes: &'a [u8], name: &Name) -> &'a [u8] {
    let start = name.start as usize;
    bytes.get(start..start + usize::from(name.len)).unwrap_or_default()
}

/// Orders the names of one directory so that a depth-first walk meets files in the order of their whole paths: a
/// directory `a` sorts as `a/`, behind a file `a-b`, because `a-b` sorts before `a/x`.
fn compare((a, a_directory): (&[u8], bool), (b, b_directory): (&[u8], bool)) -> Ordering {
    let ending = |directory| if directory { &b"/"[..] } else { b"" };
    a.iter().chain(ending(a_directory)).cmp(b.iter().chain(ending(b_directory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_whole_paths_do() {
        let mut listing = Listing::default();
        for (name, directory) in
            [("b", false), ("a", true), ("a-b", false), ("a.c", true), ("a0", false), ("A", true)]
        {
            listing.push(name.as_bytes(), directory).unwrap();
        }
        listing.sort();
        let names: Vec<_> = (0..).map_while(|i| listing.get(i)).collect();
        // As paths: A/… a-b a.c/… a/… a0 b
        assert_eq!(names, [&b"A"[..], b"a-b", b"a.c", b"a", b"a0", b"b"]);
    }

    #[test]
    fn a_real_directory_is_listed_without_dots() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("a")).unwrap();
        std::fs::write(directory.path().join("a-b"), "").unwrap();
        let listing = Listing::read(std::fs::File::open(directory.path()).unwrap()).unwrap();
        assert_eq!(listing.get(0), Some(&b"a-b"[..]));
        assert_eq!(listing.get(1), Some(&b"a"[..]));
        assert_eq!(listing.get(2), None);
    }
}
