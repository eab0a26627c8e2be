//! The truth: which bytes of a query lie in a file, by all windows of 32 bytes.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use engrams::MatchRange;
use engrams_kernels::mix64;

use crate::Outcome;
use crate::corpus::Corpus;
use crate::queries::Query;

const WINDOW: usize = 32;
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A hash of each window: a polynomial in the bytes, mixed; 64 bits, so that two windows of a run are hardly ever taken
/// for one.
pub(crate) fn windows(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let leaving = (0..WINDOW).fold(1u64, |power, _| power.wrapping_mul(FACTOR));
    let mut hash = 0u64;
    bytes.iter().enumerate().filter_map(move |(at, &byte)| {
        hash = hash.wrapping_mul(FACTOR).wrapping_add(u64::from(byte) + 1);
        if at >= WINDOW {
            hash = hash.wrapping_sub((u64::from(bytes[at - WINDOW]) + 1).wrapping_mul(leaving));
        }
        (at + 1 >= WINDOW).then(|| mix64(hash))
    })
}

/// Hashes that are hashes already.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Hashes = HashSet<u64, BuildHasherDefault<Same>>;

pub(crate) struct Judge<'a> {
    corpus: &'a Corpus,
    query: &'a Query,
    windows: Vec<u64>,
    distinct: Hashes,
}

/// The bytes of a query that lie in a file.
pub(crate) struct Overlap {
    bytes: Vec<bool>,
    pub(crate) count: usize,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(corpus: &'a Corpus, query: &'a Query) -> Self {
        let windows: Vec<u64> = windows(&query.bytes).collect();
        let distinct = windows.iter().copied().collect();
        Self { corpus, query, windows, distinct }
    }

    pub(crate) fn overlap(&self, place: usize) -> Overlap {
        let in_file: Hashes =
            windows(&self.corpus.stored[place].content).filter(|hash| self.distinct.contains(hash)).collect();
        let mut bytes = vec![false; self.query.bytes.len()];
        let mut end = 0;
        for (at, hash) in self.windows.iter().enumerate() {
            if in_file.contains(hash) {
                bytes[end.max(at)..at + WINDOW].fill(true);
                end = at + WINDOW;
            }
        }
        let count = bytes.iter().filter(|&&is_in| is_in).count();
        Overlap { bytes, count }
    }

    /// The answer is a source, or identical to one, or covers 95 % of what a source covers of the query; no
    /// answer, where there is no source.
    pub(crate) fn is_hit(&self, answer: Option<usize>) -> bool {
        let Some(answer) = answer else { return self.query.sources.is_empty() };
        let same = |&source: &usize| {
            source == answer || self.corpus.stored[source].content == self.corpus.stored[answer].content
        };
        if self.query.sources.iter().any(same) {
            return true;
        }
        if self.query.sources.is_empty() {
            return false;
        }
        let covered = self.overlap(answer).count;
        self.query.sources.iter().any(|&source| {
            let wanted = self.overlap(source).count;
            wanted > 0 && covered * 100 >= wanted * 95
        })
    }

    /// One of the answers, which the tool calls equally good, is a hit; no answers, where there is no source.
    pub(crate) fn is_any_hit(&self, answers: Option<&Vec<usize>>) -> bool {
        match answers.filter(|answers| !answers.is_empty()) {
            None => self.is_hit(None),
            Some(answers) => answers.iter().take(16).any(|&answer| self.is_hit(Some(answer))),
        }
    }
}

impl Overlap {
    /// The share of it that lies in ranges.
    pub(crate) fn recall(&self, ranges: &[MatchRange]) -> f64 {
        let within = |range: &MatchRange| {
            let bytes = &self.bytes[range.query as usize..(range.query + range.bytes) as usize];
            bytes.iter().filter(|&&is_in| is_in).count()
        };
        ranges.iter().map(within).sum::<usize>() as f64 / self.count as f64
    }
}

/// Fails unless the bytes of all ranges are equal.
pub(crate) fn check_ranges(query: &[u8], file: &[u8], ranges: &[MatchRange]) -> Outcome<()> {
    for range in ranges {
        let of = |bytes: &[u8], from: u64| {
            bytes.get(from as usize..(from + range.bytes) as usize).map(<[u8]>::to_vec)
        };
        if of(query, range.query).is_none() || of(query, range.query) != of(file, range.file) {
            return Err(format!("{range:?} was reported, and the bytes differ").into());
        }
    }
    Ok(())
}
