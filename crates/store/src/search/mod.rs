//! The search index: from features to the chunks that have them, and from chunks to the files of kept versions.
//!
//! On the medium it is a [`FeatureLog`] of the features that winnowing selects in each chunk, but for those it selects
//! in the chunk's bases too: whoever finds a base looks at what leans on it. In memory it is made, with what
//! names files by their chunks, when a search is first asked for ([`SearchView`]).

mod files;
mod postings;
mod view;

pub use files::{Occurrence, SearchedContent, StoredName};
pub(crate) use view::Cached;
pub use view::SearchView;

use std::ops::Range;

use engrams_core::{Located, SHINGLE_BYTES, locate_features, winnow};

use crate::Space;
use crate::feature_log::{self, FeatureLog};

/// Features of a small file that are selected, at least, if it has that many.
const LEAST: usize = 6;

/// Its records. A chunk has at most one feature for each 17 of its bytes.
pub(crate) const LOG: FeatureLog =
    FeatureLog { space: Space::Search, what: "search record", most: (64 << 20) / 17 + 1 };

/// What is kept of a feature, and looked up.
#[must_use]
pub fn search_key(feature: u64) -> u32 {
    feature_log::key(feature)
}

/// Keys of the features that winnowing selects in a chunk, ascending.
#[must_use]
pub fn selected_keys(bytes: &[u8], window: u32) -> Vec<u32> {
    let mut located = Vec::new();
    locate_features(bytes, &mut located);
    sorted(selected(&located, bytes.len(), window).iter().map(|one| search_key(one.feature)).collect())
}

/// Keys under which a chunk with these bases is entered, ascending: what winnowing selects in it and in no base; and of
/// each file that lies in it, at the given bytes, no less than six smallest features.
///
/// A search that knows which chunks lean on which then finds a feature selected in the chunk under the chunk, or under
/// a base, a base's base and so on.
#[must_use]
pub fn search_keys(bytes: &[u8], files: &[Range<usize>], bases: &[&[u8]], window: u32) -> Vec<u32> {
    let mut located = Vec::new();
    locate_features(bytes, &mut located);
    let mut chosen = selected(&located, bytes.len(), window);
    let winnowed = chosen.clone();
    for file in files {
        let within = |one: &&Located| one.start >= file.start && one.start + SHINGLE_BYTES <= file.end;
        let have = winnowed.iter().filter(within).count();
        if have < LEAST {
            let mut others: Vec<Located> =
                located.iter().filter(within).filter(|one| !winnowed.contains(one)).copied().collect();
            others.sort_unstable_by_key(|one| (one.feature, one.start));
            chosen.extend(others.into_iter().take(LEAST - have));
        }
    }
    let mut keys = sorted(chosen.iter().map(|one| search_key(one.feature)).collect());
    for base in bases {
        let known = selected_keys(base, window);
        keys.retain(|key| known.binary_search(key).is_err());
    }
    keys
}

/// Keys of all features of a chunk, ascending: whatever it may be entered under.
pub(crate) fn all_keys(bytes: &[u8]) -> Vec<u32> {
    let mut located = Vec::new();
    locate_features(bytes, &mut located);
    sorted(located.iter().map(|one| search_key(one.feature)).collect())
}

fn selected(located: &[Located], len: usize, window: u32) -> Vec<Located> {
    let mut chosen = Vec::new();
    winnow(located, len, window as usize, |one| chosen.push(one));
    chosen
}

/// For each number from 0 to the last of these, which ascend, where those that equal it begin, and the end.
fn starts(numbers: impl Iterator<Item = u32> + Clone) -> Vec<u32> {
    let most = numbers.clone().last().map_or(0, |last| last as usize);
    let mut starts = vec![0; most + 2];
    numbers.for_each(|number| starts[number as usize + 1] += 1);
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    starts
}

fn sorted(mut keys: Vec<u32>) -> Vec<u32> {
    keys.sort_unstable();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        (0..len as u64)
            .map(|i| ((seed << 40 | i).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i << 7).to_le_bytes())
            .map(|bytes| *blake3::hash(&bytes).as_bytes())
            .map(|hash| hash[0])
            .collect()
    }

    #[test]
    fn what_a_base_is_found_by_is_not_entered_again() {
        let base = noise(40_000, 1);
        let mut chunk = base.clone();
        chunk.splice(20_000..20_010, noise(3000, 2));
        let (window, selected) = (2048, selected_keys(&chunk, 2048));
        let keys = search_keys(&chunk, &[], &[&base], window);
        assert!(!keys.is_empty() && keys.len() < 10, "{}", keys.len());
        let of_base = selected_keys(&base, window);
        assert!(selected.iter().all(|key| keys.contains(key) || of_base.contains(key)));
        assert!(search_keys(&base, &[], &[&base], window).is_empty());
    }

    #[test]
    fn small_files_in_one_chunk_have_features_each() {
        let bytes = noise(12_000, 3);
        let files: Vec<Range<usize>> = (0..12).map(|i| i * 1000..(i + 1) * 1000).collect();
        let keys = search_keys(&bytes, &files, &[], 2048);
        for file in files {
            let own = all_keys(&bytes[file]);
            let found = own.iter().filter(|key| keys.contains(key)).count();
            assert!(found >= LEAST.min(own.len().saturating_sub(1)), "{found} of {}", own.len());
        }
    }
}
