//! Winnowing: the few features of a string under which a search index keeps it.
//!
//! Of every `window` consecutive positions the smallest feature is selected (Schleimer, Wilkerson and Aiken,
//! "Winnowing: local algorithms for document fingerprinting", SIGMOD 2003), here over sampled positions instead of all.
//! What is selected depends on `window` bytes around it alone: two strings that share a long enough stretch select the
//! same feature in it, wherever it lies. Taking features below a threshold costs as much and leaves gaps of any length.
//!
//! A stretch with m positions of a much longer string, m below the window, holds a selected feature with probability
//! 1 - ((window - m) / window)^2; from m = window on it is certain, where the string has features at all.

use alloc::vec;
use alloc::vec::Vec;

use engrams_kernels::Level;

use crate::Gear;
use crate::feature::{SHINGLE_BYTES, select};

/// A feature and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// The first byte of the window that the feature is a hash of.
    pub start: usize,
    /// The feature.
    pub feature: u64,
}

/// Appends the features of a byte string that stands alone, with their places, in order: those of
/// [`features_of`](crate::features_of).
pub fn locate_features(bytes: &[u8], out: &mut Vec<Located>) {
    Gear::FROZEN.locate_features(bytes, out);
}

impl Gear {
    /// [`locate_features`] by this gear.
    pub fn locate_features(&self, bytes: &[u8], out: &mut Vec<Located>) {
        locate_by(self, bytes, out);
    }
}

fn locate_by(gear: &Gear, bytes: &[u8], out: &mut Vec<Located>) {
    let Some(windows) = bytes.get(SHINGLE_BYTES / 2..).filter(|_| bytes.len() >= SHINGLE_BYTES) else {
        return;
    };
    let mut raw = vec![0; (bytes.len() - SHINGLE_BYTES + 1).div_ceil(64)];
    Level::detect().gear_matches(gear.nibbles(), windows, &mut raw);
    let mut before = 0;
    for (index, &word) in raw.iter().enumerate() {
        let mut left = select(word, before);
        before = word;
        while left != 0 {
            let start = index * 64 + left.trailing_zeros() as usize;
            left &= left - 1;
            if let Some(window) = bytes.get(start..).and_then(|rest| rest.first_chunk()) {
                out.push(Located { start, feature: gear.feature(window) });
            }
        }
    }
}

/// Calls `selected` with those of `features`, which lie in a string of `len` bytes in order, that are the smallest of any
/// `window` consecutive positions; windows may reach out of the string with less than half of themselves, so that
/// what lies at an end is found as well as the rest. Of equal features the last counts. Ascending by place, each once.
///
/// What is selected changes only where a feature enters at the right end of the window, or where the selected one leaves at
/// the left end: then what is left in the window is looked through.
pub fn winnow(features: &[Located], len: usize, window: usize, mut selected: impl FnMut(Located)) {
    let half = window / 2;
    // Windows begin from `-half` on; all places here are shifted by that.
    let last_window = half + len.saturating_sub(half).max(1) - 1;
    let place = |at: usize| features[at].start + half;
    // The features from `first` to `end` lie in the window, and perhaps some before `first` no longer do.
    let (mut first, mut end) = (0, features.partition_point(|one| one.start + half < window));
    let mut smallest = smallest_of(features, 0, end);
    smallest.into_iter().for_each(|at| selected(features[at]));
    loop {
        let enters = (end < features.len()).then(|| (place(end) + 1).saturating_sub(window));
        let leaves = smallest.map(|at| place(at) + 1);
        let begin = match (enters, leaves) {
            (Some(enters), Some(leaves)) => enters.min(leaves),
            (Some(begin), None) | (None, Some(begin)) => begin,
            (None, None) => return,
        };
        if begin > last_window {
            return;
        }
        end += usize::from(enters == Some(begin));
        if leaves.is_none_or(|leaves| leaves == begin) {
            first += features[first..end].iter().take_while(|one| one.start + half < begin).count();
            smallest = smallest_of(features, first, end);
        } else if smallest.is_some_and(|at| features[end - 1].feature <= features[at].feature) {
            smallest = Some(end - 1);
        } else {
            continue;
        }
        smallest.into_iter().for_each(|at| selected(features[at]));
    }
}

/// The smallest of `features` from `first` to `end`, of equal ones the last.
fn smallest_of(features: &[Located], first: usize, end: usize) -> Option<usize> {
    (first..end).rev().min_by_key(|&at| features[at].feature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features_of;

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        (0..len as u64).map(|i| (engrams_kernels::mix64(seed << 32 | i) >> 32) as u8).collect()
    }

    fn located(bytes: &[u8]) -> Vec<Located> {
        let mut out = Vec::new();
        locate_features(bytes, &mut out);
        out
    }

    fn selected(bytes: &[u8], window: usize) -> Vec<Located> {
        let mut out = Vec::new();
        winnow(&located(bytes), bytes.len(), window, |one| out.push(one));
        out
    }

    #[test]
    fn located_features_are_the_features_in_order() {
        for len in [0, 1, 31, 32, 33, 95, 96, 1000, 70_000] {
            let bytes = noise(len, 5);
            let mut plain = Vec::new();
            features_of(&bytes, &mut plain);
            let found = located(&bytes);
            assert_eq!(found.iter().map(|one| one.feature).collect::<Vec<_>>(), plain, "{len}");
            assert!(found.iter().all(|one| one.start + SHINGLE_BYTES <= len.max(SHINGLE_BYTES)));
            assert!(found.is_sorted_by_key(|one| one.start));
        }
    }

    /// Places of the features that are the smallest of some window, of equal ones the last.
    fn smallest_of_windows(all: &[Located], len: usize, window: usize) -> Vec<usize> {
        let half = window as i64 / 2;
        let mut places = Vec::new();
        for start in -half..(len as i64 - half).max(1) {
            let inside = |one: &&Located| (start..start + window as i64).contains(&(one.start as i64));
            let smallest =
                all.iter().filter(inside).min_by_key(|one| (one.feature, core::cmp::Reverse(one.start)));
            places.extend(smallest.map(|one| one.start));
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    #[test]
    fn each_window_has_its_smallest_feature_selected_and_no_other_is() {
        for (len, window) in [(40_000, 2048), (3000, 512), (700, 2048), (5000, 7)] {
            let bytes = noise(len, len as u64);
            let found: Vec<usize> = selected(&bytes, window).iter().map(|one| one.start).collect();
            assert_eq!(found, smallest_of_windows(&located(&bytes), len, window), "{len} {window}");
        }
    }

    #[test]
    fn dense_sparse_and_equal_features_are_selected_alike() {
        for seed in 0..300 {
            let draw = |at: u64, below: u64| engrams_kernels::mix64(seed << 32 | at) % below;
            let (len, window) = (draw(1, 400) as usize + 1, draw(2, 60) as usize + 1);
            let (gap, kinds) = (draw(3, 30) + 1, draw(4, 12) + 1);
            let mut features: Vec<Located> = Vec::new();
            let mut start = draw(5, gap) as usize;
            while start < len {
                let feature = draw(2 * start as u64 + 10, kinds);
                features.push(Located { start, feature });
                start += draw(2 * start as u64 + 11, gap) as usize + 1;
            }
            let mut found = Vec::new();
            winnow(&features, len, window, |one| found.push(one.start));
            assert_eq!(found, smallest_of_windows(&features, len, window), "{seed}: {features:?}");
        }
    }

    #[test]
    fn a_shared_stretch_of_a_window_shares_a_selected_feature() {
        let shared = noise(2048 + 31, 9);
        for at in [0, 17, 3000, 9000] {
            let mut one = noise(9000, 1);
            one.splice(at..at, shared.iter().copied());
            let inside = |one: &Located| one.start >= at && one.start < at + 2048;
            let found: Vec<Located> = selected(&one, 2048).into_iter().filter(inside).collect();
            assert!(!found.is_empty(), "{at}");
            let query = located(&shared);
            assert!(found.iter().any(|one| query.iter().any(|other| other.feature == one.feature)));
        }
    }

    #[test]
    fn denser_windows_select_all_that_sparser_ones_do() {
        let bytes = noise(50_000, 3);
        let dense = selected(&bytes, 512);
        assert!(selected(&bytes, 2048).iter().all(|one| dense.contains(one)));
    }
}
