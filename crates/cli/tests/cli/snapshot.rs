//! Everything a file system keeps of a directory, to compare two of them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is at one path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    kind: &'static str,
    mode: u32,
    mtime: (i64, i64),
    owner: (u32, u32),
    size: u64,
    /// The content's hash, or the link's target.
    content: Vec<u8>,
    /// The first path with the same inode.
    linked_to: Option<Vec<u8>>,
    sparse: bool,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Seen {
    pub(crate) fn is_directory(&self) -> bool {
        self.kind == "directory"
    }
}

/// Everything under `root`, and `root` itself as the empty path; only what a store keeps.
pub(crate) fn snapshot(root: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(path) = todo.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let kind = metadata.file_type();
        if !(kind.is_dir() || kind.is_file() || kind.is_symlink()) {
            continue;
        }
        if kind.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        found.insert(name, (path, metadata));
    }
    let mut first = HashMap::new();
    let mut seen = BTreeMap::new();
    for (name, (path, metadata)) in found {
        let file = metadata.is_file();
        let linked = file && metadata.nlink() > 1;
        let linked_to = linked.then(|| first.entry(metadata.ino()).or_insert(name.clone()).clone());
        let (kind, content) = match () {
            () if metadata.is_dir() => ("directory", Vec::new()),
            () if metadata.is_symlink() => {
                ("link", fs::read_link(&path).unwrap().into_os_string().into_vec())
            }
            () => ("file", hash(&path)),
        };
        let xattrs = xattr::list(&path).map(|names| {
            names.map(|x| (x.as_bytes().to_vec(), xattr::get(&path, &x).unwrap().unwrap())).collect()
        });
        let it = Seen {
            kind,
            mode: metadata.mode() & 0o7777,
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            owner: (metadata.uid(), metadata.gid()),
            size: if metadata.is_dir() { 0 } else { metadata.len() },
            content,
            linked_to,
            sparse: file && metadata.blocks() * 512 < metadata.len(),
            xattrs: xattrs.unwrap_or_default(),
        };
        seen.insert(name, it);
    }
    seen
}

fn hash(path: &Path) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(path).unwrap()).unwrap();
    hasher.finalize().as_bytes().to_vec()
}

/// Compares two directories, and says which path differs.
#[track_caller]
pub(crate) fn assert_same(expected: &Path, found: &Path) {
    assert_same_snapshots(&snapshot(expected), &snapshot(found));
}

#[track_caller]
pub(crate) fn assert_same_snapshots(expected: &BTreeMap<Vec<u8>, Seen>, found: &BTreeMap<Vec<u8>, Seen>) {
    for (path, seen) in expected {
        assert_eq!(found.get(path), Some(seen), "`{}`", path.escape_ascii());
    }
    for path in found.keys() {
        assert!(expected.contains_key(path), "`{}` is too much", path.escape_ascii());
    }
}
