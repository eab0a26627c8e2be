//! What differs between two trees, and one writer's changes carried over to another's tree.

use std::sync::Arc;

use super::builder::{Changes, apply};
use super::entry::Entry;
use super::reader::{LeafRef, Leaves, Tree};
use crate::{Conflict, Error, Result};

/// Calls `visit` for each path that differs, in order, with its entry in `a` and in `b`. Leaves that both trees share
/// are not read.
///
/// # Errors
/// What `visit` returns; `Corrupt` when a page is damaged.
pub(crate) fn difference(
    a: &Tree,
    b: &Tree,
    visit: &mut dyn FnMut(Option<&Entry>, Option<&Entry>) -> Result<()>,
) -> Result<()> {
    if a.root().page == b.root().page {
        return Ok(());
    }
    let (mut a, mut b) = (Side::new(a)?, Side::new(b)?);
    loop {
        while a.at_start() && b.at_start() && a.next.is_some() && a.next_page() == b.next_page() {
            a.skip()?;
            b.skip()?;
        }
        let (left, right) = (a.peek()?.cloned(), b.peek()?.cloned());
        let order = match (&left, &right) {
            (None, None) => return Ok(()),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(left), Some(right)) => left.path.cmp(&right.path),
        };
        match order {
            std::cmp::Ordering::Less => visit(left.as_ref(), None)?,
            std::cmp::Ordering::Greater => visit(None, right.as_ref())?,
            std::cmp::Ordering::Equal if left != right => visit(left.as_ref(), right.as_ref())?,
            std::cmp::Ordering::Equal => {}
        }
        if order.is_le() {
            a.at += 1;
        }
        if order.is_ge() {
            b.at += 1;
        }
    }
}

/// One tree being walked, leaf by leaf.
pub(crate) struct Side {
    tree: Tree,
    leaves: Leaves,
    next: Option<LeafRef>,
    entries: Arc<Vec<Entry>>,
    at: usize,
}

impl Side {
    fn new(tree: &Tree) -> Result<Self> {
        let mut leaves = tree.leaves(b"");
        let next = leaves.next().transpose()?;
        Ok(Self { tree: tree.clone(), leaves, next, entries: Arc::default(), at: 0 })
    }

    fn at_start(&self) -> bool {
        self.at == self.entries.len()
    }

    fn next_page(&self) -> Option<u64> {
        self.next.as_ref().map(|(reference, _)| reference.page)
    }

    fn skip(&mut self) -> Result<()> {
        self.next = self.leaves.next().transpose()?;
        Ok(())
    }

    fn peek(&mut self) -> Result<Option<&Entry>> {
        if self.at_start()
            && let Some(leaf) = self.next.take()
        {
            self.entries = self.tree.leaf(leaf)?.entries;
            self.at = 0;
            self.skip()?;
        }
        Ok(self.entries.get(self.at))
    }
}

/// Changes carried over at once: bounds memory.
const MERGED_AT_ONCE: usize = 16 << 10;

/// The changes from `base` to `ours`, applied to `head`; entries that `ours` gave version `provisional` get `number`.
///
/// # Errors
/// `Conflict` when a path was changed on both sides, differently.
pub(crate) fn merge(base: &Tree, head: &Tree, ours: &Tree, provisional: u64, number: u64) -> Result<Tree> {
    let mut merged = head.clone();
    let mut changes = Changes::default();
    difference(base, ours, &mut |old, new| {
        let Some(path) = old.or(new).map(|e| e.path.clone()) else { return Ok(()) };
        let found = head.get(&path)?;
        let new = new.cloned().map(|mut entry| {
            if entry.version == provisional {
                entry.version = number;
            }
            entry
        });
        if found.as_ref() == old {
            changes.entries.insert(path, new);
        } else if !same(found.as_ref(), new.as_ref()) {
            let (expected, found) = (old.map(|e| e.version), found.map(|e| e.version));
            return Err(Error::conflicting(Conflict { path, expected, found }));
        }
        if changes.entries.len() == MERGED_AT_ONCE {
            let root = apply(&merged, &std::mem::take(&mut changes), head)?;
            merged = Tree::new(Arc::clone(head.pages()), root);
        }
        Ok(())
    })?;
    let root = apply(&merged, &changes, head)?;
    Ok(Tree::new(Arc::clone(head.pages()), root))
}

fn same(a: Option<&Entry>, b: Option<&Entry>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.same_as(b),
        (None, None) => true,
        _ => false,
    }
}
