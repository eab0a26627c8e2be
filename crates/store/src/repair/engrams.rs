//! Root engrams: each is the sum of its version's files, and counted anew where it can't be read or is another sum.

use engrams_core::{Dimension, Engram, Sketch};

use super::Repair;
use crate::error::unless_corrupt;
use crate::trace::Traces;
use crate::tree::{Entry, FileNode, difference};
use crate::{Result, Version};

impl Repair<'_, '_> {
    /// Sets right the engrams. While chunks are lost, those that can be read are left as they are, for they still count
    /// what is lost; the others then count what can be read.
    pub(super) fn engrams(&mut self) -> Result<()> {
        let is_whole = self.store.lost.is_empty();
        let (mut before, mut engram) = (self.handle.tree_of(None), Engram::new(Dimension::ENGRAM));
        let mut traces = Traces::default();
        for version in self.versions()? {
            let stored = unless_corrupt(self.store.engram(&version))?;
            if is_whole {
                let tree = self.handle.tree_of(Some(&version));
                difference(&before, &tree, &mut |old, new| {
                    let (old, new) = (old.and_then(Entry::file), new.and_then(Entry::file));
                    if old.map(|file| file.hash) != new.map(|file| file.hash)
                        && let Some(change) = self.change(&mut traces, old, new)?
                    {
                        engram.merge(change.engram());
                    }
                    Ok(())
                })?;
                before = tree;
            } else if stored.is_none() || self.rebuilt_trees.contains(version.number) {
                engram = self.readable(&mut traces, &version)?;
            } else {
                continue;
            }
            let version = self.sums(version)?;
            if stored.is_none() {
                self.report.found(format!("version {}: its engram was damaged", version.number));
            }
            if stored.as_ref() != Some(&engram) {
                let page = self.store.pages.put(&engram.to_bytes(), None)?;
                self.write_version(&Version { engram: page, ..version })?;
                self.report.rebuilt += 1;
            }
        }
        Ok(())
    }

    /// The version without its sums of directories, where one of them can't be read or its tree was written anew: they
    /// are then counted from the files when they are asked for.
    fn sums(&mut self, version: Version) -> Result<Version> {
        let readable =
            |list| self.store.sums(list)?.pages().try_for_each(|(_, page)| self.store.sum(page).map(drop));
        if version.sums == 0 {
            return Ok(version);
        }
        if unless_corrupt(readable(version.sums))?.is_some() && !self.rebuilt_trees.contains(version.number) {
            return Ok(version);
        }
        self.report.found(format!("version {}: a sum of its directories was damaged", version.number));
        let version = Version { sums: 0, ..version };
        self.write_version(&version)?;
        self.report.rebuilt += 1;
        Ok(version)
    }

    fn change(
        &self,
        traces: &mut Traces,
        old: Option<&FileNode>,
        new: Option<&FileNode>,
    ) -> Result<Option<Sketch>> {
        let mut tally = self.handle.tally(old);
        if let Some(new) = new {
            tally.push_all(traces, new)?;
        }
        tally.finish(traces)
    }

    /// The sum of all files that can be read.
    fn readable(&self, traces: &mut Traces, version: &Version) -> Result<Engram> {
        let mut engram = Engram::new(Dimension::ENGRAM);
        for entry in self.handle.tree_of(Some(version)).entries(b"") {
            let entry = entry?;
            if let Some(file) = entry.file()
                && let Some(Some(change)) = unless_corrupt(self.change(traces, None, Some(file)))?
            {
                engram.merge(change.engram());
            }
        }
        Ok(engram)
    }
}
