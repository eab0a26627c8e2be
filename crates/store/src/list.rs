//! Lists of pieces: where the bytes of a file are, in pages when there are many, so that neither writing nor
//! reading a huge file ever holds its whole list.

use std::sync::Arc;

use crate::boundary::spread;
use crate::format::{Reader, put_signed, put_varint};
use crate::id_set::IdSet;
use crate::page::PageStore;
use crate::tree::{Content, FileNode, Piece, get_pieces, put_pieces};
use crate::{Error, Result, unless_corrupt};

/// Pieces kept in a file's tree entry itself; longer lists go to pages.
const MAX_INLINE: usize = 24;
/// Pieces or references in one page.
pub(crate) const MAX_PIECES: usize = 512;
/// A page ends after a piece whose mixed chunk id has these bits clear, so that versions share pages.
const CUT_MASK: u64 = 127;
/// Deepest level of index pages.
const MAX_LEVEL: u8 = 12;

#[derive(Debug, Clone, Copy)]
pub(crate) struct ListRef {
    pub(crate) page: u64,
    pieces: u64,
    bytes: u64,
}

pub(crate) enum ListPage {
    Leaf(Vec<Piece>),
    Index { level: u8, refs: Vec<ListRef> },
}

/// Collects the pieces of one file, staging full pages as it goes.
pub(crate) struct ListBuilder {
    pages: Arc<PageStore>,
    like: Option<Cursor>,
    leaf: Vec<Piece>,
    levels: Vec<Vec<ListRef>>,
    pieces: u64,
    bytes: u64,
    paged: u64,
}

impl ListBuilder {
    /// `like` is an older content of the same path: its pages serve as bases, and are used again when equal.
    pub(crate) fn new(pages: Arc<PageStore>, like: Option<&FileNode>) -> Self {
        let like = like.map(|file| Cursor::new(Arc::clone(&pages), &file.content, file.size));
        Self { pages, like, leaf: Vec::new(), levels: Vec::new(), pieces: 0, bytes: 0, paged: 0 }
    }

    /// Adds the next piece.
    pub(crate) fn push(&mut self, piece: Piece) -> Result<()> {
        self.bytes += u64::from(piece.len);
        self.pieces += 1;
        self.leaf.push(piece);
        // An inline list must still fit when the file ends here, so the first page waits until it can't.
        let cut = spread(piece.chunk) & CUT_MASK == 0 || self.leaf.len() == MAX_PIECES;
        if cut && self.pieces > MAX_INLINE as u64 { self.end_leaf() } else { Ok(()) }
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn end_leaf(&mut self) -> Result<()> {
        let leaf = std::mem::take(&mut self.leaf);
        let bytes: u64 = leaf.iter().map(|p| u64::from(p.len)).sum();
        let mut plain = vec![0];
        put_varint(&mut plain, bytes);
        put_pieces(&mut plain, &leaf, &mut Piece { chunk: 0, start: 0, len: 0 });
        let old = match &mut self.like {
            // An older list only saves bytes: a damaged one saves none.
            Some(like) => unless_corrupt(like.leaf_at(self.paged))?.flatten(),
            None => None,
        };
        let page = put_or_reuse(&self.pages, &plain, old)?;
        self.paged += bytes;
        self.push_ref(0, ListRef { page, pieces: leaf.len() as u64, bytes })
    }

    fn push_ref(&mut self, level: usize, reference: ListRef) -> Result<()> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(reference);
        let full = spread(reference.page) & CUT_MASK == 0 || self.levels[level].len() == MAX_PIECES;
        if full && self.levels[level].len() > 1 { self.end_index(level) } else { Ok(()) }
    }

    fn end_index(&mut self, level: usize) -> Result<()> {
        let refs = std::mem::take(&mut self.levels[level]);
        let mut plain = vec![level as u8 + 1];
        put_varint(&mut plain, refs.len() as u64);
        let mut page = 0;
        for reference in &refs {
            put_signed(&mut plain, reference.page.wrapping_sub(page) as i64);
            page = reference.page;
            put_varint(&mut plain, reference.pieces);
            put_varint(&mut plain, reference.bytes);
        }
        let page = self.pages.put(&plain, None)?;
        let (pieces, bytes) = refs.iter().fold((0, 0), |(p, b), r| (p + r.pieces, b + r.bytes));
        self.push_ref(level + 1, ListRef { page, pieces, bytes })
    }

    /// Ends the list.
    pub(crate) fn finish(mut self) -> Result<Content> {
        if self.levels.is_empty() && self.leaf.len() <= MAX_INLINE {
            return Ok(Content::Inline(self.leaf));
        }
        if !self.leaf.is_empty() {
            self.end_leaf()?;
        }
        let mut level = 0;
        loop {
            let top = level + 1 == self.levels.len();
            match (top, self.levels[level].as_slice()) {
                (true, [root]) => return Ok(Content::Listed { page: root.page, pieces: self.pieces }),
                (_, []) => {}
                _ => self.end_index(level)?,
            }
            level += 1;
        }
    }
}

/// The page at `old` when it has these very bytes, else a new page coded against it.
pub(crate) fn put_or_reuse(pages: &PageStore, plain: &[u8], old: Option<u64>) -> Result<u64> {
    let Some(old) = old else { return pages.put(plain, None) };
    match unless_corrupt(pages.get(old))? {
        Some(page) if *page == *plain => Ok(old),
        Some(_) => pages.put(plain, Some(old)),
        // What is damaged must not keep new records from being written.
        None => pages.put(plain, None),
    }
}

/// Walks the pieces of a content in order, from any offset.
pub(crate) struct Cursor {
    pages: Arc<PageStore>,
    root: Root,
    size: u64,
    /// The leaf at hand: file offset of its first byte, page id, pieces.
    leaf: Option<(u64, u64, Arc<Vec<Piece>>)>,
    /// Index pages met, and all pages that they refer to.
    met: IdSet,
    referred: IdSet,
}

enum Root {
    Inline(Arc<Vec<Piece>>),
    Page(u64),
}

impl Cursor {
    pub(crate) fn new(pages: Arc<PageStore>, content: &Content, size: u64) -> Self {
        let root = match content {
            Content::Inline(pieces) => Root::Inline(Arc::new(pieces.clone())),
            Content::Listed { page, .. } => Root::Page(*page),
        };
        Self { pages, root, size, leaf: None, met: IdSet::default(), referred: IdSet::default() }
    }

    /// The piece that holds the byte at `offset`, with the file offset of its first byte; `None` at the end.
    pub(crate) fn piece_at(&mut self, offset: u64) -> Result<Option<(u64, Piece)>> {
        if offset >= self.size {
            return Ok(None);
        }
        let (mut start, _, pieces) = self.load(offset)?;
        for piece in pieces.iter() {
            let end = start + u64::from(piece.len);
            if offset < end {
                return Ok(Some((start, *piece)));
            }
            start = end;
        }
        Err(Error::corrupt("a chunk list ends before the file does"))
    }

    /// Page id of the leaf that holds `offset`, if the list is in pages and reaches that far.
    fn leaf_at(&mut self, offset: u64) -> Result<Option<u64>> {
        if matches!(self.root, Root::Inline(_)) || offset >= self.size {
            return Ok(None);
        }
        Ok(Some(self.load(offset)?.1))
    }

    fn load(&mut self, offset: u64) -> Result<(u64, u64, Arc<Vec<Piece>>)> {
        if let Some((start, page, pieces)) = &self.leaf {
            let len: u64 = pieces.iter().map(|p| u64::from(p.len)).sum();
            if (*start..start.saturating_add(len)).contains(&offset) {
                return Ok((*start, *page, Arc::clone(pieces)));
            }
        }
        let found = match &self.root {
            Root::Inline(pieces) => (0, 0, Arc::clone(pieces)),
            Root::Page(root) => self.descend(*root, offset)?,
        };
        self.leaf = Some(found.clone());
        Ok(found)
    }

    /// A list has each page once: a builder uses an older leaf again where it was, and makes all others. So a walk costs
    /// no more than the pages that are stored, whatever they say.
    fn meet(&mut self, page: u64, refs: &[ListRef]) -> Result<()> {
        if self.met.contains(page) {
            return Ok(());
        }
        match refs.iter().find(|reference| !self.referred.insert(reference.page)) {
            None => drop(self.met.insert(page)),
            Some(twice) => {
                let twice = twice.page;
                return Err(Error::corrupt(format!("page {page}: page {twice} is in the list already")));
            }
        }
        Ok(())
    }

    fn descend(&mut self, mut page: u64, offset: u64) -> Result<(u64, u64, Arc<Vec<Piece>>)> {
        let mut start = 0u64;
        let mut above = MAX_LEVEL + 1;
        let mut bytes = self.size;
        loop {
            match read(&self.pages, page, above, bytes)? {
                ListPage::Leaf(pieces) => return Ok((start, page, Arc::new(pieces))),
                ListPage::Index { level, refs } => {
                    above = level;
                    self.meet(page, &refs)?;
                    let next = refs.iter().find(|r| {
                        let here = offset - start < r.bytes;
                        if !here {
                            start += r.bytes;
                        }
                        here
                    });
                    let next =
                        next.ok_or_else(|| Error::corrupt(format!("page {page}: it ends before the file")))?;
                    (page, bytes) = (next.page, next.bytes);
                }
            }
        }
    }
}

/// The page at `id`, which must be of a level below `above` and cover exactly `bytes` of the file.
fn read(pages: &PageStore, id: u64, above: u8, bytes: u64) -> Result<ListPage> {
    let wrong = |why: &str| Err(Error::corrupt(format!("page {id}: {why}")));
    let page = decode(&pages.get(id)?).map_err(|e| e.within(format_args!("page {id}")))?;
    let covered: u64 = match &page {
        ListPage::Leaf(pieces) => pieces.iter().map(|p| u64::from(p.len)).sum(),
        ListPage::Index { level, .. } if *level >= above => return wrong("its level does not descend"),
        ListPage::Index { refs, .. } if refs.iter().any(|r| r.bytes == 0) => {
            return wrong("it refers to nothing");
        }
        ListPage::Index { refs, .. } => refs.iter().fold(0, |sum: u64, r| sum.saturating_add(r.bytes)),
    };
    if covered == bytes { Ok(page) } else { wrong("it does not cover its part of the file") }
}

pub(crate) fn decode(plain: &[u8]) -> Result<ListPage> {
    let mut reader = Reader::new(plain, "list page");
    let level = reader.u8()?;
    if level > MAX_LEVEL {
        return Err(reader.error("its level is out of range"));
    }
    if level == 0 {
        let bytes = reader.varint()?;
        let pieces = get_pieces(&mut reader, bytes, &mut Piece { chunk: 0, start: 0, len: 0 })?;
        reader.finish()?;
        return Ok(ListPage::Leaf(pieces));
    }
    let count = reader.varint_up_to(MAX_PIECES as u64)?;
    let mut refs = Vec::new();
    let mut page = 0u64;
    for _ in 0..count {
        page = page.wrapping_add(reader.signed()? as u64);
        refs.push(ListRef { page, pieces: reader.varint()?, bytes: reader.varint_up_to(1 << 62)? });
    }
    reader.finish()?;
    Ok(ListPage::Index { level, refs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;

    fn pieces(count: u64, salt: u64) -> Vec<Piece> {
        (0..count)
            .map(|i| Piece { chunk: 1 + i + salt * (i % 97 / 96), start: 0, len: 1 + (i % 1000) as u32 })
            .collect()
    }

    fn build(pages: &Arc<PageStore>, pieces: &[Piece], like: Option<&FileNode>) -> FileNode {
        let mut list = ListBuilder::new(Arc::clone(pages), like);
        pieces.iter().for_each(|&piece| list.push(piece).unwrap());
        let size = list.bytes();
        FileNode { size, hash: [0; 32], content: list.finish().unwrap() }
    }

    #[test]
    fn lists_of_any_length_come_back_from_any_offset() {
        let pages = Arc::new(PageStore::open(Arc::new(MemoryBackend::new())).unwrap());
        for count in [0, 1, 23, 24, 25, 26, 513, 5_000, 120_000] {
            let expected = pieces(count, 0);
            let file = build(&pages, &expected, None);
            let mut cursor = Cursor::new(Arc::clone(&pages), &file.content, file.size);
            let mut offset = 0;
            for piece in &expected {
                assert_eq!(cursor.piece_at(offset).unwrap(), Some((offset, *piece)));
                offset += u64::from(piece.len);
            }
            assert_eq!(cursor.piece_at(offset).unwrap(), None);
            if let Some(last) = expected.last() {
                let start = offset - u64::from(last.len);
                assert_eq!(cursor.piece_at(offset - 1).unwrap(), Some((start, *last)));
            }
        }
    }

    /// Whoever believes them visits 2^60 pieces.
    #[test]
    fn pages_that_refer_to_one_page_many_times_are_refused_at_once() {
        // Each page refers 32 times to the one below; or to all 32 below, each of which refers to all 32 below it.
        for different in [1, 32] {
            let pages = Arc::new(PageStore::open(Arc::new(MemoryBackend::new())).unwrap());
            let leaf = |chunk| {
                let mut plain = vec![0, 1];
                let mut nothing = Piece { chunk: 0, start: 0, len: 0 };
                put_pieces(&mut plain, &[Piece { chunk, start: 0, len: 1 }], &mut nothing);
                pages.put(&plain, None).unwrap()
            };
            let mut below: Vec<u64> = (0..different).map(leaf).collect();
            for level in 1..=MAX_LEVEL {
                let bytes = 1u64 << (5 * (level - 1));
                let mut plain = vec![level, 32];
                let mut before = 0;
                for &page in below.iter().cycle().take(32) {
                    put_signed(&mut plain, page.wrapping_sub(before) as i64);
                    [bytes, bytes].iter().for_each(|&sum| put_varint(&mut plain, sum));
                    before = page;
                }
                below = (0..different).map(|_| pages.put(&plain, None).unwrap()).collect();
            }
            let content = Content::Listed { page: below[0], pieces: 1 << 60 };
            let mut cursor = Cursor::new(pages, &content, 1 << 60);
            let refused = (0..1000).find_map(|offset| cursor.piece_at(offset).err());
            assert_eq!(refused.unwrap().kind(), crate::ErrorKind::Corrupt);
            assert!(cursor.piece_at(0).is_ok() == (different > 1));
        }
    }

    #[test]
    fn an_equal_list_reuses_every_leaf() {
        let pages = Arc::new(PageStore::open(Arc::new(MemoryBackend::new())).unwrap());
        let leaves = |file: &FileNode| {
            let (mut cursor, mut offset, mut leaves) =
                (Cursor::new(Arc::clone(&pages), &file.content, file.size), 0, Vec::new());
            while offset < file.size {
                leaves.extend(cursor.leaf_at(offset).unwrap());
                offset += 100_000;
            }
            leaves
        };
        let old = build(&pages, &pieces(20_000, 0), None);
        let new = build(&pages, &pieces(20_000, 0), Some(&old));
        assert!(leaves(&old).len() > 50);
        assert_eq!(leaves(&old), leaves(&new));
    }
}
