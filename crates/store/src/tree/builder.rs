//! Writing a tree: an older tree with changes applied, sharing every page that comes out the same.

use std::collections::BTreeMap;

use super::entry::Entry;
use super::page::{MAX_LEVEL, MAX_PER_PAGE, Ref, Totals, encode_index, encode_leaf};
use super::reader::{Tree, TreeRoot};
use crate::boundary::spread_bytes;
use crate::list::put_or_reuse;
use crate::{Error, Result};

/// A page ends after an entry whose path's spread bits (8 bits further for each level) are clear here: 64 on average.
const CUT_MASK: u64 = 63;

/// A leaf ends early when its entries have this many bytes of extended attributes.
const MAX_LEAF_XATTR_BYTES: usize = 1 << 20;

/// Changes to a tree: first everything under the cleared paths goes, then paths are set or removed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Paths that go with everything below them.
    pub(crate) cleared: Vec<Vec<u8>>,
    /// Path to its new entry, or `None` to remove it.
    pub(crate) entries: BTreeMap<Vec<u8>, Option<Entry>>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.cleared.is_empty() && self.entries.is_empty()
    }

    /// The path is cleared: it is one of the cleared ones, or below one.
    pub(crate) fn clears(&self, path: &[u8]) -> bool {
        self.cleared.iter().any(|cleared| is_at_or_below(path, cleared))
    }

    /// Every path from `first` to `end`, exclusive, is cleared.
    fn clears_all(&self, first: &[u8], end: Option<&[u8]>) -> bool {
        self.cleared.iter().any(|cleared| {
            let below = is_at_or_below(first, cleared) && first.len() > cleared.len();
            cleared.is_empty() || (below && end.is_some_and(|end| end <= after(cleared).as_slice()))
        })
    }

    /// Some path from `first` to `end`, exclusive, may be cleared.
    fn clears_some(&self, first: &[u8], end: Option<&[u8]>) -> bool {
        self.cleared.iter().any(|cleared| {
            let before_end = end.is_none_or(|end| cleared.as_slice() < end);
            cleared.is_empty() || (before_end && first < after(cleared).as_slice())
        })
    }
}

/// `path` is `parent` or lies below it; everything lies below the empty path.
pub(crate) fn is_at_or_below(path: &[u8], parent: &[u8]) -> bool {
    parent.is_empty() || path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The first path after everything below `parent`.
pub(crate) fn after(parent: &[u8]) -> Vec<u8> {
    [parent, &[b'/' + 1]].concat()
}

/// `tree` with `changes` applied. Pages of `like`, an older tree, are used again where equal, and as bases elsewhere.
pub(crate) fn apply(tree: &Tree, changes: &Changes, like: &Tree) -> Result<TreeRoot> {
    let mut builder = Builder { like, leaf: Vec::new(), leaf_bytes: 0, levels: Vec::new() };
    let mut pending = changes.entries.iter().peekable();
    for leaf in tree.leaves(b"") {
        let (reference, end) = leaf?;
        while let Some((_, entry)) = pending.next_if(|(path, _)| **path < reference.first) {
            builder.push_some(entry.as_ref())?;
        }
        let touched = pending.peek().is_some_and(|(path, _)| end.as_ref().is_none_or(|end| *path < end));
        if !touched && changes.clears_all(&reference.first, end.as_deref()) {
            continue;
        }
        // The last leaf has no boundary at its end: what follows must join it.
        if !touched && end.is_some() && !changes.clears_some(&reference.first, end.as_deref()) {
            builder.push_leaf(tree, reference, end)?;
            continue;
        }
        let leaf = tree.leaf((reference, end))?;
        for old in leaf.entries.iter().filter(|e| !changes.clears(&e.path)) {
            while let Some((_, entry)) = pending.next_if(|(path, _)| **path < old.path) {
                builder.push_some(entry.as_ref())?;
            }
            match pending.next_if(|(path, _)| **path == old.path) {
                Some((_, entry)) => builder.push_some(entry.as_ref())?,
                None => builder.push(old.clone())?,
            }
        }
        while let Some((_, entry)) =
            pending.next_if(|(path, _)| leaf.end.as_ref().is_none_or(|end| *path < end))
        {
            builder.push_some(entry.as_ref())?;
        }
    }
    for (_, entry) in pending {
        builder.push_some(entry.as_ref())?;
    }
    builder.finish()
}

/// A tree of these entries, which ascend by path. Pages of `like`, an older tree, are used again where equal.
pub(crate) fn build(entries: &mut dyn Iterator<Item = Result<Entry>>, like: &Tree) -> Result<TreeRoot> {
    let mut builder = Builder { like, leaf: Vec::new(), leaf_bytes: 0, levels: Vec::new() };
    for entry in entries {
        builder.push(entry?)?;
    }
    builder.finish()
}

struct Builder<'t> {
    like: &'t Tree,
    leaf: Vec<Entry>,
    /// Bytes of extended attributes in it.
    leaf_bytes: usize,
    levels: Vec<Vec<Ref>>,
}

impl Builder<'_> {
    fn push_some(&mut self, entry: Option<&Entry>) -> Result<()> {
        entry.map_or(Ok(()), |entry| self.push(entry.clone()))
    }

    fn push(&mut self, entry: Entry) -> Result<()> {
        let cut = spread_bytes(&entry.path) & CUT_MASK == 0;
        self.leaf_bytes += entry.attributes.xattr_bytes();
        self.leaf.push(entry);
        let full = self.leaf.len() == MAX_PER_PAGE || self.leaf_bytes >= MAX_LEAF_XATTR_BYTES;
        if cut || full { self.end_leaf() } else { Ok(()) }
    }

    /// Takes a whole leaf that ends at a boundary, unread when it also begins at one.
    fn push_leaf(&mut self, tree: &Tree, reference: Ref, end: Option<Vec<u8>>) -> Result<()> {
        if self.leaf.is_empty() {
            return self.push_ref(0, reference);
        }
        let leaf = tree.leaf((reference, end))?;
        leaf.entries.iter().try_for_each(|entry| self.push(entry.clone()))
    }

    fn end_leaf(&mut self) -> Result<()> {
        let entries = std::mem::take(&mut self.leaf);
        self.leaf_bytes = 0;
        let Some(first) = entries.first().map(|e| e.path.clone()) else { return Ok(()) };
        let mut totals = Totals::default();
        entries.iter().for_each(|entry| totals.add(Totals::of(entry)));
        let page = self.put(0, &first, &encode_leaf(&entries))?;
        self.push_ref(0, Ref { first, page, totals })
    }

    fn push_ref(&mut self, level: usize, reference: Ref) -> Result<()> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        let refs = &mut self.levels[level];
        let cut = (spread_bytes(&reference.first) >> (8 * (level as u32 + 1)).min(56)) & CUT_MASK == 0;
        // A page begins at such a reference, so that one that only grows at its end keeps its first path.
        if cut && refs.len() > 1 {
            self.end_index(level)?;
        }
        self.levels[level].push(reference);
        if self.levels[level].len() == MAX_PER_PAGE { self.end_index(level) } else { Ok(()) }
    }

    fn end_index(&mut self, level: usize) -> Result<()> {
        let refs = std::mem::take(&mut self.levels[level]);
        let Some(first) = refs.first().map(|r| r.first.clone()) else { return Ok(()) };
        let mut totals = Totals::default();
        refs.iter().for_each(|r| totals.add(r.totals));
        // Two references to a page at least: only paths that were made for it get here. Written, nobody could read it.
        if level >= usize::from(MAX_LEVEL) {
            return Err(Error::invalid(format!(
                "the tree needs more than {MAX_LEVEL} levels: leave out some paths"
            )));
        }
        let height = level as u8 + 1;
        let page = self.put(height, &first, &encode_index(height, &refs))?;
        self.push_ref(level + 1, Ref { first, page, totals })
    }

    fn put(&self, level: u8, first: &[u8], plain: &[u8]) -> Result<u64> {
        let old = self.like.page_at(level, first)?;
        put_or_reuse(self.like.pages(), plain, old)
    }

    fn finish(mut self) -> Result<TreeRoot> {
        self.end_leaf()?;
        let mut level = 0;
        while level < self.levels.len() {
            let top = level + 1 == self.levels.len();
            match (top, self.levels[level].as_slice()) {
                (true, [root]) => return Ok(TreeRoot { page: root.page, totals: root.totals }),
                (_, []) => {}
                _ => self.end_index(level)?,
            }
            level += 1;
        }
        Ok(TreeRoot::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EngramStore, ErrorKind};

    #[test]
    fn a_tree_that_no_reader_would_follow_is_not_written() {
        let store = EngramStore::in_memory();
        let like = store.tree_of(None);
        let mut builder = Builder { like: &like, leaf: Vec::new(), leaf_bytes: 0, levels: Vec::new() };
        let top = usize::from(MAX_LEVEL);
        builder.levels.resize(top, Vec::new());
        let reference = || Ref { first: b"a".to_vec(), page: 1, totals: Totals::default() };
        builder.push_ref(top - 1, reference()).unwrap();
        builder.end_index(top - 1).unwrap();
        builder.push_ref(top, reference()).unwrap();
        assert_eq!(builder.end_index(top).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
