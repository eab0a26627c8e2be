//! What differs between two trees, and one writer's changes carried over to another's tree.

use std::sync::Arc;

use super::builder::{Changes, apply};
use super::entry::{Entry, Node};
use super::reader::{LeafRef, Leaves, Tree};
use crate::{Conflict, Error, ErrorKind, Result};

/// Called with a path's entry before and after a change.
pub type EachChange<'v> = dyn FnMut(Option<&Entry>, Option<&Entry>) -> Result<()> + 'v;

/// Calls `visit` for each path that differs, in order, with its entry in `a` and in `b`. Leaves that both trees share
/// are not read.
///
/// # Errors
/// What `visit` returns; `Corrupt` when a page is damaged.
pub(crate) fn difference(a: &Tree, b: &Tree, visit: &mut EachChange<'_>) -> Result<()> {
    difference_past(a, b, visit, &mut |_, error| Err(error))
}

/// A page of one of two trees that can't be read: that of the first one?
pub(crate) type OnDamage<'v> = dyn FnMut(bool, Error) -> Result<()> + 'v;

/// The same, but what lies in a page that can't be read is passed over, as if it were not in that tree, if `on_damage`
/// allows it.
///
/// # Errors
/// What `visit` or `on_damage` returns.
pub(crate) fn difference_past(
    a: &Tree,
    b: &Tree,
    visit: &mut EachChange<'_>,
    on_damage: &mut OnDamage<'_>,
) -> Result<()> {
    if a.root().page == b.root().page {
        return Ok(());
    }
    let (mut a, mut b) = (Side::new(a, true, on_damage)?, Side::new(b, false, on_damage)?);
    loop {
        while a.at_start() && b.at_start() && a.next.is_some() && a.next_page() == b.next_page() {
            a.skip(on_damage)?;
            b.skip(on_damage)?;
        }
        let (left, right) = (a.peek(on_damage)?.cloned(), b.peek(on_damage)?.cloned());
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

impl Tree {
    /// Calls `visit` for each path whose entry differs in `to`, in order, with its entry here and there. Pages that both
    /// share are not read, so this takes as long as there are changes, not entries. An entry whose content only lies
    /// elsewhere differs too: [`Entry::same_as`] tells.
    ///
    /// # Errors
    /// What `visit` returns; `Corrupt` when a page is damaged.
    pub fn each_difference(&self, to: &Self, visit: &mut EachChange<'_>) -> Result<()> {
        difference(self, to, visit)
    }
}

/// One tree being walked, leaf by leaf.
pub(crate) struct Side {
    tree: Tree,
    leaves: Leaves,
    is_first: bool,
    next: Option<LeafRef>,
    entries: Arc<Vec<Entry>>,
    at: usize,
}

impl Side {
    fn new(tree: &Tree, is_first: bool, on_damage: &mut OnDamage<'_>) -> Result<Self> {
        let (tree, leaves) = (tree.clone(), tree.leaves(b""));
        let mut side = Self { tree, leaves, is_first, next: None, entries: Arc::default(), at: 0 };
        side.skip(on_damage)?;
        Ok(side)
    }

    fn at_start(&self) -> bool {
        self.at == self.entries.len()
    }

    fn next_page(&self) -> Option<u64> {
        self.next.as_ref().map(|(reference, _)| reference.page)
    }

    fn skip(&mut self, on_damage: &mut OnDamage<'_>) -> Result<()> {
        loop {
            match self.leaves.next() {
                None => self.next = None,
                Some(Ok(leaf)) => self.next = Some(leaf),
                Some(Err(error)) if error.kind() == ErrorKind::Corrupt => {
                    on_damage(self.is_first, error)?;
                    continue;
                }
                Some(Err(error)) => return Err(error),
            }
            return Ok(());
        }
    }

    fn peek(&mut self, on_damage: &mut OnDamage<'_>) -> Result<Option<&Entry>> {
        while self.at_start()
            && let Some(leaf) = self.next.take()
        {
            match self.tree.leaf(leaf) {
                Ok(leaf) => (self.entries, self.at) = (leaf.entries, 0),
                Err(error) if error.kind() == ErrorKind::Corrupt => on_damage(self.is_first, error)?,
                Err(error) => return Err(error),
            }
            self.skip(on_damage)?;
        }
        Ok(self.entries.get(self.at))
    }
}

/// Changes carried over at once: bounds memory.
const MERGED_AT_ONCE: usize = 16 << 10;

/// One writer's tree, to be carried over to another's.
pub(crate) struct Merge<'t> {
    /// What both began with.
    pub(crate) base: &'t Tree,
    /// What the other made of it.
    pub(crate) head: &'t Tree,
    /// What this one made of it.
    pub(crate) ours: &'t Tree,
    /// The version that new entries of `ours` carry, and the one they get.
    pub(crate) provisional: u64,
    pub(crate) number: u64,
}

/// The changes from `base` to `ours`, applied to `head`. Calls `on_same` for each path that both changed alike, with its
/// entry in `base` and in `ours`.
///
/// # Errors
/// `Conflict` when a path was changed on both sides, differently, or came to lie below something that is no directory.
pub(crate) fn merge(
    Merge { base, head, ours, provisional, number }: Merge<'_>,
    on_same: &mut EachChange<'_>,
) -> Result<Tree> {
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
        } else if same(found.as_ref(), new.as_ref()) {
            on_same(old, new.as_ref())?;
        } else {
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
    let merged = Tree::new(Arc::clone(head.pages()), root);
    difference(base, ours, &mut |_, new| new.map_or(Ok(()), |new| check_place(&merged, new)))?;
    Ok(merged)
}

/// Each side was sound by itself; together a file may have come to lie below a file.
fn check_place(tree: &Tree, entry: &Entry) -> Result<()> {
    let conflict = |found: &Entry| {
        let path = entry.path.clone();
        Err(Error::conflicting(Conflict { path, expected: None, found: Some(found.version) }))
    };
    for (at, _) in entry.path.iter().enumerate().filter(|(_, b)| **b == b'/') {
        if let Some(above) =
            tree.get(&entry.path[..at])?.filter(|above| !matches!(above.node, Node::Directory))
        {
            return conflict(&above);
        }
    }
    if !matches!(entry.node, Node::Directory)
        && let Some(below) =
            tree.entries(&entry.path).find(|e| e.as_ref().is_ok_and(|e| e.path != entry.path))
    {
        return conflict(&below?);
    }
    Ok(())
}

fn same(a: Option<&Entry>, b: Option<&Entry>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.same_as(b),
        (None, None) => true,
        _ => false,
    }
}
