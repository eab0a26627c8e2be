//! The search index in memory: keys with their chunks, sorted.

/// Which chunks are entered under a key. Memory: 9 bytes for each entry.
#[derive(Default)]
pub(super) struct Postings {
    /// The key in the upper half, the chunk in the lower; ascending.
    entries: Vec<u64>,
    /// For each value of a key's highest bits where in `entries` its keys begin, and the end.
    starts: Vec<u32>,
    /// Bits of a key that are not among those.
    shift: u32,
}

/// Entries for each start, about.
const RUN: usize = 8;

impl Postings {
    pub(super) fn new(mut entries: Vec<u64>) -> Self {
        // More than fit are 4 TiB of new data: the rest is not found.
        entries.truncate(u32::MAX as usize);
        entries.sort_unstable();
        entries.dedup();
        let bits = (entries.len() / RUN).max(2).ilog2();
        let shift = 32 - bits;
        let mut starts = vec![0u32; (1 << bits) + 1];
        for entry in &entries {
            starts[(entry >> 32 >> shift) as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        Self { entries, starts, shift }
    }

    /// Packs one entry; chunks from 2^32 on, a store of 256 TiB, are not entered.
    pub(super) fn pack(key: u32, chunk: u64) -> Option<u64> {
        u32::try_from(chunk).ok().map(|chunk| u64::from(key) << 32 | u64::from(chunk))
    }

    /// The chunks entered under a key, ascending.
    pub(super) fn find(&self, key: u32) -> impl ExactSizeIterator<Item = u32> + '_ {
        let at = (key >> self.shift) as usize;
        let run = match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(&from), Some(&to)) => &self.entries[from as usize..to as usize],
            _ => &[],
        };
        let (from, to) = (u64::from(key) << 32, u64::from(key) << 32 | u64::from(u32::MAX));
        let run = &run[run.partition_point(|&entry| entry < from)..];
        run[..run.partition_point(|&entry| entry <= to)].iter().map(|&entry| entry as u32)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_found_under_each_of_its_keys_and_no_other() {
        let key = |x: u64| (x.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 & 0xffff_fff0;
        for count in [0u64, 1, 7, 5000] {
            let all: Vec<(u32, u64)> = (0..count).map(|i| (key(i / 3), i + 1)).collect();
            let postings =
                Postings::new(all.iter().filter_map(|&(key, chunk)| Postings::pack(key, chunk)).collect());
            for &(key, chunk) in &all {
                assert!(postings.find(key).any(|found| u64::from(found) == chunk));
                assert!(postings.find(key).all(|found| all.contains(&(key, found.into()))));
                assert_eq!(postings.find(key | 1).len(), 0);
            }
            assert_eq!(postings.find(u32::MAX).len(), 0);
        }
    }
}
