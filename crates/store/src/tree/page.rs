//! The bytes of a tree's pages: leaves of entries, and index pages of references to the level below.

use super::entry::{
    Attributes, Content, Entry, FileNode, MAX_XATTR_BYTES, MAX_XATTRS, Node, Piece, Timestamp,
};
use crate::format::{Reader, put_bytes, put_signed, put_varint};
use crate::{Error, Result};

/// A page's place in the level above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ref {
    /// First path in the page.
    pub(crate) first: Vec<u8>,
    /// Page id.
    pub(crate) page: u64,
    /// Sums over everything below.
    pub(crate) totals: Totals,
}

/// What a subtree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) entries: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, other: Self) {
        self.entries = self.entries.saturating_add(other.entries);
        self.files = self.files.saturating_add(other.files);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(crate) fn of(entry: &Entry) -> Self {
        let file = entry.file();
        Self { entries: 1, files: u64::from(file.is_some()), bytes: file.map_or(0, |f| f.size) }
    }
}

/// A decoded page.
pub(crate) enum TreePage {
    Leaf(Vec<Entry>),
    Index { level: u8, refs: Vec<Ref> },
}

const LEAF: u8 = 0;
/// A page holds at most this many entries or references.
pub(crate) const MAX_PER_PAGE: usize = 256;
/// Deepest level of index pages: 64^8 entries are out of reach.
pub(crate) const MAX_LEVEL: u8 = 12;

const DIRECTORY: u8 = 0;
const SYMLINK: u8 = 1;
const FILE: u8 = 2;
const LISTED: u8 = 3;
const SPARSE: u8 = 0x10;
const HARD_LINK: u8 = 0x20;
const XATTRS: u8 = 0x40;

pub(crate) fn encode_leaf(entries: &[Entry]) -> Vec<u8> {
    let mut out = vec![LEAF];
    put_varint(&mut out, entries.len() as u64);
    let mut before: &[u8] = &[];
    let mut at = Piece { chunk: 0, start: 0, len: 0 };
    for entry in entries {
        put_path(&mut out, before, &entry.path);
        before = &entry.path;
        put_entry(&mut out, entry, &mut at);
    }
    out
}

pub(crate) fn encode_index(level: u8, refs: &[Ref]) -> Vec<u8> {
    let mut out = vec![level];
    put_varint(&mut out, refs.len() as u64);
    let mut before: &[u8] = &[];
    let mut page = 0;
    for reference in refs {
        put_path(&mut out, before, &reference.first);
        before = &reference.first;
        put_signed(&mut out, reference.page.wrapping_sub(page) as i64);
        page = reference.page;
        for value in [reference.totals.entries, reference.totals.files, reference.totals.bytes] {
            put_varint(&mut out, value);
        }
    }
    out
}

/// Reads a page and checks that its paths ascend.
pub(crate) fn decode(bytes: &[u8]) -> Result<TreePage> {
    let mut reader = Reader::new(bytes, "tree page");
    let level = reader.u8()?;
    if level > MAX_LEVEL {
        return Err(reader.error("its level is out of range"));
    }
    let count = reader.varint_up_to(MAX_PER_PAGE as u64)?;
    let mut path = Vec::new();
    let page = if level == LEAF {
        let mut entries: Vec<Entry> = Vec::new();
        let mut at = Piece { chunk: 0, start: 0, len: 0 };
        for _ in 0..count {
            get_path(&mut reader, &mut path, entries.is_empty())?;
            entries.push(get_entry(&mut reader, &path, &mut at)?);
        }
        TreePage::Leaf(entries)
    } else {
        let mut refs: Vec<Ref> = Vec::new();
        let mut page = 0u64;
        for _ in 0..count {
            get_path(&mut reader, &mut path, refs.is_empty())?;
            page = page.wrapping_add(reader.signed()? as u64);
            let totals =
                Totals { entries: reader.varint()?, files: reader.varint()?, bytes: reader.varint()? };
            refs.push(Ref { first: path.clone(), page, totals });
        }
        TreePage::Index { level, refs }
    };
    reader.finish()?;
    Ok(page)
}

fn put_path(out: &mut Vec<u8>, before: &[u8], path: &[u8]) {
    let shared = before.iter().zip(path).take_while(|(a, b)| a == b).count();
    put_varint(out, shared as u64);
    put_bytes(out, &path[shared..]);
}

fn get_path(reader: &mut Reader<'_>, path: &mut Vec<u8>, first: bool) -> Result<()> {
    let shared = reader.varint_up_to(path.len() as u64)? as usize;
    let suffix = reader.length_prefixed(super::MAX_PATH_BYTES as u64)?;
    if !first && path[shared..] >= *suffix {
        return Err(reader.error("its paths do not ascend"));
    }
    path.truncate(shared);
    path.extend_from_slice(suffix);
    super::check_path(path)
        .map_err(|e| Error::corrupt("tree page: it holds a path that is not allowed").with_source(e))
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry, at: &mut Piece) {
    let attributes = &entry.attributes;
    let kind = match &entry.node {
        Node::Directory => DIRECTORY,
        Node::Symlink(_) => SYMLINK,
        Node::File(FileNode { content: Content::Inline(_), .. }) => FILE,
        Node::File(_) => LISTED,
    };
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        kind | flag(attributes.sparse, SPARSE)
            | flag(attributes.hard_link.is_some(), HARD_LINK)
            | flag(!attributes.xattrs.is_empty(), XATTRS),
    );
    for value in [entry.version, attributes.mode.into(), attributes.uid.into(), attributes.gid.into()] {
        put_varint(out, value);
    }
    put_signed(out, attributes.mtime.seconds);
    put_varint(out, attributes.mtime.nanoseconds.into());
    if let Some(link) = &attributes.hard_link {
        put_bytes(out, link);
    }
    if !attributes.xattrs.is_empty() {
        put_varint(out, attributes.xattrs.len() as u64);
        for (name, value) in &attributes.xattrs {
            put_bytes(out, name);
            put_bytes(out, value);
        }
    }
    match &entry.node {
        Node::Directory => {}
        Node::Symlink(target) => put_bytes(out, target),
        Node::File(file) => {
            put_varint(out, file.size);
            out.extend_from_slice(&file.hash);
            match &file.content {
                Content::Inline(pieces) => put_pieces(out, pieces, at),
                Content::Listed { page, pieces } => {
                    put_varint(out, *page);
                    put_varint(out, *pieces);
                }
            }
        }
    }
}

fn get_entry(reader: &mut Reader<'_>, path: &[u8], at: &mut Piece) -> Result<Entry> {
    let tag = reader.u8()?;
    let version = reader.varint()?;
    let mut attributes = Attributes {
        mode: reader.varint_up_to(0o7777)? as u32,
        uid: reader.u32()?,
        gid: reader.u32()?,
        mtime: Timestamp { seconds: reader.signed()?, nanoseconds: reader.varint_up_to(999_999_999)? as u32 },
        sparse: tag & SPARSE != 0,
        ..Attributes::default()
    };
    if tag & HARD_LINK != 0 {
        attributes.hard_link = Some(reader.length_prefixed(super::MAX_PATH_BYTES as u64)?.to_vec());
    }
    if tag & XATTRS != 0 {
        let count = reader.varint_up_to(MAX_XATTRS as u64)?;
        for _ in 0..count {
            let name = reader.length_prefixed(MAX_XATTR_BYTES as u64)?.to_vec();
            attributes.xattrs.push((name, reader.length_prefixed(MAX_XATTR_BYTES as u64)?.to_vec()));
        }
    }
    let node = match tag & 0x0f {
        DIRECTORY => Node::Directory,
        SYMLINK => Node::Symlink(reader.length_prefixed(super::MAX_PATH_BYTES as u64)?.to_vec()),
        kind @ (FILE | LISTED) => {
            let size = reader.varint_up_to(1 << 62)?;
            let hash = reader.array()?;
            let content = if kind == FILE {
                Content::Inline(get_pieces(reader, size, at)?)
            } else {
                Content::Listed { page: reader.varint()?, pieces: reader.varint()? }
            };
            Node::File(FileNode { size, hash, content })
        }
        _ => return Err(reader.error("it holds an unknown kind of entry")),
    };
    Ok(Entry { path: path.to_vec(), version, attributes, node })
}

/// Pieces after the piece `at`: chunk ids as differences; a start is 0 (coded 0), the end of the piece before in
/// the same chunk (coded 1), or `start + 1`.
pub(crate) fn put_pieces(out: &mut Vec<u8>, pieces: &[Piece], at: &mut Piece) {
    put_varint(out, pieces.len() as u64);
    for piece in pieces {
        put_signed(out, piece.chunk.wrapping_sub(at.chunk) as i64);
        let follows = piece.chunk == at.chunk && piece.start == at.start.wrapping_add(at.len);
        let start = match piece.start {
            0 => 0,
            _ if follows => 1,
            start => u64::from(start) + 1,
        };
        put_varint(out, start);
        put_varint(out, u64::from(piece.len));
        *at = *piece;
    }
}

/// Reads what [`put_pieces`] wrote; the lengths must add up to `size`.
pub(crate) fn get_pieces(reader: &mut Reader<'_>, size: u64, at: &mut Piece) -> Result<Vec<Piece>> {
    let count = reader.varint_up_to(crate::list::MAX_PIECES as u64)?;
    let mut pieces = Vec::new();
    let mut sum = 0u64;
    for _ in 0..count {
        let chunk = at.chunk.wrapping_add(reader.signed()? as u64);
        let start = match reader.varint_up_to(u64::from(u32::MAX))? {
            0 => 0,
            1 if chunk == at.chunk => at.start.wrapping_add(at.len),
            1 => return Err(reader.error("a piece follows nothing")),
            start => (start - 1) as u32,
        };
        let len = reader.u32()?;
        if len == 0 || start.checked_add(len).is_none() {
            return Err(reader.error("a piece is out of range"));
        }
        *at = Piece { chunk, start, len };
        sum += u64::from(len);
        pieces.push(*at);
    }
    if sum == size { Ok(pieces) } else { Err(reader.error("the pieces of a file do not add up to its size")) }
}
