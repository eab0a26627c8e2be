//! The tier every processor has: `wide` vectors of four words.

mod gear;

use wide::u64x4;

use super::{shared, walsh};
use crate::counters::Column;
use crate::seed::{LANES, lane_seeds};

pub(crate) use gear::gear_matches;

/// Features that are added together, see [`add_group`].
const GROUP: usize = 16;

pub(crate) fn xor_into(target: &mut [u64], other: &[u64]) {
    for (target, other) in target.iter_mut().zip(other) {
        *target ^= other;
    }
}

pub(crate) fn popcount(words: &[u64]) -> u64 {
    // Compilers know how to count bits in whatever vectors there are, better than `wide` spelt out.
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}

pub(crate) fn hamming(a: &[u64], b: &[u64]) -> u64 {
    a.iter().zip(b).map(|(a, b)| u64::from((a ^ b).count_ones())).sum()
}

pub(crate) fn hamming_rows(query: &[u64], matrix: &[u64], distances: &mut [u32]) {
    for (rows, places) in shared::four_streams(query.len(), matrix, distances) {
        for (row, distance) in rows.into_iter().zip(places) {
            // A row has fewer than 2^32 bits.
            *distance = hamming(query, row) as u32;
        }
    }
    for (row, distance) in shared::last_rows(query.len(), matrix, distances) {
        *distance = hamming(query, row) as u32;
    }
}

pub(crate) fn rotate_into(out: &mut [u64], words: &[u64], bits: usize) {
    shared::rotate_into(out, words, bits);
}

pub(crate) fn expand(feature: u64, out: &mut [u64]) {
    let mut state = load(&lane_seeds(feature));
    let (blocks, tail) = out.as_chunks_mut::<LANES>();
    for block in blocks {
        *block = state.to_array();
        state = step(state);
    }
    tail.copy_from_slice(&state.to_array()[..tail.len()]);
}

pub(crate) fn add_features(columns: &mut [Column], features: &[u64], used: usize) {
    let (groups, rest) = features.as_chunks::<GROUP>();
    for group in groups {
        add_group(columns, group.map(|feature| load(&lane_seeds(feature))), used);
    }
    if !rest.is_empty() {
        // A lane state of zero stays zero and so adds nothing to any count.
        let mut states = [u64x4::ZERO; GROUP];
        for (state, feature) in states.iter_mut().zip(rest) {
            *state = load(&lane_seeds(*feature));
        }
        add_group(columns, states, used);
    }
}

/// Adds 16 features to every column: a tree of 15 carry-save adders into the lowest four planes, and
/// one carry of weight 16 that ripples through the planes above.
fn add_group(columns: &mut [Column], mut states: [u64x4; GROUP], used: usize) {
    for (index, column) in columns.iter_mut().enumerate() {
        if index > 0 {
            states = states.map(step);
        }
        let (low, high) = column.split_at_mut(4);
        let twos: [u64x4; 8] = halve(&mut low[0], &states);
        let fours: [u64x4; 4] = halve(&mut low[1], &twos);
        let eights: [u64x4; 2] = halve(&mut low[2], &fours);
        let [mut carry]: [u64x4; 1] = halve(&mut low[3], &eights);
        for plane in &mut high[..used.saturating_sub(4)] {
            let sum = load(plane);
            *plane = (sum ^ carry).to_array();
            carry &= sum;
        }
    }
}

/// Adds `2 * N` vectors into a plane and returns the `N` carries, each of twice the weight.
#[inline(always)]
fn halve<const N: usize, const DOUBLE: usize>(
    plane: &mut [u64; LANES],
    inputs: &[u64x4; DOUBLE],
) -> [u64x4; N] {
    let mut sum = load(plane);
    let carries = core::array::from_fn(|pair| {
        let (carry, next) = carry_save(sum, inputs[2 * pair], inputs[2 * pair + 1]);
        sum = next;
        carry
    });
    *plane = sum.to_array();
    carries
}

/// A full adder in every bit: `(carry, sum)` of three bits.
#[inline(always)]
fn carry_save(a: u64x4, b: u64x4, c: u64x4) -> (u64x4, u64x4) {
    let half = a ^ b;
    ((a & b) | (half & c), half ^ c)
}

pub(crate) fn majority(columns: &[Column], count: u32, used: usize, tie: &[u64], out: &mut [u64]) {
    let threshold = count / 2;
    for ((column, tie), out) in columns.iter().zip(tie.chunks(LANES)).zip(out.chunks_mut(LANES)) {
        let (above, equal) = compare(&column[..used], threshold);
        // An odd count has no ties: equal to the rounded half means fewer than half.
        let tied = if count.is_multiple_of(2) { equal } else { u64x4::ZERO };
        let (above, tied) = (above.to_array(), tied.to_array());
        for (lane, (out, tie)) in out.iter_mut().zip(tie).enumerate() {
            *out = above[lane] | (tied[lane] & tie);
        }
    }
}

/// Positions whose count is above, and equal to, the threshold; from the highest plane down.
#[inline(always)]
fn compare(planes: &[[u64; LANES]], threshold: u32) -> (u64x4, u64x4) {
    let mut above = u64x4::ZERO;
    let mut equal = u64x4::MAX;
    for (bit, plane) in planes.iter().enumerate().rev() {
        let plane = load(plane);
        if (threshold >> bit) & 1 == 1 {
            equal &= plane;
        } else {
            above |= equal & plane;
            equal &= !plane;
        }
    }
    (above, equal)
}

pub(crate) fn flush(columns: &[Column], count: u32, used: usize, weight: i32, counters: &mut [i64]) {
    let words = columns.iter().flat_map(|column| (0..LANES).map(move |lane| (column, lane)));
    for ((column, lane), counters) in words.zip(counters.chunks_exact_mut(64)) {
        // Counts of the word's 64 bits, split into low and high bytes.
        let mut halves = [[0_u64; 8]; 2];
        for (plane, words) in column[..used].iter().enumerate() {
            let half = &mut halves[plane / 8];
            for (counts, byte) in half.iter_mut().zip(words[lane].to_le_bytes()) {
                *counts |= SPREAD[usize::from(byte)] << (plane % 8);
            }
        }
        let [low, high] = halves.map(|half| half.map(u64::to_le_bytes));
        shared::add_counts(counters, low.as_flattened(), high.as_flattened(), count, weight);
    }
}

pub(crate) fn add_counters(counters: &mut [i64], other: &[i64]) {
    shared::add_counters(counters, other);
}

pub(crate) fn subtract_counters(counters: &mut [i64], other: &[i64]) {
    shared::subtract_counters(counters, other);
}

pub(crate) fn threshold(counters: &[i64], tie: &[u64], out: &mut [u64]) {
    for ((counters, tie), out) in counters.as_chunks::<64>().0.iter().zip(tie).zip(out) {
        let (mut positive, mut zero) = (0, 0);
        for (bit, counter) in counters.iter().enumerate() {
            positive |= u64::from(*counter > 0) << bit;
            zero |= u64::from(*counter == 0) << bit;
        }
        *out = positive | (zero & tie);
    }
}

pub(crate) fn add_walsh_rows(rows: &[u8], slots: usize, signs: &[i8], votes: &mut [i8]) {
    walsh::add_rows(rows, slots, signs, votes);
}

pub(crate) fn walsh_scores(words: &[u64], mask: &[u64], scores: &mut [i16]) {
    walsh::scores(words, mask, scores);
}

pub(crate) fn best_row(scores: &[i16; 256], flip: u8) -> u8 {
    walsh::best_row(scores, flip)
}

pub(crate) fn negative_bits(votes: &[i8], out: &mut [u64]) {
    walsh::negative_bits(votes, out);
}

/// Bit `i` of a byte as the lowest bit of byte `i` of a word.
static SPREAD: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[byte] |= ((byte as u64 >> bit) & 1) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    table
};

#[inline(always)]
fn step(v: u64x4) -> u64x4 {
    let v = v ^ (v << 13_u32);
    let v = v ^ (v >> 7_u32);
    v ^ (v << 17_u32)
}

#[inline(always)]
fn load(block: &[u64; LANES]) -> u64x4 {
    bytemuck::cast(*block)
}
