//! Pages of trees and lists: taken from a copy of the store where there is one; otherwise trees are rebuilt without
//! what the damaged pages said, and that is named.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Repair, meta};
use crate::collect::Marks;
use crate::error::unless_corrupt;
use crate::format::{Version, id_key};
use crate::id_set::IdSet;
use crate::list::{self, ListPage};
use crate::tree::{Content, Piece, Totals, Tree, TreePage, TreeRoot, build, decode_page};
use crate::{Batch, Durability, Entry, Error, ErrorKind, Result, Space};

/// What the trees need of the chunks: for each chunk the end of its farthest piece.
pub(super) type Needed = BTreeMap<u64, u32>;

/// What is known of pages that were looked at.
#[derive(Default)]
struct Looked {
    seen: IdSet,
    /// Something in or below these can't be read.
    unsound: IdSet,
    needed: Needed,
}

/// Paths named in one line.
const PATHS_NAMED: usize = 50;

impl Repair<'_, '_> {
    /// Copies pages that can't be read from sources that are copies of this store.
    pub(super) fn pages_from_sources(&mut self) -> Result<()> {
        for source in self.sources {
            let mut marks = Marks::default();
            for version in self.versions()? {
                let here = self.store.backend.get(Space::Version, &id_key(version.number))?;
                if here.is_none() || here != meta::version_record(source, version.number)? {
                    continue;
                }
                // What the source has lost itself, it can't give.
                unless_corrupt(marks.version(&source.0, &version))?;
            }
            for page in marks.pages.iter() {
                if unless_corrupt(self.store.pages.get(page))?.is_none()
                    && let Some(plain) = unless_corrupt(source.0.pages.get(page))?
                {
                    self.store.pages.recode(page, &plain, None)?;
                    self.report.found(format!("page {page} was damaged, and is taken from a source"));
                    self.report.mended_pages += 1;
                }
            }
        }
        Ok(())
    }

    /// Looks at all trees, and rebuilds those that can't be read whole. Returns what they need.
    pub(super) fn trees(&mut self) -> Result<Needed> {
        let mut looked = Looked::default();
        let versions = self.versions()?;
        let mut unsound = Vec::new();
        for (at, version) in versions.iter().enumerate() {
            if version.tree != 0 && !self.look_at_tree(&mut looked, version.tree, u8::MAX)? {
                unsound.push(at);
            }
            self.step();
        }
        let mut rebuilt: BTreeMap<u64, Tree> = BTreeMap::new();
        for at in unsound {
            let version = &versions[at];
            let neighbours: Vec<Tree> = [at.checked_sub(1), Some(at + 1)]
                .into_iter()
                .flatten()
                .filter_map(|at| versions.get(at))
                .map(|version| rebuilt.get(&version.number).cloned().unwrap_or_else(|| self.tree_of(version)))
                .collect();
            let like = rebuilt.values().next_back().cloned();
            let tree = self.rebuild(version, &looked.unsound, &neighbours, like)?;
            self.rebuilt_trees.insert(version.number);
            rebuilt.insert(version.number, tree);
        }
        Ok(looked.needed)
    }

    fn tree_of(&self, version: &Version) -> Tree {
        Tree::new(Arc::clone(&self.store.pages), TreeRoot::of(version))
    }

    /// Everything in and below this page can be read.
    fn look_at_tree(&mut self, looked: &mut Looked, page: u64, above: u8) -> Result<bool> {
        if !looked.seen.insert(page) {
            return Ok(!looked.unsound.contains(page));
        }
        let found =
            self.store.pages.get(page).and_then(|plain| {
                decode_page(&plain).map_err(|error| error.within(format_args!("page {page}")))
            });
        let mut sound = true;
        match self.report.unless_damaged(found)? {
            Some(TreePage::Leaf(entries)) => {
                for file in entries.iter().filter_map(Entry::file) {
                    sound &= match &file.content {
                        Content::Inline(pieces) => {
                            looked.need(pieces);
                            true
                        }
                        Content::Listed { page, .. } => self.look_at_list(looked, *page, u8::MAX)?,
                    };
                }
            }
            Some(TreePage::Index { level, refs }) if level < above => {
                for reference in refs {
                    sound &= self.look_at_tree(looked, reference.page, level)?;
                }
            }
            _ => sound = false,
        }
        if !sound {
            looked.unsound.insert(page);
        }
        Ok(sound)
    }

    fn look_at_list(&mut self, looked: &mut Looked, page: u64, above: u8) -> Result<bool> {
        if !looked.seen.insert(page) {
            return Ok(!looked.unsound.contains(page));
        }
        let found = self.store.pages.get(page).and_then(|plain| {
            list::decode(&plain).map_err(|error| error.within(format_args!("page {page}")))
        });
        let mut sound = true;
        match self.report.unless_damaged(found)? {
            Some(ListPage::Leaf(pieces)) => looked.need(&pieces),
            Some(ListPage::Index { level, refs }) if level < above => {
                for reference in refs {
                    sound &= self.look_at_list(looked, reference.page, level)?;
                }
            }
            _ => sound = false,
        }
        if !sound {
            looked.unsound.insert(page);
        }
        Ok(sound)
    }

    /// Writes the tree of `version` anew with what can be read of it.
    fn rebuild(
        &mut self,
        version: &Version,
        unsound: &IdSet,
        neighbours: &[Tree],
        like: Option<Tree>,
    ) -> Result<Tree> {
        let tree = self.tree_of(version);
        let number = version.number;
        let mut lost = Vec::new();
        let like = like.unwrap_or_else(|| Tree::new(Arc::clone(&self.store.pages), TreeRoot::default()));
        let mut leaves = tree.leaves(b"");
        let mut entries: Vec<Entry> = Vec::new();
        let mut entries_left = std::iter::from_fn(|| {
            loop {
                if let Some(entry) = entries.pop() {
                    let listed = entry.file().and_then(|file| match &file.content {
                        Content::Listed { page, .. } => Some(*page),
                        Content::Inline(_) => None,
                    });
                    if listed.is_some_and(|page| unsound.contains(page)) {
                        let path = entry.path.escape_ascii();
                        lost.push(format!("version {number}: `{path}`: the list of its pieces is damaged"));
                        continue;
                    }
                    return Some(Ok(entry));
                }
                match leaves.next()? {
                    Ok(leaf) => match tree.leaf(leaf.clone()) {
                        Ok(read) => {
                            entries = read.entries.to_vec();
                            entries.reverse();
                        }
                        Err(error) if error.kind() == ErrorKind::Corrupt => {
                            let (reference, end) = leaf;
                            let range = (reference.first, end);
                            lost.push(described(number, &range, Some(reference.totals), &error, neighbours));
                        }
                        Err(error) => return Some(Err(error)),
                    },
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        lost.push(described(number, &(Vec::new(), None), None, &error, &[]));
                    }
                    Err(error) => return Some(Err(error)),
                }
            }
        });
        let root = build(&mut entries_left, &like)?;
        for line in lost {
            self.report.drop(line);
        }
        let gone = version.entries.saturating_sub(root.totals.entries);
        if gone > 0 {
            let all = version.entries;
            self.report.drop(format!("version {number}: {gone} of its {all} entries, in all"));
        }
        let Totals { entries, files, bytes } = root.totals;
        let version = Version { entries, files, bytes, tree: root.page, ..version.clone() };
        self.write_version(&version)?;
        Ok(Tree::new(Arc::clone(&self.store.pages), root))
    }

    /// Replaces a version's record. What it refers to is durable before it is.
    pub(super) fn write_version(&self, version: &Version) -> Result<()> {
        self.store.backend.flush()?;
        let mut batch = Batch::new();
        batch.put(Space::Version, id_key(version.number), version.encode());
        self.store.backend.write(batch, Durability::Durable)?;
        let mut head = self.store.head();
        if head.as_ref().is_some_and(|head| head.number == version.number) {
            *head = Some(version.clone());
        }
        Ok(())
    }
}

impl Looked {
    fn need(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            let end = self.needed.entry(piece.chunk).or_default();
            *end = (*end).max(piece.start.saturating_add(piece.len));
        }
    }
}

/// What is lost with a page of a tree, and what versions beside it have there.
fn described(
    number: u64,
    (first, end): &(Vec<u8>, Option<Vec<u8>>),
    totals: Option<Totals>,
    error: &Error,
    neighbours: &[Tree],
) -> String {
    let count = totals.map_or("some".to_owned(), |totals| totals.entries.to_string());
    let until =
        end.as_ref().map_or(" to the end".to_owned(), |end| format!(" to before `{}`", end.escape_ascii()));
    let range =
        if totals.is_some() { format!(", from `{}`{until}", first.escape_ascii()) } else { String::new() };
    let mut line = format!("version {number}: {count} entries{range}: {error}");
    let mut paths: Vec<String> = Vec::new();
    for tree in neighbours {
        for entry in tree.range(first, end.as_deref()).flatten() {
            let path = format!("`{}`", entry.path.escape_ascii());
            if !paths.contains(&path) && paths.len() < PATHS_NAMED {
                paths.push(path);
            }
        }
    }
    if !paths.is_empty() {
        line.push_str(&format!("; versions beside it have there {}", paths.join(", ")));
    }
    line
}
