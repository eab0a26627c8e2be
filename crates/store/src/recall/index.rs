//! The recall index in use: the table, and the records it is made from.

use super::{Entry, FULL_RECORD, Table, decode, encode, keys};
use crate::backend::KeyRange;
use crate::error::unless_corrupt;
use crate::format::id_of_key;
use crate::{Backend, Batch, Durability, Result, Space};

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
        let snapshot = backend.snapshot()?;
        for record in snapshot.scan(Space::Recall, KeyRange::default()) {
            let entries = record.and_then(|(key, value)| decode(&key, &value));
            // A hint: without what is damaged, less is recalled.
            index.note(&unless_corrupt(entries)?.unwrap_or_default());
        }
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
            self.recorded = rewrite(backend, |entry| self.table.contains(entry))?.left;
        }
        Ok(())
    }
}

/// What became of the entries of all records.
pub(crate) struct Rewritten {
    pub(crate) left: usize,
    pub(crate) removed: usize,
}

/// Rewrites all records, with the entries that pass. Nobody else may write records meanwhile: hold the staging lock.
pub(crate) fn rewrite(backend: &dyn Backend, passes: impl Fn(Entry) -> bool) -> Result<Rewritten> {
    let snapshot = backend.snapshot()?;
    let (mut outcome, mut kept, mut batch) = (Rewritten { left: 0, removed: 0 }, Vec::new(), Batch::new());
    let mut records = snapshot.scan(Space::Recall, KeyRange::default()).peekable();
    while let Some(record) = records.next() {
        // What is damaged stays, for `verify` to name.
        let read = record.and_then(|(key, value)| Ok((decode(&key, &value)?, key)));
        if let Some((entries, key)) = unless_corrupt(read)? {
            batch.delete(Space::Recall, key);
            let before = kept.len() + entries.len();
            kept.extend(entries.into_iter().filter(|&entry| passes(entry)));
            outcome.removed += before - kept.len();
        }
        let next = match records.peek() {
            Some(Ok((key, _))) => unless_corrupt(id_of_key(Space::Recall, key))?.unwrap_or(0),
            Some(Err(_)) => continue,
            None => u64::MAX,
        };
        if kept.len() >= FULL_RECORD || next == u64::MAX {
            // A chunk that was coded anew has a record of its own, among those of the group it came with.
            kept.sort_unstable_by_key(|entry| (entry.chunk, entry.key));
            kept.dedup();
            let later = kept.split_off(kept.partition_point(|entry| entry.chunk < next));
            outcome.left += kept.len();
            if let Some((key, record)) = encode(&kept) {
                batch.put(Space::Recall, key, record);
            }
            kept = later;
            backend.write(std::mem::take(&mut batch), Durability::Staged)?;
        }
    }
    Ok(outcome)
}

/// The entries of a chunk of whatever age, and the record for them, given what is recorded under its id.
pub(crate) fn enter(
    backend: &dyn Backend,
    batch: &mut Batch,
    features: &[u64],
    id: u64,
) -> Result<Vec<Entry>> {
    let entries: Vec<Entry> = keys(features).into_iter().map(|key| Entry { chunk: id, key }).collect();
    let key = crate::format::id_key(id);
    let mut all = match backend.get(Space::Recall, &key)? {
        Some(record) => unless_corrupt(decode(&key, &record))?.unwrap_or_default(),
        None => Vec::new(),
    };
    all.retain(|entry| entry.chunk != id);
    all.splice(0..0, entries.iter().copied());
    if let Some((key, record)) = encode(&all) {
        batch.put(Space::Recall, key, record);
    }
    Ok(entries)
}
