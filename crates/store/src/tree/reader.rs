//! Reading a tree: one path, or a range of paths in order, touching only the pages on the way.

use std::sync::{Arc, Mutex, PoisonError};

use super::entry::Entry;
use super::page::{self, MAX_LEVEL, Ref, Totals, TreePage};
use crate::page::PageStore;
use crate::pin::Pin;
use crate::versions::forgotten_version;
use crate::{Error, ErrorKind, Result};

/// The paths of one version.
pub struct Tree {
    pages: Arc<PageStore>,
    root: TreeRoot,
    hold: Hold,
    /// The leaf read last: neighbours are asked for together.
    last: Mutex<Option<Leaf>>,
}

impl Clone for Tree {
    /// The clone remembers a leaf of its own: whoever has it walks elsewhere.
    fn clone(&self) -> Self {
        Self { hold: self.hold.clone(), ..Self::new(Arc::clone(&self.pages), self.root) }
    }
}

/// What keeps a tree's pages from being collected.
#[derive(Clone)]
enum Hold {
    /// Whoever made it sees to that.
    Free,
    Pinned(#[expect(dead_code, reason = "held for its drop")] Arc<Pin>),
    /// Nothing: this version was forgotten before anyone held it.
    Gone(u64),
}

/// Where a tree begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TreeRoot {
    /// Page id; 0: no entries.
    pub(crate) page: u64,
    pub(crate) totals: Totals,
}

/// A leaf with the range of paths it covers: from its first path to `end`, exclusive.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) reference: Ref,
    pub(crate) end: Option<Vec<u8>>,
    pub(crate) entries: Arc<Vec<Entry>>,
}

impl Leaf {
    fn covers(&self, path: &[u8]) -> bool {
        self.reference.first.as_slice() <= path && self.end.as_deref().is_none_or(|end| path < end)
    }
}

/// A leaf not read yet: its reference and the first path after it.
pub(crate) type LeafRef = (Ref, Option<Vec<u8>>);

impl Tree {
    pub(crate) fn new(pages: Arc<PageStore>, root: TreeRoot) -> Self {
        Self { pages, root, hold: Hold::Free, last: Mutex::default() }
    }

    /// The same tree, which holds this pin.
    pub(crate) fn pinned(self, pin: Pin) -> Self {
        Self { hold: Hold::Pinned(Arc::new(pin)), ..self }
    }

    /// The tree of a version that was forgotten: reading it says so.
    pub(crate) fn gone(self, version: u64) -> Self {
        Self { hold: Hold::Gone(version), ..self }
    }

    pub(crate) fn root(&self) -> TreeRoot {
        self.root
    }

    pub(crate) fn pages(&self) -> &Arc<PageStore> {
        &self.pages
    }

    /// Entries of all kinds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.root.totals.entries
    }

    /// No entries at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.page == 0
    }

    /// The entry at `path`.
    ///
    /// # Errors
    /// `Corrupt` when a page on the way is damaged.
    pub fn get(&self, path: &[u8]) -> Result<Option<Entry>> {
        let Some(leaf) = self.leaf_of(path)? else { return Ok(None) };
        Ok(leaf
            .entries
            .binary_search_by(|e| e.path.as_slice().cmp(path))
            .ok()
            .map(|at| leaf.entries[at].clone()))
    }

    /// The entry at `prefix` and everything below it, in byte order of whole paths; everything when it is empty. In the
    /// place of a page that is damaged there is one `Corrupt` error, and the walk goes on behind it.
    pub fn entries(&self, prefix: &[u8]) -> impl Iterator<Item = Result<Entry>> + use<> {
        let (own, from, to) = if prefix.is_empty() {
            (None, Vec::new(), None)
        } else {
            let below = |last| [prefix, &[last][..]].concat();
            (self.get(prefix).transpose(), below(b'/'), Some(below(b'/' + 1)))
        };
        own.into_iter().chain(Range::new(self.clone(), from, to))
    }

    /// The entries from `first` to before `end`, likewise.
    pub(crate) fn range(
        &self,
        first: &[u8],
        end: Option<&[u8]>,
    ) -> impl Iterator<Item = Result<Entry>> + use<> {
        Range::new(self.clone(), first.to_vec(), end.map(<[u8]>::to_vec))
    }

    /// The leaf whose range holds `path`: the last one that begins at or before it, or the first one.
    pub(crate) fn leaf_of(&self, path: &[u8]) -> Result<Option<Leaf>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = last.as_ref().filter(|leaf| leaf.covers(path)) {
            return Ok(Some(leaf.clone()));
        }
        let mut leaves = Leaves::from(self.clone(), path);
        let Some((reference, end)) = leaves.next().transpose()? else { return Ok(None) };
        let leaf = self.leaf((reference, end))?;
        *last = Some(leaf.clone());
        Ok(Some(leaf))
    }

    /// Reads a leaf.
    pub(crate) fn leaf(&self, (reference, end): LeafRef) -> Result<Leaf> {
        match self.page(reference.page)? {
            TreePage::Leaf(entries)
                if entries.first().is_some_and(|e| e.path == reference.first)
                    && entries.last().is_some_and(|e| end.as_ref().is_none_or(|end| e.path < *end)) =>
            {
                Ok(Leaf { reference, end, entries: Arc::new(entries) })
            }
            _ => Err(Error::corrupt(format!(
                "page {}: it is not the leaf that is expected there",
                reference.page
            ))),
        }
    }

    /// The leaf references, from the one whose range holds `from`.
    pub(crate) fn leaves(&self, from: &[u8]) -> Leaves {
        Leaves::from(self.clone(), from)
    }

    pub(crate) fn page(&self, id: u64) -> Result<TreePage> {
        if let Hold::Gone(version) = self.hold {
            return Err(forgotten_version(version));
        }
        page::decode(&self.pages.get(id)?).map_err(|e| e.within(format_args!("page {id}")))
    }

    /// The page at `level` whose range holds `path`, if the tree is that high.
    pub(crate) fn page_at(&self, level: u8, path: &[u8]) -> Result<Option<u64>> {
        let mut id = self.root.page;
        let mut above = MAX_LEVEL + 1;
        while id != 0 {
            match self.page(id)? {
                TreePage::Leaf(_) => return Ok((level == 0).then_some(id)),
                TreePage::Index { level: found, .. } if found <= level => {
                    return Ok((found == level).then_some(id));
                }
                TreePage::Index { level: found, refs } if found < above => {
                    above = found;
                    let at = refs.partition_point(|r| r.first.as_slice() <= path).saturating_sub(1);
                    id = refs.get(at).map_or(0, |r| r.page);
                }
                TreePage::Index { .. } => {
                    return Err(Error::corrupt(format!("page {id}: its level does not descend")));
                }
            }
        }
        Ok(None)
    }
}

/// Walks leaf references in order, holding one index page per level.
pub(crate) struct Leaves {
    tree: Tree,
    /// One list a level, next reference last, with the level of the pages they name.
    stack: Vec<(u8, Vec<Ref>)>,
    /// Where to begin, until the first leaf is found.
    seek: Option<Vec<u8>>,
    started: bool,
}

impl Leaves {
    fn from(tree: Tree, path: &[u8]) -> Self {
        let seek = (!path.is_empty()).then(|| path.to_vec());
        Self { tree, stack: Vec::new(), seek, started: false }
    }

    /// First path after what the reference taken last covers.
    fn end(&self) -> Option<&Vec<u8>> {
        self.stack.iter().rev().find_map(|(_, refs)| refs.last()).map(|next| &next.first)
    }

    fn push(&mut self, level: u8, mut refs: Vec<Ref>) {
        if let Some(path) = &self.seek {
            let at_or_before = refs.partition_point(|r| r.first.as_slice() <= path.as_slice());
            refs.drain(..at_or_before.saturating_sub(1));
        }
        refs.reverse();
        self.stack.push((level, refs));
    }

    fn start(&mut self) -> Result<()> {
        let root = self.tree.root;
        if root.page == 0 {
            return Ok(());
        }
        match self.tree.page(root.page)? {
            TreePage::Leaf(entries) => {
                let first = entries.first().map(|e| e.path.clone()).unwrap_or_default();
                self.push(0, vec![Ref { first, page: root.page, totals: root.totals }]);
            }
            TreePage::Index { level, refs } => self.push(level - 1, refs),
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<LeafRef>> {
        if !self.started {
            self.started = true;
            self.start()?;
        }
        while let Some((level, refs)) = self.stack.last_mut() {
            let level = *level;
            let Some(reference) = refs.pop() else {
                self.stack.pop();
                continue;
            };
            if level == 0 {
                self.seek = None;
                let end = self.end().cloned();
                return Ok(Some((reference, end)));
            }
            match self.tree.page(reference.page)? {
                // Pages cover ranges that do not overlap, so a walk visits none twice, whatever they say.
                TreePage::Index { level: found, refs }
                    if found == level
                        && refs.first().is_some_and(|first| first.first == reference.first)
                        && refs.last().is_some_and(|last| self.end().is_none_or(|end| last.first < *end)) =>
                {
                    self.push(level - 1, refs);
                }
                _ => {
                    let page = reference.page;
                    return Err(Error::corrupt(format!(
                        "page {page}: it is not the index that is expected there"
                    )));
                }
            }
        }
        Ok(None)
    }
}

impl Iterator for Leaves {
    type Item = Result<LeafRef>;

    fn next(&mut self) -> Option<Self::Item> {
        // What fails was taken off the stack: a walk goes on behind a page that can't be read.
        self.advance().transpose()
    }
}

/// Walks entries in order, from one path to another.
pub(crate) struct Range {
    leaves: Leaves,
    from: Vec<u8>,
    to: Option<Vec<u8>>,
    leaf: Option<(Arc<Vec<Entry>>, usize)>,
    done: bool,
}

impl Range {
    fn new(tree: Tree, from: Vec<u8>, to: Option<Vec<u8>>) -> Self {
        Self { leaves: Leaves::from(tree, &from), from, to, leaf: None, done: false }
    }
}

impl Iterator for Range {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            if let Some((entries, at)) = &mut self.leaf
                && let Some(entry) = entries.get(*at)
            {
                *at += 1;
                if self.to.as_ref().is_some_and(|to| entry.path >= *to) {
                    self.done = true;
                    return None;
                }
                return Some(Ok(entry.clone()));
            }
            let next = self.leaves.next().map(|next| next.and_then(|leaf| self.leaves.tree.leaf(leaf)));
            match next {
                None => self.done = true,
                Some(Err(error)) => {
                    self.leaf = None;
                    // A forgotten version has nothing behind the first page either.
                    self.done = error.kind() != ErrorKind::Corrupt;
                    return Some(Err(error));
                }
                Some(Ok(leaf)) => {
                    let at = leaf.entries.partition_point(|e| e.path < self.from);
                    self.leaf = Some((leaf.entries, at));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;
    use crate::tree::{Attributes, Node};

    /// Six index pages, each referring a hundred times to the one below: 10^12 visits for whoever believes them.
    #[test]
    fn pages_that_refer_to_one_page_many_times_are_refused_at_once() {
        let pages = Arc::new(PageStore::open(Arc::new(MemoryBackend::new())).unwrap());
        let path = |at: usize| format!("{at:03}").into_bytes();
        let entry =
            Entry { path: path(0), version: 1, attributes: Attributes::default(), node: Node::Directory };
        let totals = Totals::of(&entry);
        let mut below = pages.put(&page::encode_leaf(&[entry]), None).unwrap();
        for level in 1..=6 {
            let refs: Vec<Ref> = (0..100).map(|at| Ref { first: path(at), page: below, totals }).collect();
            below = pages.put(&page::encode_index(level, &refs), None).unwrap();
        }
        let tree = Tree::new(pages, TreeRoot { page: below, totals });
        let entries: Vec<_> = tree.entries(b"").take(1000).collect();
        // Each reference of the root once, and nothing below.
        assert_eq!(entries.len(), 100);
        let is_refused =
            |entry: &Result<Entry>| entry.as_ref().is_err_and(|e| e.kind() == ErrorKind::Corrupt);
        assert!(entries.iter().all(is_refused));
        assert!(tree.get(b"050").is_err());
    }
}
