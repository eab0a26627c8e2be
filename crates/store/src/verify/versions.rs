//! Versions: their trees, files, engrams and sums.

use std::cell::Cell;
use std::collections::BTreeMap;

use engrams_core::{Dimension, Engram, Sample};

use super::Verification;
use crate::error::unless_corrupt;
use crate::format::Version;
use crate::sums::SumChanges;
use crate::trace::{Traces, bytes_of};
use crate::tree::{Entry, FileNode, Piece, Tree, difference_past};
use crate::versions::MAX_MISSING;
use crate::{EngramStore, Error, ErrorKind, Result};

/// What is stored of the version before, if it is known: later versions are checked against it.
struct Known {
    engram: Option<Engram>,
    list: u64,
    sums: BTreeMap<Vec<u8>, Sample>,
}

impl Verification<'_> {
    pub(super) fn versions(&mut self, store: &EngramStore, newest: u64) -> Result<()> {
        let mut before = store.tree_of(None);
        let engram = Some(Engram::new(Dimension::ENGRAM));
        let mut known = Known { engram, list: 0, sums: BTreeMap::new() };
        let mut traces = Traces::default();
        let mut missing = 0;
        let state = self.store.pins.state();
        if let Err(damage) = state.check() {
            self.found(damage);
        }
        let forgotten = state.forgotten.clone();
        drop(state);
        let mut next = 1;
        while next <= newest {
            let number = next;
            // In one step, for a forged record may name more than there is time for.
            if let Some(last) = forgotten.run_end(number) {
                next = last + 1;
                continue;
            }
            next += 1;
            let version = store.version(number);
            // Forgotten since this began.
            if version.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                continue;
            }
            self.report.versions += 1;
            missing = if version.is_ok() { 0 } else { missing + 1 };
            if missing > MAX_MISSING {
                self.found(format!("version {number} and the following can't be read"));
                break;
            }
            match version {
                Ok(version) => {
                    // Held, so that forgetting it now does not matter.
                    let tree = store.tree_of(Some(&version));
                    match self.version(store, &before, &tree, &version, &mut known, &mut traces) {
                        Err(error) if error.kind() == ErrorKind::NotFound => continue,
                        Err(error) => {
                            known.engram = None;
                            let error = error.within(format_args!("version {number}"));
                            self.unless_damaged::<()>(Err(error))?;
                        }
                        Ok(()) => {}
                    }
                    before = tree;
                }
                Err(error) => drop(self.unless_damaged::<()>(Err(error))?),
            }
            self.step();
        }
        Ok(())
    }

    /// Checks what `new` has and `old`, checked before, has not. `known` is what is stored of `old`.
    fn version(
        &mut self,
        store: &EngramStore,
        old: &Tree,
        new: &Tree,
        version: &Version,
        known: &mut Known,
        traces: &mut Traces,
    ) -> Result<()> {
        let good = self.report.errors.len();
        let mut changes = SumChanges::default();
        let number = version.number;
        let (mut damage, is_known) = (Vec::new(), Cell::new(known.engram.is_some()));
        let visited = difference_past(
            old,
            new,
            &mut |old, new| {
                let file = new.and_then(|entry| Some((entry, entry.file()?)));
                if let Some((entry, file)) = file {
                    self.report.files += 1;
                    let checked = self.file(store, file).map_err(|error| {
                        error.within(format_args!("`{}` of version {number}", entry.path.escape_ascii()))
                    });
                    self.unless_damaged(checked)?;
                }
                let changed = old.and_then(Entry::file).map(|f| f.hash) != file.map(|(_, f)| f.hash);
                if self.deep
                    && changed
                    && self.report.errors.len() == good
                    && let (Some(engram), Some(entry)) = (known.engram.as_mut(), old.or(new))
                {
                    let mut tally = store.tally(old.and_then(Entry::file));
                    if let Some((_, file)) = file {
                        tally.push_all(traces, file)?;
                    }
                    match unless_corrupt(tally.finish(traces))? {
                        Some(Some(change)) => {
                            engram.merge(change.engram());
                            changes.add(&entry.path, Some(change.sample()));
                        }
                        Some(None) => {}
                        // Of the old content: it was named when it was checked.
                        None => is_known.set(false),
                    }
                }
                Ok(())
            },
            &mut |is_old, error| {
                is_known.set(false);
                // Likewise.
                if !is_old {
                    damage.push(error);
                }
                Ok(())
            },
        );
        damage.into_iter().for_each(|error| self.found(error.within(format_args!("version {number}"))));
        visited?;
        let stored = self.store.engram(version)?;
        let is_known = is_known.get() && self.damaged.is_empty() && self.report.errors.len() == good;
        let compare = self.deep && is_known;
        if compare && known.engram.as_ref().is_some_and(|engram| *engram != stored) {
            self.found(format!("version {number}: its engram is not the sum of its files'"));
        }
        self.sums(compare, (old, new), version, known, &changes)?;
        // Later versions are checked against what is stored, so that one error is reported once.
        known.engram = (self.report.errors.len() == good).then_some(stored);
        Ok(())
    }

    /// Each kept sample can be read; compared: it is that of its directory.
    fn sums(
        &mut self,
        compare: bool,
        (old, new): (&Tree, &Tree),
        version: &Version,
        known: &mut Known,
        changes: &SumChanges,
    ) -> Result<()> {
        if known.list == version.sums && known.list != 0 && old.root() == new.root() {
            return Ok(());
        }
        let before = std::mem::take(&mut known.sums);
        known.list = version.sums;
        for (directory, page) in self.store.sums(version.sums)?.pages() {
            let stored = self.store.sum(page)?;
            let expected = match (before.get(directory), changes.of(directory)) {
                _ if !compare => None,
                (_, None) => None,
                (Some(before), Some(change)) => Some((before.clone(), change)),
                (None, Some(change)) => Some((self.store.count_sample(old, directory)?, change)),
            };
            if let Some((mut expected, change)) = expected {
                expected.merge(&change);
                if !expected.agrees_with(&stored) {
                    let directory = directory.escape_ascii();
                    self.found(format!(
                        "version {}: the sum of `{directory}` is not that of its files",
                        version.number
                    ));
                }
            }
            known.sums.insert(directory.to_vec(), stored);
        }
        Ok(())
    }

    fn file(&mut self, store: &EngramStore, file: &FileNode) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        each_piece(store, file, &mut |piece| {
            if self.damaged.contains(&piece.chunk) {
                return Err(Error::corrupt(format!("chunk {} is damaged", piece.chunk)));
            }
            if self.lacking.remove(&piece.chunk) {
                self.found(format!("the search index lacks entries of chunk {}", piece.chunk));
            }
            let head = self.store.chunks.head(piece.chunk)?;
            if u64::from(piece.start) + u64::from(piece.len) > u64::from(head.len) {
                return Err(Error::corrupt(format!("a piece reaches past the end of chunk {}", piece.chunk)));
            }
            if self.deep {
                hasher.update(bytes_of(&self.store.chunks.plain(piece.chunk)?, piece)?);
            }
            Ok(())
        })?;
        if self.deep && *hasher.finalize().as_bytes() != file.hash {
            return Err(Error::corrupt("its content does not match its hash"));
        }
        Ok(())
    }
}

fn each_piece(
    store: &EngramStore,
    file: &FileNode,
    visit: &mut dyn FnMut(Piece) -> Result<()>,
) -> Result<()> {
    let mut pieces = store.pieces(file);
    let mut offset = 0;
    while let Some((start, piece)) = pieces.at(offset)? {
        offset = start + u64::from(piece.len);
        visit(piece)?;
    }
    Ok(())
}
