//! Which chunks are worth decoding: votes of the query's features.

use std::collections::{HashMap, HashSet};

use engrams_core::Located;
use engrams_store::{SearchView, search_key};

/// Chunks that are decoded for a block, at least, and for each `BYTES_EACH` of it.
const LEAST_CHUNKS: usize = 32;
const BYTES_EACH: usize = 8 << 10;
/// A feature that is entered for more chunks than this says nothing.
const MOST_CHUNKS: usize = 4096;
/// Chunks, those with most votes, of which is looked at what leans on them.
const ROOTS: usize = 256;
/// Chunks looked at because they lean on one with votes, at most.
const MOST_LEANING: usize = 16 << 10;
/// Chunks under one that are looked at, at most: as many as any store allows.
const MOST_BASES: usize = 1024;

/// The chunks that a block's features speak for, best first.
///
/// A chunk's votes are those of the features it is entered under and of those its bases are: what it shares with them is
/// entered there only. That it still has them all is not known before it is decoded.
pub(super) fn rank(view: &SearchView, located: &[Located], len: usize) -> Vec<u32> {
    let mut keys: Vec<u32> = located.iter().map(|one| search_key(one.feature)).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut votes: HashMap<u32, u64> = HashMap::new();
    for key in keys {
        let chunks = view.chunks_with(key);
        if chunks.len() > MOST_CHUNKS {
            continue;
        }
        let weight = weight(view.chunks(), chunks.len() as u64);
        chunks.for_each(|chunk| *votes.entry(chunk).or_default() += weight);
    }
    let mut direct: Vec<(u64, u32)> = votes.iter().map(|(&chunk, &sum)| (sum, chunk)).collect();
    direct.sort_unstable_by(|a, b| b.cmp(a));
    let mut ranked: Vec<(u64, u32)> = Vec::new();
    let mut seen: HashSet<u32> = HashSet::new();
    let mut waiting: Vec<u32> = Vec::new();
    let mut leaning = 0;
    for (place, &(_, chunk)) in direct.iter().enumerate() {
        if seen.insert(chunk) {
            waiting.push(chunk);
        }
        while let Some(chunk) = waiting.pop() {
            if !view.occurrences(chunk).is_empty() {
                ranked.push((total(view, &votes, chunk), chunk));
            }
            if place < ROOTS && leaning < MOST_LEANING {
                let new = view.leaning_on(chunk).iter().rev().filter(|&&other| seen.insert(other));
                let before = waiting.len();
                waiting.extend(new);
                leaning += waiting.len() - before;
            }
        }
    }
    // The younger of two is nearer to what is stored last.
    ranked.sort_unstable_by(|a, b| b.cmp(a));
    ranked.truncate(LEAST_CHUNKS + len / BYTES_EACH);
    ranked.into_iter().map(|(_, chunk)| chunk).collect()
}

/// Votes of a chunk and of all that it is made from.
fn total(view: &SearchView, votes: &HashMap<u32, u64>, chunk: u32) -> u64 {
    let mut below = vec![chunk];
    let mut next = 0;
    let mut sum = 0;
    while let Some(&one) = below.get(next) {
        next += 1;
        sum += votes.get(&one).copied().unwrap_or_default();
        for &base in view.bases(one) {
            if below.len() < MOST_BASES && !below.contains(&base) {
                below.push(base);
            }
        }
    }
    sum
}

/// What a feature of `count` out of `all` chunks says: 16 log2(all / count), in whole numbers on any machine, and
/// at least 1 (inverse document frequency, Sparck Jones 1972).
fn weight(all: u64, count: u64) -> u64 {
    let ratio = (all.saturating_mul(16) / count.max(1)).max(17);
    let log = ratio.ilog2();
    let fraction = ((ratio - (1 << log)) * 16) >> log;
    (u64::from(log) * 16 + fraction).saturating_sub(64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_feature_says_more_than_a_common_one() {
        assert_eq!(weight(1024, 1), 160);
        assert_eq!(weight(1024, 1024), 1);
        let weights: Vec<u64> = (1..1000).map(|count| weight(1000, count)).collect();
        assert!(weights.is_sorted_by(|a, b| a >= b) && weights[0] > 100 * weights[998]);
        assert_eq!(weight(1, 0), weight(1, 1));
    }
}
