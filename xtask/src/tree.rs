//! Directory trees: walked, measured, and compared entry by entry (kind, contents, mode, mtime, link target).

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What is compared of one entry beside a file's contents.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    File(u64),
    Directory,
    Link(PathBuf),
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(length) => write!(f, "a file of {length} bytes"),
            Self::Directory => f.write_str("a directory"),
            Self::Link(target) => write!(f, "a link to {}", target.display()),
            Self::Other => f.write_str("a special file"),
        }
    }
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    mode: u32,
    mtime: (i64, i64),
}

/// What a comparison saw.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Entries of the first tree, directories included.
    pub(crate) entries: usize,
    /// Bytes of file contents compared.
    pub(crate) bytes: u64,
    /// One line per difference.
    pub(crate) differences: Vec<String>,
}

/// Compares everything below two directories; the directories themselves may differ in mode and time.
pub(crate) fn compare(original: &Path, copy: &Path) -> io::Result<Comparison> {
    compare_trees(original, copy, true)
}

/// Compares names, kinds, contents and link targets alone.
pub(crate) fn compare_contents(original: &Path, copy: &Path) -> io::Result<Comparison> {
    compare_trees(original, copy, false)
}

fn compare_trees(original: &Path, copy: &Path, attributes: bool) -> io::Result<Comparison> {
    let (left, mut right) = (walk(original)?, walk(copy)?);
    let mut seen = Comparison { entries: left.len(), ..Comparison::default() };
    for (path, entry) in &left {
        let shown = path.display();
        let Some(other) = right.remove(path) else {
            seen.differences.push(format!("{shown}: missing"));
            continue;
        };
        if entry.kind != other.kind {
            seen.differences.push(format!("{shown}: {} became {}", entry.kind, other.kind));
            continue;
        }
        if attributes && entry.mode != other.mode {
            seen.differences.push(format!("{shown}: mode {:o} became {:o}", entry.mode, other.mode));
        }
        if attributes && entry.mtime != other.mtime {
            let (was, is) = (entry.mtime, other.mtime);
            let line = format!("{shown}: mtime {}.{:09} became {}.{:09}", was.0, was.1, is.0, is.1);
            seen.differences.push(line);
        }
        if let Kind::File(length) = entry.kind {
            seen.bytes += length;
            if let Some(at) = first_difference(&original.join(path), &copy.join(path))? {
                seen.differences.push(format!("{shown}: contents differ at byte {at}"));
            }
        }
    }
    seen.differences.extend(right.keys().map(|path| format!("{}: not in the original", path.display())));
    Ok(seen)
}

/// The sum of the sizes of all files below a directory.
pub(crate) fn size(dir: &Path) -> io::Result<u64> {
    let length = |entry: &Entry| if let Kind::File(length) = entry.kind { length } else { 0 };
    Ok(walk(dir)?.values().map(length).sum())
}

fn walk(root: &Path) -> io::Result<BTreeMap<PathBuf, Entry>> {
    let mut entries = BTreeMap::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        for child in fs::read_dir(root.join(&dir))? {
            let path = dir.join(child?.file_name());
            let full = root.join(&path);
            let metadata = fs::symlink_metadata(&full)?;
            let kind = if metadata.is_dir() {
                pending.push(path.clone());
                Kind::Directory
            } else if metadata.is_file() {
                Kind::File(metadata.len())
            } else if metadata.is_symlink() {
                Kind::Link(fs::read_link(&full)?)
            } else {
                Kind::Other
            };
            let mode = metadata.permissions().mode() & 0o7777;
            let mtime = (metadata.mtime(), metadata.mtime_nsec());
            entries.insert(path, Entry { kind, mode, mtime });
        }
    }
    Ok(entries)
}

/// Where two files of the same length stop being equal.
fn first_difference(left: &Path, right: &Path) -> io::Result<Option<u64>> {
    const PIECE: usize = 1 << 18;
    let (mut left, mut right) = (File::open(left)?, File::open(right)?);
    let (mut ours, mut theirs) = (Vec::with_capacity(PIECE), Vec::with_capacity(PIECE));
    let mut offset = 0;
    loop {
        ours.clear();
        theirs.clear();
        (&mut left).take(PIECE as u64).read_to_end(&mut ours)?;
        (&mut right).take(PIECE as u64).read_to_end(&mut theirs)?;
        if ours != theirs {
            let equal = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            return Ok(Some(offset + equal as u64));
        }
        if ours.is_empty() {
            return Ok(None);
        }
        offset += ours.len() as u64;
    }
}

/// A directory of our own, removed when dropped unless it is kept.
pub(crate) struct Scratch {
    path: PathBuf,
    kept: bool,
}

impl Scratch {
    /// A new directory in the system's place for temporary ones.
    pub(crate) fn new(purpose: &str) -> io::Result<Self> {
        Self::within(&std::env::temp_dir(), purpose)
    }

    /// A new directory in `parent` (so that its contents can be renamed to a place beside it).
    pub(crate) fn within(parent: &Path, purpose: &str) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("engrams-{purpose}-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path, kept: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody left to tell; the system cleans its temporary files too.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn sample(dir: &Path) {
        fs::create_dir_all(dir.join("src/empty")).unwrap();
        fs::write(dir.join("src/a.txt"), b"some words").unwrap();
        fs::write(dir.join("b"), vec![7; 600_000]).unwrap();
        symlink("src/a.txt", dir.join("link")).unwrap();
        let moment = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123);
        for file in ["src/a.txt", "b"] {
            File::options().write(true).open(dir.join(file)).unwrap().set_modified(moment).unwrap();
        }
    }

    /// Two equal trees, then one change: the differences that must be seen.
    fn differences_after(change: impl FnOnce(&Path)) -> Vec<String> {
        let scratch = Scratch::new("compare").unwrap();
        let (one, two) = (scratch.path().join("one"), scratch.path().join("two"));
        sample(&one);
        let copied = std::process::Command::new("cp").arg("-a").args([&one, &two]).status().unwrap();
        assert!(copied.success());
        assert!(compare(&one, &two).unwrap().differences.is_empty());
        change(&two);
        compare(&one, &two).unwrap().differences
    }

    #[test]
    fn equal_trees_are_counted_whole() {
        let scratch = Scratch::new("equal").unwrap();
        sample(scratch.path());
        let seen = compare(scratch.path(), scratch.path()).unwrap();
        assert_eq!((seen.entries, seen.bytes, seen.differences.len()), (5, 600_010, 0));
        assert_eq!(size(scratch.path()).unwrap(), 600_010);
    }

    #[test]
    fn a_changed_byte_is_seen_even_with_the_same_length_and_time() {
        let seen = differences_after(|dir| {
            let before = fs::metadata(dir.join("b")).unwrap().modified().unwrap();
            let mut bytes = vec![7; 600_000];
            bytes[500_000] = 8;
            fs::write(dir.join("b"), bytes).unwrap();
            File::options().write(true).open(dir.join("b")).unwrap().set_modified(before).unwrap();
        });
        assert_eq!(seen, ["b: contents differ at byte 500000"]);
    }

    #[test]
    fn a_mode_is_seen() {
        let seen = differences_after(|dir| {
            fs::set_permissions(dir.join("b"), fs::Permissions::from_mode(0o755)).unwrap();
        });
        assert_eq!(seen.len(), 1);
        assert!(seen[0].starts_with("b: mode ") && seen[0].ends_with("became 755"), "{seen:?}");
    }

    #[test]
    fn contents_alone_are_compared_when_asked() {
        let scratch = Scratch::new("contents").unwrap();
        let (one, two) = (scratch.path().join("one"), scratch.path().join("two"));
        for (dir, content) in [(&one, b"same"), (&two, b"same")] {
            fs::create_dir(dir).unwrap();
            fs::write(dir.join("file"), content).unwrap();
        }
        fs::set_permissions(two.join("file"), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!compare(&one, &two).unwrap().differences.is_empty());
        assert!(compare_contents(&one, &two).unwrap().differences.is_empty());
        fs::write(two.join("file"), b"sane").unwrap();
        assert_eq!(compare_contents(&one, &two).unwrap().differences, ["file: contents differ at byte 2"]);
    }

    #[test]
    fn a_nanosecond_is_seen() {
        let seen = differences_after(|dir| {
            let moment = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 124);
            File::options().write(true).open(dir.join("b")).unwrap().set_modified(moment).unwrap();
        });
        assert_eq!(seen, ["b: mtime 1000000000.000000123 became 1000000000.000000124"]);
    }

    #[test]
    fn missing_extra_and_replaced_entries_are_seen() {
        let seen = differences_after(|dir| {
            fs::remove_dir(dir.join("src/empty")).unwrap();
            fs::remove_file(dir.join("link")).unwrap();
            symlink("b", dir.join("link")).unwrap();
            fs::write(dir.join("more"), b"").unwrap();
        });
        for expected in [
            "src/empty: missing",
            "more: not in the original",
            "link: a link to src/a.txt became a link to b",
        ] {
            assert!(seen.iter().any(|line| line == expected), "{expected}: {seen:?}");
        }
    }

    #[test]
    fn a_scratch_directory_goes_away_unless_kept() {
        let mut kept = Scratch::new("kept").unwrap();
        kept.keep();
        let (left, gone) = (kept.path().to_path_buf(), Scratch::new("gone").unwrap().path().to_path_buf());
        drop(kept);
        assert!(left.is_dir() && !gone.exists());
        fs::remove_dir(left).unwrap();
    }
}
