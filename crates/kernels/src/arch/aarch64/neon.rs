//! NEON: 128-bit integer vectors, two words each; four lanes are a pair of them.
//!
//! Every function is safe to call from code compiled for NEON; `dispatch.rs` is the one place that enters
//! this file from outside. `unsafe` remains only in [`load`] and [`store`]. NEON belongs to the target this
//! is compiled for, so the compiler uses it in the portable tier's functions too, and most of them are called
//! here. What it does not find by itself: that bytes have an instruction which counts their bits, and that
//! one selection is the majority of three.

mod gear;
mod walsh;

use core::arch::aarch64::{
    uint8x16_t, uint64x2_t, vaddq_u8, vaddvq_u16, vandq_u64, vbslq_u64, vcntq_u8, vdupq_n_u8, vdupq_n_u64,
    veorq_u64, vld1q_u64, vpaddlq_u8, vreinterpretq_u8_u64, vshlq_n_u64, vshrq_n_u64, vst1q_u64,
};

use crate::arch::{portable, shared};
use crate::counters::Column;
use crate::seed::{LANES, lane_seeds};

pub(crate) use gear::gear_matches;
pub(crate) use walsh::{add_walsh_rows, best_row, negative_bits, walsh_scores};

/// Words of a register.
const WORDS: usize = 2;

/// Features that are added together, see [`add_group`].
const GROUP: usize = 16;

/// Vectors whose byte counts can be summed before a byte overflows: 31 * 8 < 256.
const BYTE_SUM_RUN: usize = 31;

#[target_feature(enable = "neon")]
pub(crate) fn xor_into(target: &mut [u64], other: &[u64]) {
    portable::xor_into(target, other);
}

#[target_feature(enable = "neon")]
pub(crate) fn popcount(words: &[u64]) -> u64 {
    let (blocks, tail) = words.as_chunks::<WORDS>();
    let mut total = tail.iter().map(|word| u64::from(word.count_ones())).sum();
    for run in blocks.chunks(BYTE_SUM_RUN) {
        let mut bytes = vdupq_n_u8(0);
        for block in run {
            bytes = vaddq_u8(bytes, byte_counts(load(block)));
        }
        total += sum_bytes(bytes);
    }
    total
}

#[target_feature(enable = "neon")]
pub(crate) fn hamming(a: &[u64], b: &[u64]) -> u64 {
    let (a_blocks, a_tail) = a.as_chunks::<WORDS>();
    let (b_blocks, b_tail) = b.as_chunks::<WORDS>();
    let mut total = a_tail.iter().zip(b_tail).map(|(a, b)| u64::from((a ^ b).count_ones())).sum();
    for (a, b) in a_blocks.chunks(BYTE_SUM_RUN).zip(b_blocks.chunks(BYTE_SUM_RUN)) {
        let mut bytes = vdupq_n_u8(0);
        for (a, b) in a.iter().zip(b) {
            bytes = vaddq_u8(bytes, byte_counts(veorq_u64(load(a), load(b))));
        }
        total += sum_bytes(bytes);
    }
    total
}

#[target_feature(enable = "neon")]
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

#[target_feature(enable = "neon")]
pub(crate) fn rotate_into(out: &mut [u64], words: &[u64], bits: usize) {
    portable::rotate_into(out, words, bits);
}

#[target_feature(enable = "neon")]
pub(crate) fn expand(feature: u64, out: &mut [u64]) {
    portable::expand(feature, out);
}

#[target_feature(enable = "neon")]
pub(crate) fn add_features(columns: &mut [Column], features: &[u64], used: usize) {
    for group in features.chunks(GROUP) {
        // A lane state of zero stays zero and so adds nothing to any count.
        let mut states = [[0; LANES]; GROUP];
        for (state, feature) in states.iter_mut().zip(group) {
            *state = lane_seeds(*feature);
        }
        for half in 0..LANES / WORDS {
            add_group(columns, &states, half, used);
        }
    }
}

/// Adds two lanes of 16 features to every column: a tree of 15 carry-save adders into the lowest four
/// planes, and one carry of weight 16 that ripples through the planes above.
#[inline]
#[target_feature(enable = "neon")]
fn add_group(columns: &mut [Column], features: &[[u64; LANES]; GROUP], half: usize, used: usize) {
    // The 32 registers hold 16 states and the tree.
    let mut states = [vdupq_n_u64(0); GROUP];
    for (state, feature) in states.iter_mut().zip(features) {
        *state = load(&feature.as_chunks().0[half]);
    }
    for (index, column) in columns.iter_mut().enumerate() {
        if index > 0 {
            for state in &mut states {
                *state = step(*state);
            }
        }
        let (low, high) = column.split_at_mut(4);
        let twos: [uint64x2_t; 8] = halve(&mut low[0], half, &states);
        let fours: [uint64x2_t; 4] = halve(&mut low[1], half, &twos);
        let eights: [uint64x2_t; 2] = halve(&mut low[2], half, &fours);
        let [mut carry]: [uint64x2_t; 1] = halve(&mut low[3], half, &eights);
        for plane in &mut high[..used.saturating_sub(4)] {
            let plane = &mut plane.as_chunks_mut().0[half];
            let sum = load(plane);
            store(plane, veorq_u64(sum, carry));
            carry = vandq_u64(sum, carry);
        }
    }
}

/// Adds `2 * N` vectors into half a plane and returns the `N` carries, each of twice the weight.
#[inline]
#[target_feature(enable = "neon")]
fn halve<const N: usize, const DOUBLE: usize>(
    plane: &mut [u64; LANES],
    half: usize,
    inputs: &[uint64x2_t; DOUBLE],
) -> [uint64x2_t; N] {
    let plane = &mut plane.as_chunks_mut().0[half];
    let mut sum = load(plane);
    let mut carries = [vdupq_n_u64(0); N];
    for (carry, [a, b]) in carries.iter_mut().zip(inputs.as_chunks::<2>().0) {
        let differ = veorq_u64(sum, *a);
        // Where the first two differ the third decides; elsewhere they agree.
        *carry = vbslq_u64(differ, *b, *a);
        sum = veorq_u64(differ, *b);
    }
    store(plane, sum);
    carries
}

#[target_feature(enable = "neon")]
pub(crate) fn majority(columns: &[Column], count: u32, used: usize, tie: &[u64], out: &mut [u64]) {
    portable::majority(columns, count, used, tie, out);
}

#[target_feature(enable = "neon")]
pub(crate) fn flush(columns: &[Column], count: u32, used: usize, weight: i32, counters: &mut [i64]) {
    portable::flush(columns, count, used, weight, counters);
}

#[target_feature(enable = "neon")]
pub(crate) fn add_counters(counters: &mut [i64], other: &[i64]) {
    portable::add_counters(counters, other);
}

#[target_feature(enable = "neon")]
pub(crate) fn subtract_counters(counters: &mut [i64], other: &[i64]) {
    portable::subtract_counters(counters, other);
}

#[target_feature(enable = "neon")]
pub(crate) fn threshold(counters: &[i64], tie: &[u64], out: &mut [u64]) {
    portable::threshold(counters, tie, out);
}

#[inline]
#[target_feature(enable = "neon")]
fn step(v: uint64x2_t) -> uint64x2_t {
    let v = veorq_u64(v, vshlq_n_u64::<13>(v));
    let v = veorq_u64(v, vshrq_n_u64::<7>(v));
    veorq_u64(v, vshlq_n_u64::<17>(v))
}

/// The set bits of each byte, in that byte.
#[inline]
#[target_feature(enable = "neon")]
fn byte_counts(v: uint64x2_t) -> uint8x16_t {
    vcntq_u8(vreinterpretq_u8_u64(v))
}

/// The sum of all 16 bytes.
#[inline]
#[target_feature(enable = "neon")]
fn sum_bytes(v: uint8x16_t) -> u64 {
    u64::from(vaddvq_u16(vpaddlq_u8(v)))
}

#[inline]
#[target_feature(enable = "neon")]
fn load(block: &[u64; WORDS]) -> uint64x2_t {
    // SAFETY: a block is 16 readable bytes, and this load needs no alignment beyond a word's.
    unsafe { vld1q_u64(block.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(block: &mut [u64; WORDS], v: uint64x2_t) {
    // SAFETY: a block is 16 writable bytes that nothing else borrows, and this store needs no alignment
    // beyond a word's.
    unsafe { vst1q_u64(block.as_mut_ptr(), v) }
}
