//! Choice: which of the chunks that resemble a new one become its bases.
//!
//! The nearest candidate is not always the best base, and the second nearest is mostly the same again. So bases are
//! chosen by what they cover: greedily, each time the candidate with most of the chunk's features that no base chosen
//! before has (the usual approximation of a set cover; Chvatal 1979). Cut points move between versions, so what
//! a chunk needs often lies across two stored neighbours: these are candidates too.

use std::sync::Arc;

use engrams_store::{Candidate, EngramStore, Head, Plain, Result, unless_corrupt};

use super::effort::Effort;
use super::known::{Cover, KnownChunks};

/// A chosen base.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) id: u64,
    pub(crate) depth: u8,
    pub(crate) plain: Plain,
}

/// Sets of bases to try, best first; each in the order of choice. None at all: nothing is alike.
pub(crate) type Choices = Vec<Vec<Base>>;

/// What the bases chosen so far leave uncovered is worth a look at more candidates, and their decoding, from so many features
/// on: about 2,600 bytes.
const WORTH_A_LOOK: usize = 16;

/// A second base must cover so many features of the chunk that the first ones do not: about 1,300 bytes. With less, what
/// it adds to the closure of later chunks costs more than it saves here.
const LEAST_GAIN: usize = 8;

/// Chooses bases for chunks.
pub(crate) struct Chooser {
    known: Arc<KnownChunks>,
}

/// A candidate, with what choosing it would mean.
struct Choosable {
    id: u64,
    depth: u8,
    cover: Cover,
    /// What decoding it touches, itself included.
    closure: Vec<u64>,
}

impl Chooser {
    pub(crate) fn new(known: Arc<KnownChunks>) -> Self {
        Self { known }
    }

    /// Bases for a chunk that covers `wanted`, out of candidates that are `ranked` nearest first; chunks from `end` on
    /// are not decided yet.
    pub(crate) fn choose(
        &self,
        store: &EngramStore,
        effort: &Effort,
        wanted: &Cover,
        ranked: &[Candidate],
        end: u64,
    ) -> Result<Choices> {
        let by_cover = effort.neighbours > 0;
        let mut pool = Vec::new();
        let mut near = Vec::new();
        for candidate in ranked.iter().take(effort.candidates) {
            match self.choosable(store, candidate.id, &candidate.head, by_cover)? {
                Some(choosable) => {
                    let left = wanted.len() - shared(wanted, &choosable.cover);
                    pool.push(choosable);
                    if by_cover && left < WORTH_A_LOOK && !effort.tries_all {
                        if pool.len() == 1 {
                            return decoded(store, &pool, vec![vec![0]]);
                        }
                        break;
                    }
                }
                // What can't be a base has bases that may: they resemble the chunk hardly less.
                None => near.extend(&candidate.head.bases),
            }
        }
        let limit = usize::from(store.superblock().max_closure);
        let nearest = pick(&pool, None, limit, 2);
        if !by_cover {
            return decoded(store, &pool, vec![nearest]);
        }
        let (mut chosen, left) = widest(&pool, wanted, limit, effort.bases);
        if left >= WORTH_A_LOOK && !ranked.is_empty() {
            near.extend(ranked.iter().take(effort.neighbours).flat_map(|c| [c.id - 1, c.id + 1]));
            for id in near {
                if id == 0 || id >= end || pool.iter().any(|choosable| choosable.id == id) {
                    continue;
                }
                if let Some(head) = unless_corrupt(store.find_chunk_head(id))?.flatten() {
                    pool.extend(self.choosable(store, id, &head, true)?);
                }
            }
            (chosen, _) = widest(&pool, wanted, limit, effort.bases);
        }
        let mut choices = vec![chosen];
        if effort.tries_all {
            let fewer: Vec<_> =
                (1..choices[0].len().min(3)).map(|count| choices[0][..count].to_vec()).collect();
            choices.push(nearest);
            choices.extend(fewer);
        }
        decoded(store, &pool, choices)
    }

    /// A candidate, unless a limit, damage or a collection that is about to remove it keeps it from being a base.
    fn choosable(
        &self,
        store: &EngramStore,
        id: u64,
        head: &Head,
        by_cover: bool,
    ) -> Result<Option<Choosable>> {
        let limits = store.superblock();
        let mut closure = vec![id];
        if store.is_condemned(id)
            || head.depth >= limits.max_depth
            || unless_corrupt(store.closure(id, &mut closure))?.is_none()
            || closure.len() > usize::from(limits.max_closure)
        {
            return Ok(None);
        }
        let cover =
            if by_cover { self.known.of(store, id)?.map(|known| known.cover) } else { Some(Cover::from([])) };
        Ok(cover.map(|cover| Choosable { id, depth: head.depth, cover, closure }))
    }
}

/// Of the pool, by place, those that are bases by what they cover; and how many features are left then.
fn widest(pool: &[Choosable], wanted: &Cover, limit: usize, most: usize) -> (Vec<usize>, usize) {
    let mut left = wanted.to_vec();
    let chosen = pick(pool, Some(&mut left), limit, most);
    (chosen, left.len())
}

/// Picks at most `most` of the pool whose closure together stays within `limit`: in order, or with features that are
/// `left` to cover always the one that covers most of them.
fn pick(pool: &[Choosable], mut left: Option<&mut Vec<u32>>, limit: usize, most: usize) -> Vec<usize> {
    let mut closure: Vec<u64> = Vec::new();
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < most {
        let mut best: Option<(usize, usize)> = None;
        for (at, choosable) in pool.iter().enumerate() {
            let more = choosable.closure.iter().filter(|&id| !closure.contains(id)).count();
            if chosen.contains(&at) || closure.len() + more > limit {
                continue;
            }
            let gain = left.as_ref().map_or(LEAST_GAIN, |left| shared(left, &choosable.cover));
            // Of equals the nearer one. A chunk with hardly any features may be covered by anything that is near.
            if best.is_none_or(|(most, _)| gain > most) && (chosen.is_empty() || gain >= LEAST_GAIN) {
                best = Some((gain, at));
            }
        }
        let Some((_, at)) = best else { break };
        let added: Vec<u64> = pool[at].closure.iter().copied().filter(|id| !closure.contains(id)).collect();
        closure.extend(added);
        if let Some(left) = &mut left {
            let mut has = within(&pool[at].cover);
            left.retain(|feature| !has(feature));
        }
        chosen.push(at);
    }
    chosen
}

/// Tells whether `cover`, which is ascending, has a feature; to be asked for features in ascending order.
fn within(mut cover: &[u32]) -> impl FnMut(&u32) -> bool {
    move |feature| {
        let before = cover.iter().take_while(|other| *other < feature).count();
        cover = &cover[before..];
        cover.first() == Some(feature)
    }
}

/// How many both have, each ascending.
fn shared(left: &[u32], cover: &[u32]) -> usize {
    let mut has = within(cover);
    left.iter().filter(|feature| has(feature)).count()
}

/// The bytes of each choice's bases; without what is damaged, without repetition.
fn decoded(store: &EngramStore, pool: &[Choosable], choices: Vec<Vec<usize>>) -> Result<Choices> {
    let mut seen: Vec<Vec<usize>> = Vec::new();
    let mut out = Vec::new();
    for choice in choices {
        if seen.contains(&choice) {
            continue;
        }
        let mut bases = Vec::new();
        for &at in &choice {
            let Choosable { id, depth, .. } = pool[at];
            bases.extend(unless_corrupt(store.base(id))?.map(|plain| Base { id, depth, plain }));
        }
        if !bases.is_empty() {
            out.push(bases);
        }
        seen.push(choice);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choosable(id: u64, cover: std::ops::Range<u32>, below: std::ops::Range<u64>) -> Choosable {
        Choosable { id, depth: 0, cover: cover.collect(), closure: below.chain([id]).collect() }
    }

    #[test]
    fn each_base_covers_what_the_ones_before_do_not() {
        let pool = [
            choosable(10, 0..60, 0..0),
            choosable(11, 1..61, 0..0),
            choosable(12, 60..95, 0..0),
            choosable(13, 97..100, 0..0),
        ];
        let wanted: Cover = (0..100).collect();
        assert_eq!(widest(&pool, &wanted, 24, 4), (vec![0, 2], 5), "11 repeats 10; 13 adds too little");
        assert_eq!(widest(&pool, &wanted, 24, 1), (vec![0], 40));
        assert_eq!(pick(&pool, None, 24, 2), [0, 1], "by distance alone");
    }

    #[test]
    fn bases_stay_within_the_closure_together() {
        let pool = [choosable(20, 0..60, 1..6), choosable(21, 50..100, 7..12), choosable(22, 80..100, 1..5)];
        let wanted: Cover = (0..100).collect();
        assert_eq!(widest(&pool, &wanted, 12, 4).0, [0, 1]);
        assert_eq!(widest(&pool, &wanted, 11, 4).0, [0, 2], "the closure of 22 lies within that of 20");
        assert_eq!(widest(&pool, &wanted, 5, 4).0, [2]);
        assert!(widest(&pool, &wanted, 4, 4).0.is_empty());
    }

    #[test]
    fn a_chunk_without_features_still_has_its_nearest_as_base() {
        let pool = [choosable(1, 0..9, 0..0), choosable(2, 0..9, 0..0)];
        assert_eq!(widest(&pool, &Cover::from([]), 24, 4).0, [0]);
    }
}
