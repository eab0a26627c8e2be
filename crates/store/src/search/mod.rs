//! The search index: from features to the chunks that have them, and from chunks to the files of kept versions.
//!
//! On the medium it is a [`FeatureLog`] of the features that winnowing selects in each chunk, but for those it selects
//! in the chunk's bases too: whoever finds a base looks at what leans on it. In memory it is made, with what
//! names files by their chunks, when a search is first asked for ([`SearchView`]).

mod files;
mod postings;
mod runs;
mod view;

pub use files::{Occurrence, SearchedContent, StoredName};
pub(crate) use view::Cached;
pub use view::SearchView;

use std::ops::Range;

use engrams_core::{Gear, Located, SHINGLE_BYTES, winnow};

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

/// Keys of the features that winnowing selects in a chunk of `len` bytes with these features, ascending.
#[must_use]
pub fn selected_keys(located: &[Located], len: usize, window: u32) -> Vec<u32> {
    sorted(&selected(located, len, window))
}

/// What the search index needs to know of a new chunk.
#[derive(Debug, Clone)]
pub struct SearchKeys {
    /// Its [`selected_keys`].
    pub selected: Vec<u32>,
    /// Keys under which it is entered, unless they are selected in a base of it. Ascending.
    pub entered: Vec<u32>,
}

/// The keys of a chunk of `len` bytes with these features: what winnowing selects in it; and of each file that lies in it,
/// at the given bytes, no less than six smallest features.
///
/// A search that knows which chunks lean on which then finds a feature selected in the chunk under the chunk, or under
/// a base, a base's base and so on.
#[must_use]
pub fn search_keys(located: &[Located], len: usize, files: &[Range<usize>], window: u32) -> SearchKeys {
    let winnowed = selected(located, len, window);
    let mut chosen = winnowed.clone();
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
    SearchKeys { selected: sorted(&winnowed), entered: sorted(&chosen) }
}

/// Takes out of a chunk's keys those that are [selected](selected_keys) in a base of it.
pub fn leave_to_base(keys: &mut Vec<u32>, selected: &[u32]) {
    keys.retain(|key| selected.binary_search(key).is_err());
}

/// Keys under which a chunk with these bytes and bases is entered, but for those of its files.
pub(crate) fn keys_of(gear: &Gear, plain: &[u8], bases: &[&[u8]], window: u32) -> Vec<u32> {
    let mut located = Vec::new();
    let mut keys_of = |bytes: &[u8]| {
        located.clear();
        gear.locate_features(bytes, &mut located);
        selected_keys(&located, bytes.len(), window)
    };
    let mut keys = keys_of(plain);
    bases.iter().for_each(|base| leave_to_base(&mut keys, &keys_of(base)));
    keys
}

/// Keys of all features of a chunk, ascending: whatever it may be entered under.
pub(crate) fn all_keys(gear: &Gear, bytes: &[u8]) -> Vec<u32> {
    let mut located = Vec::new();
    gear.locate_features(bytes, &mut located);
    sorted(&located)
}

fn selected(located: &[Located], len: usize, window: u32) -> Vec<Located> {
    let mut chosen = Vec::new();
    winnow(located, len, window as usize, |one| chosen.push(one));
    chosen
}

fn sorted(located: &[Located]) -> Vec<u32> {
    let mut keys: Vec<u32> = located.iter().map(|one| search_key(one.feature)).collect();
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

    fn located(bytes: &[u8]) -> Vec<Located> {
        let mut located = Vec::new();
        Gear::FROZEN.locate_features(bytes, &mut located);
        located
    }

    #[test]
    fn what_a_base_is_found_by_is_not_entered_again() {
        let base = noise(40_000, 1);
        let mut chunk = base.clone();
        chunk.splice(20_000..20_010, noise(3000, 2));
        let selected = |bytes: &[u8]| selected_keys(&located(bytes), bytes.len(), 2048);
        let keys = keys_of(&Gear::FROZEN, &chunk, &[&base], 2048);
        assert!(!keys.is_empty() && keys.len() < 10, "{}", keys.len());
        let of_base = selected(&base);
        assert!(selected(&chunk).iter().all(|key| keys.contains(key) || of_base.contains(key)));
        assert!(keys_of(&Gear::FROZEN, &base, &[&base], 2048).is_empty());
    }

    #[test]
    fn small_files_in_one_chunk_have_features_each() {
        let bytes = noise(12_000, 3);
        let files: Vec<Range<usize>> = (0..12).map(|i| i * 1000..(i + 1) * 1000).collect();
        let keys = search_keys(&located(&bytes), bytes.len(), &files, 2048).entered;
        for file in files {
            let own = all_keys(&Gear::FROZEN, &bytes[file]);
            let found = own.iter().filter(|key| keys.contains(key)).count();
            assert!(found >= LEAST.min(own.len().saturating_sub(1)), "{found} of {}", own.len());
        }
    }
}
