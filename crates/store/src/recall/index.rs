//! The recall index in use: the table, and the records it is made from.

use super::{LOG, Table};
use crate::feature_log::{Entry, keys};
use crate::{Backend, Result};

/// The recall index in memory, and how much of it is on the medium.
pub(crate) struct RecallIndex {
    table: Table,
    /// Entries in all records.
    recorded: usize,
}

impl RecallIndex {
    /// Reads the index from its records into at most `bytes`.
    pub(crate) fn load(backend: &dyn Backend, bytes: usize) -> Result<Self> {
        let mut index = Self { table: Table::new(bytes), recorded: 0 };
        LOG.each(backend, &mut |entries| index.note(entries))?;
        Ok(index)
    }

    /// The chunks that had one of these features most recently and pass: first those that share more of them, then the
    /// younger ones; at most `most`.
    pub(crate) fn recent(&self, features: &[u64], passes: impl Fn(u64) -> bool, most: usize) -> Vec<u64> {
        let mut found = Vec::new();
        keys(features).into_iter().for_each(|key| self.table.find(key, &mut found));
        found.retain(|&id| passes(id));
        found.sort_unstable();
        let mut votes: Vec<(usize, u64)> =
            found.chunk_by(|a, b| a == b).map(|same| (same.len(), same[0])).collect();
        votes.sort_unstable_by_key(|&vote| std::cmp::Reverse(vote));
        votes.into_iter().take(most).map(|(_, id)| id).collect()
    }

    /// These entries were recorded.
    pub(crate) fn note(&mut self, entries: &[Entry]) {
        self.recorded += entries.len();
        entries.iter().for_each(|&entry| self.table.insert(entry));
    }

    /// Rewrites the records without what the table has forgotten, when that is half of them.
    pub(crate) fn prune(&mut self, backend: &dyn Backend) -> Result<()> {
        if self.recorded > 2 * self.table.capacity() {
            self.recorded = LOG.rewrite(backend, |entry| self.table.contains(entry))?.left;
        }
        Ok(())
    }
}
