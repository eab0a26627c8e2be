//! The loop that every ingested byte goes through: the rule of features over whole slices, and where it cuts.
//!
//! It knows neither sizes of chunks nor files: what a chunk's end needs is given to it as a limit for each length.

use alloc::vec::Vec;

use engrams_kernels::Level;

use crate::Gear;
use crate::feature::{SHINGLE_BYTES, select};

/// A limit that no feature is below.
pub(crate) const NO_CUT: u64 = 0;

/// Bytes before a position that its window reaches back to.
const BEFORE: usize = SHINGLE_BYTES - 1;

/// Positions that are looked at together. After a cut, those that follow are looked at again.
const BLOCK: usize = 2048;

/// Selected positions in a word of 64: they are 17 apart or more.
const MOST_SELECTED: usize = 4;

/// The features of a string so far, and what the rest of it needs to know of the bytes so far.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    level: Level,
    len: usize,
    /// The last bytes of the string; what stands for bytes before its start is not looked at.
    before: [u8; BEFORE],
    /// Raw matches at the last 64 positions, the last in the highest bit.
    raw_before: u64,
    features: Vec<u64>,
    /// Where the window of each begins: right in strings below 4 GiB, which chunks are.
    starts: Vec<u32>,
}

impl Sampler {
    pub(crate) fn new() -> Self {
        Self {
            level: Level::detect(),
            len: 0,
            before: [0; BEFORE],
            raw_before: 0,
            features: Vec::new(),
            starts: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends the features so far; the string goes on.
    pub(crate) fn drain(&mut self, features: &mut Vec<u64>) {
        features.append(&mut self.features);
        self.starts.clear();
    }

    /// Appends the features and starts anew, keeping the memory.
    pub(crate) fn finish(&mut self, features: &mut Vec<u64>) {
        self.drain(features);
        self.len = 0;
        self.raw_before = 0;
    }

    /// The same; appends also where the windows of these features begin.
    pub(crate) fn finish_located(&mut self, features: &mut Vec<u64>, starts: &mut Vec<u32>) {
        starts.append(&mut self.starts);
        self.finish(features);
    }

    /// Takes bytes up to the first feature which, with its halves exchanged, is below the limit for the length that
    /// the string then has, and returns how many; `None` if it took all of them.
    pub(crate) fn run(&mut self, gear: &Gear, bytes: &[u8], limit: impl Fn(usize) -> u64) -> Option<usize> {
        // Positions whose window begins before `bytes`.
        let head = bytes.len().min(BEFORE);
        if self.len == 0 {
            self.len = head;
        } else {
            let mut joined = [0; 2 * BEFORE];
            joined[..BEFORE].copy_from_slice(&self.before);
            joined[BEFORE..BEFORE + head].copy_from_slice(&bytes[..head]);
            if let Some(taken) = self.block(gear, &joined[..BEFORE + head], &limit) {
                return Some(self.remember(bytes, taken));
            }
        }
        let mut taken = head;
        while taken < bytes.len() {
            let end = bytes.len().min(taken + BLOCK);
            if let Some(more) = self.block(gear, &bytes[taken - BEFORE..end], &limit) {
                return Some(self.remember(bytes, taken + more));
            }
            taken = end;
        }
        self.remember(bytes, taken);
        None
    }

    /// Takes all but the first 31 bytes, or fewer if there is a cut: then it says how many.
    #[inline]
    fn block(&mut self, gear: &Gear, bytes: &[u8], limit: &impl Fn(usize) -> u64) -> Option<usize> {
        let count = bytes.len() - BEFORE;
        let mut raw = [0; BLOCK / 64];
        let raw = &mut raw[..count.div_ceil(64)];
        // The gear hash needs half a window.
        self.level.gear_matches(gear.nibbles(), &bytes[SHINGLE_BYTES / 2..], raw);
        // Windows that begin before the string.
        if let (Some(first), 1..) = (raw.first_mut(), BEFORE.saturating_sub(self.len)) {
            *first &= u64::MAX << (BEFORE - self.len);
        }
        let mut positions = [0; BLOCK / 64 * MOST_SELECTED];
        let selected = list(raw, self.raw_before, &mut positions);
        self.features.reserve(selected.len());
        let mut cut = None;
        let mut listed = selected.len();
        for (index, position) in selected.iter().enumerate() {
            let position = usize::from(*position);
            let Some(window) = bytes[position..].first_chunk() else { break };
            let feature = gear.feature(window);
            self.features.push(feature);
            if feature.rotate_left(32) < limit(self.len + position + 1) {
                (cut, listed) = (Some(position + 1), index + 1);
                break;
            }
        }
        let start = |position: &u16| (self.len + usize::from(*position) - BEFORE) as u32;
        self.starts.extend(selected[..listed].iter().map(start));
        let taken = self.take(cut.unwrap_or(count), raw);
        cut.map(|_| taken)
    }

    #[inline]
    fn take(&mut self, count: usize, raw: &[u64]) -> usize {
        self.len += count;
        let (whole, part) = (count / 64, (count % 64) as u32);
        let last = |whole: usize| if whole == 0 { self.raw_before } else { raw[whole - 1] };
        self.raw_before = match part {
            0 => last(whole),
            part => (raw[whole] << (64 - part)) | (last(whole) >> part),
        };
        count
    }

    /// Keeps the last bytes of those taken.
    fn remember(&mut self, bytes: &[u8], taken: usize) -> usize {
        let bytes = &bytes[..taken];
        if let Some(last) = bytes.last_chunk() {
            self.before = *last;
        } else {
            self.before.rotate_left(taken);
            self.before[BEFORE - taken..].copy_from_slice(bytes);
        }
        taken
    }
}

/// Lists the positions of selected matches. Nearly without branches: where the next match lies can't be predicted.
#[inline]
fn list<'a>(raw: &[u64], mut before: u64, positions: &'a mut [u16; BLOCK / 64 * MOST_SELECTED]) -> &'a [u16] {
    let mut len = 0;
    for (index, word) in raw.iter().enumerate() {
        let mut left = select(*word, before);
        before = *word;
        let Some(slots) = positions[len..].first_chunk_mut::<MOST_SELECTED>() else { break };
        // Most words have two or fewer. A slot that is not counted is written over by the next word.
        for (number, slot) in slots.iter_mut().enumerate() {
            if number >= 2 && left == 0 {
                break;
            }
            *slot = (index * 64) as u16 + left.trailing_zeros() as u16;
            len += usize::from(left != 0);
            left &= left.wrapping_sub(1);
        }
    }
    &positions[..len]
}
