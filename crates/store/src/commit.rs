//! Committing: one durable step from version N to N + 1, whatever was staged before.

use std::sync::Arc;

use engrams_core::{Dimension, Engram, Sketch};

use crate::format::{MAX_MESSAGE_BYTES, Version, id_key};
use crate::pin::Reuse;
use crate::store::{EngramStore, Inner};
use crate::sums::SumChanges;
use crate::trace::{FileTally, Traces};
use crate::tree::{
    Changes, Entry, FileNode, Merge, Timestamp, Tree, TreeRoot, after, apply, check_path, difference, merge,
};
use crate::versions::{HEAD_KEY, head_record};
use crate::{Batch, Conflict, Durability, Error, ErrorKind, Result, Space};

/// Changes to the tree of one version, not yet visible to anyone.
///
/// Changes beyond a few thousand are kept in staged pages, so memory does not grow with their number.
pub struct Draft {
    store: Arc<Inner>,
    base: Option<Version>,
    base_tree: Tree,
    tree: Tree,
    changes: Changes,
    provisional: u64,
    engram: Engram,
    sums: SumChanges,
    /// The engram's change is not known, since old content is damaged: it is counted anew.
    recount: bool,
    /// Paths with the versions they must still have when this is committed.
    expected: Vec<(Vec<u8>, Option<u64>)>,
    reuse: Reuse,
}

/// Changes kept in memory before they are staged as pages.
const CHANGES_IN_MEMORY: usize = 8 << 10;

impl EngramStore {
    /// A draft on the newest version.
    ///
    /// # Errors
    /// `Invalid` when the store was opened for reading only.
    pub fn draft(&self) -> Result<Draft> {
        self.0.check_writable()?;
        let (base, base_tree) = {
            let head = self.0.head();
            (head.clone(), self.tree_of(head.as_ref()))
        };
        let reuse = {
            // Held until the draft is known: a collection that began in between would take what others staged there.
            let ids = self.0.ids();
            self.0.pins.draft(ids.next, self.0.pages.next())
        };
        Ok(Draft {
            store: Arc::clone(&self.0),
            provisional: next_number(&self.0, base.as_ref()),
            tree: base_tree.clone(),
            base_tree,
            base,
            changes: Changes::default(),
            engram: Engram::new(Dimension::ENGRAM),
            sums: SumChanges::default(),
            recount: false,
            expected: Vec::new(),
            reuse,
        })
    }
}

impl Draft {
    /// What it uses again of older chunks, for [`EngramStore::staging`].
    #[must_use]
    pub fn reuse(&self) -> &Reuse {
        &self.reuse
    }

    /// The version it changes.
    #[must_use]
    pub fn base(&self) -> Option<&Version> {
        self.base.as_ref()
    }

    /// The tree it changes.
    #[must_use]
    pub fn base_tree(&self) -> &Tree {
        &self.base_tree
    }

    /// The number its entries carry until it is committed, and afterwards unless another commit came first.
    #[must_use]
    pub fn provisional(&self) -> u64 {
        self.provisional
    }

    /// The entry at `path` with all changes so far.
    ///
    /// # Errors
    /// `Corrupt` when a page is damaged.
    pub fn get(&self, path: &[u8]) -> Result<Option<Entry>> {
        if let Some(change) = self.changes.entries.get(path) {
            return Ok(change.clone());
        }
        if self.changes.clears(path) { Ok(None) } else { self.tree.get(path) }
    }

    /// Some entry lies below `path`.
    ///
    /// # Errors
    /// `Corrupt` when a page is damaged.
    pub fn has_below(&self, path: &[u8]) -> Result<bool> {
        let first = [path, b"/"].concat();
        let below = |found: &[u8]| found.starts_with(&first);
        if self.changes.entries.range(first.clone()..).take_while(|(p, _)| below(p)).any(|(_, e)| e.is_some())
        {
            return Ok(true);
        }
        let kept = |entry: &Entry| {
            !self.changes.clears(&entry.path) && !matches!(self.changes.entries.get(&entry.path), Some(None))
        };
        let Some(leaf) = self.tree.leaf_of(&first)? else { return Ok(false) };
        if leaf.entries.iter().any(|e| below(&e.path) && kept(e)) {
            return Ok(true);
        }
        if leaf.end.is_none_or(|end| end >= after(path)) {
            return Ok(false);
        }
        for entry in self.tree.entries(path).skip_while(|e| e.as_ref().is_ok_and(|e| e.path == path)) {
            if kept(&entry?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Everything at and below `path` goes.
    ///
    /// # Errors
    /// `Corrupt` or `Io` when changes so far can't be staged.
    pub fn clear(&mut self, path: &[u8]) -> Result<()> {
        if !self.changes.entries.is_empty() {
            self.settle()?;
        }
        self.changes.cleared.push(path.to_vec());
        Ok(())
    }

    /// The path must still have the base's version (or still not exist) when this is committed, even if it is not
    /// changed here.
    ///
    /// # Errors
    /// `Corrupt` when the base can't be read.
    pub fn expect(&mut self, path: &[u8]) -> Result<()> {
        let version = self.base_tree.get(path)?.map(|entry| entry.version);
        self.expected.push((path.to_vec(), version));
        Ok(())
    }

    /// Sets or removes one path.
    ///
    /// # Errors
    /// `Invalid` when the path is not allowed or not the entry's, or an attribute is out of its range; `Corrupt` or
    /// `Io` when changes so far can't be staged; `NotFound` when the content was collected since the entry was read.
    pub fn set(&mut self, path: Vec<u8>, entry: Option<Entry>) -> Result<()> {
        check_path(&path)?;
        if let Some(entry) = &entry {
            entry.attributes.check()?;
            if entry.path != path {
                return Err(Error::invalid(format!(
                    "an entry of another path for `{}`",
                    path.escape_ascii()
                )));
            }
            if let Some(file) = entry.file() {
                self.keep_content(&path, file)?;
            }
        }
        self.changes.entries.insert(path, entry);
        if self.changes.entries.len() >= CHANGES_IN_MEMORY { self.settle() } else { Ok(()) }
    }

    /// Keeps a content from collection. That of the base is kept with it.
    fn keep_content(&self, path: &[u8], file: &FileNode) -> Result<()> {
        let base = self.base_tree.get(path)?;
        if base.as_ref().and_then(Entry::file).is_some_and(|base| base.content == file.content) {
            return Ok(());
        }
        let store = &self.store;
        let kept = self.reuse.content(
            &file.content,
            &mut |chunk| Ok(store.chunks.find_head(chunk)?.is_some()),
            &mut |page| Ok(store.backend.get(Space::Page, &id_key(page))?.is_some()),
        );
        kept.map_err(|e| e.within(format_args!("`{}`", path.escape_ascii())))
    }

    /// The change of the root engram can't be told: it is counted anew from the files when this is committed.
    pub fn recount(&mut self) {
        self.recount = true;
        self.sums.add(b"", None);
    }

    /// Adds the change that the file at `path` makes to the root engram and to the sums of its directories.
    pub fn count(&mut self, path: &[u8], change: Option<&Sketch>) {
        if let Some(change) = change {
            self.engram.merge(change.engram());
        }
        self.sums.add(path, change.map(Sketch::sample));
    }

    fn settle(&mut self) -> Result<()> {
        if !self.changes.is_empty() {
            let root = apply(&self.tree, &self.changes, &self.base_tree)?;
            self.tree = Tree::new(Arc::clone(&self.store.pages), root);
            self.changes = Changes::default();
        }
        Ok(())
    }

    /// The tree with all changes so far.
    ///
    /// # Errors
    /// `Corrupt` or `Io` when they can't be staged.
    pub fn tree(&mut self) -> Result<Tree> {
        self.settle()?;
        Ok(self.tree.clone())
    }

    /// Counts the base's files that are gone. `change_of` gives the change that removing a file makes; `None` when damage
    /// hides it.
    ///
    /// # Errors
    /// What `change_of` returns; `Corrupt` when a page is damaged.
    pub fn forget_removed(
        &mut self,
        change_of: &mut dyn FnMut(&Entry) -> Result<Option<Option<Sketch>>>,
    ) -> Result<()> {
        self.settle()?;
        let (base, tree) = (self.base_tree.clone(), self.tree.clone());
        difference(&base, &tree, &mut |old, new| {
            let Some(old) = old.filter(|old| old.file().is_some()) else { return Ok(()) };
            if new.and_then(Entry::file).is_none() {
                match change_of(old)? {
                    Some(change) => self.count(&old.path, change.as_ref()),
                    None => self.recount(),
                }
            }
            Ok(())
        })
    }

    /// Publishes the changes as the next version. Once it returns, power loss changes nothing.
    ///
    /// # Errors
    /// `Conflict` when a path changed here was changed by a commit since; nothing is then published. `Io` or
    /// `Unavailable` when it can't be made durable: reopen the store to see whether it was; the message says so when the
    /// version was committed and only the mark could not be written.
    pub fn commit(mut self, message: &str) -> Result<Version> {
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(Error::invalid(format!(
                "a message of {} bytes is over {MAX_MESSAGE_BYTES}",
                message.len()
            )));
        }
        self.settle()?;
        let store = Arc::clone(&self.store);
        let mut head = store.head();
        let (mut change, mut sums) = (self.engram, self.sums);
        let number = next_number(&store, head.as_ref());
        let newest =
            Tree::new(Arc::clone(&store.pages), head.as_ref().map_or_else(TreeRoot::default, TreeRoot::of));
        let tree = if number == self.provisional {
            self.tree.root()
        } else {
            for (path, expected) in &self.expected {
                let found = newest.get(path)?.map(|entry| entry.version);
                if found != *expected {
                    let (path, expected) = (path.clone(), *expected);
                    return Err(Error::conflicting(Conflict { path, expected, found }));
                }
            }
            let sides = Merge {
                base: &self.base_tree,
                head: &newest,
                ours: &self.tree,
                provisional: self.provisional,
                number,
            };
            let mut traces = Traces::default();
            // What both changed alike is counted in the newest version already.
            let tree = merge(sides, &mut |old, new| {
                let path = old.or(new).map_or(&[][..], |entry| &entry.path);
                let (old, new) = (old.and_then(Entry::file), new.and_then(Entry::file));
                let mut tally = FileTally::new(Arc::clone(&store), new);
                if let Some(old) = old {
                    tally.push_all(&mut traces, old)?;
                }
                if let Some(counted) = tally.finish(&mut traces)? {
                    change.merge(counted.engram());
                    sums.add(path, Some(counted.sample()));
                }
                Ok(())
            })?;
            tree.root()
        };
        let mut counted = None;
        let engram = match head.as_ref().map(|head| store.engram(head)) {
            None => change,
            Some(Ok(mut engram)) if !self.recount => {
                engram.merge(&change);
                engram
            }
            Some(Err(error)) if error.kind() != ErrorKind::Corrupt => return Err(error),
            // An engram is derived: damage to it, or to what is replaced, must not stop commits.
            _ => {
                let sketch = store.count(&Tree::new(Arc::clone(&store.pages), tree), b"")?;
                counted = Some(sketch.sample().clone());
                sketch.engram().clone()
            }
        };
        // Where a change is not known, the sums of directories are not.
        let old = (head.as_ref().filter(|_| !self.recount).map_or(0, |head| head.sums), &newest);
        let sums = store.put_sums(old, &Tree::new(Arc::clone(&store.pages), tree), &sums, counted)?;
        let version = Version {
            number,
            parent: head.as_ref().map(|head| head.number),
            time: Timestamp::now(),
            message: message.to_owned(),
            entries: tree.totals.entries,
            files: tree.totals.files,
            bytes: tree.totals.bytes,
            tree: tree.page,
            engram: store.pages.put(&engram.to_bytes(), None)?,
            sums,
            chunks_end: store.ids().next,
        };
        if let Some(mark) = &store.mark {
            if let Some(head) = head.as_ref().filter(|_| mark.bytes() == 0) {
                mark.advance(head.number)?;
            }
            mark.prepare(number)?;
        }
        let mut batch = Batch::new();
        batch.expect(Space::Meta, HEAD_KEY, head.as_ref().map(|head| head_record(head.number)));
        batch.expect(Space::Version, id_key(number), None);
        batch.put(Space::Version, id_key(number), version.encode());
        batch.put(Space::Meta, HEAD_KEY, head_record(number));
        store.backend.write(batch, Durability::Settled)?;
        *head = Some(version.clone());
        if let Some(mark) = &store.mark {
            mark.publish().map_err(|error| committed(number, error))?;
        }
        Ok(version)
    }
}

/// The number of the version after the newest. Those of versions that a repair found lost are not given again.
fn next_number(store: &Inner, newest: Option<&Version>) -> u64 {
    let lost = store.pins.state().forgotten.last();
    newest.map_or(0, |newest| newest.number).max(lost) + 1
}

/// An error that came after a version was committed.
fn committed(number: u64, error: Error) -> Error {
    error.within(format_args!("version {number} was committed and is safe; only what comes after failed"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::backend::{Fault, FaultyBackend, MemoryBackend};
    use crate::mark::CommitMark;
    use crate::{Backend, EngramStore, OpenOptions, VerifyOptions};

    /// A store whose mark is in the directory `place`.
    fn store(place: &std::path::Path) -> EngramStore {
        let mark = CommitMark::read(place).unwrap();
        let backend = Arc::new(MemoryBackend::new());
        EngramStore::assemble(backend, &OpenOptions::default(), Some(mark)).unwrap()
    }

    fn newest(store: &EngramStore) -> Option<u64> {
        store.head().unwrap().map(|head| head.number)
    }

    /// Found: a command failed after its commit, and did not say that there was one.
    #[test]
    fn a_mark_that_can_not_be_written_fails_with_the_version_that_was_committed() {
        let place = tempfile::tempdir().unwrap();
        let store = store(place.path());
        // What was prepared can't be renamed to a directory.
        std::fs::create_dir(place.path().join("COMMIT")).unwrap();
        let error = store.draft().unwrap().commit("").unwrap_err();
        assert!(error.to_string().starts_with("version 1 was committed"), "{error}");
        assert_eq!(newest(&store), Some(1));
    }

    /// Found: a full disk failed a command after its commit, where only the mark had no room.
    #[test]
    fn a_mark_that_has_no_room_fails_before_the_commit_which_can_be_done_again() {
        let around = tempfile::tempdir().unwrap();
        let place = around.path().join("place");
        let store = store(&place);
        let error = store.draft().unwrap().commit("").unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Io);
        assert_eq!(newest(&store), None, "{error}");
        std::fs::create_dir(&place).unwrap();
        store.draft().unwrap().commit("").unwrap();
        assert_eq!(newest(&store), Some(1));
        assert_eq!(CommitMark::read(&place).unwrap().marked().unwrap(), Some(1));
    }

    #[test]
    fn a_mark_is_never_ahead_of_the_database_whichever_write_or_flush_of_a_commit_fails() {
        let writes = (0..20).map(|at| Fault { write: Some(at), flush: None, fatal: true });
        let flushes = (0..20).map(|at| Fault { write: None, flush: Some(at), fatal: true });
        for faults in [writes.collect::<Vec<_>>(), flushes.collect()] {
            assert!(
                faults.into_iter().any(|fault| marks_whole_commits(fault) == 3),
                "some call always failed"
            );
        }
    }

    /// How many of three commits succeed.
    fn marks_whole_commits(fault: Fault) -> u64 {
        let place = tempfile::tempdir().unwrap();
        let backend = Arc::new(FaultyBackend::new(MemoryBackend::new(), fault));
        let mark = || CommitMark::read(place.path()).unwrap();
        let open =
            |backend: Arc<dyn Backend>| EngramStore::assemble(backend, &OpenOptions::default(), Some(mark()));
        let Ok(store) = open(Arc::clone(&backend) as Arc<dyn Backend>) else { return 0 };
        let committed = (0..3).take_while(|_| store.draft().unwrap().commit("").is_ok()).count() as u64;
        assert_eq!(mark().marked().unwrap().unwrap_or(0), committed, "{fault:?}");
        drop(store);
        // As the next process finds it: a flush that is the last thing heard of a medium may have succeeded.
        let found = MemoryBackend::copy_of(backend.inner()).unwrap();
        let store = open(Arc::new(found)).unwrap();
        let may_be_ahead = u64::from(fault.flush.is_some() && committed < 3);
        assert_eq!(newest(&store).unwrap_or(0), committed + may_be_ahead, "{fault:?}");
        committed
    }

    #[test]
    fn a_missing_mark_is_named_unless_a_crash_may_have_left_none_and_is_made_by_the_next_commit() {
        let place = tempfile::tempdir().unwrap();
        let store = store(place.path());
        let commit = || store.draft().unwrap().commit("").unwrap();
        let missing = || CommitMark::read(place.path()).unwrap().missing(store.head().unwrap().as_ref());
        assert_eq!(missing(), None);
        commit();
        let mark = place.path().join("COMMIT");
        std::fs::remove_file(&mark).unwrap();
        assert_eq!(missing(), None);
        commit();
        std::fs::remove_file(&mark).unwrap();
        assert!(missing().unwrap().contains("COMMIT is missing"));
        let found = store.verify(VerifyOptions::default(), &mut |_| {}).unwrap();
        assert_eq!(found.errors, [missing().unwrap()]);
        commit();
        assert_eq!(missing(), None);
        assert!(store.verify(VerifyOptions::default(), &mut |_| {}).unwrap().is_ok());
    }

    #[test]
    fn two_crashes_before_the_first_mark_do_not_look_like_a_mark_that_was_lost() {
        let writes = |fault| {
            let place = tempfile::tempdir().unwrap();
            let backend = Arc::new(FaultyBackend::new(MemoryBackend::new(), fault));
            let mark = CommitMark::read(place.path()).unwrap();
            let shared = Arc::clone(&backend) as Arc<dyn Backend>;
            let store = EngramStore::assemble(shared, &OpenOptions::default(), Some(mark)).unwrap();
            store.draft().unwrap().commit("").unwrap();
            std::fs::remove_file(place.path().join("COMMIT")).unwrap();
            let second = store.draft().unwrap().commit("");
            (backend.writes(), second.is_ok(), CommitMark::read(place.path()).unwrap().marked().unwrap())
        };
        let (all, committed, _) = writes(Fault::default());
        assert!(committed);
        let fault = Fault { write: Some(all - 1), ..Fault::default() };
        assert_eq!(writes(fault), (all, false, Some(1)), "the first has its mark before there is a second");
    }
}
