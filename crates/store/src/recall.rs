//! The recall index: from a few of a chunk's features to the chunks that had them most recently.
//!
//! On the medium it is a log: one record for each group that was staged, with the features of its chunks. In memory
//! it is a [`Table`] of bounded size, made from the records when chunks are first recalled.

mod index;
mod rank;
mod table;

pub(crate) use index::{RecallIndex, enter, rewrite};
pub use rank::Candidate;
pub(crate) use rank::rank;
pub(crate) use table::Table;

use engrams_core::{Gear, bottom_k, is_recall};

use crate::backend::KeyValue;
use crate::format::{MAX_ID, Reader, id_key, id_of_key, put_varint, seal, unseal};
use crate::{Result, Space};

/// Features of a chunk that are looked up and written: the smallest ones. Eight with four recent chunks each
/// propose what an exhaustive nearest-neighbour search would find (measured; docs/decisions).
pub const RECALL_FEATURES: usize = 8;
/// Entries of a record that pruning writes, at least: 6 KiB.
pub(crate) const FULL_RECORD: usize = 1024;

/// One feature of one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) chunk: u64,
    pub(crate) key: u32,
}

/// The features under which a chunk with these bytes is recalled: at most [`RECALL_FEATURES`].
pub(crate) fn smallest_features(gear: &Gear, plain: &[u8]) -> Vec<u64> {
    let mut features = Vec::new();
    gear.features_of(plain, &mut features);
    features.retain(|&feature| is_recall(feature));
    bottom_k(&features, RECALL_FEATURES)
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

/// The record of entries that lie in ascending order of chunk, then key; `None` of none.
pub(crate) fn encode(entries: &[Entry]) -> Option<KeyValue> {
    let first = entries.first()?.chunk;
    let mut out = Vec::with_capacity(entries.len() * 5 + 8);
    let mut before = first;
    for same in entries.chunk_by(|a, b| a.chunk == b.chunk) {
        put_varint(&mut out, same[0].chunk - before);
        out.push(same.len() as u8);
        same.iter().for_each(|entry| out.extend_from_slice(&entry.key.to_be_bytes()));
        before = same[0].chunk;
    }
    let key = id_key(first);
    Some((key.to_vec(), seal(Space::Recall, &key, out)))
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// `Corrupt`, naming the record.
pub(crate) fn decode(key: &[u8], record: &[u8]) -> Result<Vec<Entry>> {
    parse(key, record).map_err(|e| e.within(format_args!("recall record {}", key.escape_ascii())))
}

fn parse(key: &[u8], record: &[u8]) -> Result<Vec<Entry>> {
    let mut chunk = id_of_key(Space::Recall, key)?;
    let mut reader = Reader::new(unseal(Space::Recall, key, record)?, "recall record");
    let mut entries: Vec<Entry> = Vec::new();
    while !reader.is_empty() {
        let more = reader.varint()?;
        let next = chunk.checked_add(more).filter(|&next| next < MAX_ID && (more > 0) != entries.is_empty());
        chunk = next.ok_or_else(|| reader.error("its chunks do not ascend"))?;
        let count = usize::from(reader.u8()?);
        if !(1..=RECALL_FEATURES).contains(&count) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries(chunks: &[(u64, &[u32])]) -> Vec<Entry> {
        chunks.iter().flat_map(|(chunk, keys)| keys.iter().map(|&key| Entry { chunk: *chunk, key })).collect()
    }

    #[test]
    fn records_come_back_and_stay_in_their_place() {
        let entries = entries(&[(700, &[0, 5, u32::MAX]), (701, &[5]), (90_000, &[1, 2, 3, 4, 5, 6, 7, 8])]);
        let (key, record) = encode(&entries).unwrap();
        assert_eq!(decode(&key, &record).unwrap(), entries);
        assert!(decode(&id_key(701), &record).is_err());
        assert!(encode(&[]).is_none());
    }

    proptest! {
        #[test]
        fn any_flipped_byte_of_a_record_is_refused(at in 0usize..40, flip in 1u8..) {
            let (key, mut record) = encode(&entries(&[(7, &[1, 9, 70_000]), (9, &[3, 4])])).unwrap();
            let at = at % record.len();
            record[at] ^= flip;
            prop_assert!(decode(&key, &record).is_err());
        }

        #[test]
        fn sealed_nonsense_is_refused_or_read_in_order(content: Vec<u8>) {
            let record = seal(Space::Recall, &id_key(3), content);
            if let Ok(entries) = decode(&id_key(3), &record) {
                prop_assert!(entries.is_sorted_by(|a, b| (a.chunk, a.key) < (b.chunk, b.key)));
            }
        }
    }
}
