//! Files assembled from the pieces of decided chunks, and put into the draft in the order of the stream.

use std::sync::Arc;

use engrams_store::tree::{Attributes, FileNode, Node, Piece};
use engrams_store::{
    Draft, EngramStore, Entry, Error, FileTally, PieceList, Result, Trace, Traces, Version, unless_corrupt,
};

use super::counts::Counts;
use super::decided::Step;
use super::group::Event;
use super::known::Tracing;

/// Assembles files, in order. Lives on a thread of its own.
pub(crate) struct Assembler {
    store: EngramStore,
    draft: Draft,
    counts: Arc<Counts>,
    traces: Traces,
    open: Option<OpenFile>,
    /// Files were put: what is cleared or replaced may be one of them.
    has_put: bool,
    /// A directory, or nothing, is at this path and above it: the last one that was looked at.
    good_parent: Option<Vec<u8>>,
}

/// The file that the stream is in.
struct OpenFile {
    path: Vec<u8>,
    attributes: Attributes,
    list: PieceList,
    tally: FileTally,
    /// What the root engram holds for this path so far: put by this draft, or in its base.
    counted: Option<Entry>,
}

impl Assembler {
    pub(crate) fn new(store: EngramStore, draft: Draft, counts: Arc<Counts>, tracing: Tracing) -> Self {
        let traces = Traces::with_maker(Arc::new(tracing));
        Self { store, draft, counts, traces, open: None, has_put: false, good_parent: None }
    }

    /// Puts what a group holds into the draft.
    pub(crate) fn assemble(&mut self, steps: Vec<Step>) -> Result<()> {
        steps.into_iter().try_for_each(|step| match step {
            Step::Piece(piece, trace) => self.extend(piece, trace),
            Step::Event(event) => self.happen(event),
        })
    }

    /// Gives the open file its next piece.
    fn extend(&mut self, piece: Piece, trace: Option<Trace>) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if let Some(trace) = trace {
            self.traces.keep(piece, trace);
        }
        open.list.push(piece)?;
        open.tally.push(&mut self.traces, piece)
    }

    fn happen(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Begin { path, attributes } => self.begin(path, *attributes),
            Event::Hash(_) | Event::Hashed => Ok(()),
            Event::End { hash } => self.end(hash),
            Event::Abandon => {
                self.open = None;
                Ok(())
            }
            Event::Clear(path) => self.clear(&path),
            Event::Put(entry) => self.put(*entry),
            Event::Share(entry) => self.share(*entry),
            Event::Keep(path) => match self.draft.base_tree().get(&path)? {
                Some(entry) => self.put(entry),
                None => Ok(()),
            },
        }
    }

    fn begin(&mut self, path: Vec<u8>, attributes: Attributes) -> Result<()> {
        let counted = self.counted(&path)?;
        let old = counted.as_ref().and_then(Entry::file);
        self.open = Some(OpenFile {
            path,
            attributes,
            list: self.store.piece_list(old),
            tally: self.store.tally(old),
            counted,
        });
        Ok(())
    }

    /// What the engram holds for `path`, where a file is to be put.
    fn counted(&mut self, path: &[u8]) -> Result<Option<Entry>> {
        self.check_place(path, true)?;
        match put_here(&self.draft, self.draft.get(path)?) {
            Some(entry) => Ok(Some(entry)),
            None => self.draft.base_tree().get(path),
        }
    }

    fn end(&mut self, hash: [u8; 32]) -> Result<()> {
        let Some(OpenFile { path, attributes, list, tally, counted }) = self.open.take() else {
            return Err(Error::invalid("a file ended that did not begin"));
        };
        self.put_file(path, attributes, list.finish(hash)?, tally, counted)
    }

    /// Puts a file whose content is stored already.
    fn share(&mut self, entry: Entry) -> Result<()> {
        let Node::File(file) = &entry.node else { return self.put(entry) };
        let file = file.clone();
        let counted = self.counted(&entry.path)?;
        let mut tally = self.store.tally(counted.as_ref().and_then(Entry::file));
        if unless_corrupt(tally.push_all(&mut self.traces, &file))?.is_none() {
            self.draft.recount();
        }
        self.put_file(entry.path, entry.attributes, file, tally, counted)
    }

    fn put_file(
        &mut self,
        path: Vec<u8>,
        attributes: Attributes,
        file: FileNode,
        tally: FileTally,
        counted: Option<Entry>,
    ) -> Result<()> {
        let counted = counted.as_ref().and_then(Entry::file);
        if counted.is_none_or(|counted| counted.hash != file.hash) {
            self.count(&path, tally)?;
        }
        let new = Entry { path, version: self.draft.provisional(), attributes, node: Node::File(file) };
        // The same content and attributes are the same version of the file, wherever its bytes lie.
        let base = self.draft.base_tree().get(&new.path)?.filter(|base| base.same_as(&new));
        self.has_put = true;
        self.counts.files.add(1);
        let entry = base.unwrap_or(new);
        self.draft.set(entry.path.clone(), Some(entry))
    }

    fn put(&mut self, mut entry: Entry) -> Result<()> {
        self.check_place(&entry.path, !matches!(entry.node, Node::Directory))?;
        self.uncount(&entry.path)?;
        if let Some(base) = self.draft.base_tree().get(&entry.path)?.filter(|base| base.same_as(&entry)) {
            entry = base;
        }
        self.draft.set(entry.path.clone(), Some(entry))
    }

    fn clear(&mut self, path: &[u8]) -> Result<()> {
        if self.has_put {
            let tree = self.draft.tree()?;
            for entry in tree.entries(path) {
                self.uncount(&entry?.path)?;
            }
        }
        self.draft.clear(path)
    }

    /// Takes a file put by this draft out of the engram, and what the base has at its path back in.
    fn uncount(&mut self, path: &[u8]) -> Result<()> {
        if !self.has_put {
            return Ok(());
        }
        let Some(entry) = put_here(&self.draft, self.draft.get(path)?) else { return Ok(()) };
        let mut tally = self.store.tally(entry.file());
        if let Some(base) = self.draft.base_tree().get(path)?.as_ref().and_then(Entry::file) {
            tally.push_all(&mut self.traces, base)?;
        }
        self.count(path, tally)
    }

    /// Adds a file's change to the root engram; where damage hides it, the engram is counted anew.
    fn count(&mut self, path: &[u8], tally: FileTally) -> Result<()> {
        match unless_corrupt(tally.finish(&mut self.traces))? {
            Some(change) => self.draft.count(path, change.as_ref()),
            None => self.draft.recount(),
        }
        Ok(())
    }

    /// Publishes everything as one version.
    pub(crate) fn commit(mut self, message: &str) -> Result<Version> {
        self.forget_removed()?;
        self.draft.commit(message)
    }

    /// Takes out of the engram the base's files that are gone.
    fn forget_removed(&mut self) -> Result<()> {
        let (store, traces) = (&self.store, &mut self.traces);
        self.draft.forget_removed(&mut |old| unless_corrupt(store.tally(old.file()).finish(traces)))
    }

    /// Refuses a path below something that is no directory, and a file where a directory has entries.
    fn check_place(&mut self, path: &[u8], is_leaf: bool) -> Result<()> {
        let show = |path: &[u8]| path.escape_ascii().to_string();
        let parent = path.iter().rposition(|&b| b == b'/').map(|at| &path[..at]);
        if let Some(parent) = parent.filter(|&parent| self.good_parent.as_deref() != Some(parent)) {
            let ends = parent.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
            for above in ends.chain([parent.len()]).map(|end| &parent[..end]) {
                if self.draft.get(above)?.is_some_and(|entry| !matches!(entry.node, Node::Directory)) {
                    let (path, above) = (show(path), show(above));
                    return Err(Error::invalid(format!(
                        "`{path}` lies below `{above}`, which is no directory"
                    )));
                }
            }
            self.good_parent = Some(parent.to_vec());
        }
        if is_leaf {
            if self.draft.has_below(path)? {
                return Err(Error::invalid(format!(
                    "`{}` is a directory that is not empty: remove it first",
                    show(path)
                )));
            }
            self.good_parent = self.good_parent.take().filter(|good| !good.starts_with(path));
        }
        Ok(())
    }
}

/// The file entry of `entry`, when it was put by this very draft.
fn put_here(draft: &Draft, entry: Option<Entry>) -> Option<Entry> {
    entry.filter(|entry| entry.version == draft.provisional() && matches!(entry.node, Node::File(_)))
}
