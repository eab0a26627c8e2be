//! Which files share features with a block, and where: chunks decoded, and their features compared place by place.

use std::collections::{BTreeMap, HashMap};

use engrams_core::{Located, SHINGLE_BYTES};
use engrams_store::{EngramStore, Result, unless_corrupt};

use super::Scope;

/// Places of the query that one feature stands for, at most: more are a repetition.
const MOST_REPEATS: usize = 16;
/// Contents, the youngest, that one chunk speaks for, at most.
const MOST_CONTENTS: usize = 512;

/// A feature of block and file: the first byte of its window in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Anchor {
    pub(super) query: u32,
    pub(super) file: u64,
}

/// What a content shares with a block.
pub(super) struct Shared {
    pub(super) content: u32,
    /// Distinct places of the block with a feature that the content has.
    pub(super) features: u64,
    /// Ascending.
    pub(super) anchors: Vec<Anchor>,
}

/// What the files in these chunks share with a block whose features these are; most first.
pub(super) fn anchors(
    store: &EngramStore,
    scope: &Scope<'_>,
    query: &[Located],
    chunks: &[u32],
) -> Result<Vec<Shared>> {
    let mut places: HashMap<u64, Vec<u32>> = HashMap::new();
    for one in query {
        let places = places.entry(one.feature).or_default();
        if places.len() < MOST_REPEATS {
            places.push(one.start as u32);
        }
    }
    let mut by_content: BTreeMap<u32, Vec<Anchor>> = BTreeMap::new();
    let mut allowed: HashMap<u32, bool> = HashMap::new();
    let mut located = Vec::new();
    for &chunk in chunks {
        // What is damaged can't be confirmed.
        let Some(plain) = unless_corrupt(store.chunk(chunk.into()))? else { continue };
        located.clear();
        store.gear().locate_features(&plain, &mut located);
        let mut common: Vec<(usize, u32)> = Vec::new();
        for one in &located {
            let places = places.get(&one.feature).into_iter().flatten();
            common.extend(places.map(|&place| (one.start, place)));
        }
        if common.is_empty() {
            continue;
        }
        let occurrences = scope.view.occurrences(chunk);
        let mut contents: Vec<u32> = occurrences.iter().map(|one| one.content).collect();
        contents.sort_unstable();
        let oldest = contents.len().checked_sub(MOST_CONTENTS).map_or(0, |at| contents[at]);
        for occurrence in occurrences.iter().filter(|one| one.content >= oldest) {
            if !*allowed.entry(occurrence.content).or_insert_with(|| scope.has(occurrence.content)) {
                continue;
            }
            let (start, end) = (occurrence.start as usize, (occurrence.start + occurrence.len) as usize);
            let from = common.partition_point(|(at, _)| *at < start);
            let inside = common[from..].iter().take_while(|(at, _)| at + SHINGLE_BYTES <= end);
            let anchors =
                inside.map(|&(at, query)| Anchor { query, file: occurrence.offset + (at - start) as u64 });
            let mut anchors = anchors.peekable();
            if anchors.peek().is_some() {
                by_content.entry(occurrence.content).or_default().extend(anchors);
            }
        }
    }
    let mut shared: Vec<Shared> = by_content
        .into_iter()
        .map(|(content, mut anchors)| {
            anchors.sort_unstable();
            anchors.dedup();
            let features = anchors.chunk_by(|a, b| a.query == b.query).count() as u64;
            Shared { content, features, anchors }
        })
        .collect();
    // Of equals the younger.
    shared.sort_by_key(|one| std::cmp::Reverse((one.features, one.content)));
    Ok(shared)
}

/// Keeps the first `most`, and those that lead so far.
pub(super) fn keep_best(shared: &mut Vec<Shared>, most: usize, leading: &[u32]) {
    let mut place = 0;
    shared.retain(|one| {
        place += 1;
        place <= most || leading.contains(&one.content)
    });
}
