//! Equal bytes that no feature leads to: runs that are too short to have one, in the gaps between ranges.
//!
//! Slots of 16 bytes of the block are looked for at every byte of the file's pieces that share a feature with it (as
//! rsync does with blocks: Tridgell and Mackerras 1996). Every run of [`LEAST_RUN`] bytes has a whole slot in it.

use std::cell::OnceCell;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::MatchRange;
use super::align::LEAST_RUN;

/// Bytes of a slot: so many that any shortest run holds one.
const SLOT: usize = LEAST_RUN / 2;
/// Equal slots, the last ones, that are tried at one place of a file: of constant bytes, or of a short period, no more than
/// those is found here.
const MOST_EQUAL: usize = 16;
/// Stands for no slot.
const NONE: u32 = u32::MAX;

/// The slots of a block.
pub(super) struct Slots<'b> {
    block: &'b [u8],
    /// Made when the first file leaves a gap.
    table: OnceCell<Table>,
}

struct Table {
    /// A bit for each hash, by its highest bits, that some slot has.
    filter: Vec<u64>,
    shift: u32,
    /// The last slot with a hash.
    last: FxHashMap<u64, u32>,
    /// For each slot the one before with its hash.
    before: Vec<u32>,
}

impl<'b> Slots<'b> {
    pub(super) fn new(block: &'b [u8]) -> Self {
        Self { block, table: OnceCell::new() }
    }

    /// The parts of the block that no range has, which lie in order and apart; shorter ones than a slot are left out.
    pub(super) fn gaps(&self, ranges: &[MatchRange]) -> Vec<Range<usize>> {
        let starts = ranges.iter().map(|range| range.query as usize).chain([self.block.len()]);
        let ends = ranges.iter().map(|range| (range.query + range.bytes) as usize);
        let gaps = [0].into_iter().chain(ends).zip(starts).map(|(end, start)| end..start);
        gaps.filter(|gap| gap.len() >= SLOT).collect()
    }

    /// For each slot whether it reaches into a gap.
    pub(super) fn open(&self, gaps: &[Range<usize>]) -> Vec<bool> {
        let mut open = vec![false; self.block.len() / SLOT];
        for gap in gaps {
            let to = gap.end.div_ceil(SLOT).min(open.len());
            open[(gap.start / SLOT).min(to)..to].fill(true);
        }
        open
    }

    /// Appends what of the gaps is in `part`, which lies at `offset` of a file; slots that were found are no longer open.
    pub(super) fn fill(
        &self,
        part: &[u8],
        offset: u64,
        gaps: &[Range<usize>],
        open: &mut [bool],
        found: &mut Vec<MatchRange>,
    ) {
        let table = self.table.get_or_init(|| Table::of(self.block));
        for (at, window) in part.windows(SLOT).enumerate() {
            let Some(window) = window.first_chunk() else { continue };
            let hash = hash(window);
            if !table.may_have(hash) {
                continue;
            }
            let Some((run, place)) = self.longest(table, hash, part, at, open) else { continue };
            // What slots at the run's ends have of it is no reason to look at them again.
            open[run.start.div_ceil(SLOT)..run.end / SLOT].fill(false);
            let file = |of: usize| offset + (at + of - place) as u64;
            let first = gaps.partition_point(|gap| gap.end <= run.start);
            for gap in gaps[first..].iter().take_while(|gap| gap.start < run.end) {
                let (from, to) = (gap.start.max(run.start), gap.end.min(run.end));
                found.push(MatchRange { query: from as u64, file: file(from), bytes: (to - from) as u64 });
            }
        }
    }

    /// The longest run around an open slot with this hash and the bytes at a place of the part, if it is long enough to
    /// count, and the slot's place.
    fn longest(
        &self,
        table: &Table,
        hash: u64,
        part: &[u8],
        at: usize,
        open: &[bool],
    ) -> Option<(Range<usize>, usize)> {
        let mut next = *table.last.get(&hash)?;
        let mut best: Option<(Range<usize>, usize)> = None;
        for _ in 0..MOST_EQUAL {
            let slot = next as usize;
            let Some(is_open) = open.get(slot) else { break };
            next = table.before[slot];
            if !is_open {
                continue;
            }
            let run = self.run(slot * SLOT, part, at);
            if run.len() >= LEAST_RUN.max(best.as_ref().map_or(0, |(best, _)| best.len() + 1)) {
                best = Some((run, slot * SLOT));
            }
        }
        best
    }

    /// The equal bytes around a place of the block and one of the part, as places of the block.
    fn run(&self, place: usize, part: &[u8], at: usize) -> Range<usize> {
        let ahead = self.block[place..].iter().zip(&part[at..]).take_while(|(a, b)| a == b).count();
        let (before, there) = (self.block[..place].iter().rev(), part[..at].iter().rev());
        let behind = before.zip(there).take_while(|(a, b)| a == b).count();
        place - behind..place + ahead
    }
}

impl Table {
    fn of(block: &[u8]) -> Self {
        let (slots, _) = block.as_chunks::<SLOT>();
        // One bit in eight is set at most.
        let bits = (slots.len() * 8).next_power_of_two().max(64);
        let mut table = Self {
            filter: vec![0; bits / 64],
            shift: 64 - bits.ilog2(),
            last: FxHashMap::with_capacity_and_hasher(slots.len(), Default::default()),
            before: Vec::with_capacity(slots.len()),
        };
        for (number, slot) in slots.iter().enumerate() {
            let hash = hash(slot);
            let bit = hash >> table.shift;
            table.filter[(bit / 64) as usize] |= 1 << (bit % 64);
            table.before.push(table.last.insert(hash, number as u32).unwrap_or(NONE));
        }
        table
    }

    fn may_have(&self, hash: u64) -> bool {
        let bit = hash >> self.shift;
        self.filter[(bit / 64) as usize] >> (bit % 64) & 1 == 1
    }
}

fn hash(slot: &[u8; SLOT]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let both = u128::from_le_bytes(*slot);
    let mixed = (both as u64).wrapping_mul(FACTOR) ^ (both >> 64) as u64;
    (mixed ^ mixed >> 32).wrapping_mul(FACTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize, seed: u8) -> Vec<u8> {
        (0..len.div_ceil(32) as u64)
            .flat_map(|at| *blake3::hash(&[&at.to_le_bytes()[..], &[seed]].concat()).as_bytes())
            .take(len)
            .collect()
    }

    #[test]
    fn every_run_in_a_gap_is_found_and_no_shorter_one() {
        let part = noise(3000, 1);
        let mut block = noise(1000, 2);
        for (to, from, len) in [(5, 400, 32), (100, 77, 33), (301, 2100, 47), (600, 0, 31), (968, 2968, 32)] {
            block[to..to + len].copy_from_slice(&part[from..from + len]);
        }
        let slots = Slots::new(&block);
        let known = [MatchRange { query: 310, file: 2109, bytes: 10 }];
        let gaps = slots.gaps(&known);
        assert_eq!(gaps, [0..310, 320..1000]);
        let (mut open, mut found) = (slots.open(&gaps), Vec::new());
        slots.fill(&part, 50_000, &gaps, &mut open, &mut found);
        found.sort_by_key(|range| range.query);
        let all: Vec<_> = found.iter().map(|range| (range.query, range.file, range.bytes)).collect();
        let expected =
            [(5, 50_400, 32), (100, 50_077, 33), (301, 52_100, 9), (320, 52_119, 28), (968, 52_968, 32)];
        assert_eq!(all, expected);
    }

    #[test]
    fn of_constant_bytes_no_more_is_tried_than_a_few_slots() {
        let (part, block) = (vec![0; 5000], vec![0; 1000]);
        let slots = Slots::new(&block);
        let gaps = slots.gaps(&[]);
        let (mut open, mut found) = (slots.open(&gaps), Vec::new());
        slots.fill(&part, 0, &gaps, &mut open, &mut found);
        // The 16 equal slots that are tried, and what is around them.
        assert_eq!(found, [MatchRange { query: 736, file: 0, bytes: 264 }]);
    }
}
