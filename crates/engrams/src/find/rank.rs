//! Which chunks are worth decoding: votes of the query's features.

use engrams_core::Located;
use engrams_store::{SearchView, search_key};
use rustc_hash::{FxHashMap, FxHashSet};

/// Chunks that are decoded for a block, at least, and for each `BYTES_EACH` of it.
const LEAST_CHUNKS: usize = 32;
const BYTES_EACH: usize = 8 << 10;
/// A feature that is entered for more chunks than this says nothing.
const MOST_CHUNKS: usize = 4096;
/// Votes that are counted for a block, at most: those of the rarest features.
const MOST_VOTES: usize = 64 << 10;
/// Chunks with votes of their own that are ranked, at most: those with most of them.
const MOST_DIRECT: usize = 4096;
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
    let votes = votes(view, located);
    let mut direct: Vec<(u64, u32)> = votes.iter().map(|(&chunk, &sum)| (sum, chunk)).collect();
    keep_most(&mut direct, MOST_DIRECT);
    let mut ranked: Vec<(u64, u32)> = Vec::new();
    let mut seen: FxHashSet<u32> = FxHashSet::default();
    let (mut waiting, mut below) = (Vec::new(), Vec::new());
    let mut leaning = 0;
    for (place, &(_, chunk)) in direct.iter().enumerate() {
        if seen.insert(chunk) {
            waiting.push(chunk);
        }
        while let Some(chunk) = waiting.pop() {
            if !view.occurrences(chunk).is_empty() {
                ranked.push((total(view, &votes, chunk, &mut below), chunk));
            }
            if place < ROOTS && leaning < MOST_LEANING {
                let new = view.leaning_on(chunk).iter().rev().filter(|&&other| seen.insert(other));
                let before = waiting.len();
                waiting.extend(new);
                leaning += waiting.len() - before;
            }
        }
    }
    keep_most(&mut ranked, LEAST_CHUNKS + len / BYTES_EACH);
    ranked.into_iter().map(|(_, chunk)| chunk).collect()
}

/// For each chunk that is entered under some of these features the sum of what they say.
fn votes(view: &SearchView, located: &[Located]) -> FxHashMap<u32, u64> {
    let mut keys: Vec<u32> = located.iter().map(|one| search_key(one.feature)).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut lists = view.chunks_with(&keys);
    lists.retain(|chunks| (1..=MOST_CHUNKS).contains(&chunks.len()));
    let mut all: usize = lists.iter().map(|chunks| chunks.len()).sum();
    if all > MOST_VOTES {
        lists.sort_by_key(|chunks| chunks.len());
        while let Some(longest) = lists.pop_if(|_| all > MOST_VOTES) {
            all -= longest.len();
        }
    }
    let mut votes = FxHashMap::with_capacity_and_hasher(all, Default::default());
    for chunks in lists {
        let weight = weight(view.chunks(), chunks.len() as u64);
        chunks.iter().for_each(|&chunk| *votes.entry(chunk).or_default() += weight);
    }
    votes
}

/// The chunks with most votes, at most so many, best first. The younger of two is nearer to what is stored last.
fn keep_most(chunks: &mut Vec<(u64, u32)>, most: usize) {
    if chunks.len() > most {
        chunks.select_nth_unstable_by(most, |a, b| b.cmp(a));
        chunks.truncate(most);
    }
    chunks.sort_unstable_by(|a, b| b.cmp(a));
}

/// Votes of a chunk and of all that it is made from; `below` is for working in.
fn total(view: &SearchView, votes: &FxHashMap<u32, u64>, chunk: u32, below: &mut Vec<u32>) -> u64 {
    below.clear();
    below.push(chunk);
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
