//! A log of features of chunks: what the recall index and the search index look like on the medium.
//!
//! One record for each group that was staged, with the features of its chunks; the tables in memory are made from the
//! records.

use crate::backend::{KeyRange, KeyValue};
use crate::error::unless_corrupt;
use crate::format::{MAX_ID, Reader, id_key, id_of_key, put_varint, seal, unseal};
use crate::{Backend, Batch, Durability, Result, Space};

/// Entries of a record that is rewritten, at least: 6 KiB.
const FULL_RECORD: usize = 1024;

/// One feature of one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) chunk: u64,
    pub(crate) key: u32,
}

/// What is kept of a feature: 32 bits, from below the ones that being among the smallest leaves zero.
pub(crate) fn key(feature: u64) -> u32 {
    (feature >> 16) as u32
}

/// Distinct keys of features, ascending.
pub(crate) fn keys(features: &[u64]) -> Vec<u32> {
    let mut keys: Vec<u32> = features.iter().map(|&feature| key(feature)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// One of the logs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeatureLog {
    pub(crate) space: Space,
    /// What its records are called.
    pub(crate) what: &'static str,
    /// Features of one chunk, at most.
    pub(crate) most: u64,
}

/// What became of the entries of all records.
pub(crate) struct Rewritten {
    pub(crate) left: usize,
    pub(crate) removed: usize,
}

impl FeatureLog {
    /// The record of entries that lie in ascending order of chunk, then key; `None` of none.
    pub(crate) fn encode(&self, entries: &[Entry]) -> Option<KeyValue> {
        let first = entries.first()?.chunk;
        let mut out = Vec::with_capacity(entries.len() * 5 + 8);
        let mut before = first;
        for same in entries.chunk_by(|a, b| a.chunk == b.chunk) {
            put_varint(&mut out, same[0].chunk - before);
            put_varint(&mut out, same.len() as u64);
            same.iter().for_each(|entry| out.extend_from_slice(&entry.key.to_be_bytes()));
            before = same[0].chunk;
        }
        let key = id_key(first);
        Some((key.to_vec(), seal(self.space, &key, out)))
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// `Corrupt`, naming the record.
    pub(crate) fn decode(&self, key: &[u8], record: &[u8]) -> Result<Vec<Entry>> {
        self.parse(key, record).map_err(|e| e.within(format_args!("{} {}", self.what, key.escape_ascii())))
    }

    fn parse(&self, key: &[u8], record: &[u8]) -> Result<Vec<Entry>> {
        let mut chunk = id_of_key(self.space, key)?;
        let mut reader = Reader::new(unseal(self.space, key, record)?, self.what);
        let mut entries: Vec<Entry> = Vec::new();
        while !reader.is_empty() {
            let more = reader.varint()?;
            let next =
                chunk.checked_add(more).filter(|&next| next < MAX_ID && (more > 0) != entries.is_empty());
            chunk = next.ok_or_else(|| reader.error("its chunks do not ascend"))?;
            let count = reader.varint()?;
            if !(1..=self.most).contains(&count) {
                return Err(reader.error("a chunk has too many features or none"));
            }
            for at in 0..count {
                let key = u32::from_be_bytes(reader.array()?);
                if at > 0 && entries.last().is_some_and(|last| last.key >= key) {
                    return Err(reader.error("its keys do not ascend"));
                }
                entries.push(Entry { chunk, key });
            }
        }
        Ok(entries)
    }

    /// Calls `visit` with the entries of each record that can be read: an index is a hint, without what is damaged less
    /// is found.
    pub(crate) fn each(&self, backend: &dyn Backend, visit: &mut dyn FnMut(&[Entry])) -> Result<()> {
        let snapshot = backend.snapshot()?;
        for record in snapshot.scan(self.space, KeyRange::default()) {
            let entries = record.and_then(|(key, value)| self.decode(&key, &value));
            visit(&unless_corrupt(entries)?.unwrap_or_default());
        }
        Ok(())
    }

    /// An id that no entry names, as far as the last records tell, and no smaller than what they name.
    pub(crate) fn next_id(&self, backend: &dyn Backend) -> Result<u64> {
        let snapshot = backend.snapshot()?;
        let mut next = 0;
        let range = KeyRange { descending: true, ..KeyRange::default() };
        // Chunks that were coded anew have records of their own, after that of their group.
        for record in snapshot.scan(self.space, range).take(64) {
            let entries = record.and_then(|(key, value)| self.decode(&key, &value));
            let last = unless_corrupt(entries)?.and_then(|entries| entries.last().copied());
            next = next.max(last.map_or(0, |last| last.chunk + 1));
        }
        Ok(next)
    }

    /// Rewrites all records, with the entries that pass. Nobody else may write records meanwhile: hold the staging
    /// lock.
    pub(crate) fn rewrite(&self, backend: &dyn Backend, passes: impl Fn(Entry) -> bool) -> Result<Rewritten> {
        let snapshot = backend.snapshot()?;
        let (mut outcome, mut kept, mut batch) =
            (Rewritten { left: 0, removed: 0 }, Vec::new(), Batch::new());
        let mut records = snapshot.scan(self.space, KeyRange::default()).peekable();
        while let Some(record) = records.next() {
            // What is damaged stays, for `verify` to name.
            let read = record.and_then(|(key, value)| Ok((self.decode(&key, &value)?, key)));
            if let Some((entries, key)) = unless_corrupt(read)? {
                batch.delete(self.space, key);
                let before = kept.len() + entries.len();
                kept.extend(entries.into_iter().filter(|&entry| passes(entry)));
                outcome.removed += before - kept.len();
            }
            let next = match records.peek() {
                Some(Ok((key, _))) => unless_corrupt(id_of_key(self.space, key))?.unwrap_or(0),
                Some(Err(_)) => continue,
                None => u64::MAX,
            };
            if kept.len() >= FULL_RECORD || next == u64::MAX {
                // A chunk that was coded anew has a record of its own, among those of the group it came with.
                kept.sort_unstable();
                kept.dedup();
                let later = kept.split_off(kept.partition_point(|entry| entry.chunk < next));
                outcome.left += kept.len();
                if let Some((key, record)) = self.encode(&kept) {
                    batch.put(self.space, key, record);
                }
                kept = later;
                backend.write(std::mem::take(&mut batch), Durability::Staged)?;
            }
        }
        Ok(outcome)
    }

    /// Puts the record for a chunk of whatever age into `batch`, given what is recorded under its id: `keys` are added
    /// to the keys it has there, or replace them.
    pub(crate) fn enter(
        &self,
        backend: &dyn Backend,
        batch: &mut Batch,
        keys: &[u32],
        id: u64,
        replace: bool,
    ) -> Result<Vec<Entry>> {
        let entries: Vec<Entry> = keys.iter().map(|&key| Entry { chunk: id, key }).collect();
        let key = id_key(id);
        let mut all = match backend.get(self.space, &key)? {
            Some(record) => unless_corrupt(self.decode(&key, &record))?.unwrap_or_default(),
            None => Vec::new(),
        };
        all.retain(|entry| !replace || entry.chunk != id);
        all.extend_from_slice(&entries);
        all.sort_unstable();
        all.dedup();
        if let Some((key, record)) = self.encode(&all) {
            batch.put(self.space, key, record);
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOG: FeatureLog = FeatureLog { space: Space::Recall, what: "record", most: 8 };

    fn entries(chunks: &[(u64, &[u32])]) -> Vec<Entry> {
        chunks.iter().flat_map(|(chunk, keys)| keys.iter().map(|&key| Entry { chunk: *chunk, key })).collect()
    }

    #[test]
    fn records_come_back_and_stay_in_their_place() {
        let entries = entries(&[(700, &[0, 5, u32::MAX]), (701, &[5]), (90_000, &[1, 2, 3, 4, 5, 6, 7, 8])]);
        let (key, record) = LOG.encode(&entries).unwrap();
        assert_eq!(LOG.decode(&key, &record).unwrap(), entries);
        assert!(LOG.decode(&id_key(701), &record).is_err());
        assert!(LOG.encode(&[]).is_none());
    }

    proptest! {
        #[test]
        fn any_flipped_byte_of_a_record_is_refused(at in 0usize..40, flip in 1u8..) {
            let (key, mut record) = LOG.encode(&entries(&[(7, &[1, 9, 70_000]), (9, &[3, 4])])).unwrap();
            let at = at % record.len();
            record[at] ^= flip;
            prop_assert!(LOG.decode(&key, &record).is_err());
        }

        #[test]
        fn sealed_nonsense_is_refused_or_read_in_order(content: Vec<u8>) {
            let record = seal(Space::Recall, &id_key(3), content);
            if let Ok(entries) = LOG.decode(&id_key(3), &record) {
                prop_assert!(entries.is_sorted_by(|a, b| (a.chunk, a.key) < (b.chunk, b.key)));
            }
        }
    }
}
