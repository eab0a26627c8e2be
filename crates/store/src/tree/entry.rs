//! One path of a version: what it is, its attributes and where its content lies.
//!
//! Paths are bytes, relative, `/`-separated; [`check_path`] is the one place that says which are allowed.

use crate::{Error, Result};

/// Longest allowed path, in bytes (Linux's `PATH_MAX` less its final zero).
pub const MAX_PATH_BYTES: usize = 4095;

/// One path of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where: relative, `/`-separated, never empty, no `.` or `..`.
    pub path: Vec<u8>,
    /// The version that last changed this path (content or attributes).
    pub version: u64,
    /// Mode, times, owner, extended attributes.
    pub attributes: Attributes,
    /// What is there.
    pub node: Node,
}

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory; its children are entries of their own.
    Directory,
    /// A symbolic link to these bytes, kept as they are and never followed.
    Symlink(Vec<u8>),
    /// A file.
    File(FileNode),
}

/// A file's content, by name and by place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNode {
    /// Length in bytes.
    pub size: u64,
    /// BLAKE3 of the whole content: what `b3sum` prints.
    pub hash: [u8; 32],
    /// Where the bytes are.
    pub content: Content,
}

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A few pieces, in order (empty for an empty file).
    Inline(Vec<Piece>),
    /// A longer list, kept in pages under this page id.
    Listed {
        /// Page id of the list's root.
        page: u64,
        /// Pieces in the list.
        pieces: u64,
    },
}

/// Consecutive bytes of one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Piece {
    /// The chunk's id.
    pub chunk: u64,
    /// First byte within the chunk.
    pub start: u32,
    /// Bytes; never 0.
    pub len: u32,
}

/// What a file system keeps beside the content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Permission bits (`0o7777`).
    pub mode: u32,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Owner, numeric.
    pub uid: u32,
    /// Group, numeric.
    pub gid: u32,
    /// The file has holes: runs of zeros are left unwritten when it is restored.
    pub sparse: bool,
    /// The first path (in path order) of a group of hard links this file belongs to; also on that first one.
    pub hard_link: Option<Vec<u8>>,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Seconds and nanoseconds since 1970-01-01 UTC; before it, seconds are negative and nanoseconds still count up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: i64,
    /// 0..1_000_000_000.
    pub nanoseconds: u32,
}

/// Longest extended attribute, in bytes: Linux's own limit.
pub(crate) const MAX_XATTR_BYTES: usize = 64 << 10;
/// All extended attributes of one path, in bytes: half of what a page holds.
const MAX_XATTRS_BYTES: usize = 4 << 20;
/// More extended attributes than this no file system keeps.
pub(crate) const MAX_XATTRS: usize = 4096;

impl Attributes {
    /// Refuses what a record can't hold.
    ///
    /// # Errors
    /// `Invalid`, with the attribute, its value and its limit.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::invalid(what));
        if self.mode > 0o7777 {
            return wrong(format!("mode {:o} is over 7777: give the permission bits alone", self.mode));
        }
        if self.mtime.nanoseconds >= 1_000_000_000 {
            return wrong(format!("{} nanoseconds are over 999999999", self.mtime.nanoseconds));
        }
        if self.xattrs.len() > MAX_XATTRS {
            return wrong(format!("{} extended attributes are over {MAX_XATTRS}", self.xattrs.len()));
        }
        for (name, value) in &self.xattrs {
            let len = name.len().max(value.len());
            if len > MAX_XATTR_BYTES {
                let name = name[..name.len().min(64)].escape_ascii();
                return wrong(format!(
                    "extended attribute `{name}` of {len} bytes is over {MAX_XATTR_BYTES}"
                ));
            }
        }
        if self.xattr_bytes() > MAX_XATTRS_BYTES {
            return wrong(format!(
                "{} bytes of extended attributes are over {MAX_XATTRS_BYTES}",
                self.xattr_bytes()
            ));
        }
        self.hard_link.as_deref().map_or(Ok(()), check_path)
    }

    pub(crate) fn xattr_bytes(&self) -> usize {
        self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

impl Timestamp {
    /// Now, by the system's clock.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: since.subsec_nanos(),
        }
    }
}

impl Entry {
    /// The file node, when this is a file.
    #[must_use]
    pub fn file(&self) -> Option<&FileNode> {
        match &self.node {
            Node::File(file) => Some(file),
            _ => None,
        }
    }

    /// The same path with the same attributes and content; where the bytes lie and since when does not count.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let node = match (&self.node, &other.node) {
            (Node::File(a), Node::File(b)) => a.size == b.size && a.hash == b.hash,
            (a, b) => a == b,
        };
        node && self.path == other.path && self.attributes == other.attributes
    }
}

/// Refuses a path that is empty, absolute, too long, or has an empty, `.` or `..` component or a zero byte.
///
/// # Errors
/// `Invalid`, with the path and what is wrong with it.
pub fn check_path(path: &[u8]) -> Result<()> {
    let wrong = |why: &str| Err(Error::invalid(format!("path `{}` {why}", path.escape_ascii())));
    if path.is_empty() {
        return wrong("is empty");
    }
    if path.len() > MAX_PATH_BYTES {
        return Err(Error::invalid(format!("a path of {} bytes is over {MAX_PATH_BYTES}", path.len())));
    }
    if path[0] == b'/' {
        return wrong("is absolute: give it relative to the store");
    }
    for component in path.split(|&b| b == b'/') {
        match component {
            b"" => return wrong("has an empty component"),
            b"." | b".." => return wrong("has a `.` or `..` component"),
            _ if component.contains(&0) => return wrong("has a zero byte"),
            _ => {}
        }
    }
    Ok(())
}
