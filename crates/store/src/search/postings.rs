//! The search index in memory: keys with their chunks, sorted.

use super::runs::starts;

/// Which chunks are entered under a key. Memory: 9 bytes for each entry.
#[derive(Default)]
pub(super) struct Postings {
    /// Ascending.
    keys: Vec<u32>,
    /// The chunk of each key; ascending among equal keys.
    chunks: Vec<u32>,
    /// For each value of a key's highest bits where its keys begin, and the end.
    starts: Vec<u32>,
    /// Bits of a key that are not among those.
    shift: u32,
}

/// Entries for each start, about.
const RUN: usize = 8;

impl Postings {
    /// Of packed entries in any order. Keys are uniform, so they are distributed to short runs, and these are sorted.
    pub(super) fn new(mut entries: Vec<u64>) -> Self {
        // More than fit are 4 TiB of new data: the rest is not found.
        entries.truncate(u32::MAX as usize);
        let bits = (entries.len() / RUN).max(2).ilog2();
        let shift = 32 - bits;
        let run_of = |entry: u64| (entry >> 32 >> shift) as usize;
        let starts = starts(1 << bits, entries.iter().map(|&entry| run_of(entry)));
        let mut placed = vec![0u64; entries.len()];
        let mut next = starts.clone();
        for entry in entries {
            let place = &mut next[run_of(entry)];
            placed[*place as usize] = entry;
            *place += 1;
        }
        drop(next);
        let mut postings = Self {
            keys: Vec::with_capacity(placed.len()),
            chunks: Vec::with_capacity(placed.len()),
            starts,
            shift,
        };
        let mut from = 0;
        for at in 1..postings.starts.len() {
            let to = postings.starts[at] as usize;
            let run = &mut placed[from..to];
            run.sort_unstable();
            let mut last = None;
            for &entry in run.iter().filter(|&&entry| last.replace(entry) != Some(entry)) {
                postings.keys.push((entry >> 32) as u32);
                postings.chunks.push(entry as u32);
            }
            postings.starts[at] = postings.keys.len() as u32;
            from = to;
        }
        postings
    }

    /// Packs one entry; chunks from 2^32 on, a store of 256 TiB, are not entered.
    pub(super) fn pack(key: u32, chunk: u64) -> Option<u64> {
        u32::try_from(chunk).ok().map(|chunk| u64::from(key) << 32 | u64::from(chunk))
    }

    /// The chunks entered under each of these keys, ascending.
    ///
    /// Each key is some lines of memory that are not in any cache. Looking up where all of them begin before any of them
    /// is looked at, and counting instead of searching, lets the processor fetch many at a time.
    pub(super) fn find(&self, keys: &[u32]) -> Vec<&[u32]> {
        let runs: Vec<(u32, u32)> = keys
            .iter()
            .map(|key| {
                let at = (key >> self.shift) as usize;
                self.starts.get(at).copied().zip(self.starts.get(at + 1).copied()).unwrap_or_default()
            })
            .collect();
        keys.iter()
            .zip(runs)
            .map(|(&key, (from, to))| {
                let run = &self.keys[from as usize..to as usize];
                let (before, upto) = run.iter().fold((0, 0), |(before, upto), &one| {
                    (before + usize::from(one < key), upto + usize::from(one <= key))
                });
                &self.chunks[from as usize + before..from as usize + upto]
            })
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
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
            let entries = all.iter().rev().chain(&all).filter_map(|&(key, chunk)| Postings::pack(key, chunk));
            let postings = Postings::new(entries.collect());
            assert_eq!(postings.len(), all.len());
            for &(key, _) in &all {
                let of_key = all.iter().filter(|(other, _)| *other == key);
                let expected: Vec<u32> = of_key.map(|&(_, chunk)| chunk as u32).collect();
                assert_eq!(postings.find(&[key, key | 1, key]), [&expected[..], &[], &expected]);
            }
            assert_eq!(postings.find(&[u32::MAX]), [&[][..]]);
        }
    }
}
