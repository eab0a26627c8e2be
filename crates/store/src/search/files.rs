//! Which files of which kept versions a chunk lies in: one walk over the trees, in which pages that versions share are
//! passed over.

use std::collections::HashMap;

use crate::Result;
use crate::format::Version;
use crate::store::EngramStore;
use crate::tree::{Entry, FileNode, difference};

use super::runs::Runs;

/// Bytes of a chunk that lie in a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence {
    /// The chunk.
    pub chunk: u32,
    /// First byte in the chunk.
    pub start: u32,
    /// How many bytes.
    pub len: u32,
    /// The content, by its number in the view.
    pub content: u32,
    /// Where in the content the bytes are.
    pub offset: u64,
}

/// A content that some file of some kept version has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchedContent {
    /// Where its bytes are.
    pub file: FileNode,
}

/// What a content is called, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredName {
    /// The path.
    pub path: Vec<u8>,
    /// The kept versions that have the content at this path, ascending.
    pub versions: Vec<u64>,
}

/// A content at a path in consecutive versions.
#[derive(Clone, Copy)]
struct Span {
    content: u32,
    path: u32,
    /// Places in the list of versions, both included.
    first: u32,
    last: u32,
}

/// All contents, where their chunks lie and what they are called.
#[derive(Default)]
pub(super) struct Files {
    /// Numbers of the versions, ascending.
    versions: Vec<u64>,
    pub(super) contents: Vec<SearchedContent>,
    pub(super) by_hash: HashMap<[u8; 32], u32>,
    /// By chunk, then place.
    occurrences: Vec<Occurrence>,
    by_chunk: Runs,
    paths: Vec<Box<[u8]>>,
    /// By content.
    spans: Vec<Span>,
}

impl Files {
    /// Reads the trees of these versions, which lie in ascending order.
    pub(super) fn read(store: &EngramStore, versions: &[Version]) -> Result<Self> {
        let mut walk =
            Walk { store, files: Self::default(), ids: HashMap::new(), open: Vec::new(), last: None };
        let mut before = store.tree_of(None);
        for version in versions {
            let tree = store.tree_of(Some(version));
            let at = walk.files.versions.len() as u32;
            walk.files.versions.push(version.number);
            difference(&before, &tree, &mut |old, new| walk.change(old, new, at))?;
            before = tree;
        }
        Ok(walk.finish())
    }

    /// Where a chunk's bytes are, by place in it.
    pub(super) fn of_chunk(&self, chunk: u32) -> &[Occurrence] {
        &self.occurrences[self.by_chunk.find(&self.occurrences, |one| one.chunk, chunk)]
    }

    /// What a content is called in versions that pass, by path.
    pub(super) fn names(&self, content: u32, passes: &dyn Fn(u64) -> bool) -> Vec<StoredName> {
        let from = self.spans.partition_point(|span| span.content < content);
        let mut names: Vec<StoredName> = Vec::new();
        for span in self.spans[from..].iter().take_while(|span| span.content == content) {
            let versions = &self.versions[span.first as usize..=span.last as usize];
            let versions: Vec<u64> = versions.iter().copied().filter(|&number| passes(number)).collect();
            let path = &self.paths[span.path as usize];
            match names.last_mut() {
                _ if versions.is_empty() => {}
                Some(name) if *name.path == **path => name.versions.extend(versions),
                _ => names.push(StoredName { path: path.to_vec(), versions }),
            }
        }
        names.sort_unstable();
        names
    }
}

struct Walk<'s> {
    store: &'s EngramStore,
    files: Files,
    ids: HashMap<Box<[u8]>, u32>,
    /// For each path the span that goes on.
    open: Vec<Option<Span>>,
    last: Option<u32>,
}

impl Walk<'_> {
    fn change(&mut self, old: Option<&Entry>, new: Option<&Entry>, at: u32) -> Result<()> {
        self.last = Some(at);
        let (old, file) = (old.filter(|entry| entry.file().is_some()), new.and_then(Entry::file));
        let Some(entry) = old.or(new.filter(|_| file.is_some())) else { return Ok(()) };
        let path = self.path(&entry.path);
        let content = file.map(|file| self.content(file)).transpose()?.flatten();
        let open = &mut self.open[path as usize];
        if open.map(|span| span.content) == content {
            return Ok(());
        }
        if let Some(span) = open.take() {
            self.files.spans.push(Span { last: at.saturating_sub(1), ..span });
        }
        *open = content.map(|content| Span { content, path, first: at, last: at });
        Ok(())
    }

    fn path(&mut self, path: &[u8]) -> u32 {
        if let Some(&id) = self.ids.get(path) {
            return id;
        }
        let id = self.files.paths.len() as u32;
        self.files.paths.push(path.into());
        self.ids.insert(path.into(), id);
        self.open.push(None);
        id
    }

    /// The number of a content, unless it is empty.
    fn content(&mut self, file: &FileNode) -> Result<Option<u32>> {
        if file.size == 0 {
            return Ok(None);
        }
        if let Some(&known) = self.files.by_hash.get(&file.hash) {
            return Ok(Some(known));
        }
        let content = self.files.contents.len() as u32;
        let (mut pieces, mut offset) = (self.store.pieces(file), 0);
        while let Some((start, piece)) = pieces.at(offset)? {
            offset = start + u64::from(piece.len);
            if let Ok(chunk) = u32::try_from(piece.chunk) {
                self.files.occurrences.push(Occurrence {
                    chunk,
                    start: piece.start,
                    len: piece.len,
                    content,
                    offset: start,
                });
            }
        }
        self.files.contents.push(SearchedContent { file: file.clone() });
        self.files.by_hash.insert(file.hash, content);
        Ok(Some(content))
    }

    fn finish(mut self) -> Files {
        let last = (self.files.versions.len() as u32).saturating_sub(1);
        self.files.spans.extend(self.open.iter().flatten().map(|span| Span { last, ..*span }));
        self.files.spans.sort_unstable_by_key(|span| (span.content, span.path, span.first));
        // More than fit are 4 billion pieces: the rest is not found.
        self.files.occurrences.truncate(u32::MAX as usize);
        self.files.occurrences.sort_unstable();
        self.files.occurrences.shrink_to_fit();
        self.files.by_chunk = Runs::new(&self.files.occurrences, |one| one.chunk);
        self.files
    }
}
