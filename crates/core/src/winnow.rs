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
/// A feature is selected if some window lies between its neighbours that come before it: the nearest smaller one to its left
/// and the nearest one that is not greater to its right. A stack finds both for all features in one pass.
pub fn winnow(features: &[Located], len: usize, window: usize, mut selected: impl FnMut(Located)) {
    let half = window / 2;
    // Windows begin from `-half` on; all places here are shifted by that.
    let last_window = half + len.saturating_sub(half).max(1) - 1;
    let place = |at: usize| features[at].start + half;
    // One past the nearest smaller feature to the left; the nearest feature to the right that is not greater.
    let mut after_left = vec![0; features.len()];
    let mut right = vec![usize::MAX; features.len()];
    let mut open: Vec<usize> = Vec::new();
    for at in 0..features.len() {
        while let Some(&before) = open.last() {
            if features[before].feature < features[at].feature {
                after_left[at] = place(before) + 1;
                break;
            }
            right[before] = place(at);
            open.pop();
        }
        open.push(at);
    }
    for (at, feature) in features.iter().enumerate() {
        let first = after_left[at].max((place(at) + 1).saturating_sub(window));
        let last = place(at).min(right[at].saturating_sub(window)).min(last_window);
        if first <= last && right[at] >= window {
            selected(*feature);
        }
    }
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

    #[test]
    fn each_window_has_its_smallest_feature_selected_and_no_other_is() {
        for (len, window) in [(40_000, 2048), (3000, 512), (700, 2048), (5000, 7)] {
            let bytes = noise(len, len as u64);
            let all = located(&bytes);
            let half = window as i64 / 2;
            let mut expected = Vec::new();
            for start in -half..(len as i64 - half).max(1) {
                let inside = |one: &&Located| (start..start + window as i64).contains(&(one.start as i64));
                let smallest =
                    all.iter().filter(inside).min_by_key(|one| (one.feature, core::cmp::Reverse(one.start)));
                expected.extend(smallest.map(|one| one.start));
            }
            expected.sort_unstable();
            expected.dedup();
            let found: Vec<usize> = selected(&bytes, window).iter().map(|one| one.start).collect();
            assert_eq!(found, expected, "{len} {window}");
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
